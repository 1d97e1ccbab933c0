"""Doctor and release over real adapters: a cluster's API and AWS, both served on loopback."""

from __future__ import annotations

import json

import pytest

from autoscaler.ports import ORIGINAL_SIZE
from autoscaler.providers import kubernetes
from tests.kubernetes_api.objects import hpa, workload
from tests.kubernetes_api.worlds import STARTER, opened
from tests.worlds import small

CONFIGURATION = """\
now: 2026-03-02T08:00:00Z
metrics:
  - {kind: csv, path: m.csv}
providers:
%s
defaults: {model: seasonal_naive, observe_first: 0s, mode: %s}
pools:
  web:
    provider: %s
    target: %s
    kind: %s
    minimum: 1
    maximum: 10
    demands: [{series: web, unit_capacity: 10}]
"""


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder with a history."""
    for name in ("LOADLINE_CONFIG", "LOADLINE_FREEZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ann")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text(small.history())
    return small.Shell(tmp_path, capsys)


@pytest.fixture
def cluster(tmp_path):
    """A cluster whose deployment web has an autoscaler with a floor of four."""
    with opened("fake", tmp_path) as world:
        world.put(workload(replicas=None))
        world.put(hpa(least=4))
        yield world


def _of_cluster(shell, mode="observe", target="deployment/shop/web"):
    provider = "  kubernetes:\n    shop: {kubeconfig: kubeconfig, adopt: [starter]}"
    text = CONFIGURATION % (provider, mode, "kubernetes/shop", target, "deployment")
    (shell.folder / "loadline.yaml").write_text(text)


def _failed(shell):
    answer = shell("doctor -o json")
    document = json.loads(answer.out)
    checks = [(one["subject"], check) for one in document["subjects"] for check in one["checks"]]
    return answer.code, {(subject, check["what"]): check for subject, check in checks if check["ok"] is False}


def test_a_sound_cluster_has_nothing_to_mend(shell, cluster):
    """Every right, the clock and the pool's lever are right, and the cluster was only read."""
    _of_cluster(shell)
    code, failed = _failed(shell)
    assert (code, failed) == (0, {})
    text = shell("doctor").out
    assert "minReplicas of HorizontalPodAutoscaler web" in " ".join(text.split())
    assert all(len(line) <= 120 for line in text.splitlines())
    assert not (shell.folder / "loadline.db").exists()


def test_f48_a_right_to_read_that_lacks_ends_in_77_with_its_rule(shell, cluster):
    """What RBAC refuses is named, and the rule that gives it stands beneath."""
    _of_cluster(shell)
    cluster.api.denied.add("list policy/poddisruptionbudgets")
    code, failed = _failed(shell)
    assert code == 77
    check = failed["provider kubernetes/shop", "may list policy/poddisruptionbudgets"]
    assert "poddisruptionbudgets" in check["mend"]


@pytest.mark.parametrize(("mode", "code"), [("observe", 0), ("auto", 77)])
def test_f48_a_right_to_change_counts_where_something_may_be_changed(shell, cluster, mode, code):
    """Who only observes needs no right to patch; with another mode its lack ends in 77."""
    _of_cluster(shell, mode=mode)
    cluster.api.denied.add("patch autoscaling/horizontalpodautoscalers")
    assert _failed(shell)[0] == code


def test_f50_a_workload_that_is_not_there_names_the_nearest(shell, cluster):
    """A misspelt target is told with the id that is there."""
    _of_cluster(shell, target="deployment/shop/webb")
    code, failed = _failed(shell)
    assert code == 1
    assert failed["pools", "web (deployment/shop/webb)"]["mend"] == "did you mean deployment/shop/web?"


def test_f45_workloads_of_others_that_are_not_configured_fail_nothing(shell, cluster):
    """Another workload, whose replicas somebody owns, is no matter of ours."""
    cluster.put(workload(name="cart"), manager="argocd-controller")
    _of_cluster(shell)
    assert _failed(shell)[0] == 0


def test_a_floor_goes_back_to_its_owner(shell, cluster):
    """A floor that was raised is lowered again, and the marks are off."""
    _of_cluster(shell)
    pools = kubernetes.connect(cluster.with_(adopt=(STARTER,)).settings, cluster.clock)
    pool = pools.read("deployment/shop/web")
    pools.resize(pool.id, 7, version=pool.version, key="k")
    answer = shell("release web --why over")
    assert (answer.code, answer.out) == (0, "  given back web  7 -> 4\n")
    assert cluster.hand.get("HorizontalPodAutoscaler", "web")["spec"]["minReplicas"] == 4
    assert ORIGINAL_SIZE not in pools.read(pool.id).labels
    assert shell("release --all --why over").out == "Nothing to give back: no pool bears our mark.\n"


@pytest.fixture
def account(aws_account, monkeypatch):
    """An account with the group web of four instances."""
    for name, value in (("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "testing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    aws_account.group()
    return aws_account


def _of_account(shell, account):
    provider = f'  aws:\n    shop: {{region: us-east-1, endpoint_url: "{account.address}"}}'
    text = CONFIGURATION % (provider, "observe", "aws/shop", "asg/web", "instance-group")
    (shell.folder / "loadline.yaml").write_text(text)


def test_a_group_goes_back_to_its_owner(shell, account):
    """The desired capacity of before is set again, and our tags are gone."""
    _of_account(shell, account)
    pools = account.provider()
    pool = pools.read("asg/web")
    pools.resize(pool.id, 6, version=pool.version, key="k")
    answer = shell("release web --why over")
    assert (answer.code, answer.out) == (0, "  given back web  6 -> 4\n")
    group, tags = account.described()
    assert group["DesiredCapacity"] == 4
    assert not [name for name in tags if name.startswith("loadline.dev/")]


def test_f48_doctor_names_what_the_credentials_may_not(shell, account):
    """A read that is refused is told by its IAM action, and ends in 77."""
    _of_account(shell, account)
    account.refuse("autoscaling:DescribePolicies", "AccessDenied", status=403)
    code, failed = _failed(shell)
    assert code == 77
    told = json.dumps([[subject, check] for (subject, _), check in failed.items()])
    assert "autoscaling:DescribePolicies" in told
