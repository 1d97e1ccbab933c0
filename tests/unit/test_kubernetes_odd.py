"""Objects of a cluster that are not as one expects them: they hide themselves alone, and shrink nothing."""

from __future__ import annotations

import pytest

from autoscaler.connections import KubernetesProvider
from autoscaler.errors import Invalid, Temporary
from autoscaler.ports import FREEZE, ORIGINAL_SIZE
from autoscaler.providers import kubernetes
from autoscaler.providers.kubernetes import cluster
from autoscaler.providers.kubernetes.levers import by_target, replicas
from autoscaler.providers.kubernetes.resources import DEPLOYMENTS
from tests.kubernetes_api.objects import hpa, put, scaled_object, workload
from tests.kubernetes_api.worlds import opened

WEB = "deployment/shop/web"
TARGET = ("shop", "deployment", "web")


@pytest.fixture
def world(tmp_path):
    """A fake cluster with two deployments whose replicas nobody set."""
    with opened("fake", tmp_path) as world:
        put(world.api, workload(replicas=None))
        put(world.api, workload(name="odd", replicas=None))
        yield world


def connected(world, **settings):
    return kubernetes.connect(world.with_(**settings).settings, world.clock)


def test_f18_one_workload_that_cannot_be_read_hides_no_other(world, monkeypatch):
    """It is a Gap with its id, and Temporary where it is read."""
    sound = cluster.seen

    def seen(settings, target, item, around):
        if target[2] == "odd":
            raise TypeError("no number")
        return sound(settings, target, item, around)

    monkeypatch.setattr(cluster, "seen", seen)
    pools, gaps = connected(world).list()
    assert [pool.id for pool in pools] == [WEB]
    assert ["deployment/shop/odd" in gap.why for gap in gaps] == [True]
    with pytest.raises(Temporary, match="no number"):
        connected(world).read("deployment/shop/odd")


def test_null_is_what_is_left_out():
    """Null fields have the API's own defaults: a replica, a floor of one, none and hundred for KEDA."""
    deployment = workload()
    deployment["spec"]["replicas"] = None
    assert replicas(DEPLOYMENTS, deployment).value == 1
    ((floor,),) = by_target([hpa(least=None) | {"spec": hpa()["spec"] | {"minReplicas": None}}], []).values()
    assert (floor.value, floor.least, floor.most) == (1, 1, 10)
    of_keda = scaled_object(minReplicaCount=None, maxReplicaCount=None)
    ((floor,),) = by_target([], [of_keda]).values()
    assert (floor.value, floor.most) == (0, 100)


@pytest.mark.parametrize("version", ["apps/v1", "apps/v1beta2", "extensions/v1beta1", "", None])
def test_f46_an_autoscaler_of_an_old_manifest_owns_its_workload(version):
    """By whatever name it calls the API of Deployments: the size is never taken for one that nobody sets."""
    item = hpa()
    item["spec"]["scaleTargetRef"]["apiVersion"] = version
    assert [lever.field for lever in by_target([item], [])[TARGET]] == ["minReplicas"]


@pytest.mark.parametrize(("own", "its"), [("true", "false"), ("false", "migration"), ("a", None)])
def test_f67_a_freeze_on_the_workload_is_lifted_by_no_autoscaler(world, own, its):
    """Either of the two freezes the pool, and both are told."""
    world.hand.annotate("Deployment", "web", **{FREEZE: own})
    put(world.api, hpa())
    if its is not None:
        world.hand.annotate("HorizontalPodAutoscaler", "web", **{FREEZE: its})
    told = connected(world).read(WEB).labels[FREEZE]
    assert told not in {"", "0", "false", "no", "off"}
    assert own in told
    assert (its or "") in told


def test_a_size_of_the_workloads_own_is_no_floors(world):
    """A mark that was written before the autoscaler came tells nothing of its floor."""
    world.hand.annotate("Deployment", "web", **{ORIGINAL_SIZE: "7"})
    assert connected(world).read(WEB).labels[ORIGINAL_SIZE] == "7"
    put(world.api, hpa())
    assert ORIGINAL_SIZE not in connected(world).read(WEB).labels


def test_a_mark_that_somebody_changed_is_told(world):
    """A size on the object that is no number gives nothing back, and says which annotation to mend."""
    cloud = connected(world)
    cloud.resize(WEB, 3, version=cloud.read(WEB).version, key="k")
    world.hand.annotate("Deployment", "web", **{ORIGINAL_SIZE: "four"})
    before = cloud.read(WEB)
    with pytest.raises(Invalid, match="original-size is 'four'"):
        cloud.release(WEB, version=before.version, key="r")
    assert cloud.read(WEB).desired == 3


@pytest.mark.parametrize("text", ["a: [", "- a list", "clusters: 3", "apiVersion: v1"])
def test_a_file_that_is_no_kubeconfig_is_invalid(tmp_path, text):
    """Whatever stands in it, the message names the file."""
    (tmp_path / "config").write_text(text)
    settings = KubernetesProvider(name="kubernetes/x", kubeconfig=str(tmp_path / "config"))
    with pytest.raises(Invalid, match="config"):
        kubernetes.connect(settings, None)


def test_f49_no_secret_of_a_broken_kubeconfig_is_told(tmp_path):
    """Of a file that cannot be read its content is not repeated."""
    (tmp_path / "config").write_text("users: [{name: a, user: {token: hunter2, 'oh no\n")
    settings = KubernetesProvider(name="kubernetes/x", kubeconfig=str(tmp_path / "config"))
    with pytest.raises(Invalid, match="no kubeconfig") as raised:
        kubernetes.connect(settings, None)
    assert "hunter2" not in str(raised.value)
