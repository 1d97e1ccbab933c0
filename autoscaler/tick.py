"""One turn of the daemon, or one plan by hand: settle, look, decide, apply, verify."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from autoscaler import apply as applying
from autoscaler import outlasting, retelling, settling, verifying
from autoscaler.bench import Bench
from autoscaler.gathering import conditions
from autoscaler.lease import Holding, kept
from autoscaler.observing import observe
from autoscaler.outlooks import live
from autoscaler.turning import Turn, turn, undo
from policies.deeds import Deed
from policies.modes import permitted
from policies.plan import Action, Outcome, Plan
from policies.policy import Mode

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.ports import Lease

__all__ = ["Turn", "apply", "tick", "turn", "undo"]


def tick(
    app: App,
    *,
    holding: Holding | None = None,
    running_s: float | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_fill: Callable[[int, int], None] | None = None,
    whole: bool = True,
) -> Turn:
    """A turn of the daemon: what its pools' modes allow is applied at once, while `holding` lasts.

    Without one, the lease is taken for this turn; Fenced where another process leads. What was in doubt is
    settled first; what was done in earlier turns is verified last. `whole` as of `turning.turn`.
    """
    if holding is None:
        holding = Holding(app.lease, app.lease.take(), threading.Event())
        with kept(holding):
            return tick(
                app,
                holding=holding,
                running_s=running_s,
                on_progress=on_progress,
                on_fill=on_fill,
                whole=whole,
            )
    app = replace(app, policy=replace(app.policy, plan_ttl_s=app.configuration.run.plan_ttl_s))
    settled = _settle(app)
    done = turn(
        app,
        on_progress=on_progress,
        on_fill=on_fill,
        running_s=running_s,
        generation=holding.check(),
        whole=whole,
    )
    now = done.seen.snapshot.taken_at
    words = {
        action.id: permitted(action, policy=app.policy, conditions=done.conditions, now=now)
        for action in done.plan.actions
    }
    holding.acting = True
    outcomes = applying.apply(
        done.plan,
        Bench(app, done, holding, words).world(),
        allowed=lambda action: words[action.id].acts,
        rehearsed=lambda action: words[action.id].what is Mode.REHEARSE,
    )
    tried = tuple(outcomes)
    reverted = _verify(app, done, tried, holding)
    outlasting.leave(app, done, holding)
    return replace(
        done,
        outcomes=(*tried, *reverted),
        events=tuple(app.verdicts.events(since=now)),
        waiting=tuple((a, words[a.id]) for a in done.plan.actions if not words[a.id].acts),
        settled=settled,
    )


def _verify(
    app: App, looked: Turn, tried: Sequence[tuple[Action, Outcome]], lease: Lease
) -> Sequence[tuple[Action, Outcome]]:
    """Look at what was done before this turn; take back what made the service worse, and tell it."""
    now = looked.seen.snapshot.taken_at
    reverted: list[tuple[Action, Outcome]] = []

    def may(action: Action) -> bool:
        return permitted(action, policy=app.policy, conditions=looked.conditions, now=now).acts

    def revert(action: Action) -> Outcome | None:
        back = undo(app, [action])
        world = Bench(app, back, lease, {}).world()
        done = list(applying.apply(back.plan, world, allowed=lambda _action: True))
        reverted.extend(done)
        return next((outcome for _, outcome in done), None)

    verifying.verify(app, looked.seen, now, verifying.Hands(may=may, revert=revert))
    verifying.watch_fights(app, tried, now)
    return reverted


def apply(app: App, plan: Plan) -> list[tuple[Action, Outcome]]:
    """Apply a whole plan by hand, after looking at the world again; PlanRefused at once if it is late.

    Fenced where a daemon leads.
    """
    applying.refuse_late(plan, app.clock.now())
    app.lease.take()
    with kept(app.lease):
        _settle(app)
        app.trail.record_plan(plan)
        seen = observe(app)
        around = conditions(app, seen)
        looked = Turn(seen=seen, plan=plan, outlooks=live(app, seen), forecasts={}, conditions=around)
        return list(
            applying.apply(plan, Bench(app, looked, app.lease, {}).world(), allowed=lambda _action: True)
        )


def _settle(app: App) -> tuple[tuple[Deed, Outcome], ...]:
    owners = {
        name: app.providers[declared.provider]
        for name, declared in app.configuration.pools.items()
        if declared.provider in app.providers
    }
    doubts = retelling.doubtful(app, app.clock.now())
    return tuple(settling.settle(doubts, owners=owners, trail=app.trail, clock=app.clock))
