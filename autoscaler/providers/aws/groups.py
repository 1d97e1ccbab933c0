"""Auto Scaling groups: `asg/NAME`.

A group that another scaler moves (target tracking, step or predictive policies, cluster-autoscaler) is never
sized: its MinSize is set, as a floor beside that scaler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autoscaler.errors import InsufficientCapacity, NotFound, ProviderError
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.aws import events
from autoscaler.providers.aws.groups_seen import UNITS, Around, describe, is_settled, is_uniform, unit_count
from autoscaler.providers.aws.kinds import Account, Seen, each, partial
from autoscaler.providers.aws.marks import (
    LAST_KEY,
    ORIGINAL_MAXIMUM,
    ORIGINAL_MINIMUM,
    OURS,
    Mark,
    Minimum,
    count_on,
    first_of,
    mark_on,
    minimum_on,
)
from autoscaler.providers.aws.zones import Zones
from policies.model import Gap, Pool

PAGE = 100  # the largest
ACTIVITIES = 20  # the newest ones of a group that lacks instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The kind `asg`."""

    account: Account
    zones: Zones

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every group of the region, and a Gap where the pages broke off (F18)."""
        scalers = self._scalers()
        groups: list[Mapping[str, Any]] = []
        gaps: list[Gap] = []
        try:
            for page in self.account.asking.pages("autoscaling:DescribeAutoScalingGroups", MaxRecords=PAGE):
                groups += page["AutoScalingGroups"]
        except ProviderError as error:
            if not groups:
                raise
            gaps.append(partial(self.account, "Auto Scaling groups", error))
        pools, odd = each(
            self.account,
            ((f"asg/{_name(group)}", group) for group in groups),
            lambda group: self._seen(group, scalers.get(_name(group), ())).pool,
        )
        return pools, [*gaps, *odd]

    def read(self, name: str) -> Seen:
        """One group; NotFound."""
        ask = self.account.asking.read
        found = ask("autoscaling:DescribeAutoScalingGroups", AutoScalingGroupNames=[name])
        if not found["AutoScalingGroups"]:
            raise NotFound(f"there is no Auto Scaling group {name}")
        scalers = self._scalers(AutoScalingGroupName=name)
        return self._seen(found["AutoScalingGroups"][0], scalers.get(name, ()))

    def change(self, seen: Seen, size: int, mark: Mark) -> None:
        """Mark it, then set the size or the floor. InsufficientCapacity while it still lacks units."""
        group, pool = seen.raw, seen.pool
        shortage = group.get(events.SHORTAGE, "")
        if shortage and size > pool.desired:
            raise InsufficientCapacity(f"{pool.id} waits for instances already: {shortage}")
        wish = wanted(group, size, floor=mark.floor)
        least = minimum_on(pool.labels, group["MinSize"], self.account.clock.now())
        marks = _originals(group, pool, wish, least) | {LAST_KEY: mark.text()}
        self._tag(_name(group), first_of(pool.labels, marks, least, floor=mark.floor))
        if set(wish) == {"DesiredCapacity"}:
            self.account.asking.change(
                "autoscaling:SetDesiredCapacity",
                AutoScalingGroupName=_name(group),
                DesiredCapacity=size,
                HonorCooldown=False,
            )
        else:
            self.account.asking.change(
                "autoscaling:UpdateAutoScalingGroup", AutoScalingGroupName=_name(group), **wish
            )

    def give_back(self, seen: Seen) -> None:
        """Restore bounds and, where we set it, the size; then the marks go."""
        wish = restored(seen.raw, seen.pool.labels, self.account.clock.now())
        name = _name(seen.raw)
        if wish:
            self.account.asking.change(
                "autoscaling:UpdateAutoScalingGroup", AutoScalingGroupName=name, **wish
            )
        marks = [key for key in OURS if key in seen.pool.labels]
        self.account.asking.change("autoscaling:DeleteTags", Tags=[_tag_of(name, key) for key in marks])

    def mark_minimum(self, seen: Seen, floors: Iterable[tuple[datetime, int]]) -> None:
        """Write the owner's minimum and the floors on the group, before scheduled actions set these.

        `floors`: each with when it begins, also those that stand and are to go: they may yet come true.
        """
        now = seen.raw["MinSize"]
        least = minimum_on(seen.pool.labels, now, self.account.clock.now())
        text = least.planning(floors, now=now).text()
        if seen.pool.labels.get(ORIGINAL_MINIMUM) != text:
            self._tag(_name(seen.raw), {ORIGINAL_MINIMUM: text})

    def _tag(self, name: str, tags: Mapping[str, str]) -> None:
        written = [
            _tag_of(name, key) | {"Value": value, "PropagateAtLaunch": False} for key, value in tags.items()
        ]
        self.account.asking.change("autoscaling:CreateOrUpdateTags", Tags=written)

    def _scalers(self, **of: str) -> dict[str, tuple[str, ...]]:
        """The policies that change a group's size, by group; asked once for all of them."""
        found: dict[str, tuple[str, ...]] = {}
        for page in self.account.asking.pages("autoscaling:DescribePolicies", MaxRecords=PAGE, **of):
            for policy in page["ScalingPolicies"]:
                if _acts(policy):
                    group = str(policy["AutoScalingGroupName"])
                    told = f"{_KINDS.get(policy['PolicyType'], 'scaling')} {policy['PolicyName']}"
                    found[group] = (*found.get(group, ()), told)
        return found

    def _seen(self, group: Mapping[str, Any], policies: Iterable[str]) -> Seen:
        told = dict(group) | self._events(group)
        around = Around(
            policies=tuple(sorted(policies)),
            zones=self.zones.impaired(),
            refresh=told.get(events.REFRESH, ""),
            unknown=told.get(events.UNKNOWN, ()),
            failures=told.get(events.FAILURES, ""),
        )
        return Seen(pool=describe(group, around, self.account), raw=told)

    def _events(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """What goes on in a group, asked only where its instances show that something does."""
        told: dict[str, Any] = {}
        unknown = []
        if unit_count(group, UNITS) != group["DesiredCapacity"]:
            try:
                told |= self._launches(group)
            except ProviderError as error:
                unknown.append(f"its scaling activities are not known: {error}")
        if not is_settled(group) or not is_uniform(group):
            try:
                told[events.REFRESH] = self._refresh(group)
            except ProviderError as error:
                unknown.append(f"whether an instance refresh goes on is not known: {error}")
        return told | ({events.UNKNOWN: tuple(unknown)} if unknown else {})

    def _launches(self, group: Mapping[str, Any]) -> dict[str, str]:
        answer = self.account.asking.read(
            "autoscaling:DescribeScalingActivities",
            AutoScalingGroupName=_name(group),
            MaxRecords=ACTIVITIES,
        )
        return events.launches(answer["Activities"], self.account.clock.now())

    def _refresh(self, group: Mapping[str, Any]) -> str:
        answer = self.account.asking.once(
            "autoscaling:DescribeInstanceRefreshes", AutoScalingGroupName=_name(group), MaxRecords=1
        )
        return events.refresh(answer["InstanceRefreshes"])


_KINDS = {
    "TargetTrackingScaling": "target tracking",
    "PredictiveScaling": "predictive scaling",
    "StepScaling": "step scaling",
    "SimpleScaling": "simple scaling",
}


def _acts(policy: Mapping[str, Any]) -> bool:
    forecasts = policy.get("PredictiveScalingConfiguration") or {}
    only_forecasts = (
        policy["PolicyType"] == "PredictiveScaling" and forecasts.get("Mode") != "ForecastAndScale"
    )
    return policy.get("Enabled", True) is not False and not only_forecasts


def wanted(group: Mapping[str, Any], size: int, *, floor: bool) -> dict[str, int]:
    """What to set for a size, or a floor; the bounds move with it where it lies outside them."""
    wish = {"MinSize" if floor else "DesiredCapacity": size}
    if size > group["MaxSize"]:
        wish["MaxSize"] = size
    if not floor and size < group["MinSize"]:
        wish["MinSize"] = size
    return wish


def restored(group: Mapping[str, Any], labels: Mapping[str, str], at: datetime) -> dict[str, int]:
    """What makes the group as before us; its size only where we set that, and within its bounds."""
    low = minimum_on(labels, group["MinSize"], at).own
    high = count_on(labels, ORIGINAL_MAXIMUM)
    high = group["MaxSize"] if high is None else max(low, high)
    wish = {bound: value for bound, value in (("MinSize", low), ("MaxSize", high)) if value != group[bound]}
    last, original = mark_on(labels), count_on(labels, ORIGINAL_SIZE)
    if last is not None and not last.floor and original is not None:
        size = max(low, min(high, original))
    else:
        size = max(low, min(high, group["DesiredCapacity"]))
    return wish | ({"DesiredCapacity": size} if size != group["DesiredCapacity"] else {})


def _originals(
    group: Mapping[str, Any], pool: Pool, wish: Mapping[str, int], least: Minimum
) -> dict[str, str]:
    marks = {ORIGINAL_SIZE: str(pool.desired)}
    if "MinSize" in wish:
        marks[ORIGINAL_MINIMUM] = least.then(group["MinSize"], wish["MinSize"]).text()
    if "MaxSize" in wish:
        marks[ORIGINAL_MAXIMUM] = str(group["MaxSize"])
    return marks


def _name(group: Mapping[str, Any]) -> str:
    return str(group["AutoScalingGroupName"])


def _tag_of(name: str, key: str) -> dict[str, Any]:
    return {"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key}
