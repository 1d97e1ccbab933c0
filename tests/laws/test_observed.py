"""Series of one pool on one grid, and figures that stand still from turn to turn: known values, no future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.types import Series
from policies import observed, planner
from policies.model import Demand, Learnt, Pool, PoolKind, Snapshot
from policies.outlook import Outlook
from policies.policy import Policy, PoolPolicy

STEP = 300
MONDAY = datetime(2026, 3, 16, tzinfo=UTC)
START = MONDAY - timedelta(days=14)
STEPS = 17 * 288  # to the Thursday after it


def series(y, name="s", *, start=START, step=STEP) -> Series:
    """A series in steps of five minutes."""
    return Series(unique_id=name, start=start, step_s=step, y=np.asarray(y, float))


def pool(seed: int, capacity: float = 100.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seventeen days of demand, ready units, and how full they were."""
    chance = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * np.arange(STEPS) / 288)
    rho = np.clip(0.5 + 0.3 * wave + chance.normal(0, 0.05, STEPS), 0.06, 0.94)
    ready = np.round(10 + 5 * wave)
    return rho * ready * capacity, ready, rho


def at_70(y: tuple[np.ndarray, np.ndarray, np.ndarray], now: datetime):
    """The unit capacity at 70 % utilization."""
    demand, ready, used = (series(values).until(now) for values in y)
    return observed.from_utilization(demand, ready, used, target=0.7, top=1.0, now=now)


@given(st.integers(1, 12), st.integers(0, 40), st.integers(0, 2**31))
def test_series_of_other_steps_come_to_the_grid_of_the_coarsest(times, late, seed):
    """A finer series gives its mean, or its last value, of exactly the samples within each step."""
    y = np.random.default_rng(seed).random(120)
    y[::7] = np.nan
    fine = series(y, step=60, start=START + timedelta(seconds=60 * late))
    coarse = series(np.arange(40.0), step=60 * times)
    means, wholes = observed.on_one_grid([fine, coarse])
    lasts, _ = observed.on_one_grid([fine, coarse], last=True)
    assert means.step_s == wholes.step_s == 60 * times
    mean, whole, last = means.y, wholes.y, lasts.y
    first = -(-late // times)
    assert whole.tolist() == np.arange(40.0)[first : first + len(whole)].tolist()
    for at in range(len(mean)):
        part = y[(first + at) * times - late :][:times]
        part = part[np.isfinite(part)]
        assert mean[at] == pytest.approx(part.mean() if len(part) else np.nan, nan_ok=True)
        assert last[at] == pytest.approx(part[-1] if len(part) else np.nan, nan_ok=True)


@given(st.integers(0, 2**31), st.floats(0, 71.9))
def test_a_figure_holds_through_the_week(seed, hours):
    """From Monday on the same unit capacity, to the last digit, whatever noise the days bring."""
    y = pool(seed)
    monday, later = at_70(y, MONDAY), at_70(y, MONDAY + timedelta(hours=hours))
    assert later.value == monday.value is not None


def test_another_figure_is_taken_at_the_next_midnight():
    """A unit that serves a third of what it did is believed within days, not only on the next Monday."""
    demand, ready, used = pool(3)
    demand[: 7 * 288] = np.nan  # one week of history at the old figure
    demand[14 * 288 :] /= 3
    y = (demand, ready, used)
    monday = at_70(y, MONDAY + timedelta(hours=20)).value
    thursday = at_70(y, MONDAY + timedelta(days=3)).value
    assert monday == pytest.approx(70, rel=0.05)
    assert thursday == pytest.approx(70 / 3, rel=0.05)


def test_the_first_days_are_learnt_from_at_once():
    """Before anything was known by midnight, what is known by now counts."""
    demand, ready, used = pool(4)
    demand[: 14 * 288] = np.nan
    y = (demand, ready, used)
    assert at_70(y, MONDAY + timedelta(hours=4)).value is None
    assert at_70(y, MONDAY + timedelta(hours=20)).value == pytest.approx(70, rel=0.1)


@given(st.integers(0, 2**31), st.integers(1, STEPS))
def test_what_comes_later_changes_nothing(seed, cut):
    """The figure at a moment is the same whether or not anything is known of what followed."""
    demand, ready, used = (series(values) for values in pool(seed))
    now = START + timedelta(seconds=STEP * cut)
    whole = observed.from_utilization(demand, ready, used, target=0.7, top=1.0, now=now)
    then = [one.until(now) for one in (demand, ready, used)]
    assert repr(observed.from_utilization(*then, target=0.7, top=1.0, now=now)) == repr(whole)
    asked = series(np.roll(ready.y, -1))
    lead = observed.lead_time(asked, ready, declared_s=300, now=now)
    assert observed.lead_time(asked.until(now), then[1], declared_s=300, now=now) == lead


def test_a_latency_far_below_its_objective_gives_the_largest_load_seen():
    """Nothing is said beyond what was seen, and the line says so."""
    demand, ready, _ = (series(values) for values in pool(5))
    found = observed.from_latency(demand, ready, series(np.full(STEPS, 0.05)), objective=0.25, now=demand.end)
    assert found.at_least
    assert found.value <= np.max(demand.y / ready.y)
    assert found.why.startswith("at least, the objective was never broken")


@given(st.integers(0, 5), st.floats(0, 900), st.floats(1e-6, 1e6), st.booleans(), st.integers(1, 5))
def test_small_pools_round_up_and_keep_their_minimum(minimum, demand, capacity, survive, running):
    """Pools of a few units by a learnt capacity: whole units, rounded up, never below the minimum."""
    mine = Pool(
        id="web",
        provider="fake",
        kind=PoolKind.INSTANCE_GROUP,
        desired=running,
        ready={"a": running, "b": 0},
        minimum=minimum,
        maximum=5,
        demands=(Demand(series="web", unit_capacity=capacity),),
        learnt=(Learnt(name="unit capacity", value=capacity, source="web", why="median"),),
    )
    now = MONDAY
    y = series(np.full(30, demand / capacity), step=60, start=now - timedelta(minutes=30))
    rule = PoolPolicy(scaler="rolling_max", settings={"margin": 1.0}, survive_zone_loss=survive)
    (proposal,) = planner.propose(
        Snapshot(taken_at=now, pools=(mine,)), {"web": Outlook(pool_id="web", demand=y)}, Policy(default=rule)
    )
    need = int(np.ceil(demand / capacity))
    assert proposal.need == need
    assert proposal.wanted >= max(minimum, need)
    if not survive:
        assert proposal.wanted == max(minimum, need)
    (fact,) = [fact for fact in proposal.because if fact.name == "unit capacity"]
    assert (fact.value, fact.source, fact.window) == (capacity, "web", "median")
    plan = planner.plan(
        Snapshot(taken_at=now, pools=(mine,)), {"web": Outlook(pool_id="web", demand=y)}, Policy(default=rule)
    )
    assert all(min(running, minimum) <= action.after <= max(running, 5) for action in plan.actions)
