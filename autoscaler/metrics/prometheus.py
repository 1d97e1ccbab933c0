"""History from a server of Prometheus' HTTP API: Prometheus, Thanos, Mimir, VictoriaMetrics."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.clock import SystemClock
from autoscaler.errors import MetricsError
from autoscaler.metrics import prometheus_doctor
from autoscaler.metrics.prometheus_http import AT_ONCE, Conversation, Unusable
from autoscaler.metrics.prometheus_range import Grid, Points, grid, points
from autoscaler.ports import Samples

if TYPE_CHECKING:
    from autoscaler.connections import PrometheusSource
    from autoscaler.ports import Check, Clock

PERMISSIONS = (
    "POST /api/v1/query_range",
    "POST /api/v1/query",
    "GET /api/v1/status/buildinfo",
    "GET /api/v1/label/__name__/values",
)
LOOK_BACK_S = 14 * 86_400  # how far back is asked for where nobody says
MOST_SAMPLES = 25_000_000  # held by one call; about 40 bytes each
GRACE_S = 1.0  # between the deadline and giving up those that do not keep it


class PrometheusMetrics:
    """The ports Metrics, Remote and Examines over one server. For several threads at once."""

    def __init__(self, source: PrometheusSource, clock: Clock | None = None) -> None:
        """Connects to nothing; `clock` is the machine's where none is given."""
        self._source = source
        self._clock = clock or SystemClock()

    @property
    def step_s(self) -> int:
        """The distance of the points in seconds."""
        return self._source.step_s

    @property
    def delay_s(self) -> int:
        """None: a point is what the server knows at its stamp."""
        return 0

    def known(self) -> Sequence[str]:
        """The series that there are queries for."""
        return tuple(self._source.queries)

    def samples(self, series: Sequence[str], since: datetime | None, until: datetime | None) -> Samples:
        """The points of the named series (all if none is named) with since <= ds < until, never after now.

        `since` None: 14 days back. A series whose query fails has no samples, and `warnings` say why; a piece
        of its time that is missing counts as failing. MetricsError where every query fails.
        """
        now = self._clock.now()
        end = now if until is None else min(until, now)
        asked = grid(since or now - timedelta(seconds=LOOK_BACK_S), end, self.step_s)
        wanted = self._wanted(series)
        if len(wanted) * len(asked) > MOST_SAMPLES:
            most = f"{MOST_SAMPLES:,} samples"
            raise MetricsError(
                f"prometheus {self._source.name}: more than {most} at once; ask for fewer series"
            )
        with Conversation(self._source, self._clock) as talk:
            answers = _answers(talk, wanted, asked, self._source.deadline_s)
        errors = {name: answer for name, answer in answers.items() if isinstance(answer, MetricsError)}
        if errors and len(errors) == len(answers):
            first = next(iter(errors.values()))
            more = f" (and {len(errors) - 1} more series)" if len(errors) > 1 else ""
            raise MetricsError(f"{first}{more}") from first
        return _samples(f"prometheus {self._source.name}", answers)

    def examine(self) -> Sequence[Check]:
        """Who answers, clock skew, and of each query: does it answer, and how old is its newest point."""
        return prometheus_doctor.examine(self._source, self._clock)

    def names(self) -> Sequence[str]:
        """The names of the metrics that the server had in the last hour, sorted. MetricsError."""
        with Conversation(self._source, self._clock) as talk:
            return prometheus_doctor.names(talk, self._clock.now())

    def _wanted(self, series: Sequence[str]) -> Mapping[str, str]:
        """The queries of the named series."""
        queries = self._source.queries
        for name in series:
            if name not in queries:
                near = difflib.get_close_matches(name, queries, n=1)
                hint = f"; is {near[0]} meant?" if near else "; give it one in `queries`"
                raise MetricsError(
                    f"prometheus {self._source.name}: there is no query for the series {name}{hint}"
                )
        return {name: queries[name] for name in dict.fromkeys(series or queries)}


def _answers(
    talk: Conversation, wanted: Mapping[str, str], asked: Grid, deadline_s: float
) -> dict[str, Points | MetricsError]:
    """What became of each query, several at once; none begins after one shows the server unusable."""
    down: list[Unusable] = []

    def ask(query: str) -> Points | MetricsError:
        try:
            if down:
                raise down[0]
            return points(talk, query, asked)
        except Unusable as error:
            down.append(error)
            return error
        except MetricsError as error:
            return error

    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prometheus")
    futures = {name: pool.submit(ask, query) for name, query in wanted.items()}
    wait(futures.values(), timeout=deadline_s + GRACE_S)
    pool.shutdown(wait=False, cancel_futures=True)
    return {name: _answer(talk, wanted[name], future) for name, future in futures.items()}


def _answer(talk: Conversation, query: str, future: Future[Points | MetricsError]) -> Points | MetricsError:
    if future.done() and not future.cancelled():
        return future.result()
    return talk.late(query)


def _samples(source: str, answers: Mapping[str, Points | MetricsError]) -> Samples:
    """What was answered as arrays, series by series; what was not as warnings."""
    found = {name: answer for name, answer in answers.items() if isinstance(answer, Points)}
    warnings = [f"{name}: {answer}" for name, answer in answers.items() if isinstance(answer, MetricsError)]
    warnings += [f"{name}: {text}" for name, answer in found.items() for text in answer.warnings]
    unique_id = [np.full(answer.y.size, name, dtype=object) for name, answer in found.items()]
    stamps = [answer.stamps for answer in found.values()]
    y = [answer.y for answer in found.values()]
    rows = sum(one.size for one in y)
    return Samples(
        unique_id=np.concatenate([*unique_id, np.empty(0, dtype=object)]),
        ds=np.concatenate([*stamps, np.empty(0, np.int64)]).astype("datetime64[s]").astype("datetime64[us]"),
        y=np.concatenate([*y, np.empty(0)]),
        line=np.broadcast_to(np.int64(-1), rows),
        source=source,
        lower_bounds={name: answer.lower_bound for name, answer in found.items() if answer.lower_bound},
        warnings=tuple(warnings),
        unanswered={name: str(one) for name, one in answers.items() if isinstance(one, MetricsError)},
    )
