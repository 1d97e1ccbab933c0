"""What sets the size of a workload: an autoscaler's floor where there is one, else its own replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.providers.kubernetes import owners
from autoscaler.providers.kubernetes.resources import HPAS, SCALED_OBJECTS, WORKLOADS, Resource
from autoscaler.providers.kubernetes.served import reads_us
from policies.model import digest

LARGEST = 100_000  # units, where nothing in the cluster sets a maximum
KEDA_MAXIMUM = 100  # what KEDA takes where maxReplicaCount is left out
KINDS = {resource.kind: name for name, resource in WORKLOADS.items()}
_OF_WORKLOADS = ("apps/", "extensions/")  # the second: what old manifests of autoscalers still say
Target = tuple[str, str, str]  # namespace, deployment or statefulset, name


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """The one field that sets the size. `item` is the object that has it, `value` what it is now.

    `subresource` is where it is written ("scale" or ""); `least` and `most` are the object's own bounds.
    `ceiling` names the field with the maximum, "" where there is none. `paused`: why it does nothing.
    """

    resource: Resource
    item: Mapping[str, Any]
    field: str
    value: int
    least: int
    most: int
    subresource: str = ""
    ceiling: str = ""
    paused: str = ""

    @property
    def path(self) -> tuple[str, str]:
        """Of the field in the object."""
        return ("spec", self.field)

    @property
    def name(self) -> str:
        """Of the object."""
        return str(self.item["metadata"]["name"])

    @property
    def text(self) -> str:
        """What a pool's `lever` says, "" for the replicas themselves."""
        return f"{self.field} of {self.resource.kind} {self.name}" if self.ceiling else ""

    @property
    def served(self) -> str:
        """The autoscaler, where it sets the size from what we serve, such as "ScaledObject web"; else ""."""
        return f"{self.resource.kind} {self.name}" if self.ceiling and reads_us(self.item) else ""

    @property
    def owners(self) -> tuple[str, ...]:
        """The other managers of the field."""
        return owners.of(self.item, self.path)


def count(value: Any, default: int) -> int:
    """A number of the API; what is left out or null is its default."""
    return default if value is None else int(value)


def replicas(resource: Resource, item: Mapping[str, Any]) -> Lever:
    """The lever of a workload that no autoscaler owns."""
    value = count(item["spec"].get("replicas"), 1)
    return Lever(
        resource=resource,
        item=item,
        field="replicas",
        value=value,
        least=0,
        most=LARGEST,
        subresource="scale",
    )


def by_target(
    hpas: Iterable[Mapping[str, Any]], scaled: Iterable[Mapping[str, Any]]
) -> dict[Target, list[Lever]]:
    """The autoscalers of each workload; one that KEDA made for itself counts with its ScaledObject."""
    found: dict[Target, list[Lever]] = {}
    for item in hpas:
        if not of_keda(item):
            _put(found, _hpa(item), default_kind="")
    for item in scaled:
        _put(found, _scaled_object(item), default_kind="Deployment")
    return found


def _put(found: dict[Target, list[Lever]], lever: Lever, *, default_kind: str) -> None:
    target = lever.item["spec"].get("scaleTargetRef") or {}
    kind = KINDS.get(target.get("kind") or default_kind)
    if kind and str(target.get("apiVersion") or "apps/v1").startswith(_OF_WORKLOADS):
        key = (lever.item["metadata"]["namespace"], kind, str(target.get("name")))
        found.setdefault(key, []).append(lever)


def of_keda(item: Mapping[str, Any]) -> bool:
    """Whether a HorizontalPodAutoscaler is the one that KEDA made for a ScaledObject."""
    references = item["metadata"].get("ownerReferences") or ()
    return any(one.get("kind") == SCALED_OBJECTS.kind for one in references)


def _hpa(item: Mapping[str, Any]) -> Lever:
    value = count(item["spec"].get("minReplicas"), 1)
    return Lever(
        resource=HPAS,
        item=item,
        field="minReplicas",
        value=value,
        least=min(1, value),
        most=int(item["spec"]["maxReplicas"]),
        ceiling="maxReplicas",
    )


def _scaled_object(item: Mapping[str, Any]) -> Lever:
    spec, marks = item["spec"], item["metadata"].get("annotations") or {}
    idle = spec.get("idleReplicaCount")
    paused = (
        marks.get("autoscaling.keda.sh/paused") == "true" or "autoscaling.keda.sh/paused-replicas" in marks
    )
    name = item["metadata"]["name"]
    return Lever(
        resource=SCALED_OBJECTS,
        item=item,
        field="minReplicaCount",
        value=count(spec.get("minReplicaCount"), 0),
        least=0 if idle is None else int(idle) + 1,
        most=count(spec.get("maxReplicaCount"), KEDA_MAXIMUM),
        ceiling="maxReplicaCount",
        paused=f"ScaledObject {name} is paused by its annotation; take that away" if paused else "",
    )


def version(workload: Mapping[str, Any], lever: Lever) -> str:
    """Moves with the spec, the size and the bounds, and not with the status.

    Under an autoscaler the size that it sets by itself does not count: the floor and the bounds do.
    """
    metadata = lever.item["metadata"]
    if not lever.ceiling:
        return f"{metadata.get('generation', '-')}:{lever.value}"
    spec = {name: value for name, value in workload["spec"].items() if name != "replicas"}
    bounds = f"{metadata.get('generation', '-')}:{lever.value}..{lever.most}"
    served = ":served" if lever.served else ""  # an annotation says so too, and no generation counts that
    return f"{digest(spec)}:{lever.resource.kind}/{lever.name}:{bounds}{served}"
