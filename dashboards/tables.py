"""Plain-text tables: scalers side by side, and the story of one action."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import fmean

import numpy as np

from dashboards import wording
from dashboards.columns import aligned, fitted
from dashboards.ink import sparkline, wrap
from dashboards.views import ReplayRow, of_baseline
from forecasts.types import Forecast, Series
from policies.model import Pool
from policies.plan import Action, Change, Fact, Held, Outcome, Plan, Status
from policies.units import format_share

_LABEL = 9
# What a replay's table leaves out first where it has no room; pool, scaler and violation always stay.
_DROPPED = ("actions/day", "unserved", "unit-hours", "x clairvoyant", "cost")
_STATUS = {
    Status.APPLIED: "applied",
    Status.PARTIAL: "applied in part",
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


def followed_text(lines: Sequence[tuple[str, str]], *, width: int = 100) -> str:
    """For each series what its portfolio followed, wrapped at `width` cells."""
    out: list[str] = []
    for series, line in lines:
        first, *rest = wrap(f"{wording.name(series)}: {line}", max(60, width), "  ")
        out += [first.strip(), *rest]
    return "\n".join(out) + "\n"


def choice_text(facts: Sequence[Fact], told_at: datetime, *, width: int = 100) -> str:
    """What a scaler that learns chose for a pool, as of a moment; each line at most `width` cells."""
    story = _Story(width=max(60, width))
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
