"""AWS-style predictive scaling: a floor for each hour from a forecast, over target tracking.

- every 6 h (00, 06, 12 and 18 UTC) the next 48 h are forecast, hour by hour, from the last 14 days;
- from 5 min before an hour until it ends, at least ceil(load of the hour / target) units;
- never below target tracking, which goes on beside it with a size of its own;
- without 24 h of history there is no forecast, and target tracking is alone.

Source: AWS, "Predictive scaling for Amazon EC2 Auto Scaling" and the API type PredictiveScalingConfiguration
(SchedulingBufferTime, 300 s by default). AWS does not publish the forecaster; this one is a stand-in, the
mean of

    (mean of the same hour one and two weeks ago) x (last 24 h / what the same rule expects of them)
    the same hour of the last 24 h

the ratio kept within 1/2 and 2. An hour that is absent a week ago is taken from the same hour of all days.
The load of an hour is the mean of its steps; absent steps count in none, an hour without any stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from policies import scalers
from policies.scalers import MOST_UNITS, PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

AHEAD = False
KNOB = "target"
KNOBS = tuple(float(x) for x in np.geomspace(0.05, 2.0, 64))

HOUR_S = 3600
EVERY_S = 6 * HOUR_S
DAYS = 14
HISTORY = DAYS * 24
HORIZON = 48
LEAST_HOURS = 24
RATIO = (0.5, 2.0)
HAIR = 1e-9  # so that the order of sums does not decide about a unit
LOOKBACK_S = HISTORY * HOUR_S + EVERY_S + HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`target`: utilization as a share of the unit capacity, a number or float64 [series].

    `buffer_s`: how long before an hour its floor begins.
    """

    target: float = ranged(1.0, 0.01, 100.0)
    buffer_s: int = ranged(300, 0, 3599)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """`hours` float64 [series, up to 336]: loads of the hours that have ended; the next one, `hour` (hours
    since 1970), has the steps `begun` so far. `forecast` float64 [series, 48] begins with the hour `issued`.
    `seen` steps passed; `tracking` is target tracking's own state.
    """

    hours: Floats
    hour: int
    begun: Floats
    forecast: Floats
    issued: int
    seen: int
    tracking: Any


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running and nothing seen yet."""
    series = len(current)
    hour = int(settings.start.timestamp()) // HOUR_S
    return State(
        hours=np.empty((series, 0)),
        hour=hour,
        begun=np.empty((series, 0)),
        forecast=np.full((series, HORIZON), np.nan),
        issued=hour,
        seen=0,
        tracking=_tracking().begin(current, _tracking_settings(settings)),
    )


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The state after demand was seen while the size stayed as it is."""
    _, after = _floor(demand, settings, state)
    tracking = _tracking()
    recent = -(-(tracking.LOOKBACK_S or 0) // settings.step_s)
    newest = tracking.observe(demand[:, -recent:], _tracking_settings(settings), state.tracking)
    return replace(after, tracking=newest)


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[Ints, State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    if state is None:
        state = begin(np.broadcast_to(settings.floor, (len(demand),)).copy(), settings)
    floor, after = _floor(demand, settings, state)
    tracked, newest = _tracking().targets(demand, None, _tracking_settings(settings), state.tracking)
    need = np.ceil(floor / np.reshape(settings.target, (-1, 1)) - HAIR)
    need = np.minimum(np.nan_to_num(need, nan=0.0), settings.ceiling[:, None])
    return np.maximum(tracked, need.astype(np.int64)), replace(after, tracking=newest)


def _tracking() -> scalers.Scaler:
    """Looked up by name, as every scaler is: siblings do not import each other."""
    return scalers.load("target_tracking")


def _tracking_settings(settings: Settings) -> Any:
    return replace(scalers.configure(_tracking(), settings, {}), target=settings.target)


def _floor(demand: Floats, settings: Settings, state: State) -> tuple[Floats, State]:
    """The largest forecast of the hours that each step touches, float64 [series, steps], NaN without one;
    and the state after these steps, with target tracking as it was.
    """
    origin, step = int(settings.start.timestamp()), settings.step_s
    end = state.seen + demand.shape[1]
    loads = np.concatenate([state.begun, np.minimum(demand, MOST_UNITS)], axis=1)
    begins = origin + step * np.arange(end - loads.shape[1], end)
    hours = np.concatenate([state.hours, _hourly(loads, begins // HOUR_S - state.hour)], axis=1)
    first = state.hour - state.hours.shape[1]

    own = begins[-demand.shape[1] :]
    turns = np.diff(own // EVERY_S, prepend=(own[0] - step) // EVERY_S) > 0
    edges = sorted({0, *np.flatnonzero(turns).tolist(), len(own)})
    forecast, issued = state.forecast, state.issued
    floor = np.empty(demand.shape)
    for low, high in pairwise(edges):
        if turns[low]:
            issued = int(own[low]) // HOUR_S
            forecast = _forecast(hours[:, : issued - first])
        floor[:, low:high] = _largest(
            forecast,
            own[low:high] // HOUR_S - issued,
            (own[low:high] + step - 1 + settings.buffer_s) // HOUR_S - issued,
        )

    hour = (origin + end * step) // HOUR_S
    missing = max(0, hour - first - hours.shape[1])  # a step may be longer than an hour
    ended = np.pad(hours, ((0, 0), (0, missing)), constant_values=np.nan)[:, : hour - first]
    return floor, replace(
        state,
        hours=ended[:, -HISTORY:].copy(),
        hour=hour,
        begun=loads[:, begins // HOUR_S >= hour],
        forecast=forecast,
        issued=issued,
        seen=end,
    )


def _hourly(loads: Floats, hour: Ints) -> Floats:
    """Mean of the steps there are, float64 [series, hours from 0 to the last]; `hour` int64 [steps]."""
    out = np.full((len(loads), int(hour[-1]) + 1), np.nan)
    at = np.flatnonzero(np.diff(hour, prepend=-1))
    there = ~np.isnan(loads)
    sums = np.add.reduceat(np.where(there, loads, 0.0), at, axis=1)
    out[:, hour[at]] = _ratio(sums, np.add.reduceat(there.astype(np.float64), at, axis=1))
    return out


def _ratio(above: Floats, below: Floats) -> Floats:
    """NaN where `below` is nothing."""
    out = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _mean(values: Floats, axis: int) -> Floats:
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0.0).sum(axis=axis), there.sum(axis=axis).astype(np.float64))


def _largest(forecast: Floats, low: Ints, high: Ints) -> Floats:
    """The largest of the forecast hours low..high of each step, float64 [series, steps]."""
    out = np.full((len(forecast), len(low)), np.nan)
    for more in range(int((high - low).max()) + 1):
        at = np.minimum(np.minimum(low + more, high), HORIZON - 1)
        out = np.fmax(out, forecast[:, at])
    return out


def _forecast(hours: Floats) -> Floats:
    """The next 48 hours, float64 [series, 48], from those that have ended, float64 [series, any].

    No hour of the last day stands in what the ratio divides by: more load never lowers the forecast.
    """
    series = len(hours)
    hours = hours[:, -HISTORY:]
    hours = np.pad(hours, ((0, 0), (HISTORY - hours.shape[1], 0)), constant_values=np.nan)
    by_day = hours.reshape(series, DAYS, 24)
    weeks = _mean(hours.reshape(series, 2, HISTORY // 2)[:, :, :HORIZON], 1)
    every_day = np.tile(_mean(by_day, 1), 2)
    same_hour = np.where(np.isnan(weeks), every_day, weeks)

    last = by_day[:, -1]
    expected = hours[:, HISTORY // 2 - 24 : HISTORY // 2]
    expected = np.where(np.isnan(expected), _mean(by_day[:, :-1], 1), expected)
    both = ~np.isnan(last) & ~np.isnan(expected)
    ratio = _ratio(np.where(both, last, 0.0).sum(axis=1), np.where(both, expected, 0.0).sum(axis=1))
    ratio = np.clip(np.where(np.isnan(ratio), 1.0, ratio), *RATIO)

    scaled = same_hour * ratio[:, None]
    yesterday = np.tile(last, 2)
    blend = (scaled + np.where(np.isnan(yesterday), scaled, yesterday)) / 2
    enough = np.count_nonzero(~np.isnan(hours), axis=1) >= LEAST_HOURS
    return np.where(enough[:, None], blend, np.nan)
