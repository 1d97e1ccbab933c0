"""The workloads of a cluster as pools: listed, read, resized, rehearsed and given back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoscaler.connections import KubernetesProvider
from autoscaler.errors import Invalid, NotFound, Owned, ProviderError, Stale, Temporary
from autoscaler.ports import ORIGINAL_SIZE, Check, Clock
from autoscaler.providers.kubernetes.client import Client
from autoscaler.providers.kubernetes.examining import examined
from autoscaler.providers.kubernetes.levers import Target, by_target
from autoscaler.providers.kubernetes.listing import Item, listed
from autoscaler.providers.kubernetes.resources import HPAS, WORKLOADS
from autoscaler.providers.kubernetes.seeing import LAST_KEY, MARKS, ORIGINAL_MAXIMUM, Seen, moved, seen
from autoscaler.providers.kubernetes.seeing import pool_id as named
from autoscaler.providers.kubernetes.surroundings import Ground, Surroundings, look, look_at_nodes
from autoscaler.providers.kubernetes.writing import Writer
from policies.model import Gap, Pool

GROUND_S = 30.0  # single reads share a look at the nodes for so long


class Cluster:
    """The `Pools`, `Releases` and `Examines` ports over the API of one cluster; safe to use from threads."""

    def __init__(self, settings: KubernetesProvider, clock: Clock) -> None:
        """Read the credentials; nothing is called. `clock` says how old the look at the nodes is."""
        self._settings, self._clock = settings, clock
        self._client = Client(settings)  # its tokens end by time that really passes
        self._writer = Writer(self._client, settings)
        self._turn = threading.Lock()
        self._ground: tuple[float, Ground] | None = None

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every Deployment and StatefulSet, by id, and a gap for each list that is not whole.

        Raises only where no workload at all could be seen.
        """
        found, gaps = self.everything()
        return tuple(one.pool for one in found), gaps

    def everything(self) -> tuple[Sequence[Seen], Sequence[Gap]]:
        """The same with the objects that the pools were read from."""
        items: dict[Target, Any] = {}
        errors: list[ProviderError] = []
        for kind, resource in WORKLOADS.items():
            listing = listed(self._client, resource, self._settings.namespaces)
            for item in listing.items:
                items[item["metadata"]["namespace"], kind, item["metadata"]["name"]] = item
            errors += [listing.error] if listing.error else []
            if errors and not items:
                raise errors[0]
        around = look(self._client, self._settings.namespaces, self._look_at_nodes(at_most_s=0.0))
        found, odd = self._each(items, around)
        source = f"provider {self._settings.name}"
        gaps = [
            Gap(source=source, code="PARTIAL", why=str(error)) for error in (*errors, *around.errors, *odd)
        ]
        return sorted(found, key=lambda one: one.pool.id), tuple(gaps)

    def _each(
        self, items: Mapping[Target, Item], around: Surroundings
    ) -> tuple[Sequence[Seen], Sequence[ProviderError]]:
        """What each workload is; one that is not as the API documents it hides itself alone."""
        found: list[Seen] = []
        odd: list[ProviderError] = []
        for target, item in items.items():
            try:
                found.append(self._shown(target, item, around))
            except Temporary as error:
                odd.append(error)
        return found, odd

    def _shown(self, target: Target, item: Item, around: Surroundings) -> Seen:
        try:
            return seen(self._settings, target, item, around)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f"{named(target)} cannot be read ({type(error).__name__}: {error})"
            raise Temporary(why) from error

    def read(self, pool_id: str) -> Pool:
        """One workload as it is now; see the port."""
        return self._see(pool_id).pool

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """Set the lever of the workload to `size`; see the port.

        The last key is kept on the object: that key again changes nothing. Raises Owned where another manager
        sets the lever and is not to be adopted, where it is not known what does, or where an autoscaler reads
        what is served.
        """
        if not key:
            raise Invalid(f"{pool_id}: a resize needs an idempotency key")
        before = self._see(pool_id)
        _refuse_served(before)
        if _remembered(before, size, key) and before.pool.desired == size:
            return before.pool
        _let(before, size, version)
        if before.pool.desired == size:
            return before.pool
        return self._after(before, self._writer.set(before.lever, size, key=key))

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """Let the server try it without storing it; see the port."""
        before = self._see(pool_id)
        _refuse_served(before)
        _let(before, size, version)
        if before.pool.desired != size:
            self._writer.set(before.lever, size, key="rehearsal", dry=True)
        return True

    def release(self, pool_id: str, *, version: str, key: str) -> Pool:
        """Put the size, floor and maximum back, and take our marks and our name off; see the port.

        A size that another manager has set since stays as it is.
        """
        before = self._see(pool_id)
        if not set(MARKS) & set(before.marks):
            return before.pool
        if version != before.pool.version:
            raise _stale(before, version)
        lever, marks = before.lever, before.marks
        size = lever.value if moved(lever) else _marked(before, ORIGINAL_SIZE, lever.value)
        ceiling = _marked(before, ORIGINAL_MAXIMUM, lever.most) if ORIGINAL_MAXIMUM in marks else None
        differs = size != lever.value or ceiling not in {None, lever.most}
        if differs and not lever.owners:
            self._writer.set(lever, size, key=key, ceiling=ceiling)
            lever = self._see(pool_id).lever
        self._writer.leave(lever.resource, lever.item)
        return self._see(pool_id).pool

    def examine(self) -> Sequence[Check]:
        """The rights, the clock, and who else scales; see the port."""
        return examined(self._client, self._settings, self._clock, self.everything)

    def _see(self, pool_id: str) -> Seen:
        target = self._target(pool_id)
        item = self._get(target)
        around = look(self._client, target[:1], self._look_at_nodes(at_most_s=GROUND_S))
        return self._shown(target, item, around)

    def _after(self, before: Seen, written: Item) -> Pool:
        """The pool after its lever was written, by the answer, and for a workload by reading it again."""
        lever, around, item = before.lever, before.around, before.workload
        if lever.subresource:
            item = self._get(before.target)
        else:
            hpas, scaled = ([written], []) if lever.resource is HPAS else ([], [written])
            around = replace(around, levers=by_target(hpas, scaled))
        return self._shown(before.target, item, around).pool

    def _get(self, target: Target) -> Item:
        namespace, kind, name = target
        resource = WORKLOADS[kind]
        return self._client.ask("GET", resource.path(namespace, name), resource.right("get")).body

    def _target(self, name: str) -> Target:
        kind, _, rest = name.partition("/")
        namespace, _, own = rest.partition("/")
        only = self._settings.namespaces
        if kind not in WORKLOADS or not namespace or not own or "/" in own:
            raise NotFound(f"there is no pool {name}: ids are deployment/NAMESPACE/NAME, statefulset/...")
        if only and namespace not in only:
            raise NotFound(f"there is no pool {name}: the namespaces of {self._settings.name} are {only}")
        return (namespace, kind, own)

    def _look_at_nodes(self, *, at_most_s: float) -> Ground:
        """The nodes, asked anew where the last look is older than `at_most_s` seconds."""
        now = self._clock.monotonic()
        with self._turn:
            if self._ground is not None and now - self._ground[0] < at_most_s:
                return self._ground[1]
        ground = look_at_nodes(self._client)
        with self._turn:
            self._ground = (now, ground)
        return ground


