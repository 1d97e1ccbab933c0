"""Series and forecasts as values: numpy arrays with their grid, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR_S = 3600
DAY_S = 86400
WEEK_S = 7 * DAY_S

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2101, 1, 1, tzinfo=UTC)


class BadInput(ValueError):
    """A value that cannot be used, with the reason in one line; the shell adds file and line."""


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware moment."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One metric on a regular grid, UTC.

    `y[i]` is the value over `[start + i*step, start + (i+1)*step)`; NaN means absent, never zero.
    `y` is float64 [steps] and read-only.
    """

    unique_id: str
    start: datetime
    step_s: int
    y: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse a naive start, a step below a second and anything but one float64 dimension."""
        if self.start.tzinfo is None:
            raise BadInput(f"{self.unique_id}: start {self.start} has no time zone")
        if self.step_s < 1:
            raise BadInput(f"{self.unique_id}: step {self.step_s} s is below one second")
        array = np.ascontiguousarray(self.y, dtype=np.float64)
        if array.ndim != 1:
            raise BadInput(f"{self.unique_id}: y has {array.ndim} dimensions, not 1")
        if array is self.y and array.flags.writeable:
            array = array.copy()
        array.flags.writeable = False
        object.__setattr__(self, "y", array)

    @property
    def end(self) -> datetime:
        """The end of the last step (exclusive), UTC."""
        return self.start + timedelta(seconds=self.step_s * len(self.y))

    def stamps(self) -> NDArray[np.datetime64]:
        """The begin of each step, datetime64[s] [steps], UTC."""
        first = np.datetime64(self.start.astimezone(UTC).replace(tzinfo=None), "s")
        return first + np.arange(len(self.y)) * np.timedelta64(self.step_s, "s")

    def until(self, end: datetime) -> Series:
        """The part that was complete at `end`: whole steps that ended at or before it."""
        steps = int((end - self.start).total_seconds() // self.step_s)
        return Series(
            unique_id=self.unique_id, start=self.start, step_s=self.step_s, y=self.y[: max(0, steps)]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Quantiles of one series for the steps from `issued_at` on.

    `values` is float64 [horizon, level], read-only; `levels` are probabilities in ascending order.
    Only what ended at or before `trained_through` <= `issued_at` was seen. `notes` say which models
    of the fallback chain were refused before `model`, and why.
    """

    unique_id: str
    issued_at: datetime
    step_s: int
    levels: tuple[float, ...]
    values: NDArray[np.float64]
    model: str
    trained_through: datetime
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse levels out of order or outside (0, 1) and a shape that does not fit them."""
        if not self.levels or any(not 0 < level < 1 for level in self.levels):
            raise BadInput(f"{self.unique_id}: levels {self.levels} are not probabilities in (0, 1)")
        if any(b <= a for a, b in zip(self.levels, self.levels[1:], strict=False)):
            raise BadInput(f"{self.unique_id}: levels {self.levels} do not ascend")
        if self.values.ndim != 2 or self.values.shape[1] != len(self.levels):
            raise BadInput(
                f"{self.unique_id}: values {self.values.shape} do not fit {len(self.levels)} levels"
            )
        if self.trained_through > self.issued_at:
            raise BadInput(f"{self.unique_id}: trained through {self.trained_through}, after its issue")
        array = np.array(self.values, dtype=np.float64)
        array.flags.writeable = False
        object.__setattr__(self, "values", array)

    def stamps(self) -> NDArray[np.datetime64]:
        """The begin of each forecast step, datetime64[s] [horizon], UTC."""
        first = np.datetime64(self.issued_at.astimezone(UTC).replace(tzinfo=None), "s")
        return first + np.arange(len(self.values)) * np.timedelta64(self.step_s, "s")
