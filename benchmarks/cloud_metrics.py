"""Calls of a tick of 1,000 series of CloudWatch and Google Cloud Monitoring, and how fast a back-fill is.

Both ask servers of this machine that answer at once, so that the figures are the client's own.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from autoscaler.clock import SetClock
from autoscaler.connections import (
    AwsAccount,
    CloudWatchQuery,
    CloudWatchSource,
    GoogleMonitoringSource,
    GoogleQuery,
)
from autoscaler.metrics.cloudwatch import CloudWatchMetrics
from autoscaler.metrics.google_monitoring import GoogleMonitoringMetrics

SERIES, BACKFILLED, DAYS = 1_000, 40, 14
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TARGETS = {"cloudwatch_calls_a_tick": "<= 2", "cloudwatch_tick_s": "<= 5", "google_tick_s": "<= 5"}


class CloudWatch(BaseHTTPRequestHandler):
    """GetMetricData as JSON: a one for each period that is asked for."""

    protocol_version = "HTTP/1.1"
    calls: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        """Answer one call."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.calls[self.headers["X-Amz-Target"].rpartition(".")[2]] += 1
        results = [
            {"Id": query["Id"], "Label": "m", "StatusCode": "Complete", **self._points(query, asked)}
            for query in asked["MetricDataQueries"]
        ]
        body = json.dumps({"MetricDataResults": results, "Messages": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _points(self, query: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        stamps = range(int(asked["StartTime"]), int(asked["EndTime"]), query["MetricStat"]["Period"])
        return {"Timestamps": list(stamps), "Values": [1.0] * len(stamps)}

    def log_message(self, *_said: object) -> None:
        """Say nothing."""


def timed(source: Any, names: list[str], since: datetime) -> tuple[float, int]:
    """Wall seconds, and the points that came."""
    began = time.perf_counter()
    points = len(source.samples(names, since, None).y)
    return time.perf_counter() - began, points


def cloudwatch() -> dict[str, float]:
    """Figures of CloudWatch over HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), CloudWatch)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    query = CloudWatchQuery(namespace="Shop", metric="m", statistic="Sum")
    queries = {f"s{index}": query for index in range(SERIES)}
    account = AwsAccount(region="eu-central-1", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    source = CloudWatchMetrics(
        CloudWatchSource(name="bench", account=account, queries=queries), SetClock(NOW)
    )
    timed(source, ["s0"], NOW - timedelta(minutes=5))  # the SDK is imported with the first call
    CloudWatch.calls.clear()
    tick_s, _points = timed(source, [], NOW - timedelta(minutes=5))
    calls = CloudWatch.calls.total()
    fill_s, points = timed(source, [f"s{index}" for index in range(BACKFILLED)], NOW - timedelta(days=DAYS))
    server.shutdown()
    server.server_close()
    return {
        "cloudwatch_calls_a_tick": calls,
        "cloudwatch_tick_s": tick_s,
        "cloudwatch_points_per_s": points / fill_s,
    }


def google() -> dict[str, float]:
    """Figures of Google Cloud Monitoring over gRPC."""
    import grpc  # noqa: PLC0415 - as where it is used
    from google.cloud.monitoring_v3.types import metric_service  # noqa: PLC0415 - as above

    calls: ClassVar[Counter[str]] = Counter()

    def answer(request: Any, _context: Any) -> Any:
        calls["ListTimeSeries"] += 1
        asked = metric_service.ListTimeSeriesRequest.pb(request)
        response = metric_service.ListTimeSeriesResponse.pb(metric_service.ListTimeSeriesResponse())
        series = response.time_series.add()
        ends = range(asked.interval.end_time.seconds, asked.interval.start_time.seconds, -60)
        for end in ends:
            point = series.points.add()
            point.interval.end_time.seconds = end
            point.value.double_value = 1.0
        return metric_service.ListTimeSeriesResponse.wrap(response)

    method = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=metric_service.ListTimeSeriesRequest.deserialize,
        response_serializer=metric_service.ListTimeSeriesResponse.serialize,
    )
    server = grpc.server(ThreadPoolExecutor(max_workers=16))
    handlers = {"ListTimeSeries": method}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("google.monitoring.v3.MetricService", handlers)]
    )
    endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    queries = {f"s{index}": GoogleQuery(filter='metric.type = "m"') for index in range(SERIES)}
    settings = GoogleMonitoringSource(name="bench", project="p", queries=queries, endpoint=endpoint)
    source = GoogleMonitoringMetrics(settings, SetClock(NOW))
    timed(source, ["s0"], NOW - timedelta(minutes=5))  # the SDK is imported with the first call
    calls.clear()
    tick_s, _points = timed(source, [], NOW - timedelta(minutes=5))
    asked = calls.total()
    fill_s, points = timed(source, [f"s{index}" for index in range(BACKFILLED)], NOW - timedelta(days=DAYS))
    server.stop(grace=None).wait()
    return {"google_calls_a_tick": asked, "google_tick_s": tick_s, "google_points_per_s": points / fill_s}


def run() -> dict[str, float]:
    """Calls and wall seconds of a tick, and points per second of a back-fill of 40 series over 14 days."""
    return {**cloudwatch(), **google()}
