"""Faults at managed instance groups: pages, replies, operations, capacity, zones, other hands."""

from __future__ import annotations

import contextvars
import threading
from datetime import UTC, datetime, timedelta

import pytest
from google.auth.credentials import AnonymousCredentials

from autoscaler import google_cloud, transport
from autoscaler.clock import SetClock
from autoscaler.connections import GoogleProvider
from autoscaler.errors import (
    Denied,
    InsufficientCapacity,
    Invalid,
    NotFound,
    Stale,
    Temporary,
    Unreachable,
)
from autoscaler.google_cloud import client
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers import google
from autoscaler.providers.google.api import Compute
from autoscaler.providers.google.places import Place
from autoscaler.transport import CHANGING, Careful
from policies.plan import Guard
from tests.google_api.routes import Fault, RefusedError
from tests.google_api.server import serving

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
WEB = "mig/us-central1-a/web"
SHOP = "mig/europe-west1/shop"
STOCKOUT = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "The zone does not have enough resources."}
QUOTA = {"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded. Limit: 24.0 in region us-central1."}
BOTH = pytest.mark.parametrize("pool_id", [WEB, SHOP])
RESIZE, PATCH = "POST /zones/us-central1-a/instanceGroupManagers/web/resize", "PATCH /regions/europe-west1"
CALL = {WEB: RESIZE, SHOP: PATCH}


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
def clock():
    """A clock that is set."""
    return SetClock(START)


@pytest.fixture
def cloud(api, clock):
    """The provider over the project."""
    return connected(api, clock)


def connected(api, clock, **settings):
    """A new process' provider."""
    return google.connect(
        GoogleProvider(name="gcp", project=api.project, endpoint_url=api.url, **settings), clock
    )


def changes(api):
    """The calls that came to change something."""
    return [call for call in api.calls if not call.startswith("GET")]


def failed(api, pool_id, *errors, at=START, unstable=True):
    """Units of a group could not be made, at those times."""
    _, location, name = pool_id.split("/")
    api.groups[location, name]["status"]["isStable"] = not unstable
    api.failures[location, name] = [
        {
            "error": error,
            "timestamp": (at - timedelta(minutes=number)).isoformat(),
            "instanceActionDetails": {"action": "CREATING"},
        }
        for number, error in enumerate(errors)
    ]


def codes(pool, *, growth=False):
    """The obstacles of a pool that hold its shrinks (or growth too)."""
    return [one.code for one in pool.obstacles if not (growth and one.shrinks_only)]


@pytest.mark.parametrize("noun", ["instanceGroupManagers", "autoscalers"])
def test_f18_a_page_that_does_not_come_is_told(api, cloud, noun):
    """What came before stays, and a Gap says that there is more: no pool is listed without its autoscaler."""
    api.page = 1
    api.group("us-central1-b", "next", 2, scaler=(1, 5))
    unavailable = RefusedError(503, "backendError", "The service is unavailable.")
    api.faults.append(Fault(f"GET /aggregated/{noun}", unavailable, times=99, skip=1))
    pools, gaps = cloud.list()
    assert {gap.source for gap in gaps} == {"provider gcp"}
    assert {gap.code for gap in gaps} == {"PARTIAL"}
    assert any("page 2 did not come" in gap.why for gap in gaps)
    assert 1 <= len(pools) < 3
    assert all(pool.id == WEB or pool.lever for pool in pools)


def test_f18_pages_are_followed_to_the_end(api, cloud):
    """However small the pages are, every group is listed once."""
    api.page = 1
    for number in range(5):
        api.group("us-central1-b", f"g{number}", 2, scaler=(1, 5))
    pools, gaps = cloud.list()
    assert (len({pool.id for pool in pools}), len(pools), gaps) == (7, 7, ())


