"""Metrics that are there and do not tell the truth: stuck, zero in an outage, of another unit or level."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.frame import Code, Limits, gate
from forecasts.suspect import broken, stuck
from forecasts.types import Series
from policies import planner
from policies.model import Demand, Pool, PoolKind, Snapshot
from policies.outlook import Outlook
from policies.plan import Change, Guard
from policies.policy import Policy, PoolPolicy

NOW = datetime(2026, 3, 17, 12, tzinfo=UTC)
DAY = 288
WINDOW = 14 * DAY


def load(days=10, seed=1):
    steps = np.arange(days * DAY)
    noise = np.random.default_rng(seed).normal(0, 1, steps.size)
    return 100 + 40 * np.sin(steps / DAY * 2 * np.pi) + noise


def gated(y):
    """The gate's word on a series that ends now, in steps of five minutes."""
    ds = np.datetime64("2026-03-01", "us") + np.arange(len(y)) * np.timedelta64(300, "s")
    now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=300 * len(y))
    return gate(np.full(len(y), "web", dtype=object), ds, y, Limits(now=now), strict=False)


def pool(desired=10, maximum=1000):
    return Pool(
        id="web",
        provider="fake",
        kind=PoolKind.INSTANCE_GROUP,
        desired=desired,
        ready={"a": desired},
        minimum=1,
        maximum=maximum,
        demands=(Demand(series="web", unit_capacity=1.0),),
    )


def planned(y, size, *, refusal="", at=NOW, changes=(), maximum=1000, **rule):
    """The plan of a pool of `size` units for demand in units that ends now, in steps of five minutes."""
    start = at - timedelta(seconds=300 * len(y))
    demand = Series(unique_id="web", start=start, step_s=300, y=np.asarray(y, float))
    outlook = Outlook(pool_id="web", demand=demand, refusal=refusal)
    snapshot = Snapshot(taken_at=at, pools=(pool(size, maximum),))
    policy = Policy(default=PoolPolicy(**rule))
    return planner.plan(snapshot, {"web": outlook}, policy, changes=changes)


def test_f14_a_sensor_that_stands_still_is_refused_and_its_pool_does_not_shrink():
    """A metric that always moved and now shows one value for an hour: growth may go on, nothing shrinks."""
    y = load()
    y[-13:] = 20.0
    why = gated(y).refused["web"]
    assert why.code is Code.STUCK
    assert "stuck at 20" in why.message
    plan = planned(y, 50, refusal=why.message, scaler="hpa")
    assert plan.actions == ()
    assert [held.guard for held in plan.held] == [Guard.INSUFFICIENT_DATA]
    assert "stuck at 20" in plan.held[0].why
    assert planned(y, 10, refusal=why.message, scaler="hpa").actions[0].after > 10


@pytest.mark.parametrize(
    "y",
    [
        np.full(10 * DAY, 7.0),
        np.where(np.arange(10 * DAY) % DAY < 96, 0.0, load()),
        np.r_[load(5), np.full(DAY // 32, 20.0)],
        np.r_[load(2), np.full(15 * DAY, 20.0)],
    ],
    ids=["never-varied", "every-night", "half-an-hour", "all-the-window"],
)
def test_f14_what_may_stand_still_is_not_stuck(y):
    """A constant, zeros of every night, a short rest and a load that became constant are sound."""
    assert stuck(y, 300, WINDOW) == 0


@settings(max_examples=40)
@given(st.integers(0, 4 * DAY), st.floats(0, 500), st.integers(1, 400))
def test_f14_f16_what_was_said_of_a_moment_stands(end, value, more):
    """Whether a metric is stuck or broken at a moment depends on nothing that came later."""
    y = load(4)
    y[-40:] = value
    whole = np.r_[y, np.full(more, value)]
    assert stuck(whole[:end], 300, WINDOW) == stuck(y[:end], 300, WINDOW)
    assert broken(whole[:end], DAY) == broken(y[:end], DAY)
    assert stuck(whole, 300, WINDOW) in (0, 40 + more)


def test_f16_zeros_of_an_outage_shrink_nothing():
    """Zeros at hours that never knew zero are refused by name; zeros of every night are not."""
    y = load()
    y[-2:] = 0
    why = gated(y).refused["web"]
    assert why.code is Code.OUTAGE
    plan = planned(y, 50, refusal=why.message, scaler="rolling_max", settings={"window_s": 600})
    assert plan.actions == ()
    assert [held.guard for held in plan.held] == [Guard.INSUFFICIENT_DATA]
    nights = np.where(np.arange(10 * DAY + 50) % DAY < 96, 0.0, 100.0)
    assert nights[-1] == 0
    assert not gated(nights).refused


@pytest.mark.parametrize("factor", [1000.0, 1e10])
def test_f15_a_change_of_unit_grows_by_a_step_at_most_and_never_past_the_maximum(factor):
    """Milliseconds for seconds: a level that stays is believed, and costs a step a plan within the bounds."""
    y = load()
    y[-12:] *= factor
    size, sizes = 130, []
    for _ in range(6):
        plan = planned(y, size, maximum=900)
        size = plan.actions[0].after if plan.actions else size
        sizes.append(size)
    assert sizes == [260, 520, 900, 900, 900, 900]
    assert Guard.MAXIMUM in {held.guard for held in plan.held}


def test_f15_a_unit_that_became_smaller_shrinks_within_the_budget_only():
    """Seconds for milliseconds: what looks like no load at all takes a tenth in ten minutes, not the pool."""
    y = load()
    y[-12:] /= 1000
    size, changes = 130, []
    for tick in range(3):
        at = NOW + timedelta(minutes=tick)
        plan = planned(y, size, at=at, changes=changes, cool_down_in_s=0, scaler="hpa")
        for action in plan.actions:
            changes.append(Change(target="web", at=at, before=action.before, after=action.after))
            size = action.after
    assert size >= 130 - 13


def test_f25_a_load_five_times_larger_overnight_is_served_at_once():
    """Live need wins over what every past day said; only the step limit stands between, plan by plan."""
    y = load() / 10
    y[-3:] *= 5
    need = int(np.ceil(y[-1]))
    size, sizes = 12, []
    for tick in range(4):
        at = NOW + timedelta(minutes=tick)
        changes = [Change(target="web", at=at - timedelta(minutes=1), before=1, after=size)]
        plan = planned(y, size, at=at, changes=changes)
        assert {held.guard for held in plan.held} <= {Guard.STEP}
        size = plan.actions[0].after if plan.actions else size
        sizes.append(size)
    assert sizes[-1] >= need
    assert sizes[:2] == [24, 48]
