"""Faults of the trail: rows changed, removed, slipped in or moved; stores of older schemas."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autoscaler.errors import StoreError
from autoscaler.store import chain, database
from autoscaler.store.database import connect, identity, reading
from autoscaler.store.people import SqlPeople
from autoscaler.store.tables import CHAINED, INSERT_ONLY, SCHEMA_VERSION
from autoscaler.store.trail import SqlTrail
from autoscaler.store.verdicts import SqlVerdicts
from policies.conditions import Approval
from policies.deeds import Verdict
from policies.inputs import Inputs, decide
from policies.model import Snapshot
from policies.plan import Action, Change, Outcome, Plan, Reason, Status, kind_of
from policies.policy import Freeze, Policy, Scope

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
WORLDS = Path(__file__).parents[1] / "worlds"
SCHEMA_2 = WORLDS / "schema_2.sql"


def action(after=6, target="web"):
    """A change of size."""
    return Action(
        kind=kind_of(4, after),
        target=target,
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


def write(engine):
    """At least two rows into every table of the trail."""
    trail, people, verdicts = SqlTrail(engine), SqlPeople(engine), SqlVerdicts(engine)
    for after in (6, 7):
        mine = action(after)
        inputs = Inputs(snapshot=Snapshot(taken_at=NOW), policy=Policy())
        decide(inputs)
        trail.record_plan(plan(mine), inputs)
        trail.record_plan(plan(mine))
        key = trail.intend("p", mine, NOW, generation=trail.raise_generation())
        change = Change(target="web", at=NOW, before=4, after=after)
        trail.conclude(key, Outcome(action_id=mine.id, status=Status.APPLIED, at=NOW), change)
        trail.see_pools([f"pool {after}"], NOW)
        people.freeze(Freeze(scope=Scope.POOL, name="web", why="hand work"), "ann", NOW)
        people.lift(Scope.POOL, "web", "ann", "done", NOW)
        word = Approval(action_id=mine.id, granted=True, by="ann", why="ok", at=NOW, expires_at=NOW)
        people.approve(word)
        people.use_approval(mine.id, key)
        verdicts.judge(key, Verdict.CONFIRMED, (), NOW)
        verdicts.event("REVERTED", "web", "took it back", NOW)


def verified(engine, head=""):
    with reading(engine) as connection:
        return chain.verify(connection, head=head)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A store with rows in every table of the trail."""
    where = tmp_path_factory.mktemp("written") / "loadline.db"
    engine = connect(str(where))
    write(engine)
    engine.dispose()
    return where


@pytest.fixture
def path(tmp_path, written):
    """A copy of that store."""
    return str(shutil.copy(written, tmp_path / "loadline.db"))


def tamper(path, script):
    """Change the file past the program, its triggers put back afterwards; what `verify` then says."""
    with closing(sqlite3.connect(path)) as raw:
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        drops = "".join(f"DROP TRIGGER {name};" for name, _ in triggers)
        raw.executescript(f"{drops}{script};{';'.join(sql for _, sql in triggers)};")
        raw.commit()
    engine = connect(path)
    found = verified(engine)
    engine.dispose()
    return found.fault


def test_an_untouched_trail_is_whole(path):
    """Every row of every table of the trail has its link, and the chain fits."""
    engine = connect(path)
    found = verified(engine)
    with reading(engine) as connection:
        counts = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()  # noqa: S608 - ours
            for name in CHAINED
        ]
    assert found.fault == ""
    assert found.rows == sum(counts)
    assert all(count >= 2 for count in counts[1:]), "the world writes two rows into every table"
    assert verified(engine, head=found.head[:12]).fault == ""
    assert "no link has the hash beef" in verified(engine, head="beef").fault


# One column of each table, with another value for its first row.
CHANGES = {
    "schema_version": "identity = 'other'",
    "plan": "body = body || ' '",
    "proposal": "guard = 'STEP'",
    "sighting": "made_at = expires_at",
    "intent": "generation = 7",
    "outcome": "error = 'x'",
    "inputs": "packed = x'00'",
    "generation": "number = 9",
    "pool_seen": "at = '2020'",
    "freeze": "until = '2020'",
    "lift": "by = 'bob'",
    "approval": "granted = 0",
    "approval_use": "key = 'k'",
    "verdict": "verdict = 'late'",
    "event": "text = ''",
}


