"""Capacity and money over the weeks to come, as an operator reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rich.cells import cell_len

from dashboards import wording
from dashboards.columns import fitted
from dashboards.ink import Ink, Style, fit, sparkline, wrap
from policies.horizon import Band, Course, Horizon, PoolHorizon, Span
from policies.units import format_duration, format_usd

NARROWEST = 60
LEAST_STANDBY = 0.005  # below it nothing would be shown but a zero
_LABEL = 8
_LONGEST_BY_DAY = 14 * 24
_DROPPED = (
    "peak base",
    "unit-hours base",
    "peak what if",
    "unit-hours what if",
    "peak",
    "unit-hours",
    "low",
    "high",
)
BAND = "low and high: as if every hour came at its 10 % or its 90 % quantile of demand"
SHORT = (
    "short: hours in which the maximum holds units back, and how many; (in brackets) only if demand is high"
)


def horizon_text(horizon: Horizon, *, width: int = 100, color: bool = False) -> str:
    """The whole outlook as text, each line at most `width` cells (60 at least), ending in a newline."""
    page = _Page(horizon=horizon, width=max(NARROWEST, width), ink=Ink(color))
    sections = [page.header(), *(page.pool(pool) for pool in horizon.pools), page.gaps(), page.totals()]
    return "\n\n".join("\n".join(lines) for lines in [*sections, page.ending()] if lines) + "\n"


def periods(horizon: Horizon, course: Course) -> Sequence[Span]:
    """Weeks, or days where there are at most fourteen of them."""
    return course.days if horizon.hours <= _LONGEST_BY_DAY else course.weeks


def money(usd: float | None, *, signed: bool = False) -> str:
    """Whole dollars; `unknown` where there is no price, which is not nothing."""
    if usd is None:
        return "unknown"
    return "$0" if round(usd, 3) == 0 else wording.whole_usd(usd, signed=signed)


def price(course: Course) -> str:
    """`$0.096/h a unit`."""
    return "price unknown" if course.unit_usd is None else f"{format_usd(course.unit_usd)}/h a unit"


def day(when: datetime) -> str:
    """`2026-11-23`, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d}"


def short(span: Span) -> str:
    """`12 h by 5`; in brackets where demand must come out high for it; `-` where it is enough."""
    if span.hours_short.mid:
        return f"{span.hours_short.mid:,.0f} h by {span.short_by.mid:,.0f}"
    if span.hours_short.high:
        return f"({span.hours_short.high:,.0f} h by {span.short_by.high:,.0f})"
    return "-"


