"""`loadline doctor` over an account of AWS with CloudWatch and a project of Google, both served on loopback."""

from __future__ import annotations

import json

import pytest

from autoscaler.metrics import cloudwatch, google_monitoring
from autoscaler.providers import aws, google
from tests.worlds import clouds, metric_math
from tests.worlds.small import Shell

pytestmark = pytest.mark.slow
POOL = """\
defaults: {{mode: {mode}}}
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
def account(shell, monkeypatch):
    """A configuration of the group web, sized by metric math, over a served account."""
    metric_math.install(monkeypatch)
    with clouds.account() as address:
        text = AWS.format(region=clouds.REGION, address=address)
        pool = POOL.format(mode="observe", provider="aws/shop", target="asg/web")
        (shell.folder / "loadline.yaml").write_text(text + pool)
        yield address


@pytest.fixture
def project(shell):
    """The same over a project of Google, by the requests of its load balancer; both servers."""
    with clouds.project(types=[REQUESTS]) as (compute, monitoring):
        text = GOOGLE.format(
            project=clouds.PROJECT, monitoring=monitoring.endpoint, compute=compute.url, metric=REQUESTS
        )
        pool = POOL.format(mode="observe", provider="google/shop", target="mig/europe-west1-b/web")
        (shell.folder / "loadline.yaml").write_text(text + pool)
        yield compute, monitoring


def test_x_aws(shell, account):
    out = shell("doctor").out; import sys; open('/tmp/tidy_out.txt','a').write(out)
    import sys; open('/tmp/tidy_out.txt','a').write(str(_failed(shell)))
    _edit(shell, "metric: CPUUtilization", "metric: CPUUtilisation")
    import sys; open('/tmp/tidy_out.txt','a').write(str(_failed(shell)))
    out = shell("doctor").out; import sys; open('/tmp/tidy_out.txt','a').write(out)
    assert 0


def test_x_google(shell, project):
    compute, monitoring = project
    out = shell("doctor").out; import sys; open('/tmp/tidy_out.txt','a').write(out)
    import sys; open('/tmp/tidy_out.txt','a').write(str(_failed(shell)))
    print(compute.used, compute.strangers, monitoring.permissions())
    _edit(shell, "backend_request_count", "backend_requests_count")
    import sys; open('/tmp/tidy_out.txt','a').write(str(_failed(shell)))
    out = shell("doctor").out; import sys; open('/tmp/tidy_out.txt','a').write(out)
    assert 0
