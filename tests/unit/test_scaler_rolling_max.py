"""The rolling maximum, by hand and against a slow second writing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import rolling_max

NAN = math.nan


def run(demand, *, start=None, **settings):
    settings = rolling_max.Settings(**{"margin": 1.0} | settings)
    state = None if start is None else rolling_max.begin(np.array([float(start)]), settings)
    return rolling_max.targets(np.array([demand], dtype=float), None, settings, state)[0][0].tolist()


def test_a_peak_holds_for_the_window_and_not_a_step_longer():
    """A peak asks for its units in the next step, and for three steps of a window of three."""
    assert run([1, 9, 1, 1, 1, 1, 1], step_s=60, window_s=180) == [1, 1, 9, 9, 9, 1, 1]


def test_the_margin_multiplies_and_the_result_is_rounded_up():
    """10 units of demand with a quarter more are 12.5, so 13."""
    assert run([10, 10], margin=1.25) == [1, 13]


@pytest.mark.parametrize(("step_s", "steps"), [(60, 15), (300, 3), (600, 2), (900, 1), (3600, 1)])
def test_the_window_is_fifteen_minutes_in_whole_steps_and_at_least_one(step_s, steps):
    """15 minutes on every grid; where a step is longer, the newest value alone."""
    assert rolling_max.Settings(step_s=step_s).window == steps


def test_a_missing_point_is_not_counted_and_an_empty_window_changes_nothing():
    """What is still in the window decides; when it is empty the last size stays, also the one running."""
    assert run([5, 9, NAN, NAN, NAN, 3], step_s=60, window_s=120) == [1, 5, 9, 9, 9, 9]
    assert run([NAN, NAN, 0, 0], start=7, step_s=60, window_s=60) == [7, 7, 7, 1]


def test_live_an_empty_window_keeps_the_size_that_runs():
    """Live, the size that stays is the one that runs, not one that would have been asked for earlier."""
    settings = rolling_max.Settings(step_s=60, window_s=60)
    state = rolling_max.begin(np.array([20.0]), settings)
    demand = np.array([[3.0, 3.0, NAN, NAN]])
    assert scalers.decide(rolling_max, demand, None, settings, state).tolist() == [20]
    assert scalers.decide(rolling_max, demand[:, :2], None, settings, state).tolist() == [4]


@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from([0.5, 1.0, 1.5]))
def test_it_is_the_documented_rule(seed, window, margin):
    """On any demand the targets are those of the slow second writing."""
    chance = np.random.default_rng(seed)
    demand = np.round(chance.gamma(2, 5, int(chance.integers(1, 40))), 2)
    demand[chance.random(len(demand)) < 0.4] = NAN
    size, expected = 1, []
    for t in range(len(demand)):
        seen = [y for y in demand[max(0, t - window) : t] if not math.isnan(y)]
        size = max(1, math.ceil(margin * max(seen))) if seen else size
        expected.append(size)
    assert run(demand, step_s=60, window_s=60 * window, margin=margin) == expected
