"""Google Cloud Monitoring as a source of history: list_time_series, aligned to whole periods, over gRPC.

Each query is one request, several at once. What has no points is absent, never zero; an answer with errors in
it makes its series a lower bound. The libraries (1.2 s of CPU, 70 MB) are imported with the first request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np

from autoscaler.connections import GoogleMonitoringSource
from autoscaler.errors import (
    Denied,
    Invalid,
    MetricsError,
    NotFound,
    ProviderError,
    Throttled,
    Unreachable,
)
from autoscaler.google_cloud import credentials
from autoscaler.metrics.answers import Answer, together
from autoscaler.metrics.examining import span_s
from autoscaler.metrics.google_queries import Examination, reach_s, wrong
from autoscaler.metrics.periodic import Periodic
from autoscaler.metrics.periods import Window
from autoscaler.ports import Check, Clock, Samples

PERMISSIONS = ("monitoring.timeSeries.list", "monitoring.metricDescriptors.list")
SCOPE = "https://www.googleapis.com/auth/monitoring.read"
CREDENTIALS_MEND = "name a credentials_file, or run `gcloud auth application-default login`"
WORKERS = 16  # requests at once, over one connection
MOST_POINTS = 100_000  # of one page
MOST_PAGES = 100  # of one query
AGAIN_S = 1.0  # a request that was lost on the way is tried again for so long

Stamped = list[tuple[int, float]]


class GoogleMonitoringMetrics(Periodic[GoogleMonitoringSource]):
    """The ports `Metrics`, `Remote` and `Examines` over one project. Safe for several threads."""

    def __init__(self, source: GoogleMonitoringSource, clock: Clock, *, client: Any = None) -> None:
        """`client` is a MetricServiceClient, made when first needed where it is None.

        MetricsError where a query cannot be asked; the message names it and the mend.
        """
        super().__init__(source, clock, client, kind="Google Monitoring", reach_s=reach_s(source.step_s))
        if why := wrong(source):
            raise MetricsError(f"{self._told_name}: {why}")

    def _samples(self, client: Any, names: Sequence[str], span: Window, told: list[str]) -> Samples:
        seconds = self._seconds(span, names)
        ask = partial(self._ask, client, span, self._clock.monotonic() + seconds)
        outcomes = self._asked(names, ask, workers=WORKERS, seconds=seconds)
        answers = {
            name: Answer(unanswered=f"no answer: {one}") if isinstance(one, ProviderError) else one
            for name, one in zip(names, outcomes, strict=True)
        }
        return together(answers, span, source=self._told_name, warnings=told)

    def examine(self) -> Sequence[Check]:
        """Credentials and rights, the age of each query's newest point, and what the calls cost a month."""
        look = Examination(self._source, self._clock.now())
        since = self._clock.now() - timedelta(seconds=span_s(self._source.step_s))
        try:
            samples = self.samples([], since, None)
        except MetricsError as error:
            return (look.refused(error), look.price())
        return (*look.queries(samples, self._described), look.price())

    def _connected(self) -> Any:
        return connected(self._source)

    def _longer(self) -> str:
        return "; a step of 600 s may reach 24 months" if self.step_s < 600 else ""

    def _ask(self, client: Any, span: Window, deadline: float, name: str) -> Answer:
        """The answer of one query, page by page."""
        from google.cloud import monitoring_v3  # noqa: PLC0415 - 1.2 s of CPU, only where Google is asked

        query = self._source.queries[name]
        request = monitoring_v3.ListTimeSeriesRequest(
            name=f"projects/{self._source.project}",
            filter=query.filter,
            interval={"start_time": span.first, "end_time": span.last},
            aggregation={
                "alignment_period": timedelta(seconds=self._source.step_s),
                "per_series_aligner": query.aligner,
                "cross_series_reducer": query.reducer,
            },
            view=monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
            page_size=MOST_POINTS,
        )
        found: dict[bytes, Stamped] = {}
        part: list[str] = []
        for _page in range(MOST_PAGES):
            page = self._page(client.list_time_series, request, deadline)
            for series in page.time_series:
                key = series.metric.SerializeToString(True) + series.resource.SerializeToString(True)
                found.setdefault(key, []).extend(self._points(series, name))
            part += [f"{error.message or 'an error'} (code {error.code})" for error in page.execution_errors]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        else:
            part.append(f"more than {MOST_PAGES} pages; ask for a shorter time")
        return _answer(list(found.values()), part)

    def _page(self, call: Any, request: Any, deadline: float) -> Any:
        """One page as the plain message of protobuf, which is read ten times as fast as its wrapper."""
        left = min(self._source.timeout_s, deadline - self._clock.monotonic())
        if left <= 0:
            raise Unreachable("monitoring.timeSeries.list: its pages did not end within the deadline")
        with told("monitoring.timeSeries.list"):
            page = next(iter(call(request=request, timeout=left, retry=_again(left)).pages))
        return type(page).pb(page)

    def _points(self, series: Any, name: str) -> Iterator[tuple[int, float]]:
        """Begins of periods and values; a point is stamped with the end of its period."""
        for point in series.points:
            value = _number(point.value, name)
            if value is not None:
                yield point.interval.end_time.seconds - self._source.step_s, value

    def _described(self, prefix: str) -> list[str]:
        """Names of the metrics that begin with `prefix`; as `told` raises."""
        request = {
            "name": f"projects/{self._source.project}",
            "filter": f'metric.type = starts_with("{prefix}")',
        }
        left = self._source.timeout_s
        with told("monitoring.metricDescriptors.list"):
            pager = self._client().list_metric_descriptors(request=request, timeout=left, retry=_again(left))
            return [descriptor.type for descriptor in pager]


