"""Crane's DSP prediction: the last period, filtered, once more, or the newest demand where that is larger.

    T[t] = ceil(max(prediction of t..t + lead, newest demand) / target)

Once a day, at midnight UTC, from at most the last three weeks (whole weeks; below two weeks whole days):
- what lies before a gap of more than an hour is dropped, shorter gaps are filled in a straight line, values
  beyond the 0.1 and 99.9 percentile are replaced by the one before;
- the period: frequencies with more power than the 99th of the largest powers of 100 shuffles are candidates;
  of those whose lag is a peak of the autocorrelation (slopes of straight lines over up to 4 h on each side)
  the highest is the period. It is used if it is exactly 24 h or 168 h; else there is no new estimate;
- the estimate is the last period after a low-pass: frequencies above one an hour go if their amplitude is
  small. Eight estimators, two thresholds times margins of 1, 10, 15 and 20 %, predict the last period from
  those before; the one with the least error, where too little weighs more than too much, is taken.
An estimate is used until there is a new one, or until a period has gone by since the last demand it knew.

Source: gocrane/crane, pkg/prediction/dsp (signal.go, peak.go, estimators.go, prediction.go, preprocessing.go,
config.go) and pkg/prediction/accuracy. Amplitudes are absolute, there and here: units. Otherwise than there,
the shuffles are seeded, the mirrored half of the spectrum is filtered like the first, and an estimate counts
from the second step of the day, for it takes time. The newest demand stands for the reactive side of its
EffectiveHPA; while demand is absent, the last that was there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from policies.scalers import MOST_UNITS, PoolSettings, ranged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

AHEAD = False
KNOB = "target"
KNOBS = tuple(float(x) for x in np.geomspace(0.05, 2.0, 64))

HOUR_S = 3600
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
WINDOW_S = 3 * WEEK_S
LOOKBACK_S = WINDOW_S + WEEK_S + DAY_S  # an estimate of a week ago may still be in force

SHUFFLES = 100
PEAK_S = 4 * HOUR_S
OUTLIERS = (0.1, 99.9)
FILTERS = ((3, 1.0), (50, 0.05))  # strongest frequencies that stay; least amplitude of the others
MARGINS = (0.01, 0.10, 0.15, 0.20)
MOST_ITEMS = 100
LEAST_VALUE = 0.01
NEAR_ZERO = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PoolSettings):
    """`target`: utilization as a share of the unit capacity, a number or float64 [series]."""

    target: float = ranged(1.0, 0.01, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """`peak` float64 [period]: the largest prediction over the lead time from each step on, cyclic, the first
    for step `origin`; it is used up to step `until`.
    """

    peak: Floats
    origin: int
    until: int

    def between(self, first: int, end: int) -> Floats:
        """The largest prediction over the lead time, float64 [end - first], NaN where it has run out."""
        step = np.arange(first, end)
        return np.where(step <= self.until, self.peak[(step - self.origin) % len(self.peak)], np.nan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """Rows that saw the same demand share a history: `which` int64 [series] is its number. `recent` float64
    [histories, up to three weeks of steps]; `newest` float64 [histories], the last demand that was there;
    `estimates` one each; `seen` steps passed.
    """

    which: Ints
    recent: Floats
    newest: Floats
    estimates: tuple[Estimate | None, ...]
    seen: int


def steer(violation: float) -> dict[str, float]:
    """Nothing: this scaler has no budget of violations."""
    del violation
    return {}


def begin(current: Floats, settings: Settings) -> State:
    """A state that has seen nothing; the units float64 [series] that run do not matter to it."""
    del settings
    return State(
        which=np.zeros(len(current), dtype=np.int64),
        recent=np.empty((1, 0)),
        newest=np.full(1, np.nan),
        estimates=(None,),
        seen=0,
    )


def observe(demand: Floats, settings: Settings, state: State) -> State:
    """The state after demand was seen; the size plays no part. Only the newest estimate is computed."""
    rows, state = _distinct(demand, state)
    steps = rows.shape[1]
    history = np.concatenate([state.recent, rows], axis=1)
    estimates = list(state.estimates)
    oldest = steps - (WEEK_S + DAY_S) // settings.step_s  # one made before has run out
    due = [t for t in reversed(_due(settings, state.seen, steps)) if t > oldest]
    for number in range(len(history)):
        made = (_estimate(history[number], t - steps, state.seen + t, settings) for t in due)
        estimates[number] = next((one for one in made if one is not None), estimates[number])
    return _after(history, rows, settings, replace(state, estimates=tuple(estimates)))


def targets(
    demand: Floats, ahead: Floats | None, settings: Settings, state: State | None
) -> tuple[Ints, State]:
    """Units at each step, int64 [series, steps]; `ahead` is not used."""
    del ahead
    rows, state = _distinct(demand, begin(np.zeros(len(demand)), settings) if state is None else state)
    seen, steps = state.seen, rows.shape[1]
    history = np.concatenate([state.recent, rows], axis=1)
    need = _held(rows, state.newest)[:, :-1]
    estimates = list(state.estimates)
    due = _due(settings, seen, steps)
    edges = sorted({0, *due, steps})
    for number in range(len(history)):
        for low, high in pairwise(edges):
            if low in due:
                made = _estimate(history[number], low - steps, seen + low, settings)
                estimates[number] = made or estimates[number]
            estimate = estimates[number]
            if estimate is not None:
                part = need[number, low:high]
                np.fmax(part, estimate.between(seen + low, seen + high), out=part)
    wanted = np.ceil(np.nan_to_num(need, nan=0.0)[state.which] / np.reshape(settings.target, (-1, 1)))
    wanted = np.minimum(np.maximum(wanted, settings.floor[:, None]), settings.ceiling[:, None])
    after = _after(history, rows, settings, replace(state, estimates=tuple(estimates)))
    return wanted.astype(np.int64), after


def _distinct(demand: Floats, state: State) -> tuple[Floats, State]:
    """Each demand once, float64 [histories, steps], so that many knobs of one series cost one estimate; and
    the state with a row for each.
    """
    number: dict[tuple[int, bytes], int] = {}
    keys = [(old, row.tobytes()) for old, row in zip(state.which.tolist(), demand, strict=True)]
    which = np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.int64)
    _, first = np.unique(which, return_index=True)
    old = state.which[first]
    return np.minimum(demand[first], MOST_UNITS), replace(
        state,
        which=which,
        recent=state.recent[old],
        newest=state.newest[old],
        estimates=tuple(state.estimates[one] for one in old),
    )


def _held(rows: Floats, newest: Floats) -> Floats:
    """`newest` and then demand, what is absent as the last there was: float64 [histories, 1 + steps]."""
    seen = np.concatenate([newest[:, None], rows], axis=1)
    at = np.maximum.accumulate(np.where(np.isnan(seen), 0, np.arange(seen.shape[1])), axis=1)
    return np.take_along_axis(seen, at, axis=1)


def _after(history: Floats, rows: Floats, settings: Settings, state: State) -> State:
    kept = WINDOW_S // settings.step_s + 1
    return replace(
        state,
        recent=history[:, -kept:].copy(),
        newest=_held(rows, state.newest)[:, -1].copy(),
        seen=state.seen + rows.shape[1],
    )


def _due(settings: Settings, seen: int, steps: int) -> list[int]:
    """The steps, of those that follow `seen`, that come second in a day: a new estimate counts from there."""
    before = np.arange(seen - 2, seen + steps)
    day = (int(settings.start.timestamp()) + settings.step_s * before) // DAY_S
    begins = (np.diff(day)[:steps] > 0) & (before[:steps] >= 0)
    found: list[int] = np.flatnonzero(begins).tolist()
    return found


def _estimate(history: Floats, end: int, step: int, settings: Settings) -> Estimate | None:
    """What counts from step number `step` on, which in `history` float64 [any] is at `end` (negative: from
    its end). The demand of the step before is not used. None without a period.
    """
    day, week = DAY_S // settings.step_s, WEEK_S // settings.step_s
    if settings.step_s > HOUR_S:
        return None  # Crane takes no coarser samples
    past = history[: len(history) + end - 1][-(WINDOW_S // settings.step_s) :]
    signal, silent = _cleaned(past, settings.step_s)
    whole = next((unit for unit in (week, day) if len(signal) >= 2 * unit), 0)
    if not whole:
        return None
    period = _period(signal[len(signal) % whole :], settings.step_s)
    if period not in {day, week}:
        return None
    cycle = _best(signal[len(signal) % period :], period, settings.step_s)
    reach = min(settings.lead_steps, period - 1)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([cycle, cycle[:reach]]), reach + 1)
    origin = step - 1 - silent
    return Estimate(peak=windows.max(axis=1), origin=origin, until=origin + 1 + period)


def _cleaned(past: Floats, step_s: int) -> tuple[Floats, int]:
    """The part since the last long gap, without holes and extreme values, and how many steps ago it ended."""
    there = np.flatnonzero(~np.isnan(past))
    if not len(there):
        return np.empty(0), 0
    long = np.flatnonzero(np.diff(there) * step_s > HOUR_S)
    there = there[long[-1] + 1 if len(long) else 0 :]
    signal = np.interp(np.arange(there[0], there[-1] + 1), there, past[there])
    low, high = np.percentile(signal, OUTLIERS)
    kept = np.where((signal < low) | (signal > high), 0, np.arange(len(signal)))
    return signal[np.maximum.accumulate(kept)], len(past) - 1 - int(there[-1])


def _period(signal: Floats, step_s: int) -> int | None:
    """The fundamental period in steps, None without one.

    The shuffles are the dear part: where neither a day nor a week is a peak, nobody asks for the period.
    """
    count = len(signal)
    if signal.min() == signal.max():
        return None
    signal = signal - signal.mean()
    power = np.abs(np.fft.rfft(signal))
    correlation = np.fft.irfft(power**2, count) / (power**2)[1:].sum()
    reach = PEAK_S // step_s
    if not any(_is_peak(correlation, span // step_s, reach) for span in (DAY_S, WEEK_S)):
        return None
    strong = np.flatnonzero(power[: count // 2] > _chance_power(signal, step_s))
    lags = sorted({count // int(k) for k in strong if k > 1}, reverse=True)
    peaks = [lag for lag in lags if _is_peak(correlation, lag, reach)]
    return max(peaks, key=lambda lag: float(correlation[lag]), default=None)


def _chance_power(signal: Floats, step_s: int) -> float:
    """The 99th of the largest powers of 100 shuffles, in ascending order."""
    chance = np.random.default_rng((step_s, len(signal)))
    half = len(signal) // 2
    largest = [np.abs(np.fft.rfft(chance.permutation(signal)))[1:half].max() for _ in range(SHUFFLES)]
    return float(np.sort(largest)[SHUFFLES - 2])


def _is_peak(correlation: Floats, lag: int, reach: int) -> bool:
    """Positive, and straight lines through up to `reach` steps before and after it rise and fall."""
    reach = min(reach, lag // 2)
    if lag >= len(correlation) or correlation[lag] <= 0:
        return False
    rising = _slope(correlation[max(0, lag - reach) : lag + 1])
    return rising > 0 > _slope(correlation[lag : lag + reach + 1])


def _slope(values: Floats) -> float:
    """The least-squares slope, up to a positive factor."""
    return float(values @ (np.arange(len(values)) - (len(values) - 1) / 2))


def _best(signal: Floats, period: int, step_s: int) -> Floats:
    """The period to come, float64 [period], by the estimator that would have predicted the last one best."""
    past, actual = signal[:-period], signal[-period:]
    tried = [
        (_error(actual, estimate * (1.0 + margin)), items, amplitude, margin)
        for items, amplitude in FILTERS
        for estimate in (_low_pass(past, items, amplitude, step_s)[-period:],)
        for margin in MARGINS
    ]
    _, items, amplitude, margin = min(tried, key=lambda one: one[0])
    return _low_pass(signal, items, amplitude, step_s)[-period:] * (1.0 + margin)


def _low_pass(signal: Floats, items: int, amplitude: float, step_s: int) -> Floats:
    """Without the frequencies above one an hour that are weaker than `amplitude`, or than the 100th; the
    strongest `items` stay. Never below LEAST_VALUE where it would be negative.
    """
    count = len(signal)
    spectrum = np.fft.rfft(signal)
    strength = np.abs(spectrum) / count
    ranked = np.sort(strength[1 : count // 2])[::-1]
    least = max(float(ranked[min(MOST_ITEMS, len(ranked)) - 1]), amplitude)
    if len(ranked) >= items:
        least = min(least, float(ranked[items - 1]))
    quick = np.arange(len(spectrum)) * HOUR_S > count * step_s
    spectrum[(strength < least) & quick] = 0
    smooth = np.fft.irfft(spectrum, count)
    return np.where(smooth > 0, smooth, LEAST_VALUE)


def _error(actual: Floats, predicted: Floats) -> float:
    """Mean share by which the prediction is off, too little amplified: a tenth counts .47, one half 3.1.

    The mean absolute error where some demand is so near to zero that it has no share.
    """
    if actual.min() < NEAR_ZERO:
        return float(np.abs(actual - predicted).mean())
    ratio = predicted / actual
    return float(np.where(ratio < 1, -np.log(ratio) / np.log(1.25), ratio - 1).mean())
