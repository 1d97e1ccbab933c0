"""What was planned, intended and done: insert-only by trigger, and on the disk before anything is tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, func, insert, select

from autoscaler.errors import StoreError
from autoscaler.store.database import identity, reading, writing
from autoscaler.store.tables import IntentRow, OutcomeRow, PlanRow, ProposalRow, SightingRow
from policies.plan import Action, Change, Guard, Outcome, Plan, PlanError, Status
from policies.plan_json import plan_from_json, plan_to_json

_PLAN = PlanRow.__table__  # type: ignore[attr-defined]
_PROPOSAL = ProposalRow.__table__  # type: ignore[attr-defined]
_SIGHTING = SightingRow.__table__  # type: ignore[attr-defined]
_INTENT = IntentRow.__table__  # type: ignore[attr-defined]
_OUTCOME = OutcomeRow.__table__  # type: ignore[attr-defined]
_NAMED = 5  # candidates that an ambiguous prefix lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """An intent and what became of it; `outcome` is None where nothing was written after it.

    It is in doubt while there is no outcome, or only one that says unknown. `change` is what was really made.
    """

    key: str
    plan_id: str
    action: Action
    at: datetime
    outcome: Outcome | None = None
    change: Change | None = None

    @property
    def doubtful(self) -> bool:
        """Whether the provider must be asked what became of it."""
        return self.outcome is None or self.outcome.status is Status.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An action as a plan had it; `guard` is what held it, None where nothing did."""

    plan_id: str
    made_at: datetime
    action: Action
    guard: Guard | None = None


