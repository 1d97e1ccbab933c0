"""What every provider of pools must do, held by managed instance groups over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler import providers
from autoscaler.clock import SetClock
from autoscaler.connections import GoogleProvider
from autoscaler.errors import Denied, Invalid, NotFound, Stale, Throttled
from autoscaler.ports import FREEZE, ORIGINAL_SIZE, Examines, Releases
from autoscaler.providers import google
from autoscaler.providers.google.places import Place
from autoscaler.providers.google.pools import request_id
from policies.plan import Guard
from tests.google_api.routes import Fault, RefusedError
from tests.google_api.server import serving

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
WEB = "mig/us-central1-a/web"  # four units without an autoscaler
SHOP = "mig/europe-west1/shop"  # six units beside an autoscaler of 4 to 10
BOTH = pytest.mark.parametrize("pool_id", [WEB, SHOP])


def connected(api, clock=None, **settings):
    """The provider over a server."""
    known = {"name": "gcp", "project": api.project, "endpoint_url": api.url, "lead_time_s": 120}
    return google.connect(GoogleProvider(**{**known, **settings}), clock or SetClock(START))


@pytest.fixture
def api():
    """A project with a zonal group, and a regional one beside an autoscaler; no call may be undeclared."""
    with serving() as found:
        found.group("us-central1-a", "web", 4)
        found.group("europe-west1", "shop", 6, scaler=(4, 10))
        yield found
    assert found.strangers == []
    assert found.used <= {*google.PERMISSIONS, *google.ACTING}


@pytest.fixture
def cloud(api):
    """The provider over the project."""
    return connected(api)


def resized(cloud, pool_id, size, key):
    """Resize from what is read now."""
    return cloud.resize(pool_id, size, version=cloud.read(pool_id).version, key=key)


def test_the_provider_says_what_it_can_and_needs(cloud):
    """It is found by its name, has a manual page, and has the ports that it says it has."""
    assert providers.load("google") is google
    assert google.__doc__
    assert google.CAPABILITIES == ("pools", "examine", "release")
    assert isinstance(cloud, Examines)
    assert isinstance(cloud, Releases)


def test_the_declared_permissions_are_those_that_are_used(api, cloud):
    """Reading needs every one of PERMISSIONS and none besides; acting every one of ACTING."""
    for number in range(2):
        api.instance("us-central1-a", f"dev-{number}", pool="dev", status=("RUNNING", "TERMINATED")[number])
    cloud = connected(api, kinds=("mig", "gce"))
    cloud.list()
    assert {cloud.read(WEB).id, cloud.read(SHOP).id} == {WEB, SHOP}
    assert api.used == set(google.PERMISSIONS)
    api.used.clear()
    resized(cloud, WEB, 5, "k1")
    resized(cloud, SHOP, 5, "k2")
    resized(cloud, "gce/dev", 2, "k3")
    api.settle_instances()
    resized(cloud, "gce/dev", 1, "k4")
    assert api.used - set(google.PERMISSIONS) == set(google.ACTING)


@BOTH
def test_a_pool_is_read_as_it_is_listed(cloud, pool_id):
    """`read` and `list` tell the same of a pool, in the provider's own name."""
    pools, gaps = cloud.list()
    assert [pool.id for pool in pools] == [SHOP, WEB]
    assert cloud.read(pool_id) == next(pool for pool in pools if pool.id == pool_id)
    assert {pool.provider for pool in pools} == {"gcp"}
    assert gaps == ()


def test_the_size_and_the_floor(cloud):
    """Without an autoscaler `desired` is the size; beside one it is its floor, and the lever names it."""
    shop, web = cloud.list()[0]
    assert (web.desired, web.minimum, web.maximum, web.lever) == (4, 0, 1000, "")
    assert (shop.desired, shop.minimum, shop.maximum) == (4, 0, 10)
    assert shop.lever == "minNumReplicas of autoscaler shop-as"
    assert (dict(web.ready), dict(shop.ready)) == ({"us-central1-a": 4}, {"europe-west1": 6})
    assert (web.lead_time_s, web.obstacles, shop.obstacles) == (120, (), ())


