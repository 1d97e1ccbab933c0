"""Everything at once: configuration, providers, sources, state, series and pools."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler import providers
from autoscaler.answers import listed
from autoscaler.bootstrap import connected_to, source_of
from autoscaler.clock import SetClock, SystemClock
from autoscaler.config import FakeProvider, MetricsSource
from autoscaler.examining import pools, series, stored
from autoscaler.examining.asking import DEADLINE_S, asked, failure
from autoscaler.examining.pools import Shown
from autoscaler.examining.report import Look, Matter, Report
from autoscaler.former import with_former_ids
from autoscaler.ports import Check, Examines, Remote
from forecasts.types import EARLIEST

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from autoscaler.connections import RemoteSource
    from autoscaler.ports import Clock, Metrics
    from policies.model import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The report, and what the store says beside it."""

    report: Report
    stored: stored.Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one source of metrics says: newest points, its own checks, and the series it has queries for."""

    newest: Mapping[str, series.Newest]
    checks: tuple[Check, ...]
    judged: frozenset[str]
    rights: tuple[str, ...] = ()


def examine(configuration: Configuration, *, deadline_s: float = DEADLINE_S) -> Examined:
    """Look at everything, each system in a thread of its own and within the deadline. Raises nothing."""
    clock: Clock = SystemClock()
    today = clock.now()
    if isinstance(configuration.now, datetime):
        clock = SetClock(configuration.now)
    answers = asked(_jobs(configuration, clock), deadline_s=deadline_s)
    now = clock.now()
    if configuration.now == "last-sample":
        named = (answers[_source(n)] for n in range(len(configuration.metrics)))
        now = series.last_end(one.newest for one in named if isinstance(one, Source)) or now
    kept = answers["state"] if isinstance(answers["state"], stored.Stored) else stored.Stored()
    shown = {
        name: answers[f"list {name}"]
        for name in configuration.providers
        if isinstance(answers[f"list {name}"], Shown)
    }
    labels = {
        name: shown[one.provider].pools[one.target or name].labels
        for name, one in configuration.pools.items()
        if one.provider in shown and (one.target or name) in shown[one.provider].pools
    }
    looks = (
        _configuration(configuration),
        *_of_providers(configuration, answers, shown),
        *_of_sources(configuration, answers),
        *series.looks(configuration, _known(configuration, answers, kept), now),
        *pools.looks(configuration, shown, kept.first_seen, now),
        *stored.looks(configuration, answers["state"]),
        stored.lease(configuration, today),
        *stored.freezes(configuration, kept, labels, now),
    )
    return Examined(report=Report(at=today, looks=looks), stored=kept)


def unsound(error: Exception, at: datetime) -> Report:
    """The report of a configuration that cannot be used: a check for each of its problems."""
    lines = str(error).splitlines()
    checks = (Check(what="it is sound", ok=False, why=line, mend=_MEND) for line in lines)
    looks = tuple(Look(subject="configuration", check=c, matter=Matter.CONFIGURATION) for c in checks)
    return Report(at=at, looks=looks)


_MEND = "mend that line; `loadline config explain KEY` tells what a key takes"


def _jobs(configuration: Configuration, clock: Clock) -> dict[str, Callable[[], Any]]:
    jobs: dict[str, Callable[[], Any]] = {"state": partial(stored.read, configuration, clock.now())}
    for name, settings in configuration.providers.items():
        seeds = [pool.seed() for pool in configuration.pools.values() if pool.provider == name]
        jobs[f"list {name}"] = partial(_listed, name, settings, clock, seeds)
        jobs[f"examine {name}"] = partial(_examined, name, settings, clock)
    for number, entry in enumerate(configuration.metrics):
        jobs[_source(number)] = partial(_sampled, entry, configuration, clock)
    return jobs


def _source(number: int) -> str:
    return f"source {number}"


def _listed(name: str, settings: Any, clock: Clock, seeds: Sequence[Pool]) -> Shown:
    if isinstance(settings, FakeProvider) and not _file(settings).exists():
        return pools.shown((seeds, ()))  # as the first plan makes them
    return pools.shown(listed(connected_to(name, settings, clock)))


def _file(settings: FakeProvider) -> Path:
    return Path(settings.path)


def _examined(name: str, settings: Any, clock: Clock) -> tuple[Check, ...]:
    if isinstance(settings, FakeProvider):
        there = _file(settings).exists()
        why = settings.path if there else f"{settings.path} is not there yet; the first plan makes it"
        return (Check(what="the fake cloud", ok=True, why=why),)
    provider = connected_to(name, settings, clock)
    if not isinstance(provider, Examines):
        return (Check(what="it can look at its own rights", ok=None, why="this provider cannot"),)
    return tuple(provider.examine())


def _sampled(entry: MetricsSource | RemoteSource, configuration: Configuration, clock: Clock) -> Source:
    source = source_of(entry, clock)
    wanted = with_former_ids(configuration)
    now = clock.now()
    if not isinstance(source, Remote):
        newest = series.newest(source, (), EARLIEST, now)
        return Source(newest=newest, checks=(_read(newest),), judged=frozenset())
    mine = [name for name in (*wanted, *configuration.signals()) if name in set(source.known())]
    if isinstance(source, Examines):
        return Source(
            newest={},
            checks=tuple(source.examine()),
            judged=frozenset(source.known()),
            rights=_rights_of(source),
        )
    newest = series.newest(source, mine, now - series.LOOK_BACK, now) if mine else {}
    return Source(newest=newest, checks=(_read(newest),), judged=frozenset())


def _read(newest: Mapping[str, series.Newest]) -> Check:
    return Check(what="it can be read", ok=True, why=f"{len(newest)} series have points")


def _configuration(configuration: Configuration) -> Look:
    count = len(configuration.pools)
    why = (
        f"{count} pool{'' if count == 1 else 's'}, {len(configuration.providers)} provider"
        f"{'' if len(configuration.providers) == 1 else 's'}, {len(configuration.metrics)} source"
        f"{'' if len(configuration.metrics) == 1 else 's'} of metrics"
    )
    check = Check(what=f"{configuration.file} is sound", ok=True, why=why)
    return Look(subject="configuration", check=check)


def _of_providers(
    configuration: Configuration, answers: Mapping[str, Any], shown: Mapping[str, Shown]
) -> Iterator[Look]:
    for name in configuration.providers:
        subject = f"provider {name}"
        found, checks = answers[f"list {name}"], answers[f"examine {name}"]
        if isinstance(found, Shown):
            yield from _of_list(subject, found)
        else:
            yield failure(subject, "its pools can be listed", found)
        if isinstance(checks, Exception):
            if str(checks) != str(found):
                yield failure(subject, "its rights can be looked at", checks)
            continue
        yield from _of_examination(configuration, name, checks, shown.get(name))


def _of_list(subject: str, found: Shown) -> Iterator[Look]:
    count = len(found.pools)
    if not found.gaps:
        why = f"{count} pool{'' if count == 1 else 's'}"
        yield Look(subject=subject, check=Check(what="its pools can be listed", ok=True, why=why))
    for gap in found.gaps:
        check = Check(
            what="its pools can be listed",
            ok=False,
            why=f"only {count} of them: {gap.why}",
            mend="see the right or the limit that it names; what is not seen is kept as it is",
        )
        yield Look(subject=subject, check=check)


def _of_examination(
    configuration: Configuration, name: str, checks: tuple[Check, ...], found: Shown | None
) -> Iterator[Look]:
    subject, module = f"provider {name}", providers.load(name.partition("/")[0])
    mine = {one.target or one.id for one in configuration.pools.values() if one.provider == name}
    acting = pools.acting(configuration, name)
    told = {gap.why for gap in found.gaps} if found else set()
    checks = tuple(check for check in checks if check.ok is not False or check.why not in told)
    kept, left = pools.without_strangers(checks, found.pools if found else (), mine, acting)
    yield from pools.judged(
        subject,
        kept,
        reading=module.PERMISSIONS,
        acting=module.ACTING,
        needed=bool(acting),
    )
    if left:
        why = f"{left} findings on pools that are not in the configuration are left out"
        yield Look(subject=subject, check=Check(what="others", ok=True, why=why))


def _of_sources(configuration: Configuration, answers: Mapping[str, Any]) -> Iterator[Look]:
    for number, entry in enumerate(configuration.metrics):
        subject, answer = (
            f"metrics {_name(entry)}".replace("metrics metrics", "metrics"),
            answers[_source(number)],
        )
        if isinstance(answer, Exception):
            look = failure(subject, "it answers", answer)
            matter = Matter.DATA if look.matter is Matter.OTHER else look.matter
            yield Look(subject=subject, check=look.check, matter=matter)
            continue
        for look in pools.judged(subject, answer.checks, reading=answer.rights, acting=(), needed=True):
            matter = Matter.DATA if look.matter is Matter.OTHER else look.matter
            yield Look(subject=subject, check=look.check, matter=matter)


def _name(entry: MetricsSource | RemoteSource) -> str:
    return entry.path if isinstance(entry, MetricsSource) else entry.name


def _rights_of(source: Metrics) -> tuple[str, ...]:
    """The permissions of the source's module, in its own words."""
    return tuple(getattr(sys.modules.get(type(source).__module__), "PERMISSIONS", ()))


def _known(configuration: Configuration, answers: Mapping[str, Any], kept: stored.Stored) -> series.Known:
    found: dict[str, series.Newest] = {}
    judged: set[str] = set()
    told: set[str] = set()
    silent = []
    for number, entry in enumerate(configuration.metrics):
        answer = answers[_source(number)]
        if isinstance(answer, Source):
            found |= answer.newest
            judged |= answer.judged
            words = {word for check in answer.checks for word in check.what.split()}
            told |= {one for one in answer.judged if one in words}
        else:
            silent.append(_name(entry))
    return series.Known(
        asked=found, judged=frozenset(judged), told=frozenset(told), stored=kept.ends, silent=tuple(silent)
    )
