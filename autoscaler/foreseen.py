"""What the operator foretold or took back, brought to series and pools: events, masked windows, holidays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.ports import Samples
from forecasts import frame
from forecasts.calendar import on_holidays
from forecasts.hours import hourly
from forecasts.limits import Limits
from forecasts.set_aside import Window, masked, usual
from forecasts.types import HOUR_S, BadInput, Forecast, Series
from policies import events as declared
from policies import sizing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoscaler.bootstrap import App
    from policies.model import Pool
    from policies.outlook import Outlook
    from policies.policy import Event


def to_learn(app: App, series: Mapping[str, Series]) -> dict[str, Series]:
    """Each series as models, scalers and p99 may see it: masks absent, events as usual.

    A window of any pool that a series sizes counts for it.
    """
    out = dict(series)
    for pool in app.configuration.pools.values():
        events = declared.windows(declared.of_pool(app.policy.events, pool.id))
        masks = declared.windows(declared.of_pool(app.policy.masks, pool.id))
        for demand in pool.demands if events or masks else ():
            if demand.series in out:
                out[demand.series] = masked(usual(out[demand.series], events), masks)
    return out


def without_holidays(app: App, series: Series) -> Series:
    """The series with its past holidays as usual, for models that learn a weekly profile."""
    return usual(series, app.calendar.windows(series.start, series.end)) if app.calendar else series


def holidays(
    app: App, series: Mapping[str, Series], raw: Mapping[str, Forecast | None]
) -> dict[str, Forecast | None]:
    """The forecasts with the holidays within them as the calendar says."""
    return {
        name: found
        if found is None or app.calendar is None
        else on_holidays(found, hourly(series[name], step_s=found.step_s), app.calendar)
        for name, found in raw.items()
    }


def questions(
    app: App, ask: Callable[..., Samples], since: datetime, now: datetime, *, ahead_s: int = 0
) -> dict[str, Callable[[], object]]:
    """What to ask the sources about past events that are imitated now, and began before `since`.

    By `event N of M`: the number of the source and of the event in the policy. `ahead_s`: also those that
    will be imitated within so many seconds.
    """
    return {
        f"event {number} of {place}": partial(ask, source, _series_of(app, event), *_reach(app, event))
        for place, event in enumerate(app.policy.events)
        for number, source in enumerate(app.metrics, 1)
        if event.like is not None
        and event.like[0] < since
        and declared.in_force([event], now, _lead_s(app) + ahead_s)
    }


def samples_of_today(answers: Mapping[str, object]) -> tuple[Samples, ...]:
    """The answers of the sources that are not about the past of an event."""
    present = (answer for name, answer in answers.items() if not name.startswith("event "))
    return tuple(answer for answer in present if isinstance(answer, Samples))


def past(
    app: App, answers: Mapping[str, object], now: datetime, *, ahead_s: int = 0
) -> dict[str, dict[str, Series]]:
    """The series around each event that is imitated now, or within `ahead_s` seconds, by its name.

    From the store, or else from what the sources answered. Samples of the past are not kept.
    """
    found: dict[str, dict[str, Series]] = {}
    for place, event in enumerate(app.policy.events):
        if event.like is None or not declared.in_force([event], now, _lead_s(app) + ahead_s):
            continue
        begin, end = _reach(app, event)
        known = {one.unique_id: one for one in app.history.read(_series_of(app, event), begin, end)}
        for name, answer in answers.items():
            if name.startswith("event ") and name.endswith(f" of {place}") and isinstance(answer, Samples):
                limits = Limits(now=end, kind=answer.kind)
                gated = frame.gate(answer.unique_id, answer.ds, answer.y, limits, strict=False)
                known |= {one.unique_id: one for one in gated.series if one.unique_id not in known}
        found[event.name] = known
    return found


def with_events(
    app: App,
    pool: Pool,
    outlook: Outlook,
    now: datetime,
    imitated: Mapping[str, Mapping[str, Series]],
) -> Outlook:
    """The outlook of a pool with the declared events that are in force for it."""
    mine = declared.of_pool(app.policy.events, pool.id)
    units = {}
    for event in mine:
        found = _in_units(pool, event, imitated.get(event.name, {}))
        if found is not None:
            units[event.name] = found
    return declared.applied(outlook, mine, units, now=now, lead_s=pool.lead_time_s)


def raised(app: App, pool: Pool, forecast: Forecast, outlook: Outlook) -> Forecast:
    """The pool's hourly forecast in units, as it is shown, with the multipliers of declared events."""
    events = declared.of_pool(app.policy.events, pool.id)
    ratio = declared.multipliers(events, forecast.issued_at, forecast.step_s, len(forecast.values))
    ratio = np.maximum(ratio, 1.0) if outlook.doubt else ratio
    return forecast if (ratio == 1.0).all() else replace(forecast, values=forecast.values * ratio[:, None])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Foretold:
    """What declared events do to a pool, hour by hour: float64 [hours] each.

    `ratio`: what demand is to the usual. `least`: demand of the past event that is imitated, in units, NaN
    where there is none. `notes` tell of each event.
    """

    ratio: NDArray[np.float64]
    least: NDArray[np.float64]
    notes: tuple[str, ...]


