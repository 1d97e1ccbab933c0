"""An Auto Scaling group as AWS describes it, as a pool: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.providers.aws.kinds import Account, most
from autoscaler.providers.aws.marks import mark_on, minimum_on, shown
from policies.model import Obstacle, Pool, PoolKind, digest
from policies.plan import Guard

UNITS = frozenset({"InService"})
CLUSTER_AUTOSCALER = "k8s.io/cluster-autoscaler/enabled"
NODE_GROUP, CLUSTER = "eks:nodegroup-name", "eks:cluster-name"
_STANDS = frozenset({"InService", "Standby"})
# A suspended process that keeps units from leaving, policies from acting, or new units from being used.
_HOLDS_SHRINKS = frozenset({"Terminate", "AlarmNotification", "AddToLoadBalancer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known of a group beside its description.

    `policies` change its size; `zones`: those that are impaired, with why; `refresh`: the id of the one that
    goes on; `unknown`: what could not be asked; `failures`: launches that fail in a row.
    """

    policies: tuple[str, ...] = ()
    zones: Mapping[str, str] | str = ""
    refresh: str = ""
    unknown: tuple[str, ...] = ()
    failures: str = ""


def describe(group: Mapping[str, Any], around: Around, account: Account) -> Pool:
    """The pool of a group."""
    tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in group.get("Tags", ())}
    lever = _lever(tags, around.policies)
    last = mark_on(tags)
    least = minimum_on(tags, group["MinSize"], account.clock.now())
    size = group["MinSize"] if lever else group["DesiredCapacity"]
    return Pool(
        id=f"asg/{group['AutoScalingGroupName']}",
        provider=account.settings.name,
        kind=PoolKind.INSTANCE_GROUP,
        desired=size,
        ready=_ready(group),
        minimum=min(least.own, group["MinSize"]),
        maximum=most(group["MaxSize"], account),
        demands=(),
        lead_time_s=account.settings.lead_time_s,
        last_scaled_at=None if last is None else last.at,
        version=_version(group, around, tags, lever),
        labels={**_facts(group), **shown(tags, least, floor=bool(lever), size=size)},
        protected=bool(_standing(group)) and all(one.get("ProtectedFromScaleIn") for one in _standing(group)),
        obstacles=tuple(_obstacles(group, around, tags)),
        lever=lever,
    )


def unit_count(group: Mapping[str, Any], states: frozenset[str]) -> int:
    """Units in one of the states; an instance with a weight is as many units."""
    return sum(_weight(one) for one in group.get("Instances", ()) if one["LifecycleState"] in states)


def is_settled(group: Mapping[str, Any]) -> bool:
    """Whether every instance is in service, and they are as many as are wanted."""
    full = unit_count(group, UNITS) >= group["DesiredCapacity"]
    return full and not _moving(group)


def is_uniform(group: Mapping[str, Any]) -> bool:
    """Whether all instances were launched from one version: in a refresh they are not."""
    return len({_launched_from(one) for one in group.get("Instances", ())}) <= 1


def _launched_from(instance: Mapping[str, Any]) -> str:
    template = instance.get("LaunchTemplate") or {}
    if template:
        return f"{template.get('LaunchTemplateId', '')}:{template.get('Version', '')}"
    return str(instance.get("LaunchConfigurationName", ""))


def _lever(tags: Mapping[str, str], policies: tuple[str, ...]) -> str:
    """What moves the group beside us; a node group's own tags say nothing of a cluster-autoscaler."""
    others = policies
    if CLUSTER_AUTOSCALER in tags and NODE_GROUP not in tags:
        others = (*others, "cluster-autoscaler")
    return f"MinSize beside {', '.join(others)}" if others else ""


def _weight(instance: Mapping[str, Any]) -> int:
    value = str(instance.get("WeightedCapacity") or "1")
    return int(value) if value.isdecimal() else 1


def _ready(group: Mapping[str, Any]) -> dict[str, int]:
    """Units in service and healthy by zone; each of the group's zones is there."""
    ready = Counter(dict.fromkeys(group.get("AvailabilityZones", ()), 0))
    for one in _standing(group):
        if one["HealthStatus"].lower() == "healthy":
            ready[one["AvailabilityZone"]] += _weight(one)
    return dict(sorted(ready.items()))


def _standing(group: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in group.get("Instances", ()) if one["LifecycleState"] in UNITS]


