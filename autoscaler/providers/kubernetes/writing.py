"""Changes: server-side apply under our own name, at the version that was read, forced on nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.connections import KubernetesProvider
from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers.kubernetes import owners
from autoscaler.providers.kubernetes.client import APPLY, MERGE, Client, Conflicting
from autoscaler.providers.kubernetes.levers import Lever
from autoscaler.providers.kubernetes.resources import Resource
from autoscaler.providers.kubernetes.seeing import (
    LAST_KEY,
    MARKS,
    ORIGINAL_MAXIMUM,
    OWNERS_MINIMUM,
    marks_of,
    moved,
)
from autoscaler.transport import refuse_late

Body = Mapping[str, Any]


class Writer:
    """Sets the levers of one cluster. `dry` calls are tried by the server and not stored."""

    def __init__(self, client: Client, settings: KubernetesProvider) -> None:
        """`settings.adopt` names the managers from whom a field may be taken."""
        self._client, self._adopt = client, frozenset(settings.adopt)

    def set(
        self, lever: Lever, size: int, *, key: str, dry: bool = False, ceiling: int | None = None
    ) -> Body:
        """Set the lever to `size`, with our marks; the object afterwards. Raises Stale, Owned and the like.

        The marks of a workload go on it before its size does, since `scale` has none: they alone, where the
        second call is lost, say no more than what was so. An autoscaler is changed in one call. `ceiling` is
        the maximum to be put back.
        """
        wanted = _ceiling(lever, size, ceiling)
        marks = _marks(lever, size, key, raised=bool(wanted))
        if not lever.subresource:
            return self._apply(
                lever.resource, lever.item, {**wanted, lever.field: size}, marks=marks, dry=dry
            )
        marked = self._apply(lever.resource, lever.item, {}, marks=marks, dry=dry)
        item = lever.item if dry else marked
        return self._apply(lever.resource, item, {lever.field: size}, subresource=lever.subresource, dry=dry)

    def leave(self, resource: Resource, item: Body) -> None:
        """Take our marks and our name off the object, and leave its values as they are.

        Applying nothing instead would put a field that only we own back to its default: one replica.
        """
        metadata = {
            "resourceVersion": item["metadata"]["resourceVersion"],
            "annotations": dict.fromkeys(MARKS),
            "managedFields": owners.without_ours(item),
        }
        self._send(
            _path(resource, item),
            resource.right("patch"),
            query={"fieldManager": owners.MANAGER},
            body={"metadata": metadata},
            content_type=MERGE,
        )

    def _apply(
        self,
        resource: Resource,
        item: Body,
        spec: Body,
        *,
        subresource: str = "",
        marks: Mapping[str, str] | None = None,
        dry: bool,
    ) -> Body:
        version, kind = ("autoscaling/v1", "Scale") if subresource else (resource.api_version, resource.kind)
        metadata = {name: item["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
        body: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": metadata}
        if marks is not None:
            metadata["annotations"] = marks
        if spec:
            body["spec"] = spec
        path, right = _path(resource, item, subresource), resource.right("patch", subresource)
        query = {"fieldManager": owners.MANAGER, "force": "false"} | ({"dryRun": "All"} if dry else {})
        try:
            return self._send(path, right, query=query, body=body, content_type=APPLY)
        except Conflicting as conflict:
            if not self._adopt | {owners.MANAGER} >= set(conflict.managers):
                raise
        query["force"] = "true"
        return self._send(path, right, query=query, body=body, content_type=APPLY)

    def _send(
        self, path: str, right: str, *, query: Mapping[str, str], body: Body, content_type: str
    ) -> Body:
        refuse_late(right)
        return self._client.ask("PATCH", path, right, query=query, body=body, content_type=content_type).body


def _path(resource: Resource, item: Body, subresource: str = "") -> str:
    return resource.path(item["metadata"]["namespace"], item["metadata"]["name"], subresource)


def _marks(lever: Lever, size: int, key: str, *, raised: bool) -> dict[str, str]:
    """All our annotations: one that is left out of an apply is taken off."""
    there = marks_of(lever.item)
    marks = {ORIGINAL_SIZE: there.get(ORIGINAL_SIZE, str(lever.value)), LAST_KEY: f"{key} {size}"}
    if OWNERS_MINIMUM in there:
        marks[OWNERS_MINIMUM] = there[OWNERS_MINIMUM]
    if moved(lever):
        marks |= dict.fromkeys((ORIGINAL_SIZE, OWNERS_MINIMUM), str(lever.value))
    if raised or ORIGINAL_MAXIMUM in there:
        marks[ORIGINAL_MAXIMUM] = there.get(ORIGINAL_MAXIMUM, str(lever.most))
    return marks


def _ceiling(lever: Lever, size: int, ceiling: int | None) -> dict[str, int]:
    """The maximum, where it is raised, put back, or was raised by us and must be said again to stay."""
    if ceiling is not None:
        return {lever.ceiling: max(size, ceiling)}
    if size > lever.most or owners.ours(lever.item, ("spec", lever.ceiling)):
        return {lever.ceiling: max(size, lever.most)}
    return {}
