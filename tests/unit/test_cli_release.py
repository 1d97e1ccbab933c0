"""`loadline release`: pools go back to their owners, by the trail, whatever holds other changes."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from autoscaler import cli, releasing
from autoscaler.called import Called
from autoscaler.clock import SetClock
from autoscaler.errors import Denied, Unreachable
from autoscaler.lease import FileLease
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.fake import FakeCloud
from autoscaler.store.database import connect
from autoscaler.store.trail import SqlTrail
from autoscaler.store.verdicts import SqlVerdicts
from policies.plan import Reason, Status
from tests.contract.test_pools import pool
from tests.worlds import small


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which both pools were changed: web from 4 upwards, api from 20 downwards."""
    folder = small.write(tmp_path_factory.mktemp("applied"), "revalidate: 0s\n" + small.CONFIGURATION)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.run(["plan", "--out", "plan.json"]) == 0
        assert cli.run(["apply", "plan.json"]) == 0
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


def cloud(folder):
    return FakeCloud(str(folder / "cloud.db"), SetClock(small.END))


def sizes(folder):
    return {pool.id: pool.desired for pool in cloud(folder).list()[0]}


def trail(folder):
    return SqlTrail(connect(str(folder / "loadline.db")))


def test_a_pool_gets_its_size_back_and_loses_our_mark(shell):
    """What was there before the first change is there again; the trail has intent, outcome, who and why."""
    before = sizes(shell.folder)
    assert before["web"] > 4
    answer = shell("release web --why 'the trial is over'")
    assert answer.code == 0, answer.err
    assert answer.out == f"  given back web  {before['web']} -> 4\n"
    assert sizes(shell.folder) == {**before, "web": 4}
    assert ORIGINAL_SIZE not in cloud(shell.folder).read("web").labels
    assert ORIGINAL_SIZE in cloud(shell.folder).read("api").labels
    deed = trail(shell.folder).pool("web")[-1]
    assert (deed.action.reason, deed.action.after) == (Reason.UNDO, 4)
    assert deed.outcome.status is Status.APPLIED
    facts = {fact.name: fact.value for fact in deed.action.because}
    assert (facts["released by"], facts["why"]) == ("ann", "the trial is over")
    events = SqlVerdicts(connect(str(shell.folder / "loadline.db"))).events(pool="web")
    assert [(one.kind, one.text) for one in events] == [("released", "given back by ann: the trial is over")]
    assert "takes an earlier change back" in shell(f"explain {deed.plan_id}").out


def test_releasing_twice_changes_nothing_more(shell):
    """A pool that was given back is left alone the second time, and that is no error."""
    shell("release web --why over")
    rows = len(trail(shell.folder).pool("web"))
    answer = shell("release web --why over")
    assert (answer.code, answer.out) == (0, "  left alone web: it was never changed by loadline\n")
    assert len(trail(shell.folder).pool("web")) == rows


def test_all_finds_pools_that_the_configuration_no_longer_names(shell):
    """`--all` gives back whatever bears our mark, also a pool that was taken out of the configuration."""
    text = (shell.folder / "loadline.yaml").read_text()
    (shell.folder / "loadline.yaml").write_text(text[: text.index("  api:")])
    answer = shell("release --all --why leaving")
    assert answer.code == 0, answer.err
    assert sizes(shell.folder) == {"web": 4, "api": 20}
    assert shell("release --all --why leaving").out == "Nothing to give back: no pool bears our mark.\n"


def test_a_pool_by_another_name_is_named_as_configured(shell):
    """The configuration's name and the provider's id mean the same pool."""
    text = (shell.folder / "loadline.yaml").read_text()
    (shell.folder / "loadline.yaml").write_text(text.replace("  api:\n", "  shop:\n    target: api\n"))
    assert shell("release shop --why over").out.startswith("  given back shop  ")
    assert sizes(shell.folder)["api"] == 20


