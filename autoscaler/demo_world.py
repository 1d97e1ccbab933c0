"""A made-up world of eight pools over 28 days, from a seed. Nothing in it was measured anywhere."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DAYS = 28
STEP_S = 60
START = datetime(2026, 2, 2, 7, 30, tzinfo=UTC)  # a Monday; the world ends on a Monday morning
END = START + timedelta(days=DAYS)
BROKEN_S = 6 * 3600  # how long ago the metrics of `search` began to break


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One metric: `y` float64 [steps], one value a minute from START on."""

    unique_id: str
    y: Floats


def loads(seed: int) -> tuple[Load, ...]:
    """The eight metrics, the same for the same seed."""
    rng = np.random.default_rng(seed)
    minute = np.arange(DAYS * 1440)
    clock = (START.hour * 60 + START.minute + minute) / 60
    hour, weekday = clock % 24, (START.weekday() + (clock // 24).astype(np.int64)) % 7
    weekend = weekday >= 5
    return (
        Load(unique_id="web_requests", y=_web(rng, hour, weekend)),
        Load(unique_id="api_requests", y=_api(rng, hour)),
        Load(unique_id="batch_tasks", y=_batch(rng, hour)),
        Load(unique_id="llm_tokens", y=_llm(rng, hour, weekend)),
        Load(unique_id="ci_jobs", y=_ci(rng, hour, weekend)),
        Load(unique_id="training_gpus", y=_training(rng, len(minute))),
        Load(unique_id="dev_requests", y=_dev(rng, hour, weekend)),
        Load(unique_id="search_queries", y=_search(rng, hour)),
    )


def write_csv(path: Path, found: tuple[Load, ...]) -> int:
    """Write the metrics as unique_id, ds, y, without absent points; returns the rows.

    The metrics of `search` break near the end: negative and not-a-number values, then nothing at all.
    """
    stamps = [
        f"{stamp}Z"
        for stamp in np.datetime64(START.replace(tzinfo=None), "s")
        + np.arange(DAYS * 1440) * np.timedelta64(STEP_S, "s")
    ]
    rows = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file, lineterminator="\n")
        write.writerow(["unique_id", "ds", "y"])
        for load in found:
            values = [f"{value:.6g}" for value in load.y.tolist()]
            if load.unique_id == "search_queries":
                values = _broken(values)
            write.writerows((load.unique_id, *row) for row in zip(stamps, values, strict=False))
            rows += len(values)
    return rows


def _broken(values: list[str]) -> list[str]:
    first = len(values) - BROKEN_S // STEP_S
    return [*values[:first], *["NaN", "-1"] * 10]


def _wave(hour: Floats, *, peak: float, width: float) -> Floats:
    """A daily hump of height 1 at the hour `peak`."""
    away = np.minimum(np.abs(hour - peak), 24 - np.abs(hour - peak))
    height: Floats = np.exp(-0.5 * (away / width) ** 2)
    return height


def _wander(rng: np.random.Generator, steps: int, *, minutes: float, sigma: float) -> Floats:
    """A multiplicative factor around 1 that forgets within `minutes`."""
    keep = np.exp(-1 / minutes)
    noise = rng.normal(0.0, sigma * np.sqrt(1 - keep**2), steps)
    out = np.empty(steps)
    level = 0.0
    for step, kick in enumerate(noise.tolist()):
        level = keep * level + kick
        out[step] = level
    return np.exp(out)


def _web(rng: np.random.Generator, hour: Floats, weekend: NDArray[np.bool_]) -> Floats:
    """A web shop: two humps a day, half of it at weekends, growing by 1 % a week."""
    shape = 0.25 + 0.6 * _wave(hour, peak=11, width=2.6) + 0.75 * _wave(hour, peak=19.5, width=2.2)
    growth = 1 + 0.01 * np.arange(len(hour)) / 10080
    return (
        20_000
        * shape
        * np.where(weekend, 0.5, 1.0)
        * growth
        * _wander(rng, len(hour), minutes=40, sigma=0.03)
        * rng.normal(1, 0.02, len(hour))
    )


def _api(rng: np.random.Generator, hour: Floats) -> Floats:
    """An API with a mild day and flash crowds: up to three times as much within minutes, then a decay."""
    y = 5_000 * (0.6 + 0.4 * _wave(hour, peak=15, width=4)) * _wander(rng, len(hour), minutes=25, sigma=0.04)
    crowd = np.zeros(len(hour))
    for begin in rng.choice(len(hour) - 240, size=9, replace=False):
        age = np.arange(240.0)
        crowd[begin : begin + 240] += rng.uniform(0.8, 2.2) * np.minimum(age / 6, np.exp(-(age - 6) / 50))
    return y * (1 + crowd)


def _batch(rng: np.random.Generator, hour: Floats) -> Floats:
    """A nightly batch from one o'clock, three to four hours long; next to nothing by day."""
    night = np.arange(len(hour)) // 1440
    ends = rng.normal(4.4, 0.25, night[-1] + 2)[night]
    busy = (hour >= 1) & (hour < ends)
    return np.where(
        busy, 880 * _wander(rng, len(hour), minutes=15, sigma=0.05), rng.uniform(2, 14, len(hour))
    )


def _llm(rng: np.random.Generator, hour: Floats, weekend: NDArray[np.bool_]) -> Floats:
    """LLM inference: office hours over several time zones, bursty from minute to minute."""
    shape = 0.2 + 0.7 * _wave(hour, peak=10, width=2.8) + 0.6 * _wave(hour, peak=16, width=2.5)
    bursts = rng.gamma(14.0, 1 / 14.0, len(hour))
    return (
        9_000
        * shape
        * np.where(weekend, 0.55, 1.0)
        * bursts
        * _wander(rng, len(hour), minutes=90, sigma=0.07)
    )


def _ci(rng: np.random.Generator, hour: Floats, weekend: NDArray[np.bool_]) -> Floats:
    """CI jobs that run: Poisson pushes in working hours, each with a fan of jobs of some minutes."""
    rate = np.where(
        weekend, 0.02, 0.03 + 0.30 * _wave(hour, peak=10.5, width=1.8) + 0.34 * _wave(hour, peak=15, width=2)
    )
    running = np.zeros(len(hour) + 60)
    for begin in np.flatnonzero(rng.random(len(hour)) < rate):
        for length in rng.lognormal(2.0, 0.5, rng.integers(2, 9)).clip(1, 55).astype(np.int64):
            running[begin : begin + length] += 1
    return running[: len(hour)]


def _training(rng: np.random.Generator, steps: int) -> Floats:
    """GPUs in use by training runs: blocks of four to twelve for hours, sometimes none."""
    gpus = np.zeros(steps)
    at = 0
    while at < steps:
        length = int(rng.integers(3 * 60, 15 * 60))
        gpus[at : at + length] = rng.choice([0, 4, 4, 8, 8, 12])
        at += length + int(rng.integers(10, 180))
    return gpus


def _dev(rng: np.random.Generator, hour: Floats, weekend: NDArray[np.bool_]) -> Floats:
    """A development group that hardly anybody uses."""
    some = (rng.random(len(hour)) < 0.06) & (hour > 8) & (hour < 18) & ~weekend
    return np.where(some, rng.uniform(5, 60, len(hour)), rng.uniform(0, 2, len(hour)))


def _search(rng: np.random.Generator, hour: Floats) -> Floats:
    """A search cluster with a plain day."""
    return (
        3_000 * (0.5 + 0.5 * _wave(hour, peak=14, width=4)) * _wander(rng, len(hour), minutes=60, sigma=0.07)
    )


MARK = "The configuration of the generated demo world."  # a folder with it may be written anew
CONFIGURATION = f"""\
# yaml-language-server: $schema=./loadline.schema.json
# {MARK} `loadline config explain KEY` tells what a key is for.
"""
CONFIGURATION += """\
now: last-sample            # this world's clock stands at its last sample
state: ./loadline.db        # history, plans, intents, outcomes
metrics:
  - {kind: csv, path: ./metrics.csv}
providers:
  fake: {path: ./cloud.db}  # a strict fake cloud; no credentials, no cost
defaults:
  scaler: seasonal_quantile
  violation: 1%
  model: ridge
  mode: auto                # the demo applies its plan by itself; the default is observe
  observe_first: 0s         # at once; the default is to observe a new pool for 14 days
budgets:                    # what may shrink in any window
  - {scope: pool, units: 2, share: 30%, window: 10m}
  - {scope: provider, units: 1, share: 15%, window: 1h}
pools:
  web:                      # a web shop with quiet weekends
    {provider: fake, minimum: 4, maximum: 60, desired: 24, lead_time: 6m,
     demands: [{series: web_requests, unit_capacity: 600}],
     offerings: [{instance_type: m6i.xlarge, zone: us-east-1a, hourly_usd: 0.192},
                 {instance_type: m6i.xlarge, zone: us-east-1b, hourly_usd: 0.192}]}
  api:                      # an API with flash crowds, on Kubernetes: its replicas are allocated money
    {provider: fake, kind: deployment, minimum: 4, maximum: 80, desired: 12, lead_time: 2m,
     demands: [{series: api_requests, unit_capacity: 400}],
     offerings: [{instance_type: 2 vCPU 4 GiB, zone: us-east-1a, hourly_usd: 0.08}]}
  batch:                    # a nightly batch: its machines are still up in the morning
    {provider: fake, minimum: 0, maximum: 40, desired: 24, lead_time: 10m,
     demands: [{series: batch_tasks, unit_capacity: 40}],
     offerings: [{instance_type: c6i.2xlarge, zone: us-east-1a, hourly_usd: 0.34},
                 {instance_type: c6i.2xlarge, zone: us-east-1a, capacity_type: spot, hourly_usd: 0.13}]}
  llm:                      # LLM inference
    {provider: fake, minimum: 2, maximum: 24, desired: 6, lead_time: 12m,
     demands: [{series: llm_tokens, unit_capacity: 900}],
     offerings: [{instance_type: g5.xlarge, zone: us-east-1a, hourly_usd: 1.006}]}
  ci:                       # CI runners on a Monday morning
    {provider: fake, kind: runners, minimum: 1, maximum: 60, desired: 3, lead_time: 4m,
     demands: [{series: ci_jobs, unit_capacity: 1}],
     offerings: [{instance_type: c6i.xlarge, zone: us-east-1a, hourly_usd: 0.17}]}
  training:                 # GPU training
    {provider: fake, kind: gpu-cluster, minimum: 0, maximum: 3, desired: 2, lead_time: 15m,
     demands: [{series: training_gpus, unit_capacity: 8}],
     offerings: [{instance_type: p4d.24xlarge, zone: us-east-1a, hourly_usd: 21.96}]}
  dev:                      # a development group that hardly anybody uses
    {provider: fake, minimum: 1, maximum: 10, desired: 6, lead_time: 5m,
     demands: [{series: dev_requests, unit_capacity: 100}],
     offerings: [{instance_type: m6i.large, zone: us-east-1a, hourly_usd: 0.096}]}
  search:                   # its metrics broke six hours ago
    {provider: fake, minimum: 4, maximum: 30, desired: 14, lead_time: 5m,
     demands: [{series: search_queries, unit_capacity: 250}],
     offerings: [{instance_type: r6i.xlarge, zone: us-east-1a, hourly_usd: 0.252}]}
"""
