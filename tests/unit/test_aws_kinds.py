"""Node groups of EKS, services of ECS, instances of EC2 by the laws of providers, and by their own."""

from __future__ import annotations

import json

import pytest
from moto.backends import get_backend

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
from autoscaler.providers.aws import ACTING, groups
from autoscaler.providers.aws import instances as started
from autoscaler.providers.aws.marks import OURS
from autoscaler.providers.aws.services import Services
from policies.plan import Guard
from tests.worlds.aws import REGION, error_body, zones
from tests.worlds.aws_kinds import IDS, MADE, instances, node_group, service, settled

DIMENSION = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
RESOURCE = {"ResourceId": "service/shop/web"} | DIMENSION
SETS = {"eks": "eks:UpdateNodegroupConfig", "ecs": "ecs:UpdateService", "ec2": "ec2:StartInstances"}


@pytest.fixture
def world(aws_account):
    """An account with nothing in it."""
    return aws_account


@pytest.fixture(params=IDS)
def kind(request, world):
    """Each kind with one pool of 4 units."""
    MADE[request.param](world)
    return request.param


def test_a_pool_is_read_as_it_is_listed(world, kind):
    """`read` and `list` tell the same of a pool of any kind; nothing is said to be missing."""
    pools, gaps = world.provider(kinds=(kind,)).list()
    assert tuple(gaps) == ()
    (pool,) = pools
    assert pool == world.provider(kinds=(kind,)).read(IDS[kind])
    assert (pool.id, pool.desired, sum(pool.ready.values())) == (IDS[kind], 4, 4)
    assert pool.labels["team"] == "shop"
    assert (pool.obstacles, pool.lever) == ((), "")
    assert not set(world.calls) & set(ACTING)


def test_a_resize_is_done_once_and_given_back(world, kind):
    """Size, key, version, bounds, marks and release: as for groups."""
    pools = world.provider(kinds=(kind,))
    before = pools.read(IDS[kind])
    with pytest.raises(Invalid):
        pools.resize(before.id, before.maximum + 1, version=before.version, key="k0")
    after = pools.resize(before.id, 6, version=before.version, key="k1")
    assert (after.desired, after.labels[ORIGINAL_SIZE]) == (6, "4")
    assert after.version != before.version
    assert after.last_scaled_at == world.clock.now()
    assert world.provider(kinds=(kind,)).resize(before.id, 6, version=before.version, key="k1").desired == 6
    with pytest.raises(Invalid):
        world.provider(kinds=(kind,)).resize(before.id, 7, version=after.version, key="k1")
    with pytest.raises(Stale):
        pools.resize(before.id, 7, version=before.version, key="k2")
    after = pools.resize(before.id, 3, version=after.version, key="k3")
    assert (after.desired, after.labels[ORIGINAL_SIZE]) == (3, "4")
    back = pools.release(before.id, version=after.version, key="r")
    assert back.desired == 4
    assert not set(OURS) & set(back.labels)
    assert pools.release(before.id, version=back.version, key="r") == back


def test_f48_a_refusal_names_the_permission(world, kind):
    """Denied names the action of IAM that is missing."""
    pools = world.provider(kinds=(kind,))
    before = pools.read(IDS[kind])
    code = "UnauthorizedOperation" if kind == "ec2" else "AccessDeniedException"
    world.refuse(SETS[kind], code, status=403)
    with pytest.raises(Denied, match=f"the permission {SETS[kind]} is needed"):
        pools.resize(before.id, 6, version=before.version, key="k1")
    assert pools.read(before.id).desired == 4


def test_f50_what_is_not_there_is_not_found(world, kind):
    """A name that is none, of any kind, is NotFound."""
    pools = world.provider(kinds=(kind,))
    for name in (f"{kind}/shop/wbe", f"{kind}/wbe", f"{kind}/no/no"):
        with pytest.raises(NotFound):
            pools.read(name)


