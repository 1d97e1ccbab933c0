"""An owner moves a minimum by hand after we first changed it: from then on that one is theirs (F45)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autoscaler.clock import SetClock
from autoscaler.connections import GoogleProvider
from autoscaler.errors import Denied, Invalid, Throttled
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers import google, kubernetes
from autoscaler.providers.aws.marks import LAST_KEY, ORIGINAL_MINIMUM
from tests.google_api.server import serving
from tests.kubernetes_api.worlds import STARTER, autoscaled, of_keda, opened
from tests.worlds.aws import Aws, server

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
SHOP = "mig/europe-west1/shop"
RESOURCE = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/shop/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A pool whose owner asked for a minimum of 4, at most 10. `hand` sets another one, `now` reads it.

    `left`: whatever of ours is on the object. `connect` gives our provider as after a restart.
    """

    id: str
    connect: Any
    hand: Any
    now: Any
    left: Any

    def resize(self, size, key):
        cloud = self.connect()
        return cloud.resize(self.id, size, version=cloud.read(self.id).version, key=key)

    def read(self):
        return self.connect().read(self.id)

    def release(self):
        cloud = self.connect()
        return cloud.release(self.id, version=cloud.read(self.id).version, key="r")


@pytest.fixture(scope="module")
def address():
    with server() as at:
        yield at


def group(address, monkeypatch):
    """An Auto Scaling group beside a policy."""
    world = Aws(address, monkeypatch)
    scaling = world.group(minimum=4, desired=9)
    world.track()
    return Case(
        id="asg/web",
        connect=world.provider,
        hand=lambda size: scaling.update_auto_scaling_group(AutoScalingGroupName="web", MinSize=size),
        now=lambda: world.described()[0]["MinSize"],
        left=lambda: world.described()[1],
    )


def service(address, monkeypatch):
    """A service of ECS beside Application Auto Scaling."""
    world = Aws(address, monkeypatch)
    ecs, scaling = world.somebody("ecs"), world.somebody("application-autoscaling")
    ecs.create_cluster(clusterName="shop")
    ecs.register_task_definition(
        family="web", containerDefinitions=[{"name": "web", "image": "web", "memory": 8}]
    )
    made = ecs.create_service(cluster="shop", serviceName="web", taskDefinition="web", desiredCount=9)
    scaling.register_scalable_target(MinCapacity=4, MaxCapacity=10, **RESOURCE)
    arn = made["service"]["serviceArn"]
    return Case(
        id="ecs/shop/web",
        connect=lambda: world.provider(kinds=("ecs",)),
        hand=lambda size: scaling.register_scalable_target(MinCapacity=size, **RESOURCE),
        now=lambda: scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0][
            "MinCapacity"
        ],
        left=lambda: ecs.list_tags_for_resource(resourceArn=arn)["tags"],
    )


def connected(api):
    settings = GoogleProvider(name="gcp", project=api.project, endpoint_url=api.url)
    return google.connect(settings, SetClock(START))


def of_cluster(made, world):
    """A workload beside an autoscaler whose manager is adopted."""
    name, kind, (_, field) = made(world)
    settings = world.with_(adopt=(STARTER, "kubectl")).settings
    return Case(
        id=name,
        connect=lambda: kubernetes.connect(settings, world.clock),
        hand=lambda size: world.hand.merge(kind, "web", {"spec": {field: size}}, "kubectl"),
        now=lambda: world.hand.get(kind, "web")["spec"][field],
        left=lambda: world.hand.get(kind, "web")["metadata"].get("annotations") or {},
    )


@pytest.fixture(params=["asg", "ecs", "google", "hpa", "keda"])
def case(request, address, monkeypatch, tmp_path):
    """Each kind of minimum that we set as a floor."""
    if request.param in {"asg", "ecs"}:
        yield {"asg": group, "ecs": service}[request.param](address, monkeypatch)
    elif request.param == "google":
        with serving() as api:
            api.group("europe-west1", "shop", 9, scaler=(4, 10))
            scaler = api.scalers["europe-west1", "shop-as"]
            yield Case(
                id=SHOP,
                connect=lambda: connected(api),
                hand=lambda size: scaler["autoscalingPolicy"].update(minNumReplicas=size),
                now=lambda: scaler["autoscalingPolicy"]["minNumReplicas"],
                left=lambda: scaler.get("description") or {},
            )
    else:
        with opened("fake", tmp_path) as world:
            yield of_cluster({"hpa": autoscaled, "keda": of_keda}[request.param], world)


