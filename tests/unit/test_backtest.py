"""Rolling origins: nothing later reaches a model, and the figures are those of what came."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasts import backtest
from forecasts.types import BadInput

LEVELS = (0.025, 0.5, 0.975)
DAY = 6


def last(known):
    value = known[np.isfinite(known)][-1]
    return np.tile(np.array([value - 1, value, value + 1]), (4, 1))


def rolled(y, model=last, folds=3):
    at = backtest.origins(y, 4, folds, gap=5, least=2 * DAY)
    return backtest.roll(y, model, at, horizon=4, levels=LEVELS, day=DAY)


def test_the_last_fold_ends_with_the_history_and_each_begins_a_gap_earlier():
    """Folds are counted from the end; those with too little before them are left out."""
    y = np.arange(40.0)
    assert backtest.origins(y, 4, 3, gap=5, least=12) == (26, 31, 36)
    assert backtest.origins(y, 4, 9, gap=5, least=12) == (16, 21, 26, 31, 36)
    holed = y.copy()
    holed[5:15] = np.nan
    assert backtest.origins(holed, 4, 9, gap=5, least=12) == (26, 31, 36)
    with pytest.raises(BadInput, match="40 steps are too few"):
        backtest.origins(y, 30, 1, gap=5, least=12)
    with pytest.raises(BadInput, match="at least 1"):
        backtest.origins(y, 4, 0, gap=5, least=12)


@given(arrays.arrays(np.float64, 60, elements=st.floats(0, 1e6)), st.data())
def test_no_model_sees_what_comes(y, data):
    """What is said at an origin is the same whatever comes at it and later."""
    at = data.draw(st.integers(2 * DAY, 56))
    other = y.copy()
    other[at:] = data.draw(arrays.arrays(np.float64, 60 - at, elements=st.floats(0, 1e6)))
    one, two = (backtest.roll(z, last, (at,), horizon=4, levels=LEVELS, day=DAY) for z in (y, other))
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.rival, two.rival)


def test_a_model_cannot_write_into_the_history():
    """A model that spoils its input spoils only its own copy."""
    y = np.arange(60.0)

    def vandal(known):
        values = last(known)
        known[:] = 1e9
        return values

    assert np.array_equal(rolled(y, vandal).values, rolled(y).values)
    assert y[0] == 0


def test_the_naive_scores_one_and_the_truth_nothing():
    """Yesterday's pattern has the ratio 1, a model that knows has 0, and a wide band covers all."""
    y = np.random.default_rng(2).uniform(1, 9, 60)

    def yesterday(known):
        return np.repeat(backtest.naive(known, 4, DAY)[:, None], 3, axis=1)

    def knows(known):
        return y[known.size : known.size + 4, None] + np.array([-1.0, 0.0, 1.0])

    found = backtest.scores(rolled(y, yesterday), day=DAY)
    assert (found.mae_ratio, found.first_hour, found.spoke, found.folds) == (1.0, 1.0, 3, 3)
    found = backtest.scores(rolled(y, knows), day=DAY)
    assert (found.mae_ratio, found.mase, found.coverage) == (0.0, 0.0, 1.0)
    assert found.nominal == pytest.approx(0.95)
    assert set(found.by_step) == {0, 1, 2}


def test_a_fold_without_a_forecast_is_counted_and_not_scored():
    """A model silent in one fold has the scores of the others; silent in all, it has none."""
    y = np.random.default_rng(2).uniform(1, 9, 60)
    found = backtest.scores(rolled(y, lambda known: None if known.size < 50 else last(known)), day=DAY)
    assert (found.spoke, found.folds) == (2, 3)
    assert found.mae_ratio == backtest.scores(rolled(y, folds=2), day=DAY).mae_ratio
    silent = backtest.scores(rolled(y, lambda _: None), day=DAY)
    assert silent.spoke == 0
    assert np.isnan([silent.mae_ratio, silent.mase, silent.wql, silent.coverage]).all()
