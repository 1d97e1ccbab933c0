"""How often real systems are asked by one look at them, however many pools there are."""

from __future__ import annotations

from collections import Counter

import pytest

from autoscaler import bootstrap, config, observing
from autoscaler.clock import SetClock
from tests.kubernetes_api.objects import populate
from tests.kubernetes_api.worlds import opened
from tests.worlds.aws import REGION, START, Aws, server

pytestmark = pytest.mark.slow  # 1,500 pools are made

DEPLOYMENTS, GROUPS = 1000, 500
OF_THE_CLUSTER = {
    "list apps/deployments": 2,
    "list apps/statefulsets": 1,
    "list autoscaling/horizontalpodautoscalers": 1,
    "list keda.sh/scaledobjects": 1,
    "list policy/poddisruptionbudgets": 1,
    "list pods": 1,
    "list nodes": 1,
    "list karpenter.sh/nodepools": 1,
}
OF_THE_ACCOUNT = {
    "autoscaling:DescribeAutoScalingGroups": 5,
    "autoscaling:DescribePolicies": 1,
    "ec2:DescribeAvailabilityZones": 1,
}


def test_a_look_at_a_cluster_and_an_account_takes_sixteen_calls(tmp_path, monkeypatch):
    """Nine lists see 1,000 deployments and seven calls 500 groups; a pool more is no call more."""
    targets = [f"kubernetes/c, target: deployment/team-{n % 10}/web-{n:04}" for n in range(DEPLOYMENTS)]
    targets += [f"aws/a, target: asg/g{n:03}" for n in range(GROUPS)]
    with opened("fake", tmp_path) as world, server() as address:
        populate(world.api, DEPLOYMENTS)
        account = Aws(address, monkeypatch)
        account.group("g000")
        for number in range(1, GROUPS):
            account.copy(f"g{number:03}", of="g000")
        pools = "".join(
            f"  p{number}: {{provider: {target}, minimum: 1, maximum: 9, "
            "demands: [{series: s, unit_capacity: 1}]}\n"
            for number, target in enumerate(targets)
        )
        providers = (
            f"{{kubernetes: {{c: {{kubeconfig: {world.settings.kubeconfig}}}}}, "
            f"aws: {{a: {{region: {REGION}, endpoint_url: '{address}'}}}}}}"
        )
        file = tmp_path / "loadline.yaml"
        file.write_text(f"state: ./s.db\nproviders: {providers}\npools:\n{pools}")
        app = bootstrap.build(config.load(str(file)), SetClock(START))
        world.api.calls.clear()
        seen = observing.observe(app)
        app.close()
    assert (len(seen.snapshot.pools), seen.snapshot.gaps) == (DEPLOYMENTS + GROUPS, ())
    assert Counter(call.right for call in world.api.calls) == OF_THE_CLUSTER
    assert Counter(account.calls) == OF_THE_ACCOUNT
