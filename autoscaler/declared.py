"""Pools as the configuration declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policies.model import Offering, Pool, PoolKind


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredDemand:
    """One metric that sizes a pool; exactly one of the two figures is set.

    `unit_capacity` is the demand one unit serves; `units_at_p99` says instead how many units the 99th
    percentile of the metric's history fills. `formerly` are the ids that the series had before, newest first.
    """

    series: str
    unit_capacity: float | None = None
    units_at_p99: float | None = None
    formerly: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPool:
    """What the configuration says of a pool. `desired` is the size that a provider which creates pools
    (the fake) begins with; durations are seconds.
    """

    id: str
    provider: str
    kind: PoolKind
    minimum: int
    maximum: int
    desired: int
    demands: tuple[DeclaredDemand, ...]
    offerings: tuple[Offering, ...] = ()
    lead_time_s: int = 300
    drain_time_s: int = 0
    maximum_step_in: int | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    protected: bool = False

    def seed(self) -> Pool:
        """The pool as a provider that creates pools is told: a cloud knows no demands."""
        return Pool(
            id=self.id,
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
