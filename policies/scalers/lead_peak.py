"""Lead peak: as many units as a quantile of the peak over the lead time needs (forecasts/lead_peak.py).

    T[t] = ceil(min(mean over three spaces of inverse(mu + 2 (spread - 1) sqrt(sigma x median sigma)), cap))

The quantity that is predicted is the one that is decided: M[t] = max(y[t..t+L]). `spread` is the knob: 1 is
the mean itself. Before the forecaster has two days it stands on the 15-minute mean.

Alone it can be dear on a pool that it does not fit; the portfolio chooses it where it pays.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecasts.features import Grid
from forecasts.lead_peak import LeadPeak
from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AHEAD = False
KNOB = "spread"
KNOBS = (*(float(x) for x in np.linspace(0.4, 4.0, 37)), *(float(x) for x in np.geomspace(4.3, 31.0, 12)))
LOOKBACK_S = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`spread`: 1 is the mean, each 1 more is two standard deviations; a number or float64 [series].
    `tempered`: 1 takes the root of sigma and its median, 0 sigma itself.
    """

    spread: float = ranged(1.6, 0.01, 100.0)
    tempered: int = ranged(1, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """The forecaster of each series, or of the one that all rows repeat."""

    model: LeadPeak


def steer(violation: float) -> dict[str, float]:
    """Nothing: its spread is not a probability; the portfolio steers it."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state that has seen nothing; the units float64 [series] that run do not matter to it."""
    return State(model=LeadPeak(_grid(settings), len(current)))


def _grid(settings: Settings) -> Grid:
    origin = int(settings.start.timestamp())
    return Grid(step_s=settings.step_s, lead=settings.lead_steps, origin_s=origin)


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The state after demand was seen; the size plays no part in it."""
    return targets(demand, None, settings, state)[1]


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    series, steps = demand.shape
    repeated = demand.strides[0] == 0 and state is None  # one series under many knobs: fitted once
    rows = demand[:1] if repeated else demand
    model = LeadPeak(_grid(settings), len(rows)) if state is None else copy.deepcopy(state.model)
    cut = None if settings.censored is None else np.broadcast_to(settings.censored, demand.shape)
    issued = model.advance(rows, None if cut is None else cut[: len(rows)])
    spread = np.broadcast_to(np.asarray(settings.spread, dtype=np.float64), (series,)) - 1.0
    peak = np.empty((series, steps))
    for row in range(series) if repeated else ():
        peak[row] = issued.quantile(spread[row : row + 1, None], tempered=bool(settings.tempered))[0]
    if not repeated:
        peak = issued.quantile(spread[:, None], tempered=bool(settings.tempered))
    # A hair below, so that the order of sums does not decide about a unit.
    wanted = np.minimum(np.maximum(np.ceil(peak - 1e-9), settings.floor[:, None]), settings.ceiling[:, None])
    return wanted.astype(np.int64), State(model=model)
