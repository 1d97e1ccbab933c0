"""What became of a process that a test started."""

from __future__ import annotations

from pathlib import Path

from autoscaler.clock import SystemClock


def is_over(pid):
    """Whether a process ended, at the latest in a moment."""
    clock = SystemClock()
    for _ in range(50):
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        clock.sleep(0.02)
    return False
