"""What stands around the workloads: autoscalers, disruption budgets, pods without a node, and the nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoscaler.errors import ProviderError
from autoscaler.providers.kubernetes.client import Client
from autoscaler.providers.kubernetes.levers import Lever, Target, by_target, of_keda
from autoscaler.providers.kubernetes.listing import Listed, listed
from autoscaler.providers.kubernetes.resources import (
    BUDGETS,
    HPAS,
    NODE_POOLS,
    NODES,
    PODS,
    SCALED_OBJECTS,
)
from policies.model import Obstacle
from policies.plan import Guard
from policies.units import UnitError, quantity

PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")
ZONE = "topology.kubernetes.io/zone"
PRESSED_SHARE = 0.1  # of the nodes: one bad node of a large cluster holds nobody
AT_LIMIT = 0.95  # of a NodePool's limit: the next node does not fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The nodes: what they hold every workload for, and the NodePools that may make no more of them."""

    obstacles: tuple[Obstacle, ...] = ()
    full: tuple[str, ...] = ()
    pools: int = 0
    errors: tuple[ProviderError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Of the namespaces that were looked at. `unknown_levers`: why it is not known what owns a size."""

    levers: Mapping[Target, Sequence[Lever]]
    generated: frozenset[Target] = frozenset()
    unknown_levers: str = ""
    budgets: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    pending: Mapping[Target, int] = field(default_factory=dict)
    ground: Ground = field(default_factory=Ground)
    errors: tuple[ProviderError, ...] = ()
    unknown: tuple[Obstacle, ...] = ()


def look(client: Client, namespaces: Sequence[str], ground: Ground) -> Surroundings:
    """Everything but the nodes, which are in `ground`; what could not be read is told, and does not raise."""
    hpas, scaled = listed(client, HPAS, namespaces), listed(client, SCALED_OBJECTS, namespaces)
    budgets = listed(client, BUDGETS, namespaces)
    pods = listed(client, PODS, namespaces, query={"fieldSelector": "status.phase=Pending"})
    seen: dict[str, list[Mapping[str, Any]]] = {}
    for budget in budgets.items:
        seen.setdefault(budget["metadata"]["namespace"], []).append(budget)
    no_levers = [listing.error for listing in (hpas, scaled) if listing.error]
    unknown = [
        *_unknown(budgets, Guard.DISRUPTION_BUDGET, "the disruption budgets are not known"),
        *_unknown(pods, Guard.PENDING_WORK, "pending pods are not known"),
    ]
    return Surroundings(
        levers=by_target(hpas.items, scaled.items),
        generated=frozenset(
            by_target(({**one, "metadata": _freed(one)} for one in hpas.items if of_keda(one)), ())
        ),
        unknown_levers=f"it is not known whether an autoscaler owns it: {no_levers[0]}" if no_levers else "",
        budgets=seen,
        pending=Counter(filter(None, map(_waiting, pods.items))),
        ground=ground,
        errors=(*no_levers, *(one.error for one in (budgets, pods) if one.error), *ground.errors),
        unknown=tuple(unknown),
    )


def _freed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item["metadata"].items() if name != "ownerReferences"}


def _unknown(listing: Listed, guard: Guard, what: str) -> list[Obstacle]:
    return [Obstacle(code=guard.value, why=f"{what}: {listing.error}")] if listing.error else []


def _waiting(pod: Mapping[str, Any]) -> Target | None:
    """The workload whose pod finds no node; None where it waits for something else or belongs to none."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if not any(
        one.get("type") == "PodScheduled" and one.get("reason") == "Unschedulable" for one in conditions
    ):
        return None
    metadata = pod["metadata"]
    owner: Mapping[str, Any] = next(
        (one for one in metadata.get("ownerReferences") or () if one.get("controller")), {}
    )
    if owner.get("kind") == "StatefulSet":
        return (metadata["namespace"], "statefulset", owner["name"])
    end = f"-{(metadata.get('labels') or {}).get('pod-template-hash')}"
    if owner.get("kind") == "ReplicaSet" and owner["name"].endswith(end):
        return (metadata["namespace"], "deployment", owner["name"].removesuffix(end))
    return None


def look_at_nodes(client: Client) -> Ground:
    """The nodes and the NodePools of Karpenter; what could not be read is told, and does not raise."""
    nodes, pools = listed(client, NODES, ()), listed(client, NODE_POOLS, ())
    return Ground(
        obstacles=(*_unknown(nodes, Guard.NODE_PRESSURE, "the nodes are not known"), *_of_nodes(nodes.items)),
        full=tuple(text for one in pools.items for text in [_full(one)] if text),
        pools=len(pools.items),
        errors=tuple(one.error for one in (nodes, pools) if one.error),
    )


def _of_nodes(nodes: Sequence[Mapping[str, Any]]) -> list[Obstacle]:
    pressed = [
        one["metadata"]["name"] for one in nodes if any(_is(one, kind) == "True" for kind in PRESSURES)
    ]
    down = [one for one in nodes if _is(one, "Ready") != "True"]
    found = []
    if len(pressed) > PRESSED_SHARE * len(nodes):
        why = f"{len(pressed)} of {len(nodes)} nodes lack memory, disk or PIDs, such as {pressed[0]}"
        found.append(Obstacle(code=Guard.NODE_PRESSURE.value, why=why))
    if 2 * len(down) > len(nodes):
        why = f"{len(down)} of {len(nodes)} nodes are not ready"
        found.append(Obstacle(code=Guard.NODE_PRESSURE.value, why=why))
    zones = Counter(_zone(one) for one in nodes)
    zones_down = Counter(_zone(one) for one in down)
    for zone in sorted(zones_down):
        if zone and 2 * zones_down[zone] > zones[zone]:
            why = f"{zones_down[zone]} of {zones[zone]} nodes in {zone} are not ready"
            found.append(Obstacle(code=Guard.ZONE_IMPAIRED.value, why=why))
    return found


def _is(item: Mapping[str, Any], kind: str) -> str:
    """The status of a condition, "" where it is not told."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((str(one.get("status")) for one in conditions if one.get("type") == kind), "")


def _zone(node: Mapping[str, Any]) -> str:
    return str((node["metadata"].get("labels") or {}).get(ZONE, ""))


def _full(pool: Mapping[str, Any]) -> str:
    """Which limit of a NodePool is reached, "" for none."""
    used = (pool.get("status") or {}).get("resources") or {}
    for name, limit in sorted(((pool.get("spec") or {}).get("limits") or {}).items()):
        try:
            reached = name in used and quantity(used[name]) >= AT_LIMIT * quantity(limit)
        except UnitError:
            continue
        if reached:
            return f"NodePool {pool['metadata']['name']} is at its limit ({name} {used[name]} of {limit})"
    return ""


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all, none at all nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _meets(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    name, values = expression["key"], expression.get("values") or ()
    return {
        "In": labels.get(name) in values,
        "NotIn": labels.get(name) not in values,
        "Exists": name in labels,
        "DoesNotExist": name not in labels,
    }[expression["operator"]]
