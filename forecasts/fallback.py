"""The fallback chain: champion, seasonal naive, the largest of the same hour of past weeks, hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from forecasts.gate import refusal
from forecasts.models import seasonal_naive
from forecasts.types import DAY_S, WEEK_S, Forecast, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEASONAL_NAIVE = "seasonal_naive"
SAME_HOUR = "same_hour_of_past_weeks"
# Weeks the last resort looks back.
WEEKS = 4


def settle(
    history: Series,
    candidates: Sequence[Forecast],
    *,
    issued_at: datetime,
    horizon: int,
    levels: Sequence[float],
    notes: Sequence[str] = (),
) -> Forecast | None:
    """The first sound forecast of the chain, or None: hold.

    `history` is float64 [steps] in the step of the forecast, complete at `issued_at`; `candidates` come
    first, in their order, then the seasonal naive, then `last_resort`, which is past load and needs no
    gate. The notes of the result are `notes` and who was refused, and why.
    """
    seen = history.until(issued_at)
    told = list(notes)
    for candidate in candidates:
        why = refusal(candidate, seen)
        if why is None:
            return _with_notes(candidate, told)
        told.append(f"{candidate.model} refused: {why}")
    naive = _naive(seen, issued_at, horizon, levels)
    why = refusal(naive, seen)
    if why is None:
        return _with_notes(naive, told)
    told.append(f"{SEASONAL_NAIVE} refused: {why}")
    return last_resort(seen, issued_at=issued_at, horizon=horizon, levels=levels, notes=told)


def _naive(seen: Series, issued_at: datetime, horizon: int, levels: Sequence[float]) -> Forecast:
    seasons = (max(1, DAY_S // seen.step_s), max(1, WEEK_S // seen.step_s))
    late = round((issued_at - seen.end).total_seconds() / seen.step_s)
    return Forecast(
        unique_id=seen.unique_id,
        issued_at=issued_at,
        step_s=seen.step_s,
        levels=tuple(levels),
        values=seasonal_naive.fit_predict([seen.y], late + horizon, levels, seasons=seasons)[0][late:],
        model=SEASONAL_NAIVE,
        trained_through=seen.end,
    )


def last_resort(
    history: Series, *, issued_at: datetime, horizon: int, levels: Sequence[float], notes: Sequence[str] = ()
) -> Forecast | None:
    """The largest of the same hour of past weeks, for a history that stopped before `issued_at`.

    What it says may let a pool grow; whoever uses it must not let one shrink. None where nothing is known.
    """
    late = round((issued_at - history.end).total_seconds() / history.step_s)
    top = same_hour(history.y, late + horizon, max(1, WEEK_S // history.step_s))[late:]
    if late < 0 or not np.isfinite(top).all():
        return None
    return Forecast(
        unique_id=history.unique_id,
        issued_at=issued_at,
        step_s=history.step_s,
        levels=tuple(levels),
        values=np.repeat(top[:, None], len(levels), axis=1),
        model=SAME_HOUR,
        trained_through=history.end,
        notes=tuple(notes),
    )


def same_hour(y: NDArray[np.float64], horizon: int, week: int) -> NDArray[np.float64]:
    """The largest value of the same step of the last four weeks [horizon].

    Where no such value is there, the largest of all; NaN where nothing is known.
    """
    ahead = np.arange(horizon)
    best = np.full(horizon, np.nan)
    for k in range(1, WEEKS + 1):
        source = y.size + ahead % week - k * week
        there = source >= 0
        best[there] = np.fmax(best[there], y[source[there]])
    known = y[np.isfinite(y)]
    return np.where(np.isfinite(best), best, known.max() if known.size else np.nan)


def _with_notes(forecast: Forecast, notes: Sequence[str]) -> Forecast:
    return Forecast(
        unique_id=forecast.unique_id,
        issued_at=forecast.issued_at,
        step_s=forecast.step_s,
        levels=forecast.levels,
        values=forecast.values,
        model=forecast.model,
        trained_through=forecast.trained_through,
        notes=(*forecast.notes, *notes),
    )
