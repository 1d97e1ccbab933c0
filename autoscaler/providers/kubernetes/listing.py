"""Whole lists of objects, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.errors import NotFound, ProviderError
from autoscaler.providers.kubernetes.client import NOTHING, Client, Expired
from autoscaler.providers.kubernetes.resources import Resource

LIMIT = 500  # the largest page that the API's own tools ask for
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The objects that were seen. `error` is what cut the list short, None where it is whole."""

    items: tuple[Item, ...] = ()
    error: ProviderError | None = None


def listed(
    client: Client, resource: Resource, namespaces: Sequence[str], *, query: Mapping[str, str] = NOTHING
) -> Listed:
    """Every object of the namespaces, of the whole cluster where none is named; it does not raise.

    An optional kind that the cluster does not have (404) has no objects.
    """
    found: dict[tuple[str, str], Item] = {}
    error: ProviderError | None = None
    for namespace in (namespaces if resource.namespaced else ()) or ("",):
        try:
            for item in _items(client, resource, namespace, query):
                metadata = item.get("metadata", {})
                found[metadata.get("namespace", ""), metadata.get("name", "")] = item
        except ProviderError as refused:
            if not (resource.optional and isinstance(refused, NotFound)):
                error = error or refused
    return Listed(items=tuple(found.values()), error=error)


def _items(client: Client, resource: Resource, namespace: str, query: Mapping[str, str]) -> Iterator[Item]:
    """The objects of one list. Where its place in the list expired it goes on as the server says.

    It goes on with the token of the answer, which may be of a newer state; without one it begins anew, once.
    """
    path, right = resource.path(namespace), resource.right("list")
    token, again = "", 1
    while True:
        asked = {**query, "limit": str(LIMIT)} | ({"continue": token} if token else {})
        try:
            body = client.ask("GET", path, right, query=asked).body
        except Expired as expired:
            if again == 0:
                raise
            token, again = expired.token, again - 1
            continue
        yield from body.get("items") or ()
        token = (body.get("metadata") or {}).get("continue") or ""
        if not token:
            return