def test_a_resize_sets_the_size_or_the_floor(api, cloud):
    """A group is resized, an autoscaler's floor is patched; the one is never done to the other."""
    assert resized(cloud, WEB, 6, "k1").desired == 6
    assert resized(cloud, SHOP, 8, "k2").desired == 8
    assert api.groups["us-central1-a", "web"]["targetSize"] == 6
    policy = api.scalers["europe-west1", "shop-as"]["autoscalingPolicy"]
    assert (policy["minNumReplicas"], policy["maxNumReplicas"]) == (8, 10)
    assert [call for call in api.calls if not call.startswith("GET")] == [
        "POST /zones/us-central1-a/instanceGroupManagers/web/resize",
        "PATCH /regions/europe-west1/autoscalers",
    ]


@BOTH
@pytest.mark.parametrize("size", [-1, 2001, 5.0, True])
def test_sizes_outside_the_bounds_are_refused_before_the_call(api, cloud, pool_id, size):
    """What is outside the group's bounds is Invalid, nothing is called, and the key stays free."""
    before = cloud.read(pool_id)
    with pytest.raises(Invalid):
        cloud.resize(pool_id, size, version=before.version, key="k1")
    assert all(call.startswith("GET") for call in api.calls)
    assert cloud.read(pool_id) == before
    assert cloud.resize(pool_id, 5, version=before.version, key="k1").desired == 5


def test_the_autoscalers_maximum_binds(api, cloud):
    """The floor does not go above the maximum, unless raising it is allowed; then both go, and come back."""
    with pytest.raises(Invalid, match=r"11 is outside 0\.\.10"):
        resized(cloud, SHOP, 11, "k1")
    raising = connected(api, raise_maximum=True)
    assert resized(raising, SHOP, 12, "k2").desired == 12
    assert resized(raising, SHOP, 14, "k3").desired == 14
    policy = api.scalers["europe-west1", "shop-as"]["autoscalingPolicy"]
    assert (policy["minNumReplicas"], policy["maxNumReplicas"]) == (14, 14)
    raising.release(SHOP, version=raising.read(SHOP).version, key="k4")
    assert api.scalers["europe-west1", "shop-as"]["autoscalingPolicy"] == {
        "mode": "ON",
        "minNumReplicas": 4,
        "maxNumReplicas": 10,
    }


@BOTH
def test_f40_the_same_key_changes_once(api, cloud, pool_id):
    """A call repeated with its key changes nothing and answers as the first time, whatever came since."""
    version = cloud.read(pool_id).version
    first = cloud.resize(pool_id, 6, version=version, key="k1")
    resized(cloud, pool_id, 7, "k2")
    asked = len(api.calls)
    assert cloud.resize(pool_id, 6, version=version, key="k1") == first
    assert len(api.calls) == asked
    assert cloud.read(pool_id).desired == 7


@BOTH
def test_a_key_belongs_to_one_wish(cloud, pool_id):
    """The same key with another size is Invalid, and nothing changes; so is no key at all."""
    resized(cloud, pool_id, 6, "k1")
    before = cloud.read(pool_id)
    for size, key in ((7, "k1"), (7, "")):
        with pytest.raises(Invalid):
            cloud.resize(pool_id, size, version=before.version, key=key)
    assert cloud.read(pool_id) == before


def test_f41_a_key_belongs_to_one_wish_after_a_restart(api, cloud):
    """The autoscaler keeps the last key and its size: a new process refuses that key for another size."""
    resized(cloud, SHOP, 6, "k1")
    with pytest.raises(Invalid, match="the key k1 was used for 6 units, not 7"):
        resized(connected(api), SHOP, 7, "k1")
    assert cloud.read(SHOP).desired == 6


