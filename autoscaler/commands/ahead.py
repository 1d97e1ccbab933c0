"""`loadline plan --for`: the weeks to come, with or without assumptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError
from policies import units

if TYPE_CHECKING:
    from policies.assumptions import Assumption

DEFAULT_S = 4 * 7 * 86400
LONGEST_S = 5 * 7 * 86400


def _span(text: str) -> int:
    seconds = units.duration_s(text)
    if not 3600 <= seconds <= LONGEST_S or seconds % 3600:
        raise units.UnitError(f"{text!r} is outside whole hours from 1h to 5w; write 4w or 10d")
    return seconds


def _assumption(text: str) -> Assumption:
    from policies.assumptions import parse  # noqa: PLC0415 - numpy behind it

    return parse(text)


ASSUMPTION = flags.Parsed("[POOL:]NAME*FACTOR", _assumption)
SPAN = flags.Parsed("DURATION", _span)


def refuse(given: dict[str, object]) -> None:
    """UsageError for a flag of `plan` that an outlook has no use for."""
    for flag, value in given.items():
        if value:
            raise UsageError(
                f"{flag} goes with a plan; --assume and --for show the weeks to come, which nobody can apply"
            )


def show(config: str | None, assumptions: Sequence[Assumption], span_s: int | None, output: str) -> int:
    """Print the outlook; the exit code is that of no data where no pool has a forecast."""
    from autoscaler import horizon  # noqa: PLC0415 - pandas and SQLModel behind it
    from dashboards.horizon_documents import render  # noqa: PLC0415

    app = showing.application(config)
    with ExitStack() as bars:

        def bar(what: str) -> Callable[[int], Callable[[int], None]]:
            def begin(total: int) -> Callable[[int], None]:
                bars.close()  # one bar at a time
                return bars.enter_context(flags.progress(total, what))

            return begin

        found, notices = horizon.look(
            app,
            assumptions,
            hours=(span_s or DEFAULT_S) // 3600,
            on_series=bar("forecasting")(len(app.configuration.series())),
            replaying=bar("replaying"),
        )
    for notice in notices:
        flags.warn(notice)
    click.echo(
        render(found, output, width=showing.table_width() or 100, color=flags.colored()),
        nl=False,
    )
    return showing.OK if found.pools or not found.gaps else showing.NO_DATA
