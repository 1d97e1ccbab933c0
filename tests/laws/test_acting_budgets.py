"""Flap, money and the share of a fleet: at the exact edge, and over whole histories of ticks (P2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import money, planner
from policies.changes import Ledger
from policies.conditions import NO_CONDITIONS, Approval, Conditions
from policies.guards import flapping, fleet, judge
from policies.model import CapacityType, Offering, Snapshot
from policies.plan import ActionKind, Change, Fact, Guard, action_id
from policies.policy import (
    Budget,
    Flap,
    Interlocks,
    MoneyBudget,
    Policy,
    PoolPolicy,
    Scope,
    Step,
)
from policies.wishes import Wish
from tests.laws import strategies as draw

NOW = draw.NOW
WIDE = Step(units=1000, share=1.0)
FREE = Policy(
    default=PoolPolicy(cool_down_in_s=0, step_in=WIDE, step_out=WIDE),
    budgets=(),
    interlocks=Interlocks(unready_share=1.0, recent_growth_s=0),
    flap=None,
    fleet_share=1.0,
)
API = draw.simple_pool("api", 100)


def priced(name, desired, usd=1.0, **other):
    offering = Offering(instance_type="m", zone="a", capacity_type=CapacityType.ON_DEMAND, hourly_usd=usd)
    return draw.simple_pool(name, desired, offerings=(offering,), **other)


def changed(seconds, before, after, target="api"):
    return Change(target=target, at=draw.ago(seconds), before=before, after=after)


def turns(*seconds):
    """Changes so many seconds ago, in turn up and down, the first of them up."""
    return [
        changed(ago, 100, 101) if number % 2 == 0 else changed(ago, 101, 100)
        for number, ago in enumerate(seconds)
    ]


THREE = Flap(reversals=3, window_s=3600)


@pytest.mark.parametrize(
    ("changes", "until_s"),
    [
        ((), None),
        (turns(900, 600, 300), None),
        (turns(900, 600, 300, 0), 2700),
        (turns(3599, 600, 300, 0), 1),
        (turns(3600, 600, 300, 0), None),  # the first is out of the window, and its turn with it
        (turns(3599, 900, 600, 300, 0), 2700),  # a turn more: the oldest leaves, and three are left
        (turns(900, 600, 300, -60), 2700),  # dated ahead of now: counted as of now
        ([*turns(900, 600, 300), changed(100, 101, 102), changed(50, 102, 103)], None),
        ([*turns(900, 600, 300), changed(100, 100, 100)], None),  # nothing changed
        ([*turns(900, 600), *(replace(one, target="batch") for one in turns(300, 0))], None),
    ],
)
def test_so_many_turns_hold_a_shrink_until_the_oldest_is_out_of_the_window(changes, until_s):
    """Three turns hold, two do not; in one direction on is no turn; other pools' changes are their own."""
    ledger = Ledger((API,), changes, NOW)
    found = flapping(Wish(pool=API, wanted=50), THREE, ledger, NOW)
    if until_s is None:
        assert found == (50, None, None, "")
    else:
        assert found[:3] == (100, Guard.FLAPPING, NOW + timedelta(seconds=until_s))
        assert "3 are allowed" in found.why
    assert flapping(Wish(pool=API, wanted=150), THREE, ledger, NOW) == (150, None, None, "")
    assert flapping(Wish(pool=API, wanted=50), None, ledger, NOW).guard is None


def test_a_flap_that_is_over_holds_no_more_and_not_a_second_longer():
    """At the end that it names, what it held passes; a second before it does not."""
    changes = turns(900, 600, 300, 0)
    end = flapping(Wish(pool=API, wanted=50), THREE, Ledger((API,), changes, NOW), NOW).until
    for moment, guard in ((end - timedelta(seconds=1), Guard.FLAPPING), (end, None)):
        ledger = Ledger((API,), changes, moment)
        assert flapping(Wish(pool=API, wanted=50), THREE, ledger, moment).guard is guard


