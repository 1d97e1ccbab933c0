"""The report: one static HTML file that opens without a network, and fetches nothing if there is one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean
from typing import Any

import jinja2
import numpy as np
from plotly.offline import get_plotlyjs

from dashboards import figures, wording
from dashboards.ink import inert
from dashboards.views import Chart, ReplayChart, ReplayRow, of_baseline, spend
from policies.model import Pool
from policies.money import unit_usd
from policies.plan import Action, Finding, Held, Plan
from policies.units import format_duration, format_share

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    label: str
    value: str
    note: str = ""


def report(
    *,
    title: str,
    plan: Plan,
    pools: Mapping[str, Pool],
    charts: Mapping[str, Chart],
    rows: Sequence[ReplayRow] = (),
    replays: Sequence[ReplayChart] = (),
    generated: str = "",
    ours: str = "seasonal_quantile",
    violation_target: float | None = None,
    assumptions: Sequence[str] = (),
) -> str:
    """The whole report as one HTML document.

    `charts` are by pool id; `rows` and `replays` come from a replay, `ours` names the scaler in it that is
    compared with `static` and `hpa`, `violation_target` is the share that was asked of it. `generated` says,
    where the world is made up, that it is and how; `assumptions` are lines put before the standing ones.
    """
    drawn: dict[str, Any] = {}
    sections = [
        _pool(f"{number}", name, plan, pools.get(name))
        | _figures(
            f"{number}",
            charts.get(name),
            plan,
            [r for r in replays if r.pool == name],
            drawn,
            what=_what(pools.get(name)),
        )
        for number, name in enumerate(_names(pools, charts, replays))
    ]
    if rows:
        drawn["cost"] = figures.cost_bars(rows, target=violation_target)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dashboards"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=inert(title, 120),
        policy=CONTENT_SECURITY_POLICY,
        generated=wording.prose(generated),
        plan=_head(plan, charts),
        tiles=_tiles(plan, pools, rows, ours, violation_target),
        actions=[_action(action, plan, pools, charts.get(action.target)) for action in plan.actions],
        held=[_held(held, pools.get(held.action.target)) for held in plan.held],
        floors=wording.floors(pools.values()),
        findings=[_finding(finding) for finding in plan.findings],
        totals=_totals(plan),
        gaps=[
            (wording.name(gap.source), wording.prose(gap.why), wording.name(gap.code)) for gap in plan.gaps
        ],
        complete=plan.complete,
        replay=_replay(rows, ours),
        asked="" if violation_target is None else format_share(violation_target),
        pools=sections,
        assumptions=[wording.prose(line) for line in assumptions],
        plotly=get_plotlyjs(),
        figures=_script_json({name: json.loads(figure.to_json()) for name, figure in drawn.items()}),
    )


def _script_json(value: object) -> str:
    # Inside <script> only these could end it or start a comment.
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _names(
    pools: Mapping[str, Pool], charts: Mapping[str, Chart], replays: Iterable[ReplayChart]
) -> list[str]:
    return list(dict.fromkeys([*pools, *charts, *(chart.pool for chart in replays)]))


def _head(plan: Plan, charts: Mapping[str, Chart]) -> dict[str, str]:
    return {
        "id": plan.id,
        "verdict": wording.verdict(plan).removeprefix("Plan: "),
        "made": wording.moment(plan.made_at),
        "expires": wording.moment(plan.expires_at),
        "data_until": wording.data_until(charts, plan.made_at) or "unknown",
        "digests": ", ".join(
            f"{label} {wording.name(text)}"
            for label, text in (
                ("snapshot", plan.snapshot_digest),
                ("policy", plan.policy_digest),
                ("forecasts", plan.forecasts_digest),
            )
        ),
    }


def _tiles(
    plan: Plan, pools: Mapping[str, Pool], rows: Sequence[ReplayRow], ours: str, target: float | None
) -> list[_Tile]:
    money = spend(pools, plan)
    delta = plan.hourly_delta_usd(billable=True).mid
    share = f"{(money.after / money.before - 1) * 100:+.1f} %, " if money.before else ""
    without = (
        f", without {', '.join(wording.name(pool, 24) for pool in money.unpriced)}" if money.unpriced else ""
    )
    tiles = [
        _Tile(
            label="Hourly bill",
            value=f"${money.before:,.2f} → ${money.after:,.2f}",
            note=f"{share}all billable pools{without}",
        ),
        _Tile(
            label="A month, if it stayed so",
            value=wording.monthly(delta).removesuffix("/month"),
            note="730 hours",
        ),
        _Tile(
            label="Changes",
            value=wording.counts(plan).rsplit(", ", 1)[0],
            note=f"{len(plan.actions)} ready to apply",
        ),
        _Tile(label="Held", value=str(len(plan.held)), note=_guards(plan)),
    ]
    return tiles + _replay_tiles(rows, ours, target)


def _guards(plan: Plan) -> str:
    codes = [held.guard.value for held in plan.held]
    named = (code.lower().replace("_", " ") for code in dict.fromkeys(codes))
    return ", ".join(named) or "no guard stood in the way"


def _replay_tiles(rows: Sequence[ReplayRow], ours: str, target: float | None) -> list[_Tile]:
    mine = [row.violation for row in rows if row.scaler == ours]
    if not mine:
        return []
    others = [
        f"{name} {format_share(fmean(row.violation for row in rows if row.scaler == scaler))}"
        for scaler, name in (("hpa", "HPA"), ("static", "static"))
        if scaler != ours and any(row.scaler == scaler for row in rows)
    ]
    asked = [] if target is None else [f"asked {format_share(target)}"]
    tiles = [
        _Tile(label="Violation in replay", value=format_share(fmean(mine)), note=", ".join(asked + others))
    ]
    means = {name: _mean_ratio(rows, ours, scaler) for scaler, name in (("hpa", "HPA"), ("static", "static"))}
    costs = [f"{ratio:.2f} × {name}" for name, ratio in means.items() if ratio is not None]
    if costs:
        pools = len({row.pool for row in rows})
        note = ", ".join([*costs[1:], f"geometric mean of {pools} pools"])
        tiles.append(_Tile(label="Cost in replay", value=costs[0], note=note))
    return tiles


def _mean_ratio(rows: Sequence[ReplayRow], ours: str, baseline: str) -> float | None:
    """The geometric mean over the pools of our cost over the baseline's; None where it was not run."""
    ratios = [ratio for (_, scaler), ratio in of_baseline(rows, baseline).items() if scaler == ours]
    return geometric_mean(ratios) if ratios and ours != baseline and min(ratios) > 0 else None


