"""`loadline init` on a cluster with a Prometheus: what it proposes, and that nothing is changed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from kubernetes import config as library

from autoscaler import config
from autoscaler.providers import kubernetes
from autoscaler.providers.kubernetes.cluster import Cluster
from tests.kubernetes_api.objects import node, put, workload
from tests.worlds import shop as worlds
from tests.worlds.small import Shell

EXAMPLE = Path(__file__).parents[2] / "examples" / "kubernetes.yaml"
READS = {"list", "get"}
pytestmark = pytest.mark.slow


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder of its own, whose kubeconfig is that of the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    for module in (library, library.kube_config):  # which reads KUBECONFIG once, when it is imported
        monkeypatch.setattr(module, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    return Shell(tmp_path, capsys)


def only_read(api, prometheus):
    """Each call to the cluster was a declared reading one, and the Prometheus was only asked."""
    assert {right.split()[0] for right in api.rights()} <= READS
    assert api.rights() <= set(kubernetes.PERMISSIONS)
    assert {path.removeprefix("/api/v1/") for _, path, _, _ in prometheus.asked} <= {
        "query",
        "query_range",
        "label/__name__/values",
    }


def test_init_validate_and_plan(shell, tmp_path):
    """What init writes is the example, is found sound, and is planned with at once; all is only read."""
    with worlds.shop(tmp_path) as (api, prometheus):
        said = shell(f"init --kubernetes --prometheus {prometheus.url}")
        assert said.code == 0, said
        text = (tmp_path / "loadline.yaml").read_text()
        assert text.replace(prometheus.url, worlds.URL) == EXAMPLE.read_text()
        valid = shell("config validate")
        assert valid.code == 0, valid
        plan = shell("plan --detailed-exitcode -o json")
        assert plan.code in {0, 2}, plan
        made = json.loads(plan.out)
        planned = {action["target"] for action in made["actions"]}
        held = {entry["action"]["target"] for entry in made["held"]}
        assert planned | held <= {"shop/api", "shop/db", "shop/web", "shop/worker"}
        assert planned | held
        assert made["gaps"] == []
        only_read(api, prometheus)


def test_it_is_the_same_again_and_never_written_over(shell, tmp_path):
    """The same cluster gives the same file; one that is there is left alone without --force (exit 64)."""
    with worlds.shop(tmp_path) as (_api, prometheus):
        asked = f"init --kubernetes --prometheus {prometheus.url}"
        assert shell(f"{asked} --out a.yaml").code == 0
        assert shell(f"{asked} --out b.yaml").code == 0
        text = (tmp_path / "a.yaml").read_text()
        assert text == (tmp_path / "b.yaml").read_text()
        (tmp_path / "a.yaml").write_text("mine: true\n")
        before = len(prometheus.asked)
        refused = shell(f"{asked} --out a.yaml")
        assert (refused.code, (tmp_path / "a.yaml").read_text()) == (64, "mine: true\n")
        assert "--force" in refused.err
        assert len(prometheus.asked) == before
        assert shell(f"{asked} --out a.yaml --force").code == 0
        assert (tmp_path / "a.yaml").read_text() == text
        assert shell.files() == {"kubeconfig", "a.yaml", "b.yaml"}


def test_the_findings_as_json_and_as_a_table(shell, tmp_path):
    """Both tell each pool that was seen once: proposed, or not and why; and three commands to go on with."""
    with worlds.shop(tmp_path) as (_api, prometheus):
        asked = f"init --kubernetes --prometheus {prometheus.url} --force"
        found = json.loads(shell(f"{asked} -o json").out)
        table = shell(asked).out
    proposed = {entry["pool"] for entry in found["proposed"]}
    passed = {entry["target"]: entry["why"] for entry in found["not_proposed"]}
    assert proposed == {"shop/api", "shop/db", "shop/web", "shop/worker"}
    assert set(passed) == {
        *("deployment/kube-system/coredns", "deployment/shop/cart"),
        *("deployment/shop/mute", "deployment/shop/report"),
    }
    assert "adopt: [argocd-controller]" in passed["deployment/shop/cart"]
    assert passed["deployment/shop/mute"].startswith("no metric found")
    assert len(found["next"]) == 3
    for words in (*proposed, *passed, *found["next"]):
        assert words in table
    assert max(map(len, table.splitlines())) <= 100


def test_requests_come_before_queues_and_those_before_cpu(shell, tmp_path):
    """Of what is verified for a workload the best is taken."""
    with worlds.shop(tmp_path) as (_api, prometheus):
        said = shell(f"init --kubernetes --prometheus {prometheus.url} -o json")
    series = {entry["pool"]: set(entry["series"]) for entry in json.loads(said.out)["proposed"]}
    assert "shop/web:requests" in series["shop/web"]
    assert "shop/worker:queue" in series["shop/worker"]
    assert "shop/api:cpu" in series["shop/api"]


def test_adopted_managers_and_chosen_namespaces_are_proposed(shell, tmp_path):
    """--adopt proposes what that manager sets, --namespace the system's; both stand in the file."""
    with worlds.shop(tmp_path) as (_api, prometheus):
        asked = f"init --kubernetes --prometheus {prometheus.url} --adopt argocd-controller"
        said = shell(f"{asked} --namespace shop kube-system -o json")
    found = {entry["pool"] for entry in json.loads(said.out)["proposed"]}
    assert {"shop/cart", "kube-system/coredns"} <= found
    (provider,) = config.load(str(tmp_path / "loadline.yaml")).providers.values()
    assert provider.adopt == ("argocd-controller",)
    assert provider.namespaces == ("kube-system", "shop")


