"""Clouds whose lists are cut, whose quota is reached, whose credentials have expired; sources that lie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler import bootstrap, config, tick, transport
from autoscaler.clock import SetClock
from autoscaler.errors import Denied, InsufficientCapacity, Invalid
from autoscaler.transport import Careful
from policies.model import Gap
from policies.plan import Status
from tests.worlds import small

pytestmark = pytest.mark.slow  # each plans on the disk

AUTO = small.CONFIGURATION.replace("defaults: {", "defaults: {mode: auto, observe_first: 0s, ")
EXPIRED = Denied("ExpiredToken: the security token included in the request is expired")
GROWING = AUTO.replace("desired: 20", "desired: 2")


class Cloud:
    """A sound provider whose list, readings and resizes may raise; `shows` are the pools of its list.

    `asked` are the resizes it was called with.
    """

    def __init__(self, sound, *, shows=None, gaps=(), lists=None, reads=None, resizes=None):
        self._sound, self.shows, self.gaps = sound, shows, gaps
        self.lists, self.reads, self.resizes = lists, reads, resizes or {}
        self.asked = []

    def list(self):
        if self.lists is not None:
            raise self.lists
        pools, gaps = self._sound.list()
        return tuple(pool for pool in pools if self.shows is None or pool.id in self.shows), (
            *gaps,
            *self.gaps,
        )

    def read(self, pool_id):
        if self.reads is not None:
            raise self.reads
        return self._sound.read(pool_id)

    def rehearse(self, _pool_id, _size, *, version):
        raise AssertionError(f"nothing is rehearsed here, version {version}")

    def resize(self, pool_id, size, *, version, key):
        self.asked.append(pool_id)
        if pool_id in self.resizes:
            raise self.resizes[pool_id]
        return self._sound.resize(pool_id, size, version=version, key=key)


@pytest.fixture
def build(tmp_path):
    """Builds the small world anew: the application, and its provider to be made worse."""
    apps = []

    def of(text=AUTO, **worse):
        folder = small.write(tmp_path / f"world-{len(apps)}", text)
        app = bootstrap.build(config.load(str(folder / "loadline.yaml")), SetClock(small.END))
        apps.append(app)
        cloud = Cloud(app.providers["fake"], **worse)
        return replace(app, providers={"fake": cloud}), cloud

    yield of
    for app in apps:
        app.close()


def sizes(app):
    """What the cloud really holds."""
    cloud = app.providers["fake"]
    return {name: cloud._sound.read(name).desired for name in ("web", "api")}


def statuses(done):
    return {action.target: outcome.status for action, outcome in done.outcomes}


CUT = Gap(source="provider fake", code="PARTIAL", why="the token of page 2 was refused")


def test_f18_a_list_that_is_cut_changes_nothing_of_the_pools_it_lacks(build):
    """The pools of the first page go on; those of the lost one are not known: kept, and never called gone."""
    app, _ = build(shows={"web"}, gaps=(CUT,))
    done = tick.tick(app)
    assert sizes(app) == {"web": 8, "api": 20}
    assert {pool.id for pool in done.seen.snapshot.pools} == {"web"}
    assert not done.plan.complete
    told = {gap.source: gap for gap in done.plan.gaps}
    assert told["api"].code == "NOT_SEEN"
    assert "page 2" in told["api"].why
    assert "NOT_FOUND" not in {gap.code for gap in done.plan.gaps}
    assert set(done.seen.unanswered) == {"api"}


def test_f18_a_cut_list_of_nothing_is_no_empty_cloud(build):
    """Not even the first page came: every pool is kept, and none is called gone."""
    app, _ = build(shows=set(), gaps=(CUT,))
    done = tick.tick(app)
    assert done.plan.actions == done.outcomes == ()
    assert sizes(app) == {"web": 4, "api": 20}
    assert {gap.code for gap in done.plan.gaps} == {"PARTIAL", "NOT_SEEN"}


def test_f18_a_plan_is_not_applied_to_a_pool_that_is_not_listed_now(build):
    """Between plan and apply the list is cut: the pool is not tried, which is no news of its end."""
    app, cloud = build()
    plan = tick.turn(app).plan
    cloud.shows, cloud.gaps = {"web"}, (CUT,)
    done = {action.target: outcome for action, outcome in tick.apply(app, plan)}
    assert done["web"].status is Status.APPLIED
    assert done["api"].status is Status.FAILED
    assert "not tried" in done["api"].error
    assert "page 2" in done["api"].error
    assert sizes(app) == {"web": 8, "api": 20}


@pytest.mark.parametrize(
    "page", ["<!DOCTYPE html>\n<html><body>Please log in</body></html>\n", "<html>\n", "\n\n", "a,b\n1,"]
)
def test_f20_a_page_in_place_of_a_history_holds(build, page):
    """A login page, or half a file: the error has its type and names the file; nothing moves."""
    app, _ = build(AUTO.replace("last-sample", f'"{small.END:%Y-%m-%dT%H:%M:%SZ}"'))
    file = app.configuration.metrics[0].path
    with open(file, "w") as history:  # noqa: PTH123 - the path is a text
        history.write(page)
    done = tick.tick(app)
    assert done.plan.actions == done.outcomes == ()
    assert sizes(app) == {"web": 4, "api": 20}
    (told,) = [gap for gap in done.plan.gaps if gap.source.startswith("metrics")]
    assert told.code == "MetricsError"
    assert "m.csv" in told.why


@pytest.mark.parametrize("order", [("queue", "pending"), ("pending", "queue")])
def test_f24_of_two_metrics_that_disagree_the_larger_counts(build, order):
    """The queue says 0, pending work says 200: the pool is sized for 200, in whatever order they stand."""
    demands = ", ".join(f"{{series: {name}, unit_capacity: 10}}" for name in order)
    app, _ = build(GROWING.replace("{series: api, unit_capacity: 10}", demands))
    file = app.configuration.metrics[0].path
    stamps = [small.END - number * small.STEP for number in range(small.DAYS * 96, 0, -1)]
    with open(file, "a") as history:  # noqa: PTH123 - as above
        for at in stamps:
            wave = 200 + at.hour % 3  # it lives: a metric that stands still is stuck
            history.write(f"queue,{at:%Y-%m-%dT%H:%M:%SZ},0\npending,{at:%Y-%m-%dT%H:%M:%SZ},{wave}\n")
    done = tick.turn(app)
    assert done.outlooks["api"].demand.y[-1] == pytest.approx(20.1, abs=0.2)
    (grown,) = [action for action in done.plan.actions if action.target == "api"]
    assert grown.after > grown.before


QUOTA = (
    InsufficientCapacity("VcpuLimitExceeded: the quota of 32 vCPU is reached"),
    Invalid("QuotaExceeded: the quota of 32 vCPU is reached"),
)


@pytest.mark.parametrize("error", QUOTA, ids=["capacity", "invalid"])
def test_f39_at_its_quota_a_pool_stays_and_the_rest_of_the_plan_goes_on(build, error):
    """One call, its words in the outcome, no second try within the tick; the other pool grows."""
    app, cloud = build(GROWING, resizes={"web": error})
    done = tick.tick(app)
    assert statuses(done)["api"] is Status.APPLIED
    assert statuses(done)["web"] in {Status.FAILED, Status.REFUSED}
    (said,) = [outcome.error for action, outcome in done.outcomes if action.target == "web"]
    assert "quota of 32 vCPU" in said
    assert sizes(app)["web"] == 4
    assert sizes(app)["api"] > 2
    assert cloud.asked.count("web") == 1


def test_f39_a_quota_is_not_asked_again_and_again(build):
    """For a quarter of an hour of ticks the pool is not asked to grow; then once more, and it grows."""
    app, cloud = build(GROWING, resizes={"web": QUOTA[0]})
    care = SetClock(small.END)
    app = replace(app, providers={"fake": Careful(cloud, care)})
    for _ in range(15):
        tick.tick(app)
        care.advance(transport.NO_CAPACITY_S / 15 - 0.1)
        app.clock.advance(transport.NO_CAPACITY_S / 15 - 0.1)
    assert cloud.asked.count("web") == 1
    cloud.resizes = {}
    care.advance(2)
    tick.tick(app)
    assert cloud.asked.count("web") == 2
    assert cloud.read("web").desired > 4


def test_f49_expired_credentials_hold_what_cannot_be_listed(build):
    """A list that is denied is a gap with its words; nothing moves, and the tick after a refresh goes on."""
    app, cloud = build(lists=EXPIRED)
    done = tick.tick(app)
    assert done.plan.actions == done.outcomes == ()
    assert not done.plan.complete
    (told,) = [gap for gap in done.plan.gaps if gap.source == "provider fake"]
    assert (told.code, "ExpiredToken" in told.why) == ("Denied", True)
    assert sizes(app) == {"web": 4, "api": 20}
    cloud.lists = None
    assert set(statuses(tick.tick(app)).values()) == {Status.APPLIED}


def test_f49_credentials_that_expire_in_mid_plan_shrink_nothing(build):
    """Listed, but the reading before the call is denied: refused with its words, and nothing is called."""
    app, cloud = build(reads=EXPIRED)
    done = tick.tick(app)
    assert set(statuses(done).values()) == {Status.REFUSED}
    assert all(
        "ExpiredToken" in outcome.error or "not tried" in outcome.error for _, outcome in done.outcomes
    )
    assert cloud.asked == []
    cloud.reads = None
    assert sizes(app) == {"web": 4, "api": 20}
