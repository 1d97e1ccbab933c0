"""The portfolio live: CPU seconds of an hourly update and of the daily refit on one core, and its memory.

Pools of five-minute steps with a daily hump; `hour` is twelve steps with the choice, `refit` the first hour
of a day. Figures for 100 pools and for 1,000, so that the cost a pool can be compared.
"""

from __future__ import annotations

import time

import numpy as np

from forecasts.features import Grid
from policies.portfolio import Portfolio, plan_names, terms

TARGETS = {"hour_s_1000": "<= 2", "refit_s_1000": "<= 12", "ledger_megabytes_1000": "<= 300"}
STEP_S = 300
DAY = 86400 // STEP_S
HOUR = 3600 // STEP_S


def pools(count: int, steps: int) -> np.ndarray:
    """Demand in units, float64 [pools, steps]."""
    chance = np.random.default_rng(0)
    hump = 20 + 10 * np.sin(2 * np.pi * np.arange(steps) / DAY)
    return np.maximum(hump * chance.uniform(0.5, 2, (count, 1)) + chance.normal(0, 2, (count, steps)), 0.0)


def one(count: int) -> dict[str, float]:
    """The figures for so many pools, after three days."""
    demand = pools(count, 3 * DAY + 3 * HOUR)
    portfolio = Portfolio(
        Grid(step_s=STEP_S, lead=1), terms(0.01, count), minimum=np.ones(count, dtype=np.int64)
    )
    portfolio.advance(demand[:, : 3 * DAY])
    figures = {}
    for name, first in (("refit_s", 3 * DAY), ("hour_s", 3 * DAY + HOUR)):
        begun = time.process_time()
        portfolio.advance(demand[:, first : first + HOUR])
        figures[f"{name}_{count}"] = time.process_time() - begun
    return figures | {f"ledger_megabytes_{count}": portfolio.ledger.megabytes}


def run() -> dict[str, float]:
    """100 and 1,000 pools."""
    return {"plans": len(plan_names())} | one(100) | one(1000)
