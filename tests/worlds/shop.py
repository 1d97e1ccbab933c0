"""A shop in a cluster: workloads on the fake API of Kubernetes, and a Prometheus that watches them."""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from datetime import UTC, datetime

from autoscaler.clock import SetClock
from tests.kubernetes_api.objects import hpa, node, put, workload
from tests.kubernetes_api.server import FakeApi
from tests.prometheus_api import Reply, grid_of, matrix, serving

URL = "http://prometheus.monitoring:9090"  # what stands for the address of the server in examples
START = datetime(2026, 3, 2, 8, tzinfo=UTC)

METRICS = (
    "container_cpu_usage_seconds_total",
    "http_requests_total",
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_ready",
    "kube_pod_container_resource_requests",
    "kube_statefulset_replicas",
    "kube_statefulset_status_replicas_ready",
    "rabbitmq_queue_messages",
)


def populate(api):
    """Workloads with metrics, web's held by an HPA; others not to propose: of Argo CD, at zero, ..."""
    put(api, node("node-1"), "kubelet")
    put(api, workload(name="web", replicas=None))
    put(api, hpa("web", None, 12, aims_at="web"), "kubectl-create")
    put(api, workload(name="api", replicas=None))
    put(api, workload(name="worker", replicas=3), "kubectl-client-side-apply")
    put(api, workload("StatefulSet", name="db", replicas=None))
    put(api, workload(name="cart", replicas=2), "argocd-controller")
    put(api, workload(name="report", replicas=0), "kubectl")
    put(api, workload(name="mute", replicas=None))
    put(api, workload(name="coredns", namespace="kube-system", replicas=None))


# Of each query: what its text holds, its labels, and the level around which it goes up and down by the day.
SERIES = (
    (r"http_requests_total.*\"web-", {}, 100.0),
    (r"http_requests_total.*\"cart-", {}, 30.0),
    (r"rabbitmq_queue_messages\{", {}, 40.0),
    (r"requests\{.*\"(api|web|db)-", {}, 0.5),  # of the pods' CPU over their requests
    (r"cpu_usage.*\"(api|worker|db|web|coredns)-", {}, 2.0),
    (r"(spec_replicas|replicas_ready).*deployment=\"(api|web|worker)\"", {}, 4.0),
)
QUEUES = ({"vhost": "/", "queue": "worker"}, {"vhost": "/", "queue": "letters"})


def value(level, stamp):
    """Around the level by the hour of the day."""
    return round(level * (1 + 0.4 * math.sin(stamp % 86_400 / 86_400 * 2 * math.pi)), 4)


def watched(path, fields, _count, *, series=SERIES, metrics=METRICS, queues=QUEUES):
    """What the Prometheus of the shop answers."""
    query = fields.get("query", "")
    if path.endswith("/label/__name__/values"):
        return {"status": "success", "data": list(metrics)}
    if path == "/api/v1/query":
        found = [{"metric": labels, "value": [0, "1"]} for labels in queues] if "rabbitmq" in query else []
        return {"status": "success", "data": {"resultType": "vector", "result": found}}
    if path != "/api/v1/query_range":
        return Reply({"status": "error", "error": "not here"}, status=404)
    for pattern, labels, level in series:
        if re.search(pattern, query):
            points = [(t, value(level, t) if level != 4.0 else 4) for t in grid_of(fields)]
            return matrix((labels, points))
    return matrix()


@contextmanager
def cluster(folder, *, people=populate):
    """The fake API with its workloads, and a kubeconfig of it in the folder."""
    with FakeApi(SetClock(START)) as api:
        people(api)
        api.kubeconfig(folder / "kubeconfig")
        yield api


@contextmanager
def shop(folder, *, people=populate, answer=watched):
    """Cluster and Prometheus, while the block runs."""
    with cluster(folder, people=people) as api, serving(answer) as prometheus:
        yield api, prometheus
