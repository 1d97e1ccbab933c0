"""A server of Google Cloud Monitoring on loopback: gRPC with Google's own messages, strict about requests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.api import metric_pb2
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.types import metric_service

PERMISSIONS = {
    "ListTimeSeries": "monitoring.timeSeries.list",
    "ListMetricDescriptors": "monitoring.metricDescriptors.list",
}


class Refused(Exception):
    """What the server answers in place of a result."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class Server:
    """`answer(request)` gives each list of time series; `calls` are the requests made, by method.

    `types` are the names of the metrics that there are.
    """

    def __init__(self, answer, *, types=()):
        self.calls, self._answer, self._types = [], answer, types
        self._turn = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=16))
        self._server.add_generic_rpc_handlers([self._methods()])
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self):
        self._server.stop(grace=None).wait()

    def answer_with(self, answer):
        """Give other answers from now on."""
        self._answer = answer

    def permissions(self):
        """The calls in Google's words."""
        return {PERMISSIONS[method] for method, _request in self.calls}

    def _methods(self):
        def method(name, function, asked, given):
            def call(request, context):
                with self._turn:
                    self.calls.append((name, request))
                try:
                    return function(request)
                except Refused as error:
                    context.abort(error.code, error.message)

            return grpc.unary_unary_rpc_method_handler(
                call, request_deserializer=asked.deserialize, response_serializer=given.serialize
            )

        types = metric_service
        series = (self._series, types.ListTimeSeriesRequest, types.ListTimeSeriesResponse)
        described = (
            self._described,
            types.ListMetricDescriptorsRequest,
            types.ListMetricDescriptorsResponse,
        )
        return grpc.method_handlers_generic_handler(
            "google.monitoring.v3.MetricService",
            {
                "ListTimeSeries": method("ListTimeSeries", *series),
                "ListMetricDescriptors": method("ListMetricDescriptors", *described),
            },
        )

    def _series(self, request):
        step = request.aggregation.alignment_period.total_seconds()
        period = (request.interval.end_time - request.interval.start_time).total_seconds()
        sound = {
            "name": request.name.startswith("projects/"),
            "filter": "metric.type" in request.filter,
            "interval": period > 0,
            "aggregation.alignment_period": step >= 60 and request.interval.end_time.timestamp() % step == 0,
            "aggregation.per_series_aligner": request.aggregation.per_series_aligner != 0,
            "page_size": request.page_size <= 100_000,
        }
        wrong = [field for field, right in sound.items() if not right]
        if wrong:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Field {wrong[0]} had an invalid value")
        return self._answer(request)

    def _described(self, request):
        prefix = request.filter.partition('starts_with("')[2].rstrip('")')
        found = [metric_pb2.MetricDescriptor(type=name) for name in self._types if name.startswith(prefix)]
        return metric_service.ListMetricDescriptorsResponse(metric_descriptors=found)


def series(points, *, labels=None, kind="double_value"):
    """One TimeSeries, newest point first: points are (end of the period, value)."""
    return monitoring_v3.TimeSeries(
        metric={"type": "m", "labels": labels or {}},
        points=[
            {"interval": {"start_time": at, "end_time": at}, "value": {kind: value}}
            for at, value in sorted(points, reverse=True)
        ],
    )


def page(*found, more="", errors=()):
    """One answer; `more` is the token of the next page, errors are (code, message)."""
    return metric_service.ListTimeSeriesResponse(
        time_series=found,
        next_page_token=more,
        execution_errors=[{"code": code, "message": message} for code, message in errors],
    )
