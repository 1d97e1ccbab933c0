"""Features of the ridge model: what a past says about a step ahead, each a demand of its own.

The ONE maker of features, used to fit and to predict. Of step t + h, seen from t, every feature is made from
y[:t] alone (the point-in-time law, tested): values and means of the same hour of past days and weeks,
trailing means, and by how much the last hours lie above their profile. Nothing is said of the clock: the
lags know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Steps = NDArray[np.int64]

DAYS, WEEKS = 7, 4
MEANS_H = (1, 3, 6, 24, 72, 168, 672)
ABOVE_H = (1, 3, 24)
# The columns, in order; the first is what the others are measured against, the last ones are differences.
NAMES = (
    "day_mean_7",
    "day_1",
    "day_mean_3",
    "week_1",
    "week_mean_2",
    "week_mean_4",
    "day_around",
    "week_around",
    *(f"mean_{hours}h" for hours in MEANS_H),
    *(f"above_{kind}_{hours}h" for hours in ABOVE_H for kind in ("day", "week")),
)
DIFFERENCES = 2 * len(ABOVE_H)


class Past:
    """A demand, and what each of its steps looks back on: columns that do not depend on the step ahead are
    made once for all steps.
    """

    def __init__(self, y: Floats, *, day: int) -> None:
        """`y` float64 [steps] without absent values; `day` is the steps of a day."""
        self.y, self._day = y, day
        self._sums = np.concatenate([[0.0], np.cumsum(y)])
        self._all = np.arange(1, len(y) + 1)
        columns = [self._mean(self._hours(hours)) for hours in MEANS_H]
        for hours in ABOVE_H:
            span = self._hours(hours)
            now = self._mean(span)
            usual = self._usual(span, day, DAYS, now)
            columns += [now - usual, now - self._usual(span, 7 * day, WEEKS, usual)]
        self._behind = np.stack(columns, axis=-1)

    def features(self, at: Steps, ahead: Steps) -> Floats:
        """float64 [rows, NAMES]: what y[:at] says of step at + ahead, row by row.

        `at` from 1 to the steps there are. A lag that does not exist yet is taken from the shorter one, at
        last from the newest value.
        """
        day, newest = self._day, self.y[at - 1]
        by_day = self._seasons(at, ahead, day, DAYS)
        by_week = self._seasons(at, ahead, 7 * day, WEEKS)
        day_1 = _mean(by_day[:1], newest)
        day_3 = _mean(by_day[:3], newest)
        day_7 = _mean(by_day, newest)
        day_around = self._around(at, ahead, day, day_1)
        columns = [day_7, day_1, day_3]
        columns += [_mean(by_week[:count], day_7) for count in (1, 2, 4)]
        columns += [day_around, self._around(at, ahead, 7 * day, day_around)]
        return np.concatenate([np.stack(columns, axis=-1), self._behind[at - 1]], axis=1)

    def _hours(self, count: int) -> int:
        """So many hours in steps, at least one."""
        return max(1, round(count * self._day / 24))

    def _seasons(self, at: Steps, ahead: Steps, season: int, count: int) -> Floats:
        """The same step of the last `count` whole seasons, [count, rows], NaN before the beginning."""
        back = season * (ahead // season + np.arange(1, count + 1)[:, None])
        source = at + ahead - back
        return np.where(source >= 0, self.y[np.maximum(source, 0)], np.nan)

    def _around(self, at: Steps, ahead: Steps, season: int, otherwise: Floats) -> Floats:
        """The mean of the two neighbours of the same step one season back."""
        source = at + ahead - season * (ahead // season + 1)
        after = np.minimum(source + 1, at - 1)
        two = (self.y[np.maximum(source - 1, 0)] + self.y[np.maximum(after, 0)]) / 2
        return np.where(source >= 1, two, otherwise)

    def _mean(self, span: int, back: int = 0) -> Floats:
        """Of every step the mean of the `span` steps that ended `back` ago, or what there is of them."""
        end = np.maximum(self._all - back, 1)
        begin = np.maximum(end - span, 0)
        means: Floats = (self._sums[end] - self._sums[begin]) / (end - begin)
        return means

    def _usual(self, span: int, season: int, count: int, otherwise: Floats) -> Floats:
        """What the last `span` steps are in the last `count` seasons that are there; else as given."""
        back = season * np.arange(1, count + 1)
        means = np.stack([self._mean(span, back=int(steps)) for steps in back])
        there = self._all - span - back[:, None] >= 0
        return _mean(np.where(there, means, np.nan), otherwise)


def _mean(values: Floats, otherwise: Floats) -> Floats:
    """The mean over the first axis of what is finite [rows]; `otherwise` where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)
