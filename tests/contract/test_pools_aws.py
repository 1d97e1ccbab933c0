"""Auto Scaling groups by the laws that every provider of pools keeps, against a server over HTTP."""

from __future__ import annotations

import pytest

from autoscaler import providers
from autoscaler.errors import Denied, Invalid, NotFound, Stale, Throttled
from autoscaler.ports import FREEZE, ORIGINAL_SIZE, Examines, Outlasts, Releases


@pytest.fixture
def world(aws_account):
    """One group, web, of 4 units within 2..10."""
    aws_account.group(tags={"team": "shop"})
    return aws_account


WEB = "asg/web"


def test_it_says_what_it_can_and_needs(world):
    """The module declares its ports, and the provider has them."""
    module = providers.load("aws")
    assert set(module.CAPABILITIES) == {"pools", "examine", "release", "outlast"}
    pools = world.provider()
    assert isinstance(pools, Examines)
    assert isinstance(pools, Releases)
    assert isinstance(pools, Outlasts)
    assert module.__doc__


def test_a_pool_is_read_as_it_is_listed(world):
    """`read` and `list` tell the same of a group: size, bounds, units by zone, tags."""
    pools, gaps = world.provider().list()
    assert tuple(gaps) == ()
    (pool,) = pools
    assert pool == world.provider().read(WEB)
    assert (pool.id, pool.provider, pool.desired, pool.minimum, pool.maximum) == (WEB, "aws", 4, 2, 10)
    assert sum(pool.ready.values()) == 4
    assert set(pool.ready) == {"us-east-1a", "us-east-1b"}
    assert dict(pool.labels) == {"team": "shop"}
    assert (pool.obstacles, pool.lever, pool.protected) == ((), "", False)


@pytest.mark.parametrize("size", [1, 11, -1, 2.0, True])
def test_sizes_outside_the_bounds_are_refused_before_any_call(world, size):
    """Below, above or no whole number is Invalid; nothing is changed, the key stays free."""
    pools = world.provider()
    before = pools.read(WEB)
    world.calls.clear()
    with pytest.raises(Invalid):
        pools.resize(WEB, size, version=before.version, key="k1")
    assert not set(world.calls) & set(providers.load("aws").ACTING)
    assert pools.read(WEB) == before
    assert pools.resize(WEB, 5, version=before.version, key="k1").desired == 5


def test_the_maximum_is_raised_only_where_that_is_allowed(world):
    """With `raise_maximum` a size above the maximum raises it; the owner's stands in a tag and comes back."""
    pools = world.provider(raise_maximum=True)
    after = pools.resize(WEB, 12, version=pools.read(WEB).version, key="k1")
    assert (after.desired, world.described()[0]["MaxSize"]) == (12, 12)
    assert after.maximum == pools.read(WEB).maximum > 12  # a plan may go on above it
    pools.release(WEB, version=after.version, key="k2")
    assert world.provider().read(WEB).maximum == 10
    group, tags = world.described()
    assert (group["DesiredCapacity"], group["MaxSize"], tags) == (4, 10, {"team": "shop"})


def test_f40_the_same_key_changes_once(world):
    """A key repeated later answers as the first time and changes nothing; so it does in another process."""
    pools = world.provider()
    version = pools.read(WEB).version
    first = pools.resize(WEB, 6, version=version, key="k1")
    assert world.provider().resize(WEB, 6, version=version, key="k1").desired == 6
    pools.resize(WEB, 7, version=first.version, key="k2")
    world.calls.clear()
    assert pools.resize(WEB, 6, version=version, key="k1") == first
    assert world.calls == []
    assert pools.read(WEB).desired == 7


def test_f41_a_key_belongs_to_one_wish(world):
    """The same key with another size is Invalid, in another process too; so is no key."""
    pools = world.provider()
    pools.resize(WEB, 6, version=pools.read(WEB).version, key="k1")
    before = pools.read(WEB)
    for cloud, key in ((pools, "k1"), (world.provider(), "k1"), (pools, "")):
        with pytest.raises(Invalid):
            cloud.resize(WEB, 7, version=before.version, key=key)
    assert pools.read(WEB) == before


def test_f45_a_version_that_moved_is_stale(world):
    """What somebody else does to size, bounds or processes moves the version; an old one changes nothing."""
    pools, scaling = world.provider(), world.somebody("autoscaling")
    hands = (
        lambda: scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=5),
        lambda: scaling.update_auto_scaling_group(AutoScalingGroupName="web", MaxSize=9),
        lambda: scaling.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["AZRebalance"]),
        world.track,
    )
    for hand in hands:
        old = pools.read(WEB).version
        hand()
        assert pools.read(WEB).version != old
        before = world.described()
        for version in (old, ""):
            with pytest.raises(Stale):
                pools.resize(WEB, 6, version=version, key="k")
        assert world.described() == before


