"""The only place that builds things: from a configuration to everything that a tick needs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import providers, settings_targets
from autoscaler.called import called
from autoscaler.clock import SetClock, SystemClock
from autoscaler.config import Configuration, FakeProvider, MetricsSource
from autoscaler.connections import (
    CloudWatchSource,
    GoogleMonitoringSource,
    PrometheusSource,
    RealProvider,
    RemoteSource,
)
from autoscaler.engine import Memo
from autoscaler.errors import DataError, MetricsError
from autoscaler.following import Following
from autoscaler.former import with_former_ids
from autoscaler.lease import FileLease
from autoscaler.metrics.csv import CsvMetrics
from autoscaler.ports import Clock, Metrics, Outlasts, Pools, Remote, Samples
from autoscaler.providers.fake import FakeCloud
from autoscaler.transport import CAREFULLY, LOCAL, Careful, careful
from forecasts.limits import Kind
from forecasts.types import EARLIEST
from policies.policy import Policy

if TYPE_CHECKING:
    from autoscaler.store.history import History
    from autoscaler.store.memories import Memories
    from autoscaler.store.people import SqlPeople
    from autoscaler.store.trail import SqlTrail
    from autoscaler.store.verdicts import SqlVerdicts
    from forecasts.calendar import Calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Everything that was built; `settled.settle` joins what a provider says with `configuration.pools`."""

    configuration: Configuration
    policy: Policy
    clock: Clock
    providers: Mapping[str, Pools]
    metrics: Sequence[Metrics]
    history: History
    trail: SqlTrail
    people: SqlPeople
    verdicts: SqlVerdicts
    memories: Memories
    lease: FileLease
    calendar: Calendar | None = None
    forecasts: Memo = field(default_factory=dict)  # of the hour: they change when an hour is over
    outlasting: Mapping[str, Outlasts] = field(default_factory=dict)  # providers with which floors are left
    left: dict[str, datetime] = field(default_factory=dict)  # when that was, by pool

    def close(self) -> None:
        """Let go of the store's file."""
        self.history.close()


def build(configuration: Configuration, clock: Clock | None = None, *, before: App | None = None) -> App:
    """Build what the configuration describes; a `clock` given wins over the configuration's `now`.

    Where it follows another one, `before`, a provider that is configured as it was then goes on with what is
    left of its budgets of calls, with its breaker as it stands and its pools' rests.

    Pools of the fake cloud are created there if they are not yet. Raises StoreError, ProviderError, and for
    `now: last-sample` DataError or MetricsError.
    """
    from autoscaler.store.database import connect  # noqa: PLC0415 - SQLModel costs a second of CPU
    from autoscaler.store.history import History  # noqa: PLC0415 - as above
    from autoscaler.store.memories import Memories  # noqa: PLC0415 - as above
    from autoscaler.store.people import SqlPeople  # noqa: PLC0415 - as above
    from autoscaler.store.trail import SqlTrail  # noqa: PLC0415 - as above
    from autoscaler.store.verdicts import SqlVerdicts  # noqa: PLC0415 - as above

    sources = [source_of(source, clock or SystemClock()) for source in configuration.metrics]
    chosen = clock or _clock(configuration, sources)
    calendar = None
    if configuration.calendar is not None:
        from autoscaler.holidays import calendar_of  # noqa: PLC0415 - only where there is a calendar

        calendar = calendar_of(configuration.calendar, chosen.now(), configuration.file)
    engine = connect(configuration.state)
    history = History(engine)
    places = settings_targets.places(configuration.pools.values(), configuration.providers)
    trail = SqlTrail(engine, places)
    connected = _connected(configuration, chosen)
    return App(
        configuration=configuration,
        policy=configuration.policy,
        clock=chosen,
        providers=MappingProxyType(_careful(configuration, connected, before)),
        outlasting=MappingProxyType(_outlasting(configuration, connected)),
        metrics=tuple(_followed(source, history) for source in sources),
        history=history,
        trail=trail,
        people=SqlPeople(engine),
        verdicts=SqlVerdicts(engine, places),
        memories=Memories(engine),
        # Who leads is decided by time that really goes by, also where the configuration's `now` stands still.
        lease=FileLease(
            f"{configuration.state}.lease",
            clock or SystemClock(),
            holder=f"{socket.gethostname()} process {os.getpid()}",
            raised=trail.raise_generation,
        ),
        calendar=calendar,
    )


def _followed(source: Metrics, history: History) -> Metrics:
    """A source over a network is asked for what is new; a file is read as it is."""
    return Following(source, source, history) if isinstance(source, Remote) else source


