"""Auto Scaling groups under the faults of the catalogue; what the server cannot say is put in its place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from autoscaler import aws
from autoscaler.connections import AwsAccount, AwsProvider
from autoscaler.errors import (
    Denied,
    InsufficientCapacity,
    Invalid,
    NotFound,
    ProviderError,
    Stale,
    Temporary,
    Throttled,
    Unreachable,
)
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.aws import ACTING, connect
from policies.plan import Guard
from tests.worlds.aws import REGION, activities, refreshes, zones

WEB = "asg/web"
NO_UNITS = "We currently do not have sufficient m5.large capacity in the Availability Zone you requested"


@pytest.fixture
def world(aws_account):
    """One group, web, of 4 units within 2..10."""
    aws_account.group()
    return aws_account


def short(world, *launches):
    """The group waits for two units, and AWS tells of those launches."""
    world.inside().desired_capacity = 6
    world.fault("autoscaling:DescribeScalingActivities", activities(*launches))
    world.fault("autoscaling:DescribeInstanceRefreshes", refreshes("Successful"))


def codes(pool):
    """What holds it, and whether only its shrinks."""
    return {(one.code, one.shrinks_only) for one in pool.obstacles}


def test_f19_a_read_is_tried_again_and_then_told(world):
    """A read that is throttled once is answered; one that always is, is Throttled, after a few tries."""
    refused = (503, "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>")
    world.fault("autoscaling:DescribeAutoScalingGroups", refused, None)
    assert world.provider().read(WEB).desired == 4
    world.fault("autoscaling:DescribeAutoScalingGroups", refused)
    with pytest.raises(Throttled):
        world.provider().read(WEB)


def test_f20_a_page_of_a_proxy_is_an_error_with_a_name(world):
    """An HTML page with status 200 is Unreachable, and no list without groups."""
    world.fault("autoscaling:DescribeAutoScalingGroups", (200, "<html><body>Please log in"))
    with pytest.raises(Unreachable, match="cannot be read"):
        world.provider().list()


def test_f21_a_server_that_is_not_there_is_told(world):
    """Nobody at the address is Unreachable, with the address."""
    account = AwsAccount(region=REGION, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        connect(AwsProvider(name="aws", account=account), world.clock).read(WEB)


def test_f38_a_group_that_waits_for_units_is_not_asked_for_more(world):
    """While AWS has no such units growth is InsufficientCapacity, before any call; shrinking is let."""
    short(world, (5, "Failed", NO_UNITS))
    pools = world.provider()
    pool = pools.read(WEB)
    world.calls.clear()
    with pytest.raises(InsufficientCapacity, match="do not have sufficient m5"):
        pools.resize(WEB, 8, version=pool.version, key="k1")
    assert not set(world.calls) & set(ACTING)
    assert pools.resize(WEB, 5, version=pool.version, key="k2").desired == 5


def test_f38_a_shortage_is_over_after_a_while_or_a_launch(world):
    """A shortage a quarter of an hour old, or before a launch that succeeded, keeps nothing back."""
    short(world, (16, "Failed", NO_UNITS))
    pools = world.provider()
    assert pools.resize(WEB, 8, version=pools.read(WEB).version, key="k1").desired == 8
    short(world, (1, "Successful", ""), (5, "Failed", NO_UNITS))
    assert pools.resize(WEB, 9, version=pools.read(WEB).version, key="k2").desired == 9


def test_f39_a_quota_is_told_as_units_that_are_not_there(world):
    """A launch refused by a quota keeps growth back in the provider's words."""
    why = "You have requested more vCPU capacity than your current vCPU limit of 32 allows"
    short(world, (2, "Failed", why))
    pools = world.provider()
    with pytest.raises(InsufficientCapacity, match="vCPU limit of 32"):
        pools.resize(WEB, 8, version=pools.read(WEB).version, key="k1")


