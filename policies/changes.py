"""The ledger of changes: what changed lately, and what a plan is about to change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from policies.model import Pool
from policies.money import unit_usd
from policies.plan import Change
from policies.policy import Budget, Scope
from policies.wishes import key_of, keys_of


class _Moment:
    """What changed at one instant: `net` units and `gone` units that shrank."""

    __slots__ = ("at", "gone", "net")

    def __init__(self, at: datetime) -> None:
        self.at, self.net, self.gone = at, 0, 0


class Ledger:
    """What has changed lately, and what this plan is about to change.

    Built once for a plan from the pools and the changes that were really made; `spend` adds what the plan
    grants, so that the pools of one provider share its budget.
    """

    def __init__(self, pools: Sequence[Pool], changes: Sequence[Change], now: datetime) -> None:
        """Changes dated after `now` (a clock stepped back) count in budgets as made now, and in no cool-down.

        A change of a pool that is not among `pools` counts against every provider and against all; its
        money is not known, and counts nowhere.
        """
        self._pools = {pool.id: pool for pool in pools}
        self._sizes: dict[tuple[Scope, str], int] = {}
        self._moments: dict[tuple[Scope, str], list[_Moment]] = {}
        self._turns: dict[str, list[tuple[datetime, bool]]] = {}
        self._paid: dict[tuple[Scope, str], list[tuple[datetime, float]]] = {}
        for pool in pools:
            for key in keys_of(pool):
                self._sizes[key] = self._sizes.get(key, 0) + pool.desired
        self._last: dict[str, datetime] = {}
        self._last_growth: dict[str, datetime] = {}
        known = sorted(changes, key=lambda one: (one.at, one.target, one.before, one.after))
        for change, shown in zip(known, self._shown(known), strict=True):
            self._note(change, min(change.at, now), shown=shown)
            self.pay(change, min(change.at, now))
            if change.at <= now:
                self._date(change)

    def _shown(self, known: Sequence[Change]) -> list[bool]:
        """Of each change, oldest first, whether its pool's size as it was read may have it in it already.

        A reading may be older than our newest changes, or those may not have been done: up to the one that
        left the size that was read, nothing says that they are in it. What was done elsewhere never is.
        """
        sought = dict.fromkeys(self._pools, True)
        found = []
        for change in reversed(known):
            pool = None if change.elsewhere else self._pools.get(change.target)
            if pool is not None and change.after == pool.desired:
                sought[pool.id] = False
            found.append(pool is not None and not sought[pool.id])
        return found[::-1]

    def _date(self, change: Change) -> None:
        self._last[change.target] = change.at
        if change.after > change.before:
            self._last_growth[change.target] = change.at

    def _note(self, change: Change, at: datetime, *, shown: bool = True) -> None:
        """Count it; a shrink that is not `shown` adds nothing to the size before it."""
        pool = self._pools.get(change.target)
        keys = [key for key in self._sizes if key[0] is not Scope.POOL] if pool is None else keys_of(pool)
        for key in keys:
            moments = self._moments.setdefault(key, [])
            if not moments or moments[-1].at != at:
                moments.append(_Moment(at))
            net = 0 if pool is None or change.elsewhere else change.after - change.before
            moments[-1].net += net if shown else max(0, net)
            moments[-1].gone += max(0, change.before - change.after)
        if change.after != change.before:
            self._turns.setdefault(change.target, []).append((at, change.after > change.before))

    def pay(self, change: Change, at: datetime) -> None:
        """Count the money of growth, USD an hour of its units at today's price; nothing else."""
        pool = self._pools.get(change.target)
        price = unit_usd(pool) if pool is not None and change.after > change.before else None
        if pool is not None and price is not None:
            for key in keys_of(pool):
                usd = (change.after - change.before) * price.mid
                self._paid.setdefault(key, []).append((at, usd))

    def last_change(self, pool_id: str) -> datetime | None:
        """When the pool last changed, None where no change is known."""
        return self._last.get(pool_id)

    def last_growth(self, pool_id: str) -> datetime | None:
        """When the pool last grew, None where no growth is known."""
        return self._last_growth.get(pool_id)

    def directions(self, pool_id: str) -> Sequence[tuple[datetime, bool]]:
        """The pool's changes, oldest first: when, and whether it grew."""
        return self._turns.get(pool_id, ())

    def paid(self, key: tuple[Scope, str]) -> Sequence[tuple[datetime, float]]:
        """Growth that was priced, oldest first: when, and how many USD an hour it added."""
        return self._paid.get(key, ())

    def provider_of(self, pool_id: str) -> str | None:
        """The provider of a pool, None where the pool was not seen."""
        pool = self._pools.get(pool_id)
        return None if pool is None else pool.provider

    def spend(self, change: Change) -> None:
        """Count a change that the plan grants."""
        self._note(change, change.at)
        self.pay(change, change.at)
        self._date(change)
        for key in keys_of(self._pools[change.target]):
            self._sizes[key] += change.after - change.before

    def left(self, budget: Budget, pool: Pool, now: datetime) -> tuple[int, datetime | None]:
        """Units that may still go now, and when more may.

        For every window that ends now, what went in it plus what may go must be within the limit of the
        size at its beginning: so each earlier change within the window begins a window of its own.
        """
        key = key_of(budget.scope, pool)
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
