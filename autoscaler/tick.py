"""One turn: observe, forecast, plan, record, apply. Failures of a source become gaps, never exceptions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler import apply as applying
from autoscaler.errors import Fenced
from autoscaler.gathering import conditions, freezes
from autoscaler.lease import Holding
from autoscaler.observing import Seen, observe
from autoscaler.outlooks import live, look_ahead
from forecasts.types import Forecast
from policies import planner
from policies.conditions import NO_CONDITIONS, Conditions
from policies.guards import Ledger
from policies.inputs import Inputs, decide
from policies.model import Pool
from policies.modes import Permission, permitted
from policies.outlook import Outlook
from policies.plan import Action, ActionKind, Change, Guard, Outcome, Plan

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.ports import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn's results: `forecasts` are hourly and in units, by pool; `waiting`: what its mode keeps back."""

    seen: Seen
    plan: Plan
    outlooks: Mapping[str, Outlook]
    forecasts: Mapping[str, Forecast]
    conditions: Conditions = NO_CONDITIONS
    outcomes: tuple[tuple[Action, Outcome], ...] = ()
    waiting: tuple[tuple[Action, Permission], ...] = ()


def turn(
    app: App,
    *,
    only: ActionKind | None = None,
    on_progress: Callable[[int], None] | None = None,
    running_s: float | None = None,
    generation: int = 0,
) -> Turn:
    """Observe, forecast, plan and record; nothing is applied. Raises StoreError if it cannot be recorded."""
    seen = observe(app)
    forecasts, outlooks = look_ahead(app, seen, on_progress=on_progress)
    inputs = Inputs(
        snapshot=seen.snapshot,
        outlooks=outlooks,
        policy=app.policy,
        changes=_changes(app, seen.snapshot.taken_at),
        conditions=conditions(app, seen, running_s=running_s),
        only=only,
    )
    return _recorded(app, seen, inputs, forecasts, generation=generation)


def undo(app: App, actions: Sequence[Action]) -> Turn:
    """The plan that takes actions back, recorded; judged by what demand needs now, without a forecast."""
    seen = observe(app)
    outlooks = live(app, seen)
    inputs = Inputs(
        snapshot=seen.snapshot,
        outlooks=outlooks,
        policy=app.policy,
        changes=_changes(app, seen.snapshot.taken_at),
        conditions=conditions(app, seen),
        undoing=tuple(actions),
    )
    return _recorded(app, seen, inputs, {})


def _recorded(
    app: App, seen: Seen, inputs: Inputs, forecasts: Mapping[str, Forecast], *, generation: int = 0
) -> Turn:
    plan = decide(inputs)
    app.trail.record_plan(plan, inputs, generation=generation)
    return Turn(
        seen=seen, plan=plan, outlooks=inputs.outlooks, forecasts=forecasts, conditions=inputs.conditions
    )


def tick(
    app: App,
    *,
    holding: Holding | None = None,
    running_s: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Turn:
    """A turn of the daemon: what its pools' modes allow is applied at once, while `holding` lasts.

    Without one, the lease is taken for this turn; Fenced where another process leads.
    """
    if holding is None:
        holding = Holding(app.lease, app.lease.take(), threading.Event())
        try:
            return tick(app, holding=holding, running_s=running_s, on_progress=on_progress)
        finally:
            holding.release()
    done = turn(app, on_progress=on_progress, running_s=running_s, generation=holding.check())
    now = done.seen.snapshot.taken_at
    words = {
        action.id: permitted(action, policy=app.policy, conditions=done.conditions, now=now)
        for action in done.plan.actions
    }
    waiting = tuple((action, words[action.id]) for action in done.plan.actions if not words[action.id].acts)
    holding.acting = True
    outcomes = _apply(app, done, lease=holding, allowed=lambda action: words[action.id].acts)
    return replace(done, outcomes=tuple(outcomes), waiting=waiting)


def apply(app: App, plan: Plan) -> list[tuple[Action, Outcome]]:
    """Apply a whole plan by hand, after looking at the world again; PlanRefused at once if it is late.

    Fenced where a daemon leads.
    """
    applying.refuse_late(plan, app.clock.now())
    app.lease.take()
    try:
        app.trail.record_plan(plan)
        seen = observe(app)
        around = conditions(app, seen)
        looked = Turn(seen=seen, plan=plan, outlooks=live(app, seen), forecasts={}, conditions=around)
        return list(_apply(app, looked, lease=app.lease, allowed=lambda _action: True))
    finally:
        app.lease.release()


def _apply(
    app: App, looked: Turn, *, lease: Lease, allowed: Callable[[Action], bool]
) -> Iterator[tuple[Action, Outcome]]:
    """Each action through the guards once more, as the world was seen just now."""
    seen, now = looked.seen, looked.seen.snapshot.taken_at
    pools = {pool.id: pool for pool in seen.snapshot.pools}
    ledger = Ledger(seen.snapshot.pools, _changes(app, now), now)

    def permit(action: Action, pool: Pool) -> str:
        known = pools.get(pool.id)
        if known is None:
            return f"{Guard.INSUFFICIENT_DATA}: {pool.id} was not seen"
        try:
            lease.check()
        except Fenced as error:
            return f"{Guard.LEASE}: {error}"
        return planner.permits(
            action,
            replace(known, desired=pool.desired, version=pool.version),
            looked.outlooks.get(pool.id),
            app.policy,
            ledger=ledger,
            now=now,
            conditions=replace(looked.conditions, freezes=freezes(app, app.clock.now())),
        )

    world = applying.World(
        owners=seen.owners, trail=app.trail, clock=app.clock, permit=permit, unanswered=seen.unanswered
    )
    return applying.apply(looked.plan, world, allowed=allowed)


def _changes(app: App, now: datetime) -> tuple[Change, ...]:
    """The changes that guards look back on: those made, and those of which nobody knows whether they were."""
    since = now - timedelta(seconds=app.policy.memory_s)
    perhaps = [
        Change(target=deed.action.target, at=deed.at, before=deed.action.before, after=deed.action.after)
        for deed in app.trail.doubtful()
        if deed.at >= since
    ]
    return tuple(sorted([*app.trail.changes(since), *perhaps], key=lambda change: change.at))
