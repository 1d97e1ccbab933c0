"""Quantities as people write them: parsed and formatted here and nowhere else.

Durations are seconds (int), shares are fractions, quantities are plain numbers in the base unit,
money is USD per hour (float).
"""

from __future__ import annotations

import math
import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SUFFIX = {
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
LATENCIES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_LATENCY = re.compile(rf"({_NUMBER})\s*(us|ms|s)")
_MONEY = re.compile(rf"(?:(?:USD|\$)\s*)?({_NUMBER})\s*(?:USD)?(?:\s*(?:/|per)\s*(h|hour|month|mo))?")

HOURS_A_MONTH = 730.0
# Beyond these a value is taken for a slip.
SMALLEST_CAPACITY, LARGEST_CAPACITY = 1e-9, 1e15
SMALLEST_VIOLATION, LARGEST_VIOLATION = 1e-6, 0.5


class UnitError(ValueError):
    """A quantity that does not parse; the message shows what would."""


def _float(number: str | float) -> float:
    """A whole number too large for a float is as good as endless."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def duration_s(text: str | float) -> int:
    """Seconds of `90`, `"90s"`, `"5m"`, `"1h30m"`, `"14d"`, `"2w"`, `"0"`; whole seconds, not negative."""
    if isinstance(text, bool):
        raise UnitError(f"{text!r} is no duration; write 5m, 1h30m, 14d")
    if isinstance(text, int | float):
        seconds = _float(text)
    elif text.strip() == "0":
        seconds = 0.0  # the one time that needs no unit
    else:
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text).strip():
            raise UnitError(f"{text!r} is no duration; write 5m, 1h30m, 14d")
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not math.isfinite(seconds) or seconds < 0 or seconds != int(seconds):
        raise UnitError(f"{text!r} is no whole number of seconds from 0 up")
    return int(seconds)


def latency_s(text: str | float) -> float:
    """Seconds of `"250ms"`, `"1.5s"`, always with a unit; above zero and at most an hour."""
    found = _LATENCY.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found:
        raise UnitError(f"{text!r} is no latency; write 250ms or 1.5s")
    seconds = float(found[1]) * LATENCIES[found[2]]
    if not 0 < seconds <= 3600:
        raise UnitError(f"{text!r} is outside 0 to an hour; write 250ms or 1.5s")
    return seconds


def share(text: str | float) -> float:
    """A fraction in [0, 1] from `"1%"`, `"1 %"` or `0.01`."""
    if isinstance(text, bool):
        raise UnitError(f"{text!r} is no share; write 1% or 0.01")
    try:
        if isinstance(text, str) and text.strip().endswith("%"):
            value = float(text.strip()[:-1]) / 100
        else:
            value = _float(text)
    except ValueError:
        raise UnitError(f"{text!r} is no share; write 1% or 0.01") from None
    if not 0 <= value <= 1:
        raise UnitError(f"{text!r} is outside 0..100 %")
    return value


def violation(text: str | float) -> float:
    """A share that is asked for as violation: above 0 (0.0001 % at least) and at most a half."""
    value = share(text)
    if not SMALLEST_VIOLATION <= value <= LARGEST_VIOLATION:
        raise UnitError(f"{text!r} is no violation to ask for, which is from 0.0001 % to 50 %; write 1%")
    return value


def unit_capacity(text: str | float) -> float:
    """A quantity that one unit may serve."""
    value = quantity(text)
    if value <= 0:
        raise UnitError(f"{text!r} is not above 0; one unit serves some demand")
    if not SMALLEST_CAPACITY <= value <= LARGEST_CAPACITY:
        raise UnitError(
            f"{text!r} is outside {SMALLEST_CAPACITY:g} to {LARGEST_CAPACITY:g}; so extreme a unit is taken "
            "for a slip"
        )
    return value


def saturation(text: str | float) -> float:
    """A quantity from which on a history shows no more."""
    value = quantity(text)
    if not SMALLEST_CAPACITY <= value <= LARGEST_CAPACITY:
        raise UnitError(
            f"{text!r} is no level from which a history shows no more; it is above 0 and at most "
            f"{LARGEST_CAPACITY:g}"
        )
    return value


def quantity(text: str | float) -> float:
    """A number in its base unit from `2`, `"500m"` (0.5), `"2Gi"` (2147483648); finite."""
    if isinstance(text, bool):
        raise UnitError(f"{text!r} is no quantity; write 2, 500m or 2Gi")
    if isinstance(text, int | float):
        value = _float(text)
    else:
        found = _QUANTITY.fullmatch(text.strip())
        if not found:
            raise UnitError(f"{text!r} is no quantity; write 2, 500m or 2Gi")
        value = float(found[1]) * _SUFFIX[found[2] or ""]
    if not math.isfinite(value):
        raise UnitError(f"{text!r} is not finite")
    return value


def hourly_usd(text: str | float) -> float:
    """USD per hour from `0.096`, `"$0.096/h"`, `"USD 70 per month"`; finite, not negative."""
    if isinstance(text, bool):
        raise UnitError(f"{text!r} is no price; write 0.096 or $0.096/h")
    if isinstance(text, int | float):
        value = _float(text)
    else:
        found = _MONEY.fullmatch(text.strip())
        if not found:
            raise UnitError(f"{text!r} is no price; write 0.096, $0.096/h or USD 70 per month")
        value = float(found[1]) / (HOURS_A_MONTH if found[2] in {"month", "mo"} else 1.0)
    if not math.isfinite(value) or value < 0:
        raise UnitError(f"{text!r} is no price from 0 up")
    return value


def format_duration(seconds: float) -> str:
    """`5m`, `1h30m`, `2d`: the largest units, at most two of them."""
    rest = round(seconds)
    if rest < 60:
        return f"{rest}s"
    parts = []
    for unit in "wdhms":
        count, rest = divmod(rest, _SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def format_share(value: float) -> str:
    """`1.2 %`, two significant figures below one percent: `0.098 %`."""
    percent = value * 100
    return f"{percent:.2g} %" if 0 < percent < 1 else f"{percent:.1f} %"


def format_usd(value: float, *, signed: bool = False) -> str:
    """`$1,234`, `$12.30`, `$0.096`; with `signed` a leading + or −. Rounding happens only here."""
    size = abs(value)
    digits = 0 if size >= 1000 else 2 if size >= 1 or size == 0 else 3
    sign = ("+" if value > 0 else "-" if value < 0 else "") if signed else ("-" if value < 0 else "")
    return f"{sign}${size:,.{digits}f}"
