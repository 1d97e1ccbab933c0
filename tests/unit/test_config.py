"""Configuration: what a sound file becomes, where it is found, and what editors and people are told of it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from autoscaler import config
from autoscaler.errors import ConfigError
from autoscaler.settled import settle
from autoscaler.yaml_lines import read
from forecasts.types import Series
from policies.model import CapacityType, Gap, PoolKind, digest
from policies.policy import DEFAULT_BUDGETS, Budget, Freeze, Mode, Policy, PoolPolicy, Scope, Step

EXAMPLES = Path(__file__).parents[2] / "examples"

NOW = datetime(2026, 1, 2, tzinfo=UTC)

SOUND = """\
now: last-sample
state: state/loadline.db
metrics:
  - {kind: csv, path: "${TRACES}/a.csv.gz", timezone: UTC}
  - {kind: parquet, path: /srv/b.parquet}
providers:
  fake: {path: ./cloud.db, lead_time: 2m}
defaults: {scaler: seasonal_quantile, settings: {headroom: 1.1}, violation: 2%, cool_down_in: 10m}
pools:
  web:
    provider: fake
    kind: deployment
    minimum: 2
    maximum: 60
    desired: 10
    lead_time: 5m
    demands: [{series: a, unit_capacity: 2k}, {series: b, units_at_p99: 40}]
    offerings: [{instance_type: m5.large, zone: us-east-1a, capacity_type: spot, hourly_usd: $73 per month}]
    settings: {level: 0.9}
    mode: auto
    step_in: {units: 2, share: 25%}
    labels: {team: shop}
  db:
    provider: fake
    minimum: 0
    maximum: 3
    demands: [{series: c, unit_capacity: 500m}]
    scaler: hpa
budgets: [{scope: pool, units: 1, share: 10%, window: 10m}]
freeze: [{scope: pool, name: web, until: 2026-12-01T01:00:00+01:00, why: sale}]
freshness: {periods: 5, completeness: 95%}
forecast: {levels: [0.5, 0.9], horizon: 1d}
plan_ttl: 10m
revalidate: 20s
"""


@pytest.fixture
def sound(tmp_path, monkeypatch):
    """A configuration that uses most keys."""
    monkeypatch.setenv("TRACES", "/traces")
    path = tmp_path / "loadline.yaml"
    path.write_text(SOUND)
    return str(path)


def test_a_sound_file_becomes_frozen_values(sound, tmp_path):
    """Every key arrives in its base unit: seconds, fractions, USD per hour, absolute paths."""
    loaded = config.load(sound)
    web = loaded.pools["web"]
    assert loaded.now == "last-sample"
    assert loaded.state == str(tmp_path / "state/loadline.db")
    assert [s.path for s in loaded.metrics] == ["/traces/a.csv.gz", "/srv/b.parquet"]
    assert [s.timezone for s in loaded.metrics] == ["UTC", None]
    assert loaded.providers["fake"] == config.FakeProvider(path=str(tmp_path / "cloud.db"), lead_time_s=120)
    assert (web.kind, web.minimum, web.maximum, web.desired) == (PoolKind.DEPLOYMENT, 2, 60, 10)
    assert web.demands[0].unit_capacity == 2000
    assert (web.demands[1].unit_capacity, web.demands[1].units_at_p99) == (None, 40)
    assert web.offerings[0].capacity_type is CapacityType.SPOT
    assert web.offerings[0].hourly_usd == pytest.approx(0.1)
    assert dict(web.labels) == {"team": "shop"}
    assert loaded.pools["db"].demands[0].unit_capacity == 0.5
    assert loaded.forecast == config.ForecastSettings(levels=(0.5, 0.9), horizon_s=86400)
    assert loaded.series() == ("a", "b", "c")
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.state = "elsewhere"


def test_the_policy_is_what_the_operator_wants(sound):
    """Pools inherit what they do not set, and the scaler's settings only where the scaler is the same."""
    policy = config.load(sound).policy
    assert policy.of("web") == PoolPolicy(
        settings={"headroom": 1.1, "level": 0.9},
        violation=0.02,
        mode_out=Mode.AUTO,
        mode_in=Mode.AUTO,
        cool_down_in_s=600,
        step_in=Step(units=2, share=0.25),
    )
    assert policy.of("db") == PoolPolicy(scaler="hpa", settings={}, violation=0.02, cool_down_in_s=600)
    assert policy.budgets == (Budget(scope=Scope.POOL, step=Step(units=1, share=0.1), window_s=600),)
    until = datetime(2026, 12, 1, tzinfo=UTC)
    assert policy.freezes == (Freeze(scope=Scope.POOL, name="web", until=until, why="sale"),)
    assert (policy.freshness.periods, policy.freshness.completeness) == (5, 0.95)
    assert policy.plan_ttl_s == 600
    assert policy.revalidate_s == 20