def test_what_a_flap_says_counts_as_people_do():
    """One time, several times."""
    once = replace(THREE, reversals=1)
    ledger = Ledger((API,), turns(9, 0), NOW)
    why = flapping(Wish(pool=API, wanted=50), once, ledger, NOW).why
    assert why == "it turned 1 time in 1h, and 1 are allowed"
    ledger = Ledger((API,), turns(9, 5, 0), NOW)
    assert "turned 2 times" in flapping(Wish(pool=API, wanted=50), once, ledger, NOW).why


HARD = MoneyBudget(scope=Scope.ALL, usd=10.0, window_s=3600, hard=True)


def spent(limits, changes=(), *, pool=None, wanted=120, pools=()):
    pool = pool or priced("api", 100)
    ledger = Ledger((pool, *pools), changes, NOW)
    return money.hold(Wish(pool=pool, wanted=wanted), limits, ledger, NOW)


@pytest.mark.parametrize(
    ("changes", "size", "until_s"),
    [
        ((), 110, 3600),
        ([changed(60, 96, 100)], 106, 3540),
        ([changed(3599, 96, 100)], 106, 1),
        ([changed(3600, 96, 100)], 110, 3600),
        ([changed(60, 100, 90)], 110, 3600),  # what shrank gives nothing back
        ([changed(60, 80, 100)], 100, 3540),
        ([changed(60, 80, 100), changed(30, 100, 101)], 100, 3540),
        ([changed(60, 99, 100), changed(30, 80, 100)], 100, 3570),
        ([changed(-60, 96, 100)], 106, 3600),  # dated ahead of now: counted as of now
        ([changed(60, 96, 100, target="gone")], 110, 3600),  # its price is not known
    ],
)
def test_a_hard_budget_lets_what_fits_grow_and_not_a_unit_more(changes, size, until_s):
    """$10 an hour in an hour at $1 a unit: ten units, less what grew within the window."""
    found = spent((HARD,), changes)
    assert found[:3] == (size, Guard.MONEY_BUDGET, NOW + timedelta(seconds=until_s))
    assert found.why == "growth may add at most $10.00 an hour in 1h"
    assert spent((HARD,), changes, wanted=size) == (size, None, None, "")


def test_money_holds_only_where_it_is_hard_priced_and_growth():
    """Not a soft budget, not a shrink, not without a price, not where a unit is free, not another's scope."""
    assert spent((replace(HARD, hard=False),)).guard is None
    assert spent((HARD,), wanted=50).guard is None
    assert spent((HARD,), pool=API).guard is None
    assert spent((HARD,), pool=priced("api", 100, 0.0)).guard is None
    assert spent((replace(HARD, scope=Scope.POOL, name="batch"),)).guard is None
    assert spent(()) == (120, None, None, "")


def test_a_unit_that_is_dearer_than_the_whole_budget_waits_for_nothing():
    """Time does not help where a single unit is over the limit; where it is exactly the limit it goes."""
    assert spent((HARD,), pool=priced("api", 100, 10.5))[:3] == (100, Guard.MONEY_BUDGET, None)
    assert spent((HARD,), pool=priced("api", 100, 10.0))[:2] == (101, Guard.MONEY_BUDGET)


def test_sums_of_prices_do_not_lose_a_unit_to_binary_fractions():
    """Three units at $0.10 fit into $0.30."""
    assert spent((replace(HARD, usd=0.3),), pool=priced("api", 100, 0.1)).size == 103


