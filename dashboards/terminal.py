"""A plan as an operator reads it in a terminal: what changes, what it costs, why, and what is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len

from dashboards import wording
from dashboards.ink import Ink, Style, fit, inert, sparkline, wrap
from dashboards.views import Chart, complete, spend, units_total
from policies.model import Pool
from policies.plan import Action, ActionKind, Finding, Held, Plan
from policies.units import format_duration

if TYPE_CHECKING:
    from numpy.typing import NDArray

NARROWEST = 60
_INDENT = " " * 6
_STYLES = {ActionKind.SCALE_OUT: Style.GROW, ActionKind.SCALE_IN: Style.SHRINK}
_LABEL = 6
_NAME = 8  # a name is never cut below this
_ARROW = len(" ->  units")
_FLOOR = "floor "


def plan_text(
    plan: Plan,
    *,
    pools: Mapping[str, Pool],
    outlooks: Mapping[str, Chart],
    width: int = 100,
    color: bool = False,
    explain: bool = False,
    steps: wording.Steps = (),
) -> str:
    """The whole plan as text, each line at most `width` cells (60 at least), ending in a newline.

    `pools` and `outlooks` are by pool id and may lack pools: what is not there is not drawn, and no total
    is made of a part. `steps` are the commands to go on with, those of `wording.steps`. `explain` adds every
    fact with its source and window, digests and ids. Names and reasons from elsewhere are made inert.
    """
    width = max(NARROWEST, width)
    page = _Page(
        plan=plan,
        pools=pools,
        outlooks=outlooks,
        width=width,
        columns=_columns(plan, pools, width),
        ink=Ink(color),
        explain=explain,
        steps=steps,
    )
    sections = [
        page.header(),
        *([_flat(page.action(a) for a in plan.actions)] if plan.actions else []),
        *([page.held_section()] if plan.held else []),
        *([page.findings()] if plan.findings else []),
        *([page.gaps()] if plan.gaps or not plan.complete else []),
        page.totals(),
        page.ending(),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _flat(blocks: Iterable[list[str]]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        lines += ([""] if lines else []) + block
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Cells of each column, the same over all actions and held ones; `money` is (0, 0) where it must wrap."""

    name: int
    before: int
    after: int
    money: tuple[int, int]
    floor: int

    @property
    def head(self) -> int:
        """Cells before what follows the size."""
        return 4 + self.name + 2 + self.floor + self.before + self.after + _ARROW + 2


