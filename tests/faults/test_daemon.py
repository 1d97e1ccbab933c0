"""The loop under failures, overruns, pauses and signals: it goes on, and acts only as leader."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import daemon as looping
from autoscaler.clock import SetClock
from autoscaler.commands import run
from autoscaler.config import Configuration, RunSettings
from autoscaler.daemon import Daemon
from autoscaler.errors import Fenced, StoreError
from autoscaler.lease import FileLease
from autoscaler.log import Log
from policies.plan import Plan

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
PLAN = Plan(
    made_at=NOW,
    expires_at=NOW + timedelta(hours=1),
    snapshot_digest="",
    policy_digest="",
    forecasts_digest="",
)
TURN = SimpleNamespace(plan=PLAN, outcomes=(), waiting=(), settled=(), events=())


class Stepped(SetClock):
    """A set clock whose wall may step without time going by."""

    def step(self, seconds):
        self._now += timedelta(seconds=seconds)


@dataclass
class Config:
    """Stands in for the application in use; never another one."""

    app: object
    asked: int = 0
    reloads: list = field(default_factory=list)

    def changed(self):
        return False

    def reload(self):
        self.reloads.append(True)
        return False


class World:
    """A daemon on a set clock; `does` is what its ticks do, by number, from 0."""

    def __init__(self, folder, *, interval_s=60, watchdog_s=900, name="one"):
        self.clock = Stepped(NOW)
        self.said = io.StringIO()
        self.at = []
        self.does = {}
        self.lease = FileLease(str(folder / "lease"), self.clock, holder=name)
        self.daemon = self.another(interval_s, watchdog_s)

    def another(self, interval_s, watchdog_s):
        configuration = Configuration(
            file="loadline.yaml",
            state="/state",
            run=RunSettings(interval_s=interval_s, watchdog_s=watchdog_s),
        )
        return Daemon(
            running=Config(SimpleNamespace(configuration=configuration)),
            tick=self.tick,
            lease=self.lease,
            clock=self.clock,
            log=Log(self.said, self.clock, form="json"),
        )

    def tick(self, _app, holding, _running_s):
        number = len(self.at)
        self.at.append(self.clock.monotonic())
        self.does.get(number, lambda _holding: None)(holding)
        return TURN

    def lines(self, event):
        found = [json.loads(line) for line in self.said.getvalue().splitlines()]
        return [line for line in found if line["event"] == event]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def raises(error):
    def does(_holding):
        raise error

    return does


def test_ticks_are_on_a_grid_of_the_interval(world):
    """The first tick is at once; those after it are an interval apart, at the daemon's own phase."""
    world.daemon.run(ticks=5)
    gaps = [after - before for before, after in zip(world.at, world.at[1:], strict=False)]
    assert world.at[0] == 0
    assert 0 < gaps[0] <= 60
    assert gaps[1:] == pytest.approx([60, 60, 60])
    assert world.at[1] == pytest.approx(looping.phase("/state", 60))


def test_the_loop_tells_when_it_last_went_on(world):
    """Between ticks and by each of them, leading or not; a tick that hangs stands still since it began."""
    at = []

    def hangs(_holding):
        began = world.clock.monotonic()
        world.clock.advance(1000)
        at.append((began, world.daemon.went_on_s))

    world.does[1] = hangs
    world.daemon.run(ticks=3)
    ((began, told),) = at
    assert told == began
    assert world.daemon.went_on_s == world.at[-1]


def test_f33_a_tick_that_overruns_is_followed_by_one_and_not_by_those_it_missed(world):
    """A tick of ten minutes skips those it ran over, says so, and the grid goes on."""
    world.does[1] = lambda _holding: world.clock.advance(600)
    world.daemon.run(ticks=4)
    assert world.at[2] - world.at[1] == pytest.approx(600)
    assert 0 < world.at[3] - world.at[2] <= 60
    assert [line["skipped"] for line in world.lines("ticks skipped")] == [9]


