"""Give pools back to their owners: every size, floor and maximum that was changed, as it was before us.

A pool that has another size than before goes through the trail as any change does: intent, call, outcome.
Where only the marks are left to be taken off, the trail has an event. Freezes, modes and guards do not hold
it, for leaving must always be possible; a daemon that leads does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler import apply as applying
from autoscaler import retelling, settling
from autoscaler.bootstrap import connected_to
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


class Leaving:
    """The `Pools` port over a provider in which to resize is to release; with its own ids, and deadlines."""

    def __init__(self, provider: Pools, ids: Mapping[str, str], *, family: Family = LONG) -> None:
        """`ids` are the provider's, by the configuration's names."""
        self._provider, self._ids, self._family = provider, ids, family
        self._names = {target: name for name, target in ids.items()}

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """See the port."""
        pools, gaps = within(self._provider.list, LISTING)
        return tuple(self._named(pool) for pool in pools), gaps

    def read(self, pool_id: str) -> Pool:
        """See the port."""
        return self._named(within(lambda: self._provider.read(self._id(pool_id)), self._family))

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """Give it back; the provider knows the size itself. As `Releases.release`."""
        del size
        owner = self._provider
        if not isinstance(owner, Releases):
            raise NotImplementedError(f"the provider of {pool_id} cannot give it back")
        target = self._id(pool_id)
        return self._named(within(lambda: owner.release(target, version=version, key=key), self._family))

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """No provider rehearses it."""
        del pool_id, size, version
        return False

    @property
    def releases(self) -> bool:
        """Whether the provider can give a pool back."""
        return isinstance(self._provider, Releases)

    def _id(self, name: str) -> str:
        return self._ids.get(name, name)

    def _named(self, pool: Pool) -> Pool:
        return replace(pool, id=self._names.get(pool.id, pool.id))


def find(app: App) -> Found:
    """List every provider; one that does not answer is a gap."""
    pools: dict[str, Pool] = {}
    owners: dict[str, Leaving] = {}
    gaps: list[Gap] = []
    for name, settings in app.configuration.providers.items():
        declared = (pool for pool in app.configuration.pools.values() if pool.provider == name)
        ids = {pool.id: pool.target for pool in declared}
        try:
            leaving = Leaving(connected_to(name, settings, app.clock), ids)
            listed, unseen = leaving.list()
        except LoadlineError as error:
            gaps.append(Gap(source=f"provider {name}", code=type(error).__name__, why=str(error)))
            continue
        gaps += unseen
        for pool in listed:
            pools.setdefault(pool.id, pool)
            owners.setdefault(pool.id, leaving)
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
