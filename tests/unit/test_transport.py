"""Calls with care: budgets, the breaker, deadlines and rests, by a clock that stands still."""

from __future__ import annotations

import threading

import pytest

from autoscaler import transport
from autoscaler.clock import SetClock
from autoscaler.errors import (
    Denied,
    InsufficientCapacity,
    NotFound,
    Stale,
    Temporary,
    Throttled,
    Unreachable,
)
from autoscaler.ports import Remembers
from autoscaler.transport import Breaker, Careful, Family
from tests.unit.test_apply import NOW, pool

QUICK = Family(name="changing", rate=1.0, burst=3, deadline_s=5.0)


class Provider:
    """Answers with a pool of nine, or raises what `raising` says; counts its calls."""

    def __init__(self):
        self.raising, self.calls = None, []

    def _answer(self, name):
        self.calls.append(name)
        if self.raising is not None:
            raise self.raising
        return pool("web", 9)

    def list(self):
        return (self._answer("list"),), ()

    def read(self, _pool_id):
        return self._answer("read")

    def rehearse(self, _pool_id, _size, *, version):
        return bool(self._answer(f"rehearse {version}"))

    def resize(self, _pool_id, size, *, version, key):
        return self._answer(f"resize {size} {version} {key}")


def careful(**more):
    """A provider, its careful self, and the clock."""
    clock, provider = SetClock(NOW), Provider()
    return provider, Careful(provider, clock, **more), clock


def grow(pools, size=12):
    return pools.resize("web", size, version="1", key="k")


def test_what_is_asked_and_answered_passes_unchanged():
    """Arguments go through and answers come back, by every call of the port."""
    provider, pools, _ = careful()
    assert grow(pools) == pools.read("web") == pools.list()[0][0] == pool("web", 9)
    assert pools.rehearse("web", 12, version="1") is True
    assert provider.calls == ["resize 12 1 k", "read", "list", "rehearse 1"]


@pytest.mark.parametrize("error", [Denied("no"), Stale("moved"), NotFound("gone"), ValueError("a bug")])
def test_refusals_pass_and_open_nothing(error):
    """Who refuses has answered: however often, the breaker stays closed."""
    provider, pools, _ = careful()
    provider.raising = error
    for _ in range(20):
        with pytest.raises(type(error)):
            pools.read("web")
    assert len(provider.calls) == 20


def test_f37_a_used_up_budget_is_throttled_without_a_call():
    """Beyond its burst a family is not called, and says when it may be; tokens come back by the second."""
    provider, pools, clock = careful(families=(transport.READING, QUICK))
    for _ in range(3):
        grow(pools)
    with pytest.raises(Throttled) as refused:
        grow(pools)
    assert refused.value.retry_after == pytest.approx(1.0)
    pools.read("web")
    assert len(provider.calls) == 4, "another family has its own budget"
    clock.advance(refused.value.retry_after)
    grow(pools)
    with pytest.raises(Throttled):
        grow(pools)


def test_f37_a_throttled_provider_rests_twice_as_long_each_time_and_is_no_failure():
    """RequestLimitExceeded rests the family, doubling; it never opens the breaker."""
    provider, pools, clock = careful(breaker=Breaker(SetClock(NOW), failures=1))
    provider.raising = Throttled("RequestLimitExceeded", retry_after=10)
    for rest in (10, 20, 40, 80, 160, 320, 600, 600):
        with pytest.raises(Throttled, match="RequestLimitExceeded"):
            pools.read("web")
        clock.advance(rest - 0.01)
        calls = len(provider.calls)
        with pytest.raises(Throttled, match="not called"):
            pools.read("web")
        assert len(provider.calls) == calls
        clock.advance(0.02)
    provider.raising = None
    pools.read("web")
    provider.raising = Throttled("again", retry_after=10)
    with pytest.raises(Throttled):
        pools.read("web")
    clock.advance(10.1)
    with pytest.raises(Throttled, match="again"):
        pools.read("web")


