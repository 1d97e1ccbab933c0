"""The Plan: what the program wants to do, as a frozen, content-hashed, costed, reversible value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from policies.model import Gap

FORMAT_VERSION = 1
DENIED = "DENIED"  # begins the error of an outcome that lacked a permission


class PlanError(ValueError):
    """A plan's text that cannot be read: the message names the key and what it should be."""


class ActionKind(StrEnum):
    """Everything the program can do to the world. A closed list."""

    SCALE_OUT = "scale-out"
    SCALE_IN = "scale-in"


class Reason(StrEnum):
    """Why an action is proposed. A closed list."""

    FORECAST_PEAK = "FORECAST_PEAK"
    OWN_PAST = "OWN_PAST"
    LIVE_DEMAND = "LIVE_DEMAND"
    DEMAND_LOW = "DEMAND_LOW"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    ABOVE_MAXIMUM = "ABOVE_MAXIMUM"
    UNDO = "UNDO"


class Guard(StrEnum):
    """What held an action or a part of it. A closed list."""

    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    MAXIMUM = "MAXIMUM"
    LIVE_DEMAND = "LIVE_DEMAND"
    FROZEN = "FROZEN"
    PROTECTED = "PROTECTED"
    COOL_DOWN = "COOL_DOWN"
    STEP = "STEP"
    CHANGE_BUDGET = "CHANGE_BUDGET"
    SERVICE_LEVEL = "SERVICE_LEVEL"
    INCIDENT = "INCIDENT"
    DEPLOYING = "DEPLOYING"
    ZONE_IMPAIRED = "ZONE_IMPAIRED"
    UNREADY = "UNREADY"
    WARM_UP = "WARM_UP"
    RECENT_GROWTH = "RECENT_GROWTH"
    PENDING_WORK = "PENDING_WORK"
    IN_FLIGHT = "IN_FLIGHT"
    FREEZE_WINDOW = "FREEZE_WINDOW"
    FLAPPING = "FLAPPING"
    MONEY_BUDGET = "MONEY_BUDGET"
    FLEET_SHARE = "FLEET_SHARE"
    MODE = "MODE"
    APPROVAL = "APPROVAL"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    LEASE = "LEASE"
    OWNED = "OWNED"
    SUSPENDED = "SUSPENDED"
    NODE_PRESSURE = "NODE_PRESSURE"
    DISRUPTION_BUDGET = "DISRUPTION_BUDGET"


class UndoClass(StrEnum):
    """Whether the inverse brings back what was."""

    REVERSIBLE = "reversible"
    RECOVERABLE = "recoverable"
    IRREVERSIBLE = "irreversible"


