"""Laws of the plan: bounds, one plan for one world, JSON, fixed point, undo, live demand, budgets."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policies import planner
from policies.conditions import NO_CONDITIONS
from policies.model import Snapshot, plain
from policies.plan import ActionKind, Change, Guard, PlanError
from policies.plan_json import plan_from_json, plan_to_json
from policies.policy import Interlocks, Policy, PoolPolicy, Scope, Step
from tests.laws import strategies as draw

WIDE = Step(units=1000, share=1.0)


def plan(world, **other):
    parts = {"snapshot": world.snapshot, "outlooks": world.outlooks, "policy": world.policy} | other
    more = {key: parts.pop(key, getattr(world, key)) for key in ("changes", "conditions")}
    return planner.plan(parts["snapshot"], parts["outlooks"], parts["policy"], **more)


def sizes(world, made):
    """The size of each pool once the plan is applied."""
    return {pool.id: pool.desired for pool in world.snapshot.pools} | {
        a.target: a.after for a in made.actions
    }


def applied(world, made):
    """The world as a perfect cloud makes it at once."""
    after = sizes(world, made)
    now = world.snapshot.taken_at
    pools = tuple(
        pool
        if after[pool.id] == pool.desired
        else replace(pool, desired=after[pool.id], last_scaled_at=now, version=f"{pool.version}+")
        for pool in world.snapshot.pools
    )
    done = tuple(Change(target=a.target, at=now, before=a.before, after=a.after) for a in made.actions)
    return replace(world, snapshot=Snapshot(taken_at=now, pools=pools), changes=world.changes + done)


@given(draw.worlds())
def test_capacity_ends_within_its_bounds_or_nearer_to_them(world):
    """P1: after an action a pool is within [minimum, maximum], or it was not and has come nearer."""
    bounds = {pool.id: pool for pool in world.snapshot.pools}
    for action in plan(world).actions:
        pool = bounds[action.target]
        assert action.before == pool.desired != action.after
        assert action.after >= pool.minimum or action.after > action.before
        assert action.after <= pool.maximum or action.after < action.before


@given(draw.worlds(), st.randoms(use_true_random=False))
def test_a_plan_is_the_same_whatever_the_order_of_its_inputs(world, chance: random.Random):
    """Pools, outlooks, changes and rules in another order, or the same twice, give the same plan."""

    def shuffled(values):
        values = list(values)
        chance.shuffle(values)
        return values

    made = plan(world)
    again = plan(
        world,
        snapshot=replace(world.snapshot, pools=tuple(shuffled(world.snapshot.pools))),
        outlooks=dict(shuffled(world.outlooks.items())),
        policy=replace(world.policy, pools=MappingProxyType(dict(shuffled(world.policy.pools.items())))),
        changes=shuffled(world.changes),
    )
    assert plan(world) == made
    assert replace(again, snapshot_digest=made.snapshot_digest) == made
    assert again.id == made.id


def _moved(world, later: timedelta):
    """The same world at another moment, of another version, at three times the price."""

    def shift(moment):
        return None if moment is None else moment + later

    pools = tuple(
        replace(
            pool,
            version=f"{pool.version}-9",
            last_scaled_at=shift(pool.last_scaled_at),
            offerings=tuple(replace(o, hourly_usd=3 * o.hourly_usd) for o in pool.offerings),
        )
        for pool in world.snapshot.pools
    )
    return replace(
        world,
        snapshot=Snapshot(taken_at=shift(world.snapshot.taken_at), pools=pools),
        outlooks={
            name: replace(outlook, demand=replace(outlook.demand, start=shift(outlook.demand.start)))
            for name, outlook in world.outlooks.items()
        },
        policy=replace(
            world.policy,
            plan_ttl_s=60,
            freezes=tuple(replace(freeze, until=shift(freeze.until)) for freeze in world.policy.freezes),
            money=tuple(replace(limit, usd=3 * limit.usd) for limit in world.policy.money),
        ),
        changes=tuple(replace(change, at=shift(change.at)) for change in world.changes),
        conditions=_moved_conditions(world.conditions, shift),
    )


def _moved_conditions(known, shift):
    return replace(
        known,
        readings={name: replace(one, at=shift(one.at)) for name, one in known.readings.items()},
        in_flight={name: shift(at) for name, at in known.in_flight.items()},
        growing={name: shift(at) for name, at in known.growing.items()},
        freezes=tuple(replace(freeze, until=shift(freeze.until)) for freeze in known.freezes),
        approvals=tuple(
            replace(one, at=shift(one.at), expires_at=shift(one.expires_at)) for one in known.approvals
        ),
    )


@given(draw.worlds(), st.integers(-(10**7), 10**7))
def test_ids_are_free_of_time_money_and_version(world, seconds):
    """The same wish tomorrow, at another price and on another version, has the same ids."""
    world = replace(world, policy=replace(world.policy, freeze_windows=()))  # they know the day of the week
    made, later = plan(world), plan(_moved(world, timedelta(seconds=seconds)))
    assert made.id == later.id
    assert [action.id for action in made.actions] == [action.id for action in later.actions]
    assert [entry.action.id for entry in made.held] == [entry.action.id for entry in later.held]


@given(draw.worlds())
def test_an_id_names_what_is_done(world):
    """Another target, another size before or after, or an action less, is another id."""
    made = plan(world)
    for action in made.actions:
        others = {
            replace(action, target=f"{action.target}x").id,
            replace(action, before=action.before + 100).id,
            replace(action, after=action.after + 100).id,
            action.inverse().id,
        }
        assert len(others | {action.id}) == 5
        assert replace(made, actions=tuple(a for a in made.actions if a is not action)).id != made.id
    for entry in made.held:
        assert replace(made, held=tuple(h for h in made.held if h is not entry)).id != made.id


@given(draw.worlds())
def test_json_round_trip(world):
    """A plan read back is the plan that was written, in content and to the letter."""
    made = plan(world)
    text = plan_to_json(made)
    assert plan_from_json(text) == made
    assert plan_to_json(plan_from_json(text)) == text


def _leaves(value, path=()):
    if isinstance(value, dict | list) and value:
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(entry, (*path, key))
    yield path


def _put(document, path, value):
    *way, last = path
    for key in way:
        document = document[key]
    document[last] = value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


@given(draw.worlds(), json_values, st.data())
def test_a_plan_that_was_tampered_with_is_read_as_it_is_or_refused(world, value, data):
    """Whatever stands in any place of the text: it is refused in one line, or it is what is read."""
    raw = json.loads(plan_to_json(plan(world)))
    path = data.draw(st.sampled_from([path for path in _leaves(raw) if path]))
    _put(raw, path, value)
    text = json.dumps(raw)
    read = _read(text)
    if read is not None:
        assert plain(read) == raw
        plan_to_json(read)


def _read(text):
    """The plan, or None where it is refused in one line; any other error is a failure."""
    try:
        return plan_from_json(text)
    except PlanError as error:
        if "\n" in str(error):
            raise
        return None


@given(draw.worlds(), st.data())
def test_what_an_id_names_cannot_be_changed(world, data):
    """Another size, target, kind, guard, order or number of actions does not fit the ids, and is refused."""
    raw = json.loads(plan_to_json(plan(world)))
    actions = raw["actions"] + [entry["action"] for entry in raw["held"]]
    assume(actions)
    action = data.draw(st.sampled_from(actions))
    key = data.draw(st.sampled_from(["before", "after", "target", "kind", "id"]))
    action[key] = {
        "before": action["before"] + 1,
        "after": action["after"] + 1,
        "target": f"{action['target']}!",
        "kind": "scale-in" if action["kind"] == "scale-out" else "scale-out",
        "id": "0" * 16,
    }[key]
    with pytest.raises(PlanError):
        plan_from_json(json.dumps(raw))


@given(draw.worlds(), st.sampled_from(["actions", "held"]))
def test_nothing_is_added_to_or_taken_from_a_plan(world, key):
    """An entry less, twice or in another order, or a key that is not there or not known, is refused."""
    raw = json.loads(plan_to_json(plan(world)))
    assume(raw[key])
    entries = raw[key]
    damaged = [
        {**raw, key: entries[1:]},
        {**raw, key: [*entries, entries[0]]},
        {**raw, "comment": "harmless"},
        {**raw, key: [{**entries[0], "comment": ""}, *entries[1:]]},
        {name: value for name, value in raw.items() if name != "expires_at"},
    ]
    if len(entries) > 1:
        damaged.append({**raw, key: entries[::-1]})
    for document in damaged:
        with pytest.raises(PlanError):
            plan_from_json(json.dumps(document))


@given(draw.worlds())
def test_planning_again_after_applying_proposes_only_what_was_held(world):
    """Fixed point: a perfect cloud obeys, and at the same moment only the rest of what was held is left."""
    made = plan(world)
    again = plan(applied(world, made))
    rests = {}
    for entry in made.held:
        low, high = sorted((entry.action.before, entry.action.after))
        old = rests.get(entry.action.target, (low, high))
        rests[entry.action.target] = (min(low, old[0]), max(high, old[1]))
    for action in (*again.actions, *(entry.action for entry in again.held)):
        assert action.target in rests
        low, high = rests[action.target]
        assert low <= action.before <= high
        assert low <= action.after <= high


@given(draw.worlds())
def test_undo_restores(world):
    """Where nothing but bounds limits a change, undoing an applied plan brings every size back."""
    free = replace(
        world,
        snapshot=replace(
            world.snapshot,
            pools=tuple(replace(p, protected=False, maximum_step_in=None) for p in world.snapshot.pools),
        ),
        policy=Policy(
            default=PoolPolicy(cool_down_in_s=3600, step_out=WIDE, step_in=WIDE),
            budgets=(),
            interlocks=Interlocks(unready_share=1.0),
            fleet_share=1.0,
        ),
        conditions=NO_CONDITIONS,
    )
    made = plan(free)
    after = applied(free, made)
    quiet = {pool.id: draw.outlook(pool.id, [0.0]) for pool in after.snapshot.pools}
    undone = planner.undo(made.actions, after.snapshot, quiet, free.policy, changes=after.changes)
    back = sizes(after, undone)
    assert {entry.guard for entry in undone.held} <= {Guard.MAXIMUM}  # where it was above its bounds
    assert undone.complete
    for pool in free.snapshot.pools:
        touched = any(action.target == pool.id for action in made.actions)
        assert back[pool.id] == (
            max(pool.minimum, min(pool.desired, pool.maximum)) if touched else pool.desired
        )


@given(draw.worlds())
def test_undo_keeps_its_hands_off_what_moved(world):
    """A pool that has another size than the action left, or is gone, is not touched and is named."""
    made = plan(world)
    assume(made.actions)
    moved = applied(world, made)
    pools = {pool.id: replace(pool, desired=pool.desired + 1) for pool in moved.snapshot.pools}
    pools.pop(made.actions[0].target)
    snapshot = replace(moved.snapshot, pools=tuple(pools.values()))
    undone = planner.undo(made.actions, snapshot, world.outlooks, world.policy, changes=moved.changes)
    assert undone.actions == ()
    assert undone.held == ()
    assert not undone.complete
    assert {gap.source for gap in undone.gaps} >= {action.target for action in made.actions}


@given(draw.worlds(), st.floats(0, 30), st.data())
def test_p10_more_live_demand_never_gives_less_capacity(world, more, data):
    """P10: with forecasts, history and rules fixed, a pool whose newest demand is higher ends no smaller."""
    known = [name for name, one in world.outlooks.items() if not np.isnan(one.demand.y[-1])]
    assume(known)
    name = data.draw(st.sampled_from(sorted(known)))
    one = world.outlooks[name]
    y = one.demand.y.copy()
    y[-1] += more
    raised = {**world.outlooks, name: replace(one, demand=replace(one.demand, y=y))}
    assert sizes(world, plan(world, outlooks=raised))[name] >= sizes(world, plan(world))[name]


@given(draw.worlds())
def test_unknown_never_shrinks(world):
    """P3: without metrics, with metrics that were refused, or with no recent sample, nothing shrinks."""
    for action in plan(world).actions:
        if action.after < action.before:
            outlook = world.outlooks[action.target]
            assert outlook.refusal == ""
            assert not np.isnan(outlook.demand.y[-3:]).all()


@given(draw.worlds())
def test_growth_is_never_held_by_budgets_of_units_data_or_interlocks(world):
    """What holds growth: the maximum, a freeze, the step, the operator's own cool-down, and hard money."""
    may = {Guard.MAXIMUM, Guard.FROZEN, Guard.STEP, Guard.COOL_DOWN}
    if any(limit.hard for limit in world.policy.money):
        may.add(Guard.MONEY_BUDGET)
    for entry in plan(world).held:
        if entry.action.kind is ActionKind.SCALE_OUT:
            assert entry.guard in may


