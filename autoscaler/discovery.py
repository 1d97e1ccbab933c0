"""What there is, looked at without changing anything: pools, and metrics that could size them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler import bootstrap, chances
from autoscaler.answers import listed
from autoscaler.clock import SystemClock
from autoscaler.connections import (
    CloudWatchSource,
    GoogleMonitoringSource,
    PrometheusSource,
    RealProvider,
    RemoteSource,
)
from autoscaler.errors import MetricsError
from autoscaler.transport import careful
from policies.model import Pool
from policies.proposals import Candidate, Chances, Findings, Peak, Sighting, next_to_try, propose

if TYPE_CHECKING:
    from autoscaler.ports import Clock, Metrics, Samples

RECENT_S = 3600  # a query is tried over so long
AT_ONCE = 200  # queries of one call
PEAK_S, PEAK_STEP_S = 14 * 86_400, 3600  # over which the most units that were ready are looked for
LEAST_HOURS = 24  # of them, for a peak to tell anything
LIKE = 0.6  # how alike two names are for one to be meant by the other

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where to look. The sources' own queries are not used; `chosen_namespaces`: the operator named some."""

    providers: Mapping[str, RealProvider]
    sources: Sequence[RemoteSource]
    chosen_namespaces: bool = False


def look(asked: Asked, clock: Clock, on_progress: Progress) -> Findings:
    """Read pools and metrics, and propose. Raises the ProviderError tree and MetricsError.

    A list of pools that is cut short is told as a gap; a query that fails is one that is not proposed.
    """
    pools, gaps = _pools(asked, clock, on_progress)
    found: dict[str, Chances] = {}
    hints: tuple[str, ...] = ()
    for source in asked.sources:
        more, told = _chances(source, pools, clock)
        hints += told
        for where, one in more.items():
            found[where] = _joined(found.get(where), one)
    seen: dict[str, Sighting] = {}
    while queries := next_to_try(found.values(), seen):
        seen |= _tried(asked.sources, queries, clock, on_progress)
    ready = {one.ready.key: one.ready for one in found.values() if one.ready and one.ready.key in seen}
    return propose(
        pools,
        found,
        seen,
        peaks=_peaks(asked.sources, list(ready.values()), clock, on_progress),
        chosen_namespaces=asked.chosen_namespaces,
        gaps=gaps,
        hints=hints,
    )


def _pools(asked: Asked, clock: Clock, on_progress: Progress) -> tuple[list[Pool], tuple[str, ...]]:
    """The pools of every provider, by the names that the configuration will have, and what was not seen."""
    pools: list[Pool] = []
    gaps: list[str] = []
    for number, (name, settings) in enumerate(asked.providers.items()):
        on_progress("reading pools", number, len(asked.providers))
        provider = careful(bootstrap.connected_to(name, settings, clock), SystemClock())
        shown, unseen = listed(provider)
        pools += [replace(pool, provider=name) for pool in shown]
        gaps += [f"{gap.source}: {gap.why}" for gap in unseen]
    on_progress("reading pools", len(asked.providers), len(asked.providers))
    return pools, tuple(gaps)


def _joined(first: Chances | None, second: Chances) -> Chances:
    """Of two sources: the demands of the first come first, and its signs count where it has some."""
    if first is None:
        return second
    signs = first if first.ready is not None else second
    return replace(signs, demands=(*first.demands, *second.demands))


def _chances(
    source: RemoteSource, pools: Sequence[Pool], clock: Clock
) -> tuple[dict[str, Chances], tuple[str, ...]]:
    """The queries that could be the pools', by address, and which metrics may be meant by others' names."""
    if isinstance(source, CloudWatchSource):
        return chances.of_groups_by_cloudwatch(pools, chances.CLOUDWATCH), ()
    if isinstance(source, GoogleMonitoringSource):
        return chances.of_groups_by_google(pools, chances.GOOGLE), ()
    from autoscaler.metrics import prometheus_catalogue as catalogue  # noqa: PLC0415 - where it is asked
    from autoscaler.metrics.prometheus import PrometheusMetrics  # noqa: PLC0415 - urllib3 behind it
    from autoscaler.metrics.prometheus_labels import label_sets  # noqa: PLC0415 - as above

    names = PrometheusMetrics(source, clock).names()
    ready_made = catalogue.offered(names)
    offered = chances.Offered(
        ready_made=ready_made,
        listed={one.name: label_sets(source, clock, one.listing()) for one in ready_made if one.by},
    )
    share = chances.share_of_requests(names)
    found = chances.of_workloads(pools, offered, share, chances.PROMETHEUS)
    return found, tuple(_meant([need for one in catalogue.CATALOGUE for need in one.needs], names))


