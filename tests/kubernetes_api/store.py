"""The objects of the fake cluster and the rules by which they change."""

from __future__ import annotations

import base64
import copy
import json
import threading
from dataclasses import dataclass

from tests.kubernetes_api import fields

EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You can start a new list without the continue parameter."
)


@dataclass(frozen=True)
class Kind:
    """What the server knows of a resource."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    scale: bool = False
    generation: bool = True

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def right(self):
        return f"{self.group}/{self.plural}" if self.group else self.plural


KINDS = (
    Kind("apps", "v1", "deployments", "Deployment", scale=True),
    Kind("apps", "v1", "statefulsets", "StatefulSet", scale=True),
    Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", generation=False),
    Kind("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"),
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    Kind("", "v1", "pods", "Pod"),
    Kind("", "v1", "nodes", "Node", namespaced=False),
    Kind("", "v1", "namespaces", "Namespace", namespaced=False),
    Kind("karpenter.sh", "v1", "nodepools", "NodePool", namespaced=False),
)


class Rejected(Exception):
    """An answer that is no object."""

    def __init__(self, code, reason, message, causes=(), token=""):
        super().__init__(message)
        self.code, self.reason, self.message, self.causes, self.token = code, reason, message, causes, token


def invalid(kind, name, field, value, why):
    text = f"Invalid value: {json.dumps(value)}: {why}"
    cause = {"reason": "FieldValueInvalid", "message": text, "field": field}
    return Rejected(
        422, "Invalid", f'{kind.kind}.{kind.group} "{name}" is invalid: {field}: {text}', (cause,)
    )


def missing(kind, name):
    resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    return Rejected(404, "NotFound", f'{resource} "{name}" not found')


class Store:
    """All objects. `now` gives the stamps; `controllers` bring a workload's status about at once."""

    def __init__(self, now):
        self._now = now
        self.lock = threading.RLock()
        self.objects = {kind: {} for kind in KINDS}
        self.controllers = True
        self.admits = lambda item: item  # a mutating webhook
        self._version = 1000
        self._snapshots = {}

    def stamp(self):
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def get(self, kind, namespace, name):
        with self.lock:
            if (namespace, name) not in self.objects[kind]:
                raise missing(kind, name)
            return self.objects[kind][namespace, name]

    def create(self, kind, namespace, body, manager, *, dry=False):
        with self.lock:
            item = copy.deepcopy(body)
            metadata = item.setdefault("metadata", {})
            name = metadata["name"]
            if (namespace, name) in self.objects[kind]:
                raise Rejected(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
            item |= {"apiVersion": kind.api_version, "kind": kind.kind}
            metadata.pop("resourceVersion", None)
            metadata |= {"uid": f"uid-{kind.plural}-{self._version}", "creationTimestamp": self.stamp()}
            if kind.namespaced:
                metadata["namespace"] = namespace
            if kind.generation:
                metadata["generation"] = 1
            owner = fields.Owner(manager, "Update")
            empty = {"metadata": {}}
            fields.write(
                item,
                empty,
                {owner: set(fields.leaves(item))},
                changed=set(),
                api_version=kind.api_version,
                now=self.stamp(),
            )
            return self._keep(kind, self._sound(kind, item), dry=dry)

    def delete(self, kind, namespace, name):
        with self.lock:
            item = self.get(kind, namespace, name)
            self.objects[kind].pop((namespace, name))
            self._version += 1
            if kind.kind == "Namespace":
                for objects in self.objects.values():
                    for key in [key for key in objects if key[0] == name]:
                        objects.pop(key)
            return item

    def merge(self, kind, namespace, name, patch, manager, *, subresource="", dry=False):
        """A JSON merge patch, of the object or of its scale."""
        with self.lock:
            live = self.get(kind, namespace, name)
            self._precondition(kind, live, patch)
            if subresource == "scale":
                patch = {"spec": {"replicas": patch["spec"]["replicas"]}}
            item = _merged(live, patch)
            owner = fields.Owner(manager, "Update", subresource)
            entries = (patch.get("metadata") or {}).get("managedFields")
            if entries is None or not isinstance(entries, list):
                item["metadata"]["managedFields"] = live["metadata"].get("managedFields", [])
            item["metadata"]["managedFields"] = [one for one in item["metadata"]["managedFields"] if one]
            return self._changed(kind, live, item, fields.updated(live, item, owner), dry=dry)

    def apply(self, kind, namespace, name, body, manager, *, subresource="", force=False, dry=False):
        """Server-side apply, of the object or of its scale."""
        with self.lock:
            key = (namespace, name)
            if key not in self.objects[kind]:
                if subresource:
                    raise missing(kind, name)
                if body["metadata"].get("resourceVersion") or body["metadata"].get("uid"):
                    raise Rejected(409, "Conflict", f'{kind.plural} "{name}": the object is not there')
                return self.create(kind, namespace, body, manager, dry=dry)
            live = self.get(kind, namespace, name)
            self._precondition(kind, live, body)
            wanted = fields.leaves(body)
            if subresource == "scale":  # a Scale without replicas is a Scale of none
                wanted = {("spec", "replicas"): body.get("spec", {}).get("replicas", 0)}
            try:
                item, owners = fields.applied(
                    live, wanted, fields.Owner(manager, "Apply", subresource), force=force
                )
            except fields.Conflict as conflict:
                raise _conflicting(kind, conflict) from None
            return self._changed(kind, live, item, owners, dry=dry)

    def set_status(self, kind, namespace, name, **status):
        """As a controller writes it: the generation stays, the resourceVersion moves."""
        with self.lock:
            live = self.get(kind, namespace, name)
            item = {**live, "status": {**live.get("status", {}), **status}}
            return self._keep(kind, {**item, "metadata": dict(live["metadata"])}, dry=False, controlled=False)

    def _precondition(self, kind, live, body):
        wanted = (body or {}).get("metadata") or {}
        for name in ("resourceVersion", "uid"):
            if wanted.get(name) and wanted[name] != live["metadata"][name]:
                what = f'{kind.plural}.{kind.group} "{live["metadata"]["name"]}"'
                why = "the object has been modified; please apply your changes to the latest version"
                raise Rejected(
                    409, "Conflict", f"Operation cannot be fulfilled on {what}: {why} and try again"
                )

    def _changed(self, kind, live, item, owners, *, dry):
        item = self._sound(kind, item)
        was, has = fields.leaves(live), fields.leaves(item)
        moved = {path for path in was.keys() | has.keys() if was.get(path, was) != has.get(path, has)}
        fields.write(item, live, owners, changed=moved, api_version=kind.api_version, now=self.stamp())
        if item == live:
            return live
        if kind.generation and item.get("spec") != live.get("spec"):
            item["metadata"]["generation"] = live["metadata"]["generation"] + 1
        return self._keep(kind, item, dry=dry)

    def _sound(self, kind, item):
        """With the defaults; refused where the server would refuse it."""
        item = self.admits(item)
        name, spec = item["metadata"]["name"], item.setdefault("spec", {})
        if kind.scale:
            spec.setdefault("replicas", 1)
            if spec["replicas"] < 0:
                why = "must be greater than or equal to 0"
                raise invalid(kind, name, "spec.replicas", spec["replicas"], why)
        if kind.kind == "HorizontalPodAutoscaler":
            spec.setdefault("minReplicas", 1)
            most = spec.get("maxReplicas", 0)
            if most < 1:
                raise invalid(kind, name, "spec.maxReplicas", most, "must be greater than 0")
            if spec["minReplicas"] < 1:
                why = "must be greater than or equal to 1"
                raise invalid(kind, name, "spec.minReplicas", spec["minReplicas"], why)
            if spec["minReplicas"] > most:
                why = "must be greater than or equal to `minReplicas`"
                raise invalid(kind, name, "spec.maxReplicas", most, why)
        return item

    def _keep(self, kind, item, *, dry, controlled=True):
        if dry:
            return item
        self._version += 1
        metadata = item["metadata"]
        metadata["resourceVersion"] = str(self._version)
        if kind.scale and self.controllers and controlled:
            size = item["spec"]["replicas"]
            counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), size) if size else {}
            item["status"] = {"observedGeneration": metadata["generation"], **counts}
        self.objects[kind][metadata.get("namespace", ""), metadata["name"]] = item
        return item

    def page(self, kind, namespace, query):
        """One page of a list as of the moment when it was begun, with where to go on."""
        with self.lock:
            limit = int(query.get("limit", 0))
            version, start = self._version, 0
            if query.get("continue"):
                version, start = json.loads(base64.b64decode(query["continue"]))
                if version not in self._snapshots:
                    raise Rejected(410, "Expired", EXPIRED)
                items = self._snapshots[version]
            else:
                items = [
                    item
                    for (own, _), item in sorted(self.objects[kind].items())
                    if (not namespace or own == namespace) and chosen(item, query)
                ]
            metadata = {"resourceVersion": str(version)}
            if limit and len(items) > start + limit:
                self._snapshots[version] = items
                metadata["continue"] = _token(version, start + limit)
                metadata["remainingItemCount"] = len(items) - start - limit
            shown = items[start : start + limit] if limit else items
            return {
                "kind": f"{kind.kind}List",
                "apiVersion": kind.api_version,
                "metadata": metadata,
                "items": [
                    {name: value for name, value in one.items() if name not in {"kind", "apiVersion"}}
                    for one in shown
                ],
            }

    def fresh_token(self, token):
        """The same place in the list as it is now, as an expired token is answered with."""
        with self.lock:
            version, start = json.loads(base64.b64decode(token))
            self._version += 1
            self._snapshots[self._version] = self._snapshots[version]
            return _token(self._version, start)


