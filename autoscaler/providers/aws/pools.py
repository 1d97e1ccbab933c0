"""The ports over the kinds of pools of one account and region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from autoscaler.errors import Invalid, NotFound, ProviderError, Stale, Temporary, Unreachable
from autoscaler.keys import Keys
from autoscaler.ports import Check
from autoscaler.providers.aws import examining
from autoscaler.providers.aws.kinds import ODD, Account, Kind, Seen, odd, refuse_size, rehearsed
from autoscaler.providers.aws.marks import OURS, Mark, mark_on, written
from autoscaler.providers.aws.schedules import Schedules
from policies.model import Gap, Pool


class AwsPools:
    """`Pools`, `Examines`, `Releases` and `Outlasts` over AWS. Safe to call from several threads.

    AWS has no conditional write: an object is read right before it is changed, and what moved is Stale.
    Somebody's change between these two calls is overwritten.
    """

    def __init__(self, account: Account, kinds: Mapping[str, Kind], schedules: Schedules) -> None:
        """`kinds` by the first part of an id."""
        self._account, self._kinds, self._schedules = account, kinds, schedules
        self._keys = Keys()  # while the process lives; the last one stands on the object

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every pool of the kinds that are listed. A kind that fails is a Gap beside others' pools (F18)."""
        pools: list[Pool] = []
        gaps: list[Gap] = []
        failures: list[ProviderError] = []
        for name, kind in self._kinds.items():
            try:
                found, missing = kind.list()
            except ProviderError as error:
                failures.append(error)
                gaps.append(Gap(source=self._account.source, code="PARTIAL", why=f"no {name} pools: {error}"))
            else:
                pools += found
                gaps += missing
        if len(failures) == len(self._kinds):
            raise failures[0]
        return tuple(sorted(pools, key=lambda pool: pool.id)), tuple(gaps)

    def read(self, pool_id: str) -> Pool:
        """One pool as it is now; NotFound."""
        kind, name = self._kind(pool_id)
        return _seen(kind, name).pool

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """See the port. Unreachable where the change was taken and the pool cannot be read after it."""
        known = self._keys.answer(pool_id, size, key)
        if known is not None:
            return known
        kind, seen = self._present(pool_id, size)
        done = _done(seen.pool, size, key)
        if not done:
            _refuse_stale(seen.pool, version)
            if size != seen.pool.desired:
                now = self._account.clock.now()
                kind.change(seen, size, Mark(key=key, size=size, at=now, floor=bool(seen.pool.lever)))
                after = self._after(pool_id)
                # A reading may lag behind what was taken (F43).
                after = replace(after, desired=size) if after.desired == seen.pool.desired else after
                return self._keys.remember(key, size, after)
        return self._keys.remember(key, size, seen.pool)

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """See the port; only instances that are started and stopped can be rehearsed (EC2's dry run)."""
        kind, seen = self._present(pool_id, size)
        _refuse_stale(seen.pool, version)
        return rehearsed(kind, seen, size)

    def release(self, pool_id: str, *, version: str, key: str) -> Pool:
        """See the port; what was left for the next hours goes too. Nothing where none of our marks is."""
        if not key:
            raise Invalid(f"{pool_id}: a release needs an idempotency key")
        kind, name = self._kind(pool_id)
        seen = _seen(kind, name)
        if not any(mark in seen.pool.labels for mark in OURS):
            return seen.pool
        _refuse_stale(seen.pool, version)
        if pool_id.startswith("asg/"):
            self._schedules.clear(name)
            seen = _seen(kind, name)  # one of them may have come true since
        kind.give_back(seen)
        return self._after(pool_id)

    def outlast(self, pool_id: str, sizes: Sequence[tuple[datetime, int]]) -> Sequence[Gap]:
        """See the port; by scheduled actions, which only groups (asg) have. Invalid for other kinds."""
        if not pool_id.startswith("asg/"):
            raise Invalid(f"{pool_id} has no scheduled actions; only Auto Scaling groups (asg/NAME) do")
        kind, name = self._kind(pool_id)
        return self._schedules.leave(name, _seen(kind, name), sizes)

    def examine(self) -> Sequence[Check]:
        """See the port."""
        return examining.examine(self._account, self)

    def _kind(self, pool_id: str) -> tuple[Kind, str]:
        first, _, name = pool_id.partition("/")
        if first not in self._kinds or not name:
            raise NotFound(f"there is no pool {pool_id}: ids begin with {', '.join(self._kinds)} and a slash")
        return self._kinds[first], name

    def _present(self, pool_id: str, size: int) -> tuple[Kind, Seen]:
        kind, name = self._kind(pool_id)
        seen = _seen(kind, name)
        refuse_size(seen.pool, size, raise_maximum=self._account.settings.raise_maximum)
        return kind, seen

    def _after(self, pool_id: str) -> Pool:
        try:
            return self.read(pool_id)
        except ProviderError as error:
            why = f"{pool_id}: the change was taken, and what came of it cannot be read: {error}"
            raise Unreachable(why) from error


def _seen(kind: Kind, name: str) -> Seen:
    try:
        return kind.read(name)
    except ODD as error:
        raise Temporary(f"{name}: {odd(error)}") from error


def _done(pool: Pool, size: int, key: str) -> bool:
    """Whether the object itself says that this key was used, and has the size. Invalid for another size."""
    last = mark_on(pool.labels)
    if last is None or last.key != written(key):
        return False
    if last.size != size:
        raise Invalid(f"the key {key} was used for {last.size} units of {pool.id}, not {size}")
    return pool.desired == size


def _refuse_stale(pool: Pool, version: str) -> None:
    if version != pool.version:
        raise Stale(f"{pool.id} is at version {pool.version}, not {version or 'none'}: read it again")
