"""What holds at the moment of a plan beside the snapshot: signals, freezes, approvals, work under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from policies.policy import Freeze


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's word on one action, bound to its id: `granted` or refused, until `expires_at`, used once."""

    action_id: str
    granted: bool
    by: str
    why: str
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The newest value of a signal's series and the end of its step; a signal without one is unknown."""

    value: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The world around a plan; the empty one holds nothing, and knows nothing against shrinking.

    `readings` are by series id. `running_s`: for how long the daemon has watched, by the monotonic clock;
    None where no daemon runs (a plan by hand). `in_flight`: pools with an operation whose end is not known,
    and since when; `growing`: those whose growth was done and does not serve yet. `first_seen`: when each
    pool was first seen. `freezes`: those in force beside the policy's own.
    """

    readings: Mapping[str, Reading] = field(default_factory=lambda: MappingProxyType({}))
    running_s: float | None = None
    in_flight: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    growing: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    first_seen: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    freezes: tuple[Freeze, ...] = ()
    approvals: tuple[Approval, ...] = ()


NO_CONDITIONS = Conditions()
