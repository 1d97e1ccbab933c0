"""Plain-text tables: scalers side by side, and the story of one action."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

import numpy as np
from rich.cells import cell_len

from dashboards import wording
from dashboards.ink import fit, sparkline, wrap
from dashboards.views import BacktestRow, ReplayRow, of_baseline
from forecasts.types import Forecast, Series
from policies.model import Pool
from policies.plan import Action, Change, Held, Outcome, Plan, Status
from policies.units import format_share

_LABEL = 9
_NARROWEST_NAME = 6
# What a table leaves out first where it has no room; pool, scaler and violation always stay, as do series,
# model, error and coverage.
_DROPPED = ("actions/day", "unserved", "unit-hours", "x clairvoyant", "cost", "WQL", "s/fit", "folds", "MASE")
_STATUS = {
    Status.APPLIED: "applied",
    Status.REHEARSED: "rehearsed, nothing was changed",
    Status.STALE: "not applied: the target had moved since it was read",
    Status.REFUSED: "refused",
    Status.FAILED: "failed",
    Status.UNKNOWN: "unknown: the provider's answer was lost",
}


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
    head += ["violation", "unserved", "actions/day"]
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
        cells += [format_share(row.violation), format_share(row.unserved), f"{row.actions_per_day:.1f}"]
        body.append(cells)
        previous = row.pool
    if several:
        body += [[], *_means(rows, against, ["-"] if priced else [])]
    return _fitted(head, body, max(40, width)) if width else _aligned(head, body)


def backtest_table(rows: Sequence[BacktestRow], *, band: float, width: int = 0) -> str:
    """Models side by side on each series, then over all: geometric means of ratios, means of shares.

    `band` is the share of steps that the band should cover; `width` as in `replay_table`. Empty without rows.
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
    return _fitted(head, body, max(40, width)) if width else _aligned(head, body)


def _scored(rows: Sequence[BacktestRow]) -> list[str]:
    """The figures of a model over series, where they are known."""

    def known(values: Iterable[float]) -> list[float]:
        return [value for value in values if math.isfinite(value)]

    ratios = [
        known(values) for values in zip(*((r.mae_ratio, r.first_hour, r.mase) for r in rows), strict=True)
    ]
    cells = [_ratio(_geometric(values)) for values in ratios]
    losses, inside = known(row.wql for row in rows), known(row.coverage for row in rows)
    cells.append(f"{fmean(losses):.3f}" if losses else "-")
    cells.append(format_share(fmean(inside)) if inside else "-")
    cells.append(f"{sum(row.spoke for row in rows)}/{sum(row.folds for row in rows)}")
    return [*cells, f"{fmean(row.seconds for row in rows):.2f}"]


def _fitted(head: list[str], body: list[list[str]], width: int) -> str:
    """The table without the columns that have no room, and a line that names them."""
    gone: list[str] = []
    for name in _DROPPED:
        sizes = _sizes(head, body)
        if sum(sizes) + 2 * (len(sizes) - 1) <= width:
            break
        if name in head:
            at = head.index(name)
            head, body = [*head[:at], *head[at + 1 :]], [[*row[:at], *row[at + 1 :]] for row in body]
            gone.append(name)
    sizes = _sizes(head, body)
    over = sum(sizes) + 2 * (len(sizes) - 1) - width
    for column in (1, 0):  # the scaler's name is shortened before the pool's
        cut = min(max(0, over), max(0, sizes[column] - _NARROWEST_NAME))
        sizes[column], over = sizes[column] - cut, over - cut
    table = _aligned(head, body, sizes=sizes)
    if not gone:
        return table
    return table + "\n" + "\n".join(wrap(f"No room for {', '.join(gone)}.", width)) + "\n"


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


def _sizes(head: list[str], body: list[list[str]]) -> list[int]:
    """Cells of each column."""
    return [
        max(cell_len(row[column]) for row in [head, *body] if len(row) > column)
        for column in range(len(head))
    ]


