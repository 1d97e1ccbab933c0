"""Look at what was done a while ago: did it arrive, did it hurt. Take back what hurt.

Every verdict is kept in the trail. Shrinks after which the service level is worse are taken back once, by the
same guards as any plan, and their pool is frozen then; so is a pool whose growths do not arrive, and one that
another controller moves as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import reverting, settling
from autoscaler.reverting import REVERTING, Chain, Hands, freeze_pool
from forecasts.types import Series
from policies import verification
from policies.deeds import MADE, Deed, Verdict
from policies.model import Pool
from policies.plan import Action, Change, Fact, Outcome, Status
from policies.policy import Signal, SignalKind
from policies.verification import Compared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoscaler.bootstrap import App
    from autoscaler.observing import Seen

__all__ = ["REVERTING", "Hands", "freeze_pool", "service_level", "verify", "watch_fights"]

LOOKED_BACK_S = 7 * 86400  # what was not verified within so much is not any more
LATE_IN_A_ROW = 3
FIGHTS, FIGHT_S = 3, 3600  # so many moves by another hand within so much: two controllers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What was done to a pool, oldest first, and the keys of what it was once begun to take back."""

    deeds: Sequence[Deed]
    begun: frozenset[str]


def verify(app: App, seen: Seen, now: datetime, hands: Hands) -> None:
    """A verdict on each change that has none yet, by what was just seen. Raises StoreError."""
    look = _Look(app, seen, now, hands)
    pools = {pool.id: pool for pool in seen.snapshot.pools}
    shrinks: dict[str, list[Deed]] = {}
    for deed in app.verdicts.unverified(now - timedelta(seconds=LOOKED_BACK_S)):
        pool, change = pools.get(deed.action.target), deed.change
        if deed.elsewhere:
            look.gone(deed)
        if pool is None or change is None or deed.elsewhere:
            continue
        if change.after < change.before:
            shrinks.setdefault(pool.id, []).append(deed)
        elif change.at < seen.snapshot.taken_at:  # else it was not seen since: it is looked at next time
            look.grown(deed, change, pool)
    look.freeze_late()
    for pool_id, deeds in shrinks.items():
        look.shrunk(deeds, pools[pool_id])