def _columns(plan: Plan, pools: Mapping[str, Pool], width: int) -> _Columns:
    """Measured once for the whole plan."""
    wishes = [*plan.actions, *(held.action for held in plan.held)]
    before = max((len(f"{wish.before:,}") for wish in wishes), default=1)
    after = max((len(f"{wish.after:,}") for wish in wishes), default=1)
    known = [action.hourly_delta_usd.mid for action in plan.actions if action.hourly_delta_usd]
    money = (
        max((len(wording.hourly(usd)) for usd in known), default=len("price")),
        max((len(wording.monthly(usd)) for usd in known), default=len("unknown")),
    )
    floor = len(_FLOOR) if any(wording.floor(pools.get(wish.target)) for wish in wishes) else 0
    room = width - (4 + 2 + floor + before + after + _ARROW)
    if room - sum(money) - 4 >= _NAME:
        room -= sum(money) + 4
    else:
        money = (0, 0)
    longest = max((cell_len(wording.name(wish.target)) for wish in wishes), default=0)
    name = max(_NAME, min(room, longest))
    return _Columns(name=name, before=before, after=after, money=money, floor=floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """One plan being written: what every section needs."""

    plan: Plan
    pools: Mapping[str, Pool]
    outlooks: Mapping[str, Chart]
    width: int
    columns: _Columns
    ink: Ink
    explain: bool
    steps: wording.Steps

    def header(self) -> list[str]:
        plan, ink = self.plan, self.ink
        title = f"Loadline plan {plan.id}"
        made = f"made {wording.moment(plan.made_at)}"
        gap = " " * max(2, self.width - len(title) - len(made))
        until = wording.data_until(self.outlooks, plan.made_at)
        parts = [f"data until {until}"] if until else []
        parts.append(f"snapshot {inert(plan.snapshot_digest, 16)}")
        both = "  ·  ".join(parts)
        lines = [ink.paint(title, Style.STRONG) + gap + ink.paint(made, Style.QUIET)]
        for part in [both] if cell_len(both) <= self.width else parts:
            lines += self._quiet(part)
        if self.explain:
            policy, forecasts = inert(plan.policy_digest, 16), inert(plan.forecasts_digest, 16)
            lines += self._quiet(f"policy {policy}  ·  forecasts {forecasts}")
        if plan.actions:
            return lines
        verdict = wrap(wording.verdict(plan), self.width)
        return [*lines, "", *(ink.paint(line, Style.STRONG) for line in verdict)]

    def action(self, action: Action) -> list[str]:
        style = _STYLES.get(action.kind, Style.CHANGE)
        beside = any(self.columns.money)
        money = self._money(action)
        pool, chart = self.pools.get(action.target), self.outlooks.get(action.target)
        floor, reader = wording.floor(pool), wording.reader(pool)
        lines = self._row(wording.symbol(action), action, style, money if beside else "")
        lines += self._labelled("cost", "" if beside else " ".join(money.split()))
        lines += self._labelled("floor", floor) + self._labelled("by", reader)
        lines += self._labelled("why", wording.reason(action))
        if action.because and not self.explain:
            lines += self._labelled("", wording.evidence(action, pool))
        sure = wording.confidence(action, self.plan, pool, chart)
        lines += self._labelled("sure", sure)
        cost = "" if action.billable else "allocated, not billed: only its nodes are in the bill"
        most = wording.AT_MOST if floor else ""
        lines += self._labelled("cost", "; ".join(part for part in (cost, most) if part))
        lines += self._labelled("cost", wording.usd_range(action.hourly_delta_usd))
        return lines + self._outlook(action) + self._evidence(action)

    def _labelled(self, label: str, text: str, style: Style = Style.PLAIN) -> list[str]:
        if not text:
            return []
        first, *rest = wrap(text, self.width, _INDENT + " " * _LABEL)
        head = _INDENT + self.ink.paint(label.ljust(_LABEL), Style.QUIET)
        return [
            head + self.ink.paint(first[len(_INDENT) + _LABEL :], style),
            *(self.ink.paint(line, style) for line in rest),
        ]

    def _row(self, sign: str, action: Action, style: Style, rest: str) -> list[str]:
        columns = self.columns
        title = fit(wording.name(action.target), columns.name)
        floor = _FLOOR if wording.floor(self.pools.get(action.target)) else ""
        size = f"{action.before:>{columns.before},} -> {action.after:>{columns.after},} units"
        size = f"{floor:<{columns.floor}}{size}"
        head = f"  {self.ink.paint(sign, style)} {self.ink.paint(title, Style.STRONG)}  "
        quiet = Style.QUIET if action.hourly_delta_usd is None or not action.billable else Style.PLAIN
        tail = self.ink.paint(rest, Style.CHANGE if sign == "!" else quiet)
        return [f"{head}{self.ink.paint(size, style)}  {tail}".rstrip()]

    def _money(self, action: Action) -> str:
        first, second = self.columns.money
        if action.hourly_delta_usd is None:
            return "price unknown".rjust(first + 2 + second)
        usd = action.hourly_delta_usd.mid
        return f"{wording.hourly(usd):>{first}}  {wording.monthly(usd):>{second}}"

    def _quiet(self, text: str) -> list[str]:
        return [self.ink.paint(line, Style.QUIET) for line in wrap(text, self.width)]

    def _outlook(self, action: Action) -> list[str]:
        chart = self.outlooks.get(action.target)
        if chart is None or chart.seen_until is None:
            return []
        past, ahead, legend = _sparks(chart, self.width - len(_INDENT) - _LABEL - 1)
        head = _INDENT + self.ink.paint("load".ljust(_LABEL), Style.QUIET)
        line = f"{head}{past}│{self.ink.paint(ahead, Style.FORECAST)}"
        ready = "" if chart.capacity in {None, action.before} else f", {chart.capacity:,} ready"
        what = "floor" if wording.floor(self.pools.get(action.target)) else "capacity"
        capacity = f"{what} {action.before:,} -> {action.after:,}{ready}"
        both = f"{legend} │ {capacity}"
        fits = len(_INDENT) + _LABEL + cell_len(both) <= self.width
        words = [both] if fits else [legend, capacity]
        return [line, *(text for part in words for text in self._labelled("", part, Style.QUIET))]

    def _evidence(self, action: Action) -> list[str]:
        if not self.explain:
            return []
        lines: list[str] = []
        for number, fact in enumerate(action.because):
            source = f", from {wording.name(fact.source)}" if fact.source else ""
            lines += self._labelled("" if number else "facts", wording.fact(fact) + source)
        chart = self.outlooks.get(action.target)
        for note in chart.notes if chart else ():
            lines += self._labelled("note", wording.prose(note))
        stops = f"{wording.stopping(action)}, " if action.disruption else ""
        lines += self._labelled("undo", f"{stops}{action.undo_class}")
        begin, end = wording.moment(action.not_before), wording.moment(action.expires_at)
        lines += self._labelled("valid", f"{begin} to {end}")
        version = f", on version {wording.name(action.version)}" if action.version else ""
        return lines + self._labelled("id", f"{action.id}, {action.kind}, {action.reason}{version}")

    def held_section(self) -> list[str]:
        lines = [self.ink.paint(f"Held ({len(self.plan.held)})", Style.STRONG)]
        for held in self.plan.held:
            lines += self._held(held)
        return lines

    def _held(self, held: Held) -> list[str]:
        code, until = held.guard.value, wording.until(held)
        room = self.width - self.columns.head
        tails = [f"{code}, {until}", code]
        tail = next((text for text in tails if cell_len(text) <= room), "")
        lines = self._row("!", held.action, Style.CHANGE, tail)
        lines += self._labelled("held", code if tail == "" else "")
        lines += self._labelled("when", until if tail in {code, ""} else "")
        return lines + self._labelled("why", wording.guard(held)) + self._evidence(held.action)

    def findings(self) -> list[str]:
        lines = [self.ink.paint(f"Found ({len(self.plan.findings)})", Style.STRONG)]
        for finding in self.plan.findings:
            lines += self._finding(finding)
        return lines

    def _finding(self, finding: Finding) -> list[str]:
        low, mid, high = finding.monthly_usd
        money = f"{wording.whole_usd(mid)}/month"
        if low != high:
            money += f" ({wording.whole_usd(low)} to {wording.whole_usd(high)})"
        head = f"{wording.name(finding.resource)}: {wording.name(finding.check)}, {money}"
        sure = wording.probability(finding.confidence)
        facts = wording.facts(finding.evidence)
        lines = wrap(head, self.width, "    ")
        return [
            f"  {self.ink.paint('~', Style.CHANGE)} {lines[0][4:]}",
            *lines[1:],
            *self._labelled("why", facts),
            *self._labelled("sure", sure),
        ]

    def gaps(self) -> list[str]:
        lines = [self.ink.paint(f"Could not be seen ({len(self.plan.gaps)})", Style.STRONG)]
        for gap in self.plan.gaps:
            text = f"{wording.name(gap.source)}: {wording.prose(gap.why)} ({wording.name(gap.code)})"
            wrapped = wrap(text, self.width, "    ")
            lines += [f"  {self.ink.paint('?', Style.CHANGE)} {wrapped[0][4:]}", *wrapped[1:]]
        if not self.plan.complete:
            lines += wrap("The plan is incomplete. What could not be seen is never shrunk.", self.width, "  ")
        return lines

    def totals(self) -> list[str]:
        lines = [self.ink.paint(f"Plan: {wording.counts(self.plan)}", Style.STRONG)]
        rows = [row for row in (self._total("billable"), self._total("allocated")) if row]
        sizes = [max((len(row[column]) for row in rows), default=0) for column in range(1, 4)]
        for label, units, hourly, monthly in rows:
            size = f"{units:>{sizes[0]}}  " if units else ""
            text = f"  {label:<9}  {size}{hourly:>{sizes[1]}}  {monthly:>{sizes[2]}}"
            if len(text) > self.width:
                parts = ", ".join(part for part in (units, hourly, monthly) if part)
                lines += wrap(f"{label}: {parts}", self.width, "  ")
                continue
            note = "  not in the bill by itself" if label == "allocated" else ""
            fits = len(text) + len(note) <= self.width
            lines.append(text + self.ink.paint(note if fits else "", Style.QUIET))
        if floors := wording.floors(self.pools.values()):
            lines += wrap(floors, self.width, "  ")
        lines += self._bill()
        unpriced = [a.target for a in self.plan.actions if a.hourly_delta_usd is None]
        if unpriced:
            names = ", ".join(wording.name(target) for target in unpriced)
            lines += wrap(f"not in the money, price unknown: {names}", self.width, "  ")
        return lines

    def _bill(self) -> list[str]:
        money = spend(self.pools, self.plan)
        if not money.before or not complete(self.pools, self.plan):
            return []
        share = (money.after - money.before) / money.before * 100
        text = f"all billable pools: {_usd_h(money.before)} -> {_usd_h(money.after)} ({share:+.1f} %)"
        without = ", ".join(wording.name(pool) for pool in money.unpriced)
        return wrap(f"{text}, without {without}" if without else text, self.width, "  ")

    def _total(self, label: str) -> tuple[str, str, str, str] | None:
        billable = label == "billable"
        pools = [pool for pool in self.pools.values() if pool.billable is billable]
        acts = [action for action in self.plan.actions if action.billable is billable]
        if not pools and not acts:
            return None
        before, after = units_total(pools, self.plan)
        units = f"{before:,} -> {after:,} units" if complete(self.pools, self.plan) else ""
        usd = self.plan.hourly_delta_usd(billable=billable).mid if acts else 0.0
        return label, units, wording.hourly(usd), wording.monthly(usd)

    def ending(self) -> list[str]:
        lines = self._quiet(f"Plan {self.plan.id} expires {wording.moment(self.plan.expires_at)}.")
        idle = set() if wording.applicable(self.plan, self.pools) else {"Apply", "Undo"}
        steps = [step for step in self.steps if step[0] not in idle]
        return lines + [line for label, command in steps for line in self._next(label, command)]

    def _next(self, label: str, command: str) -> list[str]:
        first, *rest = wrap(command, self.width, " " * 8)
        return [f"  {self.ink.paint(label.ljust(6), Style.QUIET)}{first[8:]}", *rest]


def _usd_h(usd: float) -> str:
    return wording.hourly(usd).lstrip("+")


def _sparks(chart: Chart, cells: int) -> tuple[str, str, str]:
    """History and forecast as blocks of one scale in value and in time, and what they show.

    The history reaches back twice as far as the forecast reaches ahead (a day where there is none).
    """
    ahead = np.asarray(chart.values[:, -1]) if len(chart.levels) and len(chart.values) else np.empty(0)
    ahead_s = len(ahead) * chart.forecast_step_s
    back_steps = min(len(chart.history), max(1, (2 * ahead_s or 86400) // chart.step_s))
    back = chart.history[-back_steps:]
    back_s = back_steps * chart.step_s
    cells = min(cells, 72)
    right = round(cells * ahead_s / (ahead_s + back_s))
    both = np.concatenate([back, ahead])
    finite = both[np.isfinite(both)]
    top = float(finite.max()) if len(finite) else 0.0
    unit = inert(chart.unit, 24)
    past = f"last {format_duration(back_s)} {_span(back)} {unit}"
    if not len(ahead):
        return sparkline(back, cells - right, top=top), "", f"{past} │ no forecast"
    level = f"p{wording.number(chart.levels[-1] * 100)}"
    model = f" ({wording.name(chart.model)})" if chart.model else ""
    each = {3600: "hourly ", chart.step_s: ""}.get(chart.forecast_step_s, "")
    coming = f"next {format_duration(ahead_s)} {each}{level} {_span(ahead)}{model}"
    return sparkline(back, cells - right, top=top), sparkline(ahead, right, top=top), f"{past} │ {coming}"


def _span(values: NDArray[np.float64]) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "nothing seen"
    return f"{wording.number(float(finite.min()))}..{wording.number(float(finite.max()))}"
