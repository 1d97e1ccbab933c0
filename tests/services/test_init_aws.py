"""`loadline init` on an account of AWS with CloudWatch, against a server that speaks its protocols."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler import aws, observing
from autoscaler.metrics import cloudwatch
from autoscaler.providers import aws as provider
from tests.worlds import clouds
from tests.worlds.small import Shell

EXAMPLE = Path(__file__).parents[2] / "examples" / "aws.yaml"
pytestmark = pytest.mark.slow


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder of its own, with credentials that only the server of the test takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    for key, value in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(observing, "HISTORY_S", 2 * 86_400)  # the server takes a second for a day
    return Shell(tmp_path, capsys)


@pytest.fixture
def called(monkeypatch):
    """Every call to AWS, as `service:Operation`."""
    calls, real = set(), aws.client

    def client(account, service, **ways):
        made = real(account, service, **ways)
        made.meta.events.register(
            "before-call", lambda model, **_: calls.add(f"{model.service_model.service_name}:{model.name}")
        )
        return made

    monkeypatch.setattr(aws, "client", client)
    return calls


def test_init_validate_and_plan(shell, called, tmp_path):
    """What init writes is the example, is found sound, and is planned with at once; all is only read."""
    with clouds.account() as address:
        said = shell(f"init --aws {clouds.REGION} --cloudwatch --aws-endpoint {address}")
        assert said.code == 0, said
        text = (tmp_path / "loadline.yaml").read_text()
        assert clouds.public(text) == EXAMPLE.read_text()
        valid = shell("config validate")
        assert valid.code == 0, valid
        plan = shell("plan --detailed-exitcode -o json")
    assert plan.code in {0, 2}, plan
    made = json.loads(plan.out)
    assert made["gaps"] == []
    assert {action["target"] for action in made["actions"]} <= {"web"}
    assert called <= {*provider.PERMISSIONS, *cloudwatch.PERMISSIONS}