def test_f18_a_scope_that_does_not_answer_is_a_gap(api, cloud):
    """A zone out of reach hides its groups and no others, and is named."""
    api.unreachable.add("zones/us-central1-a")
    pools, gaps = cloud.list()
    assert [pool.id for pool in pools] == [SHOP]
    assert {gap.code for gap in gaps} == {"PARTIAL"}
    assert all("us-central1-a" in gap.why for gap in gaps)


def test_f19_a_read_is_tried_again_for_a_moment(api, cloud):
    """One 503 on the way to a listing is not seen; one that stays is Unreachable."""
    unavailable = RefusedError(503, "backendError", "The service is unavailable.")
    api.faults.append(Fault("GET /aggregated/instanceGroupManagers", unavailable))
    assert len(cloud.list()[0]) == 2
    api.faults.append(Fault("GET /aggregated/instanceGroupManagers", unavailable, times=99))
    with pytest.raises(Unreachable, match=r"compute\.instanceGroupManagers\.list"):
        cloud.list()


@BOTH
def test_f40_a_change_is_never_tried_again_by_itself(api, cloud, pool_id):
    """503 to a change may hide that it was done: it is sent once, and its outcome is in doubt."""
    version = cloud.read(pool_id).version
    api.faults.append(Fault(CALL[pool_id], RefusedError(503, "backendError", "Unavailable.")))
    with pytest.raises(Unreachable):
        cloud.resize(pool_id, 6, version=version, key="k1")
    assert len(changes(api)) == 1


def test_f20_a_proxys_page_is_no_answer(api, cloud):
    """HTML with 200 is Unreachable, not an empty list."""
    api.faults.append(Fault("GET /aggregated", page="<html>log in</html>", times=9))
    with pytest.raises(Unreachable, match="not one of this API"):
        cloud.list()


def test_f21_a_server_that_is_not_there_is_unreachable(clock):
    """A port that nobody listens on is Unreachable."""
    with serving() as gone:
        settings = GoogleProvider(name="gcp", project="shop", endpoint_url=gone.url)
    with pytest.raises(Unreachable):
        google.connect(settings, clock).list()


@pytest.mark.parametrize("error", [STOCKOUT, QUOTA])
def test_f38_an_operation_that_finds_no_units(api, cloud, error):
    """An operation that is accepted and ends for want of units or quota is InsufficientCapacity."""
    before = cloud.read(WEB)
    api.operation_errors = [error]
    with pytest.raises(InsufficientCapacity, match=error["code"]):
        cloud.resize(WEB, 6, version=before.version, key="k1")
    assert cloud.read(WEB) == before


def test_f39_a_quota_that_is_reached_is_told_at_once(api, cloud):
    """Quota refused at the call is InsufficientCapacity with the quota's name, and rests long."""
    api.faults.append(Fault(RESIZE, RefusedError(403, "quotaExceeded", "Quota 'CPUS' exceeded.")))
    with pytest.raises(InsufficientCapacity, match="CPUS") as caught:
        cloud.resize(WEB, 6, version=cloud.read(WEB).version, key="k1")
    assert caught.value.retry_after == 900
    assert len(changes(api)) == 1


def test_an_operation_that_ends_otherwise_is_invalid(api, cloud):
    """Any other error of an operation is Invalid and says what the API said."""
    api.operation_errors = [{"code": "INVALID_USAGE", "message": "The template is gone."}]
    with pytest.raises(Invalid, match=r"The template is gone\. \(INVALID_USAGE\)"):
        cloud.resize(WEB, 6, version=cloud.read(WEB).version, key="k1")


@BOTH
def test_f38_a_group_that_waits_for_units_is_not_asked_for_more(api, clock, cloud, pool_id):
    """While units could not be had for a quarter of an hour growth is refused uncalled; shrinking is not."""
    failed(api, pool_id, STOCKOUT)
    pool = cloud.read(pool_id)
    assert codes(pool) == [Guard.IN_FLIGHT, Guard.UNREADY]
    assert codes(pool, growth=True) == []
    with pytest.raises(InsufficientCapacity, match="not called: The zone does not have enough"):
        cloud.resize(pool_id, 6, version=pool.version, key="k1")
    assert changes(api) == []
    assert cloud.resize(pool_id, 3, version=pool.version, key="k2").desired == 3
    clock.advance(901)
    assert cloud.resize(pool_id, 6, version=cloud.read(pool_id).version, key="k3").desired == 6


