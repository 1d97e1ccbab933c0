"""Floors for the hours after the program is gone: what is left with a provider that can keep them by itself.

They begin two hours from now and are put off every hour: none comes into force while the program lives.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from forecasts.types import HOUR_S, Forecast
from policies.model import Pool

AFTER_S = 2 * HOUR_S  # when the first one begins, from now
HOURS = 24


def floors(
    forecast: Forecast, pool: Pool, *, violation: float, now: datetime
) -> tuple[tuple[datetime, int], ...]:
    """The units that a pool needs in each whole hour from two hours after `now` (aware) on, for a day.

    `forecast` is hourly and in units; the quantile is the lowest of its levels that is at least
    1 - `violation`, else its highest. Within the pool's bounds; an hour that is not forecast ends them.
    """
    column = next((k for k, level in enumerate(forecast.levels) if level >= 1 - violation - 1e-9), -1)
    first = math.ceil(
        (now + timedelta(seconds=AFTER_S) - forecast.issued_at).total_seconds() / forecast.step_s
    )
    found = []
    for row in range(max(0, first), min(len(forecast.values), first + HOURS)):
        units = float(forecast.values[row, column])
        if not math.isfinite(units):
            break
        size = min(pool.maximum, max(pool.minimum, math.ceil(units - 1e-9)))
        found.append((forecast.issued_at + timedelta(seconds=row * forecast.step_s), size))
    return tuple(found)
