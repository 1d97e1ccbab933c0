"""Portfolio: keeps to the cheapest scalers that would have met the violation target on the pool's own past.

See policies/portfolio.py. Steered by the violation asked for; chooses every hour, and goes back to a reactive
scaler where forecasts do not pay.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecasts.features import Grid
from policies.portfolio import Portfolio, terms
from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AHEAD = False
KNOB = "violation"
KNOBS = tuple(float(x) for x in np.geomspace(0.0005, 0.05, 16))
LOOKBACK_S = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`violation`: share of steps in which demand may exceed ready units, a number or float64 [series]."""

    violation: float = ranged(0.01, 0.0001, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """The portfolio of all series."""

    portfolio: Portfolio


def steer(violation: float) -> dict[str, float]:
    """The settings that a violation asked for (a fraction) implies."""
    return {"violation": violation}


def begin(current: Floats, settings: Settings) -> State:
    """A state that has seen nothing; the units float64 [series] that run do not matter to it."""
    series = len(current)
    grid = Grid(step_s=settings.step_s, lead=settings.lead_steps, origin_s=int(settings.start.timestamp()))
    bounds = (
        np.broadcast_to(edge, (series,)).astype(np.int64) for edge in (settings.floor, settings.ceiling)
    )
    minimum, maximum = bounds
    return State(
        portfolio=Portfolio(grid, terms(settings.violation, series), minimum=minimum, maximum=maximum)
    )


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The state after demand was seen; the size plays no part in it."""
    return targets(demand, None, settings, state)[1]


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    state = begin(np.zeros(len(demand)), settings) if state is None else state
    portfolio = copy.deepcopy(state.portfolio)
    cut = None if settings.censored is None else np.broadcast_to(settings.censored, demand.shape)
    return portfolio.advance(demand, cut), State(portfolio=portfolio)
