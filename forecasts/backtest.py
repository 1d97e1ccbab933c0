"""Rolling origins without peeking: what a model would have said, scored by what came.

A model is a callable from what was known at an origin to the quantiles that follow; it is handed a copy cut
at the origin, so that nothing later can reach it. Every model is scored on the steps on which it and the
seasonal naive of one day spoke.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecasts import losses
from forecasts.conformal import edges
from forecasts.outages import filled
from forecasts.types import BadInput

Floats = NDArray[np.float64]
MEDIAN = 0.5

# float64 [steps known] -> quantiles float64 [horizon, level]; None where it has none.
Model = Callable[[Floats], Floats | None]


def origins(known: Floats, horizon: int, folds: int, *, gap: int, least: int) -> tuple[int, ...]:
    """Where forecasts begin, ascending: the last `horizon` steps before the end, each `gap` before the next.

    Fewer than `folds` where a fold would begin with fewer than `least` finite values of `known` float64
    [steps]; BadInput where there is none.
    """
    if horizon < 1 or folds < 1 or gap < 1:
        raise BadInput(f"horizon {horizon}, folds {folds} and gap {gap} must each be at least 1")
    seen = np.isfinite(known).cumsum()
    last = known.size - horizon
    found = [at for at in range(last, 0, -gap)[:folds] if seen[at - 1] >= least]
    if not found:
        are = "steps are" if known.size != 1 else "step is"
        raise BadInput(f"{known.size} {are} too few for {horizon} ahead after {least} known ones")
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folds:
    """What came and what was said: `actual` and the naive's `rival` float64 [fold, horizon], `values` float64
    [fold, horizon, level] (NaN where the model had nothing), `before` what was known at each origin.
    """

    at: tuple[int, ...]
    levels: tuple[float, ...]
    actual: Floats
    rival: Floats
    values: Floats
    before: tuple[Floats, ...] = field(repr=False)


def roll(
    y: Floats, model: Model, at: Sequence[int], *, horizon: int, levels: Sequence[float], day: int
) -> Folds:
    """The folds of a model over y float64 [steps] at the origins `at`; `day` is the steps of a day."""
    actual = np.stack([y[t : t + horizon] for t in at])
    before = tuple(np.array(y[:t]) for t in at)
    rival = np.stack([naive(known, horizon, day) for known in before])
    values = np.full((len(at), horizon, len(levels)), np.nan)
    for k, known in enumerate(before):
        said = model(known.copy())
        if said is not None:
            values[k] = said
    return Folds(at=tuple(at), levels=tuple(levels), actual=actual, rival=rival, values=values, before=before)


def naive(known: Floats, horizon: int, day: int) -> Floats:
    """The last day again and again [horizon]; where a step of it is absent, what stands for it."""
    whole = filled(known, (day,))
    last = whole[-day:] if whole.size >= day else np.repeat(whole[-1:], day)
    return np.resize(last, horizon)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The figures of a model: `mae_ratio` against the naive of a day over all steps and `first_hour` over the
    first step, MASE, weighted quantile loss, coverage of the band between the outermost levels and what it
    should be, folds with a forecast, and the ratio by the step at which each bucket of the horizon begins.
    """

    mae_ratio: float
    first_hour: float
    mase: float
    wql: float
    coverage: float
    nominal: float
    folds: int
    spoke: int
    by_step: Mapping[int, float]


def scores(folds: Folds, *, day: int, levels: Sequence[float] | None = None) -> Scores:
    """What came of the folds of one series; NaN where a figure is not known.

    Errors are those of the median, which must be among the folds' levels (else BadInput); the quantile loss
    and the band are those of `levels`, ascending and some of the folds', None for all of them.
    """
    if MEDIAN not in folds.levels:
        raise BadInput(f"levels {folds.levels} hold no median, whose errors are scored")
    levels = folds.levels if levels is None else tuple(levels)
    shown = folds.values[:, :, [folds.levels.index(level) for level in levels]]
    middle = folds.values[:, :, folds.levels.index(MEDIAN)]
    mases = [
        losses.mase(actual, point, known, day)
        for actual, point, known in zip(folds.actual, middle, folds.before, strict=True)
    ]

    def ratio(part: slice) -> float:
        return losses.mae_ratio(folds.actual[:, part], middle[:, part], folds.rival[:, part])

    return Scores(
        mae_ratio=ratio(slice(None)),
        first_hour=ratio(slice(0, max(1, day // 24))),
        mase=losses.mean(np.array(mases)),
        wql=losses.wql(folds.actual, shown, levels),
        coverage=losses.coverage(folds.actual, shown[:, :, 0], shown[:, :, -1]),
        nominal=levels[-1] - levels[0],
        folds=len(folds.at),
        spoke=int(np.isfinite(shown).all(axis=(1, 2)).sum()),
        by_step={
            begin: ratio(slice(begin, end)) for begin, end in pairwise(edges(folds.actual.shape[1], day))
        },
    )
