"""Interlocks: what the world must look like for anything to shrink. Growth is none of their business, but
where a pool's provider says so: its size is set by another, or its owner suspended it.

A signal that is not known holds as a bad one does. An impaired zone holds every pool of the providers that
its signal speaks of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from policies.changes import Ledger
from policies.conditions import Conditions, Reading
from policies.model import Pool
from policies.plan import Guard
from policies.policy import Interlocks, Signal, SignalKind
from policies.units import format_duration
from policies.wishes import Verdict, Wish

OF_THE_SIGNAL = {
    SignalKind.SERVICE_LEVEL: Guard.SERVICE_LEVEL,
    SignalKind.INCIDENT: Guard.INCIDENT,
    SignalKind.DEPLOYING: Guard.DEPLOYING,
    SignalKind.ZONE_IMPAIRED: Guard.ZONE_IMPAIRED,
    SignalKind.PENDING_WORK: Guard.PENDING_WORK,
}


def holds(
    wish: Wish, rules: Interlocks, *, ledger: Ledger, now: datetime, conditions: Conditions
) -> Iterator[Verdict]:
    """What the pool's provider knows against a change, then every interlock that holds a shrink."""
    for obstacle in wish.pool.obstacles:
        if wish.shrinks or not obstacle.shrinks_only:
            yield wish.held(Guard(obstacle.code), obstacle.why)
    if not wish.shrinks:
        return
    for signal in rules.signals:
        if about(signal, wish.pool, ledger):
            yield from _signal(wish, signal, conditions.readings.get(signal.series), now)
    yield from _unready(wish, rules)
    yield from _warm_up(wish, rules, conditions, now)
    yield from _recent_growth(wish, rules, ledger, now)
    yield from _growing(wish, rules, conditions)
    if wish.pool.id in conditions.in_flight:
        since = conditions.in_flight[wish.pool.id].astimezone(UTC)
        yield wish.held(Guard.IN_FLIGHT, f"the end of a change begun at {since:%H:%MZ} is not known")


def about(signal: Signal, pool: Pool, ledger: Ledger) -> bool:
    """Whether a signal speaks of a pool; that of a zone speaks of all pools of its pools' providers.

    A pool that was not seen may be of any provider.
    """
    if signal.pools is None or pool.id in signal.pools:
        return True
    if signal.kind is not SignalKind.ZONE_IMPAIRED:
        return False
    return any(ledger.provider_of(name) in {pool.provider, None} for name in signal.pools)


def _signal(wish: Wish, signal: Signal, reading: Reading | None, now: datetime) -> Iterator[Verdict]:
    what = f"{signal.series} ({signal.kind})"
    if reading is None or math.isnan(reading.value):
        yield wish.held(Guard.INSUFFICIENT_DATA, f"{what} is not known")
    elif abs(now - reading.at) > timedelta(seconds=signal.stale_s):
        age = format_duration(int(abs(now - reading.at).total_seconds()))
        side = "old" if reading.at < now else "ahead of now"
        yield wish.held(Guard.INSUFFICIENT_DATA, f"the newest value of {what} is {age} {side}")
    elif signal.above is not None and reading.value > signal.above:
        yield wish.held(OF_THE_SIGNAL[signal.kind], f"{what} is {reading.value:g}, above {signal.above:g}")
    elif signal.below is not None and reading.value < signal.below:
        yield wish.held(OF_THE_SIGNAL[signal.kind], f"{what} is {reading.value:g}, below {signal.below:g}")


def _unready(wish: Wish, rules: Interlocks) -> Iterator[Verdict]:
    """Too many units are not ready; small pools are not judged by a share."""
    pool = wish.pool
    if pool.desired <= rules.unready_above or rules.unready_share >= 1:
        return
    if not pool.ready:
        yield wish.held(Guard.INSUFFICIENT_DATA, "how many units are ready is not known")
        return
    missing = pool.desired - pool.ready_units
    if missing > rules.unready_share * pool.desired + 1e-9:
        why = f"{missing} of {pool.desired} units are not ready, over {rules.unready_share * 100:.3g} %"
        yield wish.held(Guard.UNREADY, why)


def _warm_up(wish: Wish, rules: Interlocks, conditions: Conditions, now: datetime) -> Iterator[Verdict]:
    """A daemon that has just begun to watch knows too little to shrink."""
    running = conditions.running_s
    if running is not None and running < rules.warm_up_s:
        why = f"the first {format_duration(rules.warm_up_s)} of watching are not over"
        yield wish.held(Guard.WARM_UP, why, now + timedelta(seconds=rules.warm_up_s - running))


def _recent_growth(wish: Wish, rules: Interlocks, ledger: Ledger, now: datetime) -> Iterator[Verdict]:
    """What has just grown is given time to serve. A stamp ahead of now is no growth that is known."""
    grown = ledger.last_growth(wish.pool.id)
    ends = None if grown is None else grown + timedelta(seconds=rules.recent_growth_s)
    if ends is not None and now < ends:
        why = f"grew less than {format_duration(rules.recent_growth_s)} ago"
        yield wish.held(Guard.RECENT_GROWTH, why, ends)


def _growing(wish: Wish, rules: Interlocks, conditions: Conditions) -> Iterator[Verdict]:
    """Growth that was asked for and does not serve yet is waited for, however long ago that was."""
    since = conditions.growing.get(wish.pool.id)
    if since is not None and rules.recent_growth_s:
        why = f"the growth asked for at {since.astimezone(UTC):%H:%MZ} does not serve yet"
        yield wish.held(Guard.RECENT_GROWTH, why)
