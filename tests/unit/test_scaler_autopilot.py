"""Autopilot's moving window, by hand and against a slow second writing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import autopilot

NAN = math.nan


def run(demand, *, start=None, **settings):
    settings = autopilot.Settings(**{"step_s": 300, "margin": 1.0, "hold_s": 0} | settings)
    state = None if start is None else autopilot.begin(np.array([float(start)]), settings)
    return autopilot.targets(np.array([demand], dtype=float), None, settings, state)[0][0].tolist()


def end_of_bucket(value):
    """The upper end of the bucket of 5 % that holds a value; zero has its own."""
    end = 0.01
    while value > end * (1 + 1e-12):
        end *= 1.05
    return end if value else 0.0


def test_a_percentile_is_the_upper_end_of_its_bucket():
    """Of a constant: at most 5 % above it, and no less than it."""
    for load in (0.02, 3.3, 10.0, 47.0, 1000.0):
        got = run([load] * 3, margin=100.0)[-1]
        assert got == math.ceil(100 * end_of_bucket(load))
        assert load <= got / 100 <= load * 1.05 + 0.01


@pytest.mark.parametrize(("spikes", "followed"), [(3, True), (1, False)])
def test_the_98th_percentile_leaves_out_what_is_rarer_than_one_in_fifty(spikes, followed):
    """Of 100 samples of nearly the same weight 3 spikes are followed, and one is not."""
    demand = [*[10.0] * (100 - spikes), *[100.0] * spikes, 10.0]
    got = run(demand, half_life_s=604800, step_s=60)
    assert (got[-1] >= 100) is followed
    assert got[50] == math.ceil(end_of_bucket(10.0))


def test_a_sample_counts_half_after_a_half_life():
    """Two hours of 20, then of 5, at a half-life of an hour: after t hours of 5 the share of 20 is known."""
    demand = [20.0] * 120 + [5.0] * 600
    got = run(demand, step_s=60, half_life_s=3600, percentile=90.0)
    # The 120 minutes of 20 weigh 1 - 2^-2 = .75 of all time; minutes of 5 weigh 1 - 2^-t. The share of 20 is
    # .75 x 2^-t / (1 - 2^-(t + 2)), which is .1 at t = log2(7.75) = 2.954 hours.
    high = [t for t, size in enumerate(got) if size > 6]
    assert high[-1] == 120 + math.floor(60 * math.log2(7.75))


def test_the_peak_of_the_window_is_the_hundredth_percentile():
    """A peak holds for the window, exactly as it was, and no longer."""
    assert run([1, 9, 1, 1, 1, 1], percentile=100.0, window_s=900) == [1, 1, 9, 9, 9, 1]


def test_the_largest_recommendation_of_the_last_hour_holds():
    """With steps of 20 minutes the present and the two before."""
    got = run([1, 9, 1, 1, 1, 1, 1], percentile=100.0, window_s=1200, step_s=1200, hold_s=3600)
    assert got == [1, 1, 9, 9, 9, 1, 1]


def test_the_margin_is_added_and_rounded_up():
    """A tenth more than 15 units is 16.5, so 17."""
    assert run([15, 15], percentile=100.0, margin=1.1) == [1, 17]


def test_a_missing_sample_is_not_counted_and_changes_nothing():
    """In the gap the size stays; what was seen before keeps its share afterwards."""
    assert run([9, NAN, NAN, 1, 1], percentile=100.0, window_s=600, start=4) == [4, 9, 9, 9, 1]
    assert run([NAN, NAN, NAN], start=4) == [4, 4, 4]
    settings = {"half_life_s": 3600, "percentile": 90.0}
    assert run([10.0] * 50 + [NAN] * 20 + [10.0] * 2, **settings)[49:] == [11] * 23


def test_zero_is_a_sample():
    """No load asks for nothing, at any weighing."""
    for adjusted in (0, 1):
        assert run([0.0] * 4, start=5, minimum=0, load_adjusted=adjusted) == [5, 0, 0, 0]


def test_load_adjusted_a_sample_counts_by_its_value():
    """One sample of 100 among 40 of 10 is 2.4 % of the samples and a fifth of the load."""
    demand = [*[10.0] * 40, 100.0, 10.0]
    settings = {"half_life_s": 604800, "step_s": 60, "percentile": 90.0}
    assert run(demand, **settings)[-1] < 11.5
    assert run(demand, **settings, load_adjusted=1)[-1] >= 100


def slowly(demand, *, percentile, half_life, adjusted, held):
    """The same rule from the paper, with every sample weighed anew at every step; `half_life` in steps."""
    size, out, asked = 1, [], {}
    for t in range(len(demand)):
        if t and not math.isnan(demand[t - 1]):
            mass: dict[float, float] = {}
            for at, y in enumerate(demand[:t]):
                if not math.isnan(y):
                    end = end_of_bucket(y)
                    weight = 0.5 ** ((t - at) / half_life) * (max(end, 0.01) if adjusted else 1.0)
                    mass[end] = mass.get(end, 0.0) + weight
            below = 0.0
            for end in sorted(mass):
                below += mass[end]
                if below >= percentile / 100 * sum(mass.values()):
                    asked[t] = end
                    break
            size = max(1, math.ceil(max(asked[s] for s in range(t - held + 1, t + 1) if s in asked) - 1e-9))
        out.append(size)
    return out


@given(
    st.integers(0, 2**32),
    st.sampled_from([97.9, 81.7, 63.1]),
    st.sampled_from([1, 7, 30]),
    st.integers(0, 1),
    st.integers(1, 4),
)
def test_it_is_the_documented_window(seed, percentile, half_life, adjusted, held):
    """On any demand, with gaps and over the scaling of the weights, the slow second writing's targets."""
    chance = np.random.default_rng(seed)
    demand = np.round(chance.gamma(2, 20, int(chance.integers(1, 150))), 2)
    demand[chance.random(len(demand)) < chance.choice([0, 0.3, 0.7])] = NAN
    demand[chance.random(len(demand)) < 0.1] = 0.0
    got = run(
        demand,
        percentile=percentile,
        half_life_s=300 * half_life,
        load_adjusted=adjusted,
        hold_s=300 * held,
    )
    expected = slowly(
        demand.tolist(), percentile=percentile, half_life=half_life, adjusted=adjusted, held=held
    )
    assert got == expected


@given(st.integers(0, 2**32), st.integers(1, 2999))
def test_two_halves_are_the_whole_across_blocks_and_scaled_weights(seed, cut):
    """At a half-life of 5 steps: blocks of 1,024 and weights scaled down every 320 steps do not show."""
    chance = np.random.default_rng(seed)
    demand = chance.gamma(2, 20, (2, 3000))
    settings = autopilot.Settings(step_s=60, half_life_s=300)
    whole, _ = autopilot.targets(demand, None, settings, None)
    one, state = autopilot.targets(demand[:, :cut], None, settings, None)
    two, _ = autopilot.targets(demand[:, cut:], None, settings, state)
    assert np.array_equal(np.concatenate([one, two], axis=1), whole)


def test_live_the_size_that_stays_is_the_one_that_runs():
    """Live: a percentile of what was seen; without a newest sample the running size."""
    settings = autopilot.Settings(step_s=300)
    state = autopilot.begin(np.array([50.0]), settings)
    assert scalers.decide(autopilot, np.full((1, 20), 10.0), None, settings, state).tolist() == [12]
    assert scalers.decide(autopilot, np.array([[10.0, NAN]]), None, settings, state).tolist() == [50]
