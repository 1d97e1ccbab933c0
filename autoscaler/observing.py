"""What one turn sees: providers and metrics at once, each with a deadline; a failure becomes a gap."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from autoscaler import backlogs, foreseen, former
from autoscaler.answers import listed, sampled
from autoscaler.declared import DeclaredPool
from autoscaler.errors import LoadlineError, MetricsError
from autoscaler.following import Following, delays
from autoscaler.metrics.sources import gate_sources
from autoscaler.ports import Samples
from autoscaler.settled import settle
from forecasts.freshness import stale
from forecasts.limits import Gated, Limits, Notice
from forecasts.types import Series
from policies.model import Gap, Pool, Snapshot

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.ports import Pools

HISTORY_S = 35 * 86400  # five weeks: two weekly seasons and what the models learn from
SOURCE_DEADLINE_S = 60.0
FILL_S = 120.0  # a turn fills in history for so long; the rest waits for the next one


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one turn saw: the snapshot, each series up to now, and why some may not be trusted.

    `unanswered`: for a pool whose provider did not answer, what that one said. `to_learn`: the series without
    what was set aside; `imitated`: those around a past event that a declared one is like, by its name.
    """

    snapshot: Snapshot
    series: Mapping[str, Series]
    refused: Mapping[str, str]
    notices: tuple[str, ...]
    owners: Mapping[str, Pools]
    unanswered: Mapping[str, str] = field(default_factory=dict)
    to_learn: Mapping[str, Series] = field(default_factory=dict)
    imitated: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)

    @property
    def learnt(self) -> Mapping[str, Series]:
        """The series that may be learnt from."""
        return self.to_learn or self.series


def observe(app: App, *, ahead_s: int = 0, on_fill: Callable[[int, int], None] | None = None) -> Seen:
    """Read providers and metrics at once, each with a deadline; keep the samples; build the snapshot.

    Past events are read that are imitated now, or within `ahead_s` seconds. `on_fill` as in `back_fill`.
    """
    unfilled = back_fill(app, on_fill, within_s=FILL_S)
    now = app.clock.now()
    wanted = tuple(dict.fromkeys((*app.configuration.series(), *app.configuration.signals())))
    asked = asked_of(app)
    since = now - timedelta(seconds=HISTORY_S)
    jobs: dict[str, Callable[[], object]] = {
        f"provider {name}": partial(listed, provider) for name, provider in app.providers.items()
    }
    jobs |= {
        f"metrics {number}": partial(sampled, source, asked, since, now)
        for number, source in enumerate(app.metrics, 1)
    }
    answers, gaps = _ask(jobs | foreseen.questions(app, sampled, since, now, ahead_s=ahead_s))
    gaps += unfilled
    if any(isinstance(source, Following) and source.owes_another for source in app.metrics):
        gaps += back_fill(app, within_s=FILL_S)
    unanswered = _unanswered(app, gaps)
    pools, owners, unlisted = _managed(app, answers, gaps)
    today = foreseen.samples_of_today(answers)
    gated = _gated(today, app, now)
    behind = _unfilled(app, asked, now)
    app.history.append_all(one for one in gated.series if one.unique_id not in behind)
    for source in app.metrics:
        if isinstance(source, Following):
            source.stored(behind)
    stored = {series.unique_id: series for series in app.history.recent(asked, since, now)}
    stored |= {one.unique_id: one for one in gated.series if one.unique_id in behind}
    kept, refused = former.one_history(
        app.configuration.formerly(),
        stored,
        former.refusals(_as_a_whole(app, gated, stored, now), asked) | behind | _lower_bounds(today),
        wanted,
    )
    kept, refused = backlogs.drained(app.configuration, kept, refused)
    settled, to_learn = [], foreseen.to_learn(app, kept)
    for pool in pools:
        known = settle(pool, app.configuration.pools[pool.id], to_learn, seen=kept, now=now)
        settled.append(pool if isinstance(known, Gap) else known)
        if isinstance(known, Gap):
            gaps.append(known)
    return Seen(
        snapshot=Snapshot(
            taken_at=now,
            pools=tuple(settled),
            gaps=tuple(gaps),
        ),
        series=kept,
        refused=refused,
        notices=(
            *(notice.message for notice in gated.notices),
            *(f"{part.source}: {word}" for part in today for word in part.warnings),
        ),
        owners=owners,
        unanswered=unanswered | unlisted,
        to_learn=to_learn,
        imitated=foreseen.past(app, answers, now, ahead_s=ahead_s),
    )


