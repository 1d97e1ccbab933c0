"""The kinds of value that the configuration holds: how each is written, its limits, and its JSON Schema.

Each validator says in one line what is wrong and what to write; file and line are added where it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime
from difflib import get_close_matches
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from autoscaler.settings_learnt import LEARN
from forecasts import models
from policies import scalers, units

MOST_UNITS = 100_000
LONGEST_S = 366 * 86400
DEAREST_USD = 10_000.0
LEAST_MULTIPLIER, MOST_MULTIPLIER = 0.01, 100.0
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127}")


class Section(BaseModel):
    """A part of the file: known keys only, nothing converted by itself, not to be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _units(value: object) -> int:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"{shown(value)} is no whole number of units")
    if number < 0:
        raise ValueError(f"{shown(value)} is negative; units are counted from 0 up")
    if number > MOST_UNITS:
        raise ValueError(f"{shown(value)} is over {MOST_UNITS:,} units; so large a pool is taken for a slip")
    return int(number)


def _some_units(value: object) -> int:
    count = _units(value)
    if count == 0:
        raise ValueError("must be at least 1")
    return count


def _scalar(parse: Callable[[Any], float], value: object) -> float:
    if not isinstance(value, str | int | float):
        raise ValueError(f"{shown(value)} is no single value")  # noqa: TRY004 - pydantic collects ValueError
    return parse(value)


def _duration(value: object) -> int:
    seconds = _scalar(units.duration_s, value)
    if seconds > LONGEST_S:
        raise ValueError(f"{shown(value)} is over 366 days; so long a time is taken for a slip")
    return int(seconds)


def _some_time(value: object) -> int:
    seconds = _duration(value)
    if seconds == 0:
        raise ValueError("must be longer than 0 s")
    return seconds


def _share(value: object) -> float:
    return _scalar(units.share, value)


def _violation(value: object) -> float:
    return _scalar(units.violation, value)


def _capacity(value: object) -> float:
    return _scalar(units.unit_capacity, value)


def _learnt_capacity(value: object) -> float | str:
    return LEARN if value == LEARN else _capacity(value)


def _latency(value: object) -> float:
    return _scalar(units.latency_s, value)


def _target(value: object) -> float:
    share = _share(value)
    if not share:
        raise ValueError("must be above 0; a unit that is aimed at empty serves nothing")
    return share


def _top(value: object) -> float:
    top = _scalar(units.quantity, value)
    if not 0 < top <= units.LARGEST_CAPACITY:
        raise ValueError(f"{shown(value)} is no reading of a unit in full use; write 1 or 100")
    return top


def _price(value: object) -> float:
    usd = _scalar(units.hourly_usd, value)
    if usd > DEAREST_USD:
        raise ValueError(
            f"{shown(value)} is over ${DEAREST_USD:,.0f} an hour for one unit; is it a monthly price?"
        )
    return usd


def _levels(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of probabilities, such as [0.5, 0.9, 0.99]")
    levels = tuple(_share(entry) for entry in value)
    if any(not 0 < level < 1 for level in levels):
        raise ValueError("levels are probabilities between 0 and 1, both excluded")
    if any(b <= a for a, b in pairwise(levels)):
        raise ValueError("levels must ascend, each once")
    return levels


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"{shown(value)} is no time; write 2026-12-01T00:00:00Z")
    if moment.tzinfo is None:
        raise ValueError(f"{shown(value)} has no time zone; write {moment.isoformat()}Z if it is UTC")
    return moment


def _day(value: object) -> date:
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{shown(value)} is no day; write 2026-12-25") from None


def _zone(value: object) -> str:
    try:
        return ZoneInfo(value if isinstance(value, str) else "").key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{shown(value)} is no time zone; write Europe/Rome or UTC") from None


def _multiplier(value: object) -> float:
    number = _scalar(units.quantity, value)
    if not LEAST_MULTIPLIER <= number <= MOST_MULTIPLIER:
        raise ValueError(
            f"{shown(value)} is no multiplier of demand, which is from {LEAST_MULTIPLIER:g} to "
            f"{MOST_MULTIPLIER:g}; 1.8 is 80 % more"
        )
    return number


def _limit(value: object) -> float:
    return _scalar(units.quantity, value)


def _usd_per_hour(value: object) -> float:
    return _scalar(units.hourly_usd, value)


