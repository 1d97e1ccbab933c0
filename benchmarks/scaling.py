"""The portfolio on real traces beside peers that are tuned with hindsight to the violation that it reached.

Cost at equal violation: for each series the portfolio runs online, the first half warms up, and each baseline
gets the cheapest knob whose violation on the scored half is no larger (the static peak where none is). Ratios
are geometric means, within a data set first; reached is the share of series within 1.5 times what was asked,
or twice where that is less than 1 %.
The first case has every series of a week or more; the others have every fifth VM. Asked 0.1 %, only series of
28 days or more count. LOADLINE_DATA names the folder of traces.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean, median
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.metrics.files import read_files
from forecasts.limits import Limits
from policies import scalers, trial
from policies.replay import scores

if TYPE_CHECKING:
    from forecasts.types import Series

SIX = ("hpa", "target_tracking", "rolling_max", "holt_winters", "crane", "static")
THIN = {"vm_azure2017": 5}


@dataclass(frozen=True, slots=True)
class Case:
    """Lead time (s), violation asked, units at the p99 of the warm-up part, days a series must have."""

    lead_s: int = 300
    violation: float = 0.01
    p99: float = 40.0
    least_days: int = 7

    def key(self, series: Series) -> tuple[object, ...]:
        """Equal where the case is the same on this series: a lead time is whole steps."""
        return series.unique_id, max(1, -(-self.lead_s // series.step_s)), self.violation, self.p99

    def __str__(self) -> str:
        return f"lead {self.lead_s // 60} min, {self.violation:.1%}, p99 {self.p99:g}"


BASE, SHORT, LONG = Case(), Case(lead_s=60), Case(lead_s=900)
SMALL, LARGE, STRICT = Case(p99=4), Case(p99=400), Case(violation=0.001, least_days=28)
CASES = (BASE, SHORT, LONG, SMALL, LARGE, STRICT)
TARGETS = {
    f"{BASE}: of HPA": "<= 0.70",
    f"{BASE}: wins of HPA": ">= 0.90",
    f"{BASE}: worst of HPA": "<= 1.05",
    f"{BASE}: of the best of six": "<= 0.90",
    f"{BASE}: wins of six": ">= 0.80",
    f"{BASE}: worst of six": "<= 1.07",
    f"{BASE}: reached": ">= 0.96",
    f"{BASE}: largest violation": "<= 0.02",
    **{f"{case}: of HPA": "<= 0.75" for case in (SHORT, LONG)},
    **{f"{case}: worst of HPA": "<= 1.10" for case in (SHORT, LONG)},
    f"{SMALL}: of HPA": "<= 0.80",
    f"{SMALL}: worst of HPA": "<= 1.05",
    f"{STRICT}: of HPA": "<= 0.80",
    f"{STRICT}: of the best of six": "<= 1.0",
    f"{STRICT}: reached": ">= 0.85",
}


def histories() -> list[tuple[str, Series]]:
    """Every series that can be replayed, with its data set."""
    found = []
    for path in sorted((Path(os.environ["LOADLINE_DATA"]) / "load").glob("*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        found += [(name, one) for one in read_files([path], strict=False, limits=Limits()).series]
    return found


def played(found: list[tuple[str, Series]], case: Case) -> list[tuple[str, Series]]:
    """Those that a case has."""
    numbers: dict[str, int] = defaultdict(int)
    out = []
    for name, series in found:
        number = numbers[name]
        numbers[name] += 1
        long = len(series.y) * series.step_s >= case.least_days * 86400
        if long and (case == BASE or number % THIN.get(name, 1) == 0):
            out.append((name, series))
    return out


def one(job: tuple[str, Series, Case]) -> tuple[str, str, dict[str, float]] | None:
    """One series in one case: the portfolio's figures, and each baseline's cost at its violation."""
    name, series, case = job
    rules = trial.Rules(
        scaler="portfolio",
        lead_s=case.lead_s,
        warmup=trial.Warmup(share=0.5),
        units_at_p99=case.p99,
        violation=case.violation,
        chosen={},
        plant={},
    )
    try:
        ours = trial.run(series, rules)
    except trial.BadInput:
        return None  # nothing but zeros in the warm-up part: no unit capacity follows
    peak = int(np.ceil(np.nanmax(ours.demand[: ours.warmup_steps])))
    figures = {"violation": ours.score.violation, "clairvoyant": ours.score.cost / ours.score.clairvoyant}
    dearest = max(1, peak) * ours.score.steps * series.step_s / 3600
    for rival in (rival for rival in SIX if rival in scalers.names()):
        least = cost_at(rival, ours, ours.score.violation)
        figures[rival] = dearest if least == float("inf") else least
    figures["cost"] = ours.score.cost
    return name, series.unique_id, figures


def cost_at(name: str, ours: trial.Trial, violation: float) -> float:
    """The cheapest knob of a scaler that violates no more; infinite where none does."""
    scaler = scalers.load(name)
    grid, plant = ours.grid, ours.plant
    settings = scaler.Settings(
        start=grid.start,
        step_s=grid.step_s,
        lead_steps=plant.lead_steps,
        warmup_steps=ours.warmup_steps,
        **{scaler.KNOB: np.array(scaler.KNOBS)},
    )
    demand = np.broadcast_to(ours.demand, (len(scaler.KNOBS), len(ours.demand)))
    targets, _ = scaler.targets(demand, None, settings, None)
    found = scores(demand, targets, plant, warmup_steps=ours.warmup_steps)
    return min((score.cost for score in found if score.violation <= violation), default=float("inf"))


def summary(rows: list[tuple[str, str, dict[str, float]]], case: Case) -> dict[str, float]:
    """The figures of one case over all series, and of HPA by data set."""
    by_set: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, _, figures in rows:
        by_set[name].append(figures)
    out: dict[str, float] = {}
    for word, rivals in (("HPA", ("hpa",)), ("six", SIX)):
        ratio = [[f["cost"] / min(f[r] for r in rivals if r in f) for f in part] for part in by_set.values()]
        every = [value for part in ratio for value in part]
        out[f"{case}: of {'HPA' if word == 'HPA' else 'the best of six'}"] = geometric_mean(
            [geometric_mean(part) for part in ratio]
        )
        out[f"{case}: median of {word}"] = median(every)
        out[f"{case}: wins of {word}"] = sum(value <= 1 for value in every) / len(every)
        out[f"{case}: worst of {word}"] = max(every)
        if case == BASE:
            for name, part in zip(by_set, ratio, strict=True):
                out[f"{name} ({len(part)}): of {word}"] = geometric_mean(part)
    reached = [figures["violation"] for _, _, figures in rows]
    most = case.violation * (1.5 if case.violation >= 0.01 else 2.0)
    out[f"{case}: reached"] = sum(value <= most for value in reached) / len(reached)
    out[f"{case}: median violation"] = median(reached)
    out[f"{case}: largest violation"] = max(reached)
    out[f"{case}: series"] = len(rows)
    return out


def run(cases: tuple[Case, ...] = CASES) -> dict[str, float]:
    """All cases over all series, on every core."""
    found = histories()
    out: dict[str, float] = {}
    known: dict[tuple[object, ...], tuple[str, str, dict[str, float]] | None] = {}
    with ProcessPoolExecutor() as pool:
        for case in cases:
            mine = played(found, case)
            new = [(name, series, case) for name, series in mine if case.key(series) not in known]
            for (_, series, _), row in zip(new, pool.map(one, new), strict=True):
                known[case.key(series)] = row
                print(case, row, file=sys.stderr, flush=True)
            rows = [row for _, series in mine if (row := known[case.key(series)]) is not None]
            out |= summary(rows, case)
    return out
