"""Seasonal naive: the same hour of last week; before there is a week, of yesterday; else the last value.

To this point the trailing quantile of its own past errors is added. It is what every other model is
judged against, what they fall back to, and the forecast that is replayed, for it is quick enough to be
issued at every step. `issue` and `fit_predict` are one piece of arithmetic: what is predicted after the
last step is what would have been issued there.

Any pattern of absent values is borne; where the value one season back is absent, the shorter season's is
taken, then the last one known. Only where no value was ever seen is the answer NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINIMUM = 1

# Errors are remembered this many of the longest season: four weeks of hours.
REMEMBERED_SEASONS = 4
# Windows sorted at once: bounds the memory to some tens of megabytes.
BLOCK = 128


def fit_predict(
    arrays: Sequence[NDArray[np.float64]],
    horizon: int,
    levels: Sequence[float],
    *,
    seasons: Sequence[int] = (24, 168),
) -> list[NDArray[np.float64]]:
    """Quantiles float64 [horizon, level] after the end of each array float64 [steps]."""
    window = REMEMBERED_SEASONS * max(seasons)
    result = []
    for array in arrays:
        y = np.asarray(array, np.float64)
        result.append(_after(y, seasons=seasons, horizon=horizon, levels=levels, window=window))
    return result


def issue(
    demand: NDArray[np.float64],
    season_steps: Sequence[int],
    horizon: int,
    levels: Sequence[float],
    residual_window_steps: int,
) -> NDArray[np.float64]:
    """The quantiles issued at every step, float64 [series, steps, horizon, level].

    `demand` is float64 [series, steps], NaN = absent; `out[:, t, h]` speaks of step t + h and looks at
    `demand[:, :t]` only. `season_steps` ascend: steps a day, steps a week. Errors of the trailing
    `residual_window_steps` count, and are looked at anew once in the shortest season (24 times in the
    first). NaN until something was seen; not negative, ascending over the levels.
    """
    steps = demand.shape[1]
    at = np.arange(steps)
    out = np.empty((len(demand), steps, horizon, len(levels)))
    for k, y in enumerate(demand):
        out[k] = _issued(
            np.asarray(y, np.float64),
            at,
            seasons=season_steps,
            horizon=horizon,
            levels=levels,
            window=residual_window_steps,
        )
    return out


def _after(
    y: NDArray[np.float64], *, seasons: Sequence[int], horizon: int, levels: Sequence[float], window: int
) -> NDArray[np.float64]:
    """What is issued after the last step, float64 [horizon, level]: all hours of `_issued` at once."""
    _check(seasons, horizon, window)
    last, h = _last_known(y), np.arange(horizon)[:, None]
    end = int(_refreshed(np.array([y.size]), seasons[0])[0])
    known = np.arange(max(0, end - window), end)
    issued = known - h
    error = np.where(issued >= 0, y[known] - _point(y, last, np.maximum(issued, 0), h, seasons), np.nan)
    spread = _ranked(error, levels)
    point = _point(y, last, np.full((horizon, 1), y.size), h, seasons)
    found: NDArray[np.float64] = np.maximum(point + spread, 0.0)
    return found


def _check(seasons: Sequence[int], horizon: int, window: int) -> None:
    if not seasons or min(seasons) < 1 or list(seasons) != sorted(seasons):
        raise BadInput(f"seasons {tuple(seasons)} are not positive and ascending")
    if horizon < 1 or window < 1:
        raise BadInput(f"horizon {horizon} and residual window {window} must be at least one step")


def _issued(
    y: NDArray[np.float64],
    at: NDArray[np.int64],
    *,
    seasons: Sequence[int],
    horizon: int,
    levels: Sequence[float],
    window: int,
) -> NDArray[np.float64]:
    """What is issued at the ascending steps `at`, each from y[:t]: float64 [at, horizon, level]."""
    _check(seasons, horizon, window)
    last = _last_known(y)
    refreshed = _refreshed(at, seasons[0])
    fresh, which = np.unique(refreshed, return_inverse=True)
    out = np.empty((at.size, horizon, len(levels)))
    issued = np.arange(y.size)
    for h in range(horizon):
        # The error of step s is known once y[s] is; it was forecast h steps before.
        error = np.full(y.size, np.nan)
        error[h:] = y[h:] - _point(y, last, issued[: max(0, y.size - h)], h, seasons)
        spread = _quantiles(error, fresh, window, levels)
        out[:, h] = _point(y, last, at, h, seasons)[:, None] + spread[which]
    return np.maximum(out, 0.0, out=out)


def _last_known(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The newest finite value of y[:t] for every t, [steps + 1]; NaN where there is none."""
    index = np.where(np.isfinite(y), np.arange(y.size), -1)
    newest = np.r_[-1, np.maximum.accumulate(index)].astype(np.int64)
    known: NDArray[np.float64] = np.append(y, np.nan)[newest]
    return known


def _point(
    y: NDArray[np.float64],
    last: NDArray[np.float64],
    at: NDArray[np.int64],
    h: int | NDArray[np.int64],
    seasons: Sequence[int],
) -> NDArray[np.float64]:
    """The point forecast of step t + h issued at each t of `at`, from y[:t]; `h` is broadcast to `at`."""
    point = last[at]
    for season in seasons:  # the longest comes last, and wins where it is there
        source = at + h - season * (h // season + 1)
        there = source >= 0
        value = y[source[there]]
        point[there] = np.where(np.isfinite(value), value, point[there])
    return point


def _refreshed(at: NDArray[np.int64], day: int) -> NDArray[np.int64]:
    """When the errors were last looked at: at each day's begin, and each hour's within the first day."""
    hour = max(1, day // 24)
    return np.where(at >= day, at // day * day, at // hour * hour)


def _quantiles(
    error: NDArray[np.float64], ends: NDArray[np.int64], window: int, levels: Sequence[float]
) -> NDArray[np.float64]:
    """Quantiles of the finite errors in [end - window, end), [ends, level]; 0 where there is none.

    Linear between order statistics, as numpy's default.
    """
    padded = np.r_[np.full(window, np.nan), error]
    views = np.lib.stride_tricks.sliding_window_view(padded, window)
    out = np.zeros((ends.size, len(levels)))
    for begin in range(0, ends.size, BLOCK):
        out[begin : begin + BLOCK] = _ranked(views[ends[begin : begin + BLOCK]], levels)
    return out


def _ranked(errors: NDArray[np.float64], levels: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles of the finite errors of each row, [rows, level]; 0 where there is none."""
    if not errors.shape[1]:
        return np.zeros((len(errors), len(levels)))
    block = np.sort(errors, axis=1)  # NaN goes to the end
    count = np.isfinite(block).sum(axis=1)
    rank = np.asarray(levels) * np.maximum(count - 1, 0)[:, None]
    low = np.floor(rank).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    below, above = np.take_along_axis(block, low, 1), np.take_along_axis(block, high, 1)
    value = below + (rank - low) * (above - below)
    return np.where(count[:, None] > 0, value, 0.0)
