"""The ports over a project: listing, reading, setting sizes, giving them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
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
from autoscaler.ports import ORIGINAL_SIZE, Check, Clock
from autoscaler.providers.google.api import Compute
from autoscaler.providers.google.examining import examine
from autoscaler.providers.google.instances import KIND, StartedInstances
from autoscaler.providers.google.listing import Listing
from autoscaler.providers.google.marks import LAST_KEY, ORIGINAL_MAXIMUM, OWNERS_MINIMUM, marked, marks, moved
from autoscaler.providers.google.places import Place, place_in, place_of, request_id
from autoscaler.providers.google.reading import Group, failures, no_units, pool_of, scaler_place, version_of
from policies.model import Gap, Pool

GROUPS = "mig"  # the kind that groups are
WAITS_S = (0.1, 0.3, 0.6, 1.0)  # until an accepted operation is done: it only schedules


class GooglePools:
    """`Pools`, `Examines` and `Releases` over one project. Safe to call from several threads."""

    def __init__(self, api: Compute, settings: GoogleProvider, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._api, self._settings, self._clock = api, settings, clock
        self._down: frozenset[str] | str | None = None
        self._keys = Keys()
        self._instances = StartedInstances(api=api, settings=settings, clock=clock, keys=self._keys)

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every pool of the locations and kinds, by id; a Gap for each part that did not come."""
        listing = Listing(self._settings)
        managers, scalers = self._groups(listing) if GROUPS in self._settings.kinds else ((), {})
        self._down = listing.zones(self._api.zones())
        pools = [*self._pools(managers, scalers, listing)]
        if KIND in self._settings.kinds:
            try:
                pools += self._instances.pools(listing, self._down)
            except ProviderError as error:
                if GROUPS not in self._settings.kinds:
                    raise
                listing.gap(f"the pools of instances: {error}")
        return tuple(sorted(pools, key=lambda pool: pool.id)), tuple(listing.gaps)

    def _groups(self, listing: Listing) -> tuple[Sequence[Any], Mapping[Place, Any]]:
        """The groups, and the autoscalers by their places."""
        managers = [*listing.scoped(self._api.groups(), "instance_group_managers")]
        asked = any(found.status.autoscaler for found in managers)
        told = listing.scoped(self._api.autoscalers(), "autoscalers") if asked else ()
        return managers, {place_in(found.self_link): found for found in told}

    def _pools(
        self, managers: Iterable[Any], scalers: Mapping[Place, Any], listing: Listing
    ) -> Iterator[Pool]:
        for manager in managers:
            place, scaler = place_in(manager.self_link), scaler_place(manager)
            if scaler is not None and scaler not in scalers:
                listing.gap(f"{place.id} is left out: its autoscaler {scaler.name} was not told")
                continue
            found = None if scaler is None else scalers[scaler]
            try:
                yield self._shown(Group(place=place, manager=manager, autoscaler=found))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                listing.gap(f"{place.id} cannot be read ({type(error).__name__}: {error})")

    def read(self, pool_id: str) -> Pool:
        """One pool as it is now; NotFound if it is gone. A group's errors too, where it is not stable."""
        name = self._of_instances(pool_id)
        if name is not None:
            return self._instances.read(name, self._known_down()).pool
        return self._shown(self._group(place_of(pool_id)))

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """False: this API cannot rehearse. What we ourselves would refuse is refused."""
        name = self._of_instances(pool_id)
        if name is not None:
            self._instances.refuse(self._instances.read(name, self._known_down()), size, version)
            return False
        group = self._group(place_of(pool_id))
        self._refuse(group, size, version)
        return False

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """Set the target size, or the floor of the autoscaler; see the port.

        An operation that is accepted and not done within 2 s is Unreachable: in doubt until it is read.
        """
        name = self._of_instances(pool_id)
        if name is not None:
            return self._instances.resize(name, size, self._known_down(), version=version, key=key)
        answered = self._keys.answer(pool_id, size, key)
        if answered is not None:
            return answered
        group = self._group(place_of(pool_id))
        if self._was_done(group, size, key):
            return self._keys.remember(key, size, self._shown(group))
        self._refuse(group, size, version)
        if size == group.size:
            return self._keys.remember(key, size, self._shown(group))
        empty = no_units(group, self._clock.now()) if size > group.size else None
        if empty is not None:
            raise InsufficientCapacity(
                f"{pool_id}: not called: {empty.message} ({empty.code})", retry_after=900.0
            )
        self._keys.begin(pool_id, size, key)
        request = request_id(self._settings.project, group.place.id, key)
        changes = _floor(group.autoscaler, size, request) if group.lever else None
        return self._keys.remember(key, size, self._change(group, size, changes, request))

    def release(self, pool_id: str, *, version: str, key: str, original: int | None = None) -> Pool:
        """Give the autoscaler its floor and maximum back and take our marks off; see the port.

        Nothing is written on instances, nor can it be on a group without an autoscaler: their size is put
        back to `original`, and Invalid without that.
        """
        name = self._of_instances(pool_id)
        if name is not None and original is not None:
            original = min(original, self._instances.read(name, self._known_down()).pool.maximum)
        group = None if name is not None else self._group(place_of(pool_id))
        scaler = None if group is None else group.autoscaler
        if group is None or scaler is None:
            if original is None:
                raise Invalid(
                    f"{pool_id}: its first size is not written on it; undo, or say the original size"
                )
            return self.resize(pool_id, original, version=version, key=key)
        ours = marks(scaler.description)
        if not ours.keys() & {ORIGINAL_SIZE, ORIGINAL_MAXIMUM, LAST_KEY}:
            return self._shown(group)
        if version != version_of(group):
            raise Stale(f"{pool_id} is at another version than {version or 'none'}: read it again")
        changes = _given_back(scaler)
        floor = int(changes["autoscaling_policy"].get("min_num_replicas", group.size))
        request = request_id(self._settings.project, group.place.id, key)
        return self._change(group, floor if group.lever else group.size, changes, request)

    def examine(self) -> Sequence[Check]:
        """See the port."""
        return examine(self._api, self._settings, self._clock)

    def _group(self, place: Place) -> Group:
        manager = self._api.group(place)
        scaler = scaler_place(manager)
        try:
            found = None if scaler is None else self._api.autoscaler(scaler)
        except NotFound as error:
            raise Temporary(f"{place.id}: its autoscaler is gone just now: {error}") from error
        failed = () if manager.status.is_stable else failures(self._api.errors(place))
        return Group(place=place, manager=manager, autoscaler=found, failed=failed)

    def _of_instances(self, pool_id: str) -> str | None:
        """The name of a pool of instances, None for another kind. NotFound where they are not looked at."""
        kind, _, name = pool_id.partition("/")
        if kind == KIND and KIND not in self._settings.kinds:
            raise NotFound(f"{pool_id} is not looked at: add {KIND} to `kinds` of {self._settings.name}")
        return name if kind == KIND else None

    def _known_down(self) -> frozenset[str] | str:
        if self._down is None:
            self._down = Listing(self._settings).zones(self._api.zones())
        return self._down

    def _shown(self, group: Group) -> Pool:
        return pool_of(group, self._settings, now=self._clock.now(), down=self._known_down())

    def _refuse(self, group: Group, size: int, version: str) -> None:
        name = group.place.id
        if group.cluster:
            raise Owned(f"{name}: Kubernetes Engine sizes this group: set its node pool instead")
        if version != version_of(group):
            raise Stale(f"{name} is at version {version_of(group)}, not {version or 'none'}: read it again")
        if isinstance(size, bool) or not isinstance(size, int):
            raise Invalid(f"{name}: {size!r} is no number of units")
        pool = self._shown(group)
        if not pool.minimum <= size <= pool.maximum:
            raise Invalid(f"{name}: {size} is outside {pool.minimum}..{pool.maximum}")

    def _change(self, group: Group, size: int, changes: dict[str, Any] | None, request: str) -> Pool:
        """Make the call, wait a moment for its operation, and read the pool again."""
        place = group.place
        if changes is None:
            operation = self._api.resize(place, size, request)
        else:
            place = place_in(group.autoscaler.self_link)  # type: ignore[union-attr]  # only there are changes
            operation = self._api.patch_autoscaler(place, changes, request)
        operation = self._done(place, operation)
        for error in operation.error.errors:
            raise failure(error.code, error.message, group.place.id)
        try:
            after = self.read(group.place.id)
        except ProviderError as error:
            raise Unreachable(f"{group.place.id}: it is done, and cannot be read: {error}") from error
        return replace(after, desired=size)  # done is done, also where the reading is from before

    def _done(self, place: Place, operation: Any) -> Any:
        """The operation once it is done; Unreachable where that cannot be told soon."""
        found = operation
        for wait in WAITS_S:
            if found.status.name == "DONE":
                return found
            self._clock.sleep(wait)
            try:
                found = self._api.operation(place, operation.name)
            except ProviderError as error:
                raise Unreachable(
                    f"{operation.name} is accepted, and cannot be asked for: {error}"
                ) from error
        if found.status.name == "DONE":
            return found
        raise Unreachable(f"{operation.name} is accepted, and was not done within {sum(WAITS_S):g} s")

    def _was_done(self, group: Group, size: int, key: str) -> bool:
        """Whether the call of this key is known to have been done, though we had no answer to it."""
        if group.autoscaler is not None:
            last = marks(group.autoscaler.description).get(LAST_KEY, "").split()
            if last[:1] == [request_id(self._settings.project, group.place.id, key)]:
                if last[1:] != [str(size)]:
                    raise Invalid(f"the key {key} was used for {' '.join(last[1:])} units, not {size}")
                return True
        return self._keys.begun(key) and group.size == size