def asked_of(app: App) -> tuple[str, ...]:
    """Every series that the sources are asked for: of pools, with former ids, and of signals; each once."""
    return tuple(dict.fromkeys((*former.with_former_ids(app.configuration), *app.configuration.signals())))


def _ask(jobs: Mapping[str, Callable[[], object]]) -> tuple[dict[str, object], list[Gap]]:
    """Run every job in a thread of its own; one that fails or is late becomes a gap."""
    results: queue.Queue[tuple[str, object]] = queue.Queue()

    def run(name: str, job: Callable[[], object]) -> None:
        try:
            results.put((name, job()))
        except LoadlineError as error:
            results.put((name, Gap(source=name, code=type(error).__name__, why=str(error))))
        except Exception as error:  # noqa: BLE001 - the edge of one provider: its bugs stop nobody else
            results.put((name, Gap(source=name, code="BUG", why=f"{type(error).__name__}: {error}")))

    for name, job in jobs.items():
        threading.Thread(target=run, args=(name, job), name=name, daemon=True).start()
    found: dict[str, object] = {}
    ends = time.monotonic() + SOURCE_DEADLINE_S
    while len(found) < len(jobs):
        try:
            name, answer = results.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            break
        found[name] = answer
    late = (
        Gap(source=name, code="LATE", why=f"no answer within {SOURCE_DEADLINE_S:.0f} s")
        for name in jobs
        if name not in found
    )
    gaps = [found[name] for name in jobs if isinstance(found.get(name), Gap)]
    answers = {name: found[name] for name in jobs if name in found and not isinstance(found[name], Gap)}
    return answers, [*(gap for gap in gaps if isinstance(gap, Gap)), *late]


def _managed(
    app: App, answers: Mapping[str, object], gaps: list[Gap]
) -> tuple[list[Pool], dict[str, Pools], dict[str, str]]:
    """The pools that the configuration names, as their providers show them; a gap for one that is not.

    The last: those that a list which was cut does not show, and why; whether they are there is not known.
    """
    pools: list[Pool] = []
    owners: dict[str, Pools] = {}
    cut: dict[str, str] = {}
    for name, provider in app.providers.items():
        answer = answers.get(f"provider {name}")
        if not isinstance(answer, tuple):
            continue
        shown, unseen = answer
        gaps += unseen
        cut[name] = "; ".join(gap.why for gap in unseen)
        for pool in shown:
            declared = app.configuration.pools.get(pool.id)
            if declared is not None and declared.provider == name:
                pools.append(pool)
                owners[pool.id] = provider
    absent = {
        name: cut[declared.provider]
        for name, declared in sorted(app.configuration.pools.items())
        if name not in owners and declared.provider in cut
    }
    gaps += [_absent(app.configuration.pools[name], why) for name, why in absent.items()]
    gaps[:] = [_with_its_pools(app, gap) for gap in gaps]
    unlisted = {name: f"the list was cut: {why}" for name, why in absent.items() if why}
    return sorted(pools, key=lambda pool: pool.id), owners, unlisted


def _absent(declared: DeclaredPool, cut: str) -> Gap:
    """The gap of a pool that its provider does not list; `cut` is why that list is not whole, "" if it is."""
    name = declared.id
    if cut:
        return Gap(source=name, code="NOT_SEEN", why=f"{name} is not in a list that was cut: {cut}")
    what = name if declared.target in {"", name} else f"{name} ({declared.target})"
    return Gap(source=name, code="NOT_FOUND", why=f"{what} is in no provider's list")


