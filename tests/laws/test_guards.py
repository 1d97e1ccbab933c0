"""Each guard at the exact edge of what it allows, and the laws that all of them obey."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.changes import Ledger
from policies.guards import (
    budgets,
    cool_down,
    freshness,
    frozen,
    judge,
    live_need,
    protected,
    step,
)
from policies.model import Demand, Pool, PoolKind
from policies.plan import Change, Guard
from policies.policy import Budget, Freeze, Policy, PoolPolicy, Scope, Step
from policies.wishes import Wish
from tests.laws import strategies as draw

NOW = draw.NOW
FREE = PoolPolicy(
    cool_down_in_s=0, cool_down_out_s=0, step_in=Step(units=0, share=1.0), step_out=Step(units=0, share=9.0)
)
SECOND = timedelta(seconds=1)


def a_pool(desired=100, **other) -> Pool:
    values = {
        "id": "api",
        "provider": "aws",
        "kind": PoolKind.INSTANCE_GROUP,
        "ready": {"a": desired},
        "minimum": 0,
        "maximum": 1000,
        "demands": (Demand(series="api", unit_capacity=1.0),),
    }
    return Pool(desired=desired, **(values | other))


def ledger(*changes, pools=None):
    return Ledger(pools or (a_pool(),), changes, NOW)


def changed(seconds, before=100, after=100, target="api"):
    return Change(target=target, at=draw.ago(seconds), before=before, after=after)


def shrink(wanted=50, **other) -> Wish:
    return Wish(pool=a_pool(), wanted=wanted, **other)


def test_a_refusal_holds_the_whole_shrink_and_no_growth():
    """Freshness: one unit less is held, the same size and one unit more are not."""
    assert freshness(shrink(99, refusal="stale"))[:2] == (100, Guard.INSUFFICIENT_DATA)
    assert freshness(shrink(99, refusal="stale")).why == "stale"
    assert freshness(shrink(100, refusal="stale")).guard is None
    assert freshness(shrink(101, refusal="stale")) == (101, None, None, "")
    assert freshness(shrink(99)) == (99, None, None, "")


def test_live_demand_is_the_floor_of_a_shrink():
    """Live need: down to it and not a unit below; a pool that is below it already is not made to grow."""
    assert live_need(shrink(60, need=60)).guard is None
    assert live_need(shrink(59, need=60))[:2] == (60, Guard.LIVE_DEMAND)
    assert live_need(shrink(99, need=150))[:2] == (100, Guard.LIVE_DEMAND)
    assert live_need(shrink(100, need=150)).guard is None


@pytest.mark.parametrize(
    ("freeze", "holds"),
    [
        (Freeze(scope=Scope.ALL), True),
        (Freeze(scope=Scope.PROVIDER, name="aws"), True),
        (Freeze(scope=Scope.PROVIDER, name="gcp"), False),
        (Freeze(scope=Scope.PROVIDER, name="api"), False),
        (Freeze(scope=Scope.POOL, name="api"), True),
        (Freeze(scope=Scope.POOL, name="aws"), False),
        (Freeze(scope=Scope.POOL, name=""), False),
        (Freeze(scope=Scope.ALL, until=NOW + SECOND), True),
        (Freeze(scope=Scope.ALL, until=NOW), False),
        (Freeze(scope=Scope.ALL, until=NOW - SECOND), False),
    ],
)
def test_a_freeze_covers_its_scope_until_its_end(freeze, holds):
    """Freeze: of everything, a provider or a pool by its name; at its end it is over."""
    verdict = frozen(shrink(50), (freeze,), NOW)
    assert (verdict.guard is Guard.FROZEN) is holds
    if holds:
        assert (verdict.size, verdict.until) == (100, freeze.until)


def test_f70_no_freeze_freezes_nothing():
    """An empty list of freezes, or of budgets, means nothing and never everything."""
    assert frozen(shrink(50), (), NOW).guard is None
    assert budgets(shrink(0), (), ledger(), NOW) == (0, None, None, "")


def test_a_second_freeze_counts_where_the_first_is_over():
    """Freezes are looked through to the end."""
    over, on = Freeze(scope=Scope.ALL, until=NOW), Freeze(scope=Scope.POOL, name="api", why="sale")
    assert frozen(shrink(50), (over, on), NOW).why == "sale"


def test_a_protected_pool_never_shrinks_and_may_grow():
    """Protection holds a shrink whole and lets growth pass; without it nothing is held."""
    for wanted, size, guard in ((0, 100, Guard.PROTECTED), (99, 100, Guard.PROTECTED), (500, 500, None)):
        wish = Wish(pool=a_pool(protected=True), wanted=wanted)
        verdict = judge(wish, policy=Policy(default=FREE), ledger=ledger(), now=NOW)
        assert verdict[:2] == (size, guard)
    assert protected(shrink(50)).guard is None
    guarded = Wish(pool=a_pool(protected=True), wanted=50)
    assert protected(guarded).why == "the pool is marked as protected"


def test_a_pools_own_rule_counts_and_not_the_default():
    """Each pool is judged by its own steps and waits."""
    narrow = replace(FREE, step_in=Step(units=3, share=0.0))
    policy = Policy(default=FREE, pools={"api": narrow}, budgets=(), fleet_share=1.0)
    assert judge(shrink(50), policy=policy, ledger=ledger(), now=NOW)[:2] == (97, Guard.STEP)


@pytest.mark.parametrize(
    ("seconds", "holds"), [(0, True), (299, True), (300, False), (301, False), (-1, False), (-300, False)]
)
@pytest.mark.parametrize("source", ["ledger", "pool"])
def test_f66_cool_down_ends_to_the_second_and_believes_no_stamp_ahead_of_now(seconds, holds, source):
    """Cool-down: 299 s after a change nothing moves, 300 s after it may; a change in the future is none."""
    rule = replace(FREE, cool_down_in_s=300)
    stamp = draw.ago(seconds) if source == "pool" else None
    wish = replace(shrink(), pool=a_pool(last_scaled_at=stamp))
    known = ledger(changed(seconds, 100, 101)) if source == "ledger" else ledger()
    verdict = cool_down(wish, rule, known, NOW)
    assert (verdict.guard is Guard.COOL_DOWN) is holds
    assert verdict.size == (100 if holds else 50)
    if holds:
        assert verdict.until == draw.ago(seconds - 300)


def test_cool_down_takes_the_newest_of_both_stamps():
    """Whichever knows the later change counts; a stamp ahead of now hides no sound one."""
    rule = replace(FREE, cool_down_in_s=300)
    for mine, theirs in ((299, 4000), (4000, 299), (-5, 299), (299, -5)):
        wish = replace(shrink(), pool=a_pool(last_scaled_at=draw.ago(theirs)))
        assert cool_down(wish, rule, ledger(changed(mine)), NOW).until == draw.ago(-1)


def test_each_direction_has_its_own_cool_down():
    """A cool-down for shrinking holds no growth, and the other way round."""
    known = ledger(changed(10))
    only_in, only_out = replace(FREE, cool_down_in_s=60), replace(FREE, cool_down_out_s=60)
    assert cool_down(shrink(99), only_in, known, NOW).guard is Guard.COOL_DOWN
    assert cool_down(shrink(101), only_in, known, NOW).guard is None
    assert cool_down(shrink(99), only_out, known, NOW).guard is None
    assert cool_down(shrink(101), only_out, known, NOW).guard is Guard.COOL_DOWN


def test_the_cool_down_of_one_pool_is_not_that_of_another():
    """A change of a neighbour does not count."""
    pools = (a_pool(), a_pool(id="batch"))
    known = ledger(changed(10, target="batch"), pools=pools)
    assert cool_down(shrink(), replace(FREE, cool_down_in_s=60), known, NOW).guard is None


@pytest.mark.parametrize(
    ("limit", "wanted", "size"),
    [
        (Step(units=4, share=0.0), 96, 96),
        (Step(units=4, share=0.0), 95, 96),
        (Step(units=0, share=0.1), 90, 90),
        (Step(units=0, share=0.1), 89, 90),
        (Step(units=4, share=0.1), 80, 90),  # the larger of the two
        (Step(units=20, share=0.1), 75, 80),
        (Step(units=0, share=0.0), 99, 100),
        (Step(units=1, share=0.999), 0, 1),
        (Step(units=1, share=1.0), 0, 0),
    ],
)
def test_a_shrink_is_at_most_one_step(limit, wanted, size):
    """Step in: exactly the limit passes, a unit more is clipped to it."""
    verdict = step(shrink(wanted), replace(FREE, step_in=limit))
    assert verdict.size == size
    assert (verdict.guard is Guard.STEP) is (size != wanted)


@pytest.mark.parametrize(
    ("limit", "wanted", "size"),
    [
        (Step(units=4, share=0.0), 104, 104),
        (Step(units=4, share=0.0), 105, 104),
        (Step(units=4, share=1.0), 200, 200),
        (Step(units=4, share=1.0), 201, 200),
    ],
)
def test_growth_is_at_most_one_step(limit, wanted, size):
    """Step out: exactly the limit passes, a unit more is clipped to it."""
    verdict = step(shrink(wanted), replace(FREE, step_out=limit))
    assert verdict.size == size
    assert (verdict.guard is Guard.STEP) is (size != wanted)


@pytest.mark.parametrize(("most", "size"), [(None, 50), (0, 100), (7, 93), (49, 51), (50, 50), (51, 50)])
def test_the_owners_largest_step_in_holds_too(most, size):
    """The smaller of the rule's and the owner's step counts, for shrinking only."""
    pool = a_pool(maximum_step_in=most)
    assert step(replace(shrink(50), pool=pool), FREE).size == size
    assert step(replace(shrink(300), pool=pool), FREE).size == 300


def test_shares_round_down_and_do_not_lose_a_unit_to_binary_fractions():
    """40 % of 11 is 4; 29 % of 100 is 29, though 0.29 x 100 is 28.999999999999996."""
    assert Step(units=0, share=0.4).limit(11) == 4
    assert Step(units=0, share=0.29).limit(100) == 29
    assert Step(units=3, share=0.29).limit(0) == 3


TEN = Budget(scope=Scope.POOL, step=Step(units=10, share=0.0), window_s=600)


@pytest.mark.parametrize(
    ("wanted", "changes", "size"),
    [
        (90, (), 90),
        (89, (), 90),
        (89, ((599, 104, 100),), 94),
        (89, ((600, 104, 100),), 90),  # exactly one window ago: gone
        (89, ((0, 110, 100),), 100),
        (89, ((1, 120, 100),), 100),  # more went than is allowed: nothing, and no growth either
        (89, ((300, 90, 100),), 90),  # growth gives nothing back
        (89, ((300, 103, 100), (100, 100, 96), (50, 96, 100)), 97),
        (89, ((-1, 110, 100),), 100),  # dated ahead of now: a clock that stepped back refills nothing
        (101, ((1, 200, 100),), 101),
    ],
)
def test_a_budget_lets_its_limit_go_in_a_window_and_not_a_unit_more(wanted, changes, size):
    """Budget: the limit less what went within the window; growth is not its business."""
    verdict = budgets(shrink(wanted), (TEN,), ledger(*(changed(*change) for change in changes)), NOW)
    assert verdict.size == size
    assert (verdict.guard is Guard.CHANGE_BUDGET) is (size != wanted)
    assert (verdict.until is not None) is (size != wanted)


def test_a_share_is_of_the_size_at_the_begin_of_each_window():
    """After 100 -> 90 ten percent are spent, though ten percent of 90 would leave 8 more from 90."""
    tenth = replace(TEN, step=Step(units=0, share=0.1))
    pool = a_pool(90)
    known = Ledger((pool,), (changed(100, 100, 90),), NOW)
    assert known.left(tenth, pool, NOW) == (0, draw.ago(-500))
    assert Ledger((pool,), (changed(600, 100, 90),), NOW).left(tenth, pool, NOW) == (9, draw.ago(-600))
    # Growth within the window does not raise the base that the shrink before it began from.
    grown = a_pool(200)
    history = (changed(300, 100, 92), changed(100, 92, 200))
    assert Ledger((grown,), history, NOW).left(tenth, grown, NOW) == (2, draw.ago(-300))


def test_changes_of_one_moment_are_one():
    """Two pools that change at the same instant begin one window, with the size before both."""
    fifth = Budget(scope=Scope.PROVIDER, step=Step(units=0, share=0.2), window_s=600)
    pools = (a_pool(40), a_pool(50, id="batch"))
    history = (changed(60, 45, 40), changed(60, 55, 50, target="batch"))
    assert Ledger(pools, history, NOW).left(fifth, pools[0], NOW) == (10, draw.ago(-540))


@pytest.mark.parametrize(
    ("scope", "left"), [(Scope.POOL, 6), (Scope.PROVIDER, 4), (Scope.ALL, 1)], ids=["pool", "provider", "all"]
)
def test_a_budget_counts_what_its_scope_covers(scope, left):
    """Four of the pool's, two of its provider's, three of another provider's: each scope counts its own."""
    pools = (a_pool(), a_pool(id="batch"), a_pool(id="far", provider="gcp"))
    history = (changed(9, 104, 100), changed(8, 102, 100, target="batch"), changed(7, 103, 100, target="far"))
    known = Ledger(pools, history, NOW)
    assert known.left(replace(TEN, scope=scope), pools[0], NOW)[0] == left


