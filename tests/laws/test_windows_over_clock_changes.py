"""Freeze windows on the days on which a zone's clocks change: each opens once, and ends once."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.freeze_windows import end_of
from policies.policy import FreezeWindow, Scope

MINUTE = timedelta(minutes=1)

CHANGES = (  # a zone, and a day on which its clocks go forth or back
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Rome", date(2026, 3, 29)),
    ("Europe/Rome", date(2026, 10, 25)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # by half an hour
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Africa/Cairo", date(2026, 4, 24)),  # at midnight
    ("Africa/Cairo", date(2026, 10, 29)),
)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@given(start=st.integers(0, 1439), lasts=st.integers(1, 300))
@settings(max_examples=20)
def test_f29_f30_a_window_of_every_day_opens_once_on_the_day_of_a_change(zone, day, start, lasts):
    """A reading that is skipped, or read twice: one opening, which ends once, at one instant in UTC."""
    one = FreezeWindow(
        scope=Scope.ALL,
        days=(day.weekday(),),
        start_minute=start,
        end_minute=(start + lasts) % 1440,
        timezone=zone,
    )
    noon = datetime.combine(day, time(12), tzinfo=ZoneInfo(zone)).astimezone(UTC)
    moments = [noon + timedelta(minutes=minute) for minute in range(-1800, 1800)]
    ends = [end_of(one, moment) for moment in moments]
    opened = [end is not None for end in ends]
    assert sum(now and not before for before, now in pairwise([False, *opened])) == 1
    assert opened[-1] is False
    (end,) = {end for end in ends if end is not None}
    assert (
        end == next(at for at, is_open in reversed([*zip(moments, opened, strict=True)]) if is_open) + MINUTE
    )
    assert lasts - 60 <= sum(opened) <= lasts + 120
