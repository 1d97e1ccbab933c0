"""`loadline backtest`: how good forecasts would have been on a history."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from autoscaler.commands import flags, histories, showing
from autoscaler.commands.forecast import parse_levels, refuse_freq
from autoscaler.errors import DataError, UsageError
from forecasts.hours import hourly
from policies import units

if TYPE_CHECKING:
    from autoscaler.trying import Tried
    from forecasts.limits import Kind
    from forecasts.types import Series

FORMAT_VERSION = 1
DEFAULT = ("ridge", "mstl", "seasonal_naive")
FIGURES = ("mae_ratio", "first_hour", "mase", "wql", "coverage")


@click.command(cls=flags.Many, short_help="How good forecasts would have been on a history.")
@flags.history
@flags.only_series
@flags.timezone
@flags.counter
@flags.keep_spikes
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME...",
    default=DEFAULT,
    show_default=True,
    help="The models to try; all for every one.",
)
@click.option(
    "--freq", "step_s", type=flags.DURATION, default="1h", show_default=True, help="Step to forecast."
)
@click.option("--horizon", "horizon_s", type=flags.DURATION, default="48h", show_default=True)
@click.option(
    "--folds",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Moments in the past from which each model forecasts; they do not overlap.",
)
@click.option(
    "--levels",
    type=flags.Parsed("P,P,...", parse_levels),
    default="0.025,0.5,0.975",
    show_default=True,
    help="Probabilities; the outermost two are the band whose coverage is shown.",
)
@click.option("-o", "--output", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True)
def command(
    *,
    files: Sequence[str],
    wanted: Sequence[str],
    timezone: str | None,
    kind: Kind,
    keep_spikes: bool,
    models: Sequence[str],
    step_s: int,
    horizon_s: int,
    folds: int,
    levels: tuple[float, ...],
    output: str,
) -> None:
    """Let models forecast from moments of the past, each seeing only what was known then, and score them by
    what came.

    MAE and hour 1 are the mean absolute error of the median as a multiple of yesterday's pattern: below 1 is
    better than it. MASE compares with the error of that pattern inside the history. WQL is the weighted
    quantile loss. Coverage is the share of steps inside the band.
    """
    chosen = _models(models)
    if not step_s or horizon_s < step_s:
        asked = units.format_duration(horizon_s)
        raise UsageError(f"--horizon {asked} holds no step of --freq {units.format_duration(step_s)}")
    if len(levels) < 2:
        raise UsageError("--levels needs two probabilities or more: the outermost two are the band")
    series = _regular(
        histories.read(files, wanted=wanted, timezone=timezone, kind=kind, keep_spikes=keep_spikes), step_s
    )
    found = _run(series, chosen, horizon=horizon_s // step_s, folds=folds, levels=levels)
    for one in found:
        for note in one.notes:
            flags.warn(f"{one.unique_id}: {one.model}: {note}")
    if output == "json":
        click.echo(json.dumps(_document(series, found, horizon_s // step_s, levels), allow_nan=False))
    elif output == "csv":
        click.echo(_csv(found), nl=False)
    else:
        click.echo(_table(found, levels), nl=False)


def _models(models: Sequence[str]) -> tuple[str, ...]:
    from forecasts.models import check, names  # noqa: PLC0415 - numpy behind it

    if "all" in models:
        return names()
    try:
        for name in models:
            check(name)
    except ValueError as error:
        raise UsageError(f"--model: {error}") from None
    return tuple(dict.fromkeys(models))


def _regular(series: Sequence[Series], step_s: int) -> list[Series]:

    for one in series:
        refuse_freq(step_s, one)
    return [hourly(one, step_s=step_s) for one in series]


def _run(
    series: Sequence[Series], models: Sequence[str], *, horizon: int, folds: int, levels: Sequence[float]
) -> list[Tried]:
    """Every model on every series, by series in the order of their ids; one that is too short is told."""
    from autoscaler.trying import tried  # noqa: PLC0415 - numpy behind it
    from forecasts import backtest  # noqa: PLC0415
    from forecasts.types import DAY_S, BadInput  # noqa: PLC0415

    long = []
    for one in series:
        day = max(1, DAY_S // one.step_s)
        try:
            backtest.origins(one.y, horizon, folds, gap=horizon, least=2 * day)
        except BadInput as error:
            flags.warn(f"{one.unique_id} is left out: {error}")
            continue
        long.append(one)
    if not long:
        raise DataError("no series is long enough; give a longer history or a shorter --horizon")
    found: list[Tried] = []
    with flags.progress(len(long) * len(models) * folds, "fitting") as done:
        for number, model in enumerate(models):
            before = number * len(long) * folds
            found += tried(
                long,
                model,
                horizon=horizon,
                folds=folds,
                levels=levels,
                on_fit=lambda count, before=before: done(before + count),  # type: ignore[misc]
            )
    order = {one.unique_id: k for k, one in enumerate(long)}
    return sorted(found, key=lambda one: (order[one.unique_id], models.index(one.model)))


def _figures(one: Tried) -> dict[str, float | None]:
    """The figures, None where one is not known."""
    values = asdict(one.scores)
    return {name: None if math.isnan(values[name]) else values[name] for name in FIGURES}


def _document(
    series: Sequence[Series], found: Sequence[Tried], horizon: int, levels: Sequence[float]
) -> dict[str, Any]:
    from autoscaler.model_record import record  # noqa: PLC0415 - numpy behind it

    by_id = {one.unique_id: one for one in series}
    rows = []
    for one in found:
        history = by_id[one.unique_id]
        begins = [history.start + timedelta(seconds=history.step_s * at) for at in one.at]
        steps = one.scores.by_step
        rows.append(
            {
                "unique_id": one.unique_id,
                "model": one.model,
                **_figures(one),
                "nominal_coverage": one.scores.nominal,
                "mae_ratio_by_step": {str(k): None if math.isnan(v) else v for k, v in steps.items()},
                "folds": [f"{begin:%FT%TZ}" for begin in begins],
                "folds_with_forecast": one.scores.spoke,
                "seconds": one.seconds,
                "notes": one.notes,
                "record": record(one.model, history.until(begins[-1]), horizon=horizon, levels=levels),
            }
        )
    return {"format_version": FORMAT_VERSION, "horizon": horizon, "levels": levels, "series": rows}


def _csv(found: Sequence[Tried]) -> str:
    buffer = io.StringIO()
    write = csv.writer(buffer, lineterminator="\n")
    write.writerow(["unique_id", "model", *FIGURES, "folds", "folds_with_forecast", "seconds"])
    for one in found:
        figures = ["" if value is None else repr(value) for value in _figures(one).values()]
        scores = one.scores
        write.writerow([one.unique_id, one.model, *figures, scores.folds, scores.spoke, f"{one.seconds:.3f}"])
    return buffer.getvalue()


def _table(found: Sequence[Tried], levels: Sequence[float]) -> str:
    from dashboards.backtest import backtest_table  # noqa: PLC0415 - only for people
    from dashboards.views import BacktestRow  # noqa: PLC0415

    rows = [
        BacktestRow(
            series=one.unique_id,
            model=one.model,
            mae_ratio=one.scores.mae_ratio,
            first_hour=one.scores.first_hour,
            mase=one.scores.mase,
            wql=one.scores.wql,
            coverage=one.scores.coverage,
            spoke=one.scores.spoke,
            folds=one.scores.folds,
            seconds=one.seconds,
        )
        for one in found
    ]
    return backtest_table(rows, band=levels[-1] - levels[0], width=showing.table_width())