def test_f41_a_request_id_is_of_the_key_alone():
    """The same key has the same request id, whatever the size; another key, pool or project another."""
    place = Place("us-central1-a", "web")
    assert request_id("p", place, "k") == request_id("p", place, "k")
    others = {
        request_id("q", place, "k"),
        request_id("p", place, "l"),
        request_id("p", Place("us-central1-b", "web"), "k"),
    }
    assert len(others | {request_id("p", place, "k")}) == 4


@BOTH
def test_a_version_that_moved_is_stale(cloud, pool_id):
    """A wish made from an older picture is refused, nothing is changed; each change moves the version."""
    old = cloud.read(pool_id).version
    new = resized(cloud, pool_id, 6, "k1").version
    assert new != old
    for version in (old, ""):
        with pytest.raises(Stale):
            cloud.resize(pool_id, 7, version=version, key="k2")
    assert cloud.read(pool_id).desired == 6
    assert cloud.resize(pool_id, 7, version=new, key="k2").desired == 7


@BOTH
def test_f45_another_hand_moves_the_version(api, cloud, pool_id):
    """Size, bounds or a new template that someone else sets make our plan void."""
    _, location, name = pool_id.split("/")
    group, scaler = api.groups[location, name], api.scalers.get((location, f"{name}-as"))
    changes = [lambda: group.update(instanceTemplate="other")]
    if scaler is None:
        changes.append(lambda: group.update(targetSize=9))
    else:
        changes.append(lambda: scaler["autoscalingPolicy"].update(maxNumReplicas=9))
        changes.append(lambda: scaler["autoscalingPolicy"].update(minNumReplicas=2))
    for number, change in enumerate(changes):
        version = cloud.read(pool_id).version
        change()
        with pytest.raises(Stale):
            cloud.resize(pool_id, 7, version=version, key=f"k{number}")
    assert all(call.startswith("GET") for call in api.calls)


def test_an_autoscalers_own_resizing_is_no_other_hand(api, cloud):
    """Beside an autoscaler the size moves by itself: the floor stays ours to set."""
    version = cloud.read(SHOP).version
    api.groups["europe-west1", "shop"].update(targetSize=9, fingerprint="f7", currentActions={"none": 9})
    assert cloud.read(SHOP).version == version
    assert cloud.resize(SHOP, 5, version=version, key="k1").desired == 5


@BOTH
def test_the_present_size_is_no_change(api, cloud, pool_id):
    """Asking for the size it has calls nothing that changes, and moves no version."""
    before = cloud.read(pool_id)
    assert cloud.resize(pool_id, 4, version=before.version, key="k1") == before
    assert all(call.startswith("GET") for call in api.calls)


@pytest.mark.parametrize(
    "pool_id", ["mig/us-central1-a/wbe", "mig/mars/web", "asg/web", "web", "mig/us-central1-a/"]
)
def test_a_pool_that_is_not_there_is_not_found(cloud, pool_id):
    """Reading or resizing what is not there, or what is no id of ours, is NotFound."""
    with pytest.raises(NotFound):
        cloud.read(pool_id)
    with pytest.raises(NotFound):
        cloud.resize(pool_id, 4, version="1", key="k1")


@BOTH
def test_a_rehearsal_changes_nothing_and_refuses_alike(api, cloud, pool_id):
    """This API cannot rehearse: False; what we would refuse ourselves is refused, and nothing is changed."""
    before = cloud.read(pool_id)
    assert cloud.rehearse(pool_id, 6, version=before.version) is False
    for size, version, error in ((5000, before.version, Invalid), (6, "0", Stale)):
        with pytest.raises(error):
            cloud.rehearse(pool_id, size, version=version)
    assert all(call.startswith("GET") for call in api.calls)
    assert cloud.read(pool_id) == before


