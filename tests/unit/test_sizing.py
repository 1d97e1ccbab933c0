"""From demand to units: by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.types import BadInput, Series
from policies.sizing import (
    confidence,
    demand_units,
    peak_to_mean,
    quantiles_by_step,
    unit_capacity_at_p99,
    with_zone_spare,
    without_zone_spare,
)

NAN = math.nan
T0 = datetime(2026, 3, 2, tzinfo=UTC)


def series(y, *, step_s=60, minutes=0, name="requests"):
    start = T0 + timedelta(minutes=minutes)
    return Series(unique_id=name, start=start, step_s=step_s, y=np.array(y, dtype=float))


def after(minutes):
    return T0 + timedelta(minutes=minutes)


def test_p99_is_interpolated_and_skips_what_is_absent():
    """Of 0..100 the p99 is 99; of 1 and 2 it is 1.99."""
    assert unit_capacity_at_p99(np.r_[np.arange(101.0), NAN], 40) == 99 / 40
    assert unit_capacity_at_p99(np.array([1.0, 2.0]), 1) == pytest.approx(1.99)


@pytest.mark.parametrize("values", [[], [NAN], [0.0, 0.0], [0.0] * 999 + [5.0]])
def test_no_unit_capacity_follows_from_nothing(values):
    """Without demand, or with a p99 of zero, it has to be given."""
    with pytest.raises(BadInput, match="give the unit capacity itself"):
        unit_capacity_at_p99(np.array(values), 40)


def test_the_need_is_the_largest_over_the_metrics():
    """Two metrics in units; where one is absent the other counts; where both are, nothing is known."""
    cpu, queue = series([10, NAN, 30, NAN, 10]), series([2, 8, 1, NAN, 2])
    got = demand_units([cpu, queue], [10.0, 2.0], end=after(5))
    assert np.array_equal(got.y, [1, 4, 3, NAN, 1], equal_nan=True)


def test_p3_a_metric_on_time_does_not_speak_for_one_that_is_late():
    """The newest value of a metric goes on while it is late by no more than three of its steps."""
    cpu, queue = series([5] * 9), series([95] * 6)
    assert demand_units([cpu, queue], [1.0, 1.0], end=after(9)).y[-1] == 95
    assert demand_units([cpu, series([95] * 5)], [1.0, 1.0], end=after(9)).y[-1] == 5


def test_a_metric_may_be_as_late_as_its_source_is():
    """Where its own lateness is told, the newest value of a metric goes on for so long, and no longer."""
    cpu, queue = series([5] * 9), series([95] * 3)
    assert demand_units([cpu, queue], [1.0, 1.0], end=after(9), late_s=[0, 360]).y[-1] == 95
    assert demand_units([cpu, queue], [1.0, 1.0], end=after(9), late_s=[0, 300]).y[-1] == 5


def test_coarser_metrics_are_held_and_other_begins_are_placed():
    """Five-minute points hold for their minutes, a later begin leaves its place empty."""
    got = demand_units([series([1, 7], step_s=300), series([3, 4], minutes=4)], [1.0, 1.0], end=after(10))
    assert got.step_s == 60
    assert got.y.tolist() == [1, 1, 1, 1, 3, 7, 7, 7, 7, 7]


def test_demand_ends_now():
    """Steps without a sample yet are absent; samples after now are not there."""
    late = [5, NAN, NAN, NAN, NAN]
    assert np.array_equal(demand_units([series([5])], [1.0], end=after(5)).y, late, equal_nan=True)
    assert demand_units([series([5, 6, 7])], [1.0], end=after(2)).y.tolist() == [5, 6]
    assert len(demand_units([series([5])], [1.0], end=after(-9)).y) == 0


def test_a_grid_that_does_not_fit_or_no_capacity_is_refused():
    """A step that divides no other, a begin between steps, a capacity of zero."""
    with pytest.raises(BadInput, match="grid does not fit"):
        demand_units([series([1], step_s=60), series([1], step_s=90)], [1, 1], end=after(9))
    with pytest.raises(BadInput, match="above zero"):
        demand_units([series([1])], [0.0], end=after(9))


def test_peak_to_mean_is_of_whole_hours_and_at_least_one():
    """One hour of 1 with a peak of 4 every quarter; a flat hour; nothing at all."""
    assert peak_to_mean(series([1, 1, 1, 4], step_s=900)) == pytest.approx(4 / 1.75)
    assert peak_to_mean(series([2] * 8, step_s=900)) == 1.0
    assert peak_to_mean(series([1, 1, 1, 4, 8, 8, 8, 8], step_s=900)) == pytest.approx(12 / 9.75)
    for nothing in ([], [NAN] * 8, [0.0] * 8, [5.0]):
        assert peak_to_mean(series(nothing, step_s=900)) == 1.0
    assert peak_to_mean(series([1, 9, 3], step_s=3600)) == 1.0
    old = [1, 1, 1, 9] + [2] * 4
    assert peak_to_mean(series(old, step_s=900), window_s=3600) == 1.0


def test_an_hours_quantile_holds_for_its_steps():
    """Issued at 00:00 and asked at 00:50 in steps of 5 minutes: the second hour begins after two of them."""
    hourly = np.array([[1.0, 2.0], [10.0, 20.0]])
    got = quantiles_by_step(hourly, issued_at=T0, now=after(50), step_s=300, steps=15, ratio=1.5)
    assert got[:, 0].tolist()[:3] == [1.5, 1.5, 15.0]
    assert got[13, 1] == 30.0
    assert np.isnan(got[14]).all()  # 02:00 is beyond the forecast
    early = quantiles_by_step(hourly, issued_at=T0, now=after(-5), step_s=300, steps=2, ratio=1.0)
    assert np.isnan(early[0]).all()
    assert early[1, 0] == 1.0


@pytest.mark.parametrize(
    ("units", "zones", "size"), [(10, 1, 10), (10, 0, 10), (10, 2, 20), (10, 3, 15), (11, 3, 17)]
)
def test_spare_for_a_lost_zone(units, zones, size):
    """Of equal zones one may go and the need is still there."""
    assert with_zone_spare(units, zones) == size


@given(st.integers(0, 10**6), st.integers(0, 9))
def test_spare_is_enough_and_least(units, zones):
    """What is left without the largest zone is the need; a unit less would not be; and it is taken back."""
    size = with_zone_spare(units, zones)
    assert without_zone_spare(size, zones) == units
    if zones > 1:
        assert size * (zones - 1) >= units * zones
        assert (size - 1) * (zones - 1) < units * zones
    assert with_zone_spare(without_zone_spare(units, zones), zones) <= units


@pytest.mark.parametrize(
    ("units", "sure"),
    [(0, 0.0), (9, 0.0), (10, 0.5), (15, 0.7), (20, 0.9), (25, 0.945), (30, 0.99), (99, 0.99)],
)
def test_confidence_is_interpolated_between_the_levels(units, sure):
    """Quantiles 10, 20 and 30 at .5, .9 and .99."""
    assert confidence(units, [10.0, 20.0, 30.0], [0.5, 0.9, 0.99]) == pytest.approx(sure)


def test_confidence_in_what_is_not_known_is_none():
    """NaN quantiles give 0, never more; equal quantiles count with the highest level."""
    assert confidence(5, [NAN, NAN], [0.5, 0.9]) == 0.0
    assert confidence(15, [10.0, NAN], [0.5, 0.9]) == 0.0
    assert confidence(10, [10.0, 10.0], [0.5, 0.9]) == 0.9


@given(st.lists(st.floats(0, 50), min_size=3, max_size=3), st.integers(0, 60), st.integers(0, 60))
def test_more_units_are_never_less_sure(values, one, other):
    """Confidence rises with the units and stays within the levels."""
    few, many = sorted((one, other))
    sure = [confidence(units, sorted(values), (0.5, 0.9, 0.99)) for units in (few, many)]
    assert 0 <= sure[0] <= sure[1] + 1e-12 <= 0.99 + 1e-12
