"""Workloads whose autoscaler reads the recommendation that is served: seen by their size, never set."""

from __future__ import annotations

import pytest

from autoscaler.errors import Owned
from autoscaler.providers import kubernetes
from autoscaler.providers.kubernetes.served import reads_us
from policies.model import SERVED
from policies.plan import Guard
from tests.kubernetes_api.objects import hpa, put, scaled_object, workload
from tests.kubernetes_api.worlds import opened

WEB = "deployment/shop/web"


@pytest.fixture
def world(tmp_path):
    """A fake cluster with one deployment whose replicas nobody set."""
    with opened("fake", tmp_path) as world:
        put(world.api, workload(replicas=None))
        yield world


def connected(world, **settings):
    return kubernetes.connect(world.with_(**settings).settings, world.clock)


def web(world, **settings):
    """The one pool, as listed and as read."""
    cloud = connected(world, **settings)
    (pool,), _ = cloud.list()
    assert pool == cloud.read(WEB)
    return pool


def metrics_api(url):
    return {"triggers": [{"type": "metrics-api", "metadata": {"url": url, "valueLocation": "recommended"}}]}


def asking(query, type_="prometheus"):
    return {"triggers": [{"type": "cpu", "metadata": {}}, {"type": type_, "metadata": {"query": query}}]}


def by_metrics(*metrics):
    item = hpa()
    item["spec"]["metrics"] = list(metrics)
    return item


def outside(type_, name):
    return {"type": type_, type_.lower(): {"metric": {"name": name}, "target": {"type": "AverageValue"}}}


OURS = "loadline_recommended_replicas"
MARKED = {"loadline.dev/served": "true"}
READERS = {
    "the API": scaled_object(**metrics_api("http://loadline:8080/api/v1/pools/shop/web/recommendation")),
    "the API under TLS": scaled_object(**metrics_api("https://l/api/v1/pools/web/recommendation?x=1")),
    "Prometheus": scaled_object(**asking(f'max({OURS}{{pool="web"}}) or vector(2)')),
    "an external metric": by_metrics(outside("External", OURS)),
    "a metric of pods": by_metrics(hpa()["spec"]["metrics"][0], outside("Pods", OURS)),
    "a marked ScaledObject": scaled_object(annotations=MARKED),
    "a marked HPA": hpa(annotations=MARKED),
}
OTHERS = {
    "no trigger": scaled_object(triggers=None),
    "another path": scaled_object(**metrics_api("http://loadline:8080/metrics?a=/api/v1/pools/")),
    "no address": scaled_object(**metrics_api("http://[/api/v1/pools/web/recommendation")),
    "another metric": scaled_object(**asking(f"{OURS}_total + other:{OURS} + my_{OURS}")),
    "another trigger": scaled_object(**asking(OURS, "graphite")),
    "another name outside": by_metrics(outside("External", f"{OURS}_2")),
    "an unmarked one": hpa(annotations={"loadline.dev/served": "false"}),
}


