"""Samples of the metrics, kept in compressed chunks.

Each series is packed by itself. Chunks are never changed; a later one wins over earlier ones, and replaces
those that lie wholly within it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, delete, insert, select, true

from autoscaler.store.chunks import FULL_STEPS, Chunk, packed, rows, second, seconds, series_of
from autoscaler.store.database import reading, writing
from autoscaler.store.recent import Recent
from autoscaler.store.tables import ChunkRow
from forecasts.types import EPOCH, Series

AT_ONCE = 500  # ids in one query
_CHUNK = ChunkRow.__table__  # type: ignore[attr-defined]


class History:
    """What was observed of each series. Raises StoreError and nothing else."""

    def __init__(self, engine: Engine) -> None:
        """`engine` is that of `autoscaler.store.database.connect`."""
        self._engine = engine
        self._recent = Recent()

    def close(self) -> None:
        """Let go of the file, for the trail of the same engine too; the next use opens it again."""
        self._engine.dispose()

    def append(self, series: Series) -> int:
        """Keep one series; see `append_all`."""
        return self.append_all([series])

    def append_all(self, many: Iterable[Series]) -> int:
        """Keep what is new, in one transaction; returns the number of samples that were new or revised.

        A finite value wins over what was kept before; an absent one (NaN) never erases. The same again adds
        nothing. A series whose step or phase changed begins a new grid.
        """
        with writing(self._engine) as connection:
            return sum(_append(connection, batch) for batch in _batches(many))

    def ends(self, ids: Sequence[str]) -> dict[str, datetime]:
        """When the kept steps of each series end, on the grid kept last; ids never seen are left out."""
        found: dict[str, datetime] = {}
        with reading(self._engine) as connection:
            for first in range(0, len(ids), AT_ONCE):
                columns = (_CHUNK.c[name] for name in ("unique_id", "start", "step_s", "steps"))
                batch = list(ids[first : first + AT_ONCE])
                query = select(*columns).where(_CHUNK.c.unique_id.in_(batch)).order_by(_CHUNK.c.id)
                grids: dict[str, tuple[int, int]] = {}
                for unique_id, start, step_s, steps in connection.execute(query):
                    old_step, old_end = grids.get(unique_id, (step_s, 0))
                    end = start + steps * step_s
                    grids[unique_id] = (step_s, max(end, old_end) if old_step == step_s else end)
                found |= {name: EPOCH + timedelta(seconds=end) for name, (_, end) in grids.items()}
        return found

    def recent(self, ids: Sequence[str], since: datetime, until: datetime) -> list[Series]:
        """The same as `read`, for what is read again and again: only chunks that are new are unpacked.

        What was read stays in memory, and what is returned is a part of it. For several threads.
        """
        low, high = seconds(since), seconds(until)
        found: list[Series] = []
        wanted = list(dict.fromkeys(ids))
        with self._recent.lock, reading(self._engine) as connection:
            for first in range(0, len(wanted), AT_ONCE):
                batch = wanted[first : first + AT_ONCE]
                chunks = _listed(connection, batch)
                asked = (self._recent.look(name, chunks[name], low, high) for name in batch)
                looks = [look for look in asked if look is not None]
                values = _values(connection, [chunk.row for look in looks for chunk in look.lacking])
                found += [self._recent.series(look, values) for look in looks]
        return found

    def read(
        self, ids: Sequence[str], since: datetime | None = None, until: datetime | None = None
    ) -> list[Series]:
        """The kept steps that begin in [since, until), in the order of `ids`; ids never seen are left out.

        Each series is on the grid that was kept last; samples on an older grid are not mixed in.
        """
        low = None if since is None else seconds(since)
        high = None if until is None else seconds(until)
        found: list[Series] = []
        wanted = list(dict.fromkeys(ids))
        with reading(self._engine) as connection:
            for first in range(0, len(wanted), AT_ONCE):
                batch = wanted[first : first + AT_ONCE]
                chunks = _chunks(connection, batch, low, high)
                found += [
                    s for uid in batch if (s := series_of(uid, chunks.get(uid, []), low, high)) is not None
                ]
        return found


def _chunks(
    connection: Connection, ids: Sequence[str], low: int | None = None, high: int | None = None
) -> dict[str, list[Chunk]]:
    """The chunks of each series, oldest first; outside [low, high), seconds since 1970, without values."""
    columns = (_CHUNK.c.unique_id, *(_CHUNK.c[name] for name in ("id", "start", "step_s", "steps", "codec")))
    within = and_(
        true() if low is None else _CHUNK.c.start + _CHUNK.c.steps * _CHUNK.c.step_s > low,
        true() if high is None else _CHUNK.c.start < high,
    )
    values = case((within, _CHUNK.c["values"]), else_=None)
    query = select(*columns, values).where(_CHUNK.c.unique_id.in_(ids)).order_by(_CHUNK.c.id)
    found: dict[str, list[Chunk]] = {}
    for unique_id, *rest in connection.execute(query):
        found.setdefault(unique_id, []).append(Chunk(*rest))
    return found


def _listed(connection: Connection, ids: Sequence[str]) -> dict[str, list[Chunk]]:
    """The chunks of each of the series, oldest first, without their values."""
    columns = (_CHUNK.c.unique_id, *(_CHUNK.c[name] for name in ("id", "start", "step_s", "steps", "codec")))
    query = select(*columns).where(_CHUNK.c.unique_id.in_(ids)).order_by(_CHUNK.c.id)
    found: dict[str, list[Chunk]] = {name: [] for name in ids}
    for unique_id, *rest in connection.execute(query):
        found[unique_id].append(Chunk(*rest))
    return found


def _values(connection: Connection, which: Sequence[int]) -> dict[int, bytes]:
    """The packed values of some chunks, by row."""
    found: dict[int, bytes] = {}
    columns = (_CHUNK.c.id, _CHUNK.c["values"])
    for first in range(0, len(which), AT_ONCE):
        query = select(*columns).where(_CHUNK.c.id.in_(which[first : first + AT_ONCE]))
        found.update((row, values) for row, values in connection.execute(query))
    return found


def _batches(many: Iterable[Series]) -> Iterator[dict[str, Series]]:
    """What is kept together: each id once, what has no steps left out."""
    batch: dict[str, Series] = {}
    for series in many:
        if series.unique_id in batch or len(batch) == AT_ONCE:
            yield batch
            batch = {}
        if len(series.y):
            batch[series.unique_id] = series
    if batch:
        yield batch


def _append(connection: Connection, batch: Mapping[str, Series]) -> int:
    """Keep what is new of some series; how many samples were new or revised."""
    # What is packed again reaches further back than the length of a full chunk only where that was read.
    reach = {name: FULL_STEPS * series.step_s for name, series in batch.items()}
    low = min(second(series) - reach[name] for name, series in batch.items())
    high = max(second(series) + len(series.y) * series.step_s + reach[name] for name, series in batch.items())
    chunks = _chunks(connection, list(batch), low, high)
    within: list[int] = []
    fresh: list[dict[str, Any]] = []
    revised = 0
    for name, series in batch.items():
        fitting = [one for one in chunks.get(name, []) if one.fits(second(series), series.step_s)]
        new, kept = packed(series, fitting)
        revised += new
        if kept is not None:
            start, y = kept
            end = start + len(y) * series.step_s
            within += [one.row for one in fitting if start <= one.start and one.end <= end]
            fresh += rows(name, start, series.step_s, y)
    # First what is new: the largest number of a row is never taken away, and so none comes again.
    if fresh:
        connection.execute(insert(_CHUNK), fresh)
    for first in range(0, len(within), AT_ONCE):
        connection.execute(delete(_CHUNK).where(_CHUNK.c.id.in_(within[first : first + AT_ONCE])))
    return revised