@BOTH
@pytest.mark.parametrize("again", ["the same process", "another process"])
def test_f40_a_lost_reply_is_in_doubt_and_done_once(api, clock, cloud, pool_id, again):
    """The call was done and its reply lost: Unreachable; with the same key nothing is done twice."""
    version = cloud.read(pool_id).version
    api.faults.append(Fault(CALL[pool_id], lost="after"))
    with pytest.raises(Unreachable):
        cloud.resize(pool_id, 6, version=version, key="k1")
    assert cloud.read(pool_id).desired == 6
    repeater = cloud if again == "the same process" else connected(api, clock)
    if repeater is cloud or pool_id == SHOP:  # the autoscaler keeps the key, a plain group does not
        assert repeater.resize(pool_id, 6, version=version, key="k1").desired == 6
    else:
        with pytest.raises(Stale):
            repeater.resize(pool_id, 6, version=version, key="k1")
    assert len(changes(api)) == 1


@BOTH
def test_f40_a_call_that_never_arrived_may_be_made_again(api, cloud, pool_id):
    """Lost before it was done: Unreachable, nothing changed; with the same key it is then done, once."""
    before = cloud.read(pool_id)
    api.faults.append(Fault(CALL[pool_id], lost="before"))
    with pytest.raises(Unreachable):
        cloud.resize(pool_id, 6, version=before.version, key="k1")
    assert cloud.read(pool_id) == before
    assert cloud.resize(pool_id, 6, version=before.version, key="k1").desired == 6
    assert len(api.operations) == 1


@BOTH
def test_f40_an_operation_that_is_not_done_soon_is_in_doubt(api, clock, cloud, pool_id):
    """Accepted and still pending after 2 s: Unreachable, so that reading settles it; nothing waits longer."""
    api.polls = 99
    with pytest.raises(Unreachable, match="is accepted, and was not done within 2 s"):
        cloud.resize(pool_id, 6, version=cloud.read(pool_id).version, key="k1")
    assert clock.now() - START <= timedelta(seconds=2.1)
    assert api.count("/operations/") == 4


@BOTH
def test_f40_an_accepted_call_is_never_told_as_refused(api, cloud, pool_id):
    """Denied to look at the operation, the change is in doubt, not denied: it was accepted."""
    api.denied |= {"compute.zoneOperations.get", "compute.regionOperations.get"}
    with pytest.raises(Unreachable, match=r"is accepted.*Operations\.get is needed"):
        cloud.resize(pool_id, 6, version=cloud.read(pool_id).version, key="k1")
    assert cloud.read(pool_id).desired == 6


@BOTH
def test_f40_done_and_unreadable_is_in_doubt(api, cloud, pool_id):
    """Where the pool cannot be read after its change the outcome is in doubt, whatever the reason."""
    version = cloud.read(pool_id).version
    _, location, name = pool_id.split("/")
    gone = RefusedError(404, "notFound", "gone")
    api.faults.append(
        Fault(f"/{location}/instanceGroupManagers/{name}", gone, skip=1 if pool_id == SHOP else 2)
    )
    with pytest.raises(Unreachable, match="it is done, and cannot be read"):
        cloud.resize(pool_id, 6, version=version, key="k1")


def test_f43_a_reading_that_lags_does_not_hide_what_was_done(api, cloud):
    """Done is done: the answer has the new size, though the group still reads as before."""
    version = cloud.read(WEB).version
    api.lag = 1
    assert cloud.resize(WEB, 6, version=version, key="k1").desired == 6
    assert cloud.read(WEB).desired == 6
    assert len(changes(api)) == 1


