"""One history for a series whose id changed: a deploy names it anew, the load is the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import BadInput, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray


def joined(new: Series, former: Sequence[Series]) -> Series:
    """`new` with the history of its former ids before its first finite sample, on the grid of `new`.

    `former`, newest first, never overlap: each speaks only of the time before the first sample of what
    came after it, so the new id always wins. A former series of finer steps is averaged to the step of
    `new` (a step without a sample stays absent). BadInput where the steps of a former one are coarser.
    """
    for old in former:
        new = _before(new, old)
    return new


def _before(new: Series, old: Series) -> Series:
    if old.step_s > new.step_s:
        raise BadInput(
            f"{old.unique_id} has steps of {old.step_s} s where {new.unique_id} has {new.step_s} s: "
            "its history cannot be joined; record both at the same step, or leave it out of `formerly`"
        )
    known = np.flatnonzero(np.isfinite(new.y))
    first = int(known[0]) if known.size else len(new.y)
    apart = (old.start - new.start).total_seconds()
    at = np.floor((apart + old.step_s * np.arange(len(old.y))) / new.step_s).astype(np.int64)
    keep = np.isfinite(old.y) & (at < first)
    at, y = at[keep], old.y[keep]
    if not at.size:
        return new
    low = min(0, int(at[0]))
    out: NDArray[np.float64] = np.full(len(new.y) - low, np.nan)
    out[-low:] = new.y
    count = np.bincount(at - low, minlength=out.size)
    total = np.bincount(at - low, weights=y, minlength=out.size)
    there = count > 0
    out[there] = total[there] / count[there]
    start = new.start + timedelta(seconds=low * new.step_s)
    return Series(unique_id=new.unique_id, start=start, step_s=new.step_s, y=out)
