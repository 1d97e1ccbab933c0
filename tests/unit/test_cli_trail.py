"""The commands of people and of the trail: what they say, what they refuse, and their exit codes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import cli
from autoscaler.clock import SetClock
from autoscaler.errors import StoreError
from autoscaler.metrics.csv import CsvMetrics
from autoscaler.providers.fake import FakeCloud
from autoscaler.store import database
from autoscaler.store.database import connect
from autoscaler.store.trail import SqlTrail
from autoscaler.store.verdicts import SqlVerdicts
from policies.deeds import Verdict
from policies.plan_json import plan_from_json
from tests.worlds import small


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which the world was planned once, plan.json and state included."""
    folder = small.write(tmp_path_factory.mktemp("planned"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.run(["plan", "--out", "plan.json"]) == 0
    return folder


@pytest.fixture
def shell(tmp_path, made, monkeypatch, capsys):
    """The command line in a copy of that folder, as the user ann."""
    for name in ("LOADLINE_CONFIG", "LOADLINE_FREEZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ann")
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return small.Shell(tmp_path, capsys)


@pytest.fixture
def plan(shell):
    """The plan of that folder."""
    return plan_from_json((shell.folder / "plan.json").read_text())


def test_freeze_and_unfreeze_say_what_they_did(shell):
    """A freeze is told with its scope, reason and end; lifting it needs a reason, and tells who lifted."""
    said = shell("freeze --why 'a storm' --for 2h")
    assert (said.code, said.err) == (0, "")
    assert said.out == "Frozen: everything, until 2026-03-02 10:00Z: a storm  [loadline freeze, by ann]\n"
    assert shell("freeze --pool web --why 'hand work' --by bob").code == 0
    listed = shell("freeze --list")
    assert "Frozen: pool web, until it is lifted: hand work  [loadline freeze, by bob]" in listed.out
    assert len(listed.out.splitlines()) == 2
    assert shell("unfreeze --pool web").code == 64
    lifted = shell("unfreeze --pool web --why done")
    assert lifted.out == "Lifted by ann: pool web (1 freeze).\n"
    assert "still: Frozen: everything" in lifted.err
    assert shell("unfreeze --why over").code == 0
    assert shell("freeze --list").out == "Nothing is frozen.\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("freeze", "--why is missing"),
        ("freeze --why ' '", "--why is empty"),
        ("freeze --why x --by ''", "nobody says so: name yourself with --by"),
        ("freeze --why x --pool wbe", "there is no pool wbe in loadline.yaml; did you mean web?"),
        ("freeze --why x --provider aws", "there is no provider aws"),
        ("freeze --why x --pool web --provider fake", "name a --provider or a --pool, not both"),
        ("freeze --why x --pool ''", "the name of --provider or --pool is empty"),
        ("unfreeze --why x", "everything is not frozen"),
        ("unfreeze --why x --pool web", "pool web is not frozen"),
        ("approve zz --why x", "no plan that has not expired has an action zz"),
        ("approve '' --why x", "no plan that has not expired has an action (empty)"),
        ("approve zz", "Missing option '--why'"),
        ("trail --head abc", "--head takes a hash"),
        ("plan --recompute zz", "zz is no stored plan's"),
    ],
)
def test_what_cannot_be_said_is_refused(shell, line, said):
    """Nobody, no reason, an unknown name or nothing to lift is a usage error, and nothing is kept."""
    before = shell("trail").out
    answer = shell(line)
    assert answer.code == 64
    assert said in answer.err
    assert shell("trail").out == before


def test_f67_nobody_without_a_user_says_anything(shell, monkeypatch):
    """Without $USER the name is asked for, not made up."""
    monkeypatch.delenv("USER")
    assert "nobody says so" in shell("freeze --why x").err
    assert shell("freeze --why x --by eve").code == 0
    assert "nobody says so" in shell("unfreeze --why x").err


def test_f67_a_freeze_said_elsewhere_is_lifted_there(shell, monkeypatch):
    """`unfreeze` tells of a freeze of the file or the environment where it must be lifted."""
    monkeypatch.setenv("LOADLINE_FREEZE", "storm")
    (shell.folder / "loadline.db.freeze").write_text("audit")
    answer = shell("unfreeze --why x")
    assert answer.code == 64
    assert "not lifted: lift it where it was said" in answer.err
    assert "the environment's LOADLINE_FREEZE (unset it" in answer.err
    assert "loadline.db.freeze (remove it)" in answer.err


def test_f67_a_freeze_needs_no_metrics_and_no_provider(shell):
    """The kill switch works while the metrics and the cloud are gone."""
    (shell.folder / "m.csv").unlink()
    (shell.folder / "cloud.db").unlink()
    assert shell("freeze --why storm").code == 0
    assert "everything" in shell("freeze --list").out


