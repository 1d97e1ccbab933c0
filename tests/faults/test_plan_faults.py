"""Faults of the catalogue, met by `loadline plan` and `apply`: codes, words, what is left."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta

import pytest

from autoscaler.clock import SetClock
from autoscaler.providers.fake import FakeCloud
from tests.worlds import small

# The plan's moment is fixed, so that a history that ends early is late and not the present.
FIXED = small.CONFIGURATION.replace("last-sample", f'"{small.END:%Y-%m-%dT%H:%M:%SZ}"')


pytestmark = pytest.mark.slow  # the same faults meet the gate and the tick in quick tests


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder with the small world, planned as of a fixed moment."""
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return small.Shell(small.write(tmp_path, FIXED), capsys)


def lines(shell):
    """The lines of the history."""
    return (shell.folder / "m.csv").read_text().splitlines()


def rewrite(shell, found):
    """Another history."""
    (shell.folder / "m.csv").write_text("\n".join(found) + "\n")


def plan(shell):
    """The plan as JSON, with what was warned of; the command ends in 0, 3 or 5."""
    answer = shell("plan --output json --out plan.json")
    assert answer.code in {0, 3, 5}, answer
    assert "Traceback" not in answer.err
    return json.loads(answer.out), answer


def targets(document, part="actions"):
    """Pool and wanted size of each action."""
    found = document[part] if part == "actions" else [entry["action"] for entry in document[part]]
    return {(action["target"], action["after"]) for action in found}


def held_for_data(document):
    """Whether api is not shrunk, and the plan says that its data are the reason."""
    shrunk = [action for action in document["actions"] if action["target"] == "api"]
    told = [gap for gap in document["gaps"] if gap["source"] == "api"]
    told += [entry for entry in document["held"] if entry["guard"] == "INSUFFICIENT_DATA"]
    return not shrunk and bool(told) and not document["complete"]


def test_f01_f23_a_series_that_is_gone_holds_its_pool(shell):
    """A metric that was renamed is absent: its pool keeps its size and is named; the other pool goes on."""
    rewrite(shell, [line.replace("api,", "api_v2,") for line in lines(shell)])
    document, answer = plan(shell)
    assert held_for_data(document)
    assert ("web", 8) in targets(document)
    assert answer.code == 0


def test_f01_no_series_at_all_is_no_data(shell):
    """Without any metric nothing is planned: code 5, and each pool is named."""
    rewrite(shell, ["unique_id,ds,y"])
    document, answer = plan(shell)
    assert answer.code == 5
    assert document["actions"] == document["held"] == []
    assert {gap["source"] for gap in document["gaps"]} >= {"web", "api"}


def test_f19_a_source_that_is_not_there_is_no_data(shell):
    """A history file that is gone while the clock is known ends in 5 with the file's name."""
    (shell.folder / "m.csv").unlink()
    document, answer = plan(shell)
    assert answer.code == 5
    assert any("m.csv" in gap["why"] for gap in document["gaps"])


@pytest.mark.parametrize(
    ("value", "fault"), [("NaN", "f03"), ("Inf", "f04"), ("-Inf", "f04"), ("-5", "f07"), ("", "f06")]
)
def test_f03_f04_f06_f07_bad_last_values_never_shrink(shell, value, fault):
    """Where the last hours of a metric are no values its pool does not shrink; nothing escapes."""
    found = lines(shell)
    last = [index for index, line in enumerate(found) if line.startswith("api,")][-12:]
    for index in last:
        found[index] = found[index].rsplit(",", 1)[0] + f",{value}"
    rewrite(shell, found)
    document, answer = plan(shell)
    assert held_for_data(document), fault
    assert ("web", 8) in targets(document)
    if value:
        assert "loadline: warning: " in answer.err


