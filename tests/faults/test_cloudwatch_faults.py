"""Faults of CloudWatch as a source, with answers in the shape that AWS documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from autoscaler.clock import SetClock
from autoscaler.connections import CloudWatchQuery, CloudWatchSource
from autoscaler.errors import Denied, MetricsError, Throttled, Unreachable
from autoscaler.metrics.cloudwatch import PERMISSIONS, CloudWatchMetrics
from tests.recorded.cloudwatch import ACCOUNT, Recorded, Refused, ids, result

NOW = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)
T0 = datetime(2026, 11, 26, 11, 50, tzinfo=UTC)
QUEUE = CloudWatchQuery(
    namespace="AWS/SQS",
    metric="NumberOfMessagesSent",
    dimensions={"QueueName": "jobs"},
    statistic="Sum",
)


def minutes(*values, start=T0):
    return [(start + timedelta(minutes=k), value) for k, value in enumerate(values)]


def metrics(answer, queries=None, **settings):
    recorded = Recorded(answer)
    source = CloudWatchSource(name="prod", account=ACCOUNT, queries=queries or {"jobs": QUEUE}, **settings)
    return CloudWatchMetrics(source, SetClock(NOW), client=recorded.client), recorded


def one_page(*results, **more):
    return lambda _operation, _parameters: {"MetricDataResults": list(results), **more}


def many(count):
    return {f"s{k}": QUEUE for k in range(count)}


def test_f01_no_result_is_absent_never_zero():
    """A series of which the answer says nothing has no samples, and the call succeeds."""
    source, _ = metrics(one_page())
    samples = source.samples([], T0, None)
    assert samples.y.size == 0
    assert samples.lower_bounds == {}


def test_f02_no_values_with_status_complete_are_absent_never_zero():
    """`Values: []` with StatusCode Complete gives no sample of that series, and takes none from another."""
    source, _ = metrics(one_page(result("q0"), result("q1", minutes(3.0))), many(2))
    samples = source.samples([], T0, None)
    assert samples.unique_id.tolist() == ["s1"]
    assert samples.y.tolist() == [3.0]


def test_f03_what_is_no_number_is_absent():
    """NaN and what has no end are no samples, also where they are the newest."""
    source, _ = metrics(one_page(result("q0", minutes(1.0, float("nan"), 2.0, float("inf")))))
    samples = source.samples([], T0, None)
    assert samples.y.tolist() == [1.0, 2.0]
    assert samples.ds.tolist() == [T0.replace(tzinfo=None), (T0 + timedelta(minutes=2)).replace(tzinfo=None)]


def test_f17_partial_data_after_the_last_page_is_a_lower_bound():
    """PartialData that no further page completes makes the series a lower bound; its points are kept."""
    source, _ = metrics(
        one_page(result("q0", minutes(4.0), status="PartialData"), result("q1", minutes(5.0))), many(2)
    )
    samples = source.samples([], T0, None)
    assert list(samples.lower_bounds) == ["s0"]
    assert "PartialData" in samples.lower_bounds["s0"]
    assert samples.y.tolist() == [4.0, 5.0]


def test_f17_partial_data_that_a_page_completes_is_whole():
    """PartialData on a page with a token is no lower bound once the last page says Complete."""
    pages = {
        None: {
            "MetricDataResults": [result("q0", minutes(1.0), status="PartialData")],
            "NextToken": "more",
        },
        "more": {"MetricDataResults": [result("q0", minutes(2.0, start=T0 + timedelta(minutes=1)))]},
    }
    source, recorded = metrics(lambda _operation, asked: pages[asked.get("NextToken")])
    samples = source.samples([], T0, None)
    assert samples.y.tolist() == [1.0, 2.0]
    assert samples.lower_bounds == {}
    assert [call["MetricDataQueries"] for _, call in recorded.calls] == [
        recorded.calls[0][1]["MetricDataQueries"]
    ] * 2


def test_f17_pages_without_an_end_are_a_lower_bound():
    """A server that always gives one more page is left after a hundred, and the series may be larger."""
    endless = {"MetricDataResults": [result("q0", minutes(1.0))], "NextToken": "again"}
    source, recorded = metrics(lambda _operation, _asked: endless)
    assert "pages" in source.samples([], T0, None).lower_bounds["jobs"]
    assert len(recorded.calls) == 100


def test_f17_a_search_that_found_too_much_is_a_lower_bound():
    """A message about the whole call makes what searches a lower bound, and is told of all of it."""
    queries = {
        "all": CloudWatchQuery(expression="SUM(SEARCH('{AWS/SQS,QueueName} jobs', 'Sum', 60))"),
        "jobs": QUEUE,
    }
    said = [{"Code": "MaxMetricsExceeded", "Value": "500 metrics at most"}]
    source, _ = metrics(
        one_page(result("q0", minutes(9.0)), result("q1", minutes(1.0)), Messages=said), queries
    )
    samples = source.samples([], T0, None)
    assert list(samples.lower_bounds) == ["all"]
    assert any("MaxMetricsExceeded" in text for text in samples.warnings)


def test_messages_of_a_series_are_told():
    """What CloudWatch says of one series is told with its name and changes nothing else."""
    said = [("ArithmeticError", "One or more data-points have been dropped")]
    source, _ = metrics(one_page(result("q0", minutes(1.0), messages=said)))
    samples = source.samples([], T0, None)
    assert samples.warnings == ("jobs: ArithmeticError: One or more data-points have been dropped",)
    assert samples.y.tolist() == [1.0]


@pytest.mark.parametrize(
    ("status", "word"), [("InternalError", "asked again"), ("Forbidden", "cloudwatch:GetMetricData")]
)
def test_a_series_that_fails_at_cloudwatch_is_absent_and_told(status, word):
    """Whatever points came with such a status are not used; the other series are."""
    source, _ = metrics(
        one_page(result("q0", minutes(7.0), status=status), result("q1", minutes(5.0))), many(2)
    )
    samples = source.samples([], T0, None)
    assert samples.unique_id.tolist() == ["s1"]
    assert len(samples.warnings) == 1
    assert samples.warnings[0].startswith("s0: ")
    assert word in samples.warnings[0]


def test_several_series_for_one_query_are_refused_with_the_mend():
    """A search that answers with two series is absent: neither is silently taken for it."""
    query = CloudWatchQuery(expression="SEARCH('{AWS/SQS,QueueName} jobs', 'Sum', 60)")
    for labels in (("a", "b"), ("a", "a")):
        source, _ = metrics(
            one_page(*(result("q0", minutes(1.0), label=label) for label in labels)), {"all": query}
        )
        samples = source.samples([], T0, None)
        assert samples.y.size == 0
        assert "SUM(...)" in samples.warnings[0]


def test_a_refused_query_stands_alone():
    """One query that CloudWatch refuses is absent and told; the 499 asked with it are kept."""

    def answer(_operation, asked):
        if any(query["MetricStat"]["Metric"]["MetricName"] == "bad" for query in asked["MetricDataQueries"]):
            raise Refused("ValidationError", "the metric name is bad")
        return {"MetricDataResults": [result(made_id, minutes(1.0)) for made_id in ids(asked)]}

    queries = many(500)
    queries["s321"] = CloudWatchQuery(namespace="AWS/SQS", metric="bad", statistic="Sum")
    source, recorded = metrics(answer, queries)
    samples = source.samples([], T0, None)
    assert set(queries) - set(samples.unique_id) == {"s321"}
    assert samples.warnings[0].startswith("s321: refused: ")
    assert len(recorded.calls) < 20


def test_a_call_that_is_always_refused_ends():
    """Where every half is refused the halving ends, and each series is told absent."""

    def answer(_operation, _asked):
        raise Refused("ValidationError", "no")

    source, recorded = metrics(answer, many(500))
    samples = source.samples([], T0, None)
    assert samples.y.size == 0
    assert len(samples.warnings) == 500
    assert len(recorded.calls) < 40


@pytest.mark.parametrize(
    ("refused", "kind", "word"),
    [
        (Refused("Throttling", "Rate exceeded"), Throttled, "quota"),
        (Refused("InternalFailure", "try later", 500), Unreachable, "try later"),
        (Refused("ServiceUnavailable", "busy", 503), Unreachable, "busy"),
    ],
)
def test_f19_throttled_or_failing_is_a_metrics_error(refused, kind, word):
    """Nothing but MetricsError comes out, with its kind as the cause and the mend in the message."""

    def answer(_operation, _asked):
        raise refused

    source, _ = metrics(answer)
    with pytest.raises(MetricsError, match=word) as caught:
        source.samples([], T0, None)
    assert isinstance(caught.value.__cause__, kind)


def test_f19_a_request_that_fails_among_others_is_absent_and_told():
    """Of two requests one is throttled: the other's series are kept, the missing ones are told."""

    def answer(_operation, asked):
        if len(asked["MetricDataQueries"]) < 500:
            raise Refused("Throttling", "Rate exceeded")
        return {"MetricDataResults": [result(made_id, minutes(1.0)) for made_id in ids(asked)]}

    source, _ = metrics(answer, many(600))
    samples = source.samples([], T0, None)
    assert len(samples.y) == 500
    assert "100 series" in samples.warnings[0]


