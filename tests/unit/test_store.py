"""History: what is kept of a series comes back as it was, whatever the order and the size of the pieces."""

from __future__ import annotations

import tempfile
import zlib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import event, text

from autoscaler.errors import StoreError
from autoscaler.store import chunks as store_chunks
from autoscaler.store import history as store_history
from autoscaler.store import recent as store_recent
from autoscaler.store.chunks import FULL_STEPS
from autoscaler.store.database import connect, reading, writing
from autoscaler.store.history import History
from forecasts.types import Series

pytestmark = pytest.mark.slow  # each builds a world, a page or a file; make core has the laws

START = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLE = st.one_of(
    st.just(float("nan")),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-1000, 1000).map(float),
    st.floats(0, 1e6, width=32),
)


def series(values, *, at=0, step_s=60, name="web"):
    """A series whose first step begins `at` steps after START."""
    start = START + timedelta(seconds=at * step_s)
    return Series(unique_id=name, start=start, step_s=step_s, y=np.array(values, dtype=float))


def chunks(engine):
    """Steps and codec of every chunk, oldest first."""
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text("SELECT steps, codec FROM chunk ORDER BY id"))]


@pytest.fixture
def engine(tmp_path):
    """A new store."""
    made = connect(str(tmp_path / "loadline.db"))
    yield made
    made.dispose()


@pytest.fixture
def history(engine):
    """The history of a new store."""
    return History(engine)


@given(st.lists(SAMPLE, min_size=1, max_size=60))
def test_samples_come_back_within_24_bits(values):
    """Any finite value comes back with a relative error of at most 2^-24; absent stays absent."""
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"{folder}/loadline.db")
        history = History(engine)
        history.append(series(values))
        (found,) = history.read(["web"])
        engine.dispose()
    wanted = np.array(values)
    assert (found.start, found.step_s, len(found.y)) == (START, 60, len(wanted))
    assert (np.isnan(found.y) == np.isnan(wanted)).all()
    known = ~np.isnan(wanted)
    assert (np.abs(found.y[known] - wanted[known]) <= np.abs(wanted[known]) * 2.0**-24).all()


PIECES = st.lists(
    st.tuples(
        st.integers(0, 30), st.lists(st.one_of(st.just(np.nan), st.integers(0, 9)), min_size=1, max_size=12)
    ),
    min_size=1,
    max_size=6,
)


@given(PIECES)
def test_pieces_in_any_order_are_one_series(pieces):
    """The newest finite value of each step wins, an absent one never erases, and nothing is there twice."""
    expected = np.full(60, np.nan)
    reached = np.zeros(60, dtype=bool)
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"{folder}/loadline.db")
        history = History(engine)
        for at, values in pieces:
            piece = np.array(values, dtype=float)
            known = np.isfinite(piece)
            before = expected[at : at + len(piece)].copy()
            expected[at : at + len(piece)][known] = piece[known]
            reached[at : at + len(piece)] = True
            assert history.append(series(piece, at=at)) == int((known & (piece != before)).sum())
            assert history.append(series(piece, at=at)) == 0
        (found,) = history.read(["web"])
        engine.dispose()
    first, last = int(np.argmax(reached)), 60 - int(np.argmax(reached[::-1]))
    assert found.start == START + timedelta(minutes=first)
    np.testing.assert_array_equal(found.y, expected[first:last])


def test_the_same_again_adds_nothing(engine, history):
    """Appending what is kept already writes no chunk, also where packing has rounded it."""
    mine = series([0.1, np.nan, 1e300, 2 / 3])
    assert history.append(mine) == 3
    before = chunks(engine)
    assert history.append(mine) == 0
    assert chunks(engine) == before


def test_a_late_sample_revises(history):
    """A sample that comes late fills its place, a revised one replaces the older, the rest stays."""
    history.append(series([1, 2, np.nan, 4]))
    assert history.append(series([20, 3], at=1)) == 2
    assert history.read(["web"])[0].y.tolist() == [1, 20, 3, 4]


def test_small_appends_are_packed_together(engine, history):
    """A tick's few samples join the chunks before them: chunks do not grow with the ticks."""
    for at in range(0, 600, 5):
        history.append(series(np.arange(at, at + 5), at=at))
    assert len(chunks(engine)) <= 4
    assert sum(steps for steps, _codec in chunks(engine)) == 600
    history.append(series(np.zeros(FULL_STEPS), at=600))
    history.append(series([1, 2], at=600 + FULL_STEPS))
    history.append(series(np.zeros(60), at=602 + FULL_STEPS))
    assert [steps for steps, _codec in chunks(engine)] == [FULL_STEPS, 600, 62]
    assert history.read(["web"])[0].y[-63:].tolist() == [0, 1, 2, *[0] * 60]