def test_f40_a_lost_reply_leaves_one_change(world):
    """Time-out after success is Unreachable; the object shows what was done; the same key does no more."""
    pools = world.provider()
    before = pools.read(WEB)
    lost = ReadTimeoutError(endpoint_url=world.address)
    world.fault("autoscaling:SetDesiredCapacity", lost)
    with pytest.raises(Unreachable):
        pools.resize(WEB, 6, version=before.version, key="k1")
    assert world.calls.count("autoscaling:SetDesiredCapacity") == 1
    after = pools.read(WEB)
    assert (after.desired, after.labels[ORIGINAL_SIZE]) == (6, "4")
    assert after.version != before.version
    assert world.provider().resize(WEB, 6, version=before.version, key="k1").desired == 6
    assert world.calls.count("autoscaling:SetDesiredCapacity") == 1


def test_f40_a_call_that_was_not_done_can_be_done_by_the_same_key(world):
    """Where the mark was written and the size was not, the same key asks for it once more."""
    pools = world.provider()
    version = pools.read(WEB).version
    world.fault("autoscaling:SetDesiredCapacity", (500, "<ErrorResponse/>"), None)
    with pytest.raises(Unreachable):
        pools.resize(WEB, 6, version=version, key="k1")
    assert pools.read(WEB).version == version
    assert pools.resize(WEB, 6, version=version, key="k1").desired == 6


