"""Interlocks at the exact edge of what they hold, for shrinking only; freeze windows over clock changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import nan
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.changes import Ledger
from policies.conditions import NO_CONDITIONS, Conditions, Reading
from policies.freeze_windows import end_of, hold
from policies.guards import judge
from policies.interlocks import holds
from policies.model import Obstacle
from policies.plan import Change, Guard
from policies.policy import FreezeWindow, Interlocks, Policy, PoolPolicy, Scope, Signal, SignalKind, Step
from policies.wishes import Wish
from tests.laws import strategies as draw

NOW = draw.NOW
SECOND = timedelta(seconds=1)
ERRORS = Signal(series="errors", kind=SignalKind.SERVICE_LEVEL, above=0.01)
API = draw.simple_pool("api", 100)
QUIET = Interlocks(unready_share=1.0, warm_up_s=0, recent_growth_s=0)


def held(rules, *, pool=API, wanted=99, changes=(), pools=(), **conditions):
    """The guards that hold a wish, in order, each with its end."""
    known = Conditions(**conditions)
    ledger = Ledger((pool, *pools), changes, NOW)
    wish = Wish(pool=pool, wanted=wanted)
    found = list(holds(wish, rules, ledger=ledger, now=NOW, conditions=known))
    assert all(verdict.size == pool.desired and verdict.why for verdict in found)
    return [(verdict.guard, verdict.until) for verdict in found]


def watched(*signals):
    return replace(QUIET, signals=signals)


def reading(value, age_s=0.0):
    return {"errors": Reading(value=value, at=draw.ago(age_s))}


@pytest.mark.parametrize("kind", SignalKind)
@pytest.mark.parametrize(
    ("limit", "value", "bad"),
    [
        ({"above": 0.01}, 0.01, False),
        ({"above": 0.01}, 0.011, True),
        ({"above": 0.0}, 0.0, False),
        ({"below": 3.0}, 3.0, False),
        ({"below": 3.0}, 2.9, True),
        ({"below": 0.0}, -1.0, True),
    ],
)
def test_a_signal_beyond_its_limit_holds_by_its_own_code(kind, limit, value, bad):
    """At the limit it is good, beyond it bad; the code that is shown is that of its kind."""
    signal = Signal(series="errors", kind=kind, **limit)
    expected = [(Guard[kind.name], None)] if bad else []
    assert held(watched(signal), readings=reading(value)) == expected


@pytest.mark.parametrize(
    ("readings", "unknown"),
    [
        ({}, True),
        (reading(nan), True),
        (reading(0.0, 900), False),
        (reading(0.0, 901), True),
        (reading(0.0, -900), False),
        (reading(0.0, -901), True),
        ({"others": Reading(value=0.0, at=NOW)}, True),
    ],
)
def test_f01_a_signal_that_is_not_known_holds(readings, unknown):
    """Absent, NaN, older than its limit, or as far ahead of now: not known, and nothing shrinks."""
    expected = [(Guard.INSUFFICIENT_DATA, None)] if unknown else []
    assert held(watched(ERRORS), readings=readings) == expected
    assert held(watched(ERRORS), readings=readings, wanted=101) == []


def test_what_a_signal_says_is_told_with_its_value():
    """The line names the series, what it says, its value and the limit, or its age."""
    for readings, limit, words in (
        (reading(0.02), ERRORS, "errors (service-level) is 0.02, above 0.01"),
        (reading(1), replace(ERRORS, above=None, below=3), "errors (service-level) is 1, below 3"),
        (reading(0, 3600), ERRORS, "the newest value of errors (service-level) is 1h old"),
        (reading(0, -3600), ERRORS, "the newest value of errors (service-level) is 1h ahead of now"),
        ({}, ERRORS, "errors (service-level) is not known"),
    ):
        wish, ledger = Wish(pool=API, wanted=99), Ledger((API,), (), NOW)
        known = Conditions(readings=readings)
        (found,) = holds(wish, watched(limit), ledger=ledger, now=NOW, conditions=known)
        assert found.why == words


def test_a_signal_speaks_of_its_pools_alone():
    """One that names other pools holds nothing here; one that names none is about all."""
    for pools, holding in ((("batch",), False), (("batch", "api"), True), (None, True)):
        signal = replace(ERRORS, pools=pools)
        assert bool(held(watched(signal), readings=reading(1))) is holding


def test_f56_an_impaired_zone_holds_every_pool_of_its_provider():
    """The pools of the provider that the signal's pool is of, also where it is not known; and no other's."""
    signal = replace(ERRORS, kind=SignalKind.ZONE_IMPAIRED, pools=("batch",))
    near, far = draw.simple_pool("batch", 9), draw.simple_pool("batch", 9, provider="gcp")
    assert held(watched(signal), readings=reading(1), pools=(near,)) == [(Guard.ZONE_IMPAIRED, None)]
    assert held(watched(signal), readings={}, pools=(near,)) == [(Guard.INSUFFICIENT_DATA, None)]
    assert held(watched(signal), readings=reading(0), pools=(near,)) == []
    assert held(watched(signal), readings=reading(1), pools=(far,)) == []
    # A pool that was not seen may be of any provider.
    assert held(watched(signal), readings=reading(1)) == [(Guard.ZONE_IMPAIRED, None)]


@pytest.mark.parametrize(
    ("desired", "ready", "guard"),
    [
        (100, {"a": 55}, None),
        (100, {"a": 30, "b": 24}, Guard.UNREADY),
        (100, {"a": 0}, Guard.UNREADY),
        (4, {"a": 2}, Guard.UNREADY),
        (4, {"a": 3}, None),
        (3, {"a": 0}, None),
        (4, {}, Guard.INSUFFICIENT_DATA),
        (3, {}, None),
        (100, {"a": 140}, None),
    ],
)
def test_too_many_units_that_are_not_ready_hold(desired, ready, guard):
    """45 % may be missing and not a unit more, once there are more than three; not known is no better."""
    pool = replace(draw.simple_pool("api", desired), ready=ready)
    rules = replace(QUIET, unready_share=0.45)
    found = held(rules, pool=pool, wanted=desired - 1)
    assert found == ([] if guard is None else [(guard, None)])
    assert held(rules, pool=pool, wanted=desired + 1) == []
    assert held(QUIET, pool=pool, wanted=desired - 1) == []


@pytest.mark.parametrize(
    ("running_s", "left_s"), [(0.0, 600), (599.5, 0.5), (600.0, None), (9999.0, None), (None, None)]
)
def test_f65_nothing_shrinks_while_the_daemon_warms_up(running_s, left_s):
    """For 600 s of watching and no longer; a plan by hand has no start to wait for."""
    rules = replace(QUIET, warm_up_s=600)
    expected = [] if left_s is None else [(Guard.WARM_UP, NOW + timedelta(seconds=left_s))]
    assert held(rules, running_s=running_s) == expected
    assert held(rules, running_s=running_s, wanted=101) == []


@pytest.mark.parametrize(
    ("seconds", "before", "after", "holding"),
    [
        (0, 90, 100, True),
        (599, 90, 100, True),
        (600, 90, 100, False),
        (-1, 90, 100, False),  # dated ahead of now: not believed, as for the cool-down
        (10, 100, 90, False),
        (10, 100, 100, False),
    ],
)
def test_what_grew_lately_does_not_shrink(seconds, before, after, holding):
    """Growth 599 s ago holds, 600 s ago no more; a shrink is no growth, nor is another pool's."""
    rules = replace(QUIET, recent_growth_s=600)
    mine = Change(target="api", at=draw.ago(seconds), before=before, after=after)
    expected = [(Guard.RECENT_GROWTH, draw.ago(seconds - 600))] if holding else []
    assert held(rules, changes=(mine,)) == expected
    assert held(rules, changes=(replace(mine, target="batch"),)) == []
    assert held(rules, changes=(mine,), wanted=101) == []


