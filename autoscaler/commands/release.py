"""`loadline release`: pools go back to their owners, as they were before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, people, showing
from autoscaler.errors import Denied, UsageError
from policies.plan import DENIED, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscaler.releasing import Found, Given
    from policies.model import Pool


@click.command(short_help="Give pools back to their owners.")
@click.argument("pools", metavar="POOL...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every pool that bears our mark, configured or not.")
@people.why
@people.by
@click.option("--dry-run", is_flag=True, help="Show what would be put back, and stop.")
@flags.config
def command(
    *, pools: tuple[str, ...], everything: bool, why: str, by: str | None, dry_run: bool, config: str | None
) -> int:
    """Put the sizes, floors and maximums of POOLs back to what they were, and take our marks off.

    A pool is named as in the configuration, or by its id at the provider. Freezes and modes do not hold it.
    While a daemon leads, nothing is given back (exit 3): stop it first.
    """
    from autoscaler import releasing  # noqa: PLC0415 - SQLModel behind it

    if bool(pools) == everything:
        raise UsageError("name the pools to give back, or all of them with --all")
    word = releasing.Word(by=people.name_of(by), why=people.reason_of(why))
    app = showing.application(config)
    found = releasing.find(app)
    for gap in found.gaps:
        flags.warn(f"not everything could be seen: {gap.source}: {gap.why}")
    wanted = releasing.marked(found) if everything else releasing.chosen(found, pools)
    if not wanted and not found.gaps:
        click.echo("Nothing to give back: no pool bears our mark.")
        return showing.OK
    if dry_run:
        for pool in wanted:
            click.echo(_ahead(pool, releasing.original(pool)))
        return _code((), found)
    done = []
    for given in releasing.release(app, found, wanted, word):
        click.echo(_line(given))
        done.append(given)
    return _code(done, found)


def _ahead(pool: Pool, size: int | None) -> str:
    from dashboards import wording  # noqa: PLC0415 - numpy behind it

    what = "nothing to put back" if size is None else f"{pool.desired} -> {size}"
    lever = f"  ({wording.prose(pool.lever)})" if pool.lever else ""
    return f"  {wording.name(pool.id)}  {what}{lever}"


def _line(given: Given) -> str:
    from dashboards import wording  # noqa: PLC0415 - as above

    action = given.action
    size = f"  {action.before} -> {action.after}" if action is not None else ""
    why = f": {wording.prose(given.why)}" if given.why else ""
    shown = "given back" if given.status is Status.APPLIED else str(given.status)
    if given.outcome is None and action is None and not given.why.startswith("it has"):
        shown = "left alone"
    return f"  {shown:<10} {wording.name(given.pool)}{size}{why}"


def _code(done: Sequence[Given], found: Found) -> int:
    """The gravest of what became of the pools; FAILED too where a provider was not seen whole."""
    codes = {
        Denied.exit_code if given.why.startswith(DENIED) else showing.code_of(given.status) for given in done
    }
    codes |= {showing.FAILED} if found.gaps else set()
    return next((c for c in (Denied.exit_code, showing.FAILED, showing.STALE, showing.HELD) if c in codes), 0)
