"""Trailing windows and whole units, by hand and against slow second writings."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecasts.windows import newest, trailing
from policies import windows
from policies.scalers import PoolSettings

NAN = math.nan
values = st.one_of(st.just(NAN), st.floats(0, 100))


@given(st.lists(values, min_size=1, max_size=30), st.integers(1, 40))
def test_the_largest_of_a_window_is_the_largest_of_what_was_there(row, window):
    """At each step the maximum of the last `window` values that are not absent; NaN where all are."""
    expected = [
        max([y for y in row[max(0, t - window + 1) : t + 1] if not math.isnan(y)], default=NAN)
        for t in range(len(row))
    ]
    assert np.array_equal(windows.trailing_max(np.array([row]), window)[0], expected, equal_nan=True)


@given(st.lists(values, min_size=1, max_size=40), st.integers(0, 30), st.data())
def test_the_newest_windows_are_those_of_all(row, steps, data):
    """The quick way for the last steps gives what the way for all of them gives there."""
    count = data.draw(st.integers(0, len(row)))
    y = np.array([row])
    for pick in (np.fmax, np.fmin, np.maximum):
        whole = trailing(y, steps, pick)[:, len(row) - count :]
        assert np.array_equal(newest(y, steps, count, pick), whole, equal_nan=True)


@given(st.lists(values, min_size=1, max_size=30), st.sampled_from([0.5, 1.0, 1.3]), st.integers(0, 50))
def test_where_nothing_is_needed_the_size_stays(needs, margin, running):
    """ceil(margin x need) within the bounds; an absent need keeps the size, at first the one that runs."""
    settings = PoolSettings(minimum=2, maximum=40)
    expected, size = [], running
    for need in needs:
        size = min(max(size if math.isnan(need) else math.ceil(need * margin), 2), 40)
        expected.append(size)
    got = windows.whole_units(np.array([needs]), margin, np.array([float(running)]), settings)
    assert got.tolist() == [expected]


def test_a_series_under_many_knobs_stays_one_row_until_the_margins():
    """Rows that share their memory are joined as one; rows of their own are not; both give the same units."""
    row = np.array([1.0, NAN, 3.0])
    shared, own = np.broadcast_to(row, (3, 3)), np.repeat(row[None], 3, axis=0)
    past = windows.nothing(3, 2)
    one, three = windows.joined(past, shared), windows.joined(past, own)
    assert one.shape == (1, 5)
    assert three.shape == (3, 5)
    margins, size = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    expected = [[4, 4, 1, 1, 3], [5, 5, 2, 2, 6], [6, 6, 3, 3, 9]]
    for known in (one, three):
        assert windows.whole_units(known, margins, size, PoolSettings()).tolist() == expected
        kept = windows.newest(known, 2, 3)
        assert np.array_equal(kept, [[NAN, 3.0]] * 3, equal_nan=True)
        assert windows.joined(kept, shared).shape == (len(known), 5)


def test_infinite_demand_is_brought_down_to_what_can_be_reckoned_with():
    """Infinity and 1e30 become the largest demand; what is absent stays absent."""
    got = windows.joined(np.zeros((1, 0)), np.array([[math.inf, 1e30, NAN, 7.0]]))
    assert np.array_equal(got, [[windows.LARGEST, windows.LARGEST, NAN, 7.0]], equal_nan=True)