@pytest.mark.parametrize(
    ("scope", "name", "size", "whose"),
    [
        (Scope.POOL, "api", 109, " for a pool"),
        (Scope.PROVIDER, "aws", 107, " for a provider"),
        (Scope.ALL, "", 104, ""),
    ],
)
def test_a_budget_of_money_counts_what_its_scope_covers(scope, name, size, whose):
    """One of the pool's, two of its provider's, three of another's: each scope counts its own."""
    pools = (priced("batch", 9), priced("far", 9, provider="gcp"))
    history = (changed(9, 1, 2), changed(9, 1, 3, target="batch"), changed(9, 1, 4, target="far"))
    found = spent((replace(HARD, scope=scope, name=name),), history, pools=pools)
    assert (found.size, found.why) == (size, f"growth may add at most $10.00 an hour{whose} in 1h")


def test_the_tightest_of_several_budgets_of_money_is_named():
    """Of $10 and $3 the latter counts, whatever their order; a soft one is passed over."""
    tight, soft = replace(HARD, usd=3.0), replace(HARD, usd=1.0, hard=False)
    for limits in ((HARD, tight, soft), (soft, tight, HARD)):
        assert spent(limits).size == 103


def test_money_is_units_times_their_price():
    """Four units at $2 are $8 of $10, and one more fits; what a plan was granted counts as what was done."""
    pool = priced("api", 100, 2.0)
    assert spent((HARD,), [changed(60, 96, 100)], pool=pool).size == 101
    ledger = Ledger((pool,), (), NOW)
    ledger.spend(Change(target="api", at=NOW, before=96, after=100))
    assert money.added_usd(HARD, pool, ledger, NOW) == 8.0
    assert ledger.paid((Scope.POOL, "api")) == [(NOW, 8.0)]
    assert Ledger((pool,), [changed(9, 5, 5)], NOW).paid((Scope.POOL, "api")) == ()


def test_a_shrink_says_nothing_of_money():
    """A budget of money is about growth: without a price, a shrink has nothing to tell of it."""
    (action,) = plan_of((API,), {"api": 50}, replace(FREE, money=(HARD,))).actions
    assert "money budget" not in {fact.name for fact in action.because}


def told(pool, units, *limits, changes=()):
    return list(money.facts(pool, units, limits, Ledger((pool,), changes, NOW), NOW))


def test_what_growth_does_to_a_budget_of_money_is_told():
    """Over the budget by what grew before and now; at it nothing; without a price, that."""
    soft, pool = replace(HARD, hard=False), priced("api", 100)
    over = "over $10.00 an hour in 1h"
    assert told(pool, 11, soft) == [
        Fact(name="money budget", value=11.0, unit="USD/h", source=over, window="1h")
    ]
    assert told(pool, 7, soft, changes=[changed(9, 96, 100)])[0].value == 11.0
    assert told(pool, 10, soft) == []
    assert told(pool, 11, replace(soft, scope=Scope.POOL, name="batch")) == []
    (unknown,) = told(API, 1, soft)
    assert unknown.value == "unknown: the pool has no price"


def plan_of(pools, demand, policy, **more):
    outlooks = {pool.id: draw.outlook(pool.id, [float(demand[pool.id])]) for pool in pools}
    return planner.plan(Snapshot(taken_at=NOW, pools=tuple(pools)), outlooks, policy, **more)


def test_a_plan_warns_of_money_and_holds_only_what_is_hard():
    """Soft: all grows, and the actions say so; hard: pools of one plan share what is left, by name."""
    pools = (priced("api", 10), priced("batch", 10))
    demand = {"api": 17, "batch": 17}
    soft = replace(FREE, money=(replace(HARD, hard=False),))
    made = plan_of(pools, demand, soft)
    assert [(a.target, a.after) for a in made.actions] == [("api", 17), ("batch", 17)]
    warned = [[fact.value for fact in a.because if fact.name == "money budget"] for a in made.actions]
    assert warned == [[], [14.0]]
    made = plan_of(pools, demand, replace(FREE, money=(HARD,)))
    assert [(a.target, a.after) for a in made.actions] == [("api", 17), ("batch", 13)]
    (rest,) = made.held
    assert (rest.action.before, rest.action.after, rest.guard) == (13, 17, Guard.MONEY_BUDGET)


