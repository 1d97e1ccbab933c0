"""Look at what was done a while ago: did it arrive, did it hurt. Take back what hurt.

Every verdict is kept in the trail. A shrink after which the service level is worse is taken back once, by the
same guards as any plan, and its pool is frozen then; so is a pool whose growths do not arrive, and one that
another controller moves as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import Series
from policies import verification
from policies.deeds import MADE, Deed, Verdict
from policies.model import Pool
from policies.plan import Action, Change, Fact, Outcome, Status
from policies.policy import Freeze, Scope, Signal, SignalKind
from policies.verification import Compared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoscaler.bootstrap import App
    from autoscaler.observing import Seen

BY = "loadline"
FROZEN_S = 86400
LOOKED_BACK_S = 7 * 86400  # what was not verified within so much is not any more
LATE_IN_A_ROW = 3
REVERTS_A_DAY = 3
FIGHTS, FIGHT_S = 3, 3600  # so many moves by another hand within so much: two controllers
REVERTING = "reverting"  # the kind of the event that says, before it is tried, that a deed is taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """How something is taken back: whether the daemon may do that action, and doing it.

    `revert` is given the action that was done; None where the guards held its undo.
    """

    may: Callable[[Action], bool]
    revert: Callable[[Action], Outcome | None]


def verify(app: App, seen: Seen, now: datetime, hands: Hands) -> None:
    """A verdict on each change that has none yet, by what was just seen. Raises StoreError."""
    look = _Look(app, seen, now, hands)
    pools = {pool.id: pool for pool in seen.snapshot.pools}
    for deed in app.verdicts.unverified(now - timedelta(seconds=LOOKED_BACK_S)):
        pool, change = pools.get(deed.action.target), deed.change
        if pool is None or change is None or change.at >= seen.snapshot.taken_at:
            continue  # it was not seen since: it is looked at next time
        if change.after > change.before:
            look.grown(deed, change, pool)
        else:
            look.shrunk(deed, change, pool)


class _Look:
    """One look at all that was done lately."""

    def __init__(self, app: App, seen: Seen, now: datetime, hands: Hands) -> None:
        self._app, self._seen, self._now, self._hands = app, seen, now, hands

    def grown(self, deed: Deed, change: Change, pool: Pool) -> None:
        """Did the units of a growth arrive; three growths in a row that did not freeze the pool."""
        verdict = verification.arrived(change, pool, self._now)
        facts = (
            Fact(name="ready", value=pool.ready_units, unit="units"),
            Fact(name="wanted", value=change.after, unit="units"),
        )
        self._app.verdicts.judge(deed.key, verdict, facts, self._now)
        if verdict is Verdict.LATE and self._late_in_a_row(pool.id):
            why = (
                f"{LATE_IN_A_ROW} growths in a row did not arrive: {pool.ready_units} of {change.after} serve"
            )
            freeze_pool(self._app, pool.id, why, self._now)

    def _late_in_a_row(self, pool_id: str) -> bool:
        since = self._now - timedelta(seconds=LOOKED_BACK_S)
        deeds = self._app.trail.pool(pool_id, since=since)
        grown = [deed.key for deed in deeds if deed.change and deed.change.after > deed.change.before]
        newest = {one.key: one.verdict for one in self._app.verdicts.judged(grown)}
        final = [newest[key] for key in grown if newest.get(key, Verdict.WAITING) is not Verdict.WAITING]
        return final[-LATE_IN_A_ROW:] == [Verdict.LATE] * LATE_IN_A_ROW

    def shrunk(self, deed: Deed, change: Change, pool: Pool) -> None:
        """Is the service level worse after a shrink; then it is taken back."""
        if pool.desired != change.after:
            self._moved_since(deed, change, pool)
            return
        signals = self._app.policy.interlocks.signals
        verdict, facts = service_level(signals, self._seen.series, change, self._now)
        if verdict is Verdict.WORSE:
            self._worse(deed, change, facts)
        else:
            self._app.verdicts.judge(deed.key, verdict, facts, self._now)

    def _moved_since(self, deed: Deed, change: Change, pool: Pool) -> None:
        """By our own revert, whose end was lost, or by anyone: then nothing tells of the shrink alone."""
        moved = Fact(name="desired since", value=pool.desired, unit="units")
        if self._begun(deed, change):
            if self._taken_back(deed, change):
                self._reverted(deed, ())
            else:
                self._app.verdicts.judge(deed.key, Verdict.WORSE, (moved,), self._now)
        elif self._now < change.at + timedelta(seconds=verification.LAG_S):
            self._app.verdicts.judge(deed.key, Verdict.WAITING, (), self._now)
        else:
            self._app.verdicts.judge(deed.key, Verdict.UNKNOWN, (moved,), self._now)

    def _begun(self, deed: Deed, change: Change) -> bool:
        """Whether it was once begun to take this deed back."""
        events = self._app.verdicts.events(pool=change.target, since=change.at)
        return any((event.kind, event.text) == (REVERTING, deed.key) for event in events)

    def _taken_back(self, deed: Deed, change: Change) -> bool:
        """Whether the trail has a deed that took the whole of this one back."""
        done = replace(deed.action, after=change.after).id
        return any(
            other.change is not None
            and other.change.after >= change.before
            and any(fact.name == "undoes" and fact.value == done for fact in other.action.because)
            for other in self._app.trail.pool(change.target, since=change.at)
        )

    def _worse(self, deed: Deed, change: Change, facts: Sequence[Fact]) -> None:
        """Take it back, if it may be; where guards or the provider refuse, it is tried again next time."""
        done = replace(deed.action, after=change.after)
        verdicts, pool_id = self._app.verdicts, change.target
        if not self._hands.may(done.inverse()):
            verdicts.judge(deed.key, Verdict.WORSE, facts, self._now)
            why = f"{done.id} made the service worse; the pool's mode keeps it from being taken back"
            verdicts.event("worse", pool_id, why, self._now)
            freeze_pool(self._app, pool_id, why, self._now)
            return
        if verdicts.reverts(pool_id, self._now - timedelta(days=1)) >= REVERTS_A_DAY:
            verdicts.judge(deed.key, Verdict.WORSE, facts, self._now)
            why = f"{done.id} made the service worse, after {REVERTS_A_DAY} reverts within a day"
            freeze_pool(self._app, pool_id, why, self._now)
            return
        if not self._begun(deed, change):
            verdicts.event(REVERTING, pool_id, deed.key, self._now)
        outcome = self._hands.revert(done)
        if outcome is not None and outcome.status in MADE:
            self._reverted(deed, facts)

    def _reverted(self, deed: Deed, facts: Sequence[Fact]) -> None:
        self._app.verdicts.judge(deed.key, Verdict.REVERTED, facts, self._now)
        why = f"{deed.action.id} made the service worse, and was taken back"
        freeze_pool(self._app, deed.action.target, why, self._now)


def service_level(
    signals: Iterable[Signal], series: Mapping[str, Series], change: Change, now: datetime
) -> tuple[Verdict, tuple[Fact, ...]]:
    """Whether any service level of the pool fell after the change, as of the latest look that is due."""
    mine = [
        signal
        for signal in signals
        if signal.kind is SignalKind.SERVICE_LEVEL and (signal.pools is None or change.target in signal.pools)
    ]
    if not mine:
        return Verdict.UNKNOWN, (Fact(name="service level", value="no signal tells it"),)
    found: list[Compared] = []
    facts: list[Fact] = []
    over = True
    for signal in mine:
        one = series.get(signal.series)
        window = verification.window_s(one.step_s if one is not None else 0)
        over = over and now >= change.at + timedelta(seconds=window)
        compared = None if one is None else _compared(signal, one, change.at, window, now)
        if compared is not None:
            found.append(compared)
            facts += compared.facts(signal.series, f"{window} s")
    if any(compared.worse for compared in found):
        return Verdict.WORSE, tuple(facts)
    if not over:
        return Verdict.WAITING, tuple(facts)
    return (Verdict.CONFIRMED if found else Verdict.UNKNOWN), tuple(facts)


def _compared(signal: Signal, one: Series, at: datetime, window: int, now: datetime) -> Compared | None:
    look = verification.look_due((now - at).total_seconds(), window)
    if look is None:
        return None
    before = _within(one, at - timedelta(seconds=window), at)
    after = _within(one, at, at + timedelta(seconds=look))
    return verification.worsened(before, after, larger_is_worse=signal.above is not None)


def _within(one: Series, start: datetime, end: datetime) -> NDArray[np.float64]:
    """The points whose steps lie within [start, end)."""
    first = -int((one.start - start).total_seconds() // one.step_s)  # rounds up
    last = int((end - one.start).total_seconds() // one.step_s)
    return one.y[max(0, first) : max(0, last)]


def watch_fights(app: App, outcomes: Iterable[tuple[Action, Outcome]], now: datetime) -> None:
    """Freeze each pool just tried that another hand moved too often of late. Raises StoreError."""
    since = now - timedelta(seconds=FIGHT_S)
    tried = {action.target for action, outcome in outcomes if outcome.status in MADE | {Status.STALE}}
    for pool_id in sorted(tried):
        moves = verification.moved_by_others(app.trail.pool(pool_id, since=since))
        if moves >= FIGHTS:
            why = f"two controllers: someone else moved it {moves} times within an hour; let only one size it"
            freeze_pool(app, pool_id, why, now, seconds=FIGHT_S)


def freeze_pool(app: App, pool_id: str, why: str, now: datetime, *, seconds: int = FROZEN_S) -> None:
    """Keep a pool from shrinking, by the program itself, and tell; once for the same reason. It may grow."""
    for freeze in app.people.freezes(now):
        if (freeze.scope, freeze.name, freeze.why) == (Scope.POOL, pool_id, why):
            return
    until = now + timedelta(seconds=seconds)
    freeze = Freeze(scope=Scope.POOL, name=pool_id, until=until, why=why, shrinks_only=True)
    app.people.freeze(freeze, BY, now)
    app.verdicts.event("frozen", pool_id, why, now)
