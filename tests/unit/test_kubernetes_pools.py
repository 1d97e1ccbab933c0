"""How workloads of a cluster become pools: levers, owners, obstacles, and what is not known."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.errors import Invalid, Owned
from autoscaler.providers import kubernetes
from autoscaler.providers.kubernetes import owners
from autoscaler.providers.kubernetes.surroundings import selects
from policies.plan import Guard
from tests.kubernetes_api.objects import (
    BY_KIND,
    budget,
    hpa,
    node,
    node_pool,
    pod,
    populate,
    put,
    scaled_object,
    target,
    workload,
)
from tests.kubernetes_api.worlds import opened

WEB = "deployment/shop/web"
DEPLOYMENT = BY_KIND["Deployment"]


@pytest.fixture
def world(tmp_path):
    """A fake cluster with one deployment whose replicas nobody set."""
    with opened("fake", tmp_path) as world:
        put(world.api, workload(replicas=None))
        yield world


def connected(world, **settings):
    return kubernetes.connect(world.with_(**settings).settings, world.clock)


def web(world, **settings):
    return connected(world, **settings).read(WEB)


def obstacles(world, **settings):
    """Code to (why, whether it holds shrinks only) of the one pool, as listed and as read."""
    cloud = connected(world, **settings)
    pools, _ = cloud.list()
    (pool,) = [one for one in pools if one.id == WEB]
    assert pool == cloud.read(WEB)
    return {one.code: (one.why, one.shrinks_only) for one in pool.obstacles}


def status(world, **changes):
    world.api.store.set_status(DEPLOYMENT, "shop", "web", **changes)


def test_a_quiet_workload_has_no_obstacle(world):
    """A workload that stands, in a cluster that is well, may be changed either way."""
    for number in range(3):
        put(world.api, node(f"n{number}", "abc"[number]))
    put(world.api, budget(allowed=1))
    put(world.api, node_pool())
    assert obstacles(world) == {}


# Levers


def test_f46_the_replicas_of_an_autoscaled_workload_are_never_set(world):
    """With an HPA on it, its floor is the size, and no call goes to the workload or its scale."""
    put(world.api, hpa(least=None))
    cloud = connected(world)
    pool = cloud.read(WEB)
    assert (pool.desired, pool.minimum, pool.maximum) == (1, 1, 10)
    assert pool.lever == "minReplicas of HorizontalPodAutoscaler web"
    cloud.resize(WEB, 5, version=pool.version, key="k")
    changed = {right for right in world.api.rights() if right.startswith("patch")}
    assert changed == {"patch autoscaling/horizontalpodautoscalers"}


def test_f46_an_autoscaler_that_came_meanwhile_makes_the_version_stale(world):
    """A wish for the replicas is void once an HPA owns them; and an HPA's own moves make nothing stale."""
    cloud = connected(world)
    version = cloud.read(WEB).version
    put(world.api, hpa(least=None))
    owned = cloud.read(WEB).version
    assert owned != version
    world.hand.scale("Deployment", "web", 3, manager="kube-controller-manager")
    assert cloud.read(WEB).version == owned
    world.hand.merge("Deployment", "web", {"spec": {"minReadySeconds": 3}})
    assert cloud.read(WEB).version != owned


@pytest.mark.parametrize("right", ["autoscaling/horizontalpodautoscalers", "keda.sh/scaledobjects"])
def test_f46_where_the_autoscalers_are_not_known_nothing_is_set(world, right):
    """A list of autoscalers that fails holds changes in either direction, and is told as a gap."""
    world.api.denied = {f"list {right}"}
    why, shrinks_only = obstacles(world)["OWNED"]
    assert right in why
    assert not shrinks_only
    cloud = connected(world)
    _, gaps = cloud.list()
    assert [gap.code for gap in gaps] == ["PARTIAL"]
    with pytest.raises(Owned, match=right):
        cloud.resize(WEB, 5, version=cloud.read(WEB).version, key="k")


def test_a_scaled_object_counts_and_not_the_autoscaler_that_it_makes(world):
    """The floor is minReplicaCount; KEDA's own HPA is left alone."""
    put(world.api, scaled_object(maxReplicaCount=20))
    made = [{"kind": "ScaledObject", "name": "web"}]
    put(world.api, hpa("keda-hpa-web", 1, 20, ownerReferences=made), "keda-operator")
    cloud = connected(world)
    pool = cloud.read(WEB)
    assert (pool.desired, pool.minimum, pool.maximum) == (0, 0, 20)
    cloud.resize(WEB, 3, version=pool.version, key="k")
    assert world.hand.get("ScaledObject", "web")["spec"]["minReplicaCount"] == 3
    assert world.hand.get("HorizontalPodAutoscaler", "keda-hpa-web")["spec"]["minReplicas"] == 1


