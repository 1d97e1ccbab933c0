"""Faults of Google Cloud Monitoring as a source, over gRPC against a server of the test."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from autoscaler.clock import SetClock
from autoscaler.connections import GoogleMonitoringSource, GoogleQuery
from autoscaler.errors import Denied, MetricsError, Throttled, Unreachable
from autoscaler.metrics.google_monitoring import PERMISSIONS, GoogleMonitoringMetrics
from autoscaler.ports import Examines, Metrics, Remote
from tests.recorded.google_monitoring import Refused, Server, page, series

NOW = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)
T0 = datetime(2026, 11, 26, 11, 50, tzinfo=UTC)
BACKLOG = GoogleQuery(
    filter='metric.type = "pubsub.googleapis.com/subscription/num_undelivered_messages" '
    'AND resource.labels.subscription_id = "jobs"'
)


def ends(*values, start=T0, step_s=60):
    """A value for each period from `start` on, at the period's end."""
    return [(start + timedelta(seconds=step_s * (k + 1)), value) for k, value in enumerate(values)]


@pytest.fixture
def serve():
    """Make a source and the server it asks; the servers end with the test."""
    servers = []

    def made(answer, queries=None, *, types=(), **settings):
        server = Server(answer, types=types)
        servers.append(server)
        source = GoogleMonitoringSource(
            name="prod",
            project="shop-1",
            queries=queries or {"jobs": BACKLOG},
            endpoint=server.endpoint,
            **settings,
        )
        return GoogleMonitoringMetrics(source, SetClock(NOW)), server

    yield made
    for server in servers:
        server.stop()


def for_each(pages):
    """Answer by the query's subscription."""

    def answer(request):
        given = pages[request.filter.rpartition("= ")[2].strip('"')]
        if isinstance(given, Exception):
            raise given
        return given

    return answer


def queries(*names):
    return {name: GoogleQuery(filter=BACKLOG.filter.replace('"jobs"', f'"{name}"')) for name in names}


def test_the_ports_over_grpc(serve):
    """Whole periods by their begin, oldest first; one request a query, with the aligner and the reducer."""
    source, server = serve(lambda _request: page(series(ends(1.0, 2.0, 3.0))))
    port: Metrics = source
    assert isinstance(source, Remote)
    assert isinstance(source, Examines)
    samples = port.samples([], T0, T0 + timedelta(minutes=2))
    assert samples.y.tolist() == [1.0, 2.0]
    assert samples.ds.tolist() == [T0.replace(tzinfo=None), (T0 + timedelta(minutes=1)).replace(tzinfo=None)]
    (method, request) = server.calls[0]
    assert (method, request.name, len(server.calls)) == ("ListTimeSeries", "projects/shop-1", 1)
    assert request.interval.start_time.timestamp() == T0.timestamp()
    assert request.interval.end_time.timestamp() == (T0 + timedelta(minutes=2)).timestamp()
    assert request.aggregation.per_series_aligner.name == "ALIGN_MEAN"
    assert request.aggregation.cross_series_reducer.name == "REDUCE_SUM"
    assert (source.step_s, source.known()) == (60, ("jobs",))


def test_f01_no_series_is_absent_never_zero(serve):
    """A query that finds nothing has no samples; the others keep theirs."""
    source, _ = serve(for_each({"a": page(), "b": page(series(ends(5.0)))}), queries("a", "b"))
    samples = source.samples([], T0, None)
    assert samples.unique_id.tolist() == ["b"]
    assert samples.lower_bounds == {}
    assert samples.warnings == ()


def test_f02_a_series_without_points_is_absent_never_zero(serve):
    """A series that comes without points, or with an empty distribution, has no samples."""
    empty = {"count": 0, "mean": 0.0}
    for answer in (page(series([])), page(series(ends(empty), kind="distribution_value"))):
        source, _ = serve(lambda _request, answer=answer: answer)
        assert source.samples([], T0, None).y.size == 0


def test_f03_what_is_no_number_is_absent(serve):
    """NaN and what has no end are no samples, also where they are the newest."""
    source, _ = serve(lambda _request: page(series(ends(1.0, float("inf"), float("nan")))))
    assert source.samples([], T0, None).y.tolist() == [1.0]


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [
        ("int64_value", 7, 7.0),
        ("double_value", 7.5, 7.5),
        ("bool_value", True, 1.0),
        ("bool_value", False, 0.0),
        ("distribution_value", {"count": 4, "mean": 2.5}, 2.5),
        ("int64_value", 0, 0.0),
    ],
)
def test_each_kind_of_value_is_a_number(serve, kind, value, number):
    """Whole numbers, floats, truths, and the mean of a distribution; a zero that came is one."""
    source, _ = serve(lambda _request: page(series(ends(value), kind=kind)))
    assert source.samples([], T0, None).y.tolist() == [number]


