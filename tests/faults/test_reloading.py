"""The configuration while the daemon runs: what is bad changes nothing, what is good is told and swapped."""

from __future__ import annotations

import io
import json

import pytest

from autoscaler import bootstrap, config
from autoscaler.clock import SetClock
from autoscaler.log import Log
from autoscaler.reloading import Running, differences
from tests.worlds import small


@pytest.fixture
def world(tmp_path):
    """A running application, its file, and what was told."""
    small.write(tmp_path)
    clock, said = SetClock(small.END), io.StringIO()
    app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), clock)
    running = Running(app, lambda fresh: bootstrap.build(fresh, clock), Log(said, clock, form="json"))
    yield running, tmp_path / "loadline.yaml", lambda: [json.loads(x) for x in said.getvalue().splitlines()]
    running.app.close()


BAD = {
    "empty": "",
    "no mapping": "- a\n",
    "typo": small.CONFIGURATION.replace("minimum", "minimun", 1),
    "above": small.CONFIGURATION.replace("minimum: 2", "minimum: 99"),
    "negative": small.CONFIGURATION.replace("minimum: 2", "minimum: -2"),
    "nan": small.CONFIGURATION.replace("unit_capacity: 10", "unit_capacity: .nan", 1),
    "half written": small.CONFIGURATION[:-40],
    "another state": "state: ./other.db\n" + small.CONFIGURATION,
}


@pytest.mark.parametrize("name", BAD)
def test_f69_a_bad_file_keeps_the_running_configuration(world, name):
    """It is refused with its reason, on a line of the log each; the running one stays, and is asked once."""
    running, file, told = world
    before = running.app
    file.write_text(BAD[name])
    assert running.changed()
    assert not running.reload()
    assert running.app is before
    refused = [line for line in told() if line["event"].startswith("configuration refused")]
    assert refused
    assert all(line["level"] == "error" and str(file) in line["why"] for line in refused)
    assert not running.changed(), "the same bad file is not read again and again"
    assert before.trail.doubtful() == (), "its store is still open"


def test_f69_a_file_that_is_gone_keeps_the_running_configuration(world):
    """Removed in passing, as editors do: refused, and read once it is there again."""
    running, file, _ = world
    before = running.app
    text = file.read_text()
    file.unlink()
    assert running.changed()
    assert not running.reload()
    assert running.app is before
    file.write_text(text.replace("maximum: 60", "maximum: 40"))
    assert running.changed()
    assert running.reload()
    assert running.app.configuration.pools["web"].maximum == 40


def test_a_good_file_is_told_and_swapped_at_once(world):
    """Each key that changed is a line: what was and what is, what came and what went."""
    running, file, told = world
    text = small.CONFIGURATION.replace("maximum: 60", "maximum: 40")
    file.write_text(text[: text.index("  api:")])
    assert running.reload()
    lines = [line["change"] for line in told() if line["event"] == "configuration"]
    assert "pools.web.maximum: 60 -> 40" in lines
    assert "pools.api: taken out" in lines
    assert set(running.app.configuration.pools) == {"web"}


def test_a_file_that_says_the_same_swaps_nothing(world):
    """Touched, or with another comment: the application stays."""
    running, file, told = world
    before = running.app
    file.write_text("# a comment\n" + small.CONFIGURATION)
    assert running.changed()
    assert not running.reload()
    assert running.app is before
    assert [line["event"] for line in told()] == ["configuration unchanged"]


def test_f67_a_freeze_survives_a_reload(world):
    """A new configuration does not lift what a person froze."""
    from policies.policy import Freeze, Scope  # noqa: PLC0415 - only here

    running, file, _ = world
    running.app.people.freeze(Freeze(scope=Scope.ALL, why="incident"), "ann", small.END)
    file.write_text(small.CONFIGURATION.replace("maximum: 60", "maximum: 40"))
    assert running.reload()
    assert [freeze.why for freeze in running.app.people.freezes(small.END)] == ["incident"]


def test_differences_name_the_key_and_hide_nothing():
    """Equal values have none; other types and lengths are told at their place."""
    assert list(differences({"a": 1}, {"a": 1})) == []
    assert list(differences({"a": (1, 2)}, {"a": (1, 3, 4)})) == ["a.1: 2 -> 3", "a.2: new, 4"]
    assert list(differences({"a": None}, {"a": {"b": 1}})) == ["a: None -> 1 keys"]
