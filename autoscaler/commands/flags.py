"""Flags that several commands share, and how their values are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from autoscaler.errors import UsageError
from policies import units

T = TypeVar("T")

history = click.option(
    "--history",
    "files",
    required=True,
    multiple=True,
    metavar="FILE...",
    help="CSV or Parquet with unique_id, ds, y (.gz too); may be repeated.",
)
timezone = click.option(
    "--timezone",
    type=click.Choice(["UTC"]),  # a local zone has an hour twice a year, which nobody can tell apart
    help="The zone of stamps that carry none; without it they are refused.",
)
counter = click.option(
    "--counter",
    "kind",
    flag_value="counter",
    default="gauge",
    help="The history is a counter, which only grows but for resets: its rate per second is used.",
)
keep_spikes = click.option(
    "--keep-spikes",
    is_flag=True,
    help="Keep samples above 1000 times the largest of two weeks; a plan drops them, and so does this.",
)
only_series = click.option(
    "--series", "wanted", multiple=True, metavar="ID...", help="Only these series; may be repeated."
)
config = click.option(
    "--config", metavar="FILE", help="Configuration; else LOADLINE_CONFIG, else ./loadline.yaml."
)


class Many(click.Command):
    """A command whose options with a metavar ending in `...` take several values: `--history A B`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the flag before each further value, up to the next flag."""
        names = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and str(parameter.metavar or "").endswith("...")
            for name in parameter.opts
        }
        return super().parse_args(ctx, list(_spread(args, names)))


def _spread(args: Sequence[str], names: set[str]) -> Iterator[str]:
    flag, fresh = "", False
    for argument in args:
        if argument.startswith("-") and argument != "-":
            flag, fresh = (argument if argument in names else ""), True
        elif flag and not fresh:
            yield flag
        else:
            fresh = False
        yield argument


class Parsed(click.ParamType[Any]):
    """A value read by one of the parsers of policies.units, or by any function that raises ValueError."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        """`name` is what help shows."""
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The parsed value; a usage error with the parser's own words."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Parsed("DURATION", units.duration_s)
VIOLATION = Parsed("SHARE", units.violation)
SATURATION = Parsed("QUANTITY", units.saturation)
CAPACITY = Parsed("QUANTITY", units.unit_capacity)


def pairs(entries: Iterable[str], flag: str) -> dict[str, str]:
    """`KEY=VALUE` entries as a dictionary; UsageError for what is no pair or comes twice."""
    out: dict[str, str] = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key or not value.strip():
            raise UsageError(f"{flag} {entry!r} is no KEY=VALUE")
        if key in out:
            raise UsageError(f"{flag} {key} is given twice")
        out[key] = value.strip()
    return out


def terminal(stream: Any = None) -> bool:
    """True where a person looks at the stream (stdout by default)."""
    return bool((stream or sys.stdout).isatty())


def colored() -> bool:
    """True where stdout is a terminal and NO_COLOR is not set."""
    return terminal() and not os.environ.get("NO_COLOR")


def warn(message: str) -> None:
    """One line on stderr."""
    click.echo(f"loadline: warning: {message}", err=True)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for each kind of long step, where a person looks: call the value with what is done, how
    much of it, and of how much. One is drawn when there is something to do.
    """
    if not terminal(sys.stderr):
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where a bar is drawn
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        if total < 1:
            return
        bar.start()
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while a long step runs, where a person looks; call the value with how many are done."""
    if not terminal(sys.stderr) or total < 2:
        yield lambda _done: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where a bar is drawn
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
