"""The priced lead peak: what a violation is worth decides how high it goes."""

from __future__ import annotations

import numpy as np
import pytest

from policies.priced import FORGET, Priced

SPREADS = np.array([0.0, 0.5, 1.0, 2.0])
PRICES = np.array([0.5, 2.0, 10.0, 100.0])
LEAD, DAY = 2, 48


def nowhere(demand):
    """No step is a lower bound."""
    return np.zeros(demand.shape, dtype=bool)


def ladder(steps, seed=0):
    """Units of the spreads around a level of 20 [1, spreads, steps], and the demand that came [1, steps]."""
    chance = np.random.default_rng(seed)
    sigma = chance.uniform(1, 6, steps)
    demand = np.maximum(20 + sigma * chance.normal(size=steps), 0.0)
    return (20 + 2 * SPREADS[:, None] * sigma)[None], demand[None]


def run(units, demand, pieces=DAY, cut=None):
    """Day by day, each in so many steps at a time."""
    priced, parts = Priced(len(demand), SPREADS, LEAD), []
    for first in range(0, demand.shape[1], pieces):
        part = slice(first, first + pieces)
        new_day, bounds = first % DAY == 0, (nowhere(demand) if cut is None else cut)[:, part]
        parts.append(priced.advance(units[:, :, part], demand[:, part], bounds, PRICES, new_day=new_day))
    return np.concatenate(parts, axis=2), priced


def test_a_dearer_violation_never_asks_for_less():
    """At every step units rise with the price."""
    asked, _ = run(*ladder(10 * DAY))
    assert (np.diff(asked, axis=1) >= 0).all()
    assert (asked[:, 0] < asked[:, -1]).any()


@pytest.mark.parametrize("pieces", [1, 7 - 1, 16])
def test_steps_in_pieces_are_the_same_steps(pieces):
    """Exactly, sums of floats too: a live pool is told a step at a time."""
    units, demand = ladder(4 * DAY)
    demand[0, 60:63] = np.nan
    assert np.array_equal(run(units, demand, pieces)[0], run(units, demand)[0])


def test_the_future_changes_nothing():
    """What is asked for on a day stands before any of its demand was seen."""
    units, demand = ladder(6 * DAY)
    other = demand.copy()
    other[:, 5 * DAY :] *= 9
    assert np.array_equal(run(units, demand)[0][:, :, : 6 * DAY], run(units, other)[0])
    other[:, 4 * DAY : 5 * DAY] *= 9
    assert not np.array_equal(run(units, demand)[0], run(units, other)[0])


def test_shares_are_those_of_the_past_and_absent_steps_are_none():
    """S_k by hand: peaks of three steps above what was asked for as they began, where all are there."""
    units, demand = ladder(DAY)
    demand[0, 10] = np.nan
    _, priced = run(units, demand)
    priced.advance(units[:, :, :1], demand[:, :1], nowhere(demand[:, :1]), PRICES, new_day=True)
    windows = [demand[0, t : t + LEAD + 1] for t in range(DAY - LEAD)]
    known = [t for t, window in enumerate(windows) if np.isfinite(window).all()]
    hits = sum((windows[t].max() > units[0, :, t]).astype(float) for t in known)
    some = np.linspace(0.5, 0, len(SPREADS))
    assert np.allclose(priced._above[0], (hits + some) / (len(known) + 1))
    assert priced._mean[0] == pytest.approx(np.nanmean(demand[0]))


def test_a_wide_forecast_is_left_sooner():
    """Where a spread costs ten times the units, the same price buys less of it."""
    units, demand = ladder(6 * DAY)
    sigma = units[0, 2] - units[0, 0]
    asked, _ = run(units, demand)
    spread = (asked[0, 1, DAY:] - 20) / sigma[DAY:]
    wide, narrow = sigma[DAY:] > np.quantile(sigma, 0.9), sigma[DAY:] < np.quantile(sigma, 0.1)
    assert spread[wide].mean() < spread[narrow].mean()


def test_old_days_are_forgotten():
    """A level that was left weighs FORGET as much with each day."""
    units, demand = ladder(3 * DAY)
    demand[:, :DAY] = 100.0
    demand[:, DAY:] = 10.0
    _, priced = run(units, demand)
    priced.advance(units[:, :, :1], demand[:, :1], nowhere(demand[:, :1]), PRICES, new_day=True)
    weights = np.array([FORGET**2, FORGET, 1.0])
    assert priced._mean[0] == pytest.approx(weights @ [100, 10, 10] / weights.sum())


def test_a_lower_bound_counts_only_where_it_is_above():
    """Steps that saturate at 25 count for the spreads they exceed, and tell nothing of those above."""
    units, demand = ladder(2 * DAY)
    cut = demand > 25
    _, told = run(units, np.minimum(demand, 25), cut=cut)
    told.advance(units[:, :, :1], demand[:, :1], nowhere(demand[:, :1]), PRICES, new_day=True)
    _, blind = run(units, np.minimum(demand, 25))
    blind.advance(units[:, :, :1], demand[:, :1], nowhere(demand[:, :1]), PRICES, new_day=True)
    assert (told._hits == blind._hits).all()
    assert (told._peaks < blind._peaks).any()
    assert (told._above >= blind._above).all()
