"""The lease under paused processes, clock steps, crashes and broken files: never two who both may act."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import lease as leasing
from autoscaler.clock import SetClock, SystemClock
from autoscaler.errors import Fenced, StoreError
from autoscaler.lease import FileLease, Holding
from autoscaler.store.database import connect
from autoscaler.store.trail import SqlTrail

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Watch(SetClock):
    """A set clock whose wall may step without time going by."""

    def step(self, seconds):
        self._now += timedelta(seconds=seconds)


def may_act(lease):
    """Whether a provider call would be let now."""
    try:
        return lease.check() > 0
    except Fenced:
        return False


@pytest.fixture
def pair(tmp_path):
    """A clock, and two processes' leases on one file."""
    clock = Watch(NOW)
    path = str(tmp_path / "loadline.lease")
    return clock, FileLease(path, clock, holder="a"), FileLease(path, clock, holder="b")


def test_one_holds_and_the_other_waits(pair):
    """A lease that is held and kept is never another's, and its generation stays."""
    clock, a, b = pair
    assert a.acquire()
    generation = a.check()
    for _ in range(20):
        clock.advance(10)
        assert a.acquire()
        assert not b.acquire()
        assert not may_act(b)
        assert a.check() == generation


def test_a_released_lease_is_taken_at_once_with_a_larger_generation(pair):
    """Released on shutdown, it needs no waiting; generations rise over holders, and over a restart."""
    _, a, b = pair
    assert a.acquire()
    first = a.check()
    a.release()
    assert not may_act(a)
    assert b.acquire()
    assert b.check() == first + 1
    b.release()
    assert a.acquire()
    assert a.check() == first + 2


def test_a_holder_that_died_is_followed_after_the_time_to_live_and_not_before(pair):
    """A challenger waits for the whole time to live from when it first saw the newest beat."""
    clock, a, b = pair
    assert a.acquire()
    clock.advance(20)
    assert not b.acquire()
    clock.advance(29)
    assert not b.acquire()
    clock.advance(1)
    assert b.acquire()
    assert b.check() == 2


def test_f31_a_step_of_the_wall_clock_neither_steals_nor_ends_a_lease(pair):
    """NTP steps by an hour either way: the holder goes on, the challenger gets nothing."""
    clock, a, b = pair
    assert a.acquire()
    assert not b.acquire()
    for step in (3600, -3600, -86400, 86400 * 30):
        clock.step(step)
        clock.advance(5)
        assert not b.acquire()
        assert a.acquire()
        assert a.check() == 1


def test_f32_a_holder_that_was_paused_is_fenced_before_anybody_can_follow(pair):
    """From its end less the margin on it may not act; the next one begins only later."""
    clock, a, b = pair
    assert a.acquire()
    assert not b.acquire()
    clock.advance(24.9)
    assert may_act(a)
    clock.advance(0.2)
    with pytest.raises(Fenced, match="not kept in time"):
        a.check()
    assert not b.acquire()
    clock.advance(5)
    assert b.acquire()


def test_f32_a_lapsed_holding_is_not_taken_up_again(pair):
    """After a pause `keep` does not bring it back; a new holding has a new generation, the old turn is void.

    Its own last line in the file tells that nobody followed, so it need not wait.
    """
    clock, a, _ = pair
    assert a.acquire()
    turn = Holding(a, a.check(), threading.Event())
    clock.advance(600)
    assert not a.keep()
    assert not may_act(turn)
    assert a.acquire()
    assert a.check() == 2
    assert not may_act(turn)


def test_f62_a_leader_that_comes_back_is_refused_by_the_generation(pair):
    """Who was taken over is told so, though its own clock stood still."""
    clock, a, b = pair
    asleep = FileLease(str(a._path), SetClock(NOW), holder="asleep")
    assert asleep.acquire()
    assert not b.acquire()
    clock.advance(30)
    assert b.acquire()
    with pytest.raises(Fenced, match=r"b took the lease .* generation 2 after 1"):
        asleep.check()
    assert not asleep.keep()
    asleep.release()
    assert may_act(b), "what one no longer holds one cannot release"


def test_a_stopping_process_begins_nothing_more(pair):
    """A holding says no once its process is to stop."""
    _, a, _ = pair
    assert a.acquire()
    stopping = threading.Event()
    turn = Holding(a, a.check(), stopping)
    assert turn.keep()
    stopping.set()
    with pytest.raises(Fenced, match="stopping"):
        turn.check()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["acquire", "keep", "release", "die"]), st.integers(0, 2), st.floats(0, 40)
        ),
        max_size=40,
    )
)
def test_f61_two_never_may_act_at_once(tmp_path_factory, steps):
    """Whatever three processes do and however long they pause: at most one may act, generations only rise."""
    path = str(tmp_path_factory.mktemp("lease") / "l")
    clock = Watch(NOW)
    leases = [FileLease(path, clock, holder=str(number)) for number in range(3)]
    newest = 0
    for verb, who, pause in steps:
        if verb == "die":
            leases[who] = FileLease(path, clock, holder=str(who))
        else:
            getattr(leases[who], verb)()
        acting = [lease.check() for lease in leases if may_act(lease)]
        assert len(acting) <= 1
        assert all(generation >= newest for generation in acting)
        newest = max([newest, *acting])
        clock.advance(pause)
        assert sum(map(may_act, leases)) <= 1


