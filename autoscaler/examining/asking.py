"""Many questions at once, each with a deadline: what hangs or fails is told, and hinders no other."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from autoscaler.errors import Denied, MetricsError, Temporary, Unreachable
from autoscaler.examining.report import Look, Matter
from autoscaler.ports import Check

DEADLINE_S = 30.0


def asked(jobs: Mapping[str, Callable[[], Any]], *, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
    """What each job answers, or the exception that it ends with: Unreachable where it was late.

    The deadline counts from the begin of all; a late one may go on, and is listened to no more.
    """
    answers: queue.Queue[tuple[str, Any]] = queue.Queue()

    def work(name: str, job: Callable[[], Any]) -> None:
        try:
            answers.put((name, job()))
        except Exception as error:  # noqa: BLE001 - the edge of one system: its bugs hide nothing else
            answers.put((name, error))

    for name, job in jobs.items():
        threading.Thread(target=work, args=(name, job), name=name, daemon=True).start()
    found: dict[str, Any] = {}
    ends = time.monotonic() + deadline_s
    while len(found) < len(jobs):
        try:
            name, answer = answers.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            break
        found[name] = answer
    late = Unreachable(f"no answer within {deadline_s:g} s")
    return {name: found.get(name, late) for name in jobs}


def failure(subject: str, what: str, error: Exception) -> Look:
    """The check of a question that ended with an exception, with the mend."""
    matter = Matter.OTHER
    why, mend = str(error) or type(error).__name__, "see docs/doctor.md"
    if isinstance(error, Denied):
        matter, mend = Matter.PERMISSION, "grant what it names: the files of deploy/iam have every right"
    elif isinstance(error, MetricsError):
        matter, mend = Matter.DATA, "see the source's settings, and whether it answers from this machine"
    elif isinstance(error, Temporary):
        mend = "see whether its address is right, and answers from here: name, proxy, certificate, load"
    elif not type(error).__module__.startswith("autoscaler"):
        why, mend = f"{type(error).__name__}: {why}", "report it, with `loadline doctor --bundle FILE`"
    return Look(subject=subject, check=Check(what=what, ok=False, why=why, mend=mend), matter=matter)