def source_of(source: MetricsSource | RemoteSource, clock: Clock) -> Metrics:
    """The source as it is; MetricsError for a query that cannot be asked."""
    if isinstance(source, PrometheusSource):
        from autoscaler.metrics.prometheus import PrometheusMetrics  # noqa: PLC0415 - where it is asked

        return PrometheusMetrics(source, clock)
    if isinstance(source, CloudWatchSource):
        from autoscaler.metrics.cloudwatch import CloudWatchMetrics  # noqa: PLC0415 - boto3 where it is asked

        return CloudWatchMetrics(source, clock)
    if isinstance(source, GoogleMonitoringSource):
        from autoscaler.metrics.google_monitoring import (  # noqa: PLC0415 - grpc where it is asked
            GoogleMonitoringMetrics,
        )

        return GoogleMonitoringMetrics(source, clock)
    kind: Kind = "counter" if source.counter else "gauge"
    if source.kind == "parquet":
        from autoscaler.metrics.parquet import ParquetMetrics  # noqa: PLC0415 - pyarrow only where it is read

        return ParquetMetrics(source.path, timezone=source.timezone, kind=kind)
    return CsvMetrics(source.path, timezone=source.timezone, kind=kind)


def _connected(configuration: Configuration, clock: Clock) -> dict[str, Pools]:
    """Every provider as it is."""
    connected = {
        name: connected_to(name, settings, clock) for name, settings in configuration.providers.items()
    }
    for name, provider in connected.items():
        if isinstance(provider, FakeCloud):
            mine = (pool for pool in configuration.pools.values() if pool.provider == name)
            provider.create_all(pool.seed() for pool in mine)
    return connected


def _careful(
    configuration: Configuration, connected: Mapping[str, Pools], before: App | None
) -> dict[str, Pools]:
    """The providers by the configuration's names, called with care."""
    wrapped: dict[str, Pools] = {}
    for name, provider in connected.items():
        families = LOCAL if isinstance(provider, FakeCloud) else CAREFULLY
        names = {pool.target: pool.id for pool in configuration.pools.values() if pool.provider == name}
        # Budgets of calls, breakers and deadlines go by time that really passes, wherever `now` stands.
        wrapped[name] = one = careful(called(provider, names), SystemClock(), families=families)
        if before is not None and before.configuration.providers.get(name) == configuration.providers[name]:
            old = before.providers[name]
            if isinstance(old, Careful):
                one.go_on_from(old)
    return wrapped


def _outlasting(configuration: Configuration, connected: Mapping[str, Pools]) -> dict[str, Outlasts]:
    """The providers with which the operator lets floors be left."""
    return {
        name: provider
        for name, provider in connected.items()
        if isinstance(provider, Outlasts) and getattr(configuration.providers[name], "outlast", False)
    }


def connected_to(name: str, settings: FakeProvider | RealProvider, clock: Clock) -> Pools:
    """A provider as it is, with its own ids of pools; `name` is fake or KIND/NAME. As `Provider.connect`."""
    return providers.load(name.partition("/")[0]).connect(settings, clock)


def _clock(configuration: Configuration, metrics: Sequence[Metrics]) -> Clock:
    if isinstance(configuration.now, datetime):
        return SetClock(configuration.now)
    if configuration.now == "clock":
        return SystemClock()
    end = last_sample_end(metrics, with_former_ids(configuration), SystemClock().now())
    if end is None:
        raise DataError(
            f"{configuration.file}: `now: last-sample` found no sample of any pool's series "
            f"({', '.join(configuration.series()) or 'there are no pools'})"
        )
    return SetClock(end)


def last_sample_end(metrics: Sequence[Metrics], series: Sequence[str], now: datetime) -> datetime | None:
    """When the last step of the named series ended, over all sources: its stamp and the series' median step.

    Stamps after `now` or before 1990 are no samples. A source that does not answer is passed over, unless
    none does: then its MetricsError is raised.
    """
    ends: list[datetime] = []
    failures: list[MetricsError] = []
    for source in metrics if series else ():
        try:
            samples = _newest(source, series, now)
        except MetricsError as error:
            failures.append(error)
            continue
        ends += _ends(samples)
    if failures and not ends:
        raise failures[0]
    return max(ends, default=None)


def _newest(source: Metrics, series: Sequence[str], now: datetime) -> Samples:
    """All that a file holds; of a source over a network the last day of the series that it knows."""
    if not isinstance(source, Remote):
        return source.samples(series, EARLIEST, now)
    known = frozenset(source.known())
    return source.samples([name for name in series if name in known], now - timedelta(days=1), now)


def _ends(samples: Samples) -> list[datetime]:
    """The end of the last finite sample of each series; one sample alone ends where it is."""
    found = []
    finite = np.isfinite(samples.y)
    for unique_id in sorted(set(samples.unique_id[finite])):
        stamps = np.unique(samples.ds[finite & (samples.unique_id == unique_id)])
        seconds = stamps.astype("datetime64[s]").astype(np.int64)
        step = int(np.median(np.diff(seconds))) if len(seconds) > 1 else 0
        found.append(datetime.fromtimestamp(int(seconds[-1]), UTC) + timedelta(seconds=step))
    return found