def fleet_of(wanted, *, share=0.3, changes=(), known=NO_CONDITIONS, pool=API, pools=()):
    ledger = Ledger((pool, *pools), changes, NOW)
    return fleet(Wish(pool=pool, wanted=wanted), share, ledger, NOW, known)


def approved(after, *, before=100, granted=True, at_s=60.0, left_s=3600.0, target="api"):
    return Approval(
        action_id=action_id(target, before, after),
        granted=granted,
        by="ann",
        why="the sale is over",
        at=draw.ago(at_s),
        expires_at=draw.ago(-left_s),
    )


@pytest.mark.parametrize(
    ("wanted", "changes", "size"),
    [
        (70, (), 70),
        (69, (), 70),
        (50, [changed(3599, 110, 100)], 77),  # 30 % of the 110 of an hour ago, less the 10 that went
        (50, [changed(3600, 110, 100)], 70),
        (100, [changed(1, 200, 100)], 100),
        (99, [changed(1, 200, 100)], 100),
        (150, [changed(1, 200, 100)], 150),
    ],
)
def test_f71_more_than_a_share_of_the_fleet_waits_for_an_approval(wanted, changes, size):
    """30 % of what the provider had go in an hour, and not a unit more; growth is not asked for."""
    found = fleet_of(wanted, changes=changes)
    assert found.size == size
    assert (found.guard is Guard.FLEET_SHARE) is (size != wanted)
    assert fleet_of(wanted, changes=changes, share=1.0).guard is None


def test_f71_the_fleet_is_the_providers():
    """Pools of one provider share its share, those of another do not count; one unit may always go."""
    near, far = draw.simple_pool("batch", 100), draw.simple_pool("far", 1000, provider="gcp")
    gone = [changed(60, 150, 100, target="batch"), changed(60, 1600, 1000, target="far")]
    assert fleet_of(0, changes=gone, pools=(near, far)).size == 75  # 30 % of 250 is 75, less 50
    alone = draw.simple_pool("api", 2)
    assert fleet_of(0, pool=alone).size == 1
    assert fleet_of(0, pool=alone, share=0.0).size == 1


@pytest.mark.parametrize(
    ("word", "size"),
    [
        (approved(50), 50),
        (approved(40), 70),  # another action
        (approved(50, before=101), 70),
        (approved(50, target="batch"), 70),
        (approved(50, granted=False), 70),
        (approved(50, left_s=0), 70),
        (approved(50, left_s=1), 50),
        (approved(60), 60),  # less than is wanted: what was approved, and no more
        (approved(69), 69),
        (approved(70), 70),
        (approved(80), 70),
    ],
)
def test_f71_an_approval_is_bound_to_an_action_and_ends(word, size):
    """Only a living approval of the very change lets it pass; the rest is held."""
    found = fleet_of(50, known=Conditions(approvals=(word,)))
    assert found.size == size
    assert (found.guard is Guard.FLEET_SHARE) is (size != 50)


def test_the_newest_word_on_an_action_counts():
    """A refusal after an approval takes it back; an approval after a refusal gives it; of two at once: no."""
    yes, no = approved(50, at_s=60), approved(50, granted=False, at_s=30)
    for words, size in (
        ((yes, no), 70),
        ((no, yes), 70),
        ((approved(50, at_s=10), no), 50),
        ((replace(yes, at=no.at), no), 70),
        ((yes, replace(no, expires_at=NOW)), 50),
    ):
        assert fleet_of(50, known=Conditions(approvals=words)).size == size


