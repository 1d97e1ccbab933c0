"""Models tried on the past of many series: fits in the child process, scores by rolling origins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoscaler.fitting import Task, fit
from forecasts import backtest
from forecasts.models import load
from forecasts.types import DAY_S, WEEK_S, Series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAIVE = "seasonal_naive"
# A fit may take so long before it is given up.
FIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A model on a series: scores, where its folds began (steps), seconds a fit, why folds are missing."""

    unique_id: str
    model: str
    scores: backtest.Scores
    at: tuple[int, ...]
    seconds: float
    notes: tuple[str, ...]


def tried(
    series: Sequence[Series],
    model: str,
    *,
    horizon: int,
    folds: int,
    levels: Sequence[float],
    on_fit: Callable[[int], None],
) -> list[Tried]:
    """The model on the folds of every series, all with one step; `on_fit` hears how many fits are done.

    The median is asked for beside `levels` where it is not among them: errors are those of the median.

    A fold on which it raised, hung or died has no forecast, and the notes say why. BadInput for a series that
    is too short for one fold.
    """
    asked = tuple(sorted({*levels, backtest.MEDIAN}))
    plans = {one.unique_id: _origins(one, horizon, folds) for one in series}
    tasks = [
        Task(
            key=f"{k}/{at}",
            model=model,
            y=one.y[:at],
            horizon=horizon,
            levels=asked,
            seasons=_seasons(one.step_s),
        )
        for k, one in enumerate(series)
        for at in plans[one.unique_id]
    ]
    begun = time.monotonic()
    answers = _fitted(tasks, model, on_fit)
    seconds = (time.monotonic() - begun) / len(tasks) if tasks else 0.0
    out = []
    for k, one in enumerate(series):
        mine = {at: answers[f"{k}/{at}"] for at in plans[one.unique_id]}
        rolled = _rolled(one, mine, horizon=horizon, levels=asked)
        out.append(
            Tried(
                unique_id=one.unique_id,
                model=model,
                scores=backtest.scores(rolled, day=_seasons(one.step_s)[0], levels=levels),
                at=tuple(mine),
                seconds=seconds,
                notes=tuple(dict.fromkeys(answer for answer in mine.values() if isinstance(answer, str))),
            )
        )
    return out


def _seasons(step_s: int) -> tuple[int, int]:
    return max(1, DAY_S // step_s), max(1, WEEK_S // step_s)


def _origins(series: Series, horizon: int, folds: int) -> tuple[int, ...]:
    """Folds that do not overlap and begin at other hours, after two days at least."""
    day = _seasons(series.step_s)[0]
    return backtest.origins(series.y, horizon, folds, gap=horizon + max(1, 5 * day // 24), least=2 * day)


def _fitted(
    tasks: Sequence[Task], model: str, on_fit: Callable[[int], None]
) -> Mapping[str, NDArray[np.float64] | str]:
    done: set[str] = set()

    def settled(key: str) -> None:
        done.add(key)
        on_fit(len(done))

    if model != NAIVE:
        return fit(tasks, timeout_s=FIT_S + len(tasks) * FIT_S / 10, on_done=settled)
    answers: dict[str, NDArray[np.float64] | str] = {}
    for task in tasks:
        answers[task.key] = load(NAIVE).fit_predict(
            [task.y], task.horizon, task.levels, seasons=task.seasons
        )[0]
        settled(task.key)
    return answers


def _rolled(
    one: Series,
    answers: Mapping[int, NDArray[np.float64] | str],
    *,
    horizon: int,
    levels: Sequence[float],
) -> backtest.Folds:
    """The folds of one series from the answer at each of its origins."""

    def said(known: NDArray[np.float64]) -> NDArray[np.float64] | None:
        answer = answers[known.size]
        return None if isinstance(answer, str) else answer

    day = _seasons(one.step_s)[0]
    return backtest.roll(one.y, said, tuple(answers), horizon=horizon, levels=levels, day=day)
