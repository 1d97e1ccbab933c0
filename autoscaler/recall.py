"""What scalers that learn want now: their memories read, taken on by the new steps, and written back.

A memory that does not fit, or cannot be read, is dropped and learnt anew from the history, and that is told.
Pools go on together where they are alike, some at a time; where that fails each goes on alone, so that one
pool's failure is its own: it keeps its size, and grows where its demand needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from autoscaler import full
from policies import standing
from policies.events import of_pool, windows
from policies.plan import Fact
from policies.standing import LEARNS, Kept, Rule, Standing, Step, Task

if TYPE_CHECKING:
    from datetime import datetime

    from autoscaler.bootstrap import App
    from forecasts.set_aside import Window
    from forecasts.types import Series
    from policies.model import Pool
    from policies.outlook import Outlook


def outlooks(
    app: App, pools: Sequence[Pool], series: Mapping[str, Series], known: Mapping[str, Outlook]
) -> dict[str, Outlook]:
    """The same outlooks, with what the pools' scalers want where these learn. Raises StoreError."""
    mine = [pool for pool in pools if pool.id in known and app.policy.of(pool.id).scaler in LEARNS]
    if not mine:
        return dict(known)
    from policies import learning  # noqa: PLC0415 - scipy's filters cost a second

    now = app.clock.now()
    tasks, anew = _tasks(app, [_task(app, pool, series, known[pool.id], now) for pool in mine])
    groups: dict[object, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.likeness, []).append(task)
    found = dict(known)
    for group in groups.values():
        size = learning.at_once(group)
        for first in range(0, len(group), size):
            done = _isolated(group[first : first + size], anew)
            _write(app, done, now)
            for pool_id, step in done.items():
                found[pool_id] = _told(known[pool_id], step.standing, anew.get(pool_id, ""))
    return found


def _tasks(app: App, tasks: Sequence[Task]) -> tuple[list[Task], dict[str, str]]:
    """Each task with what was kept for it, if that fits, and by pool why what was kept is dropped."""
    kept, corrupt = app.memories.read([task.pool_id for task in tasks])
    anew = {pool: f"it could not be read: {why}" for pool, why in corrupt.items()}
    recalled = []
    for task in tasks:
        before = kept.get(task.pool_id)
        why = "" if before is None else standing.misfit(before, task)
        if why:
            anew[task.pool_id] = why
        recalled.append(task if why else replace(task, kept=before))
    return recalled, anew


def _task(app: App, pool: Pool, series: Mapping[str, Series], outlook: Outlook, now: datetime) -> Task:
    from policies.learning import depends_on  # noqa: PLC0415 - as above

    rule = app.policy.of(pool.id)
    step = outlook.demand.step_s
    demands = [demand for demand in pool.demands if demand.series in series]
    ruled = Rule(
        scaler=rule.scaler,
        settings=tuple(sorted(rule.settings.items())),
        violation=rule.violation,
        lead_steps=max(1, -(-pool.lead_time_s // step)),
    )
    metrics = [(demand.series, demand.unit_capacity) for demand in demands]
    return Task(
        pool_id=pool.id,
        rule=ruled,
        minimum=pool.minimum,
        demand=outlook.learnt,
        settled=standing.settled_steps(outlook.demand, [series[name] for name, _ in metrics], now),
        of=depends_on(
            ruled,
            pool.minimum,
            step,
            metrics,
            _set_aside(app, pool, now),
            bounds=full.signs(app.configuration.pools[pool.id]),
        ),
        censored=outlook.censored,
    )


def _set_aside(app: App, pool: Pool, now: datetime) -> list[Window]:
    """The windows of a pool that began and are not learnt from: one declared later is learnt anew without."""
    known = (of_pool(app.policy.masks, pool.id), of_pool(app.policy.events, pool.id))
    return [window for entries in known for window in windows(entries) if window[0] <= now]


def _isolated(tasks: Sequence[Task], anew: dict[str, str]) -> dict[str, Step]:
    """All at once; where that fails each alone, then anew, then as failed."""
    from policies.learning import go_on  # noqa: PLC0415 - as above

    try:
        return dict(zip([task.pool_id for task in tasks], go_on(tasks), strict=True))
    except Exception as error:  # noqa: BLE001 - the edge of one pool: its failure stops no other
        if len(tasks) > 1:
            done: dict[str, Step] = {}
            for task in tasks:
                done |= _isolated([task], anew)
            return done
        (task,) = tasks
        why = f"{type(error).__name__}: {error}"
        if task.kept is not None:
            anew[task.pool_id] = f"it failed with it: {why}"
            return _isolated([replace(task, kept=None)], anew)
        return {task.pool_id: Step(kept=None, standing=Standing(units=None, failure=why))}


def _write(app: App, done: Mapping[str, Step], now: datetime) -> None:
    learnt: dict[str, Kept] = {pool: step.kept for pool, step in done.items() if step.kept is not None}
    if learnt:
        app.memories.write(learnt, ((pool, done[pool].standing.because) for pool in learnt), now)


def _told(outlook: Outlook, wanted: Standing, anew: str) -> Outlook:
    """The outlook with its standing; what was learnt anew is told, and a failure lets nothing shrink."""
    if anew:
        fact = Fact(name="learnt anew", value=anew)
        wanted = replace(wanted, because=(*wanted.because, fact))
    refusal = outlook.refusal
    if wanted.failure:
        refusal = "; ".join(part for part in (refusal, f"its scaler failed: {wanted.failure}") if part)
    return replace(outlook, standing=wanted, refusal=refusal)
