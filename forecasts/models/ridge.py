"""A linear blend of seasonal profiles and trailing means, its weights fitted by absolute error (numpy only).

For each bucket of the horizon one set of weights: median regression by reweighted ridge steps on the
logarithm of demand, drawn to a plain prior: the mean of the same hour of past days and weeks and, in the
first hours, the newest value. The band comes from the errors of the same fit made without the newest part
of the history. Over 300 origins of real traces its error was 0.72 of yesterday's pattern, 0.45 in the first
hour. Two to five hundredths of a second a fit. Beyond what the history can teach (five weeks from three), the
weights stay at the prior and the band widens with the root of the horizon.

Where that part was forecast clearly better by yesterday's pattern on each of the last seven days, yesterday's
pattern is the middle, with the band of its own errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from forecasts.champion import demoted
from forecasts.conformal import calibrated, edges
from forecasts.lags import DIFFERENCES, NAMES, Past
from forecasts.outages import ready

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Steps = NDArray[np.int64]

# Two days of hours: below, no season can be told from chance.
MINIMUM = 48
# Points that still say something about tomorrow: eight weeks of hours.
REMEMBERED = 8 * 168
# log(v / level + OFFSET): bursts weigh less, and nothing is minus infinity.
OFFSET = 0.2
HIGHEST = 12.0
# How far beyond what it has seen the middle may go, on that scale; a line fitted to logarithms may explode.
BEYOND = 0.2
# No quantile passes so many times the largest value of four weeks: the forecast gate refuses three times it.
REACH = 2.0
# How strongly weights are drawn to the prior, in rows: in the first hours, beyond, and after two days.
SOFT, STRONG, STRONGEST = 120.0, 1000.0, 4000.0
FIRST_HOURS, FAR_HOURS = 4, 48
# Share of the residual that the prior carries on, halved every so many hours.
CARRIED, HALF_LIFE_H = 0.8, 3.0
STEPS = 10
FLOOR = 0.05
# Rows for the fit every so many hours, beyond the first.
ROWS_EVERY_H = 3
# Of a history the newest half, four weeks at most, is forecast without itself to learn the errors.
SET_ASIDE_DAYS, EVERY_H = 28, 7
RECENT_DAYS = 7  # on each of which the naive must have been better to take its place


def fit_predict(
    arrays: Sequence[NDArray[np.float64]],
    horizon: int,
    levels: Sequence[float],
    *,
    seasons: Sequence[int] = (24, 168),
) -> list[NDArray[np.float64]]:
    """Quantiles float64 [horizon, level] after each array; BadInput for one with too few points."""
    return [
        _one(ready(array[-REMEMBERED:], seasons, MINIMUM), horizon, levels, seasons[0]) for array in arrays
    ]


def _one(y: Floats, horizon: int, levels: Sequence[float], day: int) -> Floats:
    if (y == y[0]).all():
        return np.full((horizon, len(levels)), max(0.0, float(y[0])))
    level = max(float(y[-28 * day :].mean()), np.finfo(np.float64).tiny)
    z = np.log(y / level + OFFSET)
    begins = edges(horizon, day)
    ahead = np.arange(horizon)
    past = Past(z, day=day)
    point = _Fit(z, begins, day).points(past, np.full(horizon, z.size), ahead)
    aside = min(z.size // 2, SET_ASIDE_DAYS * day)
    apart = max(1, EVERY_H * day // 24)
    origins = np.arange(z.size - aside, z.size, apart)
    errors = _errors(_Fit(z[: z.size - aside], begins, day), past, origins, horizon)
    naive = _errors(_Yesterday(day), past, origins, horizon)
    if _lost(errors, naive, (z.size - 1 - origins) // day):
        point, errors = _Yesterday(day).points(past, np.full(horizon, z.size), ahead), naive
    band = calibrated(_spread(point, levels), _spread(errors, levels), levels, begins, apart)
    values: Floats = np.maximum(np.exp(np.minimum(band, HIGHEST)) - OFFSET, 0.0) * level
    return np.minimum(values, REACH * float(y[-28 * day :].max()))


def _spread(values: Floats, levels: Sequence[float]) -> Floats:
    """The same for every level."""
    return np.repeat(values[..., None], len(levels), axis=-1)


def _errors(fit: _Fit | _Yesterday, past: Past, origins: Steps, horizon: int) -> Floats:
    """What came less what was forecast without it, float64 [origin, horizon], NaN beyond the end."""
    at, ahead = (grid.ravel() for grid in np.meshgrid(origins, np.arange(horizon), indexing="ij"))
    errors, y = np.full(at.size, np.nan), past.y
    over = at + ahead < y.size
    errors[over] = y[(at + ahead)[over]] - fit.points(past, at[over], ahead[over])
    return errors.reshape(origins.size, horizon)


def _lost(errors: Floats, naive: Floats, days_ago: Steps) -> bool:
    """Whether the naive was better on each of the last seven days, and clearly: see forecasts/champion.py."""
    days = [days_ago == day for day in range(RECENT_DAYS)]
    if not all(day.any() for day in days):
        return False
    own, its = ([float(np.nanmean(np.abs(one[day]))) for day in days] for one in (errors, naive))
    folds = [{"ridge": a, "naive": b} for a, b in zip(own, its, strict=True)]
    return demoted(("ridge",), folds, "naive")


@dataclass(frozen=True, slots=True)
class _Yesterday:
    """The seasonal naive: the same hour of the newest day that is known."""

    day: int

    def points(self, past: Past, at: Steps, ahead: Steps) -> Floats:
        """Seen from each of `at`, `ahead` steps on [rows]; NaN where nothing was a day before."""
        then = at + ahead - (ahead // self.day + 1) * self.day
        out: Floats = np.where(then >= 0, past.y[np.maximum(then, 0)], np.nan)
        return out


@dataclass(frozen=True, slots=True)
class _Rows:
    """The base, and every other feature less the base (differences as they are)."""

    base: Floats
    x: Floats

    @classmethod
    def of(cls, past: Past, at: Steps, ahead: Steps) -> _Rows:
        found = past.features(at, ahead)
        base, rest = found[:, 0], found[:, 1:].copy()
        rest[:, : rest.shape[1] - DIFFERENCES] -= base[:, None]
        return cls(base, rest)


class _Fit:
    """Weights by bucket, from `z` alone."""

    def __init__(self, z: Floats, begins: Sequence[int], day: int) -> None:
        self._begins, self._day = begins, day
        change = np.abs(z[day:] - z[:-day])[-28 * day :] if z.size > day else np.abs(np.diff(z))
        spread = max(float(change.mean()) if change.size else 0.0, 1e-3)
        past = Past(z / spread, day=day)
        self._weights = [self._bucket(past, begin, end) for begin, end in pairwise(begins)]

    def _bucket(self, past: Past, begin: int, end: int) -> Floats:
        """The weights of one bucket of the horizon, from a past in units of its day-to-day change."""
        z, day = past.y, self._day
        hours = begin * 24 / day
        prior = _prior(hours)
        on = np.unique(np.linspace(begin, end - 1, min(6, end - begin)).astype(np.int64))
        first = max(1, min(2 * day, z.size // 2))
        every = 1 if hours < FIRST_HOURS else ROWS_EVERY_H
        origins = np.arange(first, z.size - begin, max(1, every * day // 24))
        at, ahead = (grid.ravel() for grid in np.meshgrid(origins, on, indexing="ij"))
        over = at + ahead < z.size
        at, ahead = at[over], ahead[over]
        if not at.size:
            return prior
        rows = _Rows.of(past, at, ahead)
        strength = SOFT if hours < FIRST_HOURS else STRONG if hours < FAR_HOURS else STRONGEST
        return median_ridge(rows.x, z[at + ahead] - rows.base, strength, prior)

    def points(self, past: Past, at: Steps, ahead: Steps) -> Floats:
        """The middle seen from each of `at`, `ahead` steps on [rows]; uses what came before `at` only."""
        out = np.empty(at.size)
        for weights, (begin, end) in zip(self._weights, pairwise(self._begins), strict=True):
            which = (ahead >= begin) & (ahead < end)
            if which.any():
                rows = _Rows.of(past, at[which], ahead[which])
                out[which] = rows.base + rows.x @ weights
        low, high = (pick.accumulate(past.y)[at - 1] for pick in (np.minimum, np.maximum))
        return np.clip(out, low - BEYOND, high + BEYOND)


def _prior(hours: float) -> Floats:
    """Weights before anything was seen: same hour of days and weeks, and what the last hour lay above it.

    Beyond two days yesterday says no more than other days, and the weeks more.
    """
    weights = dict.fromkeys(NAMES[1:], 0.0)
    if hours >= FAR_HOURS:
        weights["week_1"], weights["week_mean_4"] = 0.2, 0.5
        return np.array(list(weights.values()))
    newest = 0.5 * CARRIED * 0.5 ** (hours / HALF_LIFE_H)
    weights["day_1"] = weights["week_mean_4"] = (1 - newest) / 3
    weights["mean_1h"] = weights["above_day_1h"] = newest
    return np.array(list(weights.values()))


def median_ridge(x: Floats, z: Floats, strength: float, prior: Floats) -> Floats:
    """Weights [features] of least sum |z - x w| + strength/2 |w - prior|^2, by reweighted least squares."""
    drawn = strength * np.eye(prior.size)
    weights: Floats = prior
    error = z - x @ prior
    for _ in range(STEPS):
        scaled = x / np.maximum(np.abs(error), FLOOR)[:, None]
        weights = np.asarray(
            np.linalg.solve(scaled.T @ x + drawn, scaled.T @ z + drawn @ prior), dtype=np.float64
        )
        error = z - x @ weights
    return weights