def test_f49_expired_credentials_hold_until_they_are_renewed():
    """An expired token is a MetricsError that names the permission; the next call with a new one answers."""
    tokens = iter(["expired", "renewed"])

    def answer(_operation, _asked):
        if next(tokens) == "expired":
            raise Refused("ExpiredToken", "The security token included in the request is expired", 403)
        return {"MetricDataResults": [result("q0", minutes(1.0))]}

    source, _ = metrics(answer)
    with pytest.raises(MetricsError, match=r"cloudwatch:GetMetricData.*expired") as caught:
        source.samples([], T0, None)
    assert isinstance(caught.value.__cause__, Denied)
    assert source.samples([], T0, None).y.tolist() == [1.0]


def test_the_period_that_is_not_over_is_not_asked_for():
    """With a delay of a minute at 12:00:30, the last period asked for ended at 11:59; without, at 12:00."""
    for delay_s, end in ((60, NOW.replace(minute=59, second=0, hour=11)), (0, NOW.replace(second=0))):
        source, recorded = metrics(one_page(), delay_s=delay_s)
        source.samples([], T0, None)
        assert recorded.calls[0][1]["EndTime"] == end
        assert recorded.calls[0][1]["StartTime"] == T0


def test_nothing_is_asked_where_no_period_is_over():
    """A tick within a period asks nothing, which costs nothing."""
    source, recorded = metrics(one_page())
    assert source.samples([], NOW, None).y.size == 0
    assert recorded.calls == []


