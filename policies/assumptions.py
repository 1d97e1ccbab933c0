"""Assumptions of a what-if: `demand*1.5`, `web:price=0.2`, `lead-time+3m`; parsed, and put to a pool.

    [POOL:]NAME*FACTOR   [POOL:]NAME+X   [POOL:]NAME=X

NAME is demand (of every metric of the pool, in its own unit), price (USD an hour of every offering; one that
is not known can only be set), lead-time, unit-capacity (of every metric), minimum, maximum or violation.
Without POOL it holds for every pool. Several are put one after the other, in the order given.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from policies import units
from policies.model import CapacityType, Offering, Pool
from policies.policy import PoolPolicy
from policies.scalers import MOST_UNITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_LEAD_S = 7 * 86400
LARGEST_FACTOR = 1e6
_FORM = re.compile(r"(?:(?P<pool>.+):)?(?P<name>[^*+=:]*)(?P<sign>[*+=])(?P<value>.*)")


class AssumptionError(ValueError):
    """An assumption that does not parse, or that no pool can have; the message shows what would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """`sign` is `*`, `+` or `=`; `value` is in the base unit of `name` (seconds, fractions, USD an hour).

    `pool` is empty where it holds for every pool.
    """

    text: str
    pool: str
    name: str
    sign: str
    value: float

    def put(self, number: float) -> float:
        """The number under this assumption."""
        if self.sign == "*":
            return number * self.value
        return number + self.value if self.sign == "+" else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A pool as it is assumed to be, and its demand: each metric is `scale` x what is forecast + `shift`.

    `swell` is what the units are multiplied by that a scaler keeps whatever demand is: they come with the
    ups and downs of demand, so they follow its scale and the size of a unit, and a flat demand has none.
    """

    pool: Pool
    rule: PoolPolicy
    scale: float = 1.0
    shift: float = 0.0
    swell: float = 1.0

    def demand(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Demand of one metric under these terms, never below zero; of the shape that is given."""
        return np.maximum(values * self.scale + self.shift, 0.0)


def _signed(read: Callable[[str], float]) -> Callable[[str], float]:
    """A reader that takes a leading sign: what is added may be negative."""

    def signed(text: str) -> float:
        return -read(text[1:]) if text.startswith("-") else read(text.removeprefix("+"))

    return signed


def _whole(text: str) -> float:
    value = units.quantity(text)
    if value != int(value):
        raise units.UnitError(f"{text!r} is no whole number of units")
    return value


_READERS: MappingProxyType[str, Callable[[str], float]] = MappingProxyType(
    {
        "demand": units.quantity,
        "price": units.hourly_usd,
        "lead-time": units.duration_s,
        "unit-capacity": units.quantity,
        "minimum": _whole,
        "maximum": _whole,
        "violation": units.share,
    }
)
NAMES = tuple(_READERS)


