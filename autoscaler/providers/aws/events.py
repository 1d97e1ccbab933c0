"""What goes on in an Auto Scaling group: launches that fail, refreshes of its instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

SHORTAGE, FAILURES, REFRESH, UNKNOWN = "shortage", "failures", "refresh", "unknown"  # beside what AWS answers

FAILED_IN_A_ROW, WITHIN = 3, timedelta(hours=1)
SHORT_FOR = timedelta(minutes=15)
_NO_UNITS = (
    *("InsufficientInstanceCapacity", "do not have sufficient", "insufficient capacity", "no Spot capacity"),
    *(
        "capacity-not-available",
        "VcpuLimitExceeded",
        "vCPU capacity than your current",
        "InstanceLimitExceeded",
    ),
    *("MaxSpotInstanceCountExceeded", "InsufficientFreeAddressesInSubnet"),
)
_UNDER_WAY = frozenset({"Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"})


def launches(activities: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, str]:
    """From a group's activities, newest first: what it lacks units for, and launches that fail in a row.

    Failures count up to the newest launch that succeeded, and within the last hour. A lack of units at AWS
    is none of the group's own failures.
    """
    failed = _failed_in_a_row(activities, now)
    told = {}
    if failed and _lacks(failed[0]) and failed[0]["StartTime"] > now - SHORT_FOR:
        told[SHORTAGE] = _message(failed[0])
    own = [activity for activity in failed if not _lacks(activity)]
    if len(own) >= FAILED_IN_A_ROW:
        told[FAILURES] = f"{len(own)} launches in a row failed: {_message(own[0])}"
    return told


def refresh(refreshes: Sequence[Mapping[str, Any]]) -> str:
    """The id of the refresh that goes on, "" for none."""
    for one in refreshes:
        if one["Status"] in _UNDER_WAY:
            return str(one["InstanceRefreshId"])
    return ""


def _failed_in_a_row(activities: Sequence[Mapping[str, Any]], now: datetime) -> list[Mapping[str, Any]]:
    failed = []
    for activity in activities:
        if not str(activity.get("Description", "")).startswith("Launching"):
            continue
        if activity["StatusCode"] == "Successful" or activity["StartTime"] <= now - WITHIN:
            break
        if activity["StatusCode"] == "Failed":
            failed.append(activity)
    return failed


def _lacks(activity: Mapping[str, Any]) -> bool:
    message = _message(activity).lower()
    return any(word.lower() in message for word in _NO_UNITS)


def _message(activity: Mapping[str, Any]) -> str:
    return str(activity.get("StatusMessage") or activity.get("Cause") or "no reason given")
