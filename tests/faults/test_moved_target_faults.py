"""A pool keeps its name and gets another target: the deeds of the old one are not taken for the new one's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import bootstrap, config, settings_targets, settling, tick
from autoscaler.clock import SetClock
from autoscaler.errors import Unreachable
from autoscaler.store.trail import SqlTrail
from autoscaler.store.verdicts import SqlVerdicts
from policies.changes import Ledger
from policies.deeds import Verdict
from policies.plan import Change, Status
from policies.plan_json import plan_from_json
from policies.policy import Budget, Scope, Step
from tests.faults.test_verifying_faults import NOW, POOL, Desk, later
from tests.worlds import small

OLD, NEW = {"web": "cloud old"}, {"web": "cloud new"}


class Moving(Desk):
    """A desk whose pool has the target `old` until it is moved."""

    def __init__(self, folder):
        super().__init__(folder)
        self.move(OLD)

    def move(self, places):
        """The configuration names another target from now on."""
        self.app.trail = SqlTrail(self.app.engine, places)
        self.app.verdicts = SqlVerdicts(self.app.engine, places)


@pytest.fixture
def desk(tmp_path):
    return Moving(tmp_path)


def test_f69_a_shrink_of_the_old_target_is_not_taken_back_on_the_new_one(desk):
    """The level is worse and the new group has the very size of the old: it is unknown, and told why."""
    key = desk.do(9, 7)
    desk.move(NEW)
    desk.after = 180.0
    desk.look(later(16))
    assert desk.reverted == []
    (said,) = desk.app.verdicts.judged([key])
    assert said.verdict is Verdict.UNKNOWN
    assert [fact.value for fact in said.facts] == ["cloud old"]


def test_f69_a_shrink_of_the_new_target_comes_back_without_the_old_ones_before_it(desk):
    """The chain of shrinks ends where the target changed: only what the new group lost is taken back."""
    desk.do(9, 8)
    desk.move(NEW)
    desk.do(8, 7, later(1))
    desk.after = 180.0
    desk.look(later(17))
    assert desk.reverted == [(8, 7)]


def test_f69_a_shrink_counts_again_where_its_target_does(desk):
    """Back at the old target, its shrink that hurt is taken back, whatever the other did meanwhile."""
    desk.do(9, 7)
    desk.move(NEW)
    desk.do(30, 20, later(2))
    desk.move(OLD)
    desk.pool, desk.after = replace(desk.pool, desired=7), 180.0
    desk.look(later(16))
    assert desk.reverted == [(9, 7)]


def test_f69_a_deed_that_tells_no_target_is_of_todays(desk):
    """What was written before targets were: it is verified and taken back as ever."""
    desk.move({})
    desk.do(9, 7)
    desk.move(NEW)
    desk.after = 180.0
    desk.look(later(16))
    assert desk.reverted == [(9, 7)]


def test_f69_late_growths_of_the_old_target_do_not_freeze_the_new_one(desk):
    """Three in a row are three of one group."""
    for minute in (0, 1):
        desk.do(9, 9 + 9, later(minute))
    desk.pool = replace(desk.pool, ready={"a": 9})
    desk.look(later(15))
    desk.move(NEW)
    desk.do(9, 18, later(20))
    desk.pool = replace(desk.pool, ready={"a": 9})
    desk.look(later(40))
    assert desk.frozen(later(41)) == []
    desk.move(OLD)
    desk.do(9, 18, later(45))
    desk.look(later(60))
    assert len(desk.frozen(later(61))) == 1


class Never:
    """A provider that must not be asked."""

    def __getattr__(self, name):
        raise AssertionError(name)


def test_f69_a_doubt_of_the_old_target_is_not_settled_by_the_new_one(desk):
    """It stays unknown, told once, and counts in budgets; no provider is asked about it."""
    action = action_of(desk.do(9, 8), desk)
    key = desk.app.trail.intend("plan", action, NOW)
    desk.move(NEW)
    owners = {"web": Never()}
    for minutes, count in ((1, 0), (6, 1), (7, 0)):
        clock = SetClock(later(minutes))
        told = settling.settle(desk.app.trail.doubtful(), owners=owners, trail=desk.app.trail, clock=clock)
        assert len(told) == count
    (deed,) = desk.app.trail.doubtful()
    assert deed.key == key
    assert deed.outcome.status is Status.UNKNOWN
    assert "cloud old" in deed.outcome.error
    (perhaps,) = settling.perhaps([deed], NOW, later(7))
    assert perhaps.elsewhere
    assert (perhaps.before, perhaps.after) == (9, 8)


def action_of(key, desk):
    """The action of the deed with that key."""
    return next(deed.action for deed in desk.app.trail.pool("web") if deed.key == key)


def test_f69_what_the_old_target_lost_counts_in_budgets(desk):
    """A shrink made an hour ago anywhere under this name counts; no size of the old one widens a budget."""
    desk.do(100, 90)
    desk.move(NEW)
    (change,) = desk.app.trail.changes(NOW)
    assert change == Change(target="web", at=NOW, before=100, after=90, elsewhere=True)
    pool = replace(POOL, desired=90)
    budget = Budget(scope=Scope.POOL, step=Step(units=1, share=0.2), window_s=7200)
    left, _ = Ledger([pool], [change], later(60)).left(budget, pool, later(60))
    assert left == 18 - 10
    grown = Change(target="web", at=NOW, before=10, after=90, elsewhere=True)
    left, _ = Ledger([pool], [grown], later(60)).left(budget, pool, later(60))
    assert left == 18, "what the old one grew by is no growth of this one"


AUTO = small.CONFIGURATION.replace(
    "defaults: {", "defaults: {mode: auto, observe_first: 0s, cool_down_in: 0s, "
)


def with_target(target):
    """The small world, whose pool api is that group of the fake cloud."""
    return AUTO.replace("  api:\n", f"  api:\n    target: {target}\n")


class Lossy:
    """A provider whose answers to a resize are lost."""

    def __init__(self, sound):
        self._sound = sound

    def __getattr__(self, name):
        return getattr(self._sound, name)

    def resize(self, pool_id, size, *, version, key):
        self._sound.resize(pool_id, size, version=version, key=key)
        raise Unreachable("the reply was lost")


@pytest.fixture
def build(tmp_path):
    """Builds an application of a configuration over one store and cloud, minutes after the last sample."""
    apps = []

    def make(text, minutes=0):
        small.write(tmp_path, text)
        clock = SetClock(small.END + timedelta(minutes=minutes))
        apps.append(bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), clock))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


@pytest.mark.slow
def test_f69_a_whole_turn_after_the_target_changed(build):
    """The old group's lost shrink stays in doubt, spends the budget, and the new group is left as it is."""
    app = build(with_target("old"))
    tick.tick(replace(app, providers={"fake": Lossy(app.providers["fake"])}))
    assert app.providers["fake"].read("api").desired == 19
    (doubt,) = [deed for deed in app.trail.doubtful() if deed.action.target == "api"]
    assert doubt.place == "fake old"
    moved = build(with_target("new"), minutes=6)
    done = tick.tick(moved)
    (settled,) = [outcome for deed, outcome in done.settled if deed.action.target == "api"]
    assert settled.status is Status.UNKNOWN
    assert "api" not in {action.target for action in done.plan.actions if action.after < action.before}
    assert moved.providers["fake"].read("api").desired == 20


