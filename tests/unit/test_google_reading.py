"""What the API tells of a group, as what may be done to a pool."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler.clock import SetClock
from autoscaler.connections import GoogleProvider
from autoscaler.errors import Owned
from autoscaler.ports import FREEZE, ORIGINAL_SIZE
from autoscaler.providers import google
from autoscaler.providers.google import api as calls
from autoscaler.providers.google import marks, pools
from policies.plan import Guard
from tests.google_api.server import serving

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
WEB = "mig/us-central1-a/web"
SHOP = "mig/europe-west1/shop"


@pytest.fixture
def api():
    """A project with a zonal group, and a regional one beside an autoscaler."""
    with serving() as found:
        found.group("us-central1-a", "web", 4)
        found.group("europe-west1", "shop", 6, scaler=(4, 10))
        yield found


@pytest.fixture
def cloud(api):
    """The provider over the project."""
    settings = GoogleProvider(name="gcp", project=api.project, endpoint_url=api.url)
    return google.connect(settings, SetClock(START))


def changes(api):
    """The calls that came to change something."""
    return [call for call in api.calls if not call.startswith("GET")]


def codes(pool, *, growth=False):
    """The obstacles of a pool that hold its shrinks (or growth too)."""
    return [one.code for one in pool.obstacles if not (growth and one.shrinks_only)]


def test_a_rolling_update_holds_shrinks(api, cloud):
    """A version that is being rolled out is DEPLOYING; an opportunistic one may stay mixed for ever."""
    group = api.groups["us-central1-a", "web"]
    group["status"]["versionTarget"]["isReached"] = False
    assert codes(cloud.read(WEB)) == []
    group["updatePolicy"]["type"] = "PROACTIVE"
    assert codes(cloud.read(WEB)) == [Guard.DEPLOYING]
    assert codes(cloud.read(WEB), growth=True) == []


def test_units_with_state_are_protected_from_shrinks(api, cloud):
    """A stateful group may grow, and does not shrink."""
    api.groups["us-central1-a", "web"]["status"]["stateful"] = {"hasStatefulConfig": True}
    pool = cloud.read(WEB)
    assert (codes(pool), codes(pool, growth=True)) == ([Guard.PROTECTED], [])


def test_a_node_pools_group_is_its_clusters(api, cloud):
    """Kubernetes Engine sizes it: held both ways, and a resize is Owned without a call."""
    api.group("us-central1-a", "gke-shop-default-pool-1f2e3d4c-grp", 3)
    pool = cloud.read("mig/us-central1-a/gke-shop-default-pool-1f2e3d4c-grp")
    assert codes(pool, growth=True) == [Guard.OWNED]
    with pytest.raises(Owned, match="node pool"):
        cloud.resize(pool.id, 4, version=pool.version, key="k1")
    assert changes(api) == []


def test_an_autoscaler_that_is_being_deleted_holds_all(api, cloud):
    """Whose size it is will be told once it is gone."""
    api.scalers["europe-west1", "shop-as"]["status"] = "DELETING"
    assert codes(cloud.read(SHOP), growth=True) == [Guard.SUSPENDED]


@pytest.mark.parametrize("kind", ["ZONE_RESOURCE_STOCKOUT", "NOT_ENOUGH_QUOTA_AVAILABLE"])
def test_an_autoscaler_that_cannot_have_units_holds_shrinks(api, cloud, kind):
    """What the autoscaler says of a stockout or a quota is told with the listing, at no further call."""
    detail = {"type": kind, "message": "The zone is out of n2-standard-4."}
    api.scalers["europe-west1", "shop-as"]["statusDetails"] = [
        {"type": "CAPPED_AT_MAX_NUM_REPLICAS", "message": "capped"},
        detail,
    ]
    shop = cloud.list()[0][0]
    assert (codes(shop), codes(shop, growth=True)) == ([Guard.UNREADY], [])
    assert "n2-standard-4" in shop.obstacles[0].why


def test_an_autoscaler_in_error_holds_shrinks(api, cloud):
    """One whose configuration has errors may not hold its floor: nothing is taken from it."""
    scaler = api.scalers["europe-west1", "shop-as"]
    scaler.update(status="ERROR", statusDetails=[{"type": "CUSTOM_METRIC_INVALID", "message": "no metric"}])
    shop = cloud.read(SHOP)
    assert (codes(shop), codes(shop, growth=True)) == ([Guard.SUSPENDED], [])
    assert "no metric" in shop.obstacles[0].why


def test_a_floor_is_given_back_also_once_the_autoscaler_is_off(api, cloud):
    """Turned off, the first floor is no size of the group and is not shown as one; it is given back."""
    cloud.resize(SHOP, 8, version=cloud.read(SHOP).version, key="k1")
    api.settle("europe-west1", "shop")
    scaler = api.scalers["europe-west1", "shop-as"]
    scaler["autoscalingPolicy"]["mode"] = "OFF"
    pool = cloud.read(SHOP)
    assert (pool.desired, ORIGINAL_SIZE in pool.labels) == (8, False)
    assert cloud.release(SHOP, version=pool.version, key="k2").desired == 8
    assert (scaler["autoscalingPolicy"]["minNumReplicas"], scaler["description"]) == (4, "")


def test_a_group_that_is_larger_than_usual_has_the_raised_limit(api, cloud):
    """Google raises the limit of a group on request: one beyond the usual one may go as far."""
    api.group("us-central1", "wide", 2500)
    assert [pool.maximum for pool in cloud.list()[0]] == [10, 1000, 4000]


def test_a_renewed_key_of_a_service_account_counts(monkeypatch, tmp_path):
    """When the credentials' file is another, the next call is made with it; until then clients are kept."""
    made = []

    class Session:
        def __init__(self):
            self.hooks = {"response": []}

    class Client:
        def __init__(self):
            self.transport = type("Transport", (), {"_session": Session()})()

    def client(kind, **_):
        made.append(kind)
        return Client()

    monkeypatch.setattr(calls, "client", client)
    file = tmp_path / "key.json"
    file.write_text("old")
    compute = calls.Compute(GoogleProvider(name="gcp", project="shop", credentials_file=str(file)))
    compute._client("ZonesClient")
    compute._client("ZonesClient")
    assert made == ["InstanceGroupManagersClient", "ZonesClient"]
    file.write_text("renewed")
    compute._client("ZonesClient")
    assert made == ["InstanceGroupManagersClient", "ZonesClient", "ZonesClient"]


