"""Histories made ready for libraries that bear no hole: outages masked, absent values filled.

One NaN makes some models forecast zero without a word, twenty missing rows flatten others, and six zeros
at the end, when the metric or the service was broken, pull every one of them down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A run of zeros is an outage where, at the same hours of other days, zero is rarer than this.
RARE = 0.1
# Of so many values at least: one other day proves nothing about a short run.
EVIDENCE = 3
# Two days of zeros are an incident, more of them are what the load has become.
LONGEST_DAYS = 2


def ready(y: NDArray[np.float64], seasons: Sequence[int], minimum: int) -> NDArray[np.float64]:
    """A history without holes, float64 [steps], from its first finite value on.

    BadInput where fewer than `minimum` finite values are there: filling would be inventing.
    """
    known = np.flatnonzero(np.isfinite(y))
    if known.size < minimum:
        raise BadInput(f"needs {minimum} points, and has {known.size}")
    return filled(masked(y[known[0] :], seasons[0]), seasons)


def masked(y: NDArray[np.float64], day: int) -> NDArray[np.float64]:
    """The history with outages absent: runs of exact zeros at hours that hardly ever know zero.

    `day` is the steps of a day. A run of more than two days stays, for it is no incident any more.
    """
    zero = y == 0
    if not zero.any() or zero.all():
        return y
    hour = np.arange(y.size) % day
    seen = np.bincount(hour, weights=np.isfinite(y), minlength=day)
    zeros = np.bincount(hour, weights=zero, minlength=day)
    edges = np.flatnonzero(np.diff(np.r_[False, zero, False]))
    out = y.copy()
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin > LONGEST_DAYS * day:
            continue
        its = np.bincount(hour[begin:end], minlength=day)
        touched = its > 0
        other_seen = (seen - its)[touched].sum()
        other_zeros = (zeros - its)[touched].sum()
        if other_seen >= EVIDENCE * touched.sum() and other_zeros <= RARE * other_seen:
            out[begin:end] = np.nan
    return out


def filled(y: NDArray[np.float64], seasons: Sequence[int]) -> NDArray[np.float64]:
    """Absent values from the same hour of the week before, of the day before, of the next; else the last.

    What was filled serves to fill what comes a season later. Nothing stays absent where one value is
    finite.
    """
    out = y.copy()
    for season in sorted(seasons, reverse=True):
        _from_season(out, season)
    holes = ~np.isfinite(out)
    if holes.any() and not holes.all():
        newest = np.maximum.accumulate(np.where(holes, -1, np.arange(out.size)))
        first = int(np.argmin(holes))
        out = out[np.where(newest < 0, first, newest)]
    return out


def _from_season(y: NDArray[np.float64], season: int) -> None:
    """Fill holes in place, forwards from one season before, then backwards from one after."""
    if y.size <= season:
        return
    whole = np.full(-(-y.size // season) * season, np.nan)
    whole[: y.size] = y
    rows = whole.reshape(-1, season)
    for k in range(1, len(rows)):
        rows[k] = np.where(np.isfinite(rows[k]), rows[k], rows[k - 1])
    for k in range(len(rows) - 2, -1, -1):
        rows[k] = np.where(np.isfinite(rows[k]), rows[k], rows[k + 1])
    y[:] = whole[: y.size]
