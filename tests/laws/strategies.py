"""Worlds for the laws: pools, outlooks, a policy and changes, with small numbers so that limits meet.

A world is built by a seeded generator and hypothesis draws the seed and the number of pools: fifty times as
many worlds in a second as when each field is drawn, and a failure still shrinks to few pools.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from types import MappingProxyType

import numpy as np
from hypothesis import strategies as st

from forecasts.types import Series
from policies.conditions import NO_CONDITIONS, Approval, Conditions, Reading
from policies.model import CapacityType, Demand, Offering, Pool, PoolKind, Snapshot
from policies.outlook import Outlook
from policies.plan import Change, action_id
from policies.policy import (
    Budget,
    Flap,
    Freeze,
    FreezeWindow,
    Interlocks,
    MoneyBudget,
    Policy,
    PoolPolicy,
    Scope,
    Signal,
    SignalKind,
    Step,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STEP_S = 60
LEVELS = (0.5, 0.9, 0.99)
NAMES = ("api", "batch", "ci", "dev", "etl")
EDGES_S = (0, 1, 59, 60, 299, 300, 301, 599, 600, 601, 3599, 3600, 3601)

SIGNALS = ("errors", "incidents", "queue")
SCALERS = ("hpa", "seasonal_quantile", "static", "target_tracking")


@dataclass(frozen=True)
class World:
    """All that a plan is made from."""

    snapshot: Snapshot
    outlooks: dict[str, Outlook]
    policy: Policy
    changes: tuple[Change, ...]
    conditions: Conditions = NO_CONDITIONS


@st.composite
def worlds(draw, scalers: tuple[str, ...] = SCALERS) -> World:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    chance = Random(draw(st.integers(0, 2**32)))  # noqa: S311 - worlds, not secrets
    pools = tuple(pool(chance, name) for name in names)
    return World(
        snapshot=Snapshot(taken_at=NOW, pools=pools),
        outlooks={name: some_outlook(chance, name) for name in names if chance.random() < 0.9},
        policy=policy(chance, scalers),
        changes=tuple(change(chance, names) for _ in range(chance.choice((0, 0, 1, 2, 6)))),
        conditions=conditions(chance, pools),
    )


budgets = st.builds(
    Budget,
    scope=st.sampled_from(Scope),
    step=st.builds(Step, units=st.integers(0, 6), share=st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0])),
    window_s=st.sampled_from([60, 600, 3600]),
)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def moment(chance: Random) -> datetime:
    """Mostly within the windows of the policies, often at their very edge, sometimes ahead of now."""
    return ago(chance.choice((chance.choice(EDGES_S), chance.randrange(-600, 4000))))


def step(chance: Random) -> Step:
    return Step(units=chance.randint(0, 6), share=chance.choice((0.0, 0.05, 0.1, 0.5, 1.0)))


def load(chance: Random) -> float:
    return chance.choice((0.0, float(chance.randint(0, 40)), round(chance.uniform(0, 40), 2)))


def pool(chance: Random, name: str) -> Pool:
    minimum, desired = chance.choice((0, 1, chance.randint(0, 8))), chance.randint(0, 40)
    offerings = tuple(
        Offering(
            instance_type=chance.choice(("m5.large", "g5.xlarge")),
            zone="a",
            capacity_type=chance.choice(tuple(CapacityType)),
            hourly_usd=chance.choice((0.03, 0.096, 1.5)),
        )
        for _ in range(chance.randint(0, 2))
    )
    return Pool(
        id=name,
        provider=chance.choice(("aws", "gcp")),
        kind=chance.choice(tuple(PoolKind)),
        desired=desired,
        ready=ready(chance, desired),
        minimum=minimum,
        maximum=minimum + chance.randint(0, 40),
        demands=(Demand(series=name, unit_capacity=1.0),),
        offerings=offerings,
        lead_time_s=chance.choice((60, 300)),
        maximum_step_in=chance.choice((None, None, chance.randint(0, 10))),
        last_scaled_at=chance.choice((None, moment(chance))),
        version=chance.choice(("", "7", "8")),
        protected=chance.random() < 0.1,
    )


def ready(chance: Random, desired: int) -> dict[str, int]:
    """Mostly most of them, in up to three zones; sometimes few, sometimes not known."""
    if chance.random() < 0.05:
        return {}
    zones = chance.randint(1, 3)
    serving = chance.choice((desired, desired, desired, chance.randint(0, desired)))
    return {f"zone-{i}": serving // zones + (i < serving % zones) for i in range(zones)}


def some_outlook(chance: Random, name: str) -> Outlook:
    y = [np.nan if chance.random() < 0.2 else load(chance) for _ in range(chance.randint(1, 12))]
    ahead = None
    if chance.random() < 0.7:
        ahead = np.sort([[load(chance) for _ in LEVELS] for _ in range(6)], axis=1)
    return outlook(name, y, ahead=ahead, refusal="a gap of 3 h" if chance.random() < 0.1 else "")


def outlook(name: str, y, *, ahead=None, refusal: str = "") -> Outlook:
    y = np.asarray(y, dtype=float)
    return Outlook(
        pool_id=name,
        demand=Series(unique_id=name, start=ago(STEP_S * len(y)), step_s=STEP_S, y=y),
        ahead=ahead,
        levels=() if ahead is None else LEVELS,
        model="" if ahead is None else "mstl",
        refusal=refusal,
    )


def rule(chance: Random, scalers: tuple[str, ...] = SCALERS) -> PoolPolicy:
    return PoolPolicy(
        scaler=chance.choice(scalers),
        violation=chance.choice((0.01, 0.1, 0.5)),
        cool_down_out_s=chance.choice((0, 0, 300)),
        cool_down_in_s=chance.choice((0, 300, 3600)),
        step_out=step(chance),
        step_in=step(chance),
        survive_zone_loss=chance.random() < 0.3,
    )


def policy(chance: Random, scalers: tuple[str, ...] = SCALERS) -> Policy:
    named = {name: rule(chance, scalers) for name in NAMES if chance.random() < 0.4}
    limits = tuple(
        Budget(scope=chance.choice(tuple(Scope)), step=step(chance), window_s=chance.choice((60, 600, 3600)))
        for _ in range(chance.randint(0, 3))
    )
    return Policy(
        default=rule(chance, scalers),
        pools=MappingProxyType(named),
        budgets=limits,
        freezes=freezes(chance),
        freeze_windows=tuple(freeze_window(chance) for _ in range(chance.choice((0, 0, 0, 1, 2)))),
        interlocks=interlocks(chance),
        flap=chance.choice((None, Flap(), Flap(reversals=chance.randint(1, 2), window_s=3600))),
        money=tuple(money(chance) for _ in range(chance.choice((0, 0, 1, 2)))),
        fleet_share=chance.choice((0.0, 0.1, 0.3, 1.0, 1.0)),
    )


def freezes(chance: Random) -> tuple[Freeze, ...]:
    some = (
        Freeze(scope=Scope.POOL, name=chance.choice(NAMES), until=chance.choice((None, moment(chance)))),
        Freeze(scope=Scope.PROVIDER, name=chance.choice(("aws", "gcp")), until=moment(chance)),
    )
    return tuple(freeze for freeze in some if chance.random() < 0.15)


def scope(chance: Random) -> tuple[Scope, str]:
    names = {Scope.ALL: ("",), Scope.PROVIDER: ("aws", "gcp"), Scope.POOL: NAMES}
    one = chance.choice(tuple(Scope))
    return one, chance.choice(names[one])


def freeze_window(chance: Random) -> FreezeWindow:
    one, name = scope(chance)
    return FreezeWindow(
        scope=one,
        name=name,
        days=tuple(sorted(chance.sample(range(7), chance.randint(1, 7)))),
        start_minute=chance.choice((0, 539, 540, 541, chance.randrange(1440))),
        end_minute=chance.choice((539, 540, 541, 1440, chance.randrange(1440))),
        timezone=chance.choice(("UTC", "UTC", "Europe/Rome", "America/New_York", "Asia/Kolkata")),
    )


def interlocks(chance: Random) -> Interlocks:
    return Interlocks(
        unready_share=chance.choice((0.0, 0.45, 0.45, 1.0)),
        unready_above=chance.choice((0, 3)),
        warm_up_s=chance.choice((0, 600)),
        recent_growth_s=chance.choice((0, 300, 600)),
        signals=tuple(signal(chance) for _ in range(chance.choice((0, 0, 0, 1, 3)))),
    )


def signal(chance: Random) -> Signal:
    limit = chance.choice(({"above": 1.0}, {"below": 1.0}))
    pools = chance.choice((None, tuple(chance.sample(NAMES, chance.randint(1, 2)))))
    return Signal(series=chance.choice(SIGNALS), kind=chance.choice(tuple(SignalKind)), pools=pools, **limit)


def money(chance: Random) -> MoneyBudget:
    one, name = scope(chance)
    return MoneyBudget(
        scope=one,
        name=name,
        usd=chance.choice((0.0, 0.3, 1.0, 10.0)),
        window_s=chance.choice((600, 3600)),
        hard=chance.random() < 0.5,
    )


def conditions(chance: Random, pools: tuple[Pool, ...]) -> Conditions:
    """What is known beside the pools: some signals, changes in flight, approvals of what may come."""
    approvals = (approval(chance, pool) for pool in pools for _ in range(chance.choice((0, 0, 0, 2))))
    return Conditions(
        readings={
            name: Reading(
                value=chance.choice((0.0, 1.0, 2.0, np.nan)), at=ago(chance.choice((0, 900, 901, -60)))
            )
            for name in SIGNALS
            if chance.random() < 0.8
        },
        running_s=chance.choice((None, None, 0.0, 599.9, 600.0, 86400.0)),
        in_flight={pool.id: moment(chance) for pool in pools if chance.random() < 0.1},
        growing={pool.id: moment(chance) for pool in pools if chance.random() < 0.1},
        first_seen={pool.id: moment(chance) for pool in pools if chance.random() < 0.9},
        freezes=freezes(chance),
        approvals=tuple(approvals),
    )


def approval(chance: Random, pool: Pool) -> Approval:
    return Approval(
        action_id=action_id(pool.id, pool.desired, chance.randint(0, max(0, pool.desired - 1))),
        granted=chance.random() < 0.8,
        by="ann",
        why="sale is over",
        at=ago(chance.choice((60, 120))),
        expires_at=ago(chance.choice((-3600, -1, 0))),
    )


def change(chance: Random, names: tuple[str, ...]) -> Change:
    return Change(
        target=chance.choice(names),
        at=moment(chance),
        before=chance.randint(0, 30),
        after=chance.randint(0, 30),
    )


def simple_pool(name: str, desired: int, **other) -> Pool:
    values = {"provider": "aws", "kind": PoolKind.INSTANCE_GROUP, "minimum": 0, "maximum": 1000} | other
    ready = {"a": desired}
    return Pool(
        id=name, desired=desired, ready=ready, demands=(Demand(series=name, unit_capacity=1.0),), **values
    )
