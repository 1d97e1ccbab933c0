"""What a plan reckons with, learnt from what the pool really did: series of one pool on one grid, and when.

A figure that moved at every turn would make the scalers that learn begin anew at every turn. So the figure of
the last Monday 00:00 UTC holds through the week; the last midnight's takes its place where it is another one;
and before there was enough by either, all that is known by now is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from forecasts.types import DAY_S, Series
from policies import lead_times, unit_capacity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

T = TypeVar("T")

CLOSE = 0.1  # figures so near each other are the same figure


def on_one_grid(series: Sequence[Series], *, last: bool = False) -> list[Series]:
    """Each series on the grid of the coarsest, from the latest start to the earliest end.

    A finer series gives each step its mean, or its last value where `last`; absent (NaN) samples count in
    neither.
    """
    coarse = max(series, key=lambda one: one.step_s)
    step = coarse.step_s
    start, end = max(one.start for one in series), min(one.end for one in series)
    first = coarse.start + timedelta(seconds=-(-int((start - coarse.start).total_seconds()) // step) * step)
    steps = max(0, int((end - first).total_seconds() // step))
    return [
        Series(
            unique_id=one.unique_id, start=first, step_s=step, y=_binned(one, first, step, steps, last=last)
        )
        for one in series
    ]


def _binned(series: Series, first: datetime, step: int, steps: int, *, last: bool) -> Floats:
    late = (series.start - first).total_seconds()
    out = np.full(steps, np.nan)
    if series.step_s == step and late % step == 0 and late <= 0:
        y = series.y[int(-late // step) :][:steps]
        out[: len(y)] = y
        return out
    place = np.floor((late + np.arange(len(series.y)) * series.step_s) / step).astype(np.int64)
    used = (place >= 0) & (place < steps) & np.isfinite(series.y)
    place, y = place[used], series.y[used]
    if last:
        out[place] = y
        return out
    count = np.bincount(place, minlength=steps)
    np.divide(np.bincount(place, weights=y, minlength=steps), count, out=out, where=count > 0)
    return out


def lead_time(desired: Series, ready: Series, *, declared_s: int, now: datetime) -> lead_times.LeadTime:
    """The pool's lead time by `now` (aware) from its desired and ready units."""

    def by(moment: datetime) -> lead_times.LeadTime:
        seen = [one.until(moment) for one in (desired, ready)]
        asked, there = on_one_grid(seen, last=True)
        return lead_times.lead_time(asked.y, there.y, step_s=asked.step_s, declared_s=declared_s)

    step = max(desired.step_s, ready.step_s)
    return _held(
        by,
        now,
        known=lambda found: found.learnt,
        close=lambda a, b: abs(a.seconds - b.seconds) <= max(step, CLOSE * a.seconds),
    )


def from_utilization(
    demand: Series, ready: Series, utilization: Series, *, target: float, top: float | None, now: datetime
) -> unit_capacity.UnitCapacity:
    """Demand per unit at the utilization target, by `now` (aware); see `unit_capacity.from_utilization`."""

    def by(moment: datetime) -> unit_capacity.UnitCapacity:
        load, units, used = on_one_grid([one.until(moment) for one in (demand, ready, utilization)])
        return unit_capacity.from_utilization(
            load.y, units.y, used.y, step_s=load.step_s, target=target, top=top
        )

    return _held(by, now, known=_is_known, close=_are_close)


def from_latency(
    demand: Series, ready: Series, latency: Series, *, objective: float, now: datetime
) -> unit_capacity.UnitCapacity:
    """Demand per unit at which latency keeps the objective (in its unit), by `now` (aware)."""

    def by(moment: datetime) -> unit_capacity.UnitCapacity:
        load, units, slow = on_one_grid([one.until(moment) for one in (demand, ready, latency)])
        return unit_capacity.from_latency(load.y, units.y, slow.y, step_s=load.step_s, objective=objective)

    return _held(by, now, known=_is_known, close=_are_close)


def _is_known(found: unit_capacity.UnitCapacity) -> bool:
    return found.value is not None


def _are_close(a: unit_capacity.UnitCapacity, b: unit_capacity.UnitCapacity) -> bool:
    return a.value is not None and b.value is not None and abs(a.value - b.value) <= CLOSE * a.value


def _held(
    by: Callable[[datetime], T],
    now: datetime,
    *,
    known: Callable[[T], bool],
    close: Callable[[T, T], bool],
) -> T:
    """The week's figure, the day's where that is another one or the only one, else the newest."""
    midnight = now - timedelta(seconds=now.timestamp() % DAY_S)
    monday = midnight - timedelta(days=midnight.weekday())
    week, day = by(monday), by(midnight)
    if known(week) and (not known(day) or close(week, day)):
        return week
    return day if known(day) else by(now)
