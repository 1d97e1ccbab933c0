"""Guards: what an operator may rely on. Each can only make a change smaller.

A guard looks at one wish, from a present size to a wanted one, and lets all, a part or nothing of it pass.
The order is fixed; the guard that left the least is the one that the plan names. Growth is stopped only by
a freeze, protection, the maximum, the step limit, the operator's own cool-down and a money budget that the
operator set hard: never by age of data, by an interlock, or by a budget of units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from policies import freeze_windows, interlocks, modes, money
from policies.changes import Ledger
from policies.conditions import NO_CONDITIONS, Conditions
from policies.plan import Guard, action_id
from policies.policy import FLEET_WINDOW_S, Budget, Flap, Freeze, Policy, PoolPolicy, Scope, Step
from policies.units import format_duration
from policies.wishes import Verdict, Wish, covers

__all__ = ["Ledger", "Verdict", "Wish", "judge"]


def judge(
    wish: Wish,
    *,
    policy: Policy,
    ledger: Ledger,
    now: datetime,
    conditions: Conditions = NO_CONDITIONS,
) -> Verdict:
    """The size that all guards let pass, and the one that left the least of a wish they did not grant.

    The share of a fleet is asked last, of what the others left: a person approves what would be done.
    """
    pool = wish.pool
    size, best = wish.wanted, Verdict(wish.wanted)
    for verdict in _verdicts(wish, policy, ledger, now, conditions):
        if verdict.guard is not None and abs(verdict.size - pool.desired) < abs(size - pool.desired):
            size, best = verdict.size, verdict
    rest = fleet(Wish(pool=pool, wanted=size), policy.fleet_share, ledger, now, conditions)
    return best if rest.guard is None else rest


def _verdicts(
    wish: Wish, policy: Policy, ledger: Ledger, now: datetime, conditions: Conditions
) -> Iterator[Verdict]:
    rule = policy.of(wish.pool.id)
    yield freshness(wish)
    yield live_need(wish)
    yield frozen(wish, policy.freezes, now)
    yield frozen(wish, conditions.freezes, now)
    yield protected(wish)
    yield from interlocks.holds(wish, policy.interlocks, ledger=ledger, now=now, conditions=conditions)
    yield freeze_windows.hold(wish, policy.freeze_windows, now)
    yield cool_down(wish, rule, ledger, now)
    yield flapping(wish, policy.flap, ledger, now)
    yield step(wish, rule)
    yield budgets(wish, policy.budgets, ledger, now)
    yield money.hold(wish, policy.money, ledger, now)


def freshness(wish: Wish) -> Verdict:
    """Nothing shrinks while an input it depends on is unknown; growth may go on."""
    if wish.refusal and wish.wanted < wish.pool.desired:
        return Verdict(wish.pool.desired, Guard.INSUFFICIENT_DATA, None, wish.refusal)
    return Verdict(wish.wanted)


def live_need(wish: Wish) -> Verdict:
    """Nothing shrinks below what the newest demand needs."""
    lowest = min(wish.need, wish.pool.desired)
    if wish.wanted < lowest:
        return Verdict(lowest, Guard.LIVE_DEMAND, None, f"demand now needs {wish.need} units")
    return Verdict(wish.wanted)


def frozen(wish: Wish, freezes: Sequence[Freeze], now: datetime) -> Verdict:
    """No change within a freeze of everything, of the provider, or of the pool; some let growth go on."""
    pool = wish.pool
    for freeze in freezes:
        if freeze.shrinks_only and not wish.shrinks:
            continue
        if covers(freeze.scope, freeze.name, pool) and (freeze.until is None or now < freeze.until):
            return Verdict(pool.desired, Guard.FROZEN, freeze.until, freeze.why or "frozen by the operator")
    return Verdict(wish.wanted)


def protected(wish: Wish) -> Verdict:
    """A protected pool never shrinks; growth goes on."""
    if wish.pool.protected and wish.wanted < wish.pool.desired:
        return Verdict(wish.pool.desired, Guard.PROTECTED, None, "the pool is marked as protected")
    return Verdict(wish.wanted)


def cool_down(wish: Wish, rule: PoolPolicy, ledger: Ledger, now: datetime) -> Verdict:
    """A change waits until the last one is `cool_down` old. Stamps ahead of now are not believed."""
    pool = wish.pool
    wait = rule.cool_down_out_s if wish.wanted > pool.desired else rule.cool_down_in_s
    if not wait:
        return Verdict(wish.wanted)
    moments = (ledger.last_change(pool.id), pool.last_scaled_at)
    last = max((moment for moment in moments if moment is not None and moment <= now), default=None)
    if last is not None and now < last + timedelta(seconds=wait):
        why = f"changed less than {format_duration(wait)} ago"
        return Verdict(pool.desired, Guard.COOL_DOWN, last + timedelta(seconds=wait), why)
    return Verdict(wish.wanted)


def step(wish: Wish, rule: PoolPolicy) -> Verdict:
    """One change is at most a step, and at most the owner's largest step in."""
    pool = wish.pool
    if wish.wanted > pool.desired:
        size = min(wish.wanted, pool.desired + rule.step_out.limit(pool.desired))
    else:
        limit = rule.step_in.limit(pool.desired)
        if pool.maximum_step_in is not None:
            limit = min(limit, pool.maximum_step_in)
        size = max(wish.wanted, pool.desired - limit)
    if size == wish.wanted:
        return Verdict(wish.wanted)
    return Verdict(
        size, Guard.STEP, None, f"at most {abs(size - pool.desired)} units at once from {pool.desired}"
    )


