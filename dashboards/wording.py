"""The words and figures of a plan: reasons, guards, facts, money, moments; the same in every view."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from dashboards.ink import inert
from dashboards.views import Chart, seen_until
from policies.model import SERVED, Pool
from policies.plan import Action, ActionKind, Fact, Guard, Held, Plan, Reason, UsdRange
from policies.units import HOURS_A_MONTH, format_duration, format_share, format_usd

Steps = tuple[tuple[str, str], ...]

NAME_LIMIT = 48
LATE_NAMED = 3  # pools whose metrics ended early, in the head of a plan
PROSE_LIMIT = 400

_REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.FORECAST_PEAK: "the forecast's peak is above what {before} serve{s}",
        Reason.OWN_PAST: "the rules that did best on its own past ask for more than {before}",
        Reason.LIVE_DEMAND: "demand now is above what {before} serve{s}",
        Reason.DEMAND_LOW: "demand and its forecast fit into {after}",
        Reason.BELOW_MINIMUM: "{before} {are} below the pool's minimum",
        Reason.ABOVE_MAXIMUM: "{before} {are} above the pool's maximum",
        Reason.UNDO: "takes an earlier change back",
    }
)
_GUARDS: Mapping[Guard, str] = MappingProxyType(
    {
        Guard.INSUFFICIENT_DATA: "its metrics are not sound enough to act on",
        Guard.MAXIMUM: "the pool's maximum is reached",
        Guard.LIVE_DEMAND: "demand now needs these units",
        Guard.FROZEN: "a freeze is in force",
        Guard.PROTECTED: "the pool is protected",
        Guard.COOL_DOWN: "the pool was changed a short while ago",
        Guard.STEP: "more than one step allows at once",
        Guard.CHANGE_BUDGET: "the change budget of this window is used up",
        Guard.SERVICE_LEVEL: "its service level is bad",
        Guard.INCIDENT: "an incident is open",
        Guard.DEPLOYING: "a deployment is under way",
        Guard.ZONE_IMPAIRED: "a zone is impaired",
        Guard.UNREADY: "too many of its units do not serve",
        Guard.WARM_UP: "the daemon has only just started",
        Guard.RECENT_GROWTH: "the pool grew a short while ago",
        Guard.PENDING_WORK: "work waits for capacity",
        Guard.IN_FLIGHT: "an earlier change is not settled yet",
        Guard.FREEZE_WINDOW: "a freeze window is open",
        Guard.FLAPPING: "the pool was turned back and forth",
        Guard.OWNED: "another controller sets its size",
        Guard.SUSPENDED: "its owner suspended it",
        Guard.NODE_PRESSURE: "its nodes are short of a resource",
        Guard.DISRUPTION_BUDGET: "a disruption budget is used up",
        Guard.MONEY_BUDGET: "the money budget of this window is used up",
        Guard.FLEET_SHARE: "more of the fleet than may shrink without approval",
        Guard.MODE: "the pool is only observed",
        Guard.APPROVAL: "it waits for approval",
        Guard.NOT_CONFIRMED: "a second look did not confirm it",
        Guard.LEASE: "this process does not lead",
    }
)
_LIFTED_BY: Mapping[Guard, str] = MappingProxyType(
    {
        Guard.INSUFFICIENT_DATA: "until its metrics are sound again",
        Guard.OWNED: "until that one lets go of it",
        Guard.SUSPENDED: "until its owner resumes it",
        Guard.NODE_PRESSURE: "until they have room again",
        Guard.DISRUPTION_BUDGET: "until it allows a disruption",
        Guard.MAXIMUM: "until its maximum is raised",
        Guard.LIVE_DEMAND: "until demand falls",
        Guard.FROZEN: "until the freeze is lifted",
        Guard.PROTECTED: "until its protection is lifted",
        Guard.COOL_DOWN: "until its cool-down is over",
        Guard.STEP: "until the next plan",
        Guard.CHANGE_BUDGET: "until the budget has room",
        Guard.SERVICE_LEVEL: "until the service level is good again",
        Guard.INCIDENT: "until the incident is over",
        Guard.DEPLOYING: "until the deployment is done",
        Guard.ZONE_IMPAIRED: "until the zone is sound again",
        Guard.UNREADY: "until its units serve",
        Guard.WARM_UP: "until it has watched long enough",
        Guard.RECENT_GROWTH: "until its growth is settled",
        Guard.PENDING_WORK: "until no work waits",
        Guard.IN_FLIGHT: "until the earlier change is settled",
        Guard.FREEZE_WINDOW: "until the window closes",
        Guard.FLAPPING: "until it has been calm",
        Guard.MONEY_BUDGET: "until the budget has room",
        Guard.FLEET_SHARE: "until a person approves it",
        Guard.MODE: "until its mode allows it",
        Guard.APPROVAL: "until a person approves it",
        Guard.NOT_CONFIRMED: "until the next plan",
        Guard.LEASE: "until it leads",
    }
)
_WEIGHED = ("averaged: ", "runner-up: ")
_SECONDS = re.compile(r"(\d{1,9}) s")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


def name(text: str, limit: int = NAME_LIMIT) -> str:
    """A name as it may be shown: inert, and cut."""
    return inert(text, limit) or '""'


def prose(text: str) -> str:
    """One line of words from elsewhere, inert and cut; stamps in it are written as moments."""
    line = inert(" ".join(text.split()), PROSE_LIMIT)
    return _STAMP.sub(lambda stamp: _moment_of(stamp[0]), line)


def _moment_of(stamp: str) -> str:
    try:
        return moment(datetime.fromisoformat(stamp))
    except ValueError:
        return stamp  # looks like a stamp and is none: the 31st of February


def moment(when: datetime, *, near: datetime | None = None) -> str:
    """`2026-11-23 10:05Z`; only `10:05Z` on the UTC day of `near`."""
    utc = when.astimezone(UTC)
    short = near is not None and near.astimezone(UTC).date() == utc.date()
    return f"{utc:%H:%MZ}" if short else f"{utc:%Y-%m-%d %H:%MZ}"


def symbol(action: Action) -> str:
    """`+` grows, `-` shrinks, `~` changes otherwise."""
    return {ActionKind.SCALE_OUT: "+", ActionKind.SCALE_IN: "-"}.get(action.kind, "~")


def hourly(usd: float) -> str:
    """`+$0.384/h`."""
    return f"{format_usd(usd, signed=True)}/h"


def monthly(usd: float) -> str:
    """`+$280/month` from USD an hour: 730 hours."""
    return f"{whole_usd(usd * HOURS_A_MONTH, signed=True)}/month"


def whole_usd(usd: float, *, signed: bool = False) -> str:
    """Whole dollars from ten on: cents of a month only distract."""
    if abs(usd) < 9.995:
        return format_usd(usd, signed=signed)
    sign = "-" if usd < 0 else "+" if signed else ""
    return f"{sign}${abs(usd):,.0f}"


def usd_range(delta: UsdRange | None) -> str:
    """`from +$0.30/h +$218/month to +$0.46/h +$337/month`; empty where low and high are the same."""
    if delta is None or delta.low == delta.high:
        return ""
    low, high = (f"{hourly(usd)} {monthly(usd)}" for usd in (delta.low, delta.high))
    return f"from {low} to {high}, by offering"


def reason(action: Action) -> str:
    """The reason code in words."""
    s, are = ("s", "is") if action.before == 1 else ("", "are")
    before, after = units(action.before), units(action.after)
    return _REASONS[action.reason].format(before=before, after=after, s=s, are=are)


def units(count: int) -> str:
    """`1 unit`, `20 units`."""
    return "1 unit" if count == 1 else f"{count} units"


def floor(pool: Pool | None) -> str:
    """Which floor the sizes of a pool are, and who sets what is above it; "" where they are its own."""
    if pool is None or not pool.lever:
        return ""
    return f"{prose(pool.lever)}; above it that one sets the size by itself"


def reader(pool: Pool | None) -> str:
    """Who brings a size about that is never ours to set, "" where it is."""
    name_of = "" if pool is None else pool.labels.get(SERVED, "")
    return f"{prose(name_of)} sets it, from what is served; there is nothing to apply" if name_of else ""


AT_MOST = "at most: what runs above the floor anyway adds nothing"  # of the money of a floor
_HOW = {"sets", "set by"}  # facts that `floor` and `reader` tell


def floors(pools: Iterable[Pool]) -> str:
    """Of how many pools the sizes are floors, as a sentence; "" where of none."""
    count = sum(bool(pool.lever) for pool in pools)
    whose = "1 pool is its floor" if count == 1 else f"{count} pools is their floor"
    return f"The size of {whose} here." if count else ""


def evidence(action: Action, pool: Pool | None) -> str:
    """The facts of an action in one line, without those that `floor` and `reader` tell of its pool."""
    told = bool(floor(pool) or reader(pool))
    return facts(entry for entry in action.because if not (told and entry.name in _HOW))


def applicable(plan: Plan, pools: Mapping[str, Pool]) -> bool:
    """Whether there is anything to apply: not where all that changes reads what is served."""
    return not plan.actions or not all(reader(pools.get(action.target)) for action in plan.actions)


def stopping(action: Action) -> str:
    """`1 unit stops`, `20 units stop`."""
    return "1 unit stops" if action.disruption == 1 else f"{action.disruption:,} units stop"


def guard(held: Held) -> str:
    """Why a guard held it: its own line, else what the guard is for."""
    return prose(held.why) or _GUARDS[held.guard]


def until(held: Held) -> str:
    """When it may be asked again, or what must happen first."""
    return f"until {moment(held.until)}" if held.until else _LIFTED_BY[held.guard]


def number(value: float) -> str:
    """`1,234`, `13.4`, `0.0213`: three significant figures, whole ones as they are."""
    if not math.isfinite(value):
        return "unknown"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def quantity(fact: Fact) -> str:
    """The value of a fact with its unit, as people write it."""
    value, unit = fact.value, inert(fact.unit, 24)
    if isinstance(value, str):
        text = _moment_of(value) if _STAMP.fullmatch(value) else _words(value)
    elif unit in {"share", "fraction"}:
        return format_share(value)
    elif unit in {"s", "seconds"}:
        return format_duration(value)
    else:
        text = number(value)
    return f"{text} {unit}" if unit else text


def fact(entry: Fact) -> str:
    """`forecast p99 13.4 units (next 5m)`."""
    said = isinstance(entry.value, str) and " " in entry.value  # words, and no figure or name
    words = f"{name(entry.name).replace('_', ' ')}{':' if said else ''} {quantity(entry)}"
    return f"{words} ({_window(entry.window)})" if entry.window else words


def _window(text: str) -> str:
    seconds = _SECONDS.fullmatch(text)
    return format_duration(int(seconds[1])) if seconds else _words(text)


def _words(text: str) -> str:
    """A sentence whole, a name cut."""
    return prose(text) if " " in text else name(text)


def facts(entries: Iterable[Fact]) -> str:
    """The facts in one line, without the plans that a portfolio weighed: those are for who asks."""
    return " · ".join(fact(entry) for entry in entries if not entry.name.startswith(_WEIGHED))


def probability(value: float) -> str:
    """`97 %`, `99.5 %`, `over 99.9 %`: never rounded to certainty."""
    percent = value * 100
    if percent > 99.9:
        return "over 99.9 %"
    if percent < 1:
        return "under 1 %"
    return f"{percent:.0f} %" if percent < 99 or percent == int(percent) else f"{percent:.1f} %"


def assurance(action: Action, chart: Chart | None = None) -> str:
    """The confidence of an action in a word or two.

    Zero is not "impossible": it is what stands where even the lowest forecast level is above the size.
    """
    if action.confidence is None:
        return "no assurance"
    if action.confidence > 0:
        return probability(action.confidence)
    lowest = _lowest(chart)
    return f"under {number(lowest[0] * 100)} %" if lowest else "below the forecast"


def confidence(action: Action, plan: Plan, pool: Pool | None, chart: Chart | None = None) -> str:
    """`97 % that demand stays within 14 until 10:05Z`; says so where no forecast has a share in the size.

    Where demand is forecast above the size, that is said, with the lowest quantile of `chart`.
    """
    if action.confidence is None:
        replayed = any(fact.name == "own past" for fact in action.because)
        return "by replay of its own past" if replayed else "no assurance: no forecast stands behind it"
    if action.confidence <= 0:
        return shortfall(action, chart)
    words = f"{assurance(action)} that demand stays within {action.after:,}"
    if pool is None:
        return f"{words} over the lead time"
    return f"{words} until {moment(plan.made_at + timedelta(seconds=pool.lead_time_s), near=plan.made_at)}"


def shortfall(action: Action, chart: Chart | None) -> str:
    """`demand is likely above 7 (p50 9.1)`, for an action whose size lies below every level."""
    lowest = _lowest(chart)
    if lowest is None:
        return f"every level of the forecast is above {action.after:,}"
    level, peak = lowest
    word = "is likely" if level <= 0.5 else "may well be"
    return f"demand {word} above {action.after:,} (p{number(level * 100)} {number(peak)})"


def _lowest(chart: Chart | None) -> tuple[float, float] | None:
    """The lowest level and its largest quantile over the lead time, where both are known."""
    if chart is None or not chart.levels or not chart.peaks or not math.isfinite(chart.peaks[0]):
        return None
    return chart.levels[0], chart.peaks[0]


def data_until(charts: Mapping[str, Chart], now: datetime | None = None) -> str:
    """`2026-11-23 09:50Z, search 07:15Z`: when samples end, and whose ended earlier; empty without any.

    A step that is not over yet is seen until `now`.
    """
    newest, late = seen_until(charts)
    if newest is None:
        return ""
    parts = [moment(newest if now is None else min(newest, now))]
    parts += [
        f"{name(pool, 24)} {moment(until, near=newest)}" for pool, until in [*late.items()][:LATE_NAMED]
    ]
    return ", ".join(parts) + (f" and {len(late) - LATE_NAMED} pools more" if len(late) > LATE_NAMED else "")


def steps(plan: Plan, *, saved_as: str = "", config: str = "") -> Steps:
    """What to type next about a plan that nobody applied yet, as (label, command).

    `saved_as` is the file it was written to, `config` the `--config` that it was made with.
    """
    flag = f" --config {shlex.quote(inert(config))}" if config else ""
    why = ("Why", f"loadline explain {plan.id}{flag}")
    if not plan.actions:
        return (why,) if plan.held else ()
    what = shlex.quote(inert(saved_as)) if saved_as else plan.id
    undo = ("Undo", f"loadline undo {plan.id}{flag}, once it is applied")
    return ("Apply", f"loadline apply {what}{flag}"), why, undo


def size(action: Action) -> str:
    """`10 -> 14 units`."""
    return f"{action.before:,} -> {action.after:,} units"


def counts(plan: Plan) -> str:
    """`2 out, 3 in, 1 held`."""
    grown = sum(action.kind is ActionKind.SCALE_OUT for action in plan.actions)
    shrunk = sum(action.kind is ActionKind.SCALE_IN for action in plan.actions)
    other = len(plan.actions) - grown - shrunk
    parts = [f"{grown} out", f"{shrunk} in", f"{other} other" if other else "", f"{len(plan.held)} held"]
    return ", ".join(part for part in parts if part)


def verdict(plan: Plan) -> str:
    """The plan in one friendly line."""
    if plan.actions:
        return f"Plan: {counts(plan)}"
    if plan.held:
        return f"Nothing to apply: {len(plan.held)} wanted, all held."
    if plan.gaps:
        return "Nothing to change, as far as could be seen."
    return "Nothing to change: every pool is the size its demand and forecast ask for."