def test_f33_a_tick_over_the_watchdog_may_not_act_any_more_and_is_told(tmp_path):
    """The lease is given up, once, and alerted; the tick's next call is refused; the next tick leads anew."""
    world = World(tmp_path, watchdog_s=900)
    fenced = []

    def hangs(holding):
        for _ in range(200):
            world.clock.advance(5)
            world.daemon.watch()
        with pytest.raises(Fenced):
            holding.check()
        fenced.append(True)

    world.does[0] = hangs
    world.daemon.run(ticks=2)
    assert fenced == [True]
    assert len(world.lines("watchdog")) == 1
    assert [line["generation"] for line in world.lines("leads")] == [1, 2]


def test_a_keeper_holds_the_lease_through_a_long_tick(world):
    """A tick of five minutes that is watched still leads at its end."""

    def long(holding):
        for _ in range(60):
            world.clock.advance(5)
            assert world.daemon.watch()
        assert holding.check() == 1

    world.does[0] = long
    world.daemon.run(ticks=1)
    assert not world.daemon.failed


def test_f32_after_a_pause_what_was_planned_is_void_and_one_tick_plans_anew(world):
    """Ten minutes of SIGSTOP in a tick: its calls are refused; one tick follows, in a new holding."""

    def paused(holding):
        world.clock.advance(600)
        holding.check()

    world.does[1] = paused
    world.daemon.run(ticks=4)
    assert len(world.at) == 4
    assert len(world.lines("stopped acting")) == 1
    assert [line["generation"] for line in world.lines("leads")][-1] == 2


def test_f34_after_downtime_there_is_one_catch_up(world):
    """A sleep of a day in the wait is followed by one tick, not by 1,440."""
    sleep, slept = world.clock.sleep, []

    def suspended(seconds):
        if len(world.at) == 2 and not slept:
            slept.append(True)
            seconds = 86400
        sleep(seconds)

    world.clock.sleep = suspended
    world.daemon.run(ticks=5)
    assert sum(at > 86000 for at in world.at) == 3
    assert world.at[-1] - 86400 < 300


@given(last=st.floats(0, 1e5), late=st.floats(0, 1e6), interval=st.floats(1, 1e4), offset=st.floats(0, 1e4))
def test_f34_the_next_tick_is_never_in_the_past_nor_further_than_an_interval(last, late, interval, offset):
    """However late: due now or on the grid, at most an interval ahead; what was missed is only counted."""
    now = last + late
    due, skipped = looping.next_due(last, now, interval, offset)
    assert now <= due <= now + interval * (1 + 1e-6)
    assert skipped >= 0
    assert (skipped == 0) or due == now


def test_f35_a_fleet_does_not_tick_at_the_same_second():
    """Daemons begun at one moment spread over the interval, and each always has the same place."""
    phases = [looping.phase(f"/var/lib/{number}", 60) for number in range(1000)]
    assert phases == [looping.phase(f"/var/lib/{number}", 60) for number in range(1000)]
    assert all(0 <= found < 60 for found in phases)
    for second in range(60):
        assert sum(second <= found < second + 1 for found in phases) < 50


def test_f31_steps_of_the_wall_clock_do_not_move_the_ticks(world):
    """An hour back or forth on the wall: the next tick is an interval later, and the lease stays."""
    world.does[1] = lambda _holding: world.clock.step(3600)
    world.does[2] = lambda _holding: world.clock.step(-7200)
    world.daemon.run(ticks=5)
    gaps = [after - before for before, after in zip(world.at[1:], world.at[2:], strict=False)]
    assert gaps == pytest.approx([60, 60, 60])
    assert len(world.lines("leads")) == 1


@pytest.mark.parametrize(
    "error", [StoreError("the disk is full"), ValueError("a bug"), Fenced("another leads"), MemoryError()]
)
def test_f63_nothing_that_fails_in_a_tick_ends_the_loop(world, error):
    """P9: whatever a tick raises is told on one line, and the ticks after it come."""
    world.does[1] = raises(error)
    world.daemon.run(ticks=4)
    assert len(world.at) == 4
    assert len(world.lines("tick failed") + world.lines("stopped acting")) == 1


