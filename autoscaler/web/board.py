"""What is served of the last turn, as one frozen value that is swapped as a whole.

A turn fills a board; requests read whichever board is there. Nobody waits for anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from autoscaler.log import Log
from autoscaler.ports import Clock
from policies.model import Pool, iso
from policies.outlook import NO_METRIC
from policies.plan import ActionKind, Guard, Held

if TYPE_CHECKING:
    from autoscaler.turning import Turn

NOT_LISTED = "no provider's list shows it"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """What a guard holds of a pool: the size that was wanted, until when, and why."""

    guard: str
    wanted: int
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A pool as the last plan leaves it, in units. `recommended` is None where none is given, for `why`.

    `lever`: what `desired` and `recommended` are sizes of, where that is not the pool itself.
    """

    pool: str
    recommended: int | None
    desired: int
    ready: int
    lever: str = ""
    held: tuple[HeldBack, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A plan's recommendations by pool, and why there is none for a pool that was not seen.

    Whether it is still fresh is judged by the wall clock and by the time that really went by: `aged_s` old at
    `posted_s` of the monotonic clock, fresh for `left_s` from then.
    """

    plan: str
    made_at: datetime
    expires_at: datetime
    complete: bool
    standings: Mapping[str, Standing] = field(default_factory=lambda: MappingProxyType({}))
    unseen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    posted_s: float
    aged_s: float
    left_s: float

    def age_s(self, elapsed_s: float) -> float:
        """How old the plan is in seconds, whatever the wall clock did since it was made."""
        return self.aged_s + max(0.0, elapsed_s - self.posted_s)

    def late(self, now: datetime, elapsed_s: float) -> str:
        """Why it may not be served any more, "" while it may."""
        if now < self.expires_at and elapsed_s - self.posted_s < self.left_s:
            return ""
        return f"the last plan was made at {iso(self.made_at)} and expired at {iso(self.expires_at)}"


class Latest:
    """Where the daemon posts and the server looks: one reference, replaced as a whole."""

    def __init__(self, clock: Clock, log: Log) -> None:
        """`clock` tells how old a plan is; what cannot be posted is logged."""
        self.board: Board | None = None
        self.clock, self.log = clock, log

    def post(self, turn: Turn, declared: Iterable[str]) -> None:
        """Put up a turn's plan. Never raises: where it fails the old one stays up until it expires."""
        try:
            self.board = of(turn, declared, now=self.clock.now(), elapsed_s=self.clock.monotonic())
        except Exception as error:  # noqa: BLE001 - the edge of serving: the loop goes on whatever it is
            self.log.alert("recommendations not served", kind=type(error).__name__, why=str(error))


def of(turn: Turn, declared: Iterable[str], *, now: datetime, elapsed_s: float) -> Board:
    """The board of a turn. `declared`: the pools that the configuration names."""
    plan, seen = turn.plan, turn.seen
    after = {action.target: action.after for action in plan.actions}
    held: dict[str, list[Held]] = {}
    for entry in plan.held:
        held.setdefault(entry.action.target, []).append(entry)
    standings = {}
    for pool in seen.snapshot.pools:
        outlook = turn.outlooks.get(pool.id)
        doubt = NO_METRIC if outlook is None else outlook.doubt
        standings[pool.id] = _standing(pool, after.get(pool.id), held.get(pool.id, []), doubt)
    gaps = {gap.source: gap.why for gap in plan.gaps}
    unseen = {
        name: seen.unanswered.get(name) or gaps.get(name) or NOT_LISTED
        for name in declared
        if name not in standings
    }
    lives = plan.expires_at - plan.made_at
    age = max(timedelta(), now - plan.made_at)
    return Board(
        plan=plan.id,
        made_at=plan.made_at,
        expires_at=plan.expires_at,
        complete=plan.complete,
        standings=MappingProxyType(standings),
        unseen=MappingProxyType(unseen),
        posted_s=elapsed_s,
        aged_s=age.total_seconds(),
        left_s=(lives - age).total_seconds(),
    )


def _standing(pool: Pool, after: int | None, held: list[Held], doubt: str) -> Standing:
    why = _unfit(pool, held, doubt)
    return Standing(
        pool=pool.id,
        recommended=None if why else pool.desired if after is None else after,
        desired=pool.desired,
        ready=pool.ready_units,
        lever=pool.lever,
        held=tuple(
            HeldBack(guard=entry.guard.value, wanted=entry.action.after, until=entry.until, why=entry.why)
            for entry in held
        ),
        why=why,
    )


def _unfit(pool: Pool, held: list[Held], doubt: str) -> str:
    """Why a floor is no recommendation.

    To keep a size is safe when nothing is known; to keep a floor, of a pool that stands far above it, is not:
    whoever took the floor for the size would shrink it.
    """
    if not pool.lever:
        return ""
    grows = (
        entry
        for entry in held
        if entry.action.kind is ActionKind.SCALE_OUT and entry.guard is not Guard.MAXIMUM
    )
    for entry in grows:
        return f"its growth is held by {entry.guard}, and what is set is {pool.lever}"
    return f"{doubt}, and what is set is {pool.lever}" if doubt else ""