def test_f18_a_kind_that_fails_loses_no_other(world):
    """Pools of the other kinds are there, and a Gap tells what is not; all of them failing raises."""
    world.group()
    service(world)
    world.refuse("ecs:ListClusters", "ThrottlingException")
    pools, gaps = world.provider(kinds=("asg", "ecs")).list()
    assert [pool.id for pool in pools] == ["asg/web"]
    assert [(gap.source, gap.code) for gap in gaps] == [("provider aws", "PARTIAL")]
    with pytest.raises(Throttled):
        world.provider(kinds=("ecs",)).list()


@pytest.mark.parametrize(
    ("kind", "action"), [("eks", "eks:DescribeNodegroup"), ("ecs", "ecs:DescribeServices")]
)
def test_f18_what_was_seen_before_a_failure_stays(world, kind, action):
    """A description that fails in the middle leaves those before it, and a Gap that names the cluster."""
    for number in range(3 if kind == "eks" else 12):
        MADE[kind](world, f"g{number:02}")
    bad = (400, '{"__type": "ThrottlingException"}')
    world.fault(action, None, bad)
    pools, gaps = world.provider(kinds=(kind,)).list()
    assert len(pools) == (1 if kind == "eks" else 10)
    assert ["shop" in gap.why for gap in gaps] == [True]


def test_services_are_described_ten_at_once(world):
    """25 services are one page of names and three descriptions, with the scalable targets once."""
    for number in range(25):
        service(world, f"s{number:02}")
    assert len(world.provider(kinds=("ecs",)).list()[0]) == 25
    assert sorted(world.calls) == [
        "application-autoscaling:DescribeScalableTargets",
        *["ecs:DescribeServices"] * 3,
        "ecs:ListClusters",
        "ecs:ListServices",
    ]


def test_beside_application_auto_scaling_the_floor_is_set(world):
    """A service with a scalable target is a floor; growth raises the count too: AWS would wait."""
    service(world)
    scaling = world.somebody("application-autoscaling")
    scaling.register_scalable_target(MinCapacity=2, MaxCapacity=10, **RESOURCE)
    pools = world.provider(kinds=("ecs",))
    pool = pools.read("ecs/shop/web")
    assert (pool.desired, pool.minimum, pool.maximum) == (2, 2, 10)
    assert pool.lever == "MinCapacity beside Application Auto Scaling"
    pool = pools.resize(pool.id, 3, version=pool.version, key="k1")
    assert "ecs:UpdateService" not in world.calls
    pool = pools.resize(pool.id, 6, version=pool.version, key="k2")
    assert (pool.desired, pool.minimum, pool.ready[REGION]) == (6, 2, 6)
    world.refuse("ecs:UpdateService", "AccessDeniedException", status=403)
    with pytest.raises(Unreachable, match="the permission ecs:UpdateService is needed"):
        pools.resize(pool.id, 7, version=pool.version, key="k3")
    pool = pools.read(pool.id)
    assert pool.desired == 7
    assert pools.release(pool.id, version=pool.version, key="r").desired == 2
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 10)
    scaling.register_scalable_target(SuspendedState={"DynamicScalingInSuspended": True}, **RESOURCE)
    assert [one.code for one in pools.read(pool.id).obstacles] == [Guard.SUSPENDED]


@pytest.mark.parametrize(
    ("fields", "code", "shrinks_only"),
    [
        ({"pending_count": 2}, Guard.IN_FLIGHT, True),
        ({"deployments": [{"id": "a", "rolloutState": "IN_PROGRESS"}]}, Guard.DEPLOYING, True),
        ({"deployments": [{"id": "a"}, {"id": "b"}]}, Guard.DEPLOYING, True),
        ({"deployments": [{"failedTasks": 3}], "running_count": 1}, Guard.UNREADY, False),
    ],
)
def test_f57_what_goes_on_in_a_service_holds_it(world, fields, code, shrinks_only):
    """Tasks on their way and deployments hold shrinks; a deployment whose tasks fail holds growth too."""
    service(world)
    settled(**fields)
    (obstacle,) = world.provider(kinds=("ecs",)).read("ecs/shop/web").obstacles
    assert (obstacle.code, obstacle.shrinks_only) == (code, shrinks_only)


