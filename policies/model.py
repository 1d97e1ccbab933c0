"""What the world looks like at one moment: pools, offerings, workloads, resources, and what was not seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, str] = MappingProxyType({})
SERVED = "loadline.dev/served"  # a label: what sets the pool by the recommendation that is served


class PoolKind(StrEnum):
    """What a pool's unit is. A deployment's replicas are allocated money, the others billable."""

    INSTANCE_GROUP = "instance-group"
    DEPLOYMENT = "deployment"
    RUNNERS = "runners"
    GPU_CLUSTER = "gpu-cluster"


class CapacityType(StrEnum):
    """How a unit is bought."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    RESERVED = "reserved"
    FLEX = "flex"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """One way to buy a unit. `interruption_rate` is a probability per hour, None where unknown."""

    instance_type: str
    zone: str
    capacity_type: CapacityType
    hourly_usd: float
    interruption_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One metric that sizes a pool. `unit_capacity` is the demand one unit serves at its utilization
    target, in the metric's unit; sizing never applies the target a second time.
    """

    series: str
    unit_capacity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """A figure that a plan reckons with, from what a pool did or as declared until then; `why` in one line.

    `source` is the series that tells it. Durations have the unit s, capacities none.
    """

    name: str
    value: float
    unit: str = ""
    source: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What a provider knows against changing a pool: `code` is that of the guard that holds it.

    `shrinks_only`: it may grow all the same.
    """

    code: str
    why: str
    shrinks_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A group of like units whose number we may set. Times are aware UTC, durations seconds.

    `ready` counts serving units by zone; `maximum_step_in` is the owner's limit on one shrink, in units,
    None for none; `last_scaled_at` is None where it is not known. `learnt` are the figures that
    are learnt from what it did. `obstacles` are what its provider knows against changing it now. `lever` says
    what `desired` is where it is not the size itself, such as the floor of an autoscaler; "" where it is.
    """

    id: str
    provider: str
    kind: PoolKind
    desired: int
    ready: Mapping[str, int]
    minimum: int
    maximum: int
    demands: tuple[Demand, ...]
    offerings: tuple[Offering, ...] = ()
    lead_time_s: int = 300
    drain_time_s: int = 0
    maximum_step_in: int | None = None
    last_scaled_at: datetime | None = None
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    protected: bool = False
    learnt: tuple[Learnt, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    lever: str = ""

    @property
    def billable(self) -> bool:
        """False where a unit is a share of something that is billed elsewhere (a pod on a node)."""
        return self.kind is not PoolKind.DEPLOYMENT

    @property
    def ready_units(self) -> int:
        """Units that serve now, over all zones."""
        return sum(self.ready.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Something that runs with a size of its own (a deployment's containers, a job)."""

    provider: str
    kind: str
    id: str
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    created: datetime | None = None
    size: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    hourly_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something that costs money by existing (a disk, an address, a load balancer)."""

    provider: str
    kind: str
    id: str
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    created: datetime | None = None
    size: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    hourly_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What could not be seen, and why: `source` names the provider, metric or pool."""

    source: str
    code: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The world as one tick saw it; `digest` names its content."""

    taken_at: datetime
    pools: tuple[Pool, ...] = ()
    workloads: tuple[Workload, ...] = ()
    resources: tuple[Resource, ...] = ()
    prices_as_of: datetime | None = None
    gaps: tuple[Gap, ...] = ()
    digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Name the snapshot by its content."""
        object.__setattr__(self, "digest", digest(self))


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with Z, to the second where it is whole; naive moments are refused."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_ATOMS = frozenset({str, int, float, bool, type(None)})


@cache
def _reader(kind: type) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """The field names of a dataclass and one call that reads them all."""
    names = tuple(entry.name for entry in fields(kind))
    read = attrgetter(*names)
    return names, read if len(names) > 1 else lambda value: (read(value),)


def plain(value: Any) -> Any:
    """The JSON shape of any of our values: dataclasses become objects, datetimes ISO with Z."""
    kind = value.__class__
    if kind in _ATOMS:
        return value
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return [entry if entry.__class__ in _ATOMS else plain(entry) for entry in value]
    if is_dataclass(value):
        names, read = _reader(value.__class__)
        entries = zip(names, read(value), strict=True)
        return {name: entry if entry.__class__ in _ATOMS else plain(entry) for name, entry in entries}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{kind.__name__} has no JSON shape")


def canonical(value: Any) -> str:
    """One JSON text for one value: keys sorted, no spaces, NaN refused."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]
