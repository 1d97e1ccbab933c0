"""AWS, one account and region: Auto Scaling groups, node groups of EKS, services of ECS, instances of EC2.

Ids are asg/NAME, eks/CLUSTER/NODEGROUP, ecs/CLUSTER/SERVICE and ec2/NAME (the tag loadline.dev/pool).
"""

from __future__ import annotations

from autoscaler.connections import AwsProvider
from autoscaler.errors import Invalid
from autoscaler.ports import Clock
from autoscaler.providers.aws import rights
from autoscaler.providers.aws.asking import Asking
from autoscaler.providers.aws.groups import Groups
from autoscaler.providers.aws.instances import StartedInstances
from autoscaler.providers.aws.kinds import Account, Kind
from autoscaler.providers.aws.nodegroups import NodeGroups
from autoscaler.providers.aws.pools import AwsPools
from autoscaler.providers.aws.schedules import Schedules
from autoscaler.providers.aws.services import Services
from autoscaler.providers.aws.zones import Zones

CAPABILITIES = ("pools", "examine", "release", "outlast")
PERMISSIONS = rights.for_kinds(rights.PERMISSIONS, rights.PERMISSIONS)
ACTING = rights.for_kinds(rights.ACTING, rights.ACTING)


def connect(settings: AwsProvider, clock: Clock) -> AwsPools:
    """The pools of the account and region; nothing is asked yet. Invalid for a kind that there is not."""
    account = Account(settings=settings, asking=Asking(settings), clock=clock)
    zones = Zones(account)
    groups = Groups(account=account, zones=zones)
    known: dict[str, Kind] = {
        "asg": groups,
        "ec2": StartedInstances(account=account, zones=zones),
        "ecs": Services(account=account),
        "eks": NodeGroups(account=account),
    }
    unknown = sorted(set(settings.kinds) - set(known))
    if unknown or not settings.kinds:
        named = f"no kind {unknown[0]}" if unknown else "no kind of pools"
        raise Invalid(f"{settings.name}: there is {named}; there are {', '.join(known)}")
    kinds = {name: kind for name, kind in known.items() if name in settings.kinds}
    return AwsPools(account, kinds, Schedules(account=account, groups=groups))
