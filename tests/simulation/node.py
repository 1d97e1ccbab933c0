"""One loadline in the simulated world: its loop and tick are the program's own, its senses are arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscaler import apply as applying
from autoscaler import errors, tick
from autoscaler.bench import Bench
from autoscaler.clock import SteppedClock
from autoscaler.config import Configuration, RunSettings
from autoscaler.daemon import Daemon, next_due
from autoscaler.lease import Holding
from autoscaler.observing import Seen
from forecasts.types import Series
from policies.inputs import Inputs
from policies.model import Gap, Pool, Snapshot
from policies.outlook import Outlook
from policies.plan import Plan
from policies.standing import Standing
from tests.simulation.clockwork import NodeClock, Process
from tests.simulation.cloud import SimulatedCloud
from tests.simulation.faults import Point, Wire
from tests.simulation.memory_lease import MemoryLease
from tests.simulation.oracle import View

if TYPE_CHECKING:
    from tests.simulation.world import World

STEP_S = 60
WATCHDOG_S = 900
KEEP_S = 10.0  # coarser than the program's, for speed; well within the lease
STAND_BY_S = 15.0


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
        generation = node.world.asked(node, pool_id)

        def effect(*, in_part: bool = False) -> Pool:
            self.cloud.caller = node.name
            known = len(self.cloud.log)
            after = self.cloud.resize(pool_id, size, version=version, key=key, in_part=in_part)
            for truth in self.cloud.log[known:]:
                node.world.changed(truth, view, generation=generation)
            return after

        return node.wire.call(Point.RESIZE, effect, lambda: effect(in_part=True))

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """Whether it would be let."""
        return self.node.wire.call(Point.READ, lambda: self.cloud.rehearse(pool_id, size, version=version))


class WiredKeysCloud(Wired):
    """A cloud that also tells what became of a key."""

    def answer_to(self, key: str) -> Pool | None:
        """What `resize` answered to that key."""
        return self.node.wire.call(Point.READ, lambda: self.cloud.answer_to(key))


_POINTS = {"record_plan": Point.RECORD, "intend": Point.INTEND, "conclude": Point.CONCLUDE}


class WiredStore:
    """A part of the store at the other end of a node's wire: every method is a call that may fail."""

    def __init__(self, part: Any, wire: Wire) -> None:
        """`part` answers once the wire lets a call through."""
        self._part = part
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        """A method, through the wire."""
        method = getattr(self._part, name)
        point = _POINTS.get(name, Point.RECALL)

        def through(*given: Any, **named: Any) -> Any:
            return self._wire.call(point, lambda: method(*given, **named))

        setattr(self, name, through)
        return through


class LivingClock(NodeClock):
    """A node's clock: while it sleeps, the keeper's thread extends the lease."""

    def __init__(self, world: World, process: Process, node: Node) -> None:
        """Of that node."""
        super().__init__(world.clockwork, process)
        self._world, self._node = world, node
        self._steps = SteppedClock(wall=super().now, elapsed=self.monotonic)

    def now(self) -> datetime:
        """What the wall clock shows."""
        return self._steps.now()

    def retold(self, at: datetime) -> datetime:
        """What an older stamp would read today."""
        return self._steps.retold(at)

    def earliest(self, since: datetime) -> datetime:
        """No stamp before this one is retold as `since` or later."""
        return self._steps.earliest(since)

    @property
    def offset(self) -> float:
        """All processes of the machine have one wall clock."""
        return self._world.offset

    @offset.setter
    def offset(self, value: float) -> None:
        pass

    def sleep(self, seconds: float) -> None:
        """Let the world go on, by the keeper's slices."""
        if self._world.calm:  # between two ticks in calm the lease lapses, and is taken anew
            super().sleep(seconds)
            return
        ends = self.monotonic() + seconds
        while (left := ends - self.monotonic()) > 0:
            super().sleep(min(left, KEEP_S))
            self._node.keep()


class Told:
    """A log that goes into the story."""

    def __init__(self, node: Node) -> None:
        """Of that node."""
        self._node = node

    def info(self, event: str, **values: Any) -> None:
        """One line."""
        if self._node.world.story is not None:
            self._node.world.tell(self._node.name, f"{event} {values}")

    warning = info

    def alert(self, event: str, *, kind: str = "", **values: Any) -> None:
        """One line; P9: what fails in a tick is an error that the program knows, and no bug."""
        self.info(event, kind=kind, **values)
        if kind and not hasattr(errors, kind):
            world = self._node.world
            world.oracle.blame(world.clockwork.now, "P9", f"{event}: {kind}: {values.get('why')}")


@dataclass(frozen=True, kw_only=True)
class SimulatedApp:
    """What stands for `autoscaler.bootstrap.App`."""

    policy: Any
    configuration: Any
    clock: Any
    trail: Any
    people: Any
    verdicts: Any
    providers: Any
    lease: Any
    node: Any
    outlasting: Any = ()


