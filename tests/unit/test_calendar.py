"""Windows that are set aside, and holidays."""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, date, datetime, timedelta
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.config import CalendarSettings
from autoscaler.errors import ConfigError
from autoscaler.holidays import calendar_of
from forecasts.calendar import Calendar, on_holidays
from forecasts.set_aside import masked, usual, within
from forecasts.types import Forecast, Series

T0 = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


def hours(y):
    return Series(unique_id="web", start=T0, step_s=3600, y=np.asarray(y, float))


def week(weeks):
    """Weekdays of 100 and more by the hour, Saturdays at a half, Sundays at a quarter."""
    at = np.arange(weeks * 168)
    level = np.where(at // 24 % 7 == 5, 0.5, np.where(at // 24 % 7 == 6, 0.25, 1.0))
    return level * (100 + at % 24)


def test_a_window_touches_every_step_that_it_reaches_into():
    """A window from 1:30 to 3:00 touches the hours 1 and 2, and nothing that lies beside the grid."""
    window = (T0 + 1.5 * HOUR, T0 + 3 * HOUR)
    assert np.flatnonzero(within(T0, 3600, 10, [window])).tolist() == [1, 2]
    assert not within(T0 + 3 * HOUR, 3600, 10, [window]).any()
    assert np.flatnonzero(within(T0 + 2.5 * HOUR, 3600, 3, [window])).tolist() == [0]


def test_what_is_masked_is_absent_and_the_rest_is_as_it_was():
    """A masked hour is NaN, never zero; a series without one is the same object."""
    series = hours(week(2))
    out = masked(series, [(T0 + 30 * HOUR, T0 + 32 * HOUR)])
    assert np.flatnonzero(np.isnan(out.y)).tolist() == [30, 31]
    assert np.array_equal(np.delete(out.y, [30, 31]), np.delete(series.y, [30, 31]))
    assert masked(series, [(T0 - 9 * HOUR, T0 - HOUR)]) is series


def test_the_usual_is_the_week_before_then_the_day_before_then_the_last():
    """A sale of ten days in the third week: each hour is that of the week before, itself usual by then."""
    y = week(4)
    y[2 * 168 : 2 * 168 + 240] *= 7
    out = usual(hours(y), [(T0 + 336 * HOUR, T0 + 576 * HOUR)])
    assert np.array_equal(out.y, week(4))
    short = hours([10, 11, 50, 50])
    assert usual(short, [(T0 + 2 * HOUR, T0 + 4 * HOUR)]).y.tolist() == [10, 11, 11, 11]
    assert np.isnan(usual(short, [(T0, T0 + 9 * HOUR)]).y).all()


@given(st.integers(0, 300), st.integers(1, 200), st.integers(1, 400))
def test_what_was_usual_does_not_change_when_more_is_seen(begin, length, cut):
    """Causality: the usual of a step depends on earlier steps, and on the window, only."""
    y = np.random.default_rng(1).uniform(1, 9, 400)
    y[::17] = np.nan
    windows = [(T0 + begin * HOUR, T0 + (begin + length) * HOUR)]
    whole, part = usual(hours(y), windows), usual(hours(y[:cut]), windows)
    assert np.array_equal(whole.y[:cut], part.y, equal_nan=True)
    assert np.isnan(whole.y[np.isnan(y)]).all()


def test_a_holiday_is_a_day_of_its_zone():
    """New Year in Auckland begins at eleven in the morning of UTC; on a Sunday there is nothing to do."""
    calendar = Calendar(zone="Pacific/Auckland", holidays=frozenset({date(2027, 1, 1), date(2027, 1, 3)}))
    (window,) = calendar.windows(datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
    assert window == (datetime(2026, 12, 31, 11, tzinfo=UTC), datetime(2027, 1, 1, 11, tzinfo=UTC))


def forecast(at, values):
    return Forecast(
        unique_id="web",
        issued_at=at,
        step_s=3600,
        levels=(0.5, 0.9),
        values=np.repeat(np.asarray(values, float)[:, None], 2, axis=1),
        model="naive",
        trained_through=at,
    )


def test_a_holiday_to_come_is_forecast_as_a_sunday():
    """A Wednesday that is declared has the level of Sundays at each hour, the days around it stay."""
    history = hours(week(5))
    day = date(2026, 4, 8)  # the Wednesday after those five weeks
    plain = week(6)[5 * 168 : 5 * 168 + 96]
    calendar = Calendar(holidays=frozenset({day}))
    out = on_holidays(forecast(history.end, plain), history, calendar)
    assert np.allclose(out.values[48:72, 0], 0.25 * plain[48:72])
    assert np.array_equal(np.delete(out.values[:, 0], np.s_[48:72]), np.delete(plain, np.s_[48:72]))
    assert out.notes == ("holiday 2026-04-08 as a Sunday",)
    none = forecast(history.end, plain)
    assert on_holidays(none, history, Calendar()) is none


def test_a_holiday_teaches_nothing_of_its_own_weekday():
    """A past holiday is no Wednesday: the ratio comes from the others, and nothing known leaves it at 1."""
    y = week(5)
    y[2 * 168 + 48 : 2 * 168 + 72] = 1e6  # the holiday of the third week went wild
    days = frozenset({date(2026, 3, 18), date(2026, 4, 8)})
    plain = week(6)[5 * 168 : 5 * 168 + 96]
    out = on_holidays(forecast(hours(y).end, plain), hours(y), Calendar(holidays=days))
    assert np.allclose(out.values[48:72, 0], 0.25 * plain[48:72])
    two_days = hours(week(1)[:48])
    out = on_holidays(
        forecast(two_days.end, plain), two_days, Calendar(holidays=frozenset({date(2026, 3, 5)}))
    )
    assert np.array_equal(out.values[:, 0], plain)


def test_listed_days_need_no_package(monkeypatch):
    """Days of the file make a calendar by themselves; a country without the package is told with the mend."""
    monkeypatch.setitem(sys.modules, "holidays", None)
    settings = CalendarSettings(timezone="Europe/Rome", days=(date(2026, 6, 2),), like="saturday")
    assert calendar_of(settings, T0, "f") == Calendar(
        zone="Europe/Rome", holidays=frozenset({date(2026, 6, 2)}), weekday=5
    )
    with pytest.raises(
        ConfigError, match=r"f: calendar.country: IT needs .*loadline\[holidays\].*list the days"
    ):
        calendar_of(CalendarSettings(country="IT"), T0, "f")


def test_a_country_adds_its_days(monkeypatch):
    """The package is asked for the year before, this one and the next; what it does not know is told."""
    asked = []

    def country_holidays(country, *, subdiv, years):
        if country == "XX":
            raise NotImplementedError("Entity XX not available")
        asked.append((country, subdiv, list(years)))
        return {date(2026, 10, 3): "Unity"}

    stub = ModuleType("holidays")
    stub.country_holidays = country_holidays
    monkeypatch.setitem(sys.modules, "holidays", stub)
    assert importlib.import_module("holidays") is stub
    settings = CalendarSettings(country="DE", subdivision="BY", days=(date(2026, 12, 24),))
    assert calendar_of(settings, T0, "f").holidays == {date(2026, 10, 3), date(2026, 12, 24)}
    assert asked == [("DE", "BY", [2025, 2026, 2027])]
    with pytest.raises(ConfigError, match=r"f: calendar\.country: Entity XX not available"):
        calendar_of(CalendarSettings(country="XX"), T0, "f")
