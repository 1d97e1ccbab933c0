"""What an API server and its network do wrong, against the adapter of Kubernetes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from autoscaler.connections import KubernetesProvider
from autoscaler.errors import Denied, Invalid, NotFound, Owned, Stale, Throttled, Unreachable
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers import kubernetes
from autoscaler.providers.kubernetes import client
from autoscaler.providers.kubernetes.seeing import LAST_KEY
from tests.kubernetes_api.objects import BY_KIND, hpa, populate, put, workload
from tests.kubernetes_api.worlds import opened

WEB = "deployment/shop/web"
DEPLOYMENT = BY_KIND["Deployment"]
LIST, GET = "list apps/deployments", "get apps/deployments"
MARK, SCALE = "patch apps/deployments", "patch apps/deployments/scale"
FLOOR = "patch autoscaling/horizontalpodautoscalers"


@pytest.fixture
def world(tmp_path):
    """A fake cluster with one deployment of four units that nobody holds."""
    with opened("fake", tmp_path) as world:
        put(world.api, workload(replicas=None))
        world.hand.apply("Deployment", "web", {"spec": {"replicas": 4}}, "loadline", sub="scale")
        yield world


@pytest.fixture
def cloud(world):
    return kubernetes.connect(world.settings, world.clock)


def replicas(world):
    return world.hand.get("Deployment", "web")["spec"]["replicas"]


@pytest.mark.parametrize("after", [0, 1])
def test_f18_a_page_that_fails_is_told_and_loses_nothing(tmp_path, after):
    """Where the first page came the pools so far are answered with a gap; where nothing came it raises."""
    with opened("fake", tmp_path) as world:
        populate(world.api, 600)
        cloud = kubernetes.connect(world.settings, world.clock)
        world.api.fail(LIST, 500, after=after)
        if after == 0:
            with pytest.raises(Unreachable, match=LIST):
                cloud.list()
            return
        pools, gaps = cloud.list()
        assert len(pools) == 500
        assert [(gap.source, gap.code) for gap in gaps] == [("provider k8s", "PARTIAL")]
        assert LIST in gaps[0].why


def test_f18_another_kind_that_fails_is_told(world, cloud):
    """Deployments are not lost because the stateful sets cannot be listed."""
    world.api.denied = {"list apps/statefulsets"}
    pools, gaps = cloud.list()
    assert [one.id for one in pools] == [WEB]
    assert "list apps/statefulsets" in gaps[0].why


@pytest.mark.parametrize("what", ["expired", "gone"])
def test_f18_an_expired_place_in_a_list_is_found_again(tmp_path, what):
    """410 goes on with the token of the answer, or from the beginning: every pool is there once."""
    with opened("fake", tmp_path) as world:
        populate(world.api, 1200)
        cloud = kubernetes.connect(world.settings, world.clock)
        world.api.fail(LIST, what, after=1)
        pools, gaps = cloud.list()
        assert (len(pools), len({one.id for one in pools}), tuple(gaps)) == (1200, 1200, ())
        assert len(world.api.made(LIST)) == {"expired": 4, "gone": 5}[what]


def test_f18_a_list_that_expires_again_and_again_is_partial(tmp_path):
    """It is begun anew once; after that what came so far is answered with a gap."""
    with opened("fake", tmp_path) as world:
        populate(world.api, 600)
        cloud = kubernetes.connect(world.settings, world.clock)
        world.api.fail(LIST, "gone", after=1, times=9)
        pools, gaps = cloud.list()
        assert (len(pools), [gap.code for gap in gaps]) == (500, ["PARTIAL"])


@pytest.mark.parametrize("what", [500, 503, "page", "truncated", "lost"])
def test_f19_f20_an_answer_that_is_none_is_unreachable(world, cloud, what):
    """Errors of the server, a login page with 200, half a body and a cut connection are one kind of error."""
    world.api.fail(GET, what)
    with pytest.raises(Unreachable, match=GET):
        cloud.read(WEB)
    assert cloud.read(WEB).desired == 4


def test_f19_every_call_has_a_deadline(world, cloud, monkeypatch):
    """A server that hangs is given up, for reads and for changes, and nothing is tried again."""
    monkeypatch.setattr(client, "READ_S", 0.2)
    version = cloud.read(WEB).version
    world.api.fail(GET, "hang")
    with pytest.raises(Unreachable, match=GET):
        cloud.read(WEB)
    world.api.calls.clear()
    world.api.fail(SCALE, "hang")
    with pytest.raises(Unreachable, match=SCALE):
        cloud.resize(WEB, 6, version=version, key="k")
    assert len(world.api.made(SCALE)) == 1


def test_f21_a_server_that_is_not_there_or_speaks_no_tls_is_unreachable(world, tmp_path):
    """The message names the address that was tried."""
    nobody = tmp_path / "nobody"
    world.api.kubeconfig(nobody)
    for server in ("http://127.0.0.1:1", world.api.url.replace("http:", "https:")):
        nobody.write_text(nobody.read_text().replace(world.api.url, server))
        cloud = kubernetes.connect(KubernetesProvider(name="k8s", kubeconfig=str(nobody)), world.clock)
        with pytest.raises(Unreachable, match=server):
            cloud.list()
        world.api.kubeconfig(nobody)


def test_f37_throttling_without_a_word_has_a_rest(world, cloud):
    """429 without Retry-After rests for a few seconds; nothing is called again by itself."""
    world.api.fail(LIST, 429)
    with pytest.raises(Throttled) as told:
        cloud.list()
    assert told.value.retry_after > 0
    assert len(world.api.calls) - 1 == len(world.api.made(LIST))  # the other one made the world


@pytest.mark.parametrize("right", [MARK, SCALE])
@pytest.mark.parametrize("what", ["lost", 500])
def test_f40_a_lost_reply_is_in_doubt_and_the_same_key_settles_it(world, cloud, right, what):
    """Whether it was done or not, the same call again ends at the size that was asked for, changed once."""
    version = cloud.read(WEB).version
    world.api.fail(right, what)
    with pytest.raises(Unreachable):
        cloud.resize(WEB, 6, version=version, key="k1")
    assert replicas(world) == (6 if (right, what) == (SCALE, "lost") else 4)
    after = cloud.resize(WEB, 6, version=version, key="k1")
    assert (after.desired, after.labels[ORIGINAL_SIZE]) == (6, "4")
    assert world.hand.get("Deployment", "web")["metadata"]["generation"] == 3


def test_f40_a_lost_reply_of_a_floor_is_settled_by_its_key(world, cloud):
    """An autoscaler is changed with its marks in one call: the key on it tells that it was done."""
    put(world.api, hpa(least=None))
    version = cloud.read(WEB).version
    world.api.fail(FLOOR, "lost")
    with pytest.raises(Unreachable):
        cloud.resize(WEB, 6, version=version, key="k1")
    world.api.calls.clear()
    assert cloud.resize(WEB, 6, version=version, key="k1").desired == 6
    assert world.api.made(FLOOR) == []


def test_f40_a_reading_lost_after_the_change_leaves_it_done(world, cloud):
    """The size stands; the same key reads it."""
    version = cloud.read(WEB).version
    world.api.fail(GET, 500, after=1)
    with pytest.raises(Unreachable):
        cloud.resize(WEB, 6, version=version, key="k1")
    assert cloud.resize(WEB, 6, version=version, key="k1").desired == 6


def test_f40_a_key_that_was_overtaken_undoes_nothing(world, cloud):
    """An old call that comes late, after another hand moved the size, is Stale."""
    version = cloud.read(WEB).version
    cloud.resize(WEB, 6, version=version, key="k1")
    world.hand.scale("Deployment", "web", 9)
    with pytest.raises(Stale):
        cloud.resize(WEB, 6, version=version, key="k1")
    assert replicas(world) == 9


def test_f42_a_part_is_answered_as_it_is(world, cloud):
    """Where an admission webhook lets only a part through, the answer shows it."""

    def capped(item):
        if item["kind"] == "Deployment":
            item["spec"]["replicas"] = min(item["spec"].get("replicas", 1), 5)
        return item

    world.api.store.admits = capped
    after = cloud.resize(WEB, 9, version=cloud.read(WEB).version, key="k1")
    assert (after.desired, after) == (5, cloud.read(WEB))


@pytest.mark.parametrize("right", [MARK, SCALE])
def test_f47_a_change_between_reading_and_writing_is_stale(world, cloud, right):
    """The version that was read goes along with each call: what came between is never overwritten."""
    version = cloud.read(WEB).version
    world.api.meanwhile[right] = lambda: world.api.store.merge(
        DEPLOYMENT, "shop", "web", {"spec": {"replicas": 9}}, "kubectl", subresource="scale"
    )
    with pytest.raises(Stale):
        cloud.resize(WEB, 6, version=version, key="k1")
    assert replicas(world) == 9
    assert len(world.api.made(right)) - (right == SCALE) == 1  # one of the scale made the world


def test_f47_of_many_wishes_from_one_picture_one_is_granted(world, cloud):
    """Racing calls do not add up: the others are Stale."""
    version = cloud.read(WEB).version

    def wish(number):
        try:
            return cloud.resize(WEB, 5 + number, version=version, key=f"k{number}").desired
        except Stale:
            return None

    with ThreadPoolExecutor(4) as threads:
        won = [size for size in threads.map(wish, range(8)) if size]
    assert won == [replicas(world)]


def test_f48_a_right_that_is_missing_midway_changes_no_size(world, cloud):
    """The marks alone are harmless: they say the size that it still has, and the same key goes on later."""
    version = cloud.read(WEB).version
    world.api.denied = {SCALE}
    with pytest.raises(Denied, match=SCALE):
        cloud.resize(WEB, 6, version=version, key="k1")
    assert cloud.read(WEB).version == version
    assert world.hand.get("Deployment", "web")["metadata"]["annotations"] == {
        ORIGINAL_SIZE: "4",
        LAST_KEY: "k1 6",
    }
    world.api.denied = set()
    assert cloud.resize(WEB, 6, version=version, key="k1").desired == 6


def test_f49_renewed_credentials_are_read_again(world, cloud, tmp_path):
    """A token that ended is read anew from its file, also in the midst; without a new one it is Denied."""
    version = cloud.read(WEB).version
    world.api.token = "second"
    with pytest.raises(Denied, match="renew"):
        cloud.read(WEB)
    world.api.kubeconfig(tmp_path / "kubeconfig")
    assert cloud.resize(WEB, 6, version=version, key="k1").desired == 6


def test_f49_without_credentials_nothing_is_connected(tmp_path, world):
    """A kubeconfig that is missing, empty or without the context is named at once."""
    empty = tmp_path / "empty"
    empty.write_text("")
    good = world.settings.kubeconfig
    for file, context in ((tmp_path / "none", ""), (empty, ""), (good, "other")):
        settings = KubernetesProvider(name="k8s", kubeconfig=str(file), context=context)
        with pytest.raises(Invalid, match="no credentials for k8s"):
            kubernetes.connect(settings, world.clock)


def test_f50_what_is_deleted_under_us_is_not_found(world, cloud):
    """Gone before the call or in its midst: it is said, and nothing comes back."""
    version = cloud.read(WEB).version
    world.api.meanwhile[SCALE] = lambda: world.api.store.delete(DEPLOYMENT, "shop", "web")
    with pytest.raises(NotFound):
        cloud.resize(WEB, 6, version=version, key="k1")
    with pytest.raises(NotFound):
        cloud.read(WEB)
    assert cloud.list() == ((), ())


def test_f50_an_autoscaler_that_is_deleted_under_us_is_stale(world, cloud):
    """Its place is not filled by ours."""
    put(world.api, hpa(least=None))
    version = cloud.read(WEB).version
    kind = BY_KIND["HorizontalPodAutoscaler"]
    world.api.meanwhile[FLOOR] = lambda: world.api.store.delete(kind, "shop", "web")
    with pytest.raises(Stale):
        cloud.resize(WEB, 6, version=version, key="k1")
    with pytest.raises(NotFound):
        world.hand.get("HorizontalPodAutoscaler", "web")


def test_f46_a_manager_that_takes_the_field_in_the_midst_is_owned(world, cloud):
    """The server refuses what we could not know, by the name of the manager; force is not used."""
    put(world.api, hpa(least=None))
    version = cloud.read(WEB).version
    ask = client.Client.ask

    def late(self, method, path, right, **how):
        if right == FLOOR:  # as if the read had not shown it: the version that is sent is the newest one
            world.api.store.apply(
                BY_KIND["HorizontalPodAutoscaler"],
                "shop",
                "web",
                {"metadata": {}, "spec": {"minReplicas": 3}},
                "helm",
                force=True,
            )
            del how["body"]["metadata"]["resourceVersion"]
        return ask(self, method, path, right, **how)

    cloud._client.ask = late.__get__(cloud._client)
    with pytest.raises(Owned, match=r"helm \(Helm\)"):
        cloud.resize(WEB, 6, version=version, key="k1")
    assert [call.query["force"] for call in world.api.made(FLOOR)] == ["false"]


# The doctor


def checks(cloud):
    return {one.what: one for one in cloud.examine()}


def test_the_doctor_finds_a_well_cluster_well(world, cloud):
    """Every check is right, and each declared right was asked about."""
    found = checks(cloud)
    assert all(one.ok for one in found.values())
    asked = {name.removeprefix("may ") for name in found if name.startswith("may ")}
    assert asked == {
        *(right for right in kubernetes.PERMISSIONS if not right.startswith(("create ", "get /"))),
        *kubernetes.ACTING,
    }


def test_f48_the_doctor_prints_the_line_of_a_missing_right(world, cloud):
    """A right that is missing comes with the rule that gives it."""
    world.api.denied = {SCALE}
    found = checks(cloud)["may patch apps/deployments/scale"]
    assert found.ok is False
    assert found.mend == '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}'


def test_f49_the_doctor_tells_a_clock_that_is_off(world, cloud):
    """The server's Date against ours; half a minute is let pass."""
    assert checks(cloud)["the clocks agree"].ok
    world.api.clock = type(world.clock)(world.clock.now())
    world.api.clock.advance(120)
    found = checks(cloud)["the clocks agree"]
    assert (found.ok, "2m" in found.why) == (False, True)