def _money(action: Action) -> tuple[str, str]:
    if action.hourly_delta_usd is None:
        return "unknown", "unknown"
    usd = action.hourly_delta_usd.mid
    return wording.hourly(usd), wording.monthly(usd)


def _what(pool: Pool | None) -> str:
    """What the sizes of a pool are."""
    return "floor" if wording.floor(pool) else "capacity"


def _units(action: Action, pool: Pool | None) -> str:
    floor = "floor " if wording.floor(pool) else ""
    return floor + wording.size(action).removesuffix(" units").replace("->", "→")


def _action(action: Action, plan: Plan, pools: Mapping[str, Pool], chart: Chart | None) -> dict[str, Any]:
    hourly, monthly = _money(action)
    sign = wording.symbol(action)
    pool = pools.get(action.target)
    floor = wording.floor(pool)
    notes = ["" if action.billable else "allocated, not billed", wording.AT_MOST if floor else ""]
    notes.append(wording.usd_range(action.hourly_delta_usd))
    return {
        "sign": {"-": "−"}.get(sign, sign),
        "tone": {"+": "grow", "-": "shrink"}.get(sign, "change"),
        "pool": wording.name(action.target),
        "units": _units(action, pool),
        "hourly": hourly,
        "monthly": monthly,
        "note": "; ".join(filter(None, notes)),
        "hands": [hand for hand in (floor, wording.reader(pool)) if hand],
        "why": wording.reason(action),
        "facts": wording.evidence(action, pool),
        "sure": wording.assurance(action, chart),
        "sure_words": _within(action, plan, pool, chart),
        "id": action.id,
    }


def _within(action: Action, plan: Plan, pool: Pool | None, chart: Chart | None) -> str:
    """What stands under the confidence: what it is that is so sure."""
    if action.confidence is None:
        return "no forecast"
    words = wording.confidence(action, plan, pool, chart)
    return words.partition(" that demand stays ")[2] or words


def _held(held: Held, pool: Pool | None) -> dict[str, str]:
    return {
        "pool": wording.name(held.action.target),
        "units": _units(held.action, pool),
        "guard": held.guard.value,
        "until": wording.until(held),
        "why": wording.guard(held),
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "check": wording.name(finding.check),
        "resource": wording.name(finding.resource),
        "monthly": wording.whole_usd(finding.monthly_usd.mid),
        "sure": wording.probability(finding.confidence),
        "facts": wording.facts(finding.evidence),
    }


def _totals(plan: Plan) -> list[tuple[str, str, str]]:
    lines = []
    for label, billable in (("billable", True), ("allocated, not in the bill by itself", False)):
        if billable or any(action.billable is billable for action in plan.actions):
            usd = plan.hourly_delta_usd(billable=billable).mid
            lines.append((label, wording.hourly(usd), wording.monthly(usd)))
    return lines


