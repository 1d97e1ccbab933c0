"""Calls to a provider with care: a budget for each family of calls, a breaker, a deadline, and rests.

`Careful` wraps any `Pools`. It never tries again by itself: the next turn does, from what is then true. Who
waits for a call gives it up at its deadline; the call itself cannot be ended, but sends no change any more.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from autoscaler.errors import InsufficientCapacity, Temporary, Throttled, Unreachable
from autoscaler.ports import Clock, Pools, Remembers
from policies.model import Gap, Pool
from policies.units import format_duration

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What one family of calls may use: `rate` calls a second, `burst` at once, `deadline_s` for each."""

    name: str
    rate: float
    burst: int
    deadline_s: float


READING = Family(name="reading", rate=20.0, burst=500, deadline_s=20.0)
CHANGING = Family(name="changing", rate=5.0, burst=100, deadline_s=5.0)  # within a lease's margin
CAREFULLY = (READING, CHANGING)
LOCAL = (  # a file of this machine throttles nobody
    Family(name="reading", rate=1e6, burst=10**6, deadline_s=READING.deadline_s),
    Family(name="changing", rate=1e6, burst=10**6, deadline_s=30.0),
)
FAILURES, OPEN_S = 5, 60.0  # so many failures in a row open the breaker, for so long
NO_CAPACITY_S = 900.0
LONGEST_REST_S = 600.0  # how far the rests after throttling double
_GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("_GIVEN_UP", default=None)


class Bucket:
    """A family's budget: tokens that come back by the second; none at all while the provider throttles."""

    def __init__(self, family: Family, clock: Clock) -> None:
        """Full at first."""
        self._family, self._clock = family, clock
        self._tokens, self._at = float(family.burst), clock.monotonic()
        self._rests_until, self._throttled = 0.0, 0

    def take(self) -> None:
        """One call's token; Throttled, with the time until there is one, where there is none."""
        now = self._clock.monotonic()
        self._tokens = min(self._family.burst, self._tokens + (now - self._at) * self._family.rate)
        self._at = now
        wait = max(self._rests_until - now, (1.0 - self._tokens) / self._family.rate)
        if wait > 1e-9:
            why = f"not called: the budget of {self._family.name} calls is used up for {wait:.1f} s"
            raise Throttled(why, retry_after=wait)
        self._tokens -= 1.0

    def throttled(self, retry_after: float) -> None:
        """The provider throttled: rest as long as it said, twice as long each time in a row."""
        rest = min(retry_after * 2.0**self._throttled, max(LONGEST_REST_S, retry_after))
        self._rests_until = self._clock.monotonic() + rest
        self._throttled += 1

    def answered(self) -> None:
        """The provider answered: the next throttling is the first one."""
        self._throttled = 0


class Breaker:
    """Open after `failures` in a row: nothing is called for `open_s`, then one call is let through."""

    def __init__(self, clock: Clock, *, failures: int = FAILURES, open_s: float = OPEN_S) -> None:
        """Closed at first."""
        self._clock, self._failures, self._open_s = clock, failures, open_s
        self._failed, self._opened = 0, 0.0

    def ask(self) -> None:
        """Temporary while it is open. After `open_s` one call may try, and the next wait begins."""
        if self._failed < self._failures:
            return
        now = self._clock.monotonic()
        left = self._opened + self._open_s - now
        if left > 0:
            why = f"not called: {self._failed} calls failed in a row; it is tried again in {left:.0f} s"
            raise Temporary(why, retry_after=left)
        self._opened = now

    def failed(self) -> None:
        """A call had no answer."""
        self._failed += 1
        if self._failed >= self._failures:
            self._opened = self._clock.monotonic()

    def answered(self) -> None:
        """A call had an answer, whatever it said."""
        self._failed = 0


