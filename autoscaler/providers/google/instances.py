"""Instances that are started and stopped: `gce/NAME` for those with the label loadline-pool=NAME.

Those that are stopped are the capacity that there is; none is ever made or deleted, and nothing is written on
them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoscaler.connections import GoogleProvider
from autoscaler.errors import Invalid, NotFound, Owned, ProviderError, Stale, Unreachable
from autoscaler.google_cloud import failure
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.google.api import Compute
from autoscaler.providers.google.keys import Keys, request_id
from autoscaler.providers.google.listing import Listing
from autoscaler.providers.google.marks import FREEZE_LABEL, labels_of
from autoscaler.providers.google.places import Place, tail
from policies.model import Obstacle, Pool, PoolKind, digest
from policies.plan import Guard

KIND = "gce"
POOL = "loadline-pool"  # the label, in which Google allows neither point nor slash
WANTED = frozenset({"PROVISIONING", "STAGING", "RUNNING", "REPAIRING"})
MOVING = frozenset({"PROVISIONING", "STAGING", "REPAIRING", "STOPPING"})
STOPPED = "TERMINATED"
THERE = WANTED | {"STOPPING", STOPPED}  # one that is suspended can only be resumed: it is no capacity here
_VALUE = re.compile(r"[\w-]{1,63}")
CREATED_BY = "created-by"  # of the metadata: the group that made it

Down = Collection[str] | str  # the zones that are down, or why that is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The instances of a pool as they were read, and the pool that they are."""

    pool: Pool
    instances: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedInstances:
    """The kind `gce`."""

    api: Compute
    settings: GoogleProvider
    keys: Keys

    def pools(self, listing: Listing, down: Down) -> Iterator[Pool]:
        """Every name of the label; none where something was not told: any pool may lack instances (F18)."""
        before = len(listing.gaps)
        found = self._there(listing, f"labels.{POOL}:*")
        if len(listing.gaps) > before:
            listing.gap(f"the pools of instances ({KIND}/...) are left out: any may lack some")
            return
        for name in sorted({str(one.labels[POOL]) for one in found}):
            yield self._pool(name, [one for one in found if one.labels[POOL] == name], down)

    def read(self, name: str, down: Down) -> Seen:
        """The instances of a name; NotFound where there are none, Unreachable where some were not told."""
        if not _VALUE.fullmatch(name):  # it becomes part of a filter
            raise NotFound(f"{KIND}/{name} is no pool of instances: no label of Google has that value")
        listing = Listing(self.settings)
        found = self._there(listing, f"labels.{POOL}={name}")
        if listing.gaps:
            raise Unreachable(f"{KIND}/{name}: {listing.gaps[0].why}")
        if not found:
            raise NotFound(f"no instance has the label {POOL}={name}")
        return Seen(pool=self._pool(name, found, down), instances=found)

    def refuse(self, seen: Seen, size: int, version: str) -> None:
        """Owned, Stale or Invalid where a change is not to be tried."""
        pool = seen.pool
        grouped = _grouped(seen.instances)
        if grouped:
            raise Owned(f"{pool.id}: {grouped}")
        if version != pool.version:
            raise Stale(f"{pool.id} is at version {pool.version}, not {version or 'none'}: read it again")
        if isinstance(size, bool) or not isinstance(size, int):
            raise Invalid(f"{pool.id}: {size!r} is no number of units")
        if not pool.minimum <= size <= pool.maximum:
            raise Invalid(f"{pool.id}: {size} is outside {pool.minimum}..{pool.maximum}")

    def resize(self, name: str, size: int, down: Down, *, version: str, key: str) -> Pool:
        """Start or stop as many as are missing or too many; see the port.

        Each is a call of its own. Where some are refused the pool has those that were not; where all are, the
        first refusal is raised. A call that was accepted is done when its instance says so.
        """
        pool_id = f"{KIND}/{name}"
        if not key:
            raise Invalid(f"{pool_id}: a resize needs an idempotency key")
        answered = self.keys.answer(pool_id, size, key)
        if answered is not None:
            return answered
        seen = self.read(name, down)
        if self.keys.begun(key) and seen.pool.desired == size:
            return self.keys.remember(key, size, seen.pool)
        self.refuse(seen, size, version)
        done = self._moved(seen, size, key) if size != seen.pool.desired else 0
        reached = seen.pool.desired + (done if size > seen.pool.desired else -done)
        try:
            after = self.read(name, down).pool if done else seen.pool
        except ProviderError as error:
            raise Unreachable(f"{pool_id}: it is done, and cannot be read: {error}") from error
        return self.keys.remember(key, size, replace(after, desired=reached))

    def _moved(self, seen: Seen, size: int, key: str) -> int:
        """How many were started or stopped."""
        self.keys.begin(seen.pool.id, size, key)
        refused: list[ProviderError] = []
        chosen = _choice(seen, size)
        for one in chosen:
            place = Place(tail(one.zone), str(one.name))
            request = request_id(self.settings.project, f"{seen.pool.id}/{place.location}/{place.name}", key)
            try:
                operation = self.api.turn(place, request, on=size > seen.pool.desired)
                for error in operation.error.errors:
                    raise failure(error.code, error.message, f"{seen.pool.id}: {place.name}")
            except Unreachable:
                raise  # whether it was done is not known, and so not how many are
            except ProviderError as error:
                refused.append(error)
        if refused and len(refused) == len(chosen):
            raise refused[0]
        return len(chosen) - len(refused)

    def _there(self, listing: Listing, which: str) -> list[Any]:
        found = listing.scoped(self.api.instances(which), "instances")
        return [one for one in found if one.status in THERE]

    def _pool(self, name: str, instances: Sequence[Any], down: Down) -> Pool:
        ready = Counter({tail(one.zone): 0 for one in instances})
        ready.update(tail(one.zone) for one in instances if one.status == "RUNNING")
        return Pool(
            id=f"{KIND}/{name}",
            provider=self.settings.name,
            kind=PoolKind.INSTANCE_GROUP,
            desired=sum(one.status in WANTED for one in instances),
            ready=dict(sorted(ready.items())),
            minimum=0,
            maximum=len(instances),
            demands=(),
            lead_time_s=self.settings.lead_time_s,
            last_scaled_at=None,
            version=digest(sorted([str(one.id), one.status in WANTED] for one in instances)),
            labels=_shared(instances),
            obstacles=tuple(_obstacles(instances, down)),
        )


