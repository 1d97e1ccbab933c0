"""The long frame: grid, gate, notices and hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.frame import BadFrame, Code, Gated, Limits, gate
from forecasts.hours import hourly
from forecasts.types import BadInput, Series

T0 = datetime(2026, 3, 2, tzinfo=UTC)


def stamps(minutes):
    return np.datetime64("2026-03-02", "us") + np.asarray(minutes) * np.timedelta64(60, "s")


def gated(minutes, y, *, strict=False, name="web", **limits) -> Gated:
    ids = np.full(len(y), name, dtype=object)
    return gate(ids, stamps(minutes), np.asarray(y, float), Limits(**limits), strict=strict)


def codes(result):
    return [notice.code for notice in result.notices]


def test_sound_samples_come_out_as_they_went_in():
    """A regular file becomes one series of the same values on the grid of its median step."""
    result = gated(range(0, 50, 5), range(10), strict=True)
    (series,) = result.series
    assert (series.start, series.step_s, series.unique_id) == (T0, 300, "web")
    assert series.y.tolist() == list(range(10))
    assert not result.notices
    assert not result.refused


def test_missing_steps_are_absent_and_not_filled():
    """A step without a sample is NaN: neither zero nor the mean of its neighbours."""
    (series,) = gated([0, 5, 10, 25, 30], [1, 1, 1, 1, 1]).series
    assert np.isnan(series.y).tolist() == [False, False, False, True, True, False, False]


def test_step_is_the_median_distance():
    """Most samples decide on the step; a hole does not widen it."""
    (series,) = gated([0, 1, 2, 3, 60, 61, 62], range(7)).series
    assert series.step_s == 60
    assert len(series.y) == 63


def test_an_even_number_of_distances_has_a_step_that_occurs():
    """Of two middle distances the lower one is the step, never their mean."""
    (series,) = gated([0, 1, 6], [1, 2, 3]).series
    assert series.step_s == 60


def test_off_grid_samples_go_to_the_step_they_lie_in_and_the_larger_stays():
    """A sample between two steps counts for the earlier one, beside what is there already."""
    result = gated([0, 5, 10, 12, 15, 20], [1, 2, 3, 9, 4, 5], strict=True)
    assert result.series[0].y.tolist() == [1, 2, 9, 4, 5]
    assert codes(result) == [Code.OFF_GRID]
    assert "1 samples lie off the grid of 300 s" in result.notices[0].message
    assert "1 shared a step" in result.notices[0].message


@pytest.mark.parametrize(
    ("at", "value", "limits", "code"),
    [
        (20, -1.0, {}, Code.NEGATIVE),
        (20, float("nan"), {}, Code.NOT_FINITE),
        (20, float("inf"), {}, Code.NOT_FINITE),
        (20, 101.0, {"upper": 100.0}, Code.OUT_OF_RANGE),
        (20, 5.0, {"lower": 10.0}, Code.OUT_OF_RANGE),
        (26, 50.0, {"now": T0 + timedelta(minutes=15)}, Code.FUTURE),
        (-(10**8), 50.0, {}, Code.BAD_YEAR),
        (15, 50.0, {}, Code.DUPLICATE),
    ],
)
def test_a_file_with_a_bad_sample_is_refused_with_its_row(at, value, limits, code):
    """strict: the first bad sample raises, and says which row of which series it was."""
    with pytest.raises(BadFrame) as caught:
        gated([0, 5, 10, 15, at], [50, 50, 50, 50, value], strict=True, **limits)
    # Of two equal stamps with equal values either row may be named.
    assert caught.value.row in {3, 4} if code is Code.DUPLICATE else caught.value.row == 4
    assert caught.value.unique_id == "web"
    assert caught.value.notice.code is code
    assert "\n" not in str(caught.value)


def test_the_first_bad_row_of_the_file_is_the_one_named():
    """With several bad rows, the reader is sent to the one that stands first."""
    with pytest.raises(BadFrame) as caught:
        gated([0, 5, 10, 15], [1, -1, float("nan"), 1], strict=True)
    assert caught.value.row == 1


def test_a_bad_sample_of_a_tick_is_dropped_and_told():
    """Not strict: what is sound goes on, each reason gets one notice with its count."""
    result = gated(range(0, 40, 5), [1, -1, 3, np.nan, np.inf, 6, -2, 8])
    assert np.array_equal(result.series[0].y, [1, np.nan, 3, np.nan, np.nan, 6, np.nan, 8], equal_nan=True)
    assert {notice.code: notice.count for notice in result.notices} == {Code.NEGATIVE: 2, Code.NOT_FINITE: 2}


def test_the_newest_two_steps_may_run_ahead_of_the_clock():
    """A stamp up to two steps ahead of `now` is clock skew, beyond that it is refused."""
    now = T0 + timedelta(minutes=20)
    assert not gated([*range(0, 35, 5)], [1] * 7, strict=True, now=now).notices
    assert codes(gated([*range(0, 40, 5)], [1] * 8, now=now)) == [Code.FUTURE]


def test_old_traces_are_fresh_as_of_their_last_sample():
    """Without `now` nothing is stale, and `latest` alone finds the stamps of the future."""
    result = gated([0, 5, 10, 60 * 24 * 365 * 20], [1] * 4, latest=T0 + timedelta(days=400))
    assert codes(result) == [Code.FUTURE]
    assert not result.refused


def test_a_notice_is_a_line_for_people():
    """What is told names the sample, the value and the mend, and no fraction of a second of a clock."""
    latest = T0 + timedelta(minutes=10, microseconds=123456)
    (future,) = gated([0, 5, 60], [1, 2, 3], latest=latest).notices
    assert future.message.endswith("the stamp lies in the future of 2026-03-02T00:10:00Z (y = 3)")
    with pytest.raises(BadFrame, match=r"more than once; keep one of its rows \(y = 2\)"):
        gated([0, 5, 5], [1, 2, 3], strict=True)


def test_no_samples_is_a_notice_or_an_error_and_never_a_series():
    """An empty input is not a series of zeros."""
    assert codes(gated([], [])) == [Code.EMPTY]
    assert gated([], []).series == ()
    with pytest.raises(BadFrame, match="no samples"):
        gated([], [], strict=True)


def test_a_series_of_bad_samples_only_is_refused_by_name():
    """A series of which nothing is left is still there, all absent, and spoken of."""
    result = gated([0, 5], [-1, -2])
    assert np.isnan(result.series[0].y).all()
    assert result.refused["web"].code is Code.EMPTY


def test_a_single_sample_has_no_step():
    """One sample makes no grid: refused in a file, told in a tick."""
    with pytest.raises(BadFrame, match="single sample"):
        gated([0], [1], strict=True)
    assert gated([0], [1]).refused["web"].code is Code.TOO_SPARSE


def test_a_stray_stamp_of_long_ago_costs_no_memory():
    """A grid is not stretched over thirty years for one sample; a file with such a stamp is refused."""
    minutes = [-60 * 24 * 365 * 30, *range(100)]
    result = gated(minutes, [1] * 101)
    assert len(result.series[0].y) == 100
    assert codes(result) == [Code.TOO_SPARSE]
    with pytest.raises(BadFrame, match="before the last") as caught:
        gated(minutes, [1] * 101, strict=True)
    assert caught.value.row == 0


def test_freshness_is_three_steps():
    """The last sample may be three steps old and no older."""
    minutes = range(0, 600, 5)
    fresh = gated(minutes, [1] * 120, now=T0 + timedelta(minutes=595 + 15))
    stale = gated(minutes, [1] * 120, now=T0 + timedelta(minutes=595 + 16))
    assert not fresh.refused
    assert stale.refused["web"].code is Code.STALE
    assert len(stale.series) == 1


@pytest.mark.parametrize("late", range(0, 60, 7))
@pytest.mark.parametrize("delay_s", [0, 60, 120, 600])
def test_a_source_that_is_late_by_design_is_as_fresh_as_another(late, delay_s):
    """What came `delay_s` after the end of its period, at any moment of the minute, is fresh; nothing that is
    three steps older than that is.
    """
    now = T0 + timedelta(hours=3, seconds=late)
    over = int((now - T0 - timedelta(seconds=delay_s)).total_seconds() // 60)  # periods that were asked for
    stamps = [T0 + timedelta(minutes=minute) for minute in range(over)]

    def said(count):
        ds = np.array([stamp.replace(tzinfo=None) for stamp in stamps[:count]], dtype="datetime64[us]")
        limits = Limits(now=now, delays={"web": delay_s})
        return gate(np.full(count, "web", dtype=object), ds, np.ones(count), limits, strict=False).refused

    assert not said(over)
    assert not said(over - 1)
    assert said(over - 3)["web"].code is Code.STALE


def test_ninety_percent_must_be_there():
    """Under 90 % of the last 14 days the series is refused, though no gap is long."""
    some = [m for m in range(0, 5 * 1000, 5) if m % 50 != 25]
    fewer = [m for m in some if m % 100 != 30]
    assert not gated(some, [1] * len(some)).refused
    assert gated(fewer, [1] * len(fewer)).refused["web"].code is Code.INCOMPLETE


def test_a_gap_of_more_than_two_hours_refuses_and_an_old_one_only_warns():
    """A gap of two hours passes; a longer one in the last 14 days refuses, before them it is told."""
    day = 24 * 60
    long = 20 * day

    def with_gap(begin, hours):
        minutes = [m for m in range(0, long, 5) if not begin <= m < begin + hours * 60]
        return gated(minutes, [1] * len(minutes))

    assert not with_gap(10 * day, 2).refused
    assert with_gap(10 * day, 3).refused["web"].code is Code.GAP
    old = with_gap(2 * day, 3)
    assert not old.refused
    assert codes(old) == [Code.GAP]


def test_one_bad_series_leaves_the_others_alone():
    """What is wrong with one series changes nothing in another."""
    minutes = np.arange(0, 500, 5)
    sound = gated(minutes, np.arange(100.0)).series[0]
    ids = np.array(["bad", "web"] * 100, dtype=object)
    y = np.repeat(np.arange(100.0), 2)
    y[::2] = np.nan
    result = gate(ids, np.repeat(stamps(minutes), 2), y, Limits(), strict=False)
    assert np.array_equal({one.unique_id: one for one in result.series}["web"].y, sound.y)
    assert set(result.refused) == {"bad"}


def test_arrays_that_do_not_fit_are_a_mistake_of_the_caller():
    """Three arrays of one length, or nothing."""
    with pytest.raises(BadInput, match="do not fit"):
        gate(np.array(["a"], dtype=object), stamps([0, 1]), np.ones(2), Limits(), strict=True)


def test_counter_becomes_a_rate_over_its_step():
    """A counter that grows by 300 in 300 s has a rate of one per second, from the interval's begin."""
    result = gated(range(0, 25, 5), [0, 300, 600, 1200, 1500], kind="counter", strict=True)
    assert result.series[0].y.tolist() == [1, 1, 2, 1]
    assert result.series[0].start == T0