def test_an_id_that_is_another_pools_name_is_not_given_back_for_it(shell):
    """Where api is the name of the group web, the group api is not taken for it, and is told by `--all`."""
    before = sizes(shell.folder)
    text = (shell.folder / "loadline.yaml").read_text()
    head, tail = text[: text.index("  web:")], text[text.index("  api:") :].partition("\n")[2]
    (shell.folder / "loadline.yaml").write_text(f"{head}  api:\n    target: web\n{tail}")
    assert f"  api  {before['web']} -> 4\n" in shell("release api --dry-run --why look").out
    answer = shell("release --all --why leaving")
    assert answer.code == 1
    assert answer.out == f"  given back api  {before['web']} -> 4\n"
    assert "api bears our mark, and another pool has that name; declare it by one of its own" in answer.err
    assert sizes(shell.folder) == {**before, "web": 4}
    own = f"  shop:\n    target: api\n{tail}"
    (shell.folder / "loadline.yaml").write_text(f"{head}  api:\n    target: web\n{tail}{own}")
    assert shell("release --all --why leaving").code == 0
    assert sizes(shell.folder)["api"] == 20


def test_no_pool_of_another_provider_is_given_back_by_a_configured_name(tmp_path, monkeypatch):
    """A name means the pool of its own provider, whichever provider is listed first."""
    clouds = {name: FakeCloud(str(tmp_path / name), SetClock(small.END)) for name in ("a", "b")}
    for size, name in ((4, "a"), (6, "b")):
        mark = {ORIGINAL_SIZE: "3"} if name == "b" else {}
        clouds[name].create_all([pool(one, desired=size, labels=mark) for one in ("web", "other")])
    monkeypatch.setattr(releasing, "connected_to", lambda name, *_given: clouds[name])
    configured = {"web": SimpleNamespace(id="web", target="web", provider="b")}
    configuration = SimpleNamespace(providers=dict.fromkeys(clouds), pools=configured)
    found = releasing.find(SimpleNamespace(configuration=configuration, clock=SetClock(small.END)))
    assert {name: one.desired for name, one in found.pools.items()} == {"web": 6, "other": 4}
    assert found.owners["web"].read("web").desired == 6
    (gap,) = found.gaps
    assert gap.why.startswith("other bears our mark, and another pool has that name")


def test_names_that_are_ids_at_another_provider_stay_apart(tmp_path):
    """A declared pool is shown by its name though its id is the name of another provider's pool."""
    made = FakeCloud(str(tmp_path / "a"), SetClock(small.END))
    made.create_all([pool("web", labels={ORIGINAL_SIZE: "3"})])
    leaving = releasing.Leaving(made, {"web": "shop"}, taken={"web"})
    pools, gaps = leaving.list()
    assert ([one.id for one in pools], tuple(gaps)) == (["shop"], ())
    assert leaving.read("shop") == pools[0]


def test_where_the_size_is_the_owners_only_the_marks_go(shell):
    """A pool that has its old size already loses the mark, and the trail says so by an event."""
    pool = cloud(shell.folder).read("web")
    cloud(shell.folder).resize("web", 4, version=pool.version, key="by hand")
    answer = shell("release web --why over")
    assert answer.out == "  given back web: it has its 4 units of before; the marks are off\n"
    assert ORIGINAL_SIZE not in cloud(shell.folder).read("web").labels
    events = SqlVerdicts(connect(str(shell.folder / "loadline.db"))).events(pool="web")
    assert [one.kind for one in events] == ["released"]


def test_f67_a_frozen_pool_can_be_left(shell):
    """Leaving is always possible: no freeze holds it."""
    shell("freeze --why storm")
    assert shell("release web --why over").code == 0
    assert sizes(shell.folder)["web"] == 4


def test_f61_nothing_is_given_back_while_a_daemon_leads(shell, monkeypatch):
    """Who does not lead changes nothing and writes nothing: exit 3."""
    held = FileLease(f"{shell.folder}/loadline.db.lease", SetClock(small.END), holder="a daemon")
    assert held.acquire()
    before, rows = sizes(shell.folder), len(trail(shell.folder).pool("web"))
    # Whoever asks for it meets a daemon that has just counted on.
    monkeypatch.setattr(FileLease, "acquire", lambda _self: not held.keep())
    answer = shell("release web --why over")
    assert answer.code == 3
    assert "another loadline leads (a daemon)" in answer.err
    assert (sizes(shell.folder), len(trail(shell.folder).pool("web"))) == (before, rows)


