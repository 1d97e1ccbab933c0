"""Backlogs in a turn: what waits and what arrives become demand, and doubt in either is doubt in it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from autoscaler import config
from autoscaler.backlogs import drained
from autoscaler.errors import ConfigError
from forecasts.types import Series

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
TEXT = """\
state: ./s.db
providers: {fake: {path: ./c.db}}
pools:
  worker:
    provider: fake
    minimum: 0
    maximum: 9
    demands: [{series: jobs, unit_capacity: 5, backlog: {drain: 5m, arrivals: rate}}]
"""


def series(name, *values, step_s=60):
    return Series(unique_id=name, start=START, step_s=step_s, y=np.array(values, dtype=float))


@pytest.fixture
def loaded(tmp_path):
    def load(text=TEXT):
        (tmp_path / "loadline.yaml").write_text(text)
        return config.load(str(tmp_path / "loadline.yaml"))

    return load


def test_what_waits_and_what_arrives_is_the_demand(loaded):
    """600 items that wait are 2 a second over five minutes, beside the 3 a second that arrive."""
    seen = {"jobs": series("jobs", 600, 0), "rate": series("rate", 3, 3)}
    found, refused = drained(loaded(), seen, {})
    assert found["jobs"].y.tolist() == [5, 3]
    assert found["rate"] is seen["rate"]
    assert refused == {}


def test_arrivals_that_are_not_seen_let_nothing_shrink(loaded):
    """What waits still lets the pool grow; that less is needed nobody can say."""
    found, refused = drained(loaded(), {"jobs": series("jobs", 600)}, {})
    assert found["jobs"].y.tolist() == [2]
    assert "rate" in refused["jobs"]


def test_doubt_of_arrivals_is_doubt_of_the_demand(loaded):
    """A series of arrivals that is stale refuses the demand that it is a part of."""
    seen = {"jobs": series("jobs", 600), "rate": series("rate", 3)}
    _, refused = drained(loaded(), seen, {"rate": "rate: the last sample is 3 h old"})
    assert refused["jobs"] == "rate: the last sample is 3 h old"


def test_grids_that_do_not_fit_count_what_waits_alone(loaded):
    """Arrivals every 45 s and a backlog every minute have no step in common."""
    seen = {"jobs": series("jobs", 600), "rate": series("rate", 3, step_s=45)}
    found, refused = drained(loaded(), seen, {})
    assert found["jobs"].y.tolist() == [2]
    assert refused["jobs"]


def test_f69_a_series_is_one_backlog_for_all_its_pools(loaded):
    """Two pools that read one series in two ways are told, with the line of the second."""
    other = TEXT + TEXT[TEXT.index("  worker") :].replace("worker", "late").replace("drain: 5m", "drain: 9m")
    with pytest.raises(ConfigError, match=r"loadline.yaml:13: .*another backlog"):
        loaded(other)