def test_a_counter_does_not_guess_over_a_gap():
    """The increase over an interval longer than one and a half steps belongs to no one step."""
    series = gated([0, 5, 10, 20, 25], [0, 300, 600, 1200, 1500], kind="counter").series[0]
    assert np.array_equal(series.y, [1, 1, np.nan, np.nan, 1], equal_nan=True)


def test_counter_with_one_reading_is_refused():
    """One reading has no rate."""
    assert gated([0], [5], kind="counter").refused["web"].code is Code.EMPTY


def one(y, *, minutes=5, start=T0):
    return Series(unique_id="web", start=start, step_s=60 * minutes, y=np.asarray(y, float))


def test_hours_are_clock_hours():
    """Hours begin at the full hour in UTC, whatever minute the series begins at."""
    series = one(range(60), start=T0 + timedelta(minutes=30))
    hours = hourly(series)
    assert hours.start == T0
    assert hours.step_s == 3600
    # 00:30-00:55 is exactly half of its hour; the sixth hour is not over at 05:30.
    assert np.allclose(hours.y, [2.5, 11.5, 23.5, 35.5, 47.5])


def test_an_hour_with_less_than_half_its_samples_is_absent():
    """Six of twelve samples make an hour, five do not."""
    y = np.ones(24)
    y[:6] = np.nan
    y[12:19] = np.nan
    assert np.array_equal(hourly(one(y)).y, [1, np.nan], equal_nan=True)


