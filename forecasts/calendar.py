"""Holidays: a day that is declared behaves as a given weekday, Sunday by default.

A past holiday is set aside before a model learns, or next week's Monday would be forecast from it. A holiday
to come is forecast as its own weekday, times what the given weekday was to it at that hour in past weeks.
Days are those of a time zone; where its clock changes, the hour next to it may be taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from forecasts.set_aside import Window, within
from forecasts.types import DAY_S, WEEK_S, Forecast, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUNDAY = 6
# Weeks that are looked back for what one weekday is to another.
WEEKS = 4
# No hour of a holiday is forecast so many times larger or smaller than that of its own weekday.
MOST = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The holidays of a time zone, and the weekday (0 is Monday) as which they behave."""

    zone: str = "UTC"
    holidays: frozenset[date] = frozenset()
    weekday: int = SUNDAY

    def windows(self, begin: datetime, end: datetime) -> tuple[Window, ...]:
        """The holidays that touch [begin, end) as [begin, end) in UTC; not those on the weekday itself."""
        zone = ZoneInfo(self.zone)
        days = (day for day in sorted(self.holidays) if day.weekday() != self.weekday)
        found = (
            (
                datetime.combine(day, time(), zone).astimezone(UTC),
                datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC),
            )
            for day in days
        )
        return tuple(window for window in found if window[0] < end and window[1] > begin)


def on_holidays(forecast: Forecast, history: Series, calendar: Calendar) -> Forecast:
    """The forecast with its holidays as the weekday of the calendar; itself where there are none.

    `history` is what it was made from, in the forecast's step, with past holidays as they were. An hour
    where the past says nothing stays as it is. The notes name the days.
    """
    end = forecast.issued_at + timedelta(seconds=forecast.step_s * len(forecast.values))
    windows = calendar.windows(forecast.issued_at, end)
    if not windows:
        return forecast
    past = history.until(forecast.issued_at)
    holiday = within(past.start, past.step_s, len(past.y), calendar.windows(past.start, past.end))
    plain = np.where(holiday, np.nan, past.y)
    factor = np.ones(len(forecast.values))
    late = round((forecast.issued_at - past.start).total_seconds() / past.step_s)
    zone = ZoneInfo(calendar.zone)
    for window in windows:
        day = window[0].astimezone(zone).date()
        at = np.flatnonzero(within(forecast.issued_at, forecast.step_s, factor.size, [window]))
        shift = (calendar.weekday - day.weekday()) * DAY_S // past.step_s
        factor[at] = _ratio(plain, late + at, shift, max(1, WEEK_S // past.step_s))
    days = ", ".join(f"{window[0].astimezone(zone):%F}" for window in windows)
    return Forecast(
        unique_id=forecast.unique_id,
        issued_at=forecast.issued_at,
        step_s=forecast.step_s,
        levels=forecast.levels,
        values=forecast.values * factor[:, None],
        model=forecast.model,
        trained_through=forecast.trained_through,
        notes=(*forecast.notes, f"holiday {days} as a {_NAMES[calendar.weekday]}"),
    )


_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _ratio(y: NDArray[np.float64], at: NDArray[np.int64], shift: int, week: int) -> NDArray[np.float64]:
    """What the hours `at` + `shift` were to the hours `at` over past weeks [at]; 1 where nobody knows."""
    like, own = (_median(y, at + moved, week) for moved in (shift, 0))
    known = np.isfinite(like) & np.isfinite(own) & (own > 0)
    ratio = np.divide(like, own, out=np.ones(at.size), where=known)
    return np.clip(ratio, 1 / MOST, MOST)


def _median(y: NDArray[np.float64], at: NDArray[np.int64], week: int) -> NDArray[np.float64]:
    """The median of the newest WEEKS values at the same time of earlier weeks [at], NaN without any."""
    table = np.full((WEEKS + 2, at.size), np.nan)
    for back in range(1, WEEKS + 3):
        source = at - back * week
        there = (source >= 0) & (source < y.size)
        table[back - 1, there] = y[source[there]]
    newest = np.where(np.isfinite(table).cumsum(axis=0) <= WEEKS, table, np.nan)
    known = np.isfinite(newest).any(axis=0)
    out = np.full(at.size, np.nan)
    out[known] = np.nanmedian(newest[:, known], axis=0)
    return out
