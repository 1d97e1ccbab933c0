"""Histories of series that changed their id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.former import one_history
from forecasts.renamed import joined
from forecasts.types import BadInput, Series

T0 = datetime(2026, 3, 2, tzinfo=UTC)


def series(name, first, y, step_s=300):
    return Series(unique_id=name, start=T0 + timedelta(seconds=first), step_s=step_s, y=np.asarray(y, float))


def test_the_old_history_comes_before_the_first_sample_of_the_new():
    """Where both are there the new one wins; the hole between them stays a hole."""
    new = series("v2", 1500, [np.nan, 10, np.nan, 12])
    out = joined(new, [series("v1", 0, [1, 2, 3, np.nan, 5, 6, 7, 8])])
    assert out.unique_id == "v2"
    assert out.start == T0
    assert np.array_equal(out.y, [1, 2, 3, np.nan, 5, 6, 10, np.nan, 12], equal_nan=True)


def test_three_ids_are_one_chain():
    """Each former id speaks only of the time before the one that came after it."""
    out = joined(series("v3", 1200, [9]), [series("v2", 600, [5, 6]), series("v1", 0, [1, 2, 3, 4])])
    assert out.y.tolist() == [1, 2, 5, 6, 9]


def test_a_finer_history_is_averaged_and_a_coarser_one_is_refused():
    """A minute's steps become the mean of five; half an hour says nothing of five minutes."""
    out = joined(series("v2", 600, [7]), [series("v1", 60, range(8), step_s=60)])
    assert out.y.tolist() == [1.5, 5.5, 7]
    with pytest.raises(BadInput, match="v1 has steps of 1800 s where v2 has 300 s"):
        joined(series("v2", 600, [7]), [series("v1", 0, [1], step_s=1800)])


@given(st.integers(0, 40), st.integers(1, 40), st.integers(-3000, 12000))
def test_no_sample_of_the_new_id_is_ever_changed(old, fresh, first):
    """Whatever the old one holds, the new one's own steps after its first sample are as they were."""
    new = series("v2", 3000, np.arange(fresh) + 100.0)
    out = joined(new, [series("v1", first, np.arange(old) + 1.0)])
    assert out.y[-fresh:].tolist() == new.y.tolist()
    assert out.end == new.end
    assert out.stamps()[-1] == new.stamps()[-1]
    assert np.nan_to_num(out.y[:-fresh]).max(initial=0) < 100


def test_the_old_id_speaks_until_the_new_one_has_a_sample():
    """Declared in advance, a rename changes nothing before it happens; then the new id speaks."""
    old, new = series("v1", 0, [1, 2, 3]), series("v2", 900, [4, 5])
    gone = {"v2": "v2: no source of metrics has it now"}
    kept, said = one_history({"v2": ["v1"]}, {"v1": old}, gone, ["v2"])
    assert (kept["v2"].y.tolist(), said) == ([1, 2, 3], {})
    stale = {"v1": "v1: no source of metrics has it now"}
    kept, said = one_history({"v2": ["v1"]}, {"v1": old, "v2": new}, stale, ["v2"])
    assert (kept["v2"].y.tolist(), said) == ([1, 2, 3, 4, 5], {})
    kept, said = one_history({"v2": ["v1"]}, {"v1": old}, stale | gone, ["v2"])
    assert said == {"v2": stale["v1"]}
    kept, said = one_history({}, {"v1": old}, gone, ["v2"])
    assert (kept, said) == ({}, gone)
