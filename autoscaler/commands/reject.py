"""`loadline reject`: a person forbids actions of plans that have not expired."""

from __future__ import annotations

from typing import Any

import click

from autoscaler.commands import people
from autoscaler.commands.approve import say


@click.command(short_help="Forbid actions that wait for a person.")
@people.on_actions
def command(*, actions: tuple[str, ...], **word: Any) -> None:
    """Forbid each ACTION (an id or the beginning of one) of a plan that has not expired.

    The newest word on an action counts: this takes an approval back, and a later approval takes this back.
    """
    say(actions, granted=False, **word)
