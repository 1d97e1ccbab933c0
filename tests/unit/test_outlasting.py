"""Floors left for the time after the program: when they begin, for whom, and that they are taken back."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import outlasting
from autoscaler.errors import Denied, Fenced
from forecasts.types import Forecast
from policies.conditions import NO_CONDITIONS
from policies.outlasting import AFTER_S, HOURS, floors
from policies.policy import Freeze, Mode, Policy, PoolPolicy, Scope
from tests.laws import strategies as draw

NOW = datetime(2026, 3, 2, 8, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
LEVELS = (0.5, 0.95, 0.99)
POOL = draw.simple_pool("web", 5)


def forecast(values, issued_at=None):
    """A forecast whose levels are the values, twice and three times as much."""
    issued_at = issued_at or NOW.replace(minute=0)
    column = np.array(values, dtype=float)[:, None]
    return Forecast(
        unique_id="web",
        issued_at=issued_at,
        step_s=3600,
        levels=LEVELS,
        values=column * [1, 2, 3],
        model="m",
        trained_through=issued_at,
    )


@given(
    st.lists(st.floats(0, 500), min_size=1, max_size=72),
    st.integers(0, 3599),
    st.sampled_from([0.5, 0.05, 0.01, 0.001]),
)
def test_floors_begin_two_hours_ahead_and_lie_within_the_bounds(values, second, violation):
    """Whole hours in order, none earlier than two hours from now, at most a day, never outside the bounds."""
    now = NOW.replace(minute=0) + timedelta(seconds=second)
    pool = replace(POOL, minimum=2, maximum=90)
    found = floors(forecast(values), pool, violation=violation, now=now)
    assert len(found) <= HOURS
    assert all(2 <= size <= 90 for _, size in found)
    assert all(at >= now + timedelta(seconds=AFTER_S) and at.minute == 0 for at, _ in found)
    assert all(b - a == HOUR for (a, _), (b, _) in pairwise(found))
    times = {0.5: 1, 0.05: 2, 0.01: 3, 0.001: 3}[violation]
    for at, size in found:
        hour = int((at - NOW.replace(minute=0)) / HOUR)
        assert size == min(90, max(2, math.ceil(values[hour] * times - 1e-9)))


def test_an_hour_that_is_not_forecast_ends_the_floors():
    """Absent is not zero: no floor is made up for it, nor for what comes after."""
    found = floors(forecast([5, 5, 5, 5, math.nan, 5]), POOL, violation=0.5, now=NOW)
    assert [at.hour for at, _ in found] == [11]


class Cloud:
    """A provider that notes what was left with it."""

    def __init__(self):
        self.left = []
        self.error = None

    def outlast(self, pool_id, sizes):
        if self.error:
            raise self.error
        self.left.append((pool_id, tuple(sizes)))
        return ()


class Room:
    """The part of the program that leaving floors touches."""

    def __init__(self):
        self.cloud, self.told, self.holds = Cloud(), [], True
        rule = PoolPolicy(mode_out=Mode.AUTO, observe_first_s=0)
        self.app = SimpleNamespace(
            outlasting={POOL.provider: self.cloud},
            left={},
            policy=Policy(default=rule, pools={"web": rule}),
            configuration=SimpleNamespace(pools={"web": SimpleNamespace(target="asg/web")}),
            verdicts=SimpleNamespace(event=lambda *words: self.told.append(words)),
        )

    def check(self):
        if not self.holds:
            raise Fenced("another one leads")
        return 1

    def turn(self, now, *, mode=Mode.AUTO, freezes=(), pool=POOL):
        """One turn in which floors may be left."""
        rule = replace(self.app.policy.default, mode_out=mode)
        self.app.policy = replace(self.app.policy, default=rule, pools={"web": rule})
        done = SimpleNamespace(
            seen=SimpleNamespace(snapshot=SimpleNamespace(taken_at=now, pools=(pool,))),
            forecasts={"web": forecast([5] * 40, issued_at=now.replace(minute=0))},
            conditions=replace(NO_CONDITIONS, freezes=freezes),
        )
        outlasting.leave(self.app, done, self)


@pytest.fixture
def room():
    return Room()


def test_floors_are_left_once_an_hour_by_the_providers_own_id(room):
    """Every hour they are put off; in between nobody is called."""
    for minutes in (0, 1, 59, 60, 61):
        room.turn(NOW + timedelta(minutes=minutes))
    assert [name for name, _ in room.cloud.left] == ["asg/web", "asg/web"]
    assert room.cloud.left[1][1][0][0] - room.cloud.left[0][1][0][0] == HOUR
    assert all(kind == outlasting.KIND for kind, *_ in room.told)


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.REHEARSE, Mode.APPROVE])
def test_a_pool_that_may_not_grow_by_itself_gets_none(room, mode):
    """Only mode auto leaves floors; in the others nothing is called."""
    room.turn(NOW, mode=mode)
    assert room.cloud.left == []


@pytest.mark.parametrize(
    "change",
    [
        {"mode": Mode.OBSERVE},
        {"freezes": (Freeze(scope=Scope.ALL, name="", why="storm"),)},
        {"freezes": (Freeze(scope=Scope.POOL, name="web", why="storm"),)},
    ],
)
def test_what_was_left_is_taken_back_once(room, change):
    """A freeze, or a mode that asks first, takes the floors back at the next turn, once."""
    room.turn(NOW)
    room.turn(NOW + timedelta(minutes=1), **change)
    room.turn(NOW + timedelta(minutes=2), **change)
    assert [sizes == () for _, sizes in room.cloud.left] == [False, True]


def test_another_providers_pool_is_left_alone(room):
    """Only providers with which the operator lets floors be left are asked."""
    room.turn(NOW, pool=replace(POOL, provider="other"))
    assert room.cloud.left == []


def test_f62_without_the_lease_nothing_is_left(room):
    """A process that does not lead any more calls nobody."""
    room.holds = False
    with pytest.raises(Fenced):
        room.turn(NOW)
    assert room.cloud.left == []


def test_f48_a_refusal_is_told_and_stops_nothing(room):
    """What the provider denies is an event of that pool; it is asked again an hour later."""
    room.cloud.error = Denied("autoscaling:BatchPutScheduledUpdateGroupAction")
    room.turn(NOW)
    room.turn(NOW + timedelta(minutes=1))
    assert len(room.told) == 1
    assert "autoscaling:BatchPutScheduledUpdateGroupAction" in room.told[0][2]
