"""Odd loads replayed by the command, at five-minute steps: capacity is sane during them and afterwards."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest

from autoscaler import cli

DAY = 288
DAYS = 10
ODD = 6 * DAY  # where the odd part begins
CAPACITY = 10.0
T0 = np.datetime64("2026-03-02T00:00:00", "s")


def load(days=DAYS):
    """A day between 6 and 14 units with a little noise."""
    steps = np.arange(days * DAY)
    day = 100 + 40 * np.sin(steps / DAY * 2 * np.pi)
    return day * np.random.default_rng(5).normal(1, 0.02, steps.size)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Units asked for and ready at each step from the second day on (before: NaN), and what was said."""

    target: np.ndarray
    ready: np.ndarray
    violation: float
    unserved: float
    said: str


@pytest.fixture
def replay(tmp_path, capsys):
    """The command `replay` on one load, whose absent samples are no rows."""

    def run(y, *more, scaler="portfolio"):
        stamps = (T0 + np.arange(y.size) * np.timedelta64(300, "s")).astype(str)
        there = np.isfinite(y)
        rows = [f"web,{at}Z,{value!r}" for at, value in zip(stamps[there], y[there].tolist(), strict=True)]
        (tmp_path / "h.csv").write_text("\n".join(["unique_id,ds,y", *rows, ""]))
        out = tmp_path / "targets.csv"
        line = f"replay --history {tmp_path / 'h.csv'} --scaler {scaler} --unit-capacity {CAPACITY}"
        line += f" --warmup 1d --violation 1% -o json --targets-out {out}"
        assert cli.run([*line.split(), *more]) == 0
        said = capsys.readouterr()
        (score,) = json.loads(said.out)["series"]
        with out.open() as file:
            asked = {row["ds"]: float(row["target"]) for row in csv.DictReader(file)}
        target = np.array([asked.get(f"{at}Z", np.nan) for at in stamps])
        ready = np.fmin(target, np.r_[np.nan, target[:-1]])
        return Replayed(
            target=target,
            ready=ready,
            violation=score["violation"],
            unserved=score["unserved"],
            said=said.err,
        )

    return run


def short(found, y, begin, end=None):
    """The share of steps whose demand `y` is more than what was ready, over the part."""
    part = slice(begin, end)
    return float((y[part] / CAPACITY > found.ready[part] + 1e-9).mean())


def lacking(found, y, begin, end=None):
    """The share of demand `y` beyond what was ready, over the part."""
    part = slice(begin, end)
    return float(np.maximum(y[part] / CAPACITY - found.ready[part], 0).sum() / (y[part] / CAPACITY).sum())


@pytest.mark.slow
def test_f05_one_absent_sample_in_ten_changes_little(replay):
    """Where samples are missing here and there, what was really needed is served as on the whole load."""
    whole = load()
    y = whole.copy()
    y[ODD:][np.random.default_rng(1).random(y.size - ODD) < 0.1] = np.nan
    found, usual = replay(y), replay(whole)
    assert short(found, whole, ODD) <= short(usual, whole, ODD) + 0.02
    assert np.nanmax(found.target) <= 1.3 * whole.max() / CAPACITY
    assert found.target[ODD:].sum() <= 1.1 * usual.target[ODD:].sum()


def test_f09_a_gap_of_half_a_day_is_not_taken_for_an_idle_pool(replay):
    """Over a gap of twelve hours capacity stays between what was needed and the peak, and then goes on."""
    whole = load()
    y = whole.copy()
    y[ODD : ODD + DAY // 2] = np.nan
    found = replay(y)
    assert lacking(found, whole, ODD, ODD + DAY // 2) <= 0.05
    assert found.target[ODD:].max() <= 1.3 * whole.max() / CAPACITY
    assert short(found, whole, ODD + DAY // 2) <= 0.05


def test_f14_a_sensor_that_stands_still_for_two_days_shrinks_nothing_below_it(replay):
    """While the value stands still it is served without much more; the day that follows is served again."""
    y = load()
    end = ODD + 2 * DAY
    y[ODD:end] = y[ODD]
    found = replay(y)
    assert short(found, y, ODD + 12, end) <= 0.02
    assert found.target[ODD:].max() <= 1.3 * y.max() / CAPACITY
    assert short(found, y, end) <= 0.05


@pytest.mark.parametrize("scaler", [pytest.param("portfolio", marks=pytest.mark.slow), "lead_peak"])
def test_f15_spike_of_1e12_leaves_the_days_after_it_as_they_were(replay, scaler):
    """A replay drops it as a tick does, and says so: the same capacity as on a load with a step less."""
    y, without = load(), load()
    y[ODD], without[ODD] = 1e12, np.nan
    found, usual = replay(y, scaler=scaler), replay(without, scaler=scaler)
    assert "web at 2026-03-08T00:00:00Z: 1 spike of 1e+12, dropped" in found.said
    assert np.array_equal(found.target, usual.target, equal_nan=True)
    assert found.target[ODD:].max() <= 1.3 * without[np.isfinite(without)].max() / CAPACITY
    assert found.violation <= 0.05
    assert found.unserved <= 0.005


def test_f15_a_spike_that_is_kept_counts_as_demand(replay):
    """With --keep-spikes it is demand like any other: said, and next to nothing of all that was served."""
    y = load()
    y[ODD] = 1e12
    found = replay(y, "--keep-spikes", scaler="hpa")
    assert "1 spike of 1e+12, kept" in found.said
    assert found.unserved > 0.99


def test_f16_zeros_for_a_week_are_cheap_and_the_load_is_served_when_it_is_back(replay):
    """A week of zeros is let go of within a day but for one unit at least; what comes back is served soon."""
    y = load(14)
    begin, end = 5 * DAY, 12 * DAY
    y[begin:end] = 0.0
    found = replay(y)
    assert np.nanmin(found.target) >= 1
    assert np.median(found.target[begin + DAY : end]) <= 2
    assert found.target[begin:].max() <= 1.5 * y.max() / CAPACITY
    assert lacking(found, y, end + 12, end + DAY) <= 0.02
    assert lacking(found, y, end + DAY) <= 0.01


def test_f25_level_shift_of_five_times_is_served_within_the_hour(replay):
    """Demand five times as large from one step to the next is served an hour later and not paid for twice."""
    y = load()
    y[ODD:] *= 5
    found = replay(y)
    assert short(found, y, ODD + 12, ODD + DAY) <= 0.1
    assert short(found, y, ODD + DAY) <= 0.05
    assert found.target[:ODD][DAY:].max() <= 1.3 * y[:ODD].max() / CAPACITY
    assert found.target[ODD:].max() <= 1.5 * y.max() / CAPACITY
    assert np.median(found.target[-DAY:]) <= 1.5 * np.median(y[-DAY:]) / CAPACITY


def test_f25_a_level_that_falls_to_a_fifth_is_let_go_of(replay):
    """Capacity follows a fall within two days, and what is left is served."""
    y = load()
    y[ODD:] /= 5
    found = replay(y)
    assert short(found, y, ODD) <= 0.05
    assert np.median(found.target[ODD + 2 * DAY :]) <= 2 * np.median(y[ODD:]) / CAPACITY + 1
