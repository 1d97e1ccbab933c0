"""Programs that give credentials, each ended at its deadline: the libraries that run them wait for ever.

None outlives this process either: whatever is still running is ended when the interpreter exits.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import threading
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress

from autoscaler.errors import Unreachable

CREDENTIALS_S = 15.0  # in which one answers, or is ended
SAID = 300  # characters of what one says of its failure
GRACE_S = 1.0  # in which one that was killed is gone

_STARTING = threading.Lock()  # held for good once the interpreter exits: nothing is started any more
_ALIVE: set[subprocess.Popen[bytes]] = set()
_LEFT: dict[Hashable, subprocess.Popen[bytes]] = {}  # those that could not be ended, by what they were asked


def ran(
    command: Sequence[str],
    *,
    deadline_s: float,
    name: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """What a program said on its two outputs, and how it ended; nothing is asked of a person.

    Unreachable after the deadline, by `name` ("": the command): it is ended, with whatever it started.
    One that may not be ended (sudo's) is left, and not run again beside itself. OSError where none runs.
    """
    name = name or command[0]
    key = (tuple(command), cwd, None if env is None else frozenset(env.items()))
    child = _started(key, command, name, deadline_s, env=env, cwd=cwd)
    try:
        out, said = child.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        late = f"{name} did not answer within {deadline_s:g} s"
        if _end(child):
            raise Unreachable(f"{late} and was ended") from None
        _LEFT[key] = child
        why = f"and could not be ended, as if it were another user's; end process {child.pid} by hand"
        raise Unreachable(f"{late} {why}") from None
    except BaseException:
        _end(child)
        raise
    finally:
        _ALIVE.discard(child)
    return subprocess.CompletedProcess(command, child.returncode, out, said)


def failure(done: subprocess.CompletedProcess[bytes]) -> str:
    """How a program failed, in one line: its status and the beginning of what it said; "" for not."""
    if not done.returncode:
        return ""
    said = " ".join(done.stderr.decode(errors="replace").split())[:SAID] or "it said nothing"
    return f"failed with status {done.returncode}: {said}"


def _started(
    key: Hashable,
    command: Sequence[str],
    name: str,
    deadline_s: float,
    *,
    env: Mapping[str, str] | None,
    cwd: str | None,
) -> subprocess.Popen[bytes]:
    if not _STARTING.acquire(timeout=deadline_s):
        raise Unreachable(f"{name} was not started within {deadline_s:g} s, after others")
    try:
        left = _LEFT.get(key)
        if left is not None and left.poll() is None:
            why = f"of an earlier call is still running and cannot be ended; end process {left.pid} by hand"
            raise Unreachable(f"{name} {why}")
        _LEFT.pop(key, None)
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        _ALIVE.add(child)
        return child
    finally:
        _STARTING.release()


def _end(child: subprocess.Popen[bytes]) -> bool:
    """End a program and what it started, and hear it no more; whether it is gone."""
    _kill(child)
    for output in (child.stdout, child.stderr):
        if output is not None:
            output.close()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # what refuses is told by whoever waits for its end
        os.killpg(child.pid, signal.SIGKILL)  # its group: its own children may hold the outputs


@atexit.register
def _end_all() -> None:
    """End what other threads still wait for: it has a session of its own, which no signal to ours reaches."""
    _STARTING.acquire(timeout=GRACE_S)
    for child in tuple(_ALIVE):
        _kill(child)
