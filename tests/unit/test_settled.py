"""Pools settled by what they really did: learnt figures, their fallbacks, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from autoscaler import config
from autoscaler.errors import ConfigError
from autoscaler.settled import settle
from forecasts.frame import gate
from forecasts.limits import Code, Limits
from forecasts.types import Series
from policies.model import Gap, Pool
from tests.worlds import learnt

POOL = """\
pools:
  web:
    provider: fake
    minimum: 2
    maximum: 60
    lead_time: 9m
    observed: {desired: web_desired, ready: web_ready}
    demands:
      - {series: web_requests, unit_capacity: learn, utilization: {series: web_cpu, target: 70%}}
"""


@pytest.fixture(scope="module")
def seen():
    """Nine days of the pool's series."""
    start = learnt.END - timedelta(days=learnt.DAYS)
    return {
        name: Series(unique_id=name, start=start, step_s=learnt.STEP_S, y=y)
        for name, y in learnt.series().items()
    }


@pytest.fixture
def loaded(tmp_path):
    """Loads a text as the configuration."""

    def load(text=POOL):
        (tmp_path / "loadline.yaml").write_text(learnt.CONFIGURATION + text)
        return config.load(str(tmp_path / "loadline.yaml"))

    return load


def settled(declared, seen, history=None):
    """The pool as it is decided on."""
    return settle(declared.seed(), declared, seen if history is None else history, seen=seen, now=learnt.END)


def told(pool):
    """What is said of each figure, by its name."""
    assert isinstance(pool, Pool)
    return {one.name: one.why for one in pool.learnt}


def test_what_the_pool_did_counts_more_than_what_was_declared(loaded, seen):
    """Lead time and unit capacity are learnt, and each is told with the series that it comes from."""
    pool = settled(loaded().pools["web"], seen)
    assert pool.lead_time_s in {240, 300}
    (demand,) = pool.demands
    assert demand.unit_capacity == pytest.approx(0.7 * learnt.CAPACITY, rel=0.02)
    assert [(one.name, one.value, one.unit, one.source) for one in pool.learnt] == [
        ("lead time", pool.lead_time_s, "s", "web_ready"),
        ("unit capacity", demand.unit_capacity, "", "web_requests"),
    ]


def test_a_declared_figure_holds_until_something_was_learnt(loaded, seen):
    """Without the pool's own series, or with a day too few, what was declared is used and told."""
    declared = loaded(POOL.replace("unit_capacity: learn", "unit_capacity: 55")).pools["web"]
    alone = {"web_requests": seen["web_requests"]}
    pool = settled(declared, alone)
    assert (pool.lead_time_s, pool.demands[0].unit_capacity) == (540, 55)
    assert told(pool) == {
        "lead time": "as declared: web_desired was not seen",
        "unit capacity": "as declared: web_ready was not seen",
    }
    short = {
        name: replace(one, start=learnt.END - timedelta(minutes=30), y=one.y[-30:])
        for name, one in seen.items()
    }
    pool = settled(declared, short)
    assert (pool.lead_time_s, pool.demands[0].unit_capacity) == (540, 55)
    assert all(line.startswith("as declared: ") for line in told(pool).values())


def test_a_pool_without_any_figure_is_a_gap_that_says_what_to_write(loaded, seen):
    """`unit_capacity: learn` has no figure of its own: until it is learnt the pool is not sized."""
    found = settled(loaded().pools["web"], {"web_requests": seen["web_requests"]})
    assert found == Gap(
        source="web",
        code="NO_UNIT_CAPACITY",
        why="web_requests has no unit capacity yet: web_ready was not seen; "
        "give a figure that holds until it is learnt",
    )


def test_what_is_set_aside_teaches_no_capacity(loaded, seen):
    """Masked steps, and those of an event brought to the usual, are absent, whatever they hold."""
    declared = loaded().pools["web"]
    y = seen["web_requests"].y
    masked, usual = y.copy(), y.copy()
    masked[2000:3000], usual[2000:3000] = np.nan, 0.5 * y[2000:3000]
    pools = [
        settled(declared, seen, {**seen, "web_requests": replace(seen["web_requests"], y=shown)})
        for shown in (y, masked, usual)
    ]
    assert pools[1] == pools[2]
    assert told(pools[1])["unit capacity"] != told(pools[0])["unit capacity"]


@pytest.mark.parametrize(("unit", "objective"), [("s", 0.25), ("ms", 250.0), ("us", 250_000.0)])
def test_a_latency_objective_comes_to_the_unit_of_its_series(loaded, unit, objective):
    """250ms of a series in seconds is 0.25, in milliseconds 250."""
    text = POOL.replace(
        "utilization: {series: web_cpu, target: 70%}",
        f"latency: {{series: web_p95, objective: 250ms, unit: {unit}}}",
    )
    assert loaded(text).pools["web"].demands[0].latency.objective == pytest.approx(objective)


