"""What a scaler that learns wants of a pool now, what it has kept of the past, and what is new to it.

A scaler that learns (`LEARNS`) would read five weeks anew at every turn. Its state is kept instead, with the
moment it has seen through; a turn goes on from there by the new steps alone, never twice over the same ones.
The newest steps, of which a sample may still come, are not learnt yet: policies/learning.py tells them to a
copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasts.types import HOUR_S, Series
from policies.memory import Memory
from policies.sizing import LATE_STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policies.plan import Fact

LEARNS = frozenset({"lead_peak", "portfolio"})
GRACE_S = HOUR_S  # so long is waited for a sample before its step is learnt as absent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What was learnt of one pool. `of` names all it depends on; the first step begins at `start`, and
    `steps` of `step_s` seconds were seen.
    """

    of: str
    start: datetime
    step_s: int
    steps: int
    memory: Memory

    @property
    def through(self) -> datetime:
        """The end of the last step that was seen."""
        return self.start + timedelta(seconds=self.step_s * self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How pools are sized that go on together: scaler, its settings, the violation asked, the lead time."""

    scaler: str
    settings: tuple[tuple[str, object], ...] = ()
    violation: float
    lead_steps: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """One pool: `demand` in units up to now, its first `settled` steps complete; `of` as in `Kept`.

    `censored` bool, as long as `demand`: where it is a lower bound; None: nowhere.
    """

    pool_id: str
    rule: Rule
    minimum: int
    demand: Series
    settled: int
    of: str
    kept: Kept | None = None
    censored: np.ndarray[Any, Any] | None = None

    @property
    def likeness(self) -> tuple[object, ...]:
        """Pools of which this is the same can go on in one call."""
        kept = self.kept
        then = (self.begin, kept.steps, kept.memory.shape) if kept else (self.begin, 0, "")
        return (self.rule, self.demand.step_s, then, self.fresh.shape, self.unsettled.shape)

    @property
    def begin(self) -> datetime:
        """Where the grid of what is learnt begins."""
        return self.kept.start if self.kept else self.demand.start

    @property
    def _first(self) -> int:
        if self.kept is None:
            return 0
        return round((self.kept.through - self.demand.start).total_seconds() / self.demand.step_s)

    @property
    def fresh(self) -> np.ndarray[Any, Any]:
        """Demand of the steps that are complete and not learnt yet, float64 [steps]."""
        return self.demand.y[self._first : self._split]

    @property
    def unsettled(self) -> np.ndarray[Any, Any]:
        """Demand of the newest steps, of which a sample may still come, float64 [steps]."""
        return self.demand.y[self._split :]

    @property
    def _split(self) -> int:
        return max(self._first, self.settled)

    @property
    def bounds(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Where `fresh` and `unsettled` are lower bounds, bool [steps] each."""
        cut = np.zeros(len(self.demand.y), dtype=bool) if self.censored is None else self.censored
        return cut[self._first : self._split], cut[self._split :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a scaler wants for a pool now, None where it failed; the evidence; why it failed, if it did."""

    units: int | None
    because: tuple[Fact, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """What came of a task: what is to be kept now (None where nothing was new), and the standing."""

    kept: Kept | None
    standing: Standing


def settled_steps(demand: Series, metrics: Sequence[Series], now: datetime) -> int:
    """How many steps of a pool's demand are complete: all metrics have them, or none is waited for longer."""
    grace = max(GRACE_S, LATE_STEPS * max(series.step_s for series in metrics))
    ends = [end for series in metrics if (end := _known_until(series)) is not None]
    until = max(min(ends) if len(ends) == len(metrics) else demand.start, now - timedelta(seconds=grace))
    steps = math.floor((min(until, now) - demand.start).total_seconds() / demand.step_s)
    return min(max(0, steps), len(demand.y))


def _known_until(series: Series) -> datetime | None:
    """The end of the last step that has a value."""
    known = np.flatnonzero(~np.isnan(series.y))
    if not len(known):
        return None
    return series.start + timedelta(seconds=series.step_s * (int(known[-1]) + 1))


def misfit(kept: Kept, task: Task) -> str:
    """Why what was kept is of no use for a task, "" where it is."""
    if kept.of != task.of or kept.step_s != task.demand.step_s:
        return "its settings, bounds, lead time or unit capacity changed"
    offset = (kept.through - task.demand.start).total_seconds()
    if offset % task.demand.step_s:
        return "its metrics come at other times now"
    if offset < 0:
        return "what came since is no longer known"
    if kept.through > task.demand.end:
        return "it had seen more than is known now"
    return ""