def test_a_tag_moves_no_version_and_a_freeze_is_shown(world):
    """A freeze on the group is among its labels, and makes no plan stale."""
    before = world.provider().read(WEB)
    tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": FREEZE, "Value": "migration"}
    world.somebody("autoscaling").create_or_update_tags(Tags=[tag | {"PropagateAtLaunch": False}])
    after = world.provider().read(WEB)
    assert (after.labels[FREEZE], after.version) == ("migration", before.version)


def test_the_present_size_is_no_change(world):
    """Asking for the size it has calls nothing that changes anything."""
    pools = world.provider()
    before = pools.read(WEB)
    assert pools.resize(WEB, 4, version=before.version, key="k1") == before
    assert not set(world.calls) & set(providers.load("aws").ACTING)


@pytest.mark.parametrize("name", ["asg/wbe", "asg/", "web", "eks/a/b"])
def test_a_pool_that_is_not_there_is_not_found(world, name):
    """Reading or resizing what is not there, or of a kind that is not listed, is NotFound."""
    pools = world.provider()
    with pytest.raises(NotFound):
        pools.read(name)
    with pytest.raises(NotFound):
        pools.resize(name, 4, version="1", key="k1")


def test_a_rehearsal_changes_nothing(world):
    """Auto Scaling has no dry run: bounds and version are looked at, and the answer says no more was done."""
    pools = world.provider()
    before, described = pools.read(WEB), world.described()
    assert pools.rehearse(WEB, 6, version=before.version) is False
    with pytest.raises(Stale):
        pools.rehearse(WEB, 6, version="old")
    with pytest.raises(Invalid):
        pools.rehearse(WEB, 11, version=before.version)
    assert world.described() == described


def test_the_first_size_stays_on_the_object_and_is_restored(world):
    """The size before our first change is a tag that no later change rewrites; `release` brings it back."""
    pools = world.provider()
    for number, size in enumerate((6, 8, 5)):
        pools.resize(WEB, size, version=pools.read(WEB).version, key=f"k{number}")
    pool = pools.read(WEB)
    assert pool.labels[ORIGINAL_SIZE] == "4"
    assert pool.last_scaled_at == world.clock.now()
    with pytest.raises(Stale):
        pools.release(WEB, version="old", key="r")
    after = pools.release(WEB, version=pool.version, key="r")
    assert after.desired == 4
    assert dict(after.labels) == {"team": "shop"}
    world.calls.clear()
    assert pools.release(WEB, version=after.version, key="r2") == after
    assert not set(world.calls) & set(providers.load("aws").ACTING)


def test_f48_a_refusal_names_the_permission(world):
    """Denied names the IAM action that is missing, and the size stays."""
    pools = world.provider()
    version = pools.read(WEB).version
    world.refuse("autoscaling:SetDesiredCapacity", "AccessDenied", status=403)
    with pytest.raises(Denied, match="the permission autoscaling:SetDesiredCapacity is needed"):
        pools.resize(WEB, 6, version=version, key="k1")
    assert world.described()[0]["DesiredCapacity"] == 4
    world.refuse("autoscaling:DescribePolicies", "AccessDenied", status=403)
    with pytest.raises(Denied, match="autoscaling:DescribePolicies"):
        pools.list()


def test_f37_throttling_is_told_with_its_rest(world):
    """Throttled carries how long AWS says to rest; a change is not tried a second time."""
    pools = world.provider()
    version = pools.read(WEB).version
    world.calls.clear()
    world.refuse("autoscaling:SetDesiredCapacity", "Throttling", headers={"Retry-After": "7"})
    with pytest.raises(Throttled) as caught:
        pools.resize(WEB, 6, version=version, key="k1")
    assert caught.value.retry_after == 7
    assert world.calls.count("autoscaling:SetDesiredCapacity") == 1


def test_f18_a_page_that_fails_loses_nothing(world):
    """Groups of the pages before it are there, and a Gap says that the rest is not."""
    for number in range(130):
        world.copy(f"g{number:03}")
    refused = (400, "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>")
    world.fault("autoscaling:DescribeAutoScalingGroups", None, refused)
    pools, gaps = world.provider().list()
    assert len(pools) == 100
    (gap,) = gaps
    assert (gap.source, gap.code) == ("provider aws", "PARTIAL")
    world.fault("autoscaling:DescribeAutoScalingGroups", refused)
    with pytest.raises(Throttled):
        world.provider().list()


def test_five_hundred_groups_are_five_pages(world):
    """Listing takes the largest pages: 500 groups are five, with the policies and the zones once."""
    for number in range(499):
        world.copy(f"g{number:03}")
    pools, gaps = world.provider().list()
    assert (len(pools), len({pool.id for pool in pools}), tuple(gaps)) == (500, 500, ())
    assert sorted(world.calls) == [
        *["autoscaling:DescribeAutoScalingGroups"] * 5,
        "autoscaling:DescribePolicies",
        "ec2:DescribeAvailabilityZones",
    ]
