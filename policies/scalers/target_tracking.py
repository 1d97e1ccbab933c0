"""AWS target tracking: alarms on one-minute points of utilization.

- out after 3 of 3 points above the target, to ceil(current x metric / target);
- in after 15 of 15 points below 0.9 x target, removing as many units as leave the metric below the target.

Source: AWS, "Target tracking scaling policies for Amazon EC2 Auto Scaling", and the alarms it creates
(AlarmHigh 3 x 60 s, AlarmLow 15 x 60 s). The demand of a step is held within the step; the current size is
the scaler's own last target. A missing point interrupts the count towards scale-in and leaves the one
towards scale-out as it is.

Within a step demand and therefore the goal are constant, so at most one alarm acts in it: a step is
computed at once whatever its number of points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AHEAD = False
KNOB = "target"
KNOBS = tuple(float(x) for x in np.geomspace(0.05, 2.0, 64))
LOOKBACK_S = 1800

POINT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`target`: utilization as a share of the unit capacity, a number or float64 [series].

    `points_out`, `points_in`: consecutive one-minute points. `low`: share of the target that counts as low.
    """

    target: float = ranged(1.0, 0.01, 100.0)
    points_out: int = ranged(3, 1, 1440)
    points_in: int = ranged(15, 1, 1440)
    low: float = ranged(0.9, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """`current` float64 [series]; `above`, `below`: points counted; `seen` steps; `last` newest demand."""

    current: Floats
    above: Floats
    below: Floats
    seen: int
    last: Floats


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running and no point counted yet."""
    del settings
    nothing = np.zeros(len(current))
    return State(current=current, above=nothing, below=nothing, seen=0, last=np.full(len(current), np.nan))


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The points counted while the size stayed as it is: both bounds hold it there."""
    kept = state.current.astype(np.int64)
    return targets(demand, None, replace(settings, minimum=kept, maximum=kept), state)[1]


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    series, steps = demand.shape
    if state is None:
        state = begin(np.broadcast_to(settings.floor, (series,)).copy(), settings)
    need = np.empty((steps, series))
    need[0] = state.last
    need[1:] = demand.T[:-1]
    need /= np.broadcast_to(settings.target, (series,))
    out = np.empty((steps, series), dtype=np.int64)
    running = (state.current, state.above, state.below)
    for t, row in enumerate(need):
        first, last = (state.seen + t) * settings.step_s, (state.seen + t + 1) * settings.step_s
        points = last // POINT_S - first // POINT_S
        if points:
            running = _step(row, points, running, settings)
        out[t] = running[0]
    current, above, below = running
    return out.T, State(
        current=current, above=above, below=below, seen=state.seen + steps, last=demand[:, -1].copy()
    )


def _step(
    need: Floats, points: int, running: tuple[Floats, Floats, Floats], settings: Settings
) -> tuple[Floats, Floats, Floats]:
    """One step with `points` points of the same demand; NaN compares false both ways."""
    current, above, below = running
    high, low = need > current, need < settings.low * current
    acts_at = np.where(high, settings.points_out - above, settings.points_in - below)
    acts_at = np.maximum(acts_at, 1.0)
    out = high & (acts_at <= points)
    into = low & (acts_at <= points)
    size = np.where(out, np.maximum(current, np.minimum(np.ceil(need), settings.ceiling)), current)
    size = np.where(into, np.minimum(current, np.maximum(np.floor(need) + 1, settings.floor)), size)
    after = points - acts_at  # points seen with the new size
    still_high, now_low = need > size, need < settings.low * size
    count_above = np.where(out & (after > 0) & ~still_high, 0.0, above + points)
    count_below = np.where(into & (after > 0) & ~now_low, 0.0, below + points)
    count_below = np.where(out, np.where(now_low, after, 0.0), count_below)
    missing = np.isnan(need)
    new_above = np.where(high, count_above, np.where(missing, above, 0.0))
    new_below = np.where(low | out, count_below, 0.0)
    return size, new_above, new_below