class Careful:
    """The `Pools` port over another one. Safe to call from several threads.

    A refusal for want of a token or by the breaker means that nothing was called. A call that is late is
    Unreachable, and may still be done: the outcome of a change is then in doubt.
    """

    def __init__(
        self,
        pools: Pools,
        clock: Clock,
        *,
        families: tuple[Family, Family] = CAREFULLY,
        breaker: Breaker | None = None,
    ) -> None:
        """`families`: that of readings and that of changes. `clock` is only asked for monotonic time."""
        self._pools, self._clock = pools, clock
        self._budgets = {family: Bucket(family, clock) for family in families}
        self._reading, self._changing = families
        self._breaker = breaker or Breaker(clock)
        self._full: dict[str, float] = {}  # until when a pool is not asked to grow
        self._turn = threading.Lock()

    def go_on_from(self, before: Careful) -> None:
        """Take over what another wrapper of the same provider has spent, opened and let rest."""
        self._reading, self._changing = before._reading, before._changing
        self._budgets, self._breaker = before._budgets, before._breaker
        self._full, self._turn = before._full, before._turn

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """See the port."""
        return self._call(self._reading, self._pools.list)

    def read(self, pool_id: str) -> Pool:
        """See the port."""
        return self._call(self._reading, lambda: self._pools.read(pool_id))

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """See the port."""
        return self._call(self._changing, lambda: self._pools.rehearse(pool_id, size, version=version))

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """See the port. InsufficientCapacity, without a call, for a pool that rests from growing.

        A pool whose provider had no such units rests from growing for a quarter of an hour; what shrinks it
        is not kept back.
        """
        self._rest(pool_id, size)
        try:
            return self._call(
                self._changing, lambda: self._pools.resize(pool_id, size, version=version, key=key)
            )
        except InsufficientCapacity:
            with self._turn:
                self._full[pool_id] = self._clock.monotonic() + NO_CAPACITY_S
            raise

    def _rest(self, pool_id: str, size: int) -> None:
        with self._turn:
            left = self._full.get(pool_id, 0.0) - self._clock.monotonic()
        if left <= 0 or size <= self.read(pool_id).desired:
            return
        raise InsufficientCapacity(
            f"not called: the provider had no units for {pool_id}; it is asked again in "
            f"{format_duration(round(left) or 1)}",
            retry_after=left,
        )

    def _call(self, family: Family, call: Callable[[], T]) -> T:
        bucket = self._budgets[family]
        with self._turn:
            self._breaker.ask()
            bucket.take()
        try:
            answer = within(call, family)
        except Throttled as error:
            with self._turn:
                bucket.throttled(error.retry_after)
            raise
        except Exception as error:
            with self._turn:
                self._note(error, bucket)
            raise
        with self._turn:
            self._breaker.answered()
            bucket.answered()
        return answer

    def _note(self, error: Exception, bucket: Bucket) -> None:
        """Count what had no answer; what refuses has answered."""
        if isinstance(error, Temporary) and not isinstance(error, InsufficientCapacity):
            self._breaker.failed()
        else:
            self._breaker.answered()
            bucket.answered()


class CarefulRemembering(Careful):
    """The same over a provider that also remembers its keys."""

    def __init__(
        self, pools: Pools, memory: Remembers, clock: Clock, *, families: tuple[Family, Family]
    ) -> None:
        """`memory` is the same provider by its other port."""
        super().__init__(pools, clock, families=families)
        self._memory = memory

    def answer_to(self, key: str) -> Pool | None:
        """See the port."""
        return self._call(self._reading, lambda: self._memory.answer_to(key))


def careful(pools: Pools, clock: Clock, *, families: tuple[Family, Family] = CAREFULLY) -> Careful:
    """The provider with care, by every port that it has."""
    if isinstance(pools, Remembers):
        return CarefulRemembering(pools, pools, clock, families=families)
    return Careful(pools, clock, families=families)


def refuse_late(what: str) -> None:
    """Unreachable where the call that this thread works on was given up: asked before each change is sent.

    A change that is sent after its deadline could arrive when another process leads, or when people were told
    that it was not done.
    """
    given_up = _GIVEN_UP.get()
    if given_up is not None and given_up.is_set():
        raise Unreachable(f"{what}: not sent, its call was given up after the deadline")


def within(call: Callable[[], T], family: Family) -> T:
    """The call's answer, or what it raised; Unreachable after the deadline.

    What was sent by then may still be done; what asks `refuse_late` sends nothing more.
    """
    answers: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()
    given_up = threading.Event()

    def work() -> None:
        _GIVEN_UP.set(given_up)
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
            answers.put((None, error))

    threading.Thread(target=work, name=f"{family.name} call", daemon=True).start()
    try:
        answer, error = answers.get(timeout=family.deadline_s)
    except queue.Empty:
        given_up.set()
        raise Unreachable(f"no answer to a {family.name} call within {family.deadline_s:g} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]
