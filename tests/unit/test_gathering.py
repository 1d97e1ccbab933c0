"""What is gathered around a plan: signals, what is under way, first sight, freezes, approvals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from autoscaler import bootstrap, config, gathering, observing, tick
from autoscaler.clock import SetClock
from forecasts.types import Series
from policies.conditions import Approval, Reading
from policies.model import Pool, PoolKind
from policies.plan import Change, Guard, Status
from policies.policy import Freeze, Scope, Signal, SignalKind
from tests.worlds import small

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
POOL = Pool(
    id="web",
    provider="cloud",
    kind=PoolKind.INSTANCE_GROUP,
    desired=8,
    ready={"a": 4},
    minimum=0,
    maximum=100,
    demands=(),
    version="1",
    lead_time_s=300,
)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def signal(name):
    return Signal(series=name, kind=SignalKind.INCIDENT, above=0)


def series(name, *values):
    return Series(unique_id=name, start=ago(600), step_s=60, y=np.array(values))


def test_a_reading_is_the_newest_known_value_at_the_end_of_its_step():
    """NaN at the end is passed over, and the reading is as old as the value is."""
    known = {"alerts": series("alerts", 0.0, 2.0, np.nan, np.nan)}
    assert gathering.readings([signal("alerts")], known) == {"alerts": Reading(value=2.0, at=ago(600 - 120))}


def test_f01_a_signal_without_a_value_has_no_reading():
    """Absent is not zero: no series, an empty one and one of NaN give nothing."""
    known = {"empty": series("empty"), "blank": series("blank", np.nan)}
    assert gathering.readings([signal("empty"), signal("blank"), signal("absent")], known) == {}


@pytest.mark.parametrize(
    ("pool", "change", "under_way"),
    [
        (POOL, (100, 4, 8), True),
        (replace(POOL, ready={"a": 8}), (100, 4, 8), False),
        (replace(POOL, ready={}), (100, 4, 8), True),
        (POOL, (100, 12, 8), False),
        (POOL, (659, 4, 8), True),
        (POOL, (660, 4, 8), False),
        (replace(POOL, desired=4), (30, 4, 8), True),
    ],
)
def test_f43_growth_that_does_not_serve_yet_is_under_way_until_it_is_late(pool, change, under_way):
    """Counted until ready, or twice the lead time and a minute; what cannot be seen has not arrived.

    In the last case the provider shows the old size still: growth that it accepted is under way all the same.
    """
    seconds, before, after = change
    made = Change(target="web", at=ago(seconds), before=before, after=after)
    assert gathering.not_arrived([pool], [made], NOW) == ({"web": made.at} if under_way else {})


@pytest.fixture
def build(tmp_path):
    """Builds the application of a configuration in one folder, again and again."""
    small.write(tmp_path)
    apps = []

    def of(text=small.CONFIGURATION, *, now=small.END):
        (tmp_path / "loadline.yaml").write_text(text)
        apps.append(bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), SetClock(now)))
        return apps[-1]

    yield of
    for app in apps:
        app.close()


AUTO = small.CONFIGURATION.replace("defaults: {", "defaults: {mode: auto, observe_first: 0s, ")
ASKS = AUTO.replace("mode: auto", "mode: approve")


def outcomes(turn):
    return {action.target: outcome.status for action, outcome in turn.outcomes}


WATCHED_S = 7200.0  # for how long the daemon has run


def test_a_pool_is_first_seen_once_and_that_survives_a_restart(build):
    """A new pool observes for its time, counted from its first sight, over restarts."""
    text = AUTO.replace("observe_first: 0s", "observe_first: 1h")
    app = build(text)
    done = tick.tick(app, running_s=WATCHED_S)
    assert done.outcomes == ()
    assert {permission.guard for _, permission in done.waiting} == {Guard.MODE}
    later = build(text, now=small.END + timedelta(minutes=59))
    assert tick.tick(later, running_s=WATCHED_S).outcomes == ()
    later.clock.advance(60)
    assert outcomes(tick.tick(later, running_s=WATCHED_S))["web"] is Status.APPLIED
    assert set(later.trail.first_seen().values()) == {small.END}


def test_a_plan_by_hand_is_no_observing(build):
    """Only a daemon's ticks count as first sight: a plan made by hand the day before opens nothing."""
    app = build(AUTO.replace("observe_first: 0s", "observe_first: 1h"))
    tick.turn(app)
    assert not app.trail.first_seen()
    tick.tick(app, running_s=WATCHED_S)
    assert set(app.trail.first_seen()) == {"web", "api"}


