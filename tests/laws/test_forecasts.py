"""Laws of the frame and of the forecasts: nothing sees the future, and order never matters."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasts.frame import Limits, gate
from forecasts.hours import hourly
from forecasts.models.seasonal_naive import fit_predict, issue
from forecasts.types import Series

T0 = datetime(2026, 3, 2, 0, 20, tzinfo=UTC)
LEVELS = (0.5, 0.9, 0.95)
load = st.floats(0, 1e9, allow_nan=False) | st.just(0.0)
maybe = load | st.just(np.nan)


def history(most=200, elements=maybe):
    return arrays.arrays(np.float64, st.integers(1, most), elements=elements)


def naive(y, horizon=3):
    return issue(y[None], (6, 42), horizon, LEVELS, 60)[0]


@given(history(), st.data())
def test_issued_quantiles_do_not_see_the_future(y, data):
    """What is issued at t is the same whatever comes at t and later, and however much of it."""
    t = data.draw(st.integers(0, len(y)))
    other = y.copy()
    other[t:] = data.draw(arrays.arrays(np.float64, len(y) - t, elements=maybe))
    whole = naive(y)
    assert np.array_equal(whole[: t + 1], naive(other)[: t + 1], equal_nan=True)
    assert np.array_equal(whole[:t], naive(y[:t])[:t], equal_nan=True) if t else True


@given(history())
def test_issue_and_fit_predict_are_one(y):
    """What is predicted after t steps is what was issued at t."""
    whole = issue(y[None], (6, 42), 3, LEVELS, 4 * 42)[0]
    for t in range(0, len(y), 17):
        assert np.array_equal(fit_predict([y[:t]], 3, LEVELS, seasons=(6, 42))[0], whole[t], equal_nan=True)


@given(history())
def test_issued_quantiles_are_sound(y):
    """From the first finite value on, quantiles are finite, not negative and in order."""
    issued = naive(y, horizon=9)
    known = np.r_[False, np.isfinite(y).cumsum()[:-1] > 0]
    assert np.isfinite(issued[known]).all()
    assert np.isnan(issued[~known]).all()
    assert (issued[known] >= 0).all()
    assert (np.diff(issued[known], axis=-1) >= 0).all()


@given(st.integers(1, 20), st.integers(0, 100), st.integers(3, 6))
def test_seasonal_naive_knows_a_pattern_that_repeats(day, scale, weeks):
    """On a load that repeats each season, the forecast is exact from the second week on."""
    season = np.abs(np.sin(np.arange(7 * day))) * scale
    y = np.tile(season, weeks)
    issued = issue(y[None], (day, 7 * day), day, LEVELS, 7 * day)[0]
    for t in range(14 * day + day, len(y) - day, 5):
        assert np.allclose(issued[t], y[t : t + day, None])


def test_errors_are_those_of_their_own_horizon():
    """A load that grows by one is forecast to go on, as the error of each horizon is its own."""
    y = np.arange(20.0)
    issued = issue(y[None], (24, 168), 4, LEVELS, 100)[0]
    assert np.allclose(issued[12], (12 + np.arange(4.0))[:, None])


def gated(minutes, y, order=None, *, strict=False):
    ids = np.array(["a", "b"], dtype=object)[np.arange(len(y)) % 2]
    ds = np.datetime64("2026-03-02T00:20", "us") + np.asarray(minutes) * np.timedelta64(60, "s")
    order = np.arange(len(y)) if order is None else order
    return gate(ids[order], ds[order], np.asarray(y)[order], Limits(), strict=strict)


def same(one, other):
    assert [s.unique_id for s in one] == [s.unique_id for s in other]
    for a, b in zip(one, other, strict=True):
        assert (a.start, a.step_s) == (b.start, b.step_s)
        assert np.array_equal(a.y, b.y, equal_nan=True)


@given(st.lists(st.tuples(st.integers(0, 500), maybe | st.just(-1.0)), min_size=4, max_size=60), st.randoms())
def test_the_order_of_the_rows_never_matters(rows, random):
    """Any order of the same samples gives the same series and the same refusals."""
    minutes, y = zip(*rows, strict=True)
    order = np.arange(len(rows))
    random.shuffle(order)
    one, other = gated(minutes, y), gated(minutes, y, order)
    same(one.series, other.series)
    assert {k: v.message for k, v in one.refused.items()} == {k: v.message for k, v in other.refused.items()}


@given(history(elements=load), st.data())
def test_the_gate_does_not_see_the_future(y, data):
    """On sound samples, cutting the input short changes nothing of what remains."""
    minutes = np.arange(len(y)) // 2 * 5
    cut = data.draw(st.integers(4, max(4, len(y))))
    whole, part = gated(minutes, y), gated(minutes[:cut], y[:cut])
    for series in part.series:
        longer = next(one for one in whole.series if one.unique_id == series.unique_id)
        assert np.array_equal(longer.y[: len(series.y)], series.y, equal_nan=True)


@pytest.mark.parametrize("aggregate", ["mean", "max"])
@given(y=history(), minutes=st.sampled_from([1, 5, 7, 30, 60, 120]), data=st.data())
def test_hours_do_not_see_the_future(aggregate, y, minutes, data):
    """An hour that is there stays as it is when more samples come."""
    cut = data.draw(st.integers(0, len(y)))

    def series(values):
        return Series(unique_id="a", start=T0.replace(minute=0), step_s=60 * minutes, y=values)

    whole, part = hourly(series(y), aggregate=aggregate), hourly(series(y[:cut]), aggregate=aggregate)
    assert np.array_equal(whole.y[: len(part.y)], part.y, equal_nan=True)
    assert (part.end - series(y[:cut]).end).total_seconds() <= 0 or not len(part.y)


@given(y=history())
def test_the_mean_of_an_hour_lies_within_its_samples(y):
    """No hour is above its largest nor below its smallest sample, and max is the largest."""
    series = Series(unique_id="a", start=T0, step_s=300, y=y)
    mean, top = hourly(series), hourly(series, aggregate="max")
    assert np.array_equal(np.isnan(mean.y), np.isnan(top.y))
    there = np.isfinite(mean.y)
    assert (mean.y[there] <= top.y[there] * (1 + 1e-12)).all()
    assert (mean.y[there] >= 0).all()
