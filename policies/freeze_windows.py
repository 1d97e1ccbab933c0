"""Freeze windows: times of the week, in a zone of their own, in which nothing of their scope shrinks.

A window begins and ends at readings of a wall clock. Where a change of clocks skips or repeats a reading, the
window begins at the earlier and ends at the later instant that it may mean: it is never shorter than a clock
on the wall shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from policies.plan import Guard
from policies.policy import FreezeWindow
from policies.wishes import Verdict, Wish, covers

DAY_MINUTES = 1440


def hold(wish: Wish, windows: Sequence[FreezeWindow], now: datetime) -> Verdict:
    """No shrink within a window that covers the pool, until the last of those that are open has ended."""
    best = Verdict(wish.wanted)
    if not wish.shrinks:
        return best
    for window in windows:
        ends = end_of(window, now) if covers(window.scope, window.name, wish.pool) else None
        if ends is not None and (best.until is None or ends > best.until):
            best = wish.held(Guard.FREEZE_WINDOW, window.why or "a freeze window of the operator", ends)
    return best


def end_of(window: FreezeWindow, now: datetime) -> datetime | None:
    """When the window that is open at `now` ends, in UTC; None where it is not open."""
    zone = ZoneInfo(window.timezone)
    today = now.astimezone(zone).date()
    lasts = (window.end_minute - window.start_minute) % DAY_MINUTES or DAY_MINUTES
    spans = (
        (_instants(day, window.start_minute, zone), _instants(day, window.start_minute + lasts, zone))
        for day in (today + timedelta(days=offset) for offset in (-2, -1, 0, 1))
        if day.weekday() in window.days
    )
    return max((max(end) for start, end in spans if min(start) <= now < max(end)), default=None)


def _instants(day: date, minute: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Both instants, in UTC, that a wall clock's reading may mean; they are the same but at a change."""
    reading = datetime.combine(day, time()) + timedelta(minutes=minute)
    return (
        reading.replace(tzinfo=zone, fold=0).astimezone(UTC),
        reading.replace(tzinfo=zone, fold=1).astimezone(UTC),
    )
