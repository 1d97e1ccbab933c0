"""The trail in memory: what the store's own answers, without a disk. `test_conformance.py` compares the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from autoscaler.errors import StoreError
from autoscaler.store.trail import Deed
from policies.plan import Action, Change, Outcome, Plan, Status


@dataclass(slots=True)
class _Intent:
    deed: Deed
    changed: list[Change]


class MemoryTrail:
    """The `Trail` port over lists; it outlives the processes that write to it, as a disk does."""

    def __init__(self) -> None:
        """Empty."""
        self._last_plan = ""
        self._intents: dict[str, _Intent] = {}
        self._open: dict[str, _Intent] = {}
        self._changes: list[Change] = []

    def record_plan(self, plan: Plan) -> bool:
        """Keep a plan; False where the last one had the same id."""
        news = plan.id != self._last_plan
        self._last_plan = plan.id
        return news

    def intend(self, plan_id: str, action: Action, at: datetime) -> str:
        """Write that an action is about to be tried; the idempotency key."""
        key = f"memory-{len(self._intents) + 1}-{action.id}"
        intent = _Intent(Deed(key=key, plan_id=plan_id, action=action, at=at), [])
        self._intents[key] = self._open[key] = intent
        return key

    def conclude(self, key: str, outcome: Outcome, change: Change | None) -> None:
        """Write what became of an intent. Only an unknown outcome may be followed by another one."""
        intent = self._intents.get(key)
        if intent is None:
            raise StoreError(f"there is no intent with the key {key} in this store")
        if outcome.action_id != intent.deed.action.id:
            raise StoreError(f"the outcome of {outcome.action_id} is not that of the intent {key}")
        if key not in self._open:
            raise StoreError(f"the intent {key} was concluded already")
        intent.deed = replace(intent.deed, outcome=outcome, change=change)
        if outcome.status is not Status.UNKNOWN:
            del self._open[key]
        if change is not None and outcome.status is Status.APPLIED:
            self._changes.append(change)

    def changes(self, since: datetime) -> Sequence[Change]:
        """The changes made at or after `since`, oldest first."""
        recent: list[Change] = []
        for change in reversed(self._changes):
            if change.at >= since:
                recent.append(change)
        recent.reverse()
        return tuple(sorted(recent, key=lambda change: change.at))

    def doubtful(self) -> Sequence[Deed]:
        """The intents of which it is not known what became, oldest first."""
        return tuple(intent.deed for intent in self._open.values())

    def deed(self, key: str) -> Deed | None:
        """What the oracle asks: the intent with that key."""
        intent = self._intents.get(key)
        return None if intent is None else intent.deed
