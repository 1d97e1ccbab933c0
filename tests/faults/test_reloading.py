"""The configuration while the daemon runs: what is bad changes nothing, what is good is told and swapped."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from autoscaler import bootstrap, config, reloading
from autoscaler.clock import SetClock
from autoscaler.commands import run
from autoscaler.errors import Temporary, Unreachable
from autoscaler.log import Log
from autoscaler.reloading import Running, differences
from autoscaler.transport import FAILURES
from tests.worlds import small


@pytest.fixture
def world(tmp_path):
    """A running application, its file, and what was told."""
    small.write(tmp_path)
    clock, said = SetClock(small.END), io.StringIO()
    app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), clock)
    running = Running(
        app, lambda fresh, old: bootstrap.build(fresh, clock, before=old), Log(said, clock, form="json")
    )
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
    "another address": "web: {}\n" + small.CONFIGURATION,
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


def breaks(provider):
    """Its calls fail until the breaker is open."""

    def down():
        raise Unreachable("no answer")

    provider._pools = SimpleNamespace(list=down)
    for _ in range(FAILURES):
        with pytest.raises(Unreachable):
            provider.list()


@pytest.fixture
def daemon(tmp_path):
    """The daemon as `loadline run` makes it, of a configuration that goes by the clock."""
    small.write(tmp_path, small.CONFIGURATION.replace("last-sample", "clock"))
    daemon = run._daemon(str(tmp_path / "loadline.yaml"), "text")
    yield daemon
    daemon.running.app.close()


def test_f68_a_reload_closes_no_breaker_and_refills_no_budget_of_calls(daemon):
    """A provider that is configured as before goes on with what was left; its pools' rests stay too."""
    running = daemon.running
    old = running.app.providers["fake"]
    breaks(old)
    old._full["web"] = 1e12
    file = Path(running.app.configuration.file)
    file.write_text(file.read_text().replace("maximum: 60", "maximum: 40"))
    assert running.reload()
    new = running.app.providers["fake"]
    assert new is not old
    with pytest.raises(Temporary, match="calls failed in a row"):
        new.list()
    assert new._full == {"web": 1e12}
    assert new._budgets[new._reading] is old._budgets[old._reading]


def test_a_provider_that_is_configured_anew_is_called_anew(daemon):
    """What another endpoint failed to do says nothing of this one."""
    running = daemon.running
    breaks(running.app.providers["fake"])
    file = Path(running.app.configuration.file)
    file.write_text(file.read_text().replace("./cloud.db", "./another.db"))
    assert running.reload()
    assert len(running.app.providers["fake"].list()[0]) == 2


@pytest.fixture
def slow(world, monkeypatch):
    """The world, in which a look at the file or a reading hangs until the event that `hang` gives is set."""
    running, file, told = world
    running._deadline_s = 0.05
    frees = []

    def hang(where, name):
        free, whole = threading.Event(), getattr(where, name)
        frees.append(free)

        def waits(*given):
            assert free.wait(20)
            return whole(*given)

        monkeypatch.setattr(where, name, waits)
        return free

    yield running, file, told, hang
    for free in frees:
        free.set()


def test_f69_a_reading_that_hangs_keeps_the_running_configuration_and_is_told_once(slow):
    """The loop has it back at the deadline and begins no other; what comes late is taken up then."""
    running, file, told, hang = slow
    before = running.app
    file.write_text(small.CONFIGURATION.replace("maximum: 60", "maximum: 40"))
    assert running.changed()
    free = hang(config, "load")
    for _ in range(3):
        assert not running.reload()
        assert not running.changed()
    assert running.app is before
    late = [line for line in told() if line["event"].startswith("configuration not read")]
    assert [(line["level"], "did not answer" in line["why"]) for line in late] == [("error", True)]
    reading = running._reading
    free.set()
    reading.result(timeout=5)
    assert running.changed()
    assert running.reload()
    assert running.app.configuration.pools["web"].maximum == 40
    assert not running.changed()


def test_f69_a_reload_that_fails_in_no_way_we_know_keeps_the_running_configuration(world):
    """Whatever a provider's own code raises while it connects is told, and ends nothing."""
    running, file, told = world

    def fails(_fresh, _old):
        raise RuntimeError("a bug")

    running._build = fails
    file.write_text(small.CONFIGURATION.replace("maximum: 60", "maximum: 40"))
    assert not running.reload()
    assert [line["why"] for line in told()] == ["RuntimeError: a bug"]
    assert not running.changed()


def test_f69_a_file_that_cannot_even_be_looked_at_stops_nothing(slow):
    """A disk that does not answer is no change; told once, and looked at again when it answers."""
    running, file, told, hang = slow
    free = hang(reloading, "_signature")
    for _ in range(3):
        assert not running.changed()
    assert len(told()) == 1
    file.write_text(small.CONFIGURATION.replace("maximum: 60", "maximum: 40"))
    looking = running._looking
    free.set()
    looking.result(timeout=5)
    assert running.changed()


def test_differences_name_the_key_and_hide_nothing():
    """Equal values have none; other types and lengths are told at their place."""
    assert list(differences({"a": 1}, {"a": 1})) == []
    assert list(differences({"a": (1, 2)}, {"a": (1, 3, 4)})) == ["a.1: 2 -> 3", "a.2: new, 4"]
    assert list(differences({"a": None}, {"a": {"b": 1}})) == ["a: None -> 1 keys"]
