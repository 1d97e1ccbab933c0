"""Ready-made queries for what is usual, by the names of the metrics that a server has. Pure.

Some are made for a workload (namespace and name of a Deployment or StatefulSet), by the names that
Kubernetes gives its pods. Others know series of their own, such as queues: `listing` asks which there are,
and a query is made for one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["requests", "cpu", "memory", "queue", "gpu", "replicas"]

_HASH = "[bcdfghjklmnpqrstvwxz2456789]"  # the letters of which Kubernetes makes suffixes; no vowels


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMade:
    """A query for one kind of load; `unit` is what one of its values counts.

    `needs` are the metrics without which it is not offered. `by` are the labels that tell its series apart,
    none where it is made for a workload. `query` holds the places that are filled in.
    """

    name: str
    title: str
    role: Role
    unit: str
    needs: tuple[str, ...]
    query: str
    by: tuple[str, ...] = ()

    def of_workload(self, namespace: str, workload: str) -> str:
        """PromQL for a Deployment or StatefulSet. ValueError where it is not made for one."""
        if self.by:
            raise ValueError(f"{self.name} is made for series of its own; ask `listing` which there are")
        pods = f"{_pattern(workload)}-({_HASH}{{1,10}}-{_HASH}{{5}}|[0-9]+)"
        filled = self.query.replace("$pods", _text(pods))
        return filled.replace("$namespace", _text(namespace)).replace("$workload", _text(workload))

    def listing(self) -> str:
        """PromQL whose answer has one series for each that a query can be made for. ValueError as above."""
        if not self.by:
            raise ValueError(f"{self.name} is made for a workload")
        return f"count by ({', '.join(self.by)}) ({self.needs[0]})"

    def of_series(self, labels: Mapping[str, str]) -> str:
        """PromQL for one that `listing` told, by its labels; one that is not among them must be absent."""
        if not self.by:
            raise ValueError(f"{self.name} is made for a workload")
        matchers = ", ".join(f"{label}={_text(labels.get(label, ''))}" for label in self.by)
        return self.query.replace("$series", matchers)


def offered(names: Iterable[str]) -> tuple[ReadyMade, ...]:
    """The queries whose metrics are all among the names, in the order of the catalogue."""
    there = frozenset(names)
    return tuple(one for one in CATALOGUE if there.issuperset(one.needs))


def _text(value: str) -> str:
    """A string of PromQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _pattern(name: str) -> str:
    """A pattern that matches the name alone."""
    return "".join(letter if letter.isalnum() or letter == "-" else f"\\{letter}" for letter in name)


def _workload(name: str, title: str, kind: tuple[Role, str], metric: str, query: str) -> ReadyMade:
    return ReadyMade(name=name, title=title, role=kind[0], unit=kind[1], needs=(metric,), query=query)


def _rate(name: str, title: str, metric: str, *by: str) -> ReadyMade:
    query = f"sum(rate({metric}{{$series}}[5m]))"
    return ReadyMade(
        name=name, title=title, role="requests", unit="requests/s", needs=(metric,), query=query, by=by
    )


def _queue(name: str, title: str, metric: str, query: str, *by: str) -> ReadyMade:
    return ReadyMade(name=name, title=title, role="queue", unit="items", needs=(metric,), query=query, by=by)


_REQUESTS: tuple[Role, str] = ("requests", "requests/s")
_REPLICAS: tuple[Role, str] = ("replicas", "replicas")
_PODS = "namespace=$namespace, pod=~$pods"
# cAdvisor tells the pod's own cgroup and its pause container too.
_CONTAINERS = f'{_PODS}, container!="", container!="POD"'
# Whoever scrapes the exporter may put its own namespace before that of the pod that has the GPU.
_GPU = (
    "sum(DCGM_FI_DEV_GPU_UTIL{exported_namespace=$namespace, exported_pod=~$pods}"
    ' or DCGM_FI_DEV_GPU_UTIL{exported_pod="", namespace=$namespace, pod=~$pods}) / 100'
)
_SQS = "aws_sqs_approximate_number_of_messages_visible_average"

