"""Managed instance groups of one Google Cloud project, zonal and regional, and instances by a label.

A group without an autoscaler is resized. Beside an autoscaler its minNumReplicas is the size that is read and
set: the floor, above which the autoscaler goes on to decide by itself. Instances with the label loadline-pool
are started and stopped. Ids are mig/ZONE/NAME, mig/REGION/NAME and gce/NAME. docs/google.md tells the rights
and the limits.
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
    "compute.instances.list",
    "compute.zones.list",
)
ACTING = (
    "compute.autoscalers.update",
    "compute.instanceGroupManagers.update",
    "compute.instances.start",
    "compute.instances.stop",
    "compute.regionOperations.get",
    "compute.zoneOperations.get",
)


def connect(settings: GoogleProvider, clock: Clock) -> GooglePools:
    """The project's groups; nothing is asked yet. Denied where there are no credentials."""
    from autoscaler.providers.google.api import Compute  # noqa: PLC0415 - 5 s of CPU, only where it is used
    from autoscaler.providers.google.pools import GooglePools  # noqa: PLC0415 - as above

    return GooglePools(Compute(settings), settings, clock)