def test_f71_what_is_held_is_what_can_be_approved():
    """The first held action is what an approval would let pass after this plan's own; then the rest."""
    policy = replace(FREE, fleet_share=0.3, default=replace(FREE.default, step_in=Step(units=40, share=0.0)))
    made = plan_of((API,), {"api": 50}, policy)
    assert [(a.before, a.after) for a in made.actions] == [(100, 70)]
    assert [(h.action.before, h.action.after, h.guard) for h in made.held] == [
        (70, 60, Guard.FLEET_SHARE),
        (60, 50, Guard.STEP),
    ]
    gone = [changed(0, 100, 70)]
    rest = draw.simple_pool("api", 70)
    held = plan_of((rest,), {"api": 50}, policy, changes=gone)
    assert held.actions == ()
    (asked,) = held.held
    assert (asked.action.before, asked.action.after) == (70, 50)
    word = replace(approved(50, before=70), action_id=asked.action.id)
    made = plan_of((rest,), {"api": 50}, policy, changes=gone, conditions=Conditions(approvals=(word,)))
    assert [a.id for a in made.actions] == [asked.action.id]
    assert made.held == ()


def test_f72_a_maximum_lowered_below_the_size_shrinks_within_the_share_and_asks():
    """100 units, a maximum of 20, demand for 10: 30 go, and the rest waits for a person."""
    made = plan_of((replace(API, maximum=20),), {"api": 10}, replace(FREE, fleet_share=0.3))
    assert [(a.before, a.after) for a in made.actions] == [(100, 70)]
    (rest,) = made.held
    assert (rest.action.before, rest.action.after, rest.guard) == (70, 10, Guard.FLEET_SHARE)


def test_the_memory_of_a_policy_is_its_longest_window():
    """Each guard that looks back can be the one that looks furthest; an hour is the least."""
    short = replace(FREE, interlocks=Interlocks(recent_growth_s=0))
    assert short.memory_s == 3600
    longer = 7200
    for policy in (
        replace(short, budgets=(Budget(scope=Scope.ALL, step=WIDE, window_s=longer),)),
        replace(short, money=(replace(HARD, window_s=longer),)),
        replace(short, flap=Flap(window_s=longer)),
        replace(short, interlocks=Interlocks(recent_growth_s=longer)),
        replace(short, default=PoolPolicy(cool_down_in_s=longer)),
        replace(short, pools={"api": PoolPolicy(cool_down_out_s=longer)}),
    ):
        assert policy.memory_s == longer
    assert Policy().memory_s == 6 * 3600


ticks = st.lists(
    st.tuples(
        st.sampled_from([1, 59, 60, 299, 300, 301, 599, 600, 601, 1800]),
        st.tuples(*[st.integers(0, 60) for _ in range(3)]),
    ),
    min_size=2,
    max_size=14,
)


def history(rounds, policy, begin):
    """What three priced pools did as ticks followed their demand, and their sizes at the begin."""
    size, now, done = dict(begin), NOW, []
    for wait, demand in rounds:
        now += timedelta(seconds=wait)
        pools = tuple(priced(name, size[name]) for name in size)
        outlooks = {n: draw.outlook(n, [float(load)]) for n, load in zip(size, demand, strict=True)}
        snapshot = Snapshot(taken_at=now, pools=pools)
        for action in planner.plan(snapshot, outlooks, policy, changes=done).actions:
            done.append(Change(target=action.target, at=now, before=action.before, after=action.after))
            size[action.target] = action.after
    return done


BEGIN = {"api": 20, "batch": 10, "ci": 30}


@given(ticks, st.integers(1, 3), st.sampled_from([300, 600, 3600]))
def test_p2_no_shrink_makes_a_turn_too_many_in_any_window(rounds, reversals, window_s):
    """P2: by brute force, in the window that ends with any shrink there are no more turns than allowed."""
    done = history(rounds, replace(FREE, flap=Flap(reversals=reversals, window_s=window_s)), BEGIN)
    for name in BEGIN:
        mine = [one for one in done if one.target == name]
        for last in (one for one in mine if one.after < one.before):
            since = last.at - timedelta(seconds=window_s)
            ups = [one.after > one.before for one in mine if since < one.at <= last.at]
            assert sum(a != b for a, b in pairwise(ups)) <= reversals


