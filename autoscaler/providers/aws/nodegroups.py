"""Node groups of EKS: `eks/CLUSTER/NODEGROUP`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.errors import NotFound, ProviderError
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.aws.groups_seen import UNITS
from autoscaler.providers.aws.kinds import Account, Seen, each, most, partial
from autoscaler.providers.aws.marks import (
    LAST_KEY,
    ORIGINAL_MAXIMUM,
    OURS,
    Mark,
    count_on,
    first_of,
    mark_on,
    written,
)
from policies.model import Gap, Obstacle, Pool, PoolKind, digest
from policies.plan import Guard

PAGE = 100  # the largest, of clusters, node groups and names of Auto Scaling groups
_LEAVES = frozenset({"NodeTerminationFailure", "PodEvictionFailure"})  # failures that hold no growth

Units = Mapping[str, Mapping[str, int]]  # ready units by zone, by Auto Scaling group


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroups:
    """The kind `eks`."""

    account: Account

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every managed node group of every cluster, and a Gap for each place that did not answer (F18)."""
        groups: list[Mapping[str, Any]] = []
        gaps: list[Gap] = []
        clusters: list[str] = []
        ask = self.account.asking
        try:
            for page in ask.pages("eks:ListClusters", maxResults=PAGE):
                clusters += page["clusters"]
        except ProviderError as error:
            if not clusters:
                raise
            gaps.append(partial(self.account, "clusters", error))
        for cluster in clusters:
            try:
                groups.extend(self._of(cluster))
            except ProviderError as error:
                gaps.append(partial(self.account, f"node groups of {cluster}", error))
        units = self._units(groups)
        named = ((f"eks/{one.get('clusterName', '')}/{one.get('nodegroupName', '')}", one) for one in groups)
        pools, odd = each(self.account, named, lambda group: describe(group, units, self.account))
        return pools, [*gaps, *odd]

    def read(self, name: str) -> Seen:
        """One node group; NotFound."""
        cluster, _, group = name.partition("/")
        if not group:
            raise NotFound(f"eks/{name} is no id of a node group: eks/CLUSTER/NODEGROUP")
        found = self._describe(cluster, group)
        return Seen(pool=describe(found, self._units([found]), self.account), raw=found)

    def change(self, seen: Seen, size: int, mark: Mark) -> None:
        """Mark it, then ask for the size with the key as the client's token."""
        group, scaling = seen.raw, seen.raw["scalingConfig"]
        wish = {"desiredSize": size}
        marks = {ORIGINAL_SIZE: str(seen.pool.desired), LAST_KEY: mark.text()}
        if size > scaling["maxSize"]:
            wish["maxSize"] = size
            marks[ORIGINAL_MAXIMUM] = str(scaling["maxSize"])
        self.account.asking.change(
            "eks:TagResource", resourceArn=group["nodegroupArn"], tags=first_of(seen.pool.labels, marks)
        )
        self._update(group, wish, clientRequestToken=written(mark.key))

    def give_back(self, seen: Seen) -> None:
        """The original size within the bounds, the original maximum; then the marks go."""
        scaling, labels = seen.raw["scalingConfig"], seen.pool.labels
        high = count_on(labels, ORIGINAL_MAXIMUM)
        wish = {} if high is None else {"maxSize": high}
        size = count_on(labels, ORIGINAL_SIZE)
        if size is not None:
            within = min(size, scaling["maxSize"] if high is None else high)
            wish["desiredSize"] = max(scaling["minSize"], within)
        if any(scaling[bound] != value for bound, value in wish.items()):
            self._update(seen.raw, wish)
        marks = [key for key in OURS if key in labels]
        self.account.asking.change("eks:UntagResource", resourceArn=seen.raw["nodegroupArn"], tagKeys=marks)

    def _update(self, group: Mapping[str, Any], wish: Mapping[str, int], **token: str) -> None:
        self.account.asking.change(
            "eks:UpdateNodegroupConfig",
            clusterName=group["clusterName"],
            nodegroupName=group["nodegroupName"],
            scalingConfig=dict(wish),
            **token,
        )

    def _of(self, cluster: str) -> Iterator[Mapping[str, Any]]:
        for page in self.account.asking.pages("eks:ListNodegroups", clusterName=cluster, maxResults=PAGE):
            for name in page["nodegroups"]:
                yield self._describe(cluster, name)

    def _describe(self, cluster: str, name: str) -> Mapping[str, Any]:
        answer = self.account.asking.read("eks:DescribeNodegroup", clusterName=cluster, nodegroupName=name)
        found: Mapping[str, Any] = answer["nodegroup"]
        return found

    def _units(self, groups: Sequence[Mapping[str, Any]]) -> Units | str:
        """What serves in the Auto Scaling groups behind them; a text where that is not known."""
        names = sorted({name for group in groups for name in _behind(group)})
        found: dict[str, Mapping[str, int]] = {}
        try:
            for begin in range(0, len(names), PAGE):
                pages = self.account.asking.pages(
                    "autoscaling:DescribeAutoScalingGroups",
                    AutoScalingGroupNames=names[begin : begin + PAGE],
                    MaxRecords=PAGE,
                )
                for page in pages:
                    found |= {
                        str(one["AutoScalingGroupName"]): _ready(one) for one in page["AutoScalingGroups"]
                    }
        except ProviderError as error:
            return str(error)
        return found


