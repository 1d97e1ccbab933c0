"""Scalers that learn, in pieces through what is kept: the numbers of one go, and no step twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.types import Series
from policies import learning, memory, scalers
from policies.portfolio import Portfolio
from policies.standing import LEARNS, Rule, Task, misfit, settled_steps

START = datetime(2026, 2, 2, tzinfo=UTC)
STEP_S = 3600


def demand(seed, steps):
    """Hours of a noisy day with a gap now and then, in units."""
    chance = np.random.default_rng(seed)
    y = np.maximum(20 + 10 * np.sin(np.arange(steps) / 24 * 2 * np.pi) + chance.normal(0, 3, steps), 0)
    y[chance.random(steps) < 0.02] = np.nan
    return y


def task(y, *, settled=None, kept=None, scaler="portfolio", pool="web", minimum=1):
    """A pool of that demand."""
    rule = Rule(scaler=scaler, violation=0.01, lead_steps=1)
    return Task(
        pool_id=pool,
        rule=rule,
        minimum=minimum,
        demand=Series(unique_id=pool, start=START, step_s=STEP_S, y=y),
        settled=len(y) if settled is None else settled,
        of=learning.depends_on(rule, minimum, STEP_S, [(pool, 10.0)]),
        kept=kept,
    )


def stored(kept):
    """What was kept, as it comes back from bytes."""
    return replace(kept, memory=memory.unpacked(kept.memory.shape, kept.memory.packed()))


@pytest.mark.parametrize("scaler", sorted(LEARNS))
def test_in_pieces_through_the_store_is_at_once(scaler):
    """From one history come the same sizes and evidence, then and later, however many turns there were."""
    y = demand(1, 24 * 5)
    (whole,) = learning.go_on([task(y[:100], scaler=scaler)])
    kept = None
    for until in (7, 24, 50, 51, 51, 97, 100):
        (step,) = learning.go_on([task(y[:until], scaler=scaler, kept=kept)])
        kept = kept if step.kept is None else stored(step.kept)
    assert step.standing == whole.standing
    assert kept.through == whole.kept.through == START + timedelta(hours=100)
    for until in (110, len(y)):
        later = [learning.go_on([task(y[:until], scaler=scaler, kept=one)])[0] for one in (kept, whole.kept)]
        assert later[0].standing == later[1].standing


@pytest.mark.parametrize("scaler", sorted(LEARNS))
def test_the_size_is_that_of_a_decision_from_the_whole_past(scaler):
    """What is wanted with a memory is what the scaler decides without one."""
    y = demand(2, 24 * 4)
    (step,) = learning.go_on([task(y, scaler=scaler)])
    module = scalers.load(scaler)
    pool = scalers.PoolSettings(start=START, step_s=STEP_S, minimum=np.array([1]))
    settings = scalers.configure(module, pool, {}, violation=0.01)
    live = scalers.decide(module, y[None], None, settings, module.begin(np.ones(1), settings))
    assert step.standing.units == live.tolist()[0]


def test_pools_together_are_each_alone():
    """A pool's size and memory do not depend on who went on beside it."""
    ys = [demand(seed, 24 * 3) for seed in (3, 4, 5)]
    first = learning.go_on([task(y[:60], pool=f"p{n}") for n, y in enumerate(ys)])
    again = [
        task(y, pool=f"p{n}", kept=stored(step.kept))
        for n, (y, step) in enumerate(zip(ys, first, strict=True))
    ]
    assert len({one.likeness for one in again}) == 1
    for alone, together in zip(again, learning.go_on(again), strict=True):
        (single,) = learning.go_on([alone])
        assert single.standing == together.standing
        assert single.kept.memory.shape == together.kept.memory.shape


def test_only_new_steps_are_learnt(monkeypatch):
    """A turn with five new steps learns five, and one without learns none; the step under way is not kept."""
    y = demand(6, 24 * 3)
    (step,) = learning.go_on([task(y[:-5])])
    learnt = []
    advance = Portfolio.advance
    monkeypatch.setattr(
        Portfolio, "advance", lambda self, new, *cut: learnt.append(new.shape[1]) or advance(self, new, *cut)
    )
    (more,) = learning.go_on([task(y, kept=step.kept)])
    assert learnt == [5, 1]
    learnt.clear()
    (none,) = learning.go_on([task(y, kept=more.kept)])
    assert learnt == [1]
    assert none.kept is None
    assert none.standing == more.standing


