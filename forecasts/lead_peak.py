"""Lead-peak forecaster: predicts the quantity that is decided, the peak over the lead time.

At each step t it gives location and scale of M[t] = max(y[t..t+L]) on three scales (see features.Space), from
y[:t] alone. Closed-form ridges, refitted once a day on what is complete by then, with forgetting:

1. the mean: ridge on the features, from day 2 on; before that the 15-minute mean;
2. level shifts: a second ridge, from day 3 on, of the remaining error on exponentially weighted means (15 and
   60 minutes) of completed errors and on the drift of the short mean against the long one;
3. the scale: a third ridge for log(|error| + 0.006).

The guards are not ornament: offsets in the log, clipped features, a clamp of the mean to what was seen, a
floor and a ceiling of the scale, and a cap on the decision. Without them it loses to a reactive scaler on
intermittent load. Everything is vectorised over series; the state grows with nothing but the buffer of eight
days, and a refit reads one day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

from forecasts.features import (
    CLIP,
    Features,
    Grid,
    Space,
    features,
    from_space,
    lead_peak,
    to_space,
)
from forecasts.windows import newest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

RIDGE = 3.0
FORGET = 0.97  # a day
MEAN_FROM_DAY, REST_FROM_DAY = 2, 3
STANDARD_CLIP = 8.0
ERROR_FLOOR = 0.006
SIGMA = (0.004, 1.0)
SIGMA_AT_FIRST = 0.3
SHIFT_SPANS_MIN = (15, 60)
SCALE_SPANS_MIN = (30, 240, 1440)
SIGNED_SPANS_MIN = (30, 240)
BINS = np.geomspace(SIGMA[0], SIGMA[1], 241)  # of the histogram that the median of sigma is read from
CAP_DAYS, CAP_SHARE = 7, 1.15
HAIR = 1e-9  # what rounding may part two equal values by
MOST = 1e15  # demand above it is no demand, and its sums would not be sums


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlook:
    """Location and scale of M on one space, and the median of the scale so far: float64 [series, steps]."""

    mu: Floats
    sigma: Floats
    median: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Issued:
    """What was issued at each step: an outlook for each space, the slow level, and the cap in units."""

    outlooks: dict[Space, Outlook]
    level: Floats
    cap: Floats

    def quantile(self, knob: Floats, *, tempered: bool = True) -> Floats:
        """Units that M stays within for a knob, the mean of the three spaces under the cap.

        `knob` float64 broadcasts against [series, steps]: mu + 2 knob sigma. `tempered` takes the root of
        sigma and its median in place of sigma.
        """
        total: Floats = np.zeros(np.broadcast_shapes(np.shape(knob), self.level.shape))
        for space, outlook in self.outlooks.items():
            sigma = np.sqrt(outlook.sigma * outlook.median) if tempered else outlook.sigma
            total += from_space(outlook.mu + 2 * knob * sigma, self.level, space)
        capped: Floats = np.minimum(total / len(self.outlooks), self.cap)
        return capped


SHIFT = (*(f"shift {span}" for span in SHIFT_SPANS_MIN), "drift")
EXTRA = (
    *(f"size {span}" for span in SCALE_SPANS_MIN),
    "yesterday",
    *(f"signed {span}" for span in SIGNED_SPANS_MIN),
)
TRACKS = ("first", "final", "rest", *SHIFT, *EXTRA)


def _columns(tracks: Floats, names: tuple[str, ...]) -> Floats:
    return tracks[:, :, [TRACKS.index(name) for name in names]]


def _with_one(x: Floats) -> Floats:
    return np.concatenate([np.ones((*x.shape[:2], 1)), x], axis=2)


def _dot(x: Floats, weights: Floats) -> Floats:
    """Of x [series, steps, width] and weights [series, width]."""
    out: Floats = np.matmul(x, weights[:, :, None])[:, :, 0]
    return out


@dataclass(slots=True, eq=False)
class _Ridge:
    """Normal equations of one ridge for each series, with forgetting; the first column is the intercept."""

    gram: Floats
    moment: Floats

    @classmethod
    def of(cls, series: int, width: int) -> _Ridge:
        return cls(np.zeros((series, width, width)), np.zeros((series, width)))

    def add(self, x: Floats, z: Floats, weight: Floats) -> None:
        """A day's rows: x [series, rows, width], z and weight [series, rows]."""
        weighted = x * weight[:, :, None]
        self.gram = FORGET * self.gram + np.matmul(weighted.transpose(0, 2, 1), x)
        self.moment = FORGET * self.moment + np.matmul(weighted.transpose(0, 2, 1), z[:, :, None])[:, :, 0]

    def solve(self) -> Floats:
        """Coefficients [series, width]; zero where no row was added."""
        penalty = np.full(self.moment.shape[1], RIDGE)
        penalty[0] = 1e-9
        solved = np.linalg.solve(self.gram + np.diag(penalty), self.moment[:, :, None])
        return np.asarray(solved[:, :, 0], dtype=np.float64)