def test_f43_units_on_the_way_hold_shrinks(api, cloud):
    """Until the group is stable again its units are in flight and are not counted as ready."""
    after = cloud.resize(WEB, 6, version=cloud.read(WEB).version, key="k1")
    assert (after.ready_units, codes(after), codes(after, growth=True)) == (4, [Guard.IN_FLIGHT], [])
    assert after.obstacles[0].why == "2 creating"
    assert codes(cloud.list()[0][1]) == [Guard.IN_FLIGHT]
    api.settle("us-central1-a", "web")
    settled = cloud.read(WEB)
    assert (settled.ready_units, settled.obstacles) == (6, ())


@pytest.mark.parametrize("status", [409, 412])
def test_f47_a_conflict_is_stale(api, cloud, status):
    """A conflict told by the API is Stale: it is read and decided anew, never sent again."""
    api.faults.append(Fault(RESIZE, RefusedError(status, "conditionNotMet", "Fingerprint does not match.")))
    with pytest.raises(Stale, match="Fingerprint"):
        cloud.resize(WEB, 6, version=cloud.read(WEB).version, key="k1")
    assert len(changes(api)) == 1


def test_f49_credentials_that_do_not_serve_name_the_mend(api, cloud, tmp_path, clock):
    """401, and a file that holds no key, are Denied and say what to do."""
    api.faults.append(Fault("GET /aggregated", RefusedError(401, "authError", "Invalid Credentials")))
    with pytest.raises(Denied, match="name a credentials_file"):
        cloud.list()
    for text in (None, "{}", "not json"):
        file = tmp_path / "key.json"
        if text is not None:
            file.write_text(text)
        with pytest.raises(Denied, match=r"key\.json holds no key of a service account"):
            google.connect(GoogleProvider(name="gcp", project="shop", credentials_file=str(file)), clock)


def test_f48_an_api_that_is_not_enabled_is_no_missing_permission(api, cloud):
    """Where the API is off in the project the mend is to enable it, and no permission is blamed."""
    why = "Compute Engine API has not been used in project shop before or it is disabled."
    api.faults.append(Fault("GET /aggregated", RefusedError(403, "accessNotConfigured", why)))
    with pytest.raises(Denied, match=r"enable the API in that project$"):
        cloud.list()


def test_f49_no_credentials_at_all(monkeypatch, tmp_path):
    """Where the environment gives none it is Denied, and names the mend."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(Denied, match="name a credentials_file"):
        client("ZonesClient")


@BOTH
def test_f50_a_group_that_was_deleted_is_not_found(api, cloud, pool_id):
    """Deleted under us: NotFound, and it is in no list; nothing else is disturbed."""
    version = cloud.read(pool_id).version
    _, location, name = pool_id.split("/")
    del api.groups[location, name]
    with pytest.raises(NotFound):
        cloud.resize(pool_id, 6, version=version, key="k1")
    assert pool_id not in {pool.id for pool in cloud.list()[0]}


def test_f50_an_autoscaler_that_was_just_deleted_hides_no_group(api, cloud):
    """The group says it has one that is gone: it is left out and told, never taken for one without."""
    api.scalers.clear()
    pools, gaps = cloud.list()
    assert [pool.id for pool in pools] == [WEB]
    assert ["is left out: its autoscaler shop-as was not told" in gap.why for gap in gaps] == [True]
    with pytest.raises(Temporary):
        cloud.read(SHOP)


def test_f50_marks_that_were_taken_off_leave_the_floor_alone(api, cloud):
    """With the description cleared by someone else nothing is given back."""
    cloud.resize(SHOP, 8, version=cloud.read(SHOP).version, key="k1")
    api.scalers["europe-west1", "shop-as"]["description"] = ""
    pool = cloud.read(SHOP)
    assert ORIGINAL_SIZE not in pool.labels
    assert cloud.release(SHOP, version=pool.version, key="k2").desired == 8


def test_f56_a_zone_that_is_down_holds_its_shrinks(api, cloud):
    """Groups of a zone that is down, or spread over it, do not shrink; others do."""
    api.down.add("us-central1-a")
    api.group("us-central1", "wide", 6)
    found = {pool.id: codes(pool) for pool in cloud.list()[0]}
    impaired = [Guard.ZONE_IMPAIRED]
    assert found == {WEB: impaired, "mig/us-central1/wide": impaired, SHOP: []}
    assert codes(cloud.read(WEB)) == impaired


@pytest.mark.parametrize(("errors", "holds"), [(2, False), (3, True)])
def test_f57_units_that_can_never_be_made_stop_the_growth(api, clock, cloud, errors, holds):
    """Three units that failed within an hour hold the group both ways, with the API's own words."""
    bad = {"code": "RESOURCE_NOT_FOUND", "message": "The image 'web-7' was not found"}
    failed(api, WEB, *[bad] * errors)
    pool = cloud.read(WEB)
    assert (codes(pool, growth=True) == [Guard.UNREADY]) is holds
    assert any("web-7" in one.why for one in pool.obstacles) is holds
    clock.advance(3600)
    assert codes(cloud.read(WEB), growth=True) == []


