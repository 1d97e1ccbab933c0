"""What the trail remembers, as long ago as it was in truth: by a clock that stepped, stamps are told anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from autoscaler.ports import Clock, Retells
from policies.deeds import Deed
from policies.plan import Change

if TYPE_CHECKING:
    from autoscaler.bootstrap import App


def changes(app: App, since: datetime, now: datetime) -> Sequence[Change]:
    """The changes made at or after `since`, oldest first; both as of `now`, aware, a moment just looked at.

    Where the clock stepped since that look, they are as long before `now` as they were in truth.
    """
    clock = app.clock
    if not isinstance(clock, Retells):
        return app.trail.changes(since)
    retold = _retelling(clock, now)
    kept = app.trail.changes(clock.earliest(since + (clock.retold(now) - now)))
    told = [replace(one, at=retold(one.at)) for one in kept]
    return sorted((one for one in told if one.at >= since), key=lambda one: one.at)


def doubtful(app: App, now: datetime) -> Sequence[Deed]:
    """The intents in doubt, as of `now`; see `changes`."""
    retold = _retelling(app.clock, now)
    return [replace(deed, at=retold(deed.at)) for deed in app.trail.doubtful()]


def first_seen(app: App, now: datetime) -> Mapping[str, datetime]:
    """When each pool was seen first, as of `now`; see `changes`."""
    retold = _retelling(app.clock, now)
    return {name: retold(at) for name, at in app.trail.first_seen().items()}


def _retelling(clock: Clock, now: datetime) -> Callable[[datetime], datetime]:
    """What a stamp reads as of `now`; itself, by a clock that knows of no steps."""
    if not isinstance(clock, Retells):
        return lambda at: at
    stepped, retold = clock.retold(now) - now, clock.retold
    return lambda at: retold(at) - stepped
