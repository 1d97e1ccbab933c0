"""A source over a network, followed: its history is filled in once, then only what is new is asked for.

What was asked before is in the store. Each turn asks again for the last few steps, which may have been late
or partial; what came is handed on with the stored day before it: the input gate judges new points by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.errors import MetricsError
from autoscaler.ports import Samples
from forecasts.types import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoscaler.ports import Metrics, Remote
    from autoscaler.store.history import History

    _Points = tuple[NDArray[np.int64], NDArray[np.float64]]  # stamps, seconds since 1970 UTC, and values

OVERLAP_S, OVERLAP_STEPS = 600, 5  # how far back each turn asks again: the longer of the two
CONTEXT_S = 86400  # the past that new points are judged beside
AT_ONCE = 50  # series that are filled in together
TRIED_AGAIN_S = 3600  # after so long a series of which nothing came is filled in again,
FAILED_AGAIN_S = 300  # and one whose source failed
GIVEN_UP_S = 86400  # after so long of failing a series goes on with what there is
LEAST_COMMON = 10  # steps that were told twice, from which on it is judged whether they are the same series
OTHER = 0.25  # of two tellings that differ by so much in half of their steps one has another meaning
ANEW_S = 86400  # a history is fetched anew once in so long
RECENT_S = 7200  # series followed until then are asked together, all others for the whole last day


class Following:
    """The `Metrics` port over a `Remote` source and the store. Used by one thread at a time."""

    def __init__(self, source: Metrics, remote: Remote, history: History) -> None:
        """`remote` is the same source by its other port."""
        self.source = source
        self._remote, self._history = remote, history
        self._partial: dict[str, datetime] = {}  # since when a series' answers may be too low
        self._whole: set[str] = set()  # series whose last day was asked and kept since this began,
        self._told: set[str] = set()  # and those that the last turn was told, kept or not
        self._again: dict[str, datetime] = {}  # when filling in may be tried again
        self._unfilled: dict[str, datetime] = {}  # since when filling in is due, or fails
        self._anew: set[str] = set()  # series whose stored history has another meaning than what comes now
        self._renewed: dict[str, datetime] = {}  # when that was last found

    @property
    def delay_s(self) -> int:
        """How much later than their end periods come from a source that is well, in seconds."""
        return self._remote.delay_s

    def mine(self, series: Sequence[str]) -> list[str]:
        """Those of the series that this source has queries for."""
        known = frozenset(self._remote.known())
        return [name for name in series if name in known]

    def samples(self, series: Sequence[str], since: datetime | None, until: datetime | None) -> Samples:
        """What is new up to `until`, with the day that is stored before it; see the port.

        A window that ends before what is stored (that of a past event) is asked of the source as it is.
        A series of which nothing is stored is asked for its last day: `fill` fetches the rest. A series
        whose query fails costs no other one its answer. MetricsError where nothing was answered.
        """
        wanted = self.mine(series)
        self._told.clear()
        ends = self._history.ends(wanted)
        # The newest step that is stored may end after now; what lies further ahead is another time's.
        past = until is not None and any(end - self._overlap > until for end in ends.values())
        if until is None or since is None or past:
            return self.source.samples(wanted, since, until)
        low = frozenset(self._partial)
        parts = self._answers(list(self._begins(wanted, ends, until)), since, until)
        there = [name for name in wanted if name in ends]
        day = _day_before(until)
        kept = [_from(one, day) for one in self._history.recent(there, min(since, day), until)]
        low |= {name for part in parts for name in part.lower_bounds}
        came = _came(parts)
        said = self._judged(kept, came, until, low)
        return self._beside(kept, parts, came, said)

    def stored(self, behind: Collection[str] = ()) -> None:
        """Hear that what `samples` answered last is in the store now, but for the series `behind`."""
        self._whole |= self._told.difference(behind)

    def _judged(
        self, kept: Sequence[Series], came: Mapping[str, _Points], until: datetime, low: frozenset[str]
    ) -> list[str]:
        """What is to be said of series whose stored history is not that of what came; it is fetched anew.

        Of those whose answer may be too `low`, now or before, it cannot be told.
        """
        said = []
        for one in kept:
            name = one.unique_id
            fresh = name not in low and self._renewed.get(name, _day_before(until)) <= _day_before(until)
            why = _another(one, *came[name], self._remote.step_s) if fresh and name in came else ""
            if why:
                self._anew.add(name)
                self._renewed[name] = self._unfilled[name] = until
                self._again.pop(name, None)
                said.append(f"{name}: {why}; its history is fetched anew")
        return said

    @property
    def owes_another(self) -> bool:
        """Whether a history is to be fetched anew, for the stored one has another meaning."""
        return bool(self._anew)

    @property
    def _overlap(self) -> timedelta:
        return timedelta(seconds=max(OVERLAP_S, OVERLAP_STEPS * self._remote.step_s))

    def _begins(
        self, wanted: Sequence[str], ends: Mapping[str, datetime], until: datetime
    ) -> Iterator[tuple[datetime, list[str]]]:
        """From when each series is asked: those that are followed from a full hour on, others a day back.

        So is each at first: what an earlier process was told of the last day may have been too low.
        """
        context = until - timedelta(seconds=CONTEXT_S)
        recent = until - timedelta(seconds=RECENT_S)
        found: dict[datetime, list[str]] = {}
        for name in wanted:
            end = ends.get(name)
            begin = context if end is None or name not in self._whole else min(end, until) - self._overlap
            begin = min(begin, self._partial.get(name, begin))
            hour = begin.replace(minute=0, second=0, microsecond=0)
            found.setdefault(hour if begin >= recent else context, []).append(name)
        for begin, names in found.items():
            yield max(begin, context), names

    def _answers(
        self, groups: Sequence[tuple[datetime, list[str]]], since: datetime, until: datetime
    ) -> list[Samples]:
        """What each group was answered, all asked at once: they share the deadline of a turn."""
        if not groups:
            return []

        def ask(group: tuple[datetime, list[str]]) -> Samples | MetricsError:
            begin, names = group
            try:
                return self._asked(names, max(begin, since), until)
            except MetricsError as error:
                return error

        with ThreadPoolExecutor(len(groups), thread_name_prefix="following") as pool:
            answers = list(pool.map(ask, groups))
        errors = [answer for answer in answers if isinstance(answer, MetricsError)]
        if len(errors) == len(answers):
            raise errors[0]
        return [
            _nothing(names, answer) if isinstance(answer, MetricsError) else answer
            for (_, names), answer in zip(groups, answers, strict=True)
        ]

    def _asked(self, names: Sequence[str], since: datetime, until: datetime) -> Samples:
        answer = self.source.samples(names, since, until)
        for name in names:
            if name in answer.lower_bounds:
                self._partial.setdefault(name, since)
            elif name not in answer.unanswered:
                self._partial.pop(name, None)
        self._told.update(name for name in names if name not in answer.unanswered)
        return answer

    def _beside(
        self,
        kept: Sequence[Series],
        parts: Sequence[Samples],
        came: Mapping[str, _Points],
        said: Sequence[str],
    ) -> Samples:
        """What came, with what is stored of the day before it; nothing that has another meaning.

        Of a series whose answer may be too low all that is stored is among the samples: of two the larger
        counts. So it is of one that is not whole yet: what is handed on is all that is known of it.
        """
        first = {name: stamps[0] for name, (stamps, _) in came.items()}
        low = {name for part in parts for name in part.lower_bounds}
        among = low | self._unfilled.keys()
        mine = {one.unique_id: one for one in kept if one.unique_id not in self._anew}
        older = [
            _before(one, None if name in low else first.get(name))
            for name, one in mine.items()
            if name in among
        ]
        # What is stored is older, and goes first: samples are in order.
        whole = joined([as_samples(older), *parts], self._source_of(parts))
        beside = {name: _before(one, first.get(name)) for name, one in mine.items() if name not in among}
        return replace(whole, warnings=(*whole.warnings, *said), before=beside)

    def _source_of(self, parts: Sequence[Samples]) -> str:
        return next((part.source for part in parts if part.source), "no query")

    def missing(self, series: Sequence[str], since: datetime, now: datetime) -> list[str]:
        """Those of the series of whose time from `since` on more than the last day was never fetched."""
        mine = self.mine(series)
        ends = self._history.ends(mine)
        edge = now - timedelta(seconds=CONTEXT_S)
        behind = (name for name in mine if name in self._anew or ends.get(name, since) < edge)
        return [name for name in behind if self._again.get(name, now) <= now]

    def fill(
        self, series: Sequence[str], since: datetime, now: datetime, keep: Callable[[Samples], None]
    ) -> Iterator[int]:
        """Fetch the past of the named series and give it to `keep`; how many are done, as they are.

        Each is fetched from where its stored history ends, at the earliest `since`. Raises MetricsError for
        the first group that fails; those behind it are tried at the next call, before it.
        """
        ends = {name: end for name, end in self._history.ends(series).items() if name not in self._anew}
        order = sorted(series, key=lambda name: ends.get(name, since))
        done = 0
        for name in series:
            self._unfilled.setdefault(name, now)
        for names in (order[at : at + AT_ONCE] for at in range(0, len(order), AT_ONCE)):
            begin = max(since, min(ends.get(name, since) for name in names))
            self._again |= dict.fromkeys(names, now + timedelta(seconds=FAILED_AGAIN_S))
            answer = self.source.samples(names, begin, now)
            answered = [name for name in names if name not in answer.unanswered]
            keep(answer)
            self._again |= dict.fromkeys(answered, now + timedelta(seconds=TRIED_AGAIN_S))
            for name in answered:
                self._unfilled.pop(name, None)
                self._anew.discard(name)
                self._whole.add(name)
            done += len(names)
            yield done

    def unfilled(self, series: Sequence[str], now: datetime) -> dict[str, str]:
        """Why some of the series have no whole history: filling in failed, or their turn has not come.

        What is new of them is not to be kept: nobody would ask for what lies before it any more. After a day
        of failing a series is let go on without.
        """
        given_up = now - timedelta(seconds=GIVEN_UP_S)
        return {
            name: f"{name}: its history could not be fetched yet; it is asked for again"
            for name in series
            if self._unfilled.get(name, given_up) > given_up
        }


def delays(sources: Sequence[Metrics], series: Sequence[str]) -> dict[str, int]:
    """How late the periods of each series come from sources that are well, in seconds; the longest of it."""
    found: dict[str, int] = {}
    for source in sources:
        if isinstance(source, Following):
            for name in source.mine(series):
                found[name] = max(found.get(name, 0), source.delay_s)
    return found


def _nothing(names: Sequence[str], error: MetricsError) -> Samples:
    """The answer of a group whose queries all failed."""
    return replace(
        as_samples(iter(())),
        source="",
        warnings=(f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}: {error}",),
        unanswered=dict.fromkeys(names, str(error)),
    )


def _day_before(moment: datetime) -> datetime:
    return moment - timedelta(seconds=CONTEXT_S)


def _came(parts: Sequence[Samples]) -> dict[str, _Points]:
    """Stamps in seconds since 1970 UTC and values of each series that came, in ascending time."""
    found: dict[str, _Points] = {}
    for part in parts:
        order = np.lexsort((part.ds, part.unique_id.astype(str)))
        names, first = np.unique(part.unique_id[order].astype(str), return_index=True)
        stamps = part.ds[order].astype("datetime64[s]").astype(np.int64)
        pieces = zip(np.split(stamps, first[1:]), np.split(part.y[order], first[1:]), strict=True)
        found |= {str(name): piece for name, piece in zip(names, pieces, strict=False)}
    return found


def _another(stored: Series, stamps: NDArray[np.int64], y: NDArray[np.float64], step_s: int) -> str:
    """Why what came is another series than the stored one, "" where it is the same."""
    if len(stamps) > 1 and stored.step_s != step_s and np.median(np.diff(stamps)) == step_s:
        return f"its step was {stored.step_s} s, and is {step_s} s now"
    at, off = np.divmod(stamps - round(stored.start.timestamp()), stored.step_s)
    common = (off == 0) & (at >= 0) & (at < len(stored.y))
    before, after = stored.y[at[common]], y[common]
    known = np.isfinite(before) & np.isfinite(after)
    before, after = before[known], after[known]
    size = np.maximum(np.abs(before), np.abs(after))
    if len(before) < LEAST_COMMON or np.median(np.abs(before - after) - OTHER * size) <= 0:
        return ""
    was, now = np.median(before), np.median(after)
    return f"what was told of its last hours is another thing now ({was:.4g} was, {now:.4g} is): a new query?"


def _from(series: Series, since: datetime) -> Series:
    """The steps that begin at `since` or later."""
    steps = max(0, -(-int((since - series.start).total_seconds()) // series.step_s))
    start = series.start + timedelta(seconds=steps * series.step_s)
    return replace(series, start=start, y=series.y[steps:])


def _before(series: Series, first: np.int64 | None) -> Series:
    """The steps before the first stamp that came, seconds since 1970 UTC."""
    if first is None:
        return series
    steps = int(first - round(series.start.timestamp())) // series.step_s
    return replace(series, y=series.y[: max(0, steps)])


def as_samples(many: Iterable[Series]) -> Samples:
    """The known steps of some series as samples."""
    ids, stamps, values = [], [], []
    for one in many:
        at = np.flatnonzero(np.isfinite(one.y))
        start = np.datetime64(one.start.replace(tzinfo=None), "us")
        stamps.append(start + at.astype("timedelta64[s]") * one.step_s)
        values.append(one.y[at])
        ids.append(np.full(at.size, one.unique_id, dtype=object))
    if not ids:
        ids, stamps, values = [np.empty(0, object)], [np.empty(0, "datetime64[us]")], [np.empty(0)]
    size = sum(map(len, values))
    return Samples(
        unique_id=np.concatenate(ids),
        ds=np.concatenate(stamps).astype("datetime64[us]"),
        y=np.concatenate(values),
        line=np.full(size, -1),
        source="the store",
    )


def joined(parts: Sequence[Samples], source: str) -> Samples:
    """One answer of several, in their order."""
    return Samples(
        unique_id=np.concatenate([part.unique_id for part in parts]),
        ds=np.concatenate([part.ds for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        line=np.concatenate([part.line for part in parts]),
        source=source,
        rejected=tuple(reason for part in parts for reason in part.rejected),
        lower_bounds={name: why for part in parts for name, why in part.lower_bounds.items()},
        warnings=tuple(dict.fromkeys(word for part in parts for word in part.warnings)),
        unanswered={name: why for part in parts for name, why in part.unanswered.items()},
    )