@pytest.mark.parametrize(
    ("step_s", "days", "word"), [(60, 15, "300 s reaches 63 days"), (300, 63, "3600 s"), (3600, 455, "kept")]
)
def test_a_back_fill_asks_for_what_is_kept_and_tells_what_a_longer_step_reaches(step_s, days, word):
    """History is asked for only as far back as its step is kept; a longer one's reach is told."""
    source, recorded = metrics(one_page(), step_s=step_s)
    samples = source.samples([], NOW - timedelta(days=days + 1), None)
    start = recorded.calls[0][1]["StartTime"]
    assert timedelta(days=days) - timedelta(seconds=300 + step_s) <= NOW - start < timedelta(days=days)
    assert word in samples.warnings[0]
    assert source.samples([], NOW - timedelta(days=days - 1), None).warnings == ()
    assert source.samples([], None, None).warnings == ()


def test_a_back_fill_is_cut_into_requests_that_need_one_page():
    """Fifteen days of minutes are four series a request, so that no metric is paid for again by a page."""
    source, recorded = metrics(one_page(), many(10))
    source.samples([], None, None)
    assert sorted(len(call["MetricDataQueries"]) for _, call in recorded.calls) == [2, 4, 4]
    assert {call["MaxDatapoints"] for _, call in recorded.calls} == {100_800}


def test_metric_math_is_asked_with_names_of_its_own():
    """Inputs of two series that are called alike do not meet, and only the expression is returned."""
    ratio = CloudWatchQuery(
        expression="IF(m1 > 5, m1 / m2, SUM(SEARCH('{AWS/SQS,QueueName} m1', 'Sum', 60)))",
        inputs={
            "m1": QUEUE,
            "m2": CloudWatchQuery(namespace="AWS/SQS", metric="m2", statistic="p99.9"),
        },
    )
    source, recorded = metrics(
        one_page(result("q0", minutes(1.0)), result("q1", minutes(2.0))), {"a": ratio, "b": ratio}
    )
    samples = source.samples([], T0, None)
    assert samples.unique_id.tolist() == ["a", "b"]
    asked = recorded.calls[0][1]["MetricDataQueries"]
    assert [query["Id"] for query in asked] == ["q0_m1", "q0_m2", "q0", "q1_m1", "q1_m2", "q1"]
    assert [query["ReturnData"] for query in asked] == [False, False, True] * 2
    assert asked[5]["Expression"] == (
        "IF(q1_m1 > 5, q1_m1 / q1_m2, SUM(SEARCH('{AWS/SQS,QueueName} m1', 'Sum', 60)))"
    )
    assert asked[1]["MetricStat"]["Stat"] == "p99.9"


def test_per_second_divides_by_the_length_of_a_period():
    """A sum of 600 in five minutes is 2 a second."""
    query = CloudWatchQuery(namespace="n", metric="m", statistic="Sum", per_second=True)
    source, _ = metrics(one_page(result("q0", minutes(600.0))), {"rate": query}, step_s=300)
    assert source.samples([], T0, None).y.tolist() == [2.0]


def test_points_off_the_grid_are_left_out_and_told():
    """A search with a period of its own whose stamps do not fit the step's grid gives no samples there."""
    source, _ = metrics(one_page(result("q0", minutes(1.0, 2.0, 3.0))), step_s=120)
    samples = source.samples([], T0, None)
    assert samples.y.tolist() == [1.0, 3.0]
    assert "off the grid" in samples.warnings[0]


