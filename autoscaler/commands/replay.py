"""`loadline replay`: what a scaler would have cost on a history."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoscaler import parallel
from autoscaler.commands import flags, histories, scored, showing
from autoscaler.errors import DataError, UsageError
from policies import units

if TYPE_CHECKING:
    from forecasts.limits import Kind
    from forecasts.types import Series
    from policies.comparison import Comparison
    from policies.trial import Rules, Trial, Warmup

ALL = "all"
# Below so many steps to replay, over all scalers, starting processes takes longer than they save.
WORTH_PROCESSES = 200_000


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
@flags.keep_spikes
@click.option(
    "--scaler",
    "names",
    required=True,
    multiple=True,
    metavar="NAME...",
    help="Which rule sets the capacity. Several, or `all`, are compared at equal violation.",
)
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
@click.option(
    "--set",
    "chosen",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the scaler; of several, NAME.KEY=VALUE.",
)
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
    "--saturates-at",
    type=flags.SATURATION,
    help="From this value on the history shows no more: demand may have been larger.",
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
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    help="Processes for several scalers; 0: what is worth it.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--targets-out", metavar="FILE", help="Write every step's target there as CSV (.gz too).")
def command(
    *,
    files: Sequence[str],
    wanted: Sequence[str],
    timezone: str | None,
    kind: Kind,
    keep_spikes: bool,
    **given: Any,
) -> None:
    asked = _asked(**given)
    if given["targets_out"]:
        showing.writable(given["targets_out"], "--targets-out")
    series = histories.read(files, wanted=wanted, timezone=timezone, kind=kind, keep_spikes=keep_spikes)
    several = len(asked.rules) > 1
    _warn_unsaturated(series, given["saturates_at"])
    if several:
        trials, left_out = _compare(series, asked, given["jobs"])
    else:
        trials, left_out = {name: _run(series, rules) for name, rules in asked.rules.items()}, {}
    (first, rules), *_ = asked.rules.items()
    if given["targets_out"]:
        scored.write_targets(Path(given["targets_out"]), trials)
    if given["output"] == "json":
        twin = (
            scored.comparison_document(asked, trials, left_out, lead_s=rules.lead_s)
            if several
            else scored.document(trials[first], rules)
        )
        click.echo(json.dumps(twin, allow_nan=False))
    elif several:
        click.echo(scored.comparison_table(asked, trials, each=bool(wanted)), nl=False)
    else:
        click.echo(scored.table(trials[first]))
        click.echo(scored.followed(trials[first]), nl=False)


command.help = """Replay a scaler over a history, step by step, without looking ahead.

    The pool starts a unit LEAD-TIME after it was asked for; booting units are paid; scaling in is immediate
    unless --plant says otherwise. Violation is the share of steps in which demand exceeded the units that
    served. The clairvoyant knew the future and never violates: nothing can be cheaper without violations.

    With several scalers, or `--scaler all`, those without a budget of violations are tuned with hindsight to
    the violation that the portfolio reached on the same series: cost at equal violation.
    """


def _warn_unsaturated(series: Sequence[Series], level: float | None) -> None:
    """A level that nothing reaches is most likely in another unit than the history."""
    if level is not None and not any((one.y >= level).any() for one in series):
        flags.warn(f"no sample reaches --saturates-at {level:g}; it is in the unit of the history")


def _asked(
    *,
    names: Sequence[str],
    lead_s: int,
    violation: float | None,
    chosen: Sequence[str],
    tune: str | None,
    unit_capacity: float | None,
    units_at_p99: float | None,
    saturates_at: float | None,
    warmup: Warmup,
    options: Sequence[str],
    **_rest: object,
) -> Comparison:
    """What is to be replayed: one scaler as it is asked for, or several side by side."""
    from policies import comparison  # noqa: PLC0415 - numpy only when called
    from policies.trial import Rules  # noqa: PLC0415

    if unit_capacity is not None and units_at_p99 is not None:
        raise UsageError("give --unit-capacity or --units-at-p99, not both")
    scalers = _named(names)
    several = len(scalers) > 1
    settings = _chosen(scalers, chosen)
    if violation is None and (tune or several):
        violation = 0.01
    rules = {
        name: Rules(
            scaler=name,
            lead_s=lead_s,
            warmup=warmup,
            unit_capacity=unit_capacity,
            units_at_p99=40.0 if units_at_p99 is None else units_at_p99,
            violation=violation,
            chosen=settings[name],
            tune=tune is not None,
            plant=_plant(options),
            saturates_at=saturates_at,
        )
        for name in scalers
    }
    if several:
        leader = None if tune else comparison.leader(scalers)
        asked = comparison.Comparison(rules=rules, violation=violation or 0.01, leader=leader)
        _refuse_tuned(asked)
        return asked
    if violation is not None and not tune and not comparison.budgeted(scalers[0]):
        name = scalers[0]
        flags.warn(f"{name} has no budget of violations: --violation is not used (--tune hindsight would)")
    return comparison.Comparison(rules=rules, violation=violation or 0.0, leader=None)


def _named(entries: Sequence[str]) -> tuple[str, ...]:
    """The scalers of `--scaler A,B --scaler C`, each once; all of them for `all`."""
    from policies import scalers  # noqa: PLC0415 - numpy only when called

    names = [name.strip() for entry in entries for name in entry.split(",")]
    try:
        for name in names:
            if name != ALL:
                scalers.load(name)
    except ValueError as error:
        raise UsageError(f"{error}; or {ALL}") from None
    return scalers.names() if ALL in names else tuple(dict.fromkeys(names))


def _chosen(names: Sequence[str], entries: Sequence[str]) -> dict[str, dict[str, object]]:
    """The settings of each scaler; of several, each entry names the one that it is for."""
    from policies import scalers  # noqa: PLC0415 - numpy only when called

    out: dict[str, dict[str, object]] = {name: {} for name in names}
    for key, value in flags.pairs(entries, "--set").items():
        owner, dot, setting = key.rpartition(".")
        if len(names) == 1 and not dot:
            owner = names[0]
        if owner not in out:
            raise UsageError(
                f"--set {key}: with several scalers write NAME.{setting}=VALUE, of {', '.join(names)}"
                if len(names) > 1
                else f"--set {key}: {owner} is not replayed; write {setting}=VALUE"
            )
        out[owner][setting] = value
    try:
        for name, settings in out.items():
            scalers.configure(scalers.load(name), scalers.PoolSettings(), settings)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return out


def _refuse_tuned(asked: Comparison) -> None:
    """A knob that is looked for cannot be given."""
    from policies import scalers  # noqa: PLC0415 - numpy only when called

    for name in asked.tuned:
        knob = scalers.load(name).KNOB
        if knob in asked.rules[name].chosen:
            raise UsageError(
                f"--set {name}.{knob}: this knob is tuned here; to fix it replay --scaler {name} alone"
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


def _run(series: Sequence[Series], rules: Rules) -> list[Trial]:
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


def _compare(
    series: Sequence[Series], asked: Comparison, jobs: int
) -> tuple[dict[str, list[Trial]], dict[str, str]]:
    """Each scaler on each series that can be replayed, and why each of the others cannot.

    First those that run as asked, then those that are tuned to what the leader reached.
    """
    steps = sum(len(one.y) for one in series) * len(asked.rules)
    processes = jobs or (parallel.cores() if steps >= WORTH_PROCESSES else 1)
    with flags.progress(len(series) * len(asked.rules), "replaying") as done:
        first = [(one, asked.rules[name]) for one in series for name in asked.as_asked]
        answers = _answers(first, processes, done)
        ours = {key: found for key, found in answers.items() if not isinstance(found, str)}
        second = [
            (one, asked.rival(name, ours.get((one.unique_id, asked.leader or ""))))
            for one in series
            for name in asked.tuned
            if not asked.leader or (one.unique_id, asked.leader) in ours
        ]
        answers |= _answers(second, processes, lambda count: done(len(first) + count))
    return _sorted(series, asked, answers)


def _answers(
    work: Sequence[tuple[Series, Rules]], processes: int, done: Callable[[int], None]
) -> dict[tuple[str, str], Trial | str]:
    from policies import comparison  # noqa: PLC0415 - numpy only when called

    found = parallel.over(comparison.attempt, work, processes=processes, on_done=done)
    return {(one.unique_id, rules.scaler): answer for (one, rules), answer in zip(work, found, strict=True)}


def _sorted(
    series: Sequence[Series], asked: Comparison, answers: Mapping[tuple[str, str], Trial | str]
) -> tuple[dict[str, list[Trial]], dict[str, str]]:
    """By scaler, for the series that all of them ran on; one that cannot be replayed is told and left out."""
    trials: dict[str, list[Trial]] = {name: [] for name in asked.rules}
    left_out: dict[str, str] = {}
    for one in series:
        mine = {name: answers.get((one.unique_id, name), "") for name in asked.rules}
        why = next((found for found in mine.values() if isinstance(found, str) and found), "")
        if why:
            left_out[one.unique_id] = why
            continue
        for name, found in mine.items():
            if not isinstance(found, str):
                trials[name].append(found)
    if len(left_out) == len(series):
        raise DataError(next(iter(left_out.values()), "the history holds no series"))
    for why in left_out.values():
        flags.warn(f"left out: {why}")
    return trials, left_out