def rule(course: Course) -> str:
    """How the units follow from demand."""
    spare = f" + {wording.number(course.standby)}" if course.standby >= LEAST_STANDBY else ""
    units = f"{wording.number(course.factor)} x the mean demand of an hour{spare}"
    return f"{units}: {wording.prose(course.rule)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """One outlook being written."""

    horizon: Horizon
    width: int
    ink: Ink

    def header(self) -> list[str]:
        horizon = self.horizon
        title = "Loadline outlook" + (", what if" if horizon.what_if else "")
        made = f"made {wording.moment(horizon.made_at)}"
        gap = " " * max(2, self.width - len(title) - len(made))
        lines = [self.ink.paint(title, Style.STRONG) + gap + self.ink.paint(made, Style.QUIET)]
        span = f"{format_duration(horizon.hours * 3600)} from {wording.moment(horizon.start)}"
        assumed = ", ".join(wording.name(text, 80) for text in horizon.assumptions)
        text = f"{span}  ·  {assumed}" if assumed else span
        return lines + [self.ink.paint(line, Style.QUIET) for line in wrap(text, self.width)]

    def pool(self, pool: PoolHorizon) -> list[str]:
        if pool.assumed is not None and pool.assumed == pool.base:
            untouched = "the assumptions change nothing of it"
            pool = replace(pool, assumed=None, notes=(*pool.notes, untouched))
        lines = [self._title(pool), *self._lines(pool)]
        table = self._table(pool)
        lines += ["", *(f"  {line}".rstrip() for line in table.splitlines()), ""]
        lines += self._labelled("sized", f"{rule(pool.base)} ({wording.name(pool.model)})")
        if pool.assumed is not None and rule(pool.assumed) != rule(pool.base):
            lines += self._labelled("what if", rule(pool.assumed))
        return lines + [line for note in pool.notes for line in self._labelled("note", wording.prose(note))]

    def _title(self, pool: PoolHorizon) -> str:
        base, assumed = pool.base, pool.assumed or pool.base
        parts = [_either(price(base), price(assumed), "/h a unit"), _bounds(base, assumed)]
        leads = [f"lead time {format_duration(c.lead_time_s)}" for c in (base, assumed)]
        parts.append(_either(leads[0], leads[1], before="lead time "))
        parts += [] if pool.billable else ["allocated, not billed"]
        tail = "  " + ", ".join(parts)
        name = wording.name(pool.pool)
        room = max(8, self.width - cell_len(tail))
        head = fit(name, room).rstrip() if cell_len(name) > room else name
        fits = cell_len(head) + cell_len(tail) <= self.width
        quiet = self.ink.paint(tail, Style.QUIET) if fits else ""
        more = [] if fits else wrap(", ".join(parts), self.width, "  ")
        return "\n".join([self.ink.paint(head, Style.STRONG) + quiet, *more])

    def _lines(self, pool: PoolHorizon) -> Iterator[str]:
        """The units of each hour as blocks, of one scale for both."""
        courses = [("units", pool.base)] + ([("what if", pool.assumed)] if pool.assumed else [])
        top = float(max((max(course.units, default=0) for _, course in courses), default=0))
        spans = [f"{min(c.units, default=0):,}..{max(c.units, default=0):,}" for _, c in courses]
        room = min(84, self.width - 2 - _LABEL - 2 - max(map(len, spans)))
        days = -(-self.horizon.hours // 24)
        cells = room // days * days or room  # each day looks alike
        for (label, course), span in zip(courses, spans, strict=True):
            blocks = self.ink.paint(sparkline(course.units, cells, top=top), Style.FORECAST)
            yield f"  {self.ink.paint(label.ljust(_LABEL), Style.QUIET)}{blocks}  {span}"

    def _table(self, pool: PoolHorizon) -> str:
        base = [*periods(self.horizon, pool.base), pool.base.total]
        by = "day from" if self.horizon.hours <= _LONGEST_BY_DAY else "week from"
        first = [*(day(span.start) for span in base[:-1]), "all"]
        if pool.assumed is None:
            head = [by, "unit-hours", "peak", "short", "USD", "low", "high"]
            rows = [[*_size(span), short(span), *_usd(span.usd)] for span in base]
        else:
            head = [by, "unit-hours\nbase", "unit-hours\nwhat if", "peak\nbase", "peak\nwhat if", "short"]
            head += ["USD\nbase", "USD\nwhat if", "low", "high", "change"]
            assumed = [*periods(self.horizon, pool.assumed), pool.assumed.total]
            rows = [_both(before, after) for before, after in zip(base, assumed, strict=True)]
        body = [[name, *row] for name, row in zip(first, rows, strict=True)]
        if len(body) == 2:
            body = body[1:]  # one period is the whole
        last = pool.base if pool.assumed is None else pool.assumed
        if pool.base.unit_usd is None and last.unit_usd is None:
            money_from = next(at for at, title in enumerate(head) if title.startswith("USD"))
            head, body = head[:money_from], [row[:money_from] for row in body]
        return fitted(*_without_short(head, body), self.width - 2, dropped=_DROPPED, left=1)

    def gaps(self) -> list[str]:
        gaps = self.horizon.gaps
        lines = [self.ink.paint(f"Could not be seen ({len(gaps)})", Style.STRONG)] if gaps else []
        for gap in gaps:
            text = f"{wording.name(gap.source)}: {wording.prose(gap.why)} ({wording.name(gap.code)})"
            lines += wrap(text, self.width, "  ")
        return lines + (wrap("The totals leave them out.", self.width, "  ") if gaps else [])

    def totals(self) -> list[str]:
        horizon = self.horizon
        lines = [self.ink.paint(f"All pools, {format_duration(horizon.hours * 3600)}", Style.STRONG)]
        pools = horizon.pools if len(horizon.pools) > 1 else ()
        rows = [
            _total_row(pool.pool, *_of_pool(pool), short((pool.assumed or pool.base).total)) for pool in pools
        ]
        rows += [[]] if rows else []
        rows += _sums(horizon)
        if not rows:
            lines.append("  nothing to add up")
        else:
            head = ["", "short", "USD", "low", "high"]
            if horizon.what_if:
                head = ["", "short", "USD\nbase", "USD\nwhat if", "low", "high", "change"]
            rows = [row if horizon.what_if or not row else [*row[:2], *row[3:-1]] for row in rows]
            table = fitted(
                *_without_short(head, rows), self.width - 2, dropped=("short", "low", "high"), left=1
            )
            lines += [f"  {line}".rstrip() for line in table.splitlines()]
        unpriced = (horizon.assumed or horizon.base).unpriced
        if unpriced:
            names = ", ".join(wording.name(pool) for pool in unpriced)
            lines += wrap(f"not in the sums, price unknown: {names}", self.width, "  ")
        return lines

    def ending(self) -> list[str]:
        notes = [f"{BAND}."]
        courses = [c for pool in self.horizon.pools for c in (pool.base, pool.assumed) if c is not None]
        if any(course.total.hours_short.high for course in courses):
            notes.append(f"{SHORT}.")
        notes.append(
            "A what-if: nothing is recorded as a plan, and nothing of it can be applied."
            if self.horizon.what_if
            else "An outlook, no plan: nothing of it can be applied."
        )
        return [self.ink.paint(line, Style.QUIET) for note in notes for line in wrap(note, self.width)]

    def _labelled(self, label: str, text: str) -> list[str]:
        first, *rest = wrap(text, self.width, "  " + " " * _LABEL) or [""]
        return [f"  {self.ink.paint(label.ljust(_LABEL), Style.QUIET)}{first[2 + _LABEL :]}", *rest]


def _bounds(base: Course, assumed: Course) -> str:
    before, after = (f"{course.minimum:,} to {course.maximum:,} units" for course in (base, assumed))
    return _either(before, after, after=" units")


def _either(base: str, assumed: str, after: str = "", before: str = "") -> str:
    """Both where they differ: `$0.08 -> $0.16/h a unit`, without saying twice what is `before` or `after`."""
    if base == assumed:
        return base
    return f"{base.removesuffix(after)} -> {assumed.removeprefix(before)}"


def _size(span: Span) -> list[str]:
    return [f"{span.unit_hours.mid:,.0f}", f"{span.peak_units.mid:,.0f}"]


def _usd(usd: Band | None) -> list[str]:
    return [money(None if usd is None else value) for value in _values(usd)]


def _values(usd: Band | None) -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0) if usd is None else (usd.mid, usd.low, usd.high)


def difference(before: Band | None, after: Band | None) -> float | None:
    """What the middling figure changes by; None where either is not known."""
    return None if before is None or after is None else after.mid - before.mid


def _both(before: Span, after: Span) -> list[str]:
    (hours, peak), (later_hours, later_peak) = _size(before), _size(after)
    change = money(difference(before.usd, after.usd), signed=True)
    return [
        *(hours, later_hours, peak, later_peak, short(after)),
        *(_usd(before.usd)[0], *_usd(after.usd), change),
    ]


def _without_short(head: list[str], body: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The table without the column `short` where nothing ever is; an empty row stays one."""
    at = head.index("short")
    if any(row[at] not in {"", "-"} for row in body if row):
        return head, body
    return [*head[:at], *head[at + 1 :]], [[*row[:at], *row[at + 1 :]] for row in body]


def _of_pool(pool: PoolHorizon) -> tuple[Band | None, Band | None]:
    return pool.base.total.usd, (pool.assumed or pool.base).total.usd


def _total_row(label: str, before: Band | None, after: Band | None, short: str) -> list[str]:
    """Label, short, USD base, USD, low, high, change."""
    change = money(difference(before, after), signed=True)
    return [wording.name(label), short, _usd(before)[0], *_usd(after), change]


def _sums(horizon: Horizon) -> Iterable[list[str]]:
    base, last = horizon.base, horizon.assumed or horizon.base
    for label, before, after in (
        ("billable", base.billable_usd, last.billable_usd),
        ("allocated, not billed", base.allocated_usd, last.allocated_usd),
    ):
        if before is not None or after is not None:
            yield _total_row(label, before, after, "")
