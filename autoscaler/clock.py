"""The only place that reads the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock, UTC."""

    def now(self) -> datetime:
        """The present moment, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock; a suspended machine's time is not in it."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


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
