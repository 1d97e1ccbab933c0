"""A workload and what stands around it, as a pool. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.connections import KubernetesProvider
from autoscaler.ports import FREEZE, ORIGINAL_SIZE
from autoscaler.providers.kubernetes import owners
from autoscaler.providers.kubernetes.levers import LARGEST, Lever, Target, count, replicas, version
from autoscaler.providers.kubernetes.resources import HPAS, SCALED_OBJECTS, WORKLOADS
from autoscaler.providers.kubernetes.surroundings import Surroundings, selects
from policies.model import SERVED, Obstacle, Pool, PoolKind
from policies.plan import Guard

LAST_KEY = "loadline.dev/last-key"
ORIGINAL_MAXIMUM = "loadline.dev/original-maximum"
OWNERS_MINIMUM = "loadline.dev/owners-minimum"  # what its owner set by hand after our first change
MARKS = (ORIGINAL_SIZE, ORIGINAL_MAXIMUM, OWNERS_MINIMUM, LAST_KEY)  # what we write on an object
SHOWN = (ORIGINAL_SIZE, FREEZE)
KEEPS_ITS_PODS = {  # the pods' own word that they are not to be disturbed
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A pool with the objects that it was read from."""

    target: Target
    pool: Pool
    lever: Lever
    workload: Mapping[str, Any]
    around: Surroundings

    @property
    def served(self) -> str:
        """Why it is set by what reads us and never by us, "" where it is not."""
        name = self.pool.labels.get(SERVED, "")
        keda = "KEDA's " if self.lever.resource is SCALED_OBJECTS else ""
        return f"{keda}{name} sets it from what is served; mode observe is enough" if name else ""

    @property
    def marks(self) -> Mapping[str, str]:
        """The annotations of the object that is changed."""
        return marks_of(self.lever.item)

    @property
    def owned(self) -> str:
        """Why its size is not ours to set, "" where it is."""
        return next((one.why for one in self.pool.obstacles if one.code == Guard.OWNED), "")


def marks_of(item: Mapping[str, Any]) -> Mapping[str, str]:
    """The annotations of an object."""
    return item["metadata"].get("annotations") or {}


def moved(lever: Lever) -> bool:
    """Whether its owner set this floor: it is neither the original one nor what we set last."""
    told = marks_of(lever.item)
    original, last = told.get(ORIGINAL_SIZE, ""), told.get(LAST_KEY, "").rpartition(" ")[2]
    return bool(lever.ceiling) and original.isdecimal() and str(lever.value) not in {original, last}


def least_of(lever: Lever) -> int:
    """The smallest floor that may be set: never below what its owner set by hand after our first change."""
    if moved(lever):
        return lever.value
    text = marks_of(lever.item).get(OWNERS_MINIMUM, "") if lever.ceiling else ""
    return max(lever.least, min(lever.value, int(text))) if text.isdecimal() else lever.least


def pool_id(target: Target) -> str:
    """`deployment/NAMESPACE/NAME`."""
    namespace, kind, name = target
    return f"{kind}/{namespace}/{name}"


def seen(settings: KubernetesProvider, target: Target, item: Mapping[str, Any], around: Surroundings) -> Seen:
    """The pool of a workload. Of several autoscalers the first one shows the size, and none is set.

    Of a workload whose autoscaler reads us the size itself is shown, within the autoscaler's bounds.
    """
    found = around.levers.get(target, ())
    own = replicas(WORKLOADS[target[1]], item)
    lever = found[0] if found else own
    served = lever.served if len(found) == 1 else ""
    shown = own if served else lever
    pool = Pool(
        id=pool_id(target),
        provider=settings.name,
        kind=PoolKind.DEPLOYMENT,
        desired=shown.value,
        ready=_ready(item),
        minimum=lever.value if served else least_of(lever),
        maximum=LARGEST if settings.raise_maximum and not served else lever.most,
        demands=(),
        lead_time_s=settings.lead_time_s,
        last_scaled_at=owners.last_set(shown.item, shown.path),
        version=version(item, lever),
        labels=_labels(item, lever, served),
        protected=_protected(item),
        obstacles=tuple(_obstacles(settings, target, item, lever, around)),
        lever=shown.text,
    )
    return Seen(target=target, pool=pool, lever=lever, workload=item, around=around)


def _ready(item: Mapping[str, Any]) -> dict[str, int]:
    """Units that serve, their zones not told apart; nothing where no controller has looked at it yet.

    The API leaves a count of zero out.
    """
    status = item.get("status") or {}
    return {"": count(status.get("readyReplicas"), 0)} if "observedGeneration" in status else {}


