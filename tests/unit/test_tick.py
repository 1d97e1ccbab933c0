"""One turn over sources that fail, lie, hang and go stale: nothing escapes, and the others go on."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from autoscaler import bootstrap, config, observing, outlooks, tick, verifying
from autoscaler.clock import SetClock
from autoscaler.errors import MetricsError, Throttled, Unreachable
from autoscaler.metrics.csv import CsvMetrics
from autoscaler.ports import Samples
from autoscaler.providers.fake import FakeCloud
from autoscaler.store.database import connect
from autoscaler.store.entries import newest
from policies.conditions import Approval
from policies.deeds import Verdict
from policies.model import Gap, Obstacle
from policies.plan import ActionKind, Change, Guard, Outcome, Status
from policies.policy import Freeze, Scope
from tests.worlds import small

pytestmark = pytest.mark.slow  # each builds a world, a page or a file; make core has the laws

AUTO = small.CONFIGURATION.replace("defaults: {", "defaults: {mode: auto, observe_first: 0s, ")


class Source:
    """A source of metrics that does what it is given."""

    def __init__(self, does):
        self._does = does

    def samples(self, _series, _since, _until):
        return self._does()


class Broken:
    """A provider whose list does what it is given, before a sound one; whose resize may lose its reply."""

    def __init__(self, sound, *, does=None, loses=()):
        self._sound, self._does, self._loses = sound, does, loses

    def list(self):
        if self._does is not None:
            return self._does()
        return self._sound.list()

    def read(self, pool_id):
        return self._sound.read(pool_id)

    def resize(self, pool_id, size, *, version, key):
        done = self._sound.resize(pool_id, size, version=version, key=key)
        if pool_id in self._loses:
            raise Unreachable("the reply was lost")
        return done


def some_slow(names, *, quick):
    """The names as parameters, all but the quick ones marked as slow: each costs a turn on the disk."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def raises(error):
    """Something that raises when it is called."""

    def does():
        raise error

    return does


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the small world."""
    return small.write(tmp_path_factory.mktemp("world"))


@pytest.fixture
def build(made, tmp_path):
    """Builds the application of a configuration over the world's history, with a clock of its own."""
    apps = []

    def of(text=small.CONFIGURATION, *, now=small.END):
        (tmp_path / "loadline.yaml").write_text(text.replace("m.csv", str(made / "m.csv")))
        app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), SetClock(now))
        apps.append(app)
        return app

    yield of
    for app in apps:
        app.close()


def sizes(app):
    """What the cloud holds now."""
    return {pool.id: pool.desired for pool in app.providers["fake"].list()[0]}


def shrinks(plan):
    """The pools that the plan makes smaller."""
    return {action.target for action in plan.actions if action.kind is ActionKind.SCALE_IN}


def test_a_turn_plans_and_records_and_applies_nothing(build):
    """A turn's plan is in the trail, and no pool has moved."""
    app = build()
    done = tick.turn(app)
    assert {action.target: (action.before, action.after) for action in done.plan.actions} == {
        "web": (4, 8),
        "api": (20, 19),
    }
    assert app.trail.plan(done.plan.id) == done.plan
    assert sizes(app) == {"web": 4, "api": 20}
    assert set(done.forecasts) == {"web", "api"}
    assert done.plan.complete


def test_the_same_turn_is_the_same_plan(build):
    """Two turns at one moment have one plan; a minute later the same wish has the same id, and is counted."""
    app = build()
    first, second = tick.turn(app), tick.turn(app)
    assert first.plan == second.plan
    before = app.trail.sightings(first.plan.id)
    app.clock.advance(60)
    third = tick.turn(app)
    assert third.plan.id == first.plan.id
    assert app.trail.sightings(first.plan.id) == before + 1


