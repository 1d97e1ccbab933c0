"""Faults of the state: killed in mid-write, disk full, read-only, corrupt, locked, of another schema."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import event, text

from autoscaler.errors import StoreError
from autoscaler.store import database
from autoscaler.store.database import connect
from autoscaler.store.history import History
from autoscaler.store.tables import SCHEMA_VERSION
from autoscaler.store.trail import SqlTrail
from forecasts.types import Series
from policies.plan import Action, Change, Outcome, Plan, Reason, Status, kind_of

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)

# Intends and concludes without end, and says so only once the store has said that it is done.
LOOP = """
import sys
from datetime import UTC, datetime, timedelta
from autoscaler.store.database import connect
from autoscaler.store.trail import SqlTrail
from policies.plan import Action, ActionKind, Change, Outcome, Reason, Status
now = datetime(2026, 3, 2, 8, tzinfo=UTC)
trail = SqlTrail(connect(sys.argv[1]))
for number in range(1_000_000):
    action = Action(kind=ActionKind.SCALE_OUT, target="web", before=number, after=number + 1,
                    reason=Reason.FORECAST_PEAK, not_before=now, expires_at=now + timedelta(hours=1))
    key = trail.intend("plan", action, now)
    print("intended", key, flush=True)
    change = Change(target="web", at=now, before=number, after=number + 1)
    trail.conclude(key, Outcome(action_id=action.id, status=Status.APPLIED, at=now), change)
    print("concluded", key, flush=True)