def test_steps_that_are_not_settled_are_seen_and_not_kept():
    """The newest steps count for the size at once; what is kept ends before them."""
    y = demand(7, 24 * 3)
    (late,) = learning.go_on([task(y, settled=len(y) - 3)])
    (whole,) = learning.go_on([task(y)])
    assert late.standing.units == whole.standing.units
    assert late.kept.steps == len(y) - 3


@given(st.integers(0, 2**32), st.integers(1, 70))
def test_a_future_that_is_cut_off_does_not_change_the_past(seed, until):
    """Causality: what is kept up to a step is the same whatever came after it."""
    y = demand(seed, 72)
    other = np.concatenate([y[:until], np.full(72 - until, 1e6)])
    kept = [learning.go_on([task(one, settled=until, scaler="lead_peak")])[0].kept for one in (y, other)]
    assert kept[0].memory.packed() == kept[1].memory.packed()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"of": "another"}, "settings, bounds, lead time or unit capacity changed"),
        ({"start": START + timedelta(seconds=7)}, "at other times"),
        ({"start": START - timedelta(days=9)}, "no longer known"),
        ({"steps": 999}, "more than is known"),
    ],
)
def test_what_does_not_fit_is_told(change, why):
    """Another rule, another grid, a gap that cannot be filled, a future that was seen: each has its words."""
    y = demand(8, 48)
    (step,) = learning.go_on([task(y, scaler="lead_peak")])
    assert misfit(step.kept, task(y, scaler="lead_peak")) == ""
    assert why in misfit(replace(step.kept, **change), task(y, scaler="lead_peak"))


def test_all_that_is_learnt_from_is_in_the_name():
    """Another violation, setting, lead, minimum, step, series or unit capacity is another name."""
    rule = Rule(scaler="portfolio", violation=0.01, lead_steps=1)
    names = {
        learning.depends_on(rule, 1, 60, [("a", 10.0)]),
        learning.depends_on(replace(rule, violation=0.02), 1, 60, [("a", 10.0)]),
        learning.depends_on(replace(rule, settings=(("violation", 0.02),)), 1, 60, [("a", 10.0)]),
        learning.depends_on(replace(rule, lead_steps=2), 1, 60, [("a", 10.0)]),
        learning.depends_on(replace(rule, scaler="lead_peak"), 1, 60, [("a", 10.0)]),
        learning.depends_on(rule, 2, 60, [("a", 10.0)]),
        learning.depends_on(rule, 1, 300, [("a", 10.0)]),
        learning.depends_on(rule, 1, 60, [("b", 10.0)]),
        learning.depends_on(rule, 1, 60, [("a", 10.1)]),
    }
    assert len(names) == 9


def test_a_step_is_settled_when_every_metric_has_it_or_an_hour_went_by():
    """The slowest metric decides, but none is waited for longer than an hour or three of its steps."""

    def metric(known):
        y = np.full(600, np.nan)
        y[:known] = 1.0
        return Series(unique_id="m", start=START, step_s=60, y=y)

    now = START + timedelta(minutes=600)
    whole = metric(600)
    assert settled_steps(whole, [whole], now) == 600
    assert settled_steps(whole, [whole, metric(590)], now) == 590
    assert settled_steps(whole, [whole, metric(100)], now) == 540
    assert settled_steps(whole, [whole, metric(0)], now) == 540


def test_the_work_at_once_is_bounded():
    """A year of new steps of ten thousand pools is worked on a few at a time, an hour of many."""
    hour = replace(task(demand(9, 48)), settled=0)
    assert 100 < learning.at_once([hour]) <= learning.MOST_AT_ONCE
    minutes = np.zeros(1440 * 3)
    long = replace(hour, demand=Series(unique_id="m", start=START, step_s=60, y=minutes), settled=4320)
    assert 1 <= learning.at_once([long]) <= 8