def test_f45_the_doctor_names_other_scalers(world, cloud):
    """Owners are in the way, with their mend; autoscalers are respected."""
    world.hand.scale("Deployment", "web", 5, manager="argocd-controller")
    put(world.api, workload(name="api", replicas=None))
    put(world.api, hpa("api", None, aims_at="api"))
    put(world.api, workload(name="cluster-autoscaler", namespace="kube-system", replicas=None))
    found = cloud.examine()
    (owned,) = [one for one in found if one.ok is False]
    assert "argocd-controller (Argo CD)" in owned.why
    assert "adopt: [argocd-controller]" in owned.mend
    respected = [one.what for one in found if one.what.endswith(("respected", "seen"))]
    assert respected == ["HorizontalPodAutoscaler is respected", "cluster-autoscaler is seen"]


def test_f21_the_doctor_says_where_nobody_answers(world, cloud):
    """One check with the mend, and no more calls."""
    world.api.fail("get /version", 503)
    (found,) = cloud.examine()
    assert (found.ok, "kubectl get --raw /version" in found.mend) == (False, True)


def test_the_doctor_cannot_tell_what_it_may_not_ask(world, cloud):
    """A review that fails is neither right nor wrong."""
    world.api.fail("create authorization.k8s.io/selfsubjectaccessreviews", 500)
    assert [one.ok for one in cloud.examine() if one.what.startswith("may ")].count(None) == 1
