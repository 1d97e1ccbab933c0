"""Floors of the next hours as scheduled actions of an Auto Scaling group: they outlive this program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from autoscaler.errors import Invalid
from autoscaler.providers.aws.groups import Groups
from autoscaler.providers.aws.kinds import Account, Seen
from autoscaler.providers.aws.marks import minimum_on
from policies.model import Gap

PREFIX = "loadline-floor-"
BATCH = 50  # actions of one call
AHEAD = timedelta(seconds=60)  # an action in the past is refused: no closer than this
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """Scheduled actions whose names begin with ours; nobody else's are touched."""

    account: Account
    groups: Groups

    def leave(self, name: str, seen: Seen, sizes: Sequence[tuple[datetime, int]]) -> Sequence[Gap]:
        """See `Outlasts.outlast`. Invalid for moments that do not rise or have no zone."""
        wanted = floors(seen, sizes, at=self.account.clock.now())
        standing = self._standing(name)
        gone = [one for one in standing if one not in wanted]
        new = {one: floor for one, floor in wanted.items() if standing.get(one) != floor}
        if new:
            self.groups.mark_minimum(
                seen, [step for step in (*wanted.values(), *standing.values()) if step[1] >= 0]
            )
        gaps = [*self._delete(name, gone), *self._put(name, new)]
        if new and any(
            one["ProcessName"] == "ScheduledActions" for one in seen.raw.get("SuspendedProcesses", ())
        ):
            gaps.append(self._gap(name, "SUSPENDED", "the process ScheduledActions is suspended"))
        return tuple(gaps)

    def clear(self, name: str) -> None:
        """Take all of ours back."""
        gaps = self._delete(name, list(self._standing(name)))
        if gaps:
            raise Invalid(gaps[0].why)

    def _standing(self, name: str) -> dict[str, tuple[datetime, int]]:
        pages = self.account.asking.pages(
            "autoscaling:DescribeScheduledActions", AutoScalingGroupName=name, MaxRecords=100
        )
        return {
            str(one["ScheduledActionName"]): (one["StartTime"], one.get("MinSize", -1))
            for page in pages
            for one in page["ScheduledUpdateGroupActions"]
            if one["ScheduledActionName"].startswith(PREFIX)
        }

    def _delete(self, name: str, names: Sequence[str]) -> list[Gap]:
        gaps: list[Gap] = []
        for some in _batches(names):
            answer = self.account.asking.change(
                "autoscaling:BatchDeleteScheduledAction",
                AutoScalingGroupName=name,
                ScheduledActionNames=list(some),
            )
            gaps += self._failed(name, answer.get("FailedScheduledActions", ()))
        return gaps

    def _put(self, name: str, new: Mapping[str, tuple[datetime, int]]) -> list[Gap]:
        gaps: list[Gap] = []
        for some in _batches(list(new)):
            actions = [
                {"ScheduledActionName": one, "StartTime": new[one][0], "MinSize": new[one][1]} for one in some
            ]
            answer = self.account.asking.change(
                "autoscaling:BatchPutScheduledUpdateGroupAction",
                AutoScalingGroupName=name,
                ScheduledUpdateGroupActions=actions,
            )
            gaps += self._failed(name, answer.get("FailedScheduledUpdateGroupActions", ()))
        return gaps

    def _failed(self, name: str, failed: Sequence[Mapping[str, Any]]) -> Iterator[Gap]:
        for one in failed:
            why = f"{one['ScheduledActionName']}: {one.get('ErrorMessage') or one.get('ErrorCode', '')}"
            yield self._gap(name, "NOT_SCHEDULED", why)

    def _gap(self, name: str, code: str, why: str) -> Gap:
        return Gap(source=f"{self.account.source} asg/{name}", code=code, why=why)


def floors(
    seen: Seen, sizes: Sequence[tuple[datetime, int]], *, at: datetime
) -> dict[str, tuple[datetime, int]]:
    """Each floor that begins later than AHEAD of `at`, by its action's name, and the end: the owner's own."""
    if any(begin.tzinfo is None for begin, _ in sizes):
        raise Invalid(f"{seen.pool.id}: a moment of the floors has no time zone")
    if any(later[0] <= earlier[0] for earlier, later in pairwise(sizes)):
        raise Invalid(f"{seen.pool.id}: the moments of the floors do not rise")
    if not sizes:
        return {}
    low = minimum_on(seen.pool.labels, seen.raw["MinSize"], at).own
    high = max(low, seen.raw["MaxSize"])
    step = sizes[-1][0] - sizes[-2][0] if len(sizes) > 1 else HOUR
    steps = [*((begin, max(low, min(high, size))) for begin, size in sizes), (sizes[-1][0] + step, low)]
    return {_name(begin): (begin.astimezone(UTC), floor) for begin, floor in steps if begin > at + AHEAD}


def _name(at: datetime) -> str:
    return f"{PREFIX}{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(names), BATCH):
        yield names[begin : begin + BATCH]
