"""What a seed draws: a policy, and pools."""

from __future__ import annotations

from random import Random
from typing import Any

from policies.model import CapacityType, Demand, Offering, Pool, PoolKind
from policies.policy import Budget, Flap, Interlocks, Mode, MoneyBudget, Policy, PoolPolicy, Scope, Step

ZONES = ("a", "b")
LARGEST = 30


def policy(random: Random) -> Policy:
    """What an operator wants."""
    budgets = [
        Budget(
            scope=scope,
            step=Step(units=random.randint(1, 3), share=random.choice((0.0, 0.05, 0.1, 0.3))),
            window_s=random.choice((600, 1800, 3600)),
        )
        for scope in Scope
        if random.random() < 0.7
    ]
    rule = PoolPolicy(
        mode_out=Mode.AUTO,
        mode_in=Mode.AUTO,
        observe_first_s=0,
        cool_down_out_s=random.choice((0, 0, 120)),
        cool_down_in_s=random.choice((0, 300, 900)),
        step_out=Step(units=random.randint(1, 9), share=1.0),
        step_in=Step(units=random.randint(1, 4), share=0.5),
    )
    hard = MoneyBudget(scope=Scope.ALL, usd=0.5, window_s=3600, hard=True)
    return Policy(
        default=rule,
        budgets=tuple(budgets),
        plan_ttl_s=600,
        interlocks=Interlocks(
            warm_up_s=random.choice((0, 120, 600)), recent_growth_s=random.choice((0, 600))
        ),
        flap=random.choice((None, Flap(), Flap(reversals=2, window_s=1800))),
        money=(hard,) if random.random() < 0.3 else (),
        fleet_share=random.choice((1.0, 0.5)),
    )


def pools(random: Random) -> list[Pool]:
    """One to four pools in one or two clouds."""
    providers = ("east", "west")[: random.randint(1, 2)]
    return [_pool(random, f"p{number}", random.choice(providers)) for number in range(random.randint(1, 4))]


def _pool(random: Random, name: str, provider: str) -> Pool:
    minimum = random.randint(0, 3)
    maximum = random.randint(minimum + 4, LARGEST + 5)
    offerings: Any = [
        Offering(instance_type="m5.large", zone=zone, capacity_type=CapacityType.ON_DEMAND, hourly_usd=0.096)
        for zone in ZONES
    ]
    return Pool(
        id=name,
        provider=provider,
        kind=PoolKind.INSTANCE_GROUP,
        desired=random.randint(minimum, maximum),
        ready={},
        minimum=minimum,
        maximum=maximum,
        demands=(Demand(series=f"{name}:demand", unit_capacity=1.0),),
        offerings=tuple(offerings),
        lead_time_s=random.choice((30, 120, 300)),
    )
