"""What is wrong with the keys by which a pool is learnt from: each needs the series that it is read from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autoscaler.yaml_lines import Place

LEARN = "learn"


def capacity_problem(demand: dict[str, Any]) -> str:
    """Why the figures of a demand's unit capacity do not go together, "" where they do."""
    given = [key for key in ("unit_capacity", "units_at_p99") if demand.get(key) is not None]
    signs = [key for key in ("utilization", "latency") if demand.get(key) is not None]
    if len(given) == 2:
        return "give either unit_capacity or units_at_p99, not both"
    if not given:
        more = " (unit_capacity: learn has no figure until it is learnt)" if signs else ""
        return f"give either unit_capacity or units_at_p99, one of them is needed{more}"
    if len(signs) == 2:
        return "give either utilization or latency to learn from, not both"
    if demand.get("unit_capacity") == LEARN and not signs:
        return "unit_capacity: learn needs utilization: {series, target} or latency: {series, objective}"
    return ""


def pool_problems(place: Place, pool: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    """What a pool's `observed` and its demands' utilization and latency say of each other."""
    observed = pool.get("observed")
    observed = observed if isinstance(observed, dict) else {}
    demands = pool.get("demands")
    sized = {}
    for index, demand in enumerate(demands if isinstance(demands, list) else ()):
        if not isinstance(demand, dict):
            continue
        sized[str(demand.get("series"))] = index
        for key in ("utilization", "latency"):
            if demand.get(key) is not None and observed.get("ready") is None:
                yield (
                    (*place, "demands", index, key),
                    "needs the units that served; add observed: {ready: SERIES} to the pool",
                )
    ready, desired = observed.get("ready"), observed.get("desired")
    if ready is not None and ready == desired:
        yield (*place, "observed", "desired"), "is the series of ready too; a lead time lies between two"
    for key, name in (("ready", ready), ("desired", desired)):
        if name is not None and str(name) in sized:
            yield (*place, "observed", key), f"{name!r} is demand of this pool too; one of the two is wrong"
