"""The weeks to come: observe, forecast far, replay each scaler on its pool's past, add up. Plans nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import engine, foreseen, observing, parallel
from autoscaler.errors import UsageError
from forecasts.fallback import SAME_HOUR, last_resort
from forecasts.hours import hourly
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
    """What is known of one pool: its terms as they are and as assumed, its demand ahead under each, its past.

    `past` is the demand that may be learnt from, in units of the terms as they are.
    """

    terms: Terms
    what_if: Terms | None
    ahead: horizon.Demand
    ahead_if: horizon.Demand | None
    past: Series
    model: str
    notes: tuple[str, ...]


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
    seen = observing.observe(app, ahead_s=hours * HOUR_S)
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
        entry = _known(app, seen, (terms, what_if), raw, levels)
        if isinstance(entry, Gap):
            gaps.append(entry)
        else:
            found.append(entry)
    margins = _margins(found, replaying)
    result = horizon.Horizon(
        what_if=bool(assumptions),
        assumptions=tuple(entry.text for entry in assumptions),
        made_at=now,
        start=start,
        hours=hours,
        pools=tuple(_pool(entry, margins, start=start, hours=hours) for entry in found),
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
    seen: observing.Seen,
    *,
    start: datetime,
    horizon_hours: int,
    levels: tuple[float, ...],
    on_series: Callable[[int], None] | None,
) -> Mapping[str, Forecast | None]:
    """Each series once, by the model of its pool; the last resort where no forecast passes the gate.

    Models see what they may learn from; holidays are as the calendar says.
    """
    models = {
        demand.series: app.policy.of(pool.id).model
        for pool in seen.snapshot.pools
        for demand in pool.demands
        if demand.series in seen.series
    }
    found = engine.forecast(
        [foreseen.without_holidays(app, seen.learnt[name]) for name in sorted(models)],
        model=models,
        issued_at=start,
        horizon=horizon_hours,
        levels=levels,
        timeout_s=app.configuration.forecast.timeout_s,
        on_progress=on_series,
    )
    raw = {
        name: forecast
        or last_resort(
            hourly(seen.learnt[name]).until(start),
            issued_at=start,
            horizon=horizon_hours,
            levels=levels,
            notes=("no forecast passed the gate",),
        )
        for name, forecast in found.items()
    }
    return foreseen.holidays(app, seen.learnt, raw)


def _known(
    app: App,
    seen: observing.Seen,
    both: tuple[Terms, Terms | None],
    raw: Mapping[str, Forecast | None],
    levels: tuple[float, ...],
) -> _Known | Gap:
    """What is known of a pool, as it is and as assumed; a gap where none of its metrics has a forecast."""
    terms, what_if = both
    demands = list(enumerate(terms.pool.demands))
    forecasts = [(forecast, at) for at, demand in demands if (forecast := raw.get(demand.series)) is not None]
    if not forecasts:
        return Gap(source=terms.pool.id, code="NO_FORECAST", why="none of its metrics has a forecast")
    notes = [note for forecast, _ in forecasts for note in forecast.notes]
    notes += [
        f"{forecast.unique_id}: the largest of the same hour of past weeks stands for low, mid and high alike"
        for forecast, _ in forecasts
        if forecast.model == SAME_HOUR
    ]
    notes += [f"{demand.series} has no forecast" for _, demand in demands if raw.get(demand.series) is None]
    refused = [seen.refused[demand.series] for _, demand in demands if demand.series in seen.refused]
    there = [demand for _, demand in demands if demand.series in seen.series]
    ahead, told = _ahead(app, seen, terms, forecasts, levels)
    return _Known(
        terms=terms,
        what_if=what_if,
        ahead=ahead,
        ahead_if=None if what_if is None else _ahead(app, seen, what_if, forecasts, levels)[0],
        past=sizing.demand_units(
            [seen.learnt[demand.series] for demand in there],
            [demand.unit_capacity for demand in there],
            end=seen.snapshot.taken_at,
        ),
        model=" + ".join(dict.fromkeys(forecast.model for forecast, _ in forecasts)),
        notes=tuple(dict.fromkeys([*notes, *refused, *told])),
    )


def _ahead(
    app: App,
    seen: observing.Seen,
    terms: Terms,
    forecasts: Sequence[tuple[Forecast, int]],
    levels: tuple[float, ...],
) -> tuple[horizon.Demand, tuple[str, ...]]:
    """Demand ahead under some terms, with declared events, and what is told of those.

    `forecasts` come with the number of the metric among the pool's.
    """
    begin, hours = forecasts[0][0].issued_at, len(forecasts[0][0].values)
    past = {
        event: {name: replace(one, y=terms.demand(one.y)) for name, one in known.items()}
        for event, known in seen.imitated.items()
    }
    doubtful = any(demand.series in seen.refused for demand in terms.pool.demands)
    events = foreseen.foretold(app, terms.pool, past, begin=begin, hours=hours, doubtful=doubtful)
    capacities = [demand.unit_capacity for demand in terms.pool.demands]
    parts = [(found.values * events.ratio[:, None], capacities[at]) for found, at in forecasts]
    return horizon.Demand(
        levels=levels,
        values=horizon.hourly_demand(terms, parts),
        swell=terms.swell * events.ratio,
        least=events.least,
    ), events.notes


# What a margin depends on: the pool, and those of its terms that its scaler knows.
_Key = tuple[str, int, float]


def _key(terms: Terms) -> _Key:
    return terms.pool.id, terms.pool.lead_time_s, terms.rule.violation


def _margins(
    found: Iterable[_Known], replaying: Callable[[int], Callable[[int], None]] | None
) -> dict[_Key, horizon.Margin]:
    """The margin of every pool under its terms, by replay where that is possible.

    Neither demand nor the size of a unit is assumed here: what a scaler keeps is taken from the past as it
    was, so that more demand cannot cost less.
    """
    wanted = {
        _key(terms): (entry, terms)
        for entry in found
        for terms in (entry.what_if, entry.terms)
        if terms is not None
    }
    jobs = {key: job for key, (entry, terms) in wanted.items() if (job := _job(entry.past, terms))}
    steps = sum(len(series.y) for series, _ in jobs.values())
    answers = parallel.over(
        comparison.attempt,
        list(jobs.values()),
        processes=parallel.cores() if steps >= WORTH_PROCESSES else 1,
        on_done=replaying(len(jobs)) if replaying else lambda _done: None,
        mend="try again with more of it",
    )
    trials = dict(zip(jobs, answers, strict=True))
    return {key: _margin(*wanted[key], trials.get(key)) for key in wanted}


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


def _margin(entry: _Known, terms: Terms, trial: Trial | str | None) -> horizon.Margin:
    level = _level(terms.rule)
    near = horizon.quantile_margin(entry.ahead, level=level, ratio=sizing.peak_to_mean(entry.past))
    quantile = f"quantile rule at p{level * 100:.6g}"
    why = trial if isinstance(trial, str) else f"less than {format_duration(LEAST_REPLAYED_S)} of history"
    if trial is not None and not isinstance(trial, str):
        kept = horizon.margin_kept(trial, near)
        if kept is not None:
            scored_s = (len(trial.demand) - trial.warmup_steps) * trial.plant.step_s
            days = format_duration(scored_s // HOUR_S * HOUR_S)
            rule = f"{terms.rule.scaler} as replayed on the last {days}"
            if (trial.targets[trial.warmup_steps :] <= trial.plant.minimum).all():
                rule += ", all of them at the minimum"
            return horizon.Margin(factor=kept[0], standby=kept[1], rule=rule, replayed=True)
        if not np.nan_to_num(trial.demand).any():
            last = format_duration(len(trial.demand) * trial.plant.step_s)
            return horizon.Margin(
                factor=near, rule=f"{quantile}, since demand was zero in its last {last}", replayed=False
            )
        why = "nothing was asked of it in its last days"
    rule = f"{quantile}, since {terms.rule.scaler} cannot be replayed: {why}"
    return horizon.Margin(factor=near, rule=rule, replayed=False)


def _pool(
    entry: _Known, margins: Mapping[_Key, horizon.Margin], *, start: datetime, hours: int
) -> horizon.PoolHorizon:
    def course(terms: Terms, ahead: horizon.Demand) -> horizon.Course:
        return horizon.course(terms, ahead, margin=margins[_key(terms)], start=start, hours=hours)

    pool = entry.terms.pool
    assumed = None
    if entry.what_if is not None and entry.ahead_if is not None:
        assumed = course(entry.what_if, entry.ahead_if)
    return horizon.PoolHorizon(
        pool=pool.id,
        kind=pool.kind.value,
        billable=pool.billable,
        model=entry.model,
        notes=(*entry.notes, *_unspared(entry.terms)),
        base=course(entry.terms, entry.ahead),
        assumed=assumed,
    )


def _unspared(terms: Terms) -> Iterator[str]:
    """What is to be said of a spare for a lost zone that is asked for and not there."""
    why = sizing.unspared(len(terms.pool.ready)) if terms.rule.survive_zone_loss else ""
    if why:
        yield f"survive_zone_loss {why}"
