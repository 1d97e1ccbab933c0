"""What scalers learnt, in a store that is old, corrupt or behind, and with pools that fail."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import numpy as np
import pytest

from autoscaler import bootstrap, config, recall, tick
from autoscaler.clock import SetClock
from forecasts.types import Series
from policies import learning
from policies.portfolio import Portfolio
from tests.worlds import small

pytestmark = pytest.mark.slow  # each plans a world on the disk

LEARNING = small.CONFIGURATION.replace("model: seasonal_naive", "scaler: lead_peak")
PORTFOLIO = small.CONFIGURATION.replace("model: seasonal_naive", "scaler: portfolio")
EARLIER = small.END - timedelta(hours=1)


@pytest.fixture
def build(tmp_path):
    """Builds the application in a folder, again and again over the same store."""
    folder = small.write(tmp_path / "world")
    apps = []

    def of(text=LEARNING, *, now=small.END):
        (folder / "loadline.yaml").write_text(text.replace("now: last-sample", "now: clock"))
        apps.append(bootstrap.build(config.load(str(folder / "loadline.yaml")), SetClock(now)))
        return apps[-1]

    yield of
    for app in apps:
        app.close()


def wanted(turn):
    """The size that each pool's scaler wants."""
    return {name: outlook.standing.units for name, outlook in turn.outlooks.items()}


def facts(turn, pool):
    """The evidence of a pool's standing, by name."""
    return {fact.name: fact.value for fact in turn.outlooks[pool].standing.because}


def counted(monkeypatch):
    """The new steps of each call that goes on, as a list that grows."""
    learnt = []
    go_on = learning.go_on

    def counting(tasks):
        learnt.extend(len(task.fresh) for task in tasks)
        return go_on(tasks)

    monkeypatch.setattr(learning, "go_on", counting)
    return learnt


def test_a_turn_goes_on_from_the_last_one(build, monkeypatch):
    """An hour later four new steps of each pool are learnt, at the same moment none; the size is that of a
    store that learnt it all at once.
    """
    tick.turn(build(now=EARLIER))
    learnt = counted(monkeypatch)
    second = tick.turn(build())
    assert learnt == [4, 4]
    learnt.clear()
    again = tick.turn(build())
    assert learnt == [0, 0]
    assert wanted(again) == wanted(second)


def test_late_samples_do_not_rewrite_what_was_learnt(build, tmp_path):
    """A sample that comes for a step already learnt changes the history, and not the memory."""
    app = build(now=EARLIER)
    tick.turn(app)
    before = app.memories.read(["web"])[0]["web"]
    late = Series(unique_id="web", start=EARLIER - 8 * small.STEP, step_s=900, y=np.array([900.0]))
    app.history.append(late)
    tick.turn(app)
    after = app.memories.read(["web"])[0]["web"]
    assert after.memory.packed() == before.memory.packed()


def test_f80_a_new_pool_says_that_it_is_learning(build, tmp_path):
    """With less history than the window the plan says which day of how many it is."""
    (tmp_path / "world" / "m.csv").write_text(small.history(days=4))
    done = tick.turn(build(PORTFOLIO))
    assert facts(done, "web")["own past"] == "learning: day 5 of 14"
    (action,) = [action for action in done.plan.actions if action.target == "web"]
    assert "learning: day 5 of 14" in {fact.value for fact in action.because}


def test_f81_a_pool_whose_scaler_fails_degrades_alone(build, monkeypatch):
    """It keeps its size and may not shrink, its gap says why; the other is sized as if it were alone."""
    sound = wanted(tick.turn(build(now=EARLIER)))
    go_on = learning.go_on

    def failing(tasks):
        if any(task.pool_id == "api" for task in tasks):
            raise np.linalg.LinAlgError("Singular matrix")
        return go_on(tasks)

    monkeypatch.setattr(learning, "go_on", failing)
    done = tick.turn(build(now=EARLIER))
    assert wanted(done) == {"web": sound["web"], "api": None}
    assert {action.target for action in done.plan.actions} == {"web"}
    (gap,) = [gap for gap in done.plan.gaps if gap.source == "api"]
    assert gap.why == "its scaler failed: LinAlgError: Singular matrix"
    monkeypatch.setattr(learning, "go_on", go_on)
    assert wanted(tick.turn(build(now=EARLIER))) == sound, "what it had learnt is still there"


