"""The calendar of a configuration: declared days, and those of a country by the `holidays` package.

The package is an extra: it is imported only where a country is named.
"""

from __future__ import annotations

import importlib
from datetime import date, datetime
from typing import Any

from autoscaler.config import CalendarSettings
from autoscaler.errors import ConfigError
from autoscaler.settings_kinds import WEEKDAYS
from forecasts.calendar import Calendar


def calendar_of(settings: CalendarSettings, now: datetime, file: str) -> Calendar:
    """The declared days, and those of the country from the year before `now` to the year after it.

    ConfigError where a country is named and the package is absent, or does not know the country.
    """
    days = set(settings.days)
    if settings.country is not None:
        days |= _of_country(settings.country, settings.subdivision, now.year, file)
    return Calendar(zone=settings.timezone, holidays=frozenset(days), weekday=WEEKDAYS.index(settings.like))


def _of_country(country: str, subdivision: str | None, year: int, file: str) -> set[date]:
    try:
        package: Any = importlib.import_module("holidays")
    except ImportError:
        raise ConfigError(
            f"calendar.country: {country} needs the holidays package; run pip install 'loadline[holidays]', "
            "or list the days under calendar.holidays",
            file=file,
        ) from None
    try:
        found = package.country_holidays(country, subdiv=subdivision, years=range(year - 1, year + 2))
    except NotImplementedError as error:
        raise ConfigError(f"calendar.country: {error}", file=file) from None
    return set(found)
