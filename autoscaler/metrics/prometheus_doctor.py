"""What an operator wants to know of a Prometheus before it is relied on; nothing is changed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler.errors import MetricsError
from autoscaler.metrics.prometheus_http import AT_ONCE, Conversation, Unanswered
from autoscaler.metrics.prometheus_range import Grid, Points, grid, points
from autoscaler.ports import Check
from forecasts.limits import spoken

if TYPE_CHECKING:
    from autoscaler.connections import PrometheusSource
    from autoscaler.ports import Clock

MOST_SKEW_S = 30.0
RECENT_S = 3_600  # so far back a query is tried, or ten steps
STALE_STEPS = 3  # as the input gate counts them
MOST_NAMES = 100_000  # so many are compared with a name that is not there

_TEXT = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
_NAMED = re.compile(r"""\b__name__\s*=\s*["'`]([a-zA-Z_:][\w:]*)["'`]""")
_ASIDE = re.compile(
    r"#[^\n]*|\{[^{}]*\}|\[[^\[\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)"
)
_WORD = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
_KEYWORDS = frozenset(
    {
        *("and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset"),
        *("bool", "inf", "nan", "atan2", "default", "if", "ifnot", "keep_metric_names", "sum", "min", "max"),
        *("avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile"),
    }
)


def examine(source: PrometheusSource, clock: Clock) -> Sequence[Check]:
    """Reachable, clock skew, every query; the first alone where it is not reached."""
    what = f"prometheus {source.name} answers"
    try:
        with Conversation(source, clock) as talk:
            skew = _skew(talk, clock)
            return (Check(what=what, ok=True, why=_server(talk)), skew, *_queries(talk, source, clock))
    except Unanswered as error:
        return (Check(what=what, ok=False, why=str(error), mend=error.mend),)
    except MetricsError as error:
        return (Check(what=what, ok=False, why=str(error), mend="mend the source's settings"),)


def names(talk: Conversation, now: datetime) -> Sequence[str]:
    """The names of the metrics that the server had in the last hour, sorted. Unanswered."""
    start, end = int((now - timedelta(seconds=RECENT_S)).timestamp()), int(now.timestamp())
    found = talk.get("/api/v1/label/__name__/values", start=start, end=end).get("data")
    if not isinstance(found, list):
        raise talk.fault("", "the names of metrics are no list", "is `url` that of Prometheus' API?")
    return tuple(sorted(str(name) for name in found))


def metric_names(query: str) -> Sequence[str]:
    """The names of the metrics in a PromQL query, each once, in order."""
    named = _NAMED.findall(query)
    # Texts first, for they may hold braces; then what is in braces, brackets and lists of labels.
    bare = _ASIDE.sub(" ", _TEXT.sub('""', query))
    words = (word for word in _WORD.findall(bare) if word.lower() not in _KEYWORDS)
    return tuple(dict.fromkeys((*named, *words)))


def nearest(name: str, among: Sequence[str]) -> str:
    """The most similar name, "" where none is."""
    return next(iter(difflib.get_close_matches(name, among[:MOST_NAMES], n=1)), "")


def _server(talk: Conversation) -> str:
    """Which server it is, as far as it says."""
    try:
        told = talk.get("/api/v1/status/buildinfo").get("data")
    except Unanswered:
        return "it does not say which server it is"
    told = told if isinstance(told, dict) else {}
    return talk.hidden(
        f"{told.get('application') or 'Prometheus API'} {told.get('version', '')}"[:80].strip()
    )


def _skew(talk: Conversation, clock: Clock) -> Check:
    """The server's clock against ours; half of what the question took is not held against it."""
    what = "the server's clock and ours agree"
    began, asked = clock.now(), clock.monotonic()
    envelope = talk.post("/api/v1/query", "time()")
    took = clock.monotonic() - asked
    try:
        theirs = float(envelope["data"]["result"][1])
    except (KeyError, IndexError, TypeError, ValueError):
        return Check(what=what, ok=None, why="time() was not answered with a number")
    skew = theirs - (began.timestamp() + took / 2)
    ok = abs(skew) <= MOST_SKEW_S + took / 2
    which = "ahead of" if skew > 0 else "behind"
    why = f"it is {abs(skew):.1f} s {which} ours"
    return Check(
        what=what, ok=ok, why=why, mend="" if ok else "let both machines follow a time service (NTP)"
    )


def _queries(talk: Conversation, source: PrometheusSource, clock: Clock) -> Iterator[Check]:
    """A check for each query, and the names of metrics asked for only where one has no points."""
    now = clock.now()
    back = timedelta(seconds=max(RECENT_S, 10 * source.step_s))
    asked = grid(now - back, now, source.step_s)

    def tried(query: str) -> Points | MetricsError:
        try:
            return points(talk, query, asked)
        except MetricsError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prometheus") as pool:
        answers = dict(zip(source.queries, pool.map(tried, source.queries.values()), strict=True))
    there: Sequence[str] | MetricsError = ()
    if any(isinstance(answer, Points) and not answer.y.size for answer in answers.values()):
        try:
            there = names(talk, now)
        except MetricsError as error:
            there = error
    for name, answer in answers.items():
        yield _query(name, source.queries[name], answer, asked, there)


def _query(
    name: str, query: str, answer: Points | MetricsError, asked: Grid, there: Sequence[str] | MetricsError
) -> Check:
    what = f"the query of {name} answers"
    if isinstance(answer, MetricsError):
        return Check(what=what, ok=False, why=str(answer), mend=getattr(answer, "mend", ""))
    if not answer.y.size:
        reach = spoken(len(asked) * asked.step_s)
        return _empty(what, f"no points in the last {reach}", query, there)
    age = asked.last + asked.step_s - int(answer.stamps[-1])
    if age > STALE_STEPS * asked.step_s:
        mend = "is the target still scraped? a series this old lets nothing shrink"
        return Check(what=what, ok=False, why=f"its newest point is {spoken(age)} old", mend=mend)
    if answer.lower_bound:
        mend = "bring back what the server misses; until then nothing shrinks by this series"
        return Check(what=what, ok=False, why=f"the answer is not whole: {answer.lower_bound}", mend=mend)
    return Check(what=what, ok=True, why=f"its newest point is {spoken(age)} old")


def _empty(what: str, why: str, query: str, there: Sequence[str] | MetricsError) -> Check:
    """Whose fault it is that a query has no points."""
    if isinstance(there, MetricsError):
        return Check(
            what=what,
            ok=False,
            why=f"{why}; the names of metrics are not told: {there}",
            mend="mend the query",
        )
    for metric in metric_names(query):
        if metric not in there:
            near = nearest(metric, there)
            mend = f"is {near} meant?" if near else "is its target scraped?"
            return Check(what=what, ok=False, why=f"{why}: the server has no metric {metric}", mend=mend)
    return Check(
        what=what, ok=False, why=f"{why}, though its metrics are there", mend="mend the labels in the query"
    )
