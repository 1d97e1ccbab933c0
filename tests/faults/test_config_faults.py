"""Bad configuration: each case ends in one clear line with file, line and the mend."""

from __future__ import annotations

import pytest

from autoscaler import config
from autoscaler.errors import ConfigError

HEAD = """\
providers:
  fake: {path: ./cloud.db}
pools:
  web:
    provider: fake
    minimum: 2
    maximum: 60
    demands: [{series: a, unit_capacity: 20}]
"""
EVENT = """\
events:
  - {name: sale, pools: [web], start: 2026-11-27T00:00Z, end: 2026-11-28T00:00Z, multiplier: 1.8}
"""


def problems(tmp_path, text):
    """The lines that loading `text` ends in, without the folder; the exit code is that of bad usage."""
    path = tmp_path / "loadline.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError) as caught:
        config.load(str(path))
    assert caught.value.exit_code == 64
    assert sorted(tmp_path.iterdir()) == before, "nothing may be written"
    return str(caught.value).replace(f"{path}", "F").splitlines()


# Each case changes or adds one thing to a sound file; the line is where a person would look.
CASES = {
    "unknown key at the top": (HEAD + "plan_tll: 5m\n", 9, "plan_tll: unknown key; did you mean plan_ttl?"),
    "unknown key in a pool": (HEAD.replace("minimum", "minimun"), 6, "did you mean minimum?"),
    "unknown key in a provider": (HEAD.replace("path", "pth"), 2, "did you mean path?"),
    "unknown key in a list entry": (HEAD.replace("series", "serie"), 8, "did you mean series?"),
    "unit that does not parse": (HEAD + "    lead_time: 5 parsecs\n", 9, "is no duration; write 5m"),
    "share that does not parse": (HEAD + "    violation: some\n", 9, "is no share; write 1% or 0.01"),
    "share over the whole": (HEAD + "    violation: 120%\n", 9, "outside 0..100 %"),
    "violation meant as percent": (
        HEAD + "    violation: 1\n",
        9,
        "1 is no violation to ask for, which is from 0.0001 % to 50 %; write",
    ),
    "min over max": (HEAD.replace("60", "1"), 6, "2 is over the maximum of 1"),
    "negative minimum": (HEAD.replace(": 2\n", ": -2\n"), 6, "-2 is negative"),
    "fractional units": (HEAD.replace(": 2\n", ": 2.5\n"), 6, "2.5 is no whole number of units"),
    "true as a number": (HEAD.replace(": 2\n", ": true\n"), 6, "True is no whole number of units"),
    "NaN maximum": (HEAD.replace("60", ".nan"), 7, "is no whole number"),
    "NaN capacity": (HEAD.replace("20}", ".nan}"), 8, "is not finite"),
    "infinite capacity": (HEAD.replace("20}", ".inf}"), 8, "is not finite"),
    "zero capacity": (HEAD.replace("20}", "0}"), 8, "is not above 0"),
    "negative capacity": (HEAD.replace("20}", "-5}"), 8, "is not above 0"),
    "enormous maximum": (HEAD.replace("60", "1000000000"), 7, "over 100,000 units"),
    "enormous maximum as a float": (HEAD.replace("60", "1.0e+9"), 7, "over 100,000 units"),
    "enormous maximum as text": (HEAD.replace("60", "1e9"), 7, "over 100,000 units"),
    "enormous integer": (HEAD.replace("60", "9" * 5000), 7, "units"),
    "enormous duration": (HEAD + "plan_ttl: 1000000000\n", 9, "over 366 days"),
    "negative duration": (HEAD + "plan_ttl: -5\n", 9, "no whole number of seconds from 0 up"),
    "duration of nothing": (HEAD + "plan_ttl: 0\n", 9, "longer than 0 s"),
    "zero maximum": (HEAD.replace("60", "0").replace(": 2\n", ": 0\n"), 7, "at least 1"),
    "desired out of bounds": (HEAD + "    desired: 90\n", 9, "90 is outside 2..60"),
    "duplicate key": (HEAD + "    maximum: 9\n", 9, "pools.web.maximum: stands twice (first in line 7)"),
    "duplicate pool": (HEAD + "  web: {}\n", 9, "pools.web: stands twice (first in line 4)"),
    "missing key": (HEAD.replace("    maximum: 60\n", ""), 4, "pools.web.maximum: is missing"),
    "absent provider": (HEAD.replace("provider: fake", "provider: aws"), 5, "'aws' is not under providers"),
    "provider mistyped": (HEAD.replace("provider: fake", "provider: fkae"), 5, "did you mean fake?"),
    "unknown kind of provider": ("providers: {fakee: {}}\n", 1, "did you mean fake?"),
    "unknown scaler": (HEAD + "    scaler: seasonal_quantil\n", 9, "did you mean seasonal_quantile?"),
    "unknown model": (HEAD + "    model: seasonal_naiv\n", 9, "did you mean seasonal_naive?"),
    "unknown mode": (HEAD + "    mode: atuo\n", 9, "did you mean auto?"),
    "mode on": (HEAD + "    mode: on\n", 9, "'on' is no mode; there are observe, rehearse, approve, auto"),
    "unknown setting": (HEAD + "    settings: {levl: 0.9}\n", 9, "unknown setting of seasonal_quantile; did"),
    "setting of the wrong type": (
        HEAD + "    settings: {level: high}\n",
        9,
        "write a number from 0.01 to 0.999999",
    ),
    "setting NaN": (HEAD + "    settings: {level: .nan}\n", 9, "write a number from 0.01 to 0.999999"),
    "setting out of range": (
        HEAD + "    settings: {level: 5}\n",
        9,
        "level is 5; write a number from 0.01 to",
    ),
    "setting of nothing": (
        HEAD + "    settings: {headroom: 0}\n",
        9,
        "headroom is 0; write a number from 0.01",
    ),
    "violation of nothing": (HEAD + "    violation: 0\n", 9, "0 is no violation to ask for"),
    "tiny capacity": (HEAD.replace("20}", "1e-300}"), 8, "outside 1e-09 to 1e+15"),
    "huge capacity": (HEAD.replace("20}", "1e16}"), 8, "outside 1e-09 to 1e+15"),
    "horizon before the lead time": (
        HEAD + "    lead_time: 30h\nforecast: {horizon: 30h}\n",
        10,
        "(pools.web.lead_time: 1d6h); write at least 1d7h, the lead time and an hour in whole hours (line 9)",
    ),
    "lead time beyond the default horizon": (
        HEAD + "    lead_time: 3d\n",
        9,
        "pools.web.lead_time: a forecast of 2d",
    ),
    "lead time of the provider beyond the horizon": (
        HEAD.replace("cloud.db}", "cloud.db, lead_time: 3d}"),
        2,
        "providers.fake.lead_time: a forecast of 2d",
    ),
    "naive time": (HEAD + "now: 2026-12-01T00:00:00\n", 9, "has no time zone; write 2026-12-01T00:00:00Z"),
    "date for a time": (HEAD + "now: 2026-12-01\n", 9, "has no time zone"),
    "no time at all": (HEAD + "now: yesterday\n", 9, "is no time"),
    "wildcard pool": (HEAD.replace("  web:", '  "*":'), 4, "there is no wildcard, name each"),
    "wildcard freeze": (HEAD + 'freeze: [{scope: pool, name: "*"}]\n', 9, "'*' is no pool of this file"),
    "freeze of no pool": (HEAD + "freeze: [{scope: pool, name: wbe}]\n", 9, "did you mean web?"),
    "freeze of all by name": (HEAD + "freeze: [{scope: all, name: web}]\n", 9, "scope all has no name"),
    "two capacities": (HEAD.replace("20}", "20, units_at_p99: 4}"), 8, "not both"),
    "no capacity": (HEAD.replace(", unit_capacity: 20", ""), 8, "one of them is needed"),
    "no demands": (HEAD.replace("[{series: a, unit_capacity: 20}]", "[]"), 8, "at least one entry"),
    "null pools": ("pools:\n", 1, "pools: must be a mapping of keys, not None"),
    "list for pools": ("pools: []\n", 1, "pools: must be a mapping of keys, not []"),
    "pool is a word": ("pools: {web: 3}\n", 1, "pools.web: must be a mapping of keys, not 3"),
    "metrics is a mapping": ("metrics: {kind: csv}\n", 1, "metrics: must be a list"),
    "unknown kind of metrics": (
        "metrics: [{kind: cvs, path: a}]\n",
        1,
        "'cvs' is not known; did you mean csv?",
    ),
    "local zone": ("metrics: [{kind: csv, path: a, timezone: Europe/Rome}]\n", 1, "only UTC is unambiguous"),
    "unset variable": ("state: ${NO_SUCH_NAME}/x.db\n", 1, "variable NO_SUCH_NAME is not set"),
    "levels out of order": ("forecast: {levels: [0.9, 0.5]}\n", 1, "levels must ascend"),
    "level 1": ("forecast: {levels: [1]}\n", 1, "between 0 and 1, both excluded"),
    "absurd price": (
        HEAD + "    offerings: [{instance_type: m, zone: a, hourly_usd: 70000}]\n",
        9,
        "is it a monthly price?",
    ),
    "former id in use": (HEAD.replace("20}", "20, formerly: [a]}"), 8, "'a' is a series of today"),
    "former id of two": (
        HEAD.replace("20}", "20, formerly: [z]}, {series: b, unit_capacity: 2, formerly: [z]}"),
        8,
        "'z' is a former id of a already",
    ),
    "signal of no limit": (
        HEAD + "interlocks: {signals: [{series: e, kind: incident}]}\n",
        9,
        "interlocks.signals.0: give either above or below, one of them is needed",
    ),
    "signal of two limits": (
        HEAD + "interlocks:\n  signals:\n  - {series: e, kind: incident, above: 1, below: 0}\n",
        11,
        "give either above or below, not both",
    ),
    "signal of no pool": (
        HEAD + "interlocks: {signals: [{series: e, kind: incident, above: 1, pools: [wep]}]}\n",
        9,
        "did you mean web?",
    ),
    "signal of every pool by none": (
        HEAD + "interlocks: {signals: [{series: e, kind: incident, above: 1, pools: []}]}\n",
        9,
        "must be a list of pools, at least one",
    ),
    "signal of an unknown kind": (
        HEAD + "interlocks: {signals: [{series: e, kind: incidnt, above: 1}]}\n",
        9,
        "did you mean incident?",
    ),
    "signal that is a word": (
        HEAD + "interlocks: {signals: [errors]}\n",
        9,
        "interlocks.signals.0: must be a mapping of keys, not 'errors'",
    ),
    "limit NaN": (
        HEAD + "interlocks: {signals: [{series: e, kind: incident, above: .nan}]}\n",
        9,
        "is not finite",
    ),
    "interlock mistyped": (HEAD + "interlocks: {warmup: 5m}\n", 9, "did you mean warm_up?"),
    "unready share over the whole": (HEAD + "interlocks: {unready_share: 2}\n", 9, "outside 0..100 %"),
    "flap on": (
        HEAD + "flap: on\n",
        9,
        "flap: 'on' is no limit of turns; write off, or reversals and",
    ),
    "flap of nothing": (HEAD + "flap:\n", 9, "None is no limit of turns"),
    "flap of no turn": (HEAD + "flap: {reversals: 0}\n", 9, "must be at least 1"),
    "money of no pool": (
        HEAD + "money: [{scope: pool, name: wep, usd_per_hour: 5, window: 1h}]\n",
        9,
        "money.0.name: 'wep' is no pool of this file; did you mean web?",
    ),
    "money NaN": (
        HEAD + "money: [{scope: all, usd_per_hour: .nan, window: 1h}]\n",
        9,
        "money.0.usd_per_hour",
    ),
    "money in no window": (HEAD + "money: [{scope: all, usd_per_hour: 5}]\n", 9, "window: is missing"),
    "window of no provider": (
        HEAD + "freeze_windows: [{scope: provider, name: aws, start: 1:00, end: 2:00}]\n",
        9,
        "'aws' is no provider of this file",
    ),
    "window of no length": (
        HEAD + "freeze_windows: [{scope: all, start: 1:00, end: 1:00}]\n",
        9,
        "freeze_windows.0.end: is the start too; write 00:00 to 24:00 for a whole day",
    ),
    "window that is a word": (HEAD + "freeze_windows: [nights]\n", 9, "must be a mapping of keys"),
    "window at no time": (
        HEAD + "freeze_windows: [{scope: all, start: 24:01, end: 25:00}]\n",
        9,
        "'24:01' is no time of day; write 22:00, from 00:00 to 24:00",
    ),
    "window on no day": (
        HEAD + "freeze_windows: [{scope: all, days: [], start: 1:00, end: 2:00}]\n",
        9,
        "must be a list of weekdays, at least one",
    ),
    "window on an unknown day": (
        HEAD + "freeze_windows: [{scope: all, days: [mob], start: 1:00, end: 2:00}]\n",
        9,
        "'mob' is no weekday; did you mean mon?",
    ),
    "window on a list of days": (
        HEAD + "freeze_windows: [{scope: all, days: [[mon]], start: 1:00, end: 2:00}]\n",
        9,
        "is no weekday",
    ),
    "window in no zone": (
        HEAD + "freeze_windows: [{scope: all, start: 1:00, end: 2:00, timezone: Rome}]\n",
        9,
        "is no time zone",
    ),
    "fleet share over the whole": (HEAD + "fleet_share: 3\n", 9, "outside 0..100 %"),
    "event of no pool": (
        HEAD + EVENT.replace("[web]", "[wep]"),
        10,
        "'wep' is no pool of this file; did you mean",
    ),
    "event of an empty list": (HEAD + EVENT.replace("[web]", "[]"), 10, "leave the key out for all of them"),
    "event that ends before it begins": (HEAD + EVENT.replace("28T", "26T"), 10, "is not after start"),
    "event without a zone": (HEAD + EVENT.replace("28T00:00Z", "28T00:00"), 10, "has no time zone"),
    "event of two kinds": (
        HEAD + EVENT.replace("1.8}", "1.8, like: {start: 2025-11-28T00:00Z, end: 2025-11-29T00:00Z}}"),
        10,
        "give either multiplier or like, not both",
    ),
    "event of no kind": (HEAD + EVENT.replace(", multiplier: 1.8", ""), 10, "one of them is needed"),
    "event like itself": (
        HEAD + EVENT.replace("multiplier: 1.8", "like: {start: 2026-11-26T00:00Z, end: 2026-11-28T00:00Z}"),
        10,
        "is over before this one starts",
    ),
    "absurd multiplier": (
        HEAD + EVENT.replace("1.8", "180"),
        10,
        "which is from 0.01 to 100; 1.8 is 80 % more",
    ),
    "mask of no pool": (
        HEAD + "mask: [{pools: [api], start: 2026-11-01T00:00Z, end: 2026-11-02T00:00Z}]\n",
        9,
        "'api' is no pool of this file",
    ),
    "holiday that is none": ("calendar: {holidays: [2026-02-30]}\n", 1, "is no day; write 2026-12-25"),
    "calendar of no zone": ("calendar: {timezone: Mars/Olympus}\n", 1, "is no time zone; write Europe/Rome"),
    "calendar like no day": ("calendar: {like: sonday}\n", 1, "did you mean sunday?"),
    "alias": ("a: &x [1]\npools: *x\n", 1, "anchors and aliases are refused"),
    "merge key": ("pools: {web: {<<: {minimum: 1}}}\n", 1, "pools.web.<<: unknown key"),
    "python tag": ("state: !!python/object/apply:os.system [ls]\n", 1, "the tag"),
    "scalar tag": ("state: !!binary aGk=\n", 1, "the tag"),
    "tab": ("pools:\n\tweb: {}\n", 2, "indent with spaces, not tabs"),
    "unclosed": ("pools: {web: {minimum: 1\n", 2, "is not YAML"),
    "two documents": ("pools: {}\n---\npools: {}\n", 2, "is not YAML"),
    "setting with depth": (HEAD + "    settings: {level: [1]}\n", 9, "is no single value"),
    "list as key": ("? [a]\n: 1\n", 1, "a key must be a word"),
    "hostile key": ('"a\\e[31mred": 1\n', 1, "a key must be a word"),
    "hostile value": ('now: "\\e[31mred"\n', 1, r"'\x1b[31mred' is no time"),
    "deep": ("state: " + "[" * 5000 + "]" * 5000, 1, "nested more than 20 deep"),
    "empty file": ("", 1, "is empty"),
    "only a comment": ("# nothing\n", 1, "is empty"),
    "a list": ("- a\n", 1, "must be a mapping of keys"),
    "a word": ("hello\n", 1, "must be a mapping of keys"),
    "not UTF-8": (b"pools: {}\nstate: \xff\xfe\n", 2, "is not UTF-8"),
}