def parse(text: str) -> Assumption:
    """Read one assumption; AssumptionError names the nearest word or the form."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise AssumptionError(f"{text!r} assumes nothing; write demand*1.5, web:price=0.2 or lead-time+3m")
    name = found["name"].strip()
    if name not in _READERS:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
        raise AssumptionError(f"{text!r}: there is no {name!r} to assume; {hint}")
    value = _value(text, name, found["sign"], found["value"].strip())
    return Assumption(
        text=text.strip(), pool=(found["pool"] or "").strip(), name=name, sign=found["sign"], value=value
    )


def _value(text: str, name: str, sign: str, written: str) -> float:
    read = _READERS[name]
    if sign == "*":
        read = _factor
    elif sign == "+":
        read = _signed(read)
    try:
        value = float(read(written))
    except ValueError as error:
        raise AssumptionError(f"{text!r}: {error}") from None
    if sign == "=" and value < 0:
        raise AssumptionError(f"{text!r}: {name} cannot be below zero")
    return value


def _factor(text: str) -> float:
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise units.UnitError(f"{text!r} is no factor; write 1.5 or 150%") from None
    if not 0 <= value <= LARGEST_FACTOR:
        raise units.UnitError(f"{text!r} is no factor from 0 to {LARGEST_FACTOR:g}")
    return value


def known(assumptions: Iterable[Assumption], pools: Sequence[str]) -> None:
    """AssumptionError, with the nearest pool, where one is made about a pool that is not there."""
    for entry in assumptions:
        if entry.pool and entry.pool not in pools:
            near = difflib.get_close_matches(entry.pool, pools, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(pools)}"
            raise AssumptionError(f"{entry.text!r}: no pool {entry.pool!r}; {hint}")


def assumed(pool: Pool, rule: PoolPolicy, assumptions: Iterable[Assumption]) -> Terms:
    """The pool under every assumption that is about it; AssumptionError for one that no pool can be under."""
    terms = Terms(pool=pool, rule=rule)
    for entry in assumptions:
        if entry.pool in {"", pool.id}:
            terms = _CHANGES[entry.name](terms, entry)
            _check(terms, entry)
    if terms.pool.minimum > terms.pool.maximum:
        raise AssumptionError(
            f"{pool.id}: a minimum of {terms.pool.minimum} is assumed over a maximum of {terms.pool.maximum}"
        )
    return terms


def _demand(terms: Terms, entry: Assumption) -> Terms:
    shift = entry.put(terms.shift)
    factor = {"*": entry.value, "+": 1.0, "=": 0.0}[entry.sign]
    return replace(terms, scale=terms.scale * factor, shift=shift, swell=terms.swell * factor)


def _price(terms: Terms, entry: Assumption) -> Terms:
    offerings = tuple(
        replace(offering, hourly_usd=entry.put(offering.hourly_usd)) for offering in terms.pool.offerings
    )
    if not offerings and entry.sign == "=":  # what is not known has no double
        kind = CapacityType.ON_DEMAND
        offerings = (Offering(instance_type="assumed", zone="", capacity_type=kind, hourly_usd=entry.value),)
    return replace(terms, pool=replace(terms.pool, offerings=offerings))


def _lead_time(terms: Terms, entry: Assumption) -> Terms:
    seconds = entry.put(terms.pool.lead_time_s)
    return replace(terms, pool=replace(terms.pool, lead_time_s=math.ceil(seconds)))


def _unit_capacity(terms: Terms, entry: Assumption) -> Terms:
    demands = tuple(
        replace(demand, unit_capacity=entry.put(demand.unit_capacity)) for demand in terms.pool.demands
    )
    finer = [
        before.unit_capacity / after.unit_capacity
        for before, after in zip(terms.pool.demands, demands, strict=True)
        if after.unit_capacity > 0  # what is not is refused
    ]
    pool = replace(terms.pool, demands=demands)
    return replace(terms, pool=pool, swell=terms.swell * max(finer, default=1.0))


def _minimum(terms: Terms, entry: Assumption) -> Terms:
    return replace(terms, pool=replace(terms.pool, minimum=_rounded(entry.put(terms.pool.minimum))))


def _maximum(terms: Terms, entry: Assumption) -> Terms:
    return replace(terms, pool=replace(terms.pool, maximum=_rounded(entry.put(terms.pool.maximum))))


def _rounded(count: float) -> int:
    return math.ceil(min(count, 2.0 * MOST_UNITS) - 1e-9)


def _violation(terms: Terms, entry: Assumption) -> Terms:
    return replace(terms, rule=replace(terms.rule, violation=entry.put(terms.rule.violation)))


_CHANGES: MappingProxyType[str, Callable[[Terms, Assumption], Terms]] = MappingProxyType(
    {
        "demand": _demand,
        "price": _price,
        "lead-time": _lead_time,
        "unit-capacity": _unit_capacity,
        "minimum": _minimum,
        "maximum": _maximum,
        "violation": _violation,
    }
)


def _check(terms: Terms, entry: Assumption) -> None:
    """Refuse what no pool can have."""
    pool, asked = terms.pool, terms.rule.violation
    what = f"{entry.text!r} gives {pool.id}"
    for name, count, least in (("minimum", pool.minimum, 0), ("maximum", pool.maximum, 1)):
        if not least <= count <= MOST_UNITS:
            raise AssumptionError(f"{what} a {name} of {count}; it is from {least} to {MOST_UNITS:g}")
    if not 0 <= pool.lead_time_s <= LONGEST_LEAD_S:
        lead = units.format_duration(pool.lead_time_s)
        raise AssumptionError(f"{what} a lead time of {lead}; it is from 0s to a week")
    if not units.SMALLEST_VIOLATION <= asked <= units.LARGEST_VIOLATION:
        raise AssumptionError(f"{what} a violation of {asked:.6g}; it is from 0.0001 % to 50 %")
    for demand in pool.demands:
        if not units.SMALLEST_CAPACITY <= demand.unit_capacity <= units.LARGEST_CAPACITY:
            raise AssumptionError(
                f"{what} a unit capacity of {demand.unit_capacity:g}; it is from "
                f"{units.SMALLEST_CAPACITY:g} to {units.LARGEST_CAPACITY:g}"
            )
    if any(offering.hourly_usd < 0 for offering in pool.offerings):
        raise AssumptionError(f"{what} a price below zero")
