"""One scaler tried on one history: unit capacity, warm-up, settings, knobs, and the score that came of it.

The forecast that is replayed is the seasonal naive's, issued at every step from what was seen by then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasts.models import seasonal_naive
from forecasts.types import DAY_S, WEEK_S, BadInput, Series
from policies import scalers, units
from policies.censoring import at_or_above
from policies.replay import Plant, Score, obey, ready, scores
from policies.sizing import unit_capacity_at_p99

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policies.choice import Followed

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

PORTFOLIO = "portfolio"
RESIDUAL_WINDOW_S = 14 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """The part that is not scored: a share of the grid steps (floored), or a duration in seconds."""

    share: float = 0.0
    seconds: int | None = None

    def steps(self, total: int, step_s: int) -> int:
        """Grid steps of a history of `total` steps."""
        if self.seconds is None:
            return int(self.share * total + 1e-9)
        return -(-self.seconds // step_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a history is replayed. Give `unit_capacity`, or `units_at_p99` of the warm-up part.

    `violation` is the fraction asked for, None where it was not; `chosen` are the scaler's settings by
    name; `tune` looks, with hindsight, for the cheapest knob that meets `violation` on the scored part.
    `saturates_at`, in the history's unit: from there on a sample is a lower bound of demand.
    """

    scaler: str
    lead_s: int
    warmup: Warmup
    unit_capacity: float | None = None
    units_at_p99: float = 40.0
    violation: float | None = None
    chosen: Mapping[str, object]
    tune: bool = False
    plant: Mapping[str, object]
    saturates_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What came of it: `demand` float64 [steps] in units (NaN absent), `targets` and `serving` int64 [steps].

    `scaler` is the one that was run: static where no knob of the one asked for met the violation.
    `knob` is the tuned value, None without tuning. `followed`: what a portfolio followed in the scored part,
    None for other scalers. `censored` bool [steps]: where demand is a lower bound.
    """

    unique_id: str
    grid: Series
    unit_capacity: float
    plant: Plant
    warmup_steps: int
    scaler: str
    knob: float | None
    demand: Floats
    targets: Ints
    serving: Ints
    score: Score
    followed: Followed | None = None
    censored: Flags | None = None


def run(series: Series, rules: Rules) -> Trial:
    """Replay one series. BadInput where nothing is left to score or no unit capacity follows."""
    warmup = rules.warmup.steps(len(series.y), series.step_s)
    if warmup >= len(series.y):
        raise BadInput(
            f"{series.unique_id}: the warm-up of {warmup} steps leaves nothing to score of {len(series.y)}"
        )
    if np.isnan(series.y[warmup:]).all():
        raise BadInput(f"{series.unique_id}: there is no sample after the warm-up")
    capacity = rules.unit_capacity
    if capacity is None:
        try:
            capacity = unit_capacity_at_p99(series.y[:warmup], rules.units_at_p99)
        except BadInput as error:
            raise BadInput(f"{series.unique_id}: in the warm-up part {error}") from None
    _refuse_absurd(series, capacity)
    bounds = None if rules.saturates_at is None else at_or_above(series.y, rules.saturates_at)
    case = _Case(series=series, rules=rules, capacity=capacity, warmup=warmup, censored=bounds)
    return _tuned(case) if rules.tune else _trial(case, rules.scaler, None)


def _refuse_absurd(series: Series, capacity: float) -> None:
    if not units.SMALLEST_CAPACITY <= capacity <= units.LARGEST_CAPACITY:
        raise BadInput(
            f"{series.unique_id}: unit capacity is {capacity:g}, outside {units.SMALLEST_CAPACITY:g} to "
            f"{units.LARGEST_CAPACITY:g}; give --unit-capacity, or the history in another unit"
        )
    peak = float(np.nanmax(series.y))
    if peak > scalers.MOST_UNITS * capacity:
        raise BadInput(
            f"{series.unique_id}: a peak of {peak:g} at {capacity:g} a unit is more than "
            f"{scalers.MOST_UNITS:g} units; one of the two is wrong"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Case:
    series: Series
    rules: Rules
    capacity: float
    warmup: int
    censored: Flags | None = None

    @property
    def plant(self) -> Plant:
        """The plant on this series' grid."""
        options: dict[str, Any] = dict(self.rules.plant)
        return Plant(step_s=self.series.step_s, lead_s=self.rules.lead_s, **options)

    @property
    def demand(self) -> Floats:
        """Demand in units, float64 [1, steps]."""
        return (self.series.y / self.capacity)[None, :]

    def settings(self, scaler: scalers.Scaler, chosen: Mapping[str, object]) -> Any:
        """The scaler's settings, with the level that it wants to see ahead."""
        pool = scalers.PoolSettings(
            start=self.series.start,
            step_s=self.series.step_s,
            lead_steps=self.plant.lead_steps,
            warmup_steps=self.warmup,
            minimum=self.plant.minimum,
            censored=None if self.censored is None else self.censored[None, :],
        )
        settings = scalers.configure(scaler, pool, chosen, violation=self.rules.violation)
        return replace(settings, levels=(settings.level,)) if scaler.AHEAD else settings

    def scores(self, demand: Floats, targets: Ints) -> list[Score]:
        """The scores of targets, for demand with one row or one for each knob."""
        cut = None if self.censored is None else np.broadcast_to(self.censored, demand.shape)
        return scores(demand, targets, self.plant, warmup_steps=self.warmup, censored=cut)

    def ahead(self, settings: Any) -> Floats:
        """Seasonal-naive quantiles issued at every step, float64 [1, steps, lead + 1, level]."""
        step = self.series.step_s
        return seasonal_naive.issue(
            self.demand,
            sorted({max(1, DAY_S // step), max(1, WEEK_S // step)}),
            self.plant.lead_steps + 1,
            settings.levels,
            max(1, RESIDUAL_WINDOW_S // step),
        )


def _trial(case: _Case, name: str, knob: float | None) -> Trial:
    scaler = scalers.load(name)
    chosen = dict(case.rules.chosen) if name == case.rules.scaler else {}
    if knob is not None:
        chosen[scaler.KNOB] = knob
    settings = case.settings(scaler, chosen)
    ahead = case.ahead(settings) if scaler.AHEAD else None
    wanted, followed = (
        _followed(case, scaler, settings)
        if name == PORTFOLIO
        else (scaler.targets(case.demand, ahead, settings, None)[0], None)
    )
    targets = obey(wanted, case.plant)
    score = case.scores(case.demand, targets)[0]
    if math.isnan(score.violation):
        raise BadInput(
            f"{case.series.unique_id}: every sample after the warm-up is at --saturates-at "
            f"{case.rules.saturates_at:g} or above and within what {name} serves: nothing is known to score"
        )
    return Trial(
        unique_id=case.series.unique_id,
        grid=case.series,
        unit_capacity=case.capacity,
        plant=case.plant,
        warmup_steps=case.warmup,
        scaler=name,
        knob=knob,
        demand=case.demand[0],
        targets=targets[0],
        serving=ready(targets, case.plant)[0],
        score=score,
        followed=followed,
        censored=case.censored,
    )


def _followed(case: _Case, scaler: scalers.Scaler, settings: Any) -> tuple[Ints, Followed]:
    """A portfolio's targets, int64 [1, steps], and what it followed in the scored part."""
    from policies.choice import followed  # noqa: PLC0415 - the portfolio, only where it is replayed

    state = scaler.begin(np.zeros(1), settings)
    parts = []
    for part in (slice(0, case.warmup), slice(case.warmup, None)):
        tally = state.portfolio.tally.copy()
        if case.demand[:, part].shape[1]:
            told = (
                settings if case.censored is None else replace(settings, censored=case.censored[None, part])
            )
            found, state = scaler.targets(case.demand[:, part], None, told, state)
            parts.append(found)
    return np.concatenate(parts, axis=1), followed(state.portfolio, tally)[0]


def _tuned(case: _Case) -> Trial:
    """The cheapest knob that meets the violation on the scored part; the static peak where none does."""
    asked = case.rules.violation
    if asked is None:
        raise BadInput("tuning needs a violation to meet")
    scaler = scalers.load(case.rules.scaler)
    settings = case.settings(scaler, case.rules.chosen)
    settings = replace(settings, **{scaler.KNOB: np.array(scaler.KNOBS)})
    demand = np.broadcast_to(case.demand, (len(scaler.KNOBS), case.demand.shape[1]))
    ahead = case.ahead(settings) if scaler.AHEAD else None
    wanted, _ = scaler.targets(demand, ahead, settings, None)
    found = case.scores(demand, obey(wanted, case.plant))
    meets = [
        (score.cost, score.violation, knob)
        for score, knob in zip(found, scaler.KNOBS, strict=True)
        if score.violation <= asked
    ]
    if not meets:
        return _trial(case, "static", None)
    return _trial(case, case.rules.scaler, min(meets)[2])