def test_f81_a_memory_that_breaks_its_scaler_is_learnt_anew(build, monkeypatch):
    """Where going on fails and learning anew does not, that is done, and told."""
    sound = wanted(tick.turn(build()))
    go_on = learning.go_on

    def failing(tasks):
        if any(task.kept is not None for task in tasks):
            raise ValueError("shapes do not fit")
        return go_on(tasks)

    monkeypatch.setattr(learning, "go_on", failing)
    done = tick.turn(build())
    assert wanted(done) == sound
    assert facts(done, "web")["learnt anew"] == "it failed with it: ValueError: shapes do not fit"


def test_f58_a_crash_between_memory_and_plan_is_made_good_by_the_next_turn(build, monkeypatch):
    """What was learnt is kept, no plan was; the next turn plans what an undisturbed one does, and once."""
    app = build()

    def crash(*_plan, **_of):
        raise KeyboardInterrupt

    monkeypatch.setattr(app.trail, "record_plan", crash)
    with pytest.raises(KeyboardInterrupt):
        tick.turn(app)
    monkeypatch.undo()
    learnt = counted(monkeypatch)
    done = tick.turn(build())
    assert learnt == [0, 0]
    assert app.trail.plan(done.plan.id) == done.plan
    assert {action.target for action in done.plan.actions} == {"web", "api"}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("packed = substr(packed, 1, 100)", "it could not be read: its checksum is wrong"),
        ("packed = zeroblob(length(packed))", "it could not be read: its checksum is wrong"),
        ("shape = '{}'", "it could not be read: its checksum is wrong"),
        ("of = 'another'", "its settings, bounds, lead time or unit capacity changed"),
        ("start = start - 86400 * 60", "what came since is no longer known"),
        ("steps = steps + 1000", "it had seen more than is known now"),
    ],
)
def test_f60_a_memory_that_cannot_be_used_is_learnt_anew(build, tmp_path, harm, said):
    """Cut off, scrambled, of other settings, behind a gap or from the future: the same size, and why."""
    sound = wanted(tick.turn(build()))
    with sqlite3.connect(tmp_path / "world" / "loadline.db") as raw:
        raw.execute(f"UPDATE memory SET {harm} WHERE pool = 'web'")  # noqa: S608 - ours
    raw.close()
    done = tick.turn(build())
    assert wanted(done) == sound
    assert facts(done, "web")["learnt anew"] == said
    assert "learnt anew" not in facts(done, "api")
    assert "learnt anew" not in facts(tick.turn(build()), "web"), "and then it is kept again"


def test_another_setting_is_learnt_anew(build):
    """A spread that the operator changed makes no use of what was learnt with the old one."""
    tick.turn(build())
    changed = LEARNING.replace("scaler: lead_peak", "scaler: lead_peak, settings: {spread: 2}")
    assert "learnt anew" in facts(tick.turn(build(changed)), "web")


def test_pools_of_other_scalers_are_left_alone(build, monkeypatch):
    """Without a scaler that learns no memory is read, and the outlooks are those that were given."""
    monkeypatch.setattr(recall, "_tasks", None)
    done = tick.turn(build(small.CONFIGURATION))
    assert all(outlook.standing is None for outlook in done.outlooks.values())


def test_the_portfolio_goes_on_by_the_hour(build, monkeypatch):
    """Live, a day of hourly turns advances each step once, and ends where one turn over all of it ends."""
    steps = []
    advance = Portfolio.advance
    tick.turn(build(PORTFOLIO, now=small.END - timedelta(hours=3)))
    monkeypatch.setattr(
        Portfolio, "advance", lambda self, new, *cut: steps.append(new.shape[1]) or advance(self, new, *cut)
    )
    for hours in (2, 1, 0):
        done = tick.turn(build(PORTFOLIO, now=small.END - timedelta(hours=hours)))
    assert steps == [4, 1] * 3
    app = build(PORTFOLIO)
    with sqlite3.connect(app.configuration.state) as raw:
        raw.execute("DELETE FROM memory")
    raw.close()
    assert wanted(tick.turn(app)) == wanted(done)
