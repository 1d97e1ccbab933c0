"""Apply a plan: re-read each target, write the intent, act, write the outcome.

Nothing is done without a trail. A target that moved since the plan was made is left alone. The first
failure of a shrink stops the other shrinks; growth goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoscaler.errors import (
    Denied,
    Invalid,
    NotFound,
    PlanRefused,
    ProviderError,
    Stale,
    Unreachable,
)
from autoscaler.ports import Clock, Pools, Trail
from policies.model import Pool, iso
from policies.plan import Action, Change, Outcome, Plan, Status

_STATUS: tuple[tuple[type[ProviderError], Status], ...] = (
    (Stale, Status.STALE),
    (NotFound, Status.STALE),
    (Invalid, Status.REFUSED),
    (Denied, Status.REFUSED),
    (Unreachable, Status.UNKNOWN),  # it may have been done: only a later reading can tell
    (ProviderError, Status.FAILED),
)


CLOCK_SKEW_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What applying needs: who answers for each pool, where it is written down, and the time.

    `permit` says why an action may not be done to the pool as it was just read, "" where it may;
    `unanswered` says of a pool without an owner what its provider said instead of listing it.
    """

    owners: Mapping[str, Pools]
    trail: Trail
    clock: Clock
    permit: Callable[[Action, Pool], str]
    unanswered: Mapping[str, str] = field(default_factory=dict)


def apply(plan: Plan, world: World, *, allowed: Callable[[Action], bool]) -> Iterator[tuple[Action, Outcome]]:
    """Each action with its outcome, one by one as they are done. PlanRefused, before any, if it expired."""
    now = world.clock.now()
    refuse_late(plan, now)
    shrinks_stopped = ""
    for action in plan.actions:
        if not allowed(action):
            continue
        if shrinks_stopped and action.after < action.before:
            error = f"not tried: {shrinks_stopped} failed before it"
            yield action, Outcome(action_id=action.id, status=Status.REFUSED, at=now, error=error)
            continue
        outcome = _one(plan, action, world)
        if action.after < action.before and outcome.status in {Status.FAILED, Status.UNKNOWN}:
            shrinks_stopped = action.id
        yield action, outcome


def refuse_late(plan: Plan, now: datetime) -> None:
    """PlanRefused for a plan that expired, or that was made by a clock ahead of this one."""
    if now >= plan.expires_at:
        raise PlanRefused(f"plan {plan.id} expired at {iso(plan.expires_at)}; make a new one")
    if plan.made_at > now + timedelta(seconds=CLOCK_SKEW_S):
        raise PlanRefused(f"plan {plan.id} was made at {iso(plan.made_at)}, after now ({iso(now)})")


def _one(plan: Plan, action: Action, world: World) -> Outcome:
    """Intent, act, outcome. What is refused before the provider is asked leaves an intent too."""
    now = world.clock.now()
    key = world.trail.intend(plan.id, action, now)
    change = None
    try:
        pool = _reread(action, world, now)
        after = world.owners[action.target].resize(action.target, action.after, version=pool.version, key=key)
    except ProviderError as error:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        outcome = Outcome(action_id=action.id, status=status, at=world.clock.now(), error=str(error))
    except Exception as error:  # noqa: BLE001 - the edge of one provider: its bugs stop nobody else
        why = f"{type(error).__name__}: {error}"
        outcome = Outcome(action_id=action.id, status=Status.UNKNOWN, at=world.clock.now(), error=why)
    else:
        at = world.clock.now()
        outcome = Outcome(action_id=action.id, status=Status.APPLIED, at=at, observed_after=after.desired)
        change = Change(target=action.target, at=at, before=pool.desired, after=after.desired)
    world.trail.conclude(key, outcome, change)
    return outcome


def _reread(action: Action, world: World, now: datetime) -> Pool:
    """The target as it is now, if it is still the one that was planned for and the guards still agree."""
    if action.target in world.unanswered:
        raise ProviderError(f"{action.target} was not tried: {world.unanswered[action.target]}")
    if action.target not in world.owners:
        raise NotFound(f"{action.target} is in no provider's list any more")
    pool = world.owners[action.target].read(action.target)
    if pool.desired != action.before or (action.version and pool.version != action.version):
        raise Stale(
            f"{action.target} moved since it was planned: it is at {pool.desired} "
            f"(version {pool.version}), the plan says {action.before} (version {action.version})"
        )
    if not action.not_before <= now + timedelta(seconds=CLOCK_SKEW_S) or now >= action.expires_at:
        raise Stale(
            f"{action.target}: the action is for {iso(action.not_before)} to {iso(action.expires_at)}"
        )
    why = world.permit(action, pool)
    if why:
        raise Invalid(why)
    return pool
