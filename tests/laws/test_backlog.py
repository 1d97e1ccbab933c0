"""Laws of a backlog as demand: what is served so that what waits is gone in the declared time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasts.types import BadInput, Series
from policies.backlog import backlog_demand, drained

T0 = datetime(2026, 11, 26, tzinfo=UTC)
ITEMS = st.one_of(st.floats(0, 1e9, allow_subnormal=False), st.just(np.nan))
LENGTHS = st.shared(st.integers(1, 40), key="steps")
VALUES = LENGTHS.flatmap(lambda steps: arrays(np.float64, steps, elements=ITEMS))
TIMES = st.floats(1, 1e6)


@given(VALUES, VALUES, TIMES, st.floats(1, 1e6), st.floats(0, 1e6))
def test_more_work_or_less_time_never_asks_for_less(waiting, arrivals, drain_s, sooner, more):
    """Demand does not fall where more waits, more arrives or the time is shorter."""
    now = drained(waiting, arrivals, drain_s=drain_s)
    for other in (
        drained(waiting + more, arrivals, drain_s=drain_s),
        drained(waiting, arrivals + more, drain_s=drain_s),
        drained(waiting, arrivals, drain_s=min(drain_s, sooner)),
    ):
        both = np.isfinite(now) & np.isfinite(other)
        assert (both == np.isfinite(now)).all()
        assert (other[both] >= now[both]).all()


@given(VALUES, VALUES, TIMES, st.integers(0, 40))
def test_no_step_sees_a_later_one(waiting, arrivals, drain_s, until):
    """What was before a cut is the same whatever comes after it."""
    whole = drained(waiting, arrivals, drain_s=drain_s)
    part = drained(waiting[:until], arrivals[:until], drain_s=drain_s)
    np.testing.assert_array_equal(whole[:until], part)


@given(VALUES, VALUES, TIMES)
def test_f03_absent_is_never_zero(waiting, arrivals, drain_s):
    """A step is a number exactly where all that is given is one; what waits or arrives is asked for."""
    absent = np.isnan(waiting) | np.isnan(arrivals)
    demand = drained(waiting, arrivals, drain_s=drain_s)
    np.testing.assert_array_equal(np.isnan(demand), absent)
    there = ~absent
    assert (demand[there] >= arrivals[there]).all()
    assert ((demand[there] > 0) == ((waiting[there] + arrivals[there]) > 0)).all()
    np.testing.assert_array_equal(np.isnan(drained(waiting, drain_s=drain_s)), np.isnan(waiting))


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.integers(1, 7200))
def test_who_serves_the_demand_has_drained_the_backlog_in_time(waiting, arrivals, drain_s):
    """Served at that rate while as much arrives, what waited is gone after `drain_s`, and no earlier."""
    demand = drained(np.array([waiting]), np.array([arrivals]), drain_s=drain_s)[0]
    left = waiting + (arrivals - demand) * drain_s
    assert left == pytest.approx(0, abs=1e-6 * (1 + waiting + arrivals * drain_s))


@pytest.mark.parametrize("odd", [-1.0, np.inf, -np.inf, np.nan])
def test_what_can_be_no_count_is_absent(odd):
    """Minus one, as some exporters say for unknown, and what has no end are absent, not small or large."""
    one = np.array([5.0])
    assert np.isnan(drained(np.array([odd]), one, drain_s=60)).all()
    assert np.isnan(drained(one, np.array([odd]), drain_s=60)).all()


@pytest.mark.parametrize("drain_s", [0, -60, float("inf"), float("nan")])
def test_a_time_that_is_none_is_refused(drain_s):
    """A backlog is drained within a time above zero; the message says what to give."""
    with pytest.raises(BadInput, match="such as 5m"):
        drained(np.array([1.0]), drain_s=drain_s)


def series(name, values, *, start=0, step_s=60):
    return Series(
        unique_id=name, start=T0 + timedelta(seconds=start), step_s=step_s, y=np.array(values, dtype=float)
    )


def test_two_series_meet_on_the_finer_grid():
    """A coarser value is held within its step; steps where one of the two is not there are absent."""
    demand = backlog_demand(
        series("waiting", [600, 1200], step_s=300),
        series("sent", [1, 2, 3, 4], start=240),
        drain_s=60,
        unique_id="work",
    )
    assert (demand.unique_id, demand.step_s, demand.start, len(demand.y)) == ("work", 60, T0, 10)
    np.testing.assert_array_equal(demand.y, [*[np.nan] * 4, 11, 22, 23, 24, np.nan, np.nan])


def test_a_backlog_alone_keeps_its_grid():
    """Without arrivals the demand is what waits, spread over the time."""
    demand = backlog_demand(series("waiting", [600, np.nan, 0]), drain_s=300, unique_id="work")
    np.testing.assert_array_equal(demand.y, [2, np.nan, 0])
    assert (demand.start, demand.step_s) == (T0, 60)


def test_grids_that_do_not_fit_are_refused():
    """Steps that do not divide each other, starts off the grid and other lengths are refused by name."""
    waiting = series("waiting", [1, 2, 3])
    for other in (series("sent", [1], step_s=90), series("sent", [1], start=30)):
        with pytest.raises(BadInput, match="does not fit"):
            backlog_demand(waiting, other, drain_s=60, unique_id="work")
    with pytest.raises(BadInput, match="one grid"):
        drained(np.zeros(2), np.zeros(3), drain_s=60)
