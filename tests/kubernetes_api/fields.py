"""Who manages which field: the part of server-side apply that this fake has.

As the API does it, but for lists, which are taken as one value here.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

OF_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


@dataclass(frozen=True)
class Owner:
    """One entry of `managedFields`: the same manager by another operation or subresource is another one."""

    manager: str
    operation: str
    subresource: str = ""


class Conflict(Exception):
    """An apply that others' fields forbid: (owner, path) of each."""

    def __init__(self, found):
        super().__init__(f"{len(found)} conflicts")
        self.found = found


def leaves(item):
    """Path to value of everything that can have a manager."""
    found = {}

    def walk(value, path):
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                walk(inner, (*path, name))
        else:
            found[path] = value

    metadata = item.get("metadata", {})
    for part in OF_METADATA:
        if metadata.get(part):
            walk(metadata[part], ("metadata", part))
    for name in item.keys() - {"metadata", "apiVersion", "kind", "status"}:
        walk(item[name], (name,))
    return found


def put(item, path, value):
    """Set the value at a path."""
    for name in path[:-1]:
        item = item.setdefault(name, {})
    item[path[-1]] = value


def drop(item, path):
    """Take a path away, if it is there."""
    for name in path[:-1]:
        item = item.get(name)
        if not isinstance(item, dict):
            return
    item.pop(path[-1], None)


def encoded(paths):
    """The `fieldsV1` of paths."""
    tree = {}
    for path in paths:
        put(tree, tuple(f"f:{name}" for name in path), {})
    return tree


def decoded(tree):
    """The paths of `fieldsV1`."""
    found = set()

    def walk(inner, path):
        if path and not inner:
            found.add(path)
        for name, value in inner.items():
            walk(value, (*path, name.removeprefix("f:")))

    walk(tree, ())
    return found


def managed(item):
    """Owner to paths, as the object has it."""
    return {
        Owner(one["manager"], one["operation"], one.get("subresource", "")): decoded(one["fieldsV1"])
        for one in item["metadata"].get("managedFields") or ()
        if one
    }


def write(item, before, owners, *, changed, api_version, now):
    """Put the entries on the object; `time` of one moves where its fields or their values did."""
    times = {
        Owner(one["manager"], one["operation"], one.get("subresource", "")): one["time"]
        for one in before["metadata"].get("managedFields") or ()
        if one
    }
    old = managed(before)
    entries = []
    for owner, paths in owners.items():
        if not paths:
            continue
        same = old.get(owner) == paths and not paths & changed
        entry = {
            "manager": owner.manager,
            "operation": owner.operation,
            "apiVersion": api_version,
            "time": times[owner] if same and owner in times else now,
            "fieldsType": "FieldsV1",
            "fieldsV1": encoded(paths),
        }
        if owner.subresource:
            entry["subresource"] = owner.subresource
        entries.append(entry)
    item["metadata"]["managedFields"] = entries


def applied(live, wanted, owner, *, force):
    """What an apply of `wanted` (path to value) makes of the object, with the owners afterwards."""
    owners, now = managed(live), leaves(live)
    found = [
        (other, path)
        for other, paths in owners.items()
        for path in sorted(paths & set(wanted))
        if other != owner and now.get(path) != wanted[path]
    ]
    if found and not force:
        raise Conflict(found)
    for other, path in found:
        owners[other] = owners[other] - {path}
    item = copy.deepcopy(live)
    others = set().union(*(paths for other, paths in owners.items() if other != owner))
    for path in owners.get(owner, set()) - set(wanted) - others:
        drop(item, path)
    for path, value in wanted.items():
        put(item, path, value)
    owners[owner] = set(wanted)
    return item, owners


def updated(live, item, owner):
    """The owners after an update to `item`: what it changed is its manager's alone."""
    before, after = leaves(live), leaves(item)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    owners = managed(item)
    for other, paths in owners.items():
        owners[other] = (paths - changed) & set(after)
    owners[owner] = owners.get(owner, set()) | changed
    return owners
