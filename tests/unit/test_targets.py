"""Two pools of one target are refused; two things of one name at different places are not."""

from __future__ import annotations

import pytest

from autoscaler import config
from autoscaler.errors import ConfigError

HEAD = """\
state: ./s.db
metrics: [{kind: prometheus, url: 'http://p:9090', queries: {rps: up}}]
providers:
  kubernetes: {prod: {context: prod}, again: {context: prod, adopt: [helm]}, test: {context: test}}
  aws: {eu: {region: eu-west-1}, us: {region: us-east-1}}
pools:
"""


@pytest.fixture
def loaded(tmp_path):
    """Loads pools, each a line: name, provider, target ("" for none)."""

    def load(*pools):
        lines = (
            f"  {name}: {{provider: {provider}, {f'target: {target}, ' if target else ''}"
            "minimum: 1, maximum: 9, demands: [{series: rps, unit_capacity: 5}]}\n"
            for name, provider, target in pools
        )
        (tmp_path / "loadline.yaml").write_text(HEAD + "".join(lines))
        return config.load(str(tmp_path / "loadline.yaml"))

    return load


@pytest.mark.parametrize(
    "other",
    [
        ("b", "kubernetes/prod", "deployment/shop/web"),
        ("b", "kubernetes/again", "deployment/shop/web"),
        ("deployment/shop/web", "kubernetes/prod", ""),
    ],
    ids=["same provider", "same cluster by another name", "by its own name"],
)
def test_f69_two_pools_of_one_target_are_refused(loaded, other):
    """One line with file, line, the target, the pool that has it already, and the mend."""
    with pytest.raises(ConfigError) as raised:
        loaded(("a", "kubernetes/prod", "deployment/shop/web"), other)
    (line,) = [one for one in str(raised.value).splitlines() if "already" in one]
    assert "loadline.yaml:8: " in line
    assert "deployment/shop/web is the target of the pool a already" in line.replace("'", "")
    assert "keep one" in line


def test_the_same_name_elsewhere_is_another_target(loaded):
    """Regions and clusters keep equal names apart."""
    found = loaded(
        ("a", "aws/eu", "asg/web"),
        ("b", "aws/us", "asg/web"),
        ("c", "kubernetes/prod", "deployment/shop/web"),
        ("d", "kubernetes/test", "deployment/shop/web"),
        ("e", "kubernetes/prod", "statefulset/shop/web"),
        ("f", "kubernetes/prod", "deployment/shop-test/web"),
    )
    assert len(found.pools) == 6
