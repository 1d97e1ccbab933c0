"""The gate of a plan: what an action carries, what is held and until when, and who goes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from policies import planner
from policies.model import CapacityType, Offering, PoolKind, Snapshot
from policies.plan import Guard, UsdRange
from policies.policy import Budget, Interlocks, Mode, MoneyBudget, Policy, PoolPolicy, Scope, Step
from tests.laws import strategies as draw

NOW = draw.NOW
HOUR = timedelta(hours=1)
WIDE = Step(units=1000, share=1.0)
FREE = Policy(
    default=PoolPolicy(cool_down_in_s=0, step_in=WIDE, step_out=WIDE),
    budgets=(),
    interlocks=Interlocks(),
    flap=None,
    fleet_share=1.0,
    plan_ttl_s=60,
)
TWO_PRICES = tuple(
    Offering(instance_type="m", zone="a", capacity_type=kind, hourly_usd=usd)
    for kind, usd in ((CapacityType.SPOT, 0.25), (CapacityType.ON_DEMAND, 1.0), (CapacityType.RESERVED, 2.0))
)


def plan(pools, demand, policy=FREE):
    outlooks = {pool.id: draw.outlook(pool.id, [load]) for pool, load in zip(pools, demand, strict=True)}
    return planner.plan(Snapshot(taken_at=NOW, pools=tuple(pools)), outlooks, policy)


@pytest.mark.parametrize(
    ("demand", "usd"), [(21.0, (0.25, 1.0, 2.0)), (19.0, (-2.0, -1.0, -0.25)), (22.0, (0.5, 2.0, 4.0))]
)
def test_an_action_carries_what_it_needs_to_be_done(demand, usd):
    """Version, kind of money, price from the cheapest to the dearest, and its ends."""
    pool = draw.simple_pool("api", 20, offerings=TWO_PRICES, version="7", kind=PoolKind.DEPLOYMENT)
    made = plan((pool,), (demand,))
    (action,) = made.actions
    assert (action.version, action.billable) == ("7", False)
    assert action.hourly_delta_usd == UsdRange(*usd)
    assert (action.not_before, action.expires_at) == (NOW, NOW + timedelta(seconds=60))
    assert (made.made_at, made.expires_at) == (action.not_before, action.expires_at)
    assert made.complete
    assert plan((draw.simple_pool("api", 20),), (demand,)).actions[0].billable


def test_what_is_held_says_why_and_until_when():
    """A budget and the share of a fleet name the end of their window, each in its own words."""
    limit = Budget(scope=Scope.POOL, step=Step(units=30, share=0.0), window_s=600)
    pool = draw.simple_pool("api", 100)
    (held,) = plan((pool,), (10.0,), replace(FREE, budgets=(limit,))).held
    assert held.until == NOW + timedelta(seconds=600)
    assert held.why == "at most 30 of a pool's units go in 10m"
    share, rest = plan((pool,), (10.0,), replace(FREE, budgets=(limit,), fleet_share=0.2)).held
    assert (share.guard, share.until) == (Guard.FLEET_SHARE, NOW + HOUR)
    assert share.why == "over 20 % of aws's units would go in 1h; approve this action"
    assert (share.action.before, share.action.after) == (80, 70)
    assert (rest.guard, rest.until, rest.why) == (Guard.CHANGE_BUDGET, held.until, held.why)
    assert (rest.action.before, rest.action.after) == (70, 10)


def test_growth_goes_by_name_and_shrinking_by_saving():
    """Growth first, by name whatever it costs; then what saves most by going, not what is largest."""
    cheap, dear = (tuple(replace(one, hourly_usd=usd) for one in TWO_PRICES) for usd in (1.0, 2.0))
    pools = (
        draw.simple_pool("a", 10, offerings=cheap),
        draw.simple_pool("b", 10, offerings=dear),
        draw.simple_pool("c", 90, offerings=cheap),  # saves 10 x 1
        draw.simple_pool("d", 20, offerings=dear),  # saves 10 x 2
        draw.simple_pool("e", 50),  # nobody knows what it saves
    )
    made = plan(pools, (20.0, 20.0, 80.0, 10.0, 10.0))
    assert [action.target for action in made.actions] == ["a", "b", "d", "c", "e"]


ACTS = replace(FREE.default, mode_out=Mode.AUTO, mode_in=Mode.AUTO, observe_first_s=0)


@pytest.mark.parametrize(
    "watched",
    [
        replace(ACTS, mode_out=Mode.OBSERVE, mode_in=Mode.OBSERVE),
        replace(ACTS, mode_out=Mode.APPROVE, mode_in=Mode.APPROVE),  # and nobody approved
        replace(ACTS, mode_out=Mode.REHEARSE, mode_in=Mode.REHEARSE),
        replace(ACTS, observe_first_s=3600),  # and nobody knows since when it has been there
    ],
)
def test_what_may_not_act_takes_nothing_from_what_acts(watched):
    """A hard budget of money and a provider's units go to the pool that acts, though the other is first."""
    dear = tuple(replace(one, hourly_usd=4.0) for one in TWO_PRICES)
    money = MoneyBudget(scope=Scope.ALL, usd=40.0, window_s=3600, hard=True)
    units = Budget(scope=Scope.PROVIDER, step=Step(units=10, share=0.0), window_s=3600)
    policy = replace(FREE, budgets=(units,), money=(money,), pools={"a": watched, "b": ACTS})
    pools = (draw.simple_pool("a", 50, offerings=dear), draw.simple_pool("b", 50, offerings=dear))
    for demand in ((60.0, 60.0), (30.0, 40.0)):
        made = plan(pools, demand, policy)
        assert [(one.target, one.after) for one in made.actions] == [("b", demand[1])]
        assert {one.action.target for one in made.held} == {"a"}
