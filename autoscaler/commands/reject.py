"""`loadline reject`: a person forbids actions of plans that have not expired."""

from __future__ import annotations

import click

from autoscaler.commands import flags, people
from autoscaler.commands.approve import say


@click.command(short_help="Forbid actions that wait for a person.")
@click.argument("actions", metavar="ACTION...", nargs=-1, required=True)
@people.why
@people.by
@click.option("--for", "span_s", type=flags.DURATION, help="For how long the word is good.  [default: 24h]")
@flags.config
def command(
    *, actions: tuple[str, ...], why: str, by: str | None, span_s: int | None, config: str | None
) -> None:
    """Forbid each ACTION (an id or the beginning of one) of a plan that has not expired.

    The newest word on an action counts: this takes an approval back, and a later approval takes this back.
    """
    say(actions, granted=False, why=why, by=by, span_s=span_s, config=config)
