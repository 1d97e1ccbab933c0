"""What the API tells of a group, as a pool: sizes, bounds, what stands in the way."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from autoscaler.connections import GoogleProvider
from autoscaler.google_cloud import out_of_units
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.google.marks import ORIGINAL_MAXIMUM, OWNERS_MINIMUM, asked, labels_of, moved
from autoscaler.providers.google.places import Place, place_in, tail
from policies.model import Obstacle, Pool, PoolKind
from policies.plan import Guard

ZONAL, REGIONAL, RAISED = 1000, 2000, 4000  # the most units of a group, and once its limit was raised
FAILURES, WITHIN = 3, timedelta(hours=1)  # so many units that could not be made: growth stops
NO_UNITS = timedelta(minutes=15)
MAKING = frozenset({"CREATING", "RECREATING", "STARTING", "RESUMING"})
CHANGES = (
    *("abandoning", "creating", "creating_without_retries", "deleting", "recreating", "refreshing"),
    *("restarting", "resuming", "starting", "stopping", "suspending", "verifying"),
)
SHORT = frozenset({"ZONE_RESOURCE_STOCKOUT", "REGION_RESOURCE_STOCKOUT", "NOT_ENOUGH_QUOTA_AVAILABLE"})
_OF_A_CLUSTER = re.compile(r"gk[e3]-.+-grp")


@dataclass(frozen=True, slots=True)
class Failed:
    """One unit that could not be made. `at` is aware UTC."""

    at: datetime
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group, its autoscaler (None without one), and what failed in it of late, as far as it was asked."""

    place: Place
    manager: Any
    autoscaler: Any | None = None
    failed: Sequence[Failed] = ()

    @property
    def mode(self) -> str:
        """The autoscaler's: ON, ONLY_SCALE_OUT, OFF; "" without one."""
        return "" if self.autoscaler is None else str(self.autoscaler.autoscaling_policy.mode or "ON")

    @property
    def lever(self) -> bool:
        """Whether the floor of an autoscaler is what may be set."""
        return self.mode not in {"", "OFF"}

    @property
    def stable(self) -> bool:
        """Whether nothing is being made, removed or changed in it."""
        return bool(self.manager.status.is_stable)

    @property
    def size(self) -> int:
        """What a resize sets: the floor of the autoscaler, else the group's target size."""
        policy = self.autoscaler.autoscaling_policy if self.autoscaler is not None and self.lever else None
        return int(self.manager.target_size if policy is None else policy.min_num_replicas)

    @property
    def cluster(self) -> bool:
        """Whether it is one of a node pool of Kubernetes Engine, which sets its size itself."""
        return _OF_A_CLUSTER.fullmatch(self.place.name) is not None

    @property
    def stateful(self) -> bool:
        """Whether its units keep something that is lost with them."""
        return bool(self.manager.status.stateful.has_stateful_config)

    @property
    def most(self) -> int:
        """The largest size that Google lets such a group have."""
        usual = REGIONAL if self.place.regional else ZONAL
        return usual if self.manager.target_size <= usual else RAISED


def pool_of(group: Group, settings: GoogleProvider, *, now: datetime, down: Collection[str] | str) -> Pool:
    """The pool that a group is. `down` are the zones that do not work; a text says why they are not known."""
    least, most = _bounds(group, settings)
    scaler = group.autoscaler
    return Pool(
        id=group.place.id,
        provider=settings.name,
        kind=PoolKind.INSTANCE_GROUP,
        desired=group.size,
        ready={group.place.location: int(group.manager.current_actions.none)},
        minimum=least,
        maximum=most,
        demands=(),
        lead_time_s=settings.lead_time_s,
        maximum_step_in=_step_in(group),
        version=version_of(group),
        labels=_labels(group),
        obstacles=tuple(_obstacles(group, now, down)),
        lever="" if scaler is None or not group.lever else f"minNumReplicas of autoscaler {scaler.name}",
    )


