"""Scalers: one module each, found by name. A scaler is one function over arrays,

    targets(demand, ahead, settings, state) -> (targets, state)

- `demand` float64 [series, steps] in units (one unit serves its unit capacity at its utilization target),
  already the largest over the pool's metrics; NaN is absent;
- `ahead` float64 [series, steps, horizon, level] or None: at [:, t] the quantiles of demand at t, t+1, ...,
  issued from demand[:, :t];
- `targets` int64 [series, steps]: `targets[:, t]` uses `demand[:, :t]` and nothing later (a law, tested for
  every module here);
- `state` is what an earlier call left behind, None to begin: two calls on two halves equal one on the whole.

A module has `Settings` (frozen; every field documented), `KNOB` and `KNOBS` (what `--tune` turns),
`STEERED` (True where the violation asked steers it) and `LOOKBACK_S` (how much of the past a live call needs;
None: all there is).
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """What every scaler is told about its pool and the grid it runs on.

    `start` is the begin of the first step (UTC), `step_s` its length; `lead_steps` is the lead time in
    steps; `warmup_steps` is the part that is not scored; `levels` are the probabilities of `ahead`'s last
    axis; `maximum` None means no limit.
    """

    start: datetime = datetime(2000, 1, 3, tzinfo=UTC)
    step_s: int = 60
    lead_steps: int = 1
    warmup_steps: int = 0
    minimum: int = 1
    maximum: int | None = None
    levels: tuple[float, ...] = field(default=())

    @property
    def ceiling(self) -> float:
        """The maximum as a number that can be compared."""
        return np.inf if self.maximum is None else float(self.maximum)


class Scaler(Protocol):
    """A module of this folder."""

    Settings: type[PoolSettings]
    KNOB: str
    KNOBS: tuple[float, ...]
    STEERED: bool
    LOOKBACK_S: int | None

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


def knobs(scaler: Scaler) -> dict[str, type]:
    """The settings a user may set, with their types: those that the pool does not determine itself."""
    told = {entry.name for entry in fields(PoolSettings)}
    return {e.name: _type_of(e.default) for e in fields(scaler.Settings) if e.name not in told}


def _type_of(default: object) -> type:
    return type(default)


def decide(
    scaler: Scaler, demand: NDArray[np.float64], ahead: NDArray[np.float64] | None, settings: Any, state: Any
) -> NDArray[np.int64]:
    """The capacity asked for now, int64 [series], from the steps that have ended.

    `demand` float64 [series, steps] ends with the newest complete step; `ahead` float64 [series, horizon,
    level] was issued now. The step that is under way is absent from what the scaler sees, by the same law
    that the replay obeys.
    """
    seen = np.concatenate([demand, np.full((len(demand), 1), np.nan)], axis=1)
    issued = None
    if ahead is not None:
        issued = np.full((len(demand), seen.shape[1], *ahead.shape[1:]), np.nan)
        issued[:, -1] = ahead
    wanted, _ = scaler.targets(seen, issued, settings, state)
    return wanted[:, -1]
