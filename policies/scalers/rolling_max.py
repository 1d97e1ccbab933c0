"""Rolling maximum: the largest demand of the last minutes, times a margin.

    T[t] = ceil(margin x max(y[t-window..t-1]))

What many teams write first. A missing point is not counted; where the whole window is missing the size stays.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`margin`: multiplies the maximum, a number or float64 [series].

    `window_s`: how far back it looks, at least one step.
    """

    margin: float = ranged(1.2, 0.01, 100.0)
    window_s: int = ranged(900, 1, 86400)

    @property
    def window(self) -> int:
        """The window in steps, at least one."""
        return max(1, round(self.window_s / self.step_s))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State(windows.Recent):
    """The newest demand and the size, see windows.Recent."""


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running that has seen nothing."""
    return State(recent=windows.nothing(len(current), settings.window), current=current)


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
    window = settings.window
    known = windows.joined(state.recent, demand, state.alike)
    peak = windows.trailing_max(known, window)[:, window - 1 : window - 1 + steps]
    out = windows.whole_units(peak, settings.margin, state.current, settings)
    recent = windows.newest(known, window, series // state.alike)
    return out, replace(state, recent=recent, current=out[:, -1].astype(np.float64))
