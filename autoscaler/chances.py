"""Which queries could be a pool's, by the kind of source: those that are tried before one is proposed.

For a workload of Kubernetes from the catalogue of Prometheus; for groups of AWS and Google from what those
two measure by themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.model import Pool
from policies.proposals import Candidate, Chances, Load, address

if TYPE_CHECKING:
    from autoscaler.metrics.prometheus_catalogue import ReadyMade

Labels = Mapping[str, str]

PROMETHEUS, CLOUDWATCH, GOOGLE = "prometheus", "cloudwatch", "google-monitoring"
_REQUESTED = "kube_pod_container_resource_requests"
_USED = "container_cpu_usage_seconds_total"
_OF = 'namespace=$namespace, pod=~$pods, container!=""'
_READY_WANTED = {
    "deployment": ("deployment_ready", "deployment_wanted"),
    "statefulset": ("statefulset_ready", "statefulset_wanted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What a Prometheus has of the catalogue; `listed`: the series that some queries are made for."""

    ready_made: Sequence[ReadyMade]
    listed: Mapping[str, Sequence[Labels]]  # by the name of the query


def share_of_requests(names: Sequence[str]) -> ReadyMade | None:
    """CPU in use over what the pods request: how full they are. None where the server cannot tell."""
    from autoscaler.metrics.prometheus_catalogue import ReadyMade  # noqa: PLC0415 - only where it is asked

    if not {_USED, _REQUESTED} <= set(names):
        return None
    used = f'sum(rate({_USED}{{{_OF}, container!="POD"}}[5m]))'
    return ReadyMade(
        name="cpu_of_requests",
        title="CPU of the pods over what they request",
        role="cpu",
        unit="share",
        needs=(_USED, _REQUESTED),
        query=f'{used} / sum({_REQUESTED}{{{_OF}, resource="cpu"}})',
    )


def of_workloads(
    pools: Sequence[Pool], offered: Offered, share: ReadyMade | None, source: str
) -> dict[str, Chances]:
    """By the address of each Deployment and StatefulSet among the pools."""
    workloads = [pool for pool in pools if pool.id.partition("/")[0] in _READY_WANTED]
    alike = Counter(pool.id.split("/")[-1] for pool in workloads)
    return {
        address(pool): _of_workload(pool, offered, share, source, alone=alike[pool.id.split("/")[-1]] == 1)
        for pool in workloads
    }


def _of_workload(
    pool: Pool, offered: Offered, share: ReadyMade | None, source: str, *, alone: bool
) -> Chances:
    kind, namespace, name = pool.id.split("/", 2)
    made = {one.name: one for one in offered.ready_made}

    def of(one: ReadyMade | None, *, full: int = 1) -> Candidate | None:
        if one is None:
            return None
        query = one.of_workload(namespace, name)
        load = Load(one.role) if one.role in set(Load) else Load.CPU
        return Candidate(source=source, title=one.title, unit=one.unit, query=query, load=load, share=full)

    found = [of(one) for one in offered.ready_made if not one.by and one.role in set(Load)]
    found += _of_series(namespace, name, offered, source, alone=alone)
    ready, wanted = (made.get(role) for role in _READY_WANTED[kind])
    order = list(Load)
    demands = [one for one in found if one is not None]
    return Chances(
        demands=tuple(sorted(demands, key=lambda one: order.index(one.load))),
        ready=of(ready),
        desired=of(wanted),
        utilization=of(share),
    )


def _of_series(
    namespace: str, name: str, offered: Offered, source: str, *, alone: bool
) -> Iterator[Candidate]:
    """Queries for series of their own, such as queues, whose labels name the workload and no other."""
    for one in offered.ready_made:
        if not one.by or one.role not in set(Load):
            continue
        for labels in offered.listed.get(one.name, ()):
            if names_workload(labels, namespace, name, alone=alone):
                query = one.of_series(labels)
                title = f"{one.title} ({', '.join(labels[key] for key in one.by if labels.get(key))})"
                yield Candidate(source=source, title=title, unit=one.unit, query=query, load=Load(one.role))


def names_workload(labels: Labels, namespace: str, name: str, *, alone: bool) -> bool:
    """Whether a series is plainly that of the workload. `alone`: no other namespace has one of the name."""
    spaces = {value for key, value in labels.items() if key in {"namespace", "exported_namespace"} and value}
    others = [value for key, value in labels.items() if key not in {"namespace", "exported_namespace"}]
    plain = re.escape(name)
    both = rf"{re.escape(namespace)}[-_/.]{plain}(-[0-9a-z]+)?(@kubernetes\w*)?"
    cluster = rf"outbound\|[0-9]+\|[^|]*\|{plain}\.{re.escape(namespace)}\.svc\..*"
    if namespace in spaces and name in others:
        return True
    if any(re.fullmatch(rf"{both}|{cluster}", value) for value in others):
        return True
    return alone and not spaces and name in others


