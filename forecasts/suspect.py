"""Readings that stopped telling the truth: a sensor that is stuck, zeros where the service is broken.

Both look like sound samples one by one. They are judged at the end of a series only, from what came before,
so that a later sample never changes what was said of an earlier moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasts.outages import masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A metric is stuck once it has not moved for so many times as long as it ever stood still before.
BEYOND_HABIT = 2.0
# Nothing is stuck within so many samples, nor within so many seconds.
LEAST_STEPS = 12
LEAST_S = 1800
# Before so many samples that moved there is no habit to judge by.
LIFE_STEPS = 288


def flat_tail(y: NDArray[np.float64]) -> int:
    """How many of the newest finite values of `y` float64 [steps] are exactly the last one; absent ones are
    passed over.
    """
    known = y[np.isfinite(y)]
    if not known.size:
        return 0
    other = np.flatnonzero(known != known[-1])
    return known.size - 1 - int(other[-1]) if other.size else known.size


def stuck(y: NDArray[np.float64], step_s: int, window: int) -> int:
    """For how many samples the metric has been stuck at the end of `y` float64 [steps]; 0 where it is not.

    It is where the last `window` steps vary, and its newest run of one value is longer than half an hour,
    than twelve samples, and than twice any run before it. A load that never varied is not stuck, and zero
    every night is a habit. Once the whole window is one value, that is what the load has become.
    """
    known = y[max(0, y.size - window) :]
    known = known[np.isfinite(known)]
    run = flat_tail(known)
    before = known[: known.size - run]
    least = max(LEAST_STEPS, -(-LEAST_S // step_s))
    if run <= least or before.size < LIFE_STEPS:
        return 0
    edges = np.flatnonzero(np.r_[True, before[1:] != before[:-1], True])
    return run if run > BEYOND_HABIT * int(np.diff(edges).max()) else 0


def broken(y: NDArray[np.float64], day: int) -> int:
    """How many of the newest finite values of `y` float64 [steps] are the zeros of an outage; 0 for none.

    Zeros at hours of the day that hardly ever know zero (`outages.masked`), judged at the end; `day` is the
    steps of a day.
    """
    known = np.flatnonzero(np.isfinite(y))
    if not known.size or y[known[-1]] != 0:
        return 0
    seen = y[: known[-1] + 1]
    return flat_tail(seen) if np.isnan(masked(seen, day)[-1]) else 0
