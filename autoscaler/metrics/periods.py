"""Periods of a grid that are over: which of them a source over a network is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

MARGIN_S = 300  # so much is left free before what a source has forgotten: clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Whole periods of `step_s` seconds from `begin` to before `end`, both seconds since 1970 UTC.

    Both are multiples of the step. `short` where the source has forgotten a part of what was wanted.
    """

    begin: int
    end: int
    step_s: int
    short: bool = False

    @property
    def periods(self) -> int:
        """How many there are, 0 where none is over."""
        return max(0, (self.end - self.begin) // self.step_s)

    @property
    def first(self) -> datetime:
        """The begin of the first period, aware UTC."""
        return datetime.fromtimestamp(self.begin, UTC)

    @property
    def last(self) -> datetime:
        """The end of the last period, aware UTC."""
        return datetime.fromtimestamp(self.end, UTC)


def window(
    since: datetime | None,
    until: datetime | None,
    now: datetime,
    *,
    step_s: int,
    delay_s: int,
    reach_s: int,
) -> Window:
    """The periods that begin in [since, until) and were over `delay_s` seconds before `now`.

    `since` None is as far back as the source remembers, which is `reach_s` seconds; `until` None is now.
    """
    oldest = _up(now.timestamp() - reach_s + MARGIN_S, step_s)
    over = int((now.timestamp() - delay_s) // step_s) * step_s
    begin = oldest if since is None else max(oldest, _up(since.timestamp(), step_s))
    end = over if until is None else min(over, _up(until.timestamp(), step_s))
    return Window(
        begin=begin,
        end=max(begin, end),
        step_s=step_s,
        short=since is not None and _up(since.timestamp(), step_s) < min(oldest, end),
    )


def _up(seconds: float, step_s: int) -> int:
    return int(-(-seconds // step_s)) * step_s