@pytest.mark.parametrize("table", CHAINED)
def test_a_changed_row_is_found_by_name(path, table):
    """One changed value in any table of the trail is found, and the row is named."""
    row = SCHEMA_VERSION if table == "schema_version" else 1
    fault = tamper(path, f"UPDATE {table} SET {CHANGES[table]} WHERE rowid = {row}")  # noqa: S608 - ours
    assert f"row {row} of {table} was changed" in fault


@pytest.mark.parametrize("table", [name for name in CHAINED if name != "schema_version"])
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("DELETE FROM {0} WHERE row = 1", "row 1 of {0} was removed"),
        ("DELETE FROM {0} WHERE row = (SELECT max(row) FROM {0})", "row 2 of {0} was removed"),
        ("UPDATE {0} SET row = row + 100 WHERE row = 2", "row 2 of {0} was removed"),
        ("UPDATE {0} SET row = 0 WHERE row = 2", "row 0 of {0} has no link here"),
    ],
    ids=["the first", "the last", "moved behind", "moved before"],
)
def test_a_removed_or_moved_row_is_found(path, table, script, said):
    """A row that is gone or has another number is found in any table, wherever it stood."""
    assert said.format(table) in tamper(path, f"PRAGMA foreign_keys = OFF; {script.format(table)}")


def test_a_row_slipped_in_is_found(path):
    """A row without a link is found, in the middle and at the end."""
    fault = tamper(path, "INSERT INTO event (kind, pool, text, at) VALUES ('X', '', '', '2026')")
    assert "row 3 of event has no link here: it was inserted past the trail" in fault


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("DELETE FROM link WHERE seq = 5", "link 5 was removed"),
        ("UPDATE link SET hash = 'x' WHERE seq = 5", "(link 5)"),
        ("UPDATE link SET seq = -seq WHERE seq IN (4, 5)", "link 1 was removed"),
        ("DELETE FROM link WHERE seq = (SELECT max(seq) FROM link)", "has no link here"),
        ("UPDATE link SET of = 'chunk' WHERE seq = 5", "chunk, which is no table of the trail"),
    ],
    ids=["removed", "changed", "moved", "the last", "of another table"],
)
def test_a_tampered_link_is_found(path, script, said):
    """The links themselves cannot be changed, removed or moved unseen."""
    assert said in tamper(path, script)


def test_a_cut_off_end_is_found_by_a_head_noted_elsewhere(path):
    """Rows and links cut off together leave a whole chain; the hash noted before tells that it was longer."""
    engine = connect(path)
    noted = verified(engine).head
    engine.dispose()
    row = "DELETE FROM event WHERE row = (SELECT row FROM link ORDER BY seq DESC LIMIT 1)"
    link = "; DELETE FROM link WHERE seq = (SELECT max(seq) FROM link)"
    assert tamper(path, row + link) == ""
    engine = connect(path)
    assert f"no link has the hash {noted}" in verified(engine, head=noted).fault


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.parametrize("sentence", ["UPDATE {} SET rowid = rowid + 900", "DELETE FROM {}"])
def test_the_trail_is_insert_only(path, table, sentence):
    """No row of the trail can be changed or removed while its triggers are there."""
    engine = connect(path)
    with pytest.raises(StoreError, match="insert-only"), database.writing(engine) as connection:
        connection.exec_driver_sql(sentence.format(table))


def test_a_missing_trigger_is_found(path):
    """Where a trigger was dropped, the trail is not said to be whole."""
    engine = connect(path)
    with database.writing(engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER plan_no_update")
    assert verified(engine).fault == "the trigger plan_no_update is gone: rows could be changed"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            (
                "DROP TRIGGER plan_no_update; CREATE TRIGGER plan_no_update BEFORE UPDATE ON plan WHEN 0 "
                "BEGIN SELECT RAISE(ABORT, 'plan is insert-only'); END"
            ),
            "the trigger plan_no_update is not as it was made",
        ),
        (
            "CREATE TRIGGER quiet BEFORE INSERT ON event BEGIN SELECT RAISE(IGNORE); END",
            "the trigger quiet is not ours",
        ),
    ],
    ids=["hollow", "foreign"],
)
def test_a_hollow_or_foreign_trigger_is_found(path, script, said):
    """Each trigger is compared by what it does, and one more is told too."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)
    assert said in verified(connect(path)).fault


@pytest.mark.parametrize(
    "does",
    [
        "BEFORE INSERT ON freeze BEGIN SELECT RAISE(IGNORE); END",
        (
            "AFTER INSERT ON freeze BEGIN INSERT INTO freeze (scope, name, why, by, at, shrinks_only) "
            "VALUES ('all', '', '', '', '', 0); END"
        ),
    ],
    ids=["dropped", "added"],
)
def test_a_row_that_does_not_stand_as_written_is_no_row(path, does):
    """A foreign trigger that drops or adds rows makes the write fail: nobody is told that a freeze holds."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(f"CREATE TRIGGER quiet {does}")
    people = SqlPeople(connect(path))
    with pytest.raises(StoreError, match="does not stand in the store as it was written"):
        people.freeze(Freeze(scope=Scope.ALL, why="storm"), "ann", NOW)


