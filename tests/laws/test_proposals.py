"""What is proposed from what was seen: laws over any pools, metrics and names."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import chances, yaml_lines
from autoscaler.metrics.cloudwatch_queries import wrong as wrong_in_cloudwatch
from autoscaler.metrics.prometheus_catalogue import CATALOGUE
from autoscaler.providers.kubernetes import owners
from dashboards.found import found_document, found_text
from dashboards.proposed import configuration
from policies.model import Obstacle, Pool, PoolKind
from policies.plan import Guard
from policies.proposals import (
    Candidate,
    Chances,
    Load,
    Peak,
    Sighting,
    address,
    bounds,
    names,
    next_to_try,
    propose,
    set_by_hand,
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127}")
SOUND = Sighting(points=60, age_steps=1, largest=5)


def harmless(text):
    """No character that ends a line by itself, is not seen, or steers a terminal."""
    kinds = {unicodedata.category(letter) for letter in text.replace("\n", "")}
    return not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def pool_of(name="deployment/shop/web", provider="kubernetes/main", **more):
    """A pool as a provider lists it."""
    known = {
        "kind": PoolKind.DEPLOYMENT,
        "desired": 4,
        "ready": {"": 4},
        "minimum": 0,
        "maximum": 100_000,
        "demands": (),
    }
    return Pool(id=name, provider=provider, **{**known, **more})


texts = st.text(max_size=40) | st.sampled_from(
    ["a: b", "*x", "{", "\n- y", "\x1b[31m", "\u202e", "on", "0x1f", "#"]
)
pools = st.lists(
    st.builds(
        pool_of,
        st.one_of(texts.map(lambda name: f"asg/{name}"), texts.map(lambda name: f"deployment/shop/{name}")),
        st.sampled_from(["kubernetes/main", "aws/eu-west-1"]),
        desired=st.integers(0, 50),
        maximum=st.sampled_from([1, 10, 400, 100_000]),
        minimum=st.integers(0, 1),
        lever=st.sampled_from(["", "minReplicas of HorizontalPodAutoscaler web"]),
    ),
    max_size=6,
    unique_by=lambda pool: (pool.provider, pool.id),
)


def candidate(name, load=Load.CPU, source="prometheus"):
    """A query that is called like this."""
    return Candidate(source=source, title=f"title {name}", unit="u", query=f"sum({name})", load=load)


def sized(found):
    """Chances of each pool, all of which answered soundly."""
    several = {
        address(pool): Chances(
            demands=(candidate(f"d{number} {pool.id}"),),
            ready=candidate(f"r{number} {pool.id}"),
            desired=candidate(f"w{number} {pool.id}"),
            utilization=candidate(f"u{number} {pool.id}"),
        )
        for number, pool in enumerate(found)
    }
    seen = {one.key: SOUND for each in several.values() for one in (*each.demands, *each.signs)}
    return several, seen


@given(pools)
def test_every_pool_is_proposed_or_passed_over_once(found):
    """No pool is lost, none is told twice, and each that is passed over has a reason."""
    several, seen = sized(found)
    findings = propose(found, several, seen)
    told = [address(one.pool) for one in findings.proposals]
    told += [f"{one.provider} {one.target}" for one in findings.passed_over]
    assert sorted(told) == sorted(map(address, found))
    assert all(one.why for one in findings.passed_over)


@given(pools)
def test_names_are_those_of_the_configuration_and_differ(found):
    """Each pool has a name that the configuration takes, and no two the same, in whatever order they come."""
    called = names(found)
    assert set(called) == set(map(address, found))
    assert len(set(called.values())) == len(found)
    assert all(NAME.fullmatch(name) for name in called.values())
    assert names(found[::-1]) == called


@given(pools, st.integers(1, 500))
def test_bounds_hold_what_there_is_and_are_in_order(found, busiest):
    """1 <= minimum <= maximum, and a pool without bounds of its own keeps room for its busy hours."""
    for pool in found:
        least, most, why = bounds(pool, busiest=busiest)
        assert 1 <= least <= most
        assert why
        if pool.maximum == 100_000 and not pool.lever:
            assert most >= busiest
            assert least <= max(1, pool.desired, pool.ready_units)


@given(pools)
def test_the_file_holds_what_was_seen_to_the_letter(found):
    """The YAML gives back every target and query as it was; it is one text whatever the order of pools."""
    several, seen = sized(found)
    findings = propose(found, several, seen)
    sections = {"kubernetes/main": {}, "aws/eu-west-1": {"region": "eu-west-1"}}
    text = configuration(findings, sections, {"prometheus": {"url": "http://p:9090"}})
    assert text == configuration(
        propose(found[::-1], several, seen), sections, {"prometheus": {"url": "http://p:9090"}}
    )
    assert harmless(text)
    document = yaml_lines.read(text, "loadline.yaml")
    assert document.problems == []
    value = yaml.safe_load(text)
    held = value["pools"] or {}
    assert {name: pool["target"] for name, pool in held.items()} == {
        one.name: one.pool.id for one in findings.proposals
    }
    if findings.proposals:
        (source,) = value["metrics"]
        queries = {series: one.query for each in findings.proposals for series, one in each.series().items()}
        assert source["queries"] == queries
        assert value["defaults"] == {"mode": "observe"}


@given(pools, st.integers(60, 140))
def test_the_table_is_inert_and_within_the_terminal(found, width):
    """Nothing in it steers a terminal; JSON tells each pool once."""
    several, seen = sized(found)
    findings = propose(found, several, seen)
    text = found_text(findings, file="loadline.yaml", steps=["loadline plan"], width=width)
    assert harmless(text)
    told = found_document(findings, file="", steps=[])
    assert len(told["proposed"]) + len(told["not_proposed"]) == len(found)
    assert told["file"] is None


@pytest.mark.parametrize(
    "sight",
    [
        Sighting(),
        Sighting(points=60, age_steps=3.5, largest=5),
        Sighting(points=60, age_steps=1, largest=0),
        Sighting(points=60, age_steps=1, largest=5, why="2 series answered"),
    ],
)
def test_what_does_not_answer_soundly_sizes_nothing(sight):
    """Empty, stale, zero throughout, or of several series: the next one is tried, and the last one told."""
    first, second = candidate("first", Load.REQUESTS), candidate("second")
    mine = {address(pool_of()): Chances(demands=(first, second))}
    assert next_to_try(mine.values(), {}) == [first]
    assert next_to_try(mine.values(), {first.key: sight}) == [second]
    assert next_to_try(mine.values(), {first.key: sight, second.key: sight}) == []
    assert propose([pool_of()], mine, {first.key: sight, second.key: SOUND}).proposals[0].demand == second
    (passed,) = propose([pool_of()], mine, {first.key: sight, second.key: sight}).passed_over
    assert "title first" in passed.why
    assert "title second" in passed.why


def test_the_best_that_answers_is_taken_and_no_more_is_asked():
    """Once requests answer, neither CPU is tried, nor are there signs left when those were."""
    best, ready = candidate("best", Load.REQUESTS), candidate("ready")
    mine = Chances(demands=(best, candidate("cpu")), ready=ready)
    assert next_to_try([mine], {best.key: SOUND}) == [ready]
    assert next_to_try([mine], {best.key: SOUND, ready.key: Sighting()}) == []


def test_the_size_of_busy_hours_is_taken_where_it_is_known():
    """units_at_p99 is the peak of ready units, else the present size; without those nothing is learnt."""
    pool = pool_of()
    several, seen = sized([pool])
    ready = several[address(pool)].ready
    assert propose([pool], several, seen).proposals[0].units == 4
    peak = propose([pool], several, seen, peaks={ready.key: Peak(units=9, days=3)}).proposals[0]
    assert (peak.units, peak.measured) == (9, "so many were ready in the busiest hours of the last 3 days")
    bare = propose([pool], several, seen | {ready.key: Sighting()}).proposals[0]
    assert (bare.ready, bare.desired, bare.utilization) == (None, None, None)


@pytest.mark.parametrize(
    ("managers", "proposed"),
    [
        (("kubectl-client-side-apply",), True),
        (("helm", "kubectl"), True),
        (("argocd-controller",), False),
        (("helm-controller",), False),
        (("kubectl", "argocd-controller"), False),
        (("somebody",), False),
    ],
)
def test_what_a_controller_owns_is_not_proposed(managers, proposed):
    """What comes back by itself is passed over with the mend; what a person's tool sets is proposed."""
    why = f"replicas is set by {owners.named(managers)}; {owners.mend(managers, 'replicas')}"
    obstacle = Obstacle(code=Guard.OWNED.value, why=why, shrinks_only=False)
    pool = replace(pool_of(), obstacles=(obstacle,))
    assert bool(set_by_hand(why)) is proposed
    findings = propose([pool], *sized([pool]))
    assert bool(findings.proposals) is proposed
    told = findings.proposals[0].notes[0] if proposed else findings.passed_over[0].why
    assert f"adopt: [{', '.join(managers)}]" in told


