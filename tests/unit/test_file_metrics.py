"""History from files: what is read, and what is refused with file and line."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoscaler.errors import DataError, UsageError
from autoscaler.metrics.csv import CHUNK, CsvMetrics, read
from autoscaler.metrics.files import read_files
from autoscaler.metrics.stamps import parse, zone
from forecasts.limits import Code, Limits

GOOD = "unique_id,ds,y\nweb,2026-03-02T00:00:00Z,1\nweb,2026-03-02T00:05:00Z,2\nweb,2026-03-02T00:10:00Z,3\n"


def put(tmp_path, text, name="history.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def refused(path, **more):
    with pytest.raises(DataError) as caught:
        read_files([path], limits=Limits(latest=datetime(2027, 1, 1, tzinfo=UTC)), **more)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("web,2026-03-02T00:15:00Z,NaN", "not a finite number"),
        ("web,2026-03-02T00:15:00Z,inf", "not a finite number"),
        ("web,2026-03-02T00:15:00Z,-1", "negative"),
        ("web,2026-03-02T00:10:00Z,2", "more than once"),
        ("web,2099-03-02T00:15:00Z,4", "in the future"),
        ("web,1789-07-14T00:15:00Z,4", "outside 1990-2100"),
        ("web,2026-03-02T00:15:00,4", "has no time zone"),
        ("web,yesterday,4", "no stamp"),
        ("web,2026-02-30T00:15:00Z,4", "no stamp"),
        ("web,1772409600000,4", "milliseconds"),
        ("web,2026-03-02T00:15:00Z,four", "'four' is no number"),
        ("web,2026-03-02T00:15:00Z,1_000", "is no number"),
        (",2026-03-02T00:15:00Z,4", "unique_id is empty"),
        ("web,2026-03-02T00:15:00Z", "2 columns where the header has 3"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path, row, word):
    """One bad row refuses the file, in one line that names it."""
    message = refused(put(tmp_path, GOOD + row + "\n"))
    assert word in message
    # Of two rows with one stamp either may be named.
    assert "history.csv:5: " in message or (word == "more than once" and "history.csv:4: " in message)


def test_in_a_tick_bad_rows_are_dropped_and_told(tmp_path):
    """Not strict: the sound rows go on, and what was dropped is noticed with the first line."""
    path = put(tmp_path, GOOD + "web,2026-03-02T00:15:00,4\nweb,2026-03-02T00:20:00Z,-5\n")
    gated = read_files([path], strict=False, limits=Limits())
    assert np.array_equal(gated.series[0].y, [1, 2, 3, np.nan, np.nan], equal_nan=True)
    assert {notice.code for notice in gated.notices} == {Code.UNREADABLE, Code.NEGATIVE}
    assert "history.csv:5: " in next(n for n in gated.notices if n.code is Code.UNREADABLE).message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "is empty"),
        ("unique_id,ds,y\n", "no samples below the header"),
        ("Unique_ID,ds,y\n", "rename 'Unique_ID'"),
        ("unique_id,ds,value\n", "no column 'y' among unique_id, ds, value"),
        ("unique_id;ds;y\n", "separate the columns by commas"),
        ("unique_id,ds,y,y\n", "there twice"),
        ("<html>please log in</html>", "web page"),
    ],
)
def test_a_file_that_is_no_history_says_so(tmp_path, text, word):
    """What is wrong with a file as a whole is told with its name."""
    message = refused(put(tmp_path, text))
    assert word in message
    assert "history.csv" in message


def test_missing_unnamed_and_unknown_files(tmp_path):
    """A file that is not there, of an unknown kind, or none at all: one line each."""
    assert "no such file" in refused(tmp_path / "nowhere.csv")
    assert "no such file" in refused(tmp_path / "nowhere.xlsx")
    assert "neither .csv" in refused(put(tmp_path, GOOD, "history.xlsx"))
    with pytest.raises(DataError, match="at least one file"):
        read_files([], limits=Limits())


def test_gzip_is_read_and_a_damaged_one_refused(tmp_path):
    """`.csv.gz` reads like `.csv`; what is not gzip or was cut short is told."""
    whole = gzip.compress(GOOD.encode())
    (tmp_path / "a.csv.gz").write_bytes(whole)
    (tmp_path / "b.csv.gz").write_bytes(whole[:-12])
    (tmp_path / "c.csv.gz").write_text(GOOD)
    assert read_files([tmp_path / "a.csv.gz"], limits=Limits()).series[0].y.tolist() == [1, 2, 3]
    assert "damaged" in refused(tmp_path / "b.csv.gz")
    assert "not gzip" in refused(tmp_path / "c.csv.gz")


def test_blank_lines_quotes_and_byte_order_marks_are_borne(tmp_path):
    """A spreadsheet's manners do no harm, and lines are still counted right."""
    text = '\ufeffunique_id,ds,y\n"web",2026-03-02T00:00:00Z,1\n\n"web","2026-03-02T00:05:00Z","-2"\n'
    assert "history.csv:4: " in refused(put(tmp_path, text))


def test_lines_are_right_beyond_the_first_chunk(tmp_path):
    """A bad row far down is named by its own line."""
    start = np.datetime64("2026-03-02T00:00:00")
    rows = [f"web,{start + np.timedelta64(60 * k, 's')}Z,{k}" for k in range(CHUNK + 50)]
    rows[CHUNK + 20] += "x"
    path = put(tmp_path, "\n".join(["unique_id,ds,y", *rows]))
    assert f"history.csv:{CHUNK + 22}: " in refused(path)
    assert len(read(path).y) == CHUNK + 49


