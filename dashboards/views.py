"""What the views are given beside the plan: charts of pools, rows and charts of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import Forecast
from policies.model import Pool
from policies.money import unit_usd
from policies.plan import Plan, UsdRange
from policies.sizing import LATE_STEPS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _nothing() -> NDArray[np.float64]:
    return np.empty((0, 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chart:
    """One pool's demand and its forecast, as the views draw them.

    `history` is float64 [steps] in `unit` from `start` (aware UTC) on, one value each `step_s` seconds,
    NaN absent. `values` is float64 [horizon, level] in `unit` from `issued_at` on, one row each
    `forecast_step_s` seconds; empty where there is no forecast. `peaks` is the largest of each level's
    quantiles over the lead time, as the plan was decided by; empty where that is not known. `capacity` is
    the units ready now. `newest` is when the samples behind it end (the metric that is furthest behind);
    None where nothing was held on beyond them, and the history tells.
    """

    pool_id: str
    start: datetime
    step_s: int
    history: NDArray[np.float64]
    unit: str = "units"
    levels: tuple[float, ...] = ()
    values: NDArray[np.float64] = field(default_factory=_nothing)
    issued_at: datetime | None = None
    forecast_step_s: int = 3600
    model: str = ""
    peaks: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    capacity: int | None = None
    newest: datetime | None = None

    def with_forecast(self, forecast: Forecast) -> Chart:
        """The same chart with quantiles ahead; they must be in `unit`."""
        return replace(
            self,
            levels=forecast.levels,
            values=forecast.values,
            issued_at=forecast.issued_at,
            forecast_step_s=forecast.step_s,
            model=forecast.model,
        )

    @property
    def seen_until(self) -> datetime | None:
        """The end of the last step that has a sample, None where none has."""
        present = np.flatnonzero(np.isfinite(self.history))
        if not len(present):
            return None
        return self.newest or self.start + timedelta(seconds=self.step_s * int(present[-1] + 1))

    def stamps(self) -> NDArray[np.datetime64]:
        """The begin of each step of the history, datetime64[s] [steps], UTC."""
        return _grid(self.start, self.step_s, len(self.history))

    def forecast_stamps(self) -> NDArray[np.datetime64]:
        """The begin of each step of the forecast, datetime64[s] [horizon], UTC."""
        return _grid(self.issued_at or self.start, self.forecast_step_s, len(self.values))


def _grid(start: datetime, step_s: int, steps: int) -> NDArray[np.datetime64]:
    first = np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "s")
    return first + np.arange(steps) * np.timedelta64(step_s, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRow:
    """What one scaler cost and did on one pool's own history.

    `violation` is the share of steps with demand above ready units, `unserved` the share of demand.
    `censored` is the share of steps of which that is not known, None where all are.
    """

    pool: str
    scaler: str
    cost_unit_hours: float
    clairvoyant_unit_hours: float
    cost_usd: float | None = None
    violation: float
    unserved: float
    actions_per_day: float
    censored: float | None = None

    @property
    def of_clairvoyant(self) -> float | None:
        """Cost over the least that could have served everything, None where that is nothing."""
        return self.cost_unit_hours / self.clairvoyant_unit_hours if self.clairvoyant_unit_hours else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRow:
    """How good one model's forecasts of one series were; NaN where a figure is not known.

    `mae_ratio` and `first_hour` are multiples of the error of yesterday's pattern, `coverage` a share of
    steps, `seconds` one fit; of `folds` the model had a forecast in `spoke`.
    """

    series: str
    model: str
    mae_ratio: float
    first_hour: float
    mase: float
    wql: float
    coverage: float
    spoke: int
    folds: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayChart:
    """One pool's replay: `stamps` datetime64 [steps] UTC, `demand` in units (NaN absent), and the ready
    units of each scaler, all of one length.
    """

    pool: str
    stamps: NDArray[np.datetime64]
    demand: NDArray[np.float64]
    ready: Mapping[str, NDArray[np.float64]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Hourly USD of the billable pools as they are and as planned; `unpriced` names pools without a price."""

    before: float
    after: float
    unpriced: tuple[str, ...] = ()


def spend(pools: Mapping[str, Pool], plan: Plan) -> Spend:
    """What the billable pools cost an hour, before and after the plan.

    A unit costs what the plan's own money counts for it (`unit_usd`, mid).
    """
    before, after, unpriced = 0.0, 0.0, []
    deltas = {action.target: action.hourly_delta_usd for action in plan.actions}
    for name in sorted(pools):
        pool = pools[name]
        if not pool.billable:
            continue
        price, delta = unit_usd(pool), deltas.get(name, UsdRange(0.0, 0.0, 0.0))
        if price is None or delta is None:
            unpriced.append(name)
            continue
        before += price.mid * pool.desired
        after += price.mid * pool.desired + delta.mid
    return Spend(before=before, after=after, unpriced=tuple(unpriced))


def complete(pools: Mapping[str, Pool], plan: Plan) -> bool:
    """Whether every target of the plan is among the pools: else no total over them is true."""
    wishes = (*plan.actions, *(held.action for held in plan.held))
    return bool(pools) and all(wish.target in pools for wish in wishes)


def units_total(pools: Iterable[Pool], plan: Plan) -> tuple[int, int]:
    """Units wanted over these pools before and after the plan; they must be `complete`."""
    known = {pool.id: pool for pool in pools}
    before = sum(pool.desired for pool in known.values())
    return before, before + sum(a.after - a.before for a in plan.actions if a.target in known)


def seen_until(charts: Mapping[str, Chart]) -> tuple[datetime | None, dict[str, datetime]]:
    """When the newest samples end, and by pool id when those of each pool end that is no longer live."""
    known = {name: until for name, chart in sorted(charts.items()) if (until := chart.seen_until)}
    newest = max(known.values(), default=None)
    if newest is None:
        return None, {}
    late = {
        name: until
        for name, until in known.items()
        if newest - until >= timedelta(seconds=LATE_STEPS * charts[name].step_s)
    }
    return newest, late


def of_baseline(rows: Sequence[ReplayRow], baseline: str = "hpa") -> dict[tuple[str, str], float]:
    """Cost of each (pool, scaler) over the baseline's cost on the same pool, where that is known."""
    base = {row.pool: row.cost_unit_hours for row in rows if row.scaler == baseline}
    return {
        (row.pool, row.scaler): row.cost_unit_hours / base[row.pool] for row in rows if base.get(row.pool)
    }
