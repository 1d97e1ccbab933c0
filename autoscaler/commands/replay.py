"""`loadline replay`: what a scaler would have cost on a history."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoscaler.commands import flags, histories, showing
from autoscaler.errors import DataError, UsageError
from policies import units

if TYPE_CHECKING:
    from forecasts.limits import Kind
    from policies.trial import Rules, Trial, Warmup

FORMAT_VERSION = 1


def _warmup(text: str) -> Warmup:
    from policies.trial import Warmup  # noqa: PLC0415 - numpy only when called

    if text[-1:] in "smhdw":
        return Warmup(seconds=units.duration_s(text))
    share = units.share(text)
    if share >= 1:
        raise UsageError("--warmup of everything leaves nothing to score")
    return Warmup(share=share)


def _positive(text: str) -> float:
    value = units.quantity(text)
    if not 0 < value <= units.LARGEST_CAPACITY:
        raise units.UnitError(f"{text!r} is not above zero, or absurdly large")
    return value


@click.command(cls=flags.Many, short_help="What a scaler would have cost on a history.")
@flags.history
@flags.only_series
@flags.timezone
@flags.counter
@click.option("--scaler", required=True, metavar="NAME", help="Which rule sets the capacity.")
@click.option(
    "--lead-time",
    "lead_s",
    type=flags.DURATION,
    default="5m",
    show_default=True,
    help="From asking for a unit until it serves.",
)
@click.option(
    "--violation", type=flags.VIOLATION, help="Share of steps in which demand may exceed ready units."
)
@click.option("--set", "chosen", multiple=True, metavar="KEY=VALUE", help="A setting of the scaler.")
@click.option(
    "--tune",
    type=click.Choice(["hindsight"]),
    help="Look for the cheapest knob that meets --violation on the scored part.",
)
@click.option("--unit-capacity", type=flags.CAPACITY, help="Demand that one unit serves.")
@click.option(
    "--units-at-p99",
    type=flags.Parsed("UNITS", _positive),
    help="Instead: how many units the p99 of the warm-up part fills. [default: 40]",
)
@click.option(
    "--warmup",
    type=flags.Parsed("SHARE|DURATION", _warmup),
    default="0.5",
    show_default=True,
    help="The part that is not scored: 0.5, 14d, 20160m.",
)
@click.option(
    "--plant",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="What the pool also does: scale-in-delay, step-out, step-in, cool-down-in, "
    "billing-minimum, lead-jitter, seed, backlog, minimum.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--targets-out", metavar="FILE", help="Write every step's target there as CSV (.gz too).")
def command(
    *, files: Sequence[str], wanted: Sequence[str], timezone: str | None, kind: Kind, **given: Any
) -> None:
    rules = _rules(**given)
    if given["targets_out"]:
        showing.writable(given["targets_out"], "--targets-out")
    series = histories.read(files, wanted=wanted, timezone=timezone, kind=kind)
    trials = _run(series, rules)
    if given["targets_out"]:
        _write_targets(Path(given["targets_out"]), trials)
    if given["output"] == "json":
        click.echo(json.dumps(_document(trials, rules), allow_nan=False))
    else:
        click.echo(_table(trials))
        _tell_followed(trials)


command.help = """Replay a scaler over a history, step by step, without looking ahead.

    The pool starts a unit LEAD-TIME after it was asked for; booting units are paid; scaling in is immediate
    unless --plant says otherwise. Violation is the share of steps in which demand exceeded the units that
    served. The clairvoyant knew the future and never violates: nothing can be cheaper without violations.
    """


def _rules(
    *,
    scaler: str,
    lead_s: int,
    violation: float | None,
    chosen: Sequence[str],
    tune: str | None,
    unit_capacity: float | None,
    units_at_p99: float | None,
    warmup: Warmup,
    options: Sequence[str],
    **_rest: object,
) -> Rules:
    from policies import scalers  # noqa: PLC0415 - numpy only when called
    from policies.trial import Rules  # noqa: PLC0415

    if unit_capacity is not None and units_at_p99 is not None:
        raise UsageError("give --unit-capacity or --units-at-p99, not both")
    settings = flags.pairs(chosen, "--set")
    try:
        module = scalers.load(scaler)
        scalers.configure(module, scalers.PoolSettings(), settings)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if violation is not None and not tune and not module.steer(violation):
        flags.warn(f"{scaler} has no budget of violations: --violation is not used (--tune hindsight would)")
    return Rules(
        scaler=scaler,
        lead_s=lead_s,
        warmup=warmup,
        unit_capacity=unit_capacity,
        units_at_p99=40.0 if units_at_p99 is None else units_at_p99,
        violation=0.01 if violation is None and tune else violation,
        chosen=settings,
        tune=tune is not None,
        plant=_plant(options),
    )


def _plant(options: Sequence[str]) -> dict[str, object]:
    """The plant's options by the names of its fields, in seconds and fractions."""
    from policies.policy import Step  # noqa: PLC0415 - kept beside its use

    def step(text: str) -> Step:
        return Step(units=1, share=units.share(text)) if "%" in text else Step(units=_whole(text), share=0.0)

    readers: dict[str, tuple[str, Callable[[str], object]]] = {
        "scale_in_delay": ("scale_in_delay_s", units.duration_s),
        "step_out": ("step_out", step),
        "step_in": ("step_in", step),
        "cool_down_in": ("cool_down_in_s", units.duration_s),
        "billing_minimum": ("billing_minimum_s", units.duration_s),
        "lead_jitter": ("lead_jitter", units.quantity),
        "seed": ("seed", _whole),
        "backlog": ("backlog", _truth),
        "minimum": ("minimum", _whole),
    }
    out: dict[str, object] = {}
    for key, value in flags.pairs(options, "--plant").items():
        if key not in readers:
            raise UsageError(f"--plant has no {key!r}; there are {', '.join(readers)}")
        name, read = readers[key]
        try:
            out[name] = read(value)
        except ValueError as error:
            raise UsageError(f"--plant {key}: {error}") from None
    return out


