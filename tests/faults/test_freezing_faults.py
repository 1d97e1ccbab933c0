"""The kill switch: from five places, any one suffices, and what cannot be read freezes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import bootstrap, config, freezing, tick
from autoscaler.clock import SetClock
from autoscaler.ports import FREEZE
from policies.policy import Freeze, Scope
from tests.worlds import small

NOW = small.END


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds the small world anew, as after a restart; `more` is put into its configuration."""
    monkeypatch.delenv(freezing.ENVIRONMENT, raising=False)
    apps = []

    def again(more=""):
        folder = small.write(tmp_path / "world", small.CONFIGURATION + more)
        apps.append(bootstrap.build(config.load(str(folder / "loadline.yaml")), SetClock(NOW)))
        return apps[-1]

    yield again
    for app in apps:
        app.close()


def file_of(app):
    return freezing.freeze_file(app.configuration)


def test_f67_nothing_is_frozen_until_somebody_says_so(build):
    """A world in which nobody said anything has no freeze."""
    assert freezing.in_force(build(), NOW) == ()


def test_f67_each_of_five_places_suffices(build, monkeypatch):
    """Configuration, store, file, environment and a label each freeze by themselves, and all are told."""
    app = build("freeze: [{scope: pool, name: api, why: audit}]\n")
    (one,) = freezing.in_force(app, NOW)
    assert (one.scope, one.name, one.why) == (Scope.POOL, "api", "audit")
    app = build()
    app.people.freeze(Freeze(scope=Scope.PROVIDER, name="fake", why="bill"), "ann", NOW)
    assert [f.why for f in freezing.in_force(app, NOW)] == ["bill"]
    app.people.lift(Scope.PROVIDER, "fake", "ann", "paid", NOW)
    file_of(app).write_text("storm\n")
    assert [(f.scope, f.why) for f in freezing.in_force(app, NOW)] == [(Scope.ALL, "storm")]
    file_of(app).unlink()
    monkeypatch.setenv(freezing.ENVIRONMENT, "1")
    assert [(f.scope, f.why) for f in freezing.in_force(app, NOW)] == [(Scope.ALL, "1")]
    monkeypatch.delenv(freezing.ENVIRONMENT)
    labels = {"web": {FREEZE: "hand work"}, "api": {}}
    assert freezing.in_force(app, NOW, labels) == (Freeze(scope=Scope.POOL, name="web", why="hand work"),)


@pytest.mark.parametrize("word", ["", " ", "0", "false", "No", "off"])
def test_f67_a_word_that_says_no_does_not_freeze(build, monkeypatch, word):
    """An empty environment or label, or one that says no, is no freeze."""
    monkeypatch.setenv(freezing.ENVIRONMENT, word)
    assert freezing.in_force(build(), NOW, {"web": {FREEZE: word}}) == ()


def test_f67_the_file_may_be_named(build, tmp_path):
    """`freeze_file` names another file, resolved beside the configuration; the default one is then none."""
    app = build("freeze_file: ./stop\n")
    (tmp_path / "world" / "loadline.db.freeze").write_text("not this one")
    assert freezing.in_force(app, NOW) == ()
    (tmp_path / "world" / "stop").write_text("storm")
    assert [f.why for f in freezing.in_force(app, NOW)] == ["storm"]


@pytest.mark.parametrize("kind", ["empty", "a folder", "no text"])
def test_f67_a_file_that_cannot_be_read_freezes(build, kind):
    """The file's presence freezes: empty, not readable or not text makes no difference."""
    app = build()
    if kind == "a folder":
        file_of(app).mkdir()
    else:
        file_of(app).write_bytes(b"" if kind == "empty" else b"\xff\x00" * 4000)
    (one,) = freezing.in_force(app, NOW)
    assert one.scope is Scope.ALL
    assert len(one.why) <= 400
    if kind == "a folder":
        assert "cannot be read" in one.why


def test_f67_a_freeze_of_the_store_survives_restart_and_another_configuration(build):
    """Said once, it is in force in the next process, whatever its configuration; only a person lifts it."""
    build().people.freeze(Freeze(scope=Scope.ALL, why="storm"), "ann", NOW)
    later = NOW + timedelta(days=400)
    assert [f.why for f in freezing.in_force(build(), later)] == ["storm"]
    app = build("freeze: [{scope: pool, name: api, why: audit}]\n")
    assert [f.why for f in freezing.in_force(app, later)] == ["audit", "storm"]


def test_f67_a_freeze_of_the_configuration_ends_by_itself(build):
    """A freeze with an end is over at that moment."""
    app = build()
    over = Freeze(scope=Scope.ALL, until=NOW, why="past")
    app = replace(app, policy=replace(app.policy, freezes=(over, replace(over, until=NOW + timedelta(1)))))
    assert [f.until for f in freezing.in_force(app, NOW)] == [NOW + timedelta(1)]


def test_labels_are_those_of_the_snapshot(build):
    """The labels of every pool that was seen, by its id."""
    seen = tick.turn(build()).seen
    assert set(freezing.labels_of(seen.snapshot)) == {"api", "web"}