def test_text_is_refused_with_the_mend(serve):
    """Values of text have no number: that series is absent and told."""
    source, _ = serve(
        for_each({"a": page(series(ends("x"), kind="string_value")), "b": page(series(ends(1.0)))}),
        queries("a", "b"),
    )
    samples = source.samples([], T0, None)
    assert samples.unique_id.tolist() == ["b"]
    assert "ALIGN_COUNT" in samples.warnings[0]


def test_pages_are_read_to_the_end_as_one_series(serve):
    """A series that goes on over pages is one; each page is asked for by the token before it."""
    pages = {
        "": page(series(ends(3.0, start=T0 + timedelta(minutes=2))), more="next"),
        "next": page(series(ends(1.0, 2.0))),
    }
    source, server = serve(lambda request: pages[request.page_token])
    assert source.samples([], T0, None).y.tolist() == [1.0, 2.0, 3.0]
    assert [request.page_token for _, request in server.calls] == ["", "next"]


def test_f17_errors_in_an_answer_make_a_lower_bound(serve):
    """An answer that says what it could not read is a lower bound, on whichever page it says so."""
    pages = {
        "": page(series(ends(1.0)), more="next", errors=[(14, "cell eu-3 did not answer")]),
        "next": page(),
    }
    source, _ = serve(lambda request: pages[request.page_token])
    samples = source.samples([], T0, None)
    assert samples.y.tolist() == [1.0]
    assert "cell eu-3 did not answer" in samples.lower_bounds["jobs"]


def test_several_series_for_one_query_are_refused_with_the_mend(serve):
    """Two series are neither added up nor is one of them silently taken."""
    two = page(series(ends(1.0), labels={"zone": "a"}), series(ends(2.0), labels={"zone": "b"}))
    source, _ = serve(lambda _request: two)
    samples = source.samples([], T0, None)
    assert samples.y.size == 0
    assert "REDUCE_SUM" in samples.warnings[0]


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, Denied, "the permission monitoring.timeSeries.list is needed"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Throttled, "quota"),
        (grpc.StatusCode.UNAVAILABLE, Unreachable, "no such luck"),
        (grpc.StatusCode.INTERNAL, Unreachable, "no such luck"),
    ],
)
def test_f19_what_does_not_answer_is_a_metrics_error(serve, code, kind, word):
    """Nothing but MetricsError comes out, with its kind as the cause and the mend in the message."""

    def answer(_request):
        raise Refused(code, "no such luck")

    source, _ = serve(answer)
    with pytest.raises(MetricsError, match=word) as caught:
        source.samples([], T0, None)
    assert isinstance(caught.value.__cause__, kind)


def test_f19_a_request_lost_on_the_way_is_tried_again(serve):
    """UNAVAILABLE once is no error: the request is made again within its deadline."""
    answers = iter([Refused(grpc.StatusCode.UNAVAILABLE, "moved"), page(series(ends(1.0)))])

    def answer(_request):
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        return given

    source, server = serve(answer)
    assert source.samples([], T0, None).y.tolist() == [1.0]
    assert len(server.calls) == 2


def test_f19_a_late_answer_is_not_waited_for(serve):
    """A server that does not answer within the deadline is Unreachable."""

    def answer(_request):
        time.sleep(0.4)
        return page()

    source, _ = serve(answer, timeout_s=0.1)
    with pytest.raises(MetricsError) as caught:
        source.samples([], T0, None)
    assert isinstance(caught.value.__cause__, Unreachable)


def test_a_query_that_fails_among_others_is_absent_and_told(serve):
    """One query that Google refuses does not take the others with it."""
    bad = Refused(grpc.StatusCode.INVALID_ARGUMENT, "the filter is odd")
    source, _ = serve(for_each({"a": bad, "b": page(series(ends(1.0)))}), queries("a", "b"))
    samples = source.samples([], T0, None)
    assert samples.unique_id.tolist() == ["b"]
    assert samples.warnings[0].startswith("a: no answer: ")


def test_f49_expired_credentials_hold_until_they_are_renewed(serve):
    """UNAUTHENTICATED is a MetricsError with the mend; the next call with new credentials answers."""
    answers = iter([Refused(grpc.StatusCode.UNAUTHENTICATED, "token expired"), page(series(ends(1.0)))])

    def answer(_request):
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        return given

    source, _ = serve(answer)
    with pytest.raises(MetricsError, match="token expired; name a credentials_file") as caught:
        source.samples([], T0, None)
    assert isinstance(caught.value.__cause__, Denied)
    assert source.samples([], T0, None).y.tolist() == [1.0]


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_f49_a_file_without_a_key_is_one_line_that_names_it(tmp_path, content):
    """A credentials file that is missing or holds no key is a MetricsError that names it."""
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    source = GoogleMonitoringSource(
        name="prod", project="p", queries={"jobs": BACKLOG}, credentials_file=str(path)
    )
    with pytest.raises(MetricsError, match=r"key\.json") as caught:
        GoogleMonitoringMetrics(source, SetClock(NOW)).samples([], T0, None)
    assert "\n" not in str(caught.value)


