"""The ONE feature function of the lead-peak forecaster, used to fit and to predict.

What is predicted at step t is M[t] = max(y[t..t+L]), the peak over the lead time. Every feature at t is made
from y[:t] alone (the point-in-time law, tested): from the full history and from the history cut at t come
the same numbers. Features are in units of demand; `Space` brings them, and M, to a scale around the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from forecasts import windows
from forecasts.types import DAY_S
from forecasts.windows import trailing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LAGS_DAYS = (1, 2, 7)
MEANS_MIN = (5, 15, 60, 180)
MAXIMA_MIN = (15, 60, 180)
LEVEL_DAYS = 2
CLIP = 12.0


class Space(StrEnum):
    """A scale in which demand is nearly homoscedastic; `level` is the slow level of demand."""

    LOG_20 = "log((v + 0.2 level) / level)"
    LOG_50 = "log((v + 0.5 level) / level)"
    ROOT = "sqrt(v / level)"


_OFFSET = {Space.LOG_20: 0.2, Space.LOG_50: 0.5}


def to_space(values: Floats, level: Floats, space: Space) -> Floats:
    """Demand on the scale of a space; arrays that broadcast together."""
    share = np.maximum(values, 0.0) / level
    scaled: Floats = np.sqrt(share) if space is Space.ROOT else np.log(share + _OFFSET[space])
    return scaled


def from_space(scaled: Floats, level: Floats, space: Space) -> Floats:
    """The inverse of `to_space`, never below zero."""
    if space is Space.ROOT:
        share = np.maximum(scaled, 0.0) ** 2
    else:
        share = np.maximum(np.exp(np.minimum(scaled, 30.0)) - _OFFSET[space], 0.0)
    values: Floats = share * level
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The steps of a history: `step_s` seconds each, `lead` steps of lead time, the first at `origin_s`
    seconds since the epoch.
    """

    step_s: int
    lead: int
    origin_s: int = 0

    @property
    def day(self) -> int:
        """Steps a day, at least one."""
        return max(1, DAY_S // self.step_s)

    def days(self, count: int) -> int:
        """Steps in so many days, to the nearest: where a step does not divide a day, weeks stay weeks."""
        return max(1, round(count * DAY_S / self.step_s))

    def minutes(self, count: float) -> int:
        """Steps in so many minutes, at least one."""
        return max(1, round(count * 60 / self.step_s))

    @property
    def reach(self) -> int:
        """Steps of the past that the features of one step need."""
        return self.days(max(LAGS_DAYS)) + self.minutes(180) + self.minutes(10) + 2


def trailing_mean(y: Floats, window: int) -> Floats:
    """At t the mean of y[t-window..t-1] (what there is of it; y[0] at 0), float64 [series, steps]."""
    steps = y.shape[1]
    total = np.concatenate([np.zeros((len(y), 1)), np.cumsum(y, axis=1)], axis=1)
    last = np.arange(steps)
    first = np.maximum(0, last - window)
    out: Floats = (total[:, last] - total[:, first]) / np.maximum(1, last - first)
    out[:, 0] = y[:, 0]
    return out


def running_max(y: Floats, window: int) -> Floats:
    """At t the largest of y[t-window+1..t], float64 [series, steps]."""
    return trailing(y, window - 1, np.maximum)


def lead_peak(y: Floats, lead: int) -> Floats:
    """M[t] = max(y[t..t+lead]), float64 [series, steps]; at the end over what is there."""
    return running_max(y[:, ::-1], lead + 1)[:, ::-1]


def earlier(values: Floats, steps: int, before: Floats) -> Floats:
    """values[t - steps]; where that is before the beginning, `before`[t]."""
    out = before.copy()
    if steps < values.shape[1]:
        out[:, steps:] = values[:, : values.shape[1] - steps]
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """For each step: `demand` [series, steps, names] in units, the slow `level` and the means of 15 and of
    60 minutes [series, steps], and `shape` [series, steps, names] without a unit.
    """

    demand: Floats
    level: Floats
    short: Floats
    long: Floats
    shape: Floats

    def on(self, space: Space) -> Floats:
        """All features on the scale of a space, clipped, float64 [series, steps, names]."""
        demand = to_space(self.demand, self.level[:, :, None], space)
        joined: Floats = np.clip(np.concatenate([demand, self.shape], axis=2), -CLIP, CLIP)
        return joined


def features(y: Floats, grid: Grid, first: int, *, floor: Floats | None = None) -> Features:
    """The features of the steps from `first` to the end of y float64 [series, steps], without absent values.

    y[:, 0] lies at the grid's origin. With at least `grid.reach` steps before `first` nothing earlier
    matters. `floor` [series] is the least the level may be (a thousandth of the first day's mean).
    """
    day, minutes = grid.day, grid.minutes
    tail = y[:, max(0, first - minutes(180) - 3) :]
    count = y.shape[1] - first

    def newest(values: Floats) -> Floats:
        return values[:, values.shape[1] - count :]

    previous = earlier(tail, 1, tail[:, :1].repeat(tail.shape[1], axis=1))
    means = {span: newest(trailing_mean(tail, minutes(span))) for span in MEANS_MIN}
    columns = [newest(earlier(tail, back, previous)) for back in (1, 2, 3)]
    columns += [means[span] for span in MEANS_MIN]
    columns += [newest(running_max(previous, minutes(span))) for span in MAXIMA_MIN]
    since = y[:, max(0, first - day - 1) :]
    since = np.concatenate([since[:, :1], since[:, :-1]], axis=1)
    columns += [windows.newest(since, day - 1, count, np.maximum)]
    for lag in LAGS_DAYS:
        columns += _then(y, grid, first, grid.days(lag), means[15])
    level = newest(trailing_mean(y[:, max(0, first - LEVEL_DAYS * day) :], LEVEL_DAYS * day))
    least = np.full(len(y), 1e-12) if floor is None else np.maximum(floor, 1e-12)
    level = np.maximum(level, least[:, None])
    half_hour = minutes(30)
    spread = newest(trailing_mean(tail * tail, half_hour) - trailing_mean(tail, half_hour) ** 2)
    wobble = np.minimum(np.sqrt(np.maximum(spread, 0.0)) / level, 5.0)
    clock = np.broadcast_to(_clock(grid, first, y.shape[1]), (len(y), count, 8))
    return Features(
        demand=np.stack(columns, axis=2),
        level=level,
        short=means[15],
        long=means[60],
        shape=np.concatenate([wobble[:, :, None], clock], axis=2),
    )


def _then(y: Floats, grid: Grid, first: int, lag: int, instead: Floats) -> list[Floats]:
    """What was around t - lag for each t from `first` on: M, the means of 15 and 60 minutes before, the peak
    of 30 minutes more, and the mean of 10 minutes either way. `instead` where that is before the beginning.
    """
    half, more = grid.minutes(10), grid.lead + grid.minutes(30)
    count = y.shape[1] - first
    end = y.shape[1] - lag
    # A lag that reaches into the present (steps of hours, leads of days) would see the future.
    if lag <= more + half or end <= 0:
        return [instead] * 5
    begin = max(0, first - lag - grid.minutes(60) - half - 1)
    part = y[:, begin : end + max(more, half + 1)]
    # The mean of +-10 minutes around t is the trailing mean as it will be 10 minutes later.
    padded = np.concatenate([part, part[:, -1:].repeat(half + 1, axis=1)], axis=1)
    found = (
        lead_peak(part, grid.lead),
        trailing_mean(part, grid.minutes(15)),
        trailing_mean(part, grid.minutes(60)),
        lead_peak(part, more),
        trailing_mean(padded, 2 * half + 1)[:, half + 1 :],
    )
    known = min(count, end)
    columns = []
    for values in found:
        column = instead.copy()
        column[:, count - known :] = values[:, end - known - begin : end - begin]
        columns.append(column)
    return columns


def _clock(grid: Grid, first: int, end: int) -> Floats:
    """Two harmonics of the time of day, and marks within 5 minutes after each quarter (cron), [steps, 8]."""
    second = (grid.origin_s + np.arange(first, end) * grid.step_s) % DAY_S
    angle = 2 * math.pi * second / DAY_S
    waves = [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
    marks = [((second - quarter * 900) % 3600 < 300).astype(np.float64) for quarter in range(4)]
    return np.stack([*waves, *marks], axis=1)
