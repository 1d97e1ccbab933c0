"""The planner with conditions: freezes and interlocks in plans, undo, and again before each action."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from policies import planner
from policies.changes import Ledger
from policies.conditions import NO_CONDITIONS, Conditions, Reading
from policies.model import Snapshot
from policies.plan import Action, ActionKind, Change, Guard, Reason, kind_of
from policies.policy import Flap, Freeze, Interlocks, Policy, PoolPolicy, Scope, Signal, SignalKind, Step
from tests.laws import strategies as draw

NOW = draw.NOW
WIDE = Step(units=1000, share=1.0)
POLICY = Policy(
    default=PoolPolicy(cool_down_in_s=0, step_in=WIDE, step_out=WIDE),
    budgets=(),
    flap=None,
    fleet_share=1.0,
    interlocks=Interlocks(
        signals=(Signal(series="errors", kind=SignalKind.SERVICE_LEVEL, above=0.01),),
    ),
)
GOOD = {"errors": Reading(value=0.0, at=NOW)}
BAD = {"errors": Reading(value=0.5, at=NOW)}
API = draw.simple_pool("api", 20)


def plan(demand, *, policy=POLICY, changes=(), **known):
    return planner.plan(
        Snapshot(taken_at=NOW, pools=(API,)),
        {"api": draw.outlook("api", [demand])},
        policy,
        changes=changes,
        conditions=Conditions(**known),
    )


def permits(action, *, policy=POLICY, changes=(), pool=API, demand=5.0, **known):
    return planner.permits(
        action,
        pool,
        draw.outlook("api", [demand]),
        policy,
        ledger=Ledger((pool,), changes, NOW),
        now=NOW,
        conditions=Conditions(**known),
    )


def test_a_bad_service_level_holds_a_plans_shrink_and_not_its_growth():
    """Held with the signal's code; with a good signal the same plan acts; growth goes in any case."""
    (held,) = plan(5.0, readings=BAD).held
    assert (held.action.before, held.action.after, held.guard) == (20, 5, Guard.SERVICE_LEVEL)
    assert [a.after for a in plan(5.0, readings=GOOD).actions] == [5]
    for readings in (BAD, GOOD, {}):
        assert [a.after for a in plan(30.0, readings=readings).actions] == [30]


def test_without_conditions_a_signal_is_not_known():
    """A plan that was told nothing of a signal does not shrink by it."""
    world = Snapshot(taken_at=NOW, pools=(API,))
    made = planner.plan(world, {"api": draw.outlook("api", [5.0])}, POLICY)
    assert [entry.guard for entry in made.held] == [Guard.INSUFFICIENT_DATA]


def test_f67_freezes_count_from_wherever_they_come():
    """The policy's and those in force beside it: each of them alone holds growth and shrink of a plan."""
    freeze = Freeze(scope=Scope.POOL, name="api", why="migration")
    for demand in (5.0, 30.0):
        for made in (
            plan(demand, readings=GOOD, freezes=(freeze,)),
            plan(demand, readings=GOOD, policy=replace(POLICY, freezes=(freeze,))),
        ):
            assert made.actions == ()
            assert [(entry.guard, entry.why) for entry in made.held] == [(Guard.FROZEN, "migration")]


@pytest.mark.parametrize("demand", [5.0, 30.0])
def test_f67_a_freeze_stops_an_action_that_is_about_to_be_done(demand):
    """What a plan let pass is refused where a freeze has come since; without it, it is not."""
    (action,) = plan(demand, readings=GOOD).actions
    assert permits(action, readings=GOOD, demand=demand) == ""
    freeze = Freeze(scope=Scope.ALL)
    said = permits(action, readings=GOOD, demand=demand, freezes=(freeze,))
    assert said == "FROZEN: frozen by the operator"


def test_growth_that_never_came_up_can_be_undone():
    """Units that are not ready hold a shrink, and not the taking back of growth."""
    pool = replace(API, ready={"a": 0})
    world = Snapshot(taken_at=NOW, pools=(pool,))
    outlooks = {"api": draw.outlook("api", [1.0])}
    grown = Action(
        kind=kind_of(1, pool.desired),
        target="api",
        before=pool.desired - 1,
        after=pool.desired,
        reason=Reason.LIVE_DEMAND,
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )
    known = Conditions(readings=GOOD)
    made = planner.undo([grown], world, outlooks, POLICY, conditions=known)
    assert [one.after for one in made.actions] == [pool.desired - 1]
    plain = planner.plan(world, outlooks, POLICY, conditions=known)
    assert Guard.UNREADY in {entry.guard for entry in plain.held}


