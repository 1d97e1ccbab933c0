"""The catalogue of ready-made queries: what is offered, for whom, and that names stay names."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoscaler.metrics.prometheus_catalogue import CATALOGUE, offered
from autoscaler.metrics.prometheus_doctor import metric_names

WORKLOADS = [one for one in CATALOGUE if not one.by]
OWN = [one for one in CATALOGUE if one.by]


def test_the_usual_is_there():
    """Requests, CPU, memory, queues, GPUs and replicas; names are unique."""
    assert {one.role for one in CATALOGUE} == {"requests", "cpu", "memory", "queue", "gpu", "replicas"}
    assert len({one.name for one in CATALOGUE}) == len(CATALOGUE)
    assert {one.needs[0] for one in CATALOGUE} >= {
        *("http_requests_total", "istio_requests_total", "nginx_ingress_controller_requests"),
        *("traefik_service_requests_total", "container_cpu_usage_seconds_total", "rabbitmq_queue_messages"),
        *("kafka_consumergroup_lag", "DCGM_FI_DEV_GPU_UTIL", "kube_deployment_status_replicas_ready"),
    }


@given(st.sets(st.sampled_from([name for one in CATALOGUE for name in (*one.needs, "up")])))
def test_what_is_offered_has_all_its_metrics(names):
    """Exactly the entries whose metrics are all there, in the order of the catalogue."""
    assert offered(names) == tuple(one for one in CATALOGUE if set(one.needs) <= names)


@pytest.mark.parametrize("one", WORKLOADS, ids=lambda one: one.name)
def test_a_query_for_a_workload_asks_for_its_metrics_and_nothing_is_left_open(one):
    """Filled in with namespace and workload, without a placeholder; it needs what it says."""
    query = one.of_workload("shop", "web")
    assert "$" not in query
    assert '"shop"' in query
    assert "web" in query
    assert set(metric_names(query)) == set(one.needs)
    assert query.startswith(("sum(", "max("))
    with pytest.raises(ValueError, match="made for a workload"):
        one.listing()
    with pytest.raises(ValueError, match="made for a workload"):
        one.of_series({})


@pytest.mark.parametrize("one", OWN, ids=lambda one: one.name)
def test_a_query_for_a_series_of_its_own_names_it_by_every_label(one):
    """A label that the series does not have must be absent: no other series is taken along."""
    query = one.of_series({one.by[-1]: "orders"})
    assert "$" not in query
    assert f'{one.by[-1]}="orders"' in query
    assert all(f'{label}=""' in query for label in one.by[:-1])
    assert one.listing() == f"count by ({', '.join(one.by)}) ({one.needs[0]})"
    assert set(metric_names(query)) == set(one.needs) == set(metric_names(one.listing()))
    with pytest.raises(ValueError, match="`listing`"):
        one.of_workload("shop", "web")


@pytest.mark.parametrize(
    ("pod", "is_of_web"),
    [
        ("web-7d4b9c6f58-x2x4z", True),
        ("web-0", True),
        ("web-12", True),
        ("web-api-7d4b9c6f58-x2x4z", False),
        ("web-api-0", False),
        ("web-api-x2x4z", False),
        ("webx-0", False),
        ("my-web-0", False),
    ],
)
def test_pods_are_those_of_the_workload_alone(pod, is_of_web):
    """By the names that Kubernetes makes; a workload whose name begins alike is another."""
    (cpu,) = (one for one in CATALOGUE if one.name == "cpu")
    pattern = re.search(r'pod=~"([^"]+)"', cpu.of_workload("shop", "web"))[1]
    assert bool(re.fullmatch(pattern, pod)) is is_of_web


@given(st.text(max_size=20), st.text(max_size=20))
@example('a"} or up{b="', "\\")
@example("\\", '"')
def test_a_name_stays_inside_its_text(namespace, workload):
    """Whatever a label holds, quotes and all, the query's form is the same."""
    bare = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
    for one in WORKLOADS:
        shape = bare.sub("T", one.of_workload("a", "b"))
        if not {"$pods", "$namespace", "$workload"} & {namespace, workload}:
            assert bare.sub("T", one.of_workload(namespace, workload)) == shape
    for one in OWN:
        shape = bare.sub("T", one.of_series({}))
        assert bare.sub("T", one.of_series(dict.fromkeys(one.by, namespace))) == shape
