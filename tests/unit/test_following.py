"""A source over a network: filled in once, then asked for what is new, and judged beside its past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.errors import MetricsError
from autoscaler.following import AT_ONCE, CONTEXT_S, Following
from autoscaler.ports import Samples
from autoscaler.store.database import connect
from autoscaler.store.history import History
from forecasts.types import Series

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
STEP = 60


class Server:
    """A source with one value a minute for each series, the minute since 1970; it notes what it was asked."""

    step_s = STEP
    delay_s = 0

    def __init__(self, *series, begins=NOW - timedelta(days=3)):
        self.series, self.begins = series, begins
        self.asked = []
        self.partial = {}
        self.down = False
        self.broken = set()
        self.scale = 1.0

    def known(self):
        return self.series

    def samples(self, series, since, until):
        self.asked.append((tuple(series), since, until))
        if self.down:
            raise MetricsError("down")
        if self.broken.issuperset(series):
            raise MetricsError(f"no query of {series} can be asked")
        broken, series = self.broken & set(series), [name for name in series if name not in self.broken]
        first = max(since, self.begins)
        minutes = np.arange(-(-int(first.timestamp()) // STEP), int(until.timestamp()) // STEP)
        size = minutes.size * len(series)
        return Samples(
            unique_id=np.repeat(np.array(series, dtype=object), minutes.size),
            ds=np.tile(minutes * STEP, len(series)).astype("datetime64[s]").astype("datetime64[us]"),
            y=np.tile(minutes.astype(float) * (0.5 if self.partial else self.scale), len(series)),
            line=np.full(size, -1),
            source="server",
            lower_bounds={name: self.partial[name] for name in series if name in self.partial},
            unanswered=dict.fromkeys(broken, "refused"),
        )


@pytest.fixture
def history(tmp_path):
    return History(connect(str(tmp_path / "store.db")))


def series_of(samples):
    """What came, as one series for each id."""
    found = []
    for name in dict.fromkeys(samples.unique_id):
        mine = samples.unique_id == name
        stamps = samples.ds[mine].astype("datetime64[s]").astype(np.int64)
        start = int(stamps.min())
        y = np.full((int(stamps.max()) - start) // STEP + 1, np.nan)
        y[(stamps - start) // STEP] = samples.y[mine]
        found.append(Series(unique_id=name, start=datetime.fromtimestamp(start, UTC), step_s=STEP, y=y))
    return found


def filled(server, history, series, now=NOW, days=2):
    """A follower whose history was filled in."""
    following = Following(server, server, history)

    def keep(samples):
        history.append_all(series_of(samples))

    assert list(following.fill(series, now - timedelta(days=days), now, keep))
    return following


def test_history_is_filled_in_once_and_then_only_what_is_new_is_asked(history):
    """After filling in, a turn asks for less than an hour and a bit of overlap, not for the past again."""
    server = Server("a", "b")
    following = filled(server, history, ["a", "b"])
    assert following.missing(["a", "b"], NOW - timedelta(days=2), NOW) == []
    later = NOW + timedelta(minutes=5)
    answer = following.samples(["a", "b"], NOW - timedelta(days=35), later)
    (names, since, until) = server.asked[-1]
    assert (set(names), until) == ({"a", "b"}, later)
    assert later - since <= timedelta(minutes=75)
    for one in series_of(answer):
        past = answer.before[one.unique_id]
        assert (past.start, past.end) == (later - timedelta(seconds=CONTEXT_S), one.start)
        assert np.isfinite(np.r_[past.y, one.y]).all()
        assert one.y[-1] == later.timestamp() / STEP - 1


def test_no_point_comes_twice(history):
    """What the store tells and what the source tells do not overlap: no false duplicates are told."""
    server = Server("a")
    following = filled(server, history, ["a"])
    answer = following.samples(["a"], NOW - timedelta(days=35), NOW + timedelta(minutes=5))
    stamps = np.r_[answer.before["a"].stamps(), answer.ds]
    assert len(np.unique(stamps)) == len(stamps)


def test_f17_a_partial_answer_lowers_nothing_and_is_asked_again(history):
    """Beside an answer that may be too low what is stored stays; all of it is asked anew later."""
    server = Server("a")
    following = filled(server, history, ["a"])
    server.partial = {"a": "a shard did not answer"}
    later = NOW + timedelta(minutes=5)
    answer = following.samples(["a"], NOW - timedelta(days=35), later)
    assert dict(answer.lower_bounds) == {"a": "a shard did not answer"}
    before = NOW - timedelta(minutes=1)
    at = answer.ds == np.datetime64(before.replace(tzinfo=None), "us")
    assert max(answer.y[at]) == pytest.approx(before.timestamp() / STEP)
    since_partial = server.asked[-1][1]
    server.partial = {}
    hours_later = NOW + timedelta(hours=6)
    history.append_all(series_of(following.samples(["a"], NOW - timedelta(days=35), later)))
    following.samples(["a"], NOW - timedelta(days=35), hours_later)
    assert server.asked[-2][1] <= since_partial


def test_a_partial_stretch_is_asked_again_when_it_is_whole(history):
    """However long answers were partial, the first whole one covers all of that time."""
    server = Server("a")
    following = filled(server, history, ["a"])
    server.partial = {"a": "a shard did not answer"}
    for hour in range(1, 5):
        answer = following.samples(["a"], NOW - timedelta(days=35), NOW + timedelta(hours=hour))
        history.append_all(series_of(answer))
    server.partial = {}
    following.samples(["a"], NOW - timedelta(days=35), NOW + timedelta(hours=5))
    assert server.asked[-1][1] <= NOW


def test_what_an_earlier_process_was_told_is_asked_again(history):
    """A partial answer was kept by a process that is gone: the next one asks for the day again."""
    server = Server("a")
    following = filled(server, history, ["a"])
    server.partial = {"a": "a shard did not answer"}
    later = NOW + timedelta(hours=3)
    history.append_all(series_of(following.samples(["a"], NOW - timedelta(days=35), later)))
    server.partial = {}
    after = Following(server, server, history)
    after.samples(["a"], NOW - timedelta(days=35), later)  # lost: it came too late, say
    history.append_all(series_of(after.samples(["a"], NOW - timedelta(days=35), later)))
    after.stored()
    (kept,) = history.read(["a"], NOW, later)
    assert kept.y == pytest.approx(kept.stamps().astype(np.int64) / STEP)
    after.samples(["a"], NOW - timedelta(days=35), later)
    assert later - server.asked[-1][1] <= timedelta(minutes=75)


def test_a_series_without_a_query_is_not_asked_for(history):
    """Only what the source has queries for is asked; nothing at all where it has none of them."""
    server = Server("a")
    following = Following(server, server, history)
    answer = following.samples(["x"], NOW - timedelta(days=35), NOW)
    assert (server.asked, len(answer.y)) == ([], 0)


def test_a_new_series_is_asked_for_its_last_day_until_it_is_filled_in(history):
    """A turn never waits for weeks of history."""
    server = Server("a", begins=NOW - timedelta(days=30))
    following = Following(server, server, history)
    following.samples(["a"], NOW - timedelta(days=35), NOW)
    assert server.asked[-1][1] >= NOW - timedelta(seconds=CONTEXT_S)
    assert following.missing(["a"], NOW - timedelta(days=35), NOW) == ["a"]


def test_the_window_of_a_past_event_is_asked_as_it_is(history):
    """A window that ends before what is stored goes to the source unchanged; nothing is laid beside it."""
    server = Server("a")
    following = filled(server, history, ["a"])
    since, until = NOW - timedelta(days=3), NOW - timedelta(days=2)
    answer = following.samples(["a"], since, until)
    assert server.asked[-1] == (("a",), since, until)
    assert len(answer.y) == 1440


def test_a_series_of_which_nothing_came_is_not_filled_in_at_every_turn(history):
    """An hour goes by before an empty history is asked for again; five minutes where the source failed."""
    server = Server("a", begins=NOW + timedelta(days=1))
    following = filled(server, history, ["a"])
    since = NOW - timedelta(days=2)
    assert following.missing(["a"], since, NOW + timedelta(minutes=59)) == []
    assert following.missing(["a"], since, NOW + timedelta(minutes=60)) == ["a"]
    server.down = True
    with pytest.raises(MetricsError):
        list(following.fill(["a"], since, NOW, lambda _samples: None))
    assert following.missing(["a"], since, NOW + timedelta(minutes=4)) == []
    assert following.missing(["a"], since, NOW + timedelta(minutes=5)) == ["a"]


@given(st.integers(1, 3 * AT_ONCE + 1))
def test_filling_in_goes_by_groups_and_tells_how_many_are_done(count):
    """Every series is fetched exactly once, at most fifty together, and progress ends at their number."""
    names = [f"s{number}" for number in range(count)]
    server = Server(*names, begins=NOW - timedelta(minutes=3))

    class Nothing:
        def ends(self, _ids):
            return {}

    following = Following(server, server, Nothing())
    kept = []
    done = list(following.fill(names, NOW - timedelta(days=1), NOW, kept.append))
    assert done[-1] == count
    assert sorted(name for asked, _, _ in server.asked for name in asked) == sorted(names)
    assert max(len(asked) for asked, _, _ in server.asked) <= AT_ONCE
    assert len(kept) == len(done)


def test_a_query_that_always_fails_costs_no_other_series_its_answer(history):
    """Also when it is the only one that is asked for a whole day: the others come, it is told."""
    server = Server("a", "bad")
    server.broken = {"bad"}
    following = filled(server, history, ["a", "bad"])
    answer = following.samples(["a", "bad"], NOW - timedelta(days=35), NOW + timedelta(minutes=5))
    assert set(answer.unique_id) == {"a"}
    assert answer.ds.max() == np.datetime64("2026-03-02T08:04", "us")
    assert "bad" in answer.unanswered
    assert any("can be asked" in word for word in answer.warnings)
    server.down = True
    with pytest.raises(MetricsError):
        following.samples(["a", "bad"], NOW - timedelta(days=35), NOW + timedelta(minutes=6))


def test_a_second_look_within_a_step_does_not_ask_for_the_past_again(history):
    """The newest step that is stored ends after now; that is no reason to ask for five weeks."""
    server = Server("a")
    filled(server, history, ["a"], now=NOW + timedelta(seconds=60))
    following = Following(server, server, history)
    now = NOW + timedelta(seconds=20)
    answer = following.samples(["a"], NOW - timedelta(days=35), now)
    assert now - server.asked[-1][1] <= timedelta(days=1)
    following.stored()
    following.samples(["a"], NOW - timedelta(days=35), now)
    assert now - server.asked[-1][1] <= timedelta(minutes=75)
    stamps = np.r_[answer.before["a"].stamps(), answer.ds]
    assert len(np.unique(stamps)) == len(stamps)


def test_samples_of_a_series_come_in_order(history):
    """What is stored before what is new: nothing is told as out of order."""
    server = Server("a")
    following = filled(server, history, ["a"])
    answer = following.samples(["a"], NOW - timedelta(days=35), NOW + timedelta(minutes=5))
    assert (np.diff(np.r_[answer.before["a"].stamps(), answer.ds]) > np.timedelta64(0)).all()


def test_history_that_could_not_be_fetched_is_owed_until_it_comes(history):
    """A failure, of all or of one query, leaves a series unfilled; it is asked for again, for a day."""
    server = Server("a", "b")
    server.broken = {"b"}
    following = filled(server, history, ["a", "b"])
    assert set(following.unfilled(["a", "b"], NOW)) == {"b"}
    since, later = NOW - timedelta(days=2), NOW + timedelta(minutes=5)
    assert following.missing(["a", "b"], since, later) == ["b"]
    with pytest.raises(MetricsError):
        list(following.fill(["b"], since, later, lambda _samples: None))
    assert set(following.unfilled(["a", "b"], later)) == {"b"}
    assert following.unfilled(["b"], NOW + timedelta(days=1)) == {}
    server.broken = set()
    list(following.fill(["b"], since, later, lambda _samples: None))
    assert following.unfilled(["a", "b"], later) == {}


def test_a_group_that_fails_does_not_stand_before_the_others_for_ever(history):
    """Those behind a group of which every query fails are owed, and are asked for at the next call."""
    bad, good = [f"a{number}" for number in range(AT_ONCE)], ["z"]
    server = Server(*bad, *good)
    server.broken = set(bad)
    following = Following(server, server, history)
    since = NOW - timedelta(days=2)
    with pytest.raises(MetricsError):
        list(following.fill([*bad, *good], since, NOW, lambda _samples: None))
    assert "z" in following.unfilled([*bad, *good], NOW)
    assert following.missing([*bad, *good], since, NOW) == good


def test_a_query_of_another_meaning_has_its_history_fetched_anew(history):
    """What was stored is not laid beside it, it is told, and owed until the whole past came anew."""
    server = Server("a", "b")
    following = filled(server, history, ["a", "b"])
    server.scale = 0.001
    later, since = NOW + timedelta(minutes=5), NOW - timedelta(days=2)
    answer = following.samples(["a", "b"], since, later)
    assert sum("a new query?" in word for word in answer.warnings) == 2
    assert answer.y.max() < 1e6
    assert set(following.unfilled(["a", "b"], later)) == {"a", "b"}
    assert following.missing(["a", "b"], since, later) == ["a", "b"]
    list(following.fill(["a", "b"], since, later, lambda part: history.append_all(series_of(part))))
    assert (following.missing(["a", "b"], since, later), following.owes_another) == ([], False)
    (one,) = history.read(["a"], since, later)
    assert one.y == pytest.approx(np.arange(len(one.y)) * 0.001 + since.timestamp() / STEP * 0.001, rel=1e-6)
    again = following.samples(["a", "b"], since, later + timedelta(minutes=1))
    assert not again.warnings


def test_a_partial_answer_is_no_query_of_another_meaning(history):
    """However much is lacking, nothing is thrown away for it, nor when it is whole again."""
    server = Server("a")
    following = filled(server, history, ["a"])
    server.partial = {"a": "a shard did not answer"}
    later = NOW + timedelta(hours=2)
    history.append_all(series_of(following.samples(["a"], NOW - timedelta(days=2), later)))
    server.partial = {}
    answer = following.samples(["a"], NOW - timedelta(days=2), later + timedelta(minutes=1))
    assert not answer.warnings
    assert not following.owes_another


def test_another_step_has_its_history_fetched_anew(history):
    """Points that come every minute are not laid beside those of every five."""
    server = Server("a")
    start = NOW - timedelta(days=2)
    history.append(Series(unique_id="a", start=start, step_s=300, y=np.ones(2 * 288)))
    following = Following(server, server, history)
    answer = following.samples(["a"], start, NOW)
    assert any("its step was 300 s, and is 60 s now" in word for word in answer.warnings)
    assert following.missing(["a"], start, NOW) == ["a"]
    assert (np.diff(answer.ds) == np.timedelta64(60, "s")).all()
    assert not answer.before
