"""What a plan that comes from a file may say: what it said when it was made here, and no more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from autoscaler.errors import PlanRefused
from policies.plan import Action, Plan, Reason

if TYPE_CHECKING:
    from autoscaler.bootstrap import App

_BOUND = ("version", "reason", "undo_class", "billable")


def refuse_edited(app: App, plan: Plan) -> None:
    """PlanRefused, naming the key, where a file says other than the stored plan with its id does.

    The id binds what is wanted, not the times and versions beside it. One that this store does not know may
    live for `plan_ttl`, and takes nothing back: `loadline undo` does, from what was really done.
    """
    kept, ends = app.trail.plan(plan.id), app.trail.latest_end(plan.id)
    latest = plan.made_at + timedelta(seconds=app.policy.plan_ttl_s) if ends is None else ends
    if plan.expires_at > latest or any(action.expires_at > latest for action in plan.actions):
        raise PlanRefused(f"plan {plan.id}: expires_at was changed after it was made; make a new one")
    if kept is None:
        if any(action.reason is Reason.UNDO for action in plan.actions):
            raise PlanRefused(f"plan {plan.id}: it takes something back, and this store does not know it")
        return
    for mine, theirs in zip(plan.actions, kept.actions, strict=True):
        changed = _changed(mine, theirs)
        if changed:
            raise PlanRefused(
                f"plan {plan.id}: {changed} of {mine.target} is not what was stored; apply it by its id"
            )


def _changed(mine: Action, theirs: Action) -> str:
    return next((name for name in _BOUND if getattr(mine, name) != getattr(theirs, name)), "")
