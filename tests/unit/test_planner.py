"""The planner by hand: small worlds whose plan can be told in advance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies import planner, scalers
from policies.model import CapacityType, Learnt, Offering, Snapshot
from policies.plan import Fact, Guard, Reason
from policies.plan_json import plan_from_json, plan_to_json
from policies.policy import Policy, PoolPolicy, Step
from policies.standing import Standing
from tests.laws import strategies as draw

WIDE = Step(units=1000, share=1.0)


def test_a_budget_is_used_up_to_its_limit():
    """The budget holds what is over it and not a unit more: the largest saving goes first."""
    price = (Offering(instance_type="m", zone="a", capacity_type=CapacityType.ON_DEMAND, hourly_usd=1.0),)
    pools = (draw.simple_pool("api", 30), draw.simple_pool("batch", 70, offerings=price))
    outlooks = {"api": draw.outlook("api", [0.0]), "batch": draw.outlook("batch", [68.0])}
    policy = Policy(
        default=PoolPolicy(step_in=WIDE, cool_down_in_s=0),
        budgets=(replace(Policy().budgets[1], step=Step(units=1, share=0.05)),),
    )
    made = planner.plan(Snapshot(taken_at=draw.NOW, pools=pools), outlooks, policy)
    assert [(a.target, a.before, a.after) for a in made.actions] == [("batch", 70, 68), ("api", 30, 27)]
    assert [(h.action.target, h.action.before, h.action.after, h.guard) for h in made.held] == [
        ("api", 27, 0, Guard.CHANGE_BUDGET)
    ]


def test_a_size_that_is_only_kept_grows_no_spare_upon_its_spare():
    """Without metrics, a pool that survives the loss of a zone keeps its size, tick after tick."""
    pool = replace(draw.simple_pool("api", 16), ready={"a": 6, "b": 5, "c": 5})
    policy = Policy(default=PoolPolicy(survive_zone_loss=True))
    made = planner.plan(Snapshot(taken_at=draw.NOW, pools=(pool,)), {}, policy)
    assert (made.actions, made.held) == ((), ())


@pytest.mark.parametrize("name", scalers.names())
def test_no_live_demand_no_shrink_whatever_the_scaler(name):
    """A pool whose metric fell silent keeps its size under every scaler."""
    outlook = draw.outlook("api", [1.0] * 30 + [np.nan] * 3)
    policy = Policy(default=PoolPolicy(scaler=name, cool_down_in_s=0, step_in=WIDE), budgets=())
    made = planner.plan(
        Snapshot(taken_at=draw.NOW, pools=(draw.simple_pool("api", 20),)), {"api": outlook}, policy
    )
    assert made.actions == ()
    assert {entry.guard for entry in made.held} <= {Guard.INSUFFICIENT_DATA}
    assert [gap.source for gap in made.gaps] == ["api"]


def test_of_several_proposals_the_largest_counts():
    """Merge: one proposal a pool, the largest, in the order of ids whatever came first."""
    world = Snapshot(taken_at=draw.NOW, pools=(draw.simple_pool("b", 5), draw.simple_pool("a", 5)))
    b, a = planner.propose(world, {}, Policy())
    more, less = replace(b, wanted=9), replace(b, wanted=2)
    for order in ([more, less, b, a], [a, less, more, b], [less, a, b, more]):
        assert [(p.pool.id, p.wanted) for p in planner.merge(order)] == [("a", 5), ("b", 9)]


FREE = Policy(default=PoolPolicy(cool_down_in_s=0, step_in=WIDE, step_out=WIDE), budgets=(), fleet_share=1.0)


def _undo(pool, actions, *, demand=0.0):
    world = Snapshot(taken_at=draw.NOW, pools=(pool,))
    return planner.undo(actions, world, {pool.id: draw.outlook(pool.id, [demand])}, FREE)


def _grown(pool_size, demand):
    made = planner.plan(
        Snapshot(taken_at=draw.NOW, pools=(draw.simple_pool("api", pool_size),)),
        {"api": draw.outlook("api", [demand])},
        FREE,
    )
    return made.actions


def test_undo_takes_the_last_of_two_changes_back():
    """9 -> 6 followed 4 -> 6: at 6 the later one is taken back, the earlier one is named as moved."""
    earlier, later = *_grown(4, 6.0), *_grown(9, 6.0)
    undone = _undo(draw.simple_pool("api", 6), (earlier, later))
    assert [(a.before, a.after) for a in undone.actions] == [(6, 9)]
    assert [gap.code for gap in undone.gaps] == ["MOVED"]
    assert earlier.id in undone.gaps[0].why


def test_undo_does_not_shrink_below_live_demand():
    """Growth that is needed by now is taken back only as far as demand allows."""
    undone = _undo(draw.simple_pool("api", 20), _grown(5, 20.0), demand=12.0)
    assert [(a.before, a.after) for a in undone.actions] == [(20, 12)]
    assert [(h.action.before, h.action.after, h.guard) for h in undone.held] == [(12, 5, Guard.LIVE_DEMAND)]


def test_undo_passes_every_guard_but_the_cool_down():
    """A frozen or protected pool is not undone; one that has just changed is."""
    actions = _grown(5, 20.0)
    assert _undo(draw.simple_pool("api", 20, protected=True), actions).held[0].guard is Guard.PROTECTED
    busy = draw.simple_pool("api", 20, last_scaled_at=draw.NOW)
    slow = replace(FREE, default=replace(FREE.default, cool_down_in_s=3600))
    world = Snapshot(taken_at=draw.NOW, pools=(busy,))
    quiet = {"api": draw.outlook("api", [0.0])}
    assert [a.after for a in planner.undo(actions, world, quiet, slow).actions] == [5]


def test_the_scaler_sees_a_pool_without_its_spare():
    """HPA at 15 of which 5 are spare: a demand of 9.5 is within the tolerance of 10, so all 15 stay."""
    policy = replace(FREE, default=replace(FREE.default, scaler="hpa", survive_zone_loss=True))
    pool = replace(draw.simple_pool("api", 15), ready={"a": 5, "b": 5, "c": 5})
    for demand, size in ((9.5, None), (14.0, 21), (5.0, 8)):
        outlook = draw.outlook("api", [demand] * 12)
        made = planner.plan(Snapshot(taken_at=draw.NOW, pools=(pool,)), {"api": outlook}, policy)
        assert [a.after for a in made.actions] == ([] if size is None else [size])


@pytest.mark.parametrize(
    ("desired", "demand", "ahead", "reason"),
    [
        (1, 5.0, None, "BELOW_MINIMUM"),
        (99, 5.0, None, "ABOVE_MAXIMUM"),
        (9, 5.0, None, "DEMAND_LOW"),
        (5, 9.0, None, "LIVE_DEMAND"),
        (5, 5.0, 9.0, "FORECAST_PEAK"),
        (5, 9.0, 9.0, "LIVE_DEMAND"),
    ],
)
def test_an_action_says_why(desired, demand, ahead, reason):
    """Below the minimum, above the maximum, demand low or high now, or high soon."""
    pool = draw.simple_pool("api", desired, minimum=2, maximum=50)
    quantiles = None if ahead is None else np.full((6, 3), ahead)
    outlook = draw.outlook("api", [demand], ahead=quantiles)
    (action,) = planner.plan(Snapshot(taken_at=draw.NOW, pools=(pool,)), {"api": outlook}, FREE).actions
    assert action.reason.value == reason
    facts = {fact.name: fact.value for fact in action.because}
    assert facts["demand now"] == demand
    assert facts["scaler"] == "seasonal_quantile"
    assert ("0.99 quantile of demand over the lead time" in facts) == (ahead is not None)


def test_a_size_chosen_by_replay_says_so():
    """What a scaler wants by replay of its own past is no forecast's peak; demand now still comes first."""
    pool, chosen = draw.simple_pool("api", 5), (Fact(name="own past", value="forecasts save 9 %"),)
    for demand, reason in ((4.0, "OWN_PAST"), (9.0, "LIVE_DEMAND")):
        standing = Standing(units=8, because=chosen)
        outlook = replace(draw.outlook("api", [demand]), standing=standing)
        (action,) = planner.plan(Snapshot(taken_at=draw.NOW, pools=(pool,)), {"api": outlook}, FREE).actions
        assert (action.after, action.reason.value) == (max(8, demand), reason)
        assert chosen[0] in action.because


