"""Censored steps: a lower bound is never learnt from or scored as if it were the demand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.features import Grid, lead_peak
from forecasts.lead_peak import LeadPeak
from forecasts.types import Series
from policies import scalers
from policies.censoring import at_or_above, on_grid, overloaded
from policies.replay import Plant, scores
from policies.scalers import PoolSettings, configure, load

DAY = 48  # steps of half an hour
START = datetime(2026, 3, 2, tzinfo=UTC)
LEARN = ("lead_peak", "portfolio")
seeds = st.integers(0, 2**32)


def days(seed: int, count: int = 6, series: int = 1) -> np.ndarray:
    """A day's curve with noise, float64 [series, steps]."""
    chance = np.random.default_rng(seed)
    t = np.arange(count * DAY)
    return (20 + 15 * np.sin(2 * np.pi * t / DAY)) * chance.lognormal(0, 0.1, (series, t.size))


@given(seeds, st.integers(1, 4))
def test_a_bound_violates_where_it_is_more_than_ready_and_else_is_not_known(seed, lead):
    """By the definition, step by step; the cost is that of every step that is there."""
    chance = np.random.default_rng(seed)
    demand = days(seed)
    demand[chance.random(demand.shape) < 0.1] = np.nan
    cut = chance.random(demand.shape) < 0.3
    targets = chance.integers(5, 50, demand.shape)
    plant = Plant(step_s=1800, lead_s=1800 * lead)
    (found,) = scores(demand, targets, plant, warmup_steps=DAY, censored=cut)
    (plain,) = scores(demand, targets, plant, warmup_steps=DAY)
    bad = known = unknown = 0
    for t in range(DAY, demand.shape[1]):
        ready = targets[0, max(0, t - lead) : t + 1].min()
        over = demand[0, t] > ready
        if np.isnan(demand[0, t]):
            continue
        bad += over
        known += over or not cut[0, t]
        unknown += not over and bool(cut[0, t])
    assert (found.steps, found.cost, found.unserved) == (plain.steps, plain.cost, plain.unserved)
    assert found.violation == bad / known
    assert found.censored == unknown / plain.steps


@given(seeds)
def test_more_capacity_never_violates_more(seed):
    """Although the steps that are known become fewer: what no longer violates leaves both sides."""
    demand, chance = days(seed), np.random.default_rng(seed)
    cut, targets = chance.random(demand.shape) < 0.5, chance.integers(5, 40, demand.shape)
    plant = Plant(step_s=1800, lead_s=1800)
    less, more = (scores(demand, t, plant, warmup_steps=0, censored=cut)[0] for t in (targets, targets + 7))
    assert more.violation <= less.violation
    assert more.censored >= less.censored


def test_where_nothing_is_known_there_is_no_violation():
    """Every step a bound that is served: the violation is not a number, and the share says why."""
    demand = np.full((1, 10), 3.0)
    cut = np.ones((1, 10), dtype=bool)
    (found,) = scores(demand, np.full((1, 10), 5), Plant(step_s=60, lead_s=60), warmup_steps=0, censored=cut)
    assert np.isnan(found.violation)
    assert found.censored == 1.0


@pytest.mark.parametrize("name", scalers.names())
def test_a_mask_of_nothing_changes_nothing(name):
    """No scaler asks for anything else where no step is censored."""
    demand = days(3, count=4, series=2)
    scaler = load(name)
    settings = configure(scaler, PoolSettings(step_s=1800, start=START, levels=(0.99,)), {}, violation=0.02)
    masked = replace(settings, censored=np.zeros(demand.shape, dtype=bool))
    ahead = np.repeat(demand[:, :, None, None], 3, axis=2) if scaler.AHEAD else None
    assert np.array_equal(
        scaler.targets(demand, ahead, masked, None)[0], scaler.targets(demand, ahead, settings, None)[0]
    )


@pytest.mark.parametrize("name", LEARN)
@pytest.mark.slow
@given(seeds, st.data())
def test_no_mask_of_the_future_changes_the_past(name, seed, data):
    """Causality: targets up to t are the same whatever is censored from t on."""
    demand = days(seed)
    cut = np.random.default_rng(seed).random(demand.shape) < 0.3
    scaler = load(name)
    settings = configure(scaler, PoolSettings(step_s=1800, start=START), {}, violation=0.02)
    t = data.draw(st.integers(1, demand.shape[1] - 1))
    other = cut.copy()
    other[:, t:] = ~other[:, t:]
    whole, changed = (
        scaler.targets(demand, None, replace(settings, censored=c), None)[0] for c in (cut, other)
    )
    assert np.array_equal(whole[:, : t + 1], changed[:, : t + 1])
    short = scaler.targets(demand[:, :t], None, replace(settings, censored=cut[:, :t]), None)[0]
    assert np.array_equal(short, whole[:, :t])


