"""Auto Scaling groups: other scalers, suspended processes, protection, what they are made of, next hours."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.errors import Invalid
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.aws.groups import restored, wanted
from autoscaler.providers.aws.kinds import Seen
from autoscaler.providers.aws.marks import APART, OURS, Mark, Minimum, mark_on, minimum_on, written
from autoscaler.providers.aws.schedules import AHEAD, PREFIX, floors
from policies.model import Pool, PoolKind
from policies.plan import Guard
from tests.worlds.aws import START

WEB = "asg/web"


@pytest.fixture
def world(aws_account):
    """One group, web, of 4 units within 2..10."""
    aws_account.group()
    return aws_account


def codes(pool):
    """What holds it, and whether only its shrinks."""
    return [(one.code, one.shrinks_only) for one in pool.obstacles]


def test_beside_target_tracking_the_minimum_is_set_and_never_the_size(world):
    """A group with a policy is a floor: MinSize rises and returns, desired is never set by us."""
    world.track()
    pools = world.provider()
    pool = pools.read(WEB)
    assert (pool.desired, pool.minimum, pool.maximum) == (2, 2, 10)
    assert pool.lever == "MinSize beside target tracking cpu"
    assert pools.list()[0] == (pool,)
    pool = pools.resize(WEB, 6, version=pool.version, key="k1")
    assert (pool.desired, pool.minimum) == (6, 2)
    assert world.described()[0]["MinSize"] == 6
    assert pools.resize(WEB, 2, version=pool.version, key="k2").desired == 2
    assert "autoscaling:SetDesiredCapacity" not in world.calls
    with pytest.raises(Invalid):
        pools.resize(WEB, 11, version=pools.read(WEB).version, key="k3")


def test_what_the_policy_does_makes_no_plan_stale(world):
    """Beside a scaler its size moves all the time: the version moves with the bounds, not with the size."""
    world.track()
    before = world.provider().read(WEB)
    world.somebody("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=7)
    after = world.provider().read(WEB)
    assert (after.version, sum(after.ready.values())) == (before.version, 7)


def test_a_floor_is_given_back(world):
    """`release` puts the owner's MinSize back, takes the marks off, and leaves the size to the policy."""
    world.track()
    pools = world.provider()
    for number, size in enumerate((5, 8)):
        pools.resize(WEB, size, version=pools.read(WEB).version, key=f"k{number}")
    pool = pools.read(WEB)
    assert pool.labels[ORIGINAL_SIZE] == "2"
    assert pools.release(WEB, version=pool.version, key="r").desired == 2
    group, tags = world.described()
    assert (group["MinSize"], group["DesiredCapacity"], tags) == (2, 8, {})


def test_a_floor_is_given_back_though_the_policy_is_gone(world):
    """What we raised was the minimum: it comes back even where nothing else scales the group any more."""
    world.track()
    pools = world.provider()
    pools.resize(WEB, 6, version=pools.read(WEB).version, key="k1")
    world.somebody("autoscaling").delete_policy(AutoScalingGroupName="web", PolicyName="cpu")
    pool = pools.read(WEB)
    assert (pool.lever, pool.desired, pool.minimum) == ("", 6, 2)
    pools.release(WEB, version=pool.version, key="r")
    assert world.described()[0]["MinSize"] == 2


def test_a_cluster_autoscaler_is_a_scaler_beside_us(world):
    """Its tag makes the group a floor, as a policy does."""
    world.group("nodes", tags={"k8s.io/cluster-autoscaler/enabled": "true"})
    assert world.provider().read("asg/nodes").lever == "MinSize beside cluster-autoscaler"


def test_f45_the_group_of_a_node_group_is_owned(world):
    """What EKS sets is not ours: held both ways, and the pool to name instead is told."""
    world.group("ng", tags={"eks:nodegroup-name": "blue", "eks:cluster-name": "shop"})
    pool = world.provider().read("asg/ng")
    assert codes(pool) == [(Guard.OWNED, False)]
    assert "eks/shop/blue" in pool.obstacles[0].why