def test_the_newest_growth_counts_also_where_a_shrink_followed():
    """90 -> 100 -> 95: the growth still holds; a plan's own growth counts at once."""
    rules = replace(QUIET, recent_growth_s=600)
    first = Change(target="api", at=draw.ago(300), before=90, after=105)
    then = Change(target="api", at=draw.ago(100), before=105, after=100)
    assert held(rules, changes=(then, first)) == [(Guard.RECENT_GROWTH, draw.ago(-300))]
    ledger = Ledger((API,), (), NOW)
    ledger.spend(replace(first, at=NOW))
    wish = Wish(pool=API, wanted=99)
    (found,) = holds(wish, rules, ledger=ledger, now=NOW, conditions=NO_CONDITIONS)
    assert found.guard is Guard.RECENT_GROWTH


def test_f43_a_pool_with_a_change_under_way_does_not_shrink():
    """The end of an operation is not known: that pool waits, others do not, and growth does not."""
    assert held(QUIET, in_flight={"api": draw.ago(60)}) == [(Guard.IN_FLIGHT, None)]
    assert held(QUIET, in_flight={"batch": draw.ago(60)}) == []
    assert held(QUIET, in_flight={"api": draw.ago(60)}, wanted=101) == []


def test_f43_a_pool_whose_growth_does_not_serve_yet_does_not_shrink():
    """However long ago it was asked for. Where the operator waits for no growth, and to undo, it may."""
    rules = replace(QUIET, recent_growth_s=600)
    assert held(rules, growing={"api": draw.ago(6000)}) == [(Guard.RECENT_GROWTH, None)]
    assert held(rules, growing={"batch": draw.ago(60)}) == []
    assert held(rules, growing={"api": draw.ago(60)}, wanted=101) == []
    assert held(QUIET, growing={"api": draw.ago(60)}) == []


