"""What a history must not teach: windows of a load test, an incident or a declared event.

`masked` makes them absent. `usual` puts there what the load would have been without the event: the same time
a week before, else a day before, else the last value known before it. Both are causal: a step's value comes
from earlier steps only, so what was said of a moment stands when more is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import DAY_S, WEEK_S, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

# [begin, end), aware.
Window = tuple[datetime, datetime]


def within(start: datetime, step_s: int, steps: int, windows: Sequence[Window]) -> NDArray[np.bool_]:
    """Which of the steps from `start` on touch a window, bool [steps]."""
    out = np.zeros(steps, dtype=bool)
    for begin, end in windows:
        first = int((begin - start).total_seconds() // step_s)
        last = int(-(-(end - start).total_seconds() // step_s))
        out[max(0, first) : max(0, last)] = True
    return out


def masked(series: Series, windows: Sequence[Window]) -> Series:
    """The series with every step that touches a window absent; itself where none does."""
    touched = within(series.start, series.step_s, len(series.y), windows)
    if not touched.any():
        return series
    y = np.where(touched, np.nan, series.y)
    return Series(unique_id=series.unique_id, start=series.start, step_s=series.step_s, y=y)


def usual(series: Series, windows: Sequence[Window]) -> Series:
    """The series with what is usual in every step that touches a window; itself where none does.

    Absent where nothing was known before. A step that is absent in the series stays absent.
    """
    touched = within(series.start, series.step_s, len(series.y), windows)
    if not touched.any():
        return series
    y = np.where(touched, np.nan, series.y)
    there = np.isfinite(series.y)
    day, week = (max(1, season // series.step_s) for season in (DAY_S, WEEK_S))
    known = np.maximum.accumulate(np.where(touched | ~there, -1, np.arange(y.size)))
    at = np.flatnonzero(touched & there)
    for begin in range(0, y.size, day):  # a day at a time: what is put in serves the days after it
        now = at[(at >= begin) & (at < begin + day)]
        for season in (week, day):
            holes = now[np.isnan(y[now]) & (now >= season)]
            y[holes] = y[holes - season]
        holes = now[np.isnan(y[now]) & (known[now] >= 0)]
        y[holes] = y[known[holes]]
    return Series(unique_id=series.unique_id, start=series.start, step_s=series.step_s, y=y)
