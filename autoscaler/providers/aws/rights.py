"""The IAM actions that the calls of this provider need, by the kind of pool that needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EVERY = ""  # whatever is listed
PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    EVERY: ("iam:SimulatePrincipalPolicy", "sts:GetCallerIdentity"),
    "asg": (
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:DescribePolicies",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:DescribeScheduledActions",
        "ec2:DescribeAvailabilityZones",
    ),
    "ec2": ("ec2:DescribeAvailabilityZones", "ec2:DescribeInstances"),
    "ecs": (
        "application-autoscaling:DescribeScalableTargets",
        "ecs:DescribeServices",
        "ecs:ListClusters",
        "ecs:ListServices",
    ),
    "eks": (
        "autoscaling:DescribeAutoScalingGroups",
        "eks:DescribeNodegroup",
        "eks:ListClusters",
        "eks:ListNodegroups",
    ),
}
ACTING: Mapping[str, tuple[str, ...]] = {
    "asg": (
        "autoscaling:BatchDeleteScheduledAction",
        "autoscaling:BatchPutScheduledUpdateGroupAction",
        "autoscaling:CreateOrUpdateTags",
        "autoscaling:DeleteTags",
        "autoscaling:SetDesiredCapacity",
        "autoscaling:UpdateAutoScalingGroup",
    ),
    "ec2": ("ec2:CreateTags", "ec2:DeleteTags", "ec2:StartInstances", "ec2:StopInstances"),
    "ecs": (
        "application-autoscaling:RegisterScalableTarget",
        "ecs:TagResource",
        "ecs:UntagResource",
        "ecs:UpdateService",
    ),
    "eks": ("eks:TagResource", "eks:UntagResource", "eks:UpdateNodegroupConfig"),
}


def for_kinds(rights: Mapping[str, tuple[str, ...]], kinds: Iterable[str]) -> tuple[str, ...]:
    """The actions for the kinds that are listed, each once, in alphabetical order."""
    return tuple(sorted({action for kind in (EVERY, *kinds) for action in rights.get(kind, ())}))
