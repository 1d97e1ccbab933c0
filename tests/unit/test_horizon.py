"""Capacity and money of the weeks to come, on demand whose answer can be told in advance."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.types import Series
from policies import horizon
from policies.assumptions import Terms
from policies.horizon import Band, Demand, Margin
from policies.model import CapacityType, Offering, PoolKind
from policies.policy import PoolPolicy
from policies.replay import Plant, Score
from policies.trial import Trial
from tests.laws.strategies import simple_pool

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
PRICE = Offering(instance_type="m", zone="a", capacity_type=CapacityType.ON_DEMAND, hourly_usd=0.5)
WEB = simple_pool("web", 4, minimum=2, maximum=20, offerings=(PRICE,), lead_time_s=1800)
TERMS = Terms(pool=WEB, rule=PoolPolicy())
KEPT = Margin(factor=1.0, rule="as replayed", replayed=True)


def ahead(low, mid, high, **more):
    """Demand in units at the levels of the band."""
    values = np.column_stack([np.asarray(part, float) for part in (low, mid, high)])
    nothing = {"swell": np.ones(len(values)), "least": np.full(len(values), np.nan)}
    return Demand(levels=horizon.BAND, values=values, **(nothing | more))


def flat(hours, units=10.0, **more):
    """The same demand in every hour, without a band."""
    return ahead(*[[units] * hours] * 3, **more)


def course(demand, margin=KEPT, terms=TERMS, hours=None):
    """What a pool needs over all hours of some demand."""
    hours = len(demand.values) if hours is None else hours
    return horizon.course(terms, demand, margin=margin, start=START, hours=hours)


def trial(demand, targets, *, minimum=1, warmup=0):
    """A replay of quarters of an hour with these targets."""
    y = np.asarray(demand, float)
    units = np.asarray(targets, np.int64)
    score = Score(
        cost=0.0,
        clairvoyant=0.0,
        violation=0.0,
        unserved=0.0,
        steps=len(y),
        actions_per_day=0.0,
        reversals_per_day=0.0,
    )
    return Trial(
        unique_id="web",
        grid=Series(unique_id="web", start=START, step_s=900, y=y),
        unit_capacity=1.0,
        plant=Plant(step_s=900, lead_s=0, minimum=minimum),
        warmup_steps=warmup,
        scaler="static",
        knob=None,
        demand=y,
        targets=units,
        serving=units,
        score=score,
    )


def hourly(*values):
    """Each value for the four quarters of an hour."""
    return np.repeat(values, 4)


def test_units_are_factor_times_demand_and_standby_within_the_bounds():
    """Each hour and each level by itself, and the sums of weeks and days are those of the hours."""
    found = course(ahead([0, 4, 8], [1, 8, 30], [2, 9, 40]), Margin(factor=1.5, standby=2, **RULE))
    assert found.units == (4, 14, 20)  # 3.5, 14, and 47 held back by the maximum
    assert found.total.unit_hours == Band(low=2 + 8 + 14, mid=3.5 + 14 + 20, high=5 + 15.5 + 20)
    assert found.total.usd == found.total.unit_hours.times(0.5)
    assert found.total.peak_units == Band(low=14, mid=20, high=20)
    assert found.total.hours_short == Band(low=0, mid=1, high=1)
    assert found.total.short_by == Band(low=0, mid=27, high=42)


RULE = {"rule": "as replayed", "replayed": True}


def test_the_minimum_is_paid_where_demand_needs_less():
    """Nothing asked still costs the minimum."""
    assert course(flat(24, 0.0)).total.unit_hours.mid == 48.0


def test_weeks_and_days_begin_where_the_outlook_begins_and_the_last_may_be_shorter():
    """Two hundred hours are a week and 32 hours, nine days; they hold the total between them."""
    found = course(flat(200))
    assert [span.hours for span in found.weeks] == [168, 32]
    assert [span.hours for span in found.days] == [24] * 8 + [8]
    assert found.weeks[1].start == datetime(2026, 3, 9, 8, tzinfo=UTC)
    for spans in (found.weeks, found.days):
        assert sum(span.unit_hours.mid for span in spans) == pytest.approx(found.total.unit_hours.mid)


def test_standby_swells_with_an_event_and_an_imitated_one_is_the_least():
    """Hour by hour; what a past event needed is not multiplied again."""
    demand = flat(3, 4.0, swell=np.array([1.0, 2.0, 1.0]), least=np.array([np.nan, np.nan, 9.0]))
    assert course(demand, Margin(factor=1.0, standby=1.0, **RULE)).units == (5, 6, 9)


def test_a_lost_zone_is_spared_for():
    """Three zones of which one may go: half as many again."""
    pool = replace(WEB, ready={"a": 2, "b": 1, "c": 1})
    terms = Terms(pool=pool, rule=PoolPolicy(survive_zone_loss=True))
    assert course(flat(1, 10.0), terms=terms).units == (15,)
    assert course(flat(1, 10.0), terms=replace(terms, rule=PoolPolicy())).units == (10,)


def test_the_quantile_rule_has_whole_units_there_a_lead_time_early():
    """With half an hour of lead time the hour before a rise pays half of it; a fall waits for nothing."""
    rule = Margin(factor=1.0, rule="quantile rule", replayed=False)
    found = course(flat(4, 1.0, least=np.array([2.5, 9.0, 3.0, 3.0])), rule)
    assert found.total.unit_hours.mid == 6.0 + 9.0 + 3.0 + 3.0


def test_what_comes_after_the_last_hour_counts_where_units_must_be_there_early():
    """The forecast reaches a lead time beyond the outlook."""
    rule = Margin(factor=1.0, rule="quantile rule", replayed=False)
    found = course(flat(2, 1.0, least=np.array([3.0, 9.0])), rule, hours=1)
    assert found.total.unit_hours.mid == 6.0


def test_a_price_that_is_not_known_gives_no_money():
    """Unit-hours are there, money is None, and totals name the pool instead of counting it as nothing."""
    found = course(flat(2), terms=Terms(pool=replace(WEB, offerings=()), rule=PoolPolicy()))
    assert (found.unit_usd, found.total.usd, found.total.unit_hours.mid) == (None, None, 20.0)
    totals = outlook(entry("bare", found), entry("web", course(flat(2)))).base
    assert totals.unpriced == ("bare",)
    assert totals.billable_usd == Band(low=10.0, mid=10.0, high=10.0)


def test_money_of_deployments_stands_apart():
    """What is billable is summed; what is allocated is told, and is in no sum of money to pay."""
    pods = Terms(pool=replace(WEB, kind=PoolKind.DEPLOYMENT), rule=PoolPolicy())
    found = outlook(entry("web", course(flat(2))), entry("pods", course(flat(4), terms=pods), billable=False))
    assert (found.base.billable_usd.mid, found.base.allocated_usd.mid) == (10.0, 20.0)
    assert outlook().base.billable_usd is None


def test_totals_of_a_what_if_take_each_pool_as_assumed():
    """A pool that nothing is assumed about counts as it is."""
    changed = replace(entry("web", course(flat(2))), assumed=course(flat(2, 12.0)))
    found = outlook(changed, entry("api", course(flat(2))), what_if=True)
    assert (found.base.billable_usd.mid, found.assumed.billable_usd.mid) == (20.0, 22.0)
    assert outlook(changed).assumed is None


def entry(name, base, *, billable=True):
    """One pool of an outlook."""
    kind = "instance-group" if billable else "deployment"
    return horizon.PoolHorizon(
        pool=name, kind=kind, billable=billable, model="mstl", notes=(), base=base, assumed=None
    )


def outlook(*pools, what_if=False):
    """An outlook of some pools."""
    return horizon.Horizon(
        what_if=what_if, assumptions=(), made_at=START, start=START, hours=2, pools=pools, gaps=()
    )


def test_factor_and_standby_come_back_from_a_replay_that_kept_them():
    """Targets of 2 x demand + 3 give 2 and 3; the warm-up and hours with a missing step do not count."""
    means = np.arange(1, 21)
    demand, targets = hourly(*means).astype(float), hourly(*(2 * means + 3))
    factor, standby = horizon.margin_kept(trial(demand, targets), 1.0)
    assert (factor, standby) == pytest.approx((2.0, 3.0))
    targets[:8], demand[10] = 99, np.nan
    targets[8:12] = 99
    factor, standby = horizon.margin_kept(trial(demand, targets, warmup=8), 1.0)
    assert (factor, standby) == pytest.approx((2.0, 3.0))


def test_units_that_do_not_follow_demand_are_standby():
    """A static pool of 30 is demand itself and what is left of 30 on the average."""
    means = np.array([2, 4, 6, 8])
    factor, standby = horizon.margin_kept(trial(hourly(*means), hourly(30, 30, 30, 30)), 1.0)
    assert (factor, standby) == pytest.approx((1.0, 25.0))


def test_a_scaler_that_keeps_less_than_demand_has_a_factor_below_one():
    """No standby below zero: the factor alone comes to the same unit-hours."""
    means = np.array([10, 20, 30, 40])
    factor, standby = horizon.margin_kept(trial(hourly(*means), hourly(5, 10, 15, 20)), 1.0)
    assert (factor, standby) == pytest.approx((0.5, 0.0))


@pytest.mark.parametrize(("near", "factor"), [(0.5, 0.5), (1.4, 1.4), (9.0, 2.0)])
def test_a_pool_that_stays_at_its_minimum_keeps_the_quantile_rule_as_far_as_that_fits(near, factor):
    """A minimum of 8 over a demand of 4 is kept by any factor up to 2."""
    found = horizon.margin_kept(trial(hourly(4, 4, 2), hourly(8, 8, 8), minimum=8), near)
    assert found == pytest.approx((factor, 0.0))


@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(0, 4), st.floats(0.5, 4))
def test_the_rule_comes_to_the_unit_hours_that_were_kept(seed, hours, minimum, near):
    """Whatever a scaler kept: factor and standby are not below zero and sum to the same unit-hours."""
    chance = np.random.default_rng(seed)
    means = chance.gamma(1.0, 5.0, hours) * (chance.random(hours) < 0.8)
    means[0] += 0.1
    targets = np.maximum(minimum, np.ceil(means * chance.uniform(0.5, 3) + chance.integers(0, 5, hours)))
    factor, standby = horizon.margin_kept(trial(hourly(*means), hourly(*targets), minimum=minimum), near)
    assert min(factor, standby) >= 0
    assert np.maximum(means * factor + standby, minimum).sum() == pytest.approx(targets.sum(), rel=1e-6)


def test_of_a_replay_without_demand_nothing_follows():
    """Nothing asked, nothing scored, or no whole hour: no margin."""
    assert horizon.margin_kept(trial(hourly(0, 0), hourly(1, 1)), 1.0) is None
    assert horizon.margin_kept(trial(hourly(4, 4), hourly(5, 5), warmup=8), 1.0) is None
    assert horizon.margin_kept(trial([4.0, np.nan, 4.0, 4.0], [5, 5, 5, 5]), 1.0) is None


def test_the_quantile_rule_is_the_peaks_times_the_spread_of_the_first_day():
    """Ratio x quantile over median; never less than demand itself."""
    demand = Demand(
        levels=(0.5, 0.99),
        values=np.vstack([np.tile([10.0, 15.0], (24, 1)), np.tile([10.0, 90.0], (24, 1))]),
        swell=np.ones(48),
        least=np.full(48, np.nan),
    )
    assert horizon.quantile_margin(demand, level=0.99, ratio=1.2) == pytest.approx(1.8)
    assert horizon.quantile_margin(demand, level=0.5, ratio=0.9) == 1.0
    nothing = replace(demand, values=demand.values * 0)
    assert horizon.quantile_margin(nothing, level=0.99, ratio=1.2) == 1.2
