"""The portfolio's parts against slow second writings, and the whole on loads that break autoscalers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.ledger import Ledger
from policies.portfolio import LEVELS, Bank, between, by_level, choose, plan_names, terms
from tests.laws.test_lead_peak import odd_loads


@given(st.integers(0, 2**32))
def test_the_ledger_holds_its_window_and_the_open_block(seed):
    """Totals are the sums over the window's whole blocks and what came since, within half a thousandth."""
    chance = np.random.default_rng(seed)
    hours = int(chance.integers(1, 60))
    ledger = Ledger(2, 5, block_steps=3, blocks=4)
    cost = chance.integers(0, 300, (hours, 2, 5)).astype(float)
    bad = chance.integers(0, 2, (hours, 2, 5)).astype(float)
    for hour in range(hours):
        ledger.add(cost[hour], bad[hour], np.ones(2), length=1)
    whole, rest = divmod(hours, 3)
    first = max(0, whole - 4) * 3
    got = ledger.totals()
    assert np.allclose(got[0], cost[first:].sum(axis=0), rtol=1e-3, atol=1.0)
    assert np.array_equal(got[1], bad[first:].sum(axis=0))
    assert (got[2] == hours - first).all()
    blocks = min(2, whole, 4)
    assert np.allclose(ledger.recent_cost(2), cost[(whole - blocks) * 3 :].sum(axis=0), rtol=1e-3, atol=1.0)
    assert rest in range(3)


@given(st.integers(0, 2**32))
def test_the_choice_is_the_three_cheapest_that_kept_to_the_level(seed):
    """By cost, those with (violations + 1/2)/steps within the level; else the least bad. A plain loop."""
    chance = np.random.default_rng(seed)
    ledger = Ledger(1, 12, block_steps=1, blocks=2)
    cost = chance.integers(1, 99, (1, 12)).astype(float)
    bad = chance.integers(0, 60, (1, 12)).astype(float)
    ledger.add(cost, bad, np.array([500.0]), length=0)
    chosen = choose(ledger, terms(0.01, 1))
    for number, level in enumerate(LEVELS):
        limit = max(level, 0.5 / 500) + 1e-12
        by_cost = sorted(range(12), key=lambda plan: (cost[0, plan], plan))
        kept = [plan for plan in by_cost if (bad[0, plan] + 0.5) / 500 <= limit][:3]
        if not kept:
            kept = [min(range(12), key=lambda plan: (bad[0, plan], cost[0, plan], plan))]
        assert set(chosen[0, number]) == set(kept), level


def test_a_stricter_level_never_asks_for_less():
    """The envelope: where a laxer level's plans happen to be larger, they are taken."""
    plans = np.array([[[5, 1], [2, 9]]])
    chosen = np.zeros((1, len(LEVELS), 3), dtype=np.int64)
    chosen[0, 3:] = 1
    got = by_level(plans, chosen)[0]
    assert got[0].tolist() == [5, 9]
    assert got[-1].tolist() == [2, 9]
    assert (np.diff(got, axis=0) <= 0).all()


def test_levels_are_interpolated_in_the_log_of_violation():
    """At a level its own capacity; half way in the logarithm the mean of its neighbours."""
    envelope = np.linspace(32, 2, len(LEVELS))[None]
    assert between(envelope, np.array([0.01]))[0] == pytest.approx(envelope[0, 9])
    middle = np.sqrt(0.01 * 0.013)
    assert between(envelope, np.array([middle]))[0] == pytest.approx(envelope[0, 9:11].mean())


def test_the_bank_steers_between_half_and_twice_what_was_asked():
    """Unused violations raise the level, violations lower it, a step that was not seen does neither."""
    bank = Bank(terms(0.01, 3), 300)
    violated, seen = np.array([True, False, False]), np.array([True, True, False])
    for _ in range(2000):
        bank.note(violated & seen, seen)
    assert bank.level()[0] == pytest.approx(0.005)
    assert 0.01 < bank.level()[1] < 0.02
    assert bank.level()[2] == 0.01
    assert (Bank(terms(0.001, 3), 300).level() == 0.001).all()


def test_every_plan_has_a_name():
    """The names are those of the ledger's columns: no two alike, each with its knob."""
    assert len(set(plan_names())) == len(plan_names())


@pytest.mark.slow
@pytest.mark.parametrize("name", odd_loads())
def test_odd_loads_give_sane_capacity(name):
    """F05, F09, F15, F16, F25: enough for what is there, never a multiple of the trailing week's peak."""
    portfolio = scalers.load("portfolio")
    y = odd_loads()[name] / 10
    settings = portfolio.Settings(step_s=1800, lead_steps=1)
    got = portfolio.targets(y[None], None, settings, None)[0][0]
    last = slice(-48, None)
    assert got.min() >= 1
    assert got[last].max() <= 4 * np.nanmax(y[-8 * 48 :])
    assert np.median(got[last]) >= 0.9 * np.nanmedian(y[last])
