"""A series of a few hours or days, forecast from its own past and from similar ones: error over the naive's.

Mean absolute error of a day of hourly means, over that of the naive (yesterday, else the last value): below 1
is better. The target shows its last hours only; the other series of the data set are donors. `own` is
yesterday, or within the first day the mean of what is known. `borrowed` moves it by how donors change: from
the day before to that weekday, or in the first day from now to the hours to come; the median over up to ten
donors whose logs correlate above .7 over the shown hours, dampened by .7. `all` takes every donor.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.metrics.files import read_files
from forecasts.hours import hourly
from forecasts.limits import Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SETS = ("vm_azure2017", "pool_cloudcluster2024", "gpu_alibaba_spot_hourly", "llm_servegen_14d")
TOTALS = ("sum", "total")
SHOWN_H = (8, 18, 24, 48, 96, 144)
DAY, WEEK = 24, 168
FIRST = WEEK + DAY
SIMILAR, MOST, DAMPED, LARGEST = 0.7, 10, 0.7, 1.4


def table(name: str) -> Floats:
    """The hourly series of a data set over the time that all have in common, float64 [series, hours]."""
    path = Path(os.environ["LOADLINE_DATA"]) / "load" / f"{name}.csv.gz"
    series = [hourly(one) for one in read_files([path], strict=False, limits=Limits()).series]
    series = [one for one in series if not any(word in one.unique_id.lower() for word in TOTALS)]
    start, end = max(one.start for one in series), min(one.end for one in series)
    y = np.array([one.until(end).y[int((start - one.start).total_seconds() // 3600) :] for one in series])
    y = y[np.isfinite(y).mean(axis=1) > 0.9]
    at = np.arange(y.shape[1])
    return np.array([np.interp(at, at[np.isfinite(row)], row[np.isfinite(row)]) for row in y])


def logs(y: Floats, level: Floats) -> Floats:
    """Logs with a tenth of the level added: quiet hours do not rule."""
    return np.log(y + 0.1 * level + 1e-9)


def changes(donors: Floats, at: int, shown: int) -> Floats:
    """How the logs of each donor change to the next day, float64 [donors, DAY], known at `at`."""
    level = donors[:, at - WEEK : at].mean(axis=1, keepdims=True)
    if shown >= DAY:
        then, before = at - WEEK, at - WEEK - DAY
        return logs(donors[:, then : then + DAY], level) - logs(donors[:, before : before + DAY], level)
    days = [at - DAY * back for back in range(1, 8)]
    after = np.mean([logs(donors[:, day : day + DAY], level) for day in days], axis=0)
    now = np.mean([logs(donors[:, day - shown : day], level).mean(axis=1) for day in days], axis=0)
    return after - now[:, None]


def borrowed(own: Floats, change: Floats) -> Floats:
    """The own forecast moved by the donors; as it was where there are none."""
    if not len(change):
        return own
    return own * np.exp(np.clip(DAMPED * np.median(change, axis=0), -LARGEST, LARGEST))


def forecasts(seen: Floats, donors: Floats, at: int) -> dict[str, Floats]:
    """The naive and its rivals for the next day, float64 [DAY] each."""
    shown = len(seen)
    naive = seen[-DAY:] if shown >= DAY else np.full(DAY, seen[-1])
    own = naive if shown >= DAY else np.full(DAY, seen.mean())
    mine = logs(seen, seen.mean(keepdims=True))
    theirs = logs(donors[:, at - shown : at], donors[:, at - shown : at].mean(axis=1, keepdims=True))
    mine, theirs = mine - mine.mean(), theirs - theirs.mean(axis=1, keepdims=True)
    likeness = theirs @ mine / (np.sqrt((theirs**2).sum(axis=1) * (mine**2).sum()) + 1e-9)
    change = changes(donors, at, shown)
    best = np.argsort(-likeness)[:MOST]
    return {
        "naive": naive,
        "own": own,
        "borrowed": borrowed(own, change[best[likeness[best] > SIMILAR]]),
        "all": borrowed(own, change),
    }


def errors(y: Floats, shown: int) -> dict[str, list[float]]:
    """The relative error of each rival at moments of every series of [series, hours]."""
    every = 37 if len(y) < 40 else 97
    found: dict[str, list[float]] = {}
    for row in range(len(y)):
        donors = np.delete(y, row, axis=0)
        for at in range(FIRST, y.shape[1] - DAY, every):
            level = y[row, max(0, at - 2 * WEEK) : at].mean()
            if level <= 1e-6 or y[row, at - shown : at].mean() <= 1e-6:
                continue
            for rival, ahead in forecasts(y[row, at - shown : at], donors, at).items():
                error = float(np.abs(ahead - y[row, at : at + DAY]).mean() / level)
                found.setdefault(rival, []).append(error)
    return found


def run() -> dict[str, float]:
    """For each data set and shown hours: mean absolute error over the naive's."""
    figures = {}
    for name in SETS:
        y = table(name)
        for shown in SHOWN_H:
            found = {rival: float(np.mean(each)) for rival, each in errors(y, shown).items()}
            for rival in ("own", "borrowed", "all"):
                if rival != "own" or shown < DAY:  # from a day on, the own forecast is the naive
                    figures[f"{name}, {shown} h: {rival}"] = found[rival] / found["naive"]
    return figures
