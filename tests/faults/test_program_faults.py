"""A program that gives credentials outlives neither its deadline nor the process that ran it: F19, F64."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from autoscaler import programs
from autoscaler.clock import SystemClock
from autoscaler.errors import Unreachable
from tests.processes import is_over

TINY_S = 0.2
SLEEPS = ["sleep", "5"]
STOPPED = """
import signal, sys
from autoscaler.programs import ran
from autoscaler.transport import Family, within
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as the daemon does
script = "sleep 60 & echo $! > child.new; mv child.new child; wait"
call = lambda: ran(["sh", "-c", script], name="it", deadline_s=15.0, cwd=sys.argv[1])
within(call, Family(name="reading", rate=1.0, burst=1, deadline_s=20.0))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_f64_a_process_that_is_stopped_leaves_no_program_behind(tmp_path, number):
    """What it ran in another thread, in a session of its own, is ended with it, and what that started."""
    command = [sys.executable, "-c", STOPPED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as stopped:
        clock = SystemClock()
        while not (tmp_path / "child").exists():
            assert stopped.poll() is None, stopped.stderr.read()
            clock.sleep(0.05)
        stopped.send_signal(number)
        stopped.communicate(timeout=10)
    assert is_over((tmp_path / "child").read_text().strip())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_f64_what_interrupts_the_waiting_ends_the_program(monkeypatch, error):
    """Whoever waits for a program and is interrupted leaves none behind."""
    pids = []

    def interrupted(child, *_, **__):
        pids.append(child.pid)
        raise error

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(error):
        programs.ran(SLEEPS, name="it", deadline_s=10.0)
    assert is_over(pids[0])


def test_f19_a_program_of_another_user_is_given_up_at_its_deadline(monkeypatch):
    """Where it may not be ended (sudo) it is Unreachable all the same, and not run again beside itself."""
    pids = []

    def refused(pid, _number):
        pids.append(pid)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(programs, "GRACE_S", TINY_S)
    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", refused)
        with pytest.raises(
            Unreachable, match=r"^it did not answer within 0\.2 s .*could not be ended"
        ) as told:
            programs.ran(SLEEPS, name="it", deadline_s=TINY_S)
        with pytest.raises(Unreachable, match="is still running") as again:
            programs.ran(SLEEPS, name="it", deadline_s=TINY_S)
    assert len(pids) == 1
    assert all(str(pids[0]) in str(one.value) for one in (told, again))
    os.killpg(pids[0], signal.SIGKILL)
    assert is_over(pids[0])
    with pytest.raises(Unreachable, match="and was ended"):
        programs.ran(SLEEPS, name="it", deadline_s=TINY_S)


def test_a_program_tells_its_outputs_and_its_status():
    """Both outputs and the status come back; it is asked nothing."""
    done = programs.ran(["sh", "-c", "cat; echo out; echo said >&2; exit 3"], name="it", deadline_s=10.0)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"said\n")
