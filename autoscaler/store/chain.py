"""The hash chain over the trail: each row that is only ever inserted has a link, all in one sequence.

A link's hash is the SHA-256 of the hash before it, the name of the row's table, and the row's content: the
canonical JSON of its columns that are not null, bytes by their own SHA-256. So a row that was changed,
removed, slipped in or moved no longer fits. Who can write the file can make a whole new chain: note the head
that `loadline trail verify` prints somewhere else, and ask for it later (`--head`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, text
from sqlmodel import SQLModel

from autoscaler.errors import StoreError
from autoscaler.store.tables import CHAINED, INSERT_ONLY

BEGIN = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How many rows were walked, the newest hash, and the first thing that does not fit, "" where all does.

    `known`: whether the hash that was asked for is in the chain.
    """

    rows: int
    head: str
    fault: str = ""
    known: bool = True


def insert(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Insert one row with its link; the row's number."""
    return insert_all(connection, table, [values])[0]


def insert_all(connection: Connection, table: Table, many: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert rows with their links, in a transaction that has the right to write; the rows' numbers."""
    if not many:
        return []
    key = _key(table)
    first = connection.exec_driver_sql(
        f"SELECT coalesce(max({key}), 0) + 1 FROM {table.name}"  # noqa: S608 - our own names
    ).scalar_one()
    rows = [{key: first + number, **values} for number, values in enumerate(many)]
    connection.execute(table.insert(), rows)
    _read_back(connection, table.name, first, rows)
    link(connection, table.name, ((row[key], row) for row in rows))
    return [row[key] for row in rows]


def link(connection: Connection, table: str, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
    """Append a link for each row, which is there already."""
    last = connection.exec_driver_sql("SELECT seq, hash FROM link ORDER BY seq DESC LIMIT 1").first()
    seq, head = (0, BEGIN) if last is None else last
    links = []
    for row, values in rows:
        seq, head = seq + 1, _hash(head, table, values)
        links.append((seq, table, row, head))
    if links:
        connection.exec_driver_sql("INSERT INTO link (seq, of, row, hash) VALUES (?, ?, ?, ?)", links)


def link_what_is_there(connection: Connection) -> None:
    """Links for every row of a store that had no chain: table by table, each in the order of its rows."""
    for name in CHAINED:
        link(connection, name, _rows(connection, name))


def verify(connection: Connection, *, head: str = "") -> Verified:
    """Walk the chain from its begin.

    `head`: a hash (or the beginning of one) noted earlier, which must be in the chain.
    """
    fault = _trigger_fault(connection)
    if fault:
        return Verified(rows=0, head="", fault=fault)
    return _walk(connection, head)


def _walk(connection: Connection, wanted: str) -> Verified:
    rows = {name: _rows(connection, name) for name in CHAINED}
    head, count, known = BEGIN, 0, not wanted
    for seq, of, row, said in connection.exec_driver_sql("SELECT seq, of, row, hash FROM link ORDER BY seq"):
        fault = ""
        if seq != count + 1:
            fault = f"link {count + 1} was removed"
        elif of not in rows:
            fault = f"link {seq} is of {of}, which is no table of the trail"
        else:
            there, values = next(rows[of], (None, {}))
            fault = _misfit(of, row, there) or (
                "" if _hash(head, of, values) == said else f"row {row} of {of} was changed (link {seq})"
            )
        if fault:
            return Verified(rows=count, head=head, fault=fault, known=known)
        head, count = said, seq
        known = known or said.startswith(wanted)
    for name, rest in rows.items():
        extra, _ = next(rest, (None, {}))
        if extra is not None:
            return Verified(rows=count, head=head, fault=_misfit(name, None, extra), known=known)
    fault = "" if known else f"no link has the hash {wanted}: the end was cut off, or all was made anew"
    return Verified(rows=count, head=head, fault=fault, known=known)


def _misfit(table: str, wanted: int | None, there: int | None) -> str:
    """Why the next row that is there is not the one that the chain has next, "" where it is."""
    if wanted == there:
        return ""
    if there is None or (wanted is not None and there > wanted):
        return f"row {wanted} of {table} was removed, or moved to another place"
    return f"row {there} of {table} has no link here: it was inserted past the trail, or moved"


def _rows(connection: Connection, table: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    key = _key(SQLModel.metadata.tables[table])
    found = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY {key}")  # noqa: S608 - as above
    names = list(found.keys())
    for entry in found:
        values = dict(zip(names, entry, strict=True))
        yield values[key], values


def _key(table: Table) -> str:
    (column,) = table.primary_key.columns
    return column.name


def _hash(before: str, table: str, values: Mapping[str, Any]) -> str:
    content = {name: _plain(value) for name, value in values.items() if value is not None}
    body = json.dumps([before, table, content], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    return {"sha256": hashlib.sha256(value).hexdigest()} if isinstance(value, bytes) else value


def _read_back(connection: Connection, name: str, first: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """StoreError where what stands there is not what was written: a foreign trigger may do that unseen."""
    key = _key(SQLModel.metadata.tables[name])
    found = connection.exec_driver_sql(
        f"SELECT * FROM {name} WHERE {key} >= ? ORDER BY {key}",  # noqa: S608 - our own names
        (first,),
    )
    there = [_hash("", name, dict(row)) for row in found.mappings()]
    if there != [_hash("", name, row) for row in rows]:
        raise StoreError(
            f"a row of {name} does not stand in the store as it was written; `loadline trail verify` tells "
            "of triggers that are not ours; nothing was kept"
        )


def _trigger_fault(connection: Connection) -> str:
    """The first trigger that is gone, altered or not ours; "" where all are as they were."""
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
    found = {name: " ".join(sql.split()) for name, sql in connection.execute(query)}
    ours = triggers()
    for name in sorted(ours.keys() | found.keys()):
        if name not in found:
            return f"the trigger {name} is gone: rows could be changed"
        if name not in ours:
            return f"the trigger {name} is not ours: rows could be dropped or changed as they are written"
        if found[name] != ours[name]:
            return f"the trigger {name} is not as it was made: rows could be changed"
    return ""


def triggers(tables: Iterable[str] = INSERT_ONLY) -> dict[str, str]:
    """The triggers that keep tables insert-only: the sentence that makes each, by its name."""
    return {
        f"{table}_no_{change.lower()}": f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON "
        f"{table} BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
        for table in tables
        for change in ("UPDATE", "DELETE")
    }