@pytest.mark.parametrize("value", ["NaN", "Inf", "-5"])
def test_f05_one_bad_value_inside_changes_nothing(shell, value):
    """One value of no use among two thousand is dropped with a warning; the plan is the same."""
    sound, _ = plan(shell)
    found = lines(shell)
    found[500] = found[500].rsplit(",", 1)[0] + f",{value}"
    rewrite(shell, found)
    (shell.folder / "loadline.db").unlink()
    document, answer = plan(shell)
    assert targets(document) == targets(sound)
    assert answer.err.count("loadline: warning: ") == 1


def test_f09_a_gap_of_hours_in_the_last_days_never_shrinks(shell):
    """A hole of more than two hours within two weeks holds the shrink."""
    gone = {
        (small.END - timedelta(days=2) + n * small.STEP).strftime("api,%Y-%m-%dT%H:%M") for n in range(20)
    }
    rewrite(shell, [line for line in lines(shell) if line[:20] not in gone])
    assert held_for_data(plan(shell)[0])


def test_f09_an_older_gap_only_warns(shell):
    """A hole older than two weeks is told and holds nothing."""
    gone = {
        (small.END - timedelta(days=17) + n * small.STEP).strftime("api,%Y-%m-%dT%H:%M") for n in range(20)
    }
    rewrite(shell, [line for line in lines(shell) if line[:20] not in gone])
    document, _ = plan(shell)
    assert ("api", 19) in targets(document)
    assert document["complete"]


def test_f10_f11_duplicates_and_disorder_change_nothing(shell):
    """The same samples twice and in another order are the same plan."""
    sound, _ = plan(shell)
    head, *found = lines(shell)
    rewrite(shell, [head, *reversed(found), *found[100:200]])
    (shell.folder / "loadline.db").unlink()
    document, answer = plan(shell)
    assert targets(document) == targets(sound)
    assert "loadline: warning: " in answer.err


def test_f12_a_future_stamp_moves_neither_clock_nor_plan(shell):
    """A sample of 2099 is dropped, also where the last sample is the clock."""
    (shell.folder / "loadline.yaml").write_text(small.CONFIGURATION)
    rewrite(shell, [*lines(shell), "api,2099-01-01T00:00:00Z,1000000"])
    document, _ = plan(shell)
    assert document["made_at"] == f"{small.END:%Y-%m-%dT%H:%M:%SZ}"
    assert ("web", 8) in targets(document)
    assert not {size for name, size in targets(document) if name == "api" and size > 20}


def test_f13_a_stale_series_holds(shell):
    """A metric that ended two days ago never shrinks its pool, and the plan tells since when."""
    edge = f"{small.END - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    rewrite(
        shell, [line for line in lines(shell) if not (line.startswith("api,") and line.split(",")[1] > edge)]
    )
    assert held_for_data(plan(shell)[0])


def test_f15_a_spike_is_bounded_by_step_and_maximum(shell):
    """A value a million times too large grows no pool by more than a step, and never over its maximum."""
    found = lines(shell)
    last = max(index for index, line in enumerate(found) if line.startswith("web,"))
    found[last] = found[last].rsplit(",", 1)[0] + ",1e12"
    rewrite(shell, found)
    document, _ = plan(shell)
    assert {size for name, size in targets(document) if name == "web"} <= {8}


@pytest.mark.parametrize("stamp", ["2026-03-02T07:46:00", "1000", "1772437560000", "yesterday"])
def test_f26_f27_stamps_that_are_none_are_dropped_by_the_tick(shell, stamp):
    """A row with a stamp without zone, in seconds, or in words is dropped and told; the rest is planned."""
    rewrite(shell, [*lines(shell), f"web,{stamp},999999"])
    document, answer = plan(shell)
    assert targets(document) >= {("web", 8), ("api", 19)}
    assert "loadline: warning: " in answer.err
    assert "m.csv" in answer.err


def test_f28_a_leap_second_is_the_next_second(shell):
    """23:59:60 is read as the next second and stops nothing."""
    rewrite(shell, [*lines(shell), "leap,2016-12-31T23:59:60Z,1", "leap,2024-02-29T00:00:00Z,1"])
    assert targets(plan(shell)[0]) >= {("web", 8), ("api", 19)}


