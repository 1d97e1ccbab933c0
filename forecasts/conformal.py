"""Conformal calibration: the band of any model from its own past out-of-sample errors, by horizon.

Split conformal prediction in the form of Romano, Patterson and Candes (2019, CQR), one-sided for each level
q: the calibrated quantile is the model's own plus the q-quantile of y minus what the model then called q.
Errors are taken by buckets of the horizon, on a scale in which they are alike (the square root, for loads),
and where they are few the quantile reaches beyond them: level q takes order statistic ceil((n + 1) q).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Errors of one origin are alike: so many count as one.
ALIKE = 6
# Tomorrow is not drawn from the errors that are known: only so much of a tail is left out. With the whole
# of it, bands of 95 % covered 92 % of real traces.
TAIL = 0.5
# Errors far ahead are alike for longer: of a span of origins so long as the horizon, so many count.
LONE = 20.0
# Least errors for a quantile of their own; with fewer, the neighbouring bucket's serve.
LEAST = 8


def edges(horizon: int, day: int) -> tuple[int, ...]:
    """Where buckets of the horizon begin, and its end: hours 1, 2, 4, 8, 16, then days 1, 2, 4, 8, 16, ..."""
    hour = max(1, day // 24)
    marks = [0, *(hour * k for k in (1, 2, 4, 8, 16)), *(day * 2**k for k in range(12))]
    return (*sorted({mark for mark in marks if mark < horizon}), horizon)


def offsets(errors: Floats, levels: Sequence[float], begins: Sequence[int], apart: int = 1) -> Floats:
    """What to add to each quantile, float64 [horizon, level].

    `errors` float64 [origin, horizon, level], y minus the quantile then issued, NaN = absent or not over yet;
    its origins are `apart` steps from each other; `begins` as from `edges`. A bucket without enough errors
    takes those of the last one that has, widened by the root of the horizon; zero where there are none at
    all.
    """
    if errors.ndim != 3 or errors.shape[2] != len(levels) or begins[-1] != errors.shape[1]:
        raise BadInput(f"errors {errors.shape} do not fit {len(levels)} levels over {begins[-1]} steps")
    out = np.zeros(errors.shape[1:])
    known: tuple[float, Floats] | None = None
    for begin, end in pairwise(begins):
        finite = np.asarray(np.isfinite(errors[:, begin:end]).all(axis=2), dtype=np.bool_)
        part = errors[:, begin:end][finite]
        middle = (begin + end) / 2
        if len(part) >= LEAST:
            spans = int(finite.any(axis=1).sum()) * apart / middle
            count = min(len(part) / min(ALIKE, end - begin), LONE * spans)
            known = (middle, _quantiles(part, levels, count))
        if known is not None:
            out[begin:end] = known[1] * np.sqrt(middle / known[0])
    return out


def _quantiles(errors: Floats, levels: Sequence[float], count: float) -> Floats:
    """The q-quantile of the errors of level q, on the safe side as of `count` independent ones, [level]."""
    count = max(2.0, count)
    out = np.empty(len(levels))
    for k, q in enumerate(levels):
        tail = min(q, 1 - q) * (1 - (1 - TAIL) * abs(2 * q - 1))
        safe = 0.5 + ((tail if q < 0.5 else 1 - tail) - 0.5) * (count + 1) / count
        column = errors[:, k]
        value = float(np.quantile(column, min(max(safe, 0.0), 1.0)))
        # Beyond the largest of few errors lies more: a share of the range for what of the level is missing.
        beyond = max(safe - 1.0, -safe, 0.0)
        out[k] = value * (1 + 2 * beyond * count) if value * (q - 0.5) > 0 else value
        # A bias of the recent past does not last (it cost 5 % of accuracy): the middle stays where it is.
        out[k] -= (1 - abs(2 * q - 1)) * float(np.median(column))
    return out


def calibrated(
    values: Floats, errors: Floats, levels: Sequence[float], begins: Sequence[int], apart: int = 1
) -> Floats:
    """The quantiles float64 [horizon, level] with their offsets, ascending; on the scale of the errors."""
    sound: Floats = np.sort(values + offsets(errors, levels, begins, apart), axis=1)
    return sound
