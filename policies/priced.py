"""The priced lead peak: how high to go at each step, by what a violation is worth.

For each spread k of the lead-peak forecaster, U_k[t] are the units it asks for, and S_k the share of past
peaks over the lead time above U_k. A price p, in the trailing mean of demand, is put on a violation:

    T[t] = U_k[t] with the k that makes U_k[t] + p x mean x S_k smallest

Where the forecast is wide, a violation avoided is dear, and is left sooner than where it is narrow: at the
least cost for a number of violations the last unit buys the same everywhere, which a constant spread does not
do. S_k and the mean are of the days before, newer ones weighing more, and stand for a day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasts.lead_peak import MOST
from forecasts.windows import trailing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

FORGET = 0.9  # a day
AT_FIRST = 0.3  # share of peaks above the mean forecast, before a day has told; it falls with the spread
HAIR = 1e-9  # what rounding may part two equal values by
LEAST_MEAN = 0.05  # units: below it a price would mean nothing


class Priced:
    """What was learnt of many series, fed step after step with what each spread asked for."""

    def __init__(self, series: int, spreads: Floats, lead: int) -> None:
        """Nothing seen yet; `spreads` float64 [spreads], ascending, `lead` the lead time in steps."""
        count = len(spreads)
        share = AT_FIRST * np.exp(-2.0 * np.maximum(spreads, 0.0))
        self._above = np.tile(share, (series, 1))  # S_k of today
        self._mean = np.ones(series)  # of demand, today's
        self._hits, self._peaks = np.zeros((series, count)), np.zeros((series, count))
        self._hits_today, self._peaks_today = np.zeros((series, count)), np.zeros((series, count))
        self._total, self._steps = np.zeros(series), np.zeros(series)
        self._total_today, self._steps_today = np.zeros(series), np.zeros(series)
        self._units, self._demand = np.zeros((series, count, 0)), np.zeros((series, 0))  # of the lead time
        self._cut = np.zeros((series, 0), dtype=bool)
        self._lead = lead

    def advance(
        self, units: Floats, demand: Floats, censored: Flags, prices: Floats, *, new_day: bool
    ) -> Floats:
        """What each price asks for, float64 [series, prices, steps], at the next steps, within one day.

        `units` float64 [series, spreads, steps] are those of the spreads; `demand` float64 [series, steps],
        NaN absent, is learnt from afterwards; `censored` bool says where it is a lower bound. `new_day`:
        these steps begin one.
        """
        if new_day:
            self._close()
        risk = self._mean[:, None] * self._above
        out = np.empty((len(units), len(prices), units.shape[2]))
        for number, price in enumerate(prices):
            best = np.argmin(units + price * risk[:, :, None], axis=1)
            out[:, number] = np.take_along_axis(units, best[:, None], axis=1)[:, 0]
        self._learn(units, demand, censored)
        return out

    def _close(self) -> None:
        """The day that ended becomes a past day; today's shares and mean follow from them."""
        self._hits = FORGET * self._hits + self._hits_today
        self._peaks = FORGET * self._peaks + self._peaks_today
        self._total = FORGET * self._total + self._total_today
        self._steps = FORGET * self._steps + self._steps_today
        for today in (self._hits_today, self._peaks_today, self._total_today, self._steps_today):
            today[...] = 0.0
        told = self._peaks[:, :1] > 0
        # Half a peak above the lowest spread and none above the highest: so that no spread is free of risk.
        some = np.linspace(0.5, 0.0, self._hits.shape[1])
        share = np.minimum.accumulate((self._hits + some) / (self._peaks + 1), axis=1)
        self._above = np.where(told, share, self._above)
        mean = np.divide(self._total, self._steps, out=self._mean.copy(), where=self._steps > 0)
        self._mean = np.maximum(mean, LEAST_MEAN)

    def _learn(self, units: Floats, demand: Floats, censored: Flags) -> None:
        """Count the peaks that are complete now; one that holds an absent step is none.

        Of a lower bound is known that it was above the spreads it exceeds, and nothing of the others.
        """
        all_units = np.concatenate([self._units, units], axis=2)
        joined = np.concatenate([self._demand, demand], axis=1)
        peak = trailing(joined, self._lead, np.maximum)[:, self._lead :]
        there = np.isfinite(peak)
        cut = np.concatenate([self._cut, censored], axis=1)
        bound = trailing(cut, self._lead, np.maximum)[:, self._lead :]
        least = all_units[:, :, : peak.shape[1]] * (1 + HAIR) + HAIR
        over = (peak[:, None] > least) & there[:, None]
        self._hits_today += over.sum(axis=2)
        self._peaks_today += (over | (there & ~bound)[:, None]).sum(axis=2)
        seen = np.isfinite(demand)
        # Summed in order, so that the same steps in pieces give the same sum.
        running = np.concatenate(
            [self._total_today[:, None], np.where(seen, np.minimum(demand, MOST), 0.0)], axis=1
        )
        self._total_today = np.cumsum(running, axis=1)[:, -1]
        self._steps_today += seen.sum(axis=1)
        kept = min(self._lead, joined.shape[1])
        self._units = all_units[:, :, all_units.shape[2] - kept :].copy()
        self._demand = joined[:, joined.shape[1] - kept :].copy()
        self._cut = cut[:, cut.shape[1] - kept :].copy()