def _pools(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of pools, at least one; leave the key out for all of them")
    return tuple(_name(entry) for entry in value)


def _now(value: object) -> str | datetime:
    return value if isinstance(value, str) and value in {"clock", "last-sample"} else _moment(value)


def _timezone(value: object) -> str:
    if value != "UTC":
        raise ValueError(
            f"{shown(value)} is refused: only UTC is unambiguous; give the stamps an offset instead"
        )
    return "UTC"


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        star = "; there is no wildcard, name each" if value == "*" else ""
        raise ValueError(f"{shown(value)} is no name (letters, digits and . _ / : @ -){star}")
    return value


def _knob(value: object) -> float | int | str | bool:
    if not isinstance(value, str | int | float):
        raise ValueError(f"{shown(value)} is no single value")  # noqa: TRY004 - pydantic collects ValueError
    return value


def _environment_path(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"{shown(value)} is no path")
    return value


def counted(value: object) -> int | None:
    """A number of units, None where it is none: for checks that compare two of them."""
    try:
        return None if value is None else _units(value)
    except ValueError:
        return None


def lasting(value: object) -> int | None:
    """Seconds, None where it is no duration: for checks that compare two of them."""
    try:
        return _duration(value)
    except ValueError:
        return None


def instant(value: object) -> datetime | None:
    """A moment, None where it is none: for checks that compare two of them."""
    try:
        return _moment(value)
    except ValueError:
        return None


def one_of(names: Callable[[], tuple[str, ...]], word: str) -> Callable[[object], str]:
    """A validator that knows the allowed names and tells the nearest."""

    def check(value: object) -> str:
        allowed = names()
        if value not in allowed:
            raise ValueError(f"{shown(value)} is no {word}; {nearest(value, allowed)}")
        return str(value)

    return check


def _member(kind: type[Enum], word: str) -> Callable[[object], Enum]:
    names = tuple(str(entry.value) for entry in kind)
    check = one_of(lambda: names, word)
    return lambda value: kind(check(value))


def nearest(name: object, allowed: tuple[str, ...]) -> str:
    """`did you mean X?`, or what there is to choose from."""
    close = get_close_matches(str(name), allowed, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(allowed) or 'none'}"


def shown(value: object) -> str:
    """A value inside a message: short, and on one line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_COUNT = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": MOST_UNITS}, {"type": "string"}]}
_TIME = {
    "anyOf": [{"type": "integer", "minimum": 0, "maximum": LONGEST_S}, {"type": "string"}],
    "examples": ["90s", "5m", "1h30m", "14d"],
}
_PART = {
    "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string"}],
    "examples": ["1%", 0.01],
}
_AMOUNT = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
    "examples": [20, "500m", "2Gi"],
}
_USD = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
    "examples": [0.096, "USD 70 per month"],
}
_INSTANT = {"type": "string", "format": "date-time", "examples": ["2026-12-01T00:00:00Z"]}

Units = Annotated[int, BeforeValidator(_units), WithJsonSchema(_COUNT)]
SomeUnits = Annotated[int, BeforeValidator(_some_units), WithJsonSchema(_COUNT)]
Duration = Annotated[int, BeforeValidator(_duration), WithJsonSchema(_TIME)]
SomeTime = Annotated[int, BeforeValidator(_some_time), WithJsonSchema(_TIME)]
Share = Annotated[float, BeforeValidator(_share), WithJsonSchema(_PART)]
Target = Annotated[float, BeforeValidator(_target), WithJsonSchema(_PART)]
Violation = Annotated[float, BeforeValidator(_violation), WithJsonSchema(_PART)]
Capacity = Annotated[float, BeforeValidator(_capacity), WithJsonSchema(_AMOUNT)]
LearntCapacity = Annotated[
    float | str,
    BeforeValidator(_learnt_capacity),
    WithJsonSchema({**_AMOUNT, "examples": [20, "500m", "2Gi", LEARN]}),
]
ShortTime = Annotated[
    float, BeforeValidator(_latency), WithJsonSchema({"type": "string", "examples": ["250ms", "1.5s"]})
]
Reading = Annotated[float, BeforeValidator(_top), WithJsonSchema({**_AMOUNT, "examples": [1, 100]})]
Price = Annotated[float, BeforeValidator(_price), WithJsonSchema(_USD)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_INSTANT)]
Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-12-25"]}),
]
Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Rome"]})]
Weekday = Annotated[
    str, BeforeValidator(one_of(lambda: WEEKDAYS, "weekday")), WithJsonSchema({"enum": [*WEEKDAYS]})
]
Limit = Annotated[
    float, BeforeValidator(_limit), WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
]
UsdPerHour = Annotated[float, BeforeValidator(_usd_per_hour), WithJsonSchema(_USD)]
Multiplier = Annotated[
    float,
    BeforeValidator(_multiplier),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0.01, "maximum": 100}, {"type": "string"}],
            "examples": [1.8],
        }
    ),
]
SomePools = Annotated[
    tuple[str, ...],
    BeforeValidator(_pools),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
Name = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})
]
PathText = Annotated[
    str, BeforeValidator(_environment_path), WithJsonSchema({"type": "string", "minLength": 1})
]
Knob = Annotated[
    Any, BeforeValidator(_knob), WithJsonSchema({"type": ["number", "integer", "string", "boolean"]})
]


def enumerated(kind: type[Enum], word: str) -> tuple[BeforeValidator, WithJsonSchema]:
    choices = [str(entry.value) for entry in kind]
    return BeforeValidator(_member(kind, word)), WithJsonSchema({"type": "string", "enum": choices})


_SCALERS = {"type": "string", "enum": [*scalers.names()]}
_MODELS = {"type": "string", "enum": [*models.names()]}
Scaler = Annotated[str, BeforeValidator(one_of(scalers.names, "scaler")), WithJsonSchema(_SCALERS)]
Model = Annotated[str, BeforeValidator(one_of(models.names, "forecast model")), WithJsonSchema(_MODELS)]
Utc = Annotated[str, BeforeValidator(_timezone), WithJsonSchema({"const": "UTC"})]
Now = Annotated[
    str | datetime,
    BeforeValidator(_now),
    WithJsonSchema({"anyOf": [{"enum": ["clock", "last-sample"]}, _INSTANT]}),
]
Levels = Annotated[
    tuple[float, ...],
    BeforeValidator(_levels),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 1}),
]
