"""Configuration of acting: interlocks, flap, money, freeze windows, the share of a fleet, and modes."""

from __future__ import annotations

import pytest

from autoscaler import config
from policies.policy import (
    Flap,
    FreezeWindow,
    Interlocks,
    Mode,
    MoneyBudget,
    Policy,
    Scope,
    Signal,
    SignalKind,
)

POOLS = """\
providers: {fake: {path: ./cloud.db}}
pools:
  web: {provider: fake, minimum: 2, maximum: 9, demands: [{series: a, unit_capacity: 20}]}
"""
ACTING = """\
interlocks:
  unready_share: 30%
  unready_above: 5
  warm_up: 15m
  recent_growth: 0
  signals:
    - {series: errors, kind: service-level, above: 0.01, pools: [web]}
    - {series: healthy_zones, kind: zone-impaired, below: 3, stale: 5m}
    - {series: errors, kind: incident, above: 0.2}
flap: {reversals: 2, window: 3h}
money:
  - {scope: provider, name: fake, usd_per_hour: 5, window: 1d, hard: true}
  - {scope: all, usd_per_hour: 2.5, window: 1h}
freeze_windows:
  - {scope: pool, name: web, days: [sat, friday], start: 22:00, end: "06:00", timezone: Europe/Rome, why: no}
  - {scope: all, start: 0:00, end: 24:00}
fleet_share: 20%
"""


def load(tmp_path, text):
    path = tmp_path / "loadline.yaml"
    path.write_text(text)
    return config.load(str(path))


def test_every_key_of_acting_becomes_a_frozen_value(tmp_path):
    """Shares are fractions, times seconds, clock readings minutes, days Monday 0 to Sunday 6."""
    policy = load(tmp_path, POOLS + ACTING).policy
    assert policy.interlocks == Interlocks(
        unready_share=0.3,
        unready_above=5,
        warm_up_s=900,
        recent_growth_s=0,
        signals=(
            Signal(series="errors", kind=SignalKind.SERVICE_LEVEL, above=0.01, pools=("web",)),
            Signal(series="healthy_zones", kind=SignalKind.ZONE_IMPAIRED, below=3, stale_s=300),
            Signal(series="errors", kind=SignalKind.INCIDENT, above=0.2),
        ),
    )
    assert policy.flap == Flap(reversals=2, window_s=3 * 3600)
    assert policy.money == (
        MoneyBudget(scope=Scope.PROVIDER, name="fake", usd=5, window_s=86400, hard=True),
        MoneyBudget(scope=Scope.ALL, usd=2.5, window_s=3600),
    )
    assert policy.freeze_windows == (
        FreezeWindow(
            scope=Scope.POOL,
            name="web",
            days=(4, 5),
            start_minute=22 * 60,
            end_minute=6 * 60,
            timezone="Europe/Rome",
            why="no",
        ),
        FreezeWindow(scope=Scope.ALL, days=tuple(range(7)), start_minute=0, end_minute=1440),
    )
    assert policy.fleet_share == 0.2


def test_the_defaults_of_acting_are_the_policys_own(tmp_path):
    """A file that says nothing of acting leaves every limit as the policy has it."""
    policy, plain = load(tmp_path, POOLS).policy, Policy()
    for key in ("interlocks", "flap", "money", "freeze_windows", "fleet_share"):
        assert getattr(policy, key) == getattr(plain, key), key


def test_flap_may_be_off(tmp_path):
    """`off` takes the limit away; it is no word for true or false here."""
    assert load(tmp_path, POOLS + "flap: off\n").policy.flap is None
    assert load(tmp_path, POOLS + "flap: {}\n").policy.flap == Flap()


def test_signals_are_named_once_for_the_shell(tmp_path):
    """The series to read beside those that size the pools, in order, each once."""
    loaded = load(tmp_path, POOLS + ACTING)
    assert loaded.signals() == ("errors", "healthy_zones")
    assert loaded.series() == ("a",)


@pytest.mark.parametrize(
    ("defaults", "pool", "out", "into"),
    [
        ("{}", "", Mode.OBSERVE, Mode.OBSERVE),
        ("{mode: auto}", "", Mode.AUTO, Mode.AUTO),
        ("{mode_out: auto}", "", Mode.AUTO, Mode.OBSERVE),
        ("{mode_out: auto}", ", mode: approve", Mode.APPROVE, Mode.APPROVE),
        ("{mode: auto, mode_in: observe}", ", mode: rehearse", Mode.REHEARSE, Mode.REHEARSE),
        ("{mode: auto}", ", mode_in: approve", Mode.AUTO, Mode.APPROVE),
        ("{mode_in: auto}", ", mode: observe, mode_out: auto", Mode.AUTO, Mode.OBSERVE),
        ("{mode: auto}", ", mode_in: null", Mode.AUTO, Mode.AUTO),
    ],
)
def test_a_pools_own_mode_wins_over_the_defaults(tmp_path, defaults, pool, out, into):
    """First what the pool says of the direction, then its mode, then the defaults in the same order."""
    text = POOLS.replace("minimum: 2", "minimum: 2" + pool) + f"defaults: {defaults}\n"
    rule = load(tmp_path, text).policy.of("web")
    assert (rule.mode_out, rule.mode_in) == (out, into)


def test_editors_are_told_of_acting():
    """The schema has `off` for flap, the clock's notation and the days' names; pages tell of each key."""
    schema = config.json_schema()
    assert {"const": "off"} in schema["properties"]["flap"]["anyOf"]
    assert {"type": "null"} not in schema["properties"]["flap"]["anyOf"]
    assert "pattern" in schema["$defs"]["FreezeWindowSection"]["properties"]["start"]
    for key, word in (
        ("flap.reversals", "default: 3"),
        ("freeze_windows.*.start", "22:00"),
        ("freeze_windows.0.days", "[fri, sat, sun]"),
        ("interlocks.signals.*.kind", "one of: service-level, incident"),
        ("money.*.hard", "default: False"),
        ("fleet_share", "default: 0.3"),
    ):
        assert word in config.explain(key), key