def test_a_long_series_is_cut_into_chunks(engine, history):
    """No chunk grows without bound."""
    history.append(series(np.arange(10_000)))
    assert [steps for steps, _ in chunks(engine)] == [FULL_STEPS, FULL_STEPS, 10_000 - 2 * FULL_STEPS]
    np.testing.assert_array_equal(history.read(["web"])[0].y, np.arange(10_000))


def test_a_tick_unpacks_no_more_than_what_it_touches(history, monkeypatch):
    """Of a long history keeping a few samples, and reading a few, unpacks the chunks that they lie in."""
    history.append_all([series(np.arange(50_000), name=name) for name in ("web", "api")])
    seen = []
    plain = store_chunks._unpacked
    monkeypatch.setattr(store_chunks, "_unpacked", lambda name, one: seen.append(name) or plain(name, one))
    history.append_all([series([1, 2], at=50_000, name=name) for name in ("web", "api")])
    assert len(seen) <= 4
    seen.clear()
    history.read(["web"], START + timedelta(minutes=49_500), START + timedelta(minutes=50_002))
    assert len(seen) <= 2
    assert history.ends(["web", "absent"]) == {"web": START + timedelta(minutes=50_002)}


def test_many_series_are_kept_with_few_statements(engine, history):
    """Statements do not grow with the series: one look, one delete and one insert for many of them."""
    names = [f"s{number}" for number in range(40)]
    history.append_all([series([1, 2], name=name) for name in names])
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert history.append_all([series([2, 3], at=1, name=name) for name in names]) == 40
    assert len([one for one in statements if "chunk" in one]) <= 3


def test_the_same_series_twice_is_kept_in_order(history):
    """Of two parts of one series in a call the later one wins, as in two calls."""
    assert history.append_all([series([1, 2]), series([5], at=1), series([])]) == 3
    assert history.read(["web"])[0].y.tolist() == [1, 5]


def test_a_window_is_read(history):
    """Reading gives the steps that begin within [since, until), series by series in the order asked."""
    history.append_all([series(np.arange(10)), series([7, 8], name="api")])
    since, until = START + timedelta(seconds=90), START + timedelta(seconds=240)
    (found,) = history.read(["web"], since, until)
    assert (found.start, found.y.tolist()) == (START + timedelta(seconds=120), [2, 3])
    assert [s.unique_id for s in history.read(["api", "none", "web", "api"])] == ["api", "web"]
    assert history.read(["web"], START + timedelta(days=1)) == []
    assert history.read(["web"], None, START) == []
    assert history.read([]) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 90),
            st.lists(st.one_of(st.just(np.nan), st.integers(0, 9)), min_size=1, max_size=40),
            st.booleans(),
            st.integers(0, 60),
        ),
        min_size=1,
        max_size=12,
    )
)
@example([(60, [np.nan], False, 0), (0, [np.nan], False, 1)])
def test_what_is_read_again_is_what_is_stored(turns):
    """`recent` says what `read` says, whoever wrote and whatever was revised; what it said never changes."""
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"{folder}/loadline.db")
        history, other = History(engine), History(engine)
        said = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_chunks, "FULL_STEPS", 16)
            patch.setattr(store_history, "FULL_STEPS", 16)
            patch.setattr(store_recent, "SPARE_S", 20 * 60)
            for at, values, mine, low in turns:
                (history if mine else other).append(series(values, at=at))
                until = START + timedelta(minutes=60 + at)
                (wanted,) = other.read(["web"], START + timedelta(minutes=low), until) or [None]
                (found,) = history.recent(["web"], START + timedelta(minutes=low), until) or [None]
                assert (found is None) == (wanted is None)
                if found is not None and wanted is not None:
                    assert (found.start, found.step_s) == (wanted.start, wanted.step_s)
                    assert np.array_equal(found.y, wanted.y, equal_nan=True)
                    said.append((found.y, found.y.copy()))
        engine.dispose()
    assert all(np.array_equal(now, then, equal_nan=True) for now, then in said)


def test_a_revision_of_the_newest_chunk_is_read_again(history):
    """No row of the store has the number of an earlier one, whatever is packed in its place."""
    for values in ([1, 2, 4, 2, 1], [1, 3, 2, 3, 1], [1, 2, 4, 2, 1]):
        history.append(series(values))
        (found,) = history.recent(["web"], START, START + timedelta(days=1))
        assert found.y.tolist() == values


def test_pieces_over_the_edge_of_a_chunk_are_packed(history):
    """A chunk that reaches further back than what was read is left as it is."""
    edges = [(0, 4096), (4000, 8090), (8090, 8192), (8192, 8602)]
    for begin, end in edges:
        history.append(series(np.arange(begin, end), at=begin))
    np.testing.assert_array_equal(history.read(["web"])[0].y, np.arange(8602))


