"""Real systems in the configuration: names, paths, kinds of sources, and what is said of a slip."""

from __future__ import annotations

import pytest

from autoscaler import config
from autoscaler.connections import (
    AwsAccount,
    AwsProvider,
    CloudWatchSource,
    GoogleMonitoringSource,
    GoogleProvider,
    KubernetesProvider,
    PrometheusSource,
)
from autoscaler.declared import Backlog
from autoscaler.errors import ConfigError

WORLD = """\
state: ./s.db
metrics:
  - kind: prometheus
    url: http://prometheus:9090/
    step: 30s
    token_file: secrets/token
    queries: {web_rps: 'sum(rate(http_requests_total[2m]))'}
  - kind: cloudwatch
    region: eu-west-1
    queries:
      jobs: {namespace: AWS/SQS, metric: ApproximateNumberOfMessagesVisible, dimensions: {QueueName: jobs}}
      errors: {expression: 100*a/b, inputs: {a: {namespace: X, metric: A}, b: {namespace: X, metric: B}}}
  - kind: google-monitoring
    project: shop
    queries: {pull: {filter: 'metric.type = "x"', aligner: ALIGN_RATE}}
providers:
  kubernetes: {prod: {context: prod, kubeconfig: ./kube, adopt: [helm]}}
  aws: {eu: {region: eu-west-1, role_arn: 'arn:aws:iam::1:role/read', kinds: [asg, ecs]}}
  google: {shop: {project: shop, locations: [europe-west1]}}
pools:
  web:
    provider: kubernetes/prod
    target: deployment/shop/web
    minimum: 2
    maximum: 10
    demands: [{series: web_rps, unit_capacity: 20}]
  worker:
    provider: aws/eu
    target: asg/worker
    minimum: 0
    maximum: 10
    lead_time: 4m
    demands: [{series: jobs, unit_capacity: 5, backlog: {drain: 5m, arrivals: web_rps}}]
"""


@pytest.fixture
def loaded(tmp_path):
    def load(text=WORLD):
        (tmp_path / "loadline.yaml").write_text(text)
        return config.load(str(tmp_path / "loadline.yaml"))

    return load


def test_every_system_comes_to_its_frozen_settings(loaded, tmp_path):
    """Sources in their order, providers by KIND/NAME, paths beside the file, pools with their targets."""
    known = loaded()
    prometheus, cloudwatch, google = known.metrics
    assert prometheus == PrometheusSource(
        name="metrics 0",
        url="http://prometheus:9090",
        queries={"web_rps": "sum(rate(http_requests_total[2m]))"},
        step_s=30,
        token_file=str(tmp_path / "secrets" / "token"),
    )
    assert isinstance(cloudwatch, CloudWatchSource)
    assert cloudwatch.queries["jobs"].dimensions == {"QueueName": "jobs"}
    assert cloudwatch.queries["errors"].inputs["b"].metric == "B"
    assert isinstance(google, GoogleMonitoringSource)
    assert google.queries["pull"].aligner == "ALIGN_RATE"
    assert dict(known.providers) == {
        "kubernetes/prod": KubernetesProvider(
            name="kubernetes/prod", context="prod", kubeconfig=str(tmp_path / "kube"), adopt=("helm",)
        ),
        "aws/eu": AwsProvider(
            name="aws/eu",
            account=AwsAccount(region="eu-west-1", role_arn="arn:aws:iam::1:role/read"),
            kinds=("asg", "ecs"),
        ),
        "google/shop": GoogleProvider(name="google/shop", project="shop", locations=("europe-west1",)),
    }
    assert {name: pool.target for name, pool in known.pools.items()} == {
        "web": "deployment/shop/web",
        "worker": "asg/worker",
    }
    assert {name: pool.lead_time_s for name, pool in known.pools.items()} == {"web": 60, "worker": 240}
    assert known.pools["worker"].demands[0].backlog == Backlog(drain_s=300, arrivals="web_rps")
    assert known.pools["worker"].series == ("jobs", "web_rps")


SLIPS = {
    "kind of source": ("kind: prometheus", "kind: promethius", 3, "did you mean prometheus?"),
    "no kind": ("kind: prometheus\n    url", "url", 3, "kind is missing"),
    "key of a source": ("step: 30s", "stpe: 30s", 5, "did you mean step?"),
    "password in an address": ("//prometheus", "//u:p@prometheus", 4, "an address holds no password"),
    "a time-out nobody waits for": ("step: 30s", "timeout: 2m", 3, "all queries together have 50 s"),
    "two ways to be let in": ("step: 30s", "username: me", 3, "not both"),
    "a name without password": ("token_file: secrets/token", "username: me", 3, "belong together"),
    "a key without certificate": ("step: 30s", "key_file: k.pem", 3, "give that too"),
    "no address": ("http://prometheus:9090/", "prometheus:9090", 4, "is no address"),
    "no queries": (
        "queries: {web_rps: 'sum(rate(http_requests_total[2m]))'}",
        "queries: {}",
        7,
        "at least one entry",
    ),
    "unknown cluster": ("kubernetes/prod\n", "kubernetes/prd\n", 22, "did you mean kubernetes/prod?"),
    "kind of provider": ("google: {shop", "gogle: {shop", 19, "did you mean google?"),
    "kind of pools": ("kinds: [asg, ecs]", "kinds: [asg, esc]", 18, "is not known"),
    "environment": ("kubeconfig: ./kube", "kubeconfig: '${NOWHERE}/k'", 17, "NOWHERE is not set"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_f69_a_slip_is_named_with_its_line_and_its_mend(loaded, name):
    """Every wrong key or value of a system is one line with the file, the line and what to write."""
    old, new, line, message = SLIPS[name]
    assert old in WORLD
    with pytest.raises(ConfigError) as raised:
        loaded(WORLD.replace(old, new, 1))
    assert any(f"loadline.yaml:{line}: " in one and message in one for one in str(raised.value).splitlines())


def test_a_manual_page_for_a_key_of_a_source_and_of_a_provider():
    """`config explain` finds keys of every kind of source, and those of a cluster by any name."""
    assert "X-Scope-OrgID" in config.explain("metrics.0.tenant")
    assert "alignment period" in config.explain("metrics.*.step") or "distance" in config.explain(
        "metrics.*.step"
    )
    assert "Field managers" in config.explain("providers.kubernetes.prod.adopt")
    assert "queries" in config.explain("metrics")
    with pytest.raises(ConfigError, match="did you mean tenant"):
        config.explain("metrics.0.tenent")


def test_a_series_of_two_sources_is_refused(loaded):
    """One line with both places and the mend; the same file twice likewise."""
    twice = WORLD.replace("queries: {pull: {filter", "queries: {jobs: {filter")
    with pytest.raises(ConfigError) as raised:
        loaded(twice)
    (line,) = str(raised.value).splitlines()[:1]
    assert "loadline.yaml:15: " in line
    assert "line 11" in line
    assert "jobs" in line
    assert "an id of its own" in line
    files = (
        "metrics:\n  - {kind: csv, path: m.csv}\n  - {kind: csv, path: n.csv}\n  - {kind: csv, path: m.csv}\n"
    )
    with pytest.raises(ConfigError, match=r"'m\.csv' is the file of another source already; keep one"):
        loaded(WORLD.replace("metrics:\n", files))