@given(draw.worlds())
def test_every_wish_is_done_or_held(world):
    """What is done and what is held of one pool follow each other, from its size to what is wanted."""
    made = plan(world)
    for pool in world.snapshot.pools:
        parts = [action for action in made.actions if action.target == pool.id]
        assert len(parts) <= 1
        at = parts[0].after if parts else pool.desired
        rests = [entry for entry in made.held if entry.action.target == pool.id]
        for entry in rests:
            if entry.guard is not Guard.MAXIMUM:
                assert entry.action.before == at
                at = entry.action.after
        for entry in rests:
            if entry.guard is Guard.MAXIMUM:
                assert entry.action.before == at == pool.maximum < entry.action.after


@given(draw.worlds())
def test_growth_comes_first(world):
    """In a plan's order no growth waits for a shrink."""
    kinds = [action.kind for action in plan(world).actions]
    assert kinds == sorted(kinds, key=lambda kind: kind is ActionKind.SCALE_IN)


@given(draw.worlds(), st.sampled_from(ActionKind))
def test_only_one_kind_is_a_part_of_the_whole(world, kind):
    """`only` keeps the actions and the held of one kind, unchanged."""
    whole = plan(world)
    part = planner.plan(
        world.snapshot,
        world.outlooks,
        world.policy,
        changes=world.changes,
        only=kind,
        conditions=world.conditions,
    )
    assert part.actions == tuple(action for action in whole.actions if action.kind is kind)
    assert part.held == tuple(entry for entry in whole.held if entry.action.kind is kind)


