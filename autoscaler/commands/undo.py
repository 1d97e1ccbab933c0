"""`loadline undo`: the inverse of what was applied, through the same guards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError
from policies.deeds import MADE
from policies.plan import Action

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
    showing.tell_wait(app, turn.plan)
    return showing.tell_applied(turn.plan, tick.apply(app, turn.plan))


def _applied(app: App, what: str) -> list[Action]:
    """What was done of a plan, in order, or of one action the last time: of a part, as far as it went."""
    if app.trail.plan(what) is not None:
        found = app.trail.outcomes(what)
    else:
        deeds = [deed for deed in app.trail.actions(what) if deed.made]
        found = [(deed.action, deed.outcome) for deed in deeds][-1:]
    done = [
        action if outcome.observed_after is None else replace(action, after=outcome.observed_after)
        for action, outcome in found
        if outcome is not None and outcome.status in MADE
    ]
    if not done:
        raise UsageError(f"nothing that was applied has the id {what}; `loadline explain` shows what was")
    return done
