"""A cluster to be tested against: the fake one, and a real one where LOADLINE_TEST_KUBECONFIG names it."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from autoscaler.clock import SetClock, SystemClock
from autoscaler.connections import KubernetesProvider
from autoscaler.errors import NotFound
from autoscaler.providers.kubernetes.client import APPLY, MERGE, Client
from autoscaler.providers.kubernetes.resources import HPAS, SCALED_OBJECTS, WORKLOADS, Resource
from tests.kubernetes_api.objects import hpa, scaled_object, workload
from tests.kubernetes_api.server import FakeApi

REAL = os.environ.get("LOADLINE_TEST_KUBECONFIG", "")
WHERE = ("fake", "real") if REAL else ("fake",)
SOCKETS = (pytest.mark.enable_socket,) if REAL else ()  # a real cluster is not on loopback
NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
RESOURCES = {one.kind: one for one in (*WORKLOADS.values(), HPAS, SCALED_OBJECTS, NAMESPACES)}
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
STARTER = "starter"  # the field manager that makes the objects
READY_S = 60.0


class Hand:
    """Another one who works on the same cluster, over HTTP."""

    def __init__(self, client, namespace):
        self._client, self.namespace = client, namespace

    def _ask(self, method, kind, name="", sub="", **how):
        resource = RESOURCES[kind]
        path = resource.path(self.namespace if resource.namespaced else "", name, sub)
        return self._client.ask(method, path, f"{method} {kind}", **how).body

    def get(self, kind, name, sub=""):
        return self._ask("GET", kind, name, sub)

    def create(self, item, manager=STARTER):
        return self._ask("POST", item["kind"], query={"fieldManager": manager}, body=item)

    def delete(self, kind, name):
        return self._ask("DELETE", kind, name)

    def merge(self, kind, name, patch, manager="kubectl-edit", sub=""):
        query = {"fieldManager": manager}
        return self._ask("PATCH", kind, name, sub, query=query, body=patch, content_type=MERGE)

    def scale(self, kind, name, size, manager="kubectl"):
        return self.merge(kind, name, {"spec": {"replicas": size}}, manager, "scale")

    def annotate(self, kind, name, **marks):
        return self.merge(kind, name, {"metadata": {"annotations": marks}})

    def apply(self, kind, name, part, manager, *, sub="", force=False, dry=False):
        version, said = ("autoscaling/v1", "Scale") if sub else (RESOURCES[kind].api_version, kind)
        own = {"name": name, "namespace": self.namespace} | part.get("metadata", {})
        body = {"apiVersion": version, "kind": said, **part, "metadata": own}
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        query |= {"dryRun": "All"} if dry else {}
        return self._ask("PATCH", kind, name, sub, query=query, body=body, content_type=APPLY)


@dataclass(frozen=True, kw_only=True)
class World:
    """A cluster with a namespace of its own. `api` is the fake one, None for a real one."""

    hand: Hand
    settings: KubernetesProvider
    clock: object
    api: FakeApi | None

    @property
    def namespace(self):
        return self.hand.namespace

    def put(self, item, manager=STARTER):
        """Make an object in the namespace, and wait until its controller has seen it."""
        item["metadata"]["namespace"] = self.namespace
        self.hand.create(item, manager)
        if item["kind"] in {one.kind for one in WORKLOADS.values()}:
            self.settle(item["kind"], item["metadata"]["name"])

    def settle(self, kind, name):
        """Wait until the units of a workload are there; at once on the fake."""
        clock = SystemClock()
        deadline = clock.monotonic() + READY_S
        while True:
            item = self.hand.get(kind, name)
            status = item.get("status", {})
            seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
            if seen and status.get("readyReplicas", 0) == item["spec"]["replicas"]:
                return
            assert clock.monotonic() < deadline, f"{kind} {name} is not ready: {status}"
            clock.sleep(0.2)

    def with_(self, **settings):
        """The same cluster, by other settings."""
        return replace(self, settings=replace(self.settings, **settings))


@contextlib.contextmanager
def opened(where, folder, **api):
    """The world at `where`, until the end of the block."""
    if where == "fake":
        clock = SetClock(START)
        with FakeApi(clock, **api) as fake:
            settings = KubernetesProvider(name="k8s", kubeconfig=fake.kubeconfig(folder / "kubeconfig"))
            yield World(hand=Hand(Client(settings), "shop"), settings=settings, clock=clock, api=fake)
        return
    namespace = f"loadline-test-{os.getpid()}-{secrets.token_hex(3)}"
    settings = KubernetesProvider(name="k8s", kubeconfig=REAL, namespaces=(namespace,))
    hand = Hand(Client(settings), namespace)
    hand.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        yield World(hand=hand, settings=settings, clock=SystemClock(), api=None)
    finally:
        hand.delete("Namespace", namespace)


def deployment(world):
    """A deployment of four units, and where its size is set."""
    world.put(workload())
    return f"deployment/{world.namespace}/web", "Deployment", ("spec", "replicas")


def stateful_set(world):
    """A stateful set of four units, and where its size is set."""
    world.put(workload("StatefulSet"))
    return f"statefulset/{world.namespace}/web", "StatefulSet", ("spec", "replicas")


def autoscaled(world):
    """A deployment whose HPA keeps at least four units, and where that floor is set."""
    world.put(workload(replicas=None))
    world.put(hpa(least=4))
    return f"deployment/{world.namespace}/web", "HorizontalPodAutoscaler", ("spec", "minReplicas")


def of_keda(world):
    """A deployment whose ScaledObject keeps at least four units, and where that floor is set."""
    world.put(workload(replicas=None))
    try:
        world.put(scaled_object(minReplicaCount=4, maxReplicaCount=10))
    except NotFound:
        pytest.skip("KEDA is not installed")
    return f"deployment/{world.namespace}/web", "ScaledObject", ("spec", "minReplicaCount")


LEVERS = {
    "deployment": deployment,
    "statefulset": stateful_set,
    "hpa": autoscaled,
    "scaledobject": of_keda,
}