@pytest.mark.parametrize("error", [Unreachable("no answer"), Temporary("503")])
def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_call_try(error):
    """Open: nothing is called; after its time one call tries: an answer closes it, a failure does not."""
    provider, pools, clock = careful()
    provider.raising = error
    for _ in range(transport.FAILURES):
        with pytest.raises(type(error)):
            pools.read("web")
    with pytest.raises(Temporary, match="not called") as refused:
        grow(pools)
    assert not isinstance(refused.value, Unreachable), "a change that was not called is not in doubt"
    assert len(provider.calls) == transport.FAILURES
    clock.advance(transport.OPEN_S)
    with pytest.raises(type(error)):
        pools.read("web")
    with pytest.raises(Temporary, match="not called"):
        pools.read("web")
    clock.advance(transport.OPEN_S)
    provider.raising = None
    pools.read("web")
    pools.read("web")
    assert len(provider.calls) == transport.FAILURES + 3


def test_failures_with_an_answer_between_open_nothing():
    """Only failures in a row count."""
    provider, pools, _ = careful()
    for _ in range(3):
        provider.raising = Unreachable("no answer")
        for _ in range(transport.FAILURES - 1):
            with pytest.raises(Unreachable, match="no answer"):
                pools.read("web")
        provider.raising = None
        pools.read("web")


def test_f38_a_pool_without_capacity_rests_from_growing_alone():
    """For a quarter of an hour that pool is not asked to grow; it may shrink, and other pools may grow."""
    provider, pools, clock = careful()
    provider.raising = InsufficientCapacity("InsufficientInstanceCapacity")
    with pytest.raises(InsufficientCapacity, match="InsufficientInstanceCapacity"):
        grow(pools)
    provider.raising, provider.calls = None, []
    clock.advance(transport.NO_CAPACITY_S - 1)
    with pytest.raises(InsufficientCapacity, match="not called"):
        grow(pools)
    grow(pools, 7)
    pools.resize("api", 12, version="1", key="k")
    clock.advance(1)
    grow(pools)
    assert [call for call in provider.calls if call != "read"] == [
        "resize 7 1 k",
        "resize 12 1 k",
        "resize 12 1 k",
    ]


def test_f61_a_call_without_an_answer_ends_at_its_deadline():
    """A provider that hangs is Unreachable after the deadline, though the call may still be done."""
    hangs, done = threading.Event(), threading.Event()

    class Hanging(Provider):
        def resize(self, _pool_id, size, *, version, key):
            hangs.wait(5)
            done.set()
            return super().resize(_pool_id, size, version=version, key=key)

    slow = Family(name="changing", rate=10, burst=10, deadline_s=0.05)
    pools = Careful(Hanging(), SetClock(NOW), families=(transport.READING, slow))
    with pytest.raises(Unreachable, match="no answer to a changing call"):
        grow(pools)
    assert not done.is_set()
    hangs.set()
    assert done.wait(5)


def test_f61_a_call_that_was_given_up_sends_no_change_any_more():
    """What was not sent by the deadline never is: another process may lead by then. In time it is sent."""
    hangs, ended = threading.Event(), threading.Event()
    sent = []

    class Slow(Provider):
        def resize(self, _pool_id, size, *, version, key):
            hangs.wait(5)
            try:
                transport.refuse_late("patch it")
                sent.append(size)
            except Unreachable as error:
                sent.append(str(error))
            ended.set()
            return super().resize(_pool_id, size, version=version, key=key)

    slow = Family(name="changing", rate=10, burst=10, deadline_s=0.05)
    pools = Careful(Slow(), SetClock(NOW), families=(transport.READING, slow))
    with pytest.raises(Unreachable, match="no answer"):
        grow(pools)
    hangs.set()
    assert ended.wait(5)
    assert sent == ["patch it: not sent, its call was given up after the deadline"]
    patient = Family(name="changing", rate=10, burst=10, deadline_s=5)
    grow(Careful(Slow(), SetClock(NOW), families=(transport.READING, patient)))
    assert sent[1:] == [12]
    transport.refuse_late("outside of any call")


def test_a_memory_of_keys_is_kept_where_there_is_one():
    """With care a provider has the ports that it had, and no others."""

    class Remembering(Provider):
        def answer_to(self, key):
            return self._answer(f"answer to {key}")

    provider = Remembering()
    pools = transport.careful(provider, SetClock(NOW))
    assert isinstance(pools, Remembers)
    assert pools.answer_to("k") == pool("web", 9)
    assert provider.calls == ["answer to k"]
    assert not isinstance(transport.careful(Provider(), SetClock(NOW)), Remembers)