@pytest.mark.parametrize(
    ("processes", "held"),
    [
        (["Launch"], [(Guard.SUSPENDED, False)]),
        (["Terminate"], [(Guard.SUSPENDED, True)]),
        (["AlarmNotification"], [(Guard.SUSPENDED, True)]),
        (["Launch", "Terminate"], [(Guard.SUSPENDED, False), (Guard.SUSPENDED, True)]),
        (["AZRebalance"], []),
    ],
)
def test_suspended_processes_are_respected(world, processes, held):
    """No growth where Launch is suspended, no shrink where units would not leave or policies not act."""
    scaling = world.somebody("autoscaling")
    scaling.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=processes)
    assert codes(world.provider().read(WEB)) == held


def test_it_is_protected_where_every_instance_is(world):
    """Scale-in protection of all instances protects the pool, of some of them it does not."""
    ids = [one["InstanceId"] for one in world.described()[0]["Instances"]]
    protect = world.somebody("autoscaling").set_instance_protection
    protect(AutoScalingGroupName="web", InstanceIds=ids[:3], ProtectedFromScaleIn=True)
    assert world.provider().read(WEB).protected is False
    protect(AutoScalingGroupName="web", InstanceIds=ids, ProtectedFromScaleIn=True)
    assert world.provider().read(WEB).protected is True


def test_only_healthy_instances_in_service_are_ready(world):
    """Standby, unhealthy and warm instances serve nobody; standby and warm ones are not on their way."""
    states = world.inside().instance_states
    states[0].lifecycle_state = "Standby"
    states[1].health_status = "Unhealthy"
    states[2].lifecycle_state = "Warmed:Stopped"
    world.inside().desired_capacity = 2
    pool = world.provider().read(WEB)
    assert sum(pool.ready.values()) == 1
    assert codes(pool) == []


def test_weights_warm_pools_and_mixed_instances_are_read(world):
    """An instance with a weight is as many units; what a group is made of stands among its labels."""
    world.somebody("ec2").create_launch_template(
        LaunchTemplateName="web-lt",
        LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m5.large"},
    )
    template = {"LaunchTemplateName": "web-lt", "Version": "$Latest"}
    overrides = [{"InstanceType": "m5.large", "WeightedCapacity": "2"}, {"InstanceType": "m5.xlarge"}]
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": template, "Overrides": overrides}}
    scaling = world.group("mixed", MixedInstancesPolicy=policy, AvailabilityZones=["us-east-1a"])
    scaling.put_warm_pool(AutoScalingGroupName="mixed", PoolState="Hibernated")
    for one in world.inside("mixed").instance_states:
        one.weighted_capacity = "2"
    pool = world.provider().read("asg/mixed")
    assert dict(pool.ready) == {"us-east-1a": 4}
    assert pool.labels["aws/mixed-instances"] == "m5.large m5.xlarge"
    assert pool.labels["aws/warm-pool"].endswith("Hibernated")


sizes = st.integers(0, 50)


@st.composite
def groups(draw):
    """Sizes and bounds of a group as AWS allows them, and the marks of what was before."""
    low, desired, high = sorted(draw(st.tuples(sizes, sizes, sizes)))
    marks = draw(st.fixed_dictionaries({}, optional={name: sizes.map(str) for name in OURS[:3]}))
    last = draw(st.none() | st.booleans())
    if last is not None:
        marks[OURS[3]] = Mark(key="k", size=1, at=START, floor=last).text()
    bounds = [int(marks.get(name, value)) for name, value in zip(OURS[1:3], (low, high), strict=True)]
    if bounds[0] > bounds[1]:
        marks = {name: value for name, value in marks.items() if name not in OURS[1:3]}
    return {"MinSize": low, "DesiredCapacity": desired, "MaxSize": high}, marks


@given(groups(), sizes, st.booleans())
def test_no_wish_leaves_a_size_outside_its_bounds(drawn, size, floor):
    """Whatever is set or restored, MinSize <= DesiredCapacity <= MaxSize afterwards."""
    group, marks = drawn
    after = group | wanted(group, size, floor=floor)
    assert after["MinSize"] <= max(after["DesiredCapacity"], after["MinSize"]) <= after["MaxSize"]
    assert after["MinSize" if floor else "DesiredCapacity"] == size
    back = group | restored(group, marks, START)
    assert back["MinSize"] <= back["DesiredCapacity"] <= back["MaxSize"]


