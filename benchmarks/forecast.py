"""Forecasts of 48 h on real traces, by the hour, beside yesterday's pattern: error, first hour, coverage.

Every series of LOADLINE_DATA with ten and a half days or more is aggregated to hours; each model forecasts
from four moments of its past, none of which sees what comes. Ratios are geometric means, within a data set
first; coverage of the 95 % band is the mean over data sets. The VMs are thinned to every fifth. `with a
forecast` is the share of all folds in which the model itself spoke, before any fallback.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean, geometric_mean

import numpy as np

from autoscaler.metrics.files import read_files
from forecasts import backtest
from forecasts.frame import hourly
from forecasts.limits import Limits
from forecasts.models import load
from forecasts.types import BadInput, Series

MODELS = ("auto", "ridge", "mstl", "theta", "seasonal_naive")
BEST = "auto"
THIN = {"vm_azure2017": 5}
LEAST_HOURS = 252
HORIZON, FOLDS, DAY = 48, 4, 24
# The origins of a series overlap, so that short ones have four and all hours of the day are begun at.
GAP = 37
LEVELS = (0.025, 0.5, 0.975)
# A ratio of nothing has no logarithm.
LEAST_RATIO = 1e-3
TARGETS = {
    f"{BEST}: 48 h": "<= 0.75",
    f"{BEST}: first hour": "<= 0.45",
    f"{BEST}: coverage of 95 %": ">= 0.93",
    f"{BEST}: coverage, at most": "<= 0.97",
    f"{BEST}: with a forecast": ">= 1",
    "ridge: 48 h": "<= 0.75",
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


def one(job: tuple[str, Series, str]) -> tuple[str, str, str, dict[str, float]]:
    """One model on one series."""
    name, series, model = job
    module = load(model)

    def said(known: np.ndarray) -> np.ndarray | None:
        try:
            return module.fit_predict([known], HORIZON, LEVELS, seasons=(DAY, 7 * DAY))[0]
        except (ArithmeticError, AssertionError, LookupError, TypeError, BadInput, ValueError, RuntimeError):
            return None

    at = backtest.origins(series.y, HORIZON, FOLDS, gap=GAP, least=7 * DAY)
    begun = time.process_time()
    folds = backtest.roll(series.y, said, at, horizon=HORIZON, levels=LEVELS, day=DAY)
    seconds = (time.process_time() - begun) / len(at)
    found = backtest.scores(folds, day=DAY)
    figures = {
        "48 h": found.mae_ratio,
        "first hour": found.first_hour,
        "coverage of 95 %": found.coverage,
        "folds": found.folds,
        "spoke": found.spoke,
        "seconds": seconds,
    }
    return model, name, series.unique_id, figures


def summary(model: str, rows: list[tuple[str, dict[str, float]]]) -> dict[str, float]:
    """The figures of one model over all series, and of the best by data set."""
    sets: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, figures in rows:
        sets[name].append(figures)
    out: dict[str, float] = {}
    for figure in ("48 h", "first hour"):
        ratios = {name: _geometric([row[figure] for row in part]) for name, part in sets.items()}
        known = [value for value in ratios.values() if value == value]  # noqa: PLR0124 - NaN
        out[f"{model}: {figure}"] = geometric_mean(known)
        if model == BEST:
            out |= {f"{name} ({len(sets[name])}): {figure}": value for name, value in ratios.items()}
    inside = {
        name: float(np.nanmean([row["coverage of 95 %"] for row in part])) for name, part in sets.items()
    }
    out[f"{model}: coverage of 95 %"] = fmean(inside.values())
    if model == BEST:
        out[f"{model}: coverage, at most"] = fmean(inside.values())
        out[f"{model}: coverage, least of a data set"] = min(inside.values())
    out[f"{model}: with a forecast"] = sum(r["spoke"] for _, r in rows) / sum(r["folds"] for _, r in rows)
    out[f"{model}: CPU s a fit"] = fmean(row["seconds"] for _, row in rows)
    return out


def _geometric(ratios: list[float]) -> float:
    known = [max(ratio, LEAST_RATIO) for ratio in ratios if np.isfinite(ratio)]
    return geometric_mean(known) if known else float("nan")


def run(models: tuple[str, ...] = MODELS) -> dict[str, float]:
    """All models over all series, on every core."""
    found = histories()
    out: dict[str, float] = {"series": len(found)}
    with ProcessPoolExecutor() as pool:
        for model in models:
            rows = []
            for row in pool.map(one, [(name, series, model) for name, series in found], chunksize=4):
                rows.append((row[1], row[3]))
                print(*row, file=sys.stderr, flush=True)
            out |= summary(model, rows)
    return out
