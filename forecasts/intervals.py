"""Two-sided intervals, as statsforecast gives them, to quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class IntervalModel(Protocol):
    """A model of statsforecast, not yet fitted."""

    def forecast(self, y: NDArray[np.float64], h: int, *, level: Any) -> Mapping[str, Any]:
        """Fit and forecast: `mean`, and `lo-x` and `hi-x` for two-sided levels in percent."""


def quantiles(
    model: IntervalModel, y: NDArray[np.float64], horizon: int, levels: Sequence[float]
) -> NDArray[np.float64]:
    """Quantiles float64 [horizon, level], not negative and ascending, of the model fitted to `y`.

    A two-sided band of 80 % ends at the quantiles .1 and .9; the quantile .5 is the mean. A load that
    never moved goes on as it is.
    """
    if y.size and (y == y[0]).all():
        return np.full((horizon, len(levels)), max(0.0, float(y[0])))
    bands = sorted({_band(level) for level in levels} - {0.0})
    found = model.forecast(y=y, h=horizon, level=bands or None)  # some models fail on an empty list
    columns = [found[_column(level)] for level in levels]
    return np.sort(np.maximum(np.stack(columns, axis=1).astype(np.float64), 0.0), axis=1)


def _band(level: float) -> float:
    """The two-sided band, in percent, that ends at a quantile."""
    return round(abs(2 * level - 1) * 100, 6)


def _column(level: float) -> str:
    band = _band(level)
    if band == 0:
        return "mean"
    return f"{'hi' if level > 0.5 else 'lo'}-{band}"