def test_the_first_floor_stays_on_the_autoscaler(api, cloud):
    """The floor before our first change is written in the description, among what its owner wrote there."""
    scaler = api.scalers["europe-west1", "shop-as"]
    scaler["description"] = "made by the shop team"
    for number, size in enumerate((6, 8, 5)):
        resized(cloud, SHOP, size, f"k{number}")
    assert cloud.read(SHOP).labels == {ORIGINAL_SIZE: "4"}
    assert "made by the shop team" in scaler["description"].splitlines()


def test_release_gives_the_floor_back(api, cloud):
    """The floor and the description are as they were; a second release is nothing, as is one unchanged."""
    scaler = api.scalers["europe-west1", "shop-as"]
    scaler["description"] = "made by the shop team"
    untouched = cloud.read(SHOP)
    assert cloud.release(SHOP, version=untouched.version, key="k0") == untouched
    resized(cloud, SHOP, 8, "k1")
    with pytest.raises(Stale):
        cloud.release(SHOP, version=untouched.version, key="k2")
    after = cloud.release(SHOP, version=cloud.read(SHOP).version, key="k2")
    assert (after.desired, dict(after.labels)) == (4, {})
    assert scaler["description"] == "made by the shop team"
    assert cloud.release(SHOP, version=after.version, key="k3").desired == 4


def test_a_plain_group_is_released_to_a_size_that_is_told(cloud):
    """Nothing can be written on it: without its first size that is Invalid, with it the size is set."""
    resized(cloud, WEB, 6, "k1")
    version = cloud.read(WEB).version
    with pytest.raises(Invalid, match="its first size is not written on it"):
        cloud.release(WEB, version=version, key="k2")
    assert cloud.release(WEB, version=version, key="k2", original=4).desired == 4


def test_a_mark_that_is_no_size_is_not_guessed(api, cloud):
    """A spoiled mark is Invalid and names the autoscaler; the floor stays."""
    scaler = api.scalers["europe-west1", "shop-as"]
    scaler["description"] = f"{ORIGINAL_SIZE}=four"
    with pytest.raises(Invalid, match=r"autoscaler shop-as: .*=four"):
        cloud.release(SHOP, version=cloud.read(SHOP).version, key="k1")
    assert scaler["autoscalingPolicy"]["minNumReplicas"] == 4


@BOTH
def test_a_freeze_is_read_and_moves_no_version(api, cloud, pool_id):
    """A freeze as a line of a description or as an instances' label is shown."""
    _, location, name = pool_id.split("/")
    version = cloud.read(pool_id).version
    group = api.groups[location, name]
    group["description"] = f"{FREEZE} = migration of Tuesday"
    assert cloud.read(pool_id).labels == {FREEZE: "migration of Tuesday"}
    group.update(description="", allInstancesConfig={"properties": {"labels": {"loadline-freeze": ""}}})
    assert cloud.read(pool_id).labels[FREEZE] == "loadline-freeze"
    assert cloud.read(pool_id).version == version


@pytest.mark.parametrize(("permission", "pool_id"), [(name, WEB) for name in google.PERMISSIONS])
def test_a_denied_listing_names_the_permission(api, cloud, permission, pool_id):
    """Without a right to read the listing, or the reading, is Denied and names the right; zones are a Gap."""
    api.denied.add(permission)
    cloud = connected(api, kinds=("mig", "gce"))
    if permission == "compute.zones.list":
        pools, gaps = cloud.list()
        assert len(pools) == 2
        assert [gap.code for gap in gaps] == ["PARTIAL"]
        assert permission in gaps[0].why
        return
    of_instances = permission == "compute.instances.list"  # whose listing is a gap beside the groups
    asked = ["gce/dev"] if of_instances else [WEB, SHOP]
    listed = permission.endswith("list") and not of_instances
    with pytest.raises(Denied, match=permission.replace(".", r"\.")):
        cloud.list() if listed else [cloud.read(one) for one in asked]