def test_the_largest_of_the_hour_on_request():
    """aggregate="max" keeps the peak that a mean would hide."""
    y = np.ones(24)
    y[3] = 100
    assert hourly(one(y), aggregate="max").y.tolist() == [100, 1]


def test_a_step_that_does_not_divide_the_hour():
    """Each sample counts for the hour it begins in, and completeness knows how many begin there."""
    hours = hourly(one(np.arange(60.0), minutes=7))
    begins = np.arange(60) * 7 // 60
    assert np.allclose(hours.y, [np.arange(60.0)[begins == k].mean() for k in range(7)])


def test_coarser_series_hold_their_value():
    """A daily value is the value of each of its hours; a step that is no multiple is refused."""
    assert hourly(one([1, 2], minutes=1440)).y.tolist() == [1] * 24 + [2] * 24
    with pytest.raises(BadInput, match="no multiple"):
        hourly(one([1, 2], minutes=90))


def test_hours_of_nothing_are_nothing():
    """An empty series and one shorter than its hour have no hours."""
    assert len(hourly(one([])).y) == 0
    assert len(hourly(one([1, 2, 3])).y) == 0


def beside(minutes, y, before, **limits) -> Gated:
    """The gate with what is known of `web` already: `before` is a value a minute from T0 on."""
    ids = np.full(len(y), "web", dtype=object)
    known = Series(unique_id="web", start=T0, step_s=60, y=np.asarray(before, float))
    given = (ids, stamps(minutes), np.asarray(y, float), Limits(**limits))
    return gate(*given, strict=False, before={"web": known})


