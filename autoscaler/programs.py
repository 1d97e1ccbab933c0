"""Programs that give credentials, each ended at its deadline: the libraries that run them wait for ever."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from autoscaler.errors import Unreachable

CREDENTIALS_S = 15.0  # in which one answers, or is ended


def ran(
    command: Sequence[str], *, deadline_s: float, env: Mapping[str, str] | None = None, cwd: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """What a program said on its two outputs, and how it ended; nothing is asked of a person.

    Unreachable after the deadline: then it is ended, with whatever it started. OSError where it does not run.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        start_new_session=True,
    ) as child:
        try:
            out, said = child.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            with suppress(
                ProcessLookupError
            ):  # its group, since one of its own children may hold the outputs
                os.killpg(child.pid, signal.SIGKILL)
            raise Unreachable(f"{command[0]} did not end within {deadline_s:g} s, and was ended") from None
    return subprocess.CompletedProcess(command, child.returncode, out, said)
