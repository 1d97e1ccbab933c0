"""What the shell asks of the world: Protocols of at most four methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from forecasts.limits import Kind
from policies.model import Gap, Pool
from policies.plan import Action, Change, Outcome, Plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forecasts.types import Series


class Clock(Protocol):
    """Where time comes from, and waiting."""

    def now(self) -> datetime:
        """The present moment, aware UTC; it may step. Durations are taken from `monotonic`."""

    def monotonic(self) -> float:
        """Seconds since some moment; never steps back, whatever is done to the wall clock."""

    def sleep(self, seconds: float) -> None:
        """Come back when so much time has gone by."""


@runtime_checkable
class Retells(Protocol):
    """A clock that knows when it stepped, beside `Clock`."""

    def retold(self, at: datetime) -> datetime:
        """What a stamp written down earlier (aware UTC) would read today; never older than it is."""

    def earliest(self, since: datetime) -> datetime:
        """No stamp before this one is retold as `since` or later."""


ORIGINAL_SIZE = "loadline.dev/original-size"  # on the object: its size before our first change of it
FREEZE = "loadline.dev/freeze"  # on the object: why nothing may act on it ("" does not freeze)


class Lease(Protocol):
    """Who may act. One holder at a time; each holding has a larger generation than the one before."""

    def acquire(self) -> bool:
        """Take or keep the lease; whether this process holds it now."""

    def keep(self) -> bool:
        """Extend the present holding, never begin another; whether it is held now."""

    def check(self) -> int:
        """The generation of the present holding; Fenced if it is not held or its deadline is too near."""

    def release(self) -> None:
        """Let another one have it at once; nothing where it is not held."""


class Pools(Protocol):
    """A provider of pools. Raises the ProviderError tree and nothing else."""

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every pool that could be seen, and what could not."""

    def read(self, pool_id: str) -> Pool:
        """One pool as it is now; NotFound if it is gone."""

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """Ask for `size` units if the pool is still at `version` (else Stale), once for each `key`.

        The same key again changes nothing and answers as the first time; the same key with another
        size is Invalid. Returns the pool after the call; its `desired` may lie between the present one and
        `size` where only a part could be done.
        """

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """Ask whether `resize` would be let, changing nothing; False where the provider cannot rehearse.

        Raises what `resize` would raise.
        """


@runtime_checkable
class Remembers(Protocol):
    """A provider that keeps every key it was called with: what became of a lost call is then known."""

    def answer_to(self, key: str) -> Pool | None:
        """What `resize` answered to that key, None if it was never called with it. As `Pools.read` raises."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Raw points of one source, as they came: arrays of one length.

    `unique_id` object [rows], `ds` datetime64[us] UTC [rows], `y` float64 [rows]. `line` is the line in
    the file, or -1. `rejected` counts rows that could not even be parsed, with the first reason. `kind`
    tells a gauge from a counter, whose rate per second is the demand. `lower_bounds` says of a series why
    its true values may be larger (a partial answer); `warnings` is what else the source said, for people.
    `unanswered` says of a series why its query failed: that it has no samples tells nothing then.
    `before`: what is known already of a series, up to its first sample; they are judged beside it.
    """

    unique_id: NDArray[np.object_]
    ds: NDArray[np.datetime64]
    y: NDArray[np.float64]
    line: NDArray[np.int64]
    source: str
    rejected: tuple[str, ...] = ()
    kind: Kind = "gauge"
    lower_bounds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()
    unanswered: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    before: Mapping[str, Series] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at, and the mend where it is not right. `ok` None: it cannot be told."""

    what: str
    ok: bool | None
    why: str = ""
    mend: str = ""


@runtime_checkable
class Examines(Protocol):
    """A provider or source of metrics that can look at its own rights and at what may disturb it."""

    def examine(self) -> Sequence[Check]:
        """Credentials, each needed permission, clock skew and other controllers; changes nothing."""


@runtime_checkable
class Releases(Protocol):
    """A provider that gives a pool back to its owner."""

    def release(self, pool_id: str, *, version: str, key: str) -> Pool:
        """Put the size (or floor) back that was there before our first change, and take our marks off.

        Returns the pool afterwards, unchanged where we never changed it. Raises as `Pools.resize`.
        """


@runtime_checkable
class Outlasts(Protocol):
    """A provider that can keep the sizes of the next hours by itself, so that they outlive this program."""

    def outlast(self, pool_id: str, sizes: Sequence[tuple[datetime, int]]) -> Sequence[Gap]:
        """Leave with it a floor for each moment (aware, rising), which holds until the next moment.

        A floor is never below the owner's own minimum nor above the pool's maximum, and removes nothing.
        After the last one, by the distance of the last two (an hour where there is one), the owner's minimum
        comes back. What was left before is replaced; none takes all of it back. Returns what could not be
        kept. Raises as `Pools.resize`.
        """


class Metrics(Protocol):
    """A source of history. Raises MetricsError and nothing else."""

    def samples(self, series: Sequence[str], since: datetime | None, until: datetime | None) -> Samples:
        """The points of the named series (all if none is named) with since <= ds < until."""


@runtime_checkable
class Remote(Protocol):
    """A source over a network, beside `Metrics`: asked for what is new, its history is filled in once."""

    @property
    def step_s(self) -> int:
        """The distance of its points in seconds; their stamps are multiples of it since 1970 UTC."""

    @property
    def delay_s(self) -> int:
        """How long after its end a period is asked for at the earliest, in seconds; 0 for at once."""

    def known(self) -> Sequence[str]:
        """The series that it has queries for; no other may be asked for."""


class Trail(Protocol):
    """What was planned, intended and done: insert-only."""

    def record_plan(self, plan: Plan) -> bool:
        """Keep a plan; False where the last of its kind had the same id and only the sighting was kept."""

    def intend(self, plan_id: str, action: Action, at: datetime, *, generation: int = 0) -> str:
        """Write, durably, that an action is about to be tried; returns the idempotency key.

        `generation` is that of the leader who tries it, 0 where nobody leads.
        """

    def conclude(self, key: str, outcome: Outcome, change: Change | None) -> None:
        """Write what became of an intent, and the change that was really made."""

    def changes(self, since: datetime) -> Sequence[Change]:
        """The changes made at or after `since`, oldest first."""


class Story(Protocol):
    """The trail read back, for people."""

    def plan(self, plan_id: str) -> Plan | None:
        """A plan by its id or an unambiguous prefix."""

    def outcomes(self, plan_id: str) -> Iterable[tuple[Action, Outcome | None]]:
        """Each intended action of a plan with its outcome, None where it is in doubt."""
