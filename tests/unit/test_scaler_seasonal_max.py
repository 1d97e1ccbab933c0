"""The seasonal maximum, by hand and against a slow second writing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import seasonal_max

NAN = math.nan


def run(demand, **settings):
    settings = seasonal_max.Settings(**{"margin": 1.0, "step_s": 60, "window_s": 60} | settings)
    return seasonal_max.targets(np.array([demand], dtype=float), None, settings, None)[0][0].tolist()


def test_a_peak_is_asked_for_again_a_season_later_and_a_lead_time_before():
    """A peak at step 2 asks for units at 3 (seen), and with a season of 10 from 12 - lead to 12."""
    demand = [1, 1, 9, *[1] * 12]
    later = [3, 11, 12]
    assert [t for t, size in enumerate(run(demand, season_s=600, lead_steps=1)) if size == 9] == later
    later = [3, 9, 10, 11, 12]
    assert [t for t, size in enumerate(run(demand, season_s=600, lead_steps=3)) if size == 9] == later


def test_today_above_yesterday_is_followed_at_once():
    """The rolling maximum is a floor: growth that yesterday did not have is not missed."""
    assert run([1, 1, 1, 5, 6, 7], season_s=180) == [1, 1, 1, 1, 5, 6]


def test_the_margin_multiplies_both():
    """Yesterday's 8 with half as much again is 12; so is today's."""
    assert run([8, 0, 0, 0, 8, 0], season_s=180, margin=1.5, minimum=0) == [0, 12, 12, 12, 0, 12]


def test_a_missing_point_is_not_counted():
    """Yesterday decides where today is missing; where both are, the size stays."""
    assert run([4, 7, 2, NAN, NAN, NAN, NAN, NAN], season_s=180) == [1, 4, 7, 7, 7, 2, 2, 2]


@pytest.mark.parametrize("season_s", [86400, 604800])
def test_live_the_lookback_reaches_a_season_back(season_s):
    """What a live call is told holds yesterday, and last week, at any step."""
    for step_s in (60, 300, 3600):
        settings = seasonal_max.Settings(step_s=step_s, margin=1.0, season_s=season_s)
        demand = np.ones((1, seasonal_max.LOOKBACK_S // step_s))
        demand[0, -settings.season + 1] = 30.0
        state = seasonal_max.begin(np.array([1.0]), settings)
        assert scalers.decide(seasonal_max, demand, None, settings, state).tolist() == [30]


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 9), st.integers(1, 6))
def test_it_is_the_documented_rule(seed, season, window, lead):
    """On any demand the targets are those of the slow second writing, also with a season within the lead."""
    chance = np.random.default_rng(seed)
    demand = np.round(chance.gamma(2, 5, int(chance.integers(1, 50))), 2)
    demand[chance.random(len(demand)) < 0.4] = NAN
    size, expected = 1, []
    for t in range(len(demand)):
        past = {*range(t - season, min(t - season + lead + 1, t)), *range(t - window, t)}
        seen = [demand[at] for at in past if at >= 0 and not math.isnan(demand[at])]
        size = max(1, math.ceil(max(seen))) if seen else size
        expected.append(size)
    assert run(demand, season_s=60 * season, window_s=60 * window, lead_steps=lead) == expected
