"""`loadline --help` in a new process: CPU seconds, the best of seven."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TARGETS = {"help_cpu_s": "<= 0.2"}


def cpu_s(*command: str) -> float:
    """User and system seconds of one child."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def run() -> dict[str, float]:
    """The command, and beside it a Python that does nothing."""
    loadline = str(Path(sys.executable).with_name("loadline"))
    return {
        "help_cpu_s": min(cpu_s(loadline, "--help") for _ in range(7)),
        "python_alone_cpu_s": min(cpu_s(sys.executable, "-c", "") for _ in range(7)),
    }
