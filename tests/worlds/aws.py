"""AWS as a server on loopback, what it was called with, and faults put before or after its answers."""

from __future__ import annotations

import threading
import urllib.request
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import cache

import boto3
from botocore.awsrequest import AWSResponse
from moto.backends import get_backend
from moto.core.responses import EmptyResult
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse
from moto.server import ThreadedMotoServer

from autoscaler import aws
from autoscaler.clock import SetClock
from autoscaler.connections import AwsAccount, AwsProvider
from autoscaler.providers.aws import connect

REGION = "us-east-1"
ZONES = ["us-east-1a", "us-east-1b"]
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
KEYS = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": REGION}


@contextmanager
def server():
    """A server on a free port of loopback; its address."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        running.stop()


@cache
def _client(service, address):
    return boto3.client(service, endpoint_url=address, **KEYS)


def _node_group(backend, arn):
    """The node group of an ARN; the server itself tags clusters alone."""
    groups = (one for cluster in backend.clusters.values() for one in cluster.nodegroups.values())
    return next(one for one in groups if one.arn == arn)


def _tag(backend, resource_arn, tags):
    _node_group(backend, resource_arn).tags.update(tags)


def _untag(response):
    group = _node_group(response.eks_backend, response._extract_arn_from_path())
    for key in response.querystring["tagKeys"]:
        group.tags.pop(key, None)
    return EmptyResult()


class Raw:
    """A body as botocore reads it."""

    def __init__(self, body):
        self._body = body

    def stream(self, **_):
        yield self._body


class Aws:
    """One account with everything in it gone, our provider over it, and somebody else's clients."""

    def __init__(self, address, monkeypatch):
        urllib.request.urlopen(f"{address}/moto-api/reset", data=b"", timeout=60).close()  # noqa: S310
        self.address = address
        self.clock = SetClock(START)
        self.calls = []
        self._faults = {}
        self._of_thread = threading.local()  # the call that it is about, and what is raised after it
        real = aws.client

        def client(account, service, **ways):
            made = real(account, service, **ways)
            made.meta.events.register("before-call", self._called)
            made.meta.events.register("before-send", self._before)
            made.meta.events.register("after-call", self._after)
            return made

        monkeypatch.setattr(aws, "client", client)
        self._sleepless(monkeypatch)
        monkeypatch.setattr(EKSBackend, "tag_resource", _tag)
        monkeypatch.setattr(EKSResponse, "untag_resource", _untag)

    def _sleepless(self, monkeypatch):
        """Nobody waits between tries."""
        monkeypatch.setattr("time.sleep", lambda _seconds: None)

    def provider(self, **settings):
        """Our provider; everything is asked of it anew."""
        account = AwsAccount(region=REGION, endpoint_url=self.address)
        return connect(AwsProvider(name="aws", account=account, **settings), self.clock)

    def somebody(self, service):
        """A client of somebody else, whose calls are not counted."""
        return _client(service, self.address)

    def fault(self, action, *answers):
        """Each next call of that action meets one of the answers: None lets it pass, the last one stays.

        A pair is a status and a body instead of the server's; an exception is raised after the call was done.
        """
        self._faults[action] = list(answers)

    def refuse(self, action, code, *, status=400, message="no", headers=()):
        """That action is answered by an error of AWS."""
        self.fault(action, (status, error_body(action, code, message), dict(headers)))

    def _called(self, model, **_):
        self._of_thread.call = f"{model.service_model.service_name}:{model.name}"
        self.calls.append(self._of_thread.call)

    def _next(self):
        answers = self._faults.get(self._of_thread.call, [])
        return (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else None

    def _before(self, request, **_):
        fault = self._next()
        self._of_thread.pending = fault if isinstance(fault, Exception) else None
        if not isinstance(fault, tuple):
            return None
        status, body, *headers = fault
        return AWSResponse(
            request.url, status, {"date": "x", **(headers[0] if headers else {})}, Raw(body.encode())
        )

    def _after(self, **_):
        if self._of_thread.pending is not None:
            raise self._of_thread.pending

    def group(self, name="web", *, minimum=2, maximum=10, desired=4, tags=(), **more):
        """An Auto Scaling group, with a launch configuration of its own."""
        scaling = self.somebody("autoscaling")
        if not scaling.describe_launch_configurations()["LaunchConfigurations"]:
            scaling.create_launch_configuration(
                LaunchConfigurationName="lc", ImageId="ami-12c6146b", InstanceType="m5.large"
            )
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=minimum,
            MaxSize=maximum,
            DesiredCapacity=desired,
            Tags=[
                {"ResourceId": name, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": False}
                | {"Key": key, "Value": value}
                for key, value in dict(tags).items()
            ],
            **({} if "MixedInstancesPolicy" in more else {"LaunchConfigurationName": "lc"}),
            **({"AvailabilityZones": ZONES} | more),
        )
        return scaling

    def copy(self, name, of="web"):
        """Another group like it, put into the server's memory: hundreds of them by calls would take long."""
        groups = get_backend("autoscaling")["123456789012"][REGION].autoscaling_groups
        groups[name] = copy(groups[of])
        groups[name].name = name

    def inside(self, name="web"):
        """The group in the server's memory, for what no call brings about."""
        return get_backend("autoscaling")["123456789012"][REGION].autoscaling_groups[name]

    def described(self, name="web"):
        """The group as AWS tells it, and its tags."""
        answer = self.somebody("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        group = answer["AutoScalingGroups"][0]
        return group, {tag["Key"]: tag["Value"] for tag in group["Tags"]}

    def track(self, name="web", policy="cpu"):
        """A target tracking policy on a group."""
        self.somebody("autoscaling").put_scaling_policy(
            AutoScalingGroupName=name,
            PolicyName=policy,
            PolicyType="TargetTrackingScaling",
            TargetTrackingConfiguration={
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
                "TargetValue": 50.0,
            },
        )


def activities(*launches):
    """What AWS tells of launches, the newest first: (minutes ago, status, message)."""
    told = "".join(
        f"<member><ActivityId>a{number}</ActivityId><AutoScalingGroupName>web</AutoScalingGroupName>"
        f"<Description>Launching a new EC2 instance.  Status Reason: {message}</Description>"
        f"<Cause>At 2026-03-02T07:00:00Z an instance was started</Cause>"
        f"<StartTime>{START - timedelta(minutes=ago):%Y-%m-%dT%H:%M:%SZ}</StartTime>"
        f"<StatusCode>{status}</StatusCode><StatusMessage>{message}</StatusMessage></member>"
        for number, (ago, status, message) in enumerate(launches)
    )
    return _scaling("DescribeScalingActivities", f"<Activities>{told}</Activities>")


def refreshes(status):
    """What AWS tells of a group's newest instance refresh."""
    one = f"<member><InstanceRefreshId>r1</InstanceRefreshId><Status>{status}</Status></member>"
    return _scaling("DescribeInstanceRefreshes", f"<InstanceRefreshes>{one}</InstanceRefreshes>")


def zones(**states):
    """What EC2 tells of its zones, by the letter."""
    told = "".join(
        f"<item><zoneName>us-east-1{letter}</zoneName><zoneState>{state}</zoneState></item>"
        for letter, state in states.items()
    )
    body = f"<availabilityZoneInfo>{told}</availabilityZoneInfo>"
    return 200, f"<DescribeAvailabilityZonesResponse>{body}</DescribeAvailabilityZonesResponse>"


def _scaling(operation, result):
    return 200, f"<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>"


def error_body(action, code, message):
    """An error as the service of that action writes it."""
    if action.startswith(("eks:", "ecs:", "application-autoscaling:", "cloudwatch:")):
        return f'{{"__type": "{code}", "message": "{message}"}}'
    if action.startswith("ec2:"):
        return (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            "<RequestID>r</RequestID></Response>"
        )
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>r</RequestId></ErrorResponse>"
    )
