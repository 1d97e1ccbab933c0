"""Plain-text tables: scalers side by side, and what they chose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import fmean

import numpy as np

from dashboards import wording
from dashboards.columns import aligned, fitted
from dashboards.ink import sparkline, wrap
from dashboards.story import Labelled
from dashboards.views import ReplayRow, of_baseline
from forecasts.types import Forecast, Series
from policies.plan import Fact
from policies.units import format_share

# What a replay's table leaves out first where it has no room; pool, scaler and violation always stay.
_DROPPED = ("actions/day", "unserved", "unit-hours", "x clairvoyant", "cost")


def replay_table(rows: Sequence[ReplayRow], *, baseline: str = "hpa", width: int = 0) -> str:
    """Scalers side by side on each pool, then their geometric means over the pools where all ran.

    Cost is in unit-hours (and USD where it is known), then as a multiple of the clairvoyant's cost and,
    where something ran beside it, of the baseline's. No line is wider than `width` cells (0: no limit, 40
    at least): first the columns of `_DROPPED` go, in their order, and are named below, then names are cut.
    Empty without rows; else it ends in a newline.
    """
    if not rows:
        return ""
    alone = {row.scaler for row in rows} == {baseline}
    against = {} if alone else of_baseline(rows, baseline)
    several = len({row.pool for row in rows}) > 1
    priced = any(row.cost_usd is not None for row in rows)
    head = ["pool", "scaler", "unit-hours", *(["cost"] if priced else [])]
    head += ["x clairvoyant", *([f"x {wording.name(baseline)}"] if against else [])]
    bounded = any(row.censored is not None for row in rows)
    head += ["violation", *(["censored"] if bounded else []), "unserved", "actions/day"]
    body: list[list[str]] = []
    previous = None
    for row in rows:
        cells = ["" if row.pool == previous else wording.name(row.pool), wording.name(row.scaler)]
        cells.append(
            f"{row.cost_unit_hours:,.0f}" if row.cost_unit_hours >= 100 else f"{row.cost_unit_hours:.1f}"
        )
        cells += [wording.whole_usd(row.cost_usd) if row.cost_usd is not None else "-"] if priced else []
        cells.append(_ratio(row.of_clairvoyant))
        cells += [_ratio(against.get((row.pool, row.scaler)))] if against else []
        cells.append(format_share(row.violation))
        cells += [format_share(row.censored or 0.0)] if bounded else []
        cells += [format_share(row.unserved), f"{row.actions_per_day:.1f}"]
        body.append(cells)
        previous = row.pool
    if several:
        body += [[], *_means(rows, against, ["-"] if priced else [])]
    return fitted(head, body, max(40, width), dropped=_DROPPED) if width else aligned(head, body)


def _means(
    rows: Sequence[ReplayRow], against: dict[tuple[str, str], float], gap: list[str]
) -> list[list[str]]:
    pools = len({row.pool for row in rows})
    lines: list[list[str]] = []
    for scaler in dict.fromkeys(row.scaler for row in rows):
        mine = [row for row in rows if row.scaler == scaler]
        if len({row.pool for row in mine}) < pools:
            continue
        cells = ["" if lines else f"all {pools} pools", wording.name(scaler), "-", *gap]
        cells.append(_ratio(_geometric(row.of_clairvoyant for row in mine)))
        if against:
            cells.append(_ratio(_geometric(against.get((row.pool, scaler)) for row in mine)))
        cells.append(format_share(fmean(row.violation for row in mine)))
        if any(row.censored is not None for row in rows):
            cells.append(format_share(fmean(row.censored or 0.0 for row in mine)))
        cells.append(format_share(fmean(row.unserved for row in mine)))
        lines.append([*cells, f"{fmean(row.actions_per_day for row in mine):.1f}"])
    return lines


def _geometric(ratios: Iterable[float | None]) -> float | None:
    known = list(ratios)
    logs = [math.log(ratio) for ratio in known if ratio]
    # One ratio that is unknown or zero leaves no honest mean.
    return math.exp(sum(logs) / len(logs)) if logs and len(logs) == len(known) else None


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def followed_text(lines: Sequence[tuple[str, str]], *, width: int = 100) -> str:
    """For each series what its portfolio followed, wrapped at `width` cells."""
    out: list[str] = []
    for series, line in lines:
        first, *rest = wrap(f"{wording.name(series)}: {line}", max(60, width), "  ")
        out += [first.strip(), *rest]
    return "\n".join(out) + "\n"


def choice_text(facts: Sequence[Fact], told_at: datetime, *, width: int = 100) -> str:
    """What a scaler that learns chose for a pool, as of a moment; each line at most `width` cells."""
    story = Labelled(width=max(60, width))
    story.tell("chosen", f"as of {wording.moment(told_at)}")
    for fact in facts:
        story.tell("", wording.fact(fact) + (f", from {wording.name(fact.source)}" if fact.source else ""))
    return "\n".join(story.lines) + "\n"


def forecast_table(series: Sequence[Series], forecasts: Sequence[Forecast]) -> str:
    """Each series with its model, a sparkline of the past and of the median ahead, and its quantiles.

    `forecasts` are those of `series`, in the order of ids. The figures are the mean over the horizon of the
    lowest and of the highest level, and the largest of the highest.
    """
    known = {one.unique_id: one for one in series}
    rows = []
    for forecast in forecasts:
        one, median = known[forecast.unique_id], forecast.values[:, len(forecast.levels) // 2]
        past = one.y[-4 * len(median) * forecast.step_s // one.step_s :]
        top = float(max(np.max(past, initial=0.0, where=np.isfinite(past)), median.max()))
        rows.append(
            [
                wording.name(forecast.unique_id, 32),
                forecast.model,
                sparkline(past, 24, top=top) + "|" + sparkline(median, 12, top=top),
                *(wording.number(float(forecast.values[:, k].mean())) for k in (0, -1)),
                wording.number(float(forecast.values[:, -1].max())),
            ]
        )
    low, high = (f"{forecasts[0].levels[k]:g}" for k in (0, -1)) if forecasts else ("", "")
    head = ["series", "model", "past | median ahead", f"mean {low}", f"mean {high}", f"peak {high}"]
    return aligned(head, rows, left=3)