def test_the_tick_applies_what_the_mode_allows(build):
    """A pool that observes is planned for and not touched; one in auto is applied."""
    app = build(small.CONFIGURATION.replace("  web:\n", "  web:\n    mode: auto\n    observe_first: 0s\n"))
    done = tick.tick(app)
    assert [(action.target, outcome.status) for action, outcome in done.outcomes] == [("web", Status.APPLIED)]
    assert {action.target for action in done.plan.actions} == {"web", "api"}
    assert sizes(app) == {"web": 8, "api": 20}


@pytest.mark.slow
def test_f32_a_plan_of_the_daemon_lives_shorter_than_one_by_hand(build):
    """Ten minutes against an hour, in its actions too."""
    app = build()
    by_hand, planned = tick.turn(app).plan, tick.tick(app).plan
    for plan, minutes in ((by_hand, 60), (planned, 10)):
        assert plan.expires_at - plan.made_at == timedelta(minutes=minutes)
        assert {action.expires_at for action in plan.actions} == {plan.expires_at}


SHARED = """\
now: last-sample
metrics:
  - {kind: csv, path: m.csv}
providers:
  fake: {path: ./cloud.db}
defaults: {model: seasonal_naive, mode: approve, observe_first: 0s}
fleet_share: 100%
budgets: [{scope: all, units: 2, window: 10m}]
pools:
"""
_POOL = """\
  NAME:
    provider: fake
    minimum: 18
    maximum: 50
    desired: 20
    demands: [{series: api, unit_capacity: 10}]
    offerings: [{instance_type: m5.large, zone: a, hourly_usd: PRICE}]
"""
SHARED += "".join(
    _POOL.replace("NAME", name).replace("PRICE", usd) for name, usd in (("api", "0.2"), ("tail", "0.1"))
)


def approve(app, *actions):
    ends = small.END + timedelta(days=1)
    for one in actions:
        word = Approval(action_id=one.id, granted=True, by="ann", why="ok", at=small.END, expires_at=ends)
        app.people.approve(word)


def test_p2_two_approved_shrinks_share_a_budget(build):
    """The first goes, the second is held by the budget and keeps its approval; it goes when there is room."""
    app = build(SHARED)
    first = tick.tick(app)
    (act,), (held,) = first.plan.actions, first.plan.held
    assert (act.target, held.action.target, held.guard) == ("api", "tail", Guard.CHANGE_BUDGET)
    assert first.outcomes == ()
    approve(app, act, held.action)
    second = tick.tick(app)
    assert {a.target: outcome.status for a, outcome in second.outcomes} == {"api": Status.APPLIED}
    again = [(one.action.id, one.guard) for one in second.plan.held]
    assert again == [(held.action.id, Guard.CHANGE_BUDGET)]
    assert [word.action_id for word in app.people.approvals(small.END)] == [held.action.id]
    app.clock.advance(600)
    third = tick.tick(app)
    assert {a.target: outcome.status for a, outcome in third.outcomes} == {"tail": Status.APPLIED}
    assert app.people.approvals(small.END) == ()


def test_p2_what_nobody_approved_takes_no_budget_from_what_was(build):
    """A larger saving that waits for a person does not hold the one that a person allowed."""
    app = build(SHARED)
    held = tick.tick(app).plan.held[0].action
    approve(app, held)
    done = tick.tick(app)
    assert {a.target: outcome.status for a, outcome in done.outcomes} == {"tail": Status.APPLIED}
    assert [(one.action.target, one.guard) for one in done.plan.held] == [("api", Guard.CHANGE_BUDGET)]


def test_a_new_pool_observes(build):
    """Nothing is applied by the tick where nobody said that it may be."""
    app = build()
    assert tick.tick(app).outcomes == ()
    assert sizes(app) == {"web": 4, "api": 20}


FAILURES = {
    "unreachable": raises(Unreachable("no answer")),
    "throttled": raises(Throttled("slow down")),
    "bug": raises(KeyError("Instances")),
    "none": lambda: None,
    "half an answer": lambda: ((),),
    "things that are no pools": lambda: ((1, 2), ()),
}