def _floor(scaler: Any, size: int, request: str) -> dict[str, Any]:
    """What changes on an autoscaler with its floor: our marks, and the maximum where that is below it."""
    policy, known = scaler.autoscaling_policy, marks(scaler.description)
    ours: dict[str, str | None] = {LAST_KEY: f"{request} {size}"}
    if moved(scaler.description, policy.min_num_replicas):
        ours |= dict.fromkeys((ORIGINAL_SIZE, OWNERS_MINIMUM), str(policy.min_num_replicas))
    elif ORIGINAL_SIZE not in known:
        ours[ORIGINAL_SIZE] = str(policy.min_num_replicas)
    bounds = {"min_num_replicas": size}
    if size > policy.max_num_replicas:
        bounds["max_num_replicas"] = size
        if ORIGINAL_MAXIMUM not in known:
            ours[ORIGINAL_MAXIMUM] = str(policy.max_num_replicas)
    return {"description": marked(scaler.description, ours), "autoscaling_policy": bounds}


def _given_back(scaler: Any) -> dict[str, Any]:
    """What changes on an autoscaler when it is its owner's again."""
    ours = marks(scaler.description)
    fields = {ORIGINAL_SIZE: "min_num_replicas", ORIGINAL_MAXIMUM: "max_num_replicas"}
    policy = {field: _number(ours[name], name, scaler.name) for name, field in fields.items() if name in ours}
    now = scaler.autoscaling_policy.min_num_replicas
    if moved(scaler.description, now):
        policy["min_num_replicas"] = now
    if "max_num_replicas" in policy:
        policy["max_num_replicas"] = max(policy["max_num_replicas"], policy.get("min_num_replicas", now))
    text = marked(scaler.description, dict.fromkeys((*fields, OWNERS_MINIMUM, LAST_KEY)))
    return {"description": text, "autoscaling_policy": policy}


def _number(text: str, name: str, scaler: str) -> int:
    if not text.isdigit():
        raise Invalid(f"autoscaler {scaler}: {name}={text} in its description is no size: mend or remove it")
    return int(text)