def test_a_forecast_of_nothing_is_no_fact():
    """Quantiles that are all NaN leave the live demand to decide, and the plan can be written down."""
    outlook = draw.outlook("api", [9.0], ahead=np.full((6, 3), np.nan))
    made = planner.plan(
        Snapshot(taken_at=draw.NOW, pools=(draw.simple_pool("api", 5),)), {"api": outlook}, FREE
    )
    assert [a.after for a in made.actions] == [9]
    assert plan_from_json(plan_to_json(made)) == made


@pytest.mark.parametrize(
    ("scaler", "size", "demand", "after"),
    [
        ("hpa", 105, [99.5] * 4 + [90.0] * 6, 90),
        ("target_tracking", 12, [10.5] * 15 + [9.2] * 10, 10),
    ],
)
def test_a_shrink_is_not_followed_by_growth_at_the_same_moment(scaler, size, demand, after):
    """A size that the past alone asked for, and the present does not, is not asked for once it was left."""
    policy = replace(FREE, default=replace(FREE.default, scaler=scaler))
    outlook = draw.outlook("api", demand)
    for before in (size, after):
        world = Snapshot(taken_at=draw.NOW, pools=(draw.simple_pool("api", before),))
        made = planner.plan(world, {"api": outlook}, policy)
        assert [a.after for a in made.actions] == ([after] if before == size else [])