def _choice(seen: Seen, size: int) -> Sequence[Any]:
    """Those that stand stopped by zone and name, or those that run, the newest first."""
    now = seen.pool.desired
    if size >= now:
        idle = [one for one in seen.instances if one.status == STOPPED]
        return sorted(idle, key=lambda one: (tail(one.zone), one.name))[: size - now]
    running = [one for one in seen.instances if one.status in WANTED]
    return sorted(running, key=lambda one: (one.last_start_timestamp, one.name), reverse=True)[: now - size]


def _grouped(instances: Sequence[Any]) -> str:
    """Why they are not to be stopped: a group makes anew what is stopped in it. "" where none is in one."""
    makers = sorted({maker for one in instances if (maker := _maker(one))})
    if not makers:
        return ""
    return (
        f"some are instances of the managed instance group {makers[0]}, which would start them again: "
        f"name the pool mig/.../{makers[0]}, or take the label {POOL} off them"
    )


def _maker(instance: Any) -> str:
    """The group that made an instance, "" for none."""
    made = next((entry.value for entry in instance.metadata.items if entry.key == CREATED_BY), "")
    return tail(made) if "/instanceGroupManagers/" in made else ""


def _obstacles(instances: Sequence[Any], down: Down) -> Iterator[Obstacle]:
    grouped = _grouped(instances)
    if grouped:
        yield Obstacle(code=Guard.OWNED, why=grouped, shrinks_only=False)
    moving = Counter(str(one.status).lower() for one in instances if one.status in MOVING)
    if moving:
        why = ", ".join(f"{count} {state}" for state, count in sorted(moving.items()))
        yield Obstacle(code=Guard.IN_FLIGHT, why=f"instances are on their way: {why}")
    if isinstance(down, str):
        yield Obstacle(code=Guard.ZONE_IMPAIRED, why=f"the state of the zones is not known: {down}")
        return
    dead = sorted({tail(one.zone) for one in instances} & set(down))
    if dead:
        yield Obstacle(code=Guard.ZONE_IMPAIRED, why=f"{', '.join(dead)} is down")


def _shared(instances: Sequence[Any]) -> Mapping[str, str]:
    """The labels that all have alike, and a freeze that any one has; none tells of a size before us."""
    alike = set(instances[0].labels.items())
    frozen: dict[str, str] = {}
    for one in instances:
        alike &= set(one.labels.items())
        frozen |= {name: value for name, value in one.labels.items() if name == FREEZE_LABEL}
    found = labels_of(frozen | dict(alike))
    found.pop(ORIGINAL_SIZE, None)
    return found
