"""A seed becomes a world: clouds, pools, demand, policy, processes, faults; run, and judged by the oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Any

from autoscaler import turning
from policies.inputs import Inputs, decide
from policies.plan import Plan
from policies.policy import (
    Freeze,
    Scope,
)
from tests.simulation import faults, node
from tests.simulation.clockwork import Clockwork, Killed, Process
from tests.simulation.cloud import SimulatedCloud, Truth
from tests.simulation.drawn import LARGEST, policy, pools
from tests.simulation.memory_lease import Disk
from tests.simulation.memory_trail import MemoryPeople, MemoryTrail, MemoryVerdicts
from tests.simulation.node import Measured, Node
from tests.simulation.oracle import Oracle, View, Violation

TICKS = 200  # of one seed, with a fault in each
OUTSIDE = (
    "lag",
    "cut",
    "absent",
    "nan",
    "refused",
    "person",
    "step",
    "freeze",
    "label",
)  # faults at no call of ours
OUTSIDE_SHARE = len(OUTSIDE) / (len(OUTSIDE) + len(faults.KINDS))
STEPS_S = (3600.0, -3600.0, 90.0, -90.0, 600.0)


@dataclass(frozen=True, slots=True)
class Report:
    """What one seed came to: ticks, faults that struck in them, changes made, broken laws."""

    seed: int
    ticks: int
    struck: int
    changes: int
    violations: tuple[Violation, ...]
    story: tuple[str, ...] = ()


class World:
    """Everything that a seed says."""

    def __init__(self, seed: int, *, ticks: int = TICKS, tell: bool = False) -> None:
        """Build it; nothing runs yet. `tell` keeps the story."""
        self.seed, self.limit = seed, ticks
        self.random = Random(seed)  # noqa: S311 - a simulation is no secret
        self.clockwork = Clockwork()
        self.trail = MemoryTrail()
        self.people = MemoryPeople()
        self.verdicts = MemoryVerdicts(self.trail)
        self.disk = Disk()
        self.policy = policy(self.random)
        self.pools = {pool.id: pool for pool in pools(self.random)}
        self.clouds: dict[str, SimulatedCloud] = {}
        for pool in self.pools.values():
            self.clouds.setdefault(pool.provider, SimulatedCloud(self.clockwork.moment)).create(pool)
        self.oracle = Oracle(policy=self.policy, pools=self.pools)
        self.interval_s = self.random.choice((60.0, 60.0, 120.0))
        self.ticks = self.struck = 0
        self.calm = self.over = False
        self.story: list[str] | None = [] if tell else None
        self.offset = 0.0  # seconds by which the machine's wall clock is wrong
        self.clouds_know_keys = self.random.random() < 0.5
        self._names = ("one", "two", "three")[: self.random.randint(1, 3)]
        self._unsound: dict[str, str] = {}
        self._waves = {
            name: (
                self.random.uniform(3, LARGEST),
                self.random.uniform(0, 1),
                self.random.uniform(1800, 40000),
            )
            for name in self.pools
        }
        self._foresight = {name: self.random.choice((1.0, 1.0, 0.5)) for name in self.pools}
        self._level: dict[str, float] = {}

    def run(self) -> Report:
        """Let it live through its faults, then through calm, and judge it."""
        with _senses():
            return self._lived()

    def _lived(self) -> Report:
        for name in self._names:
            self.start(name)
        while self.ticks < self.limit and not self.oracle.violations:
            before = self.ticks
            self.clockwork.run(self.clockwork.now + 20 * self.interval_s + 4000)
            if self.ticks == before:
                self.oracle.blame(self.clockwork.now, "P7", "no tick was made for an hour")
        if not self.oracle.violations:
            self._calm_down()
        self.over = True
        self.clockwork.close()
        return Report(
            seed=self.seed,
            ticks=self.ticks,
            struck=self.struck,
            changes=len(self.oracle.ours),
            violations=tuple(self.oracle.violations),
            story=tuple(self.story or ()),
        )

    def start(self, name: str) -> None:
        """A process begins; one that is killed is started again later."""

        def body(process: Process) -> None:
            it = Node(self, name, process)
            try:
                it.live()
                self._ended(name)
            except Killed:
                self._ended(name)
                raise
            except Exception as error:  # noqa: BLE001 - P9 is that none comes here
                self.oracle.blame(self.clockwork.now, "P9", f"{type(error).__name__}: {error}")
            finally:
                self.struck += it.wire.struck

        self.clockwork.spawn(name, body)

    def _ended(self, name: str) -> None:
        """A supervisor starts it again."""
        if not self.over:
            self.tell(name, "is dead")
            later = self.clockwork.now + self.random.choice((2.0, 20.0, 90.0, 1000.0))
            self.clockwork.at(later, lambda: self.start(name))

    def tell(self, who: str, text: str) -> None:
        """One line of the story."""
        if self.story is not None:
            self.story.append(f"{self.clockwork.now:>9.0f} {who:<6} {text}")

    def began(self, it: Node) -> None:
        """A tick begins: a fault for it, as long as there are faults."""
        if self.calm:
            it.wire.armed = None
            return
        self.ticks += 1
        self._unsound.clear()
        for cloud in self.clouds.values():
            cloud.lag_s, cloud.cut = 0.0, False
        # One of the calls, or beside them; what waits for a call that few ticks make is not alone.
        if it.wire.armed is None and self.random.random() >= OUTSIDE_SHARE:
            it.wire.armed = faults.draw(self.random)
        if it.wire.armed is None or it.wire.armed.rare:
            self._outside()

    def _outside(self) -> None:
        """A fault that is at no call: of the metrics, the clock, the cloud, or a person."""
        kind = self.random.choice(OUTSIDE)
        cloud = self.random.choice(list(self.clouds.values()))
        name = self.random.choice(list(self.pools))
        self.struck += 1
        self.tell("world", f"fault: {kind} {name}")
        if kind == "lag":
            cloud.lag_s = self.random.choice((5.0, 60.0, 200.0))
        elif kind == "cut":
            cloud.cut = True
        elif kind == "person":
            self.clouds[self.pools[name].provider].meddle(name, self.random.randint(0, LARGEST + 9))
        elif kind == "freeze":
            self._freeze(name)
        elif kind == "label":
            self._label(name)
        elif kind == "step":
            self._step(self.random.choice(STEPS_S))
        else:
            self._unsound[name] = kind

    def _freeze(self, name: str) -> None:
        """A person freezes everything, or a pool, a while from now: in the middle of what is going on."""
        scope = self.random.choice((Scope.ALL, Scope.POOL))
        of = "" if scope is Scope.ALL else name
        lasts = self.random.choice((120.0, 900.0))

        def freeze() -> None:
            if not self.calm:
                until = self.clockwork.moment() + timedelta(seconds=self.offset + lasts)
                self.people.freeze(
                    Freeze(scope=scope, name=of, until=until), "person", self.clockwork.moment()
                )
                self.oracle.frozen.append((of, self.clockwork.now, self.clockwork.now + lasts))

        self.clockwork.at(self.clockwork.now + self.random.uniform(0, 40), freeze)

    def _label(self, name: str) -> None:
        """A person marks a pool as frozen, until the next of these faults on it."""
        cloud = self.clouds[self.pools[name].provider]
        marked = name in self.oracle.marked
        cloud.mark(name, "" if marked else "by hand")
        if not marked:
            self.oracle.marked[name] = self.clockwork.now
        else:
            self.oracle.marked.pop(name, None)

    def _step(self, offset: float) -> None:
        """The machine's wall clock jumps."""
        self.oracle.steps.append((self.clockwork.now, offset - self.offset))
        self.offset = offset

    def sometimes(self, share: float) -> bool:
        """True in that share of cases."""
        return self.random.random() < share

    def of_provider(self, provider: str) -> list[str]:
        """The pools of a provider."""
        return [name for name, pool in self.pools.items() if pool.provider == provider]

    def true_sizes(self) -> dict[str, int]:
        """The sizes that really are."""
        return {n: self.clouds[pool.provider].true_size(n) for n, pool in self.pools.items()}

    def asked(self, it: Node, pool: str) -> int:
        """A node is about to call: P6, it leads, by the lease itself. Its generation."""
        mine, leads = it.lease.generation, self.disk.record.generation
        if mine != leads:
            what = f"{it.name} calls for {pool} in generation {mine}, {leads} leads"
            self.oracle.blame(self.clockwork.now, "P6", what)
        lags = self.clouds[self.pools[pool].provider].lag_s > 0  # a mark is seen as late as any reading
        self.oracle.asks(pool, it.name, self.clockwork.now, marks=not lags)
        return mine

    def changed(self, truth: Truth, view: View, *, generation: int) -> None:
        """A call of ours changed a cloud."""
        deed = self.trail.deed(truth.key)
        ours = replace(truth, at=self.clockwork.now)
        self.tell("cloud", f"{truth.pool} is at {truth.after}, was at {truth.before} ({truth.key})")
        intended = None if deed is None else (deed.action.before, deed.action.after)
        self.oracle.saw(ours, view, intended, generation=generation)

    def planned(self, inputs: Inputs, plan: Plan) -> None:
        """P10, now and then: more demand of one pool, all else alike, never makes that pool smaller."""
        if not inputs.outlooks or not self.sometimes(0.05):
            return
        name = self.random.choice(sorted(inputs.outlooks))
        more = node.raised(inputs.outlooks[name], self.random.choice((0.5, 3.0, 20.0)))
        other = decide(replace(inputs, outlooks={**inputs.outlooks, name: more}))
        if _size(other, name) < _size(plan, name):
            what = f"{name} at {_size(other, name)} instead of {_size(plan, name)} for more demand"
            self.oracle.blame(self.clockwork.now, "P10", what)

    def demands(self) -> dict[str, Measured]:
        """What the metrics say now, in units, or fail to say."""
        found = {}
        for name in self.pools:
            unsound = self._unsound.get(name)
            if unsound == "absent":
                continue
            live, peak = self.demand(name)
            if unsound == "nan":
                live = math.nan
            found[name] = Measured(live, peak, "the series is partial" if unsound == "refused" else "")
        return found

    def demand(self, name: str) -> tuple[float, float]:
        """Demand now, and what the forecast says of the next ten minutes, which may be too low; in units."""
        if name in self._level:
            return self._level[name], self._level[name]
        height, phase, period = self._waves[name]
        now, soon = (
            height * (0.5 + 0.5 * math.sin(2 * math.pi * (t / period + phase)))
            for t in (self.clockwork.now, self.clockwork.now + 600)
        )
        return now, max(now, soon) * self._foresight[name]

    def _calm_down(self) -> None:
        """P7: no more faults, demand stands still; every pool must get the size that it needs, in time."""
        self.calm = True
        self.tell("world", "calm")
        self._unsound.clear()
        if self.offset:
            self._step(0.0)
        self._thaw()
        for cloud in self.clouds.values():
            cloud.lag_s, cloud.cut = 0.0, False
        self._level = {name: self.random.uniform(0, LARGEST) for name in self.pools}
        goals = {
            n: min(max(math.ceil(self._level[n]), pool.minimum), pool.maximum)
            for n, pool in self.pools.items()
        }
        rule, mine = self.policy.default, self.policy
        longest = max([budget.window_s for budget in mine.budgets] + [600])
        to_go = sum(max(0, size - goals[name]) for name, size in self.true_sizes().items())
        self.interval_s = max(60.0, longest / 2)
        each = 2 * longest + rule.cool_down_in_s + mine.interlocks.recent_growth_s
        flap = mine.flap.window_s if mine.flap else 0
        ends = self.clockwork.now + (to_go + 4) * each + flap + 2 * max(STEPS_S) + 4000
        ends += self._paid_for(goals)
        while self.true_sizes() != goals and not self.oracle.violations:
            if self.clockwork.now > ends:
                what = f"sizes are {self.true_sizes()}, not {goals}, long after the last fault"
                self.oracle.blame(self.clockwork.now, "P7", what)
            if self.people.freezes(self.clockwork.moment()):  # the program froze what did not arrive in time
                self._thaw()
                ends += each
            self.clockwork.run(self.clockwork.now + self.interval_s)

    def _paid_for(self, goals: Mapping[str, int]) -> float:
        """Seconds that hard money budgets may keep growth to the goals waiting."""
        dearest = max((o.hourly_usd for pool in self.pools.values() for o in pool.offerings), default=0.0)
        usd = dearest * sum(max(0, goals[name] - size) for name, size in self.true_sizes().items())
        hard = [limit for limit in self.policy.money if limit.hard]
        return sum((usd / limit.usd + 2) * 2 * limit.window_s for limit in hard if limit.usd > 0)

    def _thaw(self) -> None:
        """People lift every freeze."""
        self.oracle.frozen.clear()
        self.oracle.marked.clear()
        for freeze in self.people.freezes(self.clockwork.moment()):
            self.people.lift(freeze.scope, freeze.name, "person", "looked at", self.clockwork.moment())
        for name, pool in self.pools.items():
            self.clouds[pool.provider].mark(name, "")


@contextmanager
def _senses() -> Iterator[None]:
    """The program's tick with arrays for its senses."""
    real = (turning.observe, turning.look_ahead, turning.live, turning.decide)
    current: list[Any] = []

    def observe(app: Any, **_: Any) -> Any:
        current[:] = [app]
        return node.observe(app)

    def deciding(inputs: Inputs) -> Plan:
        plan = decide(inputs)
        node.decided(current[0], inputs, plan)
        return plan

    turning.observe, turning.look_ahead, turning.live, turning.decide = (
        observe,
        node.look_ahead,
        node.live,
        deciding,
    )
    try:
        yield
    finally:
        turning.observe, turning.look_ahead, turning.live, turning.decide = real


def _size(plan: Plan, name: str) -> float:
    """Where the plan leaves a pool, relative to where it is."""
    return sum(action.after - action.before for action in plan.actions if action.target == name)