def test_the_series_learnt_from_are_asked_for_with_the_others(loaded):
    """Demand first, then the pool's sizes and how full it was; the sizes are known to stand still."""
    configuration = loaded()
    assert configuration.series() == ("web_requests", "web_desired", "web_ready", "web_cpu")
    assert configuration.counts() == {"web_desired", "web_ready"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    observed: {desired: web_desired, ready: web_ready}\n",
            "",
            "pools.web.demands.0.utilization: needs the units that served; add observed: {ready: SERIES}",
        ),
        (
            ", utilization: {series: web_cpu, target: 70%}",
            "",
            "unit_capacity: learn needs utilization: {series, target} or latency: {series, objective}",
        ),
        ("unit_capacity: learn, ", "", "one of them is needed (unit_capacity: learn has no figure until"),
        ("unit_capacity: learn", "unit_capacity: lern", "'lern'"),
        ("target: 70%}", "target: 70%}, latency: {series: l, objective: 1s}", "not both"),
        ("target: 70%", "target: 0%", "must be above 0"),
        ("ready: web_ready", "ready: web_desired", "is the series of ready too"),
        ("ready: web_ready", "ready: web_requests", "'web_requests' is demand of this pool too"),
        ("ready: web_ready", "redy: web_ready", "did you mean ready?"),
        (
            "series: web_cpu, target: 70%",
            "series: web_cpu",
            "pools.web.demands.0.utilization.target: is missing",
        ),
        (
            "utilization: {series: web_cpu, target: 70%}",
            "latency: {series: l, objective: 250}",
            "250 is no latency; write 250ms or 1.5s",
        ),
    ],
)
def test_a_slip_is_named_with_its_line_and_its_mend(loaded, old, new, message):
    """Each is one line with file, line and key, and what to write."""
    assert old in POOL
    with pytest.raises(ConfigError) as error:
        loaded(POOL.replace(old, new))
    assert message in str(error.value)
    assert "loadline.yaml:" in str(error.value)


def test_f14_a_pool_that_rests_is_no_stuck_metric():
    """The count of units may stand still after it moved for days; any other series would be stuck."""
    y = np.r_[10.0 + np.arange(600) % 7, np.full(400, 12.0)]
    ds = np.datetime64("2026-03-01", "us") + np.arange(y.size) * np.timedelta64(60, "s")
    names = np.full(y.size, "web_ready", dtype=object)
    plain = gate(names, ds, y, Limits(), strict=False)
    assert plain.refused["web_ready"].code is Code.STUCK
    assert not gate(names, ds, y, Limits(steady=frozenset({"web_ready"})), strict=False).refused


@pytest.mark.parametrize(
    ("own", "bounds", "said"),
    [
        ((0, 100), (2, 60), {}),
        ((5, 100), (5, 60), {"minimum": "web itself has a minimum of 5, 2 is declared"}),
        ((0, 40), (2, 40), {"maximum": "web itself has a maximum of 40, 60 is declared"}),
    ],
)
def test_the_providers_own_bounds_hold_within_the_declared_ones(loaded, seen, own, bounds, said):
    """What the group itself would refuse is never planned, and the plan tells by whose bound."""
    declared = loaded().pools["web"]
    pool = replace(declared.seed(), minimum=own[0], maximum=own[1])
    known = settle(pool, declared, seen, seen=seen, now=learnt.END)
    assert (known.minimum, known.maximum) == bounds
    assert {one.name: one.why for one in known.learnt if one.unit == "units"} == said


def test_bounds_without_a_size_in_common_are_a_gap(loaded, seen):
    """Where the declared bounds lie wholly outside the group's own nobody knows what is meant."""
    declared = loaded().pools["web"]
    pool = replace(declared.seed(), minimum=70, maximum=100)
    gap = settle(pool, declared, seen, seen=seen, now=learnt.END)
    assert isinstance(gap, Gap)
    assert gap.code == "BOUNDS"
    assert "70" in gap.why


@pytest.mark.parametrize(
    ("own", "declared", "least"), [(3, None, 3), (3, 5, 3), (5, 2, 2), (None, None, None)]
)
def test_the_narrower_limit_on_one_shrink_holds(loaded, seen, own, declared, least):
    """What the provider itself lets go at once is widened by no configuration that says more or nothing."""
    pool = loaded().pools["web"]
    settings = replace(pool, maximum_step_in=declared, labels={"team": "shop", "a": "1"})
    shown = replace(pool.seed(), maximum_step_in=own, labels={"a": "2"})
    found = settle(shown, settings, seen, seen=seen, now=learnt.END)
    assert isinstance(found, Pool)
    assert found.maximum_step_in == least
    assert found.labels == {"team": "shop", "a": "2"}
