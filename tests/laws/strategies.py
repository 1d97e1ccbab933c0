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
from policies.model import CapacityType, Demand, Offering, Pool, PoolKind, Snapshot
from policies.outlook import Outlook
from policies.plan import Change
from policies.policy import Budget, Freeze, Policy, PoolPolicy, Scope, Step

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STEP_S = 60
LEVELS = (0.5, 0.9, 0.99)
NAMES = ("api", "batch", "ci", "dev", "etl")
EDGES_S = (0, 1, 59, 60, 299, 300, 301, 599, 600, 601, 3599, 3600, 3601)

SCALERS = ("hpa", "seasonal_quantile", "static", "target_tracking")


@dataclass(frozen=True)
class World:
    """All that a plan is made from."""

    snapshot: Snapshot
    outlooks: dict[str, Outlook]
    policy: Policy
    changes: tuple[Change, ...]


@st.composite
def worlds(draw, scalers: tuple[str, ...] = SCALERS) -> World:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    chance = Random(draw(st.integers(0, 2**32)))  # noqa: S311 - worlds, not secrets
    return World(
        snapshot=Snapshot(taken_at=NOW, pools=tuple(pool(chance, name) for name in names)),
        outlooks={name: some_outlook(chance, name) for name in names if chance.random() < 0.9},
        policy=policy(chance, scalers),
        changes=tuple(change(chance, names) for _ in range(chance.choice((0, 0, 1, 2, 6)))),
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
        ready={f"zone-{i}": desired // 2 for i in range(chance.randint(1, 3))},
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
    freezes = (
        Freeze(scope=Scope.POOL, name=chance.choice(NAMES), until=chance.choice((None, moment(chance)))),
        Freeze(scope=Scope.PROVIDER, name=chance.choice(("aws", "gcp")), until=moment(chance)),
    )
    return Policy(
        default=rule(chance, scalers),
        pools=MappingProxyType(named),
        budgets=limits,
        freezes=tuple(freeze for freeze in freezes if chance.random() < 0.15),
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
