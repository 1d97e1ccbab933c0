"""What holds at the moment of a plan beside the snapshot: from the store, the metrics and the world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import retelling
from autoscaler.freezing import in_force, labels_of
from autoscaler.settling import underway
from forecasts.types import Series
from policies.conditions import Conditions, Reading
from policies.model import Pool
from policies.plan import Change
from policies.policy import Signal

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.observing import Seen

ARRIVAL_S = 60  # beside twice the lead time: how long growth is under way before it is late


def conditions(app: App, seen: Seen, *, running_s: float | None = None) -> Conditions:
    """What is known as of the snapshot.

    `running_s` is for how long a daemon has watched, None where none does. Only where one does, its pools
    count as seen from now on: a look by hand is no observing.
    """
    now = seen.snapshot.taken_at
    if running_s is not None:
        app.trail.see_pools([pool.id for pool in seen.snapshot.pools], now)
    since = now - timedelta(seconds=max((_arrival_s(pool) for pool in seen.snapshot.pools), default=0.0))
    growing = not_arrived(seen.snapshot.pools, retelling.changes(app, since, now), now)
    return Conditions(
        readings=readings(app.policy.interlocks.signals, seen.series),
        running_s=running_s,
        in_flight=underway(retelling.doubtful(app, now), now),
        growing=growing,
        first_seen=retelling.first_seen(app, now),
        freezes=in_force(app, now, labels_of(seen.snapshot)),
        approvals=app.people.approvals(now),
    )


def readings(signals: Iterable[Signal], series: Mapping[str, Series]) -> dict[str, Reading]:
    """The newest known value of each signal's series, as of the end of its step; none for an unknown one."""
    found = {}
    for name in {signal.series for signal in signals}:
        one = series.get(name)
        if one is None:
            continue
        known = np.flatnonzero(np.isfinite(one.y))
        if len(known):
            newest = int(known[-1])
            at = one.start + timedelta(seconds=one.step_s * (newest + 1))
            found[name] = Reading(value=float(one.y[newest]), at=at)
    return found


def not_arrived(pools: Iterable[Pool], changes: Sequence[Change], now: datetime) -> dict[str, datetime]:
    """The pools whose newest growth does not serve yet and is not late, and when it was asked for.

    A pool that does not tell what is ready counts until growth would be late: unknown is not arrived.
    """
    found = {}
    for pool in pools:
        mine = [change for change in changes if change.target == pool.id and not change.elsewhere]
        if not mine or mine[-1].after <= mine[-1].before:
            continue
        late = mine[-1].at + timedelta(seconds=_arrival_s(pool))
        serves = bool(pool.ready) and pool.ready_units >= mine[-1].after
        if now < late and not serves:
            found[pool.id] = mine[-1].at
    return found


def _arrival_s(pool: Pool) -> float:
    return 2.0 * pool.lead_time_s + ARRIVAL_S