def test_changes_of_two_moments_are_two():
    """What went before the window is out of it, whatever follows within."""
    assert ledger(changed(700, 109, 104), changed(100, 104, 100)).left(TEN, a_pool(), NOW)[0] == 6


def test_a_change_of_a_pool_that_is_gone_counts_against_all_it_may_have_been_of():
    """Against every provider and against all, by its units; not against another pool, nor as a size."""
    known = ledger(changed(60, 10, 6, target="gone"), changed(30, 0, 50, target="new"))
    for scope, left in ((Scope.POOL, 10), (Scope.PROVIDER, 6), (Scope.ALL, 6)):
        tenth = Budget(scope=scope, step=Step(units=0, share=0.1), window_s=600)
        assert known.left(tenth, a_pool(), NOW)[0] == left


def test_what_a_plan_grants_is_spent_for_the_pools_after_it():
    """Spending counts at once, for every scope, and for nothing twice."""
    pools = (a_pool(), a_pool(id="batch"))
    known = Ledger(pools, (), NOW)
    shared = replace(TEN, scope=Scope.PROVIDER)
    assert known.left(shared, pools[1], NOW)[0] == 10
    known.spend(Change(target="api", at=NOW, before=100, after=93))
    assert known.left(shared, pools[1], NOW)[0] == 3
    assert known.left(TEN, pools[1], NOW)[0] == 10
    known.spend(Change(target="batch", at=NOW, before=100, after=120))
    assert known.left(shared, pools[1], NOW)[0] == 3