def test_what_a_pool_leaves_out_has_a_default(sound):
    """Desired falls back to the minimum, the lead time to the provider's."""
    database = config.load(sound).pools["db"]
    assert (database.desired, database.lead_time_s, database.drain_time_s) == (0, 120, 0)


def test_the_defaults_are_the_policys_own(tmp_path):
    """A file that says nothing gives exactly the policy of the core: two sets of defaults cannot drift."""
    path = tmp_path / "loadline.yaml"
    path.write_text("pools: {}\n")
    loaded = config.load(str(path))
    assert digest(loaded.policy) == digest(Policy())
    assert loaded.policy.budgets == DEFAULT_BUDGETS
    assert loaded.forecast == config.ForecastSettings()


@pytest.mark.parametrize(
    ("sizing", "level"),
    [
        ("violation: 0.1%", 0.999),
        ("violation: 7%", 0.93),
        ("settings: {level: 0.995}", 0.995),
        ("{violation: 0.1%, settings: {level: 0.8}}", 0.8),
        ("{scaler: hpa, violation: 0.1%}", None),
    ],
)
def test_what_a_pool_is_sized_by_is_forecast(tmp_path, sizing, level):
    """Besides the levels listed, each pool's own: 1 - violation, or the level chosen; HPA has none."""
    path = tmp_path / "loadline.yaml"
    sizing = sizing if sizing.startswith("{") else f"{{{sizing}}}"
    pool = "{provider: fake, minimum: 1, maximum: 9, demands: [{series: a, unit_capacity: 1}]}"
    path.write_text(
        f"providers: {{fake: {{}}}}\ndefaults: {sizing}\npools: {{web: {pool}}}\n"
        "forecast: {levels: [0.5, 0.99]}\n"
    )
    assert config.load(str(path)).forecast.levels == tuple(sorted({0.5, 0.99, level} - {None}))


def test_a_source_may_hold_counters(sound, monkeypatch):
    """`counter: true` is told to the source; without it values are taken as they are."""
    monkeypatch.setenv("LOADLINE__metrics__1__counter", "true")
    assert [source.counter for source in config.load(sound).metrics] == [False, True]


def test_a_forecast_may_end_where_the_longest_lead_time_and_an_hour_do(sound, monkeypatch):
    """The horizon counts in whole hours: 23 h of lead time need a day, a minute more needs more."""
    monkeypatch.setenv("LOADLINE__pools__web__lead_time", "23h")
    assert config.load(sound).forecast.horizon_s == 86400
    monkeypatch.setenv("LOADLINE__pools__web__lead_time", "23h1m")
    with pytest.raises(ConfigError, match=r"pools\.web\.lead_time: 23h1m\); write at least 1d1h"):
        config.load(sound)


def test_the_environment_overrides_single_keys(sound, monkeypatch):
    """LOADLINE__a__b sets a.b, also inside lists, with the same notation as the file."""
    monkeypatch.setenv("LOADLINE__pools__web__maximum", "70")
    monkeypatch.setenv("LOADLINE__metrics__1__path", "/other.parquet")
    monkeypatch.setenv("LOADLINE__freshness__longest_gap", "1h30m")
    monkeypatch.setenv("LOADLINE__forecast__levels", "[0.5, 0.99, 0.9999]")
    loaded = config.load(sound)
    assert loaded.pools["web"].maximum == 70
    assert loaded.metrics[1].path == "/other.parquet"
    assert loaded.policy.freshness.longest_gap_s == 5400
    assert {0.5, 0.99, 0.9999} <= set(loaded.forecast.levels)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("LOADLINE__pools__web__maximum", "1", "pools.web.minimum: 2 is over the maximum of 1"),
        ("LOADLINE__pools__web__mode", "atuo", "did you mean auto?"),
        ("LOADLINE__pools__web__minimun", "3", "did you mean minimum?"),
        ("LOADLINE__metrics__7__path", "x", "there is nothing at '7'"),
        ("LOADLINE__state", "*x", "anchors and aliases are refused"),
    ],
)
def test_a_bad_override_is_named(sound, monkeypatch, variable, value, message):
    """A bad override is told like a bad key, by the variable's name where the fault is its own."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        config.load(sound)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    if "maximum of" not in message:
        assert variable in str(caught.value)


def test_the_file_is_found(tmp_path, monkeypatch):
    """The file named wins, then LOADLINE_CONFIG, then ./loadline.yaml; without any, the mend is told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="--config or LOADLINE_CONFIG"):
        config.find(None)
    (tmp_path / "loadline.yaml").write_text("pools: {}")
    assert config.find(None) == "loadline.yaml"
    monkeypatch.setenv("LOADLINE_CONFIG", "/etc/loadline.yaml")
    assert config.find(None) == "/etc/loadline.yaml"
    assert config.find("mine.yaml") == "mine.yaml"


