"""The Horizontal Pod Autoscaler against its documentation, by hand and against a slow second writing."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import hpa

NAN = math.nan


def run(demand, *, start=None, **settings):
    """Targets of one series; `start` units run at the beginning."""
    settings = hpa.Settings(**settings)
    state = None if start is None else hpa.begin(np.array([float(start)]), settings)
    got, _ = hpa.targets(np.array([demand], dtype=float), None, settings, state)
    return got[0].tolist()


@pytest.mark.parametrize(
    ("demand", "size"), [(9.0, 10), (8.99, 9), (10.0, 10), (11.0, 10), (11.01, 12), (0.0, 1), (20.0, 20)]
)
def test_nothing_changes_within_a_tenth_of_the_target_both_ends_included(demand, size):
    """Tolerance: at 0.9 and at 1.1 of the target the size stays; beyond it is ceil(current x ratio)."""
    assert run([demand] * 2, start=10, step_s=3600)[1] == size


def test_target_is_the_share_of_a_unit_that_may_be_filled():
    """At a target of one half, 10 units of demand want 20."""
    assert run([10, 10], start=1, step_s=300, target=0.5) == [1, 20]


@pytest.mark.parametrize(
    ("step_s", "steps"), [(15, 20), (30, 10), (60, 5), (75, 4), (150, 2), (300, 1), (600, 1)]
)
def test_scale_in_waits_300_s(step_s, steps):
    """After demand fell, the recommendations of the last 300 s hold the size, and not a step longer."""
    before = 10
    demand = [20.0] * before + [5.0] * (steps + 3)
    got = run(demand, step_s=step_s, start=20)
    fell = before + 1  # the first target that may know of it
    assert got[fell : fell + steps - 1] == [20] * (steps - 1)
    assert got[fell + steps - 1 :] == [5] * (len(got) - fell - steps + 1)


def test_scale_in_takes_the_largest_recommendation_of_the_window():
    """Falling 20, 16, 12, 8 within 300 s: each is held until it is 300 s old."""
    demand = [20, 16, 12, 8, 8, 8, 8, 8, 8, 8]
    assert run(demand, step_s=60, start=20) == [20, 20, 20, 20, 20, 20, 16, 12, 8, 8]


def test_growth_is_4_pods_or_double_in_15_s():
    """From 1 to 100 tick by tick: 5, 10, 20, 40, 80, 100; within one minute 4 of these."""
    assert run([100] * 7, step_s=15, start=1) == [1, 5, 10, 20, 40, 80, 100]
    assert run([100] * 3, step_s=60, start=1) == [1, 40, 100]
    assert run([100] * 2, step_s=300, start=1) == [1, 100]
    assert run([7] * 3, step_s=15, start=1) == [1, 5, 7]


def test_growth_within_a_step_stops_inside_the_tolerance():
    """1 -> 5 -> 10 for a demand of 10.9: ten pods are within a tenth, so it ends there and not at 11."""
    assert run([10.9] * 2, step_s=300, start=1) == [1, 10]
    assert run([11.25] * 2, step_s=300, start=1) == [1, 12]


def test_a_missing_metric_changes_nothing_and_recommends_nothing():
    """While the metric is absent the size stays; it leaves no recommendation behind that would hold it."""
    assert run([20, 20, NAN, NAN, NAN, 40, 40], step_s=60, start=20) == [20, 20, 20, 20, 20, 20, 40]
    # The last 20 is 300 s old at the sixth target after it, the silence between counts for nothing.
    assert run([20, NAN, NAN, NAN, NAN, 5, 5, 5], step_s=60, start=20) == [20] * 6 + [5, 5]
    assert run([20, NAN, NAN, 5, 5, 5, 5], step_s=60, start=20) == [20] * 6 + [5]


def test_zero_is_a_metric_and_not_a_missing_one():
    """No load at all shrinks to the minimum, and never below one pod, where it would be switched off."""
    assert run([0, 0, 0], step_s=300, start=8, minimum=0) == [8, 1, 1]
    assert run([0, 0, 9], step_s=300, start=8, minimum=3) == [8, 3, 3]


def test_bounds_clamp():
    """Neither above the maximum nor below the minimum."""
    assert run([100, 100, 0, 0], step_s=300, start=5, minimum=4, maximum=50) == [5, 50, 50, 4]


def _ticks(t, step_s):
    """The evaluations that fall into step t: multiples of 15 s in (begin, end]."""
    return [s for s in range(t * step_s + 1, (t + 1) * step_s + 1) if s % 15 == 0]


def slowly(demand, step_s, *, target=1, minimum=1, maximum=10**9, window_s=300):
    """The same controller written from its documentation, in fractions, one evaluation at a time."""
    current = minimum
    remembered: list[tuple[int, int]] = []
    out = []
    for t in range(len(demand)):
        metric = demand[t - 1] if t else NAN
        for moment in _ticks(t, step_s):
            if math.isnan(metric):
                continue
            ratio = Fraction(metric) / (Fraction(target) * current)
            desired = current
            if not Fraction(9, 10) <= ratio <= Fraction(11, 10):
                desired = math.ceil(current * ratio)
            remembered = [(at, size) for at, size in remembered if at > moment - window_s]
            remembered.append((moment, desired))
            if desired < current:
                desired = min(current, max(size for _, size in remembered))
            desired = min(desired, max(current + 4, 2 * current))
            current = max(minimum, min(desired, maximum))
        out.append(current)
    return out


@st.composite
def traces(draw):
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = draw(st.integers(1, 40))
    level = chance.choice([3, 30, 200])
    trace = np.round(4 * level * np.repeat(chance.random(steps), chance.integers(1, 4))[:steps]) / 4
    trace[chance.random(steps) < chance.choice([0, 0.2])] = NAN
    return trace.tolist()


STEPS_S = (15, 30, 60, 75, 150, 300, 600, 3600)


@pytest.mark.parametrize("step_s", [*STEPS_S, 10, 20, 45, 100, 240, 420])
@given(traces(), st.sampled_from([1.0, 0.5, 0.25]), st.integers(1, 5), st.integers(5, 80))
def test_it_is_the_documented_controller(step_s, trace, target, minimum, maximum):
    """On any trace and step the targets are those of the slow second writing."""
    trace = trace[: max(3, 9000 // step_s)]
    expected = slowly(trace, step_s, target=target, minimum=minimum, maximum=maximum)
    assert run(trace, step_s=step_s, target=target, minimum=minimum, maximum=maximum) == expected


class TickByTick(hpa.Settings):
    """The same settings, computed one evaluation at a time."""

    whole_steps = False


@pytest.mark.parametrize("step_s", STEPS_S)
@given(traces(), st.integers(0, 12), st.sampled_from([300, 60, 900, 0]))
def test_a_step_at_once_is_its_ticks_one_by_one(step_s, trace, minimum, window_s):
    """The quick way and the way tick by tick give the same targets for every step that fits."""
    trace = trace[: max(3, 9000 // step_s)]
    given_ = {"step_s": step_s, "minimum": minimum, "stabilization_s": window_s}
    assert hpa.Settings(step_s=step_s).whole_steps
    demand = np.array([trace])
    quick, _ = hpa.targets(demand, None, hpa.Settings(**given_), None)
    slow, _ = hpa.targets(demand, None, TickByTick(**given_), None)
    assert np.array_equal(quick, slow)


def test_steps_that_do_not_fit_the_window_are_computed_tick_by_tick():
    """45 s does not divide 300 s, 20 s is no multiple of 15 s: these are not computed at once."""
    assert [hpa.Settings(step_s=s).whole_steps for s in (20, 45, 240, 10)] == [False] * 4


def test_long_histories_run_in_blocks_that_do_not_show():
    """Across the borders of the blocks of 256 steps the targets are those of the slow writing."""
    chance = np.random.default_rng(5)
    trace = (np.round(4 * 50 * np.repeat(chance.random(200), 4)) / 4).tolist()
    assert run(trace, step_s=60) == slowly(trace, 60)


@given(traces(), st.integers(1, 200))
def test_live_it_weighs_the_last_five_minutes_against_the_pods_that_run(trace, running):
    """Live, at one-minute steps: each of the last five metrics advises a size for the pods that run."""
    settings = hpa.Settings(step_s=60)
    state = hpa.begin(np.array([float(running)]), settings)
    got = scalers.decide(hpa, np.array([trace]), None, settings, state)
    advice = [
        running if 0.9 * running <= y <= 1.1 * running else max(1, math.ceil(y))
        for y in trace[-5:]
        if not math.isnan(y)
    ]
    if math.isnan(trace[-1]):
        assert got.tolist() == [running]
    elif advice[-1] >= running:
        assert running <= got[0] <= advice[-1]
    elif len(trace) > 1 and math.isnan(trace[-2]):  # after a gap the oldest minute is in the window once more
        assert min(running, max(advice)) <= got[0] <= running
    else:
        assert got.tolist() == [min(running, max(advice))]
