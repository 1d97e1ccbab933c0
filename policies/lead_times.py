"""Lead times as a pool really had them: from the sizes that were asked for and the units that served.

Every unit that was launched is followed from the step in which it was asked for to the step in which it
served, first asked, first served: that is what planning needs, the time until the n-th unit more is there.
A launch that was called off, that is still booting, that is cut by a hole in the series, or that never came,
is a lower bound of its lead time, not dropped: the distribution is Kaplan and Meier's product-limit estimate
(Nonparametric Estimation from Incomplete Observations, JASA 53, 1958).

The resolution is a step of the series: a lead time of k steps lies between k - 1 and k + 1 of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from policies.units import format_duration, format_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LEAST_LAUNCHES = 5
GIVE_UP_S = 7200  # at least: a unit that is not there by then never came


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Launches:
    """What was seen of each unit that was launched, in steps.

    `served` int64 [units]: lead times. `waited` int64 [units]: lower bounds, of those that had not come when
    they were called off, given up, or last seen. `given_up` counts those among them that never came.
    """

    served: Ints
    waited: Ints
    given_up: int = 0

    @property
    def count(self) -> int:
        """Every launch that was seen."""
        return len(self.served) + len(self.waited)

    def survival(self) -> tuple[Ints, Floats]:
        """The lead times that were seen, ascending, and the share of launches that took longer than each."""
        times, deaths = np.unique(self.served, return_counts=True)
        waited = np.sort(self.waited)
        everyone = np.sort(self.served)
        at_risk = (len(everyone) - np.searchsorted(everyone, times, side="left")) + (
            len(waited) - np.searchsorted(waited, times, side="left")
        )
        longer: Floats = np.cumprod(1.0 - deaths / at_risk, dtype=np.float64)
        return times, longer

    def quantile(self, level: float) -> int | None:
        """The steps within which that share of launches serves, None where so many were never seen to."""
        times, longer = self.survival()
        within = np.flatnonzero(longer <= 1.0 - level + 1e-12)
        return int(times[within[0]]) if len(within) else None

    @property
    def never(self) -> float:
        """The share of launches that had not come by the longest lead time that was seen."""
        _, longer = self.survival()
        return float(longer[-1]) if len(longer) else float(self.given_up > 0)


def launches(desired: Floats, ready: Floats, *, give_up_steps: int) -> Launches:
    """Every launch in two series of one pool on one grid, float64 [steps]; NaN is absent.

    Where either is absent nothing is known: what was booting before is a lower bound, what boots after it is
    not counted. Units that replace lost ones, and those that boot at the beginning, take their turn and are
    not counted either. A size that falls calls off the youngest launches first.
    """
    steps = np.flatnonzero(np.isfinite(desired) & np.isfinite(ready))
    if not len(steps):
        return Launches(served=np.empty(0, np.int64), waited=np.empty(0, np.int64))
    asked = np.rint(desired[steps]).astype(np.int64)
    there = np.rint(ready[steps]).astype(np.int64)
    moved = (np.diff(asked, prepend=asked[0]) != 0) | (np.diff(there, prepend=there[0]) != 0)
    hole = np.diff(steps, prepend=steps[0]) > 1
    queue = _Queue(give_up_steps)
    queue.begin(int(asked[0] - there[0]), int(steps[0]))
    for at in np.flatnonzero(moved | hole).tolist():
        now, size, serving = int(steps[at]), int(asked[at]), int(there[at])
        if hole[at]:
            queue.close(int(steps[at - 1]))
            queue.begin(size - serving, now)
            continue
        queue.step(now, (int(asked[at - 1]), size), (int(there[at - 1]), serving))
    queue.close(int(steps[-1]))
    return Launches(
        served=np.array(queue.served, dtype=np.int64),
        waited=np.array(queue.waited, dtype=np.int64),
        given_up=queue.given_up,
    )


@dataclass(slots=True)
class _Queue:
    """Units that boot, the first asked first: [step, units, whether they count]; and those given up."""

    give_up: int
    booting: deque[list[int]] = field(default_factory=deque)
    stuck: int = 0
    given_up: int = 0
    served: list[int] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)

    def begin(self, units: int, now: int) -> None:
        """Units whose launch was not seen boot."""
        self.booting.clear()
        self.stuck = 0
        self._launch(units, now, counted=False)

    def step(self, now: int, asked: tuple[int, int], serving: tuple[int, int]) -> None:
        """Sizes and serving units of the step before and of this one."""
        self._give_up(now)
        shrunk, fell = asked[0] - asked[1], serving[0] - serving[1]
        self._launch(-shrunk, now, counted=True)
        # What goes beyond the size that is asked for, or with it, was taken away; more than that was lost.
        self._launch(fell - max(0, serving[0] - asked[1], shrunk), now, counted=False)
        self._serve(-fell, now)
        self._call_off(max(0, asked[1] - serving[1]), now)

    def close(self, now: int) -> None:
        """The end of what was seen: what boots has not come yet."""
        self._give_up(now)
        for begun, units, counted in self.booting:
            self.waited += [now - begun] * (units * counted)
        self.booting.clear()

    def _launch(self, units: int, now: int, *, counted: bool) -> None:
        if units > 0:
            self.booting.append([now, units, int(counted)])

    def _serve(self, units: int, now: int) -> None:
        while units > 0 and self.booting:
            begun, waiting, counted = self.booting[0]
            taken = min(units, waiting)
            self.served += [now - begun] * (taken * counted)
            units -= taken
            self._shorten(0, taken)
        self.stuck -= min(self.stuck, max(0, units))

    def _call_off(self, left: int, now: int) -> None:
        """No more boot than are asked for and do not serve."""
        over = self.stuck + sum(entry[1] for entry in self.booting) - left
        gone = min(self.stuck, max(0, over))
        self.stuck -= gone
        over -= gone
        while over > 0 and self.booting:
            begun, waiting, counted = self.booting[-1]
            taken = min(over, waiting)
            self.waited += [max(0, now - begun - 1)] * (taken * counted)
            over -= taken
            self._shorten(-1, taken)

    def _give_up(self, now: int) -> None:
        """What is not there by then never came; it serves after all others, if it ever does."""
        while self.booting and now - self.booting[0][0] > self.give_up:
            _, units, counted = self.booting.popleft()
            self.stuck += units
            self.given_up += units * counted
            self.waited += [self.give_up] * (units * counted)

    def _shorten(self, end: int, units: int) -> None:
        self.booting[end][1] -= units
        if not self.booting[end][1]:
            del self.booting[end]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadTime:
    """What a plan reckons with, in seconds, and the line that says why; `learnt` False: it was declared.

    `median_s`, `p90_s` and `p95_s` are None where so many launches were never seen to serve; `never` is the
    share that did not come. All are multiples of `step_s`, the resolution.
    """

    seconds: int
    learnt: bool
    why: str
    step_s: int
    launches: int
    never: float
    median_s: int | None
    p90_s: int | None
    p95_s: int | None


def lead_time(
    desired: Floats, ready: Floats, *, step_s: int, declared_s: int, least: int = LEAST_LAUNCHES
) -> LeadTime:
    """The median lead time, rounded up to whole steps, of the launches in two series float64 [steps].

    The declared one holds where fewer than `least` units came, or more than half never did. A unit that is
    not there after two hours, or six times the declared lead time if that is longer, never came.
    """
    give_up = max(GIVE_UP_S, 6 * declared_s)
    seen = launches(desired, ready, give_up_steps=max(1, give_up // step_s))
    median, p90, p95 = (_seconds(seen.quantile(level), step_s) for level in (0.5, 0.9, 0.95))
    came, window = len(seen.served), format_duration(len(desired) * step_s)
    learnt = came >= least and median is not None
    if learnt:
        why = f"median {_shown(median)}, p95 {_shown(p95)}, {seen.count} launches in {window}"
        why += f", {format_share(seen.never)} never came" if seen.never else ""
        why += f"; steps of {format_duration(step_s)}"
    else:
        few = f"{came} units came in {window}, {least} are needed"
        why = "as declared: " + (
            few if came < least else f"of {seen.count} launches in {window} only {came} came"
        )
    return LeadTime(
        seconds=median if learnt and median is not None else declared_s,
        learnt=learnt,
        why=why,
        step_s=step_s,
        launches=seen.count,
        never=seen.never,
        median_s=median,
        p90_s=p90,
        p95_s=p95,
    )


def _seconds(steps: int | None, step_s: int) -> int | None:
    """A launch that serves within its own step took up to a step."""
    return None if steps is None else max(1, steps) * step_s


def _shown(seconds: int | None) -> str:
    return "unknown" if seconds is None else format_duration(seconds)
