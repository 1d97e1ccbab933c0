"""`loadline init` on an account of AWS with CloudWatch, against a server that speaks its protocols."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autoscaler import aws, observing
from autoscaler.metrics import cloudwatch
from autoscaler.providers import aws as provider
from autoscaler.store.database import connect
from autoscaler.store.history import History
from tests.worlds import clouds, metric_math
from tests.worlds.shop import value
from tests.worlds.small import Shell

EXAMPLE = Path(__file__).parents[2] / "examples" / "aws.yaml"
pytestmark = pytest.mark.slow


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder of its own, with credentials that only the server of the test takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    for name, text in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, text)
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


def test_metric_math_is_proposed_and_planned_with(shell, called, tmp_path, monkeypatch):
    """Where the server computes, CPU times units comes first: valid, and planned with point by point."""
    metric_math.install(monkeypatch)
    with clouds.account() as address:
        said = shell(f"init --aws {clouds.REGION} --cloudwatch --aws-endpoint {address}")
        assert said.code == 0, said
        assert "cpu (busy instances)" in said.out
        assert "        expression: cpu / 100 * units\n" in (tmp_path / "loadline.yaml").read_text()
        valid = shell("config validate")
        assert valid.code == 0, valid
        plan = shell("plan --detailed-exitcode -o json")
    assert plan.code in {0, 2}, plan
    assert json.loads(plan.out)["gaps"] == []
    engine = connect(str(tmp_path / "loadline.db"))
    (demand,) = History(engine).read(["web:cpu"])
    engine.dispose()
    stamps = demand.start.timestamp() + 300 * np.arange(len(demand.y))
    busy = [value(50, stamp) / 100 * 4 for stamp in stamps]  # percent of four instances
    assert (demand.step_s, len(busy) > 500) == (300, True)
    np.testing.assert_allclose(demand.y, busy, rtol=1e-6)
    assert called <= {*provider.PERMISSIONS, *cloudwatch.PERMISSIONS}
