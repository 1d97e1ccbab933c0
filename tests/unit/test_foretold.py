"""What declared events do to the hours of the weeks to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from autoscaler.foreseen import foretold
from forecasts.types import Series
from policies.policy import Event, Policy
from tests.laws.strategies import simple_pool

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
LAST_YEAR = datetime(2025, 3, 2, tzinfo=UTC)


def at(hour, begin=BEGIN):
    """So many hours after the begin."""
    return begin + timedelta(hours=hour)


def told(*events, imitated=None, doubtful=False, hours=8):
    """What the events do to a pool called web."""
    app = SimpleNamespace(policy=Policy(events=events))
    pool = simple_pool("web", 4)
    return foretold(app, pool, imitated or {}, begin=BEGIN, hours=hours, doubtful=doubtful)


def test_a_multiplier_holds_in_its_hours():
    """One everywhere else; an event of another pool, or beyond the outlook, is not told."""
    found = told(
        Event(name="sale", start=at(2), end=at(4), multiplier=1.8),
        Event(name="theirs", start=at(0), end=at(8), multiplier=3.0, pools=("api",)),
        Event(name="later", start=at(8), end=at(9), multiplier=3.0),
    )
    assert found.ratio.tolist() == [1, 1, 1.8, 1.8, 1, 1, 1, 1]
    assert np.isnan(found.least).all()
    assert found.notes == ("event sale: x1.8 from 2026-03-02 02:00Z to 2026-03-02 04:00Z",)


@pytest.mark.parametrize(("doubtful", "ratio"), [(False, 0.5), (True, 1.0)])
def test_what_is_unknown_shrinks_nothing(doubtful, ratio):
    """A multiplier below one does not count where the metrics of the pool are doubtful."""
    found = told(Event(name="holiday", start=at(0), end=at(8), multiplier=0.5), doubtful=doubtful)
    assert set(found.ratio.tolist()) == {ratio}


def test_a_past_event_is_the_least_at_the_same_offset():
    """Each hour takes the largest of the past hour it is like; hours it does not cover have none."""
    fair = Event(name="fair", start=at(1), end=at(3), like=(LAST_YEAR, at(2, LAST_YEAR)))
    past = Series(unique_id="web", start=LAST_YEAR, step_s=1800, y=np.array([5.0, 7.0, 9.0, 8.0]))
    found = told(fair, imitated={"fair": {"web": past}}, hours=4)
    np.testing.assert_array_equal(found.least, [np.nan, 7.0, 9.0, np.nan])
    assert found.ratio.tolist() == [1.0] * 4
    assert "at least 9 units" in found.notes[0]


def test_a_past_event_that_nobody_knows_is_told():
    """No demand of it at all, or none within the hours that are looked at."""
    fair = Event(name="fair", start=at(-4), end=at(3), like=(at(-4, LAST_YEAR), at(3, LAST_YEAR)))
    early = Series(unique_id="web", start=at(-4, LAST_YEAR), step_s=3600, y=np.array([5.0, 7.0]))
    for imitated in ({}, {"fair": {"web": early}}):
        found = told(fair, imitated=imitated)
        assert np.isnan(found.least).all()
        assert found.notes == ("event fair: nobody knows the demand of the past event it is like",)
