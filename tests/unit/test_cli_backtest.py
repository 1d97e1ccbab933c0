"""`loadline backtest`: figures a person and a program can read, and clear words where there are none."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from autoscaler import cli, model_record
from autoscaler.commands import backtest as command
from forecasts.types import Series

NOW = datetime(2026, 3, 2, tzinfo=UTC)

HOURS = 24 * 16


def history(tmp_path, hours=HOURS, names=("api", "web")):
    ds = np.datetime64("2026-03-02T00", "s") + np.arange(hours) * np.timedelta64(1, "h")
    load = 100 + 40 * np.sin(np.arange(hours) / 24 * 2 * np.pi)
    rows = ["unique_id,ds,y"]
    for k, name in enumerate(names):
        noise = np.random.default_rng(k).normal(0, 3, hours)
        rows += [f"{name},{at}Z,{y:.4f}" for at, y in zip(ds, load + noise, strict=True)]
    path = tmp_path / "history.csv"
    path.write_text("\n".join(rows) + "\n")
    return str(path)


@pytest.fixture
def run(tmp_path, capsys):
    def shell(*arguments, hours=HOURS):
        code = cli.run(["backtest", "--history", history(tmp_path, hours), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return shell


def test_the_seasonal_naive_in_json(run):
    """Every figure of every series, where its folds begin, and the record of what was fitted."""
    code, out, err = run("--model", "seasonal_naive", "-o", "json", "--horizon", "24h", "--folds", "3")
    document = json.loads(out)
    assert (code, err, document["format_version"], document["horizon"]) == (0, "", 1, 24)
    assert [row["unique_id"] for row in document["series"]] == ["api", "web"]
    row = document["series"][0]
    assert row["folds"] == ["2026-03-14T14:00:00Z", "2026-03-15T19:00:00Z", "2026-03-17T00:00:00Z"]
    assert row["folds_with_forecast"] == 3
    assert 0.5 < row["mae_ratio"] < 1.5
    assert 0.5 < row["coverage"] <= 1
    assert row["nominal_coverage"] == pytest.approx(0.95)
    assert row["record"]["kind"] == "seasonal_naive"
    assert row["record"]["training"]["end"] == row["folds"][-1]
    assert set(row["record"]["libraries"]) == {"numpy", "scipy", "pandas", "statsforecast"}


def test_the_table_has_a_row_a_model_and_the_means(run):
    """Text for a person: each series once, the means of all below."""
    code, out, _ = run("--model", "seasonal_naive")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["series", "model", "MAE", "hour"]
    assert sum("seasonal_naive" in line for line in lines) == 3
    assert "all 2 series" in out


def test_csv_has_the_figures_of_the_json(run):
    """The same numbers, a line each."""
    _, table, _ = run("--model", "seasonal_naive", "-o", "csv")
    _, document, _ = run("--model", "seasonal_naive", "-o", "json")
    rows = list(csv.DictReader(io.StringIO(table)))
    for row, other in zip(rows, json.loads(document)["series"], strict=True):
        assert float(row["mae_ratio"]) == other["mae_ratio"]
        assert float(row["wql"]) == other["wql"]


def test_errors_are_those_of_the_median_whatever_levels_are_shown(run):
    """Two levels far from the middle leave MAE, MASE and the first hour as they are; the band is theirs."""

    def row(levels):
        out = run("--model", "seasonal_naive", "-o", "json", "--levels", levels)[1]
        return json.loads(out)["series"][0]

    whole, apart = row("0.025,0.5,0.975"), row("0.9,0.99")
    for figure in ("mae_ratio", "first_hour", "mase"):
        assert apart[figure] == pytest.approx(whole[figure])
    assert apart["nominal_coverage"] == pytest.approx(0.09)
    assert apart["coverage"] < whole["coverage"]


def test_steps_that_do_not_fit_are_told_as_durations(run):
    """A step that is no multiple of the samples' names both as a person writes them."""
    code, _, err = run("--freq", "90m")
    assert code == 64
    assert "--freq 1h 30m is no multiple of the step of api, 1h" in err or "1h30m" in err


@pytest.mark.parametrize("name", ["backtest", "forecast"])
def test_f15_a_spike_is_dropped_unless_it_is_to_be_kept(tmp_path, capsys, name):
    """Both commands drop it as a plan does, and say so; --keep-spikes leaves it in."""
    path = history(tmp_path, names=("api",))
    lines = Path(path).read_text().splitlines()
    lines[300] = lines[300].rsplit(",", 1)[0] + ",1e12"
    Path(path).write_text("\n".join(lines) + "\n")
    for flags, word in (((), "1 spike of 1e+12, dropped"), (("--keep-spikes",), "1 spike of 1e+12, kept")):
        assert cli.run([name, "--history", path, "--model", "seasonal_naive", *flags]) == 0
        assert word in capsys.readouterr().err


def test_what_cannot_be_tried_is_told(run):
    """A wrong model, too few levels, a short history: one line and the right exit code."""
    code, _, err = run("--model", "rigde")
    assert (code, "did you mean ridge?" in err) == (64, True)
    code, _, err = run("--levels", "0.5")
    assert (code, "two probabilities" in err) == (64, True)
    code, _, err = run("--horizon", "10m")
    assert (code, "holds no step" in err) == (64, True)
    code, _, err = run("--model", "seasonal_naive", hours=60)
    assert (code, "give a longer history" in err) == (5, True)
    assert "api is left out" in err


def test_ridge_is_tried_in_the_child(run):
    """The quick model beats yesterday's pattern on a noisy day and its band holds what it says."""
    code, out, err = run("--model", "ridge", "--series", "api", "-o", "json")
    row = json.loads(out)["series"][0]
    assert (code, err) == (0, "")
    assert row["mae_ratio"] < 0.9
    assert row["coverage"] > 0.85


def test_all_names_every_model():
    """`--model all` is whatever lies in the folder; a name given twice is tried once."""
    assert set(command._models(("all",))) >= {"auto", "ridge", "mstl", "seasonal_naive"}
    assert command._models(("ridge", "mstl", "ridge")) == ("ridge", "mstl")


def test_f86_a_record_names_data_and_versions():
    """The same data have the same hash, other data another; the record is plain JSON."""
    one = Series(unique_id="a", start=NOW, step_s=3600, y=np.array([1.0, np.nan, 2.0]))
    same = Series(unique_id="b", start=NOW, step_s=3600, y=np.array([1.0, -np.nan, 2.0]))
    other = Series(unique_id="a", start=NOW, step_s=3600, y=np.array([1.0, 0.0, 2.0]))
    assert model_record.data_hash(one) == model_record.data_hash(same) != model_record.data_hash(other)
    found = model_record.record("ridge", one, horizon=48, levels=(0.5,))
    assert json.loads(json.dumps(found)) == found
    assert found["training"]["points"] == 2
    assert found["parameters"] == {"step_s": 3600, "horizon": 48, "levels": [0.5]}
