"""Losses: worked by hand, blind to what is absent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasts import losses
from forecasts.types import BadInput

NAN = np.nan
load = arrays.arrays(np.float64, 12, elements=st.floats(0, 1e6))


def test_each_loss_by_hand():
    """Small arrays give what paper gives."""
    actual, point = np.array([1.0, 4.0]), np.array([2.0, 2.0])
    assert losses.mae(actual, point) == 1.5
    assert losses.mae_ratio(actual, point, np.array([4.0, 4.0])) == 1.0
    assert losses.mase(actual, point, np.array([0.0, 1.0, 3.0]), 1) == 1.0
    values = np.array([[0.0, 2.0], [2.0, 8.0]])
    assert np.allclose(losses.pinball(actual, values, (0.5, 0.9)), [[0.5, 0.1], [1.0, 0.4]])
    assert losses.wql(actual, values, (0.5, 0.9)) == pytest.approx(0.4)
    assert losses.coverage(actual, np.array([1.0, 5.0]), np.array([1.0, 6.0])) == 0.5


@given(load, load, st.integers(0, 11))
def test_what_is_absent_counts_nowhere(actual, point, hole):
    """An absent step gives the score of the series without it."""
    holed = actual.copy()
    holed[hole] = NAN
    rest = np.delete(actual, hole), np.delete(point, hole)
    values = np.stack([point, point + 1], axis=-1)
    assert losses.mae(holed, point) == pytest.approx(losses.mae(*rest))
    assert losses.mae_ratio(holed, point, point + 1) == pytest.approx(losses.mae_ratio(*rest, rest[1] + 1))
    known = losses.wql(rest[0], np.delete(values, hole, 0), (0.5, 0.9))
    assert losses.wql(holed, values, (0.5, 0.9)) == pytest.approx(known, nan_ok=True)
    inside = losses.coverage(rest[0], rest[1], rest[1] + 1)
    assert losses.coverage(holed, point, point + 1) == pytest.approx(inside)


@given(load, st.sampled_from([0.1, 0.5, 0.9]))
def test_the_sample_quantile_has_the_least_pinball_loss(actual, q):
    """No other constant among the samples costs less than their quantile."""

    def loss(value):
        return losses.pinball(actual, np.full((12, 1), value), (q,)).mean()

    best = np.quantile(actual, q, method="inverted_cdf")
    assert loss(best) <= min(loss(value) for value in actual) * (1 + 1e-9) + 1e-9


def test_a_score_of_nothing_is_unknown():
    """No step, no error of the rival, no load: NaN, never zero and never a warning."""
    empty, zeros = np.full(3, NAN), np.zeros(3)
    assert np.isnan(losses.mae(empty, zeros))
    assert np.isnan(losses.coverage(empty, zeros, zeros))
    assert np.isnan(losses.mae_ratio(zeros, zeros + 1, zeros))
    assert np.isnan(losses.mase(zeros, zeros, np.ones(30), 24))
    assert np.isnan(losses.wql(zeros, np.ones((3, 1)), (0.5,)))


def test_shapes_that_do_not_fit_are_refused():
    """One level too many is told with both shapes, and a season is at least a step."""
    with pytest.raises(BadInput, match="do not fit"):
        losses.pinball(np.zeros(3), np.zeros((3, 2)), (0.5,))
    with pytest.raises(BadInput, match="season of 0"):
        losses.mase(np.zeros(3), np.zeros(3), np.zeros(9), 0)