def test_f45_what_an_owner_asks_later_is_the_minimum(case):
    """Neither the original nor what we set last: our floor never goes below it, whatever we set."""
    case.resize(6, "k1")
    case.hand(7)
    pool = case.read()
    assert (pool.desired, pool.minimum, pool.labels[ORIGINAL_SIZE]) == (7, 7, "7")
    with pytest.raises(Invalid):
        case.resize(5, "k2")
    assert case.resize(9, "k3").labels[ORIGINAL_SIZE] == "7"
    with pytest.raises(Invalid):
        case.resize(6, "k4")
    assert case.resize(8, "k5").minimum == 7
    assert case.resize(7, "k6").desired == case.now() == 7


@pytest.mark.parametrize("then", [None, 9])
def test_f45_what_an_owner_asks_later_is_given_back(case, then):
    """`release` leaves or restores what the owner asked for last, and takes every mark of ours off."""
    case.resize(6, "k1")
    case.hand(8)
    if then:
        case.resize(then, "k2")
    after = case.release()
    assert (after.desired, case.now(), ORIGINAL_SIZE in after.labels) == (8, 8, False)
    assert not case.left()


def test_f45_an_owner_may_lower_a_minimum_too(case):
    """A minimum below the first one is the owner's as well, and is what comes back."""
    case.resize(6, "k1")
    case.hand(3)
    assert (case.read().desired, case.read().minimum) == (3, 3)
    case.resize(8, "k2")
    case.hand(2)
    case.resize(5, "k3")
    assert case.release().desired == case.now() == 2


def test_what_we_set_is_never_taken_for_the_owners(case):
    """Our own changes, up and down, also over restarts, leave the first minimum the original one."""
    first = case.read().minimum
    for number, size in enumerate((6, 9, 5, 8)):
        pool = case.resize(size, f"k{number}")
        assert (pool.minimum, pool.labels[ORIGINAL_SIZE]) == (first, "4")
        assert case.read() == pool
    assert case.release().desired == case.now() == 4


@pytest.mark.parametrize("kind", [group, service])
def test_f40_a_change_that_was_marked_and_not_done_is_no_owners_hand(kind, address, monkeypatch):
    """AWS takes marks and minimum in two calls: what stands between them is what we set before."""
    case = kind(address, monkeypatch)
    case.resize(6, "k1")
    cloud = case.connect()
    version = cloud.read(case.id).version
    change = cloud._account.asking.change

    def broken(action, **arguments):
        if "Tag" not in action:
            raise Denied(action)
        return change(action, **arguments)

    monkeypatch.setattr(cloud._account.asking, "change", broken)
    with pytest.raises(Denied):
        cloud.resize(case.id, 9, version=version, key="k2")
    pool = case.read()
    assert (pool.desired, pool.minimum, pool.labels[ORIGINAL_SIZE]) == (6, 4, "4")
    assert case.release().desired == case.now() == 4


