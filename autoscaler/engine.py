"""Forecasts for many series: each isolated, under a time budget, behind the gate, with its fallback."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.fitting import Task, fit
from forecasts.fallback import SEASONAL_NAIVE, settle
from forecasts.hours import hourly
from forecasts.models import check
from forecasts.types import DAY_S, EPOCH, HOUR_S, WEEK_S, BadInput, Forecast, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

Memo = dict[tuple[object, ...], Forecast | None]  # forecasts by what they were made from
# A series whose last known step ended longer ago has no forecast: it would begin in the past.
STALE_STEPS = 3
# A week is known once it was seen twice.
LEARNING_DAYS = 14
HUNDRED = 100  # series that share a time budget


def forecast(
    series: Sequence[Series],
    *,
    model: str | Mapping[str, str],
    issued_at: datetime | Mapping[str, datetime],
    horizon: int,
    levels: Sequence[float],
    step_s: int = HOUR_S,
    timeout_s: float = 30.0,
    on_progress: Callable[[int], None] | None = None,
    memo: Memo | None = None,
) -> dict[str, Forecast | None]:
    """One forecast a series by unique_id, from what was over at `issued_at`; None means hold.

    `series` have any step and are aggregated by mean to `step_s`; `issued_at` (aware; one for all, or one
    a unique_id) is floored to it. `model` is one name for all or one a unique_id. The seasonal naive runs
    here, other models in a child process with `timeout_s` for each hundred series; who fails there, or does
    not pass the forecast gate, falls back, and the notes say so, as they say how far a history of less than
    two weeks has come. None where nothing is known of the last
    three steps.
    `on_progress` hears how many series are settled. BadInput for an unknown model or a double series.
    What `memo` holds of the same history, model, horizon and levels is not fitted again; it holds this call's
    answers afterwards, a fallback too: it stands until the history is another one.
    """
    champions = _champions(series, model)
    moments = issued_at if isinstance(issued_at, Mapping) else dict.fromkeys(champions, issued_at)
    histories = {one.unique_id: _history(one, moments[one.unique_id], step_s) for one in series}
    seasons = (max(1, DAY_S // step_s), max(1, WEEK_S // step_s))
    asked = {name: _asked(one, champions[name], horizon, levels) for name, one in histories.items() if one}
    known = {} if memo is None else {name: memo[key] for name, key in asked.items() if key in memo}
    tasks = [
        Task(
            key=name,
            model=champions[name],
            y=history.y,
            horizon=horizon,
            levels=tuple(levels),
            seasons=seasons,
        )
        for name, history in sorted(histories.items())
        if history is not None and champions[name] != SEASONAL_NAIVE and name not in known
    ]
    progress = _Progress(on_progress)
    hundreds = -(-len(tasks) // HUNDRED)
    answers = fit(tasks, timeout_s=timeout_s * hundreds, on_done=progress.add) if tasks else {}
    results: dict[str, Forecast | None] = {}
    for name, history in histories.items():
        results[name] = known.get(name)
        if history is not None and name not in known:
            results[name] = _settled(history, champions[name], answers.get(name), horizon, tuple(levels))
        progress.add(name)
    if memo is not None:
        memo.clear()
        memo.update((key, results[name]) for name, key in asked.items())
    return results


def _asked(history: Series, model: str, horizon: int, levels: Sequence[float]) -> tuple[object, ...]:
    """Everything that a forecast depends on."""
    y = hashlib.sha256(history.y.tobytes()).digest()
    return (history.unique_id, history.start, history.step_s, y, model, horizon, tuple(levels))


def _champions(series: Sequence[Series], model: str | Mapping[str, str]) -> dict[str, str]:
    """The model of every series, each name looked at before anything is begun."""
    champions: dict[str, str] = {}
    for one in series:
        if one.unique_id in champions:
            raise BadInput(f"{one.unique_id} is given twice")
        champions[one.unique_id] = (
            model if isinstance(model, str) else model.get(one.unique_id, SEASONAL_NAIVE)
        )
    for name in sorted(set(champions.values())):
        check(name)
    return champions


def _history(series: Series, issued_at: datetime, step_s: int) -> Series | None:
    """What was over at `issued_at`, floored to a step, by steps that end there; None where the last three
    know nothing.

    Steps that did not come yet are absent, so that whatever is predicted begins there.
    """
    step = timedelta(seconds=step_s)
    at = EPOCH + (issued_at - EPOCH) // step * step
    seen = hourly(series, step_s).until(at)
    known = np.flatnonzero(np.isfinite(seen.y))
    if not known.size:
        return None
    missing = round((at - seen.end).total_seconds() / step_s)
    if missing + seen.y.size - 1 - int(known[-1]) > STALE_STEPS:
        return None
    y = np.concatenate([seen.y, np.full(missing, np.nan)])
    return Series(unique_id=series.unique_id, start=seen.start, step_s=step_s, y=y)


def _settled(
    history: Series,
    champion: str,
    answer: NDArray[np.float64] | str | None,
    horizon: int,
    levels: tuple[float, ...],
) -> Forecast | None:
    """The champion's forecast if it stands, else the next of the chain."""
    at = history.end
    notes = [] if champion == SEASONAL_NAIVE else _learning(history)
    if isinstance(answer, str):
        notes.append(f"{champion} failed: {answer}")
    candidates = []
    if answer is not None and not isinstance(answer, str):
        candidates.append(
            Forecast(
                unique_id=history.unique_id,
                issued_at=at,
                step_s=history.step_s,
                levels=levels,
                values=answer,
                model=champion,
                trained_through=at,
            )
        )
    return settle(history, candidates, issued_at=at, horizon=horizon, levels=levels, notes=notes)


def _learning(history: Series) -> list[str]:
    """A note where less than two weeks are known, the longest season twice: which day it is."""
    first = int(np.argmax(np.isfinite(history.y)))
    day = (len(history.y) - first) * history.step_s // DAY_S + 1
    return [f"learning: day {day} of {LEARNING_DAYS}"] if day <= LEARNING_DAYS else []


class _Progress:
    """Tells how many series are settled, each once."""

    def __init__(self, listener: Callable[[int], None] | None) -> None:
        self._listener = listener
        self._settled: set[str] = set()

    def add(self, name: str) -> None:
        if name not in self._settled:
            self._settled.add(name)
            if self._listener is not None:
                self._listener(len(self._settled))
