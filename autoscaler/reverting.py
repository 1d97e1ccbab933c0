"""Take back what made the service worse: a chain of a pool's shrinks at once, by the guards, and only once.

It is told before it is tried, and is done when the pool has the size of before again; until then what is
missing is tried again at every turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies import verification
from policies.deeds import MADE, Deed, Verdict
from policies.model import Pool
from policies.plan import Action, Change, Fact, Outcome, Reason, kind_of
from policies.policy import Freeze, Scope

if TYPE_CHECKING:
    from autoscaler.bootstrap import App

BY = "loadline"
FROZEN_S = 86400
REVERTS_A_DAY = 3
REVERTING = "reverting"  # the kind of the event that says, before it is tried, which deeds are taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """How something is taken back: whether the daemon may do that action, and doing it.

    `revert` is given the action that was done; None where the guards held its undo.
    """

    may: Callable[[Action], bool]
    revert: Callable[[Action], Outcome | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Shrinks of a pool (oldest first, one at least) to be taken back together; the facts of each by key.

    `run` is all that we did to the pool from the first of them on: it alone explains the pool's size.
    """

    pool: Pool
    shrinks: Sequence[Deed]
    facts: Mapping[str, tuple[Fact, ...]]
    run: Sequence[Deed]

    @property
    def before(self) -> int:
        """The units before the first of them."""
        return max(change.before for change in _changes(self.shrinks))

    @property
    def size(self) -> int:
        """The units of now, after what was done since the pool was seen."""
        return _changes(self.run)[-1].after

    @property
    def wanted(self) -> int:
        """The units with which nothing is missing any more: those of before, as far as the maximum lets."""
        return min(self.before, self.pool.maximum)

    @property
    def begun(self) -> bool:
        """Whether some of it was taken back by us already."""
        return any(deed.action.reason is Reason.UNDO and verification.grew(deed) for deed in self.run)

    @property
    def lost(self) -> Action:
        """What the pool has lost, as one action."""
        kind = kind_of(self.before, self.size)
        return replace(self.shrinks[0].action, kind=kind, before=self.before, after=self.size)

    @property
    def name(self) -> str:
        """What people call it: the id of its first shrink as it was made."""
        made = _changes(self.shrinks)[0]
        first = replace(self.shrinks[0].action, after=made.after).id
        return first if len(self.shrinks) == 1 else f"{first} (with {len(self.shrinks) - 1} shrinks after it)"


def _changes(deeds: Sequence[Deed]) -> list[Change]:
    return [deed.change for deed in deeds if deed.change is not None]


def begun(app: App, pool_id: str, since: datetime) -> frozenset[str]:
    """The keys of the deeds that it was begun to take back. Raises StoreError."""
    events = app.verdicts.events(pool=pool_id, since=since)
    return frozenset(key for event in events if event.kind == REVERTING for key in event.text.split())


def take_back(app: App, chain: Chain, hands: Hands, now: datetime) -> None:
    """Bring back what is missing, if it may be.

    Where guards or the provider refuse, nothing is said, and the next turn tries again. A chain whose pool
    has its units again, by our revert or by growth, is only told of. Raises StoreError.
    """
    if chain.size >= chain.wanted and chain.begun:
        _reverted(app, chain, now)
    elif chain.size >= chain.before:
        why = f"{chain.name} made the service worse; the pool has grown to {chain.size} units since"
        app.verdicts.event("worse", chain.pool.id, why, now)
        _judge(app, chain, Verdict.REVERTED, now)
    elif why := _hindrance(app, chain, hands, now):
        why = f"{chain.name} made the service worse; {why}"
        app.verdicts.event("worse", chain.pool.id, why, now)
        freeze_pool(app, chain.pool.id, why, now)
        _judge(app, chain, Verdict.WORSE, now)
    else:
        _try(app, chain, hands, now)


def _hindrance(app: App, chain: Chain, hands: Hands, now: datetime) -> str:
    """What keeps it from being taken back for good, "" where nothing does."""
    if chain.size >= chain.wanted:
        return f"its maximum of {chain.pool.maximum} units keeps it from being taken back"
    if not hands.may(chain.lost.inverse()):
        return "the pool's mode keeps it from being taken back"
    if app.verdicts.reverts(chain.pool.id, now - timedelta(days=1)) >= REVERTS_A_DAY:
        return f"it is not taken back after {REVERTS_A_DAY} reverts within a day"
    return ""


def _try(app: App, chain: Chain, hands: Hands, now: datetime) -> None:
    pool_id = chain.pool.id
    keys = [deed.key for deed in chain.shrinks]
    if not begun(app, pool_id, chain.shrinks[0].at) >= set(keys):
        app.verdicts.event(REVERTING, pool_id, " ".join(keys), now)
    outcome = hands.revert(chain.lost)
    if outcome is None or outcome.status not in MADE:
        return
    if outcome.observed_after is not None and outcome.observed_after >= chain.wanted:
        _reverted(app, chain, now)
    else:
        why = f"{chain.name} made the service worse, and was taken back in part; the rest is tried again"
        freeze_pool(app, pool_id, why, now)


def _reverted(app: App, chain: Chain, now: datetime) -> None:
    why = f"{chain.name} made the service worse, and was taken back"
    freeze_pool(app, chain.pool.id, why, now)
    _judge(app, chain, Verdict.REVERTED, now)


def _judge(app: App, chain: Chain, verdict: Verdict, now: datetime) -> None:
    for deed in chain.shrinks:
        app.verdicts.judge(deed.key, verdict, chain.facts.get(deed.key, ()), now)


def freeze_pool(app: App, pool_id: str, why: str, now: datetime, *, seconds: int = FROZEN_S) -> None:
    """Keep a pool from shrinking, by the program itself, and tell; once for the same reason. It may grow."""
    for freeze in app.people.freezes(now):
        if (freeze.scope, freeze.name, freeze.why) == (Scope.POOL, pool_id, why):
            return
    until = now + timedelta(seconds=seconds)
    freeze = Freeze(scope=Scope.POOL, name=pool_id, until=until, why=why, shrinks_only=True)
    app.people.freeze(freeze, BY, now)
    app.verdicts.event("frozen", pool_id, why, now)
