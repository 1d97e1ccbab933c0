"""`loadline freeze`: nothing is changed any more, from now on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, people, showing
from autoscaler.errors import UsageError
from policies.policy import Freeze

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from autoscaler.freezing import Standing


@click.command(short_help="Stop every change: of everything, a provider or a pool.")
@people.provider
@people.pool
@click.option("--why", metavar="TEXT", help="The reason, for those who read it later.")
@people.by
@click.option("--for", "span_s", type=flags.DURATION, help="For so long, 2h say; else until it is lifted.")
@click.option("--list", "listing", is_flag=True, help="Show every freeze in force, and freeze nothing.")
@flags.config
def command(
    *,
    provider: str | None,
    pool: str | None,
    why: str | None,
    by: str | None,
    span_s: int | None,
    listing: bool,
    config: str | None,
) -> None:
    """Stop every change of everything, of a provider's pools or of a pool. Plans are still made.

    It is in force before the next call of a running daemon, also in the middle of a plan, and outlives
    restarts and reloads. `loadline unfreeze` lifts it.
    """
    from dashboards.story import freeze_lines  # noqa: PLC0415 - rich behind it

    if listing:
        found = _listed(showing.configuration(config))
        for line in freeze_lines([(one.freeze, one.where) for one in found]):
            click.echo(line)
        return
    if why is None:
        raise UsageError("--why is missing: say why, for those who read it later (or ask with --list)")
    reason, who = people.reason_of(why), people.name_of(by)
    scope, name = people.scope_of(provider, pool)
    book = people.book(config)
    people.refuse_unknown(scope, name, book.configuration)
    until = None if span_s is None else book.now + timedelta(seconds=span_s)
    freeze = Freeze(scope=scope, name=name, until=until, why=reason)
    book.people.freeze(freeze, who, book.now)
    for line in freeze_lines([(freeze, f"loadline freeze, by {who}")]):
        click.echo(line)


def _listed(settings: Configuration) -> list[Standing]:
    """Those in force, also where nothing was ever planned; nothing is written for the asking."""
    engine = showing.store_to_read(settings) if Path(settings.state).exists() else None
    return people.standing(settings, None if engine is None else people.book_of(settings, engine))
