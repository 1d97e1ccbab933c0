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
from autoscaler.store.verdicts import SqlVerdicts
from policies.deeds import Verdict
from policies.plan import Change, Guard, Held, Outcome, Status
from tests.contract import test_pools as contract
from tests.contract.test_trail import NOW, action, plan
from tests.simulation.cloud import SimulatedCloud
from tests.simulation.memory_trail import MemoryTrail, MemoryVerdicts


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
                taken = Held(action=mine.inverse(), guard=Guard.LIVE_DEMAND, why="")
                wish = plan(mine, at=at) if changed else plan(at=at, held=(taken,))
                answers.append(trail.record_plan(wish))
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


def said(trail, verdicts, words):
    """What is told of growths and shrinks of two pools, after a verdict on each of them."""
    for number, (target, step, verdict, moment) in enumerate(words):
        mine, at = action(target, 4, 4 + step), NOW + timedelta(hours=number)
        key = trail.intend("a plan", mine, at)
        change = Change(target=target, at=at, before=4, after=mine.after)
        trail.conclude(key, Outcome(action_id=mine.id, status=Status.APPLIED, at=at), change)
        verdicts.judge(key, verdict, (), NOW + timedelta(hours=moment))
    since = [NOW + timedelta(hours=n) for n in (0, 2)]
    return [
        (verdicts.reverts(pool, at), verdicts.arrivals(pool, at, last=last))
        for pool in ("web", "api")
        for at in since
        for last in (1, 3)
    ]


WORDS = st.tuples(
    st.sampled_from(("web", "api")),
    st.sampled_from((-1, 1, 2)),
    st.sampled_from(tuple(Verdict)),
    st.integers(0, 3),
)


@given(words=st.lists(WORDS, max_size=6))
def test_the_verdicts_in_memory_answer_as_the_store_does(words, tmp_path_factory):
    """What is counted and told of verdicts is the same in both."""
    engine = connect(str(tmp_path_factory.mktemp("store") / "loadline.db"))
    memory = MemoryTrail()
    try:
        assert said(memory, MemoryVerdicts(memory), words) == said(
            SqlTrail(engine), SqlVerdicts(engine), words
        )
    finally:
        engine.dispose()
