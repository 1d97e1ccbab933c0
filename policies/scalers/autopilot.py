"""Autopilot's moving window: a percentile of the decayed past, or the peak of a window, and a safety margin.

    T[t] = ceil(margin x largest recommendation of the last hour)

- percentile below 100: of a histogram of demand in which a sample's weight halves every 12 hours
  (`half_life_s`; the paper's value for CPU, 48 h for memory). Its buckets grow by 5 %; a percentile is the
  upper end of its bucket, and zero has a bucket of its own;
- percentile 100: the peak of the last `window_s`;
- 10-15 % are added, and the largest recommendation of the last hour holds against fluctuations.

Source: Rzadca et al., "Autopilot: workload autoscaling at Google", EuroSys 2020, section 3.2.1 (doi
10.1145/3342195.3387524). The paper's percentiles are of load-adjusted histograms, in which a sample counts in
proportion to its value (`load_adjusted` 1). By default each counts once: load-adjusted, more demand of a
middling size takes weight from the peaks and can ask for less. Buckets as in the Vertical Pod Autoscaler of
Kubernetes (kubernetes/autoscaler, vertical-pod-autoscaler/pkg/recommender), which is of the same design.

Without a metric there is no sample, no recommendation, and the size stays.
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
KNOBS = tuple(float(x) for x in (*np.geomspace(0.2, 8.0, 64), *np.geomspace(8.8, 100.0, 24)))
LOOKBACK_S = 7 * 86400

GROWTH = 1.05
SMALLEST = 0.01  # units: the upper end of the first bucket above zero
BUCKETS = 2 + int(np.ceil(np.log(windows.LARGEST / SMALLEST) / np.log(GROWTH)))
ENDS = np.concatenate([[0.0], SMALLEST * GROWTH ** np.arange(BUCKETS - 1)])
BLOCK_STEPS = 1024  # steps whose histograms are in memory at once
ERA_HALF_LIVES = 64  # after these all weights are scaled down, lest they overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`margin`: multiplies the recommendation, a number or float64 [series].

    `percentile`: 100 is the peak of `window_s`, less is of the past that decays with `half_life_s`.
    `load_adjusted`: 1 weighs samples by their value, 0 alike. `hold_s`: for how long a recommendation holds.
    """

    margin: float = ranged(1.1, 0.01, 100.0)
    percentile: float = ranged(98.0, 50.0, 100.0)
    half_life_s: int = ranged(43200, 60, 604800)
    window_s: int = ranged(43200, 1, 604800)
    load_adjusted: int = ranged(0, 0, 1)
    hold_s: int = ranged(3600, 0, 86400)

    @property
    def peak(self) -> bool:
        """True where the peak of the window is recommended."""
        return self.percentile >= 100

    @property
    def window(self) -> int:
        """Steps of demand that are kept: the window, or the newest one."""
        return max(1, round(self.window_s / self.step_s)) if self.peak else 1

    @property
    def held(self) -> int:
        """Steps whose recommendations hold, the present one included."""
        return max(1, round(self.hold_s / self.step_s))

    @property
    def era(self) -> int:
        """Steps after which weights are scaled down."""
        return max(1, ERA_HALF_LIVES * self.half_life_s // self.step_s)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """`recent` float64 [series, window]: the newest demand; `weights` float64 [series, buckets]: the
    histogram (no bucket where the peak is recommended); `needs` float64 [series, held - 1]: recommendations;
    `current` float64 [series]: the size; `seen` steps passed.
    """

    recent: Floats
    weights: Floats
    needs: Floats
    current: Floats
    seen: int


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running that has seen nothing."""
    series = len(current)
    return State(
        recent=windows.nothing(series, settings.window),
        weights=np.broadcast_to(np.array(0.0), (series, 0 if settings.peak else BUCKETS)),
        needs=windows.nothing(series, settings.held - 1),
        current=current,
        seen=0,
    )


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
    window, before = settings.window, settings.held - 1
    known = windows.joined(state.recent, demand)
    last = known[:, window - 1 : window - 1 + steps]
    weights = state.weights[: len(known)]
    if settings.peak:
        found = windows.trailing_max(known, window)[:, window - 1 : window - 1 + steps]
    else:
        weights = weights.copy()
        found = np.stack(
            [_percentiles(row, kept, state.seen, settings) for row, kept in zip(last, weights, strict=True)]
        )
    need = np.where(np.isnan(last), np.nan, found)
    needs = np.concatenate([state.needs[: len(known)], need], axis=1)
    steady = windows.trailing_max(needs, settings.held)[:, before:]
    out = windows.whole_units(
        np.where(np.isnan(last), np.nan, steady), settings.margin, state.current, settings
    )
    return out, State(
        recent=windows.newest(known, window, series),
        weights=windows.newest(weights, weights.shape[1], series),
        needs=windows.newest(needs, before, series),
        current=out[:, -1].astype(np.float64),
        seen=state.seen + steps,
    )


def _percentiles(samples: Floats, weights: Floats, seen: int, settings: Settings) -> Floats:
    """The percentile after each sample of one series, float64 [steps]; brings `weights` [buckets] up to date.

    Weights grow instead of the old ones decaying, which moves no percentile: a step touches one bucket.
    """
    out = np.empty(len(samples))
    there = ~np.isnan(samples)
    bucket = np.minimum(np.searchsorted(ENDS, np.where(there, samples, 0.0)), BUCKETS - 1)
    into = (seen + np.arange(len(samples))) % settings.era
    mass = np.where(there, np.exp2(into * (settings.step_s / settings.half_life_s)), 0.0)
    if settings.load_adjusted:
        mass *= np.maximum(ENDS[bucket], SMALLEST)
    used = np.union1d(np.flatnonzero(weights), bucket)  # empty buckets hold no percentile
    place = np.searchsorted(used, bucket)
    first = 0
    while first < len(samples):
        if into[first] == 0 and seen + first:
            weights *= np.exp2(-settings.era * (settings.step_s / settings.half_life_s))
        final = min(first + BLOCK_STEPS, first + settings.era - int(into[first]), len(samples))
        block = np.zeros((final - first + 1, len(used)))
        block[0] = weights[used]
        block[np.arange(1, len(block)), place[first:final]] = mass[first:final]
        np.cumsum(block, axis=0, out=block)
        weights[used] = block[-1]
        below = np.cumsum(block[1:], axis=1)
        total = below[:, -1:]
        at = (below >= settings.percentile / 100 * total).argmax(axis=1)
        out[first:final] = np.where(total[:, 0] > 0, ENDS[used[at]], np.nan)
        first = final
    return out
