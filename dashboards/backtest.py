"""The table of a backtest: models side by side on each series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, geometric_mean

from dashboards import wording
from dashboards.columns import aligned, fitted
from dashboards.views import BacktestRow
from policies.units import format_share

# What the table leaves out first where it has no room; series, model, error and coverage always stay.
_DROPPED = ("WQL", "s/fit", "folds", "MASE")


def backtest_table(rows: Sequence[BacktestRow], *, band: float, width: int = 0) -> str:
    """Models side by side on each series, then over all: geometric means of ratios, means of shares.

    `band` is the share of steps that the band should cover; `width` in cells, 0 for no limit. Empty
    without rows.
    """
    if not rows:
        return ""
    head = ["series", "model", "MAE", "hour 1", "MASE", "WQL", f"in {format_share(band)}", "folds", "s/fit"]
    body: list[list[str]] = []
    previous = None
    for row in rows:
        name = "" if row.series == previous else wording.name(row.series)
        body.append([name, wording.name(row.model), *_scored([row])])
        previous = row.series
    count = len({row.series for row in rows})
    if count > 1:
        body.append([])
        for model in dict.fromkeys(row.model for row in rows):
            name = "" if body[-1] else f"all {count} series"
            body.append([name, wording.name(model), *_scored([row for row in rows if row.model == model])])
    return fitted(head, body, max(40, width), dropped=_DROPPED) if width else aligned(head, body)


def _scored(rows: Sequence[BacktestRow]) -> list[str]:
    """The figures of a model over series, where they are known."""

    def known(values: Iterable[float]) -> list[float]:
        return [value for value in values if math.isfinite(value)]

    ratios = [
        known(values) for values in zip(*((r.mae_ratio, r.first_hour, r.mase) for r in rows), strict=True)
    ]
    cells = [_mean_ratio(values) for values in ratios]
    losses, inside = known(row.wql for row in rows), known(row.coverage for row in rows)
    cells.append(f"{fmean(losses):.3f}" if losses else "-")
    cells.append(format_share(fmean(inside)) if inside else "-")
    cells.append(f"{sum(row.spoke for row in rows)}/{sum(row.folds for row in rows)}")
    return [*cells, f"{fmean(row.seconds for row in rows):.2f}"]


def _mean_ratio(ratios: Sequence[float]) -> str:
    """Their geometric mean; a ratio of zero leaves no honest one."""
    return f"{geometric_mean(ratios):.2f}" if ratios and min(ratios) > 0 else "-"
