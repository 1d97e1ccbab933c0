"""No provider sends a change once the call that it belongs to was given up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from autoscaler import transport
from autoscaler.clock import SetClock
from autoscaler.connections import GoogleProvider
from autoscaler.errors import Unreachable
from autoscaler.providers import google, kubernetes
from tests.google_api.server import serving
from tests.kubernetes_api.objects import hpa, put, workload
from tests.kubernetes_api.worlds import opened
from tests.worlds.aws import Aws, server

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def given_up():
    """The call that this thread works on was given up."""
    late = threading.Event()
    late.set()
    token = transport._GIVEN_UP.set(late)
    yield
    transport._GIVEN_UP.reset(token)


def refused(pools, pool_id):
    """A resize that comes too late: Unreachable, and the pool stays as it is."""
    before = pools.read(pool_id)
    with pytest.raises(Unreachable, match="not sent"):
        pools.resize(pool_id, before.desired + 1, version=before.version, key="k")
    after = pools.read(pool_id)
    assert (after.desired, after.version, after.labels) == (before.desired, before.version, before.labels)


@pytest.mark.usefixtures("given_up")
@pytest.mark.parametrize("floor", [False, True], ids=["size", "floor"])
def test_f61_kubernetes_sends_nothing_late(tmp_path, floor):
    """Neither marks nor replicas nor the floor of an autoscaler."""
    with opened("fake", tmp_path) as world:
        put(world.api, workload(replicas=None))
        if floor:
            put(world.api, hpa(), "loadline")
        cloud = kubernetes.connect(world.settings, world.clock)
        refused(cloud, "deployment/shop/web")
        assert not [right for right in world.api.rights() if right.startswith("patch")]


@pytest.mark.usefixtures("given_up")
@pytest.mark.parametrize("pool_id", ["mig/us-central1-a/web", "mig/europe-west1/shop"])
def test_f61_google_sends_nothing_late(pool_id):
    """Neither a size nor the floor of an autoscaler."""
    with serving() as api:
        api.group("us-central1-a", "web", 4)
        api.group("europe-west1", "shop", 6, scaler=(4, 10))
        settings = GoogleProvider(name="gcp", project=api.project, endpoint_url=api.url)
        refused(google.connect(settings, SetClock(START)), pool_id)
        assert not [call for call in api.calls if not call.startswith("GET")]


@pytest.mark.usefixtures("given_up")
def test_f61_aws_sends_nothing_late(monkeypatch):
    """Neither marks nor sizes."""
    with server() as at:
        world = Aws(at, monkeypatch)
        world.group()
        refused(world.provider(), "asg/web")
        assert not [call for call in world.calls if "Describe" not in call]
