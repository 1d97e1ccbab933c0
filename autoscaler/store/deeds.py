"""Intents with what became of them, read back; their keys, and moments as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from autoscaler.errors import StoreError
from autoscaler.store.tables import IntentRow, OutcomeRow
from policies.deeds import Deed
from policies.plan import Change, Outcome, Plan, PlanError, Status
from policies.plan_json import plan_from_json

_INTENT = IntentRow.__table__  # type: ignore[attr-defined]
_OUTCOME = OutcomeRow.__table__  # type: ignore[attr-defined]
Places = Mapping[str, str]  # where each pool is today, by its name
NOWHERE: Places = MappingProxyType({})
_NAMED = 5  # candidates that an ambiguous prefix lists


def moment_text(moment: datetime) -> str:
    """Like `iso`, always with microseconds: so that the order of the text is that of time."""
    if moment.tzinfo is None:
        raise StoreError(f"{moment} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def key_text(store: str, row: int, action_id: str) -> str:
    """The idempotency key of an intent: it names the store and the intent's row."""
    return f"{store}-{row}-{action_id}"


def intent(connection: Connection, store: str, key: str) -> Row[Any]:
    """The row of the intent with that key; StoreError where there is none in this store."""
    mine, _, rest = key.partition("-")
    row, _, action_id = rest.partition("-")
    found = None
    if mine == store and row.isdecimal():
        query = select(_INTENT).where(_INTENT.c.row == int(row), _INTENT.c.action_id == action_id)
        found = connection.execute(query).one_or_none()
    if found is None:
        raise StoreError(f"there is no intent with the key {key} in this store")
    return found


def elsewhere(place: str | None, target: str, places: Places) -> bool:
    """Whether a pool is known to be at another place today than that one; what tells none is of today's."""
    return bool(place) and places.get(target, place) != place


def read(
    connection: Connection, store: str, intents: Select[Any], places: Places = NOWHERE
) -> tuple[Deed, ...]:
    """The deeds of the intents that a query selects, each with its newest outcome, oldest first."""
    asked = intents.subquery()
    latest = (
        select(func.max(_OUTCOME.c.row)).where(_OUTCOME.c.intent_row == asked.c.row).correlate(asked)
    ).scalar_subquery()
    query = (
        select(_OUTCOME, *(asked.c[name].label(f"intent_{told}") for name, told in _OF_INTENT.items()))
        .select_from(asked.outerjoin(_OUTCOME, _OUTCOME.c.row == latest))
        .order_by(asked.c.row)
    )
    return tuple(_deed(store, row, places) for row in connection.execute(query))


_OF_INTENT = {  # its columns, and how they are called beside those of the outcome
    **{name: name for name in ("plan_id", "at", "body", "generation", "place")},
    "row": "number",
}


def _deed(store: str, row: Any, places: Places) -> Deed:
    (action,) = read_plan(row.intent_body).actions
    outcome = None
    if row.status is not None:
        outcome = Outcome(
            action_id=action.id,
            status=Status(row.status),
            at=datetime.fromisoformat(row.at),
            observed_after=row.observed_after,
            error=row.error,
        )
    moved = elsewhere(row.intent_place, action.target, places)
    return Deed(
        key=key_text(store, row.intent_number, action.id),
        plan_id=row.intent_plan_id,
        action=action,
        at=datetime.fromisoformat(row.intent_at),
        outcome=outcome,
        change=change(row, elsewhere=moved),
        generation=row.intent_generation or 0,
        place=row.intent_place or "",
        elsewhere=moved,
    )


def change(row: Row[Any], *, elsewhere: bool) -> Change | None:
    """The change that an outcome tells of, None where nothing was changed."""
    if row.changed_at is None:
        return None
    return Change(
        target=row.changed_target,
        at=datetime.fromisoformat(row.changed_at),
        before=row.changed_before,
        after=row.changed_after,
        elsewhere=elsewhere,
    )


def read_plan(body: str) -> Plan:
    """A stored plan; StoreError where its text was changed."""
    try:
        return plan_from_json(body)
    except PlanError as error:
        raise StoreError(f"a stored plan cannot be read: {error}") from error


def resolved(connection: Connection, column: Any, prefix: str, word: str) -> str | None:
    """The one id that is, or begins with, `prefix`; None where none does."""
    if not prefix:
        return None
    begins = func.substr(column, 1, len(prefix)) == prefix
    found = sorted(connection.execute(select(column).where(begins).distinct()).scalars())
    if prefix in found or len(found) == 1:
        return prefix if prefix in found else found[0]
    if not found:
        return None
    some = ", ".join(found[:_NAMED]) + (" and more" if len(found) > _NAMED else "")
    raise StoreError(f"{len(found)} {word} begin with {prefix}: {some}; write more of it")
