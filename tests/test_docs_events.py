"""docs/events.md: its example is a configuration that loads, and does what the text says."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import yaml

from autoscaler import config
from tests.worlds import small

TEXT = (Path(__file__).parents[1] / "docs" / "events.md").read_text()


def test_the_example_of_the_document_loads(tmp_path):
    """Every key shown is one of the program, and means what the text says."""
    windows, demands = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "loadline.yaml").write_text(small.CONFIGURATION + windows)
    loaded = config.load(str(tmp_path / "loadline.yaml"))
    friday, monday = loaded.policy.events
    assert (friday.name, friday.pools, friday.multiplier) == ("black-friday", ("web",), 1.8)
    assert friday.start == datetime(2026, 11, 27, 5, tzinfo=UTC)
    assert (monday.pools, monday.multiplier) == (None, None)
    assert monday.like[1] - monday.like[0] == monday.end - monday.start
    assert loaded.policy.masks[0].why == "load test"
    assert date(2026, 12, 25) in loaded.calendar.days
    (demand,) = yaml.safe_load(demands)["demands"]
    text = small.CONFIGURATION.replace("series: web,", "series: web_v2, formerly: [web_v1],")
    (tmp_path / "loadline.yaml").write_text(text)
    loaded = config.load(str(tmp_path / "loadline.yaml"))
    assert loaded.formerly() == {demand["series"]: tuple(demand["formerly"])}
