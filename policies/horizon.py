"""Capacity and money of pools over the weeks to come, from hourly quantile forecasts; with its band.

For each hour and each level of `BAND` (the 10, 50 and 90 % quantiles of the hour's mean demand)

    units = factor x demand in units + standby, with room for a lost zone, within minimum and maximum

`factor` and `standby` are what the pool's own scaler kept over an hour's mean demand when it was replayed on
the pool's last days (`margin_kept`); units are means of an hour, so they need not be whole. Where it could
not be replayed, the quantile rule stands for it: an hour's peak over its mean on the past, times how far the
quantile that the pool is sized by lies above the median over the first day ahead, in whole units; and what
the lead time after an hour needs, the hour needs too.

Standby units grow with demand: those of `demand*2` are twice as many, and so are those of a declared event.

The band is that of demand, hour by hour, as if every hour came out low, or high: the sum of weeks has a
narrower one as far as hours err independently. Far quantiles are not what a pool is sized by: a plan made in
three weeks will know more than one made today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import HOUR_S
from policies.assumptions import Terms
from policies.model import Gap
from policies.money import unit_usd
from policies.sizing import with_zone_spare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policies.trial import Trial

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BAND = (0.1, 0.5, 0.9)
DAY, WEEK = 24, 168
LARGEST_FACTOR = 1e4
_HALVINGS = 60
_MOST = 1e15  # units; sums of weeks still fit 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One figure as it is if demand comes out low, middling or high; low <= mid <= high."""

    low: float
    mid: float
    high: float

    def times(self, factor: float) -> Band:
        """The same figure in another unit."""
        return Band(low=self.low * factor, mid=self.mid * factor, high=self.high * factor)

    def plus(self, other: Band) -> Band:
        """Both together: both low, both high."""
        return Band(low=self.low + other.low, mid=self.mid + other.mid, high=self.high + other.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One pool over some hours. `usd` is None where a unit's price is not known.

    `peak_units` is the largest of an hour. In `hours_short` the maximum held back what demand asked for, by
    at most `short_by` units.
    """

    start: datetime
    hours: int
    unit_hours: Band
    usd: Band | None
    peak_units: Band
    hours_short: Band
    short_by: Band


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Units over an hour's mean demand: `factor` x it + `standby`. `rule` says in words where they are from.

    `replayed`: the figures know of lead time and whole units; else both are put on top of them.
    """

    factor: float
    standby: float = 0.0
    rule: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """A pool's hourly demand in units, as it is forecast under some terms.

    `values` float64 [hours, level] at `levels`; `swell` float64 [hours] is what standby units are multiplied
    by; `least` float64 [hours] are units that a declared event needs in any case, NaN where there is none.
    """

    levels: tuple[float, ...]
    values: Floats
    swell: Floats
    least: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One pool over the whole horizon under one set of terms; `units` are the middling ones of each hour."""

    unit_usd: float | None
    minimum: int
    maximum: int
    lead_time_s: int
    violation: float
    factor: float
    standby: float
    rule: str
    total: Span
    weeks: tuple[Span, ...]
    days: tuple[Span, ...]
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHorizon:
    """One pool as it is, and as it is assumed to be (None without assumptions)."""

    pool: str
    kind: str
    billable: bool
    model: str
    notes: tuple[str, ...]
    base: Course
    assumed: Course | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Money over all pools; None where there is none, or none with a price. `unpriced` names those without.

    Only what is billable is billed: a deployment's money is a share of its nodes'.
    """

    billable_usd: Band | None
    allocated_usd: Band | None
    unpriced: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """All pools over the weeks to come. `what_if`: under assumptions, and so nothing that can be applied."""

    format_version: int = 1
    what_if: bool
    assumptions: tuple[str, ...]
    made_at: datetime
    start: datetime
    hours: int
    pools: tuple[PoolHorizon, ...]
    gaps: tuple[Gap, ...]
    base: Totals = field(init=False)
    assumed: Totals | None = field(init=False)

    def __post_init__(self) -> None:
        """Add up."""
        object.__setattr__(self, "base", _totals(self.pools, lambda pool: pool.base))
        both = _totals(self.pools, lambda pool: pool.assumed or pool.base) if self.what_if else None
        object.__setattr__(self, "assumed", both)


def _totals(pools: Iterable[PoolHorizon], of: Callable[[PoolHorizon], Course]) -> Totals:
    sums: dict[bool, Band | None] = {True: None, False: None}
    unpriced = []
    for pool in pools:
        usd, so_far = of(pool).total.usd, sums[pool.billable]
        if usd is None:
            unpriced.append(pool.pool)
        else:
            sums[pool.billable] = usd if so_far is None else so_far.plus(usd)
    return Totals(billable_usd=sums[True], allocated_usd=sums[False], unpriced=tuple(unpriced))


def hourly_demand(terms: Terms, metrics: Sequence[tuple[Floats, float]]) -> Floats:
    """Quantiles of the pool's demand in units, float64 [hours, level], under its terms.

    `metrics` are hourly quantiles, each with the unit capacity of its metric, all of one shape; the pool's
    demand is the largest over them.
    """
    parts = [terms.demand(values) / capacity for values, capacity in metrics]
    need: Floats = np.minimum(np.max(parts, axis=0), _MOST / LARGEST_FACTOR)
    return need


def quantile_margin(demand: Demand, *, level: float, ratio: float) -> float:
    """The factor of the quantile rule: `ratio` (hourly peaks to means) x quantile over median, a day ahead.

    `demand` as it is forecast, without assumptions; its levels hold `level` and 0.5.
    """
    first = demand.values[:DAY]
    middle = float(first[:, demand.levels.index(0.5)].sum())
    upper = float(first[:, demand.levels.index(level)].sum())
    return min(LARGEST_FACTOR, max(1.0, ratio) * (max(1.0, upper / middle) if middle > 0 else 1.0))


def margin_kept(trial: Trial, near: float) -> tuple[float, float] | None:
    """Factor and standby of a replayed scaler over its scored part, by whole hours.

    The factor is what it rose by from the average hour to the busiest tenth, over what demand rose by (each
    sorted by itself; at least 1), and the standby such that the rule comes to the same unit-hours. Where
    that leaves none it is the factor alone that does; where several factors do (a pool that stays at its
    minimum), the one nearest to `near`. None where nothing was scored or nothing asked for.
    """
    per_hour = max(1, HOUR_S // trial.plant.step_s)
    hours = (len(trial.demand) - trial.warmup_steps) // per_hour
    first = len(trial.demand) - hours * per_hour
    demand = trial.demand[first:].reshape(hours, per_hour)
    whole = np.isfinite(demand).all(axis=1)
    if not whole.any() or not demand[whole].any():
        return None
    means = demand[whole].mean(axis=1)
    units = trial.targets[first:].reshape(hours, per_hour)[whole].mean(axis=1)
    kept = float(units.sum())

    def total(factor: float, standby: float) -> float:
        return float(np.maximum(means * factor + standby, trial.plant.minimum).sum())

    low = _first(lambda f: total(f, 0.0) >= kept, LARGEST_FACTOR)
    high = _first(lambda f: total(f, 0.0) > kept * (1 + 1e-9), LARGEST_FACTOR)
    rises = _rise(means)
    if low <= 1 or rises <= 0:
        return min(max(near, low), high), 0.0
    factor = min(low, max(1.0, _rise(units) / rises))
    return factor, _first(lambda s: total(factor, s) >= kept, kept)


def _rise(hourly: Floats) -> float:
    """From the average hour to the average of the busiest tenth."""
    busiest = np.sort(hourly)[-max(1, len(hourly) // 10) :]
    return float(busiest.mean() - hourly.mean())


def _first(true_from: Callable[[float], bool], most: float) -> float:
    """Where a condition that stays true once it is begins to be so, between 0 and `most`."""
    if true_from(0.0):
        return 0.0
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if true_from(middle) else (middle, high)
    return high


def course(terms: Terms, demand: Demand, *, margin: Margin, start: datetime, hours: int) -> Course:
    """What a pool needs and costs over `hours` hours from `start` on.

    `demand` has as many hours or more, and every level of `BAND`; what lies beyond `hours` is only looked at
    where units must be there early.
    """
    pool = terms.pool
    wanted = np.maximum(_wanted(terms, demand, margin)[:hours], pool.minimum)
    price = unit_usd(pool)
    usd = None if price is None else price.mid
    spans = [_span(wanted, pool.maximum, usd, start, part) for part in _parts(hours, WEEK)]
    return Course(
        unit_usd=usd,
        minimum=pool.minimum,
        maximum=pool.maximum,
        lead_time_s=pool.lead_time_s,
        violation=terms.rule.violation,
        factor=margin.factor,
        standby=margin.standby * terms.swell,
        rule=margin.rule,
        total=_span(wanted, pool.maximum, usd, start, slice(0, hours)),
        weeks=tuple(spans),
        days=tuple(_span(wanted, pool.maximum, usd, start, part) for part in _parts(hours, DAY)),
        units=tuple(int(units) for units in np.ceil(np.minimum(wanted[:, 1], pool.maximum) - 1e-9).tolist()),
    )


def _wanted(terms: Terms, demand: Demand, margin: Margin) -> Floats:
    """Units before minimum and maximum, float64 [hours, low mid high]."""
    zones = len(terms.pool.ready) if terms.rule.survive_zone_loss else 1
    middling = [demand.levels.index(level) for level in BAND]
    need = demand.values[:, middling] * margin.factor + (margin.standby * demand.swell)[:, None]
    need = np.fmax(
        np.maximum.accumulate(need, axis=1), demand.least[:, None]
    )  # in order whatever the forecast
    if margin.replayed:
        return _with_spare(need, zones)
    return _early(_with_spare(np.ceil(need - 1e-9), zones), terms.pool.lead_time_s)


def _early(need: Floats, seconds: int) -> Floats:
    """The mean over each hour's moments of the largest need from then until `seconds` later.

    Float64 [hours, level]; beyond the last hour nothing more is needed than in it.
    """
    whole, rest = divmod(seconds, HOUR_S)
    padded = np.concatenate([need, np.repeat(need[-1:], whole + 1, axis=0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, whole + 1, axis=0).max(axis=-1)
    until, beyond = windows[: len(need)], np.maximum(windows[: len(need)], windows[1 : len(need) + 1])
    share = rest / HOUR_S
    out: Floats = until * (1 - share) + beyond * share
    return out


def _with_spare(units: Floats, zones: int) -> Floats:
    if zones < 2:
        return units
    spare = np.vectorize(lambda count: with_zone_spare(int(count), zones), otypes=[np.float64])
    out: Floats = spare(np.ceil(units - 1e-9))
    return out


def _parts(hours: int, length: int) -> list[slice]:
    return [slice(first, min(first + length, hours)) for first in range(0, hours, length)]


def _span(wanted: Floats, maximum: int, usd: float | None, start: datetime, part: slice) -> Span:
    mine = wanted[part]
    held, short = np.minimum(mine, maximum), np.maximum(np.ceil(mine - 1e-9) - maximum, 0.0)
    unit_hours = _band(held.sum(axis=0))
    return Span(
        start=start + timedelta(hours=part.start),
        hours=part.stop - part.start,
        unit_hours=unit_hours,
        usd=None if usd is None else unit_hours.times(usd),
        peak_units=_band(np.ceil(held.max(axis=0) - 1e-9)),
        hours_short=_band((short > 0).sum(axis=0)),
        short_by=_band(short.max(axis=0)),
    )


def _band(values: Floats | Ints) -> Band:
    low, mid, high = (float(value) for value in values)
    return Band(low=low, mid=mid, high=high)
