"""Steps of the wall clock: what was done is as long ago as it was in truth, and fresh samples are fresh."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import bootstrap, clock, config, retelling, tick
from autoscaler.clock import SteppedClock
from autoscaler.commands import run
from policies.plan import Guard, Status
from tests.worlds import small

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
AUTO = "defaults: {mode: auto, observe_first: 0s, cool_down_out: 5m, "


class Machine:
    """A machine whose wall clock steps when it is told to, and the clock of a daemon on it."""

    def __init__(self, now=NOW):
        self.wall, self.gone, self.told = now, 0.0, []
        self.clock = SteppedClock(self.told.append, wall=lambda: self.wall, elapsed=lambda: self.gone)

    def passes(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.gone += seconds

    def steps(self, seconds):
        self.wall += timedelta(seconds=seconds)


def age(machine, stamp):
    return (machine.clock.now() - machine.clock.retold(stamp)).total_seconds()


@given(st.floats(5, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_f31_a_step_ahead_makes_nothing_older(step, before, after):
    """What was written before a step ahead is exactly as old as it is; what comes after it is as it reads."""
    machine = Machine()
    old = machine.clock.now()
    machine.passes(before)
    machine.steps(step)
    new = machine.clock.now()
    machine.passes(after)
    assert age(machine, old) == pytest.approx(before + after, abs=0.01)
    assert age(machine, new) == pytest.approx(after, abs=0.01)
    assert machine.clock.now() == machine.wall, "fresh samples are fresh: the wall is followed at once"
    assert machine.told == pytest.approx([step], abs=0.01)


LIFE = st.lists(
    st.one_of(
        st.tuples(st.just("passes"), st.floats(0.001, 9000)),
        st.tuples(st.just("steps"), st.floats(10, 9000)),
        st.tuples(st.just("steps"), st.floats(-9000, -10)),
        st.tuples(st.just("writes"), st.just(0.0)),
    ),
    max_size=30,
)


@given(LIFE)
def test_f31_no_stamp_is_ever_taken_for_older_than_it_is_nor_for_one_to_come(life):
    """Whatever the wall does: the age of each stamp lies between none and the true one."""
    machine, written = Machine(), []
    for what, seconds in life:
        if what == "writes":
            written.append((machine.clock.now(), machine.gone))
        else:
            getattr(machine, what)(seconds)
            machine.clock.now()
        for stamp, at in written:
            assert -0.01 <= age(machine, stamp) <= machine.gone - at + 0.01
            since = machine.clock.retold(stamp)
            assert machine.clock.earliest(since) <= stamp


def test_f31_after_a_step_back_what_lies_ahead_is_as_old_as_it_is():
    """A stamp that is ahead of the wall can only be from before the step."""
    machine = Machine()
    machine.passes(600)
    old = machine.clock.now()
    machine.passes(60)
    machine.steps(-3600)
    machine.passes(30)
    assert age(machine, old) == pytest.approx(90)
    assert machine.told == [-3600]


@given(st.lists(st.floats(-4.9, 4.9), max_size=50))
def test_f31_a_clock_that_is_slewed_does_not_step(drifts):
    """Adjustments below five seconds are followed and told to nobody."""
    machine = Machine()
    for drift in drifts:
        machine.passes(60)
        machine.steps(drift)
        assert machine.clock.now() == machine.wall
    assert machine.told == []


def test_f31_the_memory_of_steps_is_bounded():
    """A thousand steps keep the newest few, and a stamp from before the last of them is still exact."""
    machine = Machine()
    for _ in range(1000):
        machine.passes(60)
        stamp = machine.clock.now()
        machine.steps(3600)
        machine.clock.now()
    assert len(machine.clock._before) == clock.FRAMES
    machine.passes(30)
    assert age(machine, stamp) == pytest.approx(30)


def test_f31_the_machines_own_clock_counts_on():
    """On the real clocks nothing steps by itself, and nothing is told anew."""
    told = []
    own = SteppedClock(told.append)
    stamp = own.now()
    assert own.retold(stamp) == stamp
    assert own.earliest(stamp) == stamp
    assert stamp <= own.now()
    assert told == []


@pytest.fixture
def world(tmp_path):
    """The small world with a machine whose clock may step, and its state."""
    small.write(tmp_path, small.CONFIGURATION.replace("last-sample", "clock").replace("defaults: {", AUTO))
    machine = Machine(small.END)
    machine.clock.sleep, machine.clock.monotonic = machine.passes, lambda: machine.gone
    app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), machine.clock)
    yield machine, app
    app.close()


def sizes(app):
    return {pool.id: pool.desired for pool in app.providers["fake"].list()[0]}


@pytest.mark.slow
@pytest.mark.parametrize("step", [3600, -3600, 86400])
def test_f31_a_step_refills_no_budget_and_ends_no_cool_down(world, step):
    """After a tick and a step of the wall, what was done is as old as it is, and nothing shrinks."""
    machine, app = world
    done = tick.tick(app, running_s=7200.0)
    assert [outcome.status for _, outcome in done.outcomes] == [Status.APPLIED] * 2
    before = sizes(app)
    machine.passes(60)
    looked = app.clock.now()
    machine.steps(step)
    told = retelling.changes(app, looked - timedelta(hours=1), looked)
    assert ages(told, looked) == {"web": 75, "api": 60}, "also as of a look before the step"
    now = app.clock.now()
    assert ages(retelling.changes(app, now - timedelta(hours=1), now), now) == {"web": 75, "api": 60}
    assert len(retelling.changes(app, now - timedelta(seconds=70), now)) == 1
    assert {(now - at).total_seconds() for at in retelling.first_seen(app, now).values()} == {75}
    again = tick.turn(app)
    assert not [action for action in again.plan.actions if action.after < action.before]
    assert sizes(app) == before


@pytest.mark.slow
def test_f31_after_a_clock_was_set_right_pools_grow_and_wait_as_ever(world):
    """The wall was an hour behind: fresh samples count at once; growth waits for its cool-down, then goes."""
    machine, app = world
    tick.tick(app)
    machine.passes(30)
    machine.steps(3600)
    sampled(app, machine)
    (held,) = [held for held in tick.turn(app).plan.held if held.action.target == "web"]
    assert held.guard is Guard.COOL_DOWN
    assert 0 < (held.until - app.clock.now()).total_seconds() <= app.policy.of("web").cool_down_out_s
    machine.passes(600)
    sampled(app, machine)
    (grown,) = [action for action in tick.turn(app).plan.actions if action.target == "web"]
    assert grown.after > grown.before


@pytest.mark.slow
def test_f31_the_daemon_tells_a_step_once_and_only_where_its_clock_goes_on(tmp_path, capsys):
    """`loadline run` logs the step in seconds; with a `now` that stands still no clock is watched."""
    small.write(tmp_path, small.CONFIGURATION.replace("last-sample", "clock"))
    app = run._daemon(str(tmp_path / "loadline.yaml"), "json").running.app
    assert isinstance(app.clock, SteppedClock)
    real = app.clock._wall
    app.clock._wall = lambda: real() - timedelta(hours=1)
    app.clock.now()
    app.clock.now()
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["level"], line["event"], round(line["seconds"])) == ("warning", "clock stepped", -3600)
    app.close()
    small.write(tmp_path)
    app = run._daemon(str(tmp_path / "loadline.yaml"), "json").running.app
    assert not isinstance(app.clock, SteppedClock)
    app.close()


def ages(changes, now):
    return {change.target: round((now - change.at).total_seconds()) for change in changes}


def sampled(app, machine):
    """Samples up to the present, by a clock that is right: web wants far more than it has."""
    path = Path(app.configuration.metrics[0].path)
    steps = int((machine.wall - small.END) / small.STEP)
    stamps = [small.END + number * small.STEP for number in range(steps)]
    path.write_text(small.history() + "".join(f"web,{at:%Y-%m-%dT%H:%M:%SZ},400\n" for at in stamps))
