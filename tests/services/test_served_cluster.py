"""A cluster whose KEDA reads us: the objects of the examples, turns of the daemon, and what is served."""

from __future__ import annotations

import math
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from autoscaler import bootstrap, config, tick
from autoscaler.clock import SetClock
from autoscaler.providers.kubernetes import owners
from policies.model import SERVED
from policies.plan import Guard, Status
from tests.kubernetes_api.objects import put, workload
from tests.kubernetes_api.worlds import opened
from tests.worlds import small
from tests.worlds.served import Served

pytestmark = pytest.mark.slow  # a world is built, and plans are made of it

KEDA = Path(__file__).parents[2] / "examples" / "keda"
EXAMPLES = ("scaledobject-metrics-api.yaml", "scaledobject-prometheus.yaml")
CONFIGURATION = """\
metrics:
  - {kind: csv, path: m.csv}
providers:
  kubernetes: {prod: {kubeconfig: ./kubeconfig}}
defaults: {model: seasonal_naive, observe_first: 0s, mode: observe}
pools:
  web:
    provider: kubernetes/prod
    target: deployment/shop/web
    minimum: 2
    maximum: 60
    demands: [{series: web, unit_capacity: 10}]
"""


class Shop:
    """The Deployment of an example with four units, its ScaledObject, and a daemon that serves."""

    def __init__(self, example, folder, world, served):
        self.world, self.served = world, served
        (self.scaled,) = yaml.safe_load_all((KEDA / example).read_text())
        put(world.api, workload(name=self.scaled["spec"]["scaleTargetRef"]["name"]))
        put(world.api, self.scaled, "argocd-controller")
        self._file = small.write(folder, CONFIGURATION) / "loadline.yaml"

    def turn(self, mode="observe"):
        """One turn of the daemon in a mode; what it did is posted."""
        self._file.write_text(CONFIGURATION.replace("mode: observe", f"mode: {mode}"))
        app = bootstrap.build(config.load(str(self._file)), SetClock(small.END))
        try:
            done = tick.tick(app)
            self.served.post(done, app.configuration.pools)
        finally:
            app.close()
        return done

    def value(self):
        """What KEDA would get by the only trigger of the example."""
        (trigger,) = self.scaled["spec"]["triggers"]
        asks = trigger["metadata"]
        if trigger["type"] == "metrics-api":
            answer = self.served.get(urlsplit(asks["url"]).path)
            assert answer.status == 200, answer.body
            return answer.json()[asks["valueLocation"]] / float(asks["targetValue"])
        name, pool = re.fullmatch(r'max\((\w+)\{pool="(\w+)"\}\)', asks["query"]).groups()
        return self.served.get("/metrics").samples()[name, (("pool", pool),)] / float(asks["threshold"])

    def follow(self):
        """What the HorizontalPodAutoscaler of KEDA makes of it; the size."""
        spec = self.scaled["spec"]
        size = min(max(math.ceil(self.value()), spec["minReplicaCount"]), spec["maxReplicaCount"])
        self.world.hand.scale("Deployment", "web", size, manager="kube-controller-manager")
        return size

    def changed(self):
        """The calls of ours that change something, or try to."""
        return [call for call in self.world.api.calls if call.query.get("fieldManager") == owners.MANAGER]


@pytest.fixture(params=EXAMPLES)
def shop(request, tmp_path):
    """The shop of each example."""
    served = Served()
    with opened("fake", tmp_path) as world:
        yield Shop(request.param, tmp_path, world, served)
    served.close()


def test_a_plan_reaches_the_autoscaler_of_the_example_and_nothing_is_written(shop):
    """In mode observe the plan's size is served; once KEDA followed, the next turn goes on from there."""
    done = shop.turn()
    (action,) = done.plan.actions
    (pool,) = done.seen.snapshot.pools
    assert (pool.lever, pool.obstacles, pool.labels[SERVED]) == ("", (), "ScaledObject web")
    assert (action.before, action.after) == (4, 8)
    assert {held.guard for held in done.plan.held} == {Guard.STEP}
    assert (done.plan.gaps, done.outcomes) == ((), ())
    assert shop.value() == action.after == shop.follow()
    (following,) = shop.turn().plan.actions
    assert following.before == 8
    assert shop.value() == following.after > 8
    assert shop.changed() == []


def test_a_mode_that_acts_is_told_that_it_is_not_needed(shop):
    """In mode auto the change fails as OWNED by the reader of it; the recommendation stands all the same."""
    done = shop.turn("auto")
    ((action, outcome),) = done.outcomes
    assert outcome.status is not Status.APPLIED
    assert "OWNED" in outcome.error
    assert "KEDA's ScaledObject web sets it from what is served; mode observe is enough" in outcome.error
    assert shop.value() == action.after
    assert shop.changed() == []
