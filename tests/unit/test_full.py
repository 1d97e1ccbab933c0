"""Where a pool was full: told by its series, carried through learning, and never a reason to shrink."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from autoscaler import full
from autoscaler.declared import DeclaredDemand, DeclaredPool, Latency, Observed, Utilization
from forecasts.types import Series
from policies import learning, planner
from policies.model import Demand, PoolKind, Snapshot
from policies.outlook import FULL, Outlook
from policies.plan import Guard
from policies.policy import Policy, PoolPolicy
from policies.standing import LEARNS, Rule, Task

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTES = 60


def series(name, y, step=60):
    """A series that ends now."""
    y = np.asarray(y, float)
    return Series(unique_id=name, start=NOW - timedelta(seconds=step * len(y)), step_s=step, y=y)


def declared(**more):
    """A pool of one metric."""
    return DeclaredPool(
        id="web",
        provider="fake",
        kind=PoolKind.INSTANCE_GROUP,
        minimum=1,
        maximum=50,
        desired=10,
        demands=(DeclaredDemand(series="load", unit_capacity=10.0, **more),),
        observed=Observed(ready="ready"),
    )


def pool(desired=10):
    """The pool as it is seen."""
    demands = (Demand(series="load", unit_capacity=10.0),)
    return replace(declared().seed(), desired=desired, ready={"a": desired}, demands=demands)


def shown(which, seen):
    """The minutes of the last hour that are censored."""
    cut = full.censored(which, pool(), seen, series("web", np.zeros(MINUTES)))
    return None if cut is None else np.flatnonzero(cut).tolist()


LOAD = np.r_[np.full(50, 40.0), np.full(10, 120.0)]


def test_a_metric_at_its_top_is_a_lower_bound():
    """From saturates_at on; without the key nothing is."""
    seen = {"load": series("load", LOAD)}
    assert shown(declared(saturates_at=120.0), seen) == list(range(50, 60))
    assert shown(declared(saturates_at=121.0), seen) == []
    assert shown(declared(), seen) is None


@pytest.mark.parametrize("top", [1.0, 100.0])
def test_a_full_utilization_tells_in_its_own_steps(top):
    """A step of five minutes at 95 % or more of its top covers five minutes of demand."""
    used = np.full(12, 0.5)
    used[[3, 7]] = 0.95, 0.94
    used[0] = np.nan
    seen = {"load": series("load", LOAD), "cpu": series("cpu", top * used, step=300)}
    which = declared(utilization=Utilization(series="cpu", target=0.7, top=top))
    assert shown(which, seen) == list(range(15, 20))
    assert shown(which, {"load": seen["load"]}) is None


def test_a_broken_objective_tells_where_every_unit_is_busy():
    """120 a minute on ten units of 10 is overload where latency says so; 40 is not, however slow."""
    slow = np.full(MINUTES, 0.5)
    slow[55] = 0.1
    seen = {
        "load": series("load", LOAD),
        "ready": series("ready", np.full(MINUTES, 10.0)),
        "p95": series("p95", slow),
    }
    which = declared(latency=Latency(series="p95", objective=0.25))
    assert shown(which, seen) == [50, 51, 52, 53, 54, 56, 57, 58, 59]
    assert shown(which, {name: seen[name] for name in ("load", "p95")}) is None


def outlook(y, cut):
    """Demand in units up to now."""
    return Outlook(pool_id="web", demand=series("web", y), censored=cut)


def planned(y, cut, desired):
    """The plan of a pool of that size."""
    rule = PoolPolicy(scaler="rolling_max", settings={"margin": 1.0, "window_s": 600})
    snapshot = Snapshot(taken_at=NOW, pools=(pool(desired),))
    return planner.plan(snapshot, {"web": outlook(y, cut)}, Policy(default=rule))


def test_a_full_pool_grows_and_does_not_shrink():
    """Its newest demand is at least so much: that is needed, and less is never enough."""
    cut = np.zeros(MINUTES, dtype=bool)
    cut[-1] = True
    y = np.full(MINUTES, 12.0)
    plan = planned(y, cut, 30)
    assert plan.actions == ()
    assert [(held.guard, held.why) for held in plan.held] == [(Guard.INSUFFICIENT_DATA, FULL)]
    assert plan.complete
    (action,) = planned(y, cut, 11).actions
    assert action.after == 12
    (fact,) = [fact for fact in action.because if fact.name == "demand now"]
    assert (fact.value, fact.window) == (12.0, "at least, the pool was full")


def test_what_was_full_an_hour_ago_lets_it_shrink():
    """Only the newest demand that was seen decides, late by a step or not."""
    y = np.full(MINUTES, 12.0)
    cut = np.ones(MINUTES, dtype=bool)
    cut[-2:] = False
    assert planned(y, cut, 30).actions[0].after < 30
    y[-1] = np.nan
    assert planned(y, cut, 30).actions[0].after < 30
    y[-2] = np.nan
    assert planned(y, cut, 30).actions == ()


def task(y, cut, scaler, kept=None):
    """A pool that learns, of hourly demand."""
    rule = Rule(scaler=scaler, violation=0.02, lead_steps=1)
    start = datetime(2026, 2, 2, tzinfo=UTC)
    return Task(
        pool_id="web",
        rule=rule,
        minimum=1,
        demand=Series(unique_id="web", start=start, step_s=3600, y=y),
        settled=len(y) - 2,
        of=learning.depends_on(rule, 1, 3600, [("web", 10.0)]),
        kept=kept,
        censored=cut,
    )


@pytest.mark.parametrize("scaler", sorted(LEARNS))
def test_bounds_go_by_the_same_road_as_demand(scaler):
    """In pieces, each with its part of the mask, as at once; and not as if there were no mask."""
    chance = np.random.default_rng(2)
    y = 20 + 10 * np.sin(np.arange(24 * 6) / 24 * 2 * np.pi) + chance.normal(0, 3, 24 * 6)
    cut = y > 26
    y = np.minimum(y, 26)
    (whole,) = learning.go_on([task(y, cut, scaler)])
    kept = None
    for until in (30, 31, 90, len(y)):
        (step,) = learning.go_on([task(y[:until], cut[:until], scaler, kept)])
        kept = step.kept or kept
    assert step.standing == whole.standing
    pairs = list(zip(kept.memory.arrays, whole.kept.memory.arrays, strict=True))
    assert all(np.allclose(*pair, equal_nan=True) for pair in pairs)
    (blind,) = learning.go_on([task(y, None, scaler)])
    pairs = list(zip(kept.memory.arrays, blind.kept.memory.arrays, strict=True))
    assert not all(np.allclose(*pair, equal_nan=True) for pair in pairs)


def test_what_is_learnt_depends_on_what_tells_of_bounds():
    """Another saturates_at, objective or series, and it is learnt anew; the same, and it is not."""
    rule = Rule(scaler="portfolio", violation=0.01, lead_steps=1)
    plain, low, high, slow = (
        learning.depends_on(rule, 1, 60, [("load", 10.0)], bounds=full.signs(which))
        for which in (
            declared(),
            declared(saturates_at=90.0),
            declared(saturates_at=100.0),
            declared(latency=Latency(series="p95", objective=0.25)),
        )
    )
    assert len({plain, low, high, slow}) == 4
    again = learning.depends_on(rule, 1, 60, [("load", 10.0)], bounds=full.signs(declared(saturates_at=90.0)))
    assert again == low
