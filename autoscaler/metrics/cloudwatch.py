"""CloudWatch as a source of history: GetMetricData, many series in a request, whole periods only.

What has no points is absent, never zero. A part of an answer makes its series a lower bound. A query that
CloudWatch refuses, and a series it fails at, is absent and told; the others are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import numpy as np

from autoscaler import aws
from autoscaler.connections import CloudWatchQuery, CloudWatchSource
from autoscaler.errors import Invalid, MetricsError, ProviderError, Throttled, Unreachable
from autoscaler.metrics.answers import Answer, together
from autoscaler.metrics.cloudwatch_examination import Examination
from autoscaler.metrics.cloudwatch_queries import (
    MOST_POINTS,
    batches,
    beyond,
    reach_s,
    written,
    wrong,
)
from autoscaler.metrics.examining import span_s
from autoscaler.metrics.periodic import Periodic
from autoscaler.metrics.periods import Window
from autoscaler.ports import Check, Clock, Samples

PERMISSIONS = ("cloudwatch:GetMetricData", "cloudwatch:ListMetrics")
WORKERS = 4  # requests at once: CloudWatch lets 50 a second, and 4 full ones
ATTEMPTS = 3
MOST_PAGES = 100  # of one request; it was made to need one
MOST_REFUSED = 16  # refusals of halves until the rest of a request is given up


@dataclass(slots=True)
class _Found:
    """What the pages said of one series so far."""

    labels: set[str] = field(default_factory=set)
    stamps: list[datetime] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    status: str = "Complete"
    messages: list[str] = field(default_factory=list)
    partial: str = ""
    several: int = 1  # series in one page


class CloudWatchMetrics(Periodic[CloudWatchSource]):
    """The ports `Metrics`, `Remote` and `Examines` over one account and region. Safe for several threads."""

    def __init__(self, source: CloudWatchSource, clock: Clock, *, client: Any = None) -> None:
        """`client` is one of boto3 for cloudwatch, made when first needed where it is None.

        MetricsError where a query cannot be asked; the message names it and the mend.
        """
        super().__init__(source, clock, client, kind="CloudWatch", reach_s=reach_s(source.step_s))
        if why := wrong(source):
            raise MetricsError(f"{self._told_name}: {why}")
        self._skew_s: float | None = None

    def _samples(self, client: Any, names: Sequence[str], span: Window, told: list[str]) -> Samples:
        made = batches(names, self._source.queries, span.periods)
        seconds = self._seconds(span, names)
        outcomes = self._asked(made, partial(self._ask, client, span), workers=WORKERS, seconds=seconds)
        answers: dict[str, Answer] = {}
        lost: dict[str, str] = {}
        for batch, outcome in zip(made, outcomes, strict=True):
            if isinstance(outcome, ProviderError):
                told.append(f"{len(batch)} series from {batch[0]} on have no answer: {outcome}")
                lost |= dict.fromkeys(batch, str(outcome))
            else:
                answers |= outcome
        samples = together(answers, span, source=self._told_name, warnings=told)
        return replace(samples, unanswered={**samples.unanswered, **lost})

    def examine(self) -> Sequence[Check]:
        """Rights, the age of each query's newest point, clock skew, and what the calls cost a month."""
        try:
            client = self._client()
        except ProviderError as error:
            mend = "give credentials by the environment, a profile or a role"
            return (Check(what=self._told_name, ok=False, why=str(error), mend=mend),)
        look = Examination(self._source, self._clock.now(), client)
        since = self._clock.now() - timedelta(seconds=span_s(self._source.step_s))
        try:
            samples = self.samples([], since, None)
        except MetricsError as error:
            return (look.refused(error), look.price())
        return (*look.queries(samples), look.skew(self._skew_s), look.price())

    def _connected(self) -> Any:
        return aws.client(
            self._source.account,
            "cloudwatch",
            read_s=max(1.0, self._source.timeout_s / ATTEMPTS),
            attempts=ATTEMPTS,
        )

    def _longer(self) -> str:
        return beyond(self.step_s)

    def _ask(self, client: Any, span: Window, batch: Sequence[str]) -> Mapping[str, Answer]:
        """The answers of one request; one that is refused is halved until the refused query stands alone."""
        waiting, answers, refused = [list(batch)], dict[str, Answer](), 0
        deadline = self._clock.monotonic() + self._seconds(span, batch)
        while waiting:
            part = waiting.pop()
            try:
                answers |= self._pages(client, span, part, deadline)
            except Invalid as error:
                refused += 1
                half = len(part) // 2
                if half and refused <= MOST_REFUSED:
                    waiting += [part[half:], part[:half]]
                else:
                    why = f"{error} (one of {len(part)} queries asked together)" if half else str(error)
                    answers |= {name: Answer(unanswered=f"refused: {why}") for name in part}
        return answers

    def _pages(
        self, client: Any, span: Window, names: Sequence[str], deadline: float
    ) -> Mapping[str, Answer]:
        queries, owner = written(names, self._source)
        found = {name: _Found() for name in names}
        request: dict[str, Any] = {
            "MetricDataQueries": queries,
            "StartTime": span.first,
            "EndTime": span.last,
            "ScanBy": "TimestampAscending",
            "MaxDatapoints": MOST_POINTS,
        }
        for _page in range(MOST_PAGES):
            if self._clock.monotonic() > deadline:
                raise Unreachable("cloudwatch:GetMetricData: its pages did not end within the deadline")
            page = self._page(client, request)
            results = [result for result in page.get("MetricDataResults", ()) if result.get("Id") in owner]
            for made_id, times in Counter(result["Id"] for result in results).items():
                found[owner[made_id]].several = max(found[owner[made_id]].several, times)
            for result in results:
                _note(found[owner[result["Id"]]], result)
            for said in page.get("Messages", ()):
                self._said(found, said)
            if not page.get("NextToken"):
                break
            request["NextToken"] = page["NextToken"]
        else:
            for one in found.values():
                one.partial = f"more than {MOST_PAGES} pages; ask for fewer series or a shorter time"
        return {name: self._answer(name, one) for name, one in found.items()}

    def _page(self, client: Any, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            with aws.told("cloudwatch:GetMetricData"):
                page: Mapping[str, Any] = client.get_metric_data(**request)
        except Throttled as error:
            mend = "take a longer step or tick, or ask AWS for a higher quota of GetMetricData"
            raise Throttled(f"{error}; {mend}", retry_after=error.retry_after) from error
        date = page.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            theirs = parsedate_to_datetime(date).astimezone(UTC)
            self._skew_s = (self._clock.now() - theirs).total_seconds()
        return page

    def _said(self, found: Mapping[str, _Found], said: Mapping[str, str]) -> None:
        """A message about the whole request: whoever searches may have missed a part."""
        text = f"{said.get('Code', '')}: {said.get('Value', '')}"
        for name, one in found.items():
            if "SEARCH" in self._source.queries[name].expression.upper():
                one.partial = text
            one.messages.append(text)

    def _answer(self, name: str, found: _Found) -> Answer:
        said = tuple(f"{name}: {text}" for text in dict.fromkeys(found.messages))
        if found.status in _FAILED:
            return Answer(unanswered=_FAILED[found.status], warnings=said)
        labels = len(found.labels) if self._query(name).expression else 1
        if (several := max(found.several, labels)) > 1:
            some = ", ".join(sorted(found.labels)[:3])
            why = f"{several} series came ({some}); wrap the expression in SUM(...)"
            return Answer(unanswered=f"refused: {why}", warnings=said)
        y = np.array(found.values, dtype=np.float64)
        if self._query(name).per_second:
            y = y / self._source.step_s
        stamps = np.array([round(at.timestamp()) for at in found.stamps], dtype=np.int64)
        part = found.partial or ("PartialData: CloudWatch gave a part" * (found.status == "PartialData"))
        return Answer(stamps=stamps, y=y, lower_bound=part, warnings=said)

    def _query(self, name: str) -> CloudWatchQuery:
        return self._source.queries[name]


_FAILED = {
    "InternalError": "InternalError at CloudWatch: absent, and asked again next time",
    "Forbidden": "Forbidden: the permission cloudwatch:GetMetricData is needed where the metric is",
}


def _note(found: _Found, result: Mapping[str, Any]) -> None:
    """Add what one page says of a series; the last page's status counts."""
    found.labels.add(str(result.get("Label", "")))
    found.stamps += result.get("Timestamps", ())
    found.values += result.get("Values", ())
    found.status = str(result.get("StatusCode", "Complete"))
    found.messages += [
        f"{said.get('Code', '')}: {said.get('Value', '')}" for said in result.get("Messages", ())
    ]
