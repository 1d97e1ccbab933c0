"""Scalers compared on a user's own history, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dashboards import wording
from dashboards.columns import fitted
from dashboards.ink import wrap
from policies.comparison import BASELINE, Comparison, Lead, Standing
from policies.units import format_share

_DROPPED = (
    "reversals a day",
    "unserved",
    "actions a day",
    "worst",
    "unit- hours",
    "x clair- voyant",
    "knob",
    "wins",
)
_NARROWEST = 50
_Cell = Callable[[Standing], str]


def comparison_text(
    asked: Comparison,
    by_series: Mapping[str, Sequence[Standing]],
    overall: Sequence[Standing],
    lead: Lead | None,
    *,
    width: int = 100,
) -> str:
    """A table for each series given, one over all of them, and how the figures came about.

    The cheapest scaler comes first. Each line has at most `width` cells (0: no limit; 50 at least); columns
    without room are named. Ends in a newline.
    """
    cells = max(_NARROWEST, width) if width else 10_000
    several = bool(overall) and overall[0].series > 1
    parts = [
        f"{wording.name(name)}\n" + _table(asked, rows, cells, several=False)
        for name, rows in by_series.items()
    ]
    if several:
        title = f"all {overall[0].series} series: geometric means of costs, means of the rest\n"
        parts.append(title + _table(asked, overall, cells, several=True))
    parts.append("\n".join(line for note in _notes(asked, overall, lead) for line in wrap(note, cells)))
    return "\n".join(parts) + "\n"


def _table(asked: Comparison, rows: Sequence[Standing], width: int, *, several: bool) -> str:
    against = BASELINE in asked.rules and len(asked.rules) > 1
    columns: list[tuple[str, _Cell]] = [("scaler", lambda row: row.scaler)]
    if not several:
        columns += [("knob", _knob), ("unit-\nhours", _hours)]
    columns.append(("x clair-\nvoyant", lambda row: _times(row.of_clairvoyant)))
    if against:
        columns.append((f"x {BASELINE}", lambda row: _times(row.of_baseline)))
    if against and several:
        columns += [("wins", _wins), ("worst", lambda row: _times(row.worst))]
    columns += [
        ("violation", lambda row: format_share(row.violation)),
        ("unserved", lambda row: format_share(row.unserved)),
        ("actions\na day", lambda row: f"{row.actions_per_day:.1f}"),
        ("reversals\na day", lambda row: f"{row.reversals_per_day:.1f}"),
    ]
    ordered = sorted(rows, key=_price)
    body = [[cell(row) for _, cell in columns] for row in ordered]
    return fitted([title for title, _ in columns], body, width, dropped=_DROPPED, left=1)


def _price(row: Standing) -> tuple[float, float, str]:
    none = float("inf")
    return (
        none if row.of_clairvoyant is None else row.of_clairvoyant,
        none if row.cost is None else row.cost,
        row.scaler,
    )


def _knob(row: Standing) -> str:
    if row.static_peaks or (row.scaler == "static" and row.knob is None):
        return "peak"
    return "-" if row.knob is None else f"{row.knob:.3g}"


def _hours(row: Standing) -> str:
    if row.cost is None:
        return "-"
    return f"{row.cost:,.0f}" if row.cost >= 100 else f"{row.cost:.1f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _wins(row: Standing) -> str:
    return "-" if row.wins is None else f"{row.wins}/{row.series}"


def _notes(asked: Comparison, overall: Sequence[Standing], lead: Lead | None) -> list[str]:
    notes = [_how(asked)]
    peaks = [
        f"{row.scaler}{f' ({row.static_peaks} of {row.series})' if row.series > 1 else ''}"
        for row in overall
        if row.static_peaks
    ]
    if peaks:
        notes.append(
            f"No knob kept to it, so the static peak of the warm-up part stands there: {', '.join(peaks)}."
        )
    if lead is not None:
        notes.append(_beside(lead, overall[0].series))
    return notes


def _how(asked: Comparison) -> str:
    share = format_share(asked.violation)
    if not asked.tuned:
        return f"All ran as asked, at a violation of {share}."
    cheapest = "the cheapest knob that violates no more than"
    if asked.leader is None:
        return f"Each is tuned with hindsight: {cheapest} {share} on the scored part."
    names = " and ".join(asked.as_asked)
    return (
        f"As asked, at a violation of {share}: {names}. The others are tuned with hindsight on each series: "
        f"{cheapest} {asked.leader} did there."
    )


def _beside(lead: Lead, series: int) -> str:
    times = _times(lead.of_cheapest)
    if series == 1:
        return f"{lead.scaler} costs {times} x the cheapest of those tuned."
    return (
        f"{lead.scaler} costs {times} x the cheapest of those tuned on each series, no more than it on "
        f"{lead.wins} of {series}, at worst {_times(lead.worst)} x."
    )