def _whole(text: str) -> int:
    if not text.isdigit():
        raise units.UnitError(f"{text!r} is no whole number from 0 up")
    return int(text)


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise units.UnitError(f"{text!r} is neither true nor false")
    return text == "true"


def _run(series: Sequence[Any], rules: Rules) -> list[Trial]:
    from forecasts.types import BadInput  # noqa: PLC0415 - numpy only when called
    from policies import trial  # noqa: PLC0415

    trials = []
    with flags.progress(len(series), "replaying") as done:
        for count, one in enumerate(series, 1):
            try:
                trials.append(trial.run(one, rules))
            except BadInput as error:
                raise DataError(str(error)) from None
            done(count)
    return trials


def _document(trials: Sequence[Trial], rules: Rules) -> dict[str, object]:
    """The JSON twin: for each series the figures of its scored part."""
    document: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "scaler": rules.scaler,
        "lead_time_s": rules.lead_s,
        "series": [
            {
                "unique_id": trial.unique_id,
                "steps": trial.score.steps,
                "unit_capacity": trial.unit_capacity,
                "cost": trial.score.cost,
                "clairvoyant": trial.score.clairvoyant,
                "violation": trial.score.violation,
                "unserved": trial.score.unserved,
                "actions_per_day": trial.score.actions_per_day,
                "reversals_per_day": trial.score.reversals_per_day,
            }
            for trial in trials
        ],
    }
    followed = [(trial.unique_id, trial.followed) for trial in trials if trial.followed is not None]
    if followed:
        document["chosen"] = [{"unique_id": name, **found.document()} for name, found in followed]
    if rules.tune:
        document["tuned"] = [
            {"unique_id": trial.unique_id, "scaler": trial.scaler, "knob": trial.knob} for trial in trials
        ]
    return document


def _table(trials: Sequence[Trial]) -> str:
    from dashboards.tables import replay_table  # noqa: PLC0415 - only for people
    from dashboards.views import ReplayRow  # noqa: PLC0415

    return replay_table(
        [
            ReplayRow(
                pool=trial.unique_id,
                scaler=trial.scaler if trial.knob is None else f"{trial.scaler} ({trial.knob:.3g})",
                cost_unit_hours=trial.score.cost,
                clairvoyant_unit_hours=trial.score.clairvoyant,
                violation=trial.score.violation,
                unserved=trial.score.unserved,
                actions_per_day=trial.score.actions_per_day,
            )
            for trial in trials
        ],
        width=showing.table_width(),
    )


def _tell_followed(trials: Sequence[Trial]) -> None:
    """A line for each series that a portfolio was replayed on: what it followed, whether forecasts pay."""
    from dashboards.tables import followed_text  # noqa: PLC0415 - only for people

    lines = [(trial.unique_id, trial.followed.line) for trial in trials if trial.followed is not None]
    if lines:
        click.echo(followed_text(lines, width=showing.width()), nl=False)


def _write_targets(path: Path, trials: Sequence[Trial]) -> None:
    """Every grid step from one lead time before the scored part on; stamps ISO 8601 with Z."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="") as file:
            write = csv.writer(file, lineterminator="\n")
            write.writerow(["unique_id", "ds", "target", "demand_units", "scored"])
            for trial in trials:
                first = max(0, trial.warmup_steps - trial.plant.lead_steps)
                stamps = [f"{stamp}Z" for stamp in trial.grid.stamps()[first:].astype(str)]
                demand = ["" if value != value else repr(value) for value in trial.demand[first:].tolist()]  # noqa: PLR0124 - NaN
                scored = [int(step >= trial.warmup_steps) for step in range(first, len(trial.targets))]
                rows = zip(stamps, trial.targets[first:].tolist(), demand, scored, strict=True)
                write.writerows([trial.unique_id, *row] for row in rows)
    except OSError as error:
        raise UsageError(f"--targets-out {path}: {error.strerror}") from None