@given(draw.worlds(), st.sampled_from(draw.NAMES))
def test_a_pool_without_metrics_changes_no_other(world, name):
    """One blind pool costs its own plan at most: where no budget is shared, the others' actions stay."""
    assume(name in world.outlooks)
    alone = replace(
        world.policy,
        budgets=tuple(b for b in world.policy.budgets if b.scope is Scope.POOL),
        money=tuple(limit for limit in world.policy.money if limit.scope is Scope.POOL),
        fleet_share=1.0,
    )
    blind = {key: value for key, value in world.outlooks.items() if key != name}
    with_it, without = plan(world, policy=alone), plan(world, policy=alone, outlooks=blind)
    assert [a for a in without.actions if a.target != name] == [
        a for a in with_it.actions if a.target != name
    ]
    assert name in {gap.source for gap in without.gaps}


ticks = st.lists(
    st.tuples(
        st.sampled_from([1, 30, 60, 299, 300, 301, 599, 600, 601, 1800]),
        st.tuples(*[st.integers(0, 60) for _ in range(3)]),
    ),
    min_size=2,
    max_size=12,
)


@given(ticks, st.lists(draw.budgets, min_size=1, max_size=3), st.tuples(*[st.integers(1, 60)] * 3))
def test_p2_no_window_loses_more_than_a_budget_allows(rounds, budgets, begin):
    """P2: over any window of any history of ticks, what went is within the limit of the size at its begin."""
    names = dict(zip(draw.NAMES, begin, strict=False))
    owner = dict(zip(names, ("aws", "aws", "gcp"), strict=True))
    policy = Policy(
        default=PoolPolicy(cool_down_in_s=0, step_out=WIDE, step_in=WIDE),
        budgets=tuple(budgets),
        interlocks=Interlocks(recent_growth_s=0),
        flap=None,
        fleet_share=1.0,
    )
    size, now, done = dict(names), draw.NOW, []
    for wait, demand in rounds:
        now += timedelta(seconds=wait)
        snapshot = Snapshot(
            taken_at=now,
            pools=tuple(draw.simple_pool(name, size[name], provider=owner[name]) for name in names),
        )
        outlooks = {name: draw.outlook(name, [load]) for name, load in zip(names, demand, strict=True)}
        for action in planner.plan(snapshot, outlooks, policy, changes=done).actions:
            done.append(Change(target=action.target, at=now, before=action.before, after=action.after))
            size[action.target] = action.after
    for budget in budgets:
        for covered in ({"aws"}, {"gcp"}) if budget.scope is Scope.PROVIDER else ({"aws", "gcp"},):
            members = [name for name in names if owner[name] in covered]
            groups = [[name] for name in members] if budget.scope is Scope.POOL else [members]
            for group in groups:
                _no_window_over(budget, {name: names[name] for name in group}, done)


