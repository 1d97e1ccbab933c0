"""The weeks to come: observe, forecast far, replay each scaler on its pool's past, add up. Plans nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import engine, parallel, tick
from autoscaler.errors import UsageError
from forecasts import frame
from forecasts.fallback import last_resort
from forecasts.types import DAY_S, HOUR_S, Forecast, Series
from policies import comparison, horizon, scalers, sizing
from policies.assumptions import Assumption, AssumptionError, Terms, assumed, known
from policies.model import Gap, Pool
from policies.policy import PoolPolicy
from policies.trial import Rules, Trial, Warmup
from policies.units import format_duration

if TYPE_CHECKING:
    from autoscaler.bootstrap import App

# The past that a scaler is replayed on: the first half warms up, the second is what counts.
REPLAYED_S = 14 * DAY_S
LEAST_REPLAYED_S = 4 * DAY_S
# Below so many steps to replay, starting processes takes longer than they save.
WORTH_PROCESSES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of one pool: its terms as they are and as assumed, its forecasts, its demand in units."""

    terms: Terms
    what_if: Terms | None
    forecasts: tuple[tuple[Forecast, int], ...]  # each with the number of its metric
    demand: Series
    notes: tuple[str, ...]

    def hourly(self, terms: Terms) -> horizon.Floats:
        """Quantiles ahead in units under some terms, float64 [hours, level]."""
        capacities = [demand.unit_capacity for demand in terms.pool.demands]
        return horizon.hourly_demand(terms, [(found, capacities[at]) for found, at in self.forecasts])


