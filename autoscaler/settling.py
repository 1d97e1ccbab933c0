"""Settle the intents in doubt: ask the provider what became of them, never try them again.

After a crash, a lost reply or a late one, an intent has no outcome, or an unknown one. What a provider
remembers of the key decides; else the size does, once no call can be on its way any more. Where someone else
moved the pool meanwhile, or where its name has another target now, nobody can know: the intent stays unknown,
and shrinks in doubt count in budgets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from autoscaler.errors import LoadlineError, NotFound, ProviderError
from autoscaler.ports import Clock, Pools, Remembers, Trail
from policies.deeds import Deed
from policies.model import Pool
from policies.plan import Action, Change, Outcome, Status

UNDERWAY_S = 300  # a call's deadline (30 s), a clock's skew (60 s), and how late a reading may be (210 s)
GIVEN_UP_S = 86400  # what could not be told for a day will not be told by asking again


def settle(
    deeds: Iterable[Deed], *, owners: Mapping[str, Pools], trail: Trail, clock: Clock
) -> list[tuple[Deed, Outcome]]:
    """Conclude what can be told of each intent in doubt; those that are newly told of, with their outcomes.

    `owners` are the providers by pool. A provider that does not answer leaves its intents for the next time.
    Raises StoreError.
    """
    told = []
    for deed in deeds:
        now = clock.now()
        owner = owners.get(deed.action.target)
        if owner is None or given_up(deed, now):
            continue
        outcome, change = _ask(deed, owner, now)
        if outcome is None or (deed.outcome is not None and _same(deed.outcome, outcome)):
            continue
        trail.conclude(deed.key, outcome, change)
        told.append((deed, outcome))
    return told


def given_up(deed: Deed, now: datetime) -> bool:
    """Whether so much time has gone by that nobody asks any more what became of it."""
    return now >= deed.at + timedelta(seconds=GIVEN_UP_S)


def underway(deeds: Iterable[Deed], now: datetime) -> dict[str, datetime]:
    """The pools at which a call in doubt may still arrive, and since when."""
    found: dict[str, datetime] = {}
    for deed in deeds:
        if now < deed.at + timedelta(seconds=UNDERWAY_S):
            found[deed.action.target] = min(deed.at, found.get(deed.action.target, deed.at))
    return found


def perhaps(deeds: Iterable[Deed], since: datetime, now: datetime) -> Sequence[Change]:
    """The changes that intents in doubt may have made at or after `since`: what budgets count to be safe.

    A call that is late is done later than it was intended: each counts as of the last moment at which it can
    have been done.
    """
    found = (
        Change(
            target=deed.action.target,
            at=min(now, deed.at + timedelta(seconds=UNDERWAY_S)),
            before=deed.action.before,
            after=deed.action.after,
            elsewhere=deed.elsewhere,
        )
        for deed in deeds
    )
    return tuple(change for change in found if change.at >= since)


def _ask(deed: Deed, owner: Pools, now: datetime) -> tuple[Outcome | None, Change | None]:
    late = now >= deed.at + timedelta(seconds=UNDERWAY_S)
    if deed.elsewhere:  # what is read today is another one's
        why = f"nobody can tell: {deed.action.target} was {deed.place} then, and is at another place now"
        return (_unknown(deed, why, now) if late else None), None
    try:
        if isinstance(owner, Remembers):
            return _remembered(deed, owner.answer_to(deed.key), now, late=late)
        return _by_size(deed, owner.read(deed.action.target), now, late=late)
    except NotFound as error:
        return (_unknown(deed, f"nobody can tell: {error}", now) if late else None), None
    except ProviderError:
        return None, None  # it is asked again at the next turn
    except LoadlineError:
        raise
    except Exception:  # noqa: BLE001 - the edge of one provider: its bugs stop nobody else
        return None, None


def _remembered(
    deed: Deed, answer: Pool | None, now: datetime, *, late: bool
) -> tuple[Outcome | None, Change | None]:
    """The provider keeps its keys: no answer to this one, once none can come, is no call."""
    if answer is not None:
        return _done(deed, answer.desired, now)
    return (_not_done(deed, now) if late else None), None


def _by_size(deed: Deed, pool: Pool, now: datetime, *, late: bool) -> tuple[Outcome | None, Change | None]:
    action = deed.action
    moved = not action.version or pool.version != action.version
    if pool.desired == action.after and moved:
        return _done(deed, pool.desired, now)
    if not late:
        return None, None
    if pool.desired == action.before and pool.version == action.version:
        return _not_done(deed, now), None
    if pool.desired == action.before:
        why = f"was not done, or was taken back: {pool.id} is at {pool.desired} and another version"
    else:
        why = f"nobody can tell: someone moved {pool.id} to {pool.desired} meanwhile"
    return _unknown(deed, why, now), None


def _done(deed: Deed, after: int, now: datetime) -> tuple[Outcome, Change | None]:
    action = deed.action
    if after == action.before:
        return _not_done(deed, now), None
    status = Status.APPLIED if after == action.after else Status.PARTIAL
    at = min(now, deed.at + timedelta(seconds=UNDERWAY_S))  # no earlier than it was: budgets end no sooner
    change = Change(target=action.target, at=at, before=action.before, after=after)
    return _outcome(action, status, now, "found done by asking the provider", after), change


def _not_done(deed: Deed, now: datetime) -> Outcome:
    return _outcome(deed.action, Status.FAILED, now, "was not done: the provider knows nothing of it", None)


def _unknown(deed: Deed, why: str, now: datetime) -> Outcome:
    return _outcome(deed.action, Status.UNKNOWN, now, why, None)


def _outcome(action: Action, status: Status, at: datetime, error: str, after: int | None) -> Outcome:
    return Outcome(action_id=action.id, status=status, at=at, observed_after=after, error=error)


def _same(old: Outcome, new: Outcome) -> bool:
    return (old.status, old.error) == (new.status, new.error)
