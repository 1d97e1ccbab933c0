"""What a guard is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from policies.model import Pool
from policies.plan import Guard
from policies.policy import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One pool's wish within its bounds; what the newest demand needs; and why its metrics may not be
    trusted ("" where they may).
    """

    pool: Pool
    wanted: int
    need: int = 0
    refusal: str = ""

    @property
    def shrinks(self) -> bool:
        """Whether units would go."""
        return self.wanted < self.pool.desired

    def held(self, guard: Guard, why: str, until: datetime | None = None) -> Verdict:
        """No change at all."""
        return Verdict(self.pool.desired, guard, until, why)


class Verdict(NamedTuple):
    """How far a guard lets a change go; `until` is when it may be asked again, None where time is no help."""

    size: int
    guard: Guard | None = None
    until: datetime | None = None
    why: str = ""


def key_of(scope: Scope, pool: Pool) -> tuple[Scope, str]:
    """What a limit of that scope counts a pool under: its own id, its provider, or "" for all."""
    if scope is Scope.POOL:
        return (scope, pool.id)
    return (scope, pool.provider if scope is Scope.PROVIDER else "")


def keys_of(pool: Pool) -> tuple[tuple[Scope, str], ...]:
    """What limits of every scope count a pool under."""
    return ((Scope.POOL, pool.id), (Scope.PROVIDER, pool.provider), (Scope.ALL, ""))


def covers(scope: Scope, name: str, pool: Pool) -> bool:
    """Whether a rule with that scope and name is about the pool."""
    return (scope, name) == key_of(scope, pool)
