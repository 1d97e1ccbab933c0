"""Which autoscalers read the recommendation that is served, and act on it by themselves. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from policies.model import SERVED

PATH = "/api/v1/pools/"  # below it recommendations are served
_METRIC = re.compile(r"(?<![\w:])loadline_recommended_replicas(?![\w:])")


def reads_us(item: Mapping[str, Any]) -> bool:
    """Whether a ScaledObject or HorizontalPodAutoscaler reads us: by a trigger, metric or annotation."""
    marks = item["metadata"].get("annotations") or {}
    spec = item.get("spec") or {}
    return (
        marks.get(SERVED) == "true"
        or any(_asks_us(one) for one in spec.get("triggers") or ())
        or any(_METRIC.fullmatch(name) for name in _metrics(spec))
    )


def _asks_us(trigger: Mapping[str, Any]) -> bool:
    """Whether a trigger of KEDA asks our API, or a Prometheus for our metric."""
    asks = trigger.get("metadata") or {}
    if trigger.get("type") == "metrics-api":
        return _path(str(asks.get("url") or "")).startswith(PATH)
    return trigger.get("type") == "prometheus" and bool(_METRIC.search(str(asks.get("query") or "")))


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # such as a bracket that is not closed: KEDA cannot ask it either
        return ""


def _metrics(spec: Mapping[str, Any]) -> Iterator[str]:
    """The names of the metrics from outside that a HorizontalPodAutoscaler goes by."""
    for one in spec.get("metrics") or ():
        kind = {"External": "external", "Pods": "pods"}.get(one.get("type"), "")
        yield str(((one.get(kind) or {}).get("metric") or {}).get("name") or "")
