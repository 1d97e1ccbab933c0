"""The portfolio live: CPU seconds of an hourly turn and of the daily refit on one core, and its memory.

Pools of five-minute steps with a daily hump. `hour` is twelve new steps with the choice, `refit` those that
begin a day; `turn` is the whole of it live: what was learnt is recalled, taken on, asked for the size of
the step under way, explained, and packed again. For 100, 1,000 and 10,000 pools, some at a time as
`loadline plan` does it, so that the cost a pool and the memory of the process (megabytes, the largest so
far) can be compared. `kilobytes` is what is kept of one pool.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from forecasts.types import Series
from policies import learning
from policies.memory import join, recall, unpacked
from policies.portfolio import plan_names
from policies.standing import Kept, Rule, Task

TARGETS = {"hour_s_1000": "<= 2", "refit_s_1000": "<= 12", "ledger_megabytes_1000": "<= 300"}
COUNTS = (100, 1_000, 10_000)
STEP_S = 300
DAY = 86400 // STEP_S
HOUR = 3600 // STEP_S
DAYS = 8  # so that every buffer is as long as it gets
START = datetime(2026, 2, 2, tzinfo=UTC)
RULE = Rule(scaler="portfolio", violation=0.01, lead_steps=1)


def pools(count: int, steps: int) -> np.ndarray:
    """Demand in units, float64 [pools, steps]."""
    chance = np.random.default_rng(0)
    hump = 20 + 10 * np.sin(2 * np.pi * np.arange(steps) / DAY)
    return np.maximum(hump * chance.uniform(0.5, 2, (count, 1)) + chance.normal(0, 2, (count, steps)), 0.0)


def tasks(demand: np.ndarray, until: int, kept: list[Kept | None]) -> list[Task]:
    """A task for each pool, with its demand up to a step."""
    return [
        Task(
            pool_id=str(number),
            rule=RULE,
            minimum=1,
            demand=Series(unique_id=str(number), start=START, step_s=STEP_S, y=y[:until]),
            settled=until,
            of="",
            kept=before,
        )
        for number, (y, before) in enumerate(zip(demand, kept, strict=True))
    ]


def turn(demand: np.ndarray, until: int, kept: list[Kept | None]) -> list[Kept]:
    """One turn of these pools through packed bytes, as the store has them; what is kept of each then."""
    steps = learning.go_on(tasks(demand, until, kept))
    learnt = [step.kept for step in steps if step.kept is not None]
    packed = [(one.memory.shape, one.memory.packed()) for one in learnt]
    return [replace(one, memory=unpacked(*parts)) for one, parts in zip(learnt, packed, strict=True)]


def run() -> dict[str, float]:
    """What a chunk of pools costs, until all are done; each chunk goes on from the same past."""
    some = learning.at_once(tasks(pools(1, HOUR), HOUR, [None]))
    demand = pools(some, DAYS * DAY + 3 * HOUR)
    moments = [DAYS * DAY - HOUR, DAYS * DAY, DAYS * DAY + HOUR, DAYS * DAY + 2 * HOUR]
    kept: list[Kept | None] = [None] * some
    for until in (*range(DAY // 4, DAYS * DAY - HOUR, DAY // 4), moments[0], moments[1]):
        kept = [*turn(demand, until, kept)]
    after = [*turn(demand, moments[2], kept)]
    figures: dict[str, float] = {"plans": len(plan_names()), "at_once": some}
    for count in COUNTS:
        for name, before, until in (("refit", kept, moments[2]), ("hour", after, moments[3])):
            update = whole = 0.0
            for first in range(0, count, some):
                size = min(some, count - first)
                portfolio = recall(join([one.memory for one in before[:size] if one])).portfolio
                begun = time.process_time()
                portfolio.advance(demand[:size, until - HOUR : until])
                update += time.process_time() - begun
                begun = time.process_time()
                turn(demand[:size], until, before[:size])
                whole += time.process_time() - begun
            figures |= {f"{name}_s_{count}": update, f"{name}_turn_s_{count}": whole}
        figures[f"megabytes_{count}"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    one = after[0].memory
    ledger = recall(one).portfolio.ledger
    return figures | {
        "kilobytes": sum(array.nbytes for array in one.arrays) / 1000,
        "ledger_megabytes_1000": ledger.megabytes * 1000,
    }
