"""The embedded fake cloud: strict and stateful, in a SQLite file of its own.

Units that are asked for boot for the pool's lead time before they serve; a shrink is immediate and takes
booting units first. Sizes outside the bounds, versions that moved and keys used for another wish are refused,
as a careful cloud would. The state survives reopening, and two openers of one file see each other.

It can fail as clouds do, for those who build it by hand: see `FakeCloud`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

from autoscaler.errors import Invalid, NotFound, Stale, Unreachable
from autoscaler.ports import ORIGINAL_SIZE, Clock
from policies.model import (
    CapacityType,
    Demand,
    Gap,
    Learnt,
    Obstacle,
    Offering,
    Pool,
    PoolKind,
    canonical,
    iso,
)

CAPABILITIES = ("pools", "release")
PERMISSIONS: tuple[str, ...] = ()  # there are no credentials: whoever may write the file may do everything
ACTING: tuple[str, ...] = ()

SCHEMA_VERSION = 1
BUSY_S = 5.0
HOOKS = ("list", "read", "before resize", "after resize")  # the last: it is done, the reply is not sent
NO_HOOKS: Mapping[str, Callable[[str], None]] = MappingProxyType({})
NO_ZONE = "local"  # where a pool without offerings has its units

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pool (
  id TEXT PRIMARY KEY, declared TEXT NOT NULL, desired INTEGER NOT NULL CHECK (desired >= 0),
  revision INTEGER NOT NULL, last_scaled_at TEXT
);
CREATE TABLE IF NOT EXISTS batch (
  pool_id TEXT NOT NULL REFERENCES pool, zone TEXT NOT NULL,
  units INTEGER NOT NULL CHECK (units > 0), serves_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS batch_pool ON batch (pool_id);
CREATE TABLE IF NOT EXISTS call (
  key TEXT PRIMARY KEY, pool_id TEXT NOT NULL, size INTEGER NOT NULL, answer TEXT NOT NULL);
"""

# Since version 1, and made where it is not: what was written on the objects themselves.
_LABELS = """
CREATE TABLE IF NOT EXISTS label (
  pool_id TEXT NOT NULL REFERENCES pool, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (pool_id, name)
)
"""


class Settings(Protocol):
    """What the configuration says of this provider."""

    @property
    def path(self) -> str:
        """The file with the cloud's state."""


def connect(settings: Settings, clock: Clock) -> FakeCloud:
    """The fake cloud of a file, made if it is not there."""
    return FakeCloud(settings.path, clock)


