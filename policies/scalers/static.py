"""Static peak: the largest demand of the warm-up part, for ever after.

Before the warm-up has ended the peak so far is used. `target` is the share of the unit capacity that may
be used: 0.5 asks for twice the units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

AHEAD = False
KNOB = "target"
KNOBS = tuple(float(x) for x in np.geomspace(0.1, 4.0, 64))
LOOKBACK_S = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`target`: the share of the unit capacity to fill at the peak; a number or float64 [series]."""

    target: float = ranged(1.0, 0.01, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """`peak` float64 [series] so far; `seen` steps were passed; `last` is the newest demand, not yet used."""

    peak: NDArray[np.float64]
    seen: int
    last: NDArray[np.float64]


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: NDArray[np.float64], settings: Settings) -> State:
    """A state that has seen nothing; the units float64 [series] that run do not matter to it."""
    del settings
    return State(peak=np.zeros(len(current)), seen=0, last=np.full(len(current), np.nan))


def observe(demand: NDArray[np.float64], settings: Settings, state: State) -> State:
    """The state after demand was seen; the size plays no part in it."""
    return targets(demand, None, settings, state)[1]


def targets(
    demand: NDArray[np.float64], ahead: NDArray[np.float64] | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    series, steps = demand.shape
    state = state or begin(np.zeros(series), settings)
    seen = np.concatenate([state.last[:, None], demand[:, :-1]], axis=1)
    position = np.arange(steps) + state.seen
    past_warmup = (position > settings.warmup_steps) if settings.warmup_steps else np.zeros(steps, dtype=bool)
    learnt = np.where(past_warmup[None, :] | np.isnan(seen), 0.0, seen)
    peak = np.maximum.accumulate(np.concatenate([state.peak[:, None], learnt], axis=1), axis=1)[:, 1:]
    wanted = np.ceil(peak / np.reshape(settings.target, (-1, 1)))
    wanted = np.minimum(np.maximum(wanted, settings.floor[:, None]), settings.ceiling[:, None])
    return wanted.astype(np.int64), replace(
        state, peak=peak[:, -1].copy(), seen=state.seen + steps, last=demand[:, -1].copy()
    )
