"""Looking at credentials, rights, the clock and other scalers; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from autoscaler.errors import Denied, ProviderError
from autoscaler.ports import Check, Pools
from autoscaler.providers.aws.kinds import Account
from autoscaler.providers.aws.marks import LAST_KEY
from autoscaler.providers.aws.rights import ACTING, PERMISSIONS, for_kinds
from autoscaler.providers.aws.schedules import PREFIX
from policies.plan import Guard

SKEW_S = 60.0  # AWS refuses what is signed 300 s off
BATCH = 50  # actions simulated by one call
# Rights to change may be given for what bears our tag, and for our marks alone: so they are asked for.
_OF_OURS = [
    {
        "ContextKeyName": "aws:ResourceTag/loadline.dev/managed",
        "ContextKeyValues": ["true"],
        "ContextKeyType": "string",
    },
    {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": [LAST_KEY], "ContextKeyType": "stringList"},
]
_TRIED: Mapping[str, Mapping[str, Any]] = {  # reads that need no name, each as small as it can be
    "application-autoscaling:DescribeScalableTargets": {"ServiceNamespace": "ecs", "MaxResults": 1},
    "autoscaling:DescribeAutoScalingGroups": {"MaxRecords": 1},
    "autoscaling:DescribePolicies": {"MaxRecords": 1},
    "autoscaling:DescribeScalingActivities": {"MaxRecords": 1},
    "autoscaling:DescribeScheduledActions": {"MaxRecords": 1},
    "ec2:DescribeAvailabilityZones": {},
    "ec2:DescribeInstances": {"MaxResults": 5},
    "ecs:ListClusters": {"maxResults": 1},
    "eks:ListClusters": {"maxResults": 1},
    "sts:GetCallerIdentity": {},
}


def examine(account: Account, pools: Pools) -> Sequence[Check]:
    """Every check of an account. What cannot be looked at is told as such; nothing is raised."""
    try:
        identity = account.asking.read("sts:GetCallerIdentity")
    except ProviderError as error:
        mend = "give credentials by the environment, `profile` or `role_arn`, and renew what has expired"
        return (Check(what="credentials", ok=False, why=str(error), mend=mend),)
    checks = [Check(what="credentials", ok=True, why=f"{identity['Arn']}")]
    checks.append(_clock(account, identity))
    kinds = account.settings.kinds
    checks += _rights(account, _principal(identity["Arn"]), for_kinds(PERMISSIONS, kinds))
    acting = account.settings.acting_role_arn or _principal(identity["Arn"])
    checks += _rights(account, acting, for_kinds(ACTING, kinds))
    return (*checks, *_others(account, pools))


def _clock(account: Account, answer: Mapping[str, Any]) -> Check:
    told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        theirs = parsedate_to_datetime(told)
    except ValueError:
        return Check(what="clock", ok=None, why="the answer of AWS has no date")
    apart = (account.clock.now() - theirs).total_seconds()
    why = f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} AWS"
    mend = "" if abs(apart) <= SKEW_S else "set the clock by a time service; AWS refuses calls 5 min off"
    return Check(what="clock", ok=abs(apart) <= SKEW_S, why=why, mend=mend)


def _principal(arn: str) -> str:
    """The user or role whose policies count, as `iam:SimulatePrincipalPolicy` wants it."""
    head, _, name = arn.partition(":assumed-role/")
    if not name:
        return arn
    return f"{head.replace(':sts:', ':iam:')}:role/{name.partition('/')[0]}"


def _rights(account: Account, principal: str, actions: Sequence[str]) -> Iterator[Check]:
    simulated, why = _simulated(account, principal, actions)
    for action in actions:
        ok = simulated.get(action)
        told = "" if ok is not None else why
        if ok is None and action in _TRIED:
            ok, told = _tried(account, action)
        mend = "" if ok else f"allow {action} to {principal}"
        if ok is None and action != "iam:SimulatePrincipalPolicy":
            mend += ", or iam:SimulatePrincipalPolicy to have it looked at"
        yield Check(what=f"permission {action}", ok=ok, why=told, mend=mend)


def _simulated(account: Account, principal: str, actions: Sequence[str]) -> tuple[Mapping[str, bool], str]:
    """What IAM says of each action; what is missing was not told, and why."""
    found: dict[str, bool] = {}
    try:
        for begin in range(0, len(actions), BATCH):
            answer = account.asking.once(
                "iam:SimulatePrincipalPolicy",
                PolicySourceArn=principal,
                ActionNames=list(actions[begin : begin + BATCH]),
                MaxItems=BATCH,
                ContextEntries=_OF_OURS,
            )
            results = answer["EvaluationResults"]
            found |= {one["EvalActionName"]: one["EvalDecision"] == "allowed" for one in results}
    except ProviderError as error:
        return found, str(error)
    return found, "IAM did not tell"


def _tried(account: Account, action: str) -> tuple[bool | None, str]:
    try:
        account.asking.read(action, **_TRIED[action])
    except Denied as error:
        return False, str(error)
    except ProviderError as error:
        return None, str(error)
    return True, "tried"


def _others(account: Account, pools: Pools) -> Iterator[Check]:
    """Other scalers of the same pools."""
    try:
        found, gaps = pools.list()
    except ProviderError as error:
        yield Check(what="pools", ok=False, why=str(error), mend="mend the permissions above")
        return
    for gap in gaps:
        yield Check(
            what="pools", ok=False, why=gap.why, mend="try again; what is missing is held, not removed"
        )
    for pool in found:
        what = f"other scalers of {pool.id}"
        owned = [one.why for one in pool.obstacles if one.code == Guard.OWNED]
        if owned:
            yield Check(
                what=what, ok=False, why=owned[0], mend="name the owner's pool, or leave this one out"
            )
        elif pool.lever:
            yield Check(what=what, ok=True, why=f"respected: only {pool.lever} is set")
        karpenter = sorted(key for key in pool.labels if key.startswith("karpenter.sh/"))
        if karpenter:
            mend = "leave the group to Karpenter, or take its tag off"
            yield Check(what=what, ok=False, why=f"it has the tag {karpenter[0]}", mend=mend)
    if "asg" in account.settings.kinds:
        yield from _scheduled(account)


def _scheduled(account: Account) -> Iterator[Check]:
    try:
        for page in account.asking.pages("autoscaling:DescribeScheduledActions", MaxRecords=100):
            for one in page["ScheduledUpdateGroupActions"]:
                if not one["ScheduledActionName"].startswith(PREFIX):
                    what = f"other scalers of asg/{one['AutoScalingGroupName']}"
                    why = f"the scheduled action {one['ScheduledActionName']} sets its size too"
                    mend = "take it away, or declare it as a floor in the pool's windows"
                    yield Check(what=what, ok=False, why=why, mend=mend)
    except ProviderError as error:
        yield Check(what="scheduled actions", ok=None, why=str(error), mend="allow it to be read")
