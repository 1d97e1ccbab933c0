"""A pool with everything that can be learnt from: demand, its own sizes, and how it fared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from policies import replay
from policies.replay import Plant

END = datetime(2026, 3, 18, 9, 30, tzinfo=UTC)
STEP_S = 60
DAYS = 9
CAPACITY = 100.0  # of a unit in full use, requests a minute
LEAD_S = 240

CONFIGURATION = """\
now: last-sample
metrics:
  - {kind: csv, path: m.csv}
providers:
  fake: {path: ./cloud.db}
defaults: {scaler: rolling_max, violation: 1%}
"""


def series(days: float = DAYS, seed: int = 7) -> dict[str, np.ndarray]:
    """By name, minute by minute up to END. The pool was sized for 70 % utilization and lags behind demand."""
    steps = int(days * 1440)
    chance = np.random.default_rng(seed)
    t = np.arange(steps)
    demand = (900 + 500 * np.sin(2 * np.pi * t / 1440)) * chance.lognormal(0, 0.03, steps)
    wanted = np.ceil(np.repeat(demand[::15], 15)[:steps] / (0.7 * CAPACITY)).astype(np.int64)
    plant = Plant(step_s=STEP_S, lead_s=LEAD_S, lead_jitter=0.3, seed=seed)
    ready = replay.ready(wanted[None], plant)[0]
    rho = np.minimum(demand / (ready * CAPACITY), 0.99)
    p95 = 0.05 / (1 - rho) * chance.lognormal(0, 0.1, steps)
    return {
        "web_requests": demand,
        "web_desired": wanted.astype(float),
        "web_ready": ready.astype(float),
        "web_cpu": rho,
        "web_p95": p95,
    }


def rows(values: Mapping[str, np.ndarray], end: datetime = END) -> list[str]:
    """The lines of series that end there; absent values have none."""
    return [
        f"{name},{end - timedelta(seconds=STEP_S * (len(y) - i)):%Y-%m-%dT%H:%M:%SZ},{value:.6g}"
        for name, y in values.items()
        for i, value in enumerate(y.tolist())
        if value == value  # noqa: PLR0124 - NaN
    ]


def write(folder: Path, pools: str) -> Path:
    """A folder with the pools' configuration and the history."""
    folder.mkdir(exist_ok=True)
    (folder / "m.csv").write_text("\n".join(["unique_id,ds,y", *rows(series()), ""]))
    (folder / "loadline.yaml").write_text(CONFIGURATION + pools)
    return folder
