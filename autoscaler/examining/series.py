"""The series that the pools need: whether a source has each, and how old its newest point is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscaler.examining.report import Look, Matter
from autoscaler.ports import Check, Remote, Samples
from policies.units import format_duration

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from autoscaler.ports import Metrics

SUBJECT = "series"
LOOK_BACK = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """When a series' newest step ended (aware UTC), and the length of its steps in seconds, 0 unknown."""

    end: datetime
    step_s: int


def newest(source: Metrics, series: Sequence[str], since: datetime, now: datetime) -> dict[str, Newest]:
    """The newest finite point of each series of a source, those of nobody too. Raises MetricsError."""
    return _of(source.samples(series, since, now), source.step_s if isinstance(source, Remote) else 0)


def _of(samples: Samples, step_s: int) -> dict[str, Newest]:
    finite = np.isfinite(samples.y)
    names = samples.unique_id[finite].astype(str)
    seconds = samples.ds[finite].astype("datetime64[s]").astype(np.int64)
    order = np.lexsort((seconds, names))
    names, seconds = names[order], seconds[order]
    found = {}
    for name, first in zip(*np.unique(names, return_index=True), strict=True):
        last = int(np.searchsorted(names, name, side="right"))
        stamps = np.unique(seconds[first:last])
        step = step_s or (int(np.median(np.diff(stamps))) if stamps.size > 1 else 0)
        end = datetime.fromtimestamp(int(stamps[-1]), UTC) + timedelta(seconds=step)
        found[str(name)] = Newest(end=end, step_s=step)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the sources have: the newest points that were asked for, the series of sources that examine
    themselves (`judged`) and those of them that such a source spoke of (`told`), the ends of the stored
    steps, and the sources that did not answer.
    """

    asked: Mapping[str, Newest]
    judged: frozenset[str]
    told: frozenset[str]
    stored: Mapping[str, datetime]
    silent: Sequence[str] = ()


def looks(configuration: Configuration, known: Known, now: datetime) -> Iterator[Look]:
    """A check for each series that a pool or an interlock needs, but for those that a source spoke of."""
    formerly = configuration.formerly()
    for name in dict.fromkeys((*configuration.series(), *configuration.signals())):
        names = (name, *formerly.get(name, ()))
        if name in known.told and not any(one in known.asked for one in names):
            continue
        check = _of_series(name, names, known, configuration.policy.freshness.periods, now)
        yield Look(subject=SUBJECT, check=check, matter=Matter.DATA)


def _of_series(name: str, names: Iterable[str], known: Known, periods: int, now: datetime) -> Check:
    found = [known.asked[one] for one in names if one in known.asked]
    kept = f"; stored until {_ago(known.stored[name], now)}" if name in known.stored else ""
    if found:
        return _fresh(name, max(found, key=lambda one: one.end), periods, now)
    if name in known.judged:
        return Check(what=name, ok=None, why=f"its source did not speak of it{kept}")
    if known.silent:
        why = f"{', '.join(known.silent)} did not answer{kept}"
        return Check(what=name, ok=None, why=why, mend="mend the source first")
    near = difflib.get_close_matches(name, [*known.asked, *known.judged], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    mend = f"{hint}name it in a source's queries or history, or in the pool as the source has it"
    return Check(what=name, ok=False, why=f"no source has it{kept}", mend=mend)


def _fresh(name: str, found: Newest, periods: int, now: datetime) -> Check:
    why = f"its newest step ended {_ago(found.end, now)}"
    if not found.step_s or (now - found.end).total_seconds() <= (periods - 1) * found.step_s:  # as the gate
        return Check(what=name, ok=True, why=why)
    why = f"{why}; of steps of {format_duration(found.step_s)} that is stale"
    return Check(what=name, ok=False, why=why, mend="see what should write it; nothing shrinks by it so long")


def _ago(end: datetime, now: datetime) -> str:
    age = (now - end).total_seconds()
    return f"{format_duration(int(age))} ago" if age >= 1 else "just now"


def last_end(answers: Iterable[Any]) -> datetime | None:
    """The end of the newest step of all, None where there is none: the moment of `now: last-sample`."""
    ends = [one.end for answer in answers if isinstance(answer, Mapping) for one in answer.values()]
    return max(ends, default=None)
