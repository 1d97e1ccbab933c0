"""The store in memory: it answers as the one of a file does, without a disk (test_conformance.py)."""

# ruff: noqa: ARG002 - the store's own has a use for all that is told

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from autoscaler.errors import Fenced, StoreError
from policies.conditions import Approval
from policies.deeds import MADE, Deed, Event, Judged, Verdict
from policies.inputs import Inputs
from policies.plan import Action, Change, Fact, Outcome, Plan, Status
from policies.policy import Freeze, Scope


@dataclass(slots=True)
class _Intent:
    deed: Deed


class MemoryTrail:
    """The `Trail` port over lists; it outlives the processes that write to it, as a disk does."""

    def __init__(self) -> None:
        """Empty."""
        self._last_plan = ""
        self._intents: dict[str, _Intent] = {}
        self._open: dict[str, _Intent] = {}
        self._made: list[_Intent] = []
        self._of_pool: dict[str, list[_Intent]] = {}
        self._changes: list[Change] = []
        self._first_seen: dict[str, datetime] = {}
        self._generation = 0

    def record_plan(self, plan: Plan, inputs: Inputs | None = None, *, generation: int = 0) -> bool:
        """Keep a plan; False where the last one had the same id."""
        news = plan.id != self._last_plan
        self._last_plan = plan.id
        return news

    def intend(self, plan_id: str, action: Action, at: datetime, *, generation: int = 0) -> str:
        """Write that an action is about to be tried; the idempotency key. Fenced for a former leader."""
        if generation and generation < self._generation:
            raise Fenced(f"generation {generation} does not lead any more: {self._generation} has acted")
        self._generation = max(self._generation, generation)
        key = f"memory-{len(self._intents) + 1}-{action.id}"
        intent = _Intent(Deed(key=key, plan_id=plan_id, action=action, at=at, generation=generation))
        self._intents[key] = self._open[key] = intent
        self._of_pool.setdefault(action.target, []).append(intent)
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
        if change is not None and outcome.status in MADE:
            self._changes.append(change)
            self._made.append(intent)

    def see_pools(self, ids: Iterable[str], at: datetime) -> None:
        """Keep when each pool was seen first."""
        for name in ids:
            self._first_seen.setdefault(name, at)

    def first_seen(self) -> Mapping[str, datetime]:
        """When each pool was seen first."""
        return dict(self._first_seen)

    def changes(self, since: datetime) -> Sequence[Change]:
        """The changes made at or after `since`, oldest first."""
        recent = [change for change in self._changes if change.at >= since]
        return tuple(sorted(recent, key=lambda change: change.at))

    def doubtful(self) -> Sequence[Deed]:
        """The intents of which it is not known what became, oldest first."""
        return tuple(intent.deed for intent in self._open.values())

    def deed(self, key: str) -> Deed | None:
        """What the oracle asks: the intent with that key."""
        intent = self._intents.get(key)
        return None if intent is None else intent.deed

    def pool(self, pool_id: str, *, since: datetime | None = None) -> Sequence[Deed]:
        """Everything that was intended for a pool, oldest first."""
        mine = [one.deed for one in self._of_pool.get(pool_id, ())]
        return tuple(deed for deed in mine if since is None or deed.at >= since)

    def made_since(self, since: datetime) -> Sequence[Deed]:
        """The intents that changed the world at or after `since`, oldest first."""
        found = (one.deed for one in self._made)
        return tuple(deed for deed in found if deed.change is not None and deed.change.at >= since)

    def deeds(self) -> Sequence[Deed]:
        """Every intent, oldest first."""
        return tuple(intent.deed for intent in self._intents.values())


class MemoryPeople:
    """Freezes and approvals in memory."""

    def __init__(self) -> None:
        """Nobody has said anything."""
        self._freezes: list[Freeze] = []
        self._approvals: dict[str, Approval] = {}

    def freeze(self, freeze: Freeze, by: str, at: datetime) -> int:
        """Keep a freeze; its number."""
        self._freezes.append(freeze)
        return len(self._freezes)

    def lift(self, scope: Scope, name: str, by: str, why: str, at: datetime) -> int:
        """End the freezes of a scope; how many there were."""
        kept = [one for one in self._freezes if (one.scope, one.name) != (scope, name)]
        lifted = len(self._freezes) - len(kept)
        self._freezes = kept
        return lifted

    def freezes(self, now: datetime) -> tuple[Freeze, ...]:
        """The freezes in force."""
        return tuple(one for one in self._freezes if one.until is None or now < one.until)

    def approve(self, approval: Approval) -> int:
        """Keep a word on an action."""
        self._approvals[approval.action_id] = approval
        return len(self._approvals)

    def approvals(self, now: datetime) -> tuple[Approval, ...]:
        """The words that have not expired and were not used."""
        return tuple(one for one in self._approvals.values() if now < one.expires_at)

    def use_approval(self, action_id: str, key: str) -> bool:
        """Use it, once."""
        return self._approvals.pop(action_id, None) is not None


class MemoryVerdicts:
    """Verdicts in memory; nothing is kept but what is asked for again."""

    def __init__(self, trail: MemoryTrail) -> None:
        """Of that trail's intents."""
        self._trail = trail
        self._judged: dict[str, Judged] = {}
        self._events: list[Event] = []
        self._reverted: list[tuple[datetime, str]] = []

    def judge(self, key: str, verdict: Verdict, facts: Sequence[Fact], at: datetime) -> None:
        """Keep a verdict."""
        deed = self._trail.deed(key)
        if deed is None:
            raise StoreError(f"there is no intent with the key {key} in this store")
        if key in self._judged and self._judged[key].verdict is verdict:
            return
        self._judged[key] = Judged(key=key, verdict=verdict, facts=tuple(facts), at=at)
        if verdict is Verdict.REVERTED:
            self._reverted.append((at, deed.action.target))

    def unverified(self, since: datetime) -> Sequence[Deed]:
        """The changes made at or after `since` of which nothing was said yet, or only `waiting`."""
        return tuple(
            deed
            for deed in self._trail.made_since(since)
            if deed.key not in self._judged or self._judged[deed.key].verdict is Verdict.WAITING
        )

    def reverts(self, pool: str, since: datetime) -> int:
        """How many changes of a pool were reverted at or after `since`."""
        return sum(name == pool and at >= since for at, name in self._reverted)

    def judged(self, keys: Sequence[str]) -> Sequence[Judged]:
        """The verdicts on the intents with those keys."""
        return tuple(one for key in keys if (one := self._judged.get(key)) is not None)

    def event(self, kind: str, pool: str, text: str, at: datetime) -> None:
        """Keep that something happened."""
        self._events.append(Event(kind=kind, pool=pool, text=text, at=at))

    def events(self, *, pool: str | None = None, since: datetime | None = None) -> Sequence[Event]:
        """What happened to a pool (None: to any), oldest first."""
        mine = (event for event in self._events if pool is None or event.pool == pool)
        return tuple(event for event in mine if since is None or event.at >= since)
