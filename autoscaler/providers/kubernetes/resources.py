"""The resources that are used, with the paths and the words that the API and RBAC have for them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object: `group` "" is the core one; `namespaced` says where it lives.

    `optional`: a cluster may do without the kind, and then has no such objects.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    optional: bool = False

    @property
    def api_version(self) -> str:
        """As an object has it: apps/v1, v1."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def right(self, verb: str, subresource: str = "") -> str:
        """A call as RBAC writes it: `patch apps/deployments/scale`, `list pods`."""
        name = f"{self.group}/{self.plural}" if self.group else self.plural
        return f"{verb} {name}/{subresource}" if subresource else f"{verb} {name}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of a list, over all namespaces where none is named, or of one object."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [self.plural, *([name] if name else []), *([subresource] if subresource else [])]
        return "/" + "/".join(quote(part, safe="") for part in parts)


DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
STATEFUL_SETS = Resource(group="apps", version="v1", plural="statefulsets", kind="StatefulSet")
HPAS = Resource(
    group="autoscaling", version="v2", plural="horizontalpodautoscalers", kind="HorizontalPodAutoscaler"
)
SCALED_OBJECTS = Resource(
    group="keda.sh", version="v1alpha1", plural="scaledobjects", kind="ScaledObject", optional=True
)
BUDGETS = Resource(group="policy", version="v1", plural="poddisruptionbudgets", kind="PodDisruptionBudget")
PODS = Resource(group="", version="v1", plural="pods", kind="Pod")
NODES = Resource(group="", version="v1", plural="nodes", kind="Node", namespaced=False)
NODE_POOLS = Resource(
    group="karpenter.sh", version="v1", plural="nodepools", kind="NodePool", namespaced=False, optional=True
)
REVIEWS = Resource(
    group="authorization.k8s.io",
    version="v1",
    plural="selfsubjectaccessreviews",
    kind="SelfSubjectAccessReview",
    namespaced=False,
)
WORKLOADS = {"deployment": DEPLOYMENTS, "statefulset": STATEFUL_SETS}
