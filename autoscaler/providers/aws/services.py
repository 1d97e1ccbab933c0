"""Services of ECS: `ecs/CLUSTER/SERVICE`.

A service that Application Auto Scaling moves is not sized: its MinCapacity is set, as a floor beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.errors import NotFound, ProviderError, Unreachable
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.aws.kinds import Account, Seen, each, most, partial
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
    shown,
)
from policies.model import Gap, Obstacle, Pool, PoolKind, digest
from policies.plan import Guard

PAGE, DESCRIBED, TARGETS = 100, 10, 50  # the largest pages
MOST_TASKS = 5000  # what ECS lets one service have, where nobody says less
FAILED_IN_A_ROW = 3
_DIMENSION = "ecs:service:DesiredCount"
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")

Target = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The kind `ecs`."""

    account: Account

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every replica service of every cluster, and a Gap for each place that did not answer (F18)."""
        targets = self._targets()
        pools: list[Pool] = []
        gaps: list[Gap] = []
        clusters: list[str] = []
        try:
            for page in self.account.asking.pages("ecs:ListClusters", maxResults=PAGE):
                clusters += page["clusterArns"]
        except ProviderError as error:
            if not clusters:
                raise
            gaps.append(partial(self.account, "clusters", error))
        for cluster in clusters:
            try:
                for service in self._of(cluster):
                    found, odd = self._shown(service, targets)
                    pools += found
                    gaps += odd
            except ProviderError as error:
                gaps.append(partial(self.account, f"services of {_last(cluster)}", error))
        return pools, gaps

    def _shown(
        self, service: Mapping[str, Any], targets: Mapping[str, Target]
    ) -> tuple[Sequence[Pool], Sequence[Gap]]:
        named = [(f"ecs/{service.get('serviceName', '')}", service)]
        return each(self.account, named, lambda one: describe(one, targets.get(_resource(one)), self.account))

    def read(self, name: str) -> Seen:
        """One service; NotFound."""
        cluster, _, service = name.partition("/")
        found = self._described(cluster, [service]) if service else []
        if not found:
            raise NotFound(f"there is no ECS service {service} in {cluster}; ids are ecs/CLUSTER/SERVICE")
        target = self._targets(ResourceIds=[_resource(found[0])]).get(_resource(found[0]))
        raw = dict(found[0]) | {"target": target}
        return Seen(pool=describe(found[0], target, self.account), raw=raw)

    def change(self, seen: Seen, size: int, mark: Mark) -> None:
        """Mark it, then set the count or the floor.

        A floor above the count raises the count by itself, or waits for an alarm: it is looked at after the
        floor is set, and raised where it is below it still; never lowered, whoever raised it meanwhile.
        Unreachable where the floor was set and the count was not: half of it is done.
        """
        service, target = seen.raw, seen.raw["target"]
        marks = {ORIGINAL_SIZE: str(seen.pool.desired), LAST_KEY: mark.text()}
        bounds, least = {}, None
        if target is not None:
            bounds["MinCapacity"] = size
            least = minimum_on(seen.pool.labels, target["MinCapacity"], self.account.clock.now())
            marks[ORIGINAL_MINIMUM] = least.then(target["MinCapacity"], size).text()
            if size > target["MaxCapacity"]:
                bounds["MaxCapacity"] = size
                marks[ORIGINAL_MAXIMUM] = str(target["MaxCapacity"])
        written = first_of(seen.pool.labels, marks, least, floor=mark.floor)
        tags = [{"key": key, "value": value} for key, value in written.items()]
        self.account.asking.change("ecs:TagResource", resourceArn=service["serviceArn"], tags=tags)
        if bounds:
            self._register(service, bounds)
        if not bounds:
            self._count(service, size)
        elif size > service["desiredCount"]:
            self._lift(service, size)

    def give_back(self, seen: Seen) -> None:
        """The original bounds or, where there is no floor, the original count; then the marks go."""
        service, labels, target = seen.raw, seen.pool.labels, seen.raw["target"]
        high = count_on(labels, ORIGINAL_MAXIMUM)
        size, last = count_on(labels, ORIGINAL_SIZE), mark_on(labels)
        if target is not None and ORIGINAL_MINIMUM in labels:
            low = minimum_on(labels, target["MinCapacity"], self.account.clock.now()).own
            most_again = {} if high is None else {"MaxCapacity": max(low, high)}
            self._register(service, {"MinCapacity": low} | most_again)
        elif target is None and size is not None and last is not None and not last.floor:
            self._count(service, size)
        marks = [key for key in OURS if key in labels]
        self.account.asking.change("ecs:UntagResource", resourceArn=service["serviceArn"], tagKeys=marks)

    def _register(self, service: Mapping[str, Any], bounds: Mapping[str, int]) -> None:
        self.account.asking.change(
            "application-autoscaling:RegisterScalableTarget",
            ServiceNamespace="ecs",
            ResourceId=_resource(service),
            ScalableDimension=_DIMENSION,
            **bounds,
        )

    def _lift(self, service: Mapping[str, Any], size: int) -> None:
        try:
            now = self._described(service["clusterArn"], [service["serviceName"]])
            if now and now[0]["desiredCount"] < size:
                self._count(service, size)
        except ProviderError as error:
            raise Unreachable(
                f"the floor is set; the count beside it could not be raised: {error}"
            ) from error

    def _count(self, service: Mapping[str, Any], size: int) -> None:
        self.account.asking.change(
            "ecs:UpdateService",
            cluster=service["clusterArn"],
            service=service["serviceName"],
            desiredCount=size,
        )

    def _of(self, cluster: str) -> Iterator[Mapping[str, Any]]:
        for page in self.account.asking.pages("ecs:ListServices", cluster=cluster, maxResults=PAGE):
            names = page["serviceArns"]
            for begin in range(0, len(names), DESCRIBED):
                yield from self._described(cluster, names[begin : begin + DESCRIBED])

    def _described(self, cluster: str, names: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        answer = self.account.asking.read(
            "ecs:DescribeServices", cluster=cluster, services=list(names), include=["TAGS"]
        )
        return [one for one in answer["services"] if one["status"] == "ACTIVE" and not _is_daemon(one)]

    def _targets(self, **of: Any) -> dict[str, Target]:
        pages = self.account.asking.pages(
            "application-autoscaling:DescribeScalableTargets",
            ServiceNamespace="ecs",
            ScalableDimension=_DIMENSION,
            MaxResults=TARGETS,
            **of,
        )
        return {str(one["ResourceId"]): one for page in pages for one in page["ScalableTargets"]}


def describe(service: Mapping[str, Any], target: Target | None, account: Account) -> Pool:
    """The pool of a service; its tasks' zones are not told, so that they stand under the region."""
    labels = {str(tag["key"]): str(tag.get("value", "")) for tag in service.get("tags") or ()}
    last = mark_on(labels)
    low = 0 if target is None else target["MinCapacity"]
    size = service["desiredCount"] if target is None else low
    least = Minimum(own=low) if target is None else minimum_on(labels, low, account.clock.now())
    return Pool(
        id=f"ecs/{_last(service['clusterArn'])}/{service['serviceName']}",
        provider=account.settings.name,
        kind=PoolKind.DEPLOYMENT,
        desired=size,
        ready={account.settings.account.region: service["runningCount"]},
        minimum=min(least.own, low),
        maximum=MOST_TASKS if target is None else min(MOST_TASKS, most(target["MaxCapacity"], account)),
        demands=(),
        lead_time_s=account.settings.lead_time_s,
        last_scaled_at=None if last is None else last.at,
        version=_version(service, target),
        labels={"ecs/launch-type": str(service.get("launchType", ""))}
        | dict(shown(labels, least, floor=target is not None, size=size)),
        obstacles=tuple(_obstacles(service, target)),
        lever="" if target is None else "MinCapacity beside Application Auto Scaling",
    )


