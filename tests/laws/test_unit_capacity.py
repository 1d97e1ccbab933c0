"""Unit capacity learnt from utilization and from latency: known values come back, on the safe side."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.types import Series
from policies.sizing import demand_units
from policies.unit_capacity import from_latency, from_utilization

STEP = 300
STEPS = 14 * 288
CAPACITY = 100.0  # of a unit in full use
SERVICE_S = 0.05


def traffic(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two weeks of demand, ready units and the share of full use of each."""
    chance = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * np.arange(STEPS) / 288)
    rho = np.clip(0.5 + 0.4 * wave + chance.normal(0, 0.08, STEPS), 0.02, 0.97)
    ready = np.maximum(2, np.round(10 + 5 * wave))
    return rho * ready * CAPACITY, ready, rho


def latency(seed: int, rho: np.ndarray, noise: float, outliers: float = 0.01) -> np.ndarray:
    """A p95 that grows as 1/(1 - rho), with noise, and now and then ten times too long."""
    chance = np.random.default_rng(seed + 1)
    p95 = SERVICE_S / (1 - rho) * np.exp(chance.normal(0, noise, rho.size))
    return np.where(chance.random(rho.size) < outliers, 10 * p95, p95)


def holed(seed: int, values: np.ndarray, share: float) -> np.ndarray:
    """Some values absent."""
    return np.where(np.random.default_rng(seed + 2).random(values.size) < share, np.nan, values)


@given(st.integers(0, 2**31), st.sampled_from([0.2, 0.3, 0.4]), st.sampled_from([0.05, 0.15]))
def test_the_load_that_keeps_a_latency_is_found_on_the_safe_side(seed, objective, noise):
    """Of a curve 1/(1 - rho) with noise, outliers and holes: the load 95 % of steps keep, -25 to +6 %."""
    demand, ready, rho = traffic(seed)
    p95 = holed(seed, latency(seed, rho, noise), 0.1)
    found = from_latency(holed(seed + 5, demand, 0.05), ready, p95, step_s=STEP, objective=objective)
    truth = CAPACITY * (1 - SERVICE_S * math.exp(1.645 * noise) / objective)
    assert found.value is not None
    assert 0.75 * truth <= found.value <= 1.06 * truth
    assert found.p50 == pytest.approx(CAPACITY * (1 - SERVICE_S / objective), rel=0.05)
    assert found.value <= found.p50 <= found.p90
    assert found.p10 <= found.p50
    assert not found.at_least


@given(st.integers(0, 2**31), st.floats(0.3, 0.9), st.sampled_from([1.0, 100.0]), st.floats(0.01, 0.2))
def test_the_capacity_behind_a_utilization_is_found(seed, target, top, noise):
    """Demand = utilization x units x c, with noise, as share or percent: the median is c x target."""
    demand, ready, rho = traffic(seed)
    reading = top * np.minimum(rho * np.random.default_rng(seed).lognormal(0, noise, rho.size), 1.0)
    found = from_utilization(demand, ready, holed(seed, reading, 0.1), step_s=STEP, target=target)
    assert found.value is not None
    assert found.p50 == pytest.approx(CAPACITY * target, rel=0.03)
    assert found.value <= found.p10 <= found.p50 <= found.p90
    assert found.value >= CAPACITY * target * math.exp(-1.6 * noise)


@given(st.integers(0, 2**31), st.integers(200, STEPS - 1))
def test_a_capacity_is_that_of_the_past(seed, cut):
    """What comes after the cut, whatever it is, changes nothing that was learnt before it."""
    demand, ready, rho = traffic(seed)
    p95 = latency(seed, rho, 0.15)
    then = from_latency(demand[:cut], ready[:cut], p95[:cut], step_s=STEP, objective=0.25)
    demand[cut:], ready[cut:], p95[cut:] = 1e9, 1.0, 1e9
    assert from_latency(demand[:cut], ready[:cut], p95[:cut], step_s=STEP, objective=0.25) == then


def test_an_objective_that_was_never_broken_gives_the_largest_load_seen():
    """No extrapolation: the load that five steps reached, and "at least"."""
    demand, ready, rho = traffic(1)
    found = from_latency(demand, ready, latency(1, rho, 0.0, outliers=0.0), step_s=STEP, objective=10.0)
    assert found.at_least
    assert found.value is not None
    assert 90 < found.value <= (demand / ready).max()
    assert math.isnan(found.p50)
    assert found.why.startswith("at least")


def test_an_objective_that_is_broken_at_every_load_is_no_capacity():
    """A series in ms against an objective in seconds, say: nothing follows, and the line tells the share."""
    demand, ready, rho = traffic(1)
    found = from_latency(demand, ready, 1000 * latency(1, rho, 0.1), step_s=STEP, objective=0.25)
    assert found.value is None
    assert "100% of" in found.why


def test_steps_after_a_launch_are_left_out():
    """Cold units are slow at any load; for five minutes after each launch they are not listened to."""
    demand, _, _ = traffic(3)
    ready = np.where(np.arange(STEPS) % 12 < 6, 10.0, 12.0)
    cold = np.diff(ready, prepend=ready[0]) > 0
    cold |= np.roll(cold, 1)
    slow = np.where(cold, 9.0, 0.05)
    found = from_latency(demand, ready, slow, step_s=STEP, objective=0.25)
    assert found.at_least
    assert found.steps == STEPS - np.count_nonzero(cold)


@pytest.mark.parametrize("absent", ["demand", "ready", "latency", "idle"])
def test_absent_is_not_learnt_from(absent):
    """A series that is not there, or units that do not serve, leave nothing to learn from."""
    arrays = dict(zip(("demand", "ready", "idle"), traffic(1), strict=True))
    arrays["latency"] = latency(1, arrays.pop("idle"), 0.1)
    if absent == "idle":
        arrays["ready"] = np.zeros(STEPS)
    else:
        arrays[absent] = np.full(STEPS, np.nan)
    found = from_latency(**arrays, step_s=STEP, objective=0.25)
    assert (found.value, found.steps) == (None, 0)
    assert "100 are needed" in found.why


@given(st.integers(0, 2**31), st.floats(1e-3, 1e6), st.integers(2, 5), st.integers(0, 5))
def test_small_pools_of_learnt_capacity_round_up_and_never_below_the_minimum(seed, scale, units, minimum):
    """Two to five units: the size is the fewest that serve the demand, at least the minimum, never 1/0."""
    chance = np.random.default_rng(seed)
    ready = np.repeat(chance.integers(1, units + 1, 60), 48).astype(float)
    rho = chance.uniform(0.1, 0.9, ready.size)
    found = from_utilization(scale * rho * ready, ready, rho, step_s=STEP, target=0.7)
    assert found.value is not None
    assert found.value > 0
    demand = chance.uniform(0, units, 50) * found.value
    demand[0] = 0.0
    series = Series(unique_id="a", start=datetime(2026, 1, 1, tzinfo=UTC), step_s=60, y=demand)
    need = demand_units([series], [found.value], end=series.end).y
    size = np.maximum(np.ceil(need), minimum)
    assert (size >= minimum).all()
    assert (size * found.value >= demand * (1 - 1e-12)).all()
    assert ((size - 1) * found.value < demand)[size > minimum].all()
    whole = Series(unique_id="a", start=series.start, step_s=60, y=np.arange(1, 6) * found.value)
    assert (np.ceil(demand_units([whole], [found.value], end=whole.end).y) <= np.arange(1, 6) + 1).all()