def test_f40_a_change_that_cannot_be_read_back_is_in_doubt(world):
    """The change was taken and the reading after it fails: Unreachable, never Throttled or Denied."""
    pools = world.provider()
    version = pools.read(WEB).version
    refused = (400, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
    world.fault("autoscaling:DescribeAutoScalingGroups", None, refused)
    with pytest.raises(Unreachable, match="was taken"):
        pools.resize(WEB, 6, version=version, key="k1")
    assert world.described()[0]["DesiredCapacity"] == 6


def test_f43_a_reading_that_lags_is_no_second_launch(world):
    """A late reading after a change that was taken is answered with the size that was taken."""
    pools = world.provider()
    version = pools.read(WEB).version
    done = (200, "<SetDesiredCapacityResponse/>")
    world.fault("autoscaling:SetDesiredCapacity", done)
    assert pools.resize(WEB, 6, version=version, key="k1").desired == 6
    assert pools.read(WEB).desired == 4
    world.calls.clear()
    assert pools.resize(WEB, 6, version=version, key="k1").desired == 6
    assert world.calls == []


def test_f43_what_is_on_its_way_holds_shrinks(world):
    """Instances that are pending are in flight: nothing shrinks, growth goes on."""
    world.inside().instance_states[0].lifecycle_state = "Pending:Wait"
    world.fault("autoscaling:DescribeInstanceRefreshes", refreshes("Successful"))
    pool = world.provider().read(WEB)
    assert sum(pool.ready.values()) == 3
    assert codes(pool) == {(Guard.IN_FLIGHT, True)}


def test_f49_credentials_that_ran_out_are_told_and_renewed_ones_count(world):
    """An expired token is Denied with the mend, and the clients are made anew for the next call."""
    pools = world.provider()
    world.refuse("autoscaling:DescribePolicies", "ExpiredToken", status=403)
    with pytest.raises(Denied, match="renew the credentials"):
        pools.list()
    world.fault("autoscaling:DescribePolicies", None)
    assert len(pools.list()[0]) == 1


def test_f50_a_group_that_is_gone_is_not_found(world):
    """A group that was deleted under us is NotFound, and in no list."""
    pools = world.provider()
    version = pools.read(WEB).version
    world.somebody("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    with pytest.raises(NotFound):
        pools.resize(WEB, 6, version=version, key="k1")
    assert pools.list() == ((), ())


def test_f50_marks_that_were_taken_off_are_written_anew(world):
    """Who takes our tags off makes the pool one that was never changed: the next size is its original."""
    pools = world.provider()
    pools.resize(WEB, 6, version=pools.read(WEB).version, key="k1")
    tags = [{"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": ORIGINAL_SIZE}]
    world.somebody("autoscaling").delete_tags(Tags=tags)
    pools.resize(WEB, 7, version=pools.read(WEB).version, key="k2")
    assert pools.read(WEB).labels[ORIGINAL_SIZE] == "6"


@pytest.mark.parametrize("value", ["", "many", "-1", "k 6", "k 6 soon size", "k 6 2026-03-02 size"])
def test_f50_marks_that_somebody_wrote_over_harm_nothing(world, value):
    """Tags of ours that say nothing sound count as none."""
    tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "PropagateAtLaunch": False}
    names = ("original-size", "original-minimum", "last-key")
    tags = [tag | {"Key": f"loadline.dev/{name}", "Value": value} for name in names]
    world.somebody("autoscaling").create_or_update_tags(Tags=tags)
    pools = world.provider()
    pool = pools.read(WEB)
    assert (pool.desired, pool.minimum, pool.last_scaled_at) == (4, 2, None)
    assert pools.release(WEB, version=pool.version, key="r").desired == 4


def test_f56_an_impaired_zone_holds_shrinks(world):
    """A group in a zone that is impaired does not shrink; one elsewhere does."""
    world.fault("ec2:DescribeAvailabilityZones", zones(a="impaired", b="available"))
    world.group("far", AvailabilityZones=["us-east-1b"])
    found = {pool.id: pool for pool in world.provider().list()[0]}
    assert codes(found[WEB]) == {(Guard.ZONE_IMPAIRED, True)}
    assert codes(found["asg/far"]) == set()


def test_f56_zones_that_are_not_known_hold_shrinks(world):
    """Where the zones cannot be asked nothing shrinks, and the permission is named."""
    world.refuse("ec2:DescribeAvailabilityZones", "UnauthorizedOperation", status=403)
    (obstacle,) = world.provider().read(WEB).obstacles
    assert (obstacle.code, obstacle.shrinks_only) == (Guard.ZONE_IMPAIRED, True)
    assert "ec2:DescribeAvailabilityZones" in obstacle.why


def test_f57_three_launches_that_failed_in_a_row_hold_everything(world):
    """A bad image: after three failures within the hour neither growth nor shrinks, with AWS' words."""
    bad = "The image id ami-1 does not exist"
    short(world, *[(minutes, "Failed", bad) for minutes in (1, 5, 9)])
    pool = world.provider().read(WEB)
    assert (Guard.UNREADY, False) in codes(pool)
    assert any(bad in one.why for one in pool.obstacles)
    assert world.provider().list()[0] == (pool,)


@pytest.mark.parametrize(
    "launches",
    [
        [(1, "Failed", "bad"), (5, "Failed", "bad")],
        [(1, "Failed", "bad"), (2, "Successful", ""), (5, "Failed", "bad"), (9, "Failed", "bad")],
        [(1, "Failed", "bad"), (5, "Failed", "bad"), (61, "Failed", "bad")],
        [(1, "Failed", "bad"), (5, "Failed", "bad"), (9, "Failed", NO_UNITS)],
    ],
)
def test_f57_less_than_three_in_a_row_within_the_hour_holds_nothing(world, launches):
    """Two failures, a success between them, an old one or a lack of units are no loop."""
    short(world, *launches)
    assert Guard.UNREADY not in {one.code for one in world.provider().read(WEB).obstacles}


@pytest.mark.parametrize("status", ["Pending", "InProgress", "Baking", "RollbackInProgress"])
def test_an_instance_refresh_holds_shrinks(world, status):
    """A refresh that goes on is a deployment; it moves the version: a plan made before it is stale."""
    quiet = world.provider().read(WEB)
    short(world)
    version = world.provider().read(WEB).version
    world.fault("autoscaling:DescribeInstanceRefreshes", refreshes(status))
    pool = world.provider().read(WEB)
    assert (Guard.DEPLOYING, True) in codes(pool)
    assert pool.version not in {version, quiet.version}


def test_a_refresh_that_is_not_known_holds_shrinks(world):
    """Where AWS does not say whether a refresh goes on nothing shrinks."""
    short(world)
    world.fault("autoscaling:DescribeInstanceRefreshes", (500, "<ErrorResponse/>"))
    pool = world.provider().read(WEB)
    assert (Guard.DEPLOYING, True) in codes(pool)


def test_a_group_that_is_busy_is_asked_later(world):
    """What AWS refuses because something goes on is Temporary, not a refusal of the value."""
    pools = world.provider()
    world.refuse("autoscaling:SetDesiredCapacity", "ScalingActivityInProgress")
    with pytest.raises(Temporary):
        pools.resize(WEB, 6, version=pools.read(WEB).version, key="k1")
    world.refuse("autoscaling:SetDesiredCapacity", "ValidationError")
    with pytest.raises(Invalid):
        pools.resize(WEB, 6, version=pools.read(WEB).version, key="k2")


def test_a_page_that_comes_again_ends(world):
    """A token that leads to itself is told, and does not go on for ever."""
    body = "<DescribePoliciesResponse><DescribePoliciesResult><ScalingPolicies/><NextToken>t</NextToken>"
    answer = (200, f"{body}</DescribePoliciesResult></DescribePoliciesResponse>")
    world.fault("autoscaling:DescribePolicies", answer)
    with pytest.raises(Unreachable, match="that page again"):
        world.provider().list()


def test_zones_are_asked_once_for_a_while(world):
    """A listing and the reads after it ask for the zones once; later ones ask anew."""
    pools = world.provider()
    pools.list()
    pools.read(WEB)
    assert world.calls.count("ec2:DescribeAvailabilityZones") == 1
    world.clock.advance(timedelta(minutes=1).total_seconds())
    pools.read(WEB)
    assert world.calls.count("ec2:DescribeAvailabilityZones") == 2


def test_f45_a_hand_between_the_plan_and_the_call_is_stale(world):
    """What moved since the plan is found right before the call; nothing is marked or changed."""
    pools = world.provider()
    version = pools.read(WEB).version
    world.somebody("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=9)
    with pytest.raises(Stale):
        pools.resize(WEB, 6, version=version, key="k1")
    assert (world.described()[0]["DesiredCapacity"], world.described()[1]) == (9, {})


@pytest.mark.parametrize(
    ("kind", "action", "code"),
    [
        ("asg", "autoscaling:CreateOrUpdateTags", "LimitExceeded"),
        ("ecs", "application-autoscaling:RegisterScalableTarget", "LimitExceededException"),
        ("ecs", "ecs:TagResource", "LimitExceededException"),
        ("eks", "eks:UpdateNodegroupConfig", "ResourceLimitExceededException"),
    ],
)
def test_f39_a_quota_of_aws_is_no_throttling(world, kind, action, code):
    """What one may have no more of is Invalid with the mend: waiting and asking again would not help."""
    world.refuse(action, code, message="You have reached the limit")
    asking = world.provider(kinds=(kind,))._account.asking
    arguments = {
        "autoscaling:CreateOrUpdateTags": {"Tags": []},
        "application-autoscaling:RegisterScalableTarget": {
            "ServiceNamespace": "ecs",
            "ResourceId": "service/shop/web",
            "ScalableDimension": "ecs:service:DesiredCount",
        },
        "ecs:TagResource": {"resourceArn": "a", "tags": []},
        "eks:UpdateNodegroupConfig": {"clusterName": "shop", "nodegroupName": "web"},
    }
    told = rf"{action}: You have reached the limit \({code}: a quota .* Service Quotas"
    with pytest.raises(Invalid, match=told):
        asking.change(action, **arguments[action])


def test_f37_a_rate_that_is_exceeded_is_throttling_still(world):
    """RequestLimitExceeded is a rate: it rests, and is not told as a quota."""
    world.refuse("autoscaling:DescribePolicies", "RequestLimitExceeded", status=503)
    with pytest.raises(Throttled):
        world.provider().read(WEB)


def refused(status, code, message="no"):
    """What an answer that refuses, of that status and code, comes to."""
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(ProviderError) as raised, aws.told("autoscaling:SetDesiredCapacity"):
        raise ClientError(answer, "SetDesiredCapacity")
    return raised.value


def test_f48_whatever_its_code_a_403_lacks_a_permission():
    """A refusal of which nobody knows the code names the permission, as a known one does."""
    for code in ("AccessDenied", "ForbiddenByPolicy", "403"):
        assert isinstance(refused(403, code), Denied)
        assert "autoscaling:SetDesiredCapacity" in str(refused(403, code))
    assert isinstance(refused(400, "ForbiddenByPolicy"), Invalid)


def test_f20_a_page_in_the_place_of_an_answer_is_told_in_one_line():
    """A page of a proxy is named, and does not go into the message whole."""
    page = "<html>\n" + "<p>a proxy</p>\n" * 500
    with pytest.raises(Unreachable) as raised, aws.told("autoscaling:SetDesiredCapacity"):
        raise ResponseParserError(page)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
