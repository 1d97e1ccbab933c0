"""The clouds and the store in memory answer as the real ones do."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.clock import SetClock
from autoscaler.errors import Fenced, StoreError
from autoscaler.store.database import connect
from autoscaler.store.trail import SqlTrail
from policies.plan import Change, Outcome, Status
from tests.contract import test_pools as contract
from tests.contract.test_trail import NOW, action, plan
from tests.simulation.cloud import SimulatedCloud
from tests.simulation.memory_trail import MemoryTrail


@pytest.fixture
def world():
    """The contract's world in the cloud in memory."""
    clock = SetClock(contract.START)
    cloud = SimulatedCloud(clock.now)
    cloud.create(contract.pool())
    return cloud, clock


LAWS = {
    name: law
    for name, law in vars(contract).items()
    if name.startswith("test_") and list(inspect.signature(law).parameters) == ["world"]
}


@pytest.mark.parametrize("name", sorted(LAWS))
def test_the_cloud_in_memory_keeps_the_contract(name, world):
    """Every law that every provider of pools keeps."""
    LAWS[name](world)


CALLS = st.lists(
    st.tuples(
        st.sampled_from(("intend", "conclude", "plan")),
        st.sampled_from(("web", "api")),
        st.integers(0, 4),
        st.sampled_from(tuple(Status)),
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=14,
)


def told(trail, calls):
    """What a trail answers to a list of calls; keys are told by their number."""
    keys, answers = [], []
    for step, (call, target, number, status, changed, generation) in enumerate(calls):
        at = NOW + timedelta(minutes=step)
        mine = action(target, 4, 4 + number + 1)
        try:
            if call == "plan":
                answers.append(trail.record_plan(plan(mine, at=at)))
            elif call == "intend":
                keys.append((trail.intend("a plan", mine, at, generation=generation), mine))
            elif keys:
                key, done = keys[number % len(keys)]
                change = Change(target=done.target, at=at, before=4, after=done.after) if changed else None
                trail.conclude(key, Outcome(action_id=done.id, status=status, at=at), change)
        except (StoreError, Fenced) as error:
            answers.append(type(error).__name__)
        names = {key: n for n, (key, _) in enumerate(keys)}
        answers.append([names[deed.key] for deed in trail.doubtful()])
        answers.append(list(trail.changes(NOW + timedelta(minutes=step // 2))))
        answers.append([names[deed.key] for deed in trail.pool(target)])
    return answers


@given(calls=CALLS)
def test_the_trail_in_memory_answers_as_the_store_does(calls, tmp_path_factory):
    """Whatever is asked of both, in whatever order, both say the same."""
    engine = connect(str(tmp_path_factory.mktemp("store") / "loadline.db"))
    try:
        assert told(MemoryTrail(), calls) == told(SqlTrail(engine), calls)
    finally:
        engine.dispose()
