"""The Holt-Winters model of the Predictive Horizontal Pod Autoscaler, beside the reactive value.

    T[t] = ceil(margin x max(forecast of y[t + lead], newest value))

- triple exponential smoothing with a daily season, additive or multiplicative, the trend additive:
  level l = alpha (y - s) + (1 - alpha)(l + b), trend b = beta (change of l) + (1 - beta) b,
  season s = gamma (y - l - b) + (1 - gamma) s with l and b from before (multiplicative: y/s and y/(l + b));
- it is fitted anew to the history that is stored: `stored_seasons` whole seasons and what there is of the
  next one; a full season more drops the oldest. The first one gives level (its mean), season, and no trend;
- no forecast before 10 + 2 (season // 2) values are there;
- the decision type is `maximum`, the default; scale-in takes the largest value of the last 300 s;
- without a metric the size stays.

Source: jthomperoo/predictive-horizontal-pod-autoscaler, algorithms/holt_winters/holt_winters.py,
internal/prediction/holtwinters/holtwinters.go and
internal/controllers/predictivehorizontalpodautoscaler_controller.go, and the recursions of statsmodels. Its
documentation has alpha, beta, gamma of (.9, .9, .9); the defaults here are tuned. With (.9, .9, .9) the
recursion is unstable (errors almost double in a season): only the stored seasons bound it.

Other than there: values are demand in units and not replicas; the forecast is for the step in which the units
asked for now begin to serve, not for the next one; a step without a metric keeps its place in the season, and
leaves level, trend and season as they are. A history that the multiplicative season cannot be fitted to (a
value not above zero) gives no forecast, as there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from policies import windows
from policies.scalers import PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AHEAD = False
KNOB = "margin"
KNOBS = tuple(float(x) for x in (*np.geomspace(0.4, 8.0, 64), *np.geomspace(8.8, 100.0, 24)))
LOOKBACK_S = 5 * 86400

HAIR = 1e-9  # units: what rounding may add to a forecast of a whole number
LEAST = 1e-6  # the smallest level and seasonal factor that a value is divided by
AT_ONCE = 1 << 22  # values of the histories that are fitted side by side


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`margin`: multiplies the larger of forecast and newest value, a number or float64 [series].

    `alpha`, `beta`, `gamma`: smoothing of level, trend and season. `season_s`: the season; `stored_seasons`:
    how many are kept. `multiplicative`: 1 for a seasonal factor, 0 for a sum. `stabilization_s`: window of
    scale-in.
    """

    margin: float = ranged(1.0, 0.01, 100.0)
    alpha: float = ranged(0.3, 0.0, 1.0)
    beta: float = ranged(0.005, 0.0, 1.0)
    gamma: float = ranged(0.3, 0.0, 1.0)
    season_s: int = ranged(86400, 60, 604800)
    stored_seasons: int = ranged(4, 1, 28)
    multiplicative: int = ranged(0, 0, 1)
    stabilization_s: int = ranged(300, 0, 3600)

    @property
    def season(self) -> int:
        """The season in steps, at least two."""
        return max(2, round(self.season_s / self.step_s))

    @property
    def longest(self) -> int:
        """Steps of history that a forecast is fitted to at most, plus one."""
        return (self.stored_seasons + 1) * self.season

    @property
    def fewest(self) -> int:
        """Steps of history that a forecast needs."""
        return 10 + 2 * (self.season // 2)

    @property
    def held(self) -> int:
        """Steps before the present one that scale-in looks back to."""
        return self.stabilization_s // self.step_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State(windows.Recent):
    """The newest demand and the size, see windows.Recent; `needs` float64 [series / alike, held]: what was
    asked for; `seen` steps passed.
    """

    needs: Floats
    seen: int

    def shared(self, alike: int) -> Self:
        """The same state, that knows each `alike` rows of demand to be the same."""
        return replace(self, recent=self.recent[::alike], needs=self.needs[::alike], alike=alike)


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state with units float64 [series] running that has seen nothing."""
    return State(
        recent=windows.nothing(len(current), settings.longest),
        needs=windows.nothing(len(current), settings.held),
        current=current,
        seen=0,
    )


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The state after demand was seen while the size stayed as it is."""
    return replace(targets(demand, None, settings, state)[1], current=state.current)


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[NDArray[np.int64], State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    series, steps = demand.shape
    state = state or begin(np.broadcast_to(settings.floor, (series,)), settings)
    now = settings.longest  # the column of the first step
    known = windows.joined(state.recent, demand, state.alike)
    last = known[:, now - 1 : now - 1 + steps]
    forecast = np.empty_like(last)
    rows = max(1, AT_ONCE // (settings.longest * (2 + steps // settings.season)))
    for first in range(0, len(known), rows):
        part = slice(first, first + rows)
        forecast[part] = _forecasts(known[part], steps, state.seen, settings)
    need = np.where(np.isnan(last), np.nan, np.fmax(forecast - HAIR, last))
    needs = np.concatenate([state.needs[: len(known)], need], axis=1)
    steady = windows.trailing_max(needs, settings.held + 1)[:, settings.held :]
    out = windows.whole_units(
        np.where(np.isnan(last), np.nan, steady), settings.margin, state.current, settings
    )
    return out, replace(
        state,
        recent=windows.newest(known, now, series // state.alike),
        needs=windows.newest(needs, settings.held, series // state.alike),
        current=out[:, -1].astype(np.float64),
        seen=state.seen + steps,
    )


def _forecasts(known: Floats, steps: int, seen: int, settings: Settings) -> Floats:
    """Forecasts of y[t + lead] at the last `steps` steps, float64 [rows, steps]; NaN where there is none.

    Each season has a history of its own, which lacks the oldest season of the one before. All of them are
    fitted side by side: the loop goes over the steps of one history and not over those of the series.
    """
    season, longest = settings.season, settings.longest
    season_at = (seen + np.arange(steps)) // season  # of the step that is decided
    begins = np.maximum(season_at - settings.stored_seasons, 0)
    first, final = int(begins[0]), int(begins[-1])
    columns = np.arange(first, final + 1) * season + longest - seen
    unknown = np.full((len(known), max(0, int(columns[-1]) + longest - known.shape[1])), np.nan)
    history = sliding_window_view(np.concatenate([known, unknown], axis=1), longest, axis=1)[:, columns]
    into = seen + np.arange(steps) - begins * season  # steps of its history that are over
    by_step = np.ascontiguousarray(history[:, :, : int(into.max())].transpose(2, 0, 1))
    fitted = _fitted(by_step.reshape(len(by_step), len(known) * len(columns)), settings)
    out = np.full((len(known), steps), np.nan)
    ready = np.flatnonzero(into >= settings.fewest)
    place = np.arange(len(known))[:, None] * len(columns) + (begins[ready] - first)[None, :]
    if len(ready):
        out[:, ready] = fitted[(into[ready] - 1)[None, :], place]
    return out


def _fitted(history: Floats, settings: Settings) -> Floats:
    """Forecast after each step of histories side by side, float64 [steps, histories].

    NaN in the first season, and all along where that has no value.
    """
    season, ahead = settings.season, settings.lead_steps + 1
    out = np.full_like(history, np.nan)
    begin_at = history[:season]
    there = ~np.isnan(begin_at)
    count = there.sum(axis=0)
    total = np.where(there, begin_at, 0.0).sum(axis=0)
    level = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    factors = bool(settings.multiplicative)
    follow = _multiplied if factors else _added
    if factors:
        level = np.where((begin_at <= 0).any(axis=0), np.nan, level)  # NaN stays: there is nothing to fit
        seasonal = np.where(there, begin_at / level, 1.0)
    else:
        seasonal = np.where(there, begin_at - level, 0.0)
    trend = np.zeros_like(level)
    missing: NDArray[np.bool_] = np.isnan(history)
    gaps = np.any(missing, axis=1)
    for step in range(season, len(history)):
        place = step % season
        after = follow(history[step], (level, trend, seasonal[place]), settings)
        if gaps[step]:
            before = (level, trend, seasonal[place])
            after = tuple(np.where(missing[step], *pair) for pair in zip(before, after, strict=True))
        level, trend, seasonal[place] = after
        then = seasonal[(step + ahead) % season]
        base = level + ahead * trend
        out[step] = base * then if factors else base + then
    return out


def _added(value: Floats, model: tuple[Floats, Floats, Floats], settings: Settings) -> tuple[Floats, ...]:
    """Level, trend and season after a value, the season a sum."""
    level, trend, seasonal = model
    base = level + trend
    error = value - base - seasonal
    return (
        base + settings.alpha * error,
        trend + settings.alpha * settings.beta * error,
        seasonal + settings.gamma * error,
    )


def _multiplied(
    value: Floats, model: tuple[Floats, Floats, Floats], settings: Settings
) -> tuple[Floats, ...]:
    """Level, trend and season after a value, the season a factor. Neither is divided by zero or less."""
    level, trend, seasonal = model
    base = np.maximum(level + trend, LEAST)
    above = np.where(value > 0, value, np.nan)
    after = base + settings.alpha * (above / np.maximum(seasonal, LEAST) - base)
    after = np.minimum(after, windows.LARGEST)
    return (
        after,
        settings.beta * (after - level) + (1 - settings.beta) * trend,
        settings.gamma * above / base + (1 - settings.gamma) * seasonal,
    )
