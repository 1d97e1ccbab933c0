"""Work that waits, as demand: what must be served each second so that a backlog is gone in a declared time.

A queue tells how many items wait, and some tell how fast they arrive. Who serves only what arrives keeps the
backlog for ever; who serves `arrivals + backlog / drain_s` has it gone after `drain_s` seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import BadInput, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def drained(waiting: Floats, arrivals: Floats | None = None, *, drain_s: float) -> Floats:
    """Items per second to serve at each step, so that what waits then is gone `drain_s` seconds later.

    `waiting` is items, `arrivals` items per second; arrays [steps] of one grid. Without `arrivals` only the
    backlog counts: right where it is measured before what arrives is taken up, too little elsewhere. A step
    is absent (NaN) where any of what is given is absent there; a value below zero or without end is no count
    of items, and absent. BadInput where `drain_s` is not above zero or the arrays differ in length.
    """
    if not 0 < drain_s < np.inf:
        raise BadInput(f"a backlog cannot be drained within {drain_s:g} s; give a time above 0, such as 5m")
    if arrivals is None:
        return _counted(waiting) / drain_s
    if len(waiting) != len(arrivals):
        raise BadInput(f"{len(waiting)} steps of backlog and {len(arrivals)} of arrivals are not of one grid")
    return _counted(arrivals) + _counted(waiting) / drain_s


def backlog_demand(
    waiting: Series, arrivals: Series | None = None, *, drain_s: float, unique_id: str
) -> Series:
    """The same of two series, as a series called `unique_id` in items per second.

    The finer grid of the two counts, a coarser value is held within its step, and a step is NaN where one
    of them is not there (before its start, after its end, in a gap). BadInput where the grids do not fit.
    """
    if arrivals is None:
        return Series(
            unique_id=unique_id,
            start=waiting.start,
            step_s=waiting.step_s,
            y=drained(waiting.y, drain_s=drain_s),
        )
    step_s = min(waiting.step_s, arrivals.step_s)
    start = min(waiting.start, arrivals.start)
    steps = round((max(waiting.end, arrivals.end) - start) / timedelta(seconds=step_s))
    grids = (_placed(one, start=start, step_s=step_s, steps=steps) for one in (waiting, arrivals))
    return Series(unique_id=unique_id, start=start, step_s=step_s, y=drained(*grids, drain_s=drain_s))


def _counted(values: Floats) -> Floats:
    """The values that can be a count or a rate of items; NaN for all others."""
    return np.where(np.isfinite(values) & (np.nan_to_num(values) >= 0), values, np.nan)


def _placed(series: Series, *, start: datetime, step_s: int, steps: int) -> Floats:
    held, rest = divmod(series.step_s, step_s)
    first, off = divmod(series.start - start, timedelta(seconds=step_s))
    if rest or off:
        raise BadInput(f"{series.unique_id}: its grid does not fit a step of {step_s} s")
    out = np.full(steps, np.nan)
    values = np.repeat(series.y, held)
    out[first : first + len(values)] = values
    return out
