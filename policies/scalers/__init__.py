"""Scalers: one module each, found by name. A scaler is one function over arrays,

    targets(demand, ahead, settings, state) -> (targets, state)

- `demand` float64 [series, steps] in units (one unit serves its unit capacity at its utilization target),
  already the largest over the pool's metrics; NaN is absent;
- `ahead` float64 [series, steps, horizon, level] or None: at [:, t] the quantiles of demand at t, t+1, ...,
  issued from demand[:, :t];
- `targets` int64 [series, steps]: `targets[:, t]` uses `demand[:, :t]` and nothing later (a law, tested for
  every module here);
- `state` is what an earlier call left behind, None to begin: two calls on two halves equal one on the whole.

A module has `Settings` (frozen; every field documented, its range declared with `ranged`), `AHEAD` (True
where it wants forecasts, at its setting `level`), `begin` and `observe` (how a live call comes to its state),
`KNOB` and `KNOBS` (what `--tune` turns), `steer(violation)` (the settings that a violation asked for implies;
none where the scaler has no budget) and `LOOKBACK_S` (how much of the past a live call needs; None: all
there is).
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

# No pool has so many units; sums over the steps of a history still fit 64 bits.
MOST_UNITS = 10**12


def ranged(default: Any, low: float, high: float) -> Any:
    """A field of `Settings` with its default and the lowest and highest value that may be chosen."""
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """What every scaler is told about its pool and the grid it runs on.

    `start` is the begin of the first step (UTC), `step_s` its length; `lead_steps` is the lead time in
    steps; `warmup_steps` is the part that is not scored; `levels` are the probabilities of `ahead`'s last
    axis; `maximum` None means no limit. `minimum` and `maximum` may be int64 [series]. `censored` bool
    [series, steps], aligned with the demand of the call: where demand is only known to be at least so much;
    None: nowhere. Scalers that learn do not take such a step for the demand.
    """

    start: datetime = datetime(2000, 1, 3, tzinfo=UTC)
    step_s: int = 60
    lead_steps: int = 1
    warmup_steps: int = 0
    minimum: int | NDArray[np.int64] = 1
    maximum: int | NDArray[np.int64] | None = None
    levels: tuple[float, ...] = field(default=())
    censored: NDArray[np.bool_] | None = None

    @property
    def floor(self) -> NDArray[np.float64]:
        """The minimum as float64 [1 or series]."""
        return np.atleast_1d(np.asarray(self.minimum, dtype=np.float64))

    @property
    def ceiling(self) -> NDArray[np.float64]:
        """The maximum as float64 [1 or series], never above MOST_UNITS: what is larger has no int64."""
        most = MOST_UNITS if self.maximum is None else self.maximum
        return np.minimum(np.atleast_1d(np.asarray(most, dtype=np.float64)), MOST_UNITS)


class Scaler(Protocol):
    """A module of this folder."""

    Settings: type[PoolSettings]
    AHEAD: bool
    KNOB: str
    KNOBS: tuple[float, ...]
    LOOKBACK_S: int | None

    def steer(self, violation: float) -> dict[str, float]:
        """The settings that a violation asked for (a fraction) implies; empty without a budget."""

    def begin(self, current: NDArray[np.float64], settings: Any) -> Any:
        """A state with that many units running, float64 [series], and nothing seen yet."""

    def observe(self, demand: NDArray[np.float64], settings: Any, state: Any) -> Any:
        """The state after demand was seen while the size stayed as it is."""

    def targets(
        self,
        demand: NDArray[np.float64],
        ahead: NDArray[np.float64] | None,
        settings: Any,
        state: Any,
    ) -> tuple[NDArray[np.int64], Any]:
        """Capacity asked for at each step."""


@cache
def names() -> tuple[str, ...]:
    """The scalers that exist, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Scaler:
    """The scaler of that name; ValueError lists those that exist."""
    if name not in names():
        raise ValueError(f"no scaler {name!r}; there are {', '.join(names())}")
    return cast("Scaler", importlib.import_module(f"{__name__}.{name}"))


def knobs(scaler: Scaler) -> dict[str, Any]:
    """The settings a user may set, with their defaults: those that the pool does not determine itself."""
    told = {entry.name for entry in fields(PoolSettings)}
    return {entry.name: entry.default for entry in fields(scaler.Settings) if entry.name not in told}


def configure(
    scaler: Scaler, pool: PoolSettings, chosen: Mapping[str, object], *, violation: float | None = None
) -> Any:
    """The scaler's own settings: what the pool determines, what was chosen, and the violation asked for.

    A setting that was chosen wins over the one that `violation` implies. ValueError names an unknown
    setting, one of the wrong type, or one outside its range.
    """
    known = {entry.name: entry for entry in fields(scaler.Settings) if entry.name in knobs(scaler)}
    values: dict[str, Any] = {entry.name: getattr(pool, entry.name) for entry in fields(PoolSettings)}
    if violation is not None:
        values |= scaler.steer(violation)
    for name, value in chosen.items():
        if name not in known:
            raise ValueError(f"no setting {name!r}; there are {', '.join(known)}")
        values[name] = _number(name, value, known[name])
    return scaler.Settings(**values)


def level(scaler: Scaler, chosen: Mapping[str, object], *, violation: float) -> float | None:
    """The probability of the quantile that a scaler needs forecast, None where it needs none.

    `chosen` and `violation` as for `configure`, which raises ValueError. Twelve digits, so that 1 - 0.07
    is 0.93.
    """
    if not scaler.AHEAD:
        return None
    return round(float(configure(scaler, PoolSettings(), chosen, violation=violation).level), 12)


def _number(name: str, value: object, setting: Field[Any]) -> float | int:
    whole = isinstance(setting.default, int)
    low, high = setting.metadata["low"], setting.metadata["high"]
    try:
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        number = float(value) if plain else math.nan  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"setting {name} is {value!r}; write {kind} from {low:g} to {high:g}")
    return int(number) if whole else number


def decide(
    scaler: Scaler, demand: NDArray[np.float64], ahead: NDArray[np.float64] | None, settings: Any, state: Any
) -> NDArray[np.int64]:
    """The capacity asked for now, int64 [series], from the steps that have ended.

    `demand` float64 [series, steps] ends with the newest complete step; `ahead` float64 [series, horizon,
    level] was issued now. The step that is under way is absent from what the scaler sees, by the same law
    that the replay obeys. The past is told with the size that runs: a rule that remembers what it would have
    done with sizes of its own would take back tomorrow what it asks for today.
    """
    state = scaler.observe(demand, settings, state)
    under_way = np.full((len(demand), 1), np.nan)
    settings = replace(settings, censored=None)
    wanted, _ = scaler.targets(under_way, None if ahead is None else ahead[:, None], settings, state)
    return wanted[:, -1]