@given(st.lists(st.tuples(st.integers(-20, 6), st.integers(1, 40)), min_size=1, max_size=25))
def test_turns_that_overlap_are_packed_whatever_their_size(turns):
    """Each turn begins some steps before or after the end of the last one, and revises what it says again."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_chunks, "FULL_STEPS", 16)
        patch.setattr(store_history, "FULL_STEPS", 16)
        engine = connect(f"{folder}/loadline.db")
        history, end, known = History(engine), 0, np.full(2000, np.nan)
        for number, (apart, steps) in enumerate(turns, 1):
            begin = max(0, end + apart)
            known[begin : begin + steps] = number
            history.append(series([float(number)] * steps, at=begin))
            end = begin + steps
        (found,) = history.read(["web"])
        first = int(np.argmax(np.isfinite(known)))
        assert np.array_equal(found.y, known[first : first + len(found.y)], equal_nan=True)
        engine.dispose()


def test_a_window_within_a_hole_is_absent(history):
    """Between two chunks nothing is known: the steps are there, and absent."""
    history.append(series([1, 2], at=0))
    history.append(series([3, 4], at=500))
    window = (START + timedelta(minutes=100), START + timedelta(minutes=160))
    (found,), (wanted,) = history.recent(["web"], *window), history.read(["web"], *window)
    assert np.isnan(found.y).all()
    assert (found.start, len(found.y)) == (wanted.start, len(wanted.y)) == (window[0], 60)


def test_what_was_unpacked_is_not_unpacked_again(history, monkeypatch):
    """Read again after one more step, only the new chunk is unpacked, and the past is the same memory."""
    rng = np.random.default_rng(1)
    history.append(series(rng.normal(size=3 * FULL_STEPS + 700)))
    (before,) = history.recent(["web"], START, START + timedelta(days=60))
    history.append(series([1.0], at=3 * FULL_STEPS + 700))
    unpacked = []
    real = store_chunks._unpacked
    monkeypatch.setattr(store_chunks, "_unpacked", lambda *given: unpacked.append(1) or real(*given))
    (after,) = history.recent(["web"], START, START + timedelta(days=60))
    assert len(unpacked) <= 2
    assert len(after.y) == len(before.y) + 1
    assert np.shares_memory(before.y, after.y)


def test_a_step_is_packed_again_a_few_times(engine, history):
    """A thousand single steps leave few chunks, and are packed again some tens of times each at most."""
    written = []

    @event.listens_for(engine, "before_cursor_execute")
    def seen(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith("INSERT INTO chunk"):
            many = parameters if isinstance(parameters, list) else [parameters]
            written.extend(one[3] for one in many)

    for at in range(1000):
        history.append(series([float(at)], at=at))
    assert len(chunks(engine)) <= 12
    assert sum(written) <= 1000 * 40


def test_f70_reading_no_ids_reads_nothing(history):
    """An empty list of ids names no series, never all."""
    history.append(series([1]))
    assert history.read([]) == []


def test_another_step_begins_a_new_grid(history):
    """A series that is sampled otherwise from now on is read on its newest grid."""
    history.append(series([1, 2, 3]))
    history.append(series([5, 6], at=1, step_s=300))
    (found,) = history.read(["web"])
    assert (found.step_s, found.y.tolist()) == (300, [5, 6])


def test_values_float32_cannot_hold_are_kept_whole(engine, history):
    """A chunk with a value beyond float32 is kept in float64."""
    history.append(series([1e300, 1e-300, 0.1]))
    assert [codec for _, codec in chunks(engine)] == ["f8-zlib"]
    assert history.read(["web"])[0].y[:2].tolist() == [1e300, 1e-300]


def test_a_moment_within_a_second_is_refused(history):
    """A grid that begins within a second is told, not silently moved."""
    odd = Series(unique_id="web", start=START + timedelta(milliseconds=5), step_s=60, y=np.ones(3))
    with pytest.raises(StoreError, match="within a second"):
        history.append(odd)


@pytest.mark.parametrize(
    "change",
    ["\"values\" = x'00'", "codec = 'f2'", "steps = 2", f"\"values\" = x'{zlib.compress(b'abc').hex()}'"],
)
def test_f60_a_damaged_chunk_is_told(engine, history, change):
    """A chunk that does not unpack is a StoreError that names it and the mend, never a wrong number."""
    history.append(series([1, 2, 3]))
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE chunk SET {change}"))  # noqa: S608 - the test's own words
    with pytest.raises(StoreError, match="chunk 1 of web"):
        history.read(["web"])