def _refuse_served(before: Seen) -> None:
    """Whoever reads what is served sets the size; a second hand on it would only be in the way."""
    if before.served:
        raise Owned(f"{before.pool.id}: {before.served}")


def _remembered(before: Seen, size: int, key: str) -> bool:
    """Whether the last change was made with this key; Invalid where it was for another size."""
    last, _, for_size = before.marks.get(LAST_KEY, "").rpartition(" ")
    if last != key:
        return False
    if for_size != str(size):
        raise Invalid(f"the key {key} was used for {for_size} units of {before.pool.id}, not {size}")
    return True


def _marked(before: Seen, name: str, default: int) -> int:
    """The number in one of our marks; Invalid where somebody wrote something else."""
    text = before.marks.get(name, str(default))
    if not text.isdecimal():
        raise Invalid(f"{before.pool.id}: its annotation {name} is {text!r}, no size: mend or remove it")
    return int(text)


def _let(before: Seen, size: int, version: str) -> None:
    """Raise what forbids the change before anything is called."""
    pool = before.pool
    if version != pool.version:
        raise _stale(before, version)
    if isinstance(size, bool) or not isinstance(size, int):
        raise Invalid(f"{pool.id}: {size!r} is no number of units")
    if not pool.minimum <= size <= pool.maximum:
        raise Invalid(f"{pool.id}: {size} is outside {pool.minimum}..{pool.maximum}")
    if before.owned:
        raise Owned(f"{pool.id}: {before.owned}")


def _stale(before: Seen, version: str) -> Stale:
    pool = before.pool
    return Stale(f"{pool.id} is at version {pool.version}, not {version or 'none'}: read it again")
