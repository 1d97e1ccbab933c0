"""The plant: what a scaler's targets would have cost, and how often demand would have exceeded what served.

Exact, so that anyone can recompute it from the targets:

- a policy at step t has seen demand up to t-1; targets are integers;
- the lead time is L = max(1, ceil(lead / step)) steps: ready[t] = min(T[t-L..t]). A unit serves only once it
  has been asked for L steps long; scaling in is immediate; capacity that boots is paid;
- cost = sum of T x step in unit-hours; violation = share of steps with demand > ready;
  unserved = sum(max(0, demand - ready)) / sum(demand); missing steps count in none of the three;
- a censored step, whose demand is only known to be at least so much, violates where even that is more than
  ready; where it is not, nobody knows: it counts in the cost, and not among the steps of the violation;
- clairvoyant = cost of ceil(max(demand[t..t+L])), the least that never violates.

Options make the plant more like a live system: see `Plant`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecasts.windows import trailing
from policies.policy import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

REVERSAL_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """The pool that obeys the targets. Durations in seconds.

    `scale_in_delay_s`: a smaller target counts only once it has been asked that long. `step_out`,
    `step_in`: largest change in one step. `cool_down_in_s`: no scale-in so soon after any change.
    `billing_minimum_s`: each unit is paid at least that long, oldest ended first. `lead_jitter`: each
    launch's lead time is drawn from lead x lognormal(0, jitter), with `seed`. `backlog`: demand that was
    not served waits and is added to the next step's.
    """

    step_s: int
    lead_s: int
    minimum: int = 1
    scale_in_delay_s: int = 0
    step_out: Step | None = None
    step_in: Step | None = None
    cool_down_in_s: int = 0
    billing_minimum_s: int = 0
    lead_jitter: float = 0.0
    seed: int = 0
    backlog: bool = False

    @property
    def lead_steps(self) -> int:
        """L = max(1, ceil(lead / step))."""
        return max(1, -(-self.lead_s // self.step_s))

    @property
    def bare(self) -> bool:
        """True where targets are obeyed as they are."""
        return not (self.scale_in_delay_s or self.step_out or self.step_in or self.cool_down_in_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one series cost. `violation` and `unserved` are fractions; costs are unit-hours.

    `censored` is the fraction of `steps` of which nobody knows whether they violated; `violation` is NaN
    where that is all of them.
    """

    steps: int
    cost: float
    clairvoyant: float
    violation: float
    unserved: float
    actions_per_day: float
    reversals_per_day: float
    censored: float = 0.0


