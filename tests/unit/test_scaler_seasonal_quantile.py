"""The seasonal quantile, by hand and against a slow second writing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.scalers import seasonal_quantile as quantile

NAN = math.nan
LEVELS = (0.5, 0.9, 0.99)


def run(demand, ahead=None, **settings):
    settings = quantile.Settings(levels=LEVELS, **settings)
    ahead = None if ahead is None else np.array([ahead], dtype=float)
    got, _ = quantile.targets(np.array([demand], dtype=float), ahead, settings, None)
    return got[0].tolist()


def issued(*steps):
    """Quantiles at .5, .9 and .99 for each step ahead: q, q + 1, q + 2."""
    return [[q, q + 1, q + 2] for q in steps]


def test_the_largest_quantile_until_new_units_serve():
    """Over this step and the lead steps after it, and not beyond."""
    ahead = [issued(1, 2, 3, 50)] * 2
    assert run([0, 0], ahead, lead_steps=1, level=0.5) == [2, 2]
    assert run([0, 0], ahead, lead_steps=2, level=0.5) == [3, 3]
    assert run([0, 0], ahead, lead_steps=3, level=0.5) == [50, 50]
    assert run([0, 0], ahead, lead_steps=9, level=0.5) == [50, 50]


@pytest.mark.parametrize(
    ("level", "size"), [(0.1, 5), (0.5, 5), (0.51, 6), (0.9, 6), (0.95, 7), (0.99, 7), (0.999, 7)]
)
def test_the_next_level_upwards_is_taken(level, size):
    """A level between two is rounded to the safer one; above the highest, the highest."""
    assert run([0], [issued(5, 5)], level=level) == [size]


def test_a_level_computed_from_a_violation_finds_its_column():
    """1 - 0.1 is 0.9, though 1 - 0.1 is not 0.9 in binary for every such pair."""
    for violation, size in ((0.5, 5), (0.1, 6), (0.01, 7)):
        assert run([0], [issued(5, 5)], **quantile.steer(violation)) == [size]


def test_live_demand_is_a_floor_that_a_gap_does_not_lift():
    """Never below the newest demand; a missing point leaves it where it was."""
    ahead = [issued(2, 2)] * 5
    assert run([9, NAN, NAN, 1, 1], ahead, level=0.5) == [2, 9, 9, 9, 2]
    assert run([9.5, 3]) == [1, 10]


def test_headroom_multiplies_the_forecast_and_not_the_demand():
    """Headroom of 1.5 on a quantile of 5 is 8 units; on live demand of 10 it is nothing."""
    assert run([10, 10], [issued(5, 5)] * 2, level=0.5, headroom=1.5) == [8, 10]


def test_levels_that_do_not_fit_are_refused():
    """Quantiles without their probabilities are an error, not a guess."""
    with pytest.raises(ValueError, match="ahead has 2 levels"):
        run([1], [[[1, 2]]])


@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([0.5, 0.8, 0.9, 0.999]))
def test_it_is_the_documented_rule(seed, lead, level):
    """On any demand and quantiles the targets are those of the slow second writing."""
    chance = np.random.default_rng(seed)
    steps = int(chance.integers(1, 20))
    demand = np.round(chance.gamma(2, 5, steps), 2)
    demand[chance.random(steps) < 0.3] = NAN
    ahead = np.sort(chance.gamma(2, 5, (steps, 4, 3)), axis=2)
    ahead[chance.random(steps) < 0.2] = NAN
    column = next((i for i, one in enumerate(LEVELS) if one >= level), 2)
    expected = []
    for t in range(steps):
        seen = [y for y in demand[:t] if not math.isnan(y)]
        reach = [row[column] for row in ahead[t][: lead + 1] if not math.isnan(row[column])]
        expected.append(max(1, math.ceil(max([*seen[-1:], *reach, 0]))))
    assert run(demand, ahead, lead_steps=lead, level=level) == expected
