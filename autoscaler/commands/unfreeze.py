"""`loadline unfreeze`: a person lifts a freeze, and says why."""

from __future__ import annotations

import click

from autoscaler import freezing
from autoscaler.commands import flags, people
from autoscaler.errors import UsageError
from policies.policy import Scope


@click.command(short_help="Lift what `freeze` stopped.")
@people.provider
@people.pool
@people.why
@people.by
@flags.config
def command(*, provider: str | None, pool: str | None, why: str, by: str | None, config: str | None) -> None:
    """Lift the freeze of everything, of a provider or of a pool: exactly what it was said of, no more.

    A freeze of the configuration, of the file, the environment or a label is lifted where it was said.
    """
    from dashboards.story import freeze_lines, scope_words  # noqa: PLC0415 - rich behind it

    reason, who = people.reason_of(why), people.name_of(by)
    scope, name = people.scope_of(provider, pool)
    book = people.book(config)
    lifted = book.people.lift(scope, name, who, reason, book.now)
    settings = book.configuration
    left = people.standing(settings, book)
    touching = [one for one in left if one.freeze.scope is Scope.ALL or _same(one, scope, name)]
    if not lifted:
        people.refuse_unknown(scope, name, settings)
        if not touching:
            raise UsageError(
                f"{scope_words(scope, name)} is not frozen; `loadline freeze --list` tells what is"
            )
        lines = freeze_lines([(one.freeze, one.where) for one in touching])
        raise UsageError("\n".join(["not lifted: lift it where it was said", *lines]))
    click.echo(f"Lifted by {who}: {scope_words(scope, name)} ({lifted} freeze{'s' if lifted > 1 else ''}).")
    for line in freeze_lines([(one.freeze, one.where) for one in left]) if left else ():
        flags.warn(f"still: {line}")


def _same(one: freezing.Standing, scope: Scope, name: str) -> bool:
    return (one.freeze.scope, one.freeze.name) == (scope, name)
