"""What each pool's demand is and will be: forecasts and live demand brought to units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import engine, foreseen, full, recall
from autoscaler.following import delays
from forecasts.fallback import last_resort
from forecasts.hours import hourly
from forecasts.types import HOUR_S, Forecast
from policies import scalers, sizing
from policies.inputs import recent
from policies.model import Pool
from policies.outlook import Outlook
from policies.standing import LEARNS

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.observing import Seen


def live(app: App, seen: Seen) -> dict[str, Outlook]:
    """What each pool's demand is now, without a forecast."""
    late_s = _late_s(app, seen)
    return {
        pool.id: _outlook(app, pool, seen, None, late_s, forecast_sound=True)
        for pool in seen.snapshot.pools
        if any(demand.series in seen.series for demand in pool.demands)
    }


def look_ahead(
    app: App, seen: Seen, *, on_progress: Callable[[int], None] | None = None, whole: bool = True
) -> tuple[dict[str, Forecast], dict[str, Outlook]]:
    """Forecast every series once, and bring history and forecast of each pool to units.

    Not `whole`: of the past, what a plan is decided from; the rest of a thousand pools takes much memory.
    """
    now = seen.snapshot.taken_at
    settings = app.configuration.forecast
    issued_at = now - timedelta(seconds=now.timestamp() % HOUR_S)
    needed = {
        demand.series: app.policy.of(pool.id).model
        for pool in seen.snapshot.pools
        for demand in pool.demands
        if demand.series in seen.series and scalers.load(app.policy.of(pool.id).scaler).AHEAD
    }
    raw = engine.forecast(
        [foreseen.without_holidays(app, seen.learnt[name]) for name in sorted(needed)],
        model=needed,
        issued_at=issued_at,
        horizon=settings.horizon_s // HOUR_S,
        levels=settings.levels,
        timeout_s=settings.timeout_s,
        on_progress=on_progress,
        memo=app.forecasts,
    )
    unsound = {name for name, found in raw.items() if found is None}
    for name in unsound:
        raw[name] = last_resort(
            hourly(seen.learnt[name]).until(issued_at),
            issued_at=issued_at,
            horizon=settings.horizon_s // HOUR_S,
            levels=settings.levels,
        )
    raw = foreseen.holidays(app, seen.learnt, raw)
    late_s = _late_s(app, seen)
    forecasts: dict[str, Forecast] = {}
    outlooks: dict[str, Outlook] = {}
    for pool in seen.snapshot.pools:
        if not any(demand.series in seen.series for demand in pool.demands):
            continue  # the planner says that no metric of it could be read
        ahead = scalers.load(app.policy.of(pool.id).scaler).AHEAD
        joined = _in_units(pool, raw) if ahead else None
        sound = all(demand.series not in unsound for demand in pool.demands)
        outlook = _outlook(app, pool, seen, joined, late_s, forecast_sound=sound)
        outlook = foreseen.with_events(app, pool, outlook, now, seen.imitated)
        learns = app.policy.of(pool.id).scaler in LEARNS
        outlooks[pool.id] = outlook if whole or learns else recent(outlook, app.policy)
        if joined is not None:
            forecasts[pool.id] = foreseen.raised(app, pool, joined, outlooks[pool.id])
    outlooks = recall.outlooks(app, seen.snapshot.pools, seen.series, outlooks)
    if not whole:
        outlooks = {name: recent(outlook, app.policy) for name, outlook in outlooks.items()}
    return forecasts, outlooks


def _in_units(pool: Pool, raw: Mapping[str, Forecast | None]) -> Forecast | None:
    """The pool's forecast in units, the largest over its metrics; None where none of them has one.

    A metric that is missing is told as a refusal: then what the others forecast may only let the pool grow.
    """
    parts = [(raw.get(demand.series), demand.unit_capacity) for demand in pool.demands]
    there = [part for part, _ in parts if part is not None]
    if not there:
        return None
    values = [part.values / capacity for part, capacity in parts if part is not None]
    notes = tuple(note for part in there for note in part.notes)
    models = " + ".join(dict.fromkeys(part.model for part in there))
    return replace(there[0], unique_id=pool.id, values=np.max(values, axis=0), model=models, notes=notes)


def _outlook(
    app: App,
    pool: Pool,
    seen: Seen,
    forecast: Forecast | None,
    late_s: Mapping[str, float],
    *,
    forecast_sound: bool,
) -> Outlook:
    now = seen.snapshot.taken_at
    declared = app.configuration.pools[pool.id].demands
    refusals = [seen.refused[d.series] for d in declared if d.series in seen.refused]
    if not forecast_sound and not refusals:
        refusals.append(f"{pool.id}: there is no forecast that passes the gate")
    known = [demand for demand in pool.demands if demand.series in seen.series]
    capacities = [d.unit_capacity for d in known]
    late = [late_s[demand.series] for demand in known]
    demand = to_learn = sizing.demand_units(
        [seen.series[d.series] for d in known], capacities, end=now, late_s=late
    )
    if any(seen.learnt[d.series] is not seen.series[d.series] for d in known):
        to_learn = sizing.demand_units(
            [seen.learnt[d.series] for d in known], capacities, end=now, late_s=late
        )
    ahead = None
    if forecast is not None:
        ahead = sizing.quantiles_by_step(
            forecast.values,
            issued_at=forecast.issued_at,
            now=now,
            step_s=demand.step_s,
            steps=max(1, -(-pool.lead_time_s // demand.step_s)) + 1,
            ratio=sizing.peak_to_mean(to_learn),
        )
    return Outlook(
        pool_id=pool.id,
        demand=demand,
        ahead=ahead,
        levels=forecast.levels if forecast is not None else (),
        model=forecast.model if forecast is not None else "",
        refusal="; ".join(refusals),
        notes=forecast.notes if forecast is not None else (),
        to_learn=to_learn,
        censored=full.censored(app.configuration.pools[pool.id], pool, seen.series, demand),
    )


def _late_s(app: App, seen: Seen) -> dict[str, float]:
    """How late each metric may be in seconds and still count as fresh: what is held speaks for it until then.

    A backlog as demand is as late as the later one of what waits and what arrives.
    """
    late = delays(app.metrics, list(seen.series))
    periods = app.policy.freshness.periods
    found = {name: periods * one.step_s + late.get(name, 0.0) for name, one in seen.series.items()}
    arrivals = [
        (demand.series, found[demand.backlog.arrivals])
        for pool in app.configuration.pools.values()
        for demand in pool.demands
        if demand.backlog is not None and demand.backlog.arrivals in found
    ]
    for name, later in arrivals:
        if name in found:
            found[name] = max(found[name], later)
    return found
