"""Target tracking against its documentation, by hand and against a slow second writing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.scalers import target_tracking as tracking

NAN = math.nan


def run(demand, *, start=None, **settings):
    settings = tracking.Settings(**settings)
    state = None if start is None else tracking.begin(np.array([float(start)]), settings)
    got, _ = tracking.targets(np.array([demand], dtype=float), None, settings, state)
    return got[0].tolist()


def test_out_after_three_points_above_the_target():
    """The third consecutive one-minute point above the target acts, to ceil(current x metric / target)."""
    assert run([12.5] * 5, start=10, step_s=60) == [10, 10, 10, 13, 13]
    assert run([12.5, 12.5, 10, 12.5, 12.5, 12.5, 0], start=10, step_s=60) == [10] * 6 + [13]
    assert run([10.0] * 5, start=10, step_s=60) == [10] * 5  # at the target is not above it


def test_in_after_fifteen_points_below_nine_tenths():
    """The fifteenth point below 0.9 of the target acts, and leaves the metric below the target."""
    assert run([5.0] * 17, start=10, step_s=60) == [10] * 15 + [6, 6]  # 5 of 6: below; 5 of 5 is not
    assert run([5.5] * 17, start=10, step_s=60)[-1] == 6
    assert run([9.0] * 40, start=10, step_s=60) == [10] * 40  # at 0.9 is not below it
    broken = [5.0] * 14 + [9.0] + [5.0] * 14
    assert run([*broken, 5.0], start=10, step_s=60) == [10] * 30


@pytest.mark.parametrize(("step_s", "first"), [(60, 3), (120, 2), (180, 1), (300, 1), (600, 1)])
def test_coarse_steps_hold_several_points(step_s, first):
    """Three points above the target are in the third minute, whatever the step."""
    assert run([12] * 5, start=10, step_s=step_s) == [10] * first + [12] * (5 - first)


def test_a_missing_point_stops_the_way_in_and_not_the_way_out():
    """Absent data never shrinks: fourteen low points, a gap and one more do nothing; a high count waits."""
    assert run([5.0] * 14 + [NAN] + [5.0] * 14, start=10, step_s=60) == [10] * 29
    assert run([12, 12, NAN, 12, 12], start=10, step_s=60) == [10, 10, 10, 10, 12]


def test_bounds_clamp():
    """Neither above the maximum nor below the minimum."""
    assert run([99] * 5, start=10, step_s=300, maximum=20) == [10, 20, 20, 20, 20]
    assert run([0.0] * 5, start=10, step_s=900, minimum=4) == [10, 4, 4, 4, 4]


def slowly(demand, step_s, *, target=1.0, minimum=1, maximum=10**9):
    """The two alarms, one point a minute."""
    current, high, low, out = minimum, 0, 0, []
    for t in range(len(demand)):
        metric = demand[t - 1] if t else NAN
        for second in range(t * step_s + 1, (t + 1) * step_s + 1):
            if second % 60:
                continue
            if math.isnan(metric):
                low = 0
                continue
            load = metric / target
            high = high + 1 if load > current else 0
            low = low + 1 if load < 0.9 * current else 0
            if high >= 3:
                current = max(current, min(math.ceil(load), maximum))
            if low >= 15:
                current = min(current, max(math.floor(load) + 1, minimum))
        out.append(current)
    return out


@pytest.mark.parametrize("step_s", [20, 30, 60, 90, 120, 300, 600, 900, 3600])
@given(
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.sampled_from([1.0, 0.5, 0.25]),
    st.tuples(st.integers(1, 5), st.integers(5, 60)),
)
def test_it_is_the_documented_pair_of_alarms(step_s, seed, steps, target, bounds):
    """On any trace and step the targets are those of the slow second writing."""
    chance = np.random.default_rng(seed)
    level, run_length = chance.choice([2, 10, 60]), chance.choice([1, 5, 18])
    trace = np.round(4 * level * np.repeat(chance.random(steps), run_length)[:steps]) / 4
    trace[chance.random(steps) < chance.choice([0, 0.02, 0.3])] = NAN
    minimum, maximum = bounds
    expected = slowly(trace.tolist(), step_s, target=target, minimum=minimum, maximum=maximum)
    assert run(trace, step_s=step_s, target=target, minimum=minimum, maximum=maximum) == expected
