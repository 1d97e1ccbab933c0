"""Conformal calibration: bands as wide as the model's own past errors, and never crossing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecasts.conformal import calibrated, edges, offsets
from forecasts.types import BadInput

LEVELS = (0.025, 0.5, 0.975)


def test_buckets_are_fine_at_first_and_coarse_later():
    """Hours 1, 2, 4, 8, 16, then days 1, 2, 4, ..., whatever the step, up to the horizon."""
    assert edges(48, 24) == (0, 1, 2, 4, 8, 16, 24, 48)
    assert edges(5 * 168, 24) == (0, 1, 2, 4, 8, 16, 24, 48, 96, 192, 384, 768, 840)
    assert edges(3, 24) == (0, 1, 2, 3)
    assert edges(288, 288) == (0, 12, 24, 48, 96, 192, 288)
    assert edges(1, 7) == (0, 1)


def test_a_band_that_is_too_narrow_is_widened_to_what_was_asked():
    """A model whose band is a tenth of the truth covers 93 to 99 % of fresh errors after calibration."""
    chance = np.random.default_rng(5)
    values = np.tile(np.array([-0.2, 0.0, 0.2]), (24, 1))
    errors = chance.normal(0, 1, (400, 24))[:, :, None] - values
    band = calibrated(values, errors, LEVELS, edges(24, 24))
    fresh = chance.normal(0, 1, (400, 24))
    inside = ((fresh >= band[:, 0]) & (fresh <= band[:, 2])).mean()
    assert 0.93 <= inside <= 0.99
    assert np.abs(band[:, 1]).max() < 0.2


def test_few_errors_make_a_wider_band_than_many():
    """The same errors, once eight of them and once four hundred: what is not known is left room for."""
    many = np.random.default_rng(5).normal(0, 1, (400, 1))
    few = np.quantile(many, np.linspace(0.06, 0.94, 8))[:, None]
    wide, narrow = (offsets(np.repeat(one[:, :, None], 3, axis=2), LEVELS, (0, 1))[0] for one in (few, many))
    assert wide[2] - wide[0] > narrow[2] - narrow[0]


def test_a_bucket_without_errors_takes_the_last_known_and_widens():
    """Beyond what was seen the band grows with the root of the horizon."""
    errors = np.full((40, 96, 3), np.nan)
    errors[:, :24] = np.random.default_rng(5).normal(0, 1, (40, 24, 1))
    found = offsets(errors, LEVELS, edges(96, 24))
    assert found[23, 2] < found[30, 2] < found[80, 2]
    assert found[80, 2] / found[30, 2] == pytest.approx(np.sqrt(2))
    assert (offsets(np.full((4, 2, 3), np.nan), LEVELS, (0, 2)) == 0).all()


@given(arrays.arrays(np.float64, (12, 6, 3), elements=st.floats(-1e6, 1e6) | st.just(np.nan)))
def test_quantiles_never_cross(errors):
    """Whatever the errors, calibrated quantiles ascend and are finite."""
    band = calibrated(np.zeros((6, 3)), errors, LEVELS, edges(6, 24))
    assert np.isfinite(band).all()
    assert (np.diff(band, axis=1) >= 0).all()


def test_shapes_that_do_not_fit_are_refused():
    """Errors of another horizon or of other levels are told."""
    with pytest.raises(BadInput, match="do not fit 3 levels over 5 steps"):
        offsets(np.zeros((4, 6, 3)), LEVELS, (0, 5))
    with pytest.raises(BadInput, match="do not fit 1 levels"):
        offsets(np.zeros((4, 6, 3)), (0.5,), (0, 6))
