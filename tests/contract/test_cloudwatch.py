"""CloudWatch over HTTP: the ports against a server that speaks AWS's protocols."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from autoscaler import aws
from autoscaler.clock import SetClock
from autoscaler.connections import AwsAccount, CloudWatchQuery, CloudWatchSource
from autoscaler.errors import MetricsError
from autoscaler.metrics.cloudwatch import CloudWatchMetrics
from autoscaler.ports import Examines, Metrics, Remote

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.fixture
def account(aws_address, monkeypatch):
    """An account at a server of AWS's protocols on a free port of loopback."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    return AwsAccount(region="eu-central-1", endpoint_url=aws_address)


def put(account, metric, values, *, start, step=timedelta(minutes=1)):
    """Send one value for each step."""
    data = [
        {"MetricName": metric, "Timestamp": start + k * step, "Value": value, "Unit": "Count"}
        for k, value in enumerate(values)
    ]
    aws.client(account, "cloudwatch").put_metric_data(Namespace="Shop", MetricData=data)


def source(account, **settings):
    queries = {
        "orders": CloudWatchQuery(namespace="Shop", metric="orders", statistic="Sum", per_second=True),
        "nothing": CloudWatchQuery(namespace="Shop", metric="nobody", statistic="Sum"),
    }
    return CloudWatchSource(name="prod", account=account, queries=queries, **settings)


def test_the_ports_over_http(account):
    """Sums of whole periods per second; since belongs to the answer and until does not; absent is absent."""
    start = NOW - timedelta(minutes=7)
    put(account, "orders", [60.0, 120.0, 180.0, 240.0], start=start)
    metrics = CloudWatchMetrics(source(account), SetClock(NOW))
    assert isinstance(metrics, Remote)
    assert isinstance(metrics, Examines)
    port: Metrics = metrics
    samples = port.samples([], start + timedelta(minutes=1), start + timedelta(minutes=3))
    assert samples.unique_id.tolist() == ["orders", "orders"]
    assert samples.y.tolist() == [2.0, 3.0]
    assert samples.ds[0].item() == (start + timedelta(minutes=1)).replace(tzinfo=None)
    assert (metrics.step_s, metrics.known()) == (60, ("orders", "nothing"))
    checks = {check.what: check for check in metrics.examine()}
    assert checks["query orders of CloudWatch prod"].ok
    assert "did you mean orders" in checks["query nothing of CloudWatch prod"].mend


@pytest.mark.parametrize("at", ["http://127.0.0.1:1", "TLS"])
def test_f21_a_server_that_is_not_reached_is_one_line(account, at):
    """Nobody at the address, or one who cannot do TLS, is a MetricsError that names call and address."""
    url = account.endpoint_url.replace("http:", "https:") if at == "TLS" else at
    gone = AwsAccount(region=account.region, endpoint_url=url)
    client = aws.client(gone, "cloudwatch", attempts=1)
    metrics = CloudWatchMetrics(source(gone), SetClock(NOW), client=client)
    with pytest.raises(MetricsError, match="cloudwatch:GetMetricData") as caught:
        metrics.samples([], NOW - timedelta(minutes=5), None)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert metrics.examine()[0].ok is False


@pytest.mark.parametrize("stamp", [1795694400, 1795694400.0, "2026-11-26T12:00:00Z"])
def test_stamps_of_every_protocol_are_the_same_moment(stamp):
    """AWS writes seconds or ISO 8601; each is read as an aware moment."""
    assert aws._moment(stamp) == NOW
