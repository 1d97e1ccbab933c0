"""The outlook of a pool: its demand, past and to come, and why it may be doubted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import Series
from policies.model import Gap, Snapshot
from policies.sizing import LATE_STEPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from policies.standing import Standing

NO_METRIC = "no metric of this pool could be read"
NOT_LIVE = "the newest demand was not seen"
FULL = "the newest demand is only known to be at least so much: the pool was full"
NOT_AHEAD = "the forecast does not reach over the lead time"


@dataclass(frozen=True, kw_only=True, eq=False)
class Outlook:
    """One pool's demand, past and to come, in units.

    `demand` ends at the plan's moment (NaN where nothing was seen). `ahead` float64 [horizon, level] are
    quantiles for the steps from then on, None without a forecast. `refusal` says in one line why the
    metrics are not sound, "" where they are. `model` and `notes` name the forecaster and what it replaced.

    `to_learn` is the demand that a scaler may see, as long as `demand`, None where that is all of it.
    `multiplier` and `least` (units) are what declared events do to a scaler's wish; `events` tells of them.
    `censored` bool, as long as `demand`: where it is a lower bound; None: nowhere.
    `standing`: what a scaler that learns wants, None where the planner is to ask the scaler itself.
    """

    pool_id: str
    demand: Series
    ahead: NDArray[np.float64] | None = None
    levels: tuple[float, ...] = ()
    model: str = ""
    refusal: str = ""
    notes: tuple[str, ...] = ()
    to_learn: Series | None = None
    multiplier: float = 1.0
    least: float = 0.0
    events: tuple[str, ...] = ()
    standing: Standing | None = None
    censored: NDArray[np.bool_] | None = None

    @property
    def learnt(self) -> Series:
        """What a scaler is shown: without what it may not learn from."""
        return self.demand if self.to_learn is None else self.to_learn

    @cached_property
    def live(self) -> float:
        """The newest demand in units of the last LATE_STEPS steps, NaN where none was seen."""
        newest: list[float] = self.demand.y[-LATE_STEPS:].tolist()
        return next((value for value in reversed(newest) if not math.isnan(value)), math.nan)

    @cached_property
    def full(self) -> bool:
        """Whether the newest demand that was seen is only a lower bound."""
        if self.censored is None:
            return False
        seen = np.flatnonzero(~np.isnan(self.demand.y[-LATE_STEPS:]))
        return bool(len(seen)) and bool(self.censored[-LATE_STEPS:][seen[-1]])

    @cached_property
    def doubt(self) -> str:
        """Why this demand may not shrink a pool, "" where nothing stands against it."""
        if self.refusal or math.isnan(self.live):
            return self.refusal or NOT_LIVE
        if self.full:
            return FULL
        return NOT_AHEAD if self.ahead is not None and bool(np.isnan(self.ahead).any()) else ""


def unsized(snapshot: Snapshot, outlooks: Mapping[str, Outlook]) -> Iterable[Gap]:
    """Pools whose metrics are absent or not sound, by id."""
    for pool in sorted(snapshot.pools, key=lambda pool: pool.id):
        outlook = outlooks.get(pool.id)
        if outlook is None:
            yield Gap(source=pool.id, code="INSUFFICIENT_DATA", why=NO_METRIC)
        elif outlook.doubt and outlook.doubt != FULL:  # then all was seen, and demand is larger
            yield Gap(source=pool.id, code="INSUFFICIENT_DATA", why=outlook.doubt)


def forecasts_digest(outlooks: Mapping[str, Outlook]) -> str:
    running = hashlib.sha256()
    for name in sorted(outlooks):
        outlook = outlooks[name]
        running.update(f"{name}|{outlook.model}|{outlook.levels}".encode())
        if outlook.ahead is not None:
            running.update(np.ascontiguousarray(outlook.ahead, dtype="<f8").tobytes())
        if outlook.events:
            running.update(f"{outlook.events}|{outlook.multiplier!r}|{outlook.least!r}".encode())
    return running.hexdigest()[:16]


def unseen(pool_id: str, now: datetime) -> Outlook:
    nothing = Series(unique_id=pool_id, start=now, step_s=60, y=np.empty(0))
    return Outlook(pool_id=pool_id, demand=nothing, refusal=NO_METRIC)


def peaks_of(ahead: NDArray[np.float64] | None, pools: int) -> list[list[float]]:
    """The largest of each level's quantiles over the horizon, for each pool; empty without a forecast."""
    if ahead is None:
        return [[] for _ in range(pools)]
    peaks: list[list[float]] = np.fmax.reduce(ahead, axis=1).tolist()  # one call for all: it is felt
    return peaks
