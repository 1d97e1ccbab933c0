"""Whether a change did what it should: did capacity arrive, and did the service level fall after a shrink.

The service level is compared by a one-sided Mann-Whitney U test of the points after the change against those
of the window before it, which asks nothing of their distribution but takes them as independent. Points that
follow each other are alike: the test's z is therefore made smaller by sqrt((1 - r) / (1 + r)), r the larger
correlation of neighbouring points, and the median must have moved by 5 % as well.
A shrink is looked at when a quarter, half and the whole of its window have passed, and the level of 1 % is
shared between these looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from policies.deeds import Deed, Verdict
from policies.model import Pool
from policies.plan import Change, Fact, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRIVAL_S = 60  # beside twice the lead time: how long units may take to serve
CHAIN_S = 86400  # shrinks that follow one another within so much are one chain
LAG_S = 60  # how late a provider may show what was done
LEVEL = 0.01  # the probability of calling a shrink worse that changed nothing
LOOKS = (0.25, 0.5, 1.0)  # when it is looked at, in shares of the window
MOVED = 0.05  # by what share the median must have moved as well
POINTS = 8  # fewer, on either side, tell nothing
WINDOW_S = 3600  # before, and after; longer where so much has too few points


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The service level after against before: `p` of the test, the medians, and whether it is worse."""

    worse: bool
    p: float
    before: float
    after: float

    def facts(self, series: str, window: str) -> tuple[Fact, ...]:
        """What people are shown."""
        return (
            Fact(name="median before", value=self.before, source=series, window=window),
            Fact(name="median after", value=self.after, source=series, window=window),
            Fact(name="p of Mann-Whitney's U", value=self.p, source=series, window=window),
        )


MISSING = 20  # one in so many units may not be ready


def arrived(change: Change, pool: Pool, now: datetime) -> Verdict:
    """Whether the units of a growth serve: within twice the lead time and a minute, else they are late.

    A twentieth of the pool may be missing, rounded down: a unit that is never ready makes no growth late.
    Unknown where the pool does not tell what is ready, or was made smaller than the growth since.
    """
    if pool.ready and pool.ready_units >= change.after - change.after // MISSING:
        return Verdict.CONFIRMED
    if now < change.at + timedelta(seconds=2 * pool.lead_time_s + ARRIVAL_S):
        return Verdict.WAITING
    return Verdict.LATE if pool.ready and pool.desired >= change.after else Verdict.UNKNOWN


def moved_by_others(deeds: Sequence[Deed]) -> int:
    """How often someone else moved a pool between what we did to it (oldest first), or right before it.

    A target that moved within a minute of our own change may only have been read late, and is not counted.
    """
    moves, last = 0, None
    for deed in deeds:
        if deed.outcome is not None and deed.outcome.status is Status.STALE:
            if last is None or deed.at >= last.at + timedelta(seconds=LAG_S):
                moves, last = moves + 1, None  # that move is counted
        elif deed.change is not None:
            moves += last is not None and last.after != deed.change.before
            last = deed.change
    return moves


def grew(deed: Deed) -> bool:
    """Whether it has made its pool larger."""
    return deed.change is not None and deed.change.after > deed.change.before


def after(deeds: Sequence[Deed], key: str) -> Sequence[Deed]:
    """What was intended for a pool (oldest first) after the deed with that key; nothing without it."""
    return deeds[next((n + 1 for n, deed in enumerate(deeds) if deed.key == key), len(deeds)) :]


def run_since(deeds: Sequence[Deed], key: str, shown: int, at: datetime) -> tuple[Deed, ...]:
    """Our own changes of a pool from the one with that key on, where nobody else had a hand in its size.

    `deeds` are the pool's, oldest first. The pool was seen at `at` with `shown` units: those made before must
    lead there step by step, those since go on from there. Empty where they do not.
    """
    own = [deed for deed in deeds if deed.key == key]
    run = [deed for deed in (*own, *after(deeds, key)) if deed.change is not None]
    changes = [deed.change for deed in run if deed.change is not None]
    seen = [change for change in changes if change.at < at]
    unbroken = all(one.after == other.before for one, other in pairwise(changes))
    return tuple(run) if seen and unbroken and seen[-1].after == shown else ()


def chain_start(deeds: Sequence[Deed], key: str) -> Change | None:
    """The first of our own shrinks that led, one after another within a day, to that with the key.

    The hour before it is what all of the chain are compared with: a level that sinks a little after each of
    them has sunk since then. None where no change has that key.
    """
    changes = [(deed.key, deed.change) for deed in deeds if deed.change is not None]
    last = next((n for n, (name, _) in enumerate(changes) if name == key), None)
    if last is None:
        return None
    first = changes[last][1]
    since = first.at - timedelta(seconds=CHAIN_S)
    for _, before in reversed(changes[:last]):
        if before.after >= before.before or before.after != first.before or before.at < since:
            break
        first = before
    return first


def window_s(step_s: int) -> int:
    """The window of a series in seconds: an hour, or as long as it takes for enough points at each look."""
    return max(WINDOW_S, int(np.ceil(POINTS / LOOKS[1])) * step_s)


def look_due(since_s: float, window: int) -> float | None:
    """The seconds after the change that the latest due look covers; None before the first one."""
    due = [share * window for share in LOOKS if share * window <= since_s]
    return due[-1] if due else None


def worsened(
    before: NDArray[np.float64], after: NDArray[np.float64], *, larger_is_worse: bool
) -> Compared | None:
    """The points after against those before, float64 [time], NaN for none; None where too few are known."""
    from scipy.special import ndtr, ndtri  # noqa: PLC0415 - as below
    from scipy.stats import mannwhitneyu  # noqa: PLC0415 - half a second, only where something has shrunk

    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if min(len(before), len(after)) < POINTS:
        return None
    sign = 1.0 if larger_is_worse else -1.0
    p = float(mannwhitneyu(sign * after, sign * before, alternative="greater").pvalue)
    old, new = float(np.median(before)), float(np.median(after))
    alike = max(_likeness(before - old), _likeness(after - new))
    p = float(ndtr(ndtri(p) * np.sqrt((1.0 - alike) / (1.0 + alike))))
    moved = sign * (new - old) > MOVED * abs(old)
    return Compared(worse=p < LEVEL / len(LOOKS) and moved, p=p, before=old, after=new)


def _likeness(y: NDArray[np.float64]) -> float:
    """How alike neighbouring points of `y`, float64 [time] around 0, are: their correlation, 0 to 0.95."""
    power = float(y @ y)
    return min(0.95, max(0.0, float(y[1:] @ y[:-1]) / power)) if power > 0 else 0.0