def test_a_shrink_is_refused_where_its_signal_has_turned():
    """Interlocks are asked again before the act, with what is known by then."""
    (action,) = plan(5.0, readings=GOOD).actions
    assert permits(action, readings=BAD).startswith("SERVICE_LEVEL: errors")
    assert permits(action).startswith("INSUFFICIENT_DATA: errors")
    assert permits(action, readings=GOOD, in_flight={"api": NOW}).startswith("IN_FLIGHT: ")


JUST_GREW = (Change(target="api", at=NOW, before=5, after=20),)
WAITING = replace(
    POLICY,
    default=replace(POLICY.default, cool_down_in_s=3600),
    pools={"api": replace(POLICY.default, cool_down_in_s=3600)},
    flap=Flap(reversals=1),
)
TURNED = (Change(target="api", at=draw.ago(1), before=9, after=5), *JUST_GREW)


@pytest.mark.parametrize(
    ("policy", "changes", "known", "guard"),
    [
        (WAITING, JUST_GREW, {}, Guard.RECENT_GROWTH),
        (replace(WAITING, interlocks=Interlocks(recent_growth_s=0)), JUST_GREW, {}, Guard.COOL_DOWN),
        (
            replace(
                WAITING,
                interlocks=Interlocks(recent_growth_s=0),
                pools={},
                default=replace(WAITING.default, cool_down_in_s=0),
            ),
            TURNED,
            {},
            Guard.FLAPPING,
        ),
        (POLICY, (), {"running_s": 0.0}, Guard.WARM_UP),
        (replace(WAITING, pools={}), JUST_GREW, {"running_s": 1.0}, Guard.WARM_UP),
    ],
)
def test_undo_waits_for_nothing_that_only_time_lifts(policy, changes, known, guard):
    """A plan's own shrink is held by each of these; taking growth back is not, planned or now done."""
    known = {"readings": GOOD} | known
    assert [entry.guard for entry in plan(5.0, policy=policy, changes=changes, **known).held] == [guard]
    grown = plan(5.0, readings=GOOD).actions[0].inverse()  # 5 -> 20
    undone = planner.undo(
        (grown,),
        Snapshot(taken_at=NOW, pools=(API,)),
        {"api": draw.outlook("api", [0.0])},
        policy,
        changes=changes,
        conditions=Conditions(**known),
    )
    assert [(a.kind, a.after) for a in undone.actions] == [(ActionKind.SCALE_IN, 5)]
    assert permits(undone.actions[0], policy=policy, changes=changes, **known) == ""
    planned = plan(5.0, readings=GOOD).actions[0]
    assert permits(planned, policy=policy, changes=changes, **known).startswith(f"{guard}: ")


@pytest.mark.parametrize(
    ("known", "guard"),
    [
        ({"readings": BAD}, Guard.SERVICE_LEVEL),
        ({}, Guard.INSUFFICIENT_DATA),
        ({"readings": GOOD, "freezes": (Freeze(scope=Scope.ALL),)}, Guard.FROZEN),
        ({"readings": GOOD, "in_flight": {"api": NOW}}, Guard.IN_FLIGHT),
    ],
)
def test_undo_passes_every_other_guard(known, guard):
    """Taking growth back is a shrink: bad signals, freezes and changes under way hold it."""
    grown = plan(5.0, readings=GOOD).actions[0].inverse()
    undone = planner.undo(
        (grown,),
        Snapshot(taken_at=NOW, pools=(API,)),
        {"api": draw.outlook("api", [0.0])},
        POLICY,
        conditions=Conditions(**known),
    )
    assert undone.actions == ()
    assert [entry.guard for entry in undone.held] == [guard]


def test_conditions_left_out_are_none():
    """Plan, undo and permits know nothing beside the pools unless they are told."""
    free = replace(POLICY, interlocks=Interlocks())
    world, outlooks = Snapshot(taken_at=NOW, pools=(API,)), {"api": draw.outlook("api", [5.0])}
    assert planner.plan(world, outlooks, free) == planner.plan(
        world, outlooks, free, conditions=NO_CONDITIONS
    )
