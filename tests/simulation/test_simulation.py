"""Whole programs in a simulated world with a fault in every tick: no law of the oracle is ever broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler import lease
from policies import guards, outlook
from tests.simulation.world import TICKS, World

SEEDS = 100  # of TICKS ticks: 20,000
AT_ONCE = 10
KNOWN = (15, 17, 54, 62, 115, 278, 529, 542, 571, 737, 1114, 1424, 3738, 4835)  # seeds that broke a law once


def run(seed):
    """What a seed breaks, with the command that tells its story."""
    report = World(seed).run()
    return [f"`python -m tests.simulation {seed}`: {one}" for one in report.violations], report


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_no_law_is_broken(first):
    """The laws hold in every tick of every seed, with crashes, pauses, lost answers, steps of the clock."""
    for seed in range(first, first + AT_ONCE):
        broken, report = run(seed)
        assert not broken
        assert report.ticks >= TICKS
        assert report.changes > 0


@pytest.mark.parametrize("seed", KNOWN)
def test_seeds_that_failed_once(seed):
    """What was found once stays mended."""
    assert run(seed)[0] == []


def test_a_seed_tells_one_story():
    """The same seed twice is the same story to the letter: nothing depends on the machine."""
    one, two = (World(7, ticks=40, tell=True).run() for _ in range(2))
    assert one == two
    assert len(one.story) > 40


def found(monkeypatch, seeds=60):
    """The laws that some seed breaks."""
    broken = set()
    for seed in range(seeds):
        broken |= {one.law for one in World(seed, ticks=60).run().violations}
        if broken:
            return broken
    return broken


def test_budgets_that_are_not_kept_are_found(monkeypatch):
    """A guard of budgets that lets everything pass breaks P2: the oracle counts for itself."""
    monkeypatch.setattr(guards, "budgets", lambda wish, *_: guards.Verdict(wish.wanted))
    assert "P2" in found(monkeypatch)


def test_shrinking_blindly_is_found(monkeypatch):
    """Demand that is in doubt, and is not doubted, breaks P3."""
    monkeypatch.setattr(guards, "freshness", lambda wish: guards.Verdict(wish.wanted))
    assert "P3" in found(monkeypatch)


def test_a_live_need_that_is_not_held_is_found(monkeypatch):
    """A shrink below what the newest demand needs breaks P10."""
    monkeypatch.setattr(outlook.Outlook, "live", property(lambda self: self.demand.y[-1] * 0))
    assert "P10" in found(monkeypatch)


def test_a_leader_that_does_not_look_at_its_lease_is_found(monkeypatch):
    """One who was stopped and goes on as if it led breaks P6."""
    monkeypatch.setattr(lease.FileLease, "check", lambda self: self.generation)
    monkeypatch.setattr(lease.FileLease, "keep", lambda self: self.generation > 0)
    assert "P6" in found(monkeypatch)


def test_intents_that_are_never_settled_are_found(monkeypatch):
    """A pool whose intent stays in doubt for ever does not get its size: P7."""
    monkeypatch.setattr("autoscaler.settling.settle", lambda *_, **__: [])
    monkeypatch.setattr("autoscaler.settling.UNDERWAY_S", 10**8)
    monkeypatch.setattr(
        "autoscaler.settling.underway", lambda deeds, _now: {d.action.target: d.at for d in deeds}
    )
    monkeypatch.setattr(
        "autoscaler.gathering.underway", lambda deeds, _now: {d.action.target: d.at for d in deeds}
    )
    assert "P7" in found(monkeypatch)


def test_a_freeze_that_is_not_asked_for_is_found(monkeypatch):
    """Who does not ask for freezes before each call acts within one: F67."""
    monkeypatch.setattr(guards, "frozen", lambda wish, *_: guards.Verdict(wish.wanted))
    monkeypatch.setattr("autoscaler.apply.frozen", lambda wish, *_: guards.Verdict(wish.wanted))
    assert "F67" in found(monkeypatch)


def test_the_oracle_knows_no_guard():
    """The oracle judges by numbers alone: it imports nothing of what it judges."""
    lines = (Path(__file__).parent / "oracle.py").read_text().splitlines()
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    ours = {name for name in imported if name.split(".")[0] in {"autoscaler", "policies", "tests"}}
    assert ours == {"policies.model", "policies.policy", "tests.simulation.cloud"}
