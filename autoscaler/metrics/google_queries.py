"""Queries of Google Cloud Monitoring: whether they can be asked, what `doctor` looks at, what they cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from autoscaler.connections import GoogleMonitoringSource, GoogleQuery
from autoscaler.errors import MetricsError, ProviderError
from autoscaler.metrics.examining import checks_of
from autoscaler.metrics.periodic import lacking
from autoscaler.ports import Check, Samples
from policies.units import HOURS_A_MONTH, format_duration, format_usd

DAY_S = 86400
USD_A_SERIES = 0.50 / 1_000_000  # time series returned; Google's price list, November 2026
FREE_SERIES = 1_000_000  # a month and billing account

ALIGNERS = tuple(
    f"ALIGN_{name}"
    for name in (
        *("DELTA", "RATE", "INTERPOLATE", "NEXT_OLDER", "MIN", "MAX", "MEAN", "COUNT", "SUM", "STDDEV"),
        *("COUNT_TRUE", "COUNT_FALSE", "FRACTION_TRUE", "PERCENTILE_99", "PERCENTILE_95", "PERCENTILE_50"),
        *("PERCENTILE_05", "PERCENT_CHANGE"),
    )
)
REDUCERS = tuple(
    f"REDUCE_{name}"
    for name in (
        *("NONE", "MEAN", "MIN", "MAX", "SUM", "STDDEV", "COUNT", "COUNT_TRUE", "COUNT_FALSE"),
        *("FRACTION_TRUE", "PERCENTILE_99", "PERCENTILE_95", "PERCENTILE_50", "PERCENTILE_05"),
    )
)
_TYPE = re.compile(r'metric\.type\s*=\s*"([^"]+)"')


def reach_s(step_s: int) -> int:
    """For how many seconds Google keeps points as close as that: six weeks, or 24 months from 10 min on."""
    return (42 if step_s < 600 else 730) * DAY_S


def cost_usd(series: float) -> float:
    """USD for so many time series returned, beyond those that are free."""
    return series * USD_A_SERIES


def wrong(source: GoogleMonitoringSource) -> str:
    """Why the source cannot be asked, with the mend; "" where it can."""
    if source.step_s < 60:
        return f"step {source.step_s} s: Google aligns to periods of 60 s or more"
    return next(
        (f"query {name}: {why}" for name, one in source.queries.items() if (why := _wrong_query(one))), ""
    )


def _wrong_query(query: GoogleQuery) -> str:
    if "metric.type" not in query.filter:
        return 'the filter names one metric: metric.type = "..."'
    for word, known in ((query.aligner, ALIGNERS), (query.reducer, REDUCERS)):
        if word not in known:
            near = get_close_matches(word, known, n=1, cutoff=0.0)[0]
            return f"{word} puts no points on a grid of periods; did you mean {near}?"
    return ""


@dataclass(frozen=True, slots=True)
class Examination:
    """One look at a source, now (aware UTC)."""

    source: GoogleMonitoringSource
    now: datetime

    def refused(self, error: MetricsError) -> Check:
        """The check of a source that answered nothing; it names the permission where that lacks."""
        mend = "grant monitoring.timeSeries.list (roles/monitoring.viewer); see project and credentials"
        what = lacking(f"Google Monitoring {self.source.name}", "monitoring.timeSeries.list", error)
        return Check(what=what, ok=False, why=str(error), mend=mend)

    def queries(self, samples: Samples, described: Callable[[str], list[str]]) -> Iterator[Check]:
        """A check for each query; `described` gives the names of metrics that begin with a text."""
        source = self.source
        return checks_of(
            tuple(source.queries),
            samples,
            self.now,
            source=f"Google Monitoring {source.name}",
            step_s=source.step_s,
            delay_s=source.delay_s,
            meant=lambda name: _meant(source.queries[name], described),
        )

    def price(self) -> Check:
        """What the calls cost where each step is asked for once."""
        source = self.source
        series = len(source.queries)
        month = series * HOURS_A_MONTH * 3600 / source.step_s
        why = (
            f"{series} series a tick, {month:,.0f} a month at a tick every {format_duration(source.step_s)}: "
            f"at most {format_usd(cost_usd(month))} a month (of a billing account {FREE_SERIES:,} are free)"
        )
        return Check(what=f"price of Google Monitoring {source.name}", ok=True, why=why)


def _meant(query: GoogleQuery, described: Callable[[str], list[str]]) -> str:
    found = _TYPE.search(query.filter)
    if not found:
        return ""
    kind = found[1]
    service = kind.split("/")[0] + "/"
    try:
        there = described(service)
    except ProviderError as error:
        return f"its name could not be looked up ({error})"
    if kind in there:
        return f"{kind} is there; see the labels in the filter"
    if not there:
        return f"the project has no metrics of {service}; see project and filter"
    return f"there is no {kind}; did you mean {get_close_matches(kind, there, n=1, cutoff=0.0)[0]}?"
