"""A hundred thousand series in one file: only what is named is held, and what is too much is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoscaler import answers
from autoscaler.errors import DataError
from autoscaler.metrics import csv, parquet, tables
from autoscaler.metrics.csv import CsvMetrics
from autoscaler.metrics.files import read_files
from autoscaler.metrics.parquet import ParquetMetrics
from autoscaler.ports import Samples
from forecasts.limits import Limits
from tests.worlds import small

MANY = 100_000
WANTED = ("pod-000007", "pod-099999")


@pytest.fixture(scope="module", params=["csv", "parquet"])
def exploded(request, tmp_path_factory):
    """A file with two samples of each of a hundred thousand series."""
    path = tmp_path_factory.mktemp("many") / f"m.{request.param}"
    ids = [f"pod-{number:06}" for number in range(MANY)]
    if request.param == "csv":
        lines = [f"{one},2026-03-02T00:{minute:02}:00Z,1" for minute in (0, 5) for one in ids]
        path.write_text("\n".join(["unique_id,ds,y", *lines, ""]))
    else:
        stamps = np.repeat(np.array(["2026-03-02T00:00", "2026-03-02T00:05"], "datetime64[us]"), MANY)
        columns = {
            "unique_id": ids * 2,
            "ds": pa.array(stamps, pa.timestamp("us", "UTC")),
            "y": np.ones(2 * MANY),
        }
        pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.slow
def test_f22_only_the_series_that_are_named_are_held(exploded, monkeypatch):
    """Of two hundred thousand rows the four of two series are parsed and kept, with their lines."""
    parsed = []
    parse = csv.parse
    monkeypatch.setattr(csv, "parse", lambda texts, local: parsed.append(len(texts)) or parse(texts, local))
    source = (CsvMetrics if exploded.suffix == ".csv" else ParquetMetrics)(exploded)
    found = source.samples(WANTED, None, None)
    assert sorted(found.unique_id) == sorted(2 * WANTED)
    assert sum(parsed) == (4 if exploded.suffix == ".csv" else 0)
    gated = read_files([exploded], limits=Limits(), only=WANTED)
    assert [series.unique_id for series in gated.series] == list(WANTED)
    first = 8 if exploded.suffix == ".parquet" else 9  # the line of a CSV counts its header
    assert found.line.min() == first


@pytest.mark.slow
def test_f22_all_of_them_are_refused_with_the_mend(exploded, capsys):
    """Beyond the limit nothing is held: the reader stops there, and names the flag that helps."""
    with pytest.raises(
        DataError, match="holds more than 10,000 series; name those that are needed with --series"
    ):
        read_files([exploded], limits=Limits())
    shell = small.Shell(exploded.parent, capsys)
    answer = shell(f"replay --history {exploded} --scaler static")
    assert answer.code == 5
    assert "--series" in answer.err
    assert (
        shell(f"replay --history {exploded} --scaler static --series {WANTED[0]} --unit-capacity 1").code == 0
    )


def test_f22_the_reader_stops_at_the_limit(tmp_path, monkeypatch):
    """Counted, not timed: one chunk past the limit is the last that is read."""
    monkeypatch.setattr(tables, "MOST_SERIES", 50)
    monkeypatch.setattr(csv, "CHUNK", 10)
    path = tmp_path / "m.csv"
    path.write_text("unique_id,ds,y\n" + "".join(f"s{n},2026-03-02T00:00:00Z,1\n" for n in range(1000)))
    chunks = []
    parse = csv.parse
    monkeypatch.setattr(csv, "parse", lambda texts, local: chunks.append(len(texts)) or parse(texts, local))
    with pytest.raises(DataError, match="more than 50 series"):
        csv.read(path)
    assert sum(chunks) <= 60


def test_f22_too_many_samples_are_refused(tmp_path, monkeypatch):
    """One endless series is as bad as many: beyond the limit of samples the file is refused."""
    monkeypatch.setattr(tables, "MOST_SAMPLES", 100)
    path = tmp_path / "m.csv"
    rows = [f"s,{stamp}Z,1" for stamp in np.datetime64("2026-03-02T00:00:00") + np.arange(8192) * 60]
    path.write_text("\n".join(["unique_id,ds,y", *rows, ""]))
    with pytest.raises(DataError, match="holds more than 100 samples"):
        csv.read(path)
    table = pa.table(
        {"unique_id": ["s"] * 101, "ds": [f"{1772409600 + n}" for n in range(101)], "y": np.ones(101)}
    )
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(DataError, match="holds more than 100 samples"):
        parquet.read(tmp_path / "m.parquet")


def test_f22_what_a_source_adds_unasked_is_let_go():
    """A source that answers with every series it has leaves only those that were asked for."""
    ids = np.array([f"pod-{number}" for number in range(1000)], dtype=object)
    whole = Samples(
        unique_id=ids,
        ds=np.full(1000, np.datetime64("2026-03-02", "us")),
        y=np.ones(1000),
        line=np.full(1000, -1),
        source="prometheus",
        kind="counter",
    )

    class Source:
        def samples(self, _series, _since, _until):
            return whole

    kept = answers.sampled(Source(), ("pod-7", "pod-8"), small.END, small.END)
    assert kept.unique_id.tolist() == ["pod-7", "pod-8"]
    assert dataclasses.replace(kept, unique_id=ids, ds=whole.ds, y=whole.y, line=whole.line).kind == "counter"
