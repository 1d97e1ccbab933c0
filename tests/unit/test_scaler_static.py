"""The static peak, by hand."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policies.scalers import static

NAN = math.nan


def run(demand, **settings):
    got, _ = static.targets(np.array([demand], dtype=float), None, static.Settings(**settings), None)
    return got[0].tolist()


def test_the_peak_of_the_warm_up_stays_for_ever():
    """The last step of the warm-up still counts, the first that is scored no more."""
    assert run([1, 4, 2, 7, 9, 9], warmup_steps=4) == [1, 1, 4, 4, 7, 7]
    assert run([1, 4, 2, 7, 9, 9], warmup_steps=3) == [1, 1, 4, 4, 4, 4]


def test_without_a_warm_up_it_is_the_peak_so_far():
    """Never down, up a step after a new peak, whole units."""
    assert run([1, 2.5, 2, NAN, 3, 1]) == [1, 1, 3, 3, 3, 3]


def test_target_and_bounds():
    """Half the target is twice the units; the minimum and the maximum clamp."""
    assert run([3, 3, 3], target=0.5) == [1, 6, 6]
    assert run([0, 9, 9], minimum=2, maximum=5) == [2, 2, 5]


@given(st.lists(st.floats(0, 99) | st.just(NAN), min_size=1, max_size=40), st.integers(0, 40))
def test_it_is_the_running_maximum_of_what_was_seen(demand, warmup):
    """At t: ceil of the largest of demand[:min(t, warm-up)], at least one unit."""
    expected = []
    for t in range(len(demand)):
        seen = demand[: min(t, warmup) if warmup else t]
        expected.append(max(1, math.ceil(max((y for y in seen if not math.isnan(y)), default=0))))
    assert run(demand, warmup_steps=warmup) == expected
