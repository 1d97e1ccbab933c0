"""Bootstrap: from a configuration to everything that a tick needs."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoscaler import bootstrap, config
from autoscaler.clock import SetClock, SystemClock
from autoscaler.errors import DataError, MetricsError

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)

TEXT = """\
now: {now}
metrics:
  - {{kind: csv, path: a.csv.gz}}
  - {{kind: csv, path: b.csv}}
providers:
  fake: {{path: ./cloud.db, lead_time: 2m}}
pools:
  web: {{provider: fake, minimum: 2, maximum: 9, desired: 4, demands: [{{series: a, unit_capacity: 1}}]}}
  api: {{provider: fake, minimum: 1, maximum: 5, demands: [{{series: b, units_at_p99: 4}}]}}
"""
ABSENT = TEXT.replace("series: a", "series: c").replace("series: b", "series: d")


def configured(folder, *, now="last-sample", text=TEXT):
    """The configuration of two pools whose series lie in two files."""
    path = folder / "loadline.yaml"
    path.write_text(text.format(now=now))
    return config.load(str(path))


@pytest.fixture
def folder(tmp_path):
    """Two files of history: a ends at 08:03 in steps of 1 min, b at 08:10 in steps of 5 min."""
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("unique_id,ds,y\na,2020-01-01T08:01:00Z,1\na,2020-01-01T08:02:00Z,2\n")
    rows = ["b,2020-01-01T08:00:00Z,1", "b,2020-01-01T08:05:00Z,2", "b,2020-01-01T08:10:00Z,"]
    rows += ["b,2099-01-01T00:00:00Z,3", "other,2021-01-01T00:00:00Z,3"]
    (tmp_path / "b.csv").write_text("unique_id,ds,y\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_everything_is_built(folder):
    """The pools stand in the fake cloud as declared, beside a new store and the policy."""
    app = bootstrap.build(configured(folder), SetClock(NOW))
    pools, gaps = app.providers["fake"].list()
    assert [(p.id, p.desired, p.ready_units, p.lead_time_s) for p in pools] == [
        ("api", 1, 1, 120),
        ("web", 4, 4, 120),
    ]
    assert gaps == ()
    assert app.clock.now() == NOW
    assert app.policy is app.configuration.policy
    assert app.history.read(["a", "b"]) == []
    assert app.trail.doubtful() == ()
    assert len(app.metrics) == 2
    app.close()


def test_building_again_changes_nothing(folder):
    """A second start finds the pools as it left them."""
    configuration = configured(folder)
    first = bootstrap.build(configuration, SetClock(NOW)).providers["fake"]
    grown = first.resize("web", 6, version="1", key="k1")
    assert bootstrap.build(configuration, SetClock(NOW)).providers["fake"].read("web") == grown


def test_last_sample_is_the_end_of_the_last_step(folder):
    """The clock stands at the end of the last finite sample of a pool; future stamps are none."""
    app = bootstrap.build(configured(folder))
    assert app.clock.now() == datetime(2020, 1, 1, 8, 10, tzinfo=UTC)


def test_the_clock_is_the_machines_or_a_fixed_time(folder):
    """`now: clock` follows the machine, a time stands still."""
    assert isinstance(bootstrap.build(configured(folder, now="clock")).clock, SystemClock)
    fixed = bootstrap.build(configured(folder, now="2026-03-02T09:00:00+01:00")).clock
    assert fixed.now() == NOW


def test_a_source_that_is_missing_is_passed_over(folder):
    """The last sample is that of the sources that answer; where none does, the reason is told."""
    (folder / "b.csv").unlink()
    app = bootstrap.build(configured(folder))
    assert app.clock.now() == datetime(2020, 1, 1, 8, 3, tzinfo=UTC)
    (folder / "a.csv.gz").unlink()
    with pytest.raises(MetricsError, match=r"a\.csv\.gz"):
        bootstrap.build(configured(folder))


@pytest.mark.parametrize(
    "text",
    ["now: {now}\npools: {{}}\n", ABSENT],
)
def test_no_sample_at_all_is_said(folder, text):
    """`last-sample` without any sample of a pool's series ends in one line that says so."""
    with pytest.raises(DataError, match="found no sample of any pool's series"):
        bootstrap.build(configured(folder, text=text))


@pytest.mark.data
@pytest.mark.skipif(
    "LOADLINE_DATA" not in os.environ, reason="LOADLINE_DATA does not name the folder of traces"
)
@pytest.mark.parametrize(
    ("name", "now", "pools"),
    [
        ("real-trace.yaml", datetime(2024, 8, 23, 13, 3, tzinfo=UTC), 6),
        ("real-trace-web.yaml", datetime(1995, 7, 28, 17, 32, tzinfo=UTC), 1),
    ],
)
def test_the_real_traces_are_planned_as_of_their_last_sample(tmp_path, monkeypatch, name, now, pools):
    """The examples on real traces build: the clock stands at the end of the trace, the pools are there."""
    monkeypatch.setenv("LOADLINE__state", str(tmp_path / "loadline.db"))
    monkeypatch.setenv("LOADLINE__providers__fake__path", str(tmp_path / "cloud.db"))
    examples = Path(__file__).parents[2] / "examples"
    app = bootstrap.build(config.load(str(examples / name)))
    assert app.clock.now() == now
    assert len(app.providers["fake"].list()[0]) == pools
    app.close()