@pytest.mark.parametrize("name", LEARN)
@pytest.mark.slow
@given(seeds, st.data())
def test_two_halves_with_their_masks_are_the_whole(name, seed, data):
    """State: each call is told the mask of its own demand."""
    demand = days(seed)
    cut = np.random.default_rng(seed).random(demand.shape) < 0.3
    scaler = load(name)
    settings = configure(scaler, PoolSettings(step_s=1800, start=START), {}, violation=0.02)
    whole = scaler.targets(demand, None, replace(settings, censored=cut), None)[0]
    t = data.draw(st.integers(1, demand.shape[1] - 1))
    first, state = scaler.targets(demand[:, :t], None, replace(settings, censored=cut[:, :t]), None)
    second, _ = scaler.targets(demand[:, t:], None, replace(settings, censored=cut[:, t:]), state)
    assert np.array_equal(np.concatenate([first, second], axis=1), whole)


def peaks(y: np.ndarray, cut: np.ndarray | None) -> np.ndarray:
    """The middle of what the forecaster issues."""
    return LeadPeak(Grid(step_s=1800, lead=1), len(y)).advance(y, cut).quantile(np.array(0.0))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [18.0, 25.0])
def test_a_metric_that_shows_no_more_is_not_taken_for_the_demand(seed, level):
    """Four days cut off at a level: untold, the forecast settles there; told, it stays above, and the second
    day after the cut it is nearer to what demand really is.
    """
    y = days(seed, count=12)
    shown = y.copy()
    part = slice(6 * DAY, 10 * DAY)
    shown[:, part] = np.minimum(y[:, part], level)
    cut = shown < y
    untold, told = peaks(shown, None)[0], peaks(shown, cut)[0]
    hidden = np.flatnonzero(cut[0, 8 * DAY :]) + 8 * DAY
    assert untold[hidden].mean() < 1.02 * level
    assert told[hidden].mean() > 1.05 * level
    truth, after = lead_peak(y, 1)[0], slice(11 * DAY, -1)
    errors = [np.abs(issued - truth)[after].mean() for issued in (untold, told)]
    assert errors[1] < errors[0]


def test_a_bound_above_what_was_predicted_counts():
    """Load grows beyond all that was seen, and is censored at that: the forecast follows it."""
    y = days(5, count=8)
    y[:, 6 * DAY :] *= 2
    cut = np.zeros(y.shape, dtype=bool)
    cut[:, 6 * DAY :] = True
    told, plain = peaks(y, cut)[0, -DAY // 2 :], peaks(y, None)[0, -DAY // 2 :]
    assert told.mean() > 0.8 * plain.mean()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_a_portfolio_keeps_more_where_bounds_hide_demand(seed):
    """Demand is cut off at a level: told so, the portfolio asks for more than untold."""
    y = days(seed, count=10)
    cut = at_or_above(y, 28.0)
    demand = np.minimum(y, 28.0)
    scaler = load("portfolio")
    settings = configure(scaler, PoolSettings(step_s=1800, start=START), {}, violation=0.05)
    untold = scaler.targets(demand, None, settings, None)[0]
    told = scaler.targets(demand, None, replace(settings, censored=cut), None)[0]
    assert told[:, 5 * DAY :].mean() > untold[:, 5 * DAY :].mean()


@given(st.sampled_from([60, 120, 300]), st.integers(0, 20), st.integers(1, 60), seeds)
def test_flags_come_to_the_steps_they_cover(step, late, count, seed):
    """A step of the grid is censored where any part of a censored step of a metric lies in it."""
    flags = np.random.default_rng(seed).random(count) < 0.3
    part = Series(unique_id="p", start=START + timedelta(seconds=60 * late), step_s=step, y=np.zeros(count))
    grid = Series(unique_id="g", start=START, step_s=60, y=np.zeros(late + count * step // 60 + 20))
    found = on_grid([(part, flags)], grid)
    shown = np.zeros(len(grid.y), dtype=bool)
    for i in np.flatnonzero(flags):
        begin = late + i * step // 60
        shown[begin : begin + step // 60] = True
    if flags[-1]:
        rest = (len(grid.y) - late) * 60 / step - count
        if rest <= 3:
            shown[late + (count - 1) * step // 60 :] = True
    assert found.tolist() == shown.tolist()


def test_a_broken_objective_is_overload_only_where_every_unit_is_busy():
    """Slow at little load is not overload, nor is what was not seen."""
    demand = np.array([900.0, 100, 900, np.nan, 900, 900])
    ready = np.array([8.0, 8, 8, 8, np.nan, 20])
    slow = np.array([0.5, 0.5, 0.1, 0.5, 0.5, 0.5])
    found = overloaded(demand, ready, slow, objective=0.25, capacity=100.0)
    assert found.tolist() == [True, False, False, False, False, False]
