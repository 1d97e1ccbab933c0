"""Laws of the long forecasts: features see nothing later, units do not matter, bands widen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasts.backtest import roll
from forecasts.lags import NAMES, Past
from forecasts.models import load as load_model
from forecasts.models import names
from forecasts.models.ridge import fit_predict

LEVELS = (0.025, 0.5, 0.975)


def load(weeks=5, seed=3):
    hours = np.arange(weeks * 168)
    weekend = np.where(hours // 24 % 7 >= 5, 0.6, 1.0)
    noise = np.random.default_rng(seed).normal(0, 3, hours.size)
    return (100 + 40 * np.sin(hours / 24 * 2 * np.pi)) * weekend + noise


@given(arrays.arrays(np.float64, 240, elements=st.floats(0, 1e6)), st.integers(1, 239), st.integers(0, 400))
def test_features_do_not_see_the_future(y, at, ahead):
    """From the whole history and from the history cut at the moment come the same numbers."""
    rows = np.array([at]), np.array([ahead])
    whole = Past(y, day=24).features(*rows)
    assert whole.shape == (1, len(NAMES))
    assert np.array_equal(whole, Past(y[:at], day=24).features(*rows))
    assert np.isfinite(whole).all()


@given(arrays.arrays(np.float64, 300, elements=st.floats(1, 1e6)), st.sampled_from([0.001, 1000.0]))
def test_features_have_the_unit_of_the_load(y, unit):
    """Demand in another unit has the same features in that unit."""
    rows = np.array([50, 200, 300]), np.array([0, 30, 500])
    one, other = Past(y, day=24).features(*rows), Past(unit * y, day=24).features(*rows)
    assert np.abs(unit * one - other).max() <= 1e-9 * unit * y.max()


def test_ridge_knows_no_unit():
    """A load in thousands is forecast as the load itself."""
    y = load()
    (one,) = fit_predict([y], 48, LEVELS)
    (other,) = fit_predict([1000 * y], 48, LEVELS)
    assert np.allclose(1000 * one, other, rtol=1e-6)


def test_five_weeks_keep_the_week_and_widen():
    """From five weeks of history five weeks ahead: weekends stay weekends, and the band of the last week is
    wider than that of the first.
    """
    y = load()
    (values,) = fit_predict([y], 5 * 168, LEVELS)
    middle = values[:, 1].reshape(5, 7, 24).mean(axis=2)
    assert (middle[:, 5:].max(axis=1) < middle[:, :5].min(axis=1)).all()
    width = (values[:, 2] - values[:, 0]).reshape(5, -1).mean(axis=1)
    assert width[-1] > width[0]
    assert values.max() < 2 * y.max()


@pytest.mark.parametrize("weeks", [3, 5, 8])
def test_a_long_band_never_explodes(weeks):
    """Bursts of ten times the load do not let the band of five weeks pass twice what was ever seen."""
    y = load(weeks)
    y[np.random.default_rng(weeks).random(y.size) < 0.03] *= 10
    (values,) = fit_predict([y], 5 * 168, LEVELS)
    assert values.max() <= 2 * y.max()
    assert (values[-168:, 2] > values[-168:, 0]).all()


def one_model(name):
    return pytest.param(name, marks=() if name in {"ridge", "seasonal_naive"} else pytest.mark.slow)


@pytest.mark.parametrize("model", [one_model(name) for name in names()])
@pytest.mark.parametrize("cut", [170, 503, 700])
def test_no_model_sees_the_future(model, cut):
    """A forecast in the backtest from a history is the one from that history cut at the moment, whatever
    came later; and what it was given is left as it was.
    """
    y = load(5)
    fit = load_model(model).fit_predict

    def said(known):
        return fit([known], 24, LEVELS, seasons=(24, 168))[0]

    later = y.copy()
    later[cut:] = 1e6
    given = {"at": (cut,), "horizon": 24, "levels": LEVELS, "day": 24}
    whole, other = (roll(one, said, **given).values[0] for one in (y, later))
    assert np.array_equal(whole, other)
    assert np.array_equal(whole, said(y[:cut].copy()))
    buffer = later.copy()
    assert np.array_equal(whole, said(buffer[:cut]))
    assert np.array_equal(buffer, later)


@pytest.mark.slow
def test_the_band_covers_what_it_says_on_a_load_it_knows():
    """Over 40 origins of a seasonal load with noise the 95 % band holds 92 to 99.5 % of what came."""
    inside = []
    for seed in range(40):
        y = load(4, seed)
        (values,) = fit_predict([y[:-48]], 48, LEVELS)
        inside.append(((y[-48:] >= values[:, 0]) & (y[-48:] <= values[:, 2])).mean())
    assert 0.92 <= np.mean(inside) <= 0.995


@pytest.mark.parametrize("step", [5.0, 0.2])
def test_f25_a_level_that_shifts_is_followed_within_a_day(step):
    """A day after demand became five times as much, or a fifth, the forecast is there."""
    y = load()
    y[-24:] *= step
    (values,) = fit_predict([y], 24, LEVELS)
    ratio = values[:4, 1].mean() / y[-24:-20].mean()
    assert 0.5 < ratio < 2
