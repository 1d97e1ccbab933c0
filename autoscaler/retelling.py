"""What the trail remembers, as long ago as it was in truth: by a clock that stepped, stamps are told anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from autoscaler.ports import Retells
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
    stepped = clock.retold(now) - now
    kept = app.trail.changes(clock.earliest(since + stepped))
    told = [replace(one, at=clock.retold(one.at) - stepped) for one in kept]
    return sorted((one for one in told if one.at >= since), key=lambda one: one.at)


def doubtful(app: App, now: datetime) -> Sequence[Deed]:
    """The intents in doubt, as of `now`; see `changes`."""
    clock, deeds = app.clock, app.trail.doubtful()
    if not isinstance(clock, Retells):
        return deeds
    stepped = clock.retold(now) - now
    return [replace(deed, at=clock.retold(deed.at) - stepped) for deed in deeds]


def first_seen(app: App, now: datetime) -> Mapping[str, datetime]:
    """When each pool was seen first, as of `now`; see `changes`."""
    clock, seen = app.clock, app.trail.first_seen()
    if not isinstance(clock, Retells):
        return seen
    stepped = clock.retold(now) - now
    return {name: clock.retold(at) - stepped for name, at in seen.items()}
