"""The plant by hand: tiny histories whose every figure can be worked out on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policies.policy import Step
from policies.replay import Plant, actions, clairvoyant, obey, paid, ready, scores, waiting

NAN = math.nan
MINUTE = Plant(step_s=60, lead_s=60)


def row(values):
    return np.array([values], dtype=np.int64)


def demand(*values):
    return np.array([values], dtype=float)


def one(load, targets, plant, warmup_steps=0):
    return scores(demand(*load), row(targets), plant, warmup_steps=warmup_steps)[0]


@pytest.mark.parametrize(
    ("lead_s", "steps"), [(0, 1), (1, 1), (59, 1), (60, 1), (61, 2), (120, 2), (300, 5), (301, 6)]
)
def test_a_lead_time_is_whole_steps_rounded_up_and_at_least_one(lead_s, steps):
    """L = max(1, ceil(lead / step))."""
    assert Plant(step_s=60, lead_s=lead_s).lead_steps == steps


def test_a_unit_serves_once_it_was_asked_for_over_the_lead_time():
    """ready[t] = min(T[t-L..t]); a dip begins the wait anew; scaling in is immediate."""
    two = Plant(step_s=60, lead_s=120)
    assert ready(row([1, 3, 3, 3, 2, 5, 5, 5]), two).tolist() == [[1, 1, 1, 3, 2, 2, 2, 5]]
    assert ready(row([1, 3, 2, 3]), MINUTE).tolist() == [[1, 1, 2, 2]]
    assert ready(row([4, 4]), Plant(step_s=60, lead_s=6000)).tolist() == [[4, 4]]


def test_cost_violation_and_unserved_skip_missing_steps():
    """Half-hour steps: 3 of 4 are there, 6 units are paid, one step is short by 2 of 7."""
    got = one([1, 2, NAN, 4], [2, 2, 9, 2], Plant(step_s=1800, lead_s=1800))
    assert (got.steps, got.cost) == (3, 3.0)
    assert got.violation == pytest.approx(1 / 3)
    assert got.unserved == pytest.approx(2 / 7)
    assert got.clairvoyant == 4.0  # 2, 2 and 4 units: the missing step itself is not paid


def test_demand_that_is_just_served_is_no_violation():
    """Demand equal to what serves is served."""
    assert one([2, 2, 2.001], [2, 2, 2], MINUTE).violation == pytest.approx(1 / 3)


def test_only_what_follows_the_warm_up_is_scored_and_the_lead_time_reaches_back_into_it():
    """Units asked for in the warm-up serve at its end."""
    got = one([9, 9, 2, 2], [1, 2, 2, 2], Plant(step_s=3600, lead_s=3600), warmup_steps=2)
    assert (got.steps, got.cost, got.violation) == (2, 4.0, 0.0)
    late = one([9, 9, 2, 2], [1, 1, 2, 2], Plant(step_s=3600, lead_s=3600), warmup_steps=2)
    assert late.violation == 0.5


def test_the_clairvoyant_has_what_the_lead_time_will_need():
    """ceil(max(y[t..t+L])), at least the minimum; it cannot look beyond the end."""
    two = Plant(step_s=60, lead_s=120)
    assert clairvoyant(demand(0, 0.5, 7.2, NAN, 1, 1), two).tolist() == [[8, 8, 8, 1, 1, 1]]
    assert clairvoyant(demand(0, 9), Plant(step_s=60, lead_s=60, minimum=3)).tolist() == [[9, 9]]
    assert clairvoyant(demand(0, 0), Plant(step_s=60, lead_s=60, minimum=3)).tolist() == [[3, 3]]


def test_nothing_to_score_is_nothing_and_no_division():
    """Only missing steps, or no demand at all."""
    blank = one([NAN, NAN], [1, 1], MINUTE)
    assert (blank.steps, blank.cost, blank.violation, blank.unserved) == (0, 0.0, 0.0, 0.0)
    assert one([0, 0], [1, 1], MINUTE).unserved == 0.0


def test_actions_and_reversals_a_day():
    """Six half-hours: 3 changes, the 2 that turn within an hour are reversals; 8 such spans a day."""
    targets = np.array([1, 2, 2, 1, 1, 3])
    assert actions(targets, 1800, warmup_steps=0) == (24.0, 16.0)
    assert actions(targets, 1801, warmup_steps=0)[1] == 0.0  # an hour and two seconds
    assert actions(np.array([1, 2, 3, 2, 2]), 17280, warmup_steps=0)[0] == 3.0
    assert actions(np.array([1, 2, 3, 4]), 1800, warmup_steps=0)[1] == 0.0  # growth after growth


def test_actions_of_the_warm_up_do_not_count_but_its_last_size_does():
    """The first scored step is an action where it differs from the step before it."""
    targets = np.array([5, 1, 2, 2])
    assert actions(targets, 43200, warmup_steps=2) == (1.0, 0.0)
    assert actions(targets, 43200, warmup_steps=3) == (0.0, 0.0)
    # A scored change that turns one of the warm-up is no reversal: that one is not scored.
    assert actions(np.array([1, 2, 1, 1]), 1800, warmup_steps=2)[1] == 0.0


@pytest.mark.parametrize(
    ("delay_s", "expected"),
    [
        (0, [5, 5, 2, 2, 2, 6]),
        (60, [5, 5, 5, 2, 2, 6]),
        (120, [5, 5, 5, 5, 2, 6]),
        (90, [5, 5, 5, 5, 2, 6]),  # asked for 60 s is not yet 90
        (1, [5, 5, 5, 2, 2, 6]),
    ],
)
def test_a_smaller_target_counts_once_it_was_asked_so_long(delay_s, expected):
    """Scale-in delay; growth does not wait."""
    plant = Plant(step_s=60, lead_s=60, scale_in_delay_s=delay_s)
    assert obey(row([5, 5, 2, 2, 2, 6]), plant).tolist() == [expected]


def test_a_change_is_one_step_at_most():
    """The larger of units and share, each way."""
    in_ = Plant(step_s=60, lead_s=60, step_in=Step(units=1, share=0.5))
    assert obey(row([9, 1, 1, 1, 1]), in_).tolist() == [[9, 5, 3, 2, 1]]
    out = Plant(step_s=60, lead_s=60, step_out=Step(units=2, share=0.5))
    assert obey(row([1, 10, 10, 10, 10, 10]), out).tolist() == [[1, 3, 5, 7, 10, 10]]


def test_no_scale_in_so_soon_after_any_change():
    """Cool-down of two steps: held one step after the growth, done at the second; growth is not held."""
    plant = Plant(step_s=60, lead_s=60, cool_down_in_s=120)
    assert obey(row([5, 6, 3, 3, 2, 2, 2]), plant).tolist() == [[5, 6, 6, 3, 3, 2, 2]]
    assert obey(row([5, 6, 7, 8]), plant).tolist() == [[5, 6, 7, 8]]
    assert obey(row([5, 4, 3]), Plant(step_s=60, lead_s=60, cool_down_in_s=61)).tolist() == [[5, 4, 4]]


def test_what_ends_before_its_billing_minimum_is_paid_to_it():
    """Two half-hours at least: units of one half-hour are paid twice, older ones end first."""
    hour = Plant(step_s=1800, lead_s=0, billing_minimum_s=3600)
    assert paid(row([2, 0, 0, 3, 1, 1]), hour).tolist() == [[2, 2, 0, 3, 3, 1]]
    assert paid(row([1, 1, 2, 1, 1]), hour).tolist() == [[1, 1, 2, 1, 1]]  # the old one went
    assert paid(row([1, 2, 1, 2]), Plant(step_s=1800, lead_s=0, billing_minimum_s=1800)).tolist() == [
        [1, 2, 1, 2]
    ]
    assert one([0, 0, 0, 0, 0, 0], [2, 0, 0, 3, 1, 1], hour).cost == 5.5


def test_backlog_waits_and_is_added():
    """What was not served comes again; a missing step neither adds nor serves."""
    assert waiting(demand(2, 2, NAN, 0, 0), row([1, 1, 1, 1, 1])).tolist()[0][:2] == [2, 3]
    got = waiting(demand(2, 2, NAN, 0, 0), row([1, 1, 1, 1, 1]))[0]
    assert np.isnan(got[2])
    assert got[3:].tolist() == [2, 1]
    with_it = one([2, 2, 0, 0], [1, 1, 1, 1], Plant(step_s=60, lead_s=60, backlog=True))
    assert with_it.violation == 0.75
    assert one([2, 2, 0, 0], [1, 1, 1, 1], MINUTE).violation == 0.5


def test_jitter_is_drawn_from_its_seed():
    """The same seed gives the same lead times, another seed others."""
    targets = row(np.arange(1, 60))
    plants = [Plant(step_s=60, lead_s=290, lead_jitter=0.8, seed=seed) for seed in (1, 1, 2)]
    first, same, other = (ready(targets, plant) for plant in plants)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