@pytest.mark.parametrize("name", some_slow(FAILURES, quick={"unreachable"}))
def test_p9_a_failing_provider_stops_nobody_else(build, name):
    """A provider that fails or lies becomes a gap; the pools of the other provider are planned for."""
    app = build(AUTO)
    sound = app.providers["fake"]
    app = replace(app, providers={"other": Broken(sound, does=FAILURES[name]), "fake": sound})
    done = tick.tick(app)
    assert {action.target for action in done.plan.actions} == {"web", "api"}
    assert any("other" in gap.source for gap in done.plan.gaps), done.plan.gaps
    assert not done.plan.complete


@pytest.mark.parametrize("name", some_slow(FAILURES, quick={"unreachable"}))
def test_p3_pools_that_cannot_be_seen_are_left_alone(build, name):
    """Where the pools' own provider fails, nothing is planned or applied, and the provider is named."""
    app = build(AUTO)
    sound = app.providers["fake"]
    done = tick.tick(replace(app, providers={"fake": Broken(sound, does=FAILURES[name])}))
    assert done.plan.actions == ()
    assert done.outcomes == ()
    assert {gap.source for gap in done.plan.gaps} >= {"provider fake"}
    assert set(done.seen.unanswered) == {"web", "api"}
    assert sizes(app) == {"web": 4, "api": 20}


@pytest.mark.slow
def test_a_pool_that_the_provider_could_not_see_is_a_gap(build):
    """What a provider says it could not see is in the plan's gaps."""
    app = build(AUTO)
    pools, _ = app.providers["fake"].list()
    unseen = Gap(source="api", code="DENIED", why="no permission to list it")
    only_web = Broken(
        app.providers["fake"], does=lambda: (tuple(p for p in pools if p.id == "web"), (unseen,))
    )
    done = tick.tick(replace(app, providers={"fake": only_web}))
    assert unseen in done.plan.gaps
    assert sizes(app) == {"web": 8, "api": 20}


def test_f70_nothing_is_managed_that_the_configuration_does_not_name(build):
    """Pools that a provider has besides, or of another provider's name, are neither planned nor touched."""
    app = build(AUTO.split("  api:", maxsplit=1)[0])
    cloud = FakeCloud(app.configuration.providers["fake"].path, app.clock)
    (web,) = cloud.list()[0]
    cloud.create(replace(web, id="stranger", desired=50))
    done = tick.tick(app)
    assert {action.target for action in done.plan.actions} == {"web"}
    assert sizes(app) == {"web": 8, "stranger": 50}
    assert {pool.id for pool in done.seen.snapshot.pools} == {"web"}


def test_f70_a_pool_of_another_provider_of_the_same_name_is_not_ours(build, tmp_path):
    """A pool belongs to the provider that the configuration says, whoever else lists one called the same."""
    app = build(AUTO)
    theirs = FakeCloud(str(tmp_path / "theirs.db"), SetClock(small.END))
    (ours,) = [pool for pool in app.providers["fake"].list()[0] if pool.id == "web"]
    theirs.create(replace(ours, desired=55))
    for order in ({"other": theirs, **app.providers}, {**app.providers, "other": theirs}):
        done = tick.turn(replace(app, providers=order))
        assert [pool.desired for pool in done.seen.snapshot.pools if pool.id == "web"] == [4]
        assert done.seen.owners["web"] is app.providers["fake"]


def test_p3_without_a_forecast_that_passes_nothing_shrinks(build, monkeypatch):
    """Where no forecast of a sound series passes the gate, its pool may grow by what was, and not shrink."""
    monkeypatch.setattr(
        outlooks.engine, "forecast", lambda series, **_: {one.unique_id: None for one in series}
    )
    done = tick.turn(build())
    assert ("web", 8) in {(action.target, action.after) for action in done.plan.actions}
    assert shrinks(done.plan) == set()
    (held,) = [entry for entry in done.plan.held if entry.action.target == "api"]
    assert held.guard is Guard.INSUFFICIENT_DATA
    assert "no forecast that passes the gate" in held.why


