"""What every provider of pools must do, held by instances of Google that are started and stopped."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.cloud import compute_v1

from autoscaler.clock import SetClock
from autoscaler.connections import GoogleProvider
from autoscaler.errors import (
    Denied,
    InsufficientCapacity,
    Invalid,
    NotFound,
    Owned,
    Stale,
    Temporary,
    Throttled,
    Unreachable,
)
from autoscaler.ports import FREEZE, ORIGINAL_SIZE
from autoscaler.providers import google
from autoscaler.providers.google import instances
from policies.plan import Guard
from tests.google_api.routes import Fault, RefusedError
from tests.google_api.server import serving

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
DEV = "gce/dev"  # three that run, and two that stand stopped
ZONES = ("us-central1-a", "us-central1-b")


def connected(api, kinds=("mig", "gce"), **settings):
    """The provider over a server."""
    known = {"name": "gcp", "project": api.project, "endpoint_url": api.url, "lead_time_s": 120}
    return google.connect(GoogleProvider(**known, kinds=kinds, **settings), SetClock(START))


@pytest.fixture
def api():
    """A project with five instances of a pool, one of another, one of none, and a group."""
    with serving() as found:
        for number in range(5):
            status = "RUNNING" if number < 3 else "TERMINATED"
            found.instance(ZONES[number % 2], f"dev-{number}", pool="dev", status=status, started=number)
        found.instance("us-central1-a", "ci-0", pool="ci", team="build")
        found.instance("us-central1-a", "alone")
        found.group("us-central1-a", "web", 4)
        yield found
    assert found.strangers == []
    assert found.used <= {*google.PERMISSIONS, *google.ACTING}


@pytest.fixture
def cloud(api):
    """The provider over the project."""
    return connected(api)


def resized(cloud, size, key):
    """Resize from what is read now."""
    return cloud.resize(DEV, size, version=cloud.read(DEV).version, key=key)


def states(api):
    """Whether each instance of the pool runs, or is about to."""
    return {
        name: one["status"] in {"RUNNING", "STAGING"}
        for (_, name), one in api.instances.items()
        if name.startswith("dev")
    }


def test_a_list_shows_each_pool_as_it_is_read(api, cloud):
    """All kinds that are asked for are listed, by id; what a list shows of a pool is what a reading shows."""
    pools, gaps = cloud.list()
    assert gaps == ()
    assert [pool.id for pool in pools] == ["gce/ci", DEV, "mig/us-central1-a/web"]
    for pool in pools:
        assert cloud.read(pool.id) == pool
    dev = pools[1]
    assert (dev.desired, dev.ready_units, dev.minimum, dev.maximum) == (3, 3, 0, 5)
    assert dict(dev.ready) == {"us-central1-a": 2, "us-central1-b": 1}
    assert pools[0].labels == {"loadline-pool": "ci", "team": "build"}
    assert [pool.id for pool in connected(api, kinds=("gce",)).list()[0]] == ["gce/ci", DEV]
    assert [pool.id for pool in connected(api, kinds=("mig",)).list()[0]] == ["mig/us-central1-a/web"]
    with pytest.raises(NotFound, match="add gce to `kinds`"):
        connected(api, kinds=("mig",)).read(DEV)


def test_a_list_takes_one_call_for_all_pools_of_instances(api):
    """However many pools there are, their instances are asked for page by page, once."""
    for number in range(40):
        api.instance("us-central1-a", f"more-{number}", pool=f"p{number}")
    connected(api, kinds=("gce",)).list()
    assert (api.count("/aggregated/instances"), len(api.calls)) == (1, 2)


def test_growth_starts_those_that_stand_stopped(api, cloud):
    """As many as are missing, by zone and name; they are desired at once, and ready when they run."""
    after = resized(cloud, 5, "k1")
    assert (after.desired, after.ready_units) == (5, 3)
    assert all(states(api).values())
    assert [(one.code, one.shrinks_only) for one in after.obstacles] == [(Guard.IN_FLIGHT, True)]
    api.settle_instances()
    assert cloud.read(DEV).ready_units == 5


def test_a_shrink_stops_the_newest(api, cloud):
    """What was started last is stopped first; it stays there to be started."""
    after = resized(cloud, 1, "k1")
    assert (after.desired, after.maximum) == (1, 5)
    assert [name for name, runs in states(api).items() if runs] == ["dev-0"]
    api.settle_instances()
    assert cloud.read(DEV).desired == 1
    assert resized(cloud, 0, "k2").desired == 0


def test_the_same_key_again_changes_nothing(api, cloud):
    """It is answered as the first time, also after the state moved; for another size it is refused."""
    version = cloud.read(DEV).version
    first = cloud.resize(DEV, 5, version=version, key="k1")
    api.settle_instances()
    calls = len(api.calls)
    assert cloud.resize(DEV, 5, version=version, key="k1") == first
    assert len(api.calls) == calls
    with pytest.raises(Invalid):
        cloud.resize(DEV, 4, version=version, key="k1")
    with pytest.raises(Invalid, match="key"):
        cloud.resize(DEV, 4, version=version, key="")


def test_a_stale_write_is_refused(api, cloud):
    """Somebody started one since: nothing is done. A rehearsal refuses the same, and changes nothing."""
    version = cloud.read(DEV).version
    assert cloud.rehearse(DEV, 5, version=version) is False
    api.instances["us-central1-b", "dev-3"]["status"] = "RUNNING"
    before = states(api)
    with pytest.raises(Stale):
        cloud.resize(DEV, 1, version=version, key="k1")
    with pytest.raises(Stale):
        cloud.rehearse(DEV, 1, version=version)
    assert states(api) == before


@pytest.mark.parametrize("size", [-1, 6, True, 2.0])
def test_a_size_that_there_is_not_is_refused(api, cloud, size):
    """There are as many as bear the label; nothing is called."""
    before = states(api)
    with pytest.raises(Invalid):
        resized(cloud, size, "k1")
    assert states(api) == before


def test_one_that_is_gone_is_not_found(cloud):
    """A name that no instance bears, or can bear: nothing of it gets into the filter."""
    with pytest.raises(NotFound, match="loadline-pool=absent"):
        cloud.read("gce/absent")
    for name in ("dev OR name:*", "", "a/b"):
        with pytest.raises(NotFound):
            cloud.read(f"gce/{name}")


def test_instances_of_a_group_are_not_ours(api, cloud):
    """A group would start them again: everything is held, and a resize refused."""
    api.instance("us-central1-a", "dev-9", pool="dev", group="web")
    (obstacle,) = cloud.read(DEV).obstacles
    assert (obstacle.code, obstacle.shrinks_only) == (Guard.OWNED, False)
    with pytest.raises(Owned, match="managed instance group web"):
        resized(cloud, 1, "k1")


def test_a_freeze_on_one_is_a_freeze_of_all(api, cloud):
    """The label of any instance holds its pool; other labels count where all have them."""
    api.instances["us-central1-b", "dev-1"]["labels"]["loadline-freeze"] = "release"
    assert cloud.read(DEV).labels[FREEZE] == "release"


def test_f18_where_something_was_not_told_no_pool_of_instances_is_shown(api, cloud):
    """A zone that does not answer may hold some of any pool: a smaller one would be taken for the whole."""
    api.unreachable = {"zones/us-central1-b"}
    pools, gaps = cloud.list()
    assert [pool.id for pool in pools] == ["mig/us-central1-a/web"]
    assert any("pools of instances" in gap.why for gap in gaps)
    with pytest.raises(Unreachable, match="us-central1-b"):
        cloud.read(DEV)
    api.unreachable, api.page = set(), 2
    api.faults = [
        Fault(where="/aggregated/instances", error=RefusedError(503, "backendError", "no"), skip=1, times=9)
    ]
    pools, _ = connected(api, kinds=("gce",)).list()
    assert pools == ()


def test_f48_a_refusal_names_the_permission(api, cloud):
    """The very right that lacks, of reading and of each change."""
    api.denied = {"compute.instances.start", "compute.instances.stop"}
    for size, right in ((5, "start"), (1, "stop")):
        with pytest.raises(Denied, match=f"compute.instances.{right}"):
            resized(cloud, size, f"k{size}")
    assert sum(states(api).values()) == 3
    api.denied = {"compute.instances.list"}
    with pytest.raises(Denied, match=r"compute\.instances\.list"):
        cloud.read(DEV)


def test_f37_where_some_are_refused_the_others_count(api, cloud):
    """One call fails, the other is done: the pool is between, and says so."""
    quota = RefusedError(403, "quotaExceeded", "Quota 'CPUS' exceeded.")
    api.faults = [Fault(where="dev-4/start", error=quota)]
    after = resized(cloud, 5, "k1")
    assert (after.desired, cloud.read(DEV).desired) == (4, 4)


def test_f38_where_there_are_no_units_it_is_told(api, cloud):
    """Every start is refused for want of units in the zone."""
    api.operation_errors = [{"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "no such units just now"}]
    api.instances.pop(("us-central1-a", "dev-4"))
    with pytest.raises(InsufficientCapacity):
        resized(cloud, 4, "k1")
    assert cloud.read(DEV).desired == 3


def test_f40_a_lost_reply_is_in_doubt_and_its_key_is_done_once(api, cloud):
    """What became of it is read; the same key again starts none twice."""
    version = cloud.read(DEV).version
    api.instances.pop(("us-central1-a", "dev-4"))
    version = cloud.read(DEV).version
    api.faults = [Fault(where="dev-3/start", lost="after")]
    with pytest.raises(Unreachable):
        cloud.resize(DEV, 4, version=version, key="k1")
    assert cloud.resize(DEV, 4, version=version, key="k1").desired == 4
    assert api.count("dev-3/start") == 1


def test_f41_throttling_is_told(api, cloud):
    """Too many calls: when to come back is in the error."""
    slow = RefusedError(429, "rateLimitExceeded", "slower", retry_after="7")
    api.faults = [Fault(where="/stop", error=slow, times=9)]
    with pytest.raises(Throttled):
        resized(cloud, 2, "k1")
    assert cloud.read(DEV).desired == 3


def test_f56_a_zone_that_is_down_holds_shrinks(api):
    """Also where it is not known which are."""
    api.down = {"us-central1-b"}
    assert [one.code for one in connected(api).read(DEV).obstacles] == [Guard.ZONE_IMPAIRED]
    api.denied = {"compute.zones.list"}
    assert [one.code for one in connected(api).read(DEV).obstacles] == [Guard.ZONE_IMPAIRED]


def test_one_that_is_suspended_is_no_capacity(api, cloud):
    """It can only be resumed: it is neither desired nor a spare."""
    api.instances["us-central1-a", "dev-0"]["status"] = "SUSPENDED"
    pool = cloud.read(DEV)
    assert (pool.desired, pool.maximum) == (2, 4)


def test_the_first_size_is_put_back_by_who_knows_it(api, cloud):
    """Nothing is written on instances: the size comes from the trail."""
    resized(cloud, 1, "k1")
    api.settle_instances()
    pool = cloud.read(DEV)
    assert ORIGINAL_SIZE not in pool.labels
    with pytest.raises(Invalid, match="undo"):
        cloud.release(DEV, version=pool.version, key="r")
    assert cloud.release(DEV, version=pool.version, key="r", original=3).desired == 3
    assert sum(states(api).values()) == 3


def test_every_state_of_an_instance_is_placed():
    """Each that the library knows is wanted, ending, stopped or away; none is two of them."""
    known = {state.name for state in compute_v1.Instance.Status} - {"UNDEFINED_STATUS"}
    placed = [*instances.WANTED, *instances.ENDING, *instances.STOPPED, *instances.AWAY]
    assert sorted(placed) == sorted(known)


@pytest.mark.parametrize("state", sorted(instances.AWAY | instances.ENDING))
def test_a_pool_of_which_none_is_there_is_still_there(api, cloud, state):
    """Its instances bear the label: it is shown with nothing wanted, and is not gone."""
    for one in api.instances.values():
        one["status"] = state
    assert cloud.read(DEV).desired == 0
    assert DEV in {pool.id for pool in cloud.list()[0]}
    if state in instances.ENDING:
        with pytest.raises(Temporary):
            resized(cloud, 2, "k1")


def test_many_are_started_at_once(api, cloud):
    """Forty calls are sent eight at once, and all are done."""
    api.polls = 0
    for number in range(40):
        api.instance(ZONES[number % 2], f"dev-x{number}", pool="dev", status="TERMINATED")
    assert resized(cloud, 43, "k1").desired == 43
    assert api.count("/start") == 40


def test_what_no_time_is_left_for_waits_for_the_next_turn(api):
    """After two seconds no more are sent: the pool is as large as those that were make it."""
    for number in range(40):
        api.instance(ZONES[number % 2], f"dev-x{number}", pool="dev", status="TERMINATED")
    api.polls = 9
    after = resized(connected(api), 43, "k1")
    assert 3 < after.desired < 43
    assert after.desired == 3 + api.count("/start")


def test_the_emptiest_zone_is_started_first_and_never_one_that_is_down(api):
    """Two run in a and one in b: b is first; where it is down, a."""
    resized(connected(api), 4, "k1")
    started = [call for call in api.calls if "/start" in call]
    assert started == ["POST /zones/us-central1-b/instances/dev-3/start"]
    api.down = {"us-central1-b"}
    resized(connected(api), 5, "k2")
    assert api.count("us-central1-a/instances/dev-4/start") == 1


def test_a_zone_without_units_gives_way_to_another(api, cloud):
    """The first is refused for want of units: the next is of another zone."""
    empty = RefusedError(403, "quotaExceeded", "Quota 'CPUS' exceeded.")
    api.faults = [Fault(where="us-central1-b/instances/dev-3/start", error=empty)]
    assert resized(cloud, 4, "k1").desired == 4
    assert states(api)["dev-4"]


def test_a_kind_that_is_denied_takes_no_other_with_it(api, cloud):
    """Without the right to see instances the groups are shown, with a gap that names the right."""
    api.denied = {"compute.instances.list"}
    pools, gaps = cloud.list()
    assert [pool.id for pool in pools] == ["mig/us-central1-a/web"]
    assert any("compute.instances.list" in gap.why for gap in gaps)
    with pytest.raises(Denied):
        connected(api, kinds=("gce",)).list()


@pytest.mark.parametrize("locations", [("us-central1-a",), ("us-central1",)])
def test_a_pool_in_the_locations_is_whole(api, locations):
    """Locations say which pools are looked at, never how much of one."""
    (_, dev), gaps = connected(api, kinds=("gce",), locations=locations).list()
    assert (dev.id, dev.desired, dev.maximum, gaps) == (DEV, 3, 5, ())
    assert connected(api, kinds=("gce",), locations=("europe-west1-b",)).list() == ((), ())


def test_what_is_put_back_is_no_more_than_there_is(api, cloud):
    """Two of the five are gone since: as many as are left are started."""
    resized(cloud, 1, "k1")
    api.settle_instances()
    for key in (("us-central1-b", "dev-3"), ("us-central1-a", "dev-4")):
        del api.instances[key]
    assert cloud.release(DEV, version=cloud.read(DEV).version, key="r", original=5).desired == 3