class Status(StrEnum):
    """How an action ended; `partial`: some of its units, as many as `observed_after` tells."""

    APPLIED = "applied"
    PARTIAL = "partial"
    REHEARSED = "rehearsed"
    STALE = "stale"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class UsdRange(NamedTuple):
    """Money as low, mid and high; low <= mid <= high also where it is negative."""

    low: float
    mid: float
    high: float

    def negated(self) -> UsdRange:
        """The same money the other way."""
        return UsdRange(-self.high, -self.mid, -self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One piece of evidence: `because` an action, or for a finding."""

    name: str
    value: float | int | str
    unit: str = ""
    source: str = ""
    window: str = ""


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def action_id(target: str, before: int, after: int, *, kind: ActionKind | None = None) -> str:
    """The id of the action that changes a target so; the kind, if left out, is that of the change."""
    return _short_hash(f"{kind or kind_of(before, after)}|{before}|{after}|{target}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One change of one target from `before` to `after` units.

    `id` is a hash of kind, target, before and after: no time, version or money is in it.
    `hourly_delta_usd` is None where no price is known. `confidence` is the probability that demand
    stays within `after` over the lead time, by the forecast's own quantiles; None without a forecast.
    """

    kind: ActionKind
    target: str
    before: int
    after: int
    version: str = ""
    reason: Reason
    because: tuple[Fact, ...] = ()
    hourly_delta_usd: UsdRange | None = None
    billable: bool = True
    confidence: float | None = None
    disruption: int = 0
    undo_class: UndoClass = UndoClass.REVERSIBLE
    not_before: datetime
    expires_at: datetime
    id: str = field(init=False)

    def __post_init__(self) -> None:
        """Name the action by its content."""
        object.__setattr__(self, "id", action_id(self.target, self.before, self.after, kind=self.kind))

    def inverse(self) -> Action:
        """The action that brings `before` back; on whatever version the target then has."""
        return replace(
            self,
            kind=kind_of(self.after, self.before),
            before=self.after,
            after=self.before,
            version="",
            reason=Reason.UNDO,
            because=(Fact(name="undoes", value=self.id),),
            hourly_delta_usd=None if self.hourly_delta_usd is None else self.hourly_delta_usd.negated(),
            confidence=None,
            disruption=max(0, self.after - self.before),
        )


def kind_of(before: int, after: int) -> ActionKind:
    """The kind of a change of size."""
    return ActionKind.SCALE_OUT if after > before else ActionKind.SCALE_IN


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An action, or the remainder of a clipped one, that a guard did not let through.

    `until` is when it may be asked again, None where no time will help; `why` is one line for people.
    """

    action: Action
    guard: Guard
    until: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Waste: what a check found. `regret` is the share of the past in which the remedy would have hurt."""

    check: str
    resource: str
    evidence: tuple[Fact, ...]
    monthly_usd: UsdRange
    confidence: float
    regret: float | None = None
    remedy: Action | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Actions in order, what is held, what was found, and what could not be seen.

    `id` hashes the ordered action ids and the held ones with their guards: the same wish has the same
    id at the next tick. `complete` is False where a gap may hide something.
    """

    made_at: datetime
    expires_at: datetime
    snapshot_digest: str
    policy_digest: str
    forecasts_digest: str
    actions: tuple[Action, ...] = ()
    held: tuple[Held, ...] = ()
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    complete: bool = True
    format_version: int = FORMAT_VERSION
    id: str = field(init=False)

    def __post_init__(self) -> None:
        """Name the plan by its content."""
        wishes = [action.id for action in self.actions]
        wishes += [f"{entry.action.id}:{entry.guard}" for entry in self.held]
        object.__setattr__(self, "id", _short_hash("|".join(wishes)))

    @property
    def takes_back(self) -> bool:
        """Whether it takes an earlier change back, or would if no guard held it."""
        wishes = (*self.actions, *(entry.action for entry in self.held))
        return any(action.reason is Reason.UNDO for action in wishes)

    def inverse(self, *, made_at: datetime, expires_at: datetime) -> Plan:
        """The plan that takes the actions back, last first."""
        undone = (
            replace(action.inverse(), not_before=made_at, expires_at=expires_at)
            for action in reversed(self.actions)
        )
        return replace(
            self, made_at=made_at, expires_at=expires_at, actions=tuple(undone), held=(), findings=()
        )

    def hourly_delta_usd(self, *, billable: bool = True) -> UsdRange:
        """The sum over the priced actions that are billable (or those that are only allocated)."""
        return total_usd(a.hourly_delta_usd for a in self.actions if a.billable is billable)


def total_usd(amounts: Iterable[UsdRange | None]) -> UsdRange:
    """The sum of what is known."""
    known = [amount for amount in amounts if amount is not None]
    return UsdRange(sum(a.low for a in known), sum(a.mid for a in known), sum(a.high for a in known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an action. `observed_after` is what the provider then said, None if it did not."""

    action_id: str
    status: Status
    at: datetime
    observed_after: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of size that was really made: what budgets and cool-downs count.

    `elsewhere`: it was made to what had the pool's name then, and another target has it now: of the size of
    that one it tells nothing.
    """

    target: str
    at: datetime
    before: int
    after: int
    elsewhere: bool = False
