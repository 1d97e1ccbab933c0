"""`loadline doctor`: what it looks at, what it says of each, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from autoscaler import cli, config
from autoscaler.clock import SetClock, SystemClock
from autoscaler.errors import Denied, Throttled, Unreachable
from autoscaler.examining import pools, whole
from autoscaler.examining.pools import Shown
from autoscaler.examining.report import Look, Matter, Report
from autoscaler.lease import FileLease
from autoscaler.ports import FREEZE, Check
from autoscaler.providers.fake import FakeCloud
from autoscaler.store import database
from dashboards.checkup import checkup_text
from policies.model import Obstacle, Pool, PoolKind
from tests.prometheus_api import Reply, ones, serving
from tests.worlds import small

ALL = ("configuration", "provider fake", "series", "pools", "state", "freezes")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which the world was planned once."""
    folder = small.write(tmp_path_factory.mktemp("planned"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.run(["plan"]) == 0
    return folder


@pytest.fixture
def shell(tmp_path, made, monkeypatch, capsys):
    """The command line in a copy of that folder."""
    for name in ("LOADLINE_CONFIG", "LOADLINE_FREEZE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return small.Shell(tmp_path, capsys)


def edited(shell, old, new):
    """Change the configuration."""
    path = shell.folder / "loadline.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def found(shell, line="doctor -o json"):
    """The report and each check by subject and what."""
    answer = shell(line)
    document = json.loads(answer.out)
    assert document["exit_code"] == answer.code
    checks = {
        (one["subject"], check["what"]): SimpleNamespace(**check)
        for one in document["subjects"]
        for check in one["checks"]
    }
    return SimpleNamespace(code=answer.code, checks=checks, document=document)


def bytes_of(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith(("-wal", "-shm"))}


def test_where_nothing_fails_it_ends_in_0_and_has_changed_nothing(shell):
    """Every subject is there, all of it right; no file was made or written."""
    before = bytes_of(shell.folder)
    said = found(shell)
    assert said.code == 0
    assert said.document["ok"] is True
    subjects = [one["subject"] for one in said.document["subjects"]]
    assert [name for name in subjects if not name.startswith("metrics ")] == list(ALL)
    assert all(check.ok is True for check in said.checks.values())
    assert "4 units, 4 serve, 2 to 60; mode observe" in said.checks["pools", "web"].why
    assert bytes_of(shell.folder) == before


def test_f59_it_needs_no_store_and_no_right_to_write(shell, monkeypatch):
    """Before the first plan there is no state, and that is no failure; a store is only opened to be read."""
    monkeypatch.setattr(database, "connect", lambda _path: pytest.fail("the store was opened to write"))
    assert found(shell).code == 0
    for path in shell.folder.glob("*.db*"):
        path.unlink()
    before = bytes_of(shell.folder)
    said = found(shell)
    assert said.code == 0
    assert any("the first plan makes it" in check.why for check in said.checks.values())
    assert bytes_of(shell.folder) == before


def test_f60_a_store_of_an_older_schema_is_told_and_left_as_it_is(shell, monkeypatch):
    """The doctor migrates nothing."""
    monkeypatch.setattr("autoscaler.store.tables.SCHEMA_VERSION", 99)
    before = bytes_of(shell.folder)
    said = found(shell)
    (file,) = [check for (subject, what), check in said.checks.items() if what.startswith("state file")]
    assert file.ok is None
    assert "brings it up to date" in file.why
    assert bytes_of(shell.folder) == before


def test_f60_a_store_that_is_none_is_told(shell):
    """What is no SQLite file fails, with the mend."""
    for path in shell.folder.glob("loadline.db*"):
        path.unlink()
    (shell.folder / "loadline.db").write_text("no database at all, but some text that is long enough\n" * 9)
    said = found(shell)
    (file,) = [check for (subject, what), check in said.checks.items() if what.startswith("state file")]
    assert (said.code, file.ok) == (1, False)
    assert "is no SQLite file" in file.why


def test_f23_a_series_that_is_not_there_names_the_nearest(shell):
    """A renamed metric fails as data (exit 5), and the name that may be meant is told."""
    edited(shell, "series: web,", "series: wev,")
    said = found(shell)
    check = said.checks["series", "wev"]
    assert (said.code, check.ok, check.matter) == (5, False, "data")
    assert "no source has it" in check.why
    assert "did you mean web?" in check.mend


def test_f13_a_series_that_is_old_fails_as_data(shell):
    """By the clock of today the trace is stale: exit 5, with its age; a step within the freshness is not."""
    edited(shell, "now: last-sample", "now: 2026-03-02T08:30:00Z")
    assert found(shell).checks["series", "web"].ok is True
    edited(shell, "08:30:00Z", "09:00:00Z")
    said = found(shell)
    assert (said.code, said.checks["series", "web"].ok) == (5, False)
    assert "its newest step ended 1h ago" in said.checks["series", "web"].why


def test_f50_a_pool_that_its_provider_does_not_list_names_the_nearest(shell):
    """A pool that is gone or misspelt fails (exit 1) with the id that may be meant."""
    edited(shell, "  web:\n", "  web:\n    target: webb\n")
    said = found(shell)
    check = said.checks["pools", "web (webb)"]
    assert (said.code, check.ok) == (1, False)
    assert check.mend == "did you mean web?"


def test_f19_what_hangs_is_a_failed_check_and_hinders_nothing(shell, monkeypatch):
    """A provider that never answers is told after the deadline; the rest is looked at all the same."""
    never = threading.Event()

    class Hanging(FakeCloud):
        def list(self):
            never.wait(10)
            return super().list()

    monkeypatch.setattr(whole, "connected_to", lambda _name, of, clock: Hanging(of.path, clock))
    report = whole.examine(_configuration(), deadline_s=0.4).report
    never.set()
    failed = [look for look in report.looks if look.check.ok is False]
    assert [(look.subject, look.check.what) for look in failed] == [
        ("provider fake", "its pools can be listed")
    ]
    assert "no answer within 0.4 s" in failed[0].check.why
    assert failed[0].check.mend
    unknown = {look.check.what for look in report.looks if look.check.ok is None}
    assert unknown == {"web", "api"}
    assert report.exit_code == 1
    assert any(look.subject == "series" and look.check.ok for look in report.looks)


@pytest.mark.parametrize(
    ("error", "code", "mend"),
    [
        (Denied("autoscaling:DescribeAutoScalingGroups is not allowed"), 77, "deploy/iam"),
        (Unreachable("name or service not known"), 1, "name, proxy, certificate"),
        (Throttled("slow down", retry_after=3), 1, "load"),
        (RuntimeError("a bug"), 1, "--bundle"),
    ],
)
def test_f48_f21_each_failure_has_its_code_and_mend(shell, monkeypatch, error, code, mend):
    """A right that lacks ends in 77 and is named; what does not answer, in 1; each says what to do."""

    def fail(_self):
        raise error

    monkeypatch.setattr(FakeCloud, "list", fail)
    said = found(shell)
    check = said.checks["provider fake", "its pools can be listed"]
    assert (said.code, check.ok) == (code, False)
    assert str(error) in check.why
    assert mend in check.mend


def _configuration():
    return config.load("loadline.yaml")


def test_f48_a_right_to_change_is_not_asked_of_who_only_observes():
    """Where every pool is observed a right to change that lacks is no failure; else it ends in 77."""
    checks = [
        Check(what="permission x:SetSize", ok=False, why="denied", mend="allow x:SetSize"),
        Check(what="permission x:List", ok=True),
    ]

    def codes(needed, checks=checks):
        told = pools.judged("p", checks, reading=["x:List"], acting=["x:SetSize"], needed=needed)
        return Report(at=small.END, looks=tuple(told)).exit_code

    assert codes(needed=False) == 0
    assert codes(needed=True) == 77
    assert codes(needed=False, checks=[Check(what="permission x:List", ok=False)]) == 77


@pytest.mark.parametrize("mode", ["mode: auto", "mode_in: approve", "mode_out: rehearse"])
def test_a_mode_that_may_act_needs_the_rights(shell, mode):
    """One direction of one pool that is more than observed suffices."""
    assert pools.acting(_configuration(), "fake") == frozenset()
    edited(shell, "  api:\n", f"  api:\n    {mode}\n")
    assert pools.acting(_configuration(), "fake") == {"api"}


def test_a_longer_right_is_not_taken_for_a_shorter_one():
    """`patch apps/deployments/scale` is another right than `patch apps/deployments`."""
    rights = ["patch apps/deployments", "patch apps/deployments/scale", "list pods"]
    assert pools._named("may patch apps/deployments/scale in shop", rights) == rights[1]
    assert pools._named("may list pods", rights) == "list pods"
    assert pools._named("may list pods.metrics", rights) == ""


def test_what_concerns_pools_that_are_not_ours_is_left_out():
    """A finding on a pool that is not configured is counted, on one that is only observed told."""
    checks = [
        Check(what="other scalers of asg/web", ok=False),
        Check(what="nobody else", ok=False, why="deployment/shop/cart: owned by argocd"),
        Check(what="clock", ok=False, why="web is late"),
        Check(what="other scalers of asg/api", ok=False),
    ]
    ids = ["asg/web", "asg/api", "deployment/shop/cart"]
    kept, left = pools.without_strangers(checks, ids, ["asg/web", "asg/api"], ["asg/web"])
    assert (kept, left) == ([checks[0], checks[2], replace(checks[3], ok=None)], 1)


def test_f45_f46_who_else_holds_a_pool_is_told(shell, monkeypatch):
    """A pool that another one sizes or has suspended fails with a mend, unless it is only observed."""
    real = FakeCloud.list

    def held(self):
        listed, gaps = real(self)
        obstacles = (
            Obstacle(code="OWNED", why="argocd sets replicas", shrinks_only=False),
            Obstacle(code="DEPLOYING", why="a rollout is under way"),
        )
        lever = "minReplicas of HorizontalPodAutoscaler web"
        return [replace(one, obstacles=obstacles, lever=lever) for one in listed], gaps

    monkeypatch.setattr(FakeCloud, "list", held)
    said = found(shell)
    assert (said.code, said.checks["pools", "web: every change is held"].ok) == (0, None)
    edited(shell, "  web:\n", "  web:\n    mode: auto\n")
    said = found(shell)
    owned = said.checks["pools", "web: every change is held"]
    assert (said.code, owned.ok) == (1, False)
    assert "argocd sets replicas" in owned.why
    assert owned.mend
    assert said.checks["pools", "web: shrinking is held"].ok is None
    assert "what is set is minReplicas of" in said.checks["pools", "web"].why


def test_bounds_that_do_not_meet_fail(shell, monkeypatch):
    """Where no size is within both bounds nothing is ever planned: it is told beforehand."""
    one = Pool(
        id="web", provider="fake", kind=PoolKind.INSTANCE_GROUP, desired=90, ready={"a": 90}, minimum=80,
        maximum=99, demands=(),
    )  # fmt: skip
    looks = pools.looks(_configuration(), {"fake": Shown(pools={"web": one})}, {}, small.END)
    failed = {look.check.what for look in looks if look.check.ok is False}
    assert failed == {"web: bounds", "api"}


def test_f67_freezes_in_force_are_told_with_where_they_are_lifted(shell):
    """A freeze of the store and one by a label are both shown; they are no failure."""
    assert shell("freeze --pool api --why storm --by ann").code == 0
    FakeCloud(str(shell.folder / "cloud.db"), SetClock(small.END)).label("web", FREEZE, "audit")
    said = found(shell)
    assert said.code == 0
    assert "loadline freeze, by ann" in said.checks["freezes", "frozen: pool api"].mend
    assert "the label" in said.checks["freezes", "frozen: pool web"].mend


def test_f61_who_leads_is_told_and_a_dead_one_is_not_believed(shell):
    """The holder of the lease is named; one that has not kept it in time does not."""
    path = shell.folder / "loadline.db.lease"
    assert FileLease(str(path), SystemClock(), holder="host process 7").acquire()
    assert found(shell).checks["state", "lease"].why == "host process 7 leads, generation 1"
    old = (SystemClock().now() - timedelta(hours=2)).timestamp()
    os.utime(path, (old, old))
    check = found(shell).checks["state", "lease"]
    assert check.ok is None
    assert "has not kept it for 2h" in check.why
    path.write_text("[]")
    assert found(shell).checks["state", "lease"].ok is False


def test_f69_a_configuration_that_cannot_be_used_ends_in_64_with_every_problem(shell):
    """Each problem is a failed check with its line, also as JSON."""
    edited(shell, "minimum: 2", "minimun: 2")
    edited(shell, "maximum: 50", "maximum: -1")
    answer = shell("doctor -o json")
    assert answer.code == 64
    checks = json.loads(answer.out)["subjects"][0]["checks"]
    assert len(checks) >= 2
    assert all("loadline.yaml:" in check["why"] for check in checks)
    assert "✗" in shell("doctor").out


def test_a_disk_without_room_fails(shell, monkeypatch):
    """Below what a day of the trail may need it is told before writing fails."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=50 << 20))
    said = found(shell)
    assert (said.code, said.checks["state", "its disk has room"].ok) == (1, False)


def test_a_folder_that_may_not_be_written_fails(shell, monkeypatch):
    """The right to write is asked of the system, without writing."""
    monkeypatch.setattr("os.access", lambda _path, _way: False)
    said = found(shell)
    assert (said.code, said.checks["state", "it may be written"].ok) == (1, False)


PROMETHEUS = """\
metrics:
  - {{kind: prometheus, url: "{url}", queries: {{web: sum(rps), api: sum(jobs_totl)}}}}
"""


def _over(shell, url):
    edited(shell, "now: last-sample\nmetrics:\n  - {kind: csv, path: m.csv}\n", PROMETHEUS.format(url=url))


def test_f21_f77_a_source_that_does_not_answer_is_told(shell):
    """Nobody listens there: the source fails as data with a mend; the series fail not twice."""
    with serving(lambda _path, fields, _count: ones(fields)) as server:
        url = server.url
    _over(shell, url)
    said = found(shell)
    assert said.code == 5
    failed = [check for check in said.checks.values() if check.ok is False]
    assert len(failed) == 1
    assert failed[0].mend
    assert said.checks["series", "web"].ok is None


def test_f23_the_source_itself_says_which_query_is_empty(shell):
    """A query without points fails with the metric's nearest name; the one that answers is right."""

    def answer(path, fields, _count):
        if path.endswith("__name__/values"):
            return {"status": "success", "data": ["rps", "jobs_total"]}
        if path.endswith("buildinfo"):
            return {"status": "success", "data": {"version": "3.0"}}
        if fields.get("query") == "time()":
            now = SystemClock().now().timestamp()
            return {"status": "success", "data": {"resultType": "scalar", "result": [now, str(now)]}}
        if "rps" in fields["query"]:
            return ones(fields)
        return {"status": "success", "data": {"resultType": "matrix", "result": []}}

    with serving(answer) as server:
        _over(shell, server.url)
        said = found(shell)
    assert said.code == 5
    failed = [check for check in said.checks.values() if check.ok is False]
    assert len(failed) == 1
    assert "api" in failed[0].what
    assert "jobs_total" in failed[0].why + failed[0].mend


@pytest.mark.parametrize("width", [80, 120])
def test_f76_the_text_fits_its_terminal_and_hostile_names_are_inert(width):
    """No line is wider than asked, no control character comes through, each failure has its mend."""
    evil = "\x1b[31m" + "ж" * 300 + "\u202e" + "x" * 10_000
    checks = [
        Check(what="a", ok=True),
        Check(what=evil, ok=False, why=evil, mend=f"do {evil}"),
        Check(what="b", ok=None, why="who knows", mend="ask"),
        Check(what="c", ok=True),
    ]
    checks += [Check(what=f"may {n}", ok=False, why="the same", mend=f"allow {n}") for n in range(5)]
    text = checkup_text([("pools", checks), (evil, checks)], width=width)
    assert "  ✗ may 0, may 1, may 2, may 3, may 4: the same\n    → allow 0\n" in text
    assert "    → and so on, 5 in all" in text
    assert all(cell_len(line) <= width for line in text.splitlines() if not line.startswith("\\x1b"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "  ✓ a, c\n" in text
    assert "  ? b: who knows\n    → ask\n" in text
    assert "12 checks fail" in text
    assert "\x1b[31m✗" in checkup_text([("pools", checks)], width=width, color=True)


def test_the_text_has_no_colour_off_a_terminal(shell):
    """Piped, or under NO_COLOR, there is no escape in it."""
    answer = shell("doctor")
    assert answer.code == 0
    assert "\x1b" not in answer.out
    assert "Nothing fails: " in answer.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("matters", "code"),
    [([], 0), ([Matter.DATA], 5), ([Matter.DATA, Matter.OTHER], 1), ([Matter.PERMISSION, Matter.DATA], 77)],
)
def test_the_gravest_failure_is_the_exit_code(matters, code):
    """A permission before all else; data alone is 5, with anything else 1."""
    looks = [Look(subject="s", check=Check(what="w", ok=None), matter=Matter.PERMISSION)]
    looks += [Look(subject="s", check=Check(what="w", ok=False), matter=one) for one in matters]
    assert Report(at=small.END, looks=tuple(looks)).exit_code == code


def test_a_reply_of_another_shape_is_told_as_a_bug_of_that_source(shell):
    """An HTML page instead of JSON fails that source alone, as data."""
    with serving(lambda *_: Reply(b"<html>login</html>")) as server, suppress(BrokenPipeError):
        _over(shell, server.url)
        said = found(shell)
    assert said.code == 5