@pytest.mark.parametrize("name", [*READERS, *OTHERS])
def test_who_reads_what_is_served_is_known(name):
    """By a trigger that asks our API or for our metric, by a metric from outside, or by the annotation."""
    assert reads_us((READERS | OTHERS)[name]) == (name in READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_workload_whose_autoscaler_reads_us_is_seen_by_its_size(world, name):
    """Its replicas within the autoscaler's bounds, who sets them, and nothing that holds a plan."""
    item = READERS[name]
    keda = item["kind"] == "ScaledObject"
    bounds = {"minReplicaCount": 2, "maxReplicaCount": 9} if keda else {"minReplicas": 2, "maxReplicas": 9}
    put(world.api, {**item, "spec": item["spec"] | bounds}, "argocd-controller")
    world.hand.scale("Deployment", "web", 5, manager="kube-controller-manager")
    pool = web(world, raise_maximum=True)
    assert (pool.desired, pool.minimum, pool.maximum, pool.lever) == (5, 2, 9, "")
    assert pool.obstacles == ()
    assert pool.labels[SERVED] == f"{item['kind']} web"
    assert pool.last_scaled_at == world.clock.now()


@pytest.mark.parametrize("name", READERS)
def test_nothing_is_ever_set_where_an_autoscaler_reads_us(world, name):
    """A resize and a rehearsal are Owned, at any version and size, and no call to change is made."""
    put(world.api, READERS[name])
    cloud = connected(world, adopt=("kubectl-create",))
    pool = cloud.read(WEB)
    for size, version in ((pool.desired, pool.version), (3, pool.version), (3, "old")):
        with pytest.raises(Owned, match=r"web sets it from what is served; mode observe is enough"):
            cloud.resize(WEB, size, version=version, key="k")
        with pytest.raises(Owned, match=READERS[name]["kind"]):
            cloud.rehearse(WEB, size, version=version)
    assert cloud.read(WEB) == pool
    assert not {right for right in world.api.rights() if right.startswith("patch")}


@pytest.mark.parametrize(
    ("kind", "make"), [("ScaledObject", scaled_object), ("HorizontalPodAutoscaler", hpa)]
)
def test_the_version_moves_when_an_autoscaler_begins_to_read_us(world, kind, make):
    """And with its floor and the pods' spec; not when it sets the size, nor by a label of that name."""
    put(world.api, make())
    cloud = connected(world)
    versions = [cloud.read(WEB).version]
    world.hand.annotate(kind, "web", **MARKED)
    versions.append(cloud.read(WEB).version)
    world.hand.scale("Deployment", "web", 3, manager="kube-controller-manager")
    assert cloud.read(WEB).version == versions[-1]
    field = "minReplicaCount" if kind == "ScaledObject" else "minReplicas"
    world.hand.merge(kind, "web", {"spec": {field: 3}})
    versions.append(cloud.read(WEB).version)
    world.hand.merge("Deployment", "web", {"spec": {"minReadySeconds": 3}})
    versions.append(cloud.read(WEB).version)
    world.hand.annotate(kind, "web", **{SERVED: None})
    world.hand.merge("Deployment", "web", {"metadata": {"labels": {SERVED: "me"}}})
    assert SERVED not in cloud.read(WEB).labels
    versions.append(cloud.read(WEB).version)
    assert len(set(versions)) == len(versions)


def test_a_reader_beside_another_autoscaler_is_owned(world):
    """Two that target one workload are in each other's way, whoever of them reads us."""
    put(world.api, READERS["the API"])
    put(world.api, hpa("other"))
    pool = web(world)
    assert ["2 autoscalers" in one.why for one in pool.obstacles if one.code == Guard.OWNED] == [True]
    assert SERVED not in pool.labels


def test_a_floor_of_ours_is_given_back_after_its_autoscaler_reads_us(world):
    """What we set while it was a floor can be released; the size that KEDA set stays."""
    put(world.api, scaled_object(minReplicaCount=2), "keda")
    cloud = connected(world, adopt=("keda",))
    cloud.resize(WEB, 6, version=cloud.read(WEB).version, key="k")
    world.hand.annotate("ScaledObject", "web", **MARKED)
    world.hand.scale("Deployment", "web", 7, manager="kube-controller-manager")
    pool = cloud.read(WEB)
    assert (pool.desired, pool.minimum) == (7, 6)
    released = cloud.release(WEB, version=pool.version, key="r")
    assert (released.desired, released.minimum) == (7, 2)


def test_the_doctor_tells_who_reads_us_and_finds_nothing_wrong(world):
    """A manager of the floor is not in the way where we do not set it."""
    put(world.api, READERS["Prometheus"], "argocd-controller")
    checks = {check.what: check for check in connected(world).examine()}
    assert checks["ScaledObject reads us"].ok
    assert checks["nobody else sets what is to be set"].ok
    assert "ScaledObject is respected" not in checks
