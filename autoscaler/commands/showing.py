"""What the commands that plan have in common: the application, charts, the printed plan, exit codes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags
from autoscaler.errors import Denied, UsageError
from policies.plan import DENIED, Action, Outcome, Plan, Status
from policies.units import format_duration

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from autoscaler.bootstrap import App
    from autoscaler.config import Configuration
    from autoscaler.tick import Turn
    from dashboards.views import Chart
    from dashboards.wording import Steps
    from forecasts.types import Series
    from policies.model import Pool

OK, FAILED, CHANGES, HELD, STALE, NO_DATA = 0, 1, 2, 3, 4, 5

_CODES = {
    Status.STALE: STALE,
    Status.REFUSED: HELD,
    Status.FAILED: FAILED,
    Status.UNKNOWN: FAILED,
    Status.PARTIAL: FAILED,
    Status.APPLIED: OK,
    Status.REHEARSED: OK,
}


def configuration(path: str | None) -> Configuration:
    """The configuration that was named or found."""
    from autoscaler import config  # noqa: PLC0415 - numpy and more behind it

    return config.load(config.find(path))


def application(path: str | None) -> App:
    """Everything built from the configuration."""
    from autoscaler.bootstrap import build  # noqa: PLC0415 - SQLModel and more behind it

    return build(configuration(path))


def store_to_read(settings: Configuration) -> Engine:
    """The state file of the configuration, not to be written; UsageError where there is none yet."""
    from autoscaler.store.database import connect_to_read  # noqa: PLC0415 - SQLModel behind it

    if not Path(settings.state).exists():
        raise UsageError(f"{settings.state} is not there yet: nothing was planned so far")
    return connect_to_read(settings.state)


def charts(turn: Turn) -> dict[str, Chart]:
    """The chart of each pool that has an outlook."""
    import numpy as np  # noqa: PLC0415 - only where something was planned

    from dashboards.views import Chart  # noqa: PLC0415 - numpy behind it

    pools = {pool.id: pool for pool in turn.seen.snapshot.pools}
    out = {}
    for name, outlook in turn.outlooks.items():
        chart = Chart(
            pool_id=name,
            start=outlook.demand.start,
            step_s=outlook.demand.step_s,
            history=outlook.demand.y,
            peaks=() if outlook.ahead is None else tuple(np.fmax.reduce(outlook.ahead, axis=0).tolist()),
            notes=outlook.notes,
            capacity=pools[name].ready_units,
            newest=_newest(pools[name], turn.seen.series),
        )
        forecast = turn.forecasts.get(name)
        out[name] = chart if forecast is None else chart.with_forecast(forecast)
    return out


def _newest(pool: Pool, series: Mapping[str, Series]) -> datetime | None:
    """When the samples of the pool's metric that is furthest behind end; None where none has any."""
    import numpy as np  # noqa: PLC0415 - as above

    ends = []
    for one in (series[demand.series] for demand in pool.demands if demand.series in series):
        known = np.flatnonzero(np.isfinite(one.y))
        if len(known):
            ends.append(one.start + timedelta(seconds=one.step_s * (int(known[-1]) + 1)))
    return min(ends, default=None)


def text(turn: Turn, *, explain: bool = False, steps: Steps = ()) -> str:
    """The turn's plan for this terminal; `steps` are the commands to go on with."""
    from dashboards.terminal import plan_text  # noqa: PLC0415 - rich behind it

    return plan_text(
        turn.plan,
        pools={pool.id: pool for pool in turn.seen.snapshot.pools},
        outlooks=charts(turn),
        width=width(),
        color=flags.colored(),
        explain=explain,
        steps=steps,
    )


def width() -> int:
    """Cells of the terminal, 100 where there is none."""
    return min(120, shutil.get_terminal_size((100, 24)).columns)


def table_width() -> int:
    """Cells that a table may take: those of the terminal, 0 (no limit) where there is none."""
    return shutil.get_terminal_size((0, 24)).columns


def warn_all(turn: Turn) -> None:
    """What the input gate noticed, one line each."""
    for notice in turn.seen.notices:
        flags.warn(notice)


def writable(path: str, flag: str) -> None:
    """Refuse a file that a flag named before anything is done, where it could not be written afterwards."""
    if not Path(path).resolve().parent.is_dir():
        raise UsageError(f"{flag} {path}: there is no such folder")
    if Path(path).is_dir():
        raise UsageError(f"{flag} {path}: is a folder; name a file in it")


def write(path: str, document: str, flag: str) -> None:
    """Write a file that a flag named; UsageError where it cannot be."""
    try:
        Path(path).write_text(document, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from None


def plan_code(plan: Plan, *, sized: int, detailed: bool) -> int:
    """The exit code of a plan; `sized` is how many pools had metrics that may be trusted."""
    if plan.actions:
        return CHANGES if detailed else OK
    if plan.held:
        return HELD
    return NO_DATA if plan.gaps and not sized else OK


def tell_wait(app: App, plan: Plan) -> None:
    """Say on stderr, before it happens, that what removes is planned again after a while."""
    removes = sum(action.after < action.before for action in plan.actions)
    if removes and app.policy.revalidate_s and app.clock.now() < plan.expires_at:
        wait = format_duration(app.policy.revalidate_s)
        what = "1 of its actions removes units" if removes == 1 else f"{removes} of its actions remove units"
        click.echo(f"{what}: looking again in {wait} before they go", err=True)


def tell_applied(plan: Plan, done: Sequence[tuple[Action, Outcome]]) -> int:
    """Print what became of a plan that was applied by hand; the exit code, HELD where all of it is held."""
    if not plan.actions:
        why = f"all {len(plan.held)} that it wants are held" if plan.held else "it wants no change"
        click.echo(f"Nothing to apply of plan {plan.id}: {why}.")
        return HELD if plan.held else OK
    applied = sum(outcome.status in {Status.APPLIED, Status.PARTIAL} for _, outcome in done)
    if applied == len(plan.actions):
        click.echo(f"Applied plan {plan.id}:")
    elif applied:
        click.echo(f"Applied {applied} of {len(plan.actions)} actions of plan {plan.id}:")
    else:
        click.echo(f"Nothing of plan {plan.id} was applied:")
    return tell_outcomes(done)


def code_of(status: Status) -> int:
    """The exit code of one outcome."""
    return _CODES[status]


def tell_outcomes(done: Sequence[tuple[Action, Outcome]]) -> int:
    """Print each outcome and return the exit code of them all: the gravest."""
    for action, outcome in done:
        error = f": {outcome.error}" if outcome.error else ""
        click.echo(f"  {outcome.status:<9} {action.target}  {action.before} -> {action.after}{error}")
    codes = {
        Denied.exit_code if outcome.error.startswith(DENIED) else _CODES[outcome.status]
        for _, outcome in done
    }
    return next((code for code in (Denied.exit_code, FAILED, STALE, HELD) if code in codes), OK)