@given(st.data())
def test_what_is_known_already_judges_as_if_it_had_come_again(data):
    """New samples beside their past are what the end of one answer with all of it would have been."""
    steps = data.draw(st.integers(30, 80))
    level = st.sampled_from([0.0, 1.0, 2.0, 5000.0, 1e7, np.nan])
    y = np.array(data.draw(st.lists(level, min_size=steps, max_size=steps)))
    cut = data.draw(st.integers(26, steps - 1))
    known, (whole,) = y[:cut], gated(np.arange(steps), y).series or (None,)
    y[:cut] = whole.y[:cut]  # what was kept is what the gate let through
    sound = np.isfinite(known) & np.isfinite(y[:cut])
    known = np.where(sound, known, np.nan)
    apart = beside(np.arange(cut, steps), y[cut:], known)
    together = gated(np.arange(steps), np.r_[known, y[cut:]])
    (one,), (all_,) = apart.series, together.series
    assert np.array_equal(one.y, all_.y[cut:], equal_nan=True)
    assert (one.start, one.step_s) == (T0 + timedelta(minutes=cut), 60)


def test_one_new_sample_has_the_step_of_its_past():
    """A single sample says nothing of its step; what is known does."""
    (one,) = beside([40.5], [3.0], [1.0] * 40).series
    assert (one.start, one.step_s, one.y.tolist()) == (T0 + timedelta(minutes=40), 60, [3.0])


def test_a_spike_is_one_beside_its_past():
    """A few new samples are no life of their own: what came before tells the spike."""
    result = beside([40, 41], [5e6, 1.0], [1.0] * 40)
    assert codes(result) == [Code.SPIKE]
    assert np.isnan(result.series[0].y).tolist() == [True, False]


def test_a_series_without_a_new_sample_is_what_is_known():
    """Nothing new is no reason to forget; a series of which nothing sound came is judged by its past."""
    result = gate(
        np.empty(0, object),
        stamps([]),
        np.empty(0),
        Limits(),
        strict=False,
        before={"web": Series(unique_id="web", start=T0, step_s=60, y=np.ones(5))},
    )
    assert [(one.unique_id, one.y.tolist()) for one in result.series] == [("web", [1.0] * 5)]
    assert not result.refused
