"""Where a pool was full: its demand there is only known to be at least what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.declared import DeclaredDemand, DeclaredPool
from forecasts.types import Series
from policies.censoring import at_or_above, on_grid, overloaded
from policies.observed import on_one_grid
from policies.unit_capacity import SATURATED, top_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policies.model import Pool

    Flags = NDArray[np.bool_]


def censored(declared: DeclaredPool, pool: Pool, seen: Mapping[str, Series], demand: Series) -> Flags | None:
    """The steps of a pool's demand (units) that are lower bounds, bool [steps]; None where nothing can tell.

    A metric at `saturates_at`; a utilization of 95 % or more; a latency over its objective while every unit
    serves its unit capacity. Each as far as its series is there.
    """
    capacities = {one.series: one.unit_capacity for one in pool.demands}
    parts = [
        part
        for one in declared.demands
        if one.series in seen
        for part in _parts(one, declared, capacities.get(one.series), seen)
    ]
    return on_grid(parts, demand) if parts else None


def signs(declared: DeclaredPool) -> list[str]:
    """Names what tells where demand is a lower bound: what is learnt depends on it."""
    return [
        repr((one.series, one.saturates_at, one.utilization, one.latency, declared.observed))
        for one in declared.demands
        if one.saturates_at is not None or one.utilization is not None or one.latency is not None
    ]


def _parts(
    demand: DeclaredDemand, declared: DeclaredPool, capacity: float | None, seen: Mapping[str, Series]
) -> Iterator[tuple[Series, Flags]]:
    """Each sign of one metric, with its flags on its own grid."""
    load = seen[demand.series]
    if demand.saturates_at is not None:
        yield load, at_or_above(load.y, demand.saturates_at)
    used = demand.utilization
    if used is not None and used.series in seen:
        share = seen[used.series]
        top = top_of(share.y) if used.top is None else used.top
        yield share, at_or_above(share.y, max(SATURATED, used.target) * top)
    slow, size = demand.latency, declared.observed
    if slow is None or size is None or capacity is None:
        return
    if slow.series in seen and size.ready in seen:
        asked, ready, latency = on_one_grid([load, seen[size.ready], seen[slow.series]])
        late = overloaded(asked.y, ready.y, latency.y, objective=slow.objective, capacity=capacity)
        yield latency, late
