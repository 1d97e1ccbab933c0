"""What a replay prints and writes: JSON, tables and the file of targets."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.commands import showing
from autoscaler.errors import UsageError
from policies import units

if TYPE_CHECKING:
    from policies.comparison import Comparison
    from policies.trial import Rules, Trial

FORMAT_VERSION = 1


def document(trials: Sequence[Trial], rules: Rules) -> dict[str, object]:
    """The JSON twin of one scaler's replay: for each series the figures of its scored part."""
    found: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "scaler": rules.scaler,
        "lead_time_s": rules.lead_s,
        "series": [_figures(trial) for trial in trials],
    }
    followed = [(trial.unique_id, trial.followed) for trial in trials if trial.followed is not None]
    if followed:
        found["chosen"] = [{"unique_id": name, **choice.document()} for name, choice in followed]
    if rules.tune:
        found["tuned"] = [
            {"unique_id": trial.unique_id, "scaler": trial.scaler, "knob": trial.knob} for trial in trials
        ]
    return found


def _figures(trial: Trial) -> dict[str, object]:
    return {
        "unique_id": trial.unique_id,
        "steps": trial.score.steps,
        "unit_capacity": trial.unit_capacity,
        "cost": trial.score.cost,
        "clairvoyant": trial.score.clairvoyant,
        "violation": trial.score.violation,
        "unserved": trial.score.unserved,
        "actions_per_day": trial.score.actions_per_day,
        "reversals_per_day": trial.score.reversals_per_day,
        **({} if trial.censored is None else {"censored": trial.score.censored}),
    }


def comparison_document(
    asked: Comparison, trials: Mapping[str, Sequence[Trial]], left_out: Mapping[str, str], *, lead_s: int
) -> dict[str, object]:
    """The JSON twin of several scalers' replay: every figure of each on each series, and how they stand."""
    from policies import comparison  # noqa: PLC0415 - numpy only when called

    ahead = comparison.lead(asked, trials)
    return {
        "format_version": FORMAT_VERSION,
        "lead_time_s": lead_s,
        "violation": asked.violation,
        "scalers": [
            {
                "scaler": name,
                "tuned": _tuned(asked, name, trials) if name in asked.tuned else None,
                "series": [_figures(trial) for trial in mine],
            }
            for name, mine in trials.items()
        ],
        "summary": {
            "leader": None if ahead is None else asdict(ahead),
            "baseline": comparison.BASELINE if comparison.BASELINE in trials else None,
            "scalers": [asdict(standing) for standing in comparison.standings(trials)],
        },
        "left_out": [{"unique_id": name, "why": why} for name, why in left_out.items()],
    }


def _tuned(asked: Comparison, name: str, trials: Mapping[str, Sequence[Trial]]) -> list[dict[str, object]]:
    """What each series was tuned to meet, and by which scaler and knob."""
    leads: Sequence[Trial | None] = [None] * len(trials[name])
    if asked.leader is not None:
        leads = trials[asked.leader]
    return [
        {
            "unique_id": trial.unique_id,
            "scaler": trial.scaler,
            "knob": trial.knob,
            "violation": asked.rival(name, lead).violation,
        }
        for trial, lead in zip(trials[name], leads, strict=True)
    ]


def followed(trials: Sequence[Trial]) -> str:
    """A line for each series that a portfolio was replayed on: what it followed, whether forecasts pay."""
    from dashboards.tables import followed_text  # noqa: PLC0415 - only for people

    lines = [(trial.unique_id, trial.followed.line) for trial in trials if trial.followed is not None]
    return followed_text(lines, width=showing.width()) if lines else ""


def table(trials: Sequence[Trial]) -> str:
    """One scaler's replay for people."""
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
                censored=None if trial.censored is None else trial.score.censored,
            )
            for trial in trials
        ],
        width=showing.table_width(),
    )


def comparison_table(asked: Comparison, trials: Mapping[str, Sequence[Trial]], *, each: bool) -> str:
    """Several scalers' replay for people; `each` shows every series before all of them."""
    from dashboards.comparison import comparison_text  # noqa: PLC0415 - only for people
    from policies import comparison  # noqa: PLC0415

    series = [trial.unique_id for trial in next(iter(trials.values()))]
    shown = range(len(series)) if each or len(series) == 1 else range(0)
    by_series = {
        series[at]: comparison.standings({name: [mine[at]] for name, mine in trials.items()}) for at in shown
    }
    ahead = comparison.lead(asked, trials)
    overall = comparison.standings(trials)
    width = showing.table_width()
    return comparison_text(asked, by_series, overall, ahead, width=width) + _unknown(trials, width)


def _unknown(trials: Mapping[str, Sequence[Trial]], width: int) -> str:
    """How much of a series is in no violation, where a sample may be a lower bound of demand."""
    from dashboards.ink import wrap  # noqa: PLC0415 - only for people

    told = [trial for mine in trials.values() for trial in mine if trial.censored is not None]
    if not told:
        return ""
    share = units.format_share(max(trial.score.censored for trial in told))
    line = (
        f"Up to {share} of a series' steps are lower bounds within what served: they count in no violation."
    )
    return "\n".join(["", *(wrap(line, max(40, width)) if width else [line]), ""])


def write_targets(path: Path, trials: Mapping[str, Sequence[Trial]]) -> None:
    """Every grid step from one lead time before the scored part on; stamps ISO 8601 with Z. `censored` is 1
    where demand is a lower bound; the column is there where a history saturates.

    Of several scalers, each row begins with the one that was asked for.
    """
    several = len(trials) > 1
    head = ["unique_id", "ds", "target", "demand_units", "scored"]
    if any(trial.censored is not None for mine in trials.values() for trial in mine):
        head.append("censored")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="") as file:
            write = csv.writer(file, lineterminator="\n")
            write.writerow(["scaler", *head] if several else head)
            for name, mine in trials.items():
                for trial in mine:
                    write.writerows([name, *row] if several else row for row in _steps(trial))
    except OSError as error:
        raise UsageError(f"--targets-out {path}: {error.strerror}") from None


def _steps(trial: Trial) -> Iterator[list[object]]:
    first = max(0, trial.warmup_steps - trial.plant.lead_steps)
    stamps = [f"{stamp}Z" for stamp in trial.grid.stamps()[first:].astype(str)]
    demand = ["" if value != value else repr(value) for value in trial.demand[first:].tolist()]  # noqa: PLR0124 - NaN
    scored = [int(step >= trial.warmup_steps) for step in range(first, len(trial.targets))]
    bounds = [] if trial.censored is None else [trial.censored[first:].astype(int).tolist()]
    for row in zip(stamps, trial.targets[first:].tolist(), demand, scored, *bounds, strict=True):
        yield [trial.unique_id, *row]
