"""The second question, right before an action: bounds, data, demand and budgets as they are by then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from policies import planner
from policies.changes import Ledger
from policies.model import CapacityType, Offering, Snapshot
from policies.plan import Action, Reason, kind_of
from policies.policy import Budget, Interlocks, Policy, PoolPolicy, Scope, Step
from tests.laws import strategies as draw

NOW = draw.NOW
WIDE = Step(units=1000, share=1.0)
FREE = Policy(
    default=PoolPolicy(cool_down_in_s=0, step_in=WIDE, step_out=WIDE),
    budgets=(),
    interlocks=Interlocks(),
    flap=None,
    fleet_share=1.0,
)
QUIET = draw.outlook("api", [0.0])


def action(before, after):
    return Action(
        kind=kind_of(before, after),
        target="api",
        before=before,
        after=after,
        reason=Reason.DEMAND_LOW,
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


def said(after, *, desired=20, outlook=QUIET, policy=FREE, ledger=None, **bounds):
    pool = draw.simple_pool("api", desired, **bounds)
    known = ledger or Ledger((pool,), (), NOW)
    return planner.permits(action(desired, after), pool, outlook, policy, ledger=known, now=NOW)


@pytest.mark.parametrize(
    ("desired", "after", "allowed"),
    [
        (20, 10, True),
        (20, 9, False),
        (20, 30, True),
        (20, 31, False),
        (40, 35, True),  # above the maximum, and nearer to it
        (40, 41, False),
        (5, 7, True),  # below the minimum, and nearer to it
        (5, 4, False),
    ],
)
def test_a_planned_size_outside_the_bounds_of_now_is_refused(desired, after, allowed):
    """P1 at the moment of acting: within [10, 30], or nearer to it than before."""
    found = said(after, desired=desired, minimum=10, maximum=30)
    assert found == ("" if allowed else f"MAXIMUM: {after} units lie outside 10 to 30")


def test_a_pool_without_an_outlook_may_grow_and_not_shrink():
    """P3 at the moment of acting: nobody knows its demand."""
    assert said(30, outlook=None) == ""
    assert said(10, outlook=None) == "INSUFFICIENT_DATA: no metric of this pool could be read"
    assert (
        said(10, outlook=draw.outlook("api", [np.nan])) == "INSUFFICIENT_DATA: the newest demand was not seen"
    )
    assert said(10, outlook=draw.outlook("api", [0.0], refusal="a gap")) == "INSUFFICIENT_DATA: a gap"


def test_demand_that_has_risen_since_refuses_a_shrink():
    """Part of a unit needs a whole one."""
    assert said(10, outlook=draw.outlook("api", [9.1])) == ""
    assert said(10, outlook=draw.outlook("api", [10.1])) == "LIVE_DEMAND: demand now needs 11 units"


def test_a_part_of_an_action_is_not_done():
    """A planned change that the guards would only let pass in part is refused whole."""
    ten = replace(FREE, budgets=(Budget(scope=Scope.POOL, step=Step(units=10, share=0.0), window_s=600),))
    assert said(10, policy=ten) == ""
    assert said(9, policy=ten).startswith("CHANGE_BUDGET: at most 10 of a pool's units go in 10m")


def test_what_passes_is_spent_at_once():
    """Two actions of one plan cannot both use what is left of a budget; the window begins now."""
    limit = Budget(scope=Scope.PROVIDER, step=Step(units=10, share=0.0), window_s=600)
    policy = replace(FREE, budgets=(limit,))
    pools = (draw.simple_pool("api", 20), draw.simple_pool("batch", 20))
    ledger = Ledger(pools, (), NOW)
    assert said(13, policy=policy, ledger=ledger) == ""
    assert ledger.left(limit, pools[1], NOW) == (3, NOW + timedelta(seconds=600))
    assert ledger.last_change("api") == NOW
    assert said(9, policy=policy, ledger=ledger).startswith("CHANGE_BUDGET")
    assert ledger.left(limit, pools[1], NOW)[0] == 3  # what is refused is not spent


def test_undo_says_why_it_leaves_a_pool_alone():
    """Gone, or at another size than the action left: named with the action's id."""
    one = action(20, 12)
    for pools, seen in (((), "it is gone"), ((draw.simple_pool("api", 15),), "it is at 15, not 12")):
        undone = planner.undo((one,), Snapshot(taken_at=NOW, pools=pools), {}, FREE)
        (gap,) = undone.gaps
        assert (gap.source, gap.code) == ("api", "MOVED")
        assert gap.why == f"{one.id} is not undone: {seen}"


def test_an_undo_is_a_plan_of_its_own():
    """It names what it undoes, its price, its demand, its ends and its inputs as any plan does."""
    one = action(12, 20)
    world = Snapshot(taken_at=NOW, pools=(draw.simple_pool("api", 20),))
    ahead = np.full((6, 3), 11.0)
    outlooks = {"api": draw.outlook("api", [8.2], ahead=ahead)}
    undone = planner.undo((one,), world, outlooks, replace(FREE, plan_ttl_s=60))
    (back,) = undone.actions
    assert (back.before, back.after, back.reason) == (20, 12, Reason.UNDO)
    assert [(fact.name, fact.value) for fact in back.because] == [("undoes", one.id)]
    assert back.confidence is not None
    assert (undone.made_at, undone.expires_at) == (NOW, NOW + timedelta(seconds=60))
    assert (back.not_before, back.expires_at) == (undone.made_at, undone.expires_at)
    same = planner.plan(world, outlooks, replace(FREE, plan_ttl_s=60))
    assert undone.snapshot_digest == same.snapshot_digest
    assert undone.policy_digest == same.policy_digest
    assert undone.forecasts_digest == same.forecasts_digest
    assert undone.complete


def test_an_undo_without_demand_grows_back_and_shrinks_nothing():
    """Nobody knows the demand of a pool whose metrics are absent: growth may be given back, not taken."""
    world = Snapshot(taken_at=NOW, pools=(draw.simple_pool("api", 12),))
    assert [a.after for a in planner.undo((action(20, 12),), world, {}, FREE).actions] == [20]
    (held,) = planner.undo((action(8, 12),), world, {}, FREE).held
    assert held.why == "no metric of this pool could be read"


def test_an_undo_waits_for_no_cool_down_of_growth_either():
    """What was shrunk a moment ago may grow back at once, and its price is told."""
    offering = Offering(instance_type="m", zone="a", capacity_type=CapacityType.ON_DEMAND, hourly_usd=0.5)
    pool = draw.simple_pool("api", 12, last_scaled_at=NOW, offerings=(offering,))
    slow = replace(FREE, pools={"api": replace(FREE.default, cool_down_out_s=3600)})
    undone = planner.undo((action(20, 12),), Snapshot(taken_at=NOW, pools=(pool,)), {"api": QUIET}, slow)
    (back,) = undone.actions
    assert back.after == 20
    assert back.hourly_delta_usd.mid == 4.0
