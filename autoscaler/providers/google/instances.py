"""Instances that are started and stopped: `gce/NAME` for those with the label loadline-pool=NAME.

Those that are stopped are the capacity that there is; none is ever made or deleted, and nothing is written on
them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from autoscaler.connections import GoogleProvider
from autoscaler.errors import (
    InsufficientCapacity,
    Invalid,
    NotFound,
    Owned,
    ProviderError,
    Stale,
    Temporary,
    Unreachable,
)
from autoscaler.google_cloud import failure
from autoscaler.keys import Keys
from autoscaler.ports import ORIGINAL_SIZE, Clock
from autoscaler.providers.google.api import Compute
from autoscaler.providers.google.listing import Listing
from autoscaler.providers.google.marks import FREEZE_LABEL, labels_of
from autoscaler.providers.google.places import Place, request_id, tail
from policies.model import Obstacle, Pool, PoolKind, digest
from policies.plan import Guard

KIND = "gce"
POOL = "loadline-pool"  # the label, in which Google allows neither point nor slash
WANTED = frozenset({"PENDING", "PROVISIONING", "STAGING", "RUNNING", "REPAIRING"})
ENDING = frozenset({"PENDING_STOP", "STOPPING"})
MOVING = (WANTED - {"RUNNING"}) | ENDING
STOPPED = frozenset({"TERMINATED", "STOPPED"})
THERE = WANTED | ENDING | STOPPED
# What is suspended can only be resumed, and what is being deleted comes no more: no capacity here.
AWAY = frozenset({"SUSPENDING", "SUSPENDED", "DEPROVISIONING"})
AT_ONCE = 8  # calls that change something, each for an instance
SENDING_S, POLLING_S, POLLS = 2.0, 0.8, 4  # of the few seconds that a change may take
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
    clock: Clock
    keys: Keys

    def pools(self, listing: Listing, down: Down) -> Iterator[Pool]:
        """Every name of the label; none where something was not told: any pool may lack instances (F18)."""
        before = len(listing.gaps)
        found = self._labelled(listing, f"labels.{POOL}:*")
        if len(listing.gaps) > before:
            listing.gap(f"the pools of instances ({KIND}/...) are left out: any may lack some")
            return
        # The locations say which pools are looked at; each is whole, wherever its instances are.
        here = {str(one.labels.get(POOL)) for one in found if self._here(listing, tail(one.zone))}
        for name in sorted(here - {"", "None"}):
            yield self._pool(name, [one for one in found if one.labels.get(POOL) == name], down)

    def read(self, name: str, down: Down) -> Seen:
        """The instances of a name; NotFound where there are none, Unreachable where some were not told."""
        if not _VALUE.fullmatch(name):  # it becomes part of a filter
            raise NotFound(f"{KIND}/{name} is no pool of instances: no label of Google has that value")
        listing = Listing(self.settings)
        found = self._labelled(listing, f'labels.{POOL}="{name}"')
        found = [one for one in found if one.labels.get(POOL) == name]
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
        answered = self.keys.answer(pool_id, size, key)
        if answered is not None:
            return answered
        seen = self.read(name, down)
        if self.keys.begun(key) and seen.pool.desired == size:
            return self.keys.remember(key, size, seen.pool)
        self.refuse(seen, size, version)
        if size == seen.pool.desired:
            return self.keys.remember(key, size, seen.pool)
        turned = self._turned(seen, size, key, down)
        reached = seen.pool.desired + (turned if size > seen.pool.desired else -turned)
        try:
            after = self.read(name, down).pool
        except ProviderError as error:
            raise Unreachable(f"{pool_id}: it is done, and cannot be read: {error}") from error
        return self.keys.remember(key, size, replace(after, desired=reached))

    def _turned(self, seen: Seen, size: int, key: str, down: Down) -> int:
        """How many were started or stopped: fewer than asked for where some were refused, or time was up."""
        on, wanted = size > seen.pool.desired, abs(size - seen.pool.desired)
        candidates = _candidates(seen, down, on=on)
        if not candidates:
            raise Temporary(
                f"{seen.pool.id}: none can be started now: those that do not run are on their way"
            )
        self.keys.begin(seen.pool.id, size, key)
        done, refused, ends = 0, list[ProviderError](), self.clock.monotonic() + SENDING_S
        while candidates and done < wanted and self.clock.monotonic() < ends:
            some, candidates = (
                candidates[: min(AT_ONCE, wanted - done)],
                candidates[min(AT_ONCE, wanted - done) :],
            )
            answers = self._sent(seen, some, key, on=on)
            failed = [answer for answer in answers if answer is not None]
            done += len(some) - len(failed)
            refused += failed
            if any(not isinstance(error, InsufficientCapacity) for error in failed):
                break
            empty = {tail(one.zone) for one, answer in zip(some, answers, strict=True) if answer is not None}
            candidates = [one for one in candidates if tail(one.zone) not in empty]
        if not done and refused:
            raise refused[0]
        return done

    def _sent(self, seen: Seen, some: Sequence[Any], key: str, *, on: bool) -> list[ProviderError | None]:
        """What became of a call for each: None where it was accepted. Raises what leaves that open."""

        def send(one: Any) -> ProviderError | None:
            place = Place(tail(one.zone), str(one.name))
            request = request_id(self.settings.project, f"{seen.pool.id}/{place.location}/{place.name}", key)
            try:
                operation = self._ended(place, self.api.turn(place, request, on=on))
                for error in operation.error.errors:
                    return failure(error.code, error.message, f"{seen.pool.id}: {place.name}")
            except Unreachable:
                raise  # whether it was done is not known, and so not how many are
            except ProviderError as error:
                return error
            return None

        with ThreadPoolExecutor(len(some), thread_name_prefix=KIND) as pool:
            # Each has the deadline of the change, which is that of this thread's context.
            sent = [pool.submit(copy_context().run, send, one) for one in some]
            return [future.result() for future in sent]

    def _ended(self, place: Place, operation: Any) -> Any:
        """The operation, waited for a moment: what cannot be had is mostly told at once."""
        for _ in range(POLLS):
            if operation.status.name == "DONE":
                break
            self.clock.sleep(POLLING_S / POLLS)
            try:
                operation = self.api.operation(place, operation.name)
            except ProviderError:
                break  # it is accepted; what becomes of it is read
        return operation

    def _labelled(self, listing: Listing, which: str) -> list[Any]:
        return list(listing.scoped(self.api.instances(which), "instances", everywhere=True))

    def _here(self, listing: Listing, zone: str) -> bool:
        return listing.ours(zone) or listing.ours(zone.rpartition("-")[0])

    def _pool(self, name: str, all_: Sequence[Any], down: Down) -> Pool:
        instances = [one for one in all_ if one.status in THERE]
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
            labels=_shared(all_),
            obstacles=tuple(_obstacles(all_, down)),
        )


def _candidates(seen: Seen, down: Down, *, on: bool) -> list[Any]:
    """Those that may be started, of the zone with the fewest first; or those that run, the newest first."""
    running = [one for one in seen.instances if one.status in WANTED]
    if not on:
        return sorted(running, key=lambda one: (_started(one), one.name), reverse=True)
    count = Counter(tail(one.zone) for one in running)
    dead = frozenset() if isinstance(down, str) else frozenset(down)
    idle = sorted((one for one in seen.instances if one.status in STOPPED), key=lambda one: str(one.name))
    found = []
    while idle := [one for one in idle if tail(one.zone) not in dead]:
        first = min(idle, key=lambda one: (count[tail(one.zone)], tail(one.zone)))
        count[tail(first.zone)] += 1
        found.append(first)
        idle.remove(first)
    return found


def _started(instance: Any) -> datetime:
    try:
        return datetime.fromisoformat(instance.last_start_timestamp).astimezone(UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


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
