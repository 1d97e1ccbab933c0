"""Series that count work that waits, turned into what must be served each second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from forecasts.types import BadInput, Series
from policies.backlog import backlog_demand

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from autoscaler.declared import Backlog


def drained(
    configuration: Configuration, series: Mapping[str, Series], refused: Mapping[str, str]
) -> tuple[dict[str, Series], dict[str, str]]:
    """The series with each backlog as demand in items per second, and why some may not shrink their pool.

    Where the series of arrivals is not to be trusted, nor is the demand; where it is not there, what waits
    counts alone, and may only let the pool grow.
    """
    found, said = dict(series), dict(refused)
    demands = (demand for pool in configuration.pools.values() for demand in pool.demands)
    backlogs = {demand.series: demand.backlog for demand in demands if demand.backlog is not None}
    for name, backlog in backlogs.items():
        if name in series:
            found[name], why = _demand(series[name], backlog, series)
            why = why or refused.get(backlog.arrivals or "", "")
            if why:
                said.setdefault(name, why)
    return found, said


def _demand(waiting: Series, backlog: Backlog, series: Mapping[str, Series]) -> tuple[Series, str]:
    """The demand, and why it may be larger in truth, "" where it may not."""
    name, why = waiting.unique_id, ""
    arrivals = series.get(backlog.arrivals) if backlog.arrivals else None
    if backlog.arrivals and arrivals is None:
        why = f"{name}: {backlog.arrivals}, which tells what arrives, was not seen"
    try:
        return backlog_demand(waiting, arrivals, drain_s=backlog.drain_s, unique_id=name), why
    except BadInput as error:
        return backlog_demand(waiting, drain_s=backlog.drain_s, unique_id=name), f"{name}: {error}"
