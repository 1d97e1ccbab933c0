"""The contract of every forecast model: sound quantiles from any history, or one line why there are none."""

from __future__ import annotations

import numpy as np
import pytest

from forecasts.models import load, names
from forecasts.types import BadInput

LEVELS = (0.1, 0.5, 0.9, 0.95)
SEASONS = (24, 168)
HORIZON = 30
WEEKS = 4

QUICK = ("ridge", "seasonal_naive")
LIBRARY = tuple(name for name in names() if name not in QUICK)
MODELS = pytest.mark.parametrize(
    "model", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LIBRARY)]
)


def daily(weeks=WEEKS, seed=1):
    hours = np.arange(weeks * 168)
    weekend = np.where(hours // 24 % 7 >= 5, 0.6, 1.0)
    noise = np.random.default_rng(seed).normal(0, 2, hours.size)
    return (100 + 40 * np.sin(hours / 24 * 2 * np.pi)) * weekend + noise


def odd_histories():
    rng = np.random.default_rng(7)
    lone = np.full(400, np.nan)
    lone[17] = 3.0
    holes = daily()
    holes[rng.random(holes.size) < 0.6] = np.nan
    alternating = daily()
    alternating[::2] = np.nan
    crowd = daily()
    crowd[300] = 1e6
    return {
        "one": np.array([5.0]),
        "three": np.array([1.0, np.nan, 2.0]),
        "lone": lone,
        "zeros": np.zeros(400),
        "constant": np.full(400, 7.0),
        "almost-constant": np.r_[np.full(399, 7.0), 7.0000001],
        "holes": holes,
        "alternating": alternating,
        "crowd": crowd,
        "huge": daily() * 1e12,
        "tiny": daily() * 1e-12,
        "ramp": np.arange(400.0),
        "falling": np.arange(400.0)[::-1].copy(),
        "step": np.r_[np.full(300, 1.0), np.full(100, 500.0)],
        "intermittent": np.where(rng.random(700) < 0.03, 50.0, 0.0),
        "wide": rng.lognormal(0, 3, 700),
        "two-days": daily()[:48],
        "starts-late": np.r_[np.full(300, np.nan), daily(2)],
        "ends-early": np.r_[daily(2), np.full(60, np.nan)],
    }


@MODELS
@pytest.mark.parametrize("kind", odd_histories())
def test_any_history_gives_sound_quantiles_or_a_reason(model, kind):
    """Finite, not negative, in order, whatever the history; or BadInput where it is below MINIMUM."""
    y = odd_histories()[kind]
    module = load(model)
    if np.isfinite(y).sum() < module.MINIMUM:
        with pytest.raises(BadInput, match=rf"needs {module.MINIMUM} points, and has"):
            module.fit_predict([y], HORIZON, LEVELS, seasons=SEASONS)
        return
    (values,) = module.fit_predict([y], HORIZON, LEVELS, seasons=SEASONS)
    assert values.shape == (HORIZON, len(LEVELS))
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert (np.diff(values, axis=1) >= 0).all()


@MODELS
def test_arrays_are_forecast_each_for_itself_and_left_alone(model):
    """A list gives what each array alone gives, in order; the input is not written to."""
    one, other = daily(seed=1), daily(seed=2)[:500]
    module = load(model)
    before = one.copy()
    together = module.fit_predict([one, other], 5, (0.5,), seasons=SEASONS)
    assert np.array_equal(one, before)
    for array, values in zip((one, other), together, strict=True):
        assert np.array_equal(values, module.fit_predict([array], 5, (0.5,), seasons=SEASONS)[0])


@MODELS
def test_the_day_is_known(model):
    """On a daily load with a little noise, the middle quantile is nearer than the mean of the day."""
    y = daily(WEEKS)
    (values,) = load(model).fit_predict([y[:-24]], 24, LEVELS, seasons=SEASONS)
    error = np.abs(values[:, 1] - y[-24:]).mean()
    assert error < 0.5 * np.abs(y[-24:].mean() - y[-24:]).mean()


@MODELS
def test_f05_one_nan_inside_does_not_make_the_forecast_zero(model):
    """y[100] = NaN changes a forecast hardly at all."""
    y = daily()
    holed = y.copy()
    holed[100] = np.nan
    module = load(model)
    (clean,) = module.fit_predict([y], 24, LEVELS, seasons=SEASONS)
    (values,) = module.fit_predict([holed], 24, LEVELS, seasons=SEASONS)
    assert np.allclose(values, clean, rtol=0.1)


@MODELS
def test_f09_twenty_missing_rows_keep_the_season(model):
    """A gap of 20 hours a day before the end costs at most a fifth of the accuracy."""
    y = daily()
    holed = y[:-24].copy()
    holed[-60:-40] = np.nan
    module = load(model)
    (clean,) = module.fit_predict([y[:-24]], 24, (0.5,), seasons=SEASONS)
    (values,) = module.fit_predict([holed], 24, (0.5,), seasons=SEASONS)
    before, after = (np.abs(one[:, 0] - y[-24:]).mean() for one in (clean, values))
    assert after <= 1.2 * before + 0.5


@MODELS
def test_f16_zeros_at_the_tail_do_not_pull_the_forecast_down(model):
    """Six zeros after a life around 100 are an outage: the forecast stays where the load was."""
    y = daily()
    out = y.copy()
    out[-6:] = 0.0
    module = load(model)
    (clean,) = module.fit_predict([y], 24, (0.5,), seasons=SEASONS)
    (values,) = module.fit_predict([out], 24, (0.5,), seasons=SEASONS)
    assert values.mean() > 0.85 * clean.mean()
    assert values.min() > 0.5 * clean.min()


def test_models_are_found_by_their_module_name():
    """Whatever module lies in the folder is a model; a wrong name is told with the nearest."""
    assert names() == ("auto", "ets", "mstl", "ridge", "seasonal_naive", "theta")
    with pytest.raises(BadInput, match="did you mean theta"):
        load("thetta")
    with pytest.raises(BadInput, match="there are auto, ets, mstl"):
        load("prophet")
