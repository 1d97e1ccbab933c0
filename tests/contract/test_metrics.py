"""The contract of every source of history that is a file: the `Metrics` port, and nothing but it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoscaler.errors import MetricsError
from autoscaler.metrics.csv import CsvMetrics
from autoscaler.metrics.parquet import ParquetMetrics
from autoscaler.ports import Metrics

T0 = datetime(2026, 3, 2, tzinfo=UTC)
ROWS = [(name, T0 + timedelta(minutes=5 * k), float(k)) for k in range(12) for name in ("api", "web")]


def csv_file(folder, rows, *, naive=False):
    path = folder / "history.csv"
    form = "%Y-%m-%dT%H:%M:%S" if naive else "%Y-%m-%dT%H:%M:%SZ"
    lines = [f"{name},{at:{form}},{'' if y is None else y}" for name, at, y in rows]
    path.write_text("\n".join(["unique_id,ds,y", *lines]))
    return path


def parquet_file(folder, rows, *, naive=False):
    path = folder / "history.parquet"
    zone = None if naive else "UTC"
    columns = {
        "unique_id": pa.array([row[0] for row in rows], pa.string()),
        "ds": pa.array([row[1].replace(tzinfo=None) for row in rows], pa.timestamp("us")).cast(
            pa.timestamp("us", zone)
        ),
        "y": pa.array([row[2] for row in rows], pa.float64()),
    }
    pq.write_table(pa.table(columns), path)
    return path


SOURCES = pytest.mark.parametrize(
    ("write", "source"), [(csv_file, CsvMetrics), (parquet_file, ParquetMetrics)], ids=["csv", "parquet"]
)


@SOURCES
def test_samples_come_as_they_were_written(tmp_path, write, source):
    """Every row comes back, in the file's order, with its line, as arrays of the promised types."""
    metrics: Metrics = source(write(tmp_path, ROWS))
    samples = metrics.samples([], None, None)
    assert samples.unique_id.tolist() == [row[0] for row in ROWS]
    assert samples.ds.dtype == np.dtype("datetime64[us]")
    assert samples.y.dtype == np.float64
    assert samples.ds[2] == np.datetime64("2026-03-02T00:05")
    assert samples.y.tolist() == [row[2] for row in ROWS]
    assert (np.diff(samples.line) == 1).all()
    assert samples.rejected == ()


@SOURCES
def test_since_belongs_to_the_answer_and_until_does_not(tmp_path, write, source):
    """Only the named series, since <= ds < until; an unknown name has no samples, which is no error."""
    metrics = source(write(tmp_path, ROWS))
    some = metrics.samples(["web"], T0 + timedelta(minutes=5), T0 + timedelta(minutes=15))
    assert some.unique_id.tolist() == ["web", "web"]
    assert some.y.tolist() == [1.0, 2.0]
    assert metrics.samples(["nobody"], None, None).y.size == 0


@SOURCES
def test_an_absent_value_is_no_sample(tmp_path, write, source):
    """An empty or null value is absent: neither zero nor rejected."""
    rows = [
        ("web", T0, 1.0),
        ("web", T0 + timedelta(minutes=5), None),
        ("web", T0 + timedelta(minutes=10), 3.0),
    ]
    samples = source(write(tmp_path, rows)).samples([], None, None)
    assert samples.y.tolist() == [1.0, 3.0]
    assert samples.rejected == ()


@SOURCES
def test_f27_naive_stamps_need_a_zone(tmp_path, write, source):
    """A stamp without a zone is refused with the mend; it is UTC where that is said, and nothing else is."""
    path = write(tmp_path, ROWS, naive=True)
    with pytest.raises(MetricsError, match="--timezone UTC"):
        source(path).samples([], None, None)
    assert source(path, timezone="UTC").samples([], None, None).ds[0] == np.datetime64("2026-03-02T00:00")
    with pytest.raises(MetricsError, match="only UTC is unambiguous"):
        source(path, timezone="Europe/Berlin").samples([], None, None)


@SOURCES
def test_a_source_tells_what_kind_its_values_are(tmp_path, write, source):
    """Samples are a gauge's unless the source was said to hold counters."""
    path = write(tmp_path, ROWS)
    assert source(path).samples([], None, None).kind == "gauge"
    assert source(path, kind="counter").samples([], None, None).kind == "counter"
    assert source(path, kind="counter").samples(["web"], None, None).kind == "counter"


@SOURCES
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "no such file"),
        (b"", "empty|Parquet"),
        (b"<!DOCTYPE html><html>log in</html>", "web page|Parquet"),
        (b"\xff\xfe\x00\x01", "UTF-8|Parquet"),
    ],
    ids=["missing", "empty", "html", "binary"],
)
def test_f20_what_is_no_history_is_one_line_that_names_the_file(tmp_path, write, source, content, word):
    """A source raises MetricsError and nothing else, in one line, with the name of the file."""
    path = tmp_path / "history.any"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MetricsError, match=word) as caught:
        source(path).samples([], None, None)
    assert "history.any" in str(caught.value)
    assert "\n" not in str(caught.value)


@SOURCES
def test_a_folder_is_no_file(tmp_path, write, source):
    """A folder in place of a file is told as one."""
    with pytest.raises(MetricsError, match="folder"):
        source(tmp_path).samples([], None, None)
