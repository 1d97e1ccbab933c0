"""The only place that reads the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STEP_S = 5.0  # an adjustment of so much at once is a step; what a time service slews is far below it
NO_STEP = timedelta()
FRAMES = 64  # so many steps are remembered; a stamp from before them counts as it reads


def _elapsed() -> float:
    """Seconds that went by, those of a suspended machine with them where the system counts them."""
    counts = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if counts is None else time.clock_gettime(counts)


class SystemClock:
    """The machine's clock, UTC."""

    def now(self) -> datetime:
        """The present moment, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that went by, those of a suspended machine with them where the system counts them."""
        return _elapsed()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A while in which the wall clock did not step: `begins` to `ends`, as it read then.

    A stamp of this while reads `shift` later on the clock of today.
    """

    begins: datetime
    ends: datetime
    shift: timedelta


class SteppedClock(SystemClock):
    """The machine's clock, which knows when it stepped and what older stamps would read on it today.

    `now` follows the wall at once, so that fresh samples are fresh and forecasts are of the right hour. What
    was written down before a step is told anew instead (`retold`), so that no duration is cut short by it.
    """

    def __init__(
        self,
        told: Callable[[float], None] = lambda _seconds: None,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = _elapsed,
    ) -> None:
        """`told` hears of each step once, in seconds, forward positive; it may not ask for the time."""
        self._told, self._wall, self._elapsed = told, wall, elapsed
        self._turn = threading.Lock()
        self._before: list[_Frame] = []
        self._begins = datetime.min.replace(tzinfo=UTC)  # whatever is older is of the first while
        self._seen, self._at = wall(), elapsed()

    def now(self) -> datetime:
        """The present moment by the wall clock, aware UTC."""
        with self._turn:
            return self._look()

    def retold(self, at: datetime) -> datetime:
        """What a stamp of this machine's clock would read today: as long ago as it was in truth.

        After a step back a stamp may be from before it or after it: the later one counts, so that it is never
        taken for older than it is.
        """
        with self._turn:
            now = self._look()
            whiles = [*self._before, _Frame(begins=self._begins, ends=now, shift=NO_STEP)]
        return max((at + one.shift for one in whiles if one.begins <= at <= one.ends), default=at)

    def earliest(self, since: datetime) -> datetime:
        """No stamp before this one is retold as `since` or later."""
        with self._turn:
            self._look()
            return since - max((one.shift for one in self._before if one.shift > NO_STEP), default=NO_STEP)

    def _look(self) -> datetime:
        now, elapsed = self._wall(), self._elapsed()
        since = timedelta(seconds=elapsed - self._at)
        due = self._seen + since
        step = now - due
        self._seen, self._at = now, elapsed
        if abs(step.total_seconds()) >= STEP_S:
            ended = _Frame(begins=self._begins, ends=due, shift=NO_STEP)
            self._before = [
                _Frame(begins=one.begins, ends=one.ends, shift=one.shift + step)
                for one in [*self._before, ended][-FRAMES:]
            ]
            self._begins = now - since  # it may have stepped right after the last look
            self._told(step.total_seconds())
        return now


class SetClock:
    """A clock that stands where it was set, until it is advanced: old traces, tests, the demo."""

    def __init__(self, now: datetime) -> None:
        """`now` is aware."""
        if now.tzinfo is None:
            raise ValueError(f"{now} has no time zone")
        self._now = now.astimezone(UTC)
        self._gone = 0.0

    def now(self) -> datetime:
        """The moment it stands at, aware UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self._now += timedelta(seconds=seconds)
        self._gone += seconds

    def monotonic(self) -> float:
        """Seconds that it was advanced by."""
        return self._gone

    def sleep(self, seconds: float) -> None:
        """Advance."""
        self.advance(seconds)