def _token(version, start):
    return base64.b64encode(json.dumps([version, start]).encode()).decode()


def _merged(live, patch):
    if not isinstance(patch, dict):
        return patch
    merged = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return copy.deepcopy(merged)


def _conflicting(kind, conflict):
    texts, causes = [], []
    for owner, path in conflict.found:
        sub = f' with subresource "{owner.subresource}"' if owner.subresource else ""
        text = f'conflict with "{owner.manager}"{sub} using {kind.api_version}'
        field = "." + ".".join(path)
        texts.append(f"{text}: {field}")
        causes.append({"reason": "FieldManagerConflict", "message": text, "field": field})
    count = f"{len(causes)} conflict{'s' if len(causes) > 1 else ''}"
    return Rejected(409, "Conflict", f"Apply failed with {count}: {'; '.join(texts)}", tuple(causes))


def chosen(item, query):
    """Whether the selectors of a list take the object."""
    return all(
        _meets(_value(item, term), term) for term in query.get("fieldSelector", "").split(",") if term
    ) and all(
        _meets((item["metadata"].get("labels") or {}).get(_name(term)), term)
        for term in query.get("labelSelector", "").split(",")
        if term
    )


def _name(term):
    return term.replace("!=", "=").replace("==", "=").partition("=")[0]


def _value(item, term):
    for name in _name(term).split("."):
        item = (item or {}).get(name)
    return item


def _meets(value, term):
    wanted = term.rpartition("=")[2]
    return (value != wanted) if "!=" in term else (value == wanted)
