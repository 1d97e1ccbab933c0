"""`loadline undo`: the inverse of what was applied, through the same guards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError
from policies.plan import Action, Status

if TYPE_CHECKING:
    from autoscaler.bootstrap import App


@click.command(short_help="Take a plan or an action back.")
@click.argument("what", metavar="PLAN|ACTION")
@flags.config
@click.option("--dry-run", is_flag=True, help="Show the plan that takes it back, and stop.")
def command(*, what: str, config: str | None, dry_run: bool) -> int:
    """Take the applied actions of a plan back, or one action, by id or the beginning of one.

    The same guards judge it as any plan, but for the cool-down: what demand needs now is not taken away.
    """
    from autoscaler import tick  # noqa: PLC0415 - pandas and SQLModel behind it
    from dashboards.wording import steps  # noqa: PLC0415 - numpy behind it

    app = showing.application(config)
    turn = tick.undo(app, _applied(app, what))
    showing.warn_all(turn)
    stops = dry_run or not turn.plan.actions
    click.echo(showing.text(turn, steps=steps(turn.plan, config=config or "") if stops else ()), nl=False)
    if not turn.plan.actions and any(gap.code == "MOVED" for gap in turn.plan.gaps):
        return showing.STALE
    if stops:
        return showing.plan_code(turn.plan, sized=1, detailed=False)
    click.echo()
    return showing.tell_applied(turn.plan, tick.apply(app, turn.plan))


def _applied(app: App, what: str) -> list[Action]:
    """The actions of a plan that were applied, in order, or one action the last time that it was."""
    if app.trail.plan(what) is not None:
        done = [
            action
            for action, outcome in app.trail.outcomes(what)
            if outcome is not None and outcome.status is Status.APPLIED
        ]
    else:
        deeds = app.trail.actions(what)
        done = [deed.action for deed in deeds if deed.change is not None][-1:]
    if not done:
        raise UsageError(f"nothing that was applied has the id {what}; `loadline explain` shows what was")
    return done