"""


def action(after=6):
    """A change of size."""
    return Action(
        kind=kind_of(4, after),
        target="web",
        before=4,
        after=after,
        reason=Reason.FORECAST_PEAK,
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


def plan(*actions):
    """A plan of these actions."""
    ends = NOW + timedelta(hours=1)
    digests = {f"{name}_digest": "" for name in ("snapshot", "policy", "forecasts")}
    return Plan(made_at=NOW, expires_at=ends, actions=actions, **digests)


def series(steps):
    """A series that does not compress."""
    y = np.random.default_rng(7).random(steps)
    return Series(unique_id="web", start=NOW, step_s=60, y=y)


@pytest.fixture
def path(tmp_path):
    """Where the store is to be."""
    return str(tmp_path / "loadline.db")


@pytest.mark.slow
def test_f58_kill_9_loses_no_committed_row(path):
    """Killed at any point, what was said to be written is there, and at most one intent is in doubt."""
    wait = np.random.default_rng(11).integers(1, 60, size=8)
    said: list[list[str]] = []
    for lines in wait:
        with subprocess.Popen([sys.executable, "-c", LOOP, path], stdout=subprocess.PIPE, text=True) as child:
            mine = [child.stdout.readline().split() for _ in range(int(lines))]
            os.kill(child.pid, signal.SIGKILL)
            mine += [line.split() for line in child.stdout if line.endswith("\n")]
        assert child.returncode == -signal.SIGKILL
        said += [line for line in mine if len(line) == 2]
    trail = SqlTrail(connect(path))
    deeds = {deed.key: deed for deed in trail.pool("web")}
    assert len(said) > 100
    for word, key in said:
        assert key in deeds
        assert word == "intended" or deeds[key].outcome.status is Status.APPLIED
    assert len(trail.doubtful()) <= len(wait)
    assert len(trail.changes(NOW)) == sum(deed.outcome is not None for deed in deeds.values())


def test_f58_a_failed_write_leaves_nothing_behind(path):
    """A transaction that breaks off in the middle leaves no part of itself."""
    engine = connect(path)

    def break_off():
        with database.writing(engine) as connection:
            connection.exec_driver_sql("INSERT INTO chunk VALUES (1, 'web', 0, 60, 1, 'f4-zlib', x'00')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert History(engine).read(["web"]) == []


def test_f59_a_full_disk_is_told_and_nothing_is_intended(path):
    """Where the disk is full no intent is given out; what was written before can still be read."""
    trail = SqlTrail(connect(path))
    trail.record_plan(plan(action()))
    engine = connect(path)
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 1"))
    engine.dispose()
    full = SqlTrail(engine)
    with pytest.raises(StoreError, match="the disk is full; make room, nothing is applied"):
        History(engine).append(series(20_000))

    def fill():
        for number in range(10_000):
            full.intend("p", action(5 + number), NOW)

    with pytest.raises(StoreError, match="the disk is full"):
        fill()
    assert full.plan(plan(action()).id) == plan(action())
    assert History(engine).read(["web"]) == []


def test_f59_a_read_only_store_is_told_and_still_read(path):
    """A store that cannot be written gives out no intent, and still tells what it holds."""
    trail = SqlTrail(connect(path))
    trail.record_plan(plan(action()))
    engine = connect(path)
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON"))
    engine.dispose()
    read_only = SqlTrail(engine)
    with pytest.raises(StoreError, match=r"loadline\.db is read-only; nothing is applied without a trail"):
        read_only.intend("p", action(), NOW)
    assert read_only.plan(plan(action()).id) == plan(action())


def test_f60_a_locked_store_is_told(path, monkeypatch):
    """A store that another process keeps locked is told after a while, not waited for without end."""
    monkeypatch.setattr(database, "BUSY_MS", 50)
    trail = SqlTrail(connect(path))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is locked by another process; is another loadline still running"):
        trail.intend("p", action(), NOW)
    other.execute("ROLLBACK")
    other.close()
    assert trail.intend("p", action(), NOW)


@pytest.mark.parametrize("damage", ["text", "torn", "scrambled"])
def test_f60_a_corrupt_store_is_told(path, damage):
    """A file that is no database, or was damaged, is told with the mend; it is never begun anew by itself."""
    engine = connect(path)
    History(engine).append(series(20_000))
    SqlTrail(engine).record_plan(plan(action()))
    with database.writing(engine) as connection:
        connection.exec_driver_sql("SELECT 1")
    engine.dispose()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    with open(path, "rb") as file:  # noqa: PTH123 - the path is text everywhere here
        whole = file.read()
    noise = np.random.default_rng(3).bytes(len(whole))
    damaged = {
        "text": b"hello " * 2000,
        "torn": whole[: len(whole) // 3],
        "scrambled": whole[:100] + noise[100:],
    }[damage]
    with open(path, "wb") as file:  # noqa: PTH123 - as above
        file.write(damaged)
    with pytest.raises(StoreError, match=r"corrupt|no SQLite file") as caught:
        History(connect(path)).read(["web"])
    assert "move it away to begin anew" in str(caught.value)


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (SCHEMA_VERSION + 1, "newer")])
def test_f60_another_schema_is_refused(path, version, word):
    """A store of an older or newer schema is refused with what to do, and left as it is."""
    connect(path).dispose()
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER schema_version_no_update")
        raw.execute("UPDATE schema_version SET version = ?", (version,))
    raw.close()
    with pytest.raises(
        StoreError, match=rf"has schema {version}, {word} than {SCHEMA_VERSION}, which this program reads"
    ):
        connect(path)


def test_f60_another_programs_database_is_refused(path):
    """A database that is not ours is neither read nor written."""
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()
    with pytest.raises(StoreError, match="another program's database"):
        connect(path)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    raw.close()


def test_f60_a_missing_folder_is_told(tmp_path):
    """A store in a folder that is not there, or a folder in its place, is told."""
    for path in (tmp_path / "no" / "loadline.db", tmp_path):
        with pytest.raises(StoreError, match="cannot be opened; does its folder exist"):
            connect(str(path))


def test_f68_what_was_changed_outlives_a_restart(path):
    """The changes that budgets count lie in the store: a restart does not refill them."""
    trail = SqlTrail(connect(path))
    mine = action()
    change = Change(target="web", at=NOW, before=4, after=6)
    trail.conclude(
        trail.intend("p", mine, NOW), Outcome(action_id=mine.id, status=Status.APPLIED, at=NOW), change
    )
    assert SqlTrail(connect(path)).changes(NOW) == (change,)


@pytest.mark.parametrize("how", ["as it is", "a copy without its log"])
def test_f59_a_store_that_cannot_be_written_is_still_read(tmp_path, monkeypatch, how):
    """What a command that only reads needs is there; nothing is written, made or brought up to date."""
    path = tmp_path / "loadline.db"
    engine = connect(str(path))
    identity = database.identity(engine)
    engine.dispose()
    if how == "a copy without its log":
        for beside in tmp_path.glob("loadline.db-*"):
            beside.unlink()

    def refuse(_path):
        raise StoreError("it may not be written")

    monkeypatch.setattr(database, "connect", refuse)
    before = path.read_bytes()
    again = database.connect_to_read(str(path))
    assert database.identity(again) == identity
    with pytest.raises(StoreError, match="read-only"), database.writing(again) as connection:
        connection.execute(text("CREATE TABLE another (one)"))
    again.dispose()
    assert path.read_bytes() == before


def test_f60_an_older_store_is_opened_to_read_as_to_write(tmp_path):
    """One that is not there yet, or has another schema, is made or told as ever."""
    path = tmp_path / "loadline.db"
    database.connect_to_read(str(path)).dispose()
    assert path.exists()
    path.write_text("no store")
    with pytest.raises(StoreError, match="no SQLite file"):
        database.connect_to_read(str(path))
