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


def changes(app: App, since: datetime) -> Sequence[Change]:
    """The changes made at or after `since` (aware, by the clock of today), oldest first."""
    clock = app.clock
    if not isinstance(clock, Retells):
        return app.trail.changes(since)
    told = [replace(one, at=clock.retold(one.at)) for one in app.trail.changes(clock.earliest(since))]
    return sorted((one for one in told if one.at >= since), key=lambda one: one.at)


def doubtful(app: App) -> Sequence[Deed]:
    """The intents in doubt."""
    clock, deeds = app.clock, app.trail.doubtful()
    if not isinstance(clock, Retells):
        return deeds
    return [replace(deed, at=clock.retold(deed.at)) for deed in deeds]


def first_seen(app: App) -> Mapping[str, datetime]:
    """When each pool was seen first."""
    clock, seen = app.clock, app.trail.first_seen()
    return {name: clock.retold(at) for name, at in seen.items()} if isinstance(clock, Retells) else seen
