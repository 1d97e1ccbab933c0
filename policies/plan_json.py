"""A plan as canonical JSON, and back: what was changed after it was made is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from policies.model import Gap, canonical, plain
from policies.plan import (
    FORMAT_VERSION,
    Action,
    ActionKind,
    Fact,
    Finding,
    Guard,
    Held,
    Plan,
    PlanError,
    Reason,
    UndoClass,
    UsdRange,
    kind_of,
)


def plan_to_json(plan: Plan) -> str:
    """Canonical JSON: one text for one plan."""
    return canonical(plan)


def plan_from_json(text: str) -> Plan:
    """Read what `plan_to_json` wrote. A changed id, an unknown key or a wrong type is a PlanError."""
    try:
        raw = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, and 5,000 brackets
        raise PlanError(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise PlanError("a plan is a JSON object")
    if "what_if" in raw:
        raise PlanError(
            "an outlook and no plan: nothing of it can be applied; `loadline plan --out` writes one"
        )
    if raw.get("format_version") != FORMAT_VERSION:
        raise PlanError(
            f"format_version is {raw.get('format_version')!r}; this program reads {FORMAT_VERSION}"
        )
    try:
        plan = _plan(raw)
    except KeyError as error:
        raise PlanError(f"the key {error} is missing") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise PlanError(str(error)) from None
    if plain(plan) != raw:
        named = next((k for k in {**raw, **plain(plan)} if plain(plan).get(k) != raw.get(k)), "id")
        raise PlanError(f"{named} does not fit the plan's content: it was changed after it was made")
    return plan


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise PlanError(f"{text} has no time zone")
    return moment


def _no_number(text: str) -> float:
    raise PlanError(f"{text} is no number of JSON")


def _facts(raw: Iterable[Mapping[str, Any]]) -> tuple[Fact, ...]:
    for fact in raw:
        for name in ("name", "unit", "source", "window"):
            _text(fact, name)
        if not isinstance(fact["value"], str):
            _number(fact, "value")
    return tuple(Fact(**fact) for fact in raw)


def _usd(raw: Mapping[str, Any], name: str) -> UsdRange:
    low, mid, high = (_number({name: value}, name) for value in raw[name])
    if not low <= mid <= high:
        raise PlanError(f"{name} is {raw[name]}, not low, mid and high in order")
    return UsdRange(low, mid, high)


def _whole(raw: Mapping[str, Any], name: str) -> int:
    value = raw[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise PlanError(f"{name} is {value!r}, not a whole number")
    return value


def _number(raw: Mapping[str, Any], name: str) -> float:
    value = raw[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) == float("inf"):
        raise PlanError(f"{name} is {value!r}, not a finite number")
    return value


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str):
        raise PlanError(f"{name} is {value!r}, not a text")
    return value


def _truth(raw: Mapping[str, Any], name: str) -> bool:
    value = raw[name]
    if not isinstance(value, bool):
        raise PlanError(f"{name} is {value!r}, neither true nor false")
    return value


def _action(raw: Mapping[str, Any]) -> Action:
    before, after = _whole(raw, "before"), _whole(raw, "after")
    if before < 0 or after < 0 or before == after:
        raise PlanError(f"before is {before} and after is {after}: no change of size")
    if raw["kind"] != kind_of(before, after):
        raise PlanError(f"kind is {raw['kind']!r}, but {before} to {after} is {kind_of(before, after)}")
    return Action(
        kind=ActionKind(raw["kind"]),
        target=_text(raw, "target"),
        before=before,
        after=after,
        version=_text(raw, "version"),
        reason=Reason(raw["reason"]),
        because=_facts(raw["because"]),
        hourly_delta_usd=None if raw["hourly_delta_usd"] is None else _usd(raw, "hourly_delta_usd"),
        billable=_truth(raw, "billable"),
        confidence=None if raw["confidence"] is None else _number(raw, "confidence"),
        disruption=_whole(raw, "disruption"),
        undo_class=UndoClass(raw["undo_class"]),
        not_before=_moment(raw["not_before"]),
        expires_at=_moment(raw["expires_at"]),
    )


def _held(raw: Mapping[str, Any]) -> Held:
    until = raw["until"]
    return Held(
        action=_action(raw["action"]),
        guard=Guard(raw["guard"]),
        until=None if until is None else _moment(until),
        why=_text(raw, "why"),
    )


def _finding(raw: Mapping[str, Any]) -> Finding:
    return Finding(
        check=_text(raw, "check"),
        resource=_text(raw, "resource"),
        evidence=_facts(raw["evidence"]),
        monthly_usd=_usd(raw, "monthly_usd"),
        confidence=_number(raw, "confidence"),
        regret=None if raw["regret"] is None else _number(raw, "regret"),
        remedy=None if raw["remedy"] is None else _action(raw["remedy"]),
    )


def _plan(raw: Mapping[str, Any]) -> Plan:
    return Plan(
        made_at=_moment(raw["made_at"]),
        expires_at=_moment(raw["expires_at"]),
        snapshot_digest=_text(raw, "snapshot_digest"),
        policy_digest=_text(raw, "policy_digest"),
        forecasts_digest=_text(raw, "forecasts_digest"),
        actions=tuple(_action(entry) for entry in raw["actions"]),
        held=tuple(_held(entry) for entry in raw["held"]),
        findings=tuple(_finding(entry) for entry in raw["findings"]),
        gaps=tuple(
            Gap(source=_text(gap, "source"), code=_text(gap, "code"), why=_text(gap, "why"))
            for gap in raw["gaps"]
        ),
        complete=_truth(raw, "complete"),
    )