def rewritten(change):
    """The world's own samples, changed: a source for the app that is given."""

    def source(app):
        whole = app.metrics[0].samples(["web", "api"], None, None)
        return Source(lambda: change(whole))

    return source


def only(keep):
    """Samples of which some are kept."""

    def change(samples):
        there = keep(samples)
        return replace(
            samples,
            unique_id=samples.unique_id[there],
            ds=samples.ds[there],
            y=samples.y[there],
            line=samples.line[there],
        )

    return change


def with_values(values):
    """Samples of api with other values."""

    def change(samples):
        return replace(samples, y=np.where(samples.unique_id == "api", values, samples.y))

    return change


def stale(samples):
    """Without the last two days of api."""
    edge = np.datetime64(small.END.replace(tzinfo=None) - timedelta(days=2), "us")
    return (samples.unique_id != "api") | (samples.ds < edge)


def hole(samples):
    """Without five hours of api, three days ago."""
    begin = np.datetime64(small.END.replace(tzinfo=None) - timedelta(days=3), "us")
    inside = (samples.ds >= begin) & (samples.ds < begin + np.timedelta64(5, "h"))
    return (samples.unique_id != "api") | ~inside


def nothing():
    """No samples at all."""
    return Samples(
        unique_id=np.array([], dtype=object),
        ds=np.array([], dtype="datetime64[us]"),
        y=np.array([]),
        line=np.array([], dtype=np.int64),
        source="nothing",
    )


METRICS = {
    "f01 no series": rewritten(only(lambda samples: samples.unique_id == "web")),
    "f13 stale": rewritten(only(stale)),
    "f03 not a number": rewritten(with_values(np.nan)),
    "f04 infinite": rewritten(with_values(np.inf)),
    "f07 negative": rewritten(with_values(-1.0)),
    "f12 future": rewritten(
        lambda samples: replace(
            samples, ds=np.where(samples.unique_id == "api", np.datetime64("2099-01-01", "us"), samples.ds)
        )
    ),
    "f09 a hole of five hours": rewritten(only(hole)),
    "one sample": rewritten(only(lambda s: (s.unique_id != "api") | (s.line == s.line.max()))),
}


@pytest.mark.parametrize("name", some_slow(METRICS, quick={"f01 no series", "f13 stale", "f07 negative"}))
def test_p3_what_is_unknown_never_shrinks_a_pool(build, name):
    """Metrics that are absent, late or broken hold their pool's shrink and tell why; the other pool grows."""
    app = build(AUTO)
    done = tick.tick(replace(app, metrics=(METRICS[name](app),)))
    assert sizes(app) == {"web": 8, "api": 20}
    assert {action.target for action in done.plan.actions} == {"web"}
    assert any(gap.source == "api" for gap in done.plan.gaps)
    held = [entry for entry in done.plan.held if entry.action.target == "api"]
    assert {entry.guard for entry in held} <= {Guard.INSUFFICIENT_DATA}


def test_f13_a_stale_series_may_still_grow_its_pool(build):
    """What old metrics say may make a pool larger, and says in a gap that they are old."""
    app = build(small.CONFIGURATION.replace("desired: 20", "desired: 1"))
    change = rewritten(only(stale))
    done = tick.turn(replace(app, metrics=(change(app),)))
    assert {action.target for action in done.plan.actions} == {"web", "api"}
    assert shrinks(done.plan) == set()
    assert any(gap.source == "api" for gap in done.plan.gaps)