def _meant(needs: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """For each metric that is looked for and not there, the one there that is called most alike."""
    import difflib  # noqa: PLC0415 - only on this road

    for need in dict.fromkeys(needs):
        if need not in names:
            near = difflib.get_close_matches(need, names, n=1, cutoff=LIKE)
            if near and near[0] not in needs:
                yield f"there is no {need}; is {near[0]} meant?"


def _tried(
    sources: Sequence[RemoteSource], queries: Sequence[Candidate], clock: Clock, on_progress: Progress
) -> dict[str, Sighting]:
    """What each query answered over the last hour, by its key."""
    found: dict[str, Sighting] = {}
    for source, batch in _batches(sources, queries):
        on_progress("trying queries", len(found), len(queries))
        samples, why = _asked(source, batch, clock, RECENT_S)
        for number, one in enumerate(batch):
            found[one.key] = _sighting(samples, f"q{number}", clock, source.step_s, why)
    on_progress("trying queries", len(found), len(queries))
    return found


def _batches(
    sources: Sequence[RemoteSource], queries: Sequence[Candidate]
) -> Iterator[tuple[RemoteSource, Sequence[Candidate]]]:
    for source in sources:
        mine = [one for one in queries if one.source == kind_of(source)]
        for at in range(0, len(mine), AT_ONCE):
            yield source, mine[at : at + AT_ONCE]


def kind_of(source: RemoteSource) -> str:
    """The `kind` of its section."""
    if isinstance(source, PrometheusSource):
        return chances.PROMETHEUS
    return chances.CLOUDWATCH if isinstance(source, CloudWatchSource) else chances.GOOGLE


def _asked(
    source: RemoteSource, batch: Sequence[Candidate], clock: Clock, span_s: int
) -> tuple[Samples | None, str]:
    """The answers to queries named q0, q1, ...; None and why where there was none at all."""
    try:
        metrics = _metrics(source, {f"q{number}": one for number, one in enumerate(batch)}, clock)
        return metrics.samples((), clock.now() - timedelta(seconds=span_s), clock.now()), ""
    except MetricsError as error:
        return None, str(error)


def _metrics(source: RemoteSource, queries: Mapping[str, Candidate], clock: Clock) -> Metrics:
    """The source with these queries, each checked as the configuration file checks it."""
    from autoscaler import settings_world as world  # noqa: PLC0415 - pydantic behind it

    if isinstance(source, CloudWatchSource):
        from autoscaler.metrics.cloudwatch import CloudWatchMetrics  # noqa: PLC0415 - boto3 behind it

        made = {name: world.CloudWatchQuerySection.model_validate(q.query) for name, q in queries.items()}
        return CloudWatchMetrics(replace(source, queries={n: one.query() for n, one in made.items()}), clock)
    if isinstance(source, GoogleMonitoringSource):
        from autoscaler.connections import GoogleQuery  # noqa: PLC0415 - kept beside its use
        from autoscaler.metrics.google_monitoring import GoogleMonitoringMetrics  # noqa: PLC0415 - grpc

        checked = {name: world.GoogleQuerySection.model_validate(q.query) for name, q in queries.items()}
        told = {name: GoogleQuery(**dict(one)) for name, one in checked.items()}
        return GoogleMonitoringMetrics(replace(source, queries=told), clock)
    from autoscaler.metrics.prometheus import PrometheusMetrics  # noqa: PLC0415 - urllib3 behind it

    return PrometheusMetrics(
        replace(source, queries={name: str(one.query) for name, one in queries.items()}), clock
    )


def _sighting(samples: Samples | None, name: str, clock: Clock, step_s: int, why: str) -> Sighting:
    if samples is None:
        return Sighting(why=why)
    said = [word.removeprefix(f"{name}: ") for word in samples.warnings if word.startswith(f"{name}: ")]
    mine = (samples.unique_id == name) & np.isfinite(samples.y)
    if not mine.any():
        return Sighting(why=said[0] if said else "")
    newest = samples.ds[mine].max().astype("datetime64[s]").astype(np.int64)
    age = (clock.now().timestamp() - float(newest)) / step_s  # as the input gate counts it
    return Sighting(points=int(mine.sum()), age_steps=max(0.0, age), largest=float(samples.y[mine].max()))


def _peaks(
    sources: Sequence[RemoteSource], ready: Sequence[Candidate], clock: Clock, on_progress: Progress
) -> dict[str, Peak]:
    """The most units that were ready in the last two weeks, hour by hour, by the key of the query."""
    found: dict[str, Peak] = {}
    done = 0
    for source, batch in _batches([replace(one, step_s=PEAK_STEP_S) for one in sources], ready):
        on_progress("measuring sizes", done, len(ready))
        samples, _why = _asked(source, batch, clock, PEAK_S)
        done += len(batch)
        for number, one in enumerate(batch) if samples is not None else ():
            y = samples.y[(samples.unique_id == f"q{number}") & np.isfinite(samples.y)] if samples else ()
            if len(y) >= LEAST_HOURS:
                most = math.ceil(float(np.quantile(np.asarray(y), 0.99, method="higher")))
                found[one.key] = Peak(units=most, days=max(1, round(len(y) / 24)))
    on_progress("measuring sizes", done, len(ready))
    return found
