"""One turn: observe, forecast, plan, record, apply. Failures of a source become gaps, never exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler import apply as applying
from autoscaler.observing import Seen, observe
from autoscaler.outlooks import live, look_ahead
from forecasts.types import Forecast
from policies import planner
from policies.guards import Ledger
from policies.inputs import Inputs, decide
from policies.model import Pool
from policies.outlook import Outlook
from policies.plan import Action, ActionKind, Change, Guard, Outcome, Plan
from policies.policy import Mode

if TYPE_CHECKING:
    from autoscaler.bootstrap import App


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
    inputs = Inputs(
        snapshot=seen.snapshot, outlooks=outlooks, policy=app.policy, changes=tuple(changes), only=only
    )
    plan = decide(inputs)
    app.trail.record_plan(plan, inputs)
    return Turn(seen=seen, plan=plan, outlooks=outlooks, forecasts=forecasts)


def undo(app: App, actions: Sequence[Action]) -> Turn:
    """The plan that takes actions back, recorded; judged by what demand needs now, without a forecast."""
    seen = observe(app)
    outlooks = live(app, seen)
    changes = _changes(app, seen.snapshot.taken_at)
    inputs = Inputs(
        snapshot=seen.snapshot,
        outlooks=outlooks,
        policy=app.policy,
        changes=tuple(changes),
        undoing=tuple(actions),
    )
    plan = decide(inputs)
    app.trail.record_plan(plan, inputs)
    return Turn(seen=seen, plan=plan, outlooks=outlooks, forecasts={})


def tick(app: App, *, on_progress: Callable[[int], None] | None = None) -> Turn:
    """A turn of the daemon: what its pools' modes allow is applied at once."""
    done = turn(app, on_progress=on_progress)
    outcomes = _apply(app, done.plan, done.seen, done.outlooks, allowed=lambda a: _automatic(app, a))
    return replace(done, outcomes=tuple(outcomes))


def _automatic(app: App, action: Action) -> bool:
    rule = app.policy.of(action.target)
    return (rule.mode_out if action.after > action.before else rule.mode_in) is Mode.AUTO


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
