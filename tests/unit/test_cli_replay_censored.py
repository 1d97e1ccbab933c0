"""`loadline replay --saturates-at`: lower bounds of demand, from the flag to the figures that are printed."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.worlds.small import Shell

START = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Four days of a metric in steps of 15 minutes that shows no more than 100."""
    monkeypatch.chdir(tmp_path)
    t = np.arange(4 * 96)
    y = np.minimum(60 + 55 * np.sin(2 * np.pi * t / 96), 100)
    rows = [f"web,{START + timedelta(minutes=15 * i):%FT%TZ},{v:.4f}" for i, v in enumerate(y.tolist())]
    (tmp_path / "m.csv").write_text("\n".join(["unique_id,ds,y", *rows, ""]))
    return Shell(tmp_path, capsys)


def replayed(shell, *more):
    """The printed figures of the one series."""
    answer = shell(
        "replay --history m.csv --scaler rolling_max --set margin=0.97 --unit-capacity 10.3 -o json", *more
    )
    assert answer.code == 0, answer.err
    return json.loads(answer.out)["series"][0]


def test_what_is_printed_follows_from_the_targets_file(shell, tmp_path):
    """Anyone can recompute: bounds above ready violate, other bounds are not known."""
    found = replayed(shell, "--saturates-at", "100", "--targets-out", "t.csv")
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    targets = np.array([int(row["target"]) for row in rows])
    ready = np.minimum(targets[1:], targets[:-1])
    demand, cut = (np.array([float(row[key]) for row in rows])[1:] for key in ("demand_units", "censored"))
    unknown = (cut == 1) & (demand <= ready)
    assert 0 < cut.sum() < len(cut)
    assert found["censored"] == unknown.mean()
    assert found["violation"] == (demand > ready).sum() / (~unknown).sum()
    assert found["steps"] == len(demand)


def test_without_the_flag_nothing_is_censored(shell, tmp_path):
    """The keys and the columns are those of every other replay."""
    found = replayed(shell, "--targets-out", "t.csv")
    assert "censored" not in found
    assert (tmp_path / "t.csv").read_text().splitlines()[0].endswith(",scored")


def test_the_table_has_the_share_that_is_not_known(shell):
    """A column beside the violation, only where the history saturates."""
    line = "replay --history m.csv --scaler static --unit-capacity 10"
    assert "censored" in shell(line + " --saturates-at 100").out
    assert "censored" not in shell(line).out
    several = line.replace("static", "static,hpa")
    words = r"Up to [\d.]+ % of a series' steps are lower bounds within what served"
    assert re.search(words, " ".join(shell(several + " --saturates-at 100").out.split()))
    assert "lower bounds" not in shell(several).out


def test_a_history_of_which_nothing_is_known_is_refused(shell):
    """Where every sample is a bound that is served, there is nothing to score; where none is, it is told."""
    line = "replay --history m.csv --scaler static --unit-capacity 10"
    answer = shell(line + " --saturates-at 1")
    assert answer.code == 5
    assert "nothing is known to score" in answer.err
    answer = shell(line + " --saturates-at 1000")
    assert answer.code == 0
    assert "no sample reaches --saturates-at 1000; it is in the unit of the history" in answer.err
    assert shell(line + " --saturates-at 0").code == 64
