"""Instances that are started and stopped: `ec2/NAME` for those with the tag loadline.dev/pool=NAME.

Those that are stopped are the capacity that there is; none is ever made or terminated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.errors import NotFound, Owned
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.aws.groups_seen import zone_obstacles
from autoscaler.providers.aws.kinds import Account, Seen, each
from autoscaler.providers.aws.marks import LAST_KEY, OURS, Mark, count_on, first_of, mark_on
from autoscaler.providers.aws.zones import Zones
from policies.model import Gap, Obstacle, Pool, PoolKind, digest
from policies.plan import Guard

POOL = "loadline.dev/pool"
GROUP = "aws:autoscaling:groupName"  # a tag of AWS on the instances of an Auto Scaling group
PAGE = 1000  # the largest
WANTED = frozenset({"pending", "running"})
_THERE = ("pending", "running", "stopping", "stopped")

Instances = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedInstances:
    """The kind `ec2`."""

    account: Account
    zones: Zones

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every name of the tag. It raises where pages broke off: any pool may then lack instances (F18)."""
        found = [one for some in self._pages({"Name": "tag-key", "Values": [POOL]}) for one in some]
        names = sorted({_tags(one)[POOL] for one in found})
        return each(
            self.account,
            ((f"ec2/{name}", name) for name in names),
            lambda name: self._pool(name, [one for one in found if _tags(one)[POOL] == name]),
        )

    def read(self, name: str) -> Seen:
        """The instances of a name; NotFound where there are none."""
        pages = self._pages({"Name": f"tag:{POOL}", "Values": [name]})
        found = [one for some in pages for one in some]
        if not found:
            raise NotFound(f"no instance has the tag {POOL}={name}")
        return Seen(pool=self._pool(name, found), raw={"instances": found})

    def change(self, seen: Seen, size: int, mark: Mark) -> None:
        """Mark them all, then start or stop as many as are missing or too many. Raises Owned."""
        action, chosen = _choice(seen, size)
        marks = {ORIGINAL_SIZE: str(seen.pool.desired), LAST_KEY: mark.text()}
        tags = [{"Key": key, "Value": value} for key, value in first_of(seen.pool.labels, marks).items()]
        self.account.asking.change("ec2:CreateTags", Resources=_ids(seen.raw["instances"]), Tags=tags)
        if chosen:
            self.account.asking.change(action, InstanceIds=chosen)

    def give_back(self, seen: Seen) -> None:
        """As many as ran before our first change; then the marks go."""
        size = count_on(seen.pool.labels, ORIGINAL_SIZE)
        action, chosen = _choice(seen, seen.pool.desired if size is None else min(size, seen.pool.maximum))
        if chosen:
            self.account.asking.change(action, InstanceIds=chosen)
        marks = [{"Key": key} for key in OURS if key in seen.pool.labels]
        self.account.asking.change("ec2:DeleteTags", Resources=_ids(seen.raw["instances"]), Tags=marks)

    def rehearse(self, seen: Seen, size: int) -> bool:
        """Ask by EC2's dry run; raises what the call would raise."""
        action, chosen = _choice(seen, size)
        if chosen:
            self.account.asking.rehearse(action, InstanceIds=chosen)
        return bool(chosen)

    def _pages(self, tagged: Mapping[str, Any]) -> Iterator[Instances]:
        there = {"Name": "instance-state-name", "Values": list(_THERE)}
        pages = self.account.asking.pages("ec2:DescribeInstances", Filters=[tagged, there], MaxResults=PAGE)
        for page in pages:
            yield [one for reservation in page["Reservations"] for one in reservation["Instances"]]

    def _pool(self, name: str, instances: Instances) -> Pool:
        labels = _shared(instances)
        last = mark_on(labels)
        ready = Counter({_zone(one): 0 for one in instances})
        ready.update(_zone(one) for one in instances if _state(one) == "running")
        return Pool(
            id=f"ec2/{name}",
            provider=self.account.settings.name,
            kind=PoolKind.INSTANCE_GROUP,
            desired=sum(_state(one) in WANTED for one in instances),
            ready=dict(sorted(ready.items())),
            minimum=0,
            maximum=len(instances),
            demands=(),
            lead_time_s=self.account.settings.lead_time_s,
            last_scaled_at=None if last is None else last.at,
            version=digest(sorted([str(one["InstanceId"]), _state(one) in WANTED] for one in instances)),
            labels=labels,
            obstacles=(
                *_owned(instances),
                *_moving(instances),
                *zone_obstacles(sorted(ready), self.zones.impaired()),
            ),
        )


def _choice(seen: Seen, size: int) -> tuple[str, list[str]]:
    """The call, and the instances: those that stand stopped by id, or those that run, the newest first.

    Owned where an Auto Scaling group has some of them.
    """
    instances: Instances = seen.raw["instances"]
    grouped = _grouped(instances)
    if grouped:
        raise Owned(f"{seen.pool.id}: {grouped}")
    if size >= seen.pool.desired:
        idle = sorted(_ids([one for one in instances if _state(one) == "stopped"]))
        return "ec2:StartInstances", idle[: size - seen.pool.desired]
    running = [one for one in instances if _state(one) in WANTED]
    running.sort(key=lambda one: (one["LaunchTime"], str(one["InstanceId"])), reverse=True)
    return "ec2:StopInstances", _ids(running[: seen.pool.desired - size])


def _grouped(instances: Instances) -> str:
    """Why they are not to be stopped: a group terminates what is stopped in it. "" where none is in one."""
    groups = sorted({group for one in instances if (group := _tags(one).get(GROUP))})
    if not groups:
        return ""
    return (
        f"some are instances of the Auto Scaling group {groups[0]}, which would terminate what is stopped: "
        f"name the pool asg/{groups[0]}, or take the tag {POOL} off them"
    )


def _owned(instances: Instances) -> Iterator[Obstacle]:
    why = _grouped(instances)
    if why:
        yield Obstacle(code=Guard.OWNED, why=why, shrinks_only=False)


def _moving(instances: Instances) -> Iterator[Obstacle]:
    states = Counter(state for one in instances if (state := _state(one)) in {"pending", "stopping"})
    if states:
        why = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        yield Obstacle(code=Guard.IN_FLIGHT, why=f"instances are on their way: {why}")


def _shared(instances: Instances) -> dict[str, str]:
    """The tags that all have alike, and a freeze or a mark that any one has."""
    alike = set(_tags(instances[0]).items())
    single: dict[str, str] = {}
    for one in instances:
        alike &= set(_tags(one).items())
        single |= {key: value for key, value in _tags(one).items() if key.startswith("loadline.dev/")}
    return single | dict(alike)


def _tags(instance: Mapping[str, Any]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in instance.get("Tags", ())}


def _state(instance: Mapping[str, Any]) -> str:
    return str(instance["State"]["Name"])


def _zone(instance: Mapping[str, Any]) -> str:
    return str(instance["Placement"]["AvailabilityZone"])


def _ids(instances: Instances) -> list[str]:
    return [str(one["InstanceId"]) for one in instances]
