"""Kubernetes: Deployments and StatefulSets, or the floors of the autoscalers that own them.

The size of a workload that a HorizontalPodAutoscaler or a ScaledObject of KEDA owns is never set: the floor
of that autoscaler is. Where the autoscaler reads the recommendation that is served, the pool shows the size
itself and is Owned to whoever would set it.

Changes are server-side applies under the field manager `loadline` that are forced only against the managers
named in `adopt`; a field of any other is Owned. What was there before is written on the object that is
changed, and `release` puts it back.

Ids are `deployment/NAMESPACE/NAME` and `statefulset/NAMESPACE/NAME`.
"""

from __future__ import annotations

from autoscaler.connections import KubernetesProvider
from autoscaler.ports import Clock
from autoscaler.providers.kubernetes.cluster import Cluster
from autoscaler.providers.kubernetes.examining import CHANGE, READ, VERSION
from autoscaler.providers.kubernetes.resources import REVIEWS

CAPABILITIES = ("pools", "examine", "release")
PERMISSIONS = (*(r.right(verb, sub) for verb, r, sub in READ), REVIEWS.right("create"), VERSION)
ACTING = tuple(r.right(verb, sub) for verb, r, sub in CHANGE)


def connect(settings: KubernetesProvider, clock: Clock) -> Cluster:
    """The workloads of a cluster; Invalid where there are no credentials. Nothing is called yet."""
    return Cluster(settings, clock)
