"""The newest rows of the trail in the order in which they were written, whatever their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from autoscaler.store.database import reading
from autoscaler.store.tables import CHAINED

QUIET = ("schema_version", "proposal", "inputs", "sighting")  # they stand beside other rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of a table with its place and hash in the chain; `values` without what is null or bytes."""

    seq: int
    table: str
    row: int
    hash: str
    values: Mapping[str, Any]


def newest(engine: Engine, *, limit: int) -> Sequence[Entry]:
    """The newest `limit` rows that say something of themselves, newest first. Raises StoreError."""
    quiet = ", ".join(f"'{name}'" for name in QUIET)
    query = f"SELECT seq, of, row, hash FROM link WHERE of NOT IN ({quiet}) ORDER BY seq DESC LIMIT ?"  # noqa: S608
    found = []
    with reading(engine) as connection:
        for seq, of, row, digest in connection.exec_driver_sql(query, (limit,)).all():
            if of not in CHAINED:
                continue  # a tampered link: `verify` tells of it
            rows = connection.exec_driver_sql(f"SELECT * FROM {of} WHERE row = ?", (row,))  # noqa: S608
            values: Mapping[str, Any] = dict(rows.mappings().one_or_none() or {})
            shown = {k: v for k, v in values.items() if v is not None and not isinstance(v, bytes)}
            found.append(Entry(seq=seq, table=of, row=row, hash=digest, values=shown))
    return tuple(found)


def plans(engine: Engine, *, limit: int) -> Sequence[str]:
    """The bodies of the last plans that were written, newest first, as JSON. Raises StoreError."""
    with reading(engine) as connection:
        found = connection.exec_driver_sql("SELECT body FROM plan ORDER BY row DESC LIMIT ?", (limit,))
        return tuple(str(body) for (body,) in found)