def foretold(
    app: App,
    pool: Pool,
    imitated: Mapping[str, Mapping[str, Series]],
    *,
    begin: datetime,
    hours: int,
    doubtful: bool,
) -> Foretold:
    """The declared events of a pool within `hours` hours from `begin` on.

    A multiplier below 1 does not count where the pool's metrics are `doubtful`.
    """
    mine = declared.in_force(declared.of_pool(app.policy.events, pool.id), begin, hours * HOUR_S)
    ratio = declared.multipliers(mine, begin, HOUR_S, hours)
    least, notes = np.full(hours, np.nan), []
    for event in mine:
        if event.like is None:
            notes.append(f"event {event.name}: x{event.multiplier:.4g} {_days(event)}")
            continue
        known = _in_units(pool, event, imitated.get(event.name, {}))
        floor = least if known is None else declared.imitated(event, known, begin, HOUR_S, hours)
        if known is None or not np.isfinite(floor).any():
            notes.append(f"event {event.name}: nobody knows the demand of the past event it is like")
            continue
        least = np.fmax(least, floor)
        notes.append(f"event {event.name}: at least {np.nanmax(floor):.4g} units {_days(event)}")
    return Foretold(ratio=np.maximum(ratio, 1.0) if doubtful else ratio, least=least, notes=tuple(notes))


def _days(event: Event) -> str:
    return f"from {event.start.astimezone(UTC):%F %H:%MZ} to {event.end.astimezone(UTC):%F %H:%MZ}"


def _in_units(pool: Pool, event: Event, series: Mapping[str, Series]) -> Series | None:
    """The largest over the pool's metrics around the past event; None where one of them is not known."""
    parts = [(series.get(demand.series), demand.unit_capacity) for demand in pool.demands]
    there = [(one, capacity) for one, capacity in parts if one is not None]
    if event.like is None or len(there) < len(parts):
        return None
    end = max(one.end for one, _ in there)
    try:
        demand = sizing.demand_units([one for one, _ in there], [unit for _, unit in there], end=end)
    except BadInput:  # of those days the metrics have no grid in common: not known, and told as such
        return None
    steps = max(1, int((event.end - event.start).total_seconds() // demand.step_s))
    there_is = np.isfinite(declared.imitated(event, demand, event.start, demand.step_s, steps)).any()
    return demand if there_is else None


def _reach(app: App, event: Event) -> Window:
    """The past event and as long after it as the longest lead time."""
    begin, end = event.like or (event.start, event.end)
    return begin, end + timedelta(seconds=_lead_s(app))


def _lead_s(app: App) -> int:
    """The longest lead time, and the coarsest step that anything is measured by."""
    return max((pool.lead_time_s for pool in app.configuration.pools.values()), default=0) + 3600


def _series_of(app: App, event: Event) -> tuple[str, ...]:
    pools: Iterable[str] = app.configuration.pools if event.pools is None else event.pools
    found = (demand.series for name in pools for demand in app.configuration.pools[name].demands)
    return tuple(dict.fromkeys(found))