def test_an_autoscaler_of_keda_without_its_scaled_object_is_owned(world):
    """What KEDA left behind is neither ours to set nor passed by."""
    put(world.api, hpa("keda-hpa-web", 1, 20, ownerReferences=[{"kind": "ScaledObject", "name": "web"}]))
    assert "KEDA" in obstacles(world)["OWNED"][0]


def test_an_idle_count_stays_below_the_floor(world):
    """KEDA wants its idle count below the floor: so the floor has a least value."""
    put(world.api, scaled_object(idleReplicaCount=0, minReplicaCount=2))
    pool = web(world)
    assert (pool.minimum, pool.desired, pool.maximum) == (1, 2, 100)


def test_two_autoscalers_on_one_workload_are_nobodys_to_set(world):
    """Which of them is right cannot be told."""
    put(world.api, hpa("a"))
    put(world.api, hpa("b"))
    assert "2 autoscalers" in obstacles(world)["OWNED"][0]


def test_autoscalers_of_other_things_do_not_count(world):
    """Another kind, group, namespace or name is another workload's."""
    put(world.api, hpa("a", aims_at="api"))
    put(world.api, hpa("b", kind="StatefulSet"))
    put(world.api, hpa("c", namespace="other"))
    rollout = hpa("d")
    rollout["spec"]["scaleTargetRef"] = {**target(), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    put(world.api, rollout)
    assert web(world).lever == ""


def test_a_maximum_is_raised_where_it_may_be_and_given_back(world):
    """Without the operator's word the HPA's maximum is the bound; with it the maximum follows the floor."""
    put(world.api, hpa(least=None), "helm")
    with pytest.raises(Invalid):
        connected(world).resize(WEB, 11, version=web(world).version, key="k")
    cloud = connected(world, raise_maximum=True, adopt=("helm",))
    after = cloud.resize(WEB, 12, version=cloud.read(WEB).version, key="k1")
    after = cloud.resize(WEB, 8, version=after.version, key="k2")
    spec = world.hand.get("HorizontalPodAutoscaler", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (8, 12)
    cloud.release(WEB, version=after.version, key="r")
    spec = world.hand.get("HorizontalPodAutoscaler", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 10)


def test_a_maximum_held_by_another_one_is_not_raised(world):
    """Also where the floor itself is free: the maximum is its owner's."""
    put(world.api, hpa(least=None), "helm")
    cloud = connected(world, raise_maximum=True)
    version = cloud.read(WEB).version
    with pytest.raises(Owned, match="helm"):
        cloud.resize(WEB, 12, version=version, key="k1")
    assert cloud.read(WEB).version == version
    assert cloud.resize(WEB, 9, version=version, key="k1").desired == 9


# Owners


@pytest.mark.parametrize(
    ("manager", "who"),
    [
        ("argocd-controller", "Argo CD"),
        ("kustomize-controller", "Flux"),
        ("helm-controller", "Flux"),
        ("helm", "Helm"),
        ("HashiCorp", "Terraform"),
        ("kubectl-client-side-apply", "a person with kubectl"),
        ("kube-controller-manager", "a HorizontalPodAutoscaler"),
    ],
)
def test_owners_are_known_by_their_names(world, manager, who):
    """The obstacle says once who holds the replicas, and both mends."""
    world.hand.scale("Deployment", "web", 5, manager=manager)
    why, shrinks_only = obstacles(world)["OWNED"]
    assert why.count(f"{manager} ({who})") == why.count(f"({who})") == 1
    assert "take replicas out of that manifest" in why
    assert f"adopt: [{manager}]" in why
    assert not shrinks_only
    assert "OWNED" not in obstacles(world, adopt=(manager,))


def test_f45_a_manager_that_came_between_reading_and_writing_is_not_overruled(world):
    """Only managers that are all named may be overruled, and the answer names those that are not."""
    world.hand.scale("Deployment", "web", 5, manager="one")
    cloud = connected(world, adopt=("one",))
    pool = cloud.read(WEB)
    world.hand.apply("Deployment", "web", {"spec": {"replicas": 5}}, "two")
    with pytest.raises(Owned, match="two"):
        cloud.resize(WEB, 6, version=pool.version, key="k")
    assert cloud.read(WEB).desired == 5


def test_an_unknown_manager_is_named_as_it_is():
    """A name that is not known stands alone."""
    assert owners.named(("mine", "argocd-x")) == "mine, argocd-x (Argo CD)"


# Obstacles


@pytest.mark.parametrize(
    "changes",
    [
        {"observedGeneration": 0},
        {"updatedReplicas": 0},
        {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]},
    ],
)
def test_a_rollout_holds_shrinks(world, changes):
    """A generation that is not observed, old units, or a rollout that does not get on."""
    status(world, **changes)
    assert obstacles(world)["DEPLOYING"][1]


def test_a_stateful_set_rolls_out_while_its_revisions_differ(tmp_path):
    """A stateful set tells by its revisions."""
    with opened("fake", tmp_path) as world:
        put(world.api, workload("StatefulSet", replicas=None))
        cloud = connected(world)
        assert cloud.read("statefulset/shop/web").obstacles == ()
        kind = BY_KIND["StatefulSet"]
        world.api.store.set_status(kind, "shop", "web", currentRevision="a", updateRevision="b")
        (obstacle,) = cloud.read("statefulset/shop/web").obstacles
        assert obstacle.code == Guard.DEPLOYING


def test_units_of_a_workload_that_nobody_looked_at_are_not_known(world):
    """Without a status there is no count of units; with one, a count that is left out is none."""
    world.api.store.controllers = False
    put(world.api, workload(name="new"))
    assert connected(world).read("deployment/shop/new").ready == {}
    world.api.store.set_status(DEPLOYMENT, "shop", "new", observedGeneration=1)
    assert connected(world).read("deployment/shop/new").ready == {"": 0}


def test_a_paused_rollout_is_suspended(world):
    """A paused deployment may grow and does not shrink; a paused ScaledObject is not touched."""
    world.hand.merge("Deployment", "web", {"spec": {"paused": True}})
    assert obstacles(world)["SUSPENDED"][1]
    world.hand.merge("Deployment", "web", {"spec": {"paused": None}})
    put(world.api, scaled_object(annotations={"autoscaling.keda.sh/paused": "true"}))
    assert not obstacles(world)["SUSPENDED"][1]


def test_an_autoscaler_of_a_workload_at_zero_does_nothing(world):
    """A floor on a workload that was scaled to zero would be a change without effect."""
    put(world.api, hpa())
    world.hand.scale("Deployment", "web", 0)
    assert "no replicas" in obstacles(world)["SUSPENDED"][0]


def test_pods_without_a_node_hold_shrinks_of_their_workload(world):
    """Those that wait for another reason, run, or are another's do not count; full NodePools are named."""
    put(world.api, pod("web-5d8f-a", "web-5d8f"))
    put(world.api, pod("web-5d8f-b", "web-5d8f", why="SchedulingGated"))
    put(world.api, pod("web-5d8f-c", "web-5d8f", phase="Running"))
    put(world.api, pod("api-5d8f-a", "api-5d8f"))
    put(world.api, pod("web-0", "web", "StatefulSet"))
    put(world.api, node_pool(cpu="100", used="99"))
    why, shrinks_only = obstacles(world)["PENDING_WORK"]
    assert why.startswith("1 of its pods")
    assert "NodePool general is at its limit (cpu 99 of 100)" in why
    assert shrinks_only


def test_f51_a_disruption_budget_that_is_used_up_holds_shrinks(world):
    """A budget that selects its pods and allows none to go; another's, or one with room, does not."""
    put(world.api, budget("other", allowed=0))
    assert obstacles(world) == {}
    put(world.api, budget("web", allowed=0))
    assert "PodDisruptionBudget web" in obstacles(world)["DISRUPTION_BUDGET"][0]


@pytest.mark.parametrize("pressure", ["MemoryPressure", "DiskPressure", "PIDPressure"])
def test_nodes_under_pressure_hold_shrinks(world, pressure):
    """More than a tenth of the nodes; one bad node of twenty holds nobody."""
    put(world.api, node("bad", **{pressure: "True"}))
    assert "bad" in obstacles(world)["NODE_PRESSURE"][0]
    for number in range(19):
        put(world.api, node(f"n{number}"))
    assert obstacles(world) == {}


def test_f56_a_zone_that_is_down_holds_shrinks(world):
    """More than half of a zone's nodes not ready impair it; more than half of all are a pressure."""
    for number, (zone, ready) in enumerate(itertools.product("abc", ("True", "True", "True"))):
        put(world.api, node(f"n{number}", zone, Ready="Unknown" if zone == "b" else ready))
    found = obstacles(world)
    assert set(found) == {"ZONE_IMPAIRED"}
    assert "in b" in found["ZONE_IMPAIRED"][0]
    for number in range(9, 14):
        put(world.api, node(f"n{number}", "d", Ready="False"))
    assert "NODE_PRESSURE" in obstacles(world)


@pytest.mark.parametrize(
    ("right", "code"),
    [
        ("list policy/poddisruptionbudgets", "DISRUPTION_BUDGET"),
        ("list pods", "PENDING_WORK"),
        ("list nodes", "NODE_PRESSURE"),
    ],
)
def test_what_is_not_known_shrinks_nothing(world, right, code):
    """Each list that fails holds shrinks by its own guard, names the right, and is told as a gap."""
    world.api.denied = {right}
    why, shrinks_only = obstacles(world)[code]
    assert right in why
    assert shrinks_only
    _, gaps = connected(world).list()
    assert [(gap.source, gap.code) for gap in gaps] == [("provider k8s", "PARTIAL")]


def test_pods_that_are_not_to_be_disturbed_protect_their_workload(tmp_path):
    """The marks that node autoscalers respect are respected."""
    with opened("fake", tmp_path) as world:
        put(world.api, workload(template={"karpenter.sh/do-not-disrupt": "true"}))
        assert web(world).protected
        put(world.api, workload(name="api"))
        assert not connected(world).read("deployment/shop/api").protected


def test_the_nodes_are_looked_at_once_for_many_readings(world):
    """Single reads share a look at the nodes for half a minute; a list looks anew."""
    cloud = connected(world)
    for _ in range(3):
        cloud.read(WEB)
    assert len(world.api.made("list nodes")) == 1
    world.clock.advance(31)
    cloud.read(WEB)
    cloud.list()
    assert len(world.api.made("list nodes")) == 3


# Lists


@pytest.mark.parametrize(("autoscaled", "calls"), [(0, 9), (501, 10)])
def test_a_thousand_deployments_are_listed_in_few_calls(tmp_path, autoscaled, calls):
    """One call for each kind and five hundred objects, and none for each pool."""
    with opened("fake", tmp_path) as world:
        populate(world.api, 1000, autoscaled=autoscaled)
        pools, gaps = connected(world).list()
        assert (len(pools), tuple(gaps)) == (1000, ())
        assert sum(bool(one.lever) for one in pools) == autoscaled
        assert len(world.api.calls) == calls
        assert [one.id for one in pools] == sorted(one.id for one in pools)


def test_only_the_namespaces_that_are_named_are_asked(tmp_path):
    """Nothing is asked of the whole cluster but its nodes."""
    with opened("fake", tmp_path) as world:
        populate(world.api, 9, namespaces=3)
        cloud = connected(world, namespaces=("team-0", "team-2"))
        pools, _ = cloud.list()
        assert {one.id.split("/")[1] for one in pools} == {"team-0", "team-2"}
        wide = {call.path for call in world.api.calls if "/namespaces/" not in call.path}
        assert wide == {"/api/v1/nodes", "/apis/karpenter.sh/v1/nodepools"}


def test_a_cluster_without_keda_and_karpenter_is_whole(tmp_path):
    """Kinds that are not installed are no gap."""
    with opened("fake", tmp_path, absent={"keda.sh", "karpenter.sh"}) as world:
        put(world.api, workload(replicas=None))
        assert obstacles(world) == {}
        assert connected(world).list()[1] == ()


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)


@given(labels=LABELS, wanted=LABELS, key=st.sampled_from("abc"), values=st.lists(st.sampled_from("xy")))
def test_selectors_mean_what_the_api_says(labels, wanted, key, values):
    """Labels and expressions all hold; NotIn also takes what lacks the label; none at all takes nothing."""

    def by(operator):
        return selects(
            {
                "matchLabels": wanted,
                "matchExpressions": [{"key": key, "operator": operator, "values": values}],
            },
            labels,
        )

    plain = wanted.items() <= labels.items()
    assert selects({"matchLabels": wanted}, labels) == plain
    assert by("In") == (plain and labels.get(key) in values)
    assert by("NotIn") == (plain and (key not in labels or labels[key] not in values))
    assert by("Exists") == (plain and key in labels)
    assert by("DoesNotExist") == (plain and key not in labels)
    assert selects({}, labels)
    assert not selects(None, labels)
