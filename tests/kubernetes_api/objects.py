"""Objects as people and controllers write them, and a cluster of many."""

from __future__ import annotations

from tests.kubernetes_api.store import KINDS

BY_KIND = {kind.kind: kind for kind in KINDS}


def named(kind, name, namespace="shop", **metadata):
    """The beginning of an object; `namespace` None for one of the cluster."""
    own = {} if namespace is None else {"namespace": namespace}
    return {
        "apiVersion": BY_KIND[kind].api_version,
        "kind": kind,
        "metadata": {"name": name, **own, **metadata},
    }


def workload(kind="Deployment", name="web", *, namespace="shop", replicas=4, template=None, **metadata):
    """A workload of pods that do nothing; `replicas` None leaves them out of the manifest."""
    labels = {"app": name}
    marks = {"annotations": template} if template else {}
    pod = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.9"}]}
    pod_template = {"metadata": {"labels": labels, **marks}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": pod_template}
    spec |= {} if replicas is None else {"replicas": replicas}
    spec |= {"serviceName": name} if kind == "StatefulSet" else {}
    return {**named(kind, name, namespace, labels=labels, **metadata), "spec": spec}


def target(name="web", kind="Deployment"):
    """What an autoscaler points at."""
    return {"apiVersion": "apps/v1", "kind": kind, "name": name}


def hpa(name="web", least=2, most=10, *, aims_at="web", namespace="shop", kind="Deployment", **metadata):
    """A HorizontalPodAutoscaler by CPU; `least` None leaves minReplicas out of the manifest."""
    usage = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}
    spec = {"scaleTargetRef": target(aims_at, kind), "maxReplicas": most}
    spec |= {"metrics": [{"type": "Resource", "resource": usage}]}
    spec |= {} if least is None else {"minReplicas": least}
    return {**named("HorizontalPodAutoscaler", name, namespace, **metadata), "spec": spec}


def scaled_object(name="web", namespace="shop", aims_at="web", annotations=None, **spec):
    """A ScaledObject of KEDA by a schedule."""
    trigger = {
        "type": "cron",
        "metadata": {
            "timezone": "UTC",
            "start": "0 6 * * *",
            "end": "0 20 * * *",
            "desiredReplicas": "2",
        },
    }
    metadata = {"annotations": annotations} if annotations else {}
    whole = {"scaleTargetRef": {"name": aims_at}, "triggers": [trigger], **spec}
    return {**named("ScaledObject", name, namespace, **metadata), "spec": whole}


def budget(name="web", namespace="shop", selector=None, allowed=1):
    """A PodDisruptionBudget, with what it allows now."""
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": name}} if selector is None else selector}
    return {
        **named("PodDisruptionBudget", name, namespace),
        "spec": spec,
        "status": {"disruptionsAllowed": allowed},
    }


def node(name, zone="a", **conditions):
    """A node that is ready; `conditions` such as MemoryPressure="True" are put over it."""
    told = {"Ready": "True", **conditions}
    labels = {"topology.kubernetes.io/zone": zone}
    return {
        **named("Node", name, None, labels=labels),
        "status": {"conditions": [{"type": kind, "status": value} for kind, value in told.items()]},
    }


def node_pool(name="general", cpu="100", used="40"):
    """A NodePool of Karpenter with a limit of CPUs."""
    return {
        **named("NodePool", name, None),
        "spec": {"limits": {"cpu": cpu}},
        "status": {"resources": {"cpu": used}},
    }


def pod(name, owner, owner_kind="ReplicaSet", *, namespace="shop", phase="Pending", why="Unschedulable"):
    """A pod of a ReplicaSet `NAME-HASH` or of a StatefulSet, that finds no node."""
    reference = {"kind": owner_kind, "name": owner, "controller": True}
    labels = {"pod-template-hash": owner.rpartition("-")[2]} if owner_kind == "ReplicaSet" else {}
    condition = {"type": "PodScheduled", "status": "False", "reason": why}
    return {
        **named("Pod", name, namespace, labels=labels, ownerReferences=[reference]),
        "status": {"phase": phase, "conditions": [condition]},
    }


def put(api, item, manager="kubectl-create"):
    """Make an object on the fake, not over HTTP; the object."""
    kind = BY_KIND[item["kind"]]
    return api.store.create(kind, item["metadata"].get("namespace", ""), item, manager)


def populate(api, deployments, *, autoscaled=0, nodes=20, namespaces=10):
    """A cluster of many deployments, web-0000 and on, the first `autoscaled` of them with an HPA.

    Nobody holds their replicas, so that all of them may be set.
    """
    for number in range(nodes):
        put(api, node(f"node-{number:03}", "abc"[number % 3]), "kubelet")
    for number in range(deployments):
        name, namespace = f"web-{number:04}", f"team-{number % namespaces}"
        put(api, workload(name=name, namespace=namespace, replicas=None))
        if number < autoscaled:
            put(api, hpa(name, None, 20, aims_at=name, namespace=namespace))
