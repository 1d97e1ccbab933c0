"""The demand that one unit serves, learnt from what the pool really did: a distribution, not a constant.

From utilization: utilization = demand / (units x c), so c = demand / (units x utilization). The regression
through the origin that least absolute deviations give is the median of those ratios weighted by utilization;
the weighted quantiles beside it are its distribution. Times the utilization target it is the unit capacity,
and a plan takes the 10 % quantile.

From a latency objective: people know their p95, not a violation. The share of steps that keep the objective
can only fall as the load on a unit grows: an isotonic regression of kept (1) and broken (0) on the load per
unit (pool adjacent violators: Barlow et al., Statistical Inference under Order Restrictions, 1972). The unit
capacity is the largest load at which the share kept is at least 95 % with 95 % confidence (Wilson's lower
bound, with as many steps as their autocorrelation is worth). It is never beyond what was seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from policies.units import LARGEST_CAPACITY, SMALLEST_CAPACITY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

LEAST_STEPS = 100
WARM_S = 300  # a unit that was just launched works with cold caches
IDLE = 0.05  # below it utilization is what a unit costs by itself, not what it serves
SATURATED = 0.95
KEPT = 0.95  # share of steps that keep the objective
ONE_SIDED = 1.645  # of the normal law, 95 %
FAR_LOADS = 5  # a load that fewer steps reached was hardly seen
DIGITS = 3
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCapacity:
    """Demand one unit serves, in the metric's unit: what a plan takes, None where it is not known and `why`.

    `p10`, `p50` and `p90` are its distribution: from utilization over steps; from latency the load at which
    10, 50 and 90 % of steps break the objective, NaN where so many never did. `at_least`: the objective was
    never broken, so the value is only the largest load that was seen. `steps` were used.
    """

    value: float | None
    why: str
    steps: int
    p10: float = math.nan
    p50: float = math.nan
    p90: float = math.nan
    at_least: bool = False


def top_of(utilization: Floats) -> float:
    """The reading of a unit in full use: 1, or 100 where any finite value is above one and a half."""
    return 100.0 if np.nanmax(utilization, initial=0.0) > 1.5 else 1.0


def from_utilization(
    demand: Floats,
    ready: Floats,
    utilization: Floats,
    *,
    step_s: int,
    target: float,
    top: float | None = None,
) -> UnitCapacity:
    """Demand per unit at the utilization `target` (a share); arrays float64 [steps] on one grid, NaN absent.

    Left out: idle and saturated steps, and those in which units were just launched. `top` is the reading in
    full use (`top_of` where it is None).
    """
    share = utilization / (top_of(utilization) if top is None else top)
    used = _settled(ready, step_s) & (demand > 0) & (share >= IDLE) & (share < SATURATED)
    count = int(np.count_nonzero(used))
    if count < LEAST_STEPS:
        return _unknown(count, f"with {IDLE:.0%} to {SATURATED:.0%} utilization")
    ratios = demand[used] / (ready[used] * share[used]) * target
    p10, p50, p90 = _weighted_quantiles(ratios, share[used], QUANTILES)
    why = f"median {p50:.3g} at {target:.0%} utilization, p90 {p90:.3g}, {count:,} steps"
    return _rounded(UnitCapacity(value=p10, why=why, steps=count, p10=p10, p50=p50, p90=p90))


def from_latency(
    demand: Floats, ready: Floats, latency: Floats, *, step_s: int, objective: float
) -> UnitCapacity:
    """The load per unit at which `latency` keeps the `objective` (one unit), of arrays float64 [steps].

    NaN is absent; steps in which units were just launched are left out.
    """
    used = _settled(ready, step_s) & (demand >= 0) & np.isfinite(demand) & np.isfinite(latency)
    count = int(np.count_nonzero(used))
    if count < LEAST_STEPS:
        return _unknown(count, "with demand, ready units and latency")
    load, kept = demand[used] / ready[used], latency[used] <= objective
    ends, share, weight = _shares_kept(load, kept)
    fitted = share[np.searchsorted(ends, load)]
    sure = _lower_bound(share, weight * _worth(kept - fitted))
    p10, p50, p90 = (_load_at(ends, share, 1 - level) for level in QUANTILES)
    passing = np.flatnonzero(sure >= KEPT)
    if not len(passing):
        broken = 1.0 - kept.mean()
        why = (
            f"no load kept the objective in {KEPT:.0%} of steps for sure ({broken:.0%} of {count:,} broke it)"
        )
        return UnitCapacity(value=None, why=why, steps=count, p10=p10, p50=p50, p90=p90)
    value, at_least = float(ends[passing[-1]]), bool(passing[-1] == len(ends) - 1)
    if at_least:
        value = float(np.sort(load)[-FAR_LOADS])
        why = f"at least, the objective was never broken, {count:,} steps"
    else:
        half = "" if math.isnan(p50) else f", half of the steps break it at {p50:.3g}"
        why = f"{KEPT:.0%} of steps keep the latency objective{half}, {count:,} steps"
    made = UnitCapacity(value=value, why=why, steps=count, p10=p10, p50=p50, p90=p90, at_least=at_least)
    return _rounded(made)


def _settled(ready: Floats, step_s: int) -> Flags:
    """Steps with units that serve, none of which was launched within the last WARM_S."""
    there = np.isfinite(ready) & (ready >= 1)
    grew = np.diff(np.nan_to_num(ready, nan=0.0), prepend=np.nan_to_num(ready[:1], nan=0.0)) > 0
    warming = np.zeros(len(ready), dtype=bool)
    for back in range(min(-(-WARM_S // step_s) + 1, len(ready))):
        warming[back:] |= grew[: len(grew) - back]
    return there & ~warming


def _unknown(steps: int, what: str) -> UnitCapacity:
    return UnitCapacity(value=None, why=f"{steps} steps {what}, {LEAST_STEPS} are needed", steps=steps)


def _rounded(found: UnitCapacity) -> UnitCapacity:
    """Down to three digits, so that a turn later it is the same; None where it is no plausible capacity."""
    value = found.value
    if value is None or not SMALLEST_CAPACITY <= value <= LARGEST_CAPACITY:
        why = f"{value:g} a unit is no plausible capacity ({SMALLEST_CAPACITY:g} to {LARGEST_CAPACITY:g})"
        return UnitCapacity(value=None, why=why, steps=found.steps)
    scale = 10.0 ** (math.floor(math.log10(value)) - DIGITS + 1)
    down = max(SMALLEST_CAPACITY, float(f"{math.floor(value / scale * (1 + 1e-12)) * scale:.{DIGITS}g}"))
    return UnitCapacity(
        value=down,
        why=found.why,
        steps=found.steps,
        p10=found.p10,
        p50=found.p50,
        p90=found.p90,
        at_least=found.at_least,
    )


def _weighted_quantiles(values: Floats, weights: Floats, levels: tuple[float, ...]) -> list[float]:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return [float(values[order][np.searchsorted(total, level * total[-1])]) for level in levels]


def _shares_kept(load: Floats, kept: Flags) -> tuple[Floats, Floats, Floats]:
    """The isotonic fit: the right end of each piece of load, the share kept there, and its steps."""
    from scipy.optimize import isotonic_regression  # noqa: PLC0415 - only where a capacity is learnt

    ends, place, count = np.unique(load, return_inverse=True, return_counts=True)
    mean = np.bincount(place, weights=kept) / count
    fit = isotonic_regression(mean, weights=count, increasing=False)
    last = fit.blocks[1:] - 1
    return ends[last], np.asarray(fit.x)[last], np.asarray(fit.weights, dtype=np.float64)


def _worth(residual: Floats) -> float:
    """How many independent steps one step is worth: (1 - r)/(1 + r), r the autocorrelation at one step."""
    power = float((residual * residual).sum())
    if power <= 0:
        return 1.0
    r = float((residual[1:] * residual[:-1]).sum()) / power
    return (1 - r) / (1 + r) if r > 0 else 1.0


def _lower_bound(share: Floats, steps: Floats) -> Floats:
    """Wilson's one-sided lower bound of a share seen in so many steps (Wilson, JASA 22, 1927)."""
    z2 = ONE_SIDED**2
    middle = share + z2 / (2 * steps)
    half = ONE_SIDED * np.sqrt(share * (1 - share) / steps + z2 / (4 * steps * steps))
    bound: Floats = (middle - half) / (1 + z2 / steps)
    return bound


def _load_at(ends: Floats, share: Floats, level: float) -> float:
    """The largest load at which the share kept is at least `level`, NaN where it never fell below."""
    if share[-1] >= level:
        return math.nan
    above = np.flatnonzero(share >= level)
    return float(ends[above[-1]]) if len(above) else math.nan
