"""Once an hour floors for the time after this program's death are left with the providers that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler.errors import Fenced, LoadlineError, StoreError
from autoscaler.transport import CHANGING, within
from policies.guards import Wish, frozen
from policies.model import Pool
from policies.modes import permitted
from policies.outlasting import floors
from policies.plan import Action, Reason, kind_of

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.ports import Lease
    from autoscaler.turning import Turn

EVERY = timedelta(hours=1)
KIND = "outlast"  # of the event that tells it


def leave(app: App, done: Turn, lease: Lease) -> None:
    """Leave the floors of pools that may grow by themselves, take them back from those that may not any more.

    What is left and what fails is kept as an event. Raises StoreError and Fenced.
    """
    now = done.seen.snapshot.taken_at
    for pool in done.seen.snapshot.pools:
        if pool.provider not in app.outlasting:
            continue
        before = app.left.get(pool.id)
        if not _may_grow(app, done, pool, now):
            if before is not None:
                _leave(app, pool, (), lease, now)
                del app.left[pool.id]
        elif before is None or now >= before + EVERY:
            forecast = done.forecasts.get(pool.id)
            violation = app.policy.of(pool.id).violation
            sizes = () if forecast is None else floors(forecast, pool, violation=violation, now=now)
            if sizes:
                _leave(app, pool, sizes, lease, now)
                app.left[pool.id] = now


def _may_grow(app: App, done: Turn, pool: Pool, now: datetime) -> bool:
    """Whether its mode lets it grow without being asked, and nothing freezes it."""
    after = pool.desired + 1
    action = Action(
        kind=kind_of(pool.desired, after),
        target=pool.id,
        before=pool.desired,
        after=after,
        reason=Reason.FORECAST_PEAK,
        not_before=now,
        expires_at=now + EVERY,
    )
    freezes = (*app.policy.freezes, *done.conditions.freezes)
    mode = permitted(action, policy=app.policy, conditions=done.conditions, now=now)
    return mode.acts and frozen(Wish(pool=pool, wanted=after), freezes, now).guard is None


def _leave(app: App, pool: Pool, sizes: Sequence[tuple[datetime, int]], lease: Lease, now: datetime) -> None:
    target = app.configuration.pools[pool.id].target
    outlasts = app.outlasting[pool.provider]
    lease.check()
    try:
        gaps = within(lambda: outlasts.outlast(target, sizes), CHANGING)
    except (StoreError, Fenced):
        raise
    except LoadlineError as error:
        app.verdicts.event(KIND, pool.id, f"floors could not be left: {error}", now)
        return
    if not sizes:
        text = "the floors left for later were taken back"
    else:
        low, high = min(size for _, size in sizes), max(size for _, size in sizes)
        text = f"floors of {low} to {high} units from {sizes[0][0]:%FT%H:%MZ} on, should this program be gone"
    app.verdicts.event(KIND, pool.id, "; ".join([text, *(gap.why for gap in gaps)]), now)