def look(
    app: App,
    assumptions: Sequence[Assumption],
    *,
    hours: int,
    on_series: Callable[[int], None] | None = None,
    replaying: Callable[[int], Callable[[int], None]] | None = None,
) -> tuple[horizon.Horizon, tuple[str, ...]]:
    """Capacity and money of every pool over `hours` hours, and what the input gate noticed.

    `on_series` hears how many series are forecast; `replaying` is told how many replays follow and gives who
    hears of those. UsageError for an assumption that a pool cannot be under. Nothing is planned.
    """
    _refuse(app, assumptions)
    seen = tick.observe(app)
    now = seen.snapshot.taken_at
    start = now - timedelta(seconds=now.timestamp() % HOUR_S)
    both = [
        (_terms(app, pool, ()), _terms(app, pool, assumptions) if assumptions else None)
        for pool in seen.snapshot.pools
    ]
    everyone = [terms for pair in both for terms in pair if terms is not None]
    levels = tuple(sorted({*horizon.BAND, *(_level(terms.rule) for terms in everyone)}))
    early = max((terms.pool.lead_time_s for terms in everyone), default=0)
    raw = _forecasts(
        app, seen, start=start, horizon_hours=hours + -(-early // HOUR_S), levels=levels, on_series=on_series
    )
    found, gaps = [], list(seen.snapshot.gaps)
    for terms, what_if in both:
        entry = _known(seen, terms, what_if, raw)
        if isinstance(entry, Gap):
            gaps.append(entry)
        else:
            found.append(entry)
    margins = _margins(found, levels, replaying)
    result = horizon.Horizon(
        what_if=bool(assumptions),
        assumptions=tuple(entry.text for entry in assumptions),
        made_at=now,
        start=start,
        hours=hours,
        pools=tuple(_pool(entry, levels, margins, start=start, hours=hours) for entry in found),
        gaps=tuple(gaps),
    )
    return result, seen.notices


def _refuse(app: App, assumptions: Sequence[Assumption]) -> None:
    try:
        known(assumptions, sorted(app.configuration.pools))
    except AssumptionError as error:
        raise UsageError(str(error)) from None


def _terms(app: App, pool: Pool, assumptions: Sequence[Assumption]) -> Terms:
    try:
        return assumed(pool, app.policy.of(pool.id), assumptions)
    except AssumptionError as error:
        raise UsageError(str(error)) from None


def _level(rule: PoolPolicy) -> float:
    """The probability that a pool is sized by: its scaler's own, else that of the violation it is asked."""
    own = scalers.level(scalers.load(rule.scaler), rule.settings, violation=rule.violation)
    return round(1.0 - rule.violation, 12) if own is None else own


def _forecasts(
    app: App,
    seen: tick.Seen,
    *,
    start: datetime,
    horizon_hours: int,
    levels: tuple[float, ...],
    on_series: Callable[[int], None] | None,
) -> Mapping[str, Forecast | None]:
    """Each series once, by the model of its pool; the last resort where no forecast passes the gate."""
    models = {
        demand.series: app.policy.of(pool.id).model
        for pool in seen.snapshot.pools
        for demand in pool.demands
        if demand.series in seen.series
    }
    found = engine.forecast(
        [seen.series[name] for name in sorted(models)],
        model=models,
        issued_at=start,
        horizon=horizon_hours,
        levels=levels,
        timeout_s=app.configuration.forecast.timeout_s,
        on_progress=on_series,
    )
    return {
        name: forecast
        or last_resort(
            frame.hourly(seen.series[name]).until(start),
            issued_at=start,
            horizon=horizon_hours,
            levels=levels,
            notes=("no forecast passed the gate",),
        )
        for name, forecast in found.items()
    }


def _known(
    seen: tick.Seen, terms: Terms, what_if: Terms | None, raw: Mapping[str, Forecast | None]
) -> _Known | Gap:
    """What is known of a pool; a gap where none of its metrics has a forecast."""
    demands = list(enumerate(terms.pool.demands))
    forecasts = [(forecast, at) for at, demand in demands if (forecast := raw.get(demand.series)) is not None]
    if not forecasts:
        return Gap(source=terms.pool.id, code="NO_FORECAST", why="none of its metrics has a forecast")
    missing = [f"{demand.series} has no forecast" for _, demand in demands if raw.get(demand.series) is None]
    refused = [seen.refused[demand.series] for _, demand in demands if demand.series in seen.refused]
    there = [demand for _, demand in demands if demand.series in seen.series]
    return _Known(
        terms=terms,
        what_if=what_if,
        forecasts=tuple(forecasts),
        demand=sizing.demand_units(
            [seen.series[demand.series] for demand in there],
            [demand.unit_capacity for demand in there],
            end=seen.snapshot.taken_at,
        ),
        notes=(*(note for forecast, _ in forecasts for note in forecast.notes), *missing, *refused),
    )


# What a margin depends on: the pool, and those of its terms that its scaler knows.
_Key = tuple[str, int, float]


def _key(terms: Terms) -> _Key:
    return terms.pool.id, terms.pool.lead_time_s, terms.rule.violation


def _margins(
    found: Iterable[_Known],
    levels: tuple[float, ...],
    replaying: Callable[[int], Callable[[int], None]] | None,
) -> dict[_Key, horizon.Margin]:
    """The margin of every pool under its terms, by replay where that is possible.

    Neither demand nor the size of a unit is assumed here: what a scaler keeps is taken from the past as it
    was, so that more demand cannot cost less.
    """
    wanted = {
        _key(terms): (entry, terms)
        for entry in found
        for terms in (entry.terms, entry.what_if)
        if terms is not None
    }
    jobs = {key: job for key, (entry, terms) in wanted.items() if (job := _job(entry.demand, terms))}
    steps = sum(len(series.y) for series, _ in jobs.values())
    answers = parallel.over(
        comparison.attempt,
        list(jobs.values()),
        processes=parallel.cores() if steps >= WORTH_PROCESSES else 1,
        on_done=replaying(len(jobs)) if replaying else lambda _done: None,
    )
    trials = dict(zip(jobs, answers, strict=True))
    return {key: _margin(*wanted[key], levels, trials.get(key)) for key in wanted}


def _job(demand: Series, terms: Terms) -> tuple[Series, Rules] | None:
    """The scaler on the pool's last days, None where there are too few."""
    there = np.flatnonzero(np.isfinite(demand.y))
    if not len(there):
        return None
    first = max(int(there[0]), len(demand.y) - REPLAYED_S // demand.step_s)
    y = demand.y[first:]
    if len(y) * demand.step_s < LEAST_REPLAYED_S:
        return None
    start = demand.start + timedelta(seconds=first * demand.step_s)
    series = Series(unique_id=terms.pool.id, start=start, step_s=demand.step_s, y=y)
    rules = Rules(
        scaler=terms.rule.scaler,
        lead_s=terms.pool.lead_time_s,
        warmup=Warmup(share=0.5),
        unit_capacity=1.0,
        violation=terms.rule.violation,
        chosen=dict(terms.rule.settings),  # a mapping proxy cannot go to another process
        plant={"minimum": terms.pool.minimum},
    )
    return series, rules


def _margin(
    entry: _Known, terms: Terms, levels: tuple[float, ...], trial: Trial | str | None
) -> horizon.Margin:
    level = _level(terms.rule)
    rule = horizon.quantile_margin(
        entry.hourly(entry.terms), levels, level=level, ratio=sizing.peak_to_mean(entry.demand)
    )
    why = trial if isinstance(trial, str) else f"less than {format_duration(LEAST_REPLAYED_S)} of history"
    if trial is not None and not isinstance(trial, str):
        kept = horizon.margin_kept(trial, rule)
        if kept is not None:
            scored_s = (len(trial.demand) - trial.warmup_steps) * trial.plant.step_s
            days = format_duration(scored_s // HOUR_S * HOUR_S)
            return horizon.Margin(value=kept, rule=f"{terms.rule.scaler} as replayed on the last {days}")
        why = "nothing was asked of it in its last days"
    return horizon.Margin(
        value=rule,
        rule=f"quantile rule at p{level * 100:.6g}, since {terms.rule.scaler} cannot be replayed: {why}",
        early_s=terms.pool.lead_time_s,
    )


def _pool(
    entry: _Known,
    levels: tuple[float, ...],
    margins: Mapping[_Key, horizon.Margin],
    *,
    start: datetime,
    hours: int,
) -> horizon.PoolHorizon:
    def course(terms: Terms) -> horizon.Course:
        demand = entry.hourly(terms)
        return horizon.course(terms, demand, levels, margin=margins[_key(terms)], start=start, hours=hours)

    pool = entry.terms.pool
    return horizon.PoolHorizon(
        pool=pool.id,
        kind=pool.kind.value,
        billable=pool.billable,
        model=" + ".join(dict.fromkeys(forecast.model for forecast, _ in entry.forecasts)),
        notes=tuple(dict.fromkeys(entry.notes)),
        base=course(entry.terms),
        assumed=None if entry.what_if is None else course(entry.what_if),
    )
