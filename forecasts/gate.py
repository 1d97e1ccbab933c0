"""The forecast gate: what a forecast must be before anything is decided from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasts.models.seasonal_naive import fit_predict
from forecasts.types import DAY_S, WEEK_S, Forecast, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

# No quantile may pass so many times the largest value of the last 28 days, but for a declared event.
CEILING = 3.0
CEILING_WINDOW_S = 28 * DAY_S
# The mean over the horizon may differ from the seasonal naive's by this factor either way. Over 600
# forecasts of 48 hours on real traces, 96 % of those at least as good as the naive one lie within it, and
# 6 % of those twice as bad do not; a factor of 3 costs 7 % of the good, one of 5 stops none of the bad.
AGREEMENT = 4.0
# Means below this share of the trailing mean count as this much: near nothing, factors tell nothing.
NOTHING = 0.05
# Zero, but for what sums of floats leave behind.
ZERO = 1e-9


def refusal(forecast: Forecast, history: Series, *, multiplier: float = 1.0) -> str | None:
    """Why a forecast may not be used, in one line; None where it may.

    `history` is what it was made from, in the forecast's step (NaN = absent); `multiplier` is that of a
    declared event, 1 where there is none.
    """
    values = forecast.values
    if not len(values):
        return "it has no steps"
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {values.size} values are not finite"
    if (values < 0).any():
        return f"it is negative, {values.min():g}"
    if (np.diff(values, axis=1) < 0).any():
        return "its quantiles cross"
    return _against(forecast, history, multiplier)


def _against(forecast: Forecast, history: Series, multiplier: float) -> str | None:
    """The part of the gate that knows the past."""
    if forecast.step_s != history.step_s:
        return f"its step is {forecast.step_s} s where the history's is {history.step_s} s"
    if forecast.issued_at < history.end:
        return f"it begins at {forecast.issued_at:%FT%TZ}, in the past of {history.end:%FT%TZ}"
    past = _tail(history, CEILING_WINDOW_S)
    if not past.size:
        return "there is no history to judge it by"
    ceiling = CEILING * float(past.max()) * multiplier
    if forecast.values.max() > ceiling:
        return f"it reaches {forecast.values.max():g}, above {ceiling:g} ({CEILING:g} x the last 28 days)"
    if forecast.values.max() <= ZERO * float(past.max()) and _tail(history, WEEK_S).any():
        return "it is zero throughout, and last week was not"
    return _disagreement(forecast, history, past, multiplier)


def _disagreement(
    forecast: Forecast, history: Series, past: NDArray[np.float64], multiplier: float
) -> str | None:
    """Whether its middle is far from what the seasonal naive says."""
    middle = int(np.argmin(np.abs(np.array(forecast.levels) - 0.5)))
    level = forecast.levels[middle]
    seasons = (max(1, DAY_S // history.step_s), max(1, WEEK_S // history.step_s))
    late = round((forecast.issued_at - history.end).total_seconds() / history.step_s)
    twin = fit_predict([history.y], late + len(forecast.values), (level,), seasons=seasons)[0][late:, 0]
    least = NOTHING * float(past.mean())
    mine, its = max(float(forecast.values[:, middle].mean()), least), max(float(twin.mean()), least)
    if mine > its * AGREEMENT * multiplier or its > mine * AGREEMENT:
        return f"its mean is {mine:g} where the seasonal naive's is {its:g}"
    return None


def _tail(history: Series, seconds: int) -> NDArray[np.float64]:
    """The finite values of the last `seconds`."""
    tail = history.y[-max(1, seconds // history.step_s) :]
    return tail[np.isfinite(tail)]