def version_of(group: Group) -> str:
    """Moves when someone sets the group's size, bounds or specification; not when units come and go."""
    manager, scaler = group.manager, group.autoscaler
    policy = None if scaler is None else scaler.autoscaling_policy
    told = [
        # Beside an autoscaler the size moves by itself, and what names the group's state may move with it.
        None if group.lever else [manager.fingerprint, manager.target_size],
        manager.instance_template,
        [[entry.name, entry.instance_template] for entry in manager.versions],
        None if policy is None else _settings(policy),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _settings(policy: Any) -> dict[str, Any]:
    """What somebody set of a policy; the units that a share of the size comes to move by themselves."""
    told: dict[str, Any] = type(policy).to_dict(policy)
    control = told.get("scale_in_control") or {}
    (control.get("max_scaled_in_replicas") or {}).pop("calculated", None)
    return told


def failures(errors: Sequence[Any]) -> tuple[Failed, ...]:
    """The units that could not be made, newest first, of a group's list of errors."""
    found = [
        Failed(datetime.fromisoformat(entry.timestamp).astimezone(UTC), entry.error.code, entry.error.message)
        for entry in errors
        if entry.timestamp and entry.instance_action_details.action in MAKING
    ]
    return tuple(sorted(found, key=lambda failed: failed.at, reverse=True))


def no_units(group: Group, now: datetime) -> Failed | None:
    """The newest sign, of the last quarter of an hour, that there are no units or no quota for more."""
    recent = (failed for failed in group.failed if failed.at > now - NO_UNITS)
    return next((failed for failed in recent if out_of_units(failed.code)), None)


def _bounds(group: Group, settings: GoogleProvider) -> tuple[int, int]:
    if group.autoscaler is None:
        return 0, group.most
    policy = group.autoscaler.autoscaling_policy
    most = group.most if settings.raise_maximum else int(policy.max_num_replicas)
    least = int(policy.min_num_replicas)
    return (asked(group.autoscaler.description, least) if group.lever else least), most


def _step_in(group: Group) -> int | None:
    """The owner's limit on one shrink, in units: the scale-in control of the autoscaler."""
    if group.autoscaler is None or not group.autoscaler.autoscaling_policy.scale_in_control:
        return None
    limit = group.autoscaler.autoscaling_policy.scale_in_control.max_scaled_in_replicas
    if limit.fixed:
        return int(limit.fixed)
    share = int(group.size * limit.percent / 100) if limit.percent else 0
    return max(1, share) if limit.percent else None


def _labels(group: Group) -> dict[str, str]:
    manager, scaler = group.manager, group.autoscaler
    texts = [manager.description] + ([] if scaler is None else [scaler.description])
    found = labels_of(dict(manager.all_instances_config.properties.labels), *texts)
    if not group.lever:  # they tell of a floor
        found.pop(ORIGINAL_SIZE, None)
    elif scaler is not None and moved(scaler.description, group.size):
        found[ORIGINAL_SIZE] = str(group.size)
    for name in (ORIGINAL_MAXIMUM, OWNERS_MINIMUM):
        found.pop(name, None)
    return found


def _obstacles(group: Group, now: datetime, down: Collection[str] | str) -> Iterator[Obstacle]:
    yield from _not_ours(group)
    yield from _on_the_way(group)
    yield from _failing(group, now)
    if isinstance(down, str):
        yield Obstacle(code=Guard.ZONE_IMPAIRED, why=f"the state of the zones is not known: {down}")
        return
    dead = sorted(_zones(group) & set(down))
    if dead:
        yield Obstacle(code=Guard.ZONE_IMPAIRED, why=f"{', '.join(dead)} is down")


def _not_ours(group: Group) -> Iterator[Obstacle]:
    if group.cluster:
        why = "Kubernetes Engine sizes this group: set its node pool instead"
        yield Obstacle(code=Guard.OWNED, why=why, shrinks_only=False)
    if group.stateful:
        yield Obstacle(code=Guard.PROTECTED, why="its units keep state of their own")
    if group.autoscaler is not None:
        yield from _of_scaler(group.autoscaler, group.mode)


def _of_scaler(scaler: Any, mode: str) -> Iterator[Obstacle]:
    details = list(scaler.status_details)
    if mode == "ONLY_SCALE_OUT":
        why = f"autoscaler {scaler.name} is in mode ONLY_SCALE_OUT: it removes nothing"
        yield Obstacle(code=Guard.SUSPENDED, why=why)
    if scaler.status == "DELETING":
        why = f"autoscaler {scaler.name} is being deleted"
        yield Obstacle(code=Guard.SUSPENDED, why=why, shrinks_only=False)
    if scaler.status == "ERROR":
        said = "; ".join(entry.message for entry in details) or "its configuration has errors"
        yield Obstacle(code=Guard.SUSPENDED, why=f"autoscaler {scaler.name} does not work: {said}")
    for entry in details:
        if entry.type_ in SHORT:
            why = f"autoscaler {scaler.name} cannot have units: {entry.message or entry.type_}"
            yield Obstacle(code=Guard.UNREADY, why=why)


def _on_the_way(group: Group) -> Iterator[Obstacle]:
    manager = group.manager
    proactive = manager.update_policy.type_ == "PROACTIVE"  # else old versions may stay as long as they like
    if proactive and not manager.status.version_target.is_reached:
        yield Obstacle(code=Guard.DEPLOYING, why="a new version is being rolled out")
    if not group.stable:
        doing = {name: getattr(manager.current_actions, name) for name in CHANGES}
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in doing.items() if count)
        yield Obstacle(code=Guard.IN_FLIGHT, why=told or "the group is being changed")


def _failing(group: Group, now: datetime) -> Iterator[Obstacle]:
    empty = no_units(group, now)
    if empty is not None:
        yield Obstacle(code=Guard.UNREADY, why=f"units cannot be had: {empty.message} ({empty.code})")
    bad = [one for one in group.failed if one.at > now - WITHIN and not out_of_units(one.code)]
    if len(bad) >= FAILURES:
        why = f"{len(bad)} units could not be made within an hour: {bad[0].message} ({bad[0].code})"
        yield Obstacle(code=Guard.UNREADY, why=why, shrinks_only=False)


def _zones(group: Group) -> set[str]:
    if not group.place.regional:
        return {group.place.location}
    return {tail(entry.zone) for entry in group.manager.distribution_policy.zones}


def scaler_place(manager: Any) -> Place | None:
    """Where the autoscaler of a group is, None without one."""
    return place_in(manager.status.autoscaler) if manager.status.autoscaler else None
