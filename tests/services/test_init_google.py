"""`loadline init` on a project of Google Cloud with its monitoring, against servers on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.metrics import google_monitoring
from autoscaler.providers import google
from tests.worlds import clouds
from tests.worlds.small import Shell

EXAMPLE = Path(__file__).parents[2] / "examples" / "google.yaml"
pytestmark = pytest.mark.slow


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    return Shell(tmp_path, capsys)


def test_init_validate_and_plan(shell, tmp_path):
    """What init writes is the example, is found sound, and is planned with at once; all is only read."""
    with clouds.project() as (compute, monitoring):
        said = shell(
            f"init --google {clouds.PROJECT} --google-monitoring --google-endpoint {compute.url} "
            f"--google-monitoring-endpoint {monitoring.endpoint}"
        )
        assert said.code == 0, said
        text = (tmp_path / "loadline.yaml").read_text()
        assert clouds.public(text) == EXAMPLE.read_text()
        valid = shell("config validate")
        assert valid.code == 0, valid
        plan = shell("plan --detailed-exitcode -o json")
        assert plan.code in {0, 2}, plan
        made = json.loads(plan.out)
        assert made["gaps"] == []
        assert {action["target"] for action in made["actions"]} <= {
            "europe-west1-b/web",
            "europe-west1/batch",
        }
        assert compute.strangers == []
        assert compute.used <= set(google.PERMISSIONS)
        assert monitoring.permissions() <= set(google_monitoring.PERMISSIONS)
