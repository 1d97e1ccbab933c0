"""What samples must be, and how it is told when they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from forecasts.types import DAY_S, EARLIEST, HOUR_S, LATEST, BadInput, Series

Kind = Literal["gauge", "counter"]


class Code(StrEnum):
    """Why a sample or a series was put right, dropped or refused. A closed list."""

    EMPTY = "empty"
    UNREADABLE = "unreadable"
    NOT_FINITE = "not-finite"
    NEGATIVE = "negative"
    OUT_OF_RANGE = "out-of-range"
    FUTURE = "future"
    BAD_YEAR = "bad-year"
    DUPLICATE = "duplicate"
    AMBIGUOUS = "ambiguous"
    OUT_OF_ORDER = "out-of-order"
    OFF_GRID = "off-grid"
    COUNTER_RESET = "counter-reset"
    SPIKE = "spike"
    TOO_SPARSE = "too-sparse"
    GAP = "gap"
    STALE = "stale"
    INCOMPLETE = "incomplete"
    STUCK = "stuck"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the samples must be. Durations are seconds.

    `now` (aware UTC) is when freshness is judged; None: as of the last sample of each series, for old
    traces. `latest` (aware UTC) is what a stamp may not pass by more than `future_periods` steps; None:
    `now`. `kind`: a gauge is taken as it is, a counter as its rate per second; `lower` and `upper` bound
    the one or the other. A spike (`forecasts/spikes.py`) is dropped, with `keep_spikes` only told.
    A series is refused when its last sample is more than `periods` steps old, or when of its last `window_s`
    less than `completeness` is there or a gap is longer than `longest_gap_s`, and when it is stuck or ends in
    the zeros of an outage (`forecasts/suspect.py`), which those named in `steady` are not: a pool's size
    may stand still for weeks, and at zero. `delays`: a series whose source gives a period so many seconds
    after its end, and later than others, is judged as of so long ago.
    """

    now: datetime | None = None
    latest: datetime | None = None
    future_periods: int = 2
    periods: int = 3
    completeness: float = 0.9
    longest_gap_s: int = 7200
    window_s: int = 14 * DAY_S
    lower: float = 0.0
    upper: float = float("inf")
    kind: Kind = "gauge"
    keep_spikes: bool = False
    steady: frozenset[str] = frozenset()
    delays: Mapping[str, int] = field(default_factory=dict)
    earliest: datetime = EARLIEST
    last_year_ends: datetime = LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One line about `count` samples or steps of a series.

    `row` is the index of the first in the input, -1 where no one row is meant; `first` is its stamp as
    ISO 8601 in UTC, empty where it has none.
    """

    code: Code
    unique_id: str
    count: int
    row: int
    first: str
    message: str


class BadFrame(BadInput):
    """Samples that a file may not hold; `row` is the index of the first in the input, -1 for none."""

    def __init__(self, notice: Notice) -> None:
        """Carry the notice, so that the reader of the file can add its name and line."""
        super().__init__(notice.message)
        self.notice = notice
        self.row = notice.row
        self.unique_id = notice.unique_id


def about(code: Code, unique_id: str, message: str) -> Notice:
    """A notice about a whole series, not about one sample."""
    return Notice(code=code, unique_id=unique_id, count=0, row=-1, first="", message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """What passed: series by unique_id in ascending order, what was noticed, and who may not shrink."""

    series: tuple[Series, ...] = ()
    notices: tuple[Notice, ...] = ()
    refused: Mapping[str, Notice] = field(default_factory=dict)


def spoken(seconds: float) -> str:
    """A duration in the unit a person would use."""
    for unit, size in (("days", DAY_S), ("h", HOUR_S), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