def test_the_tightest_of_several_budgets_is_named():
    """Of a budget of ten and one of three in a day, three are left and the day is named."""
    day = Budget(scope=Scope.ALL, step=Step(units=3, share=0.0), window_s=86400)
    for limits in ((TEN, day), (day, TEN)):
        verdict = budgets(shrink(50), limits, ledger(), NOW)
        assert verdict.size == 97
        assert verdict.why == "at most 3 of all units go in 1d"


@pytest.mark.parametrize(
    ("units", "share", "words"),
    [
        (2, 0.3, "the larger of 2 units and 30 % of a pool's units"),
        (1, 0.005, "the larger of 1 unit and 0.5 % of a pool's units"),
    ],
)
def test_a_budget_says_that_the_larger_of_its_two_limits_holds(units, share, words):
    """Neither limit is hidden, and nobody is left to guess which of them counts."""
    limit = Budget(scope=Scope.POOL, step=Step(units=units, share=share), window_s=600)
    assert budgets(shrink(0), (limit,), ledger(), NOW).why == f"at most {words} go in 10m"


def test_a_budget_of_nothing_lets_nothing_go_and_says_so():
    """Zero units and no share: no shrink at all."""
    none = replace(TEN, step=Step(units=0, share=0.0))
    verdict = budgets(shrink(99), (none,), ledger(), NOW)
    assert verdict[:3] == (100, Guard.CHANGE_BUDGET, None)  # waiting does not help
    assert "at most 0 " in verdict.why


