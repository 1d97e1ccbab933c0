"""Forecasts on real traces by the hour: 48 h beside yesterday's pattern, weeks beside last week's; coverage.

Every series of LOADLINE_DATA with ten and a half days or more is aggregated to hours; each model forecasts
from four moments of its past, none of which sees what comes. Ratios are geometric means, within a data set
first; coverage of the 95 % band is the mean over data sets. The VMs are thinned to every fifth. `with a
forecast` is the share of all folds in which the model itself spoke, before any fallback. One, two and four
weeks are forecast by the default model from two weeks of history or more; their rival is the last week again.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import NamedTuple

import numpy as np

from autoscaler.metrics.files import read_files
from forecasts import backtest
from forecasts.hours import hourly
from forecasts.limits import Limits
from forecasts.models import load
from forecasts.types import BadInput, Series

MODELS = ("ridge", "auto", "mstl", "theta", "seasonal_naive")
DEFAULT = "ridge"
THIN = {"vm_azure2017": 5}
LEAST_HOURS = 252
FOLDS, DAY, WEEK = 4, 24, 168


class Reach(NamedTuple):
    """How far is looked, in hours, and what is asked of a series for it."""

    name: str
    horizon: int
    # The origins of a series overlap, so that short ones have four and all hours of the day are begun at.
    gap: int
    # Hours known at the first origin.
    least: int
    # The season that the naive rival repeats.
    rival: int


SHORT = Reach("48 h", 48, 37, WEEK, DAY)
LONG = tuple(Reach(f"{weeks} w", weeks * WEEK, 97, 2 * WEEK, WEEK) for weeks in (1, 2, 4))
LEVELS = (0.025, 0.5, 0.975)
# A ratio of nothing has no logarithm.
LEAST_RATIO = 1e-3
TARGETS = {
    f"{DEFAULT}: 48 h": "<= 0.75",
    f"{DEFAULT}: first hour": "<= 0.45",
    f"{DEFAULT}: coverage of 95 %": ">= 0.93",
    f"{DEFAULT}: coverage, at most": "<= 0.97",
    f"{DEFAULT}: with a forecast": ">= 1",
    "auto: 48 h": "<= 0.75",
    "auto: first hour": "<= 0.45",
    "auto: coverage of 95 %": ">= 0.93",
    **{f"{DEFAULT}, {reach.name}: MAE over the weekly naive's": "<= 1" for reach in LONG},
    **{f"{DEFAULT}, {reach.name}: coverage of 95 %": ">= 0.93" for reach in LONG},
}


def histories() -> list[tuple[str, Series]]:
    """Every series with enough history, by the hour, with its data set."""
    found = []
    for path in sorted((Path(os.environ["LOADLINE_DATA"]) / "load").glob("*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        every = THIN.get(name, 1)
        for number, series in enumerate(read_files([path], strict=False, limits=Limits()).series):
            if number % every:
                continue
            one = hourly(series)
            known = one.y[np.isfinite(one.y)]
            if known.size >= LEAST_HOURS and np.ptp(known) > 0:
                found.append((name, one))
    return found


def one(job: tuple[str, Series, str, Reach]) -> tuple[str, str, str, dict[str, float]]:
    """One model on one series."""
    name, series, model, reach = job
    module = load(model)

    def said(known: np.ndarray) -> np.ndarray | None:
        try:
            return module.fit_predict([known], reach.horizon, LEVELS, seasons=(DAY, WEEK))[0]
        except (ArithmeticError, AssertionError, LookupError, TypeError, BadInput, ValueError, RuntimeError):
            return None

    at = backtest.origins(series.y, reach.horizon, FOLDS, gap=reach.gap, least=reach.least)
    begun = time.process_time()
    folds = backtest.roll(series.y, said, at, horizon=reach.horizon, levels=LEVELS, day=reach.rival)
    seconds = (time.process_time() - begun) / len(at)
    found = backtest.scores(folds, day=DAY)
    figures = {
        "error": found.mae_ratio,
        "first hour": found.first_hour,
        "coverage of 95 %": found.coverage,
        "wql": found.wql,
        "folds": found.folds,
        "spoke": found.spoke,
        "seconds": seconds,
    }
    return model, name, series.unique_id, figures


Rows = list[tuple[str, dict[str, float]]]


def summary(model: str, rows: Rows) -> dict[str, float]:
    """The figures of one model over all series at 48 h, and of the default by data set."""
    sets = _by_set(rows)
    out: dict[str, float] = {}
    for figure, key in (("48 h", "error"), ("first hour", "first hour")):
        ratios = _ratios(sets, key)
        out[f"{model}: {figure}"] = geometric_mean(ratios.values())
        if model == DEFAULT:
            out |= {f"{name} ({len(sets[name])}): {figure}": value for name, value in ratios.items()}
    inside = _inside(sets)
    out[f"{model}: coverage of 95 %"] = fmean(inside.values())
    if model == DEFAULT:
        out[f"{model}: coverage, at most"] = fmean(inside.values())
        out[f"{model}: coverage, least of a data set"] = min(inside.values())
    out[f"{model}: weighted quantile loss"] = _geometric([row["wql"] for _, row in rows])
    out[f"{model}: with a forecast"] = sum(r["spoke"] for _, r in rows) / sum(r["folds"] for _, r in rows)
    out[f"{model}: CPU s a fit"] = fmean(row["seconds"] for _, row in rows)
    return out


def far(model: str, reach: Reach, rows: Rows) -> dict[str, float]:
    """The figures of one model some weeks ahead."""
    sets = _by_set(rows)
    return {
        f"{model}, {reach.name}: series": len(rows),
        f"{model}, {reach.name}: MAE over the weekly naive's": geometric_mean(
            _ratios(sets, "error").values()
        ),
        f"{model}, {reach.name}: coverage of 95 %": fmean(_inside(sets).values()),
        f"{model}, {reach.name}: weighted quantile loss": _geometric([row["wql"] for _, row in rows]),
    }


def _by_set(rows: Rows) -> dict[str, list[dict[str, float]]]:
    sets: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, figures in rows:
        sets[name].append(figures)
    return sets


def _ratios(sets: dict[str, list[dict[str, float]]], key: str) -> dict[str, float]:
    found = {name: _geometric([row[key] for row in part]) for name, part in sets.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _inside(sets: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    return {name: float(np.nanmean([row["coverage of 95 %"] for row in part])) for name, part in sets.items()}


def _geometric(ratios: list[float]) -> float:
    known = [max(ratio, LEAST_RATIO) for ratio in ratios if np.isfinite(ratio)]
    return geometric_mean(known) if known else float("nan")


def run(models: tuple[str, ...] = MODELS) -> dict[str, float]:
    """All models over all series at 48 h, the default some weeks ahead, on every core."""
    found = histories()
    out: dict[str, float] = {"series": len(found)}
    with ProcessPoolExecutor() as pool:

        def rows(model: str, reach: Reach) -> Rows:
            enough = [
                (name, series)
                for name, series in found
                if np.isfinite(series.y[: -reach.horizon]).sum() >= reach.least
            ]
            done: Rows = []
            for row in pool.map(one, [(*pair, model, reach) for pair in enough], chunksize=4):
                print(reach.name, *row, file=sys.stderr, flush=True)
                done.append((row[1], row[3]))
            return done

        for model in models:
            out |= summary(model, rows(model, SHORT))
        for reach in LONG:
            out |= far(DEFAULT, reach, rows(DEFAULT, reach))
    return out
