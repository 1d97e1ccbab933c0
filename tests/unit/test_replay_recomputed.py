"""The figures of `loadline replay`, worked out again from its targets file by the standard library."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import statistics
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path

import pytest

pytestmark = [pytest.mark.data, pytest.mark.slow]

LEAD_S = 300


def trace(name: str) -> Path:
    folder = os.environ.get("LOADLINE_DATA")
    if not folder:
        pytest.skip("needs the real traces: set LOADLINE_DATA to their folder")
    return Path(folder) / "load" / f"{name}.csv.gz"


def replayed(tmp_path, *args: str):
    """The document that the command prints, and the rows that it writes."""
    targets = tmp_path / "targets.csv"
    command = [sys.executable, "-c", "from autoscaler.cli import main; main()", "replay", *args]
    done = subprocess.run(
        [*command, "--lead-time", f"{LEAD_S}s", "--output", "json", "--targets-out", str(targets)],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    with targets.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return json.loads(done.stdout), rows


def recompute(rows):
    """Every figure of one series, from its rows: nothing of the project is used."""
    stamps = [datetime.fromisoformat(row["ds"]) for row in rows]
    (step,) = {b - a for a, b in pairwise(stamps)}
    assert statistics.median(b - a for a, b in pairwise(stamps)) == step
    hours = step / timedelta(hours=1)
    lead = max(1, math.ceil(timedelta(seconds=LEAD_S) / step))
    target = [int(row["target"]) for row in rows]
    demand = [float(row["demand_units"]) if row["demand_units"] else None for row in rows]
    scored = [i for i, row in enumerate(rows) if row["scored"] == "1"]
    assert scored == list(range(lead, len(rows)))  # the file begins one lead time before the scored part
    there = [i for i in scored if demand[i] is not None]
    ready = {i: min(target[i - lead : i + 1]) for i in there}
    best = {i: max(1, math.ceil(max(y for y in demand[i : i + lead + 1] if y is not None))) for i in there}
    moves = [(i, target[i] - target[i - 1]) for i in scored if target[i] != target[i - 1]]
    turns = [
        1 for (i, a), (j, b) in pairwise(moves) if (a > 0) != (b > 0) and (j - i) * step <= timedelta(hours=1)
    ]
    days = len(scored) * hours / 24
    return {
        "steps": len(there),
        "cost": sum(target[i] for i in there) * hours,
        "clairvoyant": sum(best.values()) * hours,
        "violation": sum(demand[i] > ready[i] for i in there) / len(there),
        "unserved": math.fsum(max(0.0, demand[i] - ready[i]) for i in there)
        / math.fsum(demand[i] for i in there),
        "actions_per_day": len(moves) / days,
        "reversals_per_day": len(turns) / days,
    }


@pytest.mark.parametrize("name", ["web_nasa", "pool_cloudcluster2024"])
@pytest.mark.parametrize(
    "rule",
    [
        ["--scaler", "hpa", "--set", "target=0.7", "--units-at-p99", "40"],
        ["--scaler", "seasonal_quantile", "--violation", "1%", "--warmup", "14d"],
        ["--scaler", "target_tracking", "--tune", "hindsight", "--violation", "1%"],
        ["--scaler", "static", "--units-at-p99", "5", "--plant", "cool-down-in=10m"],
    ],
    ids=["hpa", "seasonal_quantile", "tuned", "static"],
)
def test_replay_is_confirmed_to_the_digit_from_its_targets(name, rule, tmp_path):
    """Cost, clairvoyant, violation, unserved, actions and reversals follow from the targets file alone."""
    document, rows = replayed(tmp_path, "--history", str(trace(name)), *rule)
    assert document["format_version"] == 1
    series = {key: list(group) for key, group in groupby(rows, key=lambda row: row["unique_id"])}
    assert [one["unique_id"] for one in document["series"]] == list(series)
    assert document["series"]
    for told in document["series"]:
        for key, value in recompute(series[told["unique_id"]]).items():
            assert told[key] == pytest.approx(value, rel=1e-9, abs=1e-12), (told["unique_id"], key)
        assert told["cost"] > 0


@pytest.mark.parametrize("name", ["web_nasa", "pool_cloudcluster2024"])
def test_the_unit_capacity_follows_from_the_warm_up_part(name, tmp_path):
    """Demand in units times the unit capacity is the trace; the p99 of the warm-up is 40 units."""
    document, rows = replayed(tmp_path, "--history", str(trace(name)), "--scaler", "hpa")
    with gzip.open(trace(name), "rt", newline="") as file:
        raw = {}
        for row in csv.DictReader(file):
            raw.setdefault(row["unique_id"], {})[datetime.fromisoformat(row["ds"])] = float(row["y"])
    for told in document["series"]:
        mine = [row for row in rows if row["unique_id"] == told["unique_id"]]
        first = next(datetime.fromisoformat(row["ds"]) for row in mine if row["scored"] == "1")
        seen = sorted(y for ds, y in raw[told["unique_id"]].items() if ds < first)
        place = 0.99 * (len(seen) - 1)
        low = math.floor(place)
        p99 = seen[low] + (place - low) * (seen[min(low + 1, len(seen) - 1)] - seen[low])
        assert told["unit_capacity"] == pytest.approx(p99 / 40, rel=1e-9)
        for row in mine:
            y = raw[told["unique_id"]].get(datetime.fromisoformat(row["ds"]))
            assert (row["demand_units"] == "") == (y is None)
            if y is not None:
                assert float(row["demand_units"]) * told["unit_capacity"] == pytest.approx(y, rel=1e-9)
