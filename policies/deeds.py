"""What was tried and what became of it: intents with outcomes, verdicts, events, as the trail tells them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from policies.conditions import Approval
from policies.plan import Action, Change, Fact, Guard, Outcome, Status
from policies.policy import Freeze

MADE = frozenset({Status.APPLIED, Status.PARTIAL})  # the world was changed


class Verdict(StrEnum):
    """What a later look said of a change that was made. A closed list.

    `waiting`: too early to tell; `confirmed`: it arrived, and nothing became worse; `late`: it did not arrive
    in time; `worse`: the service level fell after it; `reverted`: it was worse, and its units are back, by a
    revert or by growth; `unknown`: there was too little to tell by.
    """

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    LATE = "late"
    WORSE = "worse"
    REVERTED = "reverted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """An intent and what became of it; `outcome` is None where nothing was written after it.

    It is in doubt while there is no outcome, or only one that says unknown. `change` is what was really made.
    `generation` is that of the leader who intended it, 0 where none is known. `place` is where the pool was
    when it was intended, "" where that was not kept. `elsewhere`: the pool is at another place today, so that
    nothing which is read of it now tells of this deed, and nothing of it may be taken back there.
    """

    key: str
    plan_id: str
    action: Action
    at: datetime
    outcome: Outcome | None = None
    change: Change | None = None
    generation: int = 0
    place: str = ""
    elsewhere: bool = False

    @property
    def doubtful(self) -> bool:
        """Whether the provider must be asked what became of it."""
        return self.outcome is None or self.outcome.status is Status.UNKNOWN

    @property
    def made(self) -> bool:
        """Whether the world was changed, wholly or in part."""
        return self.outcome is not None and self.outcome.status in MADE


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An action as a plan had it; `guard` is what held it, None where nothing did."""

    plan_id: str
    made_at: datetime
    action: Action
    guard: Guard | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was said of the intent with that key, and when."""

    key: str
    verdict: Verdict
    facts: tuple[Fact, ...] = ()
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened beside plans and actions; `pool` is empty where it is about none."""

    kind: str
    pool: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A freeze with who said it and when, and who lifted it, when and why (None and "" while it stands).

    `by` and `at` are "" and None where only a plan's inputs tell that it was in force.
    """

    freeze: Freeze
    by: str = ""
    at: datetime | None = None
    lifted_by: str = ""
    lifted_at: datetime | None = None
    lifted_why: str = ""

    def held_at(self, moment: datetime) -> bool:
        """Whether it was in force at that moment."""
        ends = [end for end in (self.lifted_at, self.freeze.until) if end is not None]
        return (self.at is None or self.at <= moment) and all(moment < end for end in ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An approval, and the key of the intent that used it, "" while none has."""

    approval: Approval
    used_by: str = ""
