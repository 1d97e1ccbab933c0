"""The linear model of the Predictive Horizontal Pod Autoscaler, beside the reactive value.

    T[t] = ceil(margin x max(line through the last N values, continued to t + lead, newest value))

- ordinary least squares on the last `stored_values` values there were, at their own times, two at least;
- the decision type is `maximum`, the default: of the model and of what the newest metric asks for;
- scale-in takes the largest value of the last 300 s (downscale stabilization);
- without a metric nothing is stored, nothing is predicted and the size stays.

Source: jthomperoo/predictive-horizontal-pod-autoscaler, algorithms/linear_regression/linear_regression.py and
internal/controllers/predictivehorizontalpodautoscaler_controller.go. There the values are counts of replicas;
here they are demand in units, so that nothing is rounded twice. Its sync period is one step, its look-ahead
the lead time: the line is read where the units that are asked for now begin to serve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from policies import windows
from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AHEAD = False
KNOB = "margin"
KNOBS = tuple(float(x) for x in (*np.geomspace(0.4, 8.0, 64), *np.geomspace(8.8, 100.0, 24)))
LOOKBACK_S = 86400

HAIR = 1e-9  # units: what rounding may add to a line through whole numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`margin`: multiplies the larger of model and newest value, a number or float64 [series].

    `stored_values`: how many values the line goes through. `stabilization_s`: window of scale-in.
    """

    margin: float = ranged(1.0, 0.01, 100.0)
    stored_values: int = ranged(6, 2, 1000)
    stabilization_s: int = ranged(300, 0, 3600)

    @property
    def held(self) -> int:
        """Steps before the present one that scale-in looks back to."""
        return self.stabilization_s // self.step_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """`values` float64 [series, stored]: the newest that were there, NaN where fewer; `times` float64, of
    the same shape: their steps; `needs` float64 [series, held]: what was asked for; `current` float64
    [series]: the size; `seen` steps passed.
    """

    values: Floats
    times: Floats
    needs: Floats
    current: Floats
    seen: int


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running that has seen nothing."""
    stored = windows.nothing(len(current), settings.stored_values)
    needs = windows.nothing(len(current), settings.held)
    return State(values=stored, times=stored, needs=needs, current=current, seen=0)


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The state after demand was seen while the size stayed as it is."""
    return replace(targets(demand, None, settings, state)[1], current=state.current)


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    series, steps = demand.shape
    state = state or begin(np.broadcast_to(settings.floor, (series,)), settings)
    stored = settings.stored_values
    known = windows.joined(state.values, demand)
    steps_at = np.broadcast_to(
        np.arange(state.seen, state.seen + steps, dtype=np.float64), (len(known), steps)
    )
    times = np.concatenate([state.times[: len(known)], steps_at], axis=1)
    order = np.argsort(np.isnan(known), axis=1, kind="stable")  # what was there, in its order, then the gaps
    values, at = np.take_along_axis(known, order, axis=1), np.take_along_axis(times, order, axis=1)
    asked = np.empty_like(known)
    line = _continued(values, at, settings.lead_steps + 1, stored) - HAIR
    np.put_along_axis(asked, order, np.fmax(line, values), axis=1)
    need = asked[:, stored - 1 : stored - 1 + steps]
    need[times[:, stored - 1] != state.seen - 1, 0] = np.nan  # the last stored value is older than a step
    needs = np.concatenate([state.needs[: len(known)], need], axis=1)
    steady = windows.trailing_max(needs, settings.held + 1)[:, settings.held :]
    out = windows.whole_units(
        np.where(np.isnan(need), np.nan, steady), settings.margin, state.current, settings
    )
    count = np.count_nonzero(~np.isnan(known), axis=1)
    return out, State(
        values=windows.newest(_last(values, count, stored), stored, series),
        times=windows.newest(_last(at, count, stored), stored, series),
        needs=windows.newest(needs, settings.held, series),
        current=out[:, -1].astype(np.float64),
        seen=state.seen + steps,
    )


def _continued(values: Floats, times: Floats, ahead: int, stored: int) -> Floats:
    """The line through each value and those before it, `ahead` steps after it; NaN through one alone.

    `values`, `times` float64 [series, values]. Ages, not times: they stay small, and exact.
    """
    reach = range(min(stored, values.shape[1]))
    number, age, value = (np.zeros_like(values) for _ in range(3))
    for back in reach:
        part, past = np.s_[:, back:], np.s_[:, : values.shape[1] - back]
        there = ~np.isnan(values[past])
        number[part] += there
        age[part] += np.where(there, times[part] - times[past], 0.0)
        value[part] += np.where(there, values[past], 0.0)
    age, value = age / np.maximum(number, 1.0), value / np.maximum(number, 1.0)
    spread, slope = np.zeros_like(values), np.zeros_like(values)
    for back in reach:
        part, past = np.s_[:, back:], np.s_[:, : values.shape[1] - back]
        there = ~np.isnan(values[past])
        off = np.where(there, times[part] - times[past] - age[part], 0.0)
        spread[part] += off * off
        slope[part] += off * np.where(there, values[past] - value[part], 0.0)
    slope = np.divide(slope, spread, out=np.full_like(values, np.nan), where=spread > 0)
    return np.where(np.isnan(values), np.nan, value - slope * (ahead + age))


def _last(values: Floats, count: NDArray[np.int64], stored: int) -> Floats:
    """The last `stored` of the first `count` values of each row, NaN in front where there are fewer."""
    at = count[:, None] - stored + np.arange(stored)
    return np.where(at < 0, np.nan, np.take_along_axis(values, np.maximum(at, 0), axis=1))
