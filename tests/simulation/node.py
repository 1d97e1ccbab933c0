"""One loadline in the simulated world: its tick is the program's own planner and apply, its senses are arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscaler import tick
from autoscaler.errors import LoadlineError
from autoscaler.observing import Seen
from forecasts.types import Series
from policies import planner
from policies.model import Gap, Pool, Snapshot
from policies.outlook import Outlook
from policies.plan import Plan
from policies.standing import Standing
from tests.simulation.cloud import SimulatedCloud
from tests.simulation.clockwork import NodeClock, Process
from tests.simulation.faults import Point, Wire
from tests.simulation.oracle import View

if TYPE_CHECKING:
    from tests.simulation.world import World

STEP_S = 60


@dataclass(slots=True)
class Wired:
    """A cloud at the other end of a node's wire; what its calls really change is shown to the oracle."""

    cloud: SimulatedCloud
    node: Node

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every pool."""
        return self.node.wire.call(Point.LIST, self.cloud.list)

    def read(self, pool_id: str) -> Pool:
        """One pool."""
        return self.node.wire.call(Point.READ, lambda: self.cloud.read(pool_id))

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """Ask for a size."""
        node, view = self.node, self.node.view

        def effect() -> Pool:
            self.cloud.caller = node.name
            known = len(self.cloud.log)
            after = self.cloud.resize(pool_id, size, version=version, key=key)
            for truth in self.cloud.log[known:]:
                node.world.changed(truth, view)
            return after

        return node.wire.call(Point.RESIZE, effect)

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """Whether it would be let."""
        return self.node.wire.call(
            Point.READ, lambda: self.cloud.rehearse(pool_id, size, version=version)
        )


_POINTS = {
    "record_plan": Point.RECORD,
    "intend": Point.INTEND,
    "conclude": Point.CONCLUDE,
}


class WiredTrail:
    """A trail at the other end of a node's wire: every method is a call that may fail."""

    def __init__(self, trail: Any, wire: Wire) -> None:
        """`trail` answers once the wire lets a call through."""
        self._trail = trail
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        """A method of the trail, through the wire."""
        method = getattr(self._trail, name)
        point = _POINTS.get(name, Point.RECALL)

        def through(*given: Any, **named: Any) -> Any:
            return self._wire.call(point, lambda: method(*given, **named))

        setattr(self, name, through)
        return through


class Node:
    """A process from its start to its death."""

    def __init__(self, world: World, name: str, process: Process) -> None:
        """Nothing is remembered of an earlier life but what the store holds."""
        self.world = world
        self.name = name
        self.clock = NodeClock(world.clockwork, process)
        self.clock.offset = world.offset(name)
        self.wire = Wire(world.clockwork, process, lambda text: world.tell(name, text))
        self.owners = {provider: Wired(cloud, self) for provider, cloud in world.clouds.items()}
        self.app: Any = SimpleNamespace(
            policy=world.policy,
            clock=self.clock,
            trail=WiredTrail(world.trail, self.wire),
            providers=self.owners,
        )
        self.view = View(at=0.0, known=0, node=name, live={}, sizes={})

    def live(self) -> None:
        """The loop, until the process is killed."""
        while True:
            self.world.began(self)
            try:
                self.turn()
            except LoadlineError as error:
                self.world.tell(self.name, f"the tick ended: {type(error).__name__}: {error}")
            self.clock.sleep(self.world.interval_s)

    def turn(self) -> None:
        """Observe, plan, record, apply; sometimes apply the same plan again (P4), or ask for more (P10)."""
        seen, outlooks = self.look()
        now = seen.snapshot.taken_at
        changes = tick._changes(self.app, now)
        plan = planner.plan(seen.snapshot, outlooks, self.world.policy, changes=changes)
        self.world.planned(self, seen.snapshot, outlooks, plan, changes)
        self.app.trail.record_plan(plan)
        self._apply(plan, seen, outlooks)
        if self.world.sometimes(0.03):
            self._apply_again(plan, seen, outlooks)

    def _apply(self, plan: Plan, seen: Seen, outlooks: Mapping[str, Outlook]) -> None:
        for action, outcome in tick._apply(self.app, plan, seen, outlooks, allowed=lambda _action: True):
            self.world.tell(
                self.name,
                f"{action.target} {action.before} to {action.after}: {outcome.status} {outcome.error}",
            )

    def _apply_again(self, plan: Plan, seen: Seen, outlooks: Mapping[str, Outlook]) -> None:
        """P4: what the first time changed, the second time does not."""
        oracle = self.world.oracle
        first = {truth.pool for truth in oracle.ours if truth.at >= self.view.at}
        known = len(oracle.ours)
        self._apply(plan, seen, outlooks)
        for truth in oracle.ours[known:]:
            if truth.node == self.name and truth.pool in first:
                oracle.blame(truth.at, "P4", f"{truth.pool} was changed twice by {plan.id}")

    def look(self) -> tuple[Seen, dict[str, Outlook]]:
        """What a turn sees, without a thread or a frame: lists, and the newest demand of each pool."""
        world = self.world
        sizes = world.true_sizes()
        at, known = world.clockwork.now, len(world.oracle.ours)
        pools: list[Pool] = []
        gaps: list[Gap] = []
        owners: dict[str, Any] = {}
        unanswered: dict[str, str] = {}
        for provider, wired in self.owners.items():
            try:
                shown, unseen = wired.list()
            except Exception as error:  # noqa: BLE001 - as the program does: a failure becomes a gap
                gaps.append(Gap(source=f"provider {provider}", code=type(error).__name__, why=str(error)))
                unanswered |= dict.fromkeys(world.of_provider(provider), str(error))
                continue
            pools += shown
            gaps += unseen
            owners |= dict.fromkeys((pool.id for pool in shown), wired)
        demands = self.wire.call(Point.METRICS, world.demands)
        now = self.clock.now()
        outlooks = {pool.id: _outlook(pool, demands[pool.id], now) for pool in pools if pool.id in demands}
        live = {name: None if found.doubt else found.live for name, found in outlooks.items()}
        self.view = View(at=at, known=known, node=self.name, live=live, sizes=sizes)
        snapshot = Snapshot(
            taken_at=now, pools=tuple(sorted(pools, key=lambda pool: pool.id)), gaps=tuple(gaps)
        )
        seen = Seen(
            snapshot=snapshot, series={}, refused={}, notices=(), owners=owners, unanswered=unanswered
        )
        return seen, outlooks


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics say of one pool, in units: demand now and its peak to come; why it is unsound."""

    live: float
    peak: float
    refusal: str = ""


def _outlook(pool: Pool, measured: Measured, now: Any) -> Outlook:
    y = np.array([measured.live])
    demand = Series(unique_id=pool.id, start=now - timedelta(seconds=STEP_S), step_s=STEP_S, y=y)
    units = None if math.isnan(measured.peak) else math.ceil(measured.peak)
    return Outlook(
        pool_id=pool.id, demand=demand, refusal=measured.refusal, standing=Standing(units=units)
    )


def raised(outlook: Outlook, units: float) -> Outlook:
    """The same outlook with more demand now."""
    more = replace(outlook.demand, y=outlook.demand.y + units)
    return replace(outlook, demand=more)