class Node:
    """A process from its start to its death."""

    def __init__(self, world: World, name: str, process: Process) -> None:
        """Nothing is remembered of an earlier life but what the store holds."""
        self.world = world
        self.name = name
        self.clock = LivingClock(world, process, self)
        self.wire = Wire(
            world.clockwork,
            process,
            tell=lambda text: world.tell(name, text),
            sleep=self.clock.sleep,
            terminate=self.terminate,
        )
        wired = WiredKeysCloud if world.clouds_know_keys else Wired
        self.owners = {provider: wired(cloud, self) for provider, cloud in world.clouds.items()}
        self.lease = MemoryLease(world.disk, self.wire, self.clock, holder=name)
        self.app: Any = SimulatedApp(
            policy=world.policy,
            configuration=Configuration(
                file="",
                run=RunSettings(interval_s=int(world.interval_s), watchdog_s=WATCHDOG_S),
                state=f"/nowhere/{world.seed}",
                pools=world.pools,  # type: ignore[arg-type]
                policy=world.policy,
            ),
            clock=self.clock,
            trail=WiredStore(world.trail, self.wire),
            people=WiredStore(world.people, self.wire),
            verdicts=WiredStore(world.verdicts, self.wire),
            providers=self.owners,
            lease=self.lease,
            node=self,
        )
        self.view = View(at=0.0, known=0, node=name, live={}, sizes={})
        self.outlooks: dict[str, Outlook] = {}
        self.daemon = Daemon(
            running=SimpleNamespace(app=self.app),  # type: ignore[arg-type]
            tick=self.tick,
            lease=self.lease,
            clock=self.clock,
            log=Told(self),  # type: ignore[arg-type]
        )
        self._kept = world.clockwork.now

    def live(self) -> None:
        """The loop, until the process is killed or asked to stop."""
        started = due = self.clock.monotonic()
        while not self.daemon.stopping.is_set():
            self.daemon.one(running_s=self.clock.monotonic() - started)
            now = self.clock.monotonic()
            due, _ = next_due(due, now, self.world.interval_s, started)
            if not self.daemon.leads and not self.world.calm:
                due = min(due, now + STAND_BY_S)
            self.clock.sleep(max(due - now, 0.1))
        self.lease.release()

    def keep(self) -> None:
        """What the keeper's thread does every few seconds."""
        if self.daemon.leads and self.clock.monotonic() - self._kept >= KEEP_S:
            self._kept = self.clock.monotonic()
            self.daemon.watch()

    def terminate(self) -> None:
        """SIGTERM: no more is begun."""
        self.world.tell(self.name, "was asked to stop")
        self.daemon.stop()

    def tick(self, app: Any, holding: Holding, running_s: float) -> tick.Turn:
        """The program's tick; sometimes its plan is applied again (P4)."""
        self.world.began(self)
        turn = tick.tick(app, holding=holding, running_s=running_s)
        for action, outcome in turn.outcomes:
            self.world.tell(
                self.name,
                f"{action.target} {action.before} to {action.after}: {outcome.status} {outcome.error}",
            )
        if self.world.sometimes(0.03):
            self._apply_again(turn, holding)
        return turn

    def _apply_again(self, turn: tick.Turn, holding: Holding) -> None:
        """P4: what the first time changed, the second time does not."""
        oracle = self.world.oracle
        first = {truth.pool for truth in oracle.ours[self.view.known :] if truth.node == self.name}
        known = len(oracle.ours)
        bench = Bench(self.app, turn, holding, {}).world()
        list(applying.apply(turn.plan, bench, allowed=lambda _action: True))
        for truth in oracle.ours[known:]:
            if truth.node == self.name and truth.pool in first:
                oracle.blame(truth.at, "P4", f"{truth.pool} was changed twice by {turn.plan.id}")

    def look(self) -> Seen:
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
        sizes |= {pool.id: max(pool.desired, sizes[pool.id]) for pool in pools}
        now = self.clock.now()
        outlooks = {pool.id: _outlook(pool, demands[pool.id], now) for pool in pools if pool.id in demands}
        live = {name: found.known for name, found in demands.items() if name in outlooks}
        self.view = View(at=at, known=known, node=self.name, live=live, sizes=sizes)
        self.outlooks = outlooks
        pools.sort(key=lambda pool: pool.id)
        return Seen(
            snapshot=Snapshot(taken_at=now, pools=tuple(pools), gaps=tuple(gaps)),
            series={},
            refused={},
            notices=(),
            owners=owners,
            unanswered=unanswered,
        )


def observe(app: Any, **_: Any) -> Seen:
    """What stands for `autoscaler.observing.observe`."""
    seen: Seen = app.node.look()
    return seen


def look_ahead(app: Any, _seen: Seen, **_: Any) -> tuple[dict[str, Any], Mapping[str, Outlook]]:
    """What stands for `autoscaler.outlooks.look_ahead`."""
    return {}, app.node.outlooks


def live(app: Any, _seen: Seen) -> Mapping[str, Outlook]:
    """What stands for `autoscaler.outlooks.live`."""
    outlooks: Mapping[str, Outlook] = app.node.outlooks
    return outlooks


def decided(app: Any, inputs: Inputs, plan: Plan) -> None:
    """A plan was made."""
    app.node.world.planned(inputs, plan)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics say of one pool, in units: demand now and its peak to come; why it is unsound."""

    live: float
    peak: float
    refusal: str = ""

    @property
    def known(self) -> float | None:
        """Demand now, None where it is not soundly known."""
        return None if self.refusal or math.isnan(self.live) else self.live


def _outlook(pool: Pool, measured: Measured, now: Any) -> Outlook:
    y = np.array([measured.live])
    demand = Series(unique_id=pool.id, start=now - timedelta(seconds=STEP_S), step_s=STEP_S, y=y)
    units = None if math.isnan(measured.peak) else math.ceil(measured.peak)
    return Outlook(pool_id=pool.id, demand=demand, refusal=measured.refusal, standing=Standing(units=units))


def raised(outlook: Outlook, units: float) -> Outlook:
    """The same outlook with more demand now."""
    more = replace(outlook.demand, y=outlook.demand.y + units)
    return replace(outlook, demand=more)
