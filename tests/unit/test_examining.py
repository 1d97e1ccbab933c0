"""What an examination says of a query of a source in periods, from how old its newest point is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from autoscaler.metrics.examining import checks_of
from autoscaler.ports import Samples

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def looked_at(minutes, **more):
    """The one check of a query with a step of five minutes whose newest period began so many minutes ago."""
    stamps = [np.datetime64((NOW - timedelta(minutes=ago)).replace(tzinfo=None), "us") for ago in minutes]
    samples = Samples(
        unique_id=np.full(len(stamps), "web", dtype=object),
        ds=np.array(stamps, dtype="datetime64[us]"),
        y=np.ones(len(stamps)),
        line=np.full(len(stamps), -1),
        source="cloud",
        **more,
    )
    (check,) = checks_of(
        ("web",), samples, NOW, source="cloud", step_s=300, delay_s=60, meant=lambda _name: "spelt like that"
    )
    return check


@pytest.mark.parametrize(("ago", "ok"), [(5, True), (16, True), (17, False), (120, False)])
def test_a_query_that_stopped_is_told_as_the_input_gate_counts(ago, ok):
    """Three steps and the source's own delay, as a plan allows; a later one fails, with a mend."""
    check = looked_at([ago, ago + 5])
    assert (check.ok, bool(check.mend)) == (ok, not ok)
    assert "ago" in check.why


def test_a_partial_answer_and_an_empty_one_fail():
    """What may be larger than was told fails; of a query without points it is said what may be meant."""
    assert looked_at([5], lower_bounds={"web": "PartialData"}).ok is False
    empty = looked_at([])
    assert (empty.ok, empty.mend) == (False, "spelt like that")