def describe(group: Mapping[str, Any], units: Units | str, account: Account) -> Pool:
    """The pool of a node group, with what serves in the groups behind it."""
    scaling = group["scalingConfig"]
    labels = {str(key): str(value) for key, value in (group.get("tags") or {}).items()}
    last = mark_on(labels)
    known = {} if isinstance(units, str) else units
    ready: Counter[str] = Counter()
    for name in _behind(group):
        ready.update(known.get(name, {}))
    return Pool(
        id=f"eks/{group['clusterName']}/{group['nodegroupName']}",
        provider=account.settings.name,
        kind=PoolKind.INSTANCE_GROUP,
        desired=scaling["desiredSize"],
        ready=dict(sorted(ready.items())),
        minimum=scaling["minSize"],
        maximum=most(scaling["maxSize"], account),
        demands=(),
        lead_time_s=account.settings.lead_time_s,
        last_scaled_at=None if last is None else last.at,
        version=_version(group),
        labels={"eks/capacity-type": str(group.get("capacityType", ""))} | labels,
        obstacles=tuple(_obstacles(group, units)),
    )


def _version(group: Mapping[str, Any]) -> str:
    scaling, template = group["scalingConfig"], group.get("launchTemplate") or {}
    return digest(
        {
            "sizes": [scaling[name] for name in ("minSize", "desiredSize", "maxSize")],
            "release": [str(group.get("version", "")), str(group.get("releaseVersion", ""))],
            "template": [str(template.get("id", "")), str(template.get("version", ""))],
        }
    )


def _obstacles(group: Mapping[str, Any], units: Units | str) -> Iterator[Obstacle]:
    status = group["status"]
    if status == "UPDATING":
        why = "an update goes on, and EKS takes no other one meanwhile"
        yield Obstacle(code=Guard.IN_FLIGHT, why=why, shrinks_only=False)
    elif status in {"CREATING", "DELETING"}:
        yield Obstacle(code=Guard.IN_FLIGHT, why=f"it is {status.lower()}", shrinks_only=False)
    elif status != "ACTIVE":
        yield Obstacle(code=Guard.UNREADY, why=f"EKS says it is {status}")
    for issue in (group.get("health") or {}).get("issues") or ():
        why = f"{issue['code']}: {issue.get('message', '')}"
        yield Obstacle(code=Guard.UNREADY, why=why, shrinks_only=issue["code"] in _LEAVES)
    missing = [name for name in _behind(group) if isinstance(units, str) or name not in units]
    if missing or not _behind(group):
        why = (
            units if isinstance(units, str) else f"the group {', '.join(missing) or 'behind it'} is not seen"
        )
        yield Obstacle(code=Guard.UNREADY, why=f"which nodes serve is not known: {why}")


def _behind(group: Mapping[str, Any]) -> list[str]:
    found = (group.get("resources") or {}).get("autoScalingGroups") or ()
    return [str(one["name"]) for one in found]


def _ready(group: Mapping[str, Any]) -> dict[str, int]:
    standing = (one for one in group.get("Instances", ()) if one["LifecycleState"] in UNITS)
    return dict(
        Counter(str(one["AvailabilityZone"]) for one in standing if one["HealthStatus"].lower() == "healthy")
    )