@pytest.mark.slow
def test_f69_undo_does_not_put_the_old_size_on_the_new_target(tmp_path, monkeypatch, capsys):
    """It is refused with both places' words, and the story of the action tells where it was done."""
    small.write(tmp_path, with_target("old"))
    monkeypatch.chdir(tmp_path)
    shell = small.Shell(tmp_path, capsys)
    text = AUTO.replace("defaults:", "revalidate: 0s\ndefaults:")
    for target in ("old", "new"):
        (tmp_path / "loadline.yaml").write_text(text.replace("  api:\n", f"  api:\n    target: {target}\n"))
        if target == "old":
            assert shell("plan --out plan.json").code == 0
            assert shell("apply plan.json").code == 0
    made = plan_from_json((tmp_path / "plan.json").read_text())
    refused = shell(f"undo {made.id} --dry-run")
    assert refused.code != 0
    assert "api was fake old when" in refused.err
    (api,) = [action for action in made.actions if action.target == "api"]
    assert "at fake old: the pool is another target now" in shell(f"explain {api.id}").out
    assert "loadline undo" in shell(f"explain {made.id}").out, "the other pool's action still stands"
    (web,) = [action for action in made.actions if action.target == "web"]
    assert "is another target" not in shell(f"undo {web.id} --dry-run").err