def test_f21_a_server_that_is_not_there_is_one_line():
    """Nobody at the address is a MetricsError that names the call."""
    source = GoogleMonitoringSource(
        name="prod", project="p", queries={"jobs": BACKLOG}, endpoint="127.0.0.1:1", timeout_s=1
    )
    with pytest.raises(MetricsError, match=r"monitoring\.timeSeries\.list") as caught:
        GoogleMonitoringMetrics(source, SetClock(NOW)).samples([], T0, None)
    assert isinstance(caught.value.__cause__, Unreachable)


def test_the_period_that_is_not_over_is_not_asked_for(serve):
    """With a delay of 2m at 12:00:30, the last period asked for ended at 11:58; without, at 12:00."""
    for delay_s, end in ((120, NOW.replace(hour=11, minute=58, second=0)), (0, NOW.replace(second=0))):
        source, server = serve(lambda _request: page(), delay_s=delay_s)
        source.samples([], T0, None)
        assert server.calls[0][1].interval.end_time.timestamp() == end.timestamp()
        assert source.samples([], NOW, None).y.size == 0
        assert len(server.calls) == 1


def test_a_back_fill_asks_for_what_is_kept_and_tells_it(serve):
    """Minutes are asked for six weeks back, and what a longer step may reach is told."""
    source, server = serve(lambda _request: page())
    samples = source.samples([], NOW - timedelta(days=60), None)
    start = server.calls[0][1].interval.start_time
    assert timedelta(days=41) < NOW - datetime.fromtimestamp(start.timestamp(), UTC) < timedelta(days=42)
    assert "600 s" in samples.warnings[0]


@pytest.mark.parametrize(
    ("query", "settings", "word"),
    [
        (BACKLOG, {"step_s": 30}, "60 s"),
        (GoogleQuery(filter="resource.type = x"), {}, "metric.type"),
        (GoogleQuery(filter=BACKLOG.filter, aligner="ALIGN_NONE"), {}, "did you mean"),
        (GoogleQuery(filter=BACKLOG.filter, reducer="REDUCE_ADD"), {}, "did you mean"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused_with_the_mend(query, settings, word):
    """The message names the query and what to write instead, before anything is imported or asked."""
    with pytest.raises(MetricsError, match=word):
        GoogleMonitoringMetrics(
            GoogleMonitoringSource(name="prod", project="p", queries={"odd": query}, **settings),
            SetClock(NOW),
        )


def test_f23_an_examination_names_what_may_be_meant_and_calls_only_what_is_declared(serve):
    """Ages, the nearest name for a query without points, the price; every call is declared."""
    meant = "pubsub.googleapis.com/subscription/num_undelivered_messages_by_region"
    source, server = serve(
        for_each({"a": page(), "b": page(series(ends(1.0)))}),
        queries("a", "b"),
        types=(meant, "pubsub.googleapis.com/topic/send_request_count"),
    )
    absent, there, price = source.examine()
    assert absent.ok is False
    assert meant in absent.mend
    assert there.ok is False
    assert "9m30s ago" in there.why
    assert "stopped" in there.mend
    assert "87,600 a month" in price.why
    assert "$0.044" in price.why
    assert server.permissions() == set(PERMISSIONS)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("PERMISSION_DENIED", "permission monitoring.timeSeries.list of Google Monitoring prod"),
        ("RESOURCE_EXHAUSTED", "Google Monitoring prod"),
    ],
)
def test_f48_an_examination_without_rights_names_them_and_only_then(serve, code, what):
    """Where nothing is answered it says why; only a refusal is about a permission."""

    def answer(_request):
        raise Refused(grpc.StatusCode[code], "no")

    refused, _price = serve(answer)[0].examine()
    assert (refused.what, refused.ok) == (what, False)
    assert "roles/monitoring.viewer" in refused.mend


def test_nothing_of_google_is_loaded_before_it_is_asked():
    """Importing the module and making the source loads neither gRPC nor Google's libraries."""
    program = (
        "import sys\nfrom autoscaler.metrics import google_monitoring, cloudwatch\n"
        "assert not {'grpc', 'google.cloud.monitoring_v3', 'boto3', 'botocore'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
