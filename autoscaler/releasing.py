"""Give pools back to their owners: every size, floor and maximum that was changed, as it was before us.

A pool that has another size than before goes through the trail as any change does: intent, call, outcome.
Where only the marks are left to be taken off, the trail has an event. Freezes, modes and guards do not hold
it, for leaving must always be possible; a daemon that leads does.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from autoscaler import apply as applying
from autoscaler import retelling, settling
from autoscaler.bootstrap import connected_to
from autoscaler.called import Called
from autoscaler.errors import Denied, LoadlineError, NotFound, UsageError
from autoscaler.lease import kept
from autoscaler.ports import ORIGINAL_SIZE, Pools, Releases
from autoscaler.transport import CHANGING, READING, Family, within
from policies.model import Gap, Pool
from policies.plan import DENIED, Action, Fact, Outcome, Plan, Reason, Status, kind_of

if TYPE_CHECKING:
    from autoscaler.bootstrap import App

RELEASED = "released"  # the kind of the event that says whose pool was given back, by whom and why
LONG = replace(CHANGING, deadline_s=60.0)  # several calls, and nobody else waits for them
LISTING = replace(READING, deadline_s=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What became of one pool. `action` is None where no size was to be put back, `outcome` where none was
    tried; `why` is one line for people.
    """

    pool: str
    action: Action | None = None
    outcome: Outcome | None = None
    why: str = ""

    @property
    def status(self) -> Status:
        """How it ended."""
        return Status.APPLIED if self.outcome is None else self.outcome.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Who gives the pools back, and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Every pool of every provider, by the configuration's name where it has one, and what was not seen."""

    pools: Mapping[str, Pool]
    owners: Mapping[str, Leaving]
    gaps: Sequence[Gap]


class Leaving(Called):
    """The `Pools` port over a provider in which to resize is to release; with its own ids, and deadlines."""

    def __init__(
        self, pools: Pools, names: Mapping[str, str], *, taken: Collection[str] = (), family: Family = LONG
    ) -> None:
        """`names` as of `Called`; `taken` are further names, of pools of other providers."""
        super().__init__(pools, names)
        self._taken, self._family = frozenset(taken), family

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """See the port. A pool that is not shown and bears our mark is a gap."""
        pools, gaps = within(self._pools.list, LISTING)
        hidden = (pool for pool in pools if self._is_taken(pool.id) and ORIGINAL_SIZE in pool.labels)
        return self._shown(pools), (*gaps, *map(_unnamed, hidden))

    def read(self, pool_id: str) -> Pool:
        """See the port."""
        return within(partial(super().read, pool_id), self._family)

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """Give it back; the provider knows the size itself. As `Releases.release`."""
        del size
        owner = self._pools
        if not isinstance(owner, Releases):
            raise NotImplementedError(f"the provider of {pool_id} cannot give it back")
        target, own = self._id(pool_id), self._own(pool_id, version)
        return self._renamed(within(lambda: owner.release(target, version=own, key=key), self._family))

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """No provider rehearses it."""
        del pool_id, size, version
        return False

    @property
    def releases(self) -> bool:
        """Whether the provider can give a pool back."""
        return isinstance(self._pools, Releases)

    def _is_taken(self, target: str) -> bool:
        return super()._is_taken(target) or (target in self._taken and target not in self._names)


def _unnamed(pool: Pool) -> Gap:
    why = f"{pool.id} bears our mark, and another pool has that name; declare it by one of its own"
    return Gap(source=f"provider {pool.provider}", code="UNNAMED", why=f"{why}, with target: {pool.id}")


def find(app: App) -> Found:
    """List every provider; one that does not answer is a gap."""
    pools: dict[str, Pool] = {}
    owners: dict[str, Leaving] = {}
    gaps: list[Gap] = []
    declared = app.configuration.pools.values()
    for name, settings in app.configuration.providers.items():
        names = {pool.target: pool.id for pool in declared if pool.provider == name}
        taken = {pool.id for pool in declared if pool.provider != name} | set(pools)
        try:
            leaving = Leaving(connected_to(name, settings, app.clock), names, taken=taken)
            listed, unseen = leaving.list()
        except LoadlineError as error:
            gaps.append(Gap(source=f"provider {name}", code=type(error).__name__, why=str(error)))
            continue
        gaps += unseen
        pools |= {pool.id: pool for pool in listed}
        owners |= dict.fromkeys((pool.id for pool in listed), leaving)
    return Found(pools=pools, owners=owners, gaps=tuple(gaps))