def of_groups_by_cloudwatch(pools: Sequence[Pool], source: str) -> dict[str, Chances]:
    """By the address of each Auto Scaling group: what EC2 and Auto Scaling measure by themselves."""
    return {address(pool): _by_cloudwatch(pool.id[4:], source) for pool in pools if pool.id[:4] == "asg/"}


def _by_cloudwatch(group: str, source: str) -> Chances:
    dimensions = {"AutoScalingGroupName": group}

    def metric(namespace: str, name: str) -> dict[str, object]:
        return {"namespace": namespace, "metric": name, "dimensions": dimensions, "statistic": "Average"}

    cpu = metric("AWS/EC2", "CPUUtilization")
    ready = metric("AWS/AutoScaling", "GroupInServiceInstances")
    wanted = metric("AWS/AutoScaling", "GroupDesiredCapacity")
    received = {**metric("AWS/EC2", "NetworkIn"), "statistic": "Sum", "per_second": True}
    busy = {"expression": "cpu / 100 * units", "inputs": {"cpu": cpu, "units": ready}}
    return Chances(
        demands=(
            _cloud(source, "CPU of the instances", "busy instances", busy),
            _cloud(source, "What the instances receive", "bytes/s", received, load=Load.NETWORK),
        ),
        ready=_cloud(source, "Instances in service", "instances", ready),
        desired=_cloud(source, "Instances that are wanted", "instances", wanted),
        utilization=_cloud(source, "CPU of the instances", "percent", cpu, share=100),
    )


def _cloud(
    source: str, title: str, unit: str, query: Mapping[str, object], *, load: Load = Load.CPU, share: int = 1
) -> Candidate:
    return Candidate(source=source, title=title, unit=unit, query=query, load=load, share=share)


def of_groups_by_google(pools: Sequence[Pool], source: str) -> dict[str, Chances]:
    """By the address of each managed instance group: load balancers first, then the CPU of its instances."""
    return {address(pool): _by_google(pool, source) for pool in pools if pool.id[:4] == "mig/"}


def _by_google(pool: Pool, source: str) -> Chances:
    _, place, group = pool.id.split("/", 2)
    compute = "compute.googleapis.com"
    here = "zone" if place.count("-") > 1 else "region"
    mine = f"metric.labels.instance_name = monitoring.regex.full_match({_text(_instances(group))})"
    on = f'resource.type = "gce_instance" AND {mine}'
    in_place = (
        f"resource.labels.zone = {_text(place)}"
        if here == "zone"
        else (f"resource.labels.zone = starts_with({_text(place + '-')})")
    )
    size = f'metric.type = "{compute}/instance_group/size" AND resource.type = "instance_group"'
    size += f" AND resource.labels.instance_group_name = {_text(group)}"
    asked = 'metric.type = "loadbalancing.googleapis.com/https/backend_request_count"'
    asked += f' AND resource.type = "https_lb_rule" AND resource.labels.backend_name = {_text(group)}'

    def one(filter_: str, aligner: str, reducer: str) -> dict[str, object]:
        return {"filter": filter_, "aligner": aligner, "reducer": reducer}

    used = f'metric.type = "{compute}/instance/cpu/usage_time" AND {on} AND {in_place}'
    share = f'metric.type = "{compute}/instance/cpu/utilization" AND {on} AND {in_place}'
    requests = one(asked, "ALIGN_RATE", "REDUCE_SUM")
    return Chances(
        demands=(
            _cloud(source, "HTTP requests by the load balancer", "requests/s", requests, load=Load.REQUESTS),
            _cloud(source, "CPU of the instances", "cores", one(used, "ALIGN_RATE", "REDUCE_SUM")),
        ),
        ready=_cloud(source, "Instances of the group", "instances", one(size, "ALIGN_MEAN", "REDUCE_SUM")),
        utilization=_cloud(source, "CPU of the instances", "share", one(share, "ALIGN_MEAN", "REDUCE_MEAN")),
    )


def _instances(group: str) -> str:
    """A pattern of the names that a group gives its instances."""
    plain = "".join(letter if letter.isalnum() or letter == "-" else f"\\{letter}" for letter in group)
    return f"{plain}-[a-z0-9]{{4}}"


def _text(value: str) -> str:
    """A string of a filter of Cloud Monitoring."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
