"""The Kubernetes Horizontal Pod Autoscaler (v2, default behaviour), evaluated every 15 s.

- desired = ceil(current x metric / target), no change while 0.9 <= metric/target <= 1.1;
- scale-in takes the largest recommendation of the last 300 s (stabilization window);
- in each 15 s it adds at most max(4 pods, 100 %) and removes at most 100 %;
- clamped to [minimum, maximum], and never below one pod: at none it would be switched off;
- without a metric there is no recommendation and no change.

Source: kubernetes/kubernetes, pkg/controller/podautoscaler (replica_calculator.go, horizontal.go) and
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details. The demand
of a step is held within the step; the current size is the scaler's own last target.

Where a step divides the stabilization window, or is no shorter than it, a shrink can only happen in the
last 15 s of a step or in the first after a gap, and one step is computed at once. Other steps are computed
tick by tick. Both ways give the same targets (a law in the tests).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AHEAD = False
KNOB = "target"
KNOBS = tuple(float(x) for x in np.geomspace(0.05, 2.0, 64))
LOOKBACK_S = 600

TICK_S = 15
SURGE_PODS = 4
BLOCK_STEPS = 256  # steps brought into time-major order at once, so that they stay in the cache
NONE = -1.0  # no recommendation was made at that time


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`target`: utilization as a share of the unit capacity, a number or float64 [series].

    `tolerance`: relative deviation that changes nothing. `stabilization_s`: window of scale-in.
    """

    target: float = ranged(1.0, 0.01, 100.0)
    tolerance: float = ranged(0.1, 0.0, 1.0)
    stabilization_s: int = ranged(300, 0, 3600)

    @property
    def least(self) -> Floats:
        """The minimum, at least one pod, as float64 [1 or series]."""
        return np.maximum(self.floor, 1.0)

    @property
    def within(self) -> tuple[float, float]:
        """The ratios of metric to target that change nothing, both ends included.

        Bounds of the ratio and not of |1 - ratio|: that of 11 units on 10 pods is 0.10000000000000009.
        """
        return 1.0 - self.tolerance, 1.0 + self.tolerance

    @property
    def window_ticks(self) -> int:
        """Evaluations that the stabilization window holds, the present one included."""
        return max(1, -(-self.stabilization_s // TICK_S))

    @property
    def whole_steps(self) -> bool:
        """True where one step can be computed at once (see the module's docstring)."""
        ticks, rest = divmod(self.step_s, TICK_S)
        return rest == 0 and (ticks >= self.window_ticks or self.window_ticks % ticks == 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """`current` float64 [series]; `recent` float64 [kept, series] recommendations (of steps, or of
    ticks), `at` the row written next; `seen` steps passed; `last` newest demand, not yet used;
    `held`: the size is not ours, so what is remembered was never followed.
    """

    current: Floats
    recent: Floats
    at: int
    seen: int
    last: Floats
    held: bool = False
    SERIES_AXIS: ClassVar[dict[str, int]] = {"recent": 1}


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running and no recommendation yet."""
    per_step = max(1, settings.step_s // TICK_S)
    kept = max(1, settings.window_ticks // per_step) if settings.whole_steps else settings.window_ticks
    nothing = np.full((kept, len(current)), NONE)
    return State(current=current, recent=nothing, at=0, seen=0, last=np.full(len(current), np.nan))


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The recommendations for the size that runs, remembered and not followed."""
    current, recent, at, last = state.current, state.recent.copy(), state.at, state.last
    for t, newest in enumerate(demand.T, state.seen):
        need = last / settings.target
        goal = np.minimum(np.maximum(np.ceil(need), settings.least), settings.ceiling)
        advice = np.where(_outside(need / current, settings), goal, current)
        advice[np.isnan(need)] = NONE
        ticks = (t + 1) * settings.step_s // TICK_S - t * settings.step_s // TICK_S
        for _ in range(1 if settings.whole_steps else ticks):
            recent[at] = advice
            at = (at + 1) % len(recent)
        last = newest
    seen = state.seen + demand.shape[1]
    return replace(state, recent=recent, at=at, seen=seen, last=last.copy(), held=True)


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    series, steps = demand.shape
    if state is None:
        state = begin(np.broadcast_to(settings.least, (series,)).copy(), settings)
    out = np.empty((steps, series), dtype=np.int64)
    run = _by_step if settings.whole_steps else _by_tick
    target = np.broadcast_to(np.asarray(settings.target, dtype=np.float64), (series,))
    for first in range(0, steps, BLOCK_STEPS):
        seen = demand[:, max(0, first - 1) : min(first + BLOCK_STEPS, steps) - 1].T
        need = (seen if first else np.concatenate([state.last[None, :], seen])) / target
        state = run(np.ascontiguousarray(need), settings, state, out[first : first + BLOCK_STEPS])
    return out.T, replace(state, last=demand[:, -1].copy())


def _by_step(need: Floats, settings: Settings, state: State, out: NDArray[np.int64]) -> State:
    current, recent, at = state.current.copy(), state.recent.copy(), state.at
    missing = np.isnan(need)
    gaps: NDArray[np.bool_] = missing.max(axis=1)
    goals = np.minimum(np.maximum(np.ceil(need), settings.least), settings.ceiling)
    share, surge, wanted = np.empty_like(current), np.empty_like(current), np.empty_like(current)
    outside, above = np.empty(len(current), dtype=bool), np.empty(len(current), dtype=bool)
    least, most = settings.within
    resumes = np.r_[True, gaps[:-1]] & (settings.step_s > TICK_S and not state.held)
    for t, row in enumerate(need):
        if resumes[t]:
            current = _after_gap((current, row, goals[t]), recent, at, settings)
        np.divide(row, current, out=share)
        np.less(share, least, out=outside)
        np.greater(share, most, out=above)
        np.logical_or(outside, above, out=outside)
        recommended = recent[at]
        recommended[...] = current
        np.copyto(recommended, goals[t], where=outside)
        if gaps[t]:
            recommended[missing[t]] = NONE
        np.maximum.reduce(recent, axis=0, out=wanted)  # the stabilization window
        np.minimum(wanted, current, out=wanted)
        np.maximum(recommended, wanted, out=wanted)
        np.add(current, current, out=surge)
        np.maximum(surge, current + SURGE_PODS, out=surge)
        np.greater(wanted, surge, out=outside)
        if outside.any():
            limited = np.flatnonzero(outside)
            wanted[limited] = _grow(current[limited], row[limited], goals[t][limited], settings)
        if gaps[t]:
            np.copyto(wanted, current, where=missing[t])
        current, wanted = wanted, current
        out[t] = current
        at = (at + 1) % len(recent)
    return replace(state, current=current, recent=recent, at=at, seen=state.seen + len(need))


def _after_gap(pods: tuple[Floats, Floats, Floats], recent: Floats, at: int, settings: Settings) -> Floats:
    """The size after the first evaluation of a step, where the step before it had no metric.

    The window moved on in the gap and nobody looked. In this evaluation the step that row `at` stands for
    is still in it. `pods` are those that run, those needed and those that would be recommended.
    """
    current, need, goal = pods
    recommended = np.where(_outside(need / current, settings), goal, current)
    kept = np.minimum(current, np.maximum(recommended, recent.max(axis=0)))
    return np.where((recent[at - 1] == NONE) & ~np.isnan(need), kept, current)


def _outside(share: Floats, settings: Settings) -> NDArray[np.bool_]:
    least, most = settings.within
    return (share < least) | (share > most)


def _grow(current: Floats, need: Floats, goal: Floats, settings: Settings) -> Floats:
    """Where growth is limited, tick by tick through one step or until the size is within the tolerance."""
    for _ in range(settings.step_s // TICK_S):
        surge = np.maximum(current + SURGE_PODS, 2 * current)
        outside = _outside(need / current, settings)
        size = np.where(outside, np.maximum(np.minimum(goal, surge), current), current)
        if np.array_equal(size, current):
            break
        current = size
    return current


def _by_tick(need: Floats, settings: Settings, state: State, out: NDArray[np.int64]) -> State:
    current, recent, at = state.current, state.recent.copy(), state.at
    for t, row in enumerate(need):
        first, last = (state.seen + t) * settings.step_s, (state.seen + t + 1) * settings.step_s
        goal = np.minimum(np.maximum(np.ceil(row), settings.least), settings.ceiling)
        missing = np.isnan(row)
        for _ in range(last // TICK_S - first // TICK_S):
            outside = _outside(row / current, settings)
            recommended = np.where(missing, NONE, np.where(outside, goal, current))
            recent[at] = recommended
            at = (at + 1) % len(recent)
            kept = np.minimum(current, recent.max(axis=0))
            surge = np.maximum(current + SURGE_PODS, 2 * current)
            size = np.minimum(np.maximum(recommended, kept), surge)
            current = np.where(missing, current, size)
        out[t] = current
    return replace(state, current=current, recent=recent, at=at, seen=state.seen + len(need))
