"""A million simulated ticks with a fault in each: laws broken (none may be), and ticks a second and core.

LOADLINE_SEEDS is a range of seeds such as 0..4999, which are 1,000,000 ticks; 0..499 unless it is set. Seeds
that broke a law are printed with the law; `python -m tests.simulation SEED` tells their story.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.world import Report, World

TARGETS = {"laws_broken": "<= 0", "ticks_a_second_and_core": ">= 300"}
RANGE = "0..499"
AT_ONCE = 20


def lived(seeds: Iterable[int]) -> tuple[list[Report], float]:
    """The reports of some seeds, and the CPU seconds they took."""
    began = time.process_time()
    return [World(seed).run() for seed in seeds], time.process_time() - began


def run() -> dict[str, float]:
    """Ticks, faults, changes, laws broken; ticks a CPU second."""
    first, _, last = os.environ.get("LOADLINE_SEEDS", RANGE).partition("..")
    seeds = range(int(first), int(last or first) + 1)
    parts = [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]
    ticks = faults = changes = broken = 0
    spent = 0.0
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        for reports, seconds in workers.map(lived, parts):
            spent += seconds
            for report in reports:
                ticks, faults = ticks + report.ticks, faults + report.struck
                changes += report.changes
                broken += bool(report.violations)
                for violation in report.violations[:1]:
                    print(f"seed {report.seed}: {violation}", file=sys.stderr, flush=True)
    return {
        "seeds": len(seeds),
        "ticks": ticks,
        "faults": faults,
        "changes_made": changes,
        "laws_broken": broken,
        "ticks_a_second_and_core": ticks / spent,
    }


if __name__ == "__main__":
    print(run())