def test_f01_one_of_two_metrics_missing_may_grow_and_never_shrinks(build):
    """A pool sized by two metrics of which one is gone follows the other upwards only."""
    both = small.CONFIGURATION.replace(
        "{series: web, unit_capacity: 10}",
        "{series: web, unit_capacity: 10}, {series: gone, unit_capacity: 1}",
    )
    grows = tick.turn(build(both)).plan
    assert ("web", 8) in {(action.target, action.after) for action in grows.actions}
    assert any("gone" in gap.why for gap in grows.gaps)
    large = both.replace("desired: 4", "desired: 40").replace("cloud.db", "large.db")
    held = tick.turn(build(large)).plan
    assert "web" not in {action.target for action in held.actions}


@pytest.mark.parametrize(
    ("does", "word"),
    [
        (raises(MetricsError("query timed out")), "query timed out"),
        (raises(RuntimeError("a bug of the source")), "a bug of the source"),
        (nothing, ""),
        (lambda: None, ""),
        (lambda: "<html>please log in</html>", ""),
        (lambda: replace(nothing(), y=np.array([1.0, 2.0])), ""),
    ],
)
def test_f19_f20_a_source_that_fails_or_lies_holds_its_pools(build, does, word):
    """Metrics that raise, or answer with no samples or with something else, hold all and raise nothing."""
    app = build(AUTO)
    done = tick.tick(replace(app, metrics=(Source(does),)))
    assert done.plan.actions == ()
    assert sizes(app) == {"web": 4, "api": 20}
    assert not done.plan.complete
    assert any(word in gap.why for gap in done.plan.gaps)


@pytest.mark.slow
def test_f19_one_failing_source_leaves_the_other(build):
    """With two sources, the series of the one that answers are planned with."""
    app = build(AUTO)
    web = METRICS["f01 no series"](app)
    done = tick.tick(replace(app, metrics=(Source(raises(MetricsError("down"))), web)))
    assert sizes(app) == {"web": 8, "api": 20}
    assert any("down" in gap.why for gap in done.plan.gaps)


def test_f19_f33_a_source_that_hangs_is_left_behind_at_its_deadline(build, monkeypatch):
    """A source without an answer within the deadline is a gap, and the turn goes on without it."""
    monkeypatch.setattr(observing, "SOURCE_DEADLINE_S", 0.2)
    app = build(AUTO)
    go = threading.Event()
    web = METRICS["f01 no series"](app)
    try:
        done = tick.tick(replace(app, metrics=(Source(go.wait), web)))
    finally:
        go.set()
    assert [gap.code for gap in done.plan.gaps if gap.source == "metrics 1"] == ["LATE"]
    assert sizes(app) == {"web": 8, "api": 20}


def test_f40_a_lost_reply_leaves_the_action_in_doubt(build):
    """The provider did it and did not answer: the outcome is unknown, and the trail asks to settle it."""
    app = build(AUTO)
    app = replace(app, providers={"fake": Broken(app.providers["fake"], loses=("api",))})
    done = tick.tick(app)
    status = {action.target: outcome.status for action, outcome in done.outcomes}
    assert status == {"web": Status.APPLIED, "api": Status.UNKNOWN}
    assert [deed.action.target for deed in app.trail.doubtful()] == ["api"]
    assert sizes(app)["api"] == 19


def test_p2_a_shrink_in_doubt_spends_the_budget(build):
    """A shrink that may have been made counts: the next plan does not shrink again within the window."""
    calm = AUTO.replace("defaults: {", "defaults: {cool_down_in: 0s, ")
    app = build(calm)
    lossy = replace(app, providers={"fake": Broken(app.providers["fake"], loses=("api",))})
    tick.tick(lossy)
    assert sizes(app)["api"] == 19
    assert shrinks(tick.turn(app).plan) == set()


def test_f66_a_change_dated_ahead_of_now_holds_nothing(build):
    """A clock that stood wrong when a change was written begins no cool-down; budgets count it as of now."""
    app = build(AUTO)
    first = tick.turn(app).plan
    (shrink,) = [action for action in first.actions if action.target == "api"]
    later = small.END + timedelta(days=3)
    key = app.trail.intend(first.id, shrink, small.END)
    outcome = Outcome(action_id=shrink.id, status=Status.APPLIED, at=later, observed_after=19)
    app.trail.conclude(key, outcome, Change(target="api", at=later, before=20, after=19))
    held = [entry.guard for entry in tick.turn(app).plan.held if entry.action.target == "api"]
    assert held == [Guard.CHANGE_BUDGET]