class FakeCloud:
    """The `Pools`, `Remembers` and `Releases` ports over a SQLite file; `clock` says which units have booted.

    `hooks` are called with a pool's id ("" for `list`) at the points of `HOOKS`, and may raise what a cloud
    raises, or end the process. `grants(pool_id, before, size)` is the size that a resize really brings about.
    What this opener changed is seen by its own reads only `lag_s` seconds later.
    """

    def __init__(
        self,
        path: str,
        clock: Clock,
        *,
        hooks: Mapping[str, Callable[[str], None]] = NO_HOOKS,
        grants: Callable[[str, int, int], int] = lambda _pool_id, _before, size: size,
        lag_s: float = 0.0,
    ) -> None:
        """Open or make the file; Invalid where it is not a fake cloud of this version."""
        unknown = sorted(set(hooks) - set(HOOKS))
        if unknown:
            raise ValueError(f"there is no point {unknown[0]}; there are {', '.join(HOOKS)}")
        self._path = path
        self._clock = clock
        self._hooks, self._grants, self._lag = hooks, grants, timedelta(seconds=lag_s)
        self._replaced: dict[str, list[tuple[datetime, Pool]]] = {}  # what lagging reads still show
        if not self._made():
            self._make()

    def _made(self) -> bool:
        """Whether nothing is left to be made; a file of ours is only read for it."""
        with self._transaction("BEGIN") as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            if version != SCHEMA_VERSION and (version or tables):
                raise Invalid(f"{self._path} is no fake cloud of version {SCHEMA_VERSION}; name another file")
            return "label" in tables

    def _make(self) -> None:
        with self._transaction() as database:
            for statement in (*_SCHEMA.split(";"), _LABELS):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def create(self, pool: Pool) -> Pool:
        """Make a pool with `pool.desired` units that serve at once, and read it; see `create_all`."""
        self.create_all([pool])
        return self.read(pool.id)

    def create_all(self, pools: Iterable[Pool]) -> None:
        """Make the pools, all or none; idempotent. Invalid where a size is outside its own bounds.

        A pool that is there keeps its size and its units; its bounds, offerings and the like become what is
        said now, which moves its version only if they differ.
        """
        with self._transaction() as database:
            for pool in pools:
                _create(database, pool)

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every pool, by id; this cloud hides nothing."""
        self._at("list", "")
        with self._transaction("BEGIN") as database:
            ids = [row[0] for row in database.execute("SELECT id FROM pool ORDER BY id")]
            return tuple(self._shown(self._read(database, pool_id)) for pool_id in ids), ()

    def read(self, pool_id: str) -> Pool:
        """One pool as it is now; NotFound if there is none."""
        self._at("read", pool_id)
        with self._transaction("BEGIN") as database:
            return self._shown(self._read(database, pool_id))

    def answer_to(self, key: str) -> Pool | None:
        """What a resize with that key answered, None if there was none."""
        self._at("read", "")
        with self._transaction("BEGIN") as database:
            row = database.execute("SELECT answer FROM call WHERE key = ?", (key,)).fetchone()
            return None if row is None else _pool(json.loads(row[0]))

    def label(self, pool_id: str, name: str, value: str | None) -> None:
        """Write a label on a pool, or take it away (None), as a person would; its version stays."""
        with self._transaction() as database:
            self._read(database, pool_id)
            database.execute("DELETE FROM label WHERE pool_id = ? AND name = ?", (pool_id, name))
            if value is not None:
                database.execute("INSERT INTO label VALUES (?, ?, ?)", (pool_id, name, value))

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """Ask for `size` units, once for each `key`; see the port. Raises NotFound, Stale and Invalid."""
        if not key:
            raise Invalid(f"{pool_id}: a resize needs an idempotency key")
        self._at("before resize", pool_id)
        with self._transaction() as database:
            after = _remembered(database, pool_id, size, key)
            if after is None:
                after = self._resize(database, pool_id, size, version=version, key=key)
        self._at("after resize", pool_id)
        return after

    def _resize(
        self, database: sqlite3.Connection, pool_id: str, size: int, *, version: str, key: str
    ) -> Pool:
        pool = self._read(database, pool_id)
        if version != pool.version:
            raise Stale(f"{pool_id} is at version {pool.version}, not {version or 'none'}: read it again")
        _refuse_size(pool, size)
        granted = self._grants(pool_id, pool.desired, size)
        if granted != pool.desired:
            self._change(database, pool, granted)
            self._replaced.setdefault(pool_id, []).append((self._clock.now(), pool))
        after = self._read(database, pool_id)
        database.execute("INSERT INTO call VALUES (?, ?, ?, ?)", (key, pool_id, size, canonical(after)))
        return after

    def release(self, pool_id: str, *, version: str, key: str) -> Pool:
        """Put the size back that was there before our first change, and take the mark off; see the port."""
        self._at("before resize", pool_id)
        with self._transaction() as database:
            row = database.execute("SELECT answer FROM call WHERE key = ?", (key,)).fetchone()
            after = (
                self._release(database, pool_id, version, key) if row is None else _pool(json.loads(row[0]))
            )
        self._at("after resize", pool_id)
        return after

    def _release(self, database: sqlite3.Connection, pool_id: str, version: str, key: str) -> Pool:
        pool = self._read(database, pool_id)
        if ORIGINAL_SIZE not in pool.labels:
            return pool
        original = int(pool.labels[ORIGINAL_SIZE])
        after = (
            pool
            if original == pool.desired
            else self._resize(database, pool_id, original, version=version, key=key)
        )
        if after.desired == original:
            forget = "DELETE FROM label WHERE pool_id = ? AND name = ?"
            database.execute(forget, (pool_id, ORIGINAL_SIZE))
        return self._read(database, pool_id)

    def _at(self, point: str, pool_id: str) -> None:
        if point in self._hooks:
            self._hooks[point](pool_id)

    def _shown(self, pool: Pool) -> Pool:
        """The pool as its reader sees it: as it was before the oldest change that is too young to be seen."""
        if not self._lag:
            return pool
        now = self._clock.now()
        young = [entry for entry in self._replaced.get(pool.id, ()) if now < entry[0] + self._lag]
        self._replaced[pool.id] = young
        return young[0][1] if young else pool

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """Whether `resize` would be let; raises what it would raise."""
        with self._transaction("BEGIN") as database:
            pool = self._read(database, pool_id)
            if version != pool.version:
                raise Stale(f"{pool_id} is at version {pool.version}, not {version or 'none'}: read it again")
            _refuse_size(pool, size)
            return True

    def _change(self, database: sqlite3.Connection, pool: Pool, size: int) -> None:
        now = self._clock.now()
        if size > pool.desired:
            _boot(database, pool, size - pool.desired, serves_at=now.timestamp() + pool.lead_time_s)
        else:
            _remove(database, pool, pool.desired - size, now=now.timestamp())
        database.execute(
            "UPDATE pool SET desired = ?, revision = revision + 1, last_scaled_at = ? WHERE id = ?",
            (size, iso(now), pool.id),
        )
        original = "INSERT INTO label VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        database.execute(original, (pool.id, ORIGINAL_SIZE, str(pool.desired)))

    def _read(self, database: sqlite3.Connection, pool_id: str) -> Pool:
        row = database.execute(
            "SELECT declared, desired, revision, last_scaled_at FROM pool WHERE id = ?", (pool_id,)
        ).fetchone()
        if row is None:
            raise NotFound(f"there is no pool {pool_id} in {self._path}")
        declared, desired, revision, scaled = row
        pool = _pool(json.loads(declared))
        ready = dict.fromkeys(_zones(pool), 0)
        serving = "SELECT zone, sum(units) FROM batch WHERE pool_id = ? AND serves_at <= ? GROUP BY zone"
        ready.update(database.execute(serving, (pool_id, self._clock.now().timestamp())))
        labels = database.execute("SELECT name, value FROM label WHERE pool_id = ?", (pool_id,))
        return replace(
            pool,
            desired=desired,
            ready=ready,
            version=str(revision),
            labels={**pool.labels, **dict(labels)},
            last_scaled_at=None if scaled is None else datetime.fromisoformat(scaled),
        )

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """A connection of its own, so that threads and processes may share a file; all or nothing."""
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)) as database:
                database.execute("PRAGMA foreign_keys = ON")
                database.execute(begin)
                try:
                    yield database
                except BaseException:
                    if database.in_transaction:
                        database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise Unreachable(f"the fake cloud {self._path} does not answer: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Invalid(f"{self._path} is no fake cloud ({error}); name another file") from error


def _create(database: sqlite3.Connection, pool: Pool) -> None:
    declared = canonical(replace(pool, desired=0, ready={}, version="", last_scaled_at=None))
    row = database.execute("SELECT declared FROM pool WHERE id = ?", (pool.id,)).fetchone()
    if row is None:
        _refuse_size(pool, pool.desired)
        database.execute("INSERT INTO pool VALUES (?, ?, ?, 1, NULL)", (pool.id, declared, pool.desired))
        # They were there before any clock that may ask: an old trace has an old one.
        _boot(database, pool, pool.desired, serves_at=0.0)
    elif row[0] != declared:
        database.execute(
            "UPDATE pool SET declared = ?, revision = revision + 1 WHERE id = ?", (declared, pool.id)
        )


def _refuse_size(pool: Pool, size: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int):
        raise Invalid(f"{pool.id}: {size!r} is no number of units")
    if not pool.minimum <= size <= pool.maximum:
        raise Invalid(f"{pool.id}: {size} is outside {pool.minimum}..{pool.maximum}")


def _remembered(database: sqlite3.Connection, pool_id: str, size: int, key: str) -> Pool | None:
    row = database.execute("SELECT pool_id, size, answer FROM call WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    if (row[0], row[1]) != (pool_id, size):
        raise Invalid(f"the key {key} was used for {row[1]} units of {row[0]}, not {size} of {pool_id}")
    return _pool(json.loads(row[2]))


def _zones(pool: Pool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(offering.zone for offering in pool.offerings)) or (NO_ZONE,)


def _held(database: sqlite3.Connection, pool: Pool) -> dict[str, int]:
    """Units by zone, booting ones included; a zone no longer offered stays while it holds any."""
    held = dict.fromkeys(_zones(pool), 0)
    held.update(
        database.execute("SELECT zone, sum(units) FROM batch WHERE pool_id = ? GROUP BY zone", (pool.id,))
    )
    return held


def _boot(database: sqlite3.Connection, pool: Pool, count: int, *, serves_at: float) -> None:
    """Put `count` new units where the fewest are."""
    held = _held(database, pool)
    zones = _zones(pool)
    added = dict.fromkeys(zones, 0)
    for _ in range(count):
        emptiest = min(zones, key=lambda zone: held[zone] + added[zone])
        added[emptiest] += 1
    rows = [(pool.id, zone, units, serves_at) for zone, units in added.items() if units]
    database.executemany("INSERT INTO batch VALUES (?, ?, ?, ?)", rows)


def _remove(database: sqlite3.Connection, pool: Pool, count: int, *, now: float) -> None:
    """Take booting units first, the youngest of them first; then serving ones, each from the fullest zone."""
    rows = database.execute("SELECT rowid, zone, units, serves_at FROM batch WHERE pool_id = ?", (pool.id,))
    batches = [list(row) for row in rows]
    held = _held(database, pool)

    def turn(batch: list[Any]) -> tuple[bool, float, int]:
        booting = batch[3] > now
        return (booting, batch[3] if booting else 0.0, held[batch[1]])

    for _ in range(count):
        batch = max((batch for batch in batches if batch[2]), key=turn)
        batch[2] -= 1
        held[batch[1]] -= 1
    for row, _, units, _ in batches:
        if units:
            database.execute("UPDATE batch SET units = ? WHERE rowid = ?", (units, row))
        else:
            database.execute("DELETE FROM batch WHERE rowid = ?", (row,))


def _pool(raw: Mapping[str, Any]) -> Pool:
    """Read what `canonical` wrote of a pool."""
    scaled = raw["last_scaled_at"]
    return Pool(
        **{
            **raw,
            "kind": PoolKind(raw["kind"]),
            "demands": tuple(Demand(**demand) for demand in raw["demands"]),
            "offerings": tuple(
                Offering(**{**offering, "capacity_type": CapacityType(offering["capacity_type"])})
                for offering in raw["offerings"]
            ),
            "learnt": tuple(Learnt(**figure) for figure in raw.get("learnt", ())),
            "obstacles": tuple(Obstacle(**one) for one in raw.get("obstacles", ())),
            "last_scaled_at": None if scaled is None else datetime.fromisoformat(scaled),
        }
    )
