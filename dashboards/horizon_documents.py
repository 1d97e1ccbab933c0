"""The twins of an outlook for machines and reviews: JSON, YAML, markdown and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from dashboards.documents import cell, code_span, escaped, table_rows, yaml_text
from dashboards.horizon import BAND, SHORT, day, difference, horizon_text, money, rule, short
from policies.horizon import Band, Course, Horizon, Span
from policies.model import iso, plain
from policies.units import format_duration

_FIGURES = ("unit_hours", "usd", "peak_units", "hours_short", "short_by")
COLUMNS = (
    *("pool", "case", "period", "start", "hours", "billable"),
    *(f"{figure}_{level}" for figure in _FIGURES for level in ("low", "mid", "high")),
)


def render(horizon: Horizon, output: str, *, width: int = 100, color: bool = False) -> str:
    """The outlook as text, json, yaml, markdown or csv, ending in a newline."""
    if output == "text":
        return horizon_text(horizon, width=width, color=color)
    twins = {"json": as_json, "yaml": as_yaml, "markdown": as_markdown, "csv": as_csv}
    return twins[output](horizon)


def as_json(horizon: Horizon) -> str:
    """Indented ASCII JSON; what is not known is null. `units` are the middling ones of each hour."""
    return json.dumps(plain(horizon), indent=2, allow_nan=False) + "\n"


def as_yaml(horizon: Horizon) -> str:
    """The same object as YAML in ASCII."""
    return yaml_text(plain(horizon))


def as_csv(horizon: Horizon) -> str:
    """A row for each pool, case (base, what-if) and period (day, week, all); what is not known is empty."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pool in horizon.pools:
        for case, course in (("base", pool.base), ("what-if", pool.assumed)):
            for period, span in _spans(course):
                row: list[str | float | None] = [pool.pool, case, period, iso(span.start), span.hours]
                row += ["yes" if pool.billable else "no", *_figures(span)]
                writer.writerow([cell(value) for value in row])
    return sheet.getvalue()


def _spans(course: Course | None) -> Iterator[tuple[str, Span]]:
    if course is None:
        return
    yield from (("day", span) for span in course.days)
    yield from (("week", span) for span in course.weeks)
    yield "all", course.total


def _figures(span: Span) -> Iterator[float | None]:
    for figure in _FIGURES:
        band: Band | None = getattr(span, figure)
        yield from (None, None, None) if band is None else (band.low, band.mid, band.high)


def as_markdown(horizon: Horizon) -> str:
    """A comment for a review: each pool over the whole outlook, the totals, and how it was sized."""
    title = "What if" if horizon.what_if else "Outlook"
    assumed = ", ".join(code_span(text, 80) for text in horizon.assumptions)
    span = f"{format_duration(horizon.hours * 3600)} from {day(horizon.start)}"
    parts = [
        f"### Loadline: {title.lower()}, {span}",
        f"Assumed: {assumed}" if assumed else "",
        _table(horizon),
        _totals(horizon),
        _sizing(horizon),
        _gaps(horizon),
        f"{_sentence(BAND)} {_sentence(SHORT)} Nothing of it can be applied.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _table(horizon: Horizon) -> str:
    rows = []
    for pool in horizon.pools:
        last = (pool.assumed or pool.base).total
        row = [code_span(pool.pool) + ("" if pool.billable else " (allocated)")]
        if pool.assumed is not None:
            row.append(_money(pool.base.total.usd))
        row += [_money(last.usd), _range(last.usd)]
        if pool.assumed is not None:
            row.append(money(difference(pool.base.total.usd, last.usd), signed=True).replace("$", r"\$"))
        rows.append([*row, f"{last.unit_hours.mid:,.0f}", f"{last.peak_units.mid:,.0f}", short(last)])
    head = ["pool", "USD", "low to high", "unit-hours", "peak", "short"]
    if horizon.what_if:
        head = ["pool", "USD base", "USD what if", "low to high", "change", "unit-hours", "peak", "short"]
    return table_rows(head, ["---", *["---:"] * (len(head) - 1)], rows) if rows else ""


def _money(usd: Band | None) -> str:
    return money(None if usd is None else usd.mid).replace("$", r"\$")


def _range(usd: Band | None) -> str:
    return "unknown" if usd is None else rf"\{money(usd.low)} to \{money(usd.high)}"


def _totals(horizon: Horizon) -> str:
    base, last = horizon.base, horizon.assumed or horizon.base
    lines = [
        label.format(f"{_money(after)}, {_range(after)}") + (_from(before, after) if horizon.what_if else "")
        for label, before, after in (
            ("**Total, billable: {}**", base.billable_usd, last.billable_usd),
            ("Allocated, not in the bill by itself: {}", base.allocated_usd, last.allocated_usd),
        )
        if before is not None or after is not None
    ]
    if last.unpriced:
        lines.append(
            f"Not in the sums, price unknown: {', '.join(code_span(name) for name in last.unpriced)}"
        )
    return "  \n".join(lines)


def _from(before: Band | None, after: Band | None) -> str:
    change = money(difference(before, after), signed=True).replace("$", r"\$")
    return f", {change} on {_money(before)}"


def _sizing(horizon: Horizon) -> str:
    lines = []
    for pool in horizon.pools:
        lines.append(f"- {code_span(pool.pool)}: {escaped(rule(pool.assumed or pool.base))}")
        lines += [f"  - {escaped(note)}" for note in pool.notes]
    body = "\n".join(lines)
    return f"<details><summary>How each pool is sized</summary>\n\n{body}\n\n</details>" if lines else ""


def _gaps(horizon: Horizon) -> str:
    lines = [f"- {code_span(gap.source)}: {escaped(gap.why)}" for gap in horizon.gaps]
    return f"**Could not be seen ({len(lines)})**\n\n" + "\n".join(lines) if lines else ""