def told(world, **changes):
    """The node group as EKS would tell it, changed."""
    raw = world.somebody("eks").describe_nodegroup(clusterName="shop", nodegroupName="web")["nodegroup"]
    raw = {key: value for key, value in raw.items() if key not in {"createdAt", "modifiedAt"}}
    world.fault("eks:DescribeNodegroup", (200, json.dumps({"nodegroup": raw | changes})))


@pytest.mark.parametrize(
    ("changes", "code", "shrinks_only"),
    [
        ({"status": "UPDATING"}, Guard.IN_FLIGHT, False),
        ({"status": "CREATING"}, Guard.IN_FLIGHT, False),
        ({"status": "DEGRADED"}, Guard.UNREADY, True),
        ({"health": {"issues": [{"code": "AsgInstanceLaunchFailures"}]}}, Guard.UNREADY, False),
        ({"health": {"issues": [{"code": "PodEvictionFailure"}]}}, Guard.UNREADY, True),
        ({"resources": {"autoScalingGroups": [{"name": "unseen"}]}}, Guard.UNREADY, True),
    ],
)
def test_f57_what_goes_on_in_a_node_group_holds_it(world, changes, code, shrinks_only):
    """An update, a bad state, failing launches and nodes that are not seen each hold what they must."""
    node_group(world)
    told(world, **changes)
    (obstacle,) = world.provider(kinds=("eks",)).read("eks/shop/web").obstacles
    assert (obstacle.code, obstacle.shrinks_only) == (code, shrinks_only)


def test_f41_the_key_is_the_clients_token(world, monkeypatch):
    """EKS hears our key as its client token; another update meanwhile is Temporary."""
    node_group(world)
    pools = world.provider(kinds=("eks",))
    heard = []
    asking = pools._account.asking
    change = asking.change
    monkeypatch.setattr(asking, "change", lambda action, **told: heard.append(told) or change(action, **told))
    pools.resize("eks/shop/web", 6, version=pools.read("eks/shop/web").version, key="k1")
    assert heard[-1]["clientRequestToken"] == "k1"
    world.refuse("eks:UpdateNodegroupConfig", "ResourceInUseException", status=409)
    with pytest.raises(Temporary):
        pools.resize("eks/shop/web", 7, version=pools.read("eks/shop/web").version, key="k2")


def test_instances_start_by_id_and_the_newest_stop(world):
    """Who is started and stopped is told by the instances alone; those that are gone count for nothing."""
    ids = instances(world)
    pools = world.provider(kinds=("ec2",))
    pool = pools.read("ec2/web")
    assert (pool.desired, pool.minimum, pool.maximum) == (4, 0, 7)
    pools.resize(pool.id, 6, version=pool.version, key="k1")
    ec2 = world.somebody("ec2")
    ec2.terminate_instances(InstanceIds=ids[:1])
    pool = pools.read("ec2/web")
    assert (pool.desired, pool.maximum) == (5, 6)
    ec2.create_tags(Resources=ids[3:4], Tags=[{"Key": FREEZE, "Value": "migration"}])
    assert pools.read("ec2/web").labels[FREEZE] == "migration"


def test_a_rehearsal_of_instances_asks_ec2_and_changes_nothing(world):
    """EC2's dry run says whether it would be let; nothing is started, and a refusal names the permission."""
    instances(world)
    pools = world.provider(kinds=("ec2",))
    pool = pools.read("ec2/web")
    assert pools.rehearse(pool.id, 6, version=pool.version) is True
    assert pools.rehearse(pool.id, 2, version=pool.version) is True
    assert pools.read(pool.id) == pool
    world.refuse("ec2:StartInstances", "UnauthorizedOperation", status=403)
    with pytest.raises(Denied, match="ec2:StartInstances"):
        pools.rehearse(pool.id, 6, version=pool.version)


def test_f38_instances_that_aws_has_no_room_for(world):
    """A start refused for want of capacity is InsufficientCapacity."""
    instances(world)
    pools = world.provider(kinds=("ec2",))
    world.refuse("ec2:StartInstances", "InsufficientInstanceCapacity", status=500)
    with pytest.raises(InsufficientCapacity):
        pools.resize("ec2/web", 6, version=pools.read("ec2/web").version, key="k1")