@pytest.mark.slow
def test_what_was_seen_is_kept(build, made):
    """The samples of one turn are in the store for the next, though the source has forgotten them."""
    app = build()
    tick.turn(app)
    (made / "short.csv").write_text(small.history(days=1))
    done = tick.turn(replace(app, metrics=(CsvMetrics(made / "short.csv"),)))
    assert len(done.seen.series["web"].y) == small.DAYS * 96


def test_metrics_without_a_common_grid_hold_their_pool_alone(build, made):
    """Two metrics every 15 and every 10 minutes make a gap that names them; the other pool grows."""
    lines = ["unique_id,ds,y"]
    lines += [f"odd,{small.END - timedelta(minutes=10 * n):%Y-%m-%dT%H:%M:%SZ},40" for n in range(1, 900)]
    (made / "odd.csv").write_text("\n".join(lines))
    text = small.CONFIGURATION.replace(
        "{series: api, unit_capacity: 10}",
        "{series: api, unit_capacity: 10}, {series: odd, unit_capacity: 10}",
    ).replace("  - {kind", f"  - {{kind: csv, path: {made / 'odd.csv'}}}\n  - {{kind")
    done = tick.turn(build(text))
    assert {action.target for action in done.plan.actions} == {"web"}
    (gap,) = [gap for gap in done.plan.gaps if gap.code == "GRIDS"]
    assert gap.source == "api"
    assert "odd" in gap.why


def test_undo_is_judged_by_what_demand_needs_now(build):
    """Undoing gives a shrink back, and does not take away growth that demand needs."""
    app = build(AUTO)
    done = tick.tick(app)
    back = tick.undo(app, [action for action, _ in done.outcomes])
    assert [(action.target, action.after) for action in back.plan.actions] == [("api", 20)]
    assert {entry.guard for entry in back.plan.held} == {Guard.LIVE_DEMAND}
    assert app.trail.plan(back.plan.id) == back.plan


def test_a_revert_that_a_freeze_holds_is_one_plan_and_is_done_once_it_is_lifted(build, monkeypatch):
    """Each turn tries it again and writes no more of it than that; then the units are back, and stay."""
    app = build(AUTO)
    tick.tick(app)
    assert sizes(app)["api"] == 19
    worse = (Verdict.WORSE, ())
    monkeypatch.setattr(verifying, "service_level", lambda *_given, **_named: worse)
    app.people.freeze(Freeze(scope=Scope.ALL, why="storm"), "ann", app.clock.now())
    for _ in range(3):
        app.clock.advance(60)
        assert [action.target for action, _ in tick.tick(app).outcomes] == []
    (deed,) = app.trail.pool("api")
    back = tick.undo(app, [deed.action]).plan
    assert app.trail.sightings(back.id) == 3
    rows = newest(connect(app.configuration.state), limit=99)
    assert [entry.table for entry in rows if entry.values.get("id") == back.id] == ["plan"]
    app.people.lift(Scope.ALL, "", "ann", "over", app.clock.now())
    app.clock.advance(60)
    tick.tick(app)
    assert sizes(app)["api"] == 20
    assert app.verdicts.judged([deed.key])[-1].verdict is Verdict.REVERTED
    app.clock.advance(60)
    tick.tick(app)
    assert sizes(app)["api"] == 20


