"""Guards: what an operator may rely on. Each can only make a change smaller.

A guard looks at one wish, from a present size to a wanted one, and lets all, a part or nothing of it pass.
The order is fixed; the guard that left the least is the one that the plan names. Growth is stopped only by
a freeze, protection, the maximum, the step limit and the operator's own cool-down: never by age of data and
never by a budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from policies.model import Pool
from policies.plan import Change, Guard
from policies.policy import Budget, Freeze, Policy, PoolPolicy, Scope
from policies.units import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One pool's wish within its bounds; what the newest demand needs; and why its metrics may not be
    trusted ("" where they may).
    """

    pool: Pool
    wanted: int
    need: int = 0
    refusal: str = ""


class Verdict(NamedTuple):
    """How far a guard lets a change go; `until` is when it may be asked again, None where time is no help."""

    size: int
    guard: Guard | None = None
    until: datetime | None = None
    why: str = ""


def judge(wish: Wish, *, policy: Policy, ledger: Ledger, now: datetime) -> Verdict:
    """The size that all guards let pass, and the one that left the least of a wish they did not grant."""
    pool, rule = wish.pool, policy.of(wish.pool.id)
    size, best = wish.wanted, Verdict(wish.wanted)
    for verdict in (
        freshness(wish),
        live_need(wish),
        frozen(wish, policy.freezes, now),
        protected(wish),
        cool_down(wish, rule, ledger, now),
        step(wish, rule),
        budgets(wish, policy.budgets, ledger, now),
    ):
        if verdict.guard is not None and abs(verdict.size - pool.desired) < abs(size - pool.desired):
            size, best = verdict.size, verdict
    return best


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
    """No change within a freeze of everything, of the provider, or of the pool."""
    pool = wish.pool
    for freeze in freezes:
        if (freeze.scope, freeze.name) == _key(freeze.scope, pool) and (
            freeze.until is None or now < freeze.until
        ):
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


class _Moment:
    """What changed at one instant: `net` units and `gone` units that shrank."""

    __slots__ = ("at", "gone", "net")

    def __init__(self, at: datetime) -> None:
        self.at, self.net, self.gone = at, 0, 0


class Ledger:
    """What has shrunk lately, and what this plan is about to shrink.

    Built once for a plan from the pools and the changes that were really made; `spend` adds what the plan
    grants, so that the pools of one provider share its budget.
    """

    def __init__(self, pools: Sequence[Pool], changes: Sequence[Change], now: datetime) -> None:
        """Changes dated after `now` (a clock stepped back) count in budgets as made now, and in no cool-down.

        A change of a pool that is not among `pools` counts against every provider and against all.
        """
        self._pools = {pool.id: pool for pool in pools}
        self._sizes: dict[tuple[Scope, str], int] = {}
        self._moments: dict[tuple[Scope, str], list[_Moment]] = {}
        for pool in pools:
            for key in _keys(pool):
                self._sizes[key] = self._sizes.get(key, 0) + pool.desired
        self._last: dict[str, datetime] = {}
        for change in sorted(changes, key=lambda change: change.at):
            self._note(change, min(change.at, now))
            if change.at <= now:
                self._last[change.target] = change.at

    def _note(self, change: Change, at: datetime) -> None:
        pool = self._pools.get(change.target)
        keys = [key for key in self._sizes if key[0] is not Scope.POOL] if pool is None else _keys(pool)
        for key in keys:
            moments = self._moments.setdefault(key, [])
            if not moments or moments[-1].at != at:
                moments.append(_Moment(at))
            moments[-1].net += 0 if pool is None else change.after - change.before
            moments[-1].gone += max(0, change.before - change.after)

    def last_change(self, pool_id: str) -> datetime | None:
        """When the pool last changed, None where no change is known."""
        return self._last.get(pool_id)

    def spend(self, change: Change) -> None:
        """Count a change that the plan grants."""
        self._note(change, change.at)
        self._last[change.target] = change.at
        for key in _keys(self._pools[change.target]):
            self._sizes[key] += change.after - change.before

    def left(self, budget: Budget, pool: Pool, now: datetime) -> tuple[int, datetime | None]:
        """Units that may still go now, and when more may.

        For every window that ends now, what went in it plus what may go must be within the limit of the
        size at its beginning: so each earlier change within the window begins a window of its own.
        """
        key = _key(budget.scope, pool)
        size, gone = self._sizes[key], 0
        window = timedelta(seconds=budget.window_s)
        left = budget.step.limit(size)
        until = now + window if left else None  # what goes now is out of the window then
        for moment in reversed(self._moments.get(key, ())):
            if moment.at <= now - window:
                break
            size -= moment.net
            gone += moment.gone
            room = budget.step.limit(size) - gone
            if room < left:
                left, until = room, moment.at + window
        return max(0, left), until


def _key(scope: Scope, pool: Pool) -> tuple[Scope, str]:
    if scope is Scope.POOL:
        return (scope, pool.id)
    return (scope, pool.provider if scope is Scope.PROVIDER else "")


def _keys(pool: Pool) -> tuple[tuple[Scope, str], ...]:
    return ((Scope.POOL, pool.id), (Scope.PROVIDER, pool.provider), (Scope.ALL, ""))