def _no_window_over(budget, begin, done):
    """By brute force: every change begins a window."""
    mine = [change for change in done if change.target in begin]
    for first in {change.at for change in mine}:
        size = dict(begin)
        for change in mine:
            if change.at < first:
                size[change.target] = change.after
        end = first + timedelta(seconds=budget.window_s)
        gone = sum(max(0, c.before - c.after) for c in mine if first <= c.at < end)
        assert gone <= budget.step.limit(sum(size.values()))


@given(draw.worlds())
def test_nothing_is_wanted_below_what_the_newest_demand_needs(world):
    """Whatever the scaler and the forecast say, a pool's wish covers the newest demand that was seen."""
    for proposal in planner.propose(world.snapshot, world.outlooks, world.policy):
        if proposal.pool.id in world.outlooks:
            seen = world.outlooks[proposal.pool.id].demand.y[-3:]
            seen = seen[~np.isnan(seen)]
            assert proposal.wanted >= (seen[-1] if len(seen) else 0)


@given(draw.worlds())
def test_an_action_says_what_it_costs_and_what_it_disturbs(world):
    """Money is units times price, low to high; what goes away is disturbed; confidence is a probability."""
    offerings = {pool.id: pool.offerings for pool in world.snapshot.pools}
    made = plan(world)
    for action in (*made.actions, *(entry.action for entry in made.held)):
        delta = action.after - action.before
        assert action.disruption == max(0, -delta)
        assert action.confidence is None or 0 <= action.confidence <= 0.99
        prices = [offering.hourly_usd for offering in offerings[action.target]]
        if not prices:
            assert action.hourly_delta_usd is None
            continue
        low, mid, high = action.hourly_delta_usd
        assert low <= mid <= high
        assert {low, high} == {delta * min(prices), delta * max(prices)}
