"""Which series a Prometheus has: the label sets that a query answers now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autoscaler.metrics.prometheus_http import Conversation

if TYPE_CHECKING:
    from autoscaler.connections import PrometheusSource
    from autoscaler.ports import Clock

MOST = 10_000  # label sets of one query


def label_sets(source: PrometheusSource, clock: Clock, query: str) -> Sequence[Mapping[str, str]]:
    """The label sets of an instant query, sorted, at most MOST of them. MetricsError."""
    with Conversation(source, clock) as talk:
        data = talk.post("/api/v1/query", query).get("data")
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(result, list) or not all(isinstance(entry, dict) for entry in result):
            raise talk.fault(query, "the answer is no vector", "is `url` that of Prometheus' API?")
    found = [
        {str(key): str(value) for key, value in labels.items()}
        for entry in result[:MOST]
        if isinstance(labels := entry.get("metric"), dict)
    ]
    return sorted(found, key=lambda labels: sorted(labels.items()))