def test_what_the_turns_own_plan_grew_again_is_not_taken_back_as_well(build, monkeypatch):
    """The plan grew the pool past what it lost: no revert is tried, and nothing is frozen."""
    app = build(AUTO)
    tick.tick(app)
    (deed,) = app.trail.pool("api")
    worse = (Verdict.WORSE, ())
    monkeypatch.setattr(verifying, "service_level", lambda *_given, **_named: worse)
    raised = AUTO.replace("minimum: 1\n", "minimum: 21\n").replace("desired: 20", "desired: 21")
    app = build(raised, now=app.clock.now() + timedelta(minutes=1))
    done = tick.tick(app)
    assert sizes(app)["api"] == 21, done.plan
    assert [action.after for action, _ in done.outcomes if action.target == "api"] == [21]
    assert app.verdicts.judged([deed.key])[-1].verdict is Verdict.REVERTED
    assert app.people.freezes(app.clock.now()) == ()


class Flaky(Broken):
    """A sound provider of which some calls fail, or are done and not answered, by a seeded generator."""

    def __init__(self, sound, generator):
        super().__init__(sound)
        self._generator = generator

    def list(self):
        if self._generator.random() < 0.1:
            raise Throttled("slow down")
        return super().list()

    def resize(self, pool_id, size, *, version, key):
        luck = self._generator.random()
        if luck < 0.1:
            raise Throttled("slow down")
        done = super().resize(pool_id, size, version=version, key=key)
        if luck < 0.3:
            raise Unreachable("the reply was lost")
        return done


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_p1_p2_p9_hours_of_ticks_with_faults_keep_bounds_and_budgets(build, seed):
    """Every ten minutes for twelve hours, a third of the calls failing: what the cloud really did keeps the
    bounds and, in every window, the budgets; nothing escapes; in the end demand is served.
    """
    text = AUTO.replace("defaults: {", "defaults: {cool_down_in: 0s, ")
    app = build(text, now=small.END - timedelta(hours=12))
    sound = app.providers["fake"]
    app = replace(app, providers={"fake": Flaky(sound, np.random.default_rng(seed))})
    seen = [(app.clock.now(), sizes(replace(app, providers={"fake": sound})))]
    for _ in range(72):
        done = tick.tick(app)
        now = sizes(replace(app, providers={"fake": sound}))
        for pool in done.seen.snapshot.pools:
            assert pool.minimum <= now[pool.id] <= pool.maximum
        seen.append((app.clock.now(), now))
        app.clock.advance(600)
    for budget in app.policy.budgets:
        groups = [("web",), ("api",)] if budget.scope == "pool" else [("web", "api")]
        for group in groups:
            keeps_budget(seen, group, budget)
    assert sum(seen[-1][1].values()) < sum(seen[0][1].values()) + 8
    assert seen[-1][1]["web"] >= 10


def keeps_budget(seen, group, budget):
    """In every window that begins with a size, no more units went than the budget allows from that size."""
    for first, (begin, size) in enumerate(seen):
        gone = 0
        for (_, before), (at, after) in zip(seen[first:], seen[first + 1 :], strict=False):
            if (at - begin).total_seconds() >= budget.window_s:
                break
            gone += sum(max(0, before[name] - after[name]) for name in group)
            assert gone <= budget.step.limit(sum(size[name] for name in group)), (budget, begin, at)


class Deploying(Broken):
    """A provider whose readings of one pool tell of a rollout that its list did not show yet."""

    def read(self, pool_id):
        found = super().read(pool_id)
        rollout = Obstacle(code=Guard.DEPLOYING.value, why="a rollout has begun")
        return replace(found, obstacles=(rollout,)) if pool_id == "api" else found


def test_f45_what_the_last_reading_tells_against_a_shrink_holds_it(build):
    """A rollout that began after the look at the world, and is seen right before the call, stops it."""
    app = build(AUTO)
    done = tick.tick(replace(app, providers={"fake": Deploying(app.providers["fake"])}))
    told = {action.target: (outcome.status, outcome.error) for action, outcome in done.outcomes}
    assert told["web"] == (Status.APPLIED, "")
    assert told["api"] == (Status.REFUSED, "DEPLOYING: a rollout has begun")
    assert sizes(app) == {"web": 8, "api": 20}