def test_f57_errors_are_only_asked_for_where_something_is_wrong(api, cloud):
    """A group that is stable is read in one call, whatever failed in it before."""
    failed(api, WEB, STOCKOUT, unstable=False)
    cloud.list()
    api.calls.clear()
    assert cloud.read(WEB).obstacles == ()
    assert len(api.calls) == 1


def test_f38_careful_rests_a_pool_without_units(api, cloud, clock):
    """Behind Careful, a stockout keeps the pool from being asked to grow again, and other pools go on."""
    careful = Careful(cloud, clock)
    api.operation_errors = [STOCKOUT]
    with pytest.raises(InsufficientCapacity):
        careful.resize(WEB, 6, version=careful.read(WEB).version, key="k1")
    asked = len(changes(api))
    with pytest.raises(InsufficientCapacity, match="not called"):
        careful.resize(WEB, 6, version=careful.read(WEB).version, key="k2")
    assert len(changes(api)) == asked
    assert careful.resize(SHOP, 6, version=careful.read(SHOP).version, key="k3").desired == 6


@BOTH
def test_f40_a_change_whose_credentials_took_too_long_is_not_sent(api, monkeypatch, pool_id):
    """What was given up while its credentials were renewed never leaves; the same change in time does."""
    given_up, late = threading.Event(), []

    class Slow(AnonymousCredentials):
        def before_request(self, _request, method, _url, _headers):
            if late and method != "GET":
                given_up.set()

    monkeypatch.setattr(google_cloud, "_anonymous", Slow)
    compute = Compute(GoogleProvider(name="gcp", project=api.project, endpoint_url=api.url))
    place = Place(*pool_id.split("/")[1:])

    def change(request_id):
        if pool_id == WEB:
            return compute.resize(place, 6, request_id)
        policy = {"autoscaling_policy": {"min_num_replicas": 5}}
        return compute.patch_autoscaler(Place(place.location, "shop-as"), policy, request_id)

    asked = contextvars.copy_context()
    asked.run(transport._GIVEN_UP.set, given_up)
    asked.run(change, "3f8c2f6e-4a43-4c1e-9d3c-000000000001")
    sent = changes(api)
    assert len(sent) == 1
    late.append(True)
    with pytest.raises(Unreachable, match="not sent"):
        asked.run(change, "3f8c2f6e-4a43-4c1e-9d3c-000000000002")
    assert given_up.is_set()
    assert changes(api) == sent


def test_a_change_waits_no_longer_than_careful_does(api, clock, cloud):
    """The waits for an operation leave most of a change's deadline to its calls."""
    api.polls = 99
    with pytest.raises(Unreachable):
        cloud.resize(WEB, 6, version=cloud.read(WEB).version, key="k1")
    assert (clock.now() - START).total_seconds() < CHANGING.deadline_s / 2