@given(st.text(min_size=1, max_size=200), st.integers(0, 10**6), st.booleans())
def test_a_mark_is_read_as_it_was_written(key, size, floor):
    """Any key fits into a tag's 256 characters, and says again which it was."""
    mark = Mark(key=key, size=size, at=START, floor=floor)
    assert len(mark.text()) <= 256
    read = mark_on({OURS[3]: mark.text()})
    assert (read.key, read.size, read.at, read.floor) == (written(key), size, START, floor)


counts = st.integers(0, 99_999)
day = st.lists(counts, max_size=26, unique=True).map(sorted).map(tuple)


moments = st.none() | st.integers(-(10**6), 10**6).map(lambda minute: START + timedelta(minutes=minute))
puts = st.lists(counts, max_size=3, unique=True).map(tuple)


@given(st.builds(Minimum, own=counts, put=puts, planned=day, since=moments), counts)
def test_a_minimum_is_the_owners_unless_it_is_known_to_be_ours(minimum, now):
    """A tag holds it, and it is read again; any other value that stands there is a new one of the owner."""
    labels = {OURS[1]: minimum.text()}
    assert len(minimum.text()) <= 256
    assert re.fullmatch(r"[\w .:/=+@-]*", minimum.text())
    since = minimum.since if minimum.planned else None
    later = since or START
    for ours in (minimum.own, *minimum.put, *minimum.planned):
        assert minimum_on(labels, ours, later) == replace(minimum, since=since)
    moved = Minimum(own=now, planned=minimum.planned, since=since, moved=True)
    if now not in {minimum.own, *minimum.put, *minimum.planned}:
        assert minimum_on(labels, now, later) == moved
    if now not in {minimum.own, *minimum.put} and since is not None:
        assert minimum_on(labels, now, since - APART - timedelta(minutes=1)) == moved
    assert minimum_on({}, now, START) == Minimum(own=now)


def test_a_tag_of_before_tells_no_moment():
    """Floors that were planned without one may stand at any time."""
    labels = {OURS[1]: "2 set: 6 8 planned: 5 7"}
    assert minimum_on(labels, 7, START) == Minimum(own=2, put=(6, 8), planned=(5, 7))
    assert minimum_on(labels, 9, START).moved


@pytest.mark.parametrize("last", [True, False])
def test_a_mark_without_what_was_set_counts_with_the_last_key(last):
    """Tags of before say it by the last key alone, where that was a floor's; else nobody knows."""
    labels = {OURS[1]: "2", OURS[3]: Mark(key="k", size=6, at=START, floor=last).text()}
    assert minimum_on(labels, 6, START).own == (2 if last else 6)


def seen(minimum=2, maximum=10, **labels):
    """A group as it was read."""
    pool = Pool(
        id=WEB,
        provider="aws",
        kind=PoolKind.INSTANCE_GROUP,
        desired=4,
        ready={},
        minimum=minimum,
        maximum=maximum,
        demands=(),
        labels=labels,
    )
    return Seen(pool=pool, raw={"MinSize": minimum, "MaxSize": maximum, "SuspendedProcesses": []})


@given(st.lists(st.integers(-5, 40), min_size=1, max_size=30), st.integers(0, 5), st.integers(5, 20))
def test_floors_are_within_the_owners_minimum_and_the_maximum(wished, low, high):
    """Each floor lies between the owner's minimum and the maximum; the last one is that minimum."""
    moments = [(START + timedelta(hours=1 + hour), size) for hour, size in enumerate(wished)]
    found = sorted(floors(seen(low, high), moments, at=START - AHEAD).values())
    assert [at for at, _ in found] == [START + timedelta(hours=1 + hour) for hour in range(len(wished) + 1)]
    assert all(low <= floor <= high for _, floor in found)
    assert found[-1][1] == low


def test_floors_that_begin_already_are_left_out():
    """What AWS would refuse as past is not asked for; the end stays."""
    found = floors(seen(), [(START, 5), (START + timedelta(hours=1), 6)], at=START - AHEAD)
    assert [floor for _, floor in sorted(found.values())] == [6, 2]


@pytest.mark.parametrize(
    "moments",
    [
        [datetime(2026, 3, 2, 9)],  # noqa: DTZ001 - that is what is refused
        [datetime(2026, 3, 2, 9, tzinfo=UTC)] * 2,
    ],
)
def test_moments_that_do_not_rise_or_have_no_zone_are_invalid(moments):
    """Floors need moments that are told apart."""
    with pytest.raises(Invalid):
        floors(seen(), [(at, 5) for at in moments], at=START - AHEAD)


