"""One turn: observe, forecast, plan, record, apply. Failures of a source become gaps, never exceptions."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import apply as applying
from autoscaler import engine, foreseen, former, full, recall
from autoscaler.answers import listed, sampled
from autoscaler.errors import LoadlineError
from autoscaler.metrics.sources import gate_sources
from autoscaler.ports import Samples
from autoscaler.settled import settle
from forecasts import frame
from forecasts.fallback import last_resort
from forecasts.limits import Gated, Limits
from forecasts.types import HOUR_S, Forecast, Series
from policies import planner, scalers, sizing
from policies.guards import Ledger
from policies.model import Gap, Pool, Snapshot
from policies.outlook import Outlook
from policies.plan import Action, ActionKind, Change, Guard, Outcome, Plan
from policies.policy import Mode

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.ports import Pools

HISTORY_S = 35 * 86400  # five weeks: two weekly seasons and what the models learn from
SOURCE_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one turn saw: the snapshot, each series up to now, and why some may not be trusted.

    `unanswered`: for a pool whose provider did not answer, what that one said. `to_learn`: the series without
    what was set aside; `imitated`: those around a past event that a declared one is like, by its name.
    """

    snapshot: Snapshot
    series: Mapping[str, Series]
    refused: Mapping[str, str]
    notices: tuple[str, ...]
    owners: Mapping[str, Pools]
    unanswered: Mapping[str, str] = field(default_factory=dict)
    to_learn: Mapping[str, Series] = field(default_factory=dict)
    imitated: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)

    @property
    def learnt(self) -> Mapping[str, Series]:
        """The series that may be learnt from."""
        return self.to_learn or self.series


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn's results: `forecasts` are hourly and in units, by pool."""

    seen: Seen
    plan: Plan
    outlooks: Mapping[str, Outlook]
    forecasts: Mapping[str, Forecast]
    outcomes: tuple[tuple[Action, Outcome], ...] = ()


