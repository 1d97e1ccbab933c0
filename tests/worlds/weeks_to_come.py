"""Ten days of four pools as they are and at half as much demand again: what the views are tested on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from policies import horizon
from policies.assumptions import assumed, parse
from policies.model import CapacityType, Demand, Gap, Offering, Pool, PoolKind
from policies.policy import PoolPolicy

NOW = datetime(2026, 11, 23, 9, 50, tzinfo=UTC)
START = NOW.replace(minute=0)
ASSUMPTIONS = ("demand*1.5", "web:lead-time=10m", "llm:price*0.8", "pods:maximum*2")
# Units of demand over the hours of one day.
DAY = (4, 3, 3, 2, 2, 3, 5, 7, 9, 10, 11, 12, 12, 11, 11, 10, 10, 9, 8, 8, 7, 6, 5, 4)
REPLAYED = horizon.Margin(
    factor=1.25, standby=1.5, rule="seasonal_quantile as replayed on the last 1w", replayed=True
)
SLOWER = replace(REPLAYED, factor=1.5)
RULE = horizon.Margin(
    factor=1.75,
    rule="quantile rule at p99, since portfolio cannot be replayed: less than 4d of history",
    replayed=False,
)


def _pool(name: str, kind: PoolKind, bounds: tuple[int, int], usd: float | None) -> Pool:
    price = Offering(
        instance_type="m5.large", zone="a", capacity_type=CapacityType.ON_DEMAND, hourly_usd=usd or 0.0
    )
    return Pool(
        id=name,
        provider="fake",
        kind=kind,
        desired=4,
        ready={"a": 4},
        minimum=bounds[0],
        maximum=bounds[1],
        demands=(Demand(series=name, unit_capacity=20.0),),
        offerings=() if usd is None else (price,),
    )


def _entry(
    pool: Pool, scale: float, hours: int, *margins: horizon.Margin, texts: tuple[str, ...], notes=()
) -> horizon.PoolHorizon:
    hour = np.arange(hours + 1)
    usual = np.resize(np.roll(DAY, -START.hour), hours + 1) * scale * 20.0
    spread = 0.1 + 0.2 * hour / hours
    values = np.stack([usual * (1 - spread), usual, usual * (1 + spread)], axis=1)

    def course(*assumptions: str) -> horizon.Course:
        terms = assumed(pool, PoolPolicy(), [parse(text) for text in assumptions])
        demand = horizon.Demand(
            levels=horizon.BAND,
            values=horizon.hourly_demand(terms, [(values, terms.pool.demands[0].unit_capacity)]),
            swell=np.full(len(values), terms.swell),
            least=np.full(len(values), np.nan),
        )
        margin = margins[-1] if assumptions else margins[0]
        return horizon.course(terms, demand, margin=margin, start=START, hours=hours)

    return horizon.PoolHorizon(
        pool=pool.id,
        kind=pool.kind.value,
        billable=pool.billable,
        model="mstl",
        notes=tuple(notes),
        base=course(),
        assumed=course(*texts) if texts else None,
    )


def outlook(*, hours: int = 240, what_if: bool = True) -> horizon.Horizon:
    """The outlook of this world."""
    texts = ASSUMPTIONS if what_if else ()
    event = "event black-friday: x1.8 from 2026-11-27 05:00Z to 2026-11-28 05:00Z"
    pools = (
        _entry(_pool("pods", PoolKind.DEPLOYMENT, (2, 14), 0.08), 0.7, hours, REPLAYED, texts=texts),
        _entry(_pool("llm", PoolKind.GPU_CLUSTER, (1, 40), 21.96), 0.25, hours, RULE, texts=texts),
        _entry(
            _pool("rack-of-unknown-price", PoolKind.INSTANCE_GROUP, (4, 40), None),
            1,
            hours,
            REPLAYED,
            texts=texts,
        ),
        _entry(
            _pool("web", PoolKind.INSTANCE_GROUP, (2, 24), 0.192),
            1.3,
            hours,
            REPLAYED,
            SLOWER,
            texts=texts,
            notes=[event],
        ),
    )
    return horizon.Horizon(
        what_if=what_if,
        assumptions=texts,
        made_at=NOW,
        start=START,
        hours=hours,
        pools=pools,
        gaps=(Gap(source="search", code="NO_FORECAST", why="none of its metrics has a forecast"),),
    )