def scheduled(world):
    """All scheduled actions: whether ours, hours after the start, MinSize, desired, MaxSize."""
    answer = world.somebody("autoscaling").describe_scheduled_actions(AutoScalingGroupName="web")
    return sorted(
        (
            one["ScheduledActionName"].startswith(PREFIX),
            (one["StartTime"] - START) / timedelta(hours=1),
            one.get("MinSize"),
            one.get("DesiredCapacity"),
            one.get("MaxSize"),
        )
        for one in answer["ScheduledUpdateGroupActions"]
    )


def hours(*floors_of_hours):
    """Floors for the hours after the start."""
    return [(START + timedelta(hours=1 + hour), size) for hour, size in enumerate(floors_of_hours)]


def test_the_next_hours_outlive_the_program(world):
    """The floors of the next hours are scheduled as minima alone; then the owner's minimum returns."""
    scaling = world.somebody("autoscaling")
    scaling.put_scheduled_update_group_action(
        AutoScalingGroupName="web", ScheduledActionName="theirs", StartTime=START + timedelta(9), MinSize=3
    )
    pools = world.provider()
    assert pools.outlast(WEB, hours(5, 20, 1)) == ()
    theirs = (False, 216.0, 3, None, None)
    ours = [(True, 1.0, 5), (True, 2.0, 10), (True, 3.0, 2), (True, 4.0, 2)]
    assert scheduled(world) == [theirs, *((*one, None, None) for one in ours)]
    world.calls.clear()
    assert pools.outlast(WEB, hours(5, 20, 1)) == ()
    assert not [call for call in world.calls if "Batch" in call or "Tags" in call]
    pools.outlast(WEB, hours(6))
    assert [one[:3] for one in scheduled(world) if one[0]] == [(True, 1.0, 6), (True, 2.0, 2)]
    pools.outlast(WEB, [])
    assert scheduled(world) == [theirs]


def test_a_floor_that_came_true_does_not_become_the_owners(world):
    """After an action raised MinSize the owner's is still known, may be gone below to, and comes back."""
    pools = world.provider()
    pools.outlast(WEB, hours(7, 8))
    world.clock.advance(3600)
    scaling = world.somebody("autoscaling")
    world.inside().min_size = 7
    scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=7)
    pool = pools.read(WEB)
    assert (pool.desired, pool.minimum) == (7, 2)
    pools.outlast(WEB, hours(8))
    assert scheduled(world)[-1][2] == 2
    pool = pools.resize(WEB, 4, version=pool.version, key="k1")
    assert (pool.desired, world.described()[0]["MinSize"]) == (4, 4)
    pools.release(WEB, version=pool.version, key="r")
    assert scheduled(world) == []
    assert (world.described()[0]["MinSize"], world.described()[1]) == (2, {})


def test_what_could_not_be_scheduled_is_told(world):
    """An action that AWS refuses, and a suspended process, are gaps; only groups have scheduled actions."""
    failed = (
        "<BatchPutScheduledUpdateGroupActionResponse><BatchPutScheduledUpdateGroupActionResult>"
        "<FailedScheduledUpdateGroupActions><member><ScheduledActionName>x</ScheduledActionName>"
        "<ErrorCode>AlreadyExists</ErrorCode><ErrorMessage>that time is taken</ErrorMessage></member>"
        "</FailedScheduledUpdateGroupActions></BatchPutScheduledUpdateGroupActionResult>"
        "</BatchPutScheduledUpdateGroupActionResponse>"
    )
    world.fault("autoscaling:BatchPutScheduledUpdateGroupAction", (200, failed))
    (gap,) = world.provider().outlast(WEB, hours(5))
    assert (gap.code, gap.source) == ("NOT_SCHEDULED", "provider aws asg/web")
    assert "that time is taken" in gap.why
    world.fault("autoscaling:BatchPutScheduledUpdateGroupAction", None)
    processes = ["ScheduledActions"]
    world.somebody("autoscaling").suspend_processes(AutoScalingGroupName="web", ScalingProcesses=processes)
    assert [gap.code for gap in world.provider().outlast(WEB, hours(5))] == ["SUSPENDED"]
    with pytest.raises(Invalid, match="only Auto Scaling groups"):
        world.provider().outlast("ecs/shop/web", hours(5))
