"""A pool as it is decided on: what the provider observed, with what the operator declared for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from autoscaler.declared import DeclaredDemand, DeclaredPool, Latency, Observed, Utilization
from forecasts.types import BadInput, Series
from policies import observed as learning
from policies import units
from policies.model import Demand, Gap, Learnt, Pool
from policies.sizing import unit_capacity_at_p99
from policies.unit_capacity import UnitCapacity


def settle(
    pool: Pool,
    declared: DeclaredPool,
    history: Mapping[str, Series],
    *,
    seen: Mapping[str, Series],
    now: datetime,
) -> Pool | Gap:
    """The observed pool with what the operator declared for it: bounds, demands, offerings, lead time.

    A demand given as `units_at_p99` gets its unit capacity from the finite values of `history` (series id ->
    Series: what may be learnt from). Lead time and unit capacity are learnt from `seen` up to `now` (aware),
    as far as the pool's own series are there; what was declared holds until then. Where there is neither, the
    whole pool is a Gap: sizing it by its other metrics alone could shrink what the unknown one needs.
    """
    learnt: list[Learnt] = []
    lead_s = declared.lead_time_s
    if declared.observed is not None and declared.observed.desired is not None:
        lead_s, why = _lead_time(declared.observed, lead_s, seen, now)
        learnt.append(
            Learnt(name="lead time", value=lead_s, unit="s", source=declared.observed.ready, why=why)
        )
    demands = []
    for demand in declared.demands:
        capacity, why = _unit_capacity(demand, declared.observed, (history, seen), now)
        if capacity is None:
            return Gap(source=declared.id, code="NO_UNIT_CAPACITY", why=f"{demand.series} {why}")
        if why:
            learnt.append(Learnt(name="unit capacity", value=capacity, source=demand.series, why=why))
        demands.append(Demand(series=demand.series, unit_capacity=capacity))
    misfit = _misfit([history[demand.series] for demand in demands if demand.series in history])
    if misfit:
        return Gap(source=declared.id, code="GRIDS", why=misfit)
    minimum, maximum, narrowed = _bounds(pool, declared)
    if minimum > maximum:
        why = f"{narrowed[0].why}; no size is within both" if narrowed else "minimum is over maximum"
        return Gap(source=declared.id, code="BOUNDS", why=why)
    learnt += narrowed
    return replace(
        pool,
        minimum=minimum,
        maximum=maximum,
        demands=tuple(demands),
        offerings=declared.offerings or pool.offerings,
        lead_time_s=lead_s,
        drain_time_s=declared.drain_time_s,
        maximum_step_in=min(
            (step for step in (declared.maximum_step_in, pool.maximum_step_in) if step is not None),
            default=None,
        ),
        labels={**declared.labels, **pool.labels},
        protected=declared.protected or pool.protected,
        learnt=tuple(learnt),
    )


def _bounds(pool: Pool, declared: DeclaredPool) -> tuple[int, int, list[Learnt]]:
    """The declared bounds within the provider's own, and a line for each that is narrower there."""
    told = []
    minimum = max(declared.minimum, pool.minimum)
    maximum = min(declared.maximum, pool.maximum)
    for name, value, asked in (
        ("minimum", minimum, declared.minimum),
        ("maximum", maximum, declared.maximum),
    ):
        if value != asked:
            why = f"{declared.target or declared.id} itself has a {name} of {value}, {asked} is declared"
            told.append(Learnt(name=name, value=value, unit="units", source=pool.provider, why=why))
    return minimum, maximum, told


def _lead_time(
    observed: Observed, declared_s: int, seen: Mapping[str, Series], now: datetime
) -> tuple[int, str]:
    """Seconds, and the line that says why."""
    absent = [name for name in (observed.desired, observed.ready) if name is not None and name not in seen]
    if absent or observed.desired is None:
        return declared_s, f"as declared: {absent[0]} was not seen"
    desired, ready = seen[observed.desired], seen[observed.ready]
    found = learning.lead_time(desired, ready, declared_s=declared_s, now=now)
    return found.seconds, found.why


def _unit_capacity(
    demand: DeclaredDemand,
    observed: Observed | None,
    known: tuple[Mapping[str, Series], Mapping[str, Series]],
    now: datetime,
) -> tuple[float | None, str]:
    """The capacity, None where it is not known; how it was learnt or why it was not, "" where declared."""
    history, seen = known
    declared = _declared_capacity(demand, history.get(demand.series))
    sign = demand.utilization or demand.latency
    if sign is None or observed is None:
        missing = (
            "has no history from which a plausible unit capacity follows "
            f"({units.SMALLEST_CAPACITY:g} to {units.LARGEST_CAPACITY:g}); give unit_capacity itself"
        )
        return declared, missing if declared is None else ""
    absent = [name for name in (demand.series, observed.ready, sign.series) if name not in seen]
    if absent:
        found = UnitCapacity(value=None, why=f"{absent[0]} was not seen", steps=0)
    else:
        load = _untouched(seen[demand.series], history.get(demand.series))
        found = _learnt(sign, load, seen[observed.ready], seen[sign.series], now)
    capacity = declared if found.value is None else found.value
    if capacity is None:
        return None, f"has no unit capacity yet: {found.why}; give a figure that holds until it is learnt"
    return capacity, found.why if found.value is not None else f"as declared: {found.why}"


def _learnt(
    sign: Utilization | Latency, load: Series, ready: Series, seen: Series, now: datetime
) -> UnitCapacity:
    """From demand, units that served, and the sign of how full they were."""
    if isinstance(sign, Utilization):
        return learning.from_utilization(load, ready, seen, target=sign.target, top=sign.top, now=now)
    return learning.from_latency(load, ready, seen, objective=sign.objective, now=now)


def _untouched(seen: Series, history: Series | None) -> Series:
    """Demand as it was served, absent where it is not to be learnt from (a mask, a declared event)."""
    if history is None or history is seen or len(history.y) != len(seen.y):
        return seen
    y = np.where(history.y == seen.y, seen.y, np.nan)
    return Series(unique_id=seen.unique_id, start=seen.start, step_s=seen.step_s, y=y)


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


def _declared_capacity(demand: DeclaredDemand, series: Series | None) -> float | None:
    if demand.unit_capacity is not None:
        return demand.unit_capacity
    if demand.units_at_p99 is None or series is None:
        return None
    try:
        capacity = unit_capacity_at_p99(series.y, demand.units_at_p99)
    except BadInput:
        return None
    return capacity if units.SMALLEST_CAPACITY <= capacity <= units.LARGEST_CAPACITY else None
