"""Laws of a what-if: what changes nothing, what never costs less, what doubles exactly; a band in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policies import horizon
from policies.assumptions import assumed, parse
from policies.model import CapacityType, Demand, Offering
from policies.policy import PoolPolicy
from tests.laws.strategies import simple_pool

START = datetime(2026, 3, 2, tzinfo=UTC)
LEVELS = (0.1, 0.5, 0.9, 0.99)
ZONES = ({"a": 4}, {"a": 2, "b": 2}, {"a": 2, "b": 1, "c": 1})


@st.composite
def cases(draw):
    """A pool with one or two metrics, their quantiles, a margin, declared events."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    hours = draw(st.integers(1, 60))
    metrics = tuple(
        Demand(series=name, unit_capacity=float(chance.choice([0.5, 1.0, 7.0])))
        for name in ("a", "b")[: draw(st.integers(1, 2))]
    )
    price = Offering(
        instance_type="m",
        zone="a",
        capacity_type=CapacityType.ON_DEMAND,
        hourly_usd=float(chance.choice([0.0, 0.096, 1.7])),
    )
    pool = replace(
        simple_pool("web", 4, minimum=int(chance.integers(0, 6)), maximum=int(chance.integers(6, 60))),
        demands=metrics,
        offerings=(price,),
        ready=ZONES[chance.integers(3)],
        lead_time_s=int(chance.choice([0, 60, 1800, 3600, 5400])),
    )
    values = [chance.gamma(2.0, 4.0, (hours + 2, len(LEVELS))) for _ in metrics]  # quantiles out of order too
    replayed = draw(st.booleans())
    margin = horizon.Margin(
        factor=float(chance.choice([0.8, 1.0, 1.3])),
        standby=float(chance.choice([0.0, 2.5])) if replayed else 0.0,
        rule="drawn",
        replayed=replayed,
    )
    rule = PoolPolicy(survive_zone_loss=draw(st.booleans()))
    return pool, rule, values, margin, chance.choice([1.0, 1.0, 2.0], hours + 2)


def course(case, *texts):
    """The pool's course under assumptions."""
    pool, rule, values, margin, events = case
    terms = assumed(pool, rule, [parse(text) for text in texts])
    capacities = [demand.unit_capacity for demand in terms.pool.demands]
    parts = [(one * events[:, None], capacity) for one, capacity in zip(values, capacities, strict=True)]
    demand = horizon.Demand(
        levels=LEVELS,
        values=horizon.hourly_demand(terms, parts),
        swell=terms.swell * events,
        least=np.full(len(events), np.nan),
    )
    return horizon.course(terms, demand, margin=margin, start=START, hours=len(events) - 2)


def spans(found):
    """The total, the weeks, the days."""
    return (found.total, *found.weeks, *found.days)


def bands(span):
    """Every figure of a span."""
    return (span.unit_hours, span.usd, span.peak_units, span.hours_short, span.short_by)


def no_less(before, after):
    """Whether nothing is less in any figure of any span, but for rounding."""
    return all(
        getattr(new, part) >= getattr(old, part) * (1 - 1e-12)
        for span, later in zip(spans(before), spans(after), strict=True)
        for old, new in zip(bands(span), bands(later), strict=True)
        for part in ("low", "mid", "high")
    )


@given(cases())
def test_a_band_is_in_order(case):
    """From low over mid to high in every figure, whatever the order of the forecast's quantiles."""
    for span in spans(course(case)):
        assert all(band.low <= band.mid <= band.high for band in bands(span))


@given(cases(), st.sampled_from(["demand*1", "demand+0", "price*1", "lead-time+0s", "unit-capacity*1"]))
def test_what_assumes_nothing_changes_nothing(case, text):
    """A factor of one and a sum of nothing give the very same figures."""
    assert course(case, text) == course(case)


@given(cases(), st.floats(1, 5), st.floats(0, 50))
def test_more_demand_never_costs_less(case, factor, more):
    """Nor has it a lower peak, or fewer hours held back."""
    base = course(case)
    assert no_less(base, course(case, f"demand*{factor!r}"))
    assert no_less(base, course(case, f"demand+{more!r}"))
    assert no_less(base, course(case, f"demand+{more!r}", f"demand*{factor!r}"))


@given(cases(), st.floats(1, 5))
def test_a_larger_unit_never_takes_more_of_them(case, factor):
    """Under a unit capacity that grew, no figure grows."""
    assert no_less(course(case, f"unit-capacity*{factor!r}"), course(case))


@given(cases(), st.sampled_from([2, 4, 0.5]))
def test_demand_and_units_that_grow_alike_cancel(case, factor):
    """Twice the demand on units that serve twice as much is the same."""
    assert course(case, f"demand*{factor}", f"unit-capacity*{factor}") == course(case)


@given(cases())
def test_a_double_price_doubles_money_exactly_and_nothing_else(case):
    """To the last bit, for powers of two are exact."""
    base, double = course(case), course(case, "price*2")
    assert double.units == base.units
    for before, after in zip(spans(base), spans(double), strict=True):
        assert after.usd == before.usd.times(2)
        assert after.unit_hours == before.unit_hours


@given(cases(), st.integers(0, 40))
def test_bounds_are_kept(case, more):
    """No hour is outside of minimum and maximum; a higher maximum holds back no more."""
    found, wide = course(case), course(case, f"maximum+{more}")
    assert all(case[0].minimum <= units <= case[0].maximum for units in found.units)
    assert wide.total.hours_short.high <= found.total.hours_short.high
    assert wide.total.unit_hours.mid >= found.total.unit_hours.mid


@given(cases())
def test_spans_hold_the_total_between_them(case):
    """Days and weeks follow each other without a hole, and their unit-hours add up."""
    found = course(case)
    for parts in (found.weeks, found.days):
        assert all(
            one.start.timestamp() + one.hours * 3600 == b.start.timestamp() for one, b in pairwise(parts)
        )
        assert np.isclose(sum(span.unit_hours.mid for span in parts), found.total.unit_hours.mid)
        assert sum(span.hours_short.high for span in parts) == found.total.hours_short.high
