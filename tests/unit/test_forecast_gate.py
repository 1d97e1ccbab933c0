"""The forecast gate and the fallback chain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasts.fallback import SAME_HOUR, SEASONAL_NAIVE, same_hour, settle
from forecasts.gate import AGREEMENT, CEILING, refusal
from forecasts.types import Forecast, Series

T0 = datetime(2026, 3, 2, tzinfo=UTC)
LEVELS = (0.5, 0.9)
HOURS = 24 * 28


def history(y=None):
    if y is None:
        y = 100 + 40 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi)
    return Series(unique_id="web", start=T0, step_s=3600, y=np.asarray(y, float))


def forecast(values, past=None, *, at=None, model="mstl", step_s=3600):
    past = past or history()
    at = at or past.end
    return Forecast(
        unique_id="web",
        issued_at=at,
        step_s=step_s,
        levels=LEVELS,
        values=np.asarray(values, float),
        model=model,
        trained_through=min(at, past.end),
    )


def flat(low, high, horizon=24):
    return np.tile([low, high], (horizon, 1)).astype(float)


def put(values, row, column, value):
    values[row, column] = value
    return values


def test_a_plain_forecast_passes():
    """What is finite, in order and near the past has nothing said against it."""
    assert refusal(forecast(flat(100, 150)), history()) is None


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (put(flat(100, 150), 3, 1, np.nan), "1 of 48 values are not finite"),
        (put(flat(100, 150), 3, 1, np.inf), "not finite"),
        (put(flat(100, 150), 3, 0, -1.0), "negative, -1"),
        (put(flat(100, 150), 3, 0, 151.0), "cross"),
        (put(flat(100, 150), 3, 1, 140 * CEILING * 1.01), "above 420"),
        (flat(0, 0), "zero throughout"),
        (flat(100 / AGREEMENT * 0.99, 150), "seasonal naive's is 100"),
        (flat(100 * AGREEMENT * 1.02, 415), "seasonal naive's is 100"),
        (np.zeros((0, 2)), "no steps"),
    ],
)
def test_f82_an_unsound_forecast_is_refused_in_one_line(values, word):
    """NaN, negative, crossed, exploding, flat zero, far from the naive twin: refused, and told why."""
    why = refusal(forecast(values), history())
    assert word in why
    assert "\n" not in why


def test_a_declared_event_raises_the_ceiling():
    """A multiplier of two lets through twice as much, and not more."""
    high = put(flat(100, 150), 3, 1, 140 * CEILING * 1.9)
    assert refusal(forecast(high), history()) is not None
    assert refusal(forecast(high), history(), multiplier=2.0) is None
    assert refusal(forecast(high * 1.1), history(), multiplier=2.0) is not None


def test_a_forecast_in_the_past_is_refused():
    """It may begin where the history ends or later, never before."""
    past = history()
    assert "in the past" in refusal(forecast(flat(100, 150), at=past.end - timedelta(hours=1)), past)
    assert refusal(forecast(flat(100, 150), at=past.end + timedelta(hours=2)), past) is None
    assert "step" in refusal(forecast(flat(100, 150), step_s=1800), past)


def test_zero_is_allowed_where_last_week_was_zero():
    """A pool that slept last week may be forecast to sleep on."""
    asleep = history(np.r_[np.full(HOURS - 168, 100.0), np.zeros(168)])
    assert refusal(forecast(flat(0, 0), asleep), asleep) is None


def test_without_a_past_nothing_passes():
    """There is no forecast of what was never seen."""
    nothing = history(np.full(200, np.nan))
    assert "no history" in refusal(forecast(flat(1, 2), nothing), nothing)


def run(past, candidates=(), **more):
    settings = {"issued_at": past.end, "horizon": 24, "levels": LEVELS, **more}
    return settle(past, candidates, **settings)


def test_the_champion_is_taken_when_it_stands():
    """The first sound candidate is the forecast, with what was said before it."""
    result = run(history(), [forecast(flat(100, 150))], notes=("slow",))
    assert (result.model, result.notes) == ("mstl", ("slow",))


def test_f82_a_refused_champion_falls_back_and_says_so():
    """The seasonal naive takes over, and the notes name who was refused and why."""
    bad = forecast(put(flat(100, 150), 0, 0, np.nan))
    result = run(history(), [bad, forecast(flat(-1, 150), model="theta")])
    assert result.model == SEASONAL_NAIVE
    assert result.notes[0] == "mstl refused: 1 of 48 values are not finite"
    assert result.notes[1].startswith("theta refused: it is negative")
    assert np.allclose(result.values[:, 0], history().y[-168:-144])


def test_nothing_known_is_hold():
    """No history, no forecast: None, never zero."""
    assert run(history(np.full(300, np.nan))) is None
    assert run(history(np.zeros(0))) is None


def test_a_refused_naive_leaves_the_same_hour_of_past_weeks():
    """Where last week's pattern died out against the month, the largest of the same hour stands in."""
    y = history().y.copy()
    y[-168:] = 0.0
    y[-3:] = 100.0
    result = run(history(y))
    assert result.model == SAME_HOUR
    assert result.notes[0].startswith("seasonal_naive refused: it is zero throughout")
    assert np.allclose(result.values, np.maximum(y[-168:-144], y[-336:-312])[:, None])


def test_same_hour_takes_the_largest_of_four_weeks():
    """The same hour of the last four weeks, absent ones left out; without any, the largest there is."""
    y = np.arange(168.0 * 5)
    assert same_hour(y, 2, 168).tolist() == [y[-168], y[-167]]
    y[-168] = np.nan
    assert same_hour(y, 1, 168).tolist() == [y[-336]]
    assert same_hour(np.array([3.0, 9.0, np.nan]), 1, 168).tolist() == [9.0]
    assert np.isnan(same_hour(np.array([np.nan]), 1, 168)).all()


def test_what_ends_earlier_is_forecast_from_now_on():
    """A history that ends two hours before its issue is forecast from the issue on."""
    past = history()
    result = run(past, issued_at=past.end + timedelta(hours=2))
    assert result.issued_at == past.end + timedelta(hours=2)
    assert result.trained_through == past.end
    assert np.allclose(result.values[:, 0], past.y[-166:-142])


def test_the_future_is_cut_off():
    """What is later than `issued_at` changes nothing."""
    past = history()
    at = past.end - timedelta(days=3)
    assert np.array_equal(run(past, issued_at=at).values, run(past.until(at), issued_at=at).values)


maybe = st.floats(0, 1e9) | st.just(np.nan) | st.just(0.0)


@given(arrays.arrays(np.float64, st.integers(0, 400), elements=maybe))
def test_what_is_settled_is_sound_or_none(y):
    """Whatever the history: None only where nothing was ever known, else sound quantiles."""
    past = history(y)
    result = run(past)
    if result is None:
        assert not np.isfinite(y).any()
        return
    assert result.model == SAME_HOUR or refusal(result, past) is None
    assert np.isfinite(result.values).all()
    assert (result.values >= 0).all()
    assert result.values.shape == (24, 2)