def test_f59_where_the_lease_cannot_be_written_nothing_is_ticked(world, monkeypatch):
    """A full disk: no holding, no tick, an alert each time; ticks come again once there is room."""
    acquire, full = world.lease.acquire, [True, True]

    def fails():
        if full:
            full.pop()
            raise StoreError("the lease cannot be used: No space left on device")
        return acquire()

    monkeypatch.setattr(world.lease, "acquire", fails)
    world.daemon.run(ticks=4)
    assert len(world.at) == 2
    assert len(world.lines("tick failed")) == 2


def test_one_that_does_not_lead_stands_by_and_follows(tmp_path):
    """It ticks nothing while another leads, and follows within the time to live and a look."""
    world = World(tmp_path, interval_s=600)
    other = FileLease(str(tmp_path / "lease"), world.clock, holder="other")
    assert other.acquire()
    world.daemon.run(ticks=6)
    assert world.at == []
    world.daemon.run(ticks=3)
    assert world.at[0] <= 41


def test_f64_a_stop_in_mid_apply_finishes_the_call_and_begins_no_other(world):
    """While it acts nothing is broken off; the next call is refused; the lease is free at the end."""

    def acts(holding):
        holding.acting = True
        assert holding.check() == 1
        assert not world.daemon.stop(), "a call may be under way"
        holding.check()

    world.does[0] = acts
    world.daemon.run()
    assert len(world.at) == 1
    assert "stopping" in world.lines("stopped acting")[0]["why"]
    assert FileLease(str(world.lease._path), world.clock, holder="next").acquire()


def test_f64_a_stop_while_it_looks_breaks_off_and_frees_the_lease(world):
    """Before anything is asked for there is nothing to finish."""

    def looks(_holding):
        assert world.daemon.stop()
        raise SystemExit(0)

    world.does[0] = looks
    with pytest.raises(SystemExit):
        world.daemon.run()
    assert FileLease(str(world.lease._path), world.clock, holder="next").acquire()


def test_f64_a_stop_between_ticks_is_noticed_within_a_second(world):
    """It does not wait for the next tick."""
    sleep = world.clock.sleep

    def stops(seconds):
        sleep(seconds)
        if world.clock.monotonic() > 10:
            world.daemon.stop()

    world.clock.sleep = stops
    world.daemon.run()
    assert world.clock.monotonic() < 11.5


def test_f64_a_signal_in_the_middle_of_a_line_of_the_log_does_not_wait_for_it(world):
    """The handlers take no lock that the step they interrupt may hold; a second signal changes nothing."""
    stop = run._stopper(world.daemon)
    with world.daemon.log._one:
        world.daemon.ask_reload()
        stop(15, None)
        stop(15, None)
    assert world.daemon.stopping.is_set()


def test_f69_a_hang_up_reads_the_configuration_between_ticks(world):
    """Asked in a tick, it is read after it, once."""

    def asks(_holding):
        world.daemon.ask_reload()
        assert world.daemon.running.reloads == []

    world.does[0] = asks
    world.daemon.run(ticks=3)
    assert world.daemon.running.reloads == [True]


def test_a_line_of_the_log_is_one_line_whatever_it_holds(world):
    """Text and JSON: a value with line ends and escapes of a terminal stays on its line, inert."""
    nasty = "a\n\x1b[31mred\u202e"
    said = io.StringIO()
    Log(said, world.clock).warning("gap", why=nasty, empty="", absent=None, pool="web-1", count=3)
    assert said.getvalue().count("\n") == 1
    assert "\x1b" not in said.getvalue()
    assert said.getvalue().endswith("pool=web-1 count=3\n")
    assert "empty" not in said.getvalue()
    Log(said := io.StringIO(), world.clock, form="json").alert("gap", why=nasty)
    assert json.loads(said.getvalue()) == {
        "at": "2026-03-02T08:00:00Z",
        "level": "error",
        "event": "gap",
        "why": nasty,
    }


def test_a_log_that_nobody_reads_any_more_stops_nothing(world):
    """A closed stream is passed over."""
    closed = io.StringIO()
    closed.close()
    Log(closed, world.clock).info("tick")


def test_the_keeper_ends_with_the_daemon(world):
    """The thread watches, and ends once the daemon stops."""
    keeper = world.daemon.keeper()
    keeper.start()
    world.daemon.stop()
    keeper.join(5)
    assert not keeper.is_alive()