def test_f45_somebody_else_resized_between_plan_and_apply(shell):
    """A pool that another one moved is left alone, code 4; the other pool is applied."""
    plan(shell)
    cloud = FakeCloud(str(shell.folder / "cloud.db"), SetClock(small.END))
    cloud.resize("web", 9, version=cloud.read("web").version, key="a human")
    answer = shell("apply plan.json")
    assert answer.code == 4
    assert {pool.id: pool.desired for pool in cloud.list()[0]} == {"web": 9, "api": 19}


def test_f45_moved_there_and_back_is_stale_too(shell):
    """A pool at the planned size again, at another version, is no longer the one that was planned for."""
    plan(shell)
    cloud = FakeCloud(str(shell.folder / "cloud.db"), SetClock(small.END))
    for size in (9, 4):
        cloud.resize("web", size, version=cloud.read("web").version, key=f"a human, {size}")
    answer = shell("apply plan.json")
    assert answer.code == 4
    assert cloud.read("web").desired == 4


def test_bounds_that_moved_are_kept(shell):
    """A maximum lowered after planning holds when applying: the provider refuses what is over it."""
    plan(shell)
    (shell.folder / "loadline.yaml").write_text(FIXED.replace("maximum: 60", "maximum: 6"))
    answer = shell("apply plan.json")
    cloud = FakeCloud(str(shell.folder / "cloud.db"), SetClock(small.END))
    assert cloud.read("web").desired == 4
    assert answer.code == 4


def test_f73_a_plan_of_another_world_touches_nothing(shell, tmp_path, monkeypatch):
    """A plan file taken to another installation finds targets that moved or that it does not know."""
    plan(shell)
    elsewhere = small.write(
        tmp_path / "elsewhere", FIXED.replace("  web:", "  shop:").replace("desired: 20", "desired: 7")
    )
    monkeypatch.chdir(elsewhere)
    assert shell(f"apply {tmp_path / 'plan.json'}").code == 4
    cloud = FakeCloud(str(elsewhere / "cloud.db"), SetClock(small.END))
    assert {pool.id: pool.desired for pool in cloud.list()[0]} == {"shop": 4, "api": 7}


def test_f59_f60_a_store_that_is_none_acts_on_nothing(shell):
    """Where the state file is something else no pool moves, and one line says so."""
    plan(shell)
    for end in ("", "-wal", "-shm"):
        (shell.folder / f"loadline.db{end}").unlink(missing_ok=True)
    (shell.folder / "loadline.db").write_bytes(b"not a database at all" * 100)
    for line in ("apply plan.json", "plan", "explain web", "undo x"):
        answer = shell(line)
        assert answer.code == 1, (line, answer)
        assert answer.out == ""
        assert answer.err.startswith("loadline: ")
        assert "loadline.db" in answer.err
        assert "Traceback" not in answer.err
    cloud = FakeCloud(str(shell.folder / "cloud.db"), SetClock(small.END))
    assert {pool.id: pool.desired for pool in cloud.list()[0]} == {"web": 4, "api": 20}


def test_f60_a_cloud_that_is_none_is_told(shell):
    """Where the fake cloud's file is something else the command ends in one line that names it."""
    (shell.folder / "cloud.db").write_bytes(b"not a database at all" * 100)
    answer = shell("plan")
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert "cloud.db" in answer.err


def test_p8_the_trail_cannot_be_rewritten(shell):
    """Plans, intents and outcomes of an applied plan can be neither changed nor removed."""
    plan(shell)
    assert shell("apply plan.json").code == 0
    with sqlite3.connect(shell.folder / "loadline.db") as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = [name for name in names if any(word in name for word in ("plan", "intent", "outcome"))]
        assert len(kept) >= 3
        for name in kept:
            assert database.execute(f"SELECT count(*) FROM {name}").fetchone()[0], name  # noqa: S608 - our own names
            with pytest.raises(sqlite3.DatabaseError):
                database.execute(f"DELETE FROM {name}")  # noqa: S608 - as above
    database.close()
