"""Whether a series is fresh and complete enough to be trusted when it says that less is needed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from forecasts.limits import Code, Limits, Notice, about, spoken
from forecasts.suspect import broken, stuck
from forecasts.types import DAY_S, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stale(series: Series, limits: Limits, notices: list[Notice]) -> Notice | None:
    """Why a series may not be trusted to shrink anything at `limits.now`; None if it may."""
    name, step_s, there = series.unique_id, series.step_s, np.isfinite(series.y)
    if not there.any():
        return about(Code.EMPTY, name, f"{name}: no sound sample is left")
    newest = there.size - 1 - int(np.argmax(there[::-1]))
    last = series.start + timedelta(seconds=step_s * newest)
    now = limits.now or last + timedelta(seconds=step_s)
    age, delay_s = (now - last).total_seconds(), limits.delays.get(name, 0)
    if age > limits.periods * step_s + delay_s:
        return about(Code.STALE, name, f"{name}: the last sample is {spoken(age)} old, at {last:%FT%TZ}")
    # The window runs up to the last step that was due at `now`, whether or not a sample came for it.
    due = max(0, int(((now - series.start).total_seconds() - delay_s) // step_s))
    if due > there.size:
        there = np.r_[there, np.zeros(due - there.size, dtype=bool)]
    there = there[:due]
    begin = max(0, due - limits.window_s // step_s)
    old, recent = _longest_hole(there[:begin]), _longest_hole(there[begin:])
    if old * step_s > limits.longest_gap_s:
        message = f"{name}: a gap of {spoken(old * step_s)} before the last {spoken(limits.window_s)}"
        notices.append(about(Code.GAP, name, message))
    if recent * step_s > limits.longest_gap_s:
        message = f"{name}: a gap of {spoken(recent * step_s)} in the last {spoken(limits.window_s)}"
        return about(Code.GAP, name, message)
    share = float(there[begin:].mean()) if due > begin else 1.0
    if share < limits.completeness:
        message = f"{name}: {share:.0%} of the last {spoken(limits.window_s)} is there, less than "
        return about(Code.INCOMPLETE, name, f"{message}{limits.completeness:.0%}")
    return None if name in limits.steady else _untrue(series, limits)


def _untrue(series: Series, limits: Limits) -> Notice | None:
    """Why the newest samples, all there, may still not be what the load is; None if they may."""
    name, step_s = series.unique_id, series.step_s
    run = broken(series.y, max(1, DAY_S // step_s))
    if run:
        message = f"{name}: zero for {spoken(run * step_s)}, at hours that hardly ever know zero: an outage?"
        return about(Code.OUTAGE, name, message)
    run = stuck(series.y, step_s, limits.window_s // step_s)
    if run:
        value = series.y[np.isfinite(series.y)][-1]
        message = f"{name}: stuck at {value:g} for {spoken(run * step_s)}, longer than it ever stood still"
        return about(Code.STUCK, name, message)
    return None


def _longest_hole(there: NDArray[np.bool_]) -> int:
    """The longest run of absent steps."""
    if there.all():
        return 0
    edges = np.flatnonzero(np.r_[True, there, True])
    return int(np.diff(edges).max()) - 1 if edges.size > 1 else 0