@given(ticks, st.sampled_from([0.0, 1.0, 7.0, 40.0]), st.sampled_from(Scope), st.sampled_from([300, 3600]))
def test_p2_no_window_grows_by_more_than_a_hard_budget_of_money(rounds, usd, scope, window_s):
    """P2: over any window of any history, growth adds at most what the operator set, unit by unit."""
    name = {Scope.POOL: "api", Scope.PROVIDER: "aws", Scope.ALL: ""}[scope]
    limit = MoneyBudget(scope=scope, name=name, usd=usd, window_s=window_s, hard=True)
    done = history(rounds, replace(FREE, money=(limit,)), BEGIN)
    grown = [
        (one.at, one.after - one.before)
        for one in done
        if one.after > one.before and (scope is not Scope.POOL or one.target == "api")
    ]
    for first, _ in grown:
        end = first + timedelta(seconds=window_s)
        assert sum(units for moment, units in grown if first <= moment < end) <= usd


@given(ticks, st.sampled_from([0.0, 0.1, 0.3, 0.9]))
def test_p2_no_hour_loses_more_than_the_share_of_the_fleet(rounds, share):
    """P2, F71: without approvals, in any hour at most that share of what was at its begin goes, or one."""
    done = history(rounds, replace(FREE, fleet_share=share), BEGIN)
    for first in {one.at for one in done}:
        size = sum(BEGIN.values()) + sum(one.after - one.before for one in done if one.at < first)
        end = first + timedelta(hours=1)
        gone = sum(max(0, one.before - one.after) for one in done if first <= one.at < end)
        assert gone <= max(1, share * size + 1e-9)


@given(draw.worlds())
def test_an_approval_can_only_let_more_go(world):
    """Where no other pool shares a budget, approvals make no shrink smaller."""

    def sizes(known):
        made = planner.plan(
            world.snapshot, world.outlooks, world.policy, changes=world.changes, conditions=known
        )
        return {action.target: action.after for action in made.actions}

    world = replace(world, snapshot=replace(world.snapshot, pools=world.snapshot.pools[:1]))
    with_them, without = sizes(world.conditions), sizes(replace(world.conditions, approvals=()))
    for pool in world.snapshot.pools:
        assert with_them.get(pool.id, pool.desired) <= without.get(pool.id, pool.desired)


@given(draw.worlds())
def test_p3_nothing_shrinks_while_a_signal_is_not_known_or_bad(world):
    """P3, by an oracle of its own: every signal about a pool that shrinks is known, fresh and good."""
    made = planner.plan(
        world.snapshot, world.outlooks, world.policy, changes=world.changes, conditions=world.conditions
    )
    for action in made.actions:
        if action.kind is ActionKind.SCALE_OUT:
            continue
        assert action.target not in world.conditions.in_flight
        for signal in world.policy.interlocks.signals:
            if signal.pools is None or action.target in signal.pools:
                one = world.conditions.readings[signal.series]
                assert abs((world.snapshot.taken_at - one.at).total_seconds()) <= signal.stale_s
                assert one.value <= signal.above if signal.above is not None else one.value >= signal.below


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_conditions_can_only_hold_more_of_a_shrink(seed, wanted):
    """But for approvals, what is known beside the pools makes no change larger."""
    chance = Random(seed)  # noqa: S311 - worlds, not secrets
    pool, policy = draw.pool(chance, "api"), draw.policy(chance)
    known = replace(draw.conditions(chance, (pool,)), approvals=())
    quiet = replace(policy, interlocks=replace(policy.interlocks, signals=()))
    ledger = Ledger((pool,), [draw.change(chance, ("api",)) for _ in range(3)], NOW)
    wish = Wish(pool=pool, wanted=wanted)
    size = judge(wish, policy=policy, ledger=ledger, now=NOW, conditions=known).size
    free = judge(wish, policy=quiet, ledger=ledger, now=NOW).size
    assert abs(size - pool.desired) <= abs(free - pool.desired)
