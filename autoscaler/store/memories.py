"""What scalers have learnt of each pool, kept between turns: arrays as bytes with their description."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, select
from sqlalchemy.dialects.sqlite import insert

from autoscaler.store.database import reading, writing
from autoscaler.store.tables import MemoryRow
from forecasts.types import EPOCH, BadInput
from policies.memory import unpacked
from policies.plan import Fact
from policies.standing import Kept

AT_ONCE = 500  # ids in one query
_MEMORY = MemoryRow.__table__  # type: ignore[attr-defined]


class Memories:
    """The newest memory of each pool. Raises StoreError and nothing else; what is corrupt is told apart."""

    def __init__(self, engine: Engine) -> None:
        """`engine` is that of `autoscaler.store.database.connect`."""
        self._engine = engine

    def read(self, pools: Sequence[str]) -> tuple[dict[str, Kept], dict[str, str]]:
        """What is kept, by pool, and for each pool whose memory cannot be read the reason."""
        kept: dict[str, Kept] = {}
        corrupt: dict[str, str] = {}
        with reading(self._engine) as connection:
            for first in range(0, len(pools), AT_ONCE):
                query = select(_MEMORY).where(_MEMORY.c.pool.in_(pools[first : first + AT_ONCE]))
                for row in connection.execute(query):
                    try:
                        kept[row.pool] = _kept(row)
                    except BadInput as error:
                        corrupt[row.pool] = str(error)
        return kept, corrupt

    def write(
        self, learnt: Mapping[str, Kept], told: Iterable[tuple[str, Sequence[Fact]]], at: datetime
    ) -> None:
        """Replace what is kept of these pools and what was told of their choice, in one transaction."""
        facts = {pool: json.dumps([_plain(fact) for fact in because]) for pool, because in told}
        with writing(self._engine) as connection:
            for pool, kept in learnt.items():
                packed = kept.memory.packed()
                values = {
                    "of": kept.of,
                    "start": int((kept.start - EPOCH).total_seconds()),
                    "step_s": kept.step_s,
                    "steps": kept.steps,
                    "shape": kept.memory.shape,
                    "packed": packed,
                    "checksum": _checksum(kept.memory.shape, packed),
                    "told_at": at.astimezone(UTC).isoformat(),
                    "facts": facts.get(pool, "[]"),
                }
                row = insert(_MEMORY).values(pool=pool, **values)
                connection.execute(row.on_conflict_do_update(index_elements=["pool"], set_=values))

    def told(self, pool: str) -> tuple[datetime, tuple[Fact, ...]] | None:
        """What was last told of a pool's choice, and when; None where nothing was."""
        query = select(_MEMORY.c.told_at, _MEMORY.c.facts).where(_MEMORY.c.pool == pool)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.facts == "[]":
            return None
        return datetime.fromisoformat(row.told_at), tuple(Fact(**fact) for fact in json.loads(row.facts))


def _kept(row: Row[Any]) -> Kept:
    if _checksum(row.shape, row.packed) != row.checksum:
        raise BadInput("its checksum is wrong")
    return Kept(
        of=row.of,
        start=EPOCH + timedelta(seconds=row.start),
        step_s=row.step_s,
        steps=row.steps,
        memory=unpacked(row.shape, row.packed),
    )


def _checksum(shape: str, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(shape.encode()))


def _plain(fact: Fact) -> dict[str, object]:
    return {name: getattr(fact, name) for name in ("name", "value", "unit", "source", "window")}
