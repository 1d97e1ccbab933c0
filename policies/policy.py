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
    AUTO = "auto"


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
    """No action within its scope until `until` (None: until it is lifted). `name` is empty for all."""

    scope: Scope
    name: str = ""
    until: datetime | None = None
    why: str = ""


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
    mode: Mode = Mode.OBSERVE
    cool_down_out_s: int = 0
    cool_down_in_s: int = 300
    step_out: Step = Step(units=4, share=1.0)
    step_in: Step = Step(units=1, share=0.5)
    survive_zone_loss: bool = False


DEFAULT_BUDGETS = (
    Budget(scope=Scope.POOL, step=Step(units=1, share=0.10), window_s=600),
    Budget(scope=Scope.PROVIDER, step=Step(units=1, share=0.05), window_s=3600),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything the operator wants. A pool without an entry follows `default`."""

    default: PoolPolicy = PoolPolicy()
    pools: Mapping[str, PoolPolicy] = field(default_factory=lambda: MappingProxyType({}))
    budgets: tuple[Budget, ...] = DEFAULT_BUDGETS
    freezes: tuple[Freeze, ...] = ()
    freshness: Freshness = Freshness()
    events: tuple[Event, ...] = ()
    masks: tuple[Mask, ...] = ()
    plan_ttl_s: int = 3600

    def of(self, pool_id: str) -> PoolPolicy:
        """The policy of one pool."""
        return self.pools.get(pool_id, self.default)
