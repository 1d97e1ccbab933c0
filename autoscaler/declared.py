"""Pools as the configuration declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policies.model import Offering, Pool, PoolKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The series of a pool's own size: units that serve, and units that were asked for, None if not known."""

    ready: str
    desired: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilization:
    """A series of how full a unit is, the share of it that is aimed at, and its reading in full use (None: 1,
    or 100 where it ever exceeds 1.5).
    """

    series: str
    target: float
    top: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A series of p95 latency, and the objective in the unit of that series."""

    series: str
    objective: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How soon (s) what waits is to be done, and the series of what arrives per second, None if not known."""

    drain_s: int
    arrivals: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredDemand:
    """One metric that sizes a pool.

    `unit_capacity` is the demand one unit serves; `units_at_p99` says instead how many units the 99th
    percentile of the metric's history fills: one of the two, or neither where `utilization` or `latency` is
    set, from which the unit capacity is learnt; until then the figure holds. `saturates_at` is the value
    (in the metric's unit) at which the metric shows no more, None where it shows all. `formerly` are the ids
    that the series had before, newest first. `backlog` is set where it counts what waits.
    """

    series: str
    unit_capacity: float | None = None
    units_at_p99: float | None = None
    utilization: Utilization | None = None
    latency: Latency | None = None
    saturates_at: float | None = None
    formerly: tuple[str, ...] = ()
    backlog: Backlog | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPool:
    """What the configuration says of a pool. `target` is its id at the provider; `desired` is the size that a
    provider which creates pools (the fake) begins with; durations are seconds.
    """

    id: str
    provider: str
    target: str = ""
    kind: PoolKind
    minimum: int
    maximum: int
    desired: int
    demands: tuple[DeclaredDemand, ...]
    observed: Observed | None = None
    offerings: tuple[Offering, ...] = ()
    lead_time_s: int = 300
    drain_time_s: int = 0
    maximum_step_in: int | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    protected: bool = False

    @property
    def counts(self) -> tuple[str, ...]:
        """The series of the pool's own size."""
        known = (self.observed.desired, self.observed.ready) if self.observed else ()
        return tuple(name for name in known if name)

    @property
    def series(self) -> tuple[str, ...]:
        """Every series that it is decided from: demand first, then what is learnt from."""
        arrive = (d.backlog.arrivals for d in self.demands if d.backlog and d.backlog.arrivals)
        signs = (sign for demand in self.demands for sign in (demand.utilization, demand.latency) if sign)
        return (
            *(demand.series for demand in self.demands),
            *arrive,
            *self.counts,
            *(sign.series for sign in signs),
        )

    def seed(self) -> Pool:
        """The pool as a provider that creates pools is told: a cloud knows no demands."""
        return Pool(
            id=self.target or self.id,
            provider=self.provider,
            kind=self.kind,
            desired=self.desired,
            ready={},
            minimum=self.minimum,
            maximum=self.maximum,
            demands=(),
            offerings=self.offerings,
            lead_time_s=self.lead_time_s,
            drain_time_s=self.drain_time_s,
            maximum_step_in=self.maximum_step_in,
            labels=self.labels,
            protected=self.protected,
        )
