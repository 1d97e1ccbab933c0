"""What docs/kubernetes.md says of rights, guards and keys is so."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import yaml

from autoscaler.connections import KubernetesProvider
from autoscaler.providers import kubernetes
from policies.plan import Guard

TEXT = (Path(__file__).parents[1] / "docs/kubernetes.md").read_text()


def granted():
    """The rights of each role of the document."""
    found = {}
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        role = yaml.safe_load(block)
        rights = found.setdefault(role["metadata"]["name"], set())
        for rule in role["rules"]:
            for verb in rule["verbs"]:
                rights |= {f"{verb} {url}" for url in rule.get("nonResourceURLs", ())}
                for group in rule.get("apiGroups", ()):
                    rights |= {f"{verb} {group}/{one}".replace(" /", " ") for one in rule["resources"]}
    return found


def test_the_roles_are_what_the_code_needs():
    """Not a right more and not one less than the module declares."""
    assert granted() == {
        "loadline-read": set(kubernetes.PERMISSIONS),
        "loadline-act": set(kubernetes.ACTING),
    }


def test_every_key_is_explained():
    """The table of keys has each field of the settings once, and no other."""
    table = TEXT.partition("## Configuration")[2]
    keys = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert keys == [field.name for field in dataclasses.fields(KubernetesProvider)]


def test_guards_are_those_there_are():
    """Each guard that the document names is one of the plan's."""
    named = set(re.findall(r"^\| `([A-Z_]+)`", TEXT, re.MULTILINE))
    assert named
    assert named <= set(Guard)
