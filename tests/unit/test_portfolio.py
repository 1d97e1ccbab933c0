"""The portfolio's parts against slow second writings, and the whole on loads that break autoscalers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.ledger import Ledger
from policies.portfolio import (
    LEVELS,
    STEER,
    STRICT,
    Bank,
    between,
    by_level,
    choose,
    plan_names,
    terms,
)
from tests.laws.test_lead_peak import odd_loads


@given(st.integers(0, 2**32))
def test_the_ledger_holds_its_window_and_the_open_block(seed):
    """Totals are the sums over each series' whole blocks and what came since, within half a thousandth of the
    dearest plan of each block, however much dearer a block is than another.
    """
    chance = np.random.default_rng(seed)
    hours, windows = int(chance.integers(1, 60)), (4, 2)
    ledger = Ledger(2, 5, block_steps=3, blocks=np.array(windows))
    cost = chance.integers(0, 300, (hours, 2, 5)) * 10.0 ** chance.integers(-3, 9, (hours, 1, 1))
    cost[chance.random(hours) < 0.2] = 0.0
    bad = chance.integers(0, 2, (hours, 2, 5)).astype(float)
    for hour in range(hours):
        ledger.add(cost[hour], bad[hour], np.ones(2), length=1)
    whole = hours // 3
    got = ledger.totals()
    for row, window in enumerate(windows):
        first = max(0, whole - window) * 3
        held = cost[first:, row]
        room = 5e-4 * held.max(axis=1, initial=0.0).sum() + 1e-9
        assert np.allclose(got[0][row], held.sum(axis=0), rtol=0.0, atol=room)
        assert np.array_equal(got[1][row], bad[first:, row].sum(axis=0))
        assert got[2][row] == hours - first
        recent = cost[(whole - min(2, whole)) * 3 :, row]
        room = 5e-4 * recent.max(axis=1, initial=0.0).sum() + 1e-9
        assert np.allclose(ledger.recent_cost(2)[row], recent.sum(axis=0), rtol=0.0, atol=room)


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


@given(st.integers(0, 2**32), st.sampled_from([0.001, 0.01, 0.05]))
def test_the_bank_is_full_at_the_level_it_may_steer_to(seed, asked):
    """After any past the level is within STEER; a full or overdrawn bank comes back within months."""
    chance = np.random.default_rng(seed)
    bank = Bank(terms(asked, 1), 3600)
    calm = chance.random() < 0.5
    for _ in range(24 * 60):
        bank.note(np.array([not calm]), np.array([True]))
    edge = bank.level()[0] / asked
    assert edge == pytest.approx((STEER[1] if calm else STEER[0]) if asked >= STRICT else 1.0)
    for _ in range(24 * 120):
        bank.note(np.array([chance.random() < bank.level()[0]]), np.array([True]))
    assert abs(bank.level()[0] / asked - 1.0) <= 0.7 * abs(edge - 1.0) + 0.35


def daily(days: int, step_s: int, seed: int = 0) -> np.ndarray:
    """Some 300 units with a day's wave and noise, float64 [steps]."""
    t = np.arange(days * 86400 // step_s)
    noise = np.random.default_rng(seed).normal(0, 8, t.size)
    return 300 + 100 * np.sin(2 * np.pi * t * step_s / 86400) + noise


@pytest.mark.slow
def test_each_series_is_steered_by_its_own_violation():
    """Series that ask for 1 % and for 0.1 % in one call are sized as each would be alone."""
    y = np.stack([daily(20, 1800), daily(20, 1800, seed=1)])
    scaler = scalers.load("portfolio")

    def run(rows, violation):
        settings = scaler.Settings(step_s=1800, lead_steps=1, minimum=1, violation=violation)
        return scaler.targets(y[rows], None, settings, None)[0]

    both = run([0, 1], np.array([0.01, 0.001]))
    assert np.array_equal(both[:1], run([0], np.array([0.01])))
    assert np.array_equal(both[1:], run([1], np.array([0.001])))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("until_h", "value"), [(3, 0.0), (3, np.nan), (24, np.nan), (24, 1.0), (72, np.nan)], ids=str
)
def test_a_beginning_without_load_does_not_blind_it(until_h, value):
    """Idle or absent first hours: two weeks later it costs what it costs without them, within 12 %."""
    y = np.stack([daily(21, 600)] * 2)
    y[1, : until_h * 6] = value
    scaler = scalers.load("portfolio")
    targets, _ = scaler.targets(y, None, scaler.Settings(step_s=600, lead_steps=1, minimum=1), None)
    plain, odd = targets[:, 17 * 144 :].mean(axis=1)
    assert odd <= 1.12 * plain