@pytest.mark.parametrize("case", CASES)
def test_f69_bad_configuration_is_one_clear_line(tmp_path, case):
    """A bad file is refused with the line a person would look at, and the mend; nothing is written."""
    text, line, message = CASES[case]
    found = problems(tmp_path, text)
    assert any(entry.startswith(f"F:{line}: ") and message in entry for entry in found), found
    # A mistyped key is also missing, and a setting may be told twice; no other line may ring.
    assert {entry.split(": ")[0] for entry in found if "is missing" not in entry} <= {f"F:{line}"}, found


def test_f69_yaml_bomb_costs_nothing(tmp_path):
    """A bomb of nested aliases is refused at its first anchor, not expanded."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for here, there in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f"{here}: &{here} [{', '.join(['*' + there] * 9)}]\n"
    assert problems(tmp_path, bomb) == ["F:1: anchors and aliases are refused; write the value out"]


def test_f69_a_giant_file_is_not_read_as_yaml(tmp_path):
    """A file over the limit is refused by its size."""
    assert "over the limit of 4,194,304" in problems(tmp_path, "#" * (4 << 20) + "\npools: {}\n")[0]


@pytest.mark.slow
def test_f69_a_million_values_are_not_read(tmp_path):
    """A file within the limit of bytes that holds too many values is refused before they are built."""
    (found,) = problems(tmp_path, "pools: [" + "1," * 1_100_000 + "]\n")
    assert found == "F:1: holds over 1,000,000 keys and values"


def test_f69_control_characters_are_refused(tmp_path):
    """A file with control characters is not YAML."""
    assert "is not YAML" in problems(tmp_path, "state: a\x00b\n")[0]


def test_f69_every_problem_is_told_in_line_order(tmp_path):
    """All that is wrong with a file is told at once, in the order of its lines."""
    text = HEAD.replace("minimum: 2", "minimum: -2").replace("20}", "0}") + "plan_tll: 5m\nfreshnes: {}\n"
    lines = [int(entry.split(":")[1]) for entry in problems(tmp_path, text)]
    assert lines == [6, 8, 9, 10]


def test_f69_a_missing_file_is_named(tmp_path):
    """A file that is not there, or is a folder, is named in one line."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        config.load(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(str(tmp_path))


def test_f70_no_pools_means_none(tmp_path):
    """An empty mapping of pools is valid and touches nothing; so is a file that names none."""
    for text in ("pools: {}\n", "state: ./x.db\n"):
        path = tmp_path / "loadline.yaml"
        path.write_text(text)
        loaded = config.load(str(path))
        assert dict(loaded.pools) == {}
        assert loaded.series() == ()


def test_f70_an_empty_list_of_budgets_is_refused(tmp_path):
    """No budgets would mean no limit on shrinking at all: that cannot be said by an empty list."""
    (found,) = problems(tmp_path, "budgets: []\n")
    assert found.startswith("F:1: budgets: an empty list would lift every limit")