def chosen(found: Found, names: Iterable[str]) -> list[Pool]:
    """The pools of those names, each once.

    UsageError names the nearest; NotFound where a list was not whole.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name in found.pools:
            continue
        if found.gaps:
            raise NotFound(f"{name} was not seen, and not everything could be: {found.gaps[0].why}")
        near = difflib.get_close_matches(name, list(found.pools), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"no provider lists a pool {name}{hint}")
    return [found.pools[name] for name in wanted]


def marked(found: Found) -> list[Pool]:
    """Every pool that bears our mark, whether or not the configuration still names it."""
    return [pool for _, pool in sorted(found.pools.items()) if ORIGINAL_SIZE in pool.labels]


def original(pool: Pool) -> int | None:
    """The size (or floor) before our first change; None where the pool does not say, or says no number."""
    text = pool.labels.get(ORIGINAL_SIZE, "")
    return int(text) if text.isdecimal() else None


def release(app: App, found: Found, pools: Sequence[Pool], word: Word) -> Iterator[Given]:
    """Give each pool back, one by one; what cannot be given back hinders no other.

    Fenced where a daemon leads, before anything is done. Raises StoreError where the trail cannot be written.
    """
    app.lease.take()
    with kept(app.lease):
        names = app.configuration.pools.values()
        owners = {one.id: app.providers[one.provider] for one in names if one.provider in app.providers}
        doubts = retelling.doubtful(app, app.clock.now())
        settling.settle(doubts, owners=owners, trail=app.trail, clock=app.clock)
        for pool in pools:
            yield _release(app, found.owners[pool.id], pool, word)


def _release(app: App, owner: Leaving, pool: Pool, word: Word) -> Given:
    size = original(pool)
    if ORIGINAL_SIZE not in pool.labels:
        return Given(pool=pool.id, why="it was never changed by loadline")
    if not owner.releases:
        return _refused(app, pool, "its provider cannot give it back; set it by hand")
    if size is None:
        return _refused(
            app, pool, f"its mark {ORIGINAL_SIZE} is no number; set it by hand, take the mark off"
        )
    given = _unmarked(app, owner, pool) if size == pool.desired else _put_back(app, owner, pool, word)
    if given.status is Status.APPLIED:
        told = f"given back by {word.by}: {word.why}"
        app.verdicts.event(RELEASED, pool.id, told, app.clock.now())
    return given


def _unmarked(app: App, owner: Leaving, pool: Pool) -> Given:
    """Its size is the owner's already: only the marks go, and whatever else of ours is beside the size."""
    key = f"release-{pool.id}-{pool.version}"
    try:
        app.lease.check()
        owner.resize(pool.id, pool.desired, version=pool.version, key=key)
    except LoadlineError as error:
        why = f"{DENIED}: {error}" if isinstance(error, Denied) else str(error)
        return _refused(app, pool, why, status=Status.FAILED)
    return Given(pool=pool.id, why=f"it has its {pool.desired} units of before; the marks are off")


def _put_back(app: App, owner: Leaving, pool: Pool, word: Word) -> Given:
    plan = plan_of(pool, word, now=app.clock.now(), ttl_s=app.policy.plan_ttl_s)
    app.trail.record_plan(plan)
    world = applying.World(
        owners={pool.id: owner},
        trail=app.trail,
        clock=app.clock,
        permit=lambda _action, _pool: "",
        lease=app.lease,
    )
    ((action, outcome),) = applying.apply(plan, world, allowed=lambda _action: True)
    return Given(pool=pool.id, action=action, outcome=outcome, why=outcome.error)


def plan_of(pool: Pool, word: Word, *, now: datetime, ttl_s: int) -> Plan:
    """The plan of one action that puts the size of before back; ValueError where the pool does not say it."""
    size = original(pool)
    if size is None:
        raise ValueError(f"{pool.id} does not say what it was before")
    ends = now + timedelta(seconds=ttl_s)
    action = Action(
        kind=kind_of(pool.desired, size),
        target=pool.id,
        before=pool.desired,
        after=size,
        version=pool.version,
        reason=Reason.UNDO,
        because=(
            Fact(name="released by", value=word.by),
            Fact(name="why", value=word.why),
            Fact(name="before the first change", value=size, unit="units", source=ORIGINAL_SIZE),
        ),
        billable=pool.billable,
        disruption=max(0, pool.desired - size),
        not_before=now,
        expires_at=ends,
    )
    return Plan(
        made_at=now,
        expires_at=ends,
        snapshot_digest="",
        policy_digest="",
        forecasts_digest="",
        actions=(action,),
    )


def _refused(app: App, pool: Pool, why: str, *, status: Status = Status.REFUSED) -> Given:
    outcome = Outcome(action_id="", status=status, at=app.clock.now(), error=why)
    return Given(pool=pool.id, outcome=outcome, why=why)
