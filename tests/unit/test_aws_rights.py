"""What is declared is what is called; what is examined is told with its mend; a role acts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from autoscaler.clock import SystemClock
from autoscaler.providers.aws import ACTING, PERMISSIONS, rights
from tests.worlds.aws import refreshes
from tests.worlds.aws_kinds import IDS, MADE

ROOT = Path(__file__).parents[2]
ROLE = "arn:aws:iam::123456789012:role/loadline-acting"


@pytest.fixture
def world(aws_account):
    """One group, web, of 4 units within 2..10."""
    aws_account.group()
    return aws_account


def now(world):
    """Set the clock to that of the server."""
    world.clock.advance((SystemClock().now() - world.clock.now()).total_seconds())


def used(world, kind):
    """Do everything that a kind can do, and return what was called."""
    if kind == "asg":
        pool_id = "asg/web"
        world.inside().desired_capacity = 5  # something goes on: its events are asked for
        world.fault("autoscaling:DescribeInstanceRefreshes", refreshes("Successful"))
    else:
        MADE[kind](world)
        pool_id = IDS[kind]
    world.calls.clear()
    pools = world.provider(kinds=(kind,), raise_maximum=True)
    pools.examine()
    pool = pools.list()[0][0] if kind == "asg" else pools.read(pool_id)
    if kind == "asg":
        pools.outlast(pool_id, [(world.clock.now() + timedelta(hours=1), 5)])
        pool = pools.resize(pool_id, 12, version=pool.version, key="up")
    pool = pools.resize(pool_id, 6, version=pool.version, key="k1")
    pool = pools.resize(pool_id, 3, version=pool.version, key="k2")
    pools.release(pool_id, version=pool.version, key="r")
    return set(world.calls)


def test_each_kind_calls_exactly_what_it_declares(world):
    """Every call that is made is declared for its kind, and every right that is declared is used."""
    service = world.somebody("application-autoscaling")
    MADE["ecs"](world, "floor", "other")
    resource = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
    resource |= {"ResourceId": "service/other/floor"}
    service.register_scalable_target(MinCapacity=2, MaxCapacity=10, **resource)
    for kind in ("asg", "ec2", "ecs", "eks"):
        called = used(world, kind)
        if kind == "ecs":
            pools = world.provider(kinds=("ecs",))
            pools.resize("ecs/other/floor", 3, version=pools.read("ecs/other/floor").version, key="f")
            called = called | set(world.calls)
        declared = {*rights.for_kinds(rights.PERMISSIONS, [kind]), *rights.for_kinds(rights.ACTING, [kind])}
        assert called == declared, kind
    assert not set(PERMISSIONS) & set(ACTING)
    assert list(PERMISSIONS) == sorted(set(PERMISSIONS))


def test_reading_changes_nothing(world):
    """Listing, reading, rehearsing a group and examining call nothing but what is declared for reading."""
    pools = world.provider(kinds=("asg", "ecs", "eks"))
    pools.list()
    pools.rehearse("asg/web", 5, version=pools.read("asg/web").version)
    pools.examine()
    assert set(world.calls) <= set(PERMISSIONS)


def test_the_page_shows_the_exact_rights():
    """docs/aws.md has every right that is declared, and no other."""
    text = (ROOT / "docs" / "aws.md").read_text()
    reading, acting = (block.partition("```")[0] for block in text.split("```json\n")[1:3])
    for block, declared in ((reading, PERMISSIONS), (acting, ACTING)):
        shown = [line.strip().strip('",') for line in block.splitlines() if line.startswith("        ")]
        assert shown == list(declared)


def checks(world, **settings):
    """What was examined, by what it is."""
    return {check.what: check for check in world.provider(**settings).examine()}


def test_sound_credentials_and_rights_that_can_be_tried(world):
    """Who we are, the clock, each read that needs no name as tried; what is not known says how it could."""
    now(world)
    found = checks(world)
    assert found["credentials"].ok
    assert found["clock"].ok
    assert found["permission autoscaling:DescribePolicies"].ok
    unknown = found["permission autoscaling:SetDesiredCapacity"]
    assert unknown.ok is None
    assert "iam:SimulatePrincipalPolicy" in unknown.mend
    assert all(check.mend for check in found.values() if not check.ok)
    assert not set(world.calls) & set(ACTING)


def simulated(denied=()):
    """What IAM says of each action."""
    told = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{'implicitDeny' if action in denied else 'allowed'}</EvalDecision></member>"
        for action in (*PERMISSIONS, *ACTING)
    )
    body = f"<SimulatePrincipalPolicyResult><EvaluationResults>{told}</EvaluationResults>"
    return 200, (
        f"<SimulatePrincipalPolicyResponse>{body}</SimulatePrincipalPolicyResult>"
        "</SimulatePrincipalPolicyResponse>"
    )


def test_f48_rights_are_simulated_where_that_is_let(world):
    """IAM tells of each action; a missing one is named with its mend."""
    missing = "autoscaling:SetDesiredCapacity"
    world.fault("iam:SimulatePrincipalPolicy", simulated([missing]))
    found = checks(world, acting_role_arn=ROLE)
    lacks = {what for what, check in found.items() if what.startswith("permission") and not check.ok}
    assert lacks == {f"permission {missing}"}
    assert found[f"permission {missing}"].mend == f"allow {missing} to {ROLE}"
    assert "autoscaling:DescribeAutoScalingGroups" not in world.calls[:3]


def test_f48_a_read_that_is_refused_is_told(world):
    """Where IAM does not tell, a read that is refused is a missing right."""
    world.refuse("autoscaling:DescribePolicies", "AccessDenied", status=403)
    found = checks(world)
    assert found["permission autoscaling:DescribePolicies"].ok is False
    assert found["pools"].ok is False


@pytest.mark.parametrize("apart", [-400, 400])
def test_f49_a_clock_that_is_off_is_found(world, apart):
    """AWS' own date is compared with the clock, either way."""
    now(world)
    world.clock.advance(apart)
    check = checks(world)["clock"]
    assert check.ok is False
    assert "time service" in check.mend


