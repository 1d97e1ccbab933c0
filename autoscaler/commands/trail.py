"""`loadline trail`: the newest entries, and whether anything was tampered with."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_HEAD = r"[0-9a-f]{12,64}"


@click.command(short_help="The newest entries of the trail; `trail verify` finds tampering.")
@click.argument("what", type=click.Choice(["list", "verify"]), default="list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="So many entries.")
@click.option("--head", metavar="HASH", help="For verify: a hash noted earlier, which must be in the chain.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@flags.config
def command(*, what: str, limit: int, head: str | None, output: str, config: str | None) -> int:
    """List what was planned, said, tried and judged, newest first; or verify the chain over all of it.

    `verify` walks every row and names the first that was changed, removed, slipped in or moved (exit 1).
    """
    if head is not None and (what != "verify" or not head):
        raise UsageError("--head takes a hash, and is for `trail verify`")
    if head is not None and not re.fullmatch(_HEAD, head):
        raise UsageError("--head takes at least 12 digits (0-9, a-f) of a hash: fewer prove nothing")
    engine = showing.store_to_read(showing.configuration(config))
    return _verify(engine, head or "", output) if what == "verify" else _list(engine, limit, output)


def _list(engine: Engine, limit: int, output: str) -> int:
    from autoscaler.store.entries import newest  # noqa: PLC0415 - SQLModel behind it
    from dashboards.story import entries_text  # noqa: PLC0415 - rich behind it

    found = newest(engine, limit=limit)
    if output == "json":
        rows = [
            {"seq": e.seq, "table": e.table, "row": e.row, "hash": e.hash, "values": dict(e.values)}
            for e in found
        ]
        click.echo(json.dumps({"format_version": 1, "entries": rows}, indent=2, ensure_ascii=False))
    else:
        rows_told = [(entry.table, entry.values) for entry in found]
        click.echo(entries_text(rows_told, width=showing.width()), nl=False)
    return showing.OK


def _verify(engine: Engine, head: str, output: str) -> int:
    from autoscaler.store import chain  # noqa: PLC0415 - SQLModel behind it
    from autoscaler.store.database import reading  # noqa: PLC0415 - as above

    with reading(engine) as connection:
        found = chain.verify(connection, head=head)
    if output == "json":
        told = {"whole": not found.fault, "rows": found.rows, "head": found.head, "fault": found.fault}
        click.echo(json.dumps({"format_version": 1, **told}, indent=2))
    elif not found.fault:
        click.echo(f"The trail is whole: {found.rows:,} rows, head {found.head}")
    else:
        click.echo(f"The trail is NOT whole, after {found.rows:,} sound rows: {found.fault}", err=True)
    return showing.FAILED if found.fault else showing.OK
