"""`loadline doctor` over an account of AWS with CloudWatch and a project of Google, served on loopback."""

from __future__ import annotations

import json

import grpc
import pytest

from autoscaler.metrics import cloudwatch, google_monitoring
from autoscaler.providers import aws, google
from tests.recorded.google_monitoring import Refused
from tests.worlds import clouds, metric_math
from tests.worlds.small import Shell

pytestmark = pytest.mark.slow
POOL = """\
pools:
  web:
    provider: {provider}
    target: {target}
    kind: instance-group
    minimum: 2
    maximum: 10
    demands: [{{series: "web:load", unit_capacity: 100}}]
"""
AWS = """\
metrics:
  - kind: cloudwatch
    region: {region}
    endpoint_url: {address}
    step: 5m
    queries:
      web:load:
        expression: cpu / 100 * units
        inputs:
          cpu:
            namespace: AWS/EC2
            metric: CPUUtilization
            dimensions: {{AutoScalingGroupName: web}}
          units:
            namespace: AWS/AutoScaling
            metric: GroupInServiceInstances
            dimensions: {{AutoScalingGroupName: web}}
providers:
  aws:
    shop: {{region: {region}, endpoint_url: "{address}"}}
"""
GOOGLE = """\
metrics:
  - kind: google-monitoring
    project: {project}
    endpoint: {monitoring}
    step: 5m
    queries:
      web:load:
        filter: metric.type = "{metric}" AND resource.labels.backend_name = "web"
        aligner: ALIGN_RATE
providers:
  google:
    shop: {{project: {project}, endpoint_url: "{compute}"}}
"""
REQUESTS = "loadbalancing.googleapis.com/https/backend_request_count"


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder of its own, with credentials that only the server of the test takes."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOADLINE_CONFIG", "LOADLINE_FREEZE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (
        ("ACCESS_KEY_ID", "testing"),
        ("SECRET_ACCESS_KEY", "testing"),
        ("CONFIG_FILE", "/dev/null"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    return Shell(tmp_path, capsys)


def _failed(shell):
    """The exit code, and each failed check by its subject and what it is."""
    answer = shell("doctor -o json")
    document = json.loads(answer.out)
    assert document["exit_code"] == answer.code
    checks = [(one["subject"], check) for one in document["subjects"] for check in one["checks"]]
    return answer.code, {(subject, check["what"]): check for subject, check in checks if check["ok"] is False}


def _edit(shell, old, new):
    path = shell.folder / "loadline.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def account(shell, aws_account, monkeypatch):
    """A configuration of the group web, sized by metric math, over a served account."""
    metric_math.install(monkeypatch)
    clouds.fill(aws_account.address)
    aws_account.refuse("iam:SimulatePrincipalPolicy", "AccessDenied", status=403)
    text = AWS.format(region=clouds.REGION, address=aws_account.address)
    pool = POOL.format(provider="aws/shop", target="asg/web")
    (shell.folder / "loadline.yaml").write_text(text + pool)
    return aws_account


@pytest.fixture
def project(shell):
    """The same over a project of Google, by the requests of its load balancer; both servers."""
    with clouds.project(types=[REQUESTS]) as (compute, monitoring):
        text = GOOGLE.format(
            project=clouds.PROJECT, monitoring=monitoring.endpoint, compute=compute.url, metric=REQUESTS
        )
        pool = POOL.format(provider="google/shop", target="mig/europe-west1-b/web")
        (shell.folder / "loadline.yaml").write_text(text + pool)
        yield compute, monitoring


def test_a_sound_account_has_nothing_to_mend(shell, account):
    """Groups, rights, clocks and the metric math are right: exit 0, in lines that fit; it was only read."""
    assert _failed(shell) == (0, {})
    answer = shell("doctor")
    assert answer.code == 0
    assert "  ✓ query web:load of CloudWatch metrics 0: its newest period ended " in answer.out
    assert "  ✓ web: 4 units, 4 serve, 2 to 10; mode observe" in answer.out
    assert answer.out.splitlines()[-1].startswith("Nothing fails: ")
    assert all(len(line) <= 120 for line in answer.out.splitlines())
    assert set(account.calls) <= {*aws.PERMISSIONS, *cloudwatch.PERMISSIONS}
    assert shell.files() == {"loadline.yaml"}


def test_f23_an_input_of_metric_math_that_is_not_there_names_the_nearest(shell, account):
    """A misspelt metric of an input is data that lacks (exit 5); what is written as told is right again."""
    _edit(shell, "metric: CPUUtilization", "metric: CPUUtilisation")
    code, failed = _failed(shell)
    assert code == 5
    mend = "AWS/EC2 has no CPUUtilisation; did you mean CPUUtilization?"
    assert {place: check["mend"] for place, check in failed.items()} == {
        ("metrics 0", "query web:load of CloudWatch metrics 0"): mend
    }
    text = shell("doctor").out
    assert f"    → {mend}\n" in text
    assert text.splitlines()[-1].startswith("1 check fails: ")
    _edit(shell, "metric: CPUUtilisation", "metric: CPUUtilization")
    assert _failed(shell) == (0, {})


def test_f48_metrics_that_may_not_be_read_end_in_77(shell, account):
    """The permission of CloudWatch that lacks is named, with what to allow."""
    account.refuse("cloudwatch:GetMetricData", "AccessDenied", status=403)
    code, failed = _failed(shell)
    assert code == 77
    (check,) = failed.values()
    assert check["matter"] == "permission"
    assert "cloudwatch:GetMetricData" in check["what"]
    assert "allow cloudwatch:GetMetricData" in check["mend"]


def test_a_sound_project_has_nothing_to_mend(shell, project):
    """Groups, rights, the clock and the query are right: exit 0, in lines that fit; it was only read."""
    compute, monitoring = project
    assert _failed(shell) == (0, {})
    answer = shell("doctor")
    assert answer.code == 0
    assert "  ✓ query web:load of Google Monitoring metrics 0: its newest period ended " in answer.out
    assert "  ✓ web: 4 units, 4 serve, " in answer.out
    assert answer.out.splitlines()[-1].startswith("Nothing fails: ")
    assert all(len(line) <= 120 for line in answer.out.splitlines())
    assert compute.strangers == []
    assert compute.used <= {*google.PERMISSIONS, *google.ACTING}
    assert all(call.startswith("GET ") or call.endswith("/testIamPermissions") for call in compute.calls)
    assert monitoring.permissions() <= set(google_monitoring.PERMISSIONS)
    assert shell.files() == {"loadline.yaml"}


def test_f23_a_metric_of_the_project_that_is_not_there_names_the_nearest(shell, project):
    """A misspelt metric is data that lacks (exit 5); what is written as told is right again."""
    _edit(shell, "backend_request_count", "backend_requests_count")
    code, failed = _failed(shell)
    assert code == 5
    ((place, check),) = failed.items()
    assert place == ("metrics 0", "query web:load of Google Monitoring metrics 0")
    assert check["mend"].endswith(f"did you mean {REQUESTS}?")
    assert REQUESTS in shell("doctor").out
    _edit(shell, "backend_requests_count", "backend_request_count")
    assert _failed(shell) == (0, {})


def test_f48_a_right_to_read_that_lacks_in_the_project_ends_in_77(shell, project):
    """The permission of Compute Engine is named, with what to grant."""
    compute, _monitoring = project
    compute.denied.add("compute.autoscalers.list")
    code, failed = _failed(shell)
    assert code == 77
    assert all(check["mend"] for check in failed.values())
    assert any("compute.autoscalers.list" in place[1] for place in failed)


def test_f48_metrics_of_the_project_that_may_not_be_read_end_in_77(shell, project):
    """The permission of Cloud Monitoring that lacks is named, with the role that has it."""

    def deny(_request):
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, "no")

    project[1].answer_with(deny)
    code, failed = _failed(shell)
    assert code == 77
    (check,) = failed.values()
    assert check["matter"] == "permission"
    assert "monitoring.timeSeries.list" in check["what"]
    assert "roles/monitoring.viewer" in check["mend"]


def test_f50_a_group_of_the_project_that_is_not_there_names_the_nearest(shell, project):
    """A misspelt target is told with the id that is there: exit 1."""
    _edit(shell, "target: mig/europe-west1-b/web", "target: mig/europe-west1-b/webb")
    code, failed = _failed(shell)
    assert code == 1
    (check,) = failed.values()
    assert check["mend"] == "did you mean mig/europe-west1-b/web?"