def _labels(item: Mapping[str, Any], lever: Lever, served: str) -> dict[str, str]:
    """Those of the workload, our own marks on it and on its autoscaler, and what sets it as we serve."""
    own, its = marks_of(item), marks_of(lever.item)
    marks = {**own, **its}
    if FREEZE in own and own[FREEZE] != marks[FREEZE]:  # nobody thaws what another one froze
        marks[FREEZE] = f"{own[FREEZE]}; {marks[FREEZE]}"
    if moved(lever):
        marks[ORIGINAL_SIZE] = str(lever.value)
    if lever.ceiling and ORIGINAL_SIZE not in its:  # the workload's own tells of no floor
        marks.pop(ORIGINAL_SIZE, None)
    return {
        **{name: value for name, value in (item["metadata"].get("labels") or {}).items() if name != SERVED},
        **{name: marks[name] for name in SHOWN if name in marks},
        **({SERVED: served} if served else {}),
    }


def _template(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return (item["spec"].get("template") or {}).get("metadata") or {}


def _protected(item: Mapping[str, Any]) -> bool:
    marks = _template(item).get("annotations") or {}
    return any(marks.get(name) == value for name, value in KEEPS_ITS_PODS.items())


def _obstacles(
    settings: KubernetesProvider, target: Target, item: Mapping[str, Any], lever: Lever, around: Surroundings
) -> Iterator[Obstacle]:
    owner = _owner(settings, target, lever, around)
    if owner:
        yield Obstacle(code=Guard.OWNED.value, why=owner, shrinks_only=False)
    if lever.paused:
        yield Obstacle(code=Guard.SUSPENDED.value, why=lever.paused, shrinks_only=False)
    if lever.resource is HPAS and item["spec"].get("replicas") == 0:
        why = f"it has no replicas, and {lever.name} lets such a workload be; scale it to one"
        yield Obstacle(code=Guard.SUSPENDED.value, why=why, shrinks_only=False)
    if item["spec"].get("paused"):
        why = "its rollout is paused: `kubectl rollout resume` ends that"
        yield Obstacle(code=Guard.SUSPENDED.value, why=why)
    deploying = _deploying(target, item)
    if deploying:
        yield Obstacle(code=Guard.DEPLOYING.value, why=deploying)
    waiting = around.pending.get(target, 0)
    if waiting:
        why = "; ".join((f"{waiting} of its pods find no node", *around.ground.full))
        yield Obstacle(code=Guard.PENDING_WORK.value, why=why)
    yield from _budgets(target, item, around)
    yield from around.unknown
    yield from around.ground.obstacles


def _owner(settings: KubernetesProvider, target: Target, lever: Lever, around: Surroundings) -> str:
    """Why the lever is not ours to set, and the mend; "" where it is."""
    if around.unknown_levers:
        return around.unknown_levers
    found = around.levers.get(target, ())
    if len(found) > 1:
        names = ", ".join(f"{one.resource.kind} {one.name}" for one in found)
        return f"{len(found)} autoscalers target it ({names}): leave it one"
    if not found and target in around.generated:
        return "KEDA scales it, but its ScaledObject is not there: see whether it was removed"
    others = [name for name in lever.owners if name not in settings.adopt]
    if not others or lever.served:
        return ""
    field = lever.text or "replicas"
    return f"{field} is set by {owners.named(others)}; {owners.mend(others, field)}"


def _deploying(target: Target, item: Mapping[str, Any]) -> str:
    """Why the workload is between two states, "" where it stands."""
    status, generation = item.get("status") or {}, item["metadata"].get("generation", 0)
    if status.get("observedGeneration", 0) < generation:
        return "its newest generation is not observed yet"
    size = count(item["spec"].get("replicas"), 1)
    updated = count(status.get("updatedReplicas"), 0)
    if _revisions_differ(status) or (target[1] == "deployment" and updated < size):
        return f"a rollout has replaced {updated} of {size} units"
    conditions = status.get("conditions") or ()
    failed = [one for one in conditions if one.get("type") == "Progressing" and one.get("status") == "False"]
    return (
        f"its rollout does not get on: {failed[0].get('message') or failed[0].get('reason')}"
        if failed
        else ""
    )


def _revisions_differ(status: Mapping[str, Any]) -> bool:
    return bool(status.get("updateRevision", "") != status.get("currentRevision", ""))


def _budgets(target: Target, item: Mapping[str, Any], around: Surroundings) -> Iterator[Obstacle]:
    labels = _template(item).get("labels") or {}
    for budget in around.budgets.get(target[0], ()):
        allowed = count((budget.get("status") or {}).get("disruptionsAllowed"), 0)
        if allowed < 1 and selects((budget.get("spec") or {}).get("selector"), labels):
            why = f"PodDisruptionBudget {budget['metadata']['name']} allows no pod of it to go now"
            yield Obstacle(code=Guard.DISRUPTION_BUDGET.value, why=why)