class LeadPeak:
    """The forecaster of many series on one grid, fed step after step; see the module's docstring."""

    def __init__(self, grid: Grid, series: int) -> None:
        """Nothing seen yet."""
        self.grid = grid
        self.steps = 0  # that were seen so far
        self._y = np.empty((series, 0))
        self._seen = np.empty((series, 0), dtype=bool)
        self._cut = np.empty((series, 0), dtype=bool)
        self._floor = np.zeros(series)
        self._spaces = {space: _Scaled(grid, series, space) for space in Space}

    def advance(self, demand: Floats, censored: Flags | None = None) -> Issued:
        """Issue at each of the next steps of demand float64 [series, steps], each before it is seen.

        NaN is absent: it is filled with the last value for the features, and nothing is learnt from it.
        `censored` bool [series, steps]: where demand is a lower bound. A peak over such a step is learnt
        from only where it lies above what was predicted: then the bound says that more was needed.
        """
        cut = np.zeros(demand.shape, dtype=bool) if censored is None else censored
        parts = []
        first = 0
        while first < demand.shape[1]:
            length = min(demand.shape[1] - first, self.grid.day - self.steps % self.grid.day)
            part = slice(first, first + length)
            parts.append(self._segment(demand[:, part], cut[:, part]))
            first += length
        return _joined(parts)

    def _segment(self, demand: Floats, censored: Flags) -> Issued:
        """Steps within one day."""
        grid, day, step = self.grid, self.grid.day, self.steps
        # A lead time of days must be over before a day of peaks is complete.
        refits = step % day == 0 and step >= max(MEAN_FROM_DAY * day, day + grid.lead)
        days = 1 if step > MEAN_FROM_DAY * day else MEAN_FROM_DAY
        self._remember(demand, censored)
        at = self._y.shape[1] - demand.shape[1]  # where the segment begins in the buffer
        back = min(at, max(days * day if refits else 0, 1) + grid.lead)
        if step == day:
            self._floor = 1e-3 * self._y[:, :at].mean(axis=1)
        origin = grid.origin_s + (step - at) * grid.step_s
        made = features(self._y, replace(grid, origin_s=origin), at - back, floor=self._floor)
        peak = lead_peak(self._y[:, at - back :], grid.lead)
        gaps = lead_peak(1.0 - self._seen[:, at - back :], grid.lead)
        cut = lead_peak(self._cut[:, at - back :].astype(np.float64), grid.lead) > 0
        before = np.concatenate([self._y[:, :1], self._y[:, :-1]], axis=1)
        week = newest(before, CAP_DAYS * day - 1, demand.shape[1], np.maximum)
        outlooks = {
            space: scaled.segment(made, peak, 1.0 - gaps, cut, back=back, refits=refits)
            for space, scaled in self._spaces.items()
        }
        self.steps += demand.shape[1]
        cap = np.maximum(CAP_SHARE * week, before[:, at:])
        return Issued(outlooks=outlooks, level=made.level[:, back:], cap=cap)

    def _remember(self, demand: Floats, censored: Flags) -> None:
        """Fill what is absent with the last value, and keep what the features will need."""
        joined = np.concatenate([self._y[:, -1:], demand], axis=1)
        there = np.isfinite(joined)
        newest = np.maximum.accumulate(np.where(there, np.arange(joined.shape[1]), 0), axis=1)
        filled = np.clip(np.nan_to_num(np.take_along_axis(joined, newest, axis=1), nan=0.0), 0.0, MOST)
        keep = self.grid.reach + MEAN_FROM_DAY * self.grid.day + self.grid.lead + 1
        new = demand.shape[1]
        self._y = np.concatenate([self._y[:, -keep:], filled[:, -new:]], axis=1)
        self._seen = np.concatenate([self._seen[:, -keep:], there[:, -new:]], axis=1)
        self._cut = np.concatenate([self._cut[:, -keep:], censored], axis=1)


def _joined(parts: list[Issued]) -> Issued:
    def join(arrays: Iterable[Floats]) -> Floats:
        return np.concatenate(list(arrays), axis=1)

    return Issued(
        outlooks={
            space: Outlook(
                mu=join(part.outlooks[space].mu for part in parts),
                sigma=join(part.outlooks[space].sigma for part in parts),
                median=join(part.outlooks[space].median for part in parts),
            )
            for space in Space
        },
        level=join(part.level for part in parts),
        cap=join(part.cap for part in parts),
    )