def test_f49_no_credentials_is_one_check_with_a_mend(world):
    """Where nobody knows who we are nothing else is asked."""
    world.refuse("sts:GetCallerIdentity", "ExpiredToken", status=403)
    (check,) = world.provider().examine()
    assert (check.what, check.ok) == ("credentials", False)
    assert "renew" in check.mend
    assert world.calls == ["sts:GetCallerIdentity"]


def test_f45_other_scalers_are_told_with_a_mend(world):
    """Policies are respected and told; scheduled actions, Karpenter and EKS are conflicts."""
    world.track()
    world.group("ng", tags={"eks:nodegroup-name": "blue", "eks:cluster-name": "shop"})
    world.group("kp", tags={"karpenter.sh/nodepool": "general"})
    world.group("sched").put_scheduled_update_group_action(
        AutoScalingGroupName="sched", ScheduledActionName="night", Recurrence="0 0 * * *", MinSize=0
    )
    found = checks(world)
    assert found["other scalers of asg/web"].ok
    assert "MinSize beside target tracking cpu" in found["other scalers of asg/web"].why
    for name, word in (("ng", "eks/shop/blue"), ("kp", "karpenter.sh/nodepool"), ("sched", "night")):
        check = found[f"other scalers of asg/{name}"]
        assert check.ok is False
        assert word in check.why
        assert check.mend


def test_the_acting_role_is_assumed_for_changes_alone(world):
    """With `acting_role_arn` a change is signed with that role's credentials, a reading with our own."""
    pools = world.provider(acting_role_arn=ROLE)
    asking = pools._account.asking
    pools.resize("asg/web", 5, version=pools.read("asg/web").version, key="k1")
    reading, acting = asking._clients["read", "autoscaling"], asking._clients["change", "autoscaling"]
    keys = [made._request_signer._credentials.access_key for made in (reading, acting)]
    assert keys[0] == "loadline"
    assert keys[1] != "loadline"
