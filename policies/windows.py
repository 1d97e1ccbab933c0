"""Trailing windows over demand, and whole units from what they say, for the scalers of the recent past.

Arrays are float64 [series, steps] in units of demand, NaN where absent. Where a tuning repeats one series
for many knobs (numpy.broadcast_to), its windows are computed once: rows that share their memory stay one row
until the margins of the series are applied. Where several series have many knobs each, `shared` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from forecasts.windows import trailing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policies.scalers import PoolSettings

    Floats = NDArray[np.float64]

# Far above what any pool can ask for; larger demand, or an infinite one, would spoil sums and differences.
LARGEST = 1e15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recent:
    """`recent` float64 [series / alike, window]: the newest demand; `current` float64 [series]: the size.

    `alike`: so many rows of demand, one after the other, are the same, and one of them is kept.
    """

    recent: Floats
    current: Floats
    alike: int = 1


def shared(state: Recent, alike: int) -> Recent:
    """The same state, that knows each `alike` rows of demand to be the same."""
    return replace(state, recent=state.recent[::alike], alike=alike)


def nothing(series: int, steps: int) -> Floats:
    """A past of that many steps in which nothing was seen, float64 [series, steps], one row in memory."""
    return np.broadcast_to(np.array(np.nan), (series, steps))


def joined(recent: Floats, demand: Floats, alike: int = 1) -> Floats:
    """The past and what follows it, float64 [series / alike, steps]; one row where all share their memory."""
    demand = demand[::alike]
    if recent.strides[0] == 0 and demand.strides[0] == 0:
        recent, demand = recent[:1], demand[:1]
    return np.concatenate([recent, np.minimum(demand, LARGEST)], axis=1)


def newest(known: Floats, steps: int, series: int) -> Floats:
    """The last `steps` of [series or 1, steps], for [series, steps]: what a state keeps."""
    kept = known[:, known.shape[1] - steps :].copy()
    return np.broadcast_to(kept, (series, steps)) if len(kept) != series else kept


def trailing_max(values: Floats, window: int) -> Floats:
    """The largest of the last `window` steps, the present one included; NaN where none is there."""
    return trailing(values, window - 1, np.fmax)


def whole_units(
    need: Floats, margin: float | Floats, current: Floats, settings: PoolSettings
) -> NDArray[np.int64]:
    """ceil(margin x need) within the bounds, int64 [series, steps].

    `need` [series, series / alike or 1, steps]; where it is NaN the size stays, at first at `current`
    [series]; `margin` is a number or [series].
    """
    at = np.where(np.isnan(need), -1, np.arange(need.shape[1]))
    np.maximum.accumulate(at, axis=1, out=at)
    kept = np.take_along_axis(need, np.maximum(at, 0), axis=1)
    if 1 < len(need) < len(current):
        kept, at = (np.repeat(rows, len(current) // len(need), axis=0) for rows in (kept, at))
    margins = np.broadcast_to(np.asarray(margin, dtype=np.float64), current.shape)
    wanted = np.ceil(kept * margins[:, None])
    if at.min(initial=0) < 0:
        wanted = np.where(at < 0, current[:, None], wanted)
    np.maximum(wanted, settings.floor[:, None], out=wanted)
    np.minimum(wanted, settings.ceiling[:, None], out=wanted)
    return wanted.astype(np.int64)
