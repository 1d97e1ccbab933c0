"""Censored steps: where the pool was full, what was measured is a lower bound of demand, not demand.

A utilization that saturates, a queue that grows, a latency that breaks its objective while every unit is
busy: what could not be served was not measured. Such a step counts as a violation where even its bound is
more than was ready; else nothing is known of it. It is never learnt from as if it were the demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policies.sizing import LATE_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from forecasts.types import Series

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


def at_or_above(values: Floats, bound: float) -> Flags:
    """Where a value is at the bound or above it; absent (NaN) is not."""
    return np.nan_to_num(values, nan=-np.inf) >= bound


def overloaded(demand: Floats, ready: Floats, latency: Floats, *, objective: float, capacity: float) -> Flags:
    """Where latency breaks its objective while every unit is busy; arrays [steps] on one grid, NaN absent."""
    busy = np.nan_to_num(demand, nan=-np.inf) >= capacity * np.nan_to_num(ready, nan=np.inf)
    return busy & (np.nan_to_num(latency, nan=-np.inf) > objective)


def on_grid(parts: Iterable[tuple[Series, Flags]], grid: Series) -> Flags:
    """Where any part is censored, on the steps of `grid`: each step of a part lasts as long as it is.

    A part is a series with a flag for each of its steps. A newest value that is only late (LATE_STEPS) goes
    on to the end of the grid, as it does in the demand.
    """
    total = len(grid.y)
    edges = np.zeros(total + 1, dtype=np.int64)
    for series, flags in parts:
        offset = (series.start - grid.start).total_seconds()
        at = np.flatnonzero(flags)
        begin = np.floor((offset + at * series.step_s) / grid.step_s).astype(np.int64)
        end = np.ceil((offset + (at + 1) * series.step_s) / grid.step_s).astype(np.int64)
        known = np.flatnonzero(np.isfinite(series.y))
        if len(known) and flags[known[-1]]:
            late = (grid.end - series.start).total_seconds() / series.step_s - 1 - known[-1]
            end[at == known[-1]] = total if late <= LATE_STEPS else end[at == known[-1]]
        np.add.at(edges, np.clip(begin, 0, total), 1)
        np.add.at(edges, np.clip(end, 0, total), -1)
    return np.cumsum(edges[:-1]) > 0