@pytest.mark.parametrize(
    ("query", "settings", "word"),
    [
        (QUEUE, {"step_s": 45}, "multiple of 60"),
        (CloudWatchQuery(metric="m"), {}, "namespace"),
        (CloudWatchQuery(namespace="n", metric="m", statistic="Mean"), {}, "Average"),
        (CloudWatchQuery(namespace="n", metric="m", per_second=True), {}, "use Sum"),
        (CloudWatchQuery(expression="m1 / 2"), {}, "m1"),
        (CloudWatchQuery(expression="SUM(METRICS())"), {}, "inputs"),
        (CloudWatchQuery(expression="SELECT AVG(x) FROM y"), {}, "Insights"),
        (CloudWatchQuery(expression="M1", inputs={"M1": QUEUE}), {}, "small letter"),
        (CloudWatchQuery(namespace="n", metric="m", inputs={"m1": QUEUE}), {}, "expression"),
        (CloudWatchQuery(namespace="n", metric="m", expression="1"), {}, "not both"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused_with_the_mend(query, settings, word):
    """The message names the query and what to write instead."""
    with pytest.raises(MetricsError, match=word) as caught:
        metrics(one_page(), {"odd": query}, **settings)
    assert "CloudWatch prod" in str(caught.value)


def test_a_series_without_a_query_is_refused_with_the_nearest():
    """Nobody is asked for a series that has no query."""
    source, recorded = metrics(one_page())
    with pytest.raises(MetricsError, match="did you mean jobs"):
        source.samples(["job"], T0, None)
    assert recorded.calls == []


def test_every_call_is_declared_and_a_thousand_series_take_two():
    """A tick of 1,000 series is two calls; with an examination nothing is called that is not declared."""

    def answer(operation, asked):
        if operation == "ListMetrics":
            return {"Metrics": []}
        return {"MetricDataResults": [result(made_id) for made_id in ids(asked)]}

    source, recorded = metrics(answer, many(1000))
    source.samples([], NOW - timedelta(minutes=5), None)
    assert len(recorded.calls) == 2
    source.examine()
    assert recorded.permissions() == set(PERMISSIONS)


def test_f23_an_examination_names_what_may_be_meant():
    """A query without points is told with the nearest name of its namespace, and what a month costs."""
    there = [{"Namespace": "AWS/SQS", "MetricName": "NumberOfMessagesReceived", "Dimensions": []}]

    def answer(operation, asked):
        if operation == "ListMetrics":
            return {"Metrics": [] if "MetricName" in asked else there}
        return {
            "MetricDataResults": [result("q0")],
            "ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 26 Nov 2026 11:58:30 GMT"}},
        }

    query, clock, price = metrics(answer)[0].examine()
    assert query.ok is False
    assert "did you mean NumberOfMessagesReceived" in query.mend
    assert (clock.ok, clock.why) == (False, "+120 s")
    assert "1 calls a tick for 1 metrics" in price.why
    assert "$0.438 a month" in price.why


def test_an_examination_tells_the_age_of_what_is_there():
    """A query with points is told with their age; beyond three steps and the delay it has stopped."""
    source, _ = metrics(one_page(result("q0", minutes(*[1.0] * 8))))
    query = source.examine()[0]
    assert (query.ok, query.mend) == (True, "")
    assert "2m30s ago" in query.why
    source, _ = metrics(one_page(result("q0", minutes(1.0, 2.0))))
    query = source.examine()[0]
    assert query.ok is False
    assert "8m30s ago" in query.why
    assert "stopped" in query.mend


@pytest.mark.parametrize(
    ("code", "status", "what"),
    [
        ("AccessDenied", 403, "permission cloudwatch:GetMetricData of CloudWatch prod"),
        ("InternalServiceFault", 500, "CloudWatch prod"),
    ],
)
def test_f48_an_examination_without_rights_names_them_and_only_then(code, status, what):
    """Where nothing is answered it says why, then the price; only a refusal is about a permission."""

    def answer(_operation, _asked):
        raise Refused(code, "not now", status)

    refused, price = metrics(answer)[0].examine()
    assert (refused.what, refused.ok) == (what, False)
    assert "cloudwatch:GetMetricData" in refused.mend
    assert price.ok


def test_stamps_are_begins_of_periods_in_utc():
    """Samples are float64 at datetime64[us], whatever zone the answer's stamps are in."""
    east = [(at.astimezone(tz=None), value) for at, value in minutes(1.0)]
    source, _ = metrics(one_page(result("q0", east)))
    samples = source.samples([], T0, None)
    assert samples.ds.dtype == np.dtype("datetime64[us]")
    assert samples.ds[0] == np.datetime64("2026-11-26T11:50")
    assert samples.line.tolist() == [-1]
