"""`loadline forecast`: quantiles of every series of a history."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

from autoscaler.commands import flags, histories
from autoscaler.errors import DataError, UsageError
from forecasts.hours import hourly
from policies import units

if TYPE_CHECKING:
    from forecasts.limits import Kind
    from forecasts.types import Forecast, Series


Aggregate = Literal["mean", "max"]


def parse_levels(text: str) -> tuple[float, ...]:
    """The probabilities of `0.5,0.9`, ascending; UnitError for what is none."""
    try:
        levels = tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        raise units.UnitError(f"{text!r} is no list of probabilities; write 0.5,0.9,0.95") from None
    if not all(0 < level < 1 for level in levels):
        raise units.UnitError(f"{text!r}: each level is a probability between 0 and 1")
    return levels


@click.command(cls=flags.Many, short_help="Quantiles of every series of a history.")
@flags.history
@flags.only_series
@flags.timezone
@flags.counter
@flags.keep_spikes
@click.option(
    "--freq", "step_s", type=flags.DURATION, default="1h", show_default=True, help="Step to forecast."
)
@click.option(
    "--aggregate",
    type=click.Choice(["mean", "max"]),
    default="mean",
    show_default=True,
    help="How samples become steps.",
)
@click.option("--horizon", "horizon_s", type=flags.DURATION, default="48h", show_default=True)
@click.option(
    "--levels",
    type=flags.Parsed("P,P,...", parse_levels),
    default="0.5,0.9,0.95",
    show_default=True,
    help="Probabilities, one column each.",
)
@click.option(
    "--model",
    default="ridge",
    show_default=True,
    metavar="NAME",
    help="The model asked first; it falls back by itself.",
)
@click.option("-o", "--output", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True)
def command(
    *,
    files: Sequence[str],
    wanted: Sequence[str],
    timezone: str | None,
    kind: Kind,
    keep_spikes: bool,
    step_s: int,
    aggregate: Aggregate,
    horizon_s: int,
    levels: tuple[float, ...],
    model: str,
    output: str,
) -> None:
    """Forecast the steps after the last complete one of each series, as quantiles at LEVELS.

    A series without a forecast that passes the gate falls back to the seasonal naive and then to the largest
    of the same hour in past weeks; warnings say so.
    """
    from forecasts.models import names  # noqa: PLC0415 - numpy behind it

    if model not in names():
        raise UsageError(f"no model {model!r}; there are {', '.join(names())}")
    if not step_s or horizon_s < step_s:
        asked = units.format_duration(horizon_s)
        raise UsageError(f"--horizon {asked} holds no step of --freq {units.format_duration(step_s)}")
    series = histories.read(files, wanted=wanted, timezone=timezone, kind=kind, keep_spikes=keep_spikes)
    for one in series:
        refuse_freq(step_s, one)
    forecasts = _forecasts(
        series,
        step_s=step_s,
        aggregate=aggregate,
        horizon=horizon_s // step_s,
        levels=levels,
        model=model,
    )
    for forecast in forecasts:
        for note in forecast.notes:
            flags.warn(f"{forecast.unique_id}: {note}")
    click.echo(_PRINTERS[output](series, forecasts), nl=False)


def refuse_freq(step_s: int, one: Series) -> None:
    """UsageError where samples cannot be put together to steps of `step_s` seconds."""
    if step_s % one.step_s:
        freq, step = units.format_duration(step_s), units.format_duration(one.step_s)
        raise UsageError(f"--freq {freq} is no multiple of the step of {one.unique_id}, {step}")


def _forecasts(
    series: Sequence[Series],
    *,
    step_s: int,
    aggregate: Aggregate,
    horizon: int,
    levels: tuple[float, ...],
    model: str,
) -> list[Forecast]:
    from autoscaler import engine  # noqa: PLC0415 - numpy behind it

    with flags.progress(len(series), "forecasting") as done:
        regular = [hourly(one, step_s=step_s, aggregate=aggregate) for one in series]
        found = engine.forecast(
            regular,
            model=model,
            issued_at={one.unique_id: one.end for one in regular},
            horizon=horizon,
            levels=levels,
            step_s=step_s,
            on_progress=done,
        )
    out = []
    for name, forecast in sorted(found.items()):
        if forecast is None:
            raise DataError(f"{name}: no model has a forecast for it; it needs more samples")
        out.append(forecast)
    return out


def _csv(_series: Sequence[Series], forecasts: Sequence[Forecast]) -> str:
    buffer = io.StringIO()
    write = csv.writer(buffer, lineterminator="\n")
    write.writerow(["unique_id", "ds", *map(repr, forecasts[0].levels)])
    for forecast in forecasts:
        for stamp, row in zip(forecast.stamps().astype(str), forecast.values.tolist(), strict=True):
            write.writerow([forecast.unique_id, f"{stamp}Z", *row])
    return buffer.getvalue()


def _json(_series: Sequence[Series], forecasts: Sequence[Forecast]) -> str:
    document = {
        "format_version": 1,
        "series": [
            {
                "unique_id": forecast.unique_id,
                "model": forecast.model,
                "notes": forecast.notes,
                "levels": forecast.levels,
                "ds": [f"{stamp}Z" for stamp in forecast.stamps().astype(str)],
                "values": forecast.values.tolist(),
            }
            for forecast in forecasts
        ],
    }
    return json.dumps(document, allow_nan=False) + "\n"


def _text(series: Sequence[Series], forecasts: Sequence[Forecast]) -> str:
    from dashboards.tables import forecast_table  # noqa: PLC0415 - only for people

    return forecast_table(series, forecasts)


_PRINTERS = {"csv": _csv, "json": _json, "text": _text}