def test_f56_instances_in_an_impaired_zone_are_held(world):
    """Instances in a zone that is impaired are not stopped."""
    instances(world)
    world.fault("ec2:DescribeAvailabilityZones", zones(a="impaired", b="impaired"))
    assert [one.code for one in world.provider(kinds=("ec2",)).read("ec2/web").obstacles] == [
        Guard.ZONE_IMPAIRED
    ]


def test_kinds_that_there_are_not_are_refused(world):
    """A kind that is none, or none at all, is Invalid with those there are."""
    for kinds in (("gce",), ()):
        with pytest.raises(Invalid, match="there are asg, ec2, ecs, eks"):
            world.provider(kinds=kinds)


def test_instances_of_a_group_are_never_stopped(world):
    """A group terminates what is stopped in it: where our tag reached its instances nothing is done."""
    ids = instances(world)
    inside = get_backend("ec2")["123456789012"][REGION]
    inside.create_tags(ids[:1], {"aws:autoscaling:groupName": "blue"})
    pools = world.provider(kinds=("ec2",))
    (pool,) = pools.list()[0]
    assert [(one.code, one.shrinks_only) for one in pool.obstacles] == [(Guard.OWNED, False)]
    assert "asg/blue" in pool.obstacles[0].why
    for size in (2, 6):
        with pytest.raises(Owned, match="asg/blue"):
            pools.resize(pool.id, size, version=pool.version, key=f"k{size}")
        with pytest.raises(Owned, match="asg/blue"):
            pools.rehearse(pool.id, size, version=pool.version)
    assert not set(world.calls) & set(ACTING)


def test_f18_a_cut_list_shows_no_part_of_a_pool(world, monkeypatch):
    """Pools of instances are made of many answers: where one is missing, none of them has a size."""
    monkeypatch.setattr(started, "PAGE", 1)  # of a call that made some; the server counts those
    instances(world, running=1, stopped=1)
    instances(world, running=3, stopped=2)
    world.group()
    assert [pool.desired for pool in world.provider(kinds=("ec2",)).list()[0]] == [4]
    world.fault("ec2:DescribeInstances", None, (403, error_body("ec2:", "AuthFailure", "no")))
    pools, gaps = world.provider(kinds=("asg", "ec2")).list()
    assert [pool.id for pool in pools] == ["asg/web"]
    assert ["no ec2 pools" in gap.why for gap in gaps] == [True]


def test_f46_a_floor_lowers_no_count_that_was_raised_meanwhile(world, monkeypatch):
    """The scaler raises the count between our reading and our floor: the count stays where it is."""
    service(world)
    world.somebody("application-autoscaling").register_scalable_target(
        **RESOURCE, MinCapacity=2, MaxCapacity=20
    )
    sound = Services._register

    def meanwhile(self, *given):
        sound(self, *given)
        settled(desired_count=15)

    monkeypatch.setattr(Services, "_register", meanwhile)
    pools = world.provider(kinds=("ecs",))
    before = pools.read("ecs/shop/web")
    assert pools.resize(before.id, 10, version=before.version, key="k1").desired == 10
    assert settled().desired_count == 15
    assert "ecs:UpdateService" not in world.calls


def test_f18_one_answer_that_is_odd_hides_no_other(world, monkeypatch):
    """A group whose description lacks a field is a Gap with its id, and Temporary where it is read."""
    world.group()
    world.group("odd")
    sound = groups.describe

    def describe(group, *given):
        if group["AutoScalingGroupName"] == "odd":
            raise KeyError("LifecycleState")
        return sound(group, *given)

    monkeypatch.setattr(groups, "describe", describe)
    pools, gaps = world.provider().list()
    assert [pool.id for pool in pools] == ["asg/web"]
    assert [(gap.code, "asg/odd" in gap.why) for gap in gaps] == [("ODD", True)]
    with pytest.raises(Temporary, match="LifecycleState"):
        world.provider().read("asg/odd")