def test_the_guard_that_leaves_the_least_is_named_and_the_first_of_equals():
    """Order: data before demand, freeze, protection, cool-down, step and budget."""
    pool = a_pool(protected=True, last_scaled_at=NOW)
    rule = replace(FREE, cool_down_in_s=60, step_in=Step(units=1, share=0.0))
    policy = Policy(default=rule, budgets=(TEN,), freezes=(Freeze(scope=Scope.ALL),), fleet_share=1.0)
    wish = Wish(pool=pool, wanted=50, need=100, refusal="stale")
    order = []
    for relax in (
        lambda w, p: (replace(w, refusal=""), p),
        lambda w, p: (replace(w, need=0), p),
        lambda w, p: (w, replace(p, freezes=())),
        lambda w, p: (replace(w, pool=replace(w.pool, protected=False)), p),
        lambda w, p: (replace(w, pool=replace(w.pool, last_scaled_at=None)), p),
        lambda w, p: (w, replace(p, default=FREE)),
        lambda w, p: (w, replace(p, budgets=())),
    ):
        order.append(judge(wish, policy=policy, ledger=ledger(), now=NOW).guard)
        wish, policy = relax(wish, policy)
    assert order == [
        Guard.INSUFFICIENT_DATA,
        Guard.LIVE_DEMAND,
        Guard.FROZEN,
        Guard.PROTECTED,
        Guard.COOL_DOWN,
        Guard.STEP,
        Guard.CHANGE_BUDGET,
    ]
    assert judge(wish, policy=policy, ledger=ledger(), now=NOW) == (50, None, None, "")


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(0, 60), st.sampled_from(["", "stale"]))
def test_guards_only_make_a_change_smaller(seed, wanted, need, refusal):
    """Whatever the guards say, the size lies between the present one and the wish; no guard, no clipping."""
    chance = Random(seed)  # noqa: S311 - worlds, not secrets
    pool = draw.pool(chance, "api")
    policy = draw.policy(chance)
    known = Ledger((pool,), [draw.change(chance, ("api",)) for _ in range(3)], NOW)
    wish = Wish(pool=pool, wanted=wanted, need=need, refusal=refusal)
    conditions = draw.conditions(chance, (pool,))
    verdict = judge(wish, policy=policy, ledger=known, now=NOW, conditions=conditions)
    low, high = sorted((pool.desired, wanted))
    assert low <= verdict.size <= high
    assert (verdict.guard is None) == (verdict.size == wanted)
    if wanted > pool.desired:
        assert verdict.guard in {None, Guard.FROZEN, Guard.STEP, Guard.COOL_DOWN, Guard.MONEY_BUDGET}
    if refusal and wanted < pool.desired:
        assert verdict.size == pool.desired


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(0, 60))
def test_a_larger_wish_never_ends_smaller(seed, one, other):
    """Monotone: the size that passes does not fall as the wish rises."""
    chance = Random(seed)  # noqa: S311 - worlds, not secrets
    pool, policy = draw.pool(chance, "api"), draw.policy(chance)
    known = Ledger((pool,), [draw.change(chance, ("api",)) for _ in range(3)], NOW)
    conditions = draw.conditions(chance, (pool,))
    sizes = [
        judge(
            Wish(pool=pool, wanted=wanted), policy=policy, ledger=known, now=NOW, conditions=conditions
        ).size
        for wanted in sorted((one, other))
    ]
    assert sizes == sorted(sizes)


@given(st.integers(0, 2**32))
def test_f68_budgets_are_not_refilled_by_a_restart(seed):
    """A ledger built anew from the changes that were made leaves what the one that spent them left."""
    chance = Random(seed)  # noqa: S311 - worlds, not secrets
    pools = [draw.pool(chance, name) for name in draw.NAMES[:3]]
    running = Ledger(pools, (), NOW)
    done, after = [], {pool.id: pool.desired for pool in pools}
    for pool in pools:
        size = chance.randint(0, pool.desired)
        done.append(Change(target=pool.id, at=NOW, before=pool.desired, after=size))
        after[pool.id] = size
        running.spend(done[-1])
    now = [replace(pool, desired=after[pool.id]) for pool in pools]
    anew = Ledger(now, done, NOW)
    for budget in draw.policy(chance).budgets:
        for pool in pools:
            assert running.left(budget, pool, NOW) == anew.left(budget, pool, NOW)
