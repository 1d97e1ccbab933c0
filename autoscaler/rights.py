"""The rights that the program needs, as files to be applied: made from what providers and sources declare.

`deploy/iam` holds what `files` gives; `make rights` writes it anew. What reads and what acts are apart, so
that whoever only wants plans gives no right to change anything.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from autoscaler import providers

SOURCES = {  # the modules of metrics whose permissions belong to a provider's credentials
    "aws": ("autoscaler.metrics.cloudwatch",),
    "google": ("autoscaler.metrics.google_monitoring",),
    "kubernetes": (),
}
KINDS = tuple(SOURCES)
MANAGED, PROTECTED = "loadline.dev/managed", "loadline.dev/protected"
MARKS = ("loadline.dev/original-*", "loadline.dev/last-key")  # the tags that we write
ACCOUNT, NAMESPACE = "loadline", "NAMESPACE"
_MADE = "Made by `make rights` from what the program declares; do not edit."
_CORE = frozenset({"nodes", "pods", "namespaces", "services", "events", "configmaps"})  # of the group ""


def permissions(kind: str) -> tuple[str, ...]:
    """What reading needs, of the provider and of its sources of metrics, in its own words, sorted."""
    found = [*providers.load(kind).PERMISSIONS]
    for source in SOURCES[kind]:
        found += importlib.import_module(source).PERMISSIONS
    return tuple(sorted(set(found)))


def acting(kind: str) -> tuple[str, ...]:
    """What changing needs beyond that, sorted."""
    return tuple(sorted(set(providers.load(kind).ACTING)))


def text(kind: str, *, acts: bool) -> str:
    """The file for a kind of provider: what reads, or what acts. ValueError for one that there is not."""
    if kind not in KINDS:
        raise ValueError(f"there are no rights of {kind!r}; there are {', '.join(KINDS)}")
    if kind == "aws":
        return _json(_aws_act(acting(kind)) if acts else _aws_read(permissions(kind)))
    if kind == "google":
        return _yaml([_google(acting(kind) if acts else permissions(kind), acts=acts)])
    documents = _kubernetes_act(acting(kind)) if acts else _kubernetes_read(permissions(kind))
    note = f"# Once for each namespace: replace {NAMESPACE}.\n" if acts else ""
    return note + _yaml(documents)


def files() -> dict[str, str]:
    """Every file of `deploy/iam`, by its name."""
    found: dict[str, str] = {}
    for kind in KINDS:
        ending = "json" if kind == "aws" else "yaml"
        found |= {
            f"{kind}-{'act' if acts else 'read'}.{ending}": text(kind, acts=acts) for acts in (False, True)
        }
    return found


def _json(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"


def _yaml(documents: Sequence[Any]) -> str:
    import yaml  # noqa: PLC0415 - only where a file is made

    body = yaml.safe_dump_all(documents, sort_keys=False, width=110)
    return f"# {_MADE}\n{body}"


def _aws_read(actions: Sequence[str]) -> dict[str, Any]:
    """No Describe call knows single resources, so all of them are named."""
    return _policy([{"Sid": "Read", "Effect": "Allow", "Action": list(actions), "Resource": "*"}])


def _aws_act(actions: Sequence[str]) -> dict[str, Any]:
    """Only what bears our tag may be changed, only our marks be written, and nothing that is protected."""
    marking = [action for action in actions if "tag" in action.partition(":")[2].lower()]
    changing = [action for action in actions if action not in marking]
    managed = {"StringEquals": {f"aws:ResourceTag/{MANAGED}": "true"}}
    marks = managed | {"ForAllValues:StringLike": {"aws:TagKeys": list(MARKS)}}
    protected = {"StringEquals": {f"aws:ResourceTag/{PROTECTED}": "true"}}
    return _policy(
        [
            {"Sid": "Change", "Effect": "Allow", "Action": changing, "Resource": "*", "Condition": managed},
            {"Sid": "Mark", "Effect": "Allow", "Action": marking, "Resource": "*", "Condition": marks},
            {
                "Sid": "Protected",
                "Effect": "Deny",
                "Action": list(actions),
                "Resource": "*",
                "Condition": protected,
            },
        ]
    )


def _policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _google(included: Sequence[str], *, acts: bool) -> dict[str, Any]:
    what = "changes the sizes of managed instance groups" if acts else "reads groups, autoscalers and metrics"
    return {
        "title": f"Loadline {'acting' if acts else 'reading'}",
        "description": f"What Loadline needs where it {what}.",
        "stage": "GA",
        "includedPermissions": list(included),
    }


def _kubernetes_read(rights: Sequence[str]) -> list[dict[str, Any]]:
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT}
    api = "rbac.authorization.k8s.io"
    name = f"{ACCOUNT}-read"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": ACCOUNT}},
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": list(_rules(rights)),
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]


def _kubernetes_act(rights: Sequence[str]) -> list[dict[str, Any]]:
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT}
    api = "rbac.authorization.k8s.io"
    where = {"name": f"{ACCOUNT}-act", "namespace": NAMESPACE}
    return [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": where, "rules": list(_rules(rights))},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": dict(where),
            "roleRef": {"apiGroup": api, "kind": "Role", "name": where["name"]},
            "subjects": [subject],
        },
    ]


def _rules(rights: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A rule for each group and set of verbs; one for paths that are no resource."""
    verbs: dict[tuple[str, str], set[str]] = {}
    paths: dict[str, set[str]] = {}
    for right in rights:
        verb, _, what = right.partition(" ")
        if what.startswith("/"):
            paths.setdefault(what, set()).add(verb)
        else:
            verbs.setdefault(_resource(what), set()).add(verb)
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), said in sorted(verbs.items()):
        together.setdefault((group, tuple(sorted(said))), []).append(resource)
    for (group, allowed), resources in together.items():
        yield {"apiGroups": [group], "resources": resources, "verbs": list(allowed)}
    for path, said in sorted(paths.items()):
        yield {"nonResourceURLs": [path], "verbs": sorted(said)}


def _resource(words: str) -> tuple[str, str]:
    """Group and resource of `apps/deployments/scale`, `pods` or `pods/eviction`."""
    first, _, rest = words.partition("/")
    return ("", words) if not rest or first in _CORE else (first, rest)


def main(folder: str) -> None:
    """Write every file into a folder."""
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    for name, body in files().items():
        (where / name).write_text(body, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