@pytest.mark.parametrize("guard", Guard)
@pytest.mark.parametrize("wanted", [99, 101])
@pytest.mark.parametrize("shrinks_only", [True, False])
def test_f46_what_the_provider_knows_against_a_change_holds_it(guard, wanted, shrinks_only):
    """By its own code and before any other guard: every shrink, and growth too where it says so."""
    obstacle = Obstacle(code=guard.value, why="argocd sets it", shrinks_only=shrinks_only)
    pool = replace(API, obstacles=(obstacle,))
    expected = [(guard, None)] if wanted < 100 or not shrinks_only else []
    assert held(QUIET, pool=pool, wanted=wanted) == expected


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_interlocks_hold_no_growth_and_all_of_a_shrink(seed, wanted):
    """Whatever the rules and the conditions: growth passes, and a shrink that is held is held whole."""
    chance = Random(seed)  # noqa: S311 - worlds, not secrets
    pools = tuple(draw.pool(chance, name) for name in draw.NAMES[:3])
    rules, known = draw.interlocks(chance), draw.conditions(chance, pools)
    changes = [draw.change(chance, draw.NAMES[:3]) for _ in range(3)]
    wish = Wish(pool=pools[0], wanted=wanted)
    found = list(holds(wish, rules, ledger=Ledger(pools, changes, NOW), now=NOW, conditions=known))
    assert not found or wanted < pools[0].desired
    assert all(verdict.size == pools[0].desired and verdict.guard for verdict in found)
    assert all(verdict.until is None or verdict.until > NOW for verdict in found)


def window(start, end, days=range(7), zone="UTC", **other):
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (start, end)]
    values = {"scope": Scope.ALL} | other
    return FreezeWindow(
        days=tuple(days), start_minute=minutes[0], end_minute=minutes[1], timezone=zone, **values
    )


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


NIGHT = window("22:00", "06:00", days=[4])  # Friday night


@pytest.mark.parametrize(
    ("one", "now", "ends"),
    [
        (NIGHT, "2026-03-06T21:59:59+00:00", None),
        (NIGHT, "2026-03-06T22:00:00+00:00", "2026-03-07T06:00:00+00:00"),
        (NIGHT, "2026-03-07T05:59:59+00:00", "2026-03-07T06:00:00+00:00"),
        (NIGHT, "2026-03-07T06:00:00+00:00", None),
        (NIGHT, "2026-03-06T05:00:00+00:00", None),  # Thursday night is none
        (NIGHT, "2026-03-07T22:30:00+00:00", None),  # nor is Saturday night
        (window("09:00", "17:00", days=[0]), "2026-03-02T09:00:00+00:00", "2026-03-02T17:00:00+00:00"),
        (window("00:00", "24:00", days=[0]), "2026-03-02T23:59:59+00:00", "2026-03-03T00:00:00+00:00"),
        (window("00:00", "24:00", days=[0]), "2026-03-03T00:00:00+00:00", None),
        (window("09:00", "09:00", days=[0]), "2026-03-03T08:59:59+00:00", "2026-03-03T09:00:00+00:00"),
        (window("09:00", "17:00", days=[]), "2026-03-02T09:00:00+00:00", None),
        # Friday in Auckland is Thursday in UTC; Friday in Honolulu lasts into Saturday.
        (
            window("08:00", "10:00", days=[4], zone="Pacific/Auckland"),
            "2026-03-05T19:30:00+00:00",
            "2026-03-05T21:00:00+00:00",
        ),
        (
            window("20:00", "23:00", days=[4], zone="Pacific/Honolulu"),
            "2026-03-07T08:00:00+00:00",
            "2026-03-07T09:00:00+00:00",
        ),
        # New York, 8 March 2026: 02:00 EST is followed by 03:00 EDT; the night is an hour shorter.
        (
            window("22:00", "06:00", days=[5], zone="America/New_York"),
            "2026-03-08T05:59:59-04:00",
            "2026-03-08T06:00:00-04:00",
        ),
        # It begins at a reading that is skipped, and holds from before to after the change.
        (
            window("02:30", "04:00", zone="America/New_York"),
            "2026-03-08T03:00:00-04:00",
            "2026-03-08T04:00:00-04:00",
        ),
        (
            window("01:00", "02:30", zone="America/New_York"),
            "2026-03-08T03:15:00-04:00",
            "2026-03-08T03:30:00-04:00",
        ),
        # 1 November 2026: 01:30 is read twice, and the window ends at the second.
        (
            window("22:00", "01:30", days=[5], zone="America/New_York"),
            "2026-11-01T01:45:00-04:00",
            "2026-11-01T01:30:00-05:00",
        ),
        (
            window("01:30", "03:00", zone="America/New_York"),
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T03:00:00-05:00",
        ),
    ],
)
def test_f36_a_window_is_open_between_its_readings_whatever_the_clock_does(one, now, ends):
    """Over midnight, over a change of clocks, in any zone: open from its start to its end, told in UTC."""
    assert end_of(one, at(now)) == (None if ends is None else at(ends))


