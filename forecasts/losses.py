"""What a forecast is scored by: free functions over arrays, in which NaN means absent and counts nowhere.

`actual` is float64 [steps], `values` float64 [steps, level], `point` float64 [steps]; any leading dimensions
may stand before, and all are averaged over together. A score of nothing is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def mean(values: Floats) -> float:
    """The mean of what is finite; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def ratio(above: float, below: float) -> float:
    """One over the other; NaN where the second is not above zero."""
    return above / below if below > 0 else float("nan")


def mae(actual: Floats, point: Floats) -> float:
    """Mean absolute error, in the unit of demand."""
    return mean(np.abs(actual - point))


def mae_ratio(actual: Floats, point: Floats, rival: Floats) -> float:
    """The mean absolute error over a rival's, on the steps where both spoke; 1 is as good, less is better."""
    both = np.isfinite(actual) & np.isfinite(point) & np.isfinite(rival)
    return ratio(mae(actual[both], point[both]), mae(actual[both], rival[both]))


def mase(actual: Floats, point: Floats, history: Floats, season: int) -> float:
    """Mean absolute scaled error (Hyndman and Koehler, 2006): MAE over that of the value one season back.

    `history` float64 [steps] is what was known before `actual`; NaN where it repeats without an error.
    """
    if season < 1:
        raise BadInput(f"a season of {season} steps")
    return ratio(mae(actual, point), mae(history[season:], history[:-season]))


def pinball(actual: Floats, values: Floats, levels: Sequence[float]) -> Floats:
    """The pinball loss of every quantile, float64 [steps, level]: q(y - v) above it, (1 - q)(v - y) below."""
    q = np.asarray(levels, dtype=np.float64)
    if values.shape != (*actual.shape, q.size):
        raise BadInput(f"quantiles {values.shape} do not fit {actual.shape} steps and {q.size} levels")
    error = actual[..., None] - values
    return np.maximum(q * error, (q - 1) * error)


def wql(actual: Floats, values: Floats, levels: Sequence[float]) -> float:
    """Weighted quantile loss: twice the pinball loss, averaged over levels, over the sum of |actual|.

    A load that is zero throughout has none (NaN).
    """
    loss = pinball(actual, values, levels).mean(axis=-1)
    known = np.isfinite(loss)
    return ratio(2 * float(loss[known].sum()), float(np.abs(actual[known]).sum()))


def coverage(actual: Floats, low: Floats, high: Floats) -> float:
    """The share of steps within the band, its ends included."""
    known = np.isfinite(actual) & np.isfinite(low) & np.isfinite(high)
    return mean(np.where(known, (actual >= low) & (actual <= high), np.nan))