def test_yaml_surprises_stay_text():
    """Norway, octal, sexagesimal and dates are text, whatever YAML 1.1 makes of them."""
    text = "{a: no, b: 010, c: 1:30, d: 2026-12-01, e: 1e3, f: 1_000, g: 0x10, h: true, i: ~, j: 7, k: 1.5}"
    assert read(text, "x").value == {
        "a": "no",
        "b": "010",
        "c": "1:30",
        "d": "2026-12-01",
        "e": "1e3",
        "f": "1_000",
        "g": "0x10",
        "h": True,
        "i": None,
        "j": 7,
        "k": 1.5,
    }


def test_the_schema_describes_every_key():
    """Each key of the schema has a description, and each one that may be left out says its default."""
    schema = config.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    json.dumps(schema, allow_nan=False)
    for section in (schema, *schema["$defs"].values()):
        assert section["additionalProperties"] is False
        for name, key in section["properties"].items():
            assert key["description"], name
    assert schema["properties"]["plan_ttl"]["default"] == 3600
    assert schema["$defs"]["PoolSection"]["required"] == ["provider", "minimum", "maximum", "demands"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 600),
        ("run: {interval: 30m}", 3600),
        ("run: {interval: 2h}\nplan_ttl: 6h", 14400),
        ("plan_ttl: 5m", 300),
        ("run: {plan_ttl: 20m}", 1200),
    ],
)
def test_a_daemons_plan_lives_until_its_next_one_was_made(tmp_path, text, seconds):
    """Ten minutes, or two intervals where these are longer, never longer than any plan; or as is said."""
    (tmp_path / "loadline.yaml").write_text(f"state: ./s.db\n{text}\n")
    assert config.load(str(tmp_path / "loadline.yaml")).run.plan_ttl_s == seconds


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", ["pools", "freshness", "plan_ttl"]),
        ("pools", ["*.minimum", "*.scaler"]),
        ("pools.*.scaler", ["as in defaults", "seasonal_quantile"]),
        ("pools.web.kind", ["one of: instance-group, deployment, runners, gpu-cluster"]),
        ("pools.*.demands.0.unit_capacity", ["2Gi"]),
        ("defaults.step_in.units", ["required"]),
        ("budgets.*.share", ["default: 0.0", "1%"]),
    ],
)
def test_every_key_is_explained(key, words):
    """A key's page says what it is for, its default or that it is required, and how it is written."""
    page = config.explain(key)
    assert all(word in page for word in words), page


def test_an_unknown_key_is_explained_by_the_nearest():
    """Asking for a key that is not there names the one that was meant."""
    with pytest.raises(ConfigError, match=r"no key 'scalr' at pools\.\*; did you mean scaler\?"):
        config.explain("pools.*.scalr")


@pytest.mark.parametrize("name", ["loadline.yaml", "real-trace.yaml", "real-trace-web.yaml"])
def test_the_examples_are_sound(name, monkeypatch, tmp_path):
    """Every example loads, and its pools have demands that some metrics source could hold."""
    monkeypatch.setenv("LOADLINE_DATA", str(tmp_path))
    loaded = config.load(str(EXAMPLES / name))
    assert loaded.pools
    assert loaded.metrics
    assert set(loaded.policy.pools) == set(loaded.pools)


def test_importing_config_stays_light():
    """Importing the module brings in neither pydantic nor yaml nor numpy; they cost start-up time."""
    code = (
        "import sys, autoscaler.config as c; print(sorted({'pydantic', 'yaml', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def series(values):
    return Series(unique_id="b", start=datetime(2026, 1, 1, tzinfo=UTC), step_s=60, y=np.array(values))


def test_the_p99_of_the_history_settles_the_unit_capacity(sound):
    """units_at_p99 divides the p99 of the finite history; what is declared wins over what was observed."""
    declared = config.load(sound).pools["web"]
    observed = dataclasses.replace(declared.seed(), desired=12, ready={"us-east-1a": 12}, maximum=500)
    values = [*np.arange(101.0), np.nan]
    pool = settle(observed, declared, {"b": series(values)}, seen={}, now=NOW)
    assert [d.unit_capacity for d in pool.demands] == [2000, pytest.approx(99 / 40)]
    assert (pool.desired, pool.ready_units, pool.maximum) == (12, 12, 60)


@pytest.mark.parametrize("history", [{}, {"b": series([np.nan, np.nan])}, {"b": series([0.0, 0.0])}])
def test_an_unknown_unit_capacity_is_a_gap(sound, history):
    """A pool one of whose metrics cannot be sized is a Gap, never sized by the others alone."""
    declared = config.load(sound).pools["web"]
    found = settle(declared.seed(), declared, history, seen={}, now=NOW)
    assert isinstance(found, Gap)
    assert (found.source, found.code) == ("web", "NO_UNIT_CAPACITY")