def old_store(path, *more):
    """A store of schema 2 with a plan, two intents and an outcome, as its program left it."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(SCHEMA_2.read_text())
        for script in more:
            raw.executescript(script)
        raw.commit()


TO_1 = """
DROP TABLE memory; DROP TRIGGER schema_version_no_update; UPDATE schema_version SET version = 1;
CREATE TRIGGER schema_version_no_update BEFORE UPDATE ON schema_version
BEGIN SELECT RAISE(ABORT, 'schema_version is insert-only'); END;
"""


@pytest.mark.parametrize("version", [1, 2])
def test_f60_an_older_store_is_brought_up_to_date_and_keeps_all_it_had(tmp_path, version):
    """Migrated when it is opened: same identity and trail, all of it in the chain, a copy kept beside it."""
    path = str(tmp_path / "old.db")
    old_store(path, *([TO_1] if version == 1 else []))
    for _ in range(2):
        engine = connect(path)
        assert identity(engine) == "5da2e5ac"
        trail = SqlTrail(engine)
        assert len(trail.doubtful()) == 1
        assert [c.after for c in trail.changes(NOW)] == [6]
        assert [deed.generation for deed in trail.pool("web")] == [0, 0]
        found = verified(engine)
        assert found.fault == ""
        assert found.rows == 6 + SCHEMA_VERSION + 1 - version
        engine.dispose()
    with closing(sqlite3.connect(path)) as raw:
        versions = [row[0] for row in raw.execute("SELECT version FROM schema_version ORDER BY version")]
        assert versions == list(range(version, SCHEMA_VERSION + 1))
        assert raw.execute("SELECT count(*) FROM memory").fetchone() == (0,)
    with closing(sqlite3.connect(f"{path}.schema-{version}")) as raw:
        assert raw.execute("SELECT max(version) FROM schema_version").fetchone() == (version,)
    engine = connect(path)
    write(engine)
    assert verified(engine).fault == ""


def test_f60_a_store_without_places_is_brought_up_to_date(tmp_path):
    """Schema 3: its deeds tell no place and are of today's, its chain goes on, a copy is kept beside it."""
    path = str(tmp_path / "old.db")
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript((WORLDS / "schema_3.sql").read_text())
    for _ in range(2):
        engine = connect(path)
        trail = SqlTrail(engine, {"web": "cloud web"})
        assert [(deed.place, deed.elsewhere) for deed in trail.pool("web")] == [("", False)] * 2
        assert [(c.after, c.elsewhere) for c in trail.changes(NOW)] == [(6, False)]
        assert (verified(engine).fault, verified(engine).rows) == ("", 8 + 1)
        engine.dispose()
    engine = connect(path)
    (doubt,) = SqlTrail(engine).doubtful()
    SqlTrail(engine, {"web": "cloud web"}).intend("plan", doubt.action, NOW)
    assert [deed.place for deed in SqlTrail(engine).pool("web")] == ["", "", "cloud web"]
    assert verified(engine).fault == ""
    with closing(sqlite3.connect(f"{path}.schema-3")) as raw:
        assert raw.execute("SELECT max(version) FROM schema_version").fetchone() == (3,)


def test_f60_a_migration_that_breaks_off_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    """All of a migration or nothing of it: killed in the middle, the next opening does it all."""
    path = str(tmp_path / "old.db")
    old_store(path)

    def break_off(_connection):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(chain, "link_what_is_there", break_off)
        with pytest.raises(RuntimeError):
            connect(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT max(version) FROM schema_version").fetchone() == (2,)
        assert raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'link'").fetchone() == (0,)
    assert verified(connect(path)).fault == ""