def _moving(group: Mapping[str, Any]) -> Counter[str]:
    """Instances on their way in or out, by state; those of a warm pool are none of them."""
    states = (str(one["LifecycleState"]) for one in group.get("Instances", ()))
    return Counter(state for state in states if state not in _STANDS and not state.startswith("Warmed:"))


def _suspended(group: Mapping[str, Any]) -> set[str]:
    return {str(one["ProcessName"]) for one in group.get("SuspendedProcesses", ())}


def _version(group: Mapping[str, Any], around: Around, tags: Mapping[str, str], lever: str) -> str:
    """Moves with what somebody else may set. Beside a scaler the size is that one's, and moves no version."""
    template = group.get("LaunchTemplate") or {}
    return digest(
        {
            "bounds": [group["MinSize"], group["MaxSize"]],
            "desired": None if lever else group["DesiredCapacity"],
            "suspended": sorted(_suspended(group)),
            "template": [str(template.get(name, "")) for name in ("LaunchTemplateId", "Version")],
            "configuration": str(group.get("LaunchConfigurationName", "")),
            "mixed": repr(group.get("MixedInstancesPolicy") or ""),
            "refresh": around.refresh,
            "lever": lever,
            "owner": tags.get(NODE_GROUP, ""),
        }
    )


def _facts(group: Mapping[str, Any]) -> dict[str, str]:
    """What is worth knowing of a group beside its tags."""
    facts = {}
    template = group.get("LaunchTemplate") or {}
    if template:
        facts["aws/launch-template"] = (
            f"{template.get('LaunchTemplateName', '')} {template.get('Version', '')}"
        )
    mixed = group.get("MixedInstancesPolicy") or {}
    overrides = (mixed.get("LaunchTemplate") or {}).get("Overrides") or ()
    types = sorted({str(one["InstanceType"]) for one in overrides if one.get("InstanceType")})
    if mixed:
        facts["aws/mixed-instances"] = " ".join(types) or "by attributes"
    if group.get("WarmPoolConfiguration"):
        state = group["WarmPoolConfiguration"].get("PoolState", "Stopped")
        facts["aws/warm-pool"] = f"{group.get('WarmPoolSize', 0)} {state}"
    if group.get("DesiredCapacityType"):
        facts["aws/capacity-unit"] = str(group["DesiredCapacityType"])
    return facts


def _obstacles(group: Mapping[str, Any], around: Around, tags: Mapping[str, str]) -> Iterator[Obstacle]:
    if NODE_GROUP in tags:
        owner = f"{tags.get(CLUSTER, 'CLUSTER')}/{tags[NODE_GROUP]}"
        why = f"EKS sets this group by its node group; name the pool eks/{owner} instead"
        yield Obstacle(code=Guard.OWNED, why=why, shrinks_only=False)
    suspended = _suspended(group)
    if "Launch" in suspended:
        why = "the process Launch is suspended: no instance would come"
        yield Obstacle(code=Guard.SUSPENDED, why=why, shrinks_only=False)
    if suspended & _HOLDS_SHRINKS:
        why = f"suspended by somebody: {', '.join(sorted(suspended & _HOLDS_SHRINKS))}"
        yield Obstacle(code=Guard.SUSPENDED, why=why)
    if around.failures:
        yield Obstacle(code=Guard.UNREADY, why=around.failures, shrinks_only=False)
    if around.refresh:
        yield Obstacle(code=Guard.DEPLOYING, why=f"the instance refresh {around.refresh} goes on")
    for why in around.unknown:
        yield Obstacle(code=Guard.DEPLOYING, why=why)
    moving = _moving(group)
    if moving:
        why = ", ".join(f"{count} {state}" for state, count in sorted(moving.items()))
        yield Obstacle(code=Guard.IN_FLIGHT, why=f"instances are on their way: {why}")
    yield from zone_obstacles(group.get("AvailabilityZones", ()), around.zones)


def zone_obstacles(zones: Any, impaired: Mapping[str, str] | str) -> Iterator[Obstacle]:
    """What impaired zones hold; a text says why it is not known which are."""
    if isinstance(impaired, str):
        if impaired:
            yield Obstacle(code=Guard.ZONE_IMPAIRED, why=f"the state of the zones is not known: {impaired}")
        return
    for zone in zones:
        if zone in impaired:
            yield Obstacle(code=Guard.ZONE_IMPAIRED, why=f"{zone} is {impaired[zone]}")
