"""One plan for 10,000 pools from given forecasts: CPU seconds, and the memory of the whole process.

Generated pools of 2 to 50 units with an hour of one-minute demand and six hours of quantiles each; default
policy: the seasonal quantile, the step and the change budgets.
"""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from forecasts.types import Series
from policies.model import CapacityType, Demand, Offering, Pool, PoolKind, Snapshot
from policies.outlook import Outlook
from policies.plan_json import plan_to_json
from policies.planner import plan
from policies.policy import Policy

TARGETS = {"cpu_s": "<= 0.5", "megabytes": "<= 300"}
POOLS = 10_000
NOW = datetime(2026, 1, 5, tzinfo=UTC)
LEVELS = (0.5, 0.9, 0.99)


def offerings() -> tuple[Offering, ...]:
    """On demand and spot."""
    return tuple(
        Offering(instance_type="m5.large", zone="a", capacity_type=kind, hourly_usd=usd)
        for kind, usd in ((CapacityType.ON_DEMAND, 0.096), (CapacityType.SPOT, 0.03))
    )


def world() -> tuple[Snapshot, dict[str, Outlook]]:
    """The pools and what is known of their demand."""
    chance = np.random.default_rng(1)
    pools, outlooks = [], {}
    for index in range(POOLS):
        name = f"pool-{index}"
        pools.append(
            Pool(
                id=name,
                provider="fake",
                kind=PoolKind.INSTANCE_GROUP,
                desired=int(chance.integers(2, 50)),
                ready={"a": 3},
                minimum=1,
                maximum=100,
                demands=(Demand(series=name, unit_capacity=10.0),),
                offerings=offerings(),
                version="1",
            )
        )
        outlooks[name] = Outlook(
            pool_id=name,
            demand=Series(
                unique_id=name, start=NOW - timedelta(hours=1), step_s=60, y=chance.gamma(4, 5, 60)
            ),
            ahead=np.sort(chance.gamma(4, 5, (6, len(LEVELS))), axis=1),
            levels=LEVELS,
            model="mstl",
        )
    return Snapshot(taken_at=NOW, pools=tuple(pools)), outlooks


def run() -> dict[str, float]:
    """The best of five plans; the snapshot's digest and the plan's JSON are told apart."""
    snapshot, outlooks = world()
    policy = Policy()
    best = float("inf")
    for _ in range(5):
        fresh = {
            name: Outlook(**{key: getattr(one, key) for key in Outlook.__dataclass_fields__})
            for name, one in outlooks.items()
        }
        began = time.process_time()
        made = plan(snapshot, fresh, policy)
        best = min(best, time.process_time() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    began = time.process_time()
    Snapshot(taken_at=NOW, pools=snapshot.pools)
    named = time.process_time()
    plan_to_json(made)
    return {
        "cpu_s": best,
        "megabytes": memory,
        "snapshot_digest_s": named - began,
        "json_s": time.process_time() - named,
        "actions": len(made.actions),
        "held": len(made.held),
    }
