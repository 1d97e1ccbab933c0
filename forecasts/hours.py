"""A series by whole clock hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np

from forecasts.types import HOUR_S, BadInput, Series, microseconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND_US = 1_000_000


def hourly(series: Series, step_s: int = HOUR_S, aggregate: Literal["mean", "max"] = "mean") -> Series:
    """The series by whole clock hours in UTC (bins of `step_s` seconds aligned to the epoch).

    An hour counts when at least half its samples are there, and is NaN otherwise; a last hour that is
    not over is left out, so that no hour changes when more samples come. A series coarser than an hour
    holds its value over its steps; BadInput where its step is no multiple of `step_s`.
    """
    if series.step_s > step_s:
        if series.step_s % step_s:
            raise BadInput(f"{series.unique_id}: a step of {series.step_s} s is no multiple of {step_s} s")
        times = series.step_s // step_s
        series = Series(
            unique_id=series.unique_id, start=series.start, step_s=step_s, y=np.repeat(series.y, times)
        )
    if not series.y.size:
        return Series(unique_id=series.unique_id, start=series.start, step_s=step_s, y=series.y)
    begins = microseconds(series.start) + np.arange(series.y.size, dtype=np.int64) * (
        series.step_s * SECOND_US
    )
    bins = begins // (step_s * SECOND_US)
    first = int(bins[0])
    complete = max(0, microseconds(series.end) // (step_s * SECOND_US) - first)
    start = datetime.fromtimestamp(0, UTC) + timedelta(seconds=first * step_s)
    present = np.isfinite(series.y)
    held = (bins - first < complete) & present
    at, y = (bins - first)[held], series.y[held]
    count = np.bincount(at, minlength=complete)
    values = np.full(complete, np.nan)
    if aggregate == "max":
        np.fmax.at(values, at, y)
    else:
        np.divide(np.bincount(at, weights=y, minlength=complete), count, out=values, where=count > 0)
    values[2 * count < _due(series, first, complete, step_s)] = np.nan
    return Series(unique_id=series.unique_id, start=start, step_s=step_s, y=values)


def _due(series: Series, first: int, bins: int, step_s: int) -> NDArray[np.int64]:
    """How many steps of the endless grid begin in each bin [bins]."""
    width, step = step_s * SECOND_US, series.step_s * SECOND_US
    edges = (first + np.arange(bins + 1, dtype=np.int64)) * width - microseconds(series.start)
    return np.diff(-(-edges // step))
