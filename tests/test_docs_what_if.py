"""docs/what-if.md: its assumptions parse, its JSON has the keys that are printed, its figures are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from autoscaler import horizon
from autoscaler.commands import ahead
from forecasts.types import DAY_S
from policies.assumptions import NAMES, parse
from policies.units import format_duration
from tests.test_docs import shape
from tests.worlds import small

TEXT = (Path(__file__).parents[1] / "docs" / "what-if.md").read_text()


def test_every_name_is_told_with_a_value_that_parses():
    """The table has all names and no other; its values are read by the program."""
    rows = [line.split("|")[1:3] for line in TEXT.splitlines() if line.startswith("| `")]
    told = {
        name: re.findall(r"`(.+?)`", value)[0]
        for names, value in rows
        for name in re.findall(r"`(.+?)`", names)
    }
    assert set(told) == set(NAMES)
    for name, value in told.items():
        assert parse(f"{name}={value}").name == name
    for text in re.findall(r"--assume '([^']+)'", TEXT):
        assert parse(text).text == text


def test_the_figures_in_the_text_are_those_of_the_program():
    """The longest and shortest span, the days that are replayed, the quantiles of the band."""
    assert f"from 1h to {format_duration(ahead.LONGEST_S)}" in TEXT
    assert f"last {horizon.REPLAYED_S // DAY_S} days" in TEXT
    assert horizon.LEAST_REPLAYED_S == 4 * DAY_S
    assert "less than four days of history" in TEXT
    assert [f"{level * 100:g} %" for level in horizon.horizon.BAND[::2]] == ["10 %", "90 %"]


@pytest.mark.slow
def test_the_commands_run_and_the_json_has_the_keys_that_are_shown(tmp_path, monkeypatch, capsys):
    """Each console line ends in 0; the keys of the JSON are those printed, at every depth."""
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    shell = small.Shell(small.write(tmp_path), capsys)
    (block,) = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines():
        assert shell(line.removeprefix("$ loadline ")).code == 0, line
    (shown,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    document = shape(json.loads(shown))
    printed = shape(json.loads(shell("plan --for 4w --assume demand*1.5 --output json").out))
    base, found = document["pools"][0]["base"], printed["pools"][0]["base"]
    assert found["weeks"] == found["days"] == [found["total"]]
    assert found["total"] == base["total"]
    assert printed["pools"][0]["assumed"] == found
    assert set(base) == set(found)
    assert set(document["pools"][0]) == set(printed["pools"][0])
    assert set(document) == set(printed)
    assert set(document["base"]) == set(printed["base"]) == set(printed["assumed"])