class SqlTrail:
    """The `Trail` and `Story` ports over the store. Raises StoreError and nothing else."""

    def __init__(self, engine: Engine) -> None:
        """`engine` is that of `autoscaler.store.database.connect`."""
        self._engine = engine
        self._identity = identity(engine)

    def record_plan(self, plan: Plan) -> bool:
        """Keep a plan; False where the last plan had the same id: the same wish, which is no news.

        Then only the sighting is kept, with its times, unless a target moved: a plan whose versions differ
        is written again, so that what is applied by its id is what was last shown.
        """
        moments = {"made_at": _text(plan.made_at), "expires_at": _text(plan.expires_at)}
        with writing(self._engine) as connection:
            last = connection.execute(select(_PLAN).order_by(_PLAN.c.row.desc()).limit(1)).one_or_none()
            same = last is not None and last.id == plan.id
            if last is not None and same and _versions(_read_plan(last.body)) == _versions(plan):
                connection.execute(insert(_SIGHTING).values(plan_row=last.row, **moments))
                return False
            written = connection.execute(insert(_PLAN).values(id=plan.id, body=plan_to_json(plan), **moments))
            proposals = _proposals(plan, written.lastrowid)
            if proposals:
                connection.execute(insert(_PROPOSAL), proposals)
            return not same

    def intend(self, plan_id: str, action: Action, at: datetime, *, generation: int = 0) -> str:  # noqa: ARG002
        """Write that an action is about to be tried, on the disk when this returns; the idempotency key.

        The key names this store and the intent's row, so the same action next week has another one.
        """
        body = plan_to_json(_carrier(action, at))
        with writing(self._engine) as connection:
            row = connection.execute(
                insert(_INTENT).values(
                    plan_id=plan_id, action_id=action.id, target=action.target, at=_text(at), body=body
                )
            ).lastrowid
        return self._key(row, action.id)

    def conclude(self, key: str, outcome: Outcome, change: Change | None) -> None:
        """Write what became of an intent. Only an unknown outcome may be followed by another one."""
        with writing(self._engine) as connection:
            intent = self._intent(connection, key)
            if outcome.action_id != intent.action_id:
                raise StoreError(f"the outcome of {outcome.action_id} is not that of the intent {key}")
            latest = connection.execute(
                select(_OUTCOME.c.status)
                .where(_OUTCOME.c.intent_row == intent.row)
                .order_by(_OUTCOME.c.row.desc())
                .limit(1)
            ).scalar_one_or_none()
            if latest not in {None, Status.UNKNOWN.value}:
                raise StoreError(f"the intent {key} was concluded as {latest} already")
            connection.execute(
                insert(_OUTCOME).values(intent_row=intent.row, **_outcome_row(outcome, change))
            )

    def changes(self, since: datetime) -> Sequence[Change]:
        """The changes that applied actions made at or after `since`, oldest first."""
        query = (
            select(_OUTCOME)
            .where(_OUTCOME.c.status == Status.APPLIED.value, _OUTCOME.c.changed_at >= _text(since))
            .order_by(_OUTCOME.c.changed_at, _OUTCOME.c.row)
        )
        with reading(self._engine) as connection:
            found = (_change(row) for row in connection.execute(query))
            return tuple(change for change in found if change is not None)

    def plan(self, plan_id: str) -> Plan | None:
        """The newest plan with that id, or that prefix of one; StoreError where several ids begin so.

        Its times are those of its latest sighting.
        """
        with reading(self._engine) as connection:
            full = _resolved(connection, _PLAN.c.id, plan_id, "plans")
            if full is None:
                return None
            # By when it was made: an older file may have been recorded after it.
            newest = (_PLAN.c.made_at.desc(), _PLAN.c.row.desc())
            written = connection.execute(
                select(_PLAN).where(_PLAN.c.id == full).order_by(*newest).limit(1)
            ).one()
            seen = connection.execute(
                select(_SIGHTING)
                .where(_SIGHTING.c.plan_row == written.row, _SIGHTING.c.made_at > written.made_at)
                .order_by(_SIGHTING.c.made_at.desc())
                .limit(1)
            ).one_or_none()
        plan = _read_plan(written.body)
        return plan if seen is None else _seen_again(plan, seen.made_at, seen.expires_at)

    def sightings(self, plan_id: str) -> int:
        """At how many moments the plan (id or prefix) was made; recording one of them again is none more."""
        with reading(self._engine) as connection:
            full = _resolved(connection, _PLAN.c.id, plan_id, "plans")
            rows = select(_PLAN.c.row).where(_PLAN.c.id == full)
            made = set(connection.execute(select(_PLAN.c.made_at).where(_PLAN.c.id == full)).scalars())
            again = select(_SIGHTING.c.made_at).where(_SIGHTING.c.plan_row.in_(rows))
            return len(made | set(connection.execute(again).scalars()))

    def outcomes(self, plan_id: str) -> Sequence[tuple[Action, Outcome | None]]:
        """Each intended action of a plan (id or prefix) with its latest outcome, in order; None: in doubt."""
        with reading(self._engine) as connection:
            full = _resolved(connection, _INTENT.c.plan_id, plan_id, "plans")
            deeds = self._deeds(connection, select(_INTENT).where(_INTENT.c.plan_id == full))
        return tuple((deed.action, deed.outcome) for deed in deeds)

    def doubtful(self) -> Sequence[Deed]:
        """The intents of which it is not known what became, oldest first: to be settled first of all."""
        settled = select(_OUTCOME.c.intent_row).where(_OUTCOME.c.status != Status.UNKNOWN.value)
        with reading(self._engine) as connection:
            return self._deeds(connection, select(_INTENT).where(_INTENT.c.row.not_in(settled)))

    def actions(self, prefix: str) -> Sequence[Deed]:
        """Every time the action with that id, or prefix of one, was intended, oldest first."""
        with reading(self._engine) as connection:
            full = _resolved(connection, _INTENT.c.action_id, prefix, "actions")
            return self._deeds(connection, select(_INTENT).where(_INTENT.c.action_id == full))

    def pool(self, pool_id: str) -> Sequence[Deed]:
        """Everything that was intended for a pool, oldest first."""
        with reading(self._engine) as connection:
            return self._deeds(connection, select(_INTENT).where(_INTENT.c.target == pool_id))

    def proposals(self, *, action: str = "", pool: str = "") -> Sequence[Proposal]:
        """Where plans had an action (id or prefix) or anything for a pool, held or not, oldest first.

        A plan that was written several times is told once, as it was written last.
        """
        if not action and not pool:
            return ()
        last = select(func.max(_PLAN.c.row)).group_by(_PLAN.c.id)
        with reading(self._engine) as connection:
            query = select(_PROPOSAL.c.position, _PROPOSAL.c.guard, _PLAN.c.body).join(
                _PLAN, (_PLAN.c.row == _PROPOSAL.c.plan_row) & _PLAN.c.row.in_(last)
            )
            if action:
                full = _resolved(connection, _PROPOSAL.c.action_id, action, "actions")
                query = query.where(_PROPOSAL.c.action_id == full)
            if pool:
                query = query.where(_PROPOSAL.c.target == pool)
            found = connection.execute(query.order_by(_PROPOSAL.c.row)).all()
        return tuple(_proposal(*row) for row in found)

    def _key(self, row: int, action_id: str) -> str:
        return f"{self._identity}-{row}-{action_id}"

    def _intent(self, connection: Connection, key: str) -> Row[Any]:
        store, _, rest = key.partition("-")
        row, _, action_id = rest.partition("-")
        found = None
        if store == self._identity and row.isdecimal():
            query = select(_INTENT).where(_INTENT.c.row == int(row), _INTENT.c.action_id == action_id)
            found = connection.execute(query).one_or_none()
        if found is None:
            raise StoreError(f"there is no intent with the key {key} in this store")
        return found

    def _deeds(self, connection: Connection, intents: Select[Any]) -> tuple[Deed, ...]:
        latest = select(func.max(_OUTCOME.c.row)).group_by(_OUTCOME.c.intent_row).scalar_subquery()
        asked = intents.subquery()
        query = (
            select(asked.c.row, asked.c.plan_id, asked.c.at, asked.c.body, _OUTCOME)
            .outerjoin(_OUTCOME, (_OUTCOME.c.intent_row == asked.c.row) & _OUTCOME.c.row.in_(latest))
            .order_by(asked.c.row)
        )
        return tuple(self._deed(row) for row in connection.execute(query))

    def _deed(self, row: Any) -> Deed:
        intent, plan_id, at, body = row[:4]
        (action,) = _read_plan(body).actions
        outcome = None
        if row.status is not None:
            outcome = Outcome(
                action_id=action.id,
                status=Status(row.status),
                at=datetime.fromisoformat(row[7]),
                observed_after=row.observed_after,
                error=row.error,
            )
        return Deed(
            key=self._key(intent, action.id),
            plan_id=plan_id,
            action=action,
            at=datetime.fromisoformat(at),
            outcome=outcome,
            change=_change(row),
        )