ZONES = ("UTC", "Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo")


@given(
    st.sampled_from(ZONES),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
)
def test_f36_a_window_covers_all_that_a_clock_on_the_wall_shows(zone, start, lasts, moment):
    """Whenever the wall's clock reads within the window of that day or the day before, it is open."""
    now = moment.replace(tzinfo=UTC)
    local = now.astimezone(ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    end = start + lasts
    every = FreezeWindow(
        scope=Scope.ALL,
        days=tuple(range(7)),
        start_minute=start,
        end_minute=end if end <= 1440 else end - 1440,
        timezone=zone,
    )
    ends = end_of(every, now)
    if start <= minute < end or minute + 1440 < end:
        assert ends is not None
    if ends is not None:
        assert now < ends <= now + timedelta(hours=26)
        assert ends.tzinfo is UTC


def test_a_window_covers_its_scope_and_holds_shrinking_only():
    """By pool, provider or all; growth goes on; of several that are open the last end counts."""
    morning = window("08:00", "12:00", why="market opens")
    for scope, name, holding in (
        (Scope.ALL, "", True),
        (Scope.PROVIDER, "aws", True),
        (Scope.PROVIDER, "gcp", False),
        (Scope.POOL, "api", True),
        (Scope.POOL, "batch", False),
    ):
        one = replace(morning, scope=scope, name=name)
        found = hold(Wish(pool=API, wanted=50), (one,), NOW)
        assert (found.guard is Guard.FREEZE_WINDOW) is holding
        assert found.size == (100 if holding else 50)
        assert hold(Wish(pool=API, wanted=150), (one,), NOW) == (150, None, None, "")
        assert hold(Wish(pool=API, wanted=100), (one,), NOW).guard is None
    later = window("08:00", "13:00")
    for windows in ((morning, later), (later, morning)):
        found = hold(Wish(pool=API, wanted=50), windows, NOW)
        assert found.until == NOW.replace(hour=13)
        assert found.why == "a freeze window of the operator"
    assert hold(Wish(pool=API, wanted=50), (morning,), NOW).why == "market opens"
    assert hold(Wish(pool=API, wanted=50), (), NOW).guard is None


def test_interlocks_come_after_protection_and_before_the_cool_down():
    """Of guards that hold all of a shrink the first is named: conditions before waits and budgets."""
    wide = Step(units=1000, share=1.0)
    rule = PoolPolicy(cool_down_in_s=60, step_in=wide)
    policy = Policy(
        default=rule,
        budgets=(),
        interlocks=Interlocks(signals=(ERRORS,)),
        freeze_windows=(window("08:00", "12:00"),),
    )
    pool = replace(API, last_scaled_at=NOW)
    wish, order = Wish(pool=pool, wanted=50), []
    known = Conditions(running_s=0.0, in_flight={"api": NOW}, readings=reading(1))
    grown = (Change(target="api", at=NOW, before=90, after=100),)
    pool = replace(pool, ready={"a": 0})
    for relax in (
        lambda p, k, g: (p, replace(k, readings=reading(0)), g),
        lambda p, k, g: (replace(p, ready={"a": 100}), k, g),
        lambda p, k, g: (p, replace(k, running_s=None), g),
        lambda p, k, _: (p, k, ()),
        lambda p, k, g: (p, replace(k, in_flight={}), g),
    ):
        wish = replace(wish, pool=pool)
        ledger = Ledger((pool,), grown, NOW)
        order.append(judge(wish, policy=policy, ledger=ledger, now=NOW, conditions=known).guard)
        pool, known, grown = relax(pool, known, grown)
    ledger = Ledger((pool,), (), NOW)
    last = replace(wish, pool=pool)
    order.append(judge(last, policy=policy, ledger=ledger, now=NOW, conditions=known).guard)
    policy = replace(policy, freeze_windows=())
    order.append(judge(last, policy=policy, ledger=ledger, now=NOW, conditions=known).guard)
    assert order == [
        Guard.SERVICE_LEVEL,
        Guard.UNREADY,
        Guard.WARM_UP,
        Guard.RECENT_GROWTH,
        Guard.IN_FLIGHT,
        Guard.FREEZE_WINDOW,
        Guard.COOL_DOWN,
    ]
