"""What may go wrong, and where: a fault is armed for a node and strikes at one of its next calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TypeVar

from autoscaler.errors import Denied, InsufficientCapacity, ProviderError, StoreError, Throttled, Unreachable
from tests.simulation.clockwork import Clockwork, Killed, Process

T = TypeVar("T")
DEADLINE_S = 10.0  # how long a call is waited for
ARRIVES_S = 55.0  # how late a call may arrive


class Point(StrEnum):
    """Where a process touches the world."""

    LIST = "list"
    READ = "read"
    RESIZE = "resize"
    METRICS = "metrics"
    RECORD = "record"
    INTEND = "intend"
    CONCLUDE = "conclude"
    RECALL = "recall"
    LEASE = "lease"


CLOUD = frozenset({Point.LIST, Point.READ, Point.RESIZE})
STORE = frozenset({Point.RECORD, Point.INTEND, Point.CONCLUDE, Point.RECALL})
RESIZE = frozenset({Point.RESIZE})
ANY = frozenset(Point)


class Kind(StrEnum):
    """What goes wrong at a call."""

    CRASH_BEFORE = "killed before the call"
    CRASH_AFTER = "killed after the call"
    PAUSE_BEFORE = "stopped before the call"
    PAUSE_AFTER = "stopped after the call"
    LOST = "the call is lost"
    DONE_UNHEARD = "done, and the answer is lost"
    LATE = "the call arrives after its deadline"
    THROTTLED = "throttled"
    NO_CAPACITY = "no capacity"
    PARTIAL = "only a part is done"
    DENIED = "denied"
    BUG = "the provider's code raises"
    STORE_FULL = "the store cannot be written"
    STORE_UNHEARD = "written, and the store reports an error"
    TERMINATED = "asked to stop (SIGTERM)"


WHERE: dict[Kind, frozenset[Point]] = {
    Kind.CRASH_BEFORE: ANY,
    Kind.CRASH_AFTER: ANY,
    Kind.PAUSE_BEFORE: ANY,
    Kind.PAUSE_AFTER: ANY,
    Kind.LOST: CLOUD,
    Kind.DONE_UNHEARD: RESIZE,
    Kind.LATE: RESIZE,
    Kind.THROTTLED: CLOUD,
    Kind.NO_CAPACITY: RESIZE,
    Kind.PARTIAL: RESIZE,
    Kind.DENIED: RESIZE,
    Kind.BUG: CLOUD,
    Kind.STORE_FULL: STORE,
    Kind.TERMINATED: ANY,
    Kind.STORE_UNHEARD: frozenset({Point.RECORD, Point.CONCLUDE, Point.INTEND}),
}
KINDS = tuple(Kind)


@dataclass(slots=True)
class Armed:
    """A fault that waits for its call: it strikes at the one after `skip` others of its kind."""

    kind: Kind
    skip: int
    seconds: float

    @property
    def rare(self) -> bool:
        """Whether it waits for a call that few ticks make."""
        return WHERE[self.kind] is RESIZE


def draw(random: Random) -> Armed:
    """A fault at one of the next calls that it may strike."""
    kind = KINDS[int(random.random() * len(KINDS))]
    skip = int(random.random() * (2 if WHERE[kind] is RESIZE else 9))
    seconds = random.choice((1.0, 12.0, 31.0, 55.0, 400.0, 1300.0))
    return Armed(kind, skip, seconds)


class Wire:
    """All calls of one node go through here, and meet the fault that is armed."""

    def __init__(
        self,
        clockwork: Clockwork,
        process: Process,
        *,
        tell: Callable[[str], None],
        sleep: Callable[[float], None],
        terminate: Callable[[], None],
    ) -> None:
        """`tell` writes the story; `sleep` waits as a living process does, `terminate` asks it to end."""
        self._sleep, self._terminate = sleep, terminate
        self._clockwork = clockwork
        self._process = process
        self._tell = tell
        self.armed: Armed | None = None
        self.struck = 0

    def call(self, point: Point, effect: Callable[[], T], in_part: Callable[[], T] | None = None) -> T:
        """The effect, or what the fault makes of it; `in_part` is that of a call of which a part is done."""
        if self._process.killed:
            raise Killed
        armed = self.armed
        if armed is None or point not in WHERE[armed.kind]:
            return effect()
        if armed.skip:
            armed.skip -= 1
            return effect()
        self.armed = None
        self.struck += 1
        if armed.kind is Kind.PARTIAL:
            return (in_part or effect)()
        self._tell(f"fault at {point}: {armed.kind} ({armed.seconds:.0f} s)")
        return self._strike(armed, point, effect)

    def _strike(self, armed: Armed, point: Point, effect: Callable[[], T]) -> T:
        kind = armed.kind
        if kind in _RAISED:
            error = _RAISED[kind]()
            raise error
        if kind is Kind.CRASH_BEFORE:
            self._die()
        if kind is Kind.PAUSE_BEFORE:
            # Nothing can tell a stop between the last look at the lease and the wire: only a short one.
            longest = ARRIVES_S if point is Point.RESIZE else armed.seconds
            self._clockwork.wait(self._process, min(armed.seconds, longest))
            return effect()
        if kind is Kind.TERMINATED:
            self._terminate()
            return effect()
        if kind is Kind.LATE:
            self._clockwork.at(self._clockwork.now + min(armed.seconds, ARRIVES_S), lambda: _unheard(effect))
            self._sleep(DEADLINE_S)
            raise Unreachable("no answer within the deadline")
        return self._afterwards(armed, effect())

    def _afterwards(self, armed: Armed, answer: T) -> T:
        if armed.kind is Kind.CRASH_AFTER:
            self._die()
        if armed.kind is Kind.DONE_UNHEARD:
            self._sleep(DEADLINE_S)
            raise Unreachable("no answer within the deadline")
        if armed.kind is Kind.STORE_UNHEARD:
            raise StoreError("the disk reports an error")
        self._clockwork.wait(self._process, armed.seconds)
        return answer

    def _die(self) -> None:
        self._process.killed = True
        raise Killed


def _unheard(effect: Callable[[], object]) -> None:
    """A call whose caller has gone: what it raises reaches nobody."""
    try:
        effect()
    except ProviderError:
        return


_RAISED: dict[Kind, Callable[[], Exception]] = {
    Kind.LOST: lambda: Unreachable("connection reset"),
    Kind.THROTTLED: lambda: Throttled("rate exceeded"),
    Kind.NO_CAPACITY: lambda: InsufficientCapacity("no such units now"),
    Kind.DENIED: lambda: Denied("autoscaling:SetDesiredCapacity is missing"),
    Kind.BUG: lambda: ValueError("a bug of the provider's code"),
    Kind.STORE_FULL: lambda: StoreError("the disk is full"),
}
