"""The files of rights hold exactly what the program declares, and no more."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from autoscaler import providers, rights
from autoscaler.ports import FREEZE, ORIGINAL_SIZE
from tests.worlds import small

FOLDER = Path(__file__).parents[2] / "deploy" / "iam"


def test_the_committed_files_are_what_the_code_declares():
    """`make rights` would change nothing: a permission that the code gains or loses is in the files."""
    there = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert there == rights.files(), "run `make rights`"


def test_every_provider_and_source_with_permissions_has_files():
    """A new provider, or source with credentials, cannot be forgotten."""
    assert {name for name in providers.names() if providers.load(name).PERMISSIONS} == set(rights.KINDS)
    declared = {module for modules in rights.SOURCES.values() for module in modules}
    folder = Path(import_module("autoscaler.metrics").__file__).parent
    named = {
        f"autoscaler.metrics.{path.stem}"
        for path in folder.glob("*.py")
        if re.search(r'^PERMISSIONS\b.*\n?.*"[\w.]+[:.]\w', path.read_text(), re.MULTILINE)
        and "/api/v1" not in path.read_text()  # Prometheus knows no roles
    }
    assert named == declared


@pytest.mark.parametrize("acts", [False, True])
def test_aws_has_every_action_and_conditions_on_what_changes(acts):
    """Reading allows what is declared and nothing else; acting only on managed, never on protected groups."""
    statements = json.loads(rights.text("aws", acts=acts))["Statement"]
    allowed = [a for one in statements if one["Effect"] == "Allow" for a in one["Action"]]
    wanted = rights.acting("aws") if acts else rights.permissions("aws")
    assert sorted(allowed) == sorted(wanted)
    assert not any("*" in action for action in allowed)
    if not acts:
        assert "cloudwatch:GetMetricData" in allowed
        assert not set(allowed) & set(rights.acting("aws"))
        return
    for one in statements:
        condition = one["Condition"]["StringEquals"]
        if one["Effect"] == "Allow":
            assert condition == {"aws:ResourceTag/loadline.dev/managed": "true"}
        else:
            assert condition == {"aws:ResourceTag/loadline.dev/protected": "true"}
            assert sorted(one["Action"]) == sorted(wanted)


def test_aws_lets_only_our_marks_be_written():
    """Whoever acts cannot make a group managed, unfreeze it, or take its protection away."""
    marks = next(
        one for one in json.loads(rights.text("aws", acts=True))["Statement"] if one["Sid"] == "Mark"
    )
    assert sorted(marks["Action"]) == [one for one in rights.acting("aws") if "tag" in one.lower()]
    patterns = marks["Condition"]["ForAllValues:StringLike"]["aws:TagKeys"]
    written = import_module("autoscaler.providers.aws.marks").OURS
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in (*written, ORIGINAL_SIZE))
    for name in (rights.MANAGED, rights.PROTECTED, FREEZE, "team"):
        assert not any(fnmatch(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("acts", [False, True])
def test_google_has_every_permission(acts):
    """A custom role of what is declared, for reading with the one for metrics."""
    role = yaml.safe_load(rights.text("google", acts=acts))
    wanted = rights.acting("google") if acts else rights.permissions("google")
    assert role["includedPermissions"] == list(wanted)
    assert ("monitoring.timeSeries.list" in wanted) is not acts
    assert role["stage"] == "GA"


def _rights_of(rules):
    """Back from rules to the words of RBAC."""
    for rule in rules:
        for verb in rule["verbs"]:
            for path in rule.get("nonResourceURLs", ()):
                yield f"{verb} {path}"
            for group in rule.get("apiGroups", ()):
                for name in rule["resources"]:
                    yield f"{verb} {group}/{name}" if group else f"{verb} {name}"


def test_kubernetes_has_every_right_and_acts_in_a_namespace():
    """The rules say what is declared, no more; what acts is a Role, without wildcards, secrets or exec."""
    read = {one["kind"]: one for one in yaml.safe_load_all(rights.text("kubernetes", acts=False))}
    act = {one["kind"]: one for one in yaml.safe_load_all(rights.text("kubernetes", acts=True))}
    assert set(read) == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding"}
    assert set(act) == {"Role", "RoleBinding"}
    assert sorted(_rights_of(read["ClusterRole"]["rules"])) == list(rights.permissions("kubernetes"))
    assert sorted(_rights_of(act["Role"]["rules"])) == list(rights.acting("kubernetes"))
    assert act["Role"]["metadata"]["namespace"] == act["RoleBinding"]["metadata"]["namespace"] == "NAMESPACE"
    for one in (read["ClusterRoleBinding"], act["RoleBinding"]):
        assert one["roleRef"]["name"] in {"loadline-read", "loadline-act"}
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": "loadline", "namespace": "loadline"}]
    everything = rights.text("kubernetes", acts=False) + rights.text("kubernetes", acts=True)
    for word in ("'*'", "secrets", "exec", "delete"):
        assert word not in everything


@pytest.mark.parametrize(
    ("words", "resource"),
    [
        ("pods", ("", "pods")),
        ("pods/eviction", ("", "pods/eviction")),
        ("apps/x/scale", ("apps", "x/scale")),
    ],
)
def test_the_words_of_a_right_are_taken_apart(words, resource):
    """Group and resource, with the subresource where there is one."""
    assert rights._resource(words) == resource


def test_reading_never_needs_a_right_to_change():
    """No verb or action that changes anything is among those for reading."""
    for one in rights.permissions("kubernetes"):
        assert one.split()[0] in {"get", "list", "watch"} or "selfsubjectaccessreviews" in one, one
    for one in rights.permissions("aws"):
        assert re.match(r"(Describe|List|Get|Simulate)", one.partition(":")[2]), one
    for one in rights.permissions("google"):
        assert one.rpartition(".")[2] in {"get", "list"}, one


@pytest.mark.parametrize("line", ["doctor --rights aws", "doctor --rights kubernetes --acting"])
def test_doctor_prints_them(line, tmp_path, monkeypatch, capsys):
    """`loadline doctor --rights KIND [--acting]` prints the file, without a configuration."""
    monkeypatch.chdir(tmp_path)
    answer = small.Shell(tmp_path, capsys)(line)
    assert answer.code == 0
    assert answer.out == rights.text(line.split()[2], acts="--acting" in line)


def test_acting_is_of_rights(tmp_path, monkeypatch, capsys):
    """`--acting` without `--rights` is wrong usage, and so is a kind that there is not."""
    monkeypatch.chdir(tmp_path)
    shell = small.Shell(tmp_path, capsys)
    assert shell("doctor --acting").code == 64
    assert shell("doctor --rights azure").code == 64