def _text(moment: datetime) -> str:
    """Like `iso`, always with microseconds: so that the order of the text is that of time."""
    if moment.tzinfo is None:
        raise StoreError(f"{moment} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _versions(plan: Plan) -> list[str]:
    return [action.version for action in plan.actions]


def _seen_again(plan: Plan, made_at: str, expires_at: str) -> Plan:
    """The same plan with the times of a later sighting, in its actions too."""
    made, expires = datetime.fromisoformat(made_at), datetime.fromisoformat(expires_at)
    actions = tuple(replace(action, not_before=made, expires_at=expires) for action in plan.actions)
    return replace(plan, made_at=made, expires_at=expires, actions=actions)


def _carrier(action: Action, at: datetime) -> Plan:
    """A plan of one action: the canonical form, and the check of its id, are those of plans."""
    return Plan(
        made_at=at,
        expires_at=action.expires_at,
        snapshot_digest="",
        policy_digest="",
        forecasts_digest="",
        actions=(action,),
    )


def _read_plan(body: str) -> Plan:
    try:
        return plan_from_json(body)
    except PlanError as error:
        raise StoreError(f"a stored plan cannot be read: {error}") from error


def _proposals(plan: Plan, row: int) -> list[dict[str, Any]]:
    wishes = [(action, "") for action in plan.actions]
    wishes += [(held.action, held.guard.value) for held in plan.held]
    return [
        {"plan_row": row, "position": i, "action_id": a.id, "target": a.target, "guard": guard}
        for i, (a, guard) in enumerate(wishes)
    ]


def _proposal(position: int, guard: str, body: str) -> Proposal:
    plan = _read_plan(body)
    action = [*plan.actions, *(held.action for held in plan.held)][position]
    return Proposal(
        plan_id=plan.id, made_at=plan.made_at, action=action, guard=Guard(guard) if guard else None
    )


def _outcome_row(outcome: Outcome, change: Change | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "status": outcome.status.value,
        "at": _text(outcome.at),
        "observed_after": outcome.observed_after,
        "error": outcome.error,
    }
    if change is not None:
        row |= {
            "changed_target": change.target,
            "changed_at": _text(change.at),
            "changed_before": change.before,
            "changed_after": change.after,
        }
    return row


def _change(row: Row[Any]) -> Change | None:
    if row.changed_at is None:
        return None
    return Change(
        target=row.changed_target,
        at=datetime.fromisoformat(row.changed_at),
        before=row.changed_before,
        after=row.changed_after,
    )


def _resolved(connection: Connection, column: Any, prefix: str, word: str) -> str | None:
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
