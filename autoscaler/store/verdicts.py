"""What later looks said of the changes that were made, and events that concern no single action."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, func, select

from autoscaler.store import chain, deeds
from autoscaler.store.database import identity, reading, writing
from autoscaler.store.deeds import Places, moment_text
from autoscaler.store.tables import EventRow, IntentRow, OutcomeRow, VerdictRow
from policies.deeds import MADE, Deed, Event, Judged, Verdict
from policies.model import plain
from policies.plan import Fact

_VERDICT = VerdictRow.__table__  # type: ignore[attr-defined]
_EVENT = EventRow.__table__  # type: ignore[attr-defined]
_INTENT = IntentRow.__table__  # type: ignore[attr-defined]
_OUTCOME = OutcomeRow.__table__  # type: ignore[attr-defined]


class SqlVerdicts:
    """The store's verdicts and events. Raises StoreError and nothing else."""

    def __init__(self, engine: Engine, places: Places = deeds.NOWHERE) -> None:
        """`engine` is that of `autoscaler.store.database.connect`, `places` as `SqlTrail` has them."""
        self._engine = engine
        self._places = places
        self._identity = identity(engine)

    def judge(self, key: str, verdict: Verdict, facts: Sequence[Fact], at: datetime) -> None:
        """Keep a verdict on the intent with that key; the same as the newest, `waiting` say, is not kept."""
        told = json.dumps([plain(fact) for fact in facts], ensure_ascii=False)
        with writing(self._engine) as connection:
            row = deeds.intent(connection, self._identity, key).row
            query = select(_VERDICT.c.verdict).where(_VERDICT.c.intent_row == row)
            newest = connection.execute(query.order_by(_VERDICT.c.row.desc()).limit(1)).scalar_one_or_none()
            if newest == verdict.value:
                return
            values = {"intent_row": row, "verdict": verdict.value, "facts": told, "at": moment_text(at)}
            chain.insert(connection, _VERDICT, values)

    def judged(self, keys: Sequence[str]) -> Sequence[Judged]:
        """Every verdict on the intents with those keys, oldest first."""
        found = []
        with reading(self._engine) as connection:
            for key in keys:
                row = deeds.intent(connection, self._identity, key).row
                query = select(_VERDICT).where(_VERDICT.c.intent_row == row).order_by(_VERDICT.c.row)
                for one in connection.execute(query):
                    facts = tuple(Fact(**fact) for fact in json.loads(one.facts))
                    at = datetime.fromisoformat(one.at)
                    found.append(Judged(key=key, verdict=Verdict(one.verdict), facts=facts, at=at))
        return tuple(sorted(found, key=lambda one: one.at))

    def unverified(self, since: datetime) -> Sequence[Deed]:
        """The changes made at or after `since` of which nothing was said yet, or only `waiting`."""
        newest = select(func.max(_VERDICT.c.row)).group_by(_VERDICT.c.intent_row)
        final = select(_VERDICT.c.intent_row).where(
            _VERDICT.c.row.in_(newest), _VERDICT.c.verdict != Verdict.WAITING.value
        )
        made = select(_OUTCOME.c.intent_row).where(
            _OUTCOME.c.status.in_(sorted(MADE)), _OUTCOME.c.changed_at >= moment_text(since)
        )
        query = select(_INTENT).where(_INTENT.c.row.in_(made), _INTENT.c.row.not_in(final))
        with reading(self._engine) as connection:
            return deeds.read(connection, self._identity, query, self._places)

    def reverts(self, pool: str, since: datetime) -> int:
        """How often something of a pool was said to be reverted at or after `since`.

        Changes that were said to be at one moment were taken back together, which is one revert.
        """
        query = (
            select(func.count(_VERDICT.c.at.distinct()))
            .join(_INTENT, _INTENT.c.row == _VERDICT.c.intent_row)
            .where(
                _INTENT.c.target == pool,
                _VERDICT.c.verdict == Verdict.REVERTED.value,
                _VERDICT.c.at >= moment_text(since),
            )
        )
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def arrivals(self, pool: str, since: datetime, *, last: int) -> Sequence[Verdict]:
        """The final verdicts on the newest `last` growths of a pool that have one, oldest first.

        Of those intended at or after `since` for where it is today; in one query, however many there were.
        """
        mine = select(_INTENT.c.row).where(_INTENT.c.target == pool, _INTENT.c.at >= moment_text(since))
        if pool in self._places:
            mine = mine.where(func.coalesce(_INTENT.c.place, self._places[pool]) == self._places[pool])
        said = _VERDICT.c.intent_row.in_(mine)
        newest = select(func.max(_VERDICT.c.row)).where(said).group_by(_VERDICT.c.intent_row)
        grown = select(_OUTCOME.c.intent_row).where(_OUTCOME.c.changed_after > _OUTCOME.c.changed_before)
        query = (
            select(_VERDICT.c.verdict)
            .join(_INTENT, _INTENT.c.row == _VERDICT.c.intent_row)
            .where(
                _INTENT.c.row.in_(grown),
                _VERDICT.c.row.in_(newest),
                _VERDICT.c.verdict != Verdict.WAITING.value,
            )
            .order_by(_INTENT.c.row.desc())
            .limit(last)
        )
        with reading(self._engine) as connection:
            found = connection.execute(query).scalars().all()
        return tuple(Verdict(one) for one in reversed(found))

    def event(self, kind: str, pool: str, text: str, at: datetime) -> None:
        """Keep that something happened; `pool` "" where it is about none."""
        values = {"kind": kind, "pool": pool, "text": text, "at": moment_text(at)}
        with writing(self._engine) as connection:
            chain.insert(connection, _EVENT, values)

    def events(self, *, pool: str | None = None, since: datetime | None = None) -> Sequence[Event]:
        """What happened to a pool ("": what was about none; None: to any), oldest first."""
        query = select(_EVENT).order_by(_EVENT.c.row)
        if pool is not None:
            query = query.where(_EVENT.c.pool == pool)
        if since is not None:
            query = query.where(_EVENT.c.at >= moment_text(since))
        with reading(self._engine) as connection:
            return tuple(
                Event(kind=row.kind, pool=row.pool, text=row.text, at=datetime.fromisoformat(row.at))
                for row in connection.execute(query)
            )