def test_a_share_of_the_size_moves_no_version(api, cloud):
    """What Google works out of the owner's scale-in control moves by itself; his own word counts."""
    control = {"maxScaledInReplicas": {"percent": 50, "calculated": 3}, "timeWindowSec": 600}
    policy = api.scalers["europe-west1", "shop-as"]["autoscalingPolicy"]
    policy["scaleInControl"] = control
    before = cloud.read(SHOP).version
    control["maxScaledInReplicas"]["calculated"] = 4
    assert cloud.read(SHOP).version == before
    control["maxScaledInReplicas"]["percent"] = 40
    assert cloud.read(SHOP).version != before


def test_f56_zones_that_are_not_known_hold_shrinks(api, cloud):
    """Without a right to ask for the zones nobody knows which are down: all may grow, and none shrinks."""
    assert [codes(pool) for pool in cloud.list()[0]] == [[], []]
    api.denied.add("compute.zones.list")
    found, _ = cloud.list()
    assert [codes(pool) for pool in found] == [[Guard.ZONE_IMPAIRED]] * 2
    assert [codes(pool, growth=True) for pool in found] == [[], []]
    assert codes(cloud.read(WEB)) == [Guard.ZONE_IMPAIRED]
    api.denied.clear()
    assert [codes(pool) for pool in cloud.list()[0]] == [[], []]


def test_f18_one_group_that_cannot_be_read_hides_no_other(cloud, monkeypatch):
    """It is a Gap with its id; the others are there."""
    sound = pools.pool_of

    def odd(group, *given, **more):
        if group.place.id == WEB:
            raise ValueError("no number")
        return sound(group, *given, **more)

    monkeypatch.setattr(pools, "pool_of", odd)
    found, gaps = cloud.list()
    assert [pool.id for pool in found] == [SHOP]
    assert [WEB in gap.why for gap in gaps] == [True]


def test_f67_a_freeze_on_the_instances_is_lifted_by_no_description():
    """A label that freezes and a description that does not, or the other way round: it is frozen."""
    for label, text in (("true", "false"), ("false", "migration")):
        told = marks.labels_of({"loadline-freeze": label}, f"shop\n{FREEZE}={text}")[FREEZE]
        assert told not in {"", "0", "false", "no", "off"}
        assert label in told
        assert text in told
    assert marks.labels_of({"loadline-freeze": "false"}, f"{FREEZE}=false")[FREEZE] == "false"
