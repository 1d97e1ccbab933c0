"""One turn: observe, forecast, plan, record, apply. Failures of a source become gaps, never exceptions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler import apply as applying
from autoscaler import settling, verifying
from autoscaler.freezing import in_force
from autoscaler.gathering import conditions
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
from policies.plan import Action, ActionKind, Change, Guard, Outcome, Plan, Reason
from policies.policy import Mode

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.ports import Lease
    from policies.deeds import Deed


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
    seen, inputs, forecasts = _look(app, only=only, on_progress=on_progress, running_s=running_s)
    done = _decided(seen, inputs, forecasts)
    app.trail.record_plan(done.plan, inputs, generation=generation)
    return done


def undo(app: App, actions: Sequence[Action]) -> Turn:
    """The plan that takes actions back, recorded; judged by what demand needs now, without a forecast."""
    seen, inputs = _to_undo(app, actions)
    done = _decided(seen, inputs, {})
    app.trail.record_plan(done.plan, inputs)
    return done


def _look(
    app: App,
    *,
    only: ActionKind | None,
    on_progress: Callable[[int], None] | None,
    running_s: float | None,
) -> tuple[Seen, Inputs, Mapping[str, Forecast]]:
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
    return seen, inputs, forecasts


def _to_undo(app: App, actions: Sequence[Action]) -> tuple[Seen, Inputs]:
    seen = observe(app)
    inputs = Inputs(
        snapshot=seen.snapshot,
        outlooks=live(app, seen),
        policy=app.policy,
        changes=_changes(app, seen.snapshot.taken_at),
        conditions=conditions(app, seen),
        undoing=tuple(actions),
    )
    return seen, inputs


def _decided(seen: Seen, inputs: Inputs, forecasts: Mapping[str, Forecast]) -> Turn:
    return Turn(
        seen=seen,
        plan=decide(inputs),
        outlooks=inputs.outlooks,
        forecasts=forecasts,
        conditions=inputs.conditions,
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
    holding.check()
    settle(app)
    done = turn(app, on_progress=on_progress, running_s=running_s, generation=holding.check())
    now = done.seen.snapshot.taken_at
    words = {
        action.id: permitted(action, policy=app.policy, conditions=done.conditions, now=now)
        for action in done.plan.actions
    }
    waiting = tuple((action, words[action.id]) for action in done.plan.actions if not words[action.id].acts)
    holding.acting = True
    outcomes = _apply(
        app,
        done,
        lease=holding,
        allowed=lambda action: words[action.id].acts,
        rehearsed=lambda action: words[action.id].what is Mode.REHEARSE,
    )
    tried = tuple(outcomes)
    _verify(app, done, tried, holding)
    return replace(done, outcomes=tried, waiting=waiting)


def _verify(app: App, looked: Turn, tried: Sequence[tuple[Action, Outcome]], lease: Lease) -> None:
    """Look at what was done before this turn; take back what made the service worse."""
    now = looked.seen.snapshot.taken_at

    def may(action: Action) -> bool:
        return permitted(action, policy=app.policy, conditions=looked.conditions, now=now).acts

    def revert(action: Action) -> Outcome | None:
        done = _apply(app, undo(app, [action]), lease=lease, allowed=lambda _action: True)
        return next((outcome for _, outcome in done), None)

    verifying.verify(app, looked.seen, now, verifying.Hands(may=may, revert=revert))
    verifying.watch_fights(app, tried, now)


def apply(app: App, plan: Plan) -> list[tuple[Action, Outcome]]:
    """Apply a whole plan by hand, after looking at the world again; PlanRefused at once if it is late.

    Fenced where a daemon leads.
    """
    applying.refuse_late(plan, app.clock.now())
    app.lease.take()
    try:
        app.trail.record_plan(plan)
        settle(app)
        seen = observe(app)
        around = conditions(app, seen)
        looked = Turn(seen=seen, plan=plan, outlooks=live(app, seen), forecasts={}, conditions=around)
        return list(_apply(app, looked, lease=app.lease, allowed=lambda _action: True))
    finally:
        app.lease.release()


def _apply(
    app: App,
    looked: Turn,
    *,
    lease: Lease,
    allowed: Callable[[Action], bool],
    rehearsed: Callable[[Action], bool] = lambda _action: False,
) -> Iterator[tuple[Action, Outcome]]:
    """Each action through the guards once more, as it was seen now; what removes, after a second look."""
    view = _View(app, looked)

    def replan() -> Plan:
        second = _again(app, looked)
        view.see(second)
        return second.plan

    granted = {one.action_id for one in looked.conditions.approvals if one.granted}
    world = applying.World(
        owners=looked.seen.owners,
        trail=app.trail,
        clock=app.clock,
        permit=view.permit,
        unanswered=looked.seen.unanswered,
        lease=lease,
        freezes=lambda labels: in_force(app, app.clock.now(), labels),
        replan=replan,
        revalidate_s=app.policy.revalidate_s,
        approval=lambda action, key: action.id not in granted or app.people.use_approval(action.id, key),
    )
    return applying.apply(looked.plan, world, allowed=allowed, rehearsed=rehearsed)


class _View:
    """The world as it was seen last, and what the guards say of an action in it."""

    def __init__(self, app: App, looked: Turn) -> None:
        self._app = app
        self.see(looked)

    def see(self, looked: Turn) -> None:
        """From now on judge by this look."""
        snapshot = looked.seen.snapshot
        self._looked, self._now = looked, snapshot.taken_at
        self._pools = {pool.id: pool for pool in snapshot.pools}
        self._ledger = Ledger(snapshot.pools, _changes(self._app, self._now), self._now)

    def permit(self, action: Action, pool: Pool) -> str:
        """Why the action may not be done to the pool as it was just read, "" where it may."""
        known = self._pools.get(pool.id)
        if known is None:
            return f"{Guard.INSUFFICIENT_DATA}: {pool.id} was not seen"
        return planner.permits(
            action,
            replace(known, desired=pool.desired, version=pool.version),
            self._looked.outlooks.get(pool.id),
            self._app.policy,
            ledger=self._ledger,
            now=self._now,
            conditions=self._looked.conditions,
        )


def _again(app: App, looked: Turn) -> Turn:
    """The same wish from a fresh look, not recorded: a plan anew, or the undo of the same actions."""
    undone = [action.inverse() for action in looked.plan.actions if action.reason is Reason.UNDO]
    if undone:
        seen, inputs = _to_undo(app, undone)
        return _decided(seen, inputs, {})
    seen, inputs, forecasts = _look(app, only=None, on_progress=None, running_s=looked.conditions.running_s)
    return _decided(seen, inputs, forecasts)


def settle(app: App) -> list[tuple[Deed, Outcome]]:
    """Ask the providers what became of the intents in doubt, and write it down."""
    owners = {
        name: app.providers[declared.provider]
        for name, declared in app.configuration.pools.items()
        if declared.provider in app.providers
    }
    return settling.settle(app.trail.doubtful(), owners=owners, trail=app.trail, clock=app.clock)


def _changes(app: App, now: datetime) -> tuple[Change, ...]:
    """The changes that guards look back on: those made, and those of which nobody knows whether they were."""
    since = now - timedelta(seconds=app.policy.memory_s)
    perhaps = [
        Change(target=deed.action.target, at=deed.at, before=deed.action.before, after=deed.action.after)
        for deed in app.trail.doubtful()
        if deed.at >= since
    ]
    return tuple(sorted([*app.trail.changes(since), *perhaps], key=lambda change: change.at))