def test_what_is_asked_for_waits_until_it_is_approved(build):
    """In mode approve nothing is done without a person's word on that very action."""
    app = build(ASKS)
    first = tick.tick(app)
    assert first.outcomes == ()
    web = next(action for action, _ in first.waiting if action.target == "web")
    word = Approval(
        action_id=web.id,
        granted=True,
        by="ann",
        why="seen",
        at=app.clock.now(),
        expires_at=app.clock.now() + timedelta(hours=1),
    )
    app.people.approve(word)
    second = tick.tick(app)
    assert outcomes(second) == {"web": Status.APPLIED}
    assert [action.target for action, _ in second.waiting] == ["api"]


def test_f67_a_freeze_in_the_store_holds_at_once_and_over_a_restart(build):
    """Said while a tick acts, the next call is refused; after a restart it holds; lifted, it goes on."""
    app = build(AUTO)
    said = []

    class Freezing:
        """The cloud; after its first resize somebody freezes everything."""

        def __init__(self, sound):
            self._sound = sound

        def __getattr__(self, name):
            return getattr(self._sound, name)

        def resize(self, *args, **named):
            done = self._sound.resize(*args, **named)
            app.people.freeze(Freeze(scope=Scope.ALL, why="incident"), "ann", app.clock.now())
            said.append(True)
            return done

    done = tick.tick(replace(app, providers={"fake": Freezing(app.providers["fake"])}))
    assert list(outcomes(done).values()) == [Status.APPLIED, Status.REFUSED]
    assert "FROZEN" in done.outcomes[1][1].error
    assert said == [True]
    again = build(AUTO, now=small.END + timedelta(minutes=5))
    held = tick.tick(again)
    assert held.plan.actions == ()
    assert {entry.guard for entry in held.plan.held} == {Guard.FROZEN}
    again.people.lift(Scope.ALL, "", "ann", "over", again.clock.now())
    assert tick.tick(again).plan.actions


def test_f65_a_daemon_that_has_just_begun_does_not_shrink(build):
    """Warm-up: by its own running time, not the wall's; growth goes on."""
    app = build(AUTO)
    early = tick.turn(app, running_s=10.0)
    assert {action.target for action in early.plan.actions} == {"web"}
    assert {entry.guard for entry in early.plan.held if entry.action.target == "api"} == {Guard.WARM_UP}
    assert {action.target for action in tick.turn(app, running_s=3600.0).plan.actions} == {"web", "api"}


def test_f68_budgets_are_not_refilled_by_a_restart(build):
    """What one process shrank counts for the next one: in no window more goes than one window allows."""
    app = build(AUTO)
    assert outcomes(tick.tick(app))["api"] is Status.APPLIED
    again = build(AUTO, now=small.END + timedelta(minutes=5))
    assert "api" not in outcomes(tick.tick(again))
    assert again.providers["fake"].read("api").desired == 19


def test_f56_a_signal_of_the_configuration_is_read_with_the_metrics(build, tmp_path):
    """A bad signal holds shrinking with its code, and one that no source has is insufficient data."""
    flag = AUTO + (
        "interlocks:\n  signals:\n    - {series: zone-a, kind: zone-impaired, above: 0, pools: [web]}\n"
    )
    stamps = [small.END - small.STEP * number for number in range(1, 97)]
    lines = [f"zone-a,{stamp:%Y-%m-%dT%H:%M:%SZ},{number == 0:d}" for number, stamp in enumerate(stamps)]
    silent = tick.turn(build(flag))
    (tmp_path / "m.csv").write_text(small.history() + "\n".join([*lines, ""]))
    app = build(flag)
    seen = observing.observe(app)
    assert gathering.conditions(app, seen).readings["zone-a"].value == 1.0
    bad = tick.turn(app)
    for turn, code in ((silent, Guard.INSUFFICIENT_DATA), (bad, Guard.ZONE_IMPAIRED)):
        assert {action.target for action in turn.plan.actions} <= {"web", "api"}
        if code is Guard.ZONE_IMPAIRED:
            assert {entry.guard for entry in turn.plan.held if entry.action.target == "api"} == {code}
