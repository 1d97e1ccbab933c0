"""Outages masked, holes filled."""

from __future__ import annotations

import numpy as np
import pytest

from forecasts.outages import filled, masked, ready
from forecasts.types import BadInput

SEASONS = (24, 168)


def life(days=21):
    return 100 + 20 * np.sin(np.arange(days * 24) / 24 * 2 * np.pi)


@pytest.mark.parametrize("begin", [-6, -40, 100])
def test_zeros_where_there_never_were_any_are_an_outage(begin):
    """Six zeros in a life of 100 become absent, at the end or in the middle."""
    y = life()
    y[begin : begin + 6 or None] = 0
    assert np.isnan(masked(y, 24)).sum() == 6


def test_nights_of_zero_are_no_outage():
    """Zeros that come every night stay."""
    y = life()
    y[np.arange(y.size) % 24 < 6] = 0
    assert np.array_equal(masked(y, 24), y)


def test_zeros_of_every_third_day_are_no_outage():
    """A load that is zero at noon on a third of its days may be so again."""
    y = life()
    y[12::72] = 0
    assert np.array_equal(masked(y, 24), y)


def test_an_outage_by_day_is_found_beside_nights_of_zero():
    """What is usual at night is an outage at noon."""
    y = life()
    y[np.arange(y.size) % 24 < 6] = 0
    y[10 * 24 + 12 : 10 * 24 + 16] = 0
    assert np.flatnonzero(np.isnan(masked(y, 24))).tolist() == list(range(252, 256))


def test_a_load_that_ended_is_no_incident():
    """Three days of zeros are what the load has become."""
    y = life()
    y[-72:] = 0
    assert np.array_equal(masked(y, 24), y)


def test_holes_are_filled_from_the_week_before():
    """An absent hour takes the value of the same hour a week ago, else of the next week, else of the day."""
    y = np.arange(24.0 * 28)
    holed = y.copy()
    holed[400] = holed[3] = np.nan
    out = filled(holed, SEASONS)
    assert out[400] == y[400 - 168]
    assert out[3] == y[3 + 168]
    assert np.array_equal(np.delete(out, [3, 400]), np.delete(y, [3, 400]))


def test_short_histories_are_filled_from_the_last_value():
    """Before there is a day, the last value is held, and the first one backwards."""
    assert filled(np.array([np.nan, 2, np.nan, 3, np.nan]), SEASONS).tolist() == [2, 2, 2, 3, 3]


def test_too_little_is_refused():
    """Below the minimum nothing is invented."""
    with pytest.raises(BadInput, match="needs 48 points, and has 3"):
        ready(np.array([np.nan, 1, 2, 3]), SEASONS, 48)
