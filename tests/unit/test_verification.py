"""Verification by values: what arrived, what became worse, and who else moved a pool."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import verification
from policies.deeds import Deed, Verdict
from policies.model import Pool, PoolKind
from policies.plan import Action, Change, Outcome, Reason, Status, kind_of

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
POOL = Pool(
    id="web",
    provider="cloud",
    kind=PoolKind.INSTANCE_GROUP,
    desired=12,
    ready={"a": 9},
    minimum=0,
    maximum=100,
    demands=(),
    lead_time_s=300,
)
GROWN = Change(target="web", at=NOW, before=9, after=12)
LATE_S = 2 * 300 + 60


@pytest.mark.parametrize(
    ("pool", "after_s", "verdict"),
    [
        (POOL, LATE_S - 1, Verdict.WAITING),
        (POOL, LATE_S, Verdict.LATE),
        (replace(POOL, ready={"a": 6, "b": 6}), 1, Verdict.CONFIRMED),
        (replace(POOL, ready={}), LATE_S, Verdict.UNKNOWN),
        (replace(POOL, desired=10), LATE_S, Verdict.UNKNOWN),
        (replace(POOL, desired=9), 10, Verdict.WAITING),
    ],
)
def test_f44_units_are_late_after_twice_the_lead_time_and_a_minute(pool, after_s, verdict):
    """Arrived, waited for, late; unknown where nobody tells what serves or it was made smaller since."""
    assert verification.arrived(GROWN, pool, NOW + timedelta(seconds=after_s)) is verdict


@pytest.mark.parametrize(("serving", "verdict"), [(45, Verdict.CONFIRMED), (41, Verdict.LATE)])
def test_a_unit_that_is_never_ready_makes_no_growth_late(serving, verdict):
    """A twentieth of the pool may be missing, rounded down; of small pools nothing may."""
    pool = replace(POOL, desired=46, ready={"a": serving})
    grown = replace(GROWN, before=40, after=46)
    assert verification.arrived(grown, pool, NOW + timedelta(seconds=LATE_S)) is verdict
    small = replace(POOL, desired=2, ready={"a": 1})
    two = replace(GROWN, before=1, after=2)
    assert verification.arrived(two, small, NOW + timedelta(seconds=LATE_S)) is Verdict.LATE


def noise(seed, level, count=60):
    """Points of a service level around `level`."""
    return np.random.default_rng(seed).normal(level, 0.02 * level, count)


@pytest.mark.parametrize(("larger_is_worse", "after"), [(True, 130.0), (False, 70.0)])
def test_a_service_level_that_clearly_fell_is_worse(larger_is_worse, after):
    """In the direction that is bad, and only in that one."""
    found = verification.worsened(noise(1, 100), noise(2, after), larger_is_worse=larger_is_worse)
    other = verification.worsened(noise(1, 100), noise(2, after), larger_is_worse=not larger_is_worse)
    assert (found.worse, other.worse) == (True, False)
    assert found.facts("latency", "3600 s")[2].value < 1e-9


def test_a_sure_but_small_move_is_not_worse():
    """A median that moved by less than 5 % is not called worse, however sure the test is."""
    found = verification.worsened(noise(1, 100, 5000), noise(2, 103, 5000), larger_is_worse=True)
    assert (found.worse, found.p < 1e-6) == (False, True)


@pytest.mark.parametrize(("before", "after"), [(7, 60), (60, 7), (0, 0)])
def test_too_few_points_tell_nothing(before, after):
    """With fewer than eight known points on a side it is unknown; gaps are no points."""
    gaps = np.full(20, np.nan)
    old, new = np.append(noise(1, 100, before), gaps), np.append(noise(2, 300, after), gaps)
    assert verification.worsened(old, new, larger_is_worse=True) is None


def test_shrinks_that_change_nothing_are_seldom_called_worse():
    """Over all looks at one shrink, about one in a hundred of those without effect is called worse."""
    rng, wrong, tries = np.random.default_rng(5), 0, 1500
    for _ in range(tries):
        points = rng.lognormal(0.0, 0.3, 120)
        looks = (points[60 : 60 + round(share * 60)] for share in verification.LOOKS)
        found = [verification.worsened(points[:60], after, larger_is_worse=True) for after in looks]
        wrong += any(one is not None and one.worse for one in found)
    assert wrong / tries < 0.016


@given(st.floats(0, 1e5), st.integers(1, 86400))
def test_a_look_is_due_at_its_shares_of_the_window_and_stays_the_same_until_the_next(since_s, step_s):
    """What is compared depends on the look alone, not on how often one looks; windows hold enough points."""
    window = verification.window_s(step_s)
    due = verification.look_due(since_s, window)
    assert window >= 3600
    assert window // step_s >= 2 * verification.POINTS or window == 3600
    if due is None:
        assert since_s < 0.25 * window
    else:
        assert due <= since_s or due == pytest.approx(since_s)
        assert due / window in verification.LOOKS


def deed(before, after, minute, status=Status.APPLIED):
    """Something that was done to the pool, in a minute of the hour."""
    at = NOW + timedelta(minutes=minute)
    action = Action(
        kind=kind_of(before, after),
        target="web",
        before=before,
        after=after,
        reason=Reason.LIVE_DEMAND,
        not_before=at,
        expires_at=at,
    )
    made = status is Status.APPLIED
    return Deed(
        key=str(minute),
        plan_id="",
        action=action,
        at=at,
        outcome=Outcome(action_id=action.id, status=status, at=at),
        change=Change(target="web", at=at, before=before, after=after) if made else None,
    )


@pytest.mark.parametrize(
    ("deeds", "moves"),
    [
        ([], 0),
        ([deed(4, 6, 0), deed(6, 8, 10), deed(8, 7, 20)], 0),
        ([deed(4, 6, 0), deed(4, 6, 10), deed(4, 6, 20), deed(4, 6, 30)], 3),
        ([deed(4, 6, 0, Status.STALE), deed(4, 6, 10, Status.STALE), deed(4, 6, 20, Status.STALE)], 3),
        ([deed(4, 6, 0), deed(4, 6, 0.5, Status.STALE)], 0),
        ([deed(4, 6, 0), deed(4, 6, 10, Status.STALE), deed(4, 6, 11)], 1),
        ([deed(4, 6, 0), deed(6, 8, 10, Status.FAILED), deed(6, 8, 20)], 0),
    ],
)
def test_f45_moves_by_another_hand_are_counted_once(deeds, moves):
    """A size that is not the one we left, or a target that moved while we acted; a late reading is none."""
    assert verification.moved_by_others(deeds) == moves


STEPS = st.lists(st.integers(-4, 4).filter(bool), min_size=1, max_size=8)


@given(STEPS, st.data())
def test_what_joins_is_our_own_run_and_one_move_by_another_hand_ends_it(steps, data):
    """Joined changes that lead to the shown size are told; none where a step between or the end is off."""
    sizes = np.cumsum([50, *steps]).tolist()
    deeds = [deed(a, b, n) for n, (a, b) in enumerate(pairwise(sizes))]
    at = NOW + timedelta(minutes=len(deeds))
    first = data.draw(st.integers(0, len(deeds) - 1))
    assert verification.run_since(deeds, str(first), sizes[-1], at) == tuple(deeds[first:])
    assert verification.run_since(deeds, str(first), sizes[-1] + 1, at) == ()
    if first < len(deeds) - 1:
        moved = deed(sizes[-2] + 1, sizes[-1], len(deeds) - 1)
        assert verification.run_since([*deeds[:-1], moved], str(first), sizes[-1], at) == ()
    shown = data.draw(st.integers(first, len(deeds) - 1))
    seen = NOW + timedelta(minutes=shown + 0.5)
    assert verification.run_since(deeds, str(first), sizes[shown + 1], seen) == tuple(deeds[first:])


@given(STEPS)
def test_a_chain_starts_where_we_began_to_shrink_without_a_growth_between(steps):
    """From its start on there are only shrinks, within a day; the change before it is none of them."""
    sizes = np.cumsum([50, *steps]).tolist()
    deeds = [deed(a, b, 300 * n) for n, (a, b) in enumerate(pairwise(sizes))]
    start = verification.chain_start(deeds, deeds[-1].key)
    changes = [one.change for one in deeds]
    first, last = changes.index(start), changes[-1]
    assert all(one.after < one.before for one in changes[first:-1])
    assert start.at >= last.at - timedelta(days=1)
    if first:
        before = changes[first - 1]
        assert before.after > before.before or before.at < last.at - timedelta(days=1)
    assert verification.chain_start(deeds, "none") is None
