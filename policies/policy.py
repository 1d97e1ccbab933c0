"""What the operator wants, as frozen values. The shell makes them from configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class Mode(StrEnum):
    """What the daemon may do with a pool's actions. Applying a plan by hand needs no mode."""

    OBSERVE = "observe"
    REHEARSE = "rehearse"
    APPROVE = "approve"
    AUTO = "auto"


class SignalKind(StrEnum):
    """What a signal says of a pool while it is bad. A closed list."""

    SERVICE_LEVEL = "service-level"
    INCIDENT = "incident"
    DEPLOYING = "deploying"
    ZONE_IMPAIRED = "zone-impaired"
    PENDING_WORK = "pending-work"


class Scope(StrEnum):
    """What a budget or a freeze covers."""

    ALL = "all"
    PROVIDER = "provider"
    POOL = "pool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The largest change at once: the larger of `units` and `share` (a fraction) of the present size."""

    units: int
    share: float

    def limit(self, size: int) -> int:
        """Units that may change at once from `size`; shares round down (40 % of 11 is 4)."""
        return max(self.units, int(self.share * size + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Shrinking allowed within any window of `window_s` seconds, for each pool or each provider.

    At most `step.limit(size at the window's start)` units go in any window. Growth has no such budget.
    """

    scope: Scope
    step: Step
    window_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """No action within its scope until `until` (None: until it is lifted). `name` is empty for all.

    With `shrinks_only` growth goes on: what the program itself freezes.
    """

    scope: Scope
    name: str = ""
    until: datetime | None = None
    why: str = ""
    shrinks_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Demand that no past week foretells, in [start, end). `pools` None: all of them.

    Either `multiplier`, what demand is to what is usual, or `like`, the [start, end) of a past event whose
    demand is expected again.
    """

    name: str
    start: datetime
    end: datetime
    pools: tuple[str, ...] | None = None
    multiplier: float | None = None
    like: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A window of history, [start, end), from which nothing may be learnt. `pools` None: all of them."""

    start: datetime
    end: datetime
    pools: tuple[str, ...] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """What a pool's metrics must be for it to shrink. Durations in seconds.

    The last point is at most `periods` steps old; of the last `window_s`, a `completeness` share is
    present and no gap is longer than `longest_gap_s`.
    """

    periods: int = 3
    completeness: float = 0.9
    longest_gap_s: int = 7200
    window_s: int = 14 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """How one pool is to be sized and how fast it may change."""

    scaler: str = "seasonal_quantile"
    settings: Mapping[str, float | int | str | bool] = field(default_factory=lambda: MappingProxyType({}))
    violation: float = 0.01
    model: str = "ridge"
    mode_out: Mode = Mode.OBSERVE
    mode_in: Mode = Mode.OBSERVE
    observe_first_s: int = 14 * 86400
    cool_down_out_s: int = 0
    cool_down_in_s: int = 300
    step_out: Step = Step(units=4, share=1.0)
    step_in: Step = Step(units=1, share=0.5)
    survive_zone_loss: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A series that forbids shrinking while it is above `above` or below `below` (exactly one is given).

    `pools` None: all of them. A signal that is not known, or older than `stale_s`, forbids shrinking too.
    """

    series: str
    kind: SignalKind
    above: float | None = None
    below: float | None = None
    pools: tuple[str, ...] | None = None
    stale_s: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Interlocks:
    """When nothing may shrink: see `policies/interlocks.py`. Durations in seconds, 0 for none."""

    unready_share: float = 0.45
    unready_above: int = 3
    warm_up_s: int = 600
    recent_growth_s: int = 600
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap:
    """More than `reversals` turns of direction within `window_s` hold further shrinking of the pool."""

    reversals: int = 3
    window_s: int = 6 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyBudget:
    """USD an hour by which growth may raise cost within `window_s`; it warns, and holds only if `hard`."""

    scope: Scope
    name: str = ""
    usd: float
    window_s: int
    hard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWindow:
    """A weekly or dated window in which nothing of its scope shrinks, in a zone's local time.

    `days` are Monday 0 to Sunday 6; minutes count from midnight; `end` <= `start` ends on the next day.
    """

    scope: Scope
    name: str = ""
    days: tuple[int, ...]
    start_minute: int
    end_minute: int
    timezone: str = "UTC"
    why: str = ""


FLEET_WINDOW_S = 3600  # the share of a fleet that may go without an approval is counted over an hour

DEFAULT_BUDGETS = (
    Budget(scope=Scope.POOL, step=Step(units=1, share=0.10), window_s=600),
    Budget(scope=Scope.PROVIDER, step=Step(units=1, share=0.05), window_s=3600),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything the operator wants. A pool without an entry follows `default`.

    A plan that shrinks more than `fleet_share` of a provider's units waits for an approval of its actions.
    `revalidate_s` seconds after a plan a second one has to confirm what the first removes.
    """

    default: PoolPolicy = PoolPolicy()
    pools: Mapping[str, PoolPolicy] = field(default_factory=lambda: MappingProxyType({}))
    budgets: tuple[Budget, ...] = DEFAULT_BUDGETS
    freezes: tuple[Freeze, ...] = ()
    freeze_windows: tuple[FreezeWindow, ...] = ()
    interlocks: Interlocks = Interlocks()
    flap: Flap | None = Flap()
    money: tuple[MoneyBudget, ...] = ()
    fleet_share: float = 0.3
    freshness: Freshness = Freshness()
    events: tuple[Event, ...] = ()
    masks: tuple[Mask, ...] = ()
    plan_ttl_s: int = 3600
    revalidate_s: int = 15

    def of(self, pool_id: str) -> PoolPolicy:
        """The policy of one pool."""
        return self.pools.get(pool_id, self.default)

    @property
    def memory_s(self) -> int:
        """Seconds for which changes must be remembered: the longest window that any guard looks back."""
        rules = (self.default, *self.pools.values())
        windows = [max(rule.cool_down_in_s, rule.cool_down_out_s) for rule in rules]
        windows += [budget.window_s for budget in self.budgets]
        windows += [budget.window_s for budget in self.money]
        windows += [FLEET_WINDOW_S, self.interlocks.recent_growth_s, self.flap.window_s if self.flap else 0]
        return max(windows)
