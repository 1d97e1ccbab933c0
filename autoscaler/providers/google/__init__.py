"""Managed instance groups of one Google Cloud project, zonal and regional.

A group without an autoscaler is resized. Beside an autoscaler its minNumReplicas is the size that is read and
set: the floor, above which the autoscaler goes on to decide by itself. Ids are mig/ZONE/NAME and
mig/REGION/NAME. docs/google.md tells the rights and the limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoscaler.connections import GoogleProvider
    from autoscaler.ports import Clock
    from autoscaler.providers.google.pools import GooglePools

CAPABILITIES = ("pools", "examine", "release")
PERMISSIONS = (
    "compute.autoscalers.get",
    "compute.autoscalers.list",
    "compute.instanceGroupManagers.get",
    "compute.instanceGroupManagers.list",
    "compute.zones.list",
)
ACTING = (
    "compute.autoscalers.update",
    "compute.instanceGroupManagers.update",
    "compute.regionOperations.get",
    "compute.zoneOperations.get",
)


def connect(settings: GoogleProvider, clock: Clock) -> GooglePools:
    """The project's groups; nothing is asked yet. Denied where there are no credentials."""
    from autoscaler.providers.google.api import Compute  # noqa: PLC0415 - 5 s of CPU, only where it is used
    from autoscaler.providers.google.pools import GooglePools  # noqa: PLC0415 - as above

    return GooglePools(Compute(settings), settings, clock)