def test_f60_a_file_that_is_no_lease_is_refused_with_the_mend(pair):
    """A broken lease file gives no lease, and says what to do."""
    _, a, _ = pair
    for text in ("", "{", "[]", '{"holder": "x"}'):
        a._path.write_text(text)
        with pytest.raises(StoreError, match="is no lease; stop every loadline"):
            a.acquire()
        assert not may_act(a)


def test_f59_a_disk_that_takes_nothing_gives_no_lease(pair, monkeypatch):
    """Where the file cannot be written there is no holding, and one that was is not extended."""
    clock, a, _ = pair
    assert a.acquire()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device; nothing is applied"):
        a.keep()
    clock.advance(26)
    assert not may_act(a)


@pytest.mark.parametrize("old", [None, '{"holder": "x", "generation": 1, "beat": 9}'], ids=["gone", "older"])
def test_f62_a_lease_file_that_was_removed_makes_no_two_leaders(tmp_path, old):
    """Removed, or put back as it was, under a leader that has not acted: the next one fences it for good."""
    clock, path = Watch(NOW), tmp_path / "l"
    trail = SqlTrail(connect(str(tmp_path / "s.db")))
    a, b = (FileLease(str(path), clock, holder=name, raised=trail.raise_generation) for name in "ab")
    assert a.acquire()
    if old is None:
        path.unlink()
    else:
        path.write_text(old)
        assert not b.acquire()
        clock.advance(30)
        assert not a.keep()
    assert b.acquire()
    assert b.check() == 2 == trail.generation()
    assert not may_act(a)
    assert not a.keep()
    a.release()
    assert may_act(b)


def test_f62_a_generation_larger_than_the_stores_is_kept_there(tmp_path):
    """A state put back from a backup, the lease file not: generations go on from the file's."""
    path = tmp_path / "l"
    path.write_text('{"holder": "", "generation": 41, "beat": 0}')
    trail = SqlTrail(connect(str(tmp_path / "s.db")))
    lease = FileLease(str(path), Watch(NOW), holder="a", raised=trail.raise_generation)
    assert lease.acquire()
    assert lease.check() == 42 == trail.generation()


def test_f62_the_same_generation_under_another_name_is_another_holding(pair):
    """Were two ever to have one generation, the name in the file says whose it is."""
    _, a, _ = pair
    assert a.acquire()
    a._path.write_text('{"holder": "b", "generation": 1, "beat": 3}')
    with pytest.raises(Fenced, match="b took the lease"):
        a.check()
    assert not a.keep()


def test_f60_a_file_system_without_locks_gives_no_lease(pair, monkeypatch):
    """What flock cannot do is told as every other failure of the lease."""
    _, a, _ = pair

    def refuse(_handle, _how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreError, match="No locks available; nothing is applied"):
        a.acquire()


def test_work_of_any_length_keeps_the_lease_and_gives_it_back(monkeypatch):
    """While it goes on the lease is extended, whatever keeping raises in passing; at its end it is free."""
    monkeypatch.setattr(leasing, "KEEP_S", 0.01)
    kept, again = [], threading.Event()

    def keep():
        kept.append(True)
        if len(kept) == 1:
            raise StoreError("the disk is slow")
        again.set()

    lease = SimpleNamespace(keep=keep, release=lambda: kept.append("released"))

    def work():
        with leasing.kept(lease):
            assert again.wait(5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert "released" in kept


HOLDER = """
import sys
from autoscaler.clock import SystemClock
from autoscaler.lease import FileLease
lease = FileLease(sys.argv[1], SystemClock(), holder="child", ttl_s=0.6, margin_s=0.2)
assert lease.acquire()
print("held", flush=True)
for line in sys.stdin:
    try:
        print(lease.check(), flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


def test_f32_a_stopped_process_is_followed_and_fenced_when_it_wakes(tmp_path):
    """SIGSTOP for longer than the time to live: another takes over; after SIGCONT the first may not act."""
    path = str(tmp_path / "l")
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "held\n"
        os.kill(child.pid, signal.SIGSTOP)
        lease = FileLease(path, SystemClock(), holder="parent", ttl_s=0.6, margin_s=0.2)
        assert not lease.acquire()
        time.sleep(0.7)
        assert lease.acquire()
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "Fenced\n"
        assert json.loads((tmp_path / "l").read_text())["generation"] == 2
    finally:
        child.kill()
        child.communicate()
