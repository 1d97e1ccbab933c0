"""The only place that reads the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock, UTC."""

    def now(self) -> datetime:
        """The present moment, aware UTC."""
        return datetime.now(UTC)


class SetClock:
    """A clock that stands where it was set, until it is advanced: old traces, tests, the demo."""

    def __init__(self, now: datetime) -> None:
        """`now` is aware."""
        if now.tzinfo is None:
            raise ValueError(f"{now} has no time zone")
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        """The moment it stands at, aware UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self._now += timedelta(seconds=seconds)
