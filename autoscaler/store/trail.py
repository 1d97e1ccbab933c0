"""What was planned, intended and done: insert-only by trigger, and on the disk before anything is tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Select, func, select

from autoscaler.errors import Fenced, StoreError
from autoscaler.store import chain, deeds
from autoscaler.store import inputs as packing
from autoscaler.store.database import identity, reading, writing
from autoscaler.store.deeds import Places, moment_text
from autoscaler.store.tables import (
    GenerationRow,
    InputsRow,
    IntentRow,
    OutcomeRow,
    PlanRow,
    PoolSeenRow,
    ProposalRow,
    SightingRow,
)
from policies.deeds import MADE, Deed, Proposal
from policies.plan import Action, Change, Guard, Outcome, Plan, Reason, Status
from policies.plan_json import plan_to_json

if TYPE_CHECKING:
    from policies.inputs import Inputs

__all__ = ["Deed", "Proposal", "SqlTrail"]

_PLAN = PlanRow.__table__  # type: ignore[attr-defined]
_PROPOSAL = ProposalRow.__table__  # type: ignore[attr-defined]
_SIGHTING = SightingRow.__table__  # type: ignore[attr-defined]
_INTENT = IntentRow.__table__  # type: ignore[attr-defined]
_OUTCOME = OutcomeRow.__table__  # type: ignore[attr-defined]
_INPUTS = InputsRow.__table__  # type: ignore[attr-defined]
_GENERATION = GenerationRow.__table__  # type: ignore[attr-defined]
_POOL_SEEN = PoolSeenRow.__table__  # type: ignore[attr-defined]
_TAKES_BACK = f'"reason":"{Reason.UNDO}"'  # in a body: what is told in a string has its quotes escaped


class SqlTrail:
    """The `Trail` and `Story` ports over the store. Raises StoreError, and Fenced where it says so."""

    def __init__(self, engine: Engine, places: Places = deeds.NOWHERE) -> None:
        """`engine` is that of `autoscaler.store.database.connect`.

        `places` tells where each pool is today: it is kept beside what is intended, and what was intended
        for another place says so (`Deed.elsewhere`, `Change.elsewhere`).
        """
        self._engine = engine
        self._places = places
        self._identity = identity(engine)

    def record_plan(self, plan: Plan, inputs: Inputs | None = None, *, generation: int = 0) -> bool:
        """Keep a plan; False where the last plan had the same id: the same wish, which is no news.

        A plan that takes something back is compared with the last one that did, any other with the last
        other: a turn may make one of each, and neither is news because the other came between. Then only the
        sighting is kept, with its times, unless a target moved: a plan whose versions differ is written
        again, so that what is applied by its id is what was last shown. `inputs`, what it was decided from,
        are kept beside a plan that is written; `generation` is that of the leader, 0 for none.
        """
        moments = {"made_at": moment_text(plan.made_at), "expires_at": moment_text(plan.expires_at)}
        packed = None if inputs is None else packing.packed(inputs)
        with writing(self._engine) as connection:
            last = connection.execute(_last_of_its_kind(plan)).one_or_none()
            same = last is not None and last.id == plan.id
            if last is not None and same and _versions(deeds.read_plan(last.body)) == _versions(plan):
                chain.insert(connection, _SIGHTING, {"plan_row": last.row, **moments})
                return False
            values = {"id": plan.id, "body": plan_to_json(plan), "generation": generation or None}
            row = chain.insert(connection, _PLAN, values | moments)
            chain.insert_all(connection, _PROPOSAL, _proposals(plan, row))
            if packed is not None:
                chain.insert(connection, _INPUTS, {"plan_row": row, "packed": packed})
            return not same

    def intend(self, plan_id: str, action: Action, at: datetime, *, generation: int = 0) -> str:
        """Write that an action is about to be tried, on the disk when this returns; the idempotency key.

        The key names this store and the intent's row, so the same action next week has another one. Fenced
        where a leader of a larger `generation` has intended something: this one leads no more.
        """
        body = plan_to_json(_carrier(action, at))
        with writing(self._engine) as connection:
            newest = connection.execute(select(func.max(_INTENT.c.generation))).scalar_one() or 0
            if generation and generation < newest:
                raise Fenced(
                    f"generation {generation} does not lead any more: generation {newest} has acted; "
                    "nothing more is done"
                )
            values: dict[str, Any] = {"plan_id": plan_id, "action_id": action.id, "target": action.target}
            values |= {"at": moment_text(at), "body": body}
            values |= {"generation": generation or None, "place": self._places.get(action.target)}
            row = chain.insert(connection, _INTENT, values)
        return deeds.key_text(self._identity, row, action.id)

    def conclude(self, key: str, outcome: Outcome, change: Change | None) -> None:
        """Write what became of an intent. Only an unknown outcome may be followed by another one."""
        with writing(self._engine) as connection:
            intent = deeds.intent(connection, self._identity, key)
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
            chain.insert(connection, _OUTCOME, {"intent_row": intent.row, **_outcome_row(outcome, change)})

    def raise_generation(self, above: int = 0) -> int:
        """A generation larger than `above` and than any that this store has seen, kept: a new leader's."""
        with writing(self._engine) as connection:
            number = max(self._generation(connection), above) + 1
            chain.insert(connection, _GENERATION, {"number": number})
            return number

    def generation(self) -> int:
        """The largest generation that this store has seen, 0 where there was none."""
        with reading(self._engine) as connection:
            return self._generation(connection)

    def _generation(self, connection: Connection) -> int:
        columns = (_GENERATION.c.number, _INTENT.c.generation)
        return max(connection.execute(select(func.max(one))).scalar_one() or 0 for one in columns)

    def see_pools(self, ids: Iterable[str], at: datetime) -> None:
        """Keep when each pool was first seen; what is known already stays."""
        known = self.first_seen()
        if not set(ids) - set(known):
            return
        with writing(self._engine) as connection:
            known_now = set(connection.execute(select(_POOL_SEEN.c.pool)).scalars())
            new = sorted(set(ids) - known_now)
            chain.insert_all(connection, _POOL_SEEN, [{"pool": name, "at": moment_text(at)} for name in new])

    def first_seen(self) -> Mapping[str, datetime]:
        """When each pool was first seen, by id."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_POOL_SEEN.c.pool, _POOL_SEEN.c.at)).all()
        return MappingProxyType({pool: datetime.fromisoformat(at) for pool, at in rows})

    def changes(self, since: datetime) -> Sequence[Change]:
        """The changes that actions made, wholly or in part, at or after `since`, oldest first."""
        query = (
            select(_OUTCOME, _INTENT.c.place, _INTENT.c.target)
            .join(_INTENT, _INTENT.c.row == _OUTCOME.c.intent_row)
            .where(_OUTCOME.c.status.in_(sorted(MADE)), _OUTCOME.c.changed_at >= moment_text(since))
            .order_by(_OUTCOME.c.changed_at, _OUTCOME.c.row)
        )
        with reading(self._engine) as connection:
            found = (
                deeds.change(row, elsewhere=deeds.elsewhere(row.place, row.target, self._places))
                for row in connection.execute(query)
            )
            return tuple(change for change in found if change is not None)

    def plan(self, plan_id: str) -> Plan | None:
        """The newest plan with that id, or that prefix of one; StoreError where several ids begin so.

        Its times are those of its latest sighting.
        """
        with reading(self._engine) as connection:
            full = deeds.resolved(connection, _PLAN.c.id, plan_id, "plans")
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
        plan = deeds.read_plan(written.body)
        return plan if seen is None else _seen_again(plan, seen.made_at, seen.expires_at)

    def latest_end(self, plan_id: str) -> datetime | None:
        """The latest moment until which the plan with that very id was ever made to live; None: not known.

        The same wish may have been planned by hand and by the daemon, which give it different times to live.
        """
        rows = select(_PLAN.c.row).where(_PLAN.c.id == plan_id)
        ends = (
            select(func.max(_PLAN.c.expires_at)).where(_PLAN.c.id == plan_id),
            select(func.max(_SIGHTING.c.expires_at)).where(_SIGHTING.c.plan_row.in_(rows)),
        )
        return self._latest(*ends)

    def last_made(self) -> datetime | None:
        """When a plan was made last, as far as this store knows; None where none ever was."""
        return self._latest(select(func.max(_PLAN.c.made_at)), select(func.max(_SIGHTING.c.made_at)))

    def _latest(self, *moments: Any) -> datetime | None:
        with reading(self._engine) as connection:
            known = [connection.execute(one).scalar_one() for one in moments]
        newest = max((text for text in known if text is not None), default=None)
        return None if newest is None else datetime.fromisoformat(newest)

    def sightings(self, plan_id: str) -> int:
        """At how many moments the plan (id or prefix) was made; recording one of them again is none more."""
        with reading(self._engine) as connection:
            full = deeds.resolved(connection, _PLAN.c.id, plan_id, "plans")
            rows = select(_PLAN.c.row).where(_PLAN.c.id == full)
            made = set(connection.execute(select(_PLAN.c.made_at).where(_PLAN.c.id == full)).scalars())
            again = select(_SIGHTING.c.made_at).where(_SIGHTING.c.plan_row.in_(rows))
            return len(made | set(connection.execute(again).scalars()))

    def outcomes(self, plan_id: str) -> Sequence[tuple[Action, Outcome | None]]:
        """Each intended action of a plan (id or prefix) with its latest outcome, in order; None: in doubt."""
        return tuple((deed.action, deed.outcome) for deed in self.tried(plan_id))

    def tried(self, plan_id: str) -> Sequence[Deed]:
        """Everything that was intended of a plan (id or prefix), oldest first."""
        with reading(self._engine) as connection:
            full = deeds.resolved(connection, _INTENT.c.plan_id, plan_id, "plans")
            return self._deeds(connection, select(_INTENT).where(_INTENT.c.plan_id == full))

    def doubtful(self) -> Sequence[Deed]:
        """The intents of which it is not known what became, oldest first: to be settled first of all."""
        settled = select(_OUTCOME.c.intent_row).where(_OUTCOME.c.status != Status.UNKNOWN.value)
        with reading(self._engine) as connection:
            return self._deeds(connection, select(_INTENT).where(_INTENT.c.row.not_in(settled)))

    def actions(self, prefix: str) -> Sequence[Deed]:
        """Every time the action with that id, or prefix of one, was intended, oldest first."""
        with reading(self._engine) as connection:
            full = deeds.resolved(connection, _INTENT.c.action_id, prefix, "actions")
            return self._deeds(connection, select(_INTENT).where(_INTENT.c.action_id == full))

    def pool(self, pool_id: str, *, since: datetime | None = None) -> Sequence[Deed]:
        """Everything that was intended for a pool (at or after `since`), oldest first."""
        query = select(_INTENT).where(_INTENT.c.target == pool_id)
        if since is not None:
            query = query.where(_INTENT.c.at >= moment_text(since))
        with reading(self._engine) as connection:
            return self._deeds(connection, query)

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
                full = deeds.resolved(connection, _PROPOSAL.c.action_id, action, "actions")
                query = query.where(_PROPOSAL.c.action_id == full)
            if pool:
                query = query.where(_PROPOSAL.c.target == pool)
            found = connection.execute(query.order_by(_PROPOSAL.c.row)).all()
        return tuple(_proposal(*row) for row in found)

    def inputs(self, plan_id: str) -> tuple[Plan, Inputs | None] | None:
        """The newest written plan with that id (or prefix), and what it was decided from if that was kept."""
        with reading(self._engine) as connection:
            full = deeds.resolved(connection, _PLAN.c.id, plan_id, "plans")
            query = (
                select(_PLAN.c.body, _INPUTS.c.packed)
                .outerjoin(_INPUTS, _INPUTS.c.plan_row == _PLAN.c.row)
                .where(_PLAN.c.id == full)
                .order_by(_PLAN.c.row.desc())
            )
            rows = connection.execute(query).all()
        if not rows:
            return None
        body, packed = next((row for row in rows if row.packed is not None), rows[0])
        return deeds.read_plan(body), None if packed is None else packing.unpacked(packed)

    def open_wishes(self, now: datetime) -> Sequence[Proposal]:
        """What plans that have not expired propose, held or not, the newest plan first; each action once."""
        later = select(_SIGHTING.c.plan_row).where(_SIGHTING.c.expires_at > moment_text(now))
        fresh = (_PLAN.c.expires_at > moment_text(now)) | _PLAN.c.row.in_(later)
        query = (
            select(_PROPOSAL.c.position, _PROPOSAL.c.guard, _PLAN.c.body)
            .join(_PLAN, _PLAN.c.row == _PROPOSAL.c.plan_row)
            .where(fresh)
            .order_by(_PLAN.c.row.desc(), _PROPOSAL.c.row)
        )
        with reading(self._engine) as connection:
            found = [_proposal(*row) for row in connection.execute(query)]
        once = {proposal.action.id: proposal for proposal in reversed(found)}
        return tuple(once.values())[::-1]

    def _deeds(self, connection: Connection, intents: Any) -> tuple[Deed, ...]:
        return deeds.read(connection, self._identity, intents, self._places)


def _last_of_its_kind(plan: Plan) -> Select[Any]:
    """The last plan of this one's kind (takes something back, or not), no older than the last of its id."""
    written = select(func.max(_PLAN.c.row)).where(_PLAN.c.id == plan.id).scalar_subquery()
    takes_back = func.instr(_PLAN.c.body, _TAKES_BACK) > 0
    alike = takes_back if plan.takes_back else ~takes_back
    return select(_PLAN).where(_PLAN.c.row >= written, alike).order_by(_PLAN.c.row.desc()).limit(1)


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


def _proposals(plan: Plan, row: int) -> list[dict[str, Any]]:
    wishes = [(action, "") for action in plan.actions]
    wishes += [(held.action, held.guard.value) for held in plan.held]
    return [
        {"plan_row": row, "position": i, "action_id": a.id, "target": a.target, "guard": guard}
        for i, (a, guard) in enumerate(wishes)
    ]


def _proposal(position: int, guard: str, body: str) -> Proposal:
    plan = deeds.read_plan(body)
    action = [*plan.actions, *(held.action for held in plan.held)][position]
    return Proposal(
        plan_id=plan.id, made_at=plan.made_at, action=action, guard=Guard(guard) if guard else None
    )


def _outcome_row(outcome: Outcome, change: Change | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "status": outcome.status.value,
        "at": moment_text(outcome.at),
        "observed_after": outcome.observed_after,
        "error": outcome.error,
    }
    if change is not None:
        row |= {
            "changed_target": change.target,
            "changed_at": moment_text(change.at),
            "changed_before": change.before,
            "changed_after": change.after,
        }
    return row