def connected(source: GoogleMonitoringSource) -> Any:
    """A client by the source's credentials; without any, and without encryption, for its `endpoint`."""
    with told("credentials"):
        from google.cloud import monitoring_v3  # noqa: PLC0415 - as above

        if source.endpoint:
            import grpc  # noqa: PLC0415 - as above

            transport = monitoring_v3.MetricServiceClient.get_transport_class("grpc")
            options = [("grpc.max_receive_message_length", -1)]
            return monitoring_v3.MetricServiceClient(
                transport=transport(channel=grpc.insecure_channel(source.endpoint, options))
            )
        return monitoring_v3.MetricServiceClient(credentials=credentials(source.credentials_file, SCOPE))


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the libraries raise into our own errors; `what` is the permission of the call."""
    try:
        from google.api_core import exceptions  # noqa: PLC0415 - as above
        from google.auth import exceptions as auth  # noqa: PLC0415 - as above
    except ImportError as error:
        raise Invalid(
            "Google Monitoring needs google-cloud-monitoring: pip install 'loadline[google]'"
        ) from error
    try:
        yield
    except exceptions.RetryError as error:
        raise Unreachable(f"{what}: {error.cause or error}") from error
    except exceptions.GoogleAPICallError as error:
        raise _refused(error, what) from error
    except auth.TransportError as error:
        raise Unreachable(f"{what}: {error}") from error
    except auth.GoogleAuthError as error:
        raise Denied(f"{what}: {error}; {CREDENTIALS_MEND}") from error


def _refused(error: Any, what: str) -> ProviderError:
    """Our error for an answer that is one."""
    why = f"{what}: {error.message}"
    code = getattr(error.grpc_status_code, "name", "")
    if code == "PERMISSION_DENIED":
        return Denied(f"{why} (the permission {what} is needed; roles/monitoring.viewer has it)")
    if code == "UNAUTHENTICATED":
        return Denied(f"{why}; {CREDENTIALS_MEND}")
    if code == "RESOURCE_EXHAUSTED":
        return Throttled(
            f"{why}; take a longer tick, or ask Google for a higher quota of time series queries"
        )
    if code == "NOT_FOUND":
        return NotFound(why)
    if code in {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"}:
        return Invalid(why)
    return Unreachable(why)


def _again(seconds: float) -> Any:
    """How a request that was lost on the way is tried again, within `seconds`."""
    from google.api_core import exceptions, retry  # noqa: PLC0415 - as above

    return retry.Retry(
        predicate=retry.if_exception_type(exceptions.ServiceUnavailable),
        initial=0.1,
        maximum=0.5,
        multiplier=2.0,
        timeout=min(AGAIN_S, seconds),
    )


def _number(value: Any, name: str) -> float | None:
    """The number of a point; the mean of a distribution, of which an empty one has none. Invalid for text."""
    kind = value.WhichOneof("value")
    if kind == "distribution_value":
        spread = value.distribution_value
        return float(spread.mean) if spread.count else None
    if kind == "string_value":
        raise Invalid(f"{name} has values of text; take an aligner that counts, such as ALIGN_COUNT")
    return None if kind is None else float(getattr(value, kind))


def _answer(found: Sequence[Stamped], part: Sequence[str]) -> Answer:
    """What came of a query: nothing, one series, or several, which is refused."""
    lower_bound = "; ".join(dict.fromkeys(part))
    if len(found) > 1:
        mend = "set a reducer such as REDUCE_SUM, or narrow the filter"
        return Answer(lower_bound=lower_bound, unanswered=f"refused: {len(found)} series came; {mend}")
    points = [point for series in found for point in series]
    return Answer(
        stamps=np.array([at for at, _value in points], dtype=np.int64),
        y=np.array([value for _at, value in points], dtype=np.float64),
        lower_bound=lower_bound,
    )
