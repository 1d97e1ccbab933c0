"""`loadline undo`: the inverse of what was applied, through the same guards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError
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
        deeds = [deed for deed in app.trail.tried(what) if deed.made]
    else:
        deeds = [deed for deed in app.trail.actions(what) if deed.made][-1:]
    for deed in deeds:
        if deed.elsewhere:
            raise UsageError(
                f"{deed.action.target} was {deed.place} when {deed.action.id} was done, and is another "
                "target now: the size of the old one is not put there; undo other actions by their own ids"
            )
    done = [
        deed.action
        if deed.outcome is None or deed.outcome.observed_after is None
        else replace(deed.action, after=deed.outcome.observed_after)
        for deed in deeds
    ]
    if not done:
        raise UsageError(f"nothing that was applied has the id {what}; `loadline explain` shows what was")
    return done
