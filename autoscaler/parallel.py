"""One function over many jobs, in this process or over several: the same results in the same order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from autoscaler.errors import LoadlineError

Job = TypeVar("Job")
Result = TypeVar("Result")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    processes: int,
    on_done: Callable[[int], None] = lambda _done: None,
    mend: str = "try again with `--jobs 1`",
) -> list[Result]:
    """The result of each job, in the order of the jobs; `on_done` hears how many are done.

    `function` is one of a module, and it and the jobs can be pickled. Processes are started afresh: nothing
    of this one's threads or open files goes into them. LoadlineError where one of them dies; it says `mend`.
    """
    results: list[Result] = []
    if min(processes, len(jobs)) < 2:
        for job in jobs:
            results.append(function(job))
            on_done(len(results))
        return results
    import multiprocessing  # noqa: PLC0415 - only where there is work for several
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    fresh = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=fresh) as pool:
            for result in pool.map(function, jobs):
                results.append(result)
                on_done(len(results))
    except BrokenProcessPool:
        raise LoadlineError(f"a working process died, perhaps for want of memory; {mend}") from None
    return results