@pytest.mark.parametrize(
    ("permission", "pool_id"),
    [("compute.instanceGroupManagers.update", WEB), ("compute.autoscalers.update", SHOP)],
)
def test_f48_a_denied_change_names_the_permission(api, cloud, permission, pool_id):
    """Without a right to change, a resize is Denied, names the right, and has changed nothing."""
    api.denied.add(permission)
    before = cloud.read(pool_id)
    with pytest.raises(Denied, match=f"permission {permission} is needed"):
        cloud.resize(pool_id, 6, version=before.version, key="k1")
    assert cloud.read(pool_id) == before


@pytest.mark.parametrize("error", [(429, "rateLimitExceeded"), (403, "rateLimitExceeded")])
def test_f37_throttling_says_how_long(api, cloud, error):
    """Too many calls are Throttled with the time that the server asks for, and are not tried again by us."""
    refusal = RefusedError(*error, "Quota exceeded for quota metric 'Queries'", Retry_After=17)
    api.faults.append(Fault("GET /aggregated", refusal, times=5))
    with pytest.raises(Throttled) as caught:
        cloud.list()
    assert caught.value.retry_after == 17
    assert len(api.calls) == 1


def test_500_groups_are_one_page_of_each(api, cloud):
    """Observing 500 groups with autoscalers takes three calls; 1,001 groups take seven."""
    for number in range(498):
        api.group("us-central1-b", f"g{number}", 2, scaler=(1, 5))
    pools, gaps = cloud.list()
    assert (len(pools), gaps, len(api.calls)) == (500, (), 3)
    for number in range(501):
        api.group("us-central1-c", f"g{number}", 2, scaler=(1, 5))
    api.calls.clear()
    pools, gaps = cloud.list()
    assert (len(pools), gaps, len(api.calls)) == (1001, (), 3 + 2 + 1)


def test_no_autoscaler_is_asked_for_where_there_is_none(api, cloud):
    """Groups tell whether they have an autoscaler: without any, none are listed."""
    del api.groups["europe-west1", "shop"]
    assert len(cloud.list()[0]) == 1
    assert api.count("autoscalers") == 0


def test_only_the_locations_that_are_named(api):
    """With locations only groups of those zones and regions are listed, and only their gaps told."""
    api.unreachable.add("zones/us-central1-b")
    pools, gaps = connected(api, locations=("europe-west1",)).list()
    assert ([pool.id for pool in pools], gaps) == ([SHOP], ())


@pytest.mark.parametrize(
    ("mode", "desired", "guards"), [("ONLY_SCALE_OUT", 4, [Guard.SUSPENDED]), ("OFF", 6, [])]
)
def test_the_modes_of_an_autoscaler(api, cloud, mode, desired, guards):
    """One that only scales out holds shrinks; one that is off leaves the size to us, within its bounds."""
    api.scalers["europe-west1", "shop-as"]["autoscalingPolicy"]["mode"] = mode
    pool = cloud.read(SHOP)
    assert (pool.desired, bool(pool.lever)) == (desired, mode != "OFF")
    assert [one.code for one in pool.obstacles] == guards
    assert all(one.shrinks_only for one in pool.obstacles)
    assert resized(cloud, SHOP, 9, "k1").desired == 9
    with pytest.raises(Invalid):
        resized(cloud, SHOP, 11, "k2")


@pytest.mark.parametrize(
    ("limit", "step"), [({"fixed": 2}, 2), ({"percent": 50}, 2), ({"percent": 1}, 1), ({}, None)]
)
def test_scale_in_controls_limit_a_shrink(api, cloud, limit, step):
    """The owner's scale-in control is the pool's largest step down: a share of the floor, at least a unit."""
    policy = api.scalers["europe-west1", "shop-as"]["autoscalingPolicy"]
    policy["scaleInControl"] = {"maxScaledInReplicas": limit, "timeWindowSec": 600}
    assert cloud.read(SHOP).maximum_step_in == step
