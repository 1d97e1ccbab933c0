"""Named worlds with the plan that an operator would expect, as text."""

from __future__ import annotations

from datetime import timedelta
from textwrap import dedent
from types import MappingProxyType

import numpy as np

from policies import planner
from policies.model import CapacityType, Demand, Gap, Offering, Pool, PoolKind, Snapshot
from policies.plan import Change
from policies.policy import Freeze, Policy, PoolPolicy, Scope, Step
from tests.laws.strategies import NOW, outlook


def pool(name: str, desired: int, minimum: int, maximum: int, **other) -> Pool:
    values = {"provider": "aws", "kind": PoolKind.INSTANCE_GROUP} | other
    price = Offering(
        instance_type="m5.large", zone="a", capacity_type=CapacityType.ON_DEMAND, hourly_usd=0.096
    )
    return Pool(
        id=name,
        desired=desired,
        ready={"a": desired},
        minimum=minimum,
        maximum=maximum,
        demands=(Demand(series=name, unit_capacity=1.0),),
        offerings=(price,),
        **values,
    )


def soon(name: str, *demand: float, peak: float, refusal: str = ""):
    """Demand of the last minutes, and quantiles whose 0.99 is `peak`."""
    return outlook(name, demand, ahead=np.tile([peak * 0.7, peak * 0.9, peak], (6, 1)), refusal=refusal)


def read(plan) -> str:
    """A line for each action and each held part, as short as can be."""
    lines = [f"{a.kind} {a.target} {a.before} -> {a.after} {a.reason}" for a in plan.actions]
    for entry in plan.held:
        action, until = entry.action, ""
        if entry.until is not None:
            until = f" until {entry.until:%H:%M}"
        lines.append(f"held {action.target} {action.before} -> {action.after} {entry.guard}{until}")
    lines += [f"gap {gap.source} {gap.code}" for gap in plan.gaps]
    return "\n".join(lines) or "nothing to do"


def expect(plan, text: str) -> None:
    assert read(plan) == dedent(text).strip()


def test_monday_morning():
    """Load is about to rise everywhere but in the batch pool, whose night is over: grow soon, shrink slow."""
    pools = (
        pool("web", 10, 4, 60),
        pool("api", 24, 4, 120, kind=PoolKind.DEPLOYMENT),
        pool("nightly-batch", 40, 0, 80),
        pool("ci-runners", 2, 2, 30, kind=PoolKind.RUNNERS),
        pool("idle-dev", 12, 1, 20),
    )
    outlooks = {
        "web": soon("web", 8.1, 8.8, 9.6, peak=17.2),
        "api": soon("api", 20.0, 21.0, 22.0, peak=23.5),
        "nightly-batch": soon("nightly-batch", 39.0, 12.0, 0.0, peak=0.2),
        "ci-runners": soon("ci-runners", 1.0, 6.0, 14.0, peak=11.0),
        "idle-dev": soon("idle-dev", 0.1, 0.1, 0.1, peak=0.3),
    }
    expect(
        planner.plan(Snapshot(taken_at=NOW, pools=pools), outlooks, Policy()),
        """
        scale-out ci-runners 2 -> 6 LIVE_DEMAND
        scale-out web 10 -> 18 FORECAST_PEAK
        scale-in nightly-batch 40 -> 36 DEMAND_LOW
        held ci-runners 6 -> 14 STEP
        held nightly-batch 36 -> 1 CHANGE_BUDGET until 09:10
        held idle-dev 12 -> 1 CHANGE_BUDGET until 10:00
        """,
    )


def test_black_friday():
    """Everything grows up to its maximum; a freeze of shrinking pools holds them; no budget holds growth."""
    pools = (
        pool("web", 60, 20, 100),
        pool("checkout", 30, 10, 200),
        pool("search", 50, 10, 80, last_scaled_at=NOW - timedelta(seconds=30)),
        pool("reports", 20, 2, 40),
    )
    outlooks = {
        "web": soon("web", 70.0, 90.0, 118.0, peak=150.0),
        "checkout": soon("checkout", 28.0, 35.0, 52.0, peak=88.0),
        "search": soon("search", 55.0, 60.0, 66.0, peak=70.0),
        "reports": soon("reports", 3.0, 3.0, 3.0, peak=4.0),
    }
    policy = Policy(freezes=(Freeze(scope=Scope.POOL, name="reports", until=NOW + timedelta(hours=12)),))
    changes = [Change(target="web", at=NOW - timedelta(minutes=1), before=100, after=60)]
    expect(
        planner.plan(Snapshot(taken_at=NOW, pools=pools), outlooks, policy, changes=changes),
        """
        scale-out checkout 30 -> 60 FORECAST_PEAK
        scale-out search 50 -> 70 FORECAST_PEAK
        scale-out web 60 -> 100 FORECAST_PEAK
        held checkout 60 -> 88 STEP
        held web 100 -> 150 MAXIMUM
        held reports 20 -> 4 FROZEN until 21:00
        """,
    )


def test_metrics_outage():
    """Silent, refused and absent metrics hold every shrink; what is still seen to grow grows."""
    pools = tuple(pool(name, 20, 2, 50) for name in ("absent", "refused", "silent", "growing", "partial"))
    policy = Policy(
        default=PoolPolicy(step_in=Step(units=0, share=1.0), cool_down_in_s=0),
        budgets=(),
        pools=MappingProxyType({"silent": PoolPolicy(scaler="hpa")}),
    )
    outlooks = {
        "refused": soon("refused", 1.0, 1.0, 1.0, peak=2.0, refusal="a gap of 3 h in the last 14 d"),
        "silent": outlook("silent", [1.0] * 9 + [np.nan] * 3),
        "growing": soon("growing", 25.0, 30.0, 30.0, peak=2.0, refusal="70 % complete"),
        "partial": soon("partial", 18.0, 18.0, np.nan, peak=3.0),
    }
    cloud = Gap(source="gcp", code="Unreachable", why="no answer within 20 s")
    made = planner.plan(Snapshot(taken_at=NOW, pools=pools, gaps=(cloud,)), outlooks, policy)
    expect(
        made,
        """
        scale-out growing 20 -> 30 LIVE_DEMAND
        scale-in partial 20 -> 18 DEMAND_LOW
        held refused 20 -> 2 INSUFFICIENT_DATA
        gap gcp Unreachable
        gap absent INSUFFICIENT_DATA
        gap growing INSUFFICIENT_DATA
        gap refused INSUFFICIENT_DATA
        gap silent INSUFFICIENT_DATA
        """,
    )
    assert not made.complete


def test_empty_cloud():
    """F70: no pool at all means nothing to do, whatever the policy and the metrics say."""
    made = planner.plan(Snapshot(taken_at=NOW), {"ghost": soon("ghost", 50.0, peak=90.0)}, Policy())
    expect(made, "nothing to do")
    assert made.complete


def test_max_lowered_under_what_runs():
    """F72: a maximum below the present size is reached in steps and within the budget, not at once."""
    policy = Policy()
    size, sizes, now, changes = 100, [], NOW, []
    for _ in range(40):
        world = Snapshot(taken_at=now, pools=(pool("web", size, 2, 60),))
        made = planner.plan(world, {"web": outlook("web", [50.0])}, policy, changes=changes)
        changes += [Change(target=a.target, at=now, before=a.before, after=a.after) for a in made.actions]
        size = made.actions[0].after if made.actions else size
        sizes.append(size)
        now += timedelta(minutes=15)
    assert sizes[:3] == [95, 95, 95]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] >= 50
    assert max(a - b for a, b in zip(sizes, sizes[4:], strict=False)) <= 5
