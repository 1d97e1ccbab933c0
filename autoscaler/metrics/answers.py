"""Answers of a source over a network, series by series, made into samples; several requests at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autoscaler.errors import MetricsError, ProviderError, Unreachable
from autoscaler.metrics.periods import Window
from autoscaler.ports import Samples

Job = TypeVar("Job")
Result = TypeVar("Result")

MORE_POINTS = 250_000  # for every so many points a call may take its time once more


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What came of one series: begins of periods in seconds since 1970 UTC, and values; both [points].

    `lower_bound` says why the true values may be larger, `warnings` what else there is to say, `unanswered`
    why the query failed.
    """

    stamps: NDArray[np.int64] = field(default_factory=lambda: np.array([], dtype=np.int64))
    y: NDArray[np.float64] = field(default_factory=lambda: np.array([], dtype=np.float64))
    lower_bound: str = ""
    warnings: tuple[str, ...] = ()
    unanswered: str = ""


def named(series: Sequence[str], known: Sequence[str], source: str) -> list[str]:
    """The series that are meant, all known ones if none is named; MetricsError for one without a query."""
    there = frozenset(known)
    for name in series:
        if name not in there:
            near = get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}" if near else ""
            raise MetricsError(f"{source} has no query for {name}{meant}")
    return list(dict.fromkeys(series)) or list(known)


def seconds_for(timeout_s: float, points: int) -> float:
    """How long a call for so many points may take in all: a long back-fill takes longer than a turn."""
    return timeout_s * (1 + points // MORE_POINTS)


def asked(
    jobs: Sequence[Job], ask: Callable[[Job], Result], *, workers: int, seconds: float
) -> list[Result | ProviderError]:
    """What each job answered or was refused with, in their order; Unreachable for those not done in time.

    A request that is late goes on until its own deadline; nobody waits for it.
    """

    def settled(job: Job) -> Result | ProviderError:
        try:
            return ask(job)
        except ProviderError as error:
            return error

    pool = ThreadPoolExecutor(max_workers=max(1, min(workers, len(jobs))), thread_name_prefix="metrics")
    try:
        futures = [pool.submit(settled, job) for job in jobs]
        done, _late = wait(futures, timeout=seconds)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    late = Unreachable(f"no answer within {seconds:g} s")
    return [future.result() if future in done else late for future in futures]


def together(
    answers: Mapping[str, Answer], window: Window, *, source: str, warnings: Sequence[str] = ()
) -> Samples:
    """The samples of all answers, series by series in ascending time.

    NaN and what has no end is absent. What is outside the window or off its grid is left out, and told.
    """
    told = list(warnings)
    names: list[NDArray[np.object_]] = []
    stamps: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float64]] = []
    for name, answer in answers.items():
        told += [f"{name}: {answer.unanswered}"] if answer.unanswered else []
        told += answer.warnings
        at, first = np.unique(answer.stamps, return_index=True)
        y = answer.y[first]
        fits = (at % window.step_s == 0) & (at >= window.begin) & (at < window.end)
        if not fits.all():
            told.append(f"{name}: {int((~fits).sum())} points off the grid of {window.step_s} s are left out")
        keep = fits & np.isfinite(y)
        names.append(np.full(int(keep.sum()), name, dtype=object))
        stamps.append(at[keep])
        values.append(y[keep])
    ds = np.concatenate([np.array([], dtype=np.int64), *stamps]).astype("datetime64[s]")
    return Samples(
        unique_id=np.concatenate([np.array([], dtype=object), *names]),
        ds=ds.astype("datetime64[us]"),
        y=np.concatenate([np.array([], dtype=np.float64), *values]),
        line=np.full(len(ds), -1, dtype=np.int64),
        source=source,
        lower_bounds={name: answer.lower_bound for name, answer in answers.items() if answer.lower_bound},
        warnings=tuple(dict.fromkeys(told)),
        unanswered={name: answer.unanswered for name, answer in answers.items() if answer.unanswered},
    )


def unanswered(source: str, errors: Sequence[ProviderError]) -> MetricsError:
    """The error of a source that answered nothing: its first reason, with it as `__cause__`."""
    error = MetricsError(f"{source}: {errors[0]}")
    error.__cause__ = errors[0]
    return error
