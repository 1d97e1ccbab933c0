"""What the doctor asks of a cluster: rights, the server, its clock, and who else scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime

from autoscaler.connections import KubernetesProvider
from autoscaler.errors import ProviderError
from autoscaler.ports import Check, Clock
from autoscaler.providers.kubernetes import owners
from autoscaler.providers.kubernetes.client import Answer, Client
from autoscaler.providers.kubernetes.resources import (
    BUDGETS,
    DEPLOYMENTS,
    HPAS,
    NODE_POOLS,
    NODES,
    PODS,
    REVIEWS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
    Resource,
)
from autoscaler.providers.kubernetes.seeing import Seen
from policies.model import Gap
from policies.units import format_duration

SKEW_S = 30.0  # between the server's clock and ours
VERSION = "get /version"

READ: tuple[tuple[str, Resource, str], ...] = (
    *((verb, resource, "") for resource in (DEPLOYMENTS, STATEFUL_SETS) for verb in ("get", "list")),
    *(("list", resource, "") for resource in (HPAS, SCALED_OBJECTS, BUDGETS, PODS, NODES, NODE_POOLS)),
)
CHANGE: tuple[tuple[str, Resource, str], ...] = (
    *(("patch", resource, sub) for resource in (DEPLOYMENTS, STATEFUL_SETS) for sub in ("", "scale")),
    *(("patch", resource, "") for resource in (HPAS, SCALED_OBJECTS)),
)
Looks = Callable[[], tuple[Sequence[Seen], Sequence[Gap]]]


def examined(client: Client, settings: KubernetesProvider, clock: Clock, look: Looks) -> Sequence[Check]:
    """Everything there is to say; a server that does not answer ends it with one check."""
    try:
        answer = client.ask("GET", "/version", VERSION)
    except ProviderError as error:
        return (Check(what=f"{settings.name} answers", ok=False, why=str(error), mend=_reach(settings)),)
    return (
        Check(what=f"{settings.name} answers", ok=True, why=str(answer.body.get("gitVersion", "no version"))),
        _clock(answer, clock),
        *_rights(client, settings),
        *_others(look),
    )


def _reach(settings: KubernetesProvider) -> str:
    where = settings.kubeconfig or "the environment's kubeconfig or the pod's account"
    return f"see whether `kubectl get --raw /version` answers with {where}"


def _clock(answer: Answer, clock: Clock) -> Check:
    what = "the clocks agree"
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return Check(what=what, ok=None, why="the server told no time")
    skew = abs((theirs - clock.now()).total_seconds())
    why = f"the server's clock is {format_duration(round(skew))} off ours"
    return Check(what=what, ok=skew <= SKEW_S, why=why, mend="" if skew <= SKEW_S else "run a time service")


def _rights(client: Client, settings: KubernetesProvider) -> Iterator[Check]:
    for verb, resource, subresource in (*READ, *CHANGE):
        for namespace in (settings.namespaces if resource.namespaced else ()) or ("",):
            yield _right(client, verb, resource, subresource, namespace)


def _right(client: Client, verb: str, resource: Resource, subresource: str, namespace: str) -> Check:
    right = resource.right(verb, subresource)
    attributes = {
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "subresource": subresource,
        "namespace": namespace,
    }
    body = {
        "apiVersion": REVIEWS.api_version,
        "kind": REVIEWS.kind,
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }
    what = f"may {right}" + (f" in {namespace}" if namespace else "")
    try:
        status = (
            client.ask("POST", REVIEWS.path(), REVIEWS.right("create"), body=body).body.get("status") or {}
        )
    except ProviderError as error:
        return Check(what=what, ok=None, why=str(error))
    if status.get("allowed"):
        return Check(what=what, ok=True)
    return Check(
        what=what, ok=False, why=str(status.get("reason", "")), mend=rule(verb, resource, subresource)
    )


def rule(verb: str, resource: Resource, subresource: str) -> str:
    """The line of a Role or ClusterRole that gives a right."""
    name = f"{resource.plural}/{subresource}" if subresource else resource.plural
    return f'{{apiGroups: ["{resource.group}"], resources: ["{name}"], verbs: ["{verb}"]}}'


def _others(look: Looks) -> Iterator[Check]:
    """Who else sets sizes. An autoscaler is respected; a manager of replicas is in the way."""
    what = "nobody else sets what is to be set"
    try:
        found, gaps = look()
    except ProviderError as error:
        yield Check(what=what, ok=None, why=str(error))
        return
    for gap in gaps:
        yield Check(what="everything can be seen", ok=False, why=gap.why, mend="give the right that it names")
    owned = [one for one in found if one.owned]
    if not owned:
        yield Check(what=what, ok=True, why=f"{len(found)} workloads")
    for one in owned:
        yield Check(what=what, ok=False, why=f"{one.pool.id}: {one.owned}", mend=_mend(one))
    yield from _scalers(found)


def _mend(one: Seen) -> str:
    return owners.mend(one.lever.owners, one.lever.text or "replicas") if one.lever.owners else ""


def _scalers(found: Sequence[Seen]) -> Iterator[Check]:
    kinds = Counter(one.lever.resource.kind for one in found if one.lever.ceiling and not one.served)
    for kind, count in sorted(kinds.items()):
        yield Check(what=f"{kind} is respected", ok=True, why=f"of {count} workloads the floor is set")
    readers = Counter(one.lever.resource.kind for one in found if one.served)
    for kind, count in sorted(readers.items()):
        why = f"of {count} workloads it sets the size from what is served, and we set nothing"
        yield Check(what=f"{kind} reads us", ok=True, why=why)
    names = [one.pool.id for one in found if "cluster-autoscaler" in one.pool.id]
    if names:
        yield Check(what="cluster-autoscaler is seen", ok=True, why=f"{names[0]} sets the number of nodes")
    if found and found[0].around.ground.pools:
        ground = found[0].around.ground
        why = "; ".join(ground.full) or f"{ground.pools} NodePools, none at its limit"
        yield Check(
            what="Karpenter is seen", ok=not ground.full, why=why, mend="raise it" if ground.full else ""
        )
