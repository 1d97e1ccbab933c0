"""A pool as it is decided on: what the provider observed, with what the operator declared for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoscaler.declared import DeclaredDemand, DeclaredPool
from forecasts.types import BadInput, Series
from policies import units
from policies.model import Demand, Gap, Pool
from policies.sizing import unit_capacity_at_p99


def settle(pool: Pool, declared: DeclaredPool, history: Mapping[str, Series]) -> Pool | Gap:
    """The observed pool with what the operator declared for it: bounds, demands, offerings, lead time.

    A demand given as `units_at_p99` gets its unit capacity from the finite values of `history` (series id ->
    Series; pass only what may be seen). Where that is not possible the whole pool is a Gap: sizing it by its
    other metrics alone could shrink what the unknown one needs.
    """
    demands = []
    for demand in declared.demands:
        capacity = _unit_capacity(demand, history.get(demand.series))
        if capacity is None:
            why = (
                f"{demand.series} has no history from which a plausible unit capacity follows "
                f"({units.SMALLEST_CAPACITY:g} to {units.LARGEST_CAPACITY:g}); give unit_capacity itself"
            )
            return Gap(source=declared.id, code="NO_UNIT_CAPACITY", why=why)
        demands.append(Demand(series=demand.series, unit_capacity=capacity))
    misfit = _misfit([history[demand.series] for demand in demands if demand.series in history])
    if misfit:
        return Gap(source=declared.id, code="GRIDS", why=misfit)
    return replace(
        pool,
        minimum=declared.minimum,
        maximum=declared.maximum,
        demands=tuple(demands),
        offerings=declared.offerings or pool.offerings,
        lead_time_s=declared.lead_time_s,
        drain_time_s=declared.drain_time_s,
        maximum_step_in=declared.maximum_step_in,
        protected=declared.protected or pool.protected,
    )


def _misfit(metrics: Sequence[Series]) -> str:
    """Why the metrics have no grid in common (each step a multiple of the finest), "" where they have."""
    if not metrics:
        return ""
    finest = min(metrics, key=lambda series: series.step_s)
    for series in metrics:
        apart = (series.start - finest.start).total_seconds()
        if series.step_s % finest.step_s or apart % finest.step_s:
            return (
                f"{series.unique_id} (every {series.step_s} s) and {finest.unique_id} (every "
                f"{finest.step_s} s) have no grid in common; record them at the same times, or size by one"
            )
    return ""


def _unit_capacity(demand: DeclaredDemand, series: Series | None) -> float | None:
    if demand.unit_capacity is not None:
        return demand.unit_capacity
    if demand.units_at_p99 is None or series is None:
        return None
    try:
        capacity = unit_capacity_at_p99(series.y, demand.units_at_p99)
    except BadInput:
        return None
    return capacity if units.SMALLEST_CAPACITY <= capacity <= units.LARGEST_CAPACITY else None
