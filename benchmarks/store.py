"""A month of one-minute history for 1,000 series, made of the real pool traces: size on disk, and speed.

The traces are tiled to 43,200 steps, each copy shifted and scaled by a factor of its own, so that no two
series hold the same numbers; the store packs each series by itself anyway.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from autoscaler.metrics.csv import CsvMetrics
from autoscaler.store.database import connect
from autoscaler.store.history import History
from forecasts.types import Series

SERIES, STEPS = 1_000, 43_200
START = datetime(2026, 1, 1, tzinfo=UTC)


def traces() -> list[np.ndarray]:
    """The pools' samples on their minute grid, float64 [steps], NaN where absent."""
    path = Path(os.environ["LOADLINE_DATA"]) / "load" / "pool_cloudcluster2024.csv.gz"
    samples = CsvMetrics(str(path)).samples([], None, None)
    found = []
    for unique_id in sorted(set(samples.unique_id)):
        mine = samples.unique_id == unique_id
        minute = samples.ds[mine].astype("datetime64[m]").astype(np.int64)
        y = np.full(minute.max() - minute.min() + 1, np.nan)
        y[minute - minute.min()] = samples.y[mine]
        found.append(y)
    return found


def tiled(pools: list[np.ndarray]) -> list[Series]:
    """1,000 series of 43,200 steps; no two hold the same numbers."""
    many = []
    for index in range(SERIES):
        y = np.resize(np.roll(pools[index % len(pools)], 37 * index), STEPS) * (1 + index / 7919)
        many.append(Series(unique_id=f"s{index:04}", start=START, step_s=60, y=y))
    return many


def run() -> dict[str, float]:
    """Megabytes on disk; wall seconds to write, to read back, and to append five minutes to each series."""
    many = tiled(traces())
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"{folder}/store.db")
        history = History(engine)
        began = time.perf_counter()
        history.append_all(many)
        written = time.perf_counter()
        found = history.read([series.unique_id for series in many])
        read = time.perf_counter()
        rest = [
            Series(unique_id=s.unique_id, start=s.end - timedelta(minutes=10), step_s=60, y=np.arange(15.0))
            for s in many
        ]
        before_tick = time.perf_counter()
        history.append_all(rest)
        ticked = time.perf_counter()
        engine.dispose()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    error = max(
        float(np.nanmax(np.abs(a.y / b.y - 1, where=b.y > 0, out=np.zeros(STEPS))))
        for a, b in zip(found, many, strict=True)
    )
    return {
        "megabytes": size / 1e6,
        "write_s": written - began,
        "read_s": read - written,
        "tick_append_s": ticked - before_tick,
        "largest_relative_error": error,
    }


if __name__ == "__main__":
    print(run())
