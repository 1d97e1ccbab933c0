"""What `doctor` looks at in a source of CloudWatch: rights, queries without points, clocks, the price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from autoscaler import aws
from autoscaler.connections import CloudWatchQuery, CloudWatchSource
from autoscaler.errors import MetricsError, ProviderError
from autoscaler.metrics.cloudwatch_queries import batches, cost_usd, metrics_of
from autoscaler.metrics.examining import checks_of
from autoscaler.metrics.periodic import lacking
from autoscaler.ports import Check, Samples
from policies.units import HOURS_A_MONTH, format_duration, format_usd

MOST_PAGES = 4  # of 500 metrics each
SKEW_S = 30.0  # AWS refuses calls whose clock is five minutes off


@dataclass(frozen=True, slots=True)
class Examination:
    """One look at a source, now (aware UTC), by a client that only reads."""

    source: CloudWatchSource
    now: datetime
    client: Any

    def refused(self, error: MetricsError) -> Check:
        """The check of a source that answered nothing; it names the permission where that lacks."""
        mend = "allow cloudwatch:GetMetricData; see whether the credentials are still valid"
        what = lacking(f"CloudWatch {self.source.name}", "cloudwatch:GetMetricData", error)
        return Check(what=what, ok=False, why=str(error), mend=mend)

    def queries(self, samples: Samples) -> Iterator[Check]:
        """A check for each query: how old its newest point is, or what may be meant where there is none."""
        source = self.source
        return checks_of(
            tuple(source.queries),
            samples,
            self.now,
            source=f"CloudWatch {source.name}",
            step_s=source.step_s,
            delay_s=source.delay_s,
            meant=lambda name: self._meant(source.queries[name]),
        )

    def skew(self, seconds: float | None) -> Check:
        """How far this clock is from that of AWS, forward positive."""
        what = f"clock against CloudWatch {self.source.name}"
        if seconds is None:
            return Check(what=what, ok=None, why="the answer told no time")
        if abs(seconds) <= SKEW_S:
            return Check(what=what, ok=True, why=f"{seconds:+.0f} s")
        mend = "set this machine's clock by a time service; AWS refuses calls that are 5m off"
        return Check(what=what, ok=False, why=f"{seconds:+.0f} s", mend=mend)

    def price(self) -> Check:
        """What the calls cost where each step is asked for once."""
        source = self.source
        metrics = sum(metrics_of(query) for query in source.queries.values())
        calls = len(batches(list(source.queries), source.queries, 1))
        month = cost_usd(metrics) * HOURS_A_MONTH * 3600 / source.step_s
        why = (
            f"{calls} calls a tick for {metrics} metrics: ${cost_usd(metrics):.6f}, and "
            f"{format_usd(month)} a month at a tick every {format_duration(source.step_s)}"
        )
        return Check(what=f"price of CloudWatch {source.name}", ok=True, why=why)

    def _meant(self, query: CloudWatchQuery) -> str:
        one = next(iter(query.inputs.values()), None) if query.expression else query
        if one is None:
            return ""
        try:
            there = list(self._listed(Namespace=one.namespace, MetricName=one.metric))
            if there:
                return f"{one.metric} is there with {_dimensions(there)}; see the dimensions"
            names = sorted({str(metric["MetricName"]) for metric in self._listed(Namespace=one.namespace)})
        except ProviderError as error:
            return f"its name could not be looked up ({error})"
        if not names:
            return f"{one.namespace} has no metrics in {self.source.account.region}; see namespace and region"
        near = get_close_matches(one.metric, names, n=1, cutoff=0.0)
        return f"{one.namespace} has no {one.metric}; did you mean {near[0]}?"

    def _listed(self, **asked: str) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        for _page in range(MOST_PAGES):
            with aws.told("cloudwatch:ListMetrics"):
                page = self.client.list_metrics(**asked, **token)
            yield from page.get("Metrics", ())
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}


def _dimensions(metrics: list[Mapping[str, Any]]) -> str:
    """The dimensions of some of the metrics, for people."""
    some = (
        ",".join(f"{one['Name']}={one['Value']}" for one in metric.get("Dimensions", ())) or "no dimension"
        for metric in metrics[:3]
    )
    return " | ".join(some)