class _Look:
    """One look at all that was done lately."""

    def __init__(self, app: App, seen: Seen, now: datetime, hands: Hands) -> None:
        self._app, self._seen, self._now, self._hands = app, seen, now, hands
        self._late: dict[str, str] = {}  # how much serves, by pool of a growth that was just found late

    def gone(self, deed: Deed) -> None:
        """Its pool is another target now: nothing that is seen tells of it, nor is it taken back there."""
        facts = (Fact(name="done at a former target", value=deed.place),)
        self._app.verdicts.judge(deed.key, Verdict.UNKNOWN, facts, self._now)

    def grown(self, deed: Deed, change: Change, pool: Pool) -> None:
        """Did the units of a growth arrive."""
        verdict = verification.arrived(change, pool, self._now)
        facts = (
            Fact(name="ready", value=pool.ready_units, unit="units"),
            Fact(name="wanted", value=change.after, unit="units"),
        )
        self._app.verdicts.judge(deed.key, verdict, facts, self._now)
        if verdict is Verdict.LATE:
            self._late[pool.id] = f"{pool.ready_units} of {change.after} serve"

    def freeze_late(self) -> None:
        """Three growths in a row that did not arrive freeze their pool."""
        since = self._now - timedelta(seconds=LOOKED_BACK_S)
        for pool_id, serve in self._late.items():
            said = self._app.verdicts.arrivals(pool_id, since, last=LATE_IN_A_ROW)
            if tuple(said) == (Verdict.LATE,) * LATE_IN_A_ROW:
                why = f"{LATE_IN_A_ROW} growths in a row did not arrive: {serve}"
                freeze_pool(self._app, pool_id, why, self._now)

    def shrunk(self, shrinks: Sequence[Deed], pool: Pool) -> None:
        """Is the service level worse after any of a pool's shrinks; then what it lost by them is taken back.

        Those of which something final can be said are not among these; those made since the look are.
        """
        taken_at = self._seen.snapshot.taken_at
        shown = [deed for deed in shrinks if deed.change is not None and deed.change.at < taken_at]
        if not shown:
            return  # they were not seen since: they are looked at next time
        past = self._past(pool, shown)
        if self._underway(past, shown[0]):
            for deed in shown:  # a call may still arrive, that of a revert say
                self._app.verdicts.judge(deed.key, Verdict.WAITING, (), self._now)
            return
        mine, facts, hurt = [], {}, False
        for deed in shown:
            run = verification.run_since(past.deeds, deed.key, pool.desired, taken_at)
            verdict, facts[deed.key] = (
                self._since_our_own(deed, run, past) if run else self._moved(deed, pool, past)
            )
            if run and verdict in {Verdict.WAITING, Verdict.WORSE}:
                mine.append(deed)
                hurt = hurt or verdict is Verdict.WORSE
            if not run or verdict is not Verdict.WORSE:
                self._app.verdicts.judge(deed.key, verdict, facts[deed.key], self._now)
        if hurt:
            run = verification.run_since(past.deeds, mine[0].key, pool.desired, taken_at)
            fresh = [deed for deed in shrinks if deed not in shown]
            chain = Chain(pool=pool, shrinks=[*mine, *fresh], facts=facts, run=run)
            reverting.take_back(self._app, chain, self._hands, self._now)

    def _past(self, pool: Pool, shown: Sequence[Deed]) -> _Past:
        since = min(deed.at for deed in shown)
        chain = timedelta(seconds=verification.CHAIN_S)
        deeds = _here(self._app.trail.pool(pool.id, since=since - chain))
        return _Past(deeds=deeds, begun=reverting.begun(self._app, pool.id, since))

    def _underway(self, past: _Past, first: Deed) -> bool:
        """Whether something that was tried since may still be done: no more is tried until that is known."""
        ends = self._now - timedelta(seconds=settling.UNDERWAY_S)
        return any(deed.doubtful and deed.at > ends for deed in verification.after(past.deeds, first.key))

    def _moved(self, deed: Deed, pool: Pool, past: _Past) -> tuple[Verdict, tuple[Fact, ...]]:
        """What we did does not explain the size: in doubt, shown late, or moved by another hand."""
        later = verification.after(past.deeds, deed.key)
        lagging = self._now - timedelta(seconds=verification.LAG_S)
        late = any(one.change is not None and one.change.at > lagging for one in (deed, *later))
        if late or any(one.doubtful and not settling.given_up(one, self._now) for one in later):
            return Verdict.WAITING, ()
        moved = Fact(name="desired since", value=pool.desired, unit="units")
        return (Verdict.WORSE if deed.key in past.begun else Verdict.UNKNOWN), (moved,)

    def _since_our_own(
        self, deed: Deed, run: Sequence[Deed], past: _Past
    ) -> tuple[Verdict, tuple[Fact, ...]]:
        """What the service level tells of a shrink, where we only shrank the pool since."""
        first = verification.chain_start(past.deeds, deed.key)
        grown = [one for one in run if verification.grew(one)]
        if grown and deed.key in past.begun:
            return Verdict.WORSE, ()  # it was found so when it was begun to take it back
        if deed.change is None or first is None or any(one in grown for one in self._shown(run)):
            moved = Fact(name="grown since by", value=len(grown), unit="actions")
            return Verdict.UNKNOWN, (moved,)
        signals = self._app.policy.interlocks.signals
        return service_level(signals, self._seen.series, deed.change, self._now, since=first.at)

    def _shown(self, run: Sequence[Deed]) -> list[Deed]:
        taken_at = self._seen.snapshot.taken_at
        return [one for one in run if one.change is not None and one.change.at < taken_at]


def _here(deeds: Iterable[Deed]) -> tuple[Deed, ...]:
    """Those that were done to what the pool is today."""
    return tuple(deed for deed in deeds if not deed.elsewhere)


def service_level(
    signals: Iterable[Signal],
    series: Mapping[str, Series],
    change: Change,
    now: datetime,
    *,
    since: datetime,
) -> tuple[Verdict, tuple[Fact, ...]]:
    """Whether any service level of the pool fell after the change, as of the latest look that is due.

    It is compared with the window before `since`: when the change, or the first of its chain, was made.
    """
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
        compared = None if one is None else _compared(signal, one, (since, change.at), window, now)
        if compared is not None:
            found.append(compared)
            facts += compared.facts(signal.series, f"{window} s")
    if any(compared.worse for compared in found):
        return Verdict.WORSE, tuple(facts)
    if not over:
        return Verdict.WAITING, tuple(facts)
    return (Verdict.CONFIRMED if found else Verdict.UNKNOWN), tuple(facts)


def _compared(
    signal: Signal, one: Series, ends: tuple[datetime, datetime], window: int, now: datetime
) -> Compared | None:
    """The time before the first of the moments with that after the second one."""
    since, at = ends
    look = verification.look_due((now - at).total_seconds(), window)
    if look is None:
        return None
    before = _within(one, since - timedelta(seconds=window), since)
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
        moves = verification.moved_by_others(_here(app.trail.pool(pool_id, since=since)))
        if moves >= FIGHTS:
            why = f"two controllers: someone else moved it {moves} times within an hour; let only one size it"
            freeze_pool(app, pool_id, why, now, seconds=FIGHT_S)
