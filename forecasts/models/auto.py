"""The mean of the best two of ridge, mstl and theta, chosen for each series on its own rolling origins.

Three origins in the last seven days decide by pinball loss, with hysteresis; who lost to the seasonal naive
over those days gives way to it. The band is the calibrated one of ridge around the mean of the middles, for
those of the others are too narrow. A member that fails or speaks nonsense is left out, and the others go
on. About a second a fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forecasts.champion import follow
from forecasts.losses import mean, pinball
from forecasts.models import load
from forecasts.outages import ready

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Two days of hours, as its members.
MINIMUM = 48
NAIVE, BAND = "seasonal_naive", "ridge"
MEMBERS = ("ridge", "mstl", "theta")
FIRST = ("ridge", "mstl")
# Hours before the end at which the models are tried, within seven days, and how far each looks.
ORIGINS_H = (168, 108, 48)
LOOK_H = 48
# A history of fewer days before an origin tells nothing about models.
LEAST_DAYS = 5
# A middle beyond so many times what was ever seen is nonsense.
NONSENSE = 3.0


def fit_predict(
    arrays: Sequence[NDArray[np.float64]],
    horizon: int,
    levels: Sequence[float],
    *,
    seasons: Sequence[int] = (24, 168),
) -> list[NDArray[np.float64]]:
    """Quantiles float64 [horizon, level] after each array; BadInput for one with too few points."""
    out = []
    for array in arrays:
        ready(array, seasons, MINIMUM)  # BadInput, once, before three models are asked
        found = _candidates(array, horizon, levels, seasons)
        folds = _folds(array, levels, seasons)
        team = follow(folds, first=FIRST, naive=NAIVE, recent=len(ORIGINS_H))
        there = [found[name] for name in team.members if name in found] or [found[BAND]]
        out.append(np.mean(there, axis=0))
    return out


def _folds(y: Floats, levels: Sequence[float], seasons: Sequence[int]) -> list[dict[str, float]]:
    """The mean pinball loss by model at each origin, oldest first; where nothing came there is none."""
    hour = max(1, seasons[0] // 24)
    folds = []
    for before in ORIGINS_H:
        at = y.size - before * hour
        actual = y[max(at, 0) :][: LOOK_H * hour]
        if (
            at < LEAST_DAYS * seasons[0]
            or np.isfinite(y[:at]).sum() < MINIMUM
            or not np.isfinite(actual).any()
        ):
            continue
        found = _candidates(y[:at], actual.size, levels, seasons)
        folds.append({name: mean(pinball(actual, values, levels)) for name, values in found.items()})
    return folds


def _candidates(
    y: Floats, horizon: int, levels: Sequence[float], seasons: Sequence[int]
) -> dict[str, Floats]:
    """The quantiles of each model that has sound ones, with ridge's band, and the naive's."""
    asked = sorted({*levels, 0.5})
    pick = [asked.index(level) for level in levels]
    band = load(BAND).fit_predict([y], horizon, asked, seasons=seasons)[0]
    middle = band[:, asked.index(0.5)]
    highest = NONSENSE * float(np.nanmax(y))
    found: dict[str, Floats] = {BAND: band[:, pick]}
    for name in MEMBERS:
        if name == BAND:
            continue
        try:
            point = load(name).fit_predict([y], horizon, (0.5,), seasons=seasons)[0][:, 0]
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, RuntimeError):
            continue
        if np.isfinite(point).all() and point.min() >= 0 and point.max() <= highest:
            found[name] = np.maximum(band + (point - middle)[:, None], 0.0)[:, pick]
    found[NAIVE] = load(NAIVE).fit_predict([y], horizon, levels, seasons=seasons)[0]
    return found
