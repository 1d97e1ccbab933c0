"""Who sets a field of an object, by the `managedFields` that server-side apply keeps. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

MANAGER = "loadline"
FORGOTTEN: list[dict[str, Any]] = [{}]  # the API's word for "no managers at all"

_KNOWN = (  # beginnings of the managers' names, and what people call them
    ("argocd", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("flux", "Flux"),
    ("helm", "Helm"),
    ("keda", "KEDA"),
    ("kube-controller-manager", "a HorizontalPodAutoscaler"),
    ("terraform", "Terraform"),
    ("hashicorp", "Terraform"),
    ("pulumi", "Pulumi"),
    ("kubectl", "a person with kubectl"),
)
_CONFLICT = re.compile(r'conflict with "([^"]+)"')


def known(manager: str) -> str:
    """What people call a manager, "" where it is not known."""
    return next((who for start, who in _KNOWN if manager.lower().startswith(start)), "")


def named(managers: Iterable[str]) -> str:
    """The managers for a message: `argocd-controller (Argo CD)`."""
    texts = []
    for manager in managers:
        who = known(manager)
        texts.append(f"{manager} ({who})" if who else manager)
    return ", ".join(texts)


def mend(managers: Iterable[str], field: str = "the field") -> str:
    """What the operator may do about managers that were named before; `adopt` takes these names."""
    return f"take {field} out of that manifest, or let it be taken over: adopt: [{', '.join(managers)}]"


def of(item: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """The managers of a field such as ("spec", "replicas"), ours left out, each once."""
    found = (str(entry.get("manager", "")) for entry in _entries(item) if _has(entry, path))
    return tuple(dict.fromkeys(name for name in found if name != MANAGER))


def ours(item: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether we applied the field."""
    return any(entry.get("manager") == MANAGER and _has(entry, path) for entry in _entries(item))


def last_set(item: Mapping[str, Any], path: tuple[str, ...]) -> datetime | None:
    """When the field was last set, aware UTC; None where what is known may be the time of another change."""
    times = [
        datetime.fromisoformat(entry["time"])
        for entry in _entries(item)
        if entry.get("time")
        and _has(entry, path)
        and (entry.get("subresource") == "scale" or entry.get("manager") == MANAGER)
    ]
    return max(times, default=None)


def without_ours(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of the other managers, as the API wants them written."""
    return [dict(one) for one in _entries(item) if one.get("manager") != MANAGER] or FORGOTTEN


def conflicting(status: Mapping[str, Any]) -> tuple[str, ...]:
    """The managers that a refused apply names, each once; none where it was refused for another reason."""
    causes = (status.get("details") or {}).get("causes") or ()
    texts = [
        str(cause.get("message", "")) for cause in causes if cause.get("reason") == "FieldManagerConflict"
    ]
    return tuple(dict.fromkeys(name for text in texts for name in _CONFLICT.findall(text)))


def _entries(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return item.get("metadata", {}).get("managedFields") or []


def _has(entry: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    fields: Any = entry.get("fieldsV1") or {}
    for name in path:
        fields = fields.get(f"f:{name}")
        if fields is None:
            return False
    return True
