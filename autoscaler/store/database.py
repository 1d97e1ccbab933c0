"""Opening the store, and its errors in words for people."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlmodel import SQLModel

from autoscaler.errors import StoreError
from autoscaler.store import chain
from autoscaler.store.tables import INSERT_ONLY, SCHEMA_VERSION, MemoryRow, SchemaRow

BUSY_MS = 5_000

# What SQLite says -> what happened and what to do about it.
_SAID = (
    ("locked", "is locked by another process; is another loadline still running?"),
    ("disk is full", "cannot be written: the disk is full; make room, nothing is applied until then"),
    ("readonly", "is read-only; nothing is applied without a trail, make it writable"),
    ("malformed", "is corrupt; restore it from a backup, or move it away to begin anew"),
    ("not a database", "is no SQLite file; name another one, or move it away to begin anew"),
    ("unable to open", "cannot be opened; does its folder exist, and may it be read?"),
    ("disk I/O error", "cannot be read or written: the disk reports an error"),
)


def connect(path: str) -> Engine:
    """The store in the file, made if it is not there. StoreError where it cannot be used, with the mend.

    Every commit is on the disk when it returns (WAL, synchronous=FULL). A store of an older schema is brought
    up to date in one transaction; a copy as it was stays beside it, `<path>.schema-N`.
    """
    engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool, connect_args={"timeout": BUSY_MS / 1000})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    try:
        _keep_copy(engine, path)
        with writing(engine) as connection:
            tables = set(inspect(connection).get_table_names())
            if not tables:
                _make(connection)
            else:
                _check(connection, path, tables)
    except StoreError:
        engine.dispose()
        raise
    return engine


def connect_to_read(path: str) -> Engine:
    """The store for a command that only reads: also where its disk is full or may not be written (F59).

    One that is not there yet or has an older schema is opened by `connect`. Where not even the files beside
    it can be read, what is not yet in the file itself is not seen. Raises StoreError as `connect` does.
    """
    for how in ("mode=ro", "immutable=1"):
        engine = create_engine(f"sqlite:///file:{quote(path)}?{how}&uri=true", poolclass=QueuePool)
        event.listen(engine, "connect", _undecided)
        event.listen(engine, "begin", _begin)
        try:
            with reading(engine) as connection:
                version = connection.execute(text("SELECT max(version) FROM schema_version")).scalar_one()
        except StoreError:
            engine.dispose()
            continue
        if version == SCHEMA_VERSION:
            return engine
        engine.dispose()
        break
    return connect(path)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that has the right to write from its begin; durable when it ends. Raises StoreError."""
    with _told(engine), engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the store. Raises StoreError."""
    with _told(engine), engine.begin() as connection:
        yield connection


def identity(engine: Engine) -> str:
    """The random name of this store: keys made from its rows never meet those of another."""
    with reading(engine) as connection:
        newest = "SELECT identity FROM schema_version ORDER BY version DESC LIMIT 1"
        return str(connection.execute(text(newest)).scalar_one())


def _undecided(connection: Any, _: object) -> None:
    # BEGIN is ours (below): the driver's own comes too late to make a read and a write one transaction.
    connection.isolation_level = None


def _prepare(connection: Any, _: object) -> None:
    _undecided(connection, _)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        said = str(getattr(error, "orig", None) or error)
        path = engine.url.database
        for sign, words in _SAID:
            if sign in said:
                raise StoreError(f"{path} {words}") from error
        raise StoreError(f"{path} cannot be used: {said}") from error


def _make(connection: Connection) -> None:
    SQLModel.metadata.create_all(connection)
    _forbid_changes(connection, INSERT_ONLY)
    row = {"version": SCHEMA_VERSION, "identity": secrets.token_hex(4)}
    connection.execute(SQLModel.metadata.tables[str(SchemaRow.__tablename__)].insert().values(row))
    chain.link_what_is_there(connection)


def _forbid_changes(connection: Connection, tables: Iterable[str]) -> None:
    for sentence in chain.triggers(tables).values():
        connection.exec_driver_sql(sentence)


def _from_1(connection: Connection) -> None:
    """Schema 2 has the table of what scalers learnt; its row stands beside the one of schema 1."""
    SQLModel.metadata.create_all(connection, tables=[SQLModel.metadata.tables[str(MemoryRow.__tablename__)]])
    _say_version(connection, 2)


def _from_2(connection: Connection) -> None:
    """Schema 3 has generations, what people said, verdicts, events, inputs, and the chain over all of it."""
    for table in ("plan", "intent"):
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN generation INTEGER"))
    connection.execute(text("CREATE INDEX ix_intent_generation ON intent (generation)"))
    SQLModel.metadata.create_all(connection)
    _forbid_changes(connection, [name for name in INSERT_ONLY if name not in _INSERT_ONLY_OF_2])
    _say_version(connection, 3)
    chain.link_what_is_there(connection)


def _from_3(connection: Connection) -> None:
    """Schema 4 keeps beside each intent where its pool was; of those that are there it is not known."""
    connection.execute(text("ALTER TABLE intent ADD COLUMN place VARCHAR"))
    _say_version(connection, 4)
    newest = connection.execute(text("SELECT * FROM schema_version WHERE version = 4")).mappings().one()
    chain.link(connection, "schema_version", [(4, dict(newest))])


_INSERT_ONLY_OF_2 = ("schema_version", "plan", "proposal", "sighting", "intent", "outcome")
_NEXT = {1: _from_1, 2: _from_2, 3: _from_3}


def _say_version(connection: Connection, version: int) -> None:
    """A row of its own beside those of the schemas before, with the same identity."""
    newest = "SELECT :version, identity FROM schema_version ORDER BY version DESC LIMIT 1"
    connection.execute(
        text(f"INSERT INTO schema_version (version, identity) {newest}"),
        {"version": version},
    )


def _check(connection: Connection, path: str, tables: set[str]) -> None:
    if "schema_version" not in tables:
        raise StoreError(f"{path} is another program's database; name another file as `state`")
    version = _version(connection)
    while version in _NEXT:
        _NEXT[version](connection)
        version += 1
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {version}, older than {SCHEMA_VERSION}, which this program reads; "
            "keep a copy and move it away to begin anew"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {version}, newer than {SCHEMA_VERSION}, which this program reads; "
            "use the newer program, or restore the copy made before it (its name ends in .schema-N)"
        )


def _version(connection: Connection) -> int:
    found = connection.execute(text("SELECT max(version) FROM schema_version")).scalar_one()
    return 0 if found is None else int(found)


def _keep_copy(engine: Engine, path: str) -> None:
    """A whole copy of a store of an older schema beside it, before it is migrated: for the way back."""
    with reading(engine) as connection:
        if "schema_version" not in inspect(connection).get_table_names():
            return
        version = _version(connection)
        copy = f"{path}.schema-{version}"
        if version in _NEXT and not Path(copy).exists():
            # The driver's own backup sees one state, also of what is still in the write-ahead log.
            with closing(sqlite3.connect(copy)) as other:
                connection.connection.dbapi_connection.backup(other)  # type: ignore[union-attr]