def test_f67_no_word_reads_metrics(shell, plan, monkeypatch):
    """Of an old trace the moment is that of its newest plan: freezes and approvals ask no source for it."""
    monkeypatch.setattr(CsvMetrics, "samples", lambda *_given: pytest.fail("a metric was read"))
    assert "until 2026-03-02 10:00Z" in shell("freeze --why storm --for 2h").out
    assert "until 2026-03-02 10:00Z" in shell("freeze --list").out
    assert "until 2026-03-03 08:00Z" in shell(f"approve {plan.actions[0].id} --why ok").out
    assert shell("unfreeze --why over").code == 0


def test_f59_what_only_reads_opens_nothing_to_write(shell, plan, monkeypatch):
    """`freeze --list` and `plan --recompute` work where the store may not be written."""
    shell("freeze --why storm")

    def refuse(_path):
        raise StoreError("it may not be written")

    monkeypatch.setattr(database, "connect", refuse)
    assert "everything, until it is lifted: storm" in shell("freeze --list").out
    assert shell(f"plan --recompute {plan.id}").code == 0


def test_what_only_reads_makes_no_store(shell):
    """Where nothing was planned yet, freezes said elsewhere are still listed; there is no plan to decide."""
    for file in shell.folder.glob("loadline.db*"):
        file.unlink()
    (shell.folder / "loadline.db.freeze").write_text("audit")
    assert "everything, until it is lifted: audit" in shell("freeze --list").out
    assert shell("plan --recompute abc").code == 64
    assert not (shell.folder / "loadline.db").exists()


def test_explain_tells_a_plan_with_the_verdicts_of_its_actions(shell, plan):
    """Under each action's outcome stands what later looks said of it."""
    shell(f"apply {plan.id}")
    act = plan.actions[1]
    store = connect(str(shell.folder / "loadline.db"))
    (deed,) = SqlTrail(store).actions(act.id)
    SqlVerdicts(store).judge(deed.key, Verdict.CONFIRMED, (), small.END)
    store.dispose()
    lines = shell(f"explain {plan.id}").out.splitlines()
    outcome = next(n for n, line in enumerate(lines) if line.startswith(f"  applied   {act.target}"))
    said = "2026-03-02 08:00Z  confirmed: it arrived, and nothing became worse"
    assert lines[outcome + 1].strip() == said
    assert sum("confirmed" in line for line in lines) == 1


def test_f32_a_file_is_good_for_as_long_as_it_was_made_also_once_a_daemon_saw_the_same_wish(shell, plan):
    """What a daemon plans lives shorter; a file from before is not called edited for that."""
    store = connect(str(shell.folder / "loadline.db"))
    later = replace(plan, made_at=plan.made_at + timedelta(seconds=30))
    SqlTrail(store).record_plan(replace(later, expires_at=later.made_at + timedelta(minutes=10)))
    store.dispose()
    assert shell("apply plan.json").code == 0


def test_a_word_on_an_action_is_kept_by_its_id(shell, plan):
    """An id or its beginning is approved or rejected, held ones too; explain tells it."""
    act, held = plan.actions[0], plan.held[0].action
    said = shell(f"approve {act.id[:8]} {held.id} --why 'looked at it' --for 1h")
    assert said.code == 0
    assert said.out.splitlines() == [
        f"Approved {a.id}  {a.target}  {a.before} -> {a.after} units, by ann, until 2026-03-02 09:00Z"
        for a in (act, held)
    ]
    assert shell(f"reject {act.id} --why 'not now' --by eve").out.startswith(f"Rejected {act.id}")
    story = shell(f"explain {act.id}").out
    told = " ".join(story.split())
    assert "people 2026-03-02 08:00Z approved by ann, good until 2026-03-02 09:00Z: looked at it" in told
    assert "2026-03-02 08:00Z rejected by eve, good until 2026-03-03 08:00Z: not now" in told
    assert shell(f"approve {act.id} zz --why x").code == 64, "all or none"
    assert shell(f"explain {act.id}").out == story


def test_f73_a_word_on_an_expired_plan_is_refused(shell, plan):
    """An action whose plan expired cannot be approved: a new plan is asked for."""
    text = (shell.folder / "loadline.yaml").read_text()
    later = text.replace("now: last-sample", "now: 2026-03-02T10:00:00Z")
    (shell.folder / "loadline.yaml").write_text(later)
    answer = shell(f"approve {plan.actions[0].id} --why x")
    assert answer.code == 4
    assert "expired at 2026-03-02T09:00:00Z; make a new one" in answer.err


