"""Faults of metrics, injected into the input gate; each test carries the number of its fault."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from autoscaler import engine
from autoscaler.metrics.files import read_files
from forecasts.frame import BadFrame, Code, Limits, gate
from forecasts.hours import hourly
from forecasts.types import Series

T0 = datetime(2026, 3, 2, tzinfo=UTC)
START = np.datetime64("2026-03-02", "us")
STEP = np.timedelta64(300, "s")
DAY = 288


def load(steps=15 * DAY):
    return 100 + 40 * np.sin(np.arange(steps) / DAY * 2 * np.pi)


def run(y, *, ds=None, name="web", strict=False, **limits):
    ds = START + np.arange(len(y)) * STEP if ds is None else ds
    ids = np.full(len(y), name, dtype=object)
    return gate(ids, np.asarray(ds), np.asarray(y, float), Limits(**limits), strict=strict)


def codes(result):
    return [notice.code for notice in result.notices]


def test_f01_no_series_is_hold_and_never_zero():
    """An empty answer gives no series, a notice, and no forecast."""
    result = run([])
    assert result.series == ()
    assert codes(result) == [Code.EMPTY]
    at = T0 + timedelta(days=1)
    assert (
        engine.forecast(result.series, model="seasonal_naive", issued_at=at, horizon=6, levels=(0.5,)) == {}
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_f03_f04_what_is_not_finite_is_dropped_and_holds_when_it_is_the_last(value):
    """NaN and infinities become absent; where nothing newer came, the series is refused as stale."""
    y = load()
    y[-4:] = value
    now = T0 + timedelta(seconds=300 * len(y))
    result = run(y, now=now)
    assert np.isnan(result.series[0].y[-4:]).all()
    assert np.isfinite(result.series[0].y[:-4]).all()
    assert result.refused["web"].code is Code.STALE
    one = load()
    one[-1] = value
    assert not run(one, now=now).refused


def test_f05_one_nan_inside_becomes_absent_and_nothing_else():
    """y[100] = NaN costs step 100, and the forecast is that of the clean history."""
    y = load()
    y[100] = np.nan
    (series,) = run(y).series
    assert np.flatnonzero(np.isnan(series.y)).tolist() == [100]
    clean = Series(unique_id="web", start=T0, step_s=300, y=load())
    given = {"model": "seasonal_naive", "issued_at": clean.end, "horizon": 24, "levels": (0.5, 0.9)}
    values = engine.forecast([series], **given)["web"].values
    assert np.allclose(values, engine.forecast([clean], **given)["web"].values, rtol=0.02)


def test_f06_all_absent_is_refused_and_has_no_forecast():
    """A series of NaN is there, wholly absent, refused by name, and held."""
    result = run(np.full(500, np.nan))
    assert result.refused["web"].code is Code.EMPTY
    (series,) = result.series
    assert np.isnan(series.y).all()
    forecasts = engine.forecast([series], model="mstl", issued_at=series.end, horizon=6, levels=(0.5,))
    assert forecasts == {"web": None}


def test_f07_negative_values_are_rejected():
    """A rate below zero is no rate: dropped in a tick, refused in a file."""
    y = load()
    y[50] = -3
    result = run(y)
    assert np.isnan(result.series[0].y[50])
    assert codes(result) == [Code.NEGATIVE]
    with pytest.raises(BadFrame, match="negative"):
        run(y, strict=True)


def test_f08_a_counter_reset_gives_no_negative_and_no_giant_rate():
    """A counter that begins at zero again shows the increase since, step by step."""
    rate = np.full(400, 2.0)
    counter = np.cumsum(rate * 300)
    counter[200:] -= counter[199]  # the process restarted at step 199
    result = run(counter, kind="counter")
    (series,) = result.series
    assert np.allclose(series.y, 2.0)
    assert codes(result) == [Code.COUNTER_RESET]


def test_f09_a_gap_of_twenty_points_keeps_the_grid_and_the_season():
    """Missing rows leave the later samples at their own time of day."""
    y = load()
    keep = np.r_[0:1000, 1020 : len(y)]
    (series,) = run(y[keep], ds=START + keep * STEP).series
    assert len(series.y) == len(y)
    assert np.isnan(series.y[1000:1020]).all()
    assert np.array_equal(series.y[1020:], y[1020:])
    assert not run(y[keep], ds=START + keep * STEP).refused


def test_f10_duplicates_of_an_ha_pair_keep_the_larger_and_warn():
    """Two samples of one moment are one sample, the larger; a file with them is refused."""
    y = load(DAY)
    ds = np.repeat(START + np.arange(DAY) * STEP, 2)
    both = np.c_[y - 1, y].ravel()
    result = run(both, ds=ds)
    assert np.array_equal(result.series[0].y, y)
    assert codes(result) == [Code.DUPLICATE]
    assert result.notices[0].count == DAY
    with pytest.raises(BadFrame, match="more than once"):
        run(both, ds=ds, strict=True)


@pytest.mark.parametrize("strict", [True, False])
def test_f11_out_of_order_samples_are_sorted(strict):
    """Late samples find their place, in a file too, with a notice."""
    y = load(DAY)
    order = np.random.default_rng(3).permutation(DAY)
    result = run(y[order], ds=(START + np.arange(DAY) * STEP)[order], strict=strict)
    assert np.array_equal(result.series[0].y, y)
    assert codes(result) == [Code.OUT_OF_ORDER]


def test_f12_a_stamp_of_2099_is_rejected_and_the_others_live():
    """A sample of the far future is dropped with a notice; other series are unaffected."""
    y = load(DAY)
    ids = np.array(["web", "api"] * DAY, dtype=object)
    ds = np.repeat(START + np.arange(DAY) * STEP, 2)
    ds[10] = np.datetime64("2099-01-01", "us")
    now = T0 + timedelta(seconds=300 * DAY)
    result = gate(ids, ds, np.repeat(y, 2), Limits(now=now), strict=False)
    by_name = {series.unique_id: series for series in result.series}
    assert np.array_equal(by_name["api"].y, y)
    assert np.flatnonzero(np.isnan(by_name["web"].y)).tolist() == [5]
    assert [(n.code, n.unique_id, n.row) for n in result.notices] == [(Code.FUTURE, "web", 10)]
    assert not result.refused


def test_f13_stale_series_is_refused_and_has_no_forecast_in_the_past():
    """A series that ended three days ago may not shrink anything, and is not forecast."""
    y = load()
    now = T0 + timedelta(seconds=300 * len(y)) + timedelta(days=3)
    result = run(y, now=now)
    assert result.refused["web"].code is Code.STALE
    assert "3 days old" in result.refused["web"].message
    given = {"model": "mstl", "issued_at": now, "horizon": 24, "levels": (0.5,)}
    assert engine.forecast(result.series, **given) == {"web": None}


@pytest.mark.parametrize("spike", [1e12, 1e6])
@pytest.mark.parametrize("strict", [False, True])
def test_f15_a_spike_is_dropped_and_told_in_a_tick_and_in_a_replay(spike, strict):
    """1e12 amid hundreds is no load; the hour it lay in is that of its neighbours. Kept only if asked."""
    y = load()
    y[2000] = spike
    result = run(y, strict=strict)
    assert codes(result) == [Code.SPIKE]
    assert np.flatnonzero(np.isnan(result.series[0].y)).tolist() == [2000]
    assert np.nanmax(hourly(result.series[0]).y) <= 140
    assert result.notices[0].message.endswith(f": 1 spike of {spike:g}, dropped")
    kept = run(y, strict=strict, keep_spikes=True)
    assert codes(kept) == [Code.SPIKE]
    assert kept.series[0].y[2000] == spike


def test_f15_two_spikes_in_a_row_are_dropped_and_a_new_level_is_not():
    """Two such samples are dropped; the third in a row is a load, whatever its unit."""
    y = load()
    y[2000:2002] = 1e9
    y[3000:] *= 1e4
    (series,) = run(y).series
    assert np.flatnonzero(np.isnan(series.y)).tolist() == [2000, 2001, 3000, 3001]


@pytest.mark.parametrize(
    "y",
    [
        np.r_[np.zeros(1000), np.full(50, 500.0)],
        np.where(np.arange(3000) % 500 == 499, 900.0, 1.0),
        np.r_[np.full(20, 0.001), np.full(500, 300.0)],
    ],
    ids=["a-pool-wakes", "flash-crowds", "start-up"],
)
def test_f15_real_bursts_pass(y):
    """What wakes from zero, flash crowds of 900 times the rest and a start-up are loads."""
    result = run(y)
    assert np.isfinite(result.series[0].y).all()
    assert not result.notices


@pytest.fixture
def traces():
    folder = os.environ.get("LOADLINE_DATA")
    if not folder:
        pytest.skip("LOADLINE_DATA is unset: it names the folder of real traces")
    return sorted(Path(folder, "load").glob("*.csv.gz"))


@pytest.mark.slow
@pytest.mark.data
def test_f15_no_sample_of_the_real_traces_is_a_spike(traces):
    """The rule drops nothing of months of real load, bursts of 197 times the mean included."""
    assert traces
    for path in traces:
        for notice in read_files([path], strict=False, limits=Limits()).notices:
            assert notice.code is Code.GAP, notice.message


def test_f26_milliseconds_taken_for_seconds_are_rejected_by_the_year():
    """Epoch milliseconds read as seconds are the year 58000, and seconds read as milliseconds 1970."""
    seconds = (START.astype(np.int64) // 1_000_000 + np.arange(10) * 300).astype(np.int64)
    for wrong in (seconds * 1000, seconds // 1000):
        result = run(np.ones(10), ds=(wrong * 1_000_000).astype("datetime64[us]"))
        assert result.series == ()
        assert codes(result) == [Code.BAD_YEAR]
        assert result.refused["web"].code is Code.EMPTY


def test_f28_leap_day_and_year_end_are_ordinary():
    """The grid goes on over the 29th of February and over New Year."""
    for first in ("2024-02-28", "2026-12-30"):
        ds = np.datetime64(first, "us") + np.arange(3 * 24) * np.timedelta64(3600, "s")
        (series,) = run(np.arange(72.0), ds=ds, strict=True).series
        assert series.y.tolist() == list(range(72))
        assert len(hourly(series).y) == 72


@pytest.mark.slow
def test_f80_too_little_history_is_naive_with_a_word():
    """A series of one day has the seasonal naive; the notes say which day it is and what the model lacks."""
    series = Series(unique_id="web", start=T0, step_s=3600, y=np.full(30, 5.0))
    given = {"model": "theta", "issued_at": series.end, "horizon": 6, "levels": (0.5, 0.9)}
    result = engine.forecast([series], **given)["web"]
    assert result.model == "seasonal_naive"
    assert result.notes == ("learning: day 2 of 14", "theta failed: needs 48 points, and has 30")
    assert np.allclose(result.values, 5.0)


@pytest.mark.parametrize(("days", "notes"), [(5, ("learning: day 5 of 14",)), (14, ()), (20, ())])
def test_f80_the_note_counts_the_days(days, notes):
    """On the fifth day the note says so, after two weeks none does; a model is asked from two days on."""
    hours = np.tile(load(DAY)[:: DAY // 24], days)[: 24 * days - (days < 14)]
    y = np.r_[np.full(50, np.nan), hours]
    series = Series(unique_id="web", start=T0, step_s=3600, y=y)
    given = {"model": "ridge", "issued_at": series.end, "horizon": 6, "levels": (0.5, 0.9)}
    result = engine.forecast([series], **given)["web"]
    assert (result.model, result.notes) == ("ridge", notes)
