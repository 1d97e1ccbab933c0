"""The linear model of PHPA, by hand and against a slow second writing in fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import linear

NAN = math.nan


def run(demand, *, start=None, **settings):
    settings = linear.Settings(**{"step_s": 60, "stabilization_s": 0} | settings)
    state = None if start is None else linear.begin(np.array([float(start)]), settings)
    return linear.targets(np.array([demand], dtype=float), None, settings, state)[0][0].tolist()


@pytest.mark.parametrize("lead", [1, 3, 10])
def test_a_line_is_continued_to_where_the_units_begin_to_serve(lead):
    """2, 4, 6, ... and the decision at step t: the line's value at t + lead. One value has no line."""
    demand = [2.0 * t for t in range(1, 12)]
    expected = [1, 2, *(2 * (t + 1 + lead) for t in range(2, 11))]
    assert run(demand, lead_steps=lead) == expected


def test_a_falling_line_is_not_followed_below_the_newest_value():
    """The decision is the maximum of model and newest value: a fall is followed and never foreseen."""
    assert run([10, 8, 6, 4, 2, 0], minimum=0) == [0, 10, 8, 6, 4, 2]


def test_a_constant_asks_for_itself_and_for_no_rounding():
    """Of a constant 7 at uneven times the line is 7, never 8."""
    assert run([7, NAN, 7, 7, NAN, NAN, 7, 7, 7], lead_steps=5) == [1, *[7] * 8]


def test_a_line_through_three_by_hand():
    """Through 1, 2, 6 at times 0, 1, 2: mean 3, slope 5/2; two steps after the last 3 + 3 x 5/2 = 10.5."""
    assert run([1, 2, 6, 6], lead_steps=1)[3] == 11
    assert run([1, 2, 6, 6], lead_steps=1, margin=2.0)[3] == 21


def test_only_the_last_values_count():
    """Of 100, 0, 0 with two values stored the line is through 0, 0."""
    assert run([100, 0, 0, 0], stored_values=2, minimum=0)[2:] == [0, 0]
    assert run([0, 0, 100, 0], stored_values=2, minimum=0)[3] == 300


def test_a_missing_value_is_not_stored_and_changes_nothing():
    """While it is missing the size stays; then the line goes through what there was, at its times."""
    # 2 at step 0, 6 at step 4: one a step. Decided at 5 for step 6: 8.
    assert run([2, NAN, NAN, NAN, 6, 6], start=5) == [5, 2, 2, 2, 2, 8]


def test_scale_in_takes_the_largest_of_the_last_300_s():
    """As the source's downscale stabilization: what was asked for exactly 300 s ago still holds, then not."""
    demand = [20.0, 20.0, *[5.0] * 12]
    got = run(demand, step_s=60, stabilization_s=300, stored_values=2)
    assert got == [1, *[20] * 7, *[5] * 6]
    assert run(demand, step_s=600, stabilization_s=300, stored_values=2) == [1, 20, 20, *[5] * 11]


def slowly(demand, *, lead, stored, margin=1, held=0):
    """The same model from its documentation, one decision at a time, in fractions."""
    size, out, asked = 1, [], {}
    history: list[tuple[int, Fraction]] = []
    for t in range(len(demand)):
        if t and not math.isnan(demand[t - 1]):
            history = [*history, (t - 1, Fraction(demand[t - 1]))][-stored:]
            need = history[-1][1]
            if len(history) > 1:
                x = [t + lead - at for at, _ in history]  # the source's: seconds until the time looked at
                mean_x, mean_y = Fraction(sum(x), len(x)), sum(y for _, y in history) / len(x)
                slope = sum((a - mean_x) * y for a, (_, y) in zip(x, history, strict=True)) / sum(
                    (a - mean_x) ** 2 for a in x
                )
                need = max(need, mean_y - slope * mean_x)
            asked[t] = need
            size = max(1, math.ceil(margin * max(asked[s] for s in range(t - held, t + 1) if s in asked)))
        out.append(size)
    return out


@given(
    st.integers(0, 2**32),
    st.integers(1, 9),
    st.integers(2, 8),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(0, 3),
)
def test_it_is_the_documented_model(seed, lead, stored, margin, held):
    """On any demand, with gaps, the targets are those of the slow second writing."""
    chance = np.random.default_rng(seed)
    demand = np.round(4 * chance.gamma(2, 5, int(chance.integers(1, 40)))) / 4
    demand[chance.random(len(demand)) < chance.choice([0, 0.3, 0.7])] = NAN
    expected = slowly(demand.tolist(), lead=lead, stored=stored, margin=Fraction(margin), held=held)
    got = run(demand, lead_steps=lead, stored_values=stored, margin=margin, stabilization_s=60 * held)
    assert got == expected


def test_live_the_values_of_the_past_are_stored_and_the_size_is_the_running_one():
    """Live: a line through what was seen; without a newest value the running size."""
    settings = linear.Settings(step_s=60, stabilization_s=0)
    state = linear.begin(np.array([50.0]), settings)
    rising = np.array([[1.0, 2.0, 3.0]])
    assert scalers.decide(linear, rising, None, settings, state).tolist() == [5]
    gone = np.array([[1.0, 2.0, NAN]])
    assert scalers.decide(linear, gone, None, settings, state).tolist() == [50]
