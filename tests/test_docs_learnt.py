"""docs/learnt.md: its example is a configuration that loads, and a plan by it says what the text says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from autoscaler import bootstrap, config, tick
from autoscaler.declared import Latency, Observed
from policies.outlook import FULL
from policies.plan import ActionKind
from tests.worlds import learnt

TEXT = (Path(__file__).parents[1] / "docs" / "learnt.md").read_text()
(EXAMPLE,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_of_the_document_loads(tmp_path):
    """Every key shown is one of the program, and means what the text says."""
    (tmp_path / "loadline.yaml").write_text(learnt.CONFIGURATION + EXAMPLE)
    pool = config.load(str(tmp_path / "loadline.yaml")).pools["web"]
    assert pool.observed == Observed(ready="web_ready", desired="web_desired")
    assert pool.lead_time_s == 300
    (demand,) = pool.demands
    assert (demand.unit_capacity, demand.units_at_p99, demand.utilization) == (None, None, None)
    assert demand.latency == Latency(series="web_p95", objective=0.25)


@pytest.mark.slow
def test_a_plan_by_the_example_reckons_with_what_was_learnt(tmp_path):
    """Lead time and unit capacity are those of the pool that made the history, and the plan says so."""
    folder = learnt.write(tmp_path / "world", EXAMPLE)
    turn = tick.turn(bootstrap.build(config.load(str(folder / "loadline.yaml"))))
    (pool,) = turn.seen.snapshot.pools
    assert pool.lead_time_s in {240, 300}
    assert 0.6 * learnt.CAPACITY <= pool.demands[0].unit_capacity <= 0.8 * learnt.CAPACITY
    (action,) = (*turn.plan.actions, *(held.action for held in turn.plan.held))[:1]
    facts = {fact.name: fact for fact in action.because}
    assert (facts["lead time"].value, facts["lead time"].unit) == (pool.lead_time_s, "s")
    assert re.fullmatch(r"median [45]m, p95 \d+m, [\d,]+ launches in .*", facts["lead time"].window)
    assert facts["unit capacity"].value == pool.demands[0].unit_capacity
    assert facts["unit capacity"].window.startswith("95% of steps keep the latency objective")
    assert not turn.plan.gaps


@pytest.mark.slow
def test_old_counts_of_units_keep_nothing_from_shrinking(tmp_path):
    """The pool's own series ended two days ago: the figures stay, and the pool may shrink."""
    ended = {name: learnt.series()[name][: -2 * 1440] for name in ("web_desired", "web_ready")}
    begin = learnt.END - timedelta(days=2)
    folder = learnt.write(tmp_path / "world", EXAMPLE.replace("minimum: 2", "minimum: 2\n    desired: 50"))
    lines = [
        line for line in (folder / "m.csv").read_text().splitlines() if not line.startswith(tuple(ended))
    ]
    (folder / "m.csv").write_text("\n".join([*lines, *learnt.rows(ended, begin), ""]))
    turn = tick.turn(bootstrap.build(config.load(str(folder / "loadline.yaml"))))
    assert not turn.plan.gaps
    assert [action.kind for action in turn.plan.actions] == [ActionKind.SCALE_IN]


@pytest.mark.slow
def test_a_saturated_metric_goes_through_a_whole_turn(tmp_path):
    """Its newest step is at its top: the pool learns with that, and does not shrink; by another top it is
    learnt anew, and that is told.
    """
    told = EXAMPLE.replace("        # or:", "        saturates_at: 1000\n        # or:")
    assert "saturates_at" in told
    pools = told.replace("minimum: 2", "minimum: 2\n    desired: 50\n    scaler: lead_peak")
    folder = learnt.write(tmp_path / "world", pools)
    text = (folder / "m.csv").read_text()
    cut = re.sub(r"(web_requests,.*,)(1\d\d\d.*)", r"\g<1>1000", text)
    last = f"web_requests,{learnt.END - timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ},"
    cut = re.sub(re.escape(last) + ".*", last + "1000", cut)
    (folder / "m.csv").write_text(cut)
    turn = tick.turn(bootstrap.build(config.load(str(folder / "loadline.yaml"))))
    outlook = turn.outlooks["web"]
    assert outlook.standing.failure == ""
    assert 0.1 < outlook.censored.mean() < 0.6
    assert turn.plan.actions == ()
    assert [held.why for held in turn.plan.held] == [FULL]
    again = tick.turn(bootstrap.build(config.load(str(folder / "loadline.yaml"))))
    assert again.outlooks["web"].standing == outlook.standing
    file = folder / "loadline.yaml"
    file.write_text(file.read_text().replace("saturates_at: 1000", "saturates_at: 990"))
    other = tick.turn(bootstrap.build(config.load(str(file))))
    assert "learnt anew" in {fact.name for fact in other.outlooks["web"].standing.because}