@pytest.mark.parametrize(
    ("labels", "alone", "mine"),
    [
        ({"exported_namespace": "shop", "namespace": "ingress", "ingress": "web"}, False, True),
        ({"exported_namespace": "bank", "namespace": "ingress", "ingress": "web"}, True, False),
        ({"service": "shop-web-80@kubernetes"}, False, True),
        ({"service": "shop-web-admin-80@kubernetes"}, False, False),
        ({"envoy_cluster_name": "outbound|80||web.shop.svc.cluster.local"}, False, True),
        ({"vhost": "/", "queue": "web"}, True, True),
        ({"vhost": "/", "queue": "web"}, False, False),
        ({"vhost": "/", "queue": "webs"}, True, False),
    ],
)
def test_a_series_is_a_workloads_only_where_its_labels_say_so(labels, alone, mine):
    """By namespace and name together; by the name alone only where no other workload has it."""
    assert chances.names_workload(labels, "shop", "web", alone=alone) is mine


def test_requests_then_queues_then_gpus_then_cpu():
    """The order of the demands of a workload, whatever the order of the catalogue."""
    offered = chances.Offered(
        ready_made=CATALOGUE[::-1], listed={"rabbitmq": [{"vhost": "/", "queue": "web"}]}
    )
    found = chances.of_workloads([pool_of()], offered, None, "prometheus")[address(pool_of())]
    loads = [one.load for one in found.demands]
    assert loads == sorted(loads, key=list(Load).index)
    assert set(loads) == {Load.REQUESTS, Load.QUEUE, Load.GPU, Load.CPU}
    assert "deployment=" in str(found.ready.query)


def test_the_queries_for_groups_are_ones_that_their_sources_take():
    """Metric math for CloudWatch passes its own check; filters quote any name."""
    from autoscaler.connections import AwsAccount, CloudWatchSource  # noqa: PLC0415 - beside its use
    from autoscaler.settings_world import CloudWatchQuerySection, GoogleQuerySection  # noqa: PLC0415

    group = pool_of('asg/we"b', "aws/eu-west-1")
    mine = chances.of_groups_by_cloudwatch([group], "cloudwatch")[address(group)]
    asked = [*mine.demands, *mine.signs]
    queries = {
        f"q{n}": CloudWatchQuerySection.model_validate(one.query).query() for n, one in enumerate(asked)
    }
    source = CloudWatchSource(name="m", account=AwsAccount(region="eu-west-1"), queries=queries, step_s=300)
    assert wrong_in_cloudwatch(source) == ""
    group = pool_of('mig/europe-west1-b/we"b', "google/shop")
    mine = chances.of_groups_by_google([group], "google-monitoring")[address(group)]
    for one in (*mine.demands, *mine.signs):
        assert r"we\"b" in GoogleQuerySection.model_validate(one.query).filter.replace("\\\\\\", "\\")