def _aligned(
    head: list[str], body: list[list[str]], *, left: int = 2, sizes: Sequence[int] | None = None
) -> str:
    """A table whose first `left` columns are aligned left (and cut to their `sizes`), the others right."""
    sizes = _sizes(head, body) if sizes is None else sizes
    lines = []
    for row in [head, ["-" * size for size in sizes], *body]:
        cells = [
            fit(cell, size) if column < left else " " * (size - cell_len(cell)) + cell
            for column, (cell, size) in enumerate(zip(row, sizes, strict=False))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def explain_text(
    plan: Plan,
    action: Action | Held,
    *,
    pool: Pool | None = None,
    outcomes: Sequence[Outcome | None] = (),
    changes: Sequence[Change] = (),
    width: int = 100,
) -> str:
    """The story of one action of a plan: what, why, by which facts, what guards said, what became of it.

    `outcomes` has one entry for each intent that was written, None where its outcome is in doubt;
    `changes` are those of the action's target, oldest first. Each line is at most `width` cells.
    """
    act = action.action if isinstance(action, Held) else action
    story = _Story(width=max(60, width))
    story.tell(
        "action", f"{wording.symbol(act)} {wording.name(act.target)}  {wording.size(act)}  ({act.kind})"
    )
    story.tell("", f"id {act.id}, in plan {plan.id}, made {wording.moment(plan.made_at)}")
    story.tell("why", f"{wording.reason(act)} ({act.reason})")
    story.tell("sure", wording.confidence(act, plan, pool))
    for number, fact in enumerate(act.because):
        source = f", from {wording.name(fact.source)}" if fact.source else ""
        story.tell("" if number else "facts", f"{wording.fact(fact)}{source}")
    story.tell("money", _money(act))
    story.tell(
        "undo", f"{act.undo_class}; {act.disruption:,} units stop" if act.disruption else act.undo_class
    )
    _tell_guards(story, plan, act)
    _tell_outcomes(story, act, outcomes)
    for number, change in enumerate(changes):
        label = "" if number else "changes"
        story.tell(label, f"{wording.moment(change.at)}  {change.before:,} -> {change.after:,} units")
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
    return _aligned(head, rows, left=3)


class _Story:
    """Labelled lines, wrapped under their label."""

    def __init__(self, *, width: int) -> None:
        self.width = width
        self.lines: list[str] = []

    def tell(self, label: str, text: str) -> None:
        first, *rest = wrap(text, self.width, " " * _LABEL) or [""]
        self.lines += [label.ljust(_LABEL) + first[_LABEL:], *rest]


def _money(action: Action) -> str:
    if action.hourly_delta_usd is None:
        return "price unknown"
    usd = action.hourly_delta_usd.mid
    spread = wording.usd_range(action.hourly_delta_usd)
    text = f"{wording.hourly(usd)}, {wording.monthly(usd)}" + (f", {spread}" if spread else "")
    return text if action.billable else f"{text}; allocated, not billed"


def _tell_guards(story: _Story, plan: Plan, action: Action) -> None:
    holding = [held for held in plan.held if held.action.target == action.target]
    for held in holding:
        whole = "it" if held.action.id == action.id else f"the rest, {wording.size(held.action)}"
        story.tell("guards", f"{held.guard} held {whole}, {wording.until(held)}: {wording.guard(held)}")
    if not holding:
        story.tell("guards", "none held any part of it")


def _tell_outcomes(story: _Story, action: Action, outcomes: Sequence[Outcome | None]) -> None:
    if not outcomes:
        story.tell("outcome", "it was never tried")
    for outcome in outcomes:
        if outcome is None:
            story.tell("outcome", "in doubt: it was about to be tried, and no outcome was written")
            continue
        seen = "" if outcome.observed_after is None else f", {outcome.observed_after:,} units were then seen"
        wanted = (
            "" if outcome.observed_after in {None, action.after} else f" ({action.after:,} were asked for)"
        )
        error = f": {wording.prose(outcome.error)}" if outcome.error else ""
        story.tell("outcome", f"{wording.moment(outcome.at)}  {_STATUS[outcome.status]}{seen}{wanted}{error}")