class _Scaled:
    """The forecaster on one space. `tracks` [series, kept steps, TRACKS] end at the newest step."""

    def __init__(self, grid: Grid, series: int, space: Space) -> None:
        self.grid, self.space = grid, space
        self.mean: _Ridge | None = None
        self.shift = _Ridge.of(series, 1 + len(SHIFT))
        self.scale: _Ridge | None = None
        self.centre = self.spread = np.empty(0)
        self.low, self.high = np.full(series, np.inf), np.full(series, -np.inf)
        self.weights: dict[str, Floats] = {}
        self.tracks = np.zeros((series, 0, len(TRACKS)))
        self.memory: dict[str, Floats] = {}  # of the exponential filters
        self.counts = np.zeros((series, len(BINS) + 1))
        self.days = 0  # refits so far
        self.median = np.full(series, np.nan)  # of sigma, fixed for a day
        self.spread_so_far = np.full(series, SIGMA_AT_FIRST)  # until there is a ridge for it

    @property
    def series(self) -> int:
        """How many there are."""
        return len(self.spread_so_far)

    def segment(
        self, made: Features, peak: Floats, weight: Floats, cut: Flags, *, back: int, refits: bool
    ) -> Outlook:
        """Refit on the days before the segment if it begins one, then issue its steps, then remember them.

        `made`, `peak` (M), `weight` (1 where M is complete and was seen) and `cut` (where it is a lower
        bound) begin `back` steps before it.
        """
        z = np.minimum(to_space(peak, made.level, self.space), CLIP)
        raw = made.on(self.space)
        if refits:
            then = _columns(self.tracks, ("final",))[:, -back:, 0]
            known = weight[:, :back] * ~(cut[:, :back] & (z[:, :back] <= then + HAIR))
            self._refit(raw[:, :back], z[:, :back], known)
            self.median = self._median()
        drift = to_space(made.short, made.level, self.space) - to_space(made.long, made.level, self.space)
        x = self._standard(raw[:, back:])
        first = (
            self._clamped(_dot(x, self.weights["mean"]))
            if "mean" in self.weights
            else to_space(made.short[:, back:], made.level[:, back:], self.space)
        )
        error = self._completed(z, first, "first", weight, cut=cut, back=back)
        shift = np.stack(
            [self._smooth(f"shift {span}", error, span) for span in SHIFT_SPANS_MIN] + [drift[:, back:]],
            axis=2,
        )
        final = first
        if "shift" in self.weights:
            final = self._clamped(first + _dot(_with_one(shift), self.weights["shift"]))
        rest = self._completed(z, final, "final", weight, cut=cut, back=back)
        extra = self._scale_features(rest)
        new = np.concatenate([first[:, :, None], final[:, :, None], rest[:, :, None], shift, extra], axis=2)
        keep = MEAN_FROM_DAY * self.grid.day + 2 * self.grid.lead + self.grid.minutes(15) + 2
        self.tracks = np.concatenate([self.tracks[:, -keep:], new], axis=1)
        return self._outlook(final, x, extra)

    def _refit(self, raw: Floats, z: Floats, weight: Floats) -> None:
        """One day's complete rows (at first all there are) into the ridges, and new weights from them."""
        rows = z.shape[1] - self.grid.lead
        raw, z, weight = raw[:, :rows], z[:, :rows], weight[:, :rows]
        if self.mean is None:
            self.centre, self.spread = raw.mean(axis=1), raw.std(axis=1) + 0.05
            self.mean = _Ridge.of(self.series, raw.shape[2] + 1)
            self.scale = _Ridge.of(self.series, raw.shape[2] + 1 + len(EXTRA))
        x = self._standard(raw)
        self.mean.add(x, z, weight)
        self.weights["mean"] = self.mean.solve()
        known = weight > 0
        self.low = np.minimum(self.low, np.min(z, axis=1, initial=np.inf, where=known))
        self.high = np.maximum(self.high, np.max(z, axis=1, initial=-np.inf, where=known))
        self.days += 1
        if "scale" not in self.weights:
            seen = np.abs(_columns(self.tracks, ("rest",))[:, -MEAN_FROM_DAY * self.grid.day :, 0])
            self.spread_so_far = np.clip(seen.mean(axis=1), *SIGMA)
        if self.days > REST_FROM_DAY - MEAN_FROM_DAY and self.scale is not None:
            then = self.tracks[:, -(rows + self.grid.lead) :][:, :rows]
            self.shift.add(_with_one(_columns(then, SHIFT)), z - then[:, :, 0], weight)
            self.weights["shift"] = self.shift.solve()
            wide = np.concatenate([x, _columns(then, EXTRA)], axis=2)
            self.scale.add(wide, np.log(np.abs(z - then[:, :, 1]) + ERROR_FLOOR), weight)
            self.weights["scale"] = self.scale.solve()

    def _standard(self, raw: Floats) -> Floats:
        if self.mean is None:
            return raw
        scaled = (raw - self.centre[:, None]) / self.spread[:, None]
        return _with_one(np.clip(scaled, -STANDARD_CLIP, STANDARD_CLIP))

    def _clamped(self, mu: Floats) -> Floats:
        """Within what was seen, and a quarter of its range above; untouched before anything was."""
        seen = np.isfinite(self.low) & np.isfinite(self.high)
        low, high = np.where(seen, self.low, -np.inf), np.where(seen, self.high, np.inf)
        room = 0.25 * np.subtract(self.high, self.low, out=np.zeros(self.series), where=seen)
        return np.clip(mu, low[:, None], (high + room)[:, None])

    def _completed(
        self, z: Floats, mu: Floats, track: str, weight: Floats, *, cut: Flags, back: int
    ) -> Floats:
        """At each new step the error of the newest complete one, L + 1 before; 0 where it was not seen, and
        where a lower bound was kept.
        """
        lag, new = self.grid.lead + 1, mu.shape[1]
        past = self.tracks[:, :, TRACKS.index(track)]
        errors = np.zeros((self.series, new))
        known = min(back, past.shape[1], lag)  # steps before the segment whose error completes within it
        both = np.concatenate([past[:, past.shape[1] - known :], mu], axis=1)
        first = lag - known
        count = new - first
        if count > 0:
            part = slice(back - known, back - known + count)
            error = (z[:, part] - both[:, :count]) * weight[:, part]
            errors[:, first:] = np.where(cut[:, part], np.maximum(error, 0.0), error)
        return errors

    def _scale_features(self, rest: Floats) -> Floats:
        """What the size of the next error is told by, [series, steps, EXTRA]."""
        size = np.abs(rest)
        recent = [np.log(self._smooth(f"size {span}", size, span) + ERROR_FLOOR) for span in SCALE_SPANS_MIN]
        half = self.grid.minutes(15)
        past = np.abs(self.tracks[:, :, TRACKS.index("rest")])
        both = np.concatenate([past, size], axis=1)
        # |error| of yesterday, +-15 minutes: it completed L + 1 steps later
        offset = past.shape[1] - self.grid.day + self.grid.lead + 1
        total = np.concatenate([np.zeros((self.series, 1)), np.cumsum(both, axis=1)], axis=1)
        middle = np.arange(size.shape[1]) + offset
        low, high = (
            np.maximum(middle - half, 0),
            np.minimum(middle + half + 1, past.shape[1] + np.arange(size.shape[1])),
        )
        there = (middle >= 0) & (high > low)
        mean = (total[:, np.where(there, high, 1)] - total[:, np.where(there, low, 0)]) / np.where(
            there, high - low, 1
        )
        yesterday = np.where(there, np.log(mean + ERROR_FLOOR), recent[-1])
        signed = [np.clip(self._smooth(f"signed {span}", rest, span), -3, 3) for span in SIGNED_SPANS_MIN]
        return np.stack([*recent, yesterday, *signed], axis=2)

    def _smooth(self, name: str, x: Floats, span_min: float) -> Floats:
        """Exponentially weighted mean over time, x[t] included, going on from the last segment."""
        alpha = min(1.0, 2 / (span_min * 60 / self.grid.step_s + 1))
        before = self.memory.get(name)
        start = x[:, :1] * (1 - alpha) if before is None else before
        out, self.memory[name] = lfilter([alpha], [1, -(1 - alpha)], x, axis=1, zi=start)
        return np.asarray(out)

    def _outlook(self, mu: Floats, x: Floats, extra: Floats) -> Outlook:
        if "scale" not in self.weights:
            sigma = np.broadcast_to(self.spread_so_far[:, None], mu.shape)
            return Outlook(mu=mu, sigma=sigma, median=sigma)
        sigma = np.clip(np.exp(_dot(np.concatenate([x, extra], axis=2), self.weights["scale"])), *SIGMA)
        self.median = np.where(np.isnan(self.median), sigma[:, 0], self.median)
        bins = np.digitize(sigma, BINS)
        rows = np.arange(self.series)[:, None] * self.counts.shape[1]
        self.counts += np.bincount((rows + bins).ravel(), minlength=self.counts.size).reshape(
            self.counts.shape
        )
        return Outlook(mu=mu, sigma=sigma, median=np.broadcast_to(self.median[:, None], mu.shape))

    def _median(self) -> Floats:
        """The median of sigma so far, from its histogram, float64 [series]; NaN before there is one."""
        total = self.counts.sum(axis=1)
        at = (np.cumsum(self.counts, axis=1) >= 0.5 * total[:, None]).argmax(axis=1)
        edges = np.concatenate([BINS[:1], np.sqrt(BINS[1:] * BINS[:-1]), BINS[-1:]])
        return np.where(total > 0, edges[at], np.nan)