def test_f45_what_is_not_known_to_be_ours_is_the_owners(address, monkeypatch):
    """Where the mark of our last change is gone nothing says who set the minimum: it is not gone below."""
    world = Aws(address, monkeypatch)
    scaling = world.group(minimum=4, desired=9)
    world.track()
    pools = world.provider()
    pools.resize("asg/web", 6, version=pools.read("asg/web").version, key="k1")
    tags = [
        {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": LAST_KEY},
        {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": ORIGINAL_MINIMUM, "Value": "4"},
    ]
    scaling.delete_tags(Tags=tags[:1])
    scaling.create_or_update_tags(Tags=[tags[1] | {"PropagateAtLaunch": False}])
    assert pools.read("asg/web").minimum == 6


def test_f45_a_hand_on_a_scheduled_floor_is_told_from_it(address, monkeypatch):
    """A floor that came true by a scheduled action is ours; another minimum beside it is the owner's."""
    world = Aws(address, monkeypatch)
    scaling = world.group(minimum=2, desired=9)
    pools = world.provider()
    hours = [(START + timedelta(hours=1 + hour), size) for hour, size in enumerate((5, 7))]
    pools.outlast("asg/web", hours)
    world.clock.advance(2 * 3600)
    for size, minimum in ((5, 2), (7, 2), (6, 6)):
        scaling.update_auto_scaling_group(AutoScalingGroupName="web", MinSize=size)
        assert pools.read("asg/web").minimum == minimum
    pools.outlast("asg/web", [(world.clock.now() + timedelta(hours=1), 5)])
    standing = scaling.describe_scheduled_actions(AutoScalingGroupName="web")["ScheduledUpdateGroupActions"]
    assert {one["MinSize"] for one in standing} == {6}
    with pytest.raises(Invalid):
        pools.resize("asg/web", 5, version=pools.read("asg/web").version, key="k1")
    pools.resize("asg/web", 8, version=pools.read("asg/web").version, key="k2")
    pools.release("asg/web", version=pools.read("asg/web").version, key="r")
    assert (world.described()[0]["MinSize"], world.described()[1]) == (6, {})


def test_f45_a_hand_that_sets_what_is_planned_for_later_is_the_owners(address, monkeypatch):
    """Before the first scheduled floor can have come true, a minimum like one of them is the owner's."""
    world = Aws(address, monkeypatch)
    scaling = world.group(minimum=2, maximum=20, desired=9)
    world.track()
    pools = world.provider()
    pools.outlast("asg/web", [(START + timedelta(hours=2 + hour), 5 + hour) for hour in range(4)])
    scaling.update_auto_scaling_group(AutoScalingGroupName="web", MinSize=6)
    read = pools.read("asg/web")
    assert (read.minimum, read.labels[ORIGINAL_SIZE]) == (6, "6")
    with pytest.raises(Invalid):
        pools.resize("asg/web", 3, version=read.version, key="k")
    pools.release("asg/web", version=read.version, key="r")
    assert world.described()[0]["MinSize"] == 6


def test_f45_an_action_that_could_not_be_taken_back_is_ours_still(address, monkeypatch):
    """What stands while new floors are left is in the mark: comes it true, it is not the owner's."""
    world = Aws(address, monkeypatch)
    scaling = world.group(minimum=2, maximum=20, desired=9)
    pools = world.provider()
    pools.outlast("asg/web", [(START + timedelta(hours=2), 12), (START + timedelta(hours=3), 7)])
    world.refuse("autoscaling:BatchDeleteScheduledAction", "Throttling")
    with pytest.raises(Throttled):
        pools.outlast("asg/web", [(START + timedelta(hours=4), 5), (START + timedelta(hours=5), 6)])
    world.clock.advance(2 * 3600)
    scaling.update_auto_scaling_group(AutoScalingGroupName="web", MinSize=12)
    assert pools.read("asg/web").minimum == 2
    world.fault("autoscaling:BatchDeleteScheduledAction", None)
    pools.outlast("asg/web", [(START + timedelta(hours=7), 5)])
    assert pools.read("asg/web").minimum == 2, "what stands now stays ours when other floors are left"
    pools.release("asg/web", version=pools.read("asg/web").version, key="r")
    assert world.described()[0]["MinSize"] == 2


def test_f45_a_floor_that_was_moved_by_hand_shows_it_after_floors_are_left_too(address, monkeypatch):
    """The original size of a floor is the owner's minimum, whatever was written of it first."""
    world = Aws(address, monkeypatch)
    scaling = world.group(minimum=2, maximum=20, desired=9)
    world.track()
    pools = world.provider()
    pools.resize("asg/web", 8, version=pools.read("asg/web").version, key="k")
    scaling.update_auto_scaling_group(AutoScalingGroupName="web", MinSize=6)
    for ahead in (2, 3):
        pools.outlast("asg/web", [(START + timedelta(hours=ahead), 9)])
        assert pools.read("asg/web").labels[ORIGINAL_SIZE] == "6"


@pytest.mark.parametrize("tracked", [True, False])
def test_a_pool_with_scheduled_floors_alone_is_given_back(address, monkeypatch, tracked):
    """It bears a mark, so that a release finds it; nothing is resized, and the actions go."""
    world = Aws(address, monkeypatch)
    scaling = world.group(minimum=2, maximum=20, desired=9)
    if tracked:
        world.track()
    pools = world.provider()
    pools.outlast("asg/web", [(START + timedelta(hours=2), 9)])
    read = pools.read("asg/web")
    assert read.labels[ORIGINAL_SIZE] == str(read.desired)
    pools.resize("asg/web", 10, version=read.version, key="k")
    assert world.described()[1][ORIGINAL_SIZE] == str(read.desired)
    after = pools.read("asg/web")
    pools.release("asg/web", version=after.version, key="r")
    assert scaling.describe_scheduled_actions(AutoScalingGroupName="web")["ScheduledUpdateGroupActions"] == []
    assert (pools.read("asg/web").desired, world.described()[1]) == (read.desired, {})
