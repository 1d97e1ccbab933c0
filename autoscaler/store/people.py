"""What people said: freezes and their lifting, approvals and their use. Insert-only, as all of the trail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, func, select

from autoscaler.store import chain
from autoscaler.store.database import reading, writing
from autoscaler.store.deeds import moment_text
from autoscaler.store.tables import ApprovalRow, ApprovalUseRow, FreezeRow, LiftRow
from policies.conditions import Approval
from policies.deeds import Frozen, Said
from policies.policy import Freeze, Scope

_FREEZE = FreezeRow.__table__  # type: ignore[attr-defined]
_LIFT = LiftRow.__table__  # type: ignore[attr-defined]
_APPROVAL = ApprovalRow.__table__  # type: ignore[attr-defined]
_USE = ApprovalUseRow.__table__  # type: ignore[attr-defined]


class SqlPeople:
    """The store's freezes and approvals. Raises StoreError and nothing else."""

    def __init__(self, engine: Engine) -> None:
        """`engine` is that of `autoscaler.store.database.connect`."""
        self._engine = engine

    def freeze(self, freeze: Freeze, by: str, at: datetime) -> int:
        """Keep a freeze, on the disk when this returns; its row."""
        until = None if freeze.until is None else moment_text(freeze.until)
        values = {"scope": freeze.scope.value, "name": freeze.name, "why": freeze.why, "until": until}
        with writing(self._engine) as connection:
            return chain.insert(
                connection,
                _FREEZE,
                values | {"by": by, "at": moment_text(at), "shrinks_only": int(freeze.shrinks_only)},
            )

    def lift(self, scope: Scope, name: str, by: str, why: str, at: datetime) -> int:
        """Lift every freeze of exactly that scope and name that is neither lifted nor over; how many."""
        with writing(self._engine) as connection:
            lifted = select(_LIFT.c.freeze_row)
            query = select(_FREEZE.c.row).where(
                _FREEZE.c.scope == scope.value,
                _FREEZE.c.name == name,
                _FREEZE.c.row.not_in(lifted),
                _FREEZE.c.until.is_(None) | (_FREEZE.c.until > moment_text(at)),
            )
            rows = connection.execute(query).scalars().all()
            words = {"by": by, "why": why, "at": moment_text(at)}
            chain.insert_all(connection, _LIFT, [{"freeze_row": row, **words} for row in rows])
        return len(rows)

    def freezes(self, now: datetime) -> tuple[Freeze, ...]:
        """Those in force at `now`, oldest first: neither lifted nor over, whatever moment they were said."""
        lifted = select(_LIFT.c.freeze_row)
        query = (
            select(_FREEZE)
            .where(
                _FREEZE.c.row.not_in(lifted),
                _FREEZE.c.until.is_(None) | (_FREEZE.c.until > moment_text(now)),
            )
            .order_by(_FREEZE.c.row)
        )
        with reading(self._engine) as connection:
            return tuple(_freeze(row) for row in connection.execute(query))

    def standing(self, now: datetime) -> Sequence[Frozen]:
        """As `freezes`, each with who said it and when."""
        return tuple(
            one
            for one in self.frozen()
            if one.lifted_at is None and (one.freeze.until is None or now < one.freeze.until)
        )

    def frozen(self) -> Sequence[Frozen]:
        """Every freeze that was ever said, oldest first."""
        lift = [_LIFT.c[name].label(f"lift_{name}") for name in ("by", "at", "why")]
        query = select(_FREEZE, *lift).outerjoin(_LIFT, _LIFT.c.freeze_row == _FREEZE.c.row)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(_FREEZE.c.row)).all()
        return tuple(
            Frozen(
                freeze=_freeze(row),
                by=row.by,
                at=datetime.fromisoformat(row.at),
                lifted_by=row.lift_by or "",
                lifted_at=None if row.lift_at is None else datetime.fromisoformat(row.lift_at),
                lifted_why=row.lift_why or "",
            )
            for row in rows
        )

    def approve(self, *words: Approval) -> None:
        """Keep a person's words on actions, all or none; each takes the place of the one before it."""
        rows = [
            {
                "action_id": word.action_id,
                "granted": int(word.granted),
                "why": word.why,
                "by": word.by,
                "at": moment_text(word.at),
                "expires_at": moment_text(word.expires_at),
            }
            for word in words
        ]
        with writing(self._engine) as connection:
            chain.insert_all(connection, _APPROVAL, rows)

    def approvals(self, now: datetime) -> tuple[Approval, ...]:
        """The newest word on each action that is neither used nor expired at `now`, oldest first."""
        newest = select(func.max(_APPROVAL.c.row)).group_by(_APPROVAL.c.action_id)
        query = (
            select(_APPROVAL)
            .where(
                _APPROVAL.c.row.in_(newest),
                _APPROVAL.c.row.not_in(select(_USE.c.approval_row)),
                _APPROVAL.c.expires_at > moment_text(now),
            )
            .order_by(_APPROVAL.c.row)
        )
        with reading(self._engine) as connection:
            return tuple(_approval(row) for row in connection.execute(query))

    def use_approval(self, action_id: str, key: str) -> bool:
        """Use the newest word on an action up, for the intent with that key; False where none was granted.

        What was used once is never used again, also where two ask at once.
        """
        with writing(self._engine) as connection:
            query = select(_APPROVAL).where(_APPROVAL.c.action_id == action_id)
            row = connection.execute(query.order_by(_APPROVAL.c.row.desc()).limit(1)).one_or_none()
            if row is None or not row.granted:
                return False
            used = select(_USE.c.row).where(_USE.c.approval_row == row.row)
            if connection.execute(used).first() is not None:
                return False
            chain.insert(connection, _USE, {"approval_row": row.row, "key": key})
            return True

    def said(self, action_id: str) -> Sequence[Said]:
        """Everything that people said of an action, oldest first."""
        query = (
            select(_APPROVAL, _USE.c.key)
            .outerjoin(_USE, _USE.c.approval_row == _APPROVAL.c.row)
            .where(_APPROVAL.c.action_id == action_id)
            .order_by(_APPROVAL.c.row)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return tuple(Said(approval=_approval(row), used_by=row.key or "") for row in rows)


def _freeze(row: Row[Any]) -> Freeze:
    until = None if row.until is None else datetime.fromisoformat(row.until)
    return Freeze(
        scope=Scope(row.scope),
        name=row.name,
        until=until,
        why=row.why,
        shrinks_only=bool(row.shrinks_only),
    )


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        action_id=row.action_id,
        granted=bool(row.granted),
        by=row.by,
        why=row.why,
        at=datetime.fromisoformat(row.at),
        expires_at=datetime.fromisoformat(row.expires_at),
    )