def providers(text):
    """A configuration with one pool, web, of the provider that the text declares."""
    return (
        "pools:\n  web: {provider: PROVIDER, target: TARGET, minimum: 1, maximum: 9,\n"
        "        demands: [{series: rps, unit_capacity: 10}]}\n" + text
    )


AWS = "providers: {aws: {shop: {region: eu-west-1, role_arn: 'arn:aws:iam::111122223333:role/a'}}}\n"
GOOGLE = "providers: {google: {shop: {project: shop}}}\n"
TARGETS = {"aws": "asg/web", "google": "zones/a/web", "kubernetes": "deployment/shop/web"}
CLUSTER = "providers: {kubernetes: {shop: {kubeconfig: ./a, context: live}}}\n"


@pytest.mark.parametrize(
    ("text", "old", "new", "same"),
    [
        (AWS, "eu-west-1", "eu-west-2", False),
        (AWS, "111122223333", "444455556666", False),
        (AWS, "role/a", "role/b", True),
        (AWS, "TARGET", "asg/api", False),
        (AWS, "'arn:aws:iam::111122223333:role/a'", "'', profile: live", False),
        (GOOGLE, "project: shop", "project: other", False),
        (CLUSTER, "context: live", "context: trial", False),
        (CLUSTER, "./a", "./b", False),
    ],
)
def test_f69_what_makes_another_place(tmp_path, text, old, new, same):
    """Another region, account, project, cluster or id is another place, another role of one account not."""
    kind = text.split("{")[1].split(":")[0]
    whole = providers(text).replace("PROVIDER", f"{kind}/shop")
    found = []
    for at, written in enumerate((whole, whole.replace(old, new))):
        file = tmp_path / f"{at}.yaml"
        file.write_text(written.replace("TARGET", TARGETS[kind]))
        read = config.load(str(file))
        found.append(settings_targets.places(read.pools.values(), read.providers)["web"])
    assert (found[0] == found[1]) is same, found


def test_a_place_holds_no_secret(tmp_path):
    """The words before an @ of an address are not kept in a trail from which nothing can be taken."""
    file = tmp_path / "a.yaml"
    address = (
        "providers: {aws: {shop: {region: eu-west-1, endpoint_url: 'https://u:hush@aws.local:5000/x'}}}\n"
    )
    file.write_text(providers(address).replace("PROVIDER", "aws/shop").replace("TARGET", "asg/web"))
    read = config.load(str(file))
    (place,) = settings_targets.places(read.pools.values(), read.providers).values()
    assert place == "aws region=eu-west-1 endpoint_url=aws.local:5000 asg/web"


def test_f69_the_program_itself_tells_the_places(tmp_path):
    """What `build` makes writes and judges by the places of its configuration: trail and verdicts."""
    for target in ("old", "new"):
        file = small.write(tmp_path, with_target(target)) / "loadline.yaml"
        app = bootstrap.build(config.load(str(file)), SetClock(NOW))
        assert app.trail._places == app.verdicts._places
        assert app.trail._places["api"] == f"fake {target}"
        app.close()
