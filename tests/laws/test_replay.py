"""Laws of the plant, each function also against a slow second writing of its definition."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import replay
from policies.policy import Step
from policies.replay import Plant, clairvoyant, obey, paid, ready, scores, waiting

seeds = st.integers(0, 2**32)
leads = st.integers(0, 700)


def drawn(seed, steps=None):
    """Demand [2, steps] with gaps, targets of any size, and a plant of five-minute leads."""
    chance = np.random.default_rng(seed)
    steps = steps or int(chance.integers(1, 50))
    demand = np.round(chance.gamma(1.5, 4.0, (2, steps)), 2)
    demand[chance.random((2, steps)) < chance.choice([0, 0.2])] = np.nan
    targets = np.repeat(chance.integers(0, 15, (2, steps)), chance.integers(1, 4), axis=1)[:, :steps]
    return chance, demand, targets


def some_plant(chance, **other) -> Plant:
    def step():
        return Step(units=int(chance.integers(1, 4)), share=float(chance.choice([0, 0.5, 1])))

    return Plant(
        step_s=int(chance.choice([30, 60, 300])),
        lead_s=int(chance.integers(0, 700)),
        minimum=int(chance.integers(0, 4)),
        scale_in_delay_s=int(chance.choice([0, 45, 300, 1000])),
        step_out=None if chance.random() < 0.5 else step(),
        step_in=None if chance.random() < 0.5 else step(),
        cool_down_in_s=int(chance.choice([0, 0, 61, 300])),
        **other,
    )


@given(seeds, leads)
def test_ready_is_the_least_target_of_the_lead_time(seed, lead_s):
    """ready[t] = min(T[t-L..t]) by definition; never more than was asked for."""
    _, _, targets = drawn(seed)
    plant = Plant(step_s=60, lead_s=lead_s)
    got = ready(targets, plant)
    for t in range(targets.shape[1]):
        assert np.array_equal(got[:, t], targets[:, max(0, t - plant.lead_steps) : t + 1].min(axis=1))
    assert (got <= targets).all()


@given(seeds, leads)
def test_the_clairvoyant_is_the_largest_demand_of_the_lead_time(seed, lead_s):
    """ceil(max(y[t..t+L])) by definition, missing steps asking for nothing."""
    _, demand, _ = drawn(seed)
    plant = Plant(step_s=60, lead_s=lead_s, minimum=2)
    got = clairvoyant(demand, plant)
    for (i, t), size in np.ndenumerate(got):
        reach = [y for y in demand[i, t : t + plant.lead_steps + 1] if not math.isnan(y)]
        assert size == max(2, math.ceil(max(reach, default=0)))


@given(seeds, leads)
def test_nothing_without_violations_is_cheaper_than_the_clairvoyant(seed, lead_s):
    """The clairvoyant never violates; targets at or above it never do; any that do not cost as much."""
    chance, demand, targets = drawn(seed)
    plant = Plant(step_s=60, lead_s=lead_s)
    least = clairvoyant(demand, plant)
    warmup = int(chance.integers(0, demand.shape[1]))
    for one in scores(demand, least, plant, warmup_steps=warmup):
        assert one.violation == 0
        assert one.unserved == 0
        assert one.cost == one.clairvoyant
    lifted = np.maximum(targets, least - chance.integers(0, 2, targets.shape))
    for one in scores(demand, lifted, plant, warmup_steps=warmup):
        if one.violation == 0:
            assert one.cost >= one.clairvoyant


@given(seeds, leads)
def test_any_fewer_units_than_the_clairvoyant_violate(seed, lead_s):
    """The bound is tight: a unit less at any step that has demand leaves some step short."""
    chance, demand, _ = drawn(seed)
    plant = Plant(step_s=60, lead_s=lead_s, minimum=0)
    least = clairvoyant(demand, plant)
    t = int(chance.integers(0, demand.shape[1]))
    if least[0, t] > 0:
        least[0, t] -= 1
        assert scores(demand, least, plant, warmup_steps=0)[0].violation > 0


@given(seeds, st.booleans())
def test_more_capacity_never_violates_more(seed, backlog):
    """Higher targets: no more violation, no more unserved, no less cost; with a backlog too."""
    chance, demand, targets = drawn(seed)
    plant = Plant(step_s=60, lead_s=int(chance.integers(0, 400)), backlog=backlog)
    more = targets + chance.integers(0, 4, targets.shape)
    for less, rich in zip(
        scores(demand, targets, plant, warmup_steps=0),
        scores(demand, more, plant, warmup_steps=0),
        strict=True,
    ):
        assert rich.violation <= less.violation
        assert rich.unserved <= less.unserved + 1e-12
        assert rich.cost >= less.cost


@given(seeds, leads, st.integers(0, 300))
def test_a_longer_lead_time_never_violates_less(seed, lead_s, more_s):
    """The same targets with slower units: no fewer violations, the same cost."""
    _, demand, targets = drawn(seed)
    quick = scores(demand, targets, Plant(step_s=60, lead_s=lead_s), warmup_steps=0)
    slow = scores(demand, targets, Plant(step_s=60, lead_s=lead_s + more_s), warmup_steps=0)
    for one, other in zip(quick, slow, strict=True):
        assert other.violation >= one.violation
        assert other.cost == one.cost


@given(seeds)
def test_a_figure_is_the_sum_of_its_steps(seed):
    """Cost, violation and unserved of a slow loop over the scored steps that are there."""
    chance, demand, targets = drawn(seed)
    plant = Plant(step_s=300, lead_s=int(chance.integers(0, 1500)))
    warmup = int(chance.integers(0, demand.shape[1]))
    serving = ready(targets, plant)
    for i, got in enumerate(scores(demand, targets, plant, warmup_steps=warmup)):
        steps = [t for t in range(warmup, demand.shape[1]) if not math.isnan(demand[i, t])]
        assert got.steps == len(steps)
        assert got.cost == sum(int(targets[i, t]) for t in steps) * 300 / 3600
        short = [max(0.0, demand[i, t] - serving[i, t]) for t in steps]
        assert got.violation == (sum(s > 0 for s in short) / len(steps) if steps else 0)
        total = sum(demand[i, t] for t in steps)
        assert got.unserved == pytest.approx(sum(short) / total if total else 0)


def slowly_obeyed(wanted, plant):
    """One series, one step at a time, from the words of `Plant`."""
    delay = math.ceil(plant.scale_in_delay_s / plant.step_s)
    out = []
    changed = None
    for t in range(len(wanted)):
        goal = max(wanted[max(0, t - delay) : t + 1])
        now = out[-1] if out else goal
        if goal > now and plant.step_out:
            goal = min(goal, now + plant.step_out.limit(now))
        if goal < now:
            if changed is not None and (t - changed) * plant.step_s < plant.cool_down_in_s:
                goal = now
            elif plant.step_in:
                goal = max(goal, now - plant.step_in.limit(now))
        if goal != now:
            changed = t
        out.append(goal)
    return out


@given(seeds)
def test_targets_are_obeyed_as_the_options_say(seed):
    """Delay, steps and cool-down together are those of the slow second writing."""
    chance, _, wanted = drawn(seed)
    plant = some_plant(chance)
    wanted = np.maximum(wanted, plant.minimum)
    assert obey(wanted, plant).tolist() == [slowly_obeyed(row, plant) for row in wanted.tolist()]


@given(seeds, st.data())
def test_the_plant_does_not_see_the_future(seed, data):
    """What is obeyed and what serves up to t is the same whatever is asked for later."""
    chance, _, wanted = drawn(seed, steps=30)
    plant = some_plant(chance, lead_jitter=float(chance.choice([0, 0.5])))
    t = data.draw(st.integers(1, 29))
    other = wanted.copy()
    other[:, t:] = chance.integers(0, 15, other[:, t:].shape)
    one, two = obey(wanted, plant), obey(other, plant)
    assert np.array_equal(one[:, :t], two[:, :t])
    assert np.array_equal(ready(one, plant)[:, :t], ready(two, plant)[:, :t])


@given(seeds)
def test_without_options_targets_are_obeyed_as_they_are(seed):
    """The bare plant changes nothing and bills what was asked."""
    _, _, targets = drawn(seed)
    plant = Plant(step_s=60, lead_s=300)
    assert np.array_equal(obey(targets, plant), targets)
    assert np.array_equal(paid(targets, plant), targets)


@given(seeds, st.sampled_from([61, 119, 290, 299]))
def test_a_jitter_of_almost_nothing_is_no_jitter(seed, lead_s):
    """Unit by unit with lead times that hardly vary gives what the bare plant gives."""
    _, _, targets = drawn(seed)
    plant = Plant(step_s=60, lead_s=lead_s, seed=seed % 100)
    assert np.array_equal(ready(targets, replace(plant, lead_jitter=1e-9)), ready(targets, plant))


@given(seeds)
def test_jittered_units_never_serve_before_they_were_asked_for(seed):
    """However short a lead time is drawn, a unit waits a step, and no more serve than were asked for."""
    _, _, targets = drawn(seed)
    plant = Plant(step_s=60, lead_s=300, lead_jitter=1.0, seed=seed)
    got = ready(targets, plant)
    assert (got <= targets).all()
    assert (got <= ready(targets, Plant(step_s=60, lead_s=1))).all()


@given(seeds, st.sampled_from([60, 90, 300, 3600]))
def test_each_unit_is_paid_from_its_launch_to_its_end_or_its_minimum(seed, minimum_s):
    """A queue of launches, first begun first ended, pays each unit at least so long."""
    _, _, targets = drawn(seed)
    plant = Plant(step_s=60, lead_s=60, billing_minimum_s=minimum_s)
    got = paid(targets, plant)
    for i, row in enumerate(targets.tolist()):
        bill, running, before = [0] * len(row), [], 0
        for t, size in enumerate([*row, 0]):
            running += [t] * (size - before)
            for _ in range(before - size):
                begun = running.pop(0)
                until = t if t == len(row) else max(t, begun + math.ceil(minimum_s / 60))
                for step in range(begun, min(until, len(row))):
                    bill[step] += 1
            before = size
        assert got[i].tolist() == bill
    assert (got >= targets).all()


@given(seeds)
def test_a_backlog_is_kept_until_it_is_served(seed):
    """Nothing is lost: what came is what was served and what still waits."""
    _, demand, serving = drawn(seed)
    load = waiting(demand, serving)
    for i in range(len(demand)):
        there = ~np.isnan(demand[i])
        served = np.minimum(load[i], serving[i])[there].sum()
        waits = max(0.0, load[i][there][-1] - serving[i][there][-1]) if there.any() else 0.0
        assert served + waits == pytest.approx(np.nansum(demand[i]))
        assert (load[i][there] >= demand[i][there]).all()


@given(seeds, st.integers(1, 7200))
def test_actions_and_reversals_are_counted_one_by_one(seed, step_s):
    """An action is T[t] != T[t-1] in the scored part, a reversal turns the last within an hour."""
    chance, _, targets = drawn(seed)
    row = targets[0]
    warmup = int(chance.integers(0, len(row)))
    done, turned, last = 0, 0, None
    for t in range(max(1, warmup), len(row)):
        sign = int(np.sign(row[t] - row[t - 1]))
        if sign:
            done += 1
            turned += last is not None and last[1] == -sign and (t - last[0]) * step_s <= 3600
            last = (t, sign)
    days = (len(row) - warmup) * step_s / 86400
    assert replay.actions(row, step_s, warmup_steps=warmup) == pytest.approx((done / days, turned / days))