def test_the_trail_is_listed_and_verified(shell, plan):
    """The newest entries first; a whole trail is told with its head, a tampered one with its first fault."""
    assert shell(f"apply {plan.id}").code == 0
    listed = [line for line in shell("trail --limit 2").out.splitlines() if line.startswith("2026")]
    assert len(listed) == 2
    assert "outcome" in listed[0]
    assert "intent" in listed[1]
    entries = json.loads(shell("trail -o json").out)["entries"]
    tables = [entry["table"] for entry in entries]
    assert tables.index("outcome") < tables.index("intent") < tables.index("plan")
    assert tables[-1] == "plan", "a plan by hand is no first sight of a pool"
    whole = shell("trail verify")
    assert whole.code == 0
    head = whole.out.split()[-1]
    assert shell(f"trail verify --head {head}").code == 0
    assert shell("trail verify --head beefbeefbeef").code == 1
    for short in (head[:11], "x" * 12):
        assert shell(f"trail verify --head {short}").code == 64, "no guess of a few digits proves anything"
    with sqlite3.connect(shell.folder / "loadline.db") as raw:
        (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'outcome_no_update'").fetchone()
        raw.executescript("DROP TRIGGER outcome_no_update; UPDATE outcome SET status = 'failed'")
        raw.executescript(sql)
    raw.close()
    found = shell("trail verify")
    assert found.code == 1
    assert "NOT whole" in found.err
    assert "row 1 of outcome was changed" in found.err
    assert json.loads(shell("trail verify -o json").out)["whole"] is False


def test_a_stored_plan_is_decided_anew(shell, plan):
    """From what was kept beside it, without metrics or cloud, to the very same plan."""
    (shell.folder / "m.csv").unlink()
    (shell.folder / "cloud.db").unlink()
    again = shell(f"plan --recompute {plan.id[:6]}")
    assert again.code == 0
    assert again.out == f"Plan {plan.id} decided anew from its 2 pools: the same, to the letter.\n"


def test_a_plan_that_came_of_other_inputs_is_told(shell, plan):
    """Where the stored plan is not what its inputs give, what differs is told, and the exit code is 1."""
    store = connect(str(shell.folder / "loadline.db"))
    trail = SqlTrail(store)
    _, inputs = trail.inputs(plan.id)
    other = replace(plan, actions=plan.actions[:1], policy_digest="x")
    trail.record_plan(other, inputs)
    store.dispose()
    answer = shell(f"plan --recompute {other.id}")
    assert answer.code == 1
    assert f"id: {other.id} was stored, {plan.id} came of it now" in answer.out
    assert f"now, not then: {plan.actions[1].id}" in answer.out
    assert "policy digest: x then" in answer.out


def test_a_plan_without_inputs_cannot_be_decided_anew(shell, plan):
    """A plan that was recorded from a file has nothing beside it: exit 5."""
    store = connect(str(shell.folder / "loadline.db"))
    other = replace(plan, actions=plan.actions[:1])
    SqlTrail(store).record_plan(other)
    store.dispose()
    answer = shell(f"plan --recompute {other.id}")
    assert answer.code == 5
    assert "has no inputs beside it" in answer.err


def test_an_action_that_was_done_in_an_older_plan_is_told_with_it(shell, plan):
    """The newest plan that has it never tried it; the one that did is told first, with what became of it."""
    shell(f"apply {plan.id}")
    act = plan.actions[0]
    store = connect(str(shell.folder / "loadline.db"))
    other = replace(plan, actions=plan.actions[:1])
    SqlTrail(store).record_plan(other)
    store.dispose()
    story = " ".join(shell(f"explain {act.id}").out.split())
    done, never = story.index(f"in plan {plan.id}"), story.index(f"in plan {other.id}")
    assert done < story.index("applied") < never < story.index("it was never tried")


def test_a_freeze_that_is_over_is_not_lifted(shell):
    """Nothing is in force any more: the command says so, and nobody is told to have lifted it."""
    assert shell("freeze --why storm --for 1h").code == 0
    file = shell.folder / "loadline.yaml"
    file.write_text(file.read_text().replace("now: last-sample", "now: 2026-03-02T10:00:00Z"))
    answer = shell("unfreeze --why over")
    assert (answer.code, "everything is not frozen" in answer.err) == (64, True)


def test_p8_explain_tells_the_whole_story_from_the_store_alone(shell, plan):
    """Plan, people, freeze, intent, outcome, verdict and undo of an action, without metrics or cloud."""
    act = plan.actions[1]
    shell(f"approve {act.id} --why ok")
    shell(f"apply {plan.id}")
    store = connect(str(shell.folder / "loadline.db"))
    (deed,) = SqlTrail(store).actions(act.id)
    SqlVerdicts(store).judge(deed.key, Verdict.WORSE, (), small.END)
    store.dispose()
    assert shell(f"undo {act.id}").code == 0
    shell(f"freeze --pool {act.target} --why 'it was worse'")
    cloud = FakeCloud(str(shell.folder / "cloud.db"), SetClock(small.END))
    assert cloud.read(act.target).desired == act.before
    (shell.folder / "m.csv").unlink()
    (shell.folder / "cloud.db").unlink()
    story = " ".join(shell(f"explain {act.id}").out.split())
    for part in (
        f"id {act.id}, in plan {plan.id}",
        "people 2026-03-02 08:00Z approved by ann",
        f"tried 2026-03-02 08:00Z by the leader of generation 1, key {deed.key}",
        "outcome 2026-03-02 08:00Z applied",
        "verdict 2026-03-02 08:00Z worse: the service level became worse after it",
        f"undone 2026-03-02 08:00Z by {act.inverse().id} of plan",
        f"freezes pool {act.target} frozen, by ann since 2026-03-02 08:00Z: it was worse",
    ):
        assert part in story, story
