"""Scalers side by side on the same history: cost at equal violation.

A scaler that has a budget of violations is run as asked. The others have no say in how often they violate, so
each is tuned with hindsight, on every series by itself: the cheapest of its knobs that violates no more than
the leader did there (the portfolio, or the first with a budget; without one, than was asked). Where no knob
does, the static peak of the warm-up part stands for it. Ratios are averaged geometrically over the series.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from forecasts.types import BadInput, Series
from policies import scalers
from policies.trial import Rules, Trial, run

LEADER = "portfolio"
BASELINE = "hpa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The rules of each scaler, in the order asked for. `violation` (a fraction) is what was asked.

    `leader` is whose violation the others are tuned to, None where all are tuned to `violation`.
    """

    rules: Mapping[str, Rules]
    violation: float
    leader: str | None

    @property
    def tuned(self) -> tuple[str, ...]:
        """Those that are tuned with hindsight."""
        return tuple(name for name in self.rules if self.leader is None or not budgeted(name))

    @property
    def as_asked(self) -> tuple[str, ...]:
        """Those that run as they were asked to."""
        return tuple(name for name in self.rules if name not in self.tuned)

    def rival(self, name: str, lead: Trial | None) -> Rules:
        """The rules of a tuned scaler on a series where the leader came to `lead`."""
        reached = self.violation if lead is None else lead.score.violation
        return replace(self.rules[name], tune=True, violation=reached)


def budgeted(name: str) -> bool:
    """Whether a scaler is steered by the violation asked for."""
    return bool(scalers.load(name).steer(0.01))


def leader(names: Sequence[str]) -> str | None:
    """The portfolio where it is among them, else the first with a budget, else None."""
    return LEADER if LEADER in names else next((name for name in names if budgeted(name)), None)


def attempt(job: tuple[Series, Rules]) -> Trial | str:
    """One trial; where the series cannot be replayed, in one line why."""
    try:
        return run(*job)
    except BadInput as error:
        return str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One scaler over `series` series: ratios are geometric means, the rest are means; shares are fractions.

    A ratio is None where a cost is zero or the baseline did not run. `wins` counts the series on which it
    costs no more than the baseline, `worst` is the largest ratio to it. `static_peaks` counts the series on
    which no knob kept to the violation. `cost` (unit-hours) and `knob` are those of one series alone.
    """

    scaler: str
    series: int
    cost: float | None
    knob: float | None
    of_clairvoyant: float | None
    of_baseline: float | None
    wins: int | None
    worst: float | None
    violation: float
    unserved: float
    actions_per_day: float
    reversals_per_day: float
    static_peaks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """The leader beside the cheapest of the tuned scalers of each series, as `Standing` counts them."""

    scaler: str
    of_cheapest: float | None
    wins: int
    worst: float | None


def standings(trials: Mapping[str, Sequence[Trial]]) -> list[Standing]:
    """How each scaler stands over the same series, in the order given."""
    base = trials.get(BASELINE)
    return [_standing(name, mine, base) for name, mine in trials.items() if mine]


def _standing(name: str, mine: Sequence[Trial], base: Sequence[Trial] | None) -> Standing:
    ratios = None if base is None else [_ratio(a.score.cost, b.score.cost) for a, b in _pairs(mine, base)]
    known = [ratio for ratio in ratios or () if ratio is not None]
    alone = mine[0] if len(mine) == 1 else None
    return Standing(
        scaler=name,
        series=len(mine),
        cost=alone.score.cost if alone else None,
        knob=alone.knob if alone else None,
        of_clairvoyant=_geometric(_ratio(one.score.cost, one.score.clairvoyant) for one in mine),
        of_baseline=None if ratios is None else _geometric(ratios),
        wins=None if ratios is None else sum(ratio <= 1 for ratio in known),
        worst=max(known, default=None),
        violation=fmean(one.score.violation for one in mine),
        unserved=fmean(one.score.unserved for one in mine),
        actions_per_day=fmean(one.score.actions_per_day for one in mine),
        reversals_per_day=fmean(one.score.reversals_per_day for one in mine),
        static_peaks=sum(one.scaler != name for one in mine),
    )


def lead(asked: Comparison, trials: Mapping[str, Sequence[Trial]]) -> Lead | None:
    """The leader beside the cheapest tuned scaler of each series; None where it has no rivals."""
    if asked.leader is None or not asked.tuned:
        return None
    rivals = [trials[name] for name in asked.tuned]
    cheapest = [min(one.score.cost for one in row) for row in zip(*rivals, strict=True)]
    ratios = [
        _ratio(mine.score.cost, cost) for mine, cost in zip(trials[asked.leader], cheapest, strict=True)
    ]
    known = [ratio for ratio in ratios if ratio is not None]
    return Lead(
        scaler=asked.leader,
        of_cheapest=_geometric(ratios),
        wins=sum(ratio <= 1 for ratio in known),
        worst=max(known, default=None),
    )


def _pairs(mine: Sequence[Trial], base: Sequence[Trial]) -> Iterable[tuple[Trial, Trial]]:
    return zip(mine, base, strict=True)


def _ratio(cost: float, of: float) -> float | None:
    return cost / of if of > 0 and cost > 0 else None


def _geometric(ratios: Iterable[float | None]) -> float | None:
    """The geometric mean; one ratio that is unknown leaves no honest mean."""
    known = list(ratios)
    logs = [math.log(ratio) for ratio in known if ratio is not None]
    return math.exp(fmean(logs)) if logs and len(logs) == len(known) else None
