"""Money of growth: what a unit costs, and the budgets that tell, or hold, what growth adds.

A budget counts growth alone, at today's price of a unit: what shrinks gives nothing back. It warns; only one
that the operator set `hard` holds, and then it holds growth that live demand needs too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.model import CapacityType, Pool
from policies.plan import Fact, Guard, UsdRange
from policies.policy import MoneyBudget, Scope
from policies.units import format_duration
from policies.wishes import Verdict, Wish, covers, key_of

if TYPE_CHECKING:
    from policies.changes import Ledger

HAIR_USD = 1e-9  # what rounding may part two equal sums by


def unit_usd(pool: Pool) -> UsdRange | None:
    """USD an hour of one unit; mid is the cheapest on-demand offering, else the cheapest. None if unknown."""
    prices = [offering.hourly_usd for offering in pool.offerings]
    if not prices:
        return None
    listed = [o.hourly_usd for o in pool.offerings if o.capacity_type is CapacityType.ON_DEMAND]
    return UsdRange(min(prices), min(listed or prices), max(prices))


def hold(wish: Wish, limits: Sequence[MoneyBudget], ledger: Ledger, now: datetime) -> Verdict:
    """Growth within every hard budget that covers the pool; a pool without a price is not held."""
    pool, best = wish.pool, Verdict(wish.wanted)
    price = unit_usd(pool) if limits and wish.wanted > pool.desired else None
    if price is None or price.mid <= 0:
        return best
    for limit in limits:
        if not limit.hard or not covers(limit.scope, limit.name, pool):
            continue
        room = limit.usd - added_usd(limit, pool, ledger, now)
        size = pool.desired + max(0, int((room + HAIR_USD) / price.mid))
        if size < best.size:
            until = _room_at(limit, price.mid, pool, ledger, now)
            best = Verdict(size, Guard.MONEY_BUDGET, until, f"growth may add at most {_words(limit)}")
    return best


def facts(
    pool: Pool, units: int, limits: Sequence[MoneyBudget], ledger: Ledger, now: datetime
) -> Iterator[Fact]:
    """What growth by `units` does to the budgets that cover the pool: which it exceeds, or no price."""
    price = unit_usd(pool)
    for limit in limits:
        if not covers(limit.scope, limit.name, pool):
            continue
        window = format_duration(limit.window_s)
        if price is None:
            yield Fact(name="money budget", value="unknown: the pool has no price", window=window)
            continue
        usd = added_usd(limit, pool, ledger, now) + units * price.mid
        if usd > limit.usd + HAIR_USD:
            over = f"over {_words(limit)}"
            yield Fact(name="money budget", value=round(usd, 6), unit="USD/h", source=over, window=window)


def added_usd(limit: MoneyBudget, pool: Pool, ledger: Ledger, now: datetime) -> float:
    """USD an hour that growth has added within the budget's window, which ends at `now`."""
    since = now - timedelta(seconds=limit.window_s)
    return sum(usd for at, usd in ledger.paid(key_of(limit.scope, pool)) if at > since)


def _room_at(limit: MoneyBudget, unit: float, pool: Pool, ledger: Ledger, now: datetime) -> datetime | None:
    """When a unit more fits; None where it never does."""
    window = timedelta(seconds=limit.window_s)
    left = added_usd(limit, pool, ledger, now)
    if unit > limit.usd + HAIR_USD:
        return None
    for at, usd in ledger.paid(key_of(limit.scope, pool)):
        if at > now - window:
            left -= usd
            if left + unit <= limit.usd + HAIR_USD:
                return at + window
    return now + window  # nothing was added before: what is added now is out of the window then


def _words(limit: MoneyBudget) -> str:
    whose = "" if limit.scope is Scope.ALL else f" for a {limit.scope}"
    return f"${limit.usd:,.2f} an hour{whose} in {format_duration(limit.window_s)}"