def budgets(wish: Wish, limits: Sequence[Budget], ledger: Ledger, now: datetime) -> Verdict:
    """No window of a budget sees more units go than it allows; the tightest budget is named."""
    pool = wish.pool
    best = Verdict(wish.wanted)
    if wish.wanted >= pool.desired:
        return best
    for budget in limits:
        left, until = ledger.left(budget, pool, now)
        if left < pool.desired - best.size:
            whose = "all" if budget.scope is Scope.ALL else f"a {budget.scope}'s"
            units, share = budget.step.units, budget.step.share * 100
            counted = f"{units} unit{'' if units == 1 else 's'}"
            most = f"the larger of {counted} and {share:.3g} %" if share else units
            why = f"at most {most} of {whose} units go in {format_duration(budget.window_s)}"
            best = Verdict(pool.desired - left, Guard.CHANGE_BUDGET, until, why)
    return best


def flapping(wish: Wish, limit: Flap | None, ledger: Ledger, now: datetime) -> Verdict:
    """No shrink of a pool that has turned its direction too often; growth goes on.

    A turn is two changes, one after the other and both within the window, of which one grew and one shrank.
    """
    if limit is None or not wish.shrinks:
        return Verdict(wish.wanted)
    window = timedelta(seconds=limit.window_s)
    known = [one for one in ledger.directions(wish.pool.id) if one[0] > now - window]
    turned = [first[0] for first, second in pairwise(known) if first[1] != second[1]]
    if len(turned) < limit.reversals:
        return Verdict(wish.wanted)
    times = f"{len(turned)} time{'' if len(turned) == 1 else 's'}"
    why = f"it turned {times} in {format_duration(limit.window_s)}, and {limit.reversals} are allowed"
    return wish.held(Guard.FLAPPING, why, turned[-limit.reversals] + window)


def fleet(wish: Wish, share: float, ledger: Ledger, now: datetime, conditions: Conditions) -> Verdict:
    """No more than a share of a provider's units goes in an hour but by approved actions, by their very ids.

    One unit may always go; a share of 1 asks nobody.
    """
    pool = wish.pool
    if not wish.shrinks or share >= 1:
        return Verdict(wish.wanted)
    limit = Budget(scope=Scope.PROVIDER, step=Step(units=1, share=share), window_s=FLEET_WINDOW_S)
    left, until = ledger.left(limit, pool, now)
    least = pool.desired - left
    if wish.wanted >= least:
        return Verdict(wish.wanted)
    granted = modes.granted(conditions.approvals, now)
    sizes = range(wish.wanted, least) if granted else ()
    size = next((one for one in sizes if action_id(pool.id, pool.desired, one) in granted), least)
    if size == wish.wanted:
        return Verdict(wish.wanted)
    why = f"over {share * 100:.3g} % of {pool.provider}'s units would go in {format_duration(FLEET_WINDOW_S)}"
    return Verdict(size, Guard.FLEET_SHARE, until, f"{why}; approve this action")
