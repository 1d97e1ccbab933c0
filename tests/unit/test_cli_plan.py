"""`loadline plan`, `apply`, `explain` and `undo` on a small world: codes, output, and what is written."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from autoscaler import cli
from autoscaler.clock import SetClock
from autoscaler.providers.fake import FakeCloud
from policies.plan_json import plan_from_json
from tests.worlds import small

pytestmark = pytest.mark.slow

LATER = small.CONFIGURATION.replace("last-sample", '"2026-03-02T09:30:00Z"')
FROZEN = small.CONFIGURATION + "freeze: [{scope: all, why: month end}]\n"


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder with a world of two pools."""
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return small.Shell(small.write(tmp_path), capsys)


def sizes(shell):
    """What the fake cloud holds now."""
    cloud = FakeCloud(str(shell.folder / "cloud.db"), SetClock(small.END))
    return {pool.id: pool.desired for pool in cloud.list()[0]}


def configure(shell, text):
    """Change the configuration."""
    (shell.folder / "loadline.yaml").write_text(text)


def plan_again(shell):
    """Plan into plan.json and read it."""
    assert shell("plan --out plan.json").code == 0
    return plan_from_json((shell.folder / "plan.json").read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which the world was planned once, plan.json and state included."""
    folder = small.write(tmp_path_factory.mktemp("planned"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.run(["plan", "--out", "plan.json"]) == 0
    return folder


@pytest.fixture
def planned(shell, made):
    """The plan of the world, in the shell's folder as if it had just been made there."""
    shutil.copytree(made, shell.folder, dirs_exist_ok=True)
    return plan_from_json((shell.folder / "plan.json").read_text())


def some_slow(names, *, quick):
    """The names as parameters, all but the quick ones marked as slow: each costs a plan on the disk."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def refused(answer, code):
    """One clear line on stderr, nothing on stdout."""
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.startswith("loadline: ")
    assert answer.err.count("\n") == 1, answer.err


BAD = {
    "minimum over maximum": ("minimum: 2", "minimum: 90", "loadline.yaml:10"),
    "unknown key": ("maximum: 60", "maximun: 60", "maximum"),
    "units that do not parse": ("minimum: 2", "minimum: two", "loadline.yaml:10"),
    "zero capacity": ("series: web, unit_capacity: 10", "series: web, unit_capacity: 0", "above 0"),
    "negative price": ("hourly_usd: 0.1", "hourly_usd: -0.1", "hourly_usd"),
    "unknown model": ("seasonal_naive", "seasonal_naiv", "seasonal_naive"),
    "no yaml": ("pools:", "pools: [", "loadline.yaml"),
}


@pytest.mark.parametrize(
    ("command", "name"),
    [("plan", name) for name in BAD]
    + [
        (other, "unknown key")
        for other in ("apply 0123456789abcdef", "undo x", "explain web", "config validate")
    ],
)
def test_a_bad_configuration_is_told_and_nothing_written(shell, command, name):
    """Whatever the command, a bad configuration ends in code 64, a line with its place, and no new file."""
    before, after, place = BAD[name]
    configure(shell, small.CONFIGURATION.replace(before, after, 1))
    there = shell.files()
    answer = shell(command)
    assert answer.code == 64
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert all(line.startswith("loadline: ") for line in answer.err.splitlines())
    assert place in answer.err
    assert shell.files() == there


def test_no_configuration_is_told(shell):
    """Without a configuration the command says where it looks for one."""
    (shell.folder / "loadline.yaml").unlink()
    answer = shell("plan")
    refused(answer, 64)
    assert "--config" in answer.err
    refused(shell("plan --config none.yaml"), 64)


@pytest.mark.slow
def test_the_environment_names_the_configuration(shell, monkeypatch):
    """LOADLINE_CONFIG is taken where no `--config` is given."""
    (shell.folder / "loadline.yaml").rename(shell.folder / "other.yaml")
    monkeypatch.setenv("LOADLINE_CONFIG", "other.yaml")
    assert shell("plan").code == 0
    refused(shell("plan --config none.yaml"), 64)


def test_no_samples_at_all_are_bad_data(shell):
    """`now: last-sample` without samples ends in code 5 and writes nothing."""
    (shell.folder / "m.csv").unlink()
    there = shell.files()
    answer = shell("plan --out plan.json")
    refused(answer, 5)
    assert "m.csv" in answer.err
    assert shell.files() == there


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ("--only grow", "scale-out"),
        ("--output xml", "markdown"),
        ("--out no/plan.json", "no/plan.json"),
        ("--out .", "folder"),
        ("--detailed-exitcod", "--detailed-exitcode"),
        ("web", "unexpected"),
    ],
)
def test_a_bad_flag_of_plan_writes_nothing(shell, arguments, place):
    """A flag that cannot be used ends in one line, code 64, before anything is planned or kept."""
    there = shell.files()
    answer = shell(f"plan {arguments}")
    refused(answer, 64)
    assert place in answer.err
    assert shell.files() == there


def test_a_plan_changes_no_pool(shell):
    """`plan` reads pools, prints the plan, keeps it, and changes no size."""
    answer = shell("plan")
    assert answer.code == 0
    assert answer.err == ""
    assert re.search(r"\+ web +4 -> +8 units", answer.out)
    assert "\x1b" not in answer.out
    assert sizes(shell) == {"api": 20, "web": 4}


@pytest.mark.slow
def test_detailed_exitcode_tells_changes_from_none(shell):
    """2 where there are changes, 0 where there are none, 3 where all that is wanted is held."""
    assert shell("plan --detailed-exitcode").code == 2
    configure(shell, FROZEN)
    assert shell("plan --detailed-exitcode").code == 3
    assert shell("plan").code == 3
    settled = small.CONFIGURATION.replace("minimum: 2", "minimum: 4").replace("maximum: 60", "maximum: 4")
    settled = settled.replace("minimum: 1", "minimum: 20").replace("maximum: 50", "maximum: 20")
    configure(shell, settled.replace("unit_capacity: 10", "unit_capacity: 1000"))
    assert shell("plan --detailed-exitcode").code == 0


@pytest.mark.slow
def test_only_keeps_one_kind(shell):
    """`--only scale-out` plans no shrink, and the other way round."""
    for kind, pool in {"scale-out": "web", "scale-in": "api"}.items():
        document = json.loads(shell(f"plan --only {kind} --output json").out)
        found = document["actions"] + [held["action"] for held in document["held"]]
        assert {action["kind"] for action in found} == {kind}
        assert {action["target"] for action in found} == {pool}


@pytest.mark.slow
def test_every_output_is_the_same_plan(shell, planned):
    """JSON, YAML, CSV, markdown and the file of `--out` tell the same plan."""
    plan = planned
    assert shell("plan --output json --out again.json").code == 0
    answer = shell("plan --output json")
    assert answer.err == ""
    document = json.loads(answer.out)
    assert document["id"] == plan.id
    assert plan_from_json((shell.folder / "again.json").read_text()).id == plan.id
    told = yaml.safe_load(shell("plan --output yaml").out)
    assert told["id"] == plan.id
    assert [action["after"] for action in told["actions"]] == [action.after for action in plan.actions]
    table = list(csv.DictReader(io.StringIO(shell("plan --output csv").out)))
    assert {(row["state"], row["pool"], row["after"]) for row in table} >= {
        ("action", action.target, str(action.after)) for action in plan.actions
    }
    markdown = shell("plan --output markdown").out
    assert plan.id in markdown
    assert "web" in markdown
    for moment in (document["made_at"], document["expires_at"]):
        assert datetime.fromisoformat(moment).tzinfo is not None


def test_apply_does_what_the_plan_says(shell, planned):
    """What was planned is what is there afterwards, and the trail holds it."""
    plan = planned
    answer = shell("apply plan.json")
    assert answer.code == 0
    assert f"Applied plan {plan.id}:" in answer.out
    assert sizes(shell) == {action.target: action.after for action in plan.actions}


@pytest.mark.slow
def test_the_hint_of_a_plan_applies_that_plan(shell):
    """The command that `plan` ends with does what was shown, and names the configuration it was made with."""
    (shell.folder / "loadline.yaml").rename(shell.folder / "my other.yaml")
    told = shell("plan", "--config", "my other.yaml").out
    (hint,) = re.findall(r"Apply loadline (apply .*)", told)
    assert hint.endswith("--config 'my other.yaml'")
    assert shell(hint).code == 0
    assert sizes(shell) == {"api": 19, "web": 8}


@pytest.mark.slow
def test_a_plan_made_again_is_applied_as_it_was_last_shown(shell, planned):
    """The same plan made half an hour later expires half an hour later, in the terminal and in the store."""
    configure(shell, small.CONFIGURATION.replace("last-sample", '"2026-03-02T08:30:00Z"'))
    again = json.loads(shell("plan --output json").out)
    assert again["id"] == planned.id
    configure(shell, small.CONFIGURATION.replace("last-sample", '"2026-03-02T09:10:00Z"'))
    assert "expired" in shell("apply plan.json").err
    assert "applied   web  4 -> 8" in shell(f"apply {planned.id}").out


def test_p4_applying_twice_is_applying_once(shell, planned):
    """The second time every action is stale: code 4, and no pool moves."""
    assert shell("apply plan.json").code == 0
    there = sizes(shell)
    again = shell("apply plan.json")
    assert again.code == 4
    assert again.out.count("stale") == 2
    assert f"Nothing of plan {planned.id} was applied:" in again.out
    assert sizes(shell) == there


def test_a_stored_plan_is_applied_by_its_id(shell, planned):
    """An id, or its beginning, names the plan that was kept."""
    plan = planned
    (shell.folder / "plan.json").unlink()
    assert shell(f"apply {plan.id[:6]}").code == 0
    assert sizes(shell) == {action.target: action.after for action in plan.actions}
    refused(shell("apply ffffffffffffffffff"), 64)


def test_f73_an_expired_plan_is_refused_whole(shell, planned):
    """A plan past its time ends in code 4, says so in one line, and changes nothing."""
    configure(shell, LATER)
    plan = planned
    answer = shell("apply plan.json")
    refused(answer, 4)
    assert "expired" in answer.err
    assert sizes(shell) == {"api": 20, "web": 4}
    assert "Apply" not in shell(f"explain {plan.id}").out


@pytest.mark.parametrize(
    ("edit", "key"),
    [
        (lambda raw: raw.update(expires_at="2031-01-01T00:00:00Z"), "expires_at"),
        (lambda raw: raw["actions"][0].update(expires_at="2031-01-01T00:00:00Z"), "expires_at"),
        (lambda raw: raw["actions"][0].update(version=""), "version"),
        (lambda raw: raw["actions"][0].update(reason="UNDO"), "reason"),
    ],
)
def test_f73_what_the_id_does_not_bind_is_bound_by_the_store(shell, planned, edit, key):
    """A file whose times, versions or reasons were changed is refused (4), and the key is named."""
    raw = json.loads((shell.folder / "plan.json").read_text())
    edit(raw)
    (shell.folder / "plan.json").write_text(json.dumps(raw))
    answer = shell("apply plan.json")
    refused(answer, 4)
    assert key in answer.err
    assert sizes(shell) == {"api": 20, "web": 4}


def test_f73_a_file_that_the_store_does_not_know_lives_no_longer_than_a_plan(shell, planned):
    """Another store's plan may be applied within its time to live, and takes nothing back."""
    for name in ("loadline.db", "loadline.db-wal", "loadline.db-shm"):
        (shell.folder / name).unlink(missing_ok=True)
    raw = json.loads((shell.folder / "plan.json").read_text())
    for edited in (
        {**raw, "expires_at": "2031-01-01T00:00:00Z"},
        {**raw, "actions": [{**act, "reason": "UNDO"} for act in raw["actions"]]},
    ):
        (shell.folder / "edited.json").write_text(json.dumps(edited))
        refused(shell("apply edited.json"), 4)
    assert shell("apply plan.json").code == 0


TAMPERED = {
    "another size": lambda plan: plan["actions"][0].update(after=60),
    "another target": lambda plan: plan["actions"][0].update(target="api"),
    "an action taken out": lambda plan: plan["actions"].pop(),
    "another id": lambda plan: plan.update(id="0" * 16),
    "another version": lambda plan: plan.update(format_version=99),
    "an unknown key": lambda plan: plan.update(force=True),
    "a missing key": lambda plan: plan.pop("expires_at"),
    "a naive time": lambda plan: plan.update(expires_at="2026-03-02T09:00:00"),
    "a size that is a text": lambda plan: plan["actions"][0].update(before="4"),
}


@pytest.mark.parametrize("name", some_slow(TAMPERED, quick={"another size", "a missing key"}))
def test_a_changed_plan_file_is_bad_data(shell, planned, name):
    """A plan file that was changed after it was made ends in code 5 and changes nothing."""
    document = json.loads((shell.folder / "plan.json").read_text())
    TAMPERED[name](document)
    (shell.folder / "plan.json").write_text(json.dumps(document))
    answer = shell("apply plan.json")
    refused(answer, 5)
    assert "plan.json" in answer.err
    assert sizes(shell) == {"api": 20, "web": 4}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format_version": 1}', "\0", '{"a": NaN}'])
def test_a_file_that_is_no_plan_is_bad_data(shell, text):
    """What is no plan ends in code 5, before anything is built or written."""
    (shell.folder / "plan.json").write_text(text)
    there = shell.files()
    refused(shell("apply plan.json"), 5)
    assert shell.files() == there


def test_a_missing_plan_file_is_a_wrong_argument(shell):
    """A plan file that is not there ends in code 64 and writes nothing."""
    there = shell.files()
    refused(shell("apply none.json"), 64)
    assert shell.files() == there


def test_a_freeze_declared_after_planning_holds(shell, planned):
    """What was frozen meanwhile is refused, by the guards again: code 3, nothing changes."""
    configure(shell, FROZEN)
    answer = shell("apply plan.json")
    assert answer.code == 3
    assert answer.out.count("FROZEN") == 2
    assert "month end" in answer.out
    assert sizes(shell) == {"api": 20, "web": 4}


@pytest.mark.slow
def test_a_plan_of_which_all_is_held_applies_nothing(shell):
    """What `plan` ends in 3 for, `apply` does too: there is nothing that may be done."""
    configure(shell, FROZEN)
    assert shell("plan --out plan.json").code == 3
    answer = shell("apply plan.json")
    assert answer.code == 3
    assert re.fullmatch(r"Nothing to apply of plan [0-9a-f]{16}: all 2 that it wants are held.\n", answer.out)
    assert sizes(shell) == {"api": 20, "web": 4}


@pytest.mark.slow
def test_p4_two_who_apply_one_plan_at_once_apply_it_once(shell, planned):
    """Two processes with the same plan: each action is applied by one of them, and by one alone."""
    script = Path(sys.executable).with_name("loadline")
    both = [
        subprocess.Popen(
            [script, "apply", "plan.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [program.communicate(timeout=60) for program in both]
    told = "".join(out for out, _ in said)
    for action in planned.actions:
        assert len(re.findall(rf"applied +{action.target} ", told)) == 1, said
    assert sizes(shell) == {action.target: action.after for action in planned.actions}
    assert {program.returncode for program in both} <= {0, 3, 4}  # 3: the other one leads


@pytest.mark.slow
def test_f70_a_pool_taken_out_of_the_configuration_is_not_touched(shell, planned):
    """A plan for a pool that the configuration no longer names is stale for it, and goes on with the rest."""
    configure(shell, small.CONFIGURATION.split("  api:", maxsplit=1)[0])
    answer = shell("apply plan.json")
    assert answer.code == 4
    assert sizes(shell) == {"api": 20, "web": 8}


def test_f70_no_pools_means_nothing(shell, planned):
    """A configuration without pools plans nothing, and does not mean all that the provider has."""
    configure(
        shell,
        small.CONFIGURATION.split("pools:", maxsplit=1)[0].replace("last-sample", "clock") + "pools: {}\n",
    )
    document = json.loads(shell("plan --output json").out)
    assert document["actions"] == document["held"] == []
    assert sizes(shell) == {"api": 20, "web": 4}


def test_planning_again_proposes_only_what_was_held(shell, planned):
    """After applying, the next plan holds nothing that was not already wanted and held."""
    plan = planned
    assert shell("apply plan.json").code == 0
    again = plan_again(shell)
    held = {(entry.action.target, entry.action.after) for entry in plan.held}
    wanted = {(action.target, action.after) for action in again.actions}
    wanted |= {(entry.action.target, entry.action.after) for entry in again.held}
    assert wanted <= held


@pytest.mark.slow
def test_a_world_settles(shell, planned):
    """Planning and applying at one moment ends: growth arrives, and what is left is held."""
    for _ in range(6):
        plan = plan_again(shell) if shell("plan --detailed-exitcode").code == 2 else None
        if plan is None:
            break
        assert shell("apply plan.json").code == 0
    assert shell("plan --detailed-exitcode").code == 3
    assert sizes(shell)["web"] == 12


@pytest.mark.slow
def test_undo_restores_a_shrink(shell, planned):
    """`undo PLAN` brings the shrunk pool back; growth that demand needs stays."""
    plan = planned
    assert shell("apply plan.json").code == 0
    dry = shell(f"undo {plan.id} --dry-run")
    assert dry.code == 0
    assert "Apply loadline apply" in dry.out
    assert sizes(shell)["api"] == 19
    answer = shell(f"undo {plan.id}")
    assert answer.code == 0
    assert sizes(shell) == {"api": 20, "web": 8}
    assert "LIVE_DEMAND" in answer.out
    assert "loadline apply" not in answer.out, "it was applied at once"


@pytest.mark.slow
def test_undo_twice_undoes_once(shell):
    """What was taken back is not taken back again: its target moved, code 4."""
    configure(shell, small.CONFIGURATION.replace("desired: 4", "desired: 12"))
    plan = plan_again(shell)
    assert shell("apply plan.json").code == 0
    assert sizes(shell)["api"] < 20
    assert shell(f"undo {plan.id}").code == 0
    assert sizes(shell)["api"] == 20
    assert shell(f"undo {plan.id}").code == 4
    assert sizes(shell)["api"] == 20


@pytest.mark.slow
def test_one_action_is_undone_by_its_id(shell, planned):
    """`undo ACTION` takes back that action alone."""
    plan = planned
    assert shell("apply plan.json").code == 0
    (shrink,) = [action for action in plan.actions if action.target == "api"]
    assert shell(f"undo {shrink.id}").code == 0
    assert sizes(shell) == {"api": 20, "web": 8}


@pytest.mark.slow
def test_undo_of_nothing_is_told(shell, planned):
    """What was never applied cannot be undone: one line, code 64."""
    plan = planned
    for what in (plan.id, plan.actions[0].id, "nothing"):
        refused(shell(f"undo {what}"), 64)


def test_p8_explain_tells_it_from_the_store_alone(shell, planned):
    """A plan, an action and a pool are explained with reason, facts, guard and outcome, without metrics."""
    plan = planned
    before = shell(f"explain {plan.id}").out
    assert f"Apply loadline apply {plan.id}" in before
    assert "loadline undo" not in before
    assert shell("apply plan.json").code == 0
    (shell.folder / "m.csv").unlink()
    (shell.folder / "cloud.db").unlink()
    whole = shell(f"explain {plan.id[:8]}")
    assert whole.code == 0
    assert "applied" in whole.out
    assert f"loadline undo {plan.id}" in whole.out
    assert "loadline apply" not in whole.out
    assert "The plan was made 1 time." in whole.out
    assert "all billable pools" not in whole.out
    for action in plan.actions:
        for what in (action.id, action.target):
            story = shell(f"explain {what}")
            assert story.code == 0, story
            assert action.reason in story.out
            assert "demand now" in story.out
            assert "\x1b" not in story.out
    assert "CHANGE_BUDGET" in shell("explain api").out
    assert not (shell.folder / "cloud.db").exists()


def test_explain_of_what_is_not_there_is_told(shell):
    """An unknown id ends in one line and code 64, before and after there is a store; none is made."""
    refused(shell("explain web"), 64)
    assert not (shell.folder / "loadline.db").exists()
    plan_again(shell)
    refused(shell("explain nothing"), 64)


@pytest.mark.slow
def test_explain_of_a_steady_pool_says_so(shell):
    """A pool that is configured, and that no plan wanted to change, is explained as just that."""
    configure(
        shell, small.CONFIGURATION.replace("minimum: 1", "minimum: 20").replace("maximum: 50", "maximum: 20")
    )
    plan_again(shell)
    answer = shell("explain api")
    assert answer.code == 0
    assert "api" in answer.out
    assert answer.err == ""