def test_a_series_may_go_on_in_a_second_file_but_not_overlap(tmp_path):
    """Two files that follow each other are one series; the same hours twice are refused."""
    first = put(tmp_path, GOOD, "a.csv")
    later = put(tmp_path, GOOD.replace("T00:", "T01:"), "b.csv")
    one = read_files([later, first], limits=Limits()).series
    assert len(one) == 1
    assert len(one[0].y) == 15
    again = put(tmp_path, GOOD.replace("T00:00", "T00:02"), "c.csv")
    with pytest.raises(DataError, match=r"c\.csv: web is in .*a\.csv too"):
        read_files([first, again], limits=Limits())


def test_a_bad_row_of_the_second_file_is_named_there(tmp_path):
    """With several files the line belongs to the right one."""
    first = put(tmp_path, GOOD, "a.csv")
    second = put(tmp_path, GOOD.replace("web", "api").replace(",2\n", ",-2\n"), "b.csv")
    with pytest.raises(DataError, match=r"b\.csv:3: api at 2026-03-02T00:05:00Z: the value is negative"):
        read_files([first, second], limits=Limits())


def test_parquet_and_csv_read_the_same(tmp_path):
    """The suffix decides how a file is read, and not what it says."""
    stamps = pa.array(np.datetime64("2026-03-02", "us") + np.arange(3) * np.timedelta64(300, "s"))
    for ds in (
        stamps.cast(pa.timestamp("ns", "UTC")),
        pa.array([f"2026-03-02T00:{m:02}:00Z" for m in (0, 5, 10)]),
    ):
        table = {"unique_id": pa.array(["web"] * 3).dictionary_encode(), "ds": ds, "y": pa.array([1, 2, 3])}
        pq.write_table(pa.table(table), tmp_path / "history.parquet")
        series = read_files([tmp_path / "history.parquet"], limits=Limits()).series[0]
        other = read_files([put(tmp_path, GOOD)], limits=Limits()).series[0]
        assert (series.start, series.step_s, series.y.tolist()) == (
            other.start,
            other.step_s,
            other.y.tolist(),
        )


def test_parquet_rows_are_named_by_number(tmp_path):
    """A bad row of a Parquet file is named by its number, though null rows before it are absent."""
    stamps = pa.array(np.datetime64("2026-03-02", "us") + np.arange(4) * np.timedelta64(300, "s"))
    table = {
        "unique_id": ["web"] * 4,
        "ds": stamps.cast(pa.timestamp("us", "UTC")),
        "y": [1.0, None, 3.0, -4.0],
    }
    pq.write_table(pa.table(table), tmp_path / "history.parquet")
    assert "history.parquet:4: " in refused(tmp_path / "history.parquet")
    pq.write_table(pa.table({**table, "y": ["a"] * 4}), tmp_path / "history.parquet")
    assert "not a number" in refused(tmp_path / "history.parquet")


def us(text):
    return int(np.datetime64(text, "us").astype(np.int64))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00"),
        ("2026-03-01 12:00:00+02:00", "2026-03-01T10:00:00"),
        ("2026-03-01T12:00:00.250-05:30", "2026-03-01T17:30:00.250"),
        ("1772366400", "2026-03-01T12:00:00"),
        ("1772366400.5", "2026-03-01T12:00:00.5"),
        ("2024-02-29T23:59:00Z", "2024-02-29T23:59:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00"),
        ("2026-12-31T23:59:59.5Z", "2026-12-31T23:59:59.5"),
    ],
)
def test_f28_stamps_of_every_form_are_one_moment(text, utc):
    """Offsets, epoch seconds, leap days, leap seconds and year ends name the moment they mean."""
    stamps, bad = parse([text, "2026-03-01T12:00:00Z"], None)
    assert not bad
    assert stamps.tolist() == [us(utc), us("2026-03-01T12:00:00")]


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e9])
def test_f26_epochs_finer_than_seconds_are_told_and_never_taken(scale):
    """Milliseconds read as seconds would be the year 58000; they are refused with what they seem to be."""
    _, bad = parse([str(int(1772366400 * scale))], None)
    assert "seconds" in bad[0]
    assert "it seems" in bad[0]


def test_a_local_zone_is_a_mistake_of_usage():
    """A local zone has an hour twice a year; only UTC can be given."""
    with pytest.raises(UsageError, match="'Europe/Berlin' is refused: only UTC is unambiguous"):
        zone("Europe/Berlin")
    assert zone("UTC") is UTC
    assert zone(None) is None


def test_many_rejected_rows_do_not_cost_memory(tmp_path):
    """A file wholly in the wrong form is refused with its first line, and reasons are kept up to a limit."""
    rows = "".join(f"web,2026-03-02T{h:02}:{m:02}:00,1\n" for h in range(24) for m in range(60))
    with pytest.raises(DataError, match=r"history\.csv:2: "):
        read(put(tmp_path, "unique_id,ds,y\n" + rows))
    mixed = CsvMetrics(put(tmp_path, GOOD + rows)).samples([], None, None)
    assert len(mixed.rejected) == 1000
    assert mixed.y.size == 3