def obey(wanted: Ints, plant: Plant) -> Ints:
    """Targets as the plant accepts them, int64 [series, steps]: delay, step limits, cool-down."""
    if plant.bare:
        return wanted
    delay = -(-plant.scale_in_delay_s // plant.step_s)
    goal = trailing(wanted, delay, np.maximum) if delay else wanted
    quiet = -(-plant.cool_down_in_s // plant.step_s)
    out = np.empty_like(goal)
    current = goal[:, 0].copy()
    since = np.full(len(goal), quiet)
    out[:, 0] = current
    for t in range(1, goal.shape[1]):
        since += 1
        lowest = np.where(since >= quiet, current - _limits(plant.step_in, current), current)
        size = np.clip(goal[:, t], lowest, current + _limits(plant.step_out, current))
        size = np.maximum(size, np.minimum(plant.minimum, current))
        since[size != current] = 0
        current = size
        out[:, t] = current
    return out


def _limits(step: Step | None, size: Ints) -> Ints:
    if step is None:
        return np.full_like(size, np.iinfo(np.int64).max // 4)
    return np.maximum(step.units, (step.share * size + 1e-9).astype(np.int64))


def ready(targets: Ints, plant: Plant) -> Ints:
    """Units that serve at each step, int64 [series, steps]."""
    if not plant.lead_jitter:
        return trailing(targets, plant.lead_steps, np.minimum)
    rng = np.random.default_rng(plant.seed)
    leads = plant.lead_s * rng.lognormal(0.0, plant.lead_jitter, size=targets.shape)
    steps = np.maximum(1, np.ceil(leads / plant.step_s)).astype(np.int64)
    return np.stack([_ready_units(row, lead) for row, lead in zip(targets, steps, strict=True)])


def _ready_units(targets: Ints, leads: Ints) -> Ints:
    """Unit by unit: the k-th unit serves `leads[launch]` steps after it was last launched."""
    serves_from = np.zeros(int(targets.max()), dtype=np.int64)
    out = np.empty_like(targets)
    before = int(targets[0])
    for t, size in enumerate(targets.tolist()):
        serves_from[before:size] = t + leads[t]
        out[t] = np.count_nonzero(serves_from[:size] <= t)
        before = size
    return out


def paid(targets: Ints, plant: Plant) -> Ints:
    """Units that are paid at each step: the targets, and what ended before its billing minimum."""
    least = -(-plant.billing_minimum_s // plant.step_s)
    if least <= 1:
        return targets
    out = targets.copy()
    for row, units in zip(out, targets, strict=True):
        change = np.diff(units, prepend=0)
        begun = np.repeat(np.arange(len(units)), np.maximum(change, 0))
        ended = np.repeat(np.arange(len(units)), np.maximum(-change, 0))
        early = begun[: len(ended)] + least > ended  # first begun, first ended
        for start, end in zip(begun[: len(ended)][early], ended[early], strict=True):
            row[end : start + least] += 1
    return out


def waiting(demand: Floats, serving: Ints) -> Floats:
    """Demand with the backlog of earlier steps added, float64 [series, steps]; NaN stays NaN."""
    out = demand.copy()
    left = np.zeros(len(demand))
    for t in range(demand.shape[1]):
        out[:, t] += left
        left = np.where(np.isnan(out[:, t]), left, np.maximum(0.0, out[:, t] - serving[:, t]))
    return out


def clairvoyant(demand: Floats, plant: Plant) -> Ints:
    """The fewest units that never violate, int64 [series, steps]: ceil(max(demand[t..t+L]))."""
    out = np.nan_to_num(demand, nan=0.0)[:, ::-1]
    peak = trailing(np.ceil(out).astype(np.int64), plant.lead_steps, np.maximum)[:, ::-1]
    return np.maximum(peak, plant.minimum)


def scores(
    demand: Floats, targets: Ints, plant: Plant, *, warmup_steps: int, censored: Flags | None = None
) -> list[Score]:
    """One score a series: `demand` and `targets` [series, steps] on the plant's grid.

    The first `warmup_steps` are not scored. Actions count over all scored grid steps. `censored` bool
    [series, steps]: where demand is a lower bound.
    """
    bounds = np.zeros(demand.shape, dtype=bool) if censored is None else censored
    serving = ready(targets, plant)
    bill = paid(targets, plant)
    load = waiting(demand, serving) if plant.backlog else demand
    least = clairvoyant(demand, plant)
    part = slice(warmup_steps, None)
    there = ~np.isnan(demand[:, part])
    return [
        _score(
            demand=load[i, part][there[i]],
            bound=bounds[i, part][there[i]],
            serving=serving[i, part][there[i]],
            cost=int(bill[i, part][there[i]].sum()) * plant.step_s / 3600,
            least=int(least[i, part][there[i]].sum()) * plant.step_s / 3600,
            acts=actions(targets[i], plant.step_s, warmup_steps=warmup_steps),
        )
        for i in range(len(demand))
    ]


def _score(
    *, demand: Floats, bound: Flags, serving: Ints, cost: float, least: float, acts: tuple[float, float]
) -> Score:
    steps = len(demand)
    unknown = int(np.count_nonzero(bound & (demand <= serving)))
    known, violated = steps - unknown, int(np.count_nonzero(demand > serving))
    total = float(demand.sum())
    short = np.maximum(0.0, demand - serving)
    return Score(
        steps=steps,
        cost=cost,
        clairvoyant=least,
        violation=violated / known if known else math.nan if unknown else 0.0,
        unserved=float(short.sum()) / total if total > 0 else 0.0,
        actions_per_day=acts[0],
        reversals_per_day=acts[1],
        censored=unknown / steps if steps else 0.0,
    )


def actions(targets: Ints, step_s: int, *, warmup_steps: int) -> tuple[float, float]:
    """Actions and reversals a day of one series int64 [steps], from the scored part alone.

    An action is T[t] != T[t-1]; a reversal is one of the other sign within an hour of the last.
    """
    first = max(1, warmup_steps)
    change = np.diff(targets)[first - 1 :]
    at = np.flatnonzero(change)
    sign = np.sign(change[at])
    reversed_ = (sign[1:] != sign[:-1]) & (np.diff(at) * step_s <= REVERSAL_S)
    days = (len(targets) - warmup_steps) * step_s / 86400
    if days <= 0:
        return 0.0, 0.0
    return len(at) / days, int(np.count_nonzero(reversed_)) / days