def _version(service: Mapping[str, Any], target: Target | None) -> str:
    """Moves with what somebody else may set; beside a scaler the count is that one's."""
    bounds = None if target is None else [target["MinCapacity"], target["MaxCapacity"], _suspended(target)]
    count = service["desiredCount"] if target is None else None
    return digest({"count": count, "task": str(service.get("taskDefinition", "")), "bounds": bounds})


def _obstacles(service: Mapping[str, Any], target: Target | None) -> Iterator[Obstacle]:
    deployments = service.get("deployments") or ()
    if len(deployments) > 1 or any(one.get("rolloutState") == "IN_PROGRESS" for one in deployments):
        yield Obstacle(code=Guard.DEPLOYING, why="a deployment goes on")
    if service.get("pendingCount"):
        yield Obstacle(code=Guard.IN_FLIGHT, why=f"{service['pendingCount']} tasks are pending")
    failed = max((one.get("failedTasks") or 0 for one in deployments), default=0)
    if failed >= FAILED_IN_A_ROW and service["runningCount"] < service["desiredCount"]:
        events = service.get("events") or ()
        told = f": {events[0]['message']}" if events else ""
        why = f"{failed} tasks of the deployment failed{told}"
        yield Obstacle(code=Guard.UNREADY, why=why, shrinks_only=False)
    if target is not None and _suspended(target):
        why = f"suspended by somebody: {', '.join(_suspended(target))}"
        yield Obstacle(code=Guard.SUSPENDED, why=why)


def _suspended(target: Target) -> list[str]:
    state = target.get("SuspendedState") or {}
    return [name.removesuffix("Suspended") for name in _SUSPENDED if state.get(name)]


def _is_daemon(service: Mapping[str, Any]) -> bool:
    return bool(service.get("schedulingStrategy") == "DAEMON")


def _resource(service: Mapping[str, Any]) -> str:
    return f"service/{_last(service['clusterArn'])}/{service['serviceName']}"


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]
