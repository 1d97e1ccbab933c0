"""From demand in its own unit to units of capacity, and from hourly quantiles to the steps of a pool."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import HOUR_S, BadInput, Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LATE_STEPS = 3  # a metric may be so many of its steps late and still be live


def unit_capacity_at_p99(values: Floats, units: float) -> float:
    """The demand one unit serves such that the p99 of `values` (NaN absent) is `units` units.

    p99 by linear interpolation. BadInput where there is no value or the p99 is zero.
    """
    there = values[~np.isnan(values)]
    if not len(there):
        raise BadInput("there is no demand to take a p99 of; give the unit capacity itself")
    p99 = float(np.percentile(there, 99))
    if p99 <= 0 or units <= 0:
        raise BadInput(
            f"the p99 of demand is {p99:g}: no unit capacity follows; give the unit capacity itself"
        )
    return p99 / units


def demand_units(
    metrics: Sequence[Series],
    capacities: Sequence[float],
    *,
    end: datetime,
    late_s: Sequence[float] = (),
) -> Series:
    """The pool's demand in units up to `end`: at each step the largest over its metrics.

    The metrics are brought to the finest grid among them (a coarser value is held within its step). A step
    where no metric is there is NaN, and so are steps up to `end` that have no sample yet; but the newest
    value of a metric that is at most LATE_STEPS of its own steps late, or as many seconds as `late_s` says of
    it, goes on to `end`, so that a metric that is on time does not speak for one that is late. BadInput
    where a step does not divide another or a capacity is not positive.
    """
    if any(capacity <= 0 for capacity in capacities):
        raise BadInput(f"{metrics[0].unique_id}: unit capacity must be above zero")
    step = min(series.step_s for series in metrics)
    start = min(series.start for series in metrics)
    steps = max(0, int((end - start).total_seconds() // step))
    out = np.full(steps, np.nan)
    for series, capacity, late in zip(metrics, capacities, late_s or [0.0] * len(metrics), strict=True):
        held, rest = divmod(series.step_s, step)
        first = (series.start - start).total_seconds()
        if rest or first % step:
            raise BadInput(f"{series.unique_id}: its grid does not fit a step of {step} s")
        values = _to_the_end(series, end, late) / capacity
        values = np.repeat(values, held) if held > 1 else values
        place = slice(int(first // step), int(first // step) + len(values))
        part = out[place]
        part[...] = np.fmax(part, values[: len(part)])
    return Series(unique_id=metrics[0].unique_id, start=start, step_s=step, y=out)


def _to_the_end(series: Series, end: datetime, late_s: float) -> Floats:
    """The values of one metric until `end`, its newest one held where it is only late."""
    steps = max(0, int((end - series.start).total_seconds() // series.step_s))
    y = np.full(steps, np.nan)
    y[: min(steps, len(series.y))] = series.y[:steps]
    absent = int(np.argmin(np.isnan(y[::-1]))) if steps else 0  # steps without a value at the end
    if absent and absent <= max(LATE_STEPS, late_s / series.step_s):
        y[-absent:] = y[-1 - absent]
    return y


def peak_to_mean(demand: Series, *, window_s: int = 14 * 86400) -> float:
    """How far a step stands above the mean of its hour: sum of hourly peaks / sum of hourly means.

    Over the trailing window, whole clock-free hours counted back from the end; at least 1. A mean weighted
    by demand, so quiet hours with one request do not rule it.
    """
    per_hour = max(1, HOUR_S // demand.step_s)
    trailing = demand.y[-(window_s // demand.step_s) :]
    hours = len(trailing) // per_hour
    table = trailing[len(trailing) - hours * per_hour :].reshape(hours, per_hour)
    table = table[~np.isnan(table).all(axis=1)]
    if not len(table):
        return 1.0
    # Where nothing is absent the plain functions say the same, and are quicker.
    mean, peak = (np.nanmean, np.nanmax) if np.isnan(table).any() else (np.mean, np.max)
    means = mean(table, axis=1).sum()
    return max(1.0, float(peak(table, axis=1).sum() / means)) if means > 0 else 1.0


def quantiles_by_step(
    hourly: Floats, *, issued_at: datetime, now: datetime, step_s: int, steps: int, ratio: float
) -> Floats:
    """Quantiles for the `steps` steps from `now` on, float64 [steps, level].

    `hourly` float64 [hours, level] begins at `issued_at`; an hour's quantile applies to each of its steps,
    times `ratio`. Steps beyond the forecast are NaN.
    """
    offsets = (now - issued_at).total_seconds() + step_s * np.arange(steps)
    hour = (offsets // HOUR_S).astype(np.int64)
    out = np.full((steps, hourly.shape[1]), np.nan)
    there = (hour >= 0) & (hour < len(hourly))
    out[there] = hourly[hour[there]] * ratio
    return out


def with_zone_spare(units: int, zones: int) -> int:
    """Units such that losing one of `zones` equal zones leaves `units`; one zone cannot be spared."""
    return units if zones < 2 else -(-units * zones // (zones - 1))


def unspared(zones: int) -> str:
    """Why no spare is kept for the loss of one of so many zones, "" where one is."""
    return "adds nothing: its ready units are not told by zone, or all in one" if zones < 2 else ""


def without_zone_spare(units: int, zones: int) -> int:
    """The most units whose `with_zone_spare` is within `units`: what serves when a zone is lost."""
    return units if zones < 2 else units * (zones - 1) // zones


def confidence(units: int, peaks: Sequence[float], levels: Sequence[float]) -> float:
    """The probability that demand stays within `units`, given its quantiles `peaks` at `levels`.

    Interpolated between the levels; the highest level at most, 0 below the lowest or where one is NaN.
    """
    below = 0
    for peak in peaks:
        if not peak <= units:
            break
        below += 1
    if below == len(levels):
        return levels[-1]
    low, high = peaks[below - 1] if below else math.nan, peaks[below]
    if math.isnan(low) or math.isnan(high):
        return 0.0
    return levels[below - 1] + (levels[below] - levels[below - 1]) * (units - low) / (high - low)