def _with_its_pools(app: App, gap: Gap) -> Gap:
    """A provider's gap names the pools that cannot be seen for it."""
    pools = [
        n for n, pool in sorted(app.configuration.pools.items()) if gap.source == f"provider {pool.provider}"
    ]
    return replace(gap, why=f"{gap.why} (pools: {', '.join(pools)})") if pools else gap


def _unanswered(app: App, gaps: Sequence[Gap]) -> dict[str, str]:
    """For each pool of a provider that did not answer, what the gap says."""
    silent = {gap.source: gap.why for gap in gaps}
    return {
        name: silent[f"provider {declared.provider}"]
        for name, declared in app.configuration.pools.items()
        if f"provider {declared.provider}" in silent
    }


def back_fill(
    app: App,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    within_s: float = float("inf"),
) -> list[Gap]:
    """Fetch the history of series over a network that are new, or were not followed for a day; a gap for each
    source that fails. `on_progress` is given how many series are done, and of how many. After `within_s`
    seconds no further request begins: what is left waits for the next call.
    """
    now = app.clock.now()
    ends = time.monotonic() + within_s
    since = now - timedelta(seconds=HISTORY_S)
    asked = asked_of(app)
    jobs = [
        (source, missing)
        for source in app.metrics
        if isinstance(source, Following) and (missing := source.missing(asked, since, now))
    ]
    total, before, gaps = sum(len(missing) for _, missing in jobs), 0, []

    def keep(samples: Samples) -> None:
        app.history.append_all(_gated([samples], app, now).series)

    if on_progress is not None and total:
        on_progress(0, total)
    for number, (source, missing) in enumerate(jobs, 1):
        try:
            for done in source.fill(missing, since, now, keep):
                if on_progress is not None:
                    on_progress(before + done, total)
                if time.monotonic() > ends:
                    break
        except MetricsError as error:
            gaps.append(Gap(source=f"history {number}", code=type(error).__name__, why=str(error)))
        before += len(missing)
    return gaps


def _unfilled(app: App, asked: Sequence[str], now: datetime) -> dict[str, str]:
    """The series whose past is still to be fetched, and why: they may let a pool grow, and shrink none."""
    return {
        name: why
        for source in app.metrics
        if isinstance(source, Following)
        for name, why in source.unfilled(asked, now).items()
    }


def _as_a_whole(app: App, gated: Gated, known: Mapping[str, Series], now: datetime) -> Gated:
    """Of series that are followed the gate saw what is new: they are judged by all that is kept."""
    asked = [one.unique_id for one in gated.series]
    followed = {
        name for source in app.metrics if isinstance(source, Following) for name in source.mine(asked)
    }
    limits = _limits(app, now)
    said: dict[str, Notice | None] = {
        name: stale(known[name], limits, []) for name in followed if name in known
    }
    refused = {name: notice for name, notice in gated.refused.items() if name not in said}
    return replace(gated, refused=refused | {name: why for name, why in said.items() if why is not None})


def _lower_bounds(parts: Sequence[Samples]) -> dict[str, str]:
    """Why some series may be larger than was told: they may let a pool grow, and shrink none."""
    return {
        name: f"{name}: its true values may be larger: {why}"
        for part in parts
        for name, why in part.lower_bounds.items()
    }


def _gated(parts: Sequence[Samples], app: App, now: datetime) -> Gated:
    """The samples of all sources through the input gate: what is unsound is dropped and told."""
    return gate_sources(parts, _limits(app, now))


def _limits(app: App, now: datetime) -> Limits:
    fresh = app.policy.freshness
    return Limits(
        now=now,
        periods=fresh.periods,
        completeness=fresh.completeness,
        longest_gap_s=fresh.longest_gap_s,
        window_s=fresh.window_s,
        steady=app.configuration.counts() | {signal.series for signal in app.policy.interlocks.signals},
        delays=delays(app.metrics, asked_of(app)),
    )