def _replay(rows: Sequence[ReplayRow], ours: str) -> list[dict[str, str]]:
    against = of_baseline(rows)
    lines = []
    for row in rows:
        of_hpa = against.get((row.pool, row.scaler))
        lines.append(
            {
                "pool": wording.name(row.pool),
                "scaler": wording.name(row.scaler),
                "tone": "ours" if row.scaler == ours else "",
                "cost": f"{row.cost_unit_hours:,.0f}",
                "usd": "–" if row.cost_usd is None else wording.whole_usd(row.cost_usd),
                "clairvoyant": "–" if row.of_clairvoyant is None else f"{row.of_clairvoyant:.2f}",
                "hpa": "–" if of_hpa is None else f"{of_hpa:.2f}",
                "violation": format_share(row.violation),
                "unserved": format_share(row.unserved),
                "actions": f"{row.actions_per_day:.1f}",
            }
        )
    return lines


def _planned(plan: Plan, name: str) -> Action | None:
    return next((action for action in plan.actions if action.target == name), None)


def _pool(number: str, name: str, plan: Plan, pool: Pool | None) -> dict[str, Any]:
    """The words of one pool's section."""
    action = _planned(plan, name)
    held = [entry for entry in plan.held if entry.action.target == name]
    return {
        "anchor": f"pool-{number}",
        "name": wording.name(name),
        "about": _about(pool) if pool else "",
        "change": f"{_units(action, pool)} units, {wording.reason(action)}" if action else "",
        "hands": [hand for hand in (wording.floor(pool), wording.reader(pool)) if hand],
        "held": [f"{entry.guard.value}: {wording.guard(entry)}" for entry in held],
    }


def _figures(
    number: str,
    chart: Chart | None,
    plan: Plan,
    replays: Sequence[ReplayChart],
    drawn: dict[str, Any],
    *,
    what: str,
) -> dict[str, Any]:
    """The figures of one pool, put into `drawn` under the ids that are returned with their words.

    `what` its sizes are: its capacity, or its floor.
    """
    parts: list[dict[str, str]] = []
    if chart is not None and chart.seen_until is not None:
        action = _planned(plan, chart.pool_id)
        after = action.after if action else None
        drawn[f"fan-{number}"] = figures.fan(chart, after=after, until=plan.expires_at, what=what)
        words = _fan_words(chart, plan, what)
        parts.append({"id": f"fan-{number}", "title": "Demand and forecast", "words": words})
    for replay in replays:
        drawn[f"replay-{number}"] = figures.capacity(replay.stamps, replay.demand, replay.ready)
        words = _replay_words(replay)
        parts.append({"id": f"replay-{number}", "title": "Capacity against demand, replayed", "words": words})
    return {"figures": parts, "notes": [wording.prose(note) for note in chart.notes] if chart else []}


def _about(pool: Pool) -> str:
    price = unit_usd(pool)
    what = "a floor of " if wording.floor(pool) else ""
    parts = (
        f"{pool.kind.value} on {wording.name(pool.provider)}: {what}{pool.desired:,} units wanted",
        f"{pool.ready_units:,} ready",
        f"{pool.minimum:,} to {pool.maximum:,} allowed",
        f"lead time {format_duration(pool.lead_time_s)}",
        "price unknown" if price is None else f"{wording.hourly(price.mid).lstrip('+')} a unit",
    )
    return ", ".join(parts)


def _fan_words(chart: Chart, plan: Plan, what: str) -> str:
    finite = chart.history[np.isfinite(chart.history)]
    absent = 1 - len(finite) / len(chart.history)
    unit = inert(chart.unit, 24)
    span = f"{wording.number(float(finite.min()))} to {wording.number(float(finite.max()))} {unit}"
    words = f"Seen for {format_duration(len(chart.history) * chart.step_s)}: {span}"
    if absent:
        words += f", {format_share(absent)} of it absent"
    if len(chart.values) and chart.levels:
        peaks = chart.values.max(axis=0)
        tops = ", ".join(
            f"p{wording.number(level * 100)} up to {wording.number(float(peak))}"
            for level, peak in zip(chart.levels, peaks, strict=True)
        )
        ahead = format_duration(len(chart.values) * chart.forecast_step_s)
        step = format_duration(chart.forecast_step_s)
        words += f". The next {ahead} in steps of {step}, by {wording.name(chart.model) or 'a model'}: {tops}"
    else:
        words += ". No forecast"
    if chart.capacity is not None:
        expires = wording.moment(plan.expires_at, near=plan.made_at)
        drawn = f"{what.capitalize()} is that of this plan, drawn until it expires at {expires}"
        words += f". {drawn}: later plans size anew"
    return f"{words}. {figures.thinning(chart.stamps(), len(chart.history))}".strip()


def _replay_words(replay: ReplayChart) -> str:
    known = np.isfinite(replay.demand)
    parts = []
    for name, ready in replay.ready.items():
        short = replay.demand[known] > ready[known]
        violation = format_share(float(short.mean())) if known.any() else "unknown"
        mean = float(ready[known].mean()) if known.any() else float("nan")
        parts.append(f"{wording.name(name)} {wording.number(mean)} units on average, violation {violation}")
    return f"{'; '.join(parts)}. {figures.thinning(replay.stamps, len(replay.demand))}".strip()
