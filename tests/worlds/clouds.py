"""An account of AWS and a project of Google on loopback, each with groups and metrics of them."""

from __future__ import annotations

import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import boto3
from google.cloud import monitoring_v3

from autoscaler.clock import SystemClock
from tests.google_api.server import serving
from tests.recorded.google_monitoring import Server, page
from tests.worlds.aws import server
from tests.worlds.shop import value

REGION, PROJECT = "eu-west-1", "shop"


@contextmanager
def account():
    """Groups web (with metrics) and batch (without); the server's address."""
    with server() as address:
        urllib.request.urlopen(f"{address}/moto-api/reset", data=b"", timeout=5).close()  # noqa: S310
        fill(address)
        yield address


def fill(address):
    """Make the groups and their metrics in an account with nothing in it."""
    _groups(address)
    _metrics(address)


def _client(service, address):
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": REGION}
    return boto3.client(service, endpoint_url=address, **keys)


def _groups(address):
    scaling = _client("autoscaling", address)
    scaling.create_launch_configuration(
        LaunchConfigurationName="lc", ImageId="ami-12c6146b", InstanceType="m5.large"
    )
    for name in ("web", "batch"):
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=2,
            MaxSize=10,
            DesiredCapacity=4,
            AvailabilityZones=[f"{REGION}a"],
            LaunchConfigurationName="lc",
        )


def _metrics(address):
    """Two days of web, every five minutes."""
    watch = _client("cloudwatch", address)
    now = SystemClock().now().replace(second=0, microsecond=0)
    stamps = [now - timedelta(minutes=now.minute % 5 + 5 * back) for back in range(576)]
    of_web = [{"Name": "AutoScalingGroupName", "Value": "web"}]
    kinds = {
        ("AWS/EC2", "NetworkIn"): lambda stamp: value(3e8, stamp.timestamp()),
        ("AWS/EC2", "CPUUtilization"): lambda stamp: value(50, stamp.timestamp()),
        ("AWS/AutoScaling", "GroupInServiceInstances"): lambda _stamp: 4.0,
        ("AWS/AutoScaling", "GroupDesiredCapacity"): lambda _stamp: 4.0,
    }
    for (space, name), of in kinds.items():
        points = [
            {"MetricName": name, "Dimensions": of_web, "Timestamp": stamp, "Value": of(stamp)}
            for stamp in stamps
        ]
        watch.put_metric_data(Namespace=space, MetricData=points)


@contextmanager
def project(types=()):
    """Groups web (behind a load balancer), batch (CPU alone) and mute; both servers.

    `types` are the names of metrics that can be looked up.
    """
    with serving() as compute:
        compute.group("europe-west1-b", "web", 4)
        compute.group("europe-west1", "batch", 6, scaler=(4, 10))
        compute.group("europe-west1-b", "mute", 2)
        monitoring = Server(_watched, types=types)
        try:
            yield compute, monitoring
        finally:
            monitoring.stop()


def _watched(request):
    """One point for each period that is asked for, of what is measured; of anything else none."""
    told = request.filter
    levels = {
        "backend_request_count": 200.0 if '"web"' in told else 0.0,
        "usage_time": 3.0 if '"batch-' in told else 0.0,
        "cpu/utilization": 0.5 if "mute" not in told else 0.0,
        "instance_group/size": 4.0 if "mute" not in told else 0.0,
    }
    level = next((number for part, number in levels.items() if part in told), 0.0)
    if not level:
        return page()
    step = int(request.aggregation.alignment_period.total_seconds())
    first = int(request.interval.start_time.timestamp()) // step * step + step
    stamps = range(first, int(request.interval.end_time.timestamp()) + 1, step)
    return page(_points([(t, 4.0 if level == 4.0 else value(level, t)) for t in stamps]))


def _points(points):
    moments = [(datetime.fromtimestamp(t, UTC), y) for t, y in reversed(points)]
    return monitoring_v3.TimeSeries(
        metric={"type": "m"},
        points=[
            {"interval": {"start_time": t, "end_time": t}, "value": {"double_value": y}} for t, y in moments
        ],
    )


def public(text):
    """A configuration without the addresses of the servers of a test: as it is for the clouds themselves."""
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if not line.strip().startswith(("endpoint_url:", "endpoint:"))
    )
