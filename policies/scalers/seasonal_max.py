"""Seasonal maximum: the larger of yesterday's peak over the lead time from now, and the rolling maximum.

    T[t] = ceil(margin x max(max(y[t-season..t-season+lead]), max(y[t-window..t-1])))

The seasonal naive of public comparisons, with the floor that they give it. A missing point is not counted;
where all are missing the size stays.
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
LOOKBACK_S = 8 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`margin`: multiplies the maximum, a number or float64 [series].

    `season_s`: the season, a day or a week; `window_s`: how far back the rolling maximum looks.
    """

    margin: float = ranged(1.1, 0.01, 100.0)
    season_s: int = ranged(86400, 60, 604800)
    window_s: int = ranged(900, 1, 86400)

    @property
    def season(self) -> int:
        """The season in steps, at least one."""
        return max(1, round(self.season_s / self.step_s))

    @property
    def window(self) -> int:
        """The window of the rolling maximum in steps, at least one."""
        return max(1, round(self.window_s / self.step_s))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State(windows.Recent):
    """The newest demand and the size, see windows.Recent; the longer of season and window is kept."""


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running that has seen nothing."""
    kept = max(settings.season, settings.window)
    return State(recent=windows.nothing(len(current), kept), current=current)


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
    now = state.recent.shape[1]  # the column of the first step
    known = windows.joined(state.recent, demand, state.alike)
    # Where the season is no longer than the lead time, its end is not known yet.
    lead = min(settings.lead_steps, settings.season - 1)
    until = now - settings.season + lead
    seasonal = windows.trailing_max(known, lead + 1)[:, until : until + steps]
    rolling = windows.trailing_max(known, settings.window)[:, now - 1 : now - 1 + steps]
    out = windows.whole_units(np.fmax(seasonal, rolling), settings.margin, state.current, settings)
    recent = windows.newest(known, now, series // state.alike)
    return out, replace(state, recent=recent, current=out[:, -1].astype(np.float64))
