"""Queries of CloudWatch: whether they can be asked, how they are written in a request, what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autoscaler.connections import CloudWatchQuery, CloudWatchSource

MOST_QUERIES, MOST_POINTS = 500, 100_800  # in one request
SHORT_STEPS = (1, 5, 10, 20, 30)  # of metrics that are stored by the second
HOUR_S, DAY_S = 3600, 86400
USD_A_METRIC = 0.01 / 1000  # metrics requested by GetMetricData; AWS's price list, November 2026

_NAME = re.compile(r"[a-z][A-Za-z0-9_]*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_QUOTED_OR_NAME = re.compile(rf"({_QUOTED.pattern})|\b([a-z][A-Za-z0-9_]*)")
_PERCENT = r"(?:100|\d{1,2}(?:\.\d{1,10})?)"
_STATISTIC = re.compile(
    rf"Average|Sum|Minimum|Maximum|SampleCount|IQM|(?:p|tm|wm|tc|ts){_PERCENT}|(?:PR|TM|WM|TC|TS)\([^()]+\)"
)
_ADDS_UP = re.compile(r"Sum|SampleCount|(?:tc|ts)[\d.]+|(?:TC|TS)\(.+")


def reach_s(step_s: int) -> int:
    """For how many seconds CloudWatch keeps periods of that length."""
    if step_s < 60:
        return 3 * HOUR_S
    if step_s % 3600 == 0:
        return 455 * DAY_S
    return (63 if step_s % 300 == 0 else 15) * DAY_S


def beyond(step_s: int) -> str:
    """What longer periods would reach, for people."""
    longer = [(60, "15 days"), (300, "63 days"), (3600, "455 days")]
    reach = [f"{step} s reaches {days}" for step, days in longer if reach_s(step) > reach_s(step_s)]
    return f"; a step of {' and one of '.join(reach)}" if reach else ""


def cost_usd(metrics: float) -> float:
    """USD for so many metrics requested of GetMetricData; a metric counts again in each request."""
    return metrics * USD_A_METRIC


def metrics_of(query: CloudWatchQuery) -> int:
    """Metrics that one request for it counts, those that a SEARCH finds not included."""
    return len(query.inputs) if query.expression else 1


def wrong(source: CloudWatchSource) -> str:
    """Why the source cannot be asked, with the mend; "" where it can."""
    step = source.step_s
    if step not in SHORT_STEPS and (step < 60 or step % 60):
        return f"step {step} s: CloudWatch has periods of 1, 5, 10, 20, 30 or a multiple of 60 s"
    for name, query in source.queries.items():
        why = _wrong_expression(query) if query.expression else _wrong_metric(query)
        if why:
            return f"query {name}: {why}"
    return ""


def _wrong_metric(query: CloudWatchQuery) -> str:
    if query.inputs:
        return "inputs stand beside an expression; give one, such as m1 / m2"
    if not query.namespace or not query.metric:
        return "give namespace and metric, or an expression with its inputs"
    if not _STATISTIC.fullmatch(query.statistic):
        return f"{query.statistic!r} is no statistic; write Average, Sum, Maximum, SampleCount or p95"
    if query.per_second and not _ADDS_UP.match(query.statistic):
        return f"per_second divides what adds up in a period, which {query.statistic} does not; use Sum"
    return ""


def _wrong_expression(query: CloudWatchQuery) -> str:
    text = query.expression
    bare = _QUOTED.sub("", text).upper()
    strange = sorted(set(_names(text)) - set(query.inputs))
    if query.namespace or query.metric:
        return "give a metric or an expression, not both"
    if bare.lstrip().startswith("SELECT"):
        return "Metrics Insights is not asked; name the metrics as inputs, or SUM(SEARCH(...))"
    if "METRICS(" in bare:
        return "METRICS() would take in the metrics of other series; write the inputs' names"
    if strange:
        return f"the expression names {strange[0]}, which is none of its inputs"
    return next(filter(None, (_wrong_input(name, one) for name, one in query.inputs.items())), "")


def _wrong_input(name: str, query: CloudWatchQuery) -> str:
    if not _NAME.fullmatch(name):
        return f"input {name!r}: a name begins with a small letter, then letters, digits and _"
    if query.expression or query.per_second:
        return f"input {name}: is a metric alone, without expression or per_second"
    why = _wrong_metric(query)
    return f"input {name}: {why}" if why else ""


def _names(expression: str) -> Iterator[str]:
    return (found[2] for found in _QUOTED_OR_NAME.finditer(expression) if found[2])


def batches(names: Sequence[str], queries: Mapping[str, CloudWatchQuery], periods: int) -> list[list[str]]:
    """The series in as few requests as hold all their points: a metric counts again on each page."""
    most = max(1, MOST_POINTS // max(1, periods))
    made: list[list[str]] = []
    size = MOST_QUERIES
    for name in names:
        entries = 1 + len(queries[name].inputs)
        if size + entries > MOST_QUERIES or len(made[-1]) >= most:
            made.append([])
            size = 0
        made[-1].append(name)
        size += entries
    return made


def written(names: Sequence[str], source: CloudWatchSource) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The queries of one request, and the series of each id in it; ids are made new, for they are shared."""
    made: list[dict[str, Any]] = []
    owner: dict[str, str] = {}
    for index, name in enumerate(names):
        query, made_id = source.queries[name], f"q{index}"
        owner[made_id] = name
        if not query.expression:
            made.append(_metric(made_id, query, source.step_s, shown=True))
            continue
        ids = {key: f"{made_id}_{key}" for key in query.inputs}
        for key, one in query.inputs.items():
            owner[ids[key]] = name
            made.append(_metric(ids[key], one, source.step_s, shown=False))
        made.append({"Id": made_id, "Expression": _renamed(query.expression, ids), "ReturnData": True})
    return made, owner


def _renamed(expression: str, ids: Mapping[str, str]) -> str:
    return _QUOTED_OR_NAME.sub(lambda found: found[1] or ids[found[2]], expression)


def _metric(made_id: str, query: CloudWatchQuery, step_s: int, *, shown: bool) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in query.dimensions.items()]
    metric = {"Namespace": query.namespace, "MetricName": query.metric, "Dimensions": dimensions}
    return {
        "Id": made_id,
        "MetricStat": {"Metric": metric, "Period": step_s, "Stat": query.statistic},
        "ReturnData": shown,
    }