def test_f48_a_denied_one_names_the_permission_and_hinders_no_other(shell, monkeypatch):
    """One pool that is refused is told with exit 77; the others are given back."""
    real = FakeCloud.release

    def deny(self, pool_id, *, version, key):
        if pool_id == "api":
            raise Denied("autoscaling:UpdateAutoScalingGroup is not allowed")
        return real(self, pool_id, version=version, key=key)

    monkeypatch.setattr(FakeCloud, "release", deny)
    answer = shell("release --all --why leaving")
    assert answer.code == 77
    assert "refused    api" in answer.out
    assert "autoscaling:UpdateAutoScalingGroup" in answer.out
    assert sizes(shell.folder)["web"] == 4


def test_f40_a_lost_reply_is_in_doubt_and_settled_by_the_next(shell, monkeypatch):
    """Given back, and the reply lost: unknown, exit 1; the next command finds that it was done."""
    real = FakeCloud.release

    def lose(self, pool_id, *, version, key):
        real(self, pool_id, version=version, key=key)
        raise Unreachable("the reply was lost")

    with monkeypatch.context() as patch:
        patch.setattr(FakeCloud, "release", lose)
        assert shell("release web --why over").code == 1
    assert trail(shell.folder).pool("web")[-1].outcome.status is Status.UNKNOWN
    assert shell("release web --why over").code == 0
    assert trail(shell.folder).pool("web")[-1].outcome.status is Status.APPLIED


def test_a_provider_that_cannot_give_back_is_told(shell, monkeypatch):
    """Without the capability the pool keeps its size, and what to do by hand is said: exit 3."""
    monkeypatch.setattr(releasing, "connected_to", lambda *_given: Called(cloud(shell.folder), {}))
    before = sizes(shell.folder)
    answer = shell("release web --why over")
    assert answer.code == 3
    assert "its provider cannot give it back; set it by hand" in answer.out
    assert sizes(shell.folder) == before


def test_a_dry_run_changes_nothing(shell):
    """`--dry-run` tells the sizes that would be put back."""
    before = sizes(shell.folder)
    answer = shell("release --all --dry-run --why look")
    assert answer.code == 0
    assert f"  web  {before['web']} -> 4\n" in answer.out
    assert sizes(shell.folder) == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("release --why x", "name the pools to give back, or all of them with --all"),
        ("release web --all --why x", "name the pools to give back, or all of them with --all"),
        ("release wbe --why x", "no provider lists a pool wbe; did you mean web?"),
        ("release web", "Missing option '--why'"),
        ("release web --why ' '", "--why is empty"),
        ("release web --why x --by ''", "nobody says so"),
    ],
)
def test_what_cannot_be_said_is_refused(shell, line, said):
    """Nobody, no reason, or a pool that is not there: exit 64, and nothing changed."""
    before = sizes(shell.folder)
    answer = shell(line)
    assert answer.code == 64
    assert said in answer.err
    assert sizes(shell.folder) == before


def test_the_fake_gives_back_once_for_each_key(tmp_path):
    """The same key again changes nothing; a version that moved is refused with nothing changed."""
    folder = small.write(tmp_path / "w")
    assert cli.run(["plan", "--config", str(folder / "loadline.yaml")]) == 0
    fake = cloud(folder)
    pool = fake.read("web")
    grown = fake.resize("web", 9, version=pool.version, key="k1")
    with pytest.raises(Exception, match="version"):
        fake.release("web", version=pool.version, key="k2")
    assert fake.read("web").desired == 9
    assert fake.release("web", version=grown.version, key="k3").desired == 4
    version = fake.read("web").version
    fake.release("web", version=grown.version, key="k3")
    assert fake.read("web").version == version
    assert json.dumps(dict(fake.read("web").labels)) == "{}"
