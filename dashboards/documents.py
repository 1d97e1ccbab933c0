"""The twins of a plan for machines and reviews: JSON, YAML, markdown for a pull request, CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from dashboards import wording
from dashboards.ink import inert
from dashboards.terminal import plan_text
from dashboards.views import Chart, complete, spend
from policies.model import Pool, iso, plain
from policies.plan import Action, Held, Plan
from policies.units import HOURS_A_MONTH

Output = Literal["text", "json", "yaml", "markdown", "csv"]
OUTPUTS: tuple[Output, ...] = ("text", "json", "yaml", "markdown", "csv")
COLUMNS = (
    "state",
    "pool",
    "kind",
    "before",
    "after",
    "hourly_usd_low",
    "hourly_usd_mid",
    "hourly_usd_high",
    "monthly_usd_mid",
    "billable",
    "reason",
    "because",
    "confidence",
    "guard",
    "until",
    "why",
    "disruption",
    "undo",
    "not_before",
    "expires_at",
    "action_id",
    "plan_id",
)
_NO_POOLS: Mapping[str, Pool] = MappingProxyType({})
_NO_CHARTS: Mapping[str, Chart] = MappingProxyType({})
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
# What a spreadsheet takes for the begin of a formula, the full-width forms too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&$^])")
# A word after these would notify a person or link an issue.
_MENTION = re.compile(r"([@#!])(?=\w)")
_LINK = re.compile(r"(?i)(https?|ftp|mailto|www)([:.])")


def render(
    plan: Plan,
    output: Output,
    *,
    pools: Mapping[str, Pool] = _NO_POOLS,
    outlooks: Mapping[str, Chart] = _NO_CHARTS,
    width: int = 100,
    color: bool = False,
    explain: bool = False,
    steps: wording.Steps = (),
) -> str:
    """The plan in one of `OUTPUTS`, ending in a newline; what does not concern an output is ignored."""
    if output == "text":
        return plan_text(
            plan,
            pools=pools,
            outlooks=outlooks,
            width=width,
            color=color,
            explain=explain,
            steps=steps,
        )
    if output == "markdown":
        return as_markdown(plan, pools=pools, outlooks=outlooks, steps=steps)
    return {"json": as_json, "yaml": as_yaml, "csv": as_csv}[output](plan)


def as_json(plan: Plan) -> str:
    """Indented ASCII JSON that `plan_from_json` reads back to the same plan."""
    return json.dumps(plain(plan), indent=2, allow_nan=False) + "\n"


def as_yaml(plan: Plan) -> str:
    """The same object as YAML in ASCII, keys in the order of the JSON."""
    return yaml_text(plain(plan))


def yaml_text(value: object) -> str:
    """A value of dictionaries, lists, numbers and text as YAML in ASCII, keys in their order."""
    import yaml  # noqa: PLC0415 - 30 ms that only this output needs

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=110)
    return text


def as_csv(plan: Plan) -> str:
    """One row for each action and each held one, `COLUMNS` first; money in USD, moments ISO with Z.

    A cell that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay numbers.
    """
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(COLUMNS)
    for action in plan.actions:
        writer.writerow(_cells(plan, action, None))
    for held in plan.held:
        writer.writerow(_cells(plan, held.action, held))
    return sheet.getvalue()


def _cells(plan: Plan, action: Action, held: Held | None) -> list[str]:
    usd = action.hourly_delta_usd
    low, mid, high = usd or (None, None, None)
    return [
        cell(value)
        for value in (
            "held" if held else "action",
            action.target,
            action.kind.value,
            action.before,
            action.after,
            low,
            mid,
            high,
            None if mid is None else round(mid * HOURS_A_MONTH, 2),
            "yes" if action.billable else "no",
            action.reason.value,
            wording.facts(action.because),
            action.confidence,
            held.guard.value if held else None,
            iso(held.until) if held and held.until else None,
            wording.guard(held) if held else None,
            action.disruption,
            action.undo_class.value,
            iso(action.not_before),
            iso(action.expires_at),
            action.id,
            plan.id,
        )
    ]


def cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = inert(value)
    # Spaces before a sign do not stop a spreadsheet.
    harmful = text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if harmful else text


def as_markdown(
    plan: Plan,
    *,
    pools: Mapping[str, Pool] = _NO_POOLS,
    outlooks: Mapping[str, Chart] = _NO_CHARTS,
    steps: wording.Steps = (),
) -> str:
    """A comment for a pull request: verdict, table, totals, what is held, details folded.

    Names stand in code spans and prose is escaped, so that no name can format, link, mention or script.
    """
    parts = [
        f"### Loadline: {_verdict(plan)}",
        _table(plan, pools, outlooks),
        _totals(plan, pools),
        _held_table(plan, pools),
        _findings(plan),
        _gaps(plan),
        _details(plan, pools, outlooks),
        _foot(plan, dict(steps).get("Apply", "") if wording.applicable(plan, pools) else ""),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(plan: Plan) -> str:
    return wording.verdict(plan).removeprefix("Plan: ")


def code_span(text: str, limit: int = wording.NAME_LIMIT) -> str:
    # In a table cell a pipe is escaped even inside a code span; a backquote would end the span.
    safe = wording.name(text, limit).replace("`", "'").replace("|", r"\|")
    return f"`{safe}`"


def escaped(text: str) -> str:
    plain_text = _LINK.sub(r"\1<!-- -->\2", _MARKDOWN.sub(r"\\\1", wording.prose(text)))
    return _MENTION.sub(r"\1<!-- -->", plain_text)


def table_rows(head: Iterable[str], align: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, align, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _size(action: Action, pools: Mapping[str, Pool]) -> str:
    floor = "floor " if wording.floor(pools.get(action.target)) else ""
    return f"{floor}{action.before:,} → {action.after:,}"


def _why(action: Action, pool: Pool | None) -> str:
    """The reason, and who else has a hand in the size."""
    parts = (wording.reason(action), wording.floor(pool), wording.reader(pool))
    return "<br>".join(escaped(part) for part in parts if part)


def _table(plan: Plan, pools: Mapping[str, Pool], outlooks: Mapping[str, Chart]) -> str:
    if not plan.actions:
        return ""
    rows = [
        (
            f"`{wording.symbol(action)}`",
            code_span(action.target),
            _size(action, pools),
            *_money(action, pools.get(action.target)),
            _why(action, pools.get(action.target)),
            wording.assurance(action, outlooks.get(action.target)),
        )
        for action in plan.actions
    ]
    head = ("", "pool", "units", "hourly", "monthly", "why", "confidence")
    return table_rows(head, ("---", "---", "---:", "---:", "---:", "---", "---:"), rows)


def _money(action: Action, pool: Pool | None) -> tuple[str, str]:
    if action.hourly_delta_usd is None:
        return "price unknown", "price unknown"
    usd = action.hourly_delta_usd.mid
    notes = ["" if action.billable else "allocated", "at most" if wording.floor(pool) else ""]
    note = f" ({', '.join(filter(None, notes))})" if any(notes) else ""
    return wording.hourly(usd).replace("$", r"\$"), wording.monthly(usd).replace("$", r"\$") + note


def _totals(plan: Plan, pools: Mapping[str, Pool]) -> str:
    billed = plan.hourly_delta_usd(billable=True).mid
    shared = plan.hourly_delta_usd(billable=False).mid
    lines = [f"**Total, billable: {wording.hourly(billed)}, {wording.monthly(billed)}**"]
    money = spend(pools, plan)
    if money.before and complete(pools, plan):
        lines[0] += f", from ${money.before:,.2f}/h to ${money.after:,.2f}/h over all billable pools"
    if any(not action.billable for action in plan.actions):
        lines.append(
            f"Allocated, not in the bill by itself: {wording.hourly(shared)}, {wording.monthly(shared)}"
        )
    if floors := wording.floors(pools.values()):
        lines.append(f"{floors} Money is {wording.AT_MOST}.")
    unpriced = [code_span(action.target) for action in plan.actions if action.hourly_delta_usd is None]
    if unpriced:
        lines.append(f"Not in the money, price unknown: {', '.join(unpriced)}")
    return "  \n".join(line.replace("$", r"\$") for line in lines) if plan.actions else ""


def _held_table(plan: Plan, pools: Mapping[str, Pool]) -> str:
    if not plan.held:
        return ""
    rows = [
        (
            code_span(held.action.target),
            _size(held.action, pools),
            f"`{held.guard.value}`",
            wording.until(held),
            escaped(wording.guard(held)),
        )
        for held in plan.held
    ]
    table = table_rows(("pool", "units", "guard", "until", "why"), ("---", "---:", "---", "---", "---"), rows)
    return f"**Held ({len(plan.held)})**\n\n{table}"


def _findings(plan: Plan) -> str:
    lines = [
        f"- {code_span(finding.resource)}: {escaped(finding.check)}, "
        rf"\{wording.whole_usd(finding.monthly_usd.mid)}/month, "
        f"{wording.probability(finding.confidence)} sure"
        for finding in plan.findings
    ]
    return f"**Found ({len(lines)})**\n\n" + "\n".join(lines) if lines else ""


def _gaps(plan: Plan) -> str:
    lines = [f"- {code_span(gap.source)}: {escaped(gap.why)} ({code_span(gap.code)})" for gap in plan.gaps]
    if not plan.complete:
        lines.append("- The plan is incomplete. What could not be seen is never shrunk.")
    return f"**Could not be seen ({len(plan.gaps)})**\n\n" + "\n".join(lines) if lines else ""


def _details(plan: Plan, pools: Mapping[str, Pool], outlooks: Mapping[str, Chart]) -> str:
    entries = [
        f"- {code_span(action.target)} {_size(action, pools)}: "
        f"{escaped(wording.evidence(action, pools.get(action.target))) or 'no facts'}; "
        f"{_sure(action, plan, pools, outlooks)}; {action.undo_class.value}; "
        f"action `{action.id}`"
        for action in plan.actions
    ]
    if not entries:
        return ""
    body = "\n".join(entries)
    return f"<details><summary>Evidence of each action</summary>\n\n{body}\n\n</details>"


def _sure(action: Action, plan: Plan, pools: Mapping[str, Pool], outlooks: Mapping[str, Chart]) -> str:
    return wording.confidence(action, plan, pools.get(action.target), outlooks.get(action.target))


def _foot(plan: Plan, command: str) -> str:
    digests = ", ".join(
        f"{label} {code_span(value)}"
        for label, value in (
            ("snapshot", plan.snapshot_digest),
            ("policy", plan.policy_digest),
            ("forecasts", plan.forecasts_digest),
        )
    )
    made, ends = wording.moment(plan.made_at), wording.moment(plan.expires_at)
    apply = f" Apply it with {code_span(command, 240)}." if command else ""
    return f"Plan `{plan.id}`, made {made}, expires {ends}.{apply} Made from {digests}."
