"""Laws of the periods that a source over a network is asked for, and of answers made into samples."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.errors import MetricsError, Throttled, Unreachable
from autoscaler.metrics.answers import Answer, asked, named, seconds_for, together, unanswered
from autoscaler.metrics.periods import MARGIN_S, Window, window

DAY_S = 86400
NOW = st.integers(1_580_000_000, 1_900_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))
AGO = st.none() | st.integers(-DAY_S, 40 * DAY_S)
STEPS = st.sampled_from([1, 60, 300, 3600])


@given(NOW, AGO, AGO, STEPS, st.integers(0, 600))
def test_a_window_holds_exactly_the_periods_that_are_wanted_kept_and_over(now, since, until, step_s, delay_s):
    """A period is asked for if and only if it begins in [since, until), is still kept, and was over."""
    begin = None if since is None else now - timedelta(seconds=since)
    end = None if until is None else now - timedelta(seconds=until)
    reach_s = 15 * DAY_S
    span = window(begin, end, now, step_s=step_s, delay_s=delay_s, reach_s=reach_s)
    assert span.begin % step_s == span.end % step_s == 0
    assert span.begin <= span.end

    def wanted(at):
        kept = at >= now.timestamp() - reach_s + MARGIN_S
        over = at + step_s <= now.timestamp() - delay_s
        after = begin is None or at >= begin.timestamp()
        return kept and over and after and (end is None or at < end.timestamp())

    edges = {span.begin - step_s, span.begin, span.end - step_s, span.end}
    for at in edges | {int(now.timestamp()) // step_s * step_s}:
        assert wanted(at) == (span.begin <= at < span.end)
    assert span.periods == (span.end - span.begin) // step_s


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)))
def test_samples_are_what_came_in_ascending_time(order, absent):
    """Whatever the order of the points, each finite one comes once, at its time; none is made up."""
    stamps = np.array([60 * k for k in order], dtype=np.int64)
    y = np.array([np.nan if k in absent else float(k) for k in order])
    span = Window(begin=0, end=480, step_s=60)
    twice = Answer(stamps=np.concatenate([stamps, stamps]), y=np.concatenate([y, y]))
    samples = together({"a": twice, "b": Answer()}, span, source="s")
    there = [k for k in range(8) if k not in absent]
    assert samples.y.tolist() == [float(k) for k in there]
    assert samples.ds.astype("datetime64[s]").astype(int).tolist() == [60 * k for k in there]
    assert set(samples.unique_id) <= {"a"}


def test_what_was_not_asked_for_is_left_out_and_told():
    """Points outside the window are no samples."""
    answer = Answer(stamps=np.array([0, 60, 120]), y=np.array([1.0, 2.0, 3.0]))
    samples = together({"a": answer}, Window(begin=60, end=120, step_s=60), source="s")
    assert samples.y.tolist() == [2.0]
    assert "2 points" in samples.warnings[0]


def test_each_request_answers_for_itself():
    """A request that fails does not take another's answer, and each answer stands at its request's place."""

    def ask(job):
        if job == 1:
            raise Throttled("slowly")
        return job * 10

    answers = asked([0, 1, 2], ask, workers=2, seconds=5)
    assert (answers[0], answers[2]) == (0, 20)
    assert isinstance(answers[1], Throttled)
    assert asked([], ask, workers=2, seconds=5) == []


def test_whoever_is_late_is_unreachable_and_the_others_are_not():
    """After the deadline the late request is Unreachable; what had answered is kept."""
    gate = threading.Event()
    answers = asked([0, 1], lambda job: gate.wait(5) if job else "done", workers=2, seconds=0.1)
    gate.set()
    assert answers[0] == "done"
    assert isinstance(answers[1], Unreachable)


def test_a_long_back_fill_may_take_longer():
    """A turn has its time-out; each quarter of a million points has it once more."""
    assert seconds_for(30, 1_000) == 30
    assert seconds_for(30, 625_000) == 90


def test_only_series_with_a_query_are_asked_for():
    """All known ones if none is named, each once; an unknown one is refused with the nearest."""
    assert named([], ["web", "api"], "s") == ["web", "api"]
    assert named(["api", "api"], ["web", "api"], "s") == ["api"]
    with pytest.raises(MetricsError, match="did you mean api"):
        named(["apo"], ["web", "api"], "s")
    error = unanswered("s", [Throttled("slowly")])
    assert str(error) == "s: slowly"
    assert isinstance(error.__cause__, Throttled)