CATALOGUE = (
    _workload(
        "http",
        "HTTP requests that the pods count themselves",
        _REQUESTS,
        "http_requests_total",
        f"sum(rate(http_requests_total{{{_PODS}}}[5m]))",
    ),
    _workload(
        "istio",
        "HTTP requests as Istio's sidecars of the workload count them",
        _REQUESTS,
        "istio_requests_total",
        'sum(rate(istio_requests_total{reporter="destination", '
        "destination_workload_namespace=$namespace, destination_workload=$workload}[5m]))",
    ),
    _rate(
        "nginx_ingress",
        "HTTP requests of an Ingress of ingress-nginx",
        "nginx_ingress_controller_requests",
        *("exported_namespace", "namespace", "ingress"),
    ),
    _rate("traefik", "HTTP requests of a service of Traefik", "traefik_service_requests_total", "service"),
    _rate(
        "envoy",
        "HTTP requests to an upstream of Envoy",
        "envoy_cluster_upstream_rq_total",
        "envoy_cluster_name",
    ),
    _workload(
        "cpu",
        "CPU of the pods",
        ("cpu", "cores"),
        "container_cpu_usage_seconds_total",
        f"sum(rate(container_cpu_usage_seconds_total{{{_CONTAINERS}}}[5m]))",
    ),
    _workload(
        "memory",
        "Memory of the pods that cannot be freed",
        ("memory", "bytes"),
        "container_memory_working_set_bytes",
        f"sum(container_memory_working_set_bytes{{{_CONTAINERS}}})",
    ),
    _queue(
        "rabbitmq",
        "Messages in a queue of RabbitMQ",
        "rabbitmq_queue_messages",
        "sum(rabbitmq_queue_messages{$series})",
        *("vhost", "queue"),
    ),
    _queue(
        "kafka",
        "Messages that a consumer group of Kafka has not read",
        "kafka_consumergroup_lag",
        "sum(clamp_min(kafka_consumergroup_lag{$series}, 0))",
        *("consumergroup", "topic"),
    ),
    _queue(
        "sqs",
        "Messages in a queue of SQS, by an exporter of CloudWatch",
        _SQS,
        f"max({_SQS}{{$series}})",
        *("dimension_QueueName", "queue_name"),
    ),
    _queue(
        "celery",
        "Tasks in a queue of Celery",
        "celery_queue_length",
        "max(celery_queue_length{$series})",
        "queue_name",
    ),
    _queue(
        "sidekiq",
        "Jobs in a queue of Sidekiq",
        "sidekiq_queue_enqueued_jobs",
        "max(sidekiq_queue_enqueued_jobs{$series})",
        "name",
    ),
    _workload("gpu", "GPUs in use by the pods", ("gpu", "GPUs"), "DCGM_FI_DEV_GPU_UTIL", _GPU),
    _workload(
        "deployment_ready",
        "Replicas of the Deployment that are ready",
        _REPLICAS,
        "kube_deployment_status_replicas_ready",
        "max(kube_deployment_status_replicas_ready{namespace=$namespace, deployment=$workload})",
    ),
    _workload(
        "deployment_wanted",
        "Replicas that the Deployment asks for",
        _REPLICAS,
        "kube_deployment_spec_replicas",
        "max(kube_deployment_spec_replicas{namespace=$namespace, deployment=$workload})",
    ),
    _workload(
        "statefulset_ready",
        "Replicas of the StatefulSet that are ready",
        _REPLICAS,
        "kube_statefulset_status_replicas_ready",
        "max(kube_statefulset_status_replicas_ready{namespace=$namespace, statefulset=$workload})",
    ),
    _workload(
        "statefulset_wanted",
        "Replicas that the StatefulSet asks for",
        _REPLICAS,
        "kube_statefulset_replicas",
        "max(kube_statefulset_replicas{namespace=$namespace, statefulset=$workload})",
    ),
)
