"""Declared events: what they do to an outlook, and to a plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.types import Series
from policies import events, planner
from policies.model import Demand, Pool, PoolKind, Snapshot
from policies.outlook import Outlook
from policies.policy import Event, Policy, PoolPolicy

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
LEAD_S = 900
MINUTE = timedelta(minutes=1)
SALE = Event(name="sale", start=NOW + 60 * MINUTE, end=NOW + 180 * MINUTE, multiplier=2.0)


def units(y, end=NOW, step_s=300):
    y = np.asarray(y, float)
    return Series(unique_id="web", start=end - timedelta(seconds=step_s * len(y)), step_s=step_s, y=y)


def outlook(y, usual=None, *, refusal="", ahead=None, end=NOW):
    return Outlook(
        pool_id="web",
        demand=units(y, end),
        to_learn=None if usual is None else units(usual, end),
        ahead=None if ahead is None else np.asarray(ahead, float),
        levels=() if ahead is None else (0.5, 0.99),
        refusal=refusal,
    )


def wanted(shown, *, at=NOW, scaler="rolling_max", desired=10, chosen=(SALE,), past=None):
    """The size that a pool of `desired` units is to have, its guards wide open."""
    pool = Pool(
        id="web",
        provider="fake",
        kind=PoolKind.INSTANCE_GROUP,
        desired=desired,
        ready={"a": desired},
        minimum=1,
        maximum=10_000,
        demands=(Demand(series="web", unit_capacity=1.0),),
        lead_time_s=LEAD_S,
    )
    changed = events.applied(shown, chosen, past or {}, now=at, lead_s=LEAD_S)
    (proposal,) = planner.propose(
        Snapshot(taken_at=at, pools=(pool,)), {"web": changed}, Policy(default=PoolPolicy(scaler=scaler))
    )
    return proposal


def test_growth_begins_one_lead_time_before_the_start():
    """Until then the outlook is the same object; from then on the wish is multiplied, to the end."""
    flat = np.full(400, 10.0)
    plain = wanted(outlook(flat), chosen=()).wanted
    sizes = []
    for minutes in (41, 45, 60, 175, 180):
        at = NOW + minutes * MINUTE
        sizes.append(wanted(outlook(flat, flat, end=at), at=at).wanted)
    assert sizes == [plain * 2 if due else plain for due in (True, True, True, True, False)]
    early = NOW + 40 * MINUTE
    shown = outlook(flat, end=early)
    assert events.applied(shown, (SALE,), {}, now=early, lead_s=LEAD_S) is shown


def test_a_forecast_is_raised_in_the_steps_of_the_event_only():
    """Quantiles of the steps before the start stay, those of the event are multiplied, the wish not again."""
    at = NOW + 50 * MINUTE
    ahead = np.tile([10.0, 12.0], (4, 1))
    changed = events.applied(
        outlook(np.full(50, 10.0), ahead=ahead, end=at), (SALE,), {}, now=at, lead_s=LEAD_S
    )
    assert changed.ahead.tolist() == [[10, 12], [10, 12], [20, 24], [20, 24]]
    assert changed.multiplier == 1.0
    shown = outlook(np.full(50, 10.0), ahead=ahead, end=at)
    proposal = wanted(shown, at=at, scaler="seasonal_quantile")
    assert proposal.wanted == 24
    assert ("event", "sale: x2") in [(fact.name, fact.value) for fact in proposal.because]


def test_an_event_under_way_is_not_multiplied_twice():
    """A reactive scaler sees the usual demand: at twice the usual it wishes twice, not four times that."""
    usual = np.full(400, 10.0)
    real = usual.copy()
    real[-6:] = 20
    at = NOW + 90 * MINUTE
    assert wanted(outlook(real, usual, end=at), at=at).wanted == wanted(outlook(usual), chosen=()).wanted * 2


def test_an_event_that_outgrows_its_declaration_keeps_the_headroom():
    """At three times the usual where two were declared, the wish is three times the usual one."""
    usual = np.full(400, 10.0)
    at = NOW + 90 * MINUTE
    for factor, counts in ((3.0, 3.0), (9.0, 4.0)):
        real = np.r_[usual[:-6], np.full(6, 10 * factor)]
        plain = wanted(outlook(usual), chosen=()).wanted
        assert wanted(outlook(real, usual, end=at), at=at).wanted == max(plain * counts, 10 * factor)


def test_an_event_that_does_not_come_is_still_provided_for():
    """Demand as usual in the midst of a declared event: what was declared is kept until its end."""
    usual = np.full(400, 10.0)
    at = NOW + 90 * MINUTE
    assert wanted(outlook(usual, usual, end=at), at=at).wanted == wanted(outlook(usual), chosen=()).wanted * 2


def test_a_multiplier_below_one_lowers_only_what_is_known_and_only_from_the_start():
    """A shop that closes for two hours: nothing goes before it closes, nor while anything is unknown."""
    closing = Event(name="stocktaking", start=SALE.start, end=SALE.end, multiplier=0.25)
    usual = np.full(400, 40.0)
    plain = wanted(outlook(usual), chosen=()).wanted
    quiet = np.r_[usual[:-6], np.full(6, 4.0)]
    during, before = NOW + 90 * MINUTE, NOW + 55 * MINUTE

    def of(real, at, refusal=""):
        return wanted(outlook(real, usual, end=at, refusal=refusal), at=at, chosen=(closing,)).wanted

    assert of(quiet, during) == plain / 4
    assert of(usual, before) == plain
    assert of(quiet, during, refusal="web: stale") == plain
    assert of(usual, during) >= 40  # live need wins: it did not close


def test_a_past_event_is_a_floor_by_its_offset():
    """A day like that of last year: its peak over the lead time, as far into it as we are, is the least."""
    like = (NOW - timedelta(days=364), NOW - timedelta(days=364) + 120 * MINUTE)
    again = Event(name="again", start=SALE.start, end=SALE.end, like=like)
    y = np.r_[np.arange(24.0) * 10, 5, 5, 5]
    past = {"again": Series(unique_id="web", start=like[0], step_s=300, y=y)}
    usual = np.full(400, 10.0)
    plain = wanted(outlook(usual), chosen=()).wanted
    for minutes, least in ((45, plain), (60, 30), (100, 110), (170, 230)):
        at = NOW + minutes * MINUTE
        found = wanted(outlook(usual, usual, end=at), at=at, chosen=(again,), past=past)
        assert found.wanted == least
    at = NOW + 60 * MINUTE
    ahead = np.tile([10.0, 12.0], (4, 1))
    raised = events.applied(outlook(usual, ahead=ahead, end=at), (again,), past, now=at, lead_s=LEAD_S).ahead
    assert raised.tolist() == [[10, 12], [10, 12], [20, 20], [30, 30]]
    assert found.outlook.events == ("again: at least 230 units, as at 2025-11-28T08:00+0000",)


def test_a_past_event_that_nobody_knows_lets_nothing_shrink():
    """What is to be imitated is unknown: the pool may grow, and keeps what it has."""
    again = Event(name="again", start=SALE.start, end=SALE.end, like=(NOW - 99 * MINUTE, NOW - 9 * MINUTE))
    at = NOW + 60 * MINUTE
    changed = events.applied(outlook(np.full(400, 10.0), end=at), (again,), {}, now=at, lead_s=LEAD_S)
    assert changed.doubt == "event again: nobody knows the demand of the past event it is like"


def test_an_event_of_another_pool_is_not_ours():
    """Pools are named, or all are meant."""
    other = Event(name="a", start=NOW, end=NOW + MINUTE, pools=("api",), multiplier=2)
    assert events.of_pool((other, SALE), "web") == (SALE,)
    assert events.of_pool((other, SALE), "api") == (other, SALE)


@given(
    st.floats(0, 500),
    st.floats(0, 500),
    st.floats(0.1, 9.0),
    st.integers(0, 200),
    st.sampled_from(["hpa", "rolling_max"]),
)
def test_more_live_demand_never_gives_less_in_an_event(low, more, multiplier, minutes, scaler):
    """With what is usual fixed, the size rises with the newest demand, and is never below it."""
    usual = np.full(60, 10.0)
    at = NOW + minutes * MINUTE
    chosen = (Event(name="sale", start=SALE.start, end=SALE.end, multiplier=multiplier),)
    sizes = [
        wanted(outlook(np.r_[usual[:-1], newest], usual, end=at), at=at, chosen=chosen, scaler=scaler).wanted
        for newest in (low, low + more)
    ]
    assert sizes[0] <= sizes[1]
    assert sizes[1] >= low + more


@pytest.mark.parametrize("step_s", [60, 300, 3600])
def test_a_coarser_past_is_held_within_its_step(step_s):
    """An hourly history of last year speaks for each step of today's finer grid."""
    like = (NOW - timedelta(days=364), NOW - timedelta(days=364) + timedelta(hours=2))
    again = Event(name="again", start=NOW, end=NOW + timedelta(hours=2), like=like)
    past = Series(unique_id="web", start=like[0], step_s=3600, y=np.array([7.0, 9.0]))
    out = events.imitated(again, past, NOW, step_s, 7200 // step_s)
    assert out.tolist() == [7.0] * (3600 // step_s) + [9.0] * (3600 // step_s)
