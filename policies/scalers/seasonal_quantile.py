"""Seasonal quantile: as many units as a quantile of demand needs until new units could serve.

    T[t] = ceil(headroom x max over h = 0..lead of the quantile of demand at t+h, issued at t)

and never fewer than the newest demand needs: a forecast may only raise capacity early. Where no quantile
exists yet, the newest demand alone decides. The level is a probability: with a violation asked for, it is
1 - violation. A missing point leaves the floor of live demand where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AHEAD = True
KNOB = "headroom"
KNOBS = tuple(float(x) for x in np.geomspace(0.4, 4.0, 64))
LOOKBACK_S = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`level`: probability of the quantile; the next one that `ahead` has is taken, upwards.

    `headroom`: multiplies the quantile, a number or float64 [series].
    """

    level: float = ranged(0.99, 0.01, 0.999999)
    headroom: float = ranged(1.0, 0.01, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """`last` float64 [series]: the newest demand that was there, NaN before the first."""

    last: Floats


def steer(violation: float) -> dict[str, float]:
    """The settings that a violation asked for (a fraction) implies."""
    return {"level": 1.0 - violation}


def begin(current: Floats, settings: Settings) -> State:
    """A state that has seen nothing; the units float64 [series] that run do not matter to it."""
    del settings
    return State(last=np.full(len(current), np.nan))


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The state after demand was seen; the size plays no part in it."""
    return targets(demand, None, settings, state)[1]


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]. ValueError where `ahead` has no levels to choose from."""
    series, steps = demand.shape
    state = state or begin(np.zeros(series), settings)
    seen = np.concatenate([state.last[:, None], demand], axis=1)
    newest = np.maximum.accumulate(np.where(np.isnan(seen), -1, np.arange(steps + 1)), axis=1)
    filled = np.take_along_axis(seen, np.maximum(newest, 0), axis=1)
    need = np.nan_to_num(filled[:, :steps], nan=0.0)
    if ahead is not None:
        peak = _peak(ahead, settings) * np.reshape(settings.headroom, (-1, 1))
        need = np.fmax(need, peak)
    wanted = np.minimum(np.maximum(np.ceil(need), settings.floor[:, None]), settings.ceiling[:, None])
    return wanted.astype(np.int64), State(last=filled[:, -1].copy())


def _peak(ahead: Floats, settings: Settings) -> Floats:
    """The largest quantile over the lead time, float64 [series, steps]; NaN where there is none."""
    if len(settings.levels) != ahead.shape[3]:
        raise ValueError(f"ahead has {ahead.shape[3]} levels, the settings name {settings.levels}")
    at = int(np.searchsorted(np.asarray(settings.levels), settings.level - 1e-12))
    until = ahead[:, :, : settings.lead_steps + 1, min(at, len(settings.levels) - 1)]
    peak: Floats = np.fmax.reduce(until, axis=2)
    return peak