def test_f23_a_metric_of_another_name_is_told_with_the_nearest(shell, tmp_path):
    """Where what is looked for is not there, the file names the metric that may be meant."""
    renamed = [name.replace("http_requests_total", "http_request_total") for name in worlds.METRICS]
    with worlds.shop(tmp_path, answer=partial(worlds.watched, metrics=renamed)) as (_api, prometheus):
        said = shell(f"init --kubernetes --prometheus {prometheus.url}")
    hint = "there is no http_requests_total; is http_request_total meant?"
    assert hint in said.out
    assert hint in (tmp_path / "loadline.yaml").read_text()


def test_a_query_of_several_series_or_a_stale_one_is_not_proposed(shell, tmp_path):
    """What does not answer with one fresh series is passed over for the next best, or told."""

    def answer(path, fields, count):
        query = fields.get("query", "")
        if path.endswith("query_range") and "http_requests_total" in query:
            stamps = list(worlds.grid_of(fields))
            return worlds.matrix(({"a": "1"}, [(stamps[0], 1)]), ({"a": "2"}, [(stamps[0], 1)]))
        if path.endswith("query_range") and "cpu_usage" in query and '"api-' in query:
            stamps = list(worlds.grid_of(fields))
            return worlds.matrix(({}, [(t, 1) for t in stamps[:-30]]))
        return worlds.watched(path, fields, count)

    with worlds.shop(tmp_path, answer=answer) as (_api, prometheus):
        said = shell(f"init --kubernetes --prometheus {prometheus.url} -o json")
    found = json.loads(said.out)
    assert {one["pool"]: min(one["series"]) for one in found["proposed"]}["shop/web"] == "shop/web:cpu"
    why = next(one["why"] for one in found["not_proposed"] if one["target"].endswith("/api"))
    assert "series answered" in why
    assert "steps old" in why


def test_f18_a_list_that_is_cut_is_told_and_the_rest_is_proposed(shell, tmp_path):
    """A kind of object that cannot be listed is a gap, in the table and in the file."""
    with worlds.shop(tmp_path) as (api, prometheus):
        api.fail("list apps/statefulsets", 500, times=9)
        said = shell(f"init --kubernetes --prometheus {prometheus.url}")
    assert said.code == 0, said
    text = (tmp_path / "loadline.yaml").read_text()
    assert "shop/web:" in text
    assert re.search(r"# Not seen: .*statefulsets", text)


def test_nothing_to_propose_writes_no_file(shell, tmp_path):
    """Without a metric that sizes anything: exit 5, every pool with its reason, no file."""
    with worlds.shop(tmp_path, answer=partial(worlds.watched, metrics=["up"])) as (_api, prometheus):
        said = shell(f"init --kubernetes --prometheus {prometheus.url}")
    assert said.code == 5
    assert "no metric found" in said.out
    assert shell.files() == {"kubeconfig"}


def test_what_is_missing_is_named(shell, tmp_path):
    """Nowhere to look, a bad address, a server that is away, a lacking right: one line, and the exit code."""
    assert shell("init").code == 64
    assert "--prometheus" in shell("init --kubernetes").err
    secret = shell("init --kubernetes --prometheus http://ann:hunter2@127.0.0.1:9/")
    assert secret.code == 64
    assert "hunter2" not in secret.err + secret.out
    with worlds.shop(tmp_path) as (api, prometheus):
        away = shell("init --kubernetes --prometheus http://127.0.0.1:9")
        assert away.code == 5
        api.denied |= {"list apps/deployments", "list apps/statefulsets"}
        lacking = shell(f"init --kubernetes --prometheus {prometheus.url}")
    assert lacking.code == 77, lacking
    assert "list apps/deployments" in lacking.err
    assert shell.files() == {"kubeconfig"}


HOSTILE = (
    "web: {mode: auto}\n  evil: [*a]",
    "a\"b'c: !!python/object:os.system #",
    "\x1b[31mred\u202egnp.exe",
    "=cmd()|' /C calc'!A0",
    "<script>alert(1)</script>",
    "x" * 10_000,
)


def hostile(api):
    """Workloads whose names no server would take, each with metrics."""
    put(api, node("node-1"), "kubelet")
    put(api, workload(name="web", replicas=None))
    for number in range(len(HOSTILE)):
        put(api, workload(name=f"h{number}", replicas=None))


def test_f76_hostile_names_are_inert(shell, tmp_path, monkeypatch):
    """Names with YAML, escapes, overrides, or 10 kB steer nothing; the file is sound and holds them."""
    real = Cluster.list

    def list_(self):
        pools, gaps = real(self)
        names = dict(zip((f"h{n}" for n in range(len(HOSTILE))), HOSTILE, strict=True))
        kept = [
            replace(pool, id=f"deployment/shop/{names.get(pool.id.split('/')[-1], pool.id.split('/')[-1])}")
            for pool in pools
        ]
        return kept, gaps

    monkeypatch.setattr(Cluster, "list", list_)

    def answer(path, fields, count):
        if path.endswith("query_range") and "cpu_usage" in fields["query"] and " / " not in fields["query"]:
            return worlds.matrix(({}, [(t, 1.5) for t in worlds.grid_of(fields)]))
        return worlds.watched(path, fields, count, series=())

    with worlds.shop(tmp_path, people=hostile, answer=answer) as (_api, prometheus):
        said = shell(f"init --kubernetes --prometheus {prometheus.url}")
    assert said.code == 0, said
    text = (tmp_path / "loadline.yaml").read_text()
    assert all(letter == "\n" or letter.isprintable() for letter in said.out + text)
    loaded = config.load(str(tmp_path / "loadline.yaml"))
    assert {pool.target for pool in loaded.pools.values()} == {
        f"deployment/shop/{name}" for name in (*HOSTILE, "web")
    }
    modes = {rule.mode_out.value for rule in loaded.policy.pools.values()}
    assert modes == {"observe"}