def told(**changes):
    """The proposal of a pool of 6 units in 3 zones for demand of 6.5 units now."""
    outlook = replace(draw.outlook("api", [6.5]), model="ridge", levels=(0.5, 0.9995), **changes)
    pool = replace(
        draw.simple_pool("api", 6),
        ready={"a": 2, "b": 2, "c": 2},
        lead_time_s=420,
        lever="minReplicas of HorizontalPodAutoscaler api",
        learnt=(Learnt(name="lead time", value=420, unit="s", source="ready", why="the p90 of 9 growths"),),
    )
    policy = Policy(default=PoolPolicy(scaler="static", survive_zone_loss=True))
    return planner._proposal(pool, 7, outlook, policy, (6.0, 8.25))


def test_a_proposal_tells_every_figure_it_was_made_from():
    """In order: demand now, the peak, the rule, what is set and learnt, events, notes, and the spare."""
    made = told(events=("sale: x1.5",), notes=("learning: day 3 of 14",), censored=np.array([True]))
    assert made.because == (
        Fact(name="demand now", value=6.5, unit="units", window="at least, the pool was full"),
        Fact(
            name="0.9995 quantile of demand over the lead time",
            value=8.25,
            unit="units",
            source="ridge",
            window="420 s",
        ),
        Fact(name="scaler", value="static"),
        Fact(name="sets", value="minReplicas of HorizontalPodAutoscaler api"),
        Fact(name="lead time", value=420, unit="s", source="ready", window="the p90 of 9 growths"),
        Fact(name="event", value="sale: x1.5"),
        Fact(name="forecast", value="learning: day 3 of 14"),
        Fact(name="spare for the loss of a zone", value=4, unit="units"),
    )
    assert (made.wanted, made.need, made.reason, made.peaks) == (11, 7, Reason.FORECAST_PEAK, (6.0, 8.25))
    assert told().because[0] == Fact(name="demand now", value=6.5, unit="units")


def test_events_and_minimums_raise_what_a_scaler_wants():
    """A multiplier rounds up, a declared least is kept, and of all of them the largest counts."""
    policy = Policy(default=PoolPolicy(scaler="static"))
    pool = draw.simple_pool("api", 6)

    def wanted(sized, **changes):
        made = planner._proposal(pool, sized, replace(draw.outlook("api", [2.0]), **changes), policy)
        return made.wanted, made.need, made.reason

    assert wanted(7) == (7, 2, Reason.FORECAST_PEAK)
    assert wanted(7, multiplier=1.5) == (11, 2, Reason.FORECAST_PEAK)
    assert wanted(4, multiplier=2.0) == (8, 2, Reason.FORECAST_PEAK)
    assert wanted(1, least=2.5) == (3, 2, Reason.DEMAND_LOW)
    assert wanted(1, least=6.0) == (6, 2, Reason.FORECAST_PEAK)
    assert wanted(1) == (2, 2, Reason.DEMAND_LOW)
    assert (
        wanted(9, standing=Standing(units=9, because=(Fact(name="plan", value="hpa"),)))[2] is Reason.OWN_PAST
    )
    assert wanted(9, standing=Standing(units=9))[2] is Reason.FORECAST_PEAK


def test_a_spare_that_is_not_there_is_told():
    """Where ready units are not told by zone, nobody may believe in a spare: once in the evidence."""
    policy = replace(FREE, default=replace(FREE.default, survive_zone_loss=True))
    outlook = {"api": draw.outlook("api", [9.0] * 12)}
    for ready, told in (({"": 5}, 1), ({}, 1), ({"a": 5}, 1), ({"a": 3, "b": 2}, 0)):
        pool = replace(draw.simple_pool("api", 5), ready=ready)
        made = planner.plan(Snapshot(taken_at=draw.NOW, pools=(pool,)), outlook, policy)
        (action,) = made.actions
        said = [fact for fact in action.because if fact.name == "survive_zone_loss"]
        assert len(said) == told
        assert bool(planner.without_spare([pool], policy)) is bool(told)
        assert planner.without_spare([pool], FREE) == ""
    pools = [replace(draw.simple_pool(name, 5), ready={}) for name in ("b", "a")]
    assert planner.without_spare(pools, policy).endswith(": a, b")
