"""The grammar of assumptions, and what they make of a pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies.assumptions import NAMES, AssumptionError, assumed, known, parse
from policies.model import CapacityType, Demand, Offering
from policies.policy import PoolPolicy
from tests.laws.strategies import simple_pool

PRICES = tuple(
    Offering(instance_type="m", zone="a", capacity_type=kind, hourly_usd=usd)
    for kind, usd in ((CapacityType.ON_DEMAND, 0.2), (CapacityType.SPOT, 0.05))
)
WEB = replace(
    simple_pool("web", 4, minimum=2, maximum=60, offerings=PRICES),
    demands=(Demand(series="web", unit_capacity=10.0), Demand(series="jobs", unit_capacity=4.0)),
)


def terms(*texts, pool=WEB):
    """The pool under assumptions."""
    return assumed(pool, PoolPolicy(violation=0.01), [parse(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "pool", "name", "sign", "value"),
    [
        ("demand*1.5", "", "demand", "*", 1.5),
        ("demand*150%", "", "demand", "*", 1.5),
        (" web:price = 0.2 ", "web", "price", "=", 0.2),
        ("lead-time+3m", "", "lead-time", "+", 180),
        ("lead-time+-3m", "", "lead-time", "+", -180),
        ("violation=2%", "", "violation", "=", 0.02),
        ("a:b:minimum=3", "a:b", "minimum", "=", 3),
        ("unit-capacity=500m", "", "unit-capacity", "=", 0.5),
        ("maximum+10", "", "maximum", "+", 10),
    ],
)
def test_an_assumption_is_read(text, pool, name, sign, value):
    """POOL, NAME, sign and value in base units."""
    found = parse(text)
    assert (found.pool, found.name, found.sign) == (pool, name, sign)
    assert found.value == pytest.approx(value)
    assert found.text == text.strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("demnd*2", "did you mean demand?"),
        ("colour*2", "there are demand, price"),
        ("demand", "write demand\\*1.5"),
        ("", "assumes nothing"),
        (":demand*2", "assumes nothing"),
        ("demand*x", "no factor; write 1.5 or 150%"),
        ("demand*nan", "no factor from 0"),
        ("demand*-1", "no factor from 0"),
        ("demand*", "is no factor"),
        ("price=-1", "no price"),
        ("demand=-1", "cannot be below zero"),
        ("minimum=2.5", "no whole number"),
        ("lead-time+3", "write 5m"),
    ],
)
def test_what_does_not_parse_says_what_would(text, words):
    """The message holds the text that was given and the nearest word or the form."""
    with pytest.raises(AssumptionError, match=words) as caught:
        parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_factor_of_one_changes_nothing(name):
    """NAME*1 leaves every name as it is."""
    assert terms(f"{name}*1") == terms()


def test_each_name_changes_what_it_names():
    """Demand is kept as scale and shift, the rest is in the pool and its policy."""
    found = terms("demand*2", "demand+5", "price*3", "lead-time=7m", "unit-capacity*2", "minimum+1")
    assert (found.scale, found.shift) == (2.0, 5.0)
    np.testing.assert_array_equal(found.demand(np.array([1.0, -9.0])), [7.0, 0.0])
    assert [offering.hourly_usd for offering in found.pool.offerings] == pytest.approx([0.6, 0.15])
    assert (found.pool.lead_time_s, found.pool.minimum) == (420, 3)
    assert [demand.unit_capacity for demand in found.pool.demands] == [20.0, 8.0]
    other = terms("maximum*1.5", "violation=5%")
    assert (other.pool.maximum, other.rule.violation) == (90, 0.05)


def test_assumptions_are_put_in_their_order():
    """First more and then twice is not first twice and then more; a later `=` forgets what was before."""
    assert terms("demand+5", "demand*2").shift == 10.0
    assert terms("demand*2", "demand+5").shift == 5.0
    assert terms("demand*2", "demand=5") == terms("demand=5")


def test_standby_follows_the_scale_of_demand_and_the_size_of_a_unit():
    """Twice the demand on units twice as large is nothing new; a flat demand needs no standby."""
    assert terms("demand*2", "unit-capacity*2").swell == 1.0
    assert terms("unit-capacity=1").swell == 10.0  # the metric whose units shrink most
    assert terms("demand+5").swell == 1.0
    assert terms("demand=5").swell == 0.0


def test_an_assumption_about_one_pool_leaves_the_others():
    """POOL: is that pool alone, and the name before it may hold a colon."""
    assert terms("api:demand*2", "web:minimum=5").scale == 1.0
    assert terms("api:demand*2", "web:minimum=5").pool.minimum == 5


def test_an_unknown_price_can_be_set_but_has_no_double():
    """What is not known stays unknown times two; `=` makes it known."""
    bare = replace(WEB, offerings=())
    assert terms("price*2", pool=bare).pool.offerings == ()
    assert terms("price+1", pool=bare).pool.offerings == ()
    (set_to,) = terms("price=0.3", pool=bare).pool.offerings
    assert set_to.hourly_usd == 0.3


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("minimum=61",), "a minimum of 61 is assumed over a maximum of 60"),
        (("minimum+-3",), "a minimum of -1; it is from 0"),
        (("maximum*0",), "a maximum of 0; it is from 1"),
        (("maximum=1e13",), "it is from 1 to 1e\\+12"),
        (("violation=90%",), "from 0.0001 % to 50 %"),
        (("unit-capacity*0",), "it is from 1e-0?9 to"),
        (("price+-1",), "a price below zero"),
        (("lead-time=9d",), "from 0s to a week"),
        (("lead-time+-10m",), "from 0s to a week"),
    ],
)
def test_what_no_pool_can_be_under_is_refused(texts, words):
    """The message names the pool and what is possible."""
    with pytest.raises(AssumptionError, match=words) as caught:
        terms(*texts)
    assert "web" in str(caught.value)


def test_bounds_may_cross_on_the_way():
    """Only what stands at the end counts: minimum first and then maximum is as good as the other way."""
    assert terms("minimum=80", "maximum=100") == terms("maximum=100", "minimum=80")


def test_a_pool_that_is_not_there_is_named_with_the_nearest():
    """A wrong pool is no pool with nothing to assume."""
    with pytest.raises(AssumptionError, match="no pool 'wbe'; did you mean web"):
        known([parse("wbe:demand*2")], ["api", "web"])
    known([parse("web:demand*2"), parse("demand*2")], ["api", "web"])