def turn(
    app: App,
    *,
    only: ActionKind | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Turn:
    """Observe, forecast, plan and record; nothing is applied. Raises StoreError if it cannot be recorded."""
    seen = observe(app)
    forecasts, outlooks = look_ahead(app, seen, on_progress=on_progress)
    changes = _changes(app, seen.snapshot.taken_at)
    plan = planner.plan(seen.snapshot, outlooks, app.policy, changes=changes, only=only)
    app.trail.record_plan(plan)
    return Turn(seen=seen, plan=plan, outlooks=outlooks, forecasts=forecasts)


def undo(app: App, actions: Sequence[Action]) -> Turn:
    """The plan that takes actions back, recorded; judged by what demand needs now, without a forecast."""
    seen = observe(app)
    outlooks = live(app, seen)
    changes = _changes(app, seen.snapshot.taken_at)
    plan = planner.undo(actions, seen.snapshot, outlooks, app.policy, changes=changes)
    app.trail.record_plan(plan)
    return Turn(seen=seen, plan=plan, outlooks=outlooks, forecasts={})


def live(app: App, seen: Seen) -> dict[str, Outlook]:
    """What each pool's demand is now, without a forecast."""
    return {
        pool.id: _outlook(app, pool, seen, None, forecast_sound=True)
        for pool in seen.snapshot.pools
        if any(demand.series in seen.series for demand in pool.demands)
    }


def tick(app: App, *, on_progress: Callable[[int], None] | None = None) -> Turn:
    """A turn of the daemon: what its pools' modes allow is applied at once."""
    done = turn(app, on_progress=on_progress)
    outcomes = _apply(
        app, done.plan, done.seen, done.outlooks, allowed=lambda a: app.policy.of(a.target).mode is Mode.AUTO
    )
    return replace(done, outcomes=tuple(outcomes))


def apply(app: App, plan: Plan) -> list[tuple[Action, Outcome]]:
    """Apply a whole plan by hand, after looking at the world again; PlanRefused at once if it is late."""
    applying.refuse_late(plan, app.clock.now())
    app.trail.record_plan(plan)
    seen = observe(app)
    return list(_apply(app, plan, seen, live(app, seen), allowed=lambda _action: True))


def _apply(
    app: App,
    plan: Plan,
    seen: Seen,
    outlooks: Mapping[str, Outlook],
    *,
    allowed: Callable[[Action], bool],
) -> Iterator[tuple[Action, Outcome]]:
    """Each action through the guards once more, as the world was seen just now."""
    now = seen.snapshot.taken_at
    pools = {pool.id: pool for pool in seen.snapshot.pools}
    ledger = Ledger(seen.snapshot.pools, _changes(app, now), now)

    def permit(action: Action, pool: Pool) -> str:
        known = pools.get(pool.id)
        if known is None:
            return f"{Guard.INSUFFICIENT_DATA}: {pool.id} was not seen"
        fresh = replace(known, desired=pool.desired, version=pool.version)
        return planner.permits(action, fresh, outlooks.get(pool.id), app.policy, ledger=ledger, now=now)

    world = applying.World(
        owners=seen.owners, trail=app.trail, clock=app.clock, permit=permit, unanswered=seen.unanswered
    )
    return applying.apply(plan, world, allowed=allowed)


def _changes(app: App, now: datetime) -> list[Change]:
    """The changes that budgets and cool-downs count: those made, and shrinks of which nobody knows."""
    since = now - timedelta(seconds=_longest_window_s(app))
    perhaps = [
        Change(target=deed.action.target, at=deed.at, before=deed.action.before, after=deed.action.after)
        for deed in app.trail.doubtful()
        if deed.at >= since and deed.action.after < deed.action.before
    ]
    return [*app.trail.changes(since), *perhaps]


def _longest_window_s(app: App) -> int:
    rules = (app.policy.default, *app.policy.pools.values())
    waits = [max(rule.cool_down_in_s, rule.cool_down_out_s) for rule in rules]
    return max([budget.window_s for budget in app.policy.budgets] + waits)


def observe(app: App, *, ahead_s: int = 0) -> Seen:
    """Read providers and metrics at once, each with a deadline; keep the samples; build the snapshot.

    Past events are read that are imitated now, or within `ahead_s` seconds.
    """
    now = app.clock.now()
    wanted = app.configuration.series()
    asked = former.with_former_ids(app.configuration)
    since = now - timedelta(seconds=HISTORY_S)
    jobs: dict[str, Callable[[], object]] = {
        f"provider {name}": partial(listed, provider) for name, provider in app.providers.items()
    }
    jobs |= {
        f"metrics {number}": partial(sampled, source, asked, since, now)
        for number, source in enumerate(app.metrics, 1)
    }
    answers, gaps = _ask(jobs | foreseen.questions(app, sampled, since, now, ahead_s=ahead_s))
    unanswered = _unanswered(app, gaps)
    pools, owners = _managed(app, answers, gaps)
    gated = _gated(foreseen.samples_of_today(answers), app, now)
    app.history.append_all(gated.series)
    kept, refused = former.one_history(
        app.configuration.formerly(),
        {series.unique_id: series for series in app.history.read(asked, since, now)},
        former.refusals(gated, asked),
        wanted,
    )
    settled, to_learn = [], foreseen.to_learn(app, kept)
    for pool in pools:
        known = settle(pool, app.configuration.pools[pool.id], to_learn, seen=kept, now=now)
        settled.append(pool if isinstance(known, Gap) else known)
        if isinstance(known, Gap):
            gaps.append(known)
    return Seen(
        snapshot=Snapshot(
            taken_at=now,
            pools=tuple(settled),
            gaps=tuple(gaps),
        ),
        series=kept,
        refused=refused,
        notices=tuple(notice.message for notice in gated.notices),
        owners=owners,
        unanswered=unanswered,
        to_learn=to_learn,
        imitated=foreseen.past(app, answers, now, ahead_s=ahead_s),
    )


def _ask(jobs: Mapping[str, Callable[[], object]]) -> tuple[dict[str, object], list[Gap]]:
    """Run every job in a thread of its own; one that fails or is late becomes a gap."""
    results: queue.Queue[tuple[str, object]] = queue.Queue()

    def run(name: str, job: Callable[[], object]) -> None:
        try:
            results.put((name, job()))
        except LoadlineError as error:
            results.put((name, Gap(source=name, code=type(error).__name__, why=str(error))))
        except Exception as error:  # noqa: BLE001 - the edge of one provider: its bugs stop nobody else
            results.put((name, Gap(source=name, code="BUG", why=f"{type(error).__name__}: {error}")))

    for name, job in jobs.items():
        threading.Thread(target=run, args=(name, job), name=name, daemon=True).start()
    found: dict[str, object] = {}
    ends = time.monotonic() + SOURCE_DEADLINE_S
    while len(found) < len(jobs):
        try:
            name, answer = results.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            break
        found[name] = answer
    late = (
        Gap(source=name, code="LATE", why=f"no answer within {SOURCE_DEADLINE_S:.0f} s")
        for name in jobs
        if name not in found
    )
    gaps = [found[name] for name in jobs if isinstance(found.get(name), Gap)]
    answers = {name: found[name] for name in jobs if name in found and not isinstance(found[name], Gap)}
    return answers, [*(gap for gap in gaps if isinstance(gap, Gap)), *late]


def _managed(app: App, answers: Mapping[str, object], gaps: list[Gap]) -> tuple[list[Pool], dict[str, Pools]]:
    """The pools that the configuration names, as their providers show them; a gap for one that is not."""
    pools: list[Pool] = []
    owners: dict[str, Pools] = {}
    for name, provider in app.providers.items():
        answer = answers.get(f"provider {name}")
        if not isinstance(answer, tuple):
            continue
        shown, unseen = answer
        gaps += unseen
        for pool in shown:
            declared = app.configuration.pools.get(pool.id)
            if declared is not None and declared.provider == name:
                pools.append(pool)
                owners[pool.id] = provider
    for name, declared in sorted(app.configuration.pools.items()):
        if name not in owners and isinstance(answers.get(f"provider {declared.provider}"), tuple):
            gaps.append(Gap(source=name, code="NOT_FOUND", why=f"{name} is in no provider's list"))
    gaps[:] = [_with_its_pools(app, gap) for gap in gaps]
    return sorted(pools, key=lambda pool: pool.id), owners


def _with_its_pools(app: App, gap: Gap) -> Gap:
    """A provider's gap names the pools that cannot be seen for it."""
    pools = [
        n for n, pool in sorted(app.configuration.pools.items()) if gap.source == f"provider {pool.provider}"
    ]
    return replace(gap, why=f"{gap.why} (pools: {', '.join(pools)})") if pools else gap


def _unanswered(app: App, gaps: Sequence[Gap]) -> dict[str, str]:
    """For each pool of a provider that did not answer, what the gap says."""
    silent = {gap.source: gap.why for gap in gaps}
    return {
        name: silent[f"provider {declared.provider}"]
        for name, declared in app.configuration.pools.items()
        if f"provider {declared.provider}" in silent
    }


def _gated(parts: Sequence[Samples], app: App, now: datetime) -> Gated:
    """The samples of all sources through the input gate: what is unsound is dropped and told."""
    fresh = app.policy.freshness
    limits = Limits(
        now=now,
        periods=fresh.periods,
        completeness=fresh.completeness,
        longest_gap_s=fresh.longest_gap_s,
        window_s=fresh.window_s,
        steady=app.configuration.counts(),
    )
    return gate_sources(parts, limits)


def look_ahead(
    app: App, seen: Seen, *, on_progress: Callable[[int], None] | None = None
) -> tuple[dict[str, Forecast], dict[str, Outlook]]:
    """Forecast every series once, and bring history and forecast of each pool to units."""
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
    )
    unsound = {name for name, found in raw.items() if found is None}
    for name in unsound:
        raw[name] = last_resort(
            frame.hourly(seen.learnt[name]).until(issued_at),
            issued_at=issued_at,
            horizon=settings.horizon_s // HOUR_S,
            levels=settings.levels,
        )
    raw = foreseen.holidays(app, seen.learnt, raw)
    forecasts: dict[str, Forecast] = {}
    outlooks: dict[str, Outlook] = {}
    for pool in seen.snapshot.pools:
        if not any(demand.series in seen.series for demand in pool.demands):
            continue  # the planner says that no metric of it could be read
        ahead = scalers.load(app.policy.of(pool.id).scaler).AHEAD
        joined = _in_units(pool, raw) if ahead else None
        sound = all(demand.series not in unsound for demand in pool.demands)
        outlook = _outlook(app, pool, seen, joined, forecast_sound=sound)
        outlooks[pool.id] = foreseen.with_events(app, pool, outlook, now, seen.imitated)
        if joined is not None:
            forecasts[pool.id] = foreseen.raised(app, pool, joined, outlooks[pool.id])
    return forecasts, recall.outlooks(app, seen.snapshot.pools, seen.series, outlooks)


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


def _outlook(app: App, pool: Pool, seen: Seen, forecast: Forecast | None, *, forecast_sound: bool) -> Outlook:
    now = seen.snapshot.taken_at
    declared = app.configuration.pools[pool.id].demands
    refusals = [seen.refused[d.series] for d in declared if d.series in seen.refused]
    if not forecast_sound and not refusals:
        refusals.append(f"{pool.id}: there is no forecast that passes the gate")
    known = [demand for demand in pool.demands if demand.series in seen.series]
    capacities = [d.unit_capacity for d in known]
    demand = to_learn = sizing.demand_units([seen.series[d.series] for d in known], capacities, end=now)
    if any(seen.learnt[d.series] is not seen.series[d.series] for d in known):
        to_learn = sizing.demand_units([seen.learnt[d.series] for d in known], capacities, end=now)
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
