"""Monday morning in a world of eight pools, written out by hand: what the views are tested on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from dashboards.views import Chart, ReplayChart, ReplayRow
from policies.model import CapacityType, Demand, Gap, Offering, Pool, PoolKind
from policies.plan import Action, Fact, Guard, Held, Plan, Reason, UsdRange, kind_of

NOW = datetime(2026, 11, 23, 9, 50, tzinfo=UTC)
P99 = "0.99 quantile of demand over the lead time"
# Units of demand over the hours of one day.
DAY = (4, 3, 3, 2, 2, 3, 5, 7, 9, 10, 11, 12, 12, 11, 11, 10, 10, 9, 8, 8, 7, 6, 5, 4)


def _pool(
    name: str, kind: PoolKind, sizes: tuple[int, int, int], *prices: float, lead_time_s: int = 300
) -> Pool:
    desired, minimum, maximum = sizes
    zones = ("us-east-1a", "us-east-1b")
    return Pool(
        id=name,
        provider="fake",
        kind=kind,
        desired=desired,
        ready={"us-east-1a": desired},
        minimum=minimum,
        maximum=maximum,
        demands=(Demand(series=name, unit_capacity=20.0),),
        offerings=tuple(
            Offering(
                instance_type="m5.large", zone=zone, capacity_type=CapacityType.ON_DEMAND, hourly_usd=usd
            )
            for zone, usd in zip(zones, prices, strict=False)
        ),
        lead_time_s=lead_time_s,
    )


POOLS = {
    pool.id: pool
    for pool in (
        _pool("web", PoolKind.INSTANCE_GROUP, (10, 2, 60), 0.096, 0.096),
        _pool("api", PoolKind.DEPLOYMENT, (24, 4, 120), 0.032),
        _pool("nightly-batch", PoolKind.INSTANCE_GROUP, (40, 0, 80), 0.17, 0.17),
        _pool("llm-inference", PoolKind.GPU_CLUSTER, (6, 2, 16), 4.1, 5.12, lead_time_s=600),
        _pool("ci-runners", PoolKind.RUNNERS, (22, 1, 60), 0.045),
        _pool("gpu-training", PoolKind.GPU_CLUSTER, (8, 0, 8), 32.77),
        _pool("dev", PoolKind.INSTANCE_GROUP, (12, 1, 20)),
        _pool("checkout-queue", PoolKind.DEPLOYMENT, (9, 2, 30), 0.032),
    )
}


def _fact(name: str, value: float, unit: str = "units", source: str = "", window: str = "") -> Fact:
    return Fact(name=name, value=value, unit=unit, source=source, window=window)


def change(
    target: str,
    sizes: tuple[int, int],
    reason: Reason,
    usd: tuple[float, float, float] | None,
    confidence: float | None,
    *because: Fact,
    billable: bool = True,
) -> Action:
    """One change of one pool, valid for an hour."""
    before, after = sizes
    return Action(
        kind=kind_of(before, after),
        target=target,
        before=before,
        after=after,
        version="v17",
        reason=reason,
        because=because,
        hourly_delta_usd=None if usd is None else UsdRange(*usd),
        billable=billable,
        confidence=confidence,
        disruption=max(0, before - after),
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


WEB = change(
    "web",
    (10, 14),
    Reason.FORECAST_PEAK,
    (0.384, 0.384, 0.384),
    0.97,
    _fact(P99, 13.4, source="mstl", window="300 s"),
    _fact("demand now", 9.2),
    Fact(name="scaler", value="seasonal_quantile"),
)
PLAN = Plan(
    made_at=NOW,
    expires_at=NOW + timedelta(hours=1),
    snapshot_digest="81c2d3e4f5a6b7c8",
    policy_digest="0a1b2c3d4e5f6071",
    forecasts_digest="ffeeddccbbaa9988",
    actions=(
        WEB,
        change(
            "llm-inference",
            (6, 8),
            Reason.LIVE_DEMAND,
            (8.2, 9.22, 10.24),
            0.942,
            _fact("demand now", 7.6, source="tokens_in_flight", window="last 5m"),
        ),
        change(
            "nightly-batch",
            (40, 20),
            Reason.DEMAND_LOW,
            (-3.4, -3.4, -3.4),
            0.9995,
            _fact(P99, 11.8, source="mstl", window="300 s"),
            _fact("demand now", 3.0),
        ),
        change(
            "api",
            (24, 22),
            Reason.DEMAND_LOW,
            (-0.064, -0.064, -0.064),
            0.99,
            _fact(P99, 20.6, source="mstl", window="300 s"),
            billable=False,
        ),
        change("dev", (12, 6), Reason.DEMAND_LOW, None, None, _fact("demand now", 0.2)),
    ),
    held=(
        Held(
            action=change("nightly-batch", (20, 12), Reason.DEMAND_LOW, (-1.36, -1.36, -1.36), 0.99),
            guard=Guard.STEP,
            until=NOW + timedelta(minutes=5),
            why="half of 40 units may go at once; 8 more are asked for after the step",
        ),
        Held(
            action=change("gpu-training", (8, 4), Reason.DEMAND_LOW, (-131.08, -131.08, -131.08), 0.98),
            guard=Guard.PROTECTED,
        ),
        Held(
            action=change("checkout-queue", (9, 5), Reason.DEMAND_LOW, None, None, billable=False),
            guard=Guard.INSUFFICIENT_DATA,
            why="queue_depth ended 2026-11-23 07:15Z, 2h35m ago; at most 3 steps of 5m are allowed",
        ),
    ),
    gaps=(
        Gap(
            source="metrics: queue_depth",
            code="STALE",
            why="no sample since 2026-11-23 07:15Z; checkout-queue keeps its size",
        ),
    ),
    complete=False,
)


def chart(name: str, *, days: int = 7, share: float = 1.0, model: str = "mstl") -> Chart:
    """A week of hourly history that repeats `DAY`, and the next 24 hours; no model, no forecast."""
    history = np.tile(np.array(DAY, dtype=np.float64) * share, days)
    median = np.array(DAY, dtype=np.float64) * share
    return Chart(
        pool_id=name,
        start=datetime(2026, 11, 23, 9, tzinfo=UTC) - timedelta(hours=len(history)),
        step_s=3600,
        history=np.roll(history, -9),
        levels=(0.5, 0.9, 0.99) if model else (),
        values=np.roll(np.stack([median, median * 1.125, median * 1.25], axis=1), -9, axis=0)
        if model
        else np.empty((0, 0)),
        issued_at=datetime(2026, 11, 23, 9, tzinfo=UTC),
        model=model,
        capacity=POOLS[name].desired,
    )


def broken(name: str) -> Chart:
    """History whose last hours are absent, and one hole within; no forecast."""
    whole = chart(name, model="")
    history = whole.history.copy()
    history[-3:] = np.nan
    history[-20:-14] = np.nan
    return Chart(
        pool_id=name, start=whole.start, step_s=3600, history=history, capacity=POOLS[name].desired, notes=()
    )


SHARES = {
    "web": 1.0,
    "api": 1.75,
    "nightly-batch": 3.0,
    "llm-inference": 0.625,
    "ci-runners": 1.5,
    "gpu-training": 0.5,
    "dev": 0.125,
}
CHARTS = {
    **{name: chart(name, share=share) for name, share in SHARES.items()},
    "checkout-queue": broken("checkout-queue"),
}


def rows() -> list[ReplayRow]:
    """A replay of three scalers on two pools."""
    figures = (
        ("seasonal_quantile", 2900.0, 0.0098, 0.0011, 31.2),
        ("hpa", 3700.0, 0.0131, 0.0019, 55.0),
        ("static", 6300.0, 0.0, 0.0, 0.0),
    )
    return [
        ReplayRow(
            pool=pool,
            scaler=scaler,
            cost_unit_hours=cost * share,
            clairvoyant_unit_hours=2100.0 * share,
            cost_usd=cost * share * 0.096,
            violation=violation,
            unserved=unserved,
            actions_per_day=actions,
        )
        for pool, share in (("web", 1.0), ("llm-inference", 0.5))
        for scaler, cost, violation, unserved, actions in figures
    ]


def replays() -> list[ReplayChart]:
    """Ready units of three scalers against demand on the same two pools, two weeks of five minutes."""
    steps = 14 * 288
    stamps = np.datetime64("2026-11-09T09:50:00", "s") + np.arange(steps) * np.timedelta64(300, "s")
    demand = np.repeat(np.tile(np.array(DAY, dtype=np.float64), 14), 12)
    demand[1000:1040] = np.nan
    full = np.repeat(np.tile(np.array(DAY, dtype=np.float64), 14), 12)
    ready = {
        "seasonal_quantile": np.ceil(full * 1.1),
        "hpa": np.ceil(full * 1.4),
        "static": np.full(steps, 15.0),
    }
    return [
        ReplayChart(pool=pool, stamps=stamps, demand=demand, ready=ready) for pool in ("web", "llm-inference")
    ]
