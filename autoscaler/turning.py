"""Look and decide: observe, forecast, plan and record. Nothing is applied here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler import retelling, settling
from autoscaler.gathering import conditions
from autoscaler.observing import Seen, observe
from autoscaler.outlooks import live, look_ahead
from forecasts.types import Forecast
from policies.conditions import NO_CONDITIONS, Conditions
from policies.deeds import Deed, Event
from policies.inputs import Inputs, decide
from policies.modes import Permission
from policies.outlook import Outlook
from policies.plan import Action, ActionKind, Change, Outcome, Plan

if TYPE_CHECKING:
    from autoscaler.bootstrap import App


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn's results: `forecasts` are hourly and in units, by pool.

    `waiting` is what its mode keeps back; `settled`: what was in doubt before it, and is told now; `events`:
    what the program did to pools by itself, such as freezing one.
    """

    seen: Seen
    plan: Plan
    outlooks: Mapping[str, Outlook]
    forecasts: Mapping[str, Forecast]
    conditions: Conditions = NO_CONDITIONS
    outcomes: tuple[tuple[Action, Outcome], ...] = ()
    waiting: tuple[tuple[Action, Permission], ...] = ()
    settled: tuple[tuple[Deed, Outcome], ...] = ()
    events: tuple[Event, ...] = ()


def turn(
    app: App,
    *,
    only: ActionKind | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_fill: Callable[[int, int], None] | None = None,
    running_s: float | None = None,
    generation: int = 0,
    whole: bool = True,
) -> Turn:
    """Observe, forecast, plan and record; nothing is applied. Raises StoreError if it cannot be recorded.

    `on_progress` is told how many series are forecast; `on_fill` as in `observing.back_fill`. Not `whole`:
    the outlooks hold of the past what the plan was decided from.
    """
    seen = observe(app, on_fill=on_fill)
    forecasts, outlooks = look_ahead(app, seen, on_progress=on_progress, whole=whole)
    inputs = replace(_inputs(app, seen, outlooks, running_s=running_s), only=only)
    return _recorded(app, seen, inputs, forecasts, generation=generation)


def undo(app: App, actions: Sequence[Action]) -> Turn:
    """The plan that takes actions back, recorded; judged by what demand needs now, without a forecast."""
    seen = observe(app)
    inputs = replace(_inputs(app, seen, live(app, seen)), undoing=tuple(actions))
    return _recorded(app, seen, inputs, {})


def _inputs(
    app: App, seen: Seen, outlooks: Mapping[str, Outlook], *, running_s: float | None = None
) -> Inputs:
    """What a plan of what demand wants is decided from."""
    return Inputs(
        snapshot=seen.snapshot,
        outlooks=outlooks,
        policy=app.policy,
        changes=remembered(app, seen.snapshot.taken_at),
        conditions=conditions(app, seen, running_s=running_s),
    )


def _recorded(
    app: App, seen: Seen, inputs: Inputs, forecasts: Mapping[str, Forecast], *, generation: int = 0
) -> Turn:
    made = _turn(seen, inputs, forecasts)
    app.trail.record_plan(made.plan, inputs, generation=generation)
    return made


def _turn(seen: Seen, inputs: Inputs, forecasts: Mapping[str, Forecast]) -> Turn:
    return Turn(
        seen=seen,
        plan=decide(inputs),
        outlooks=inputs.outlooks,
        forecasts=forecasts,
        conditions=inputs.conditions,
    )


def look_again(app: App, *, undoing: Sequence[Action] | None, running_s: float | None) -> Turn:
    """A fresh look and what would be planned from it, not recorded: to confirm what another plan removes.

    `undoing`: the actions that are taken back, None for a plan of what demand wants.
    """
    seen = observe(app)
    forecasts, outlooks = look_ahead(app, seen, whole=False) if undoing is None else ({}, live(app, seen))
    inputs = _inputs(app, seen, outlooks, running_s=running_s)
    if undoing is not None:
        inputs = replace(inputs, undoing=tuple(undoing))
    return _turn(seen, inputs, forecasts)


def remembered(app: App, now: datetime) -> tuple[Change, ...]:
    """The changes that guards look back on: those made, and those of which nobody knows whether they were."""
    since = now - timedelta(seconds=app.policy.memory_s)
    perhaps = settling.perhaps(retelling.doubtful(app, now), since, now)
    return tuple(sorted([*retelling.changes(app, since, now), *perhaps], key=lambda change: change.at))
