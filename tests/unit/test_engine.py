"""The engine: what hangs, dies or lies costs one series, and nothing is left behind."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import forecasts.models
from autoscaler import engine, fitting
from autoscaler.fitting import Task, fit
from forecasts.types import BadInput, Series

T0 = datetime(2026, 3, 2, tzinfo=UTC)
LEVELS = (0.5, 0.9)

# A model that does what its history says: the first value is the word.
ODD = """
import os, sys, time
import numpy as np
MINIMUM = 1
def fit_predict(arrays, horizon, levels, *, seasons):
    word = int(arrays[0][0])
    if word == 1:
        time.sleep(600)
    if word == 2:
        print("segmentation violation", file=sys.stderr)
        os._exit(139)
    if word == 3:
        raise ValueError("cannot fit\\nthis")
    if word == 4:
        return [np.full((horizon, len(levels)), np.nan)]
    if word == 5:
        print("a library that prints", flush=True)
    if word == 6:
        time.sleep(0.1)
    return [np.tile(np.linspace(8, 12, len(levels)), (horizon, 1))]
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A folder of models with one more model, for this process and its children."""
    (tmp_path / "odd.py").write_text(ODD)
    monkeypatch.setattr(forecasts.models, "__path__", [*forecasts.models.__path__, str(tmp_path)])
    script = tmp_path / "child.py"
    script.write_text(
        "import forecasts.models, autoscaler.fit_child\n"
        f"forecasts.models.__path__.append({str(tmp_path)!r})\n"
        "autoscaler.fit_child.main()\n"
    )
    monkeypatch.setattr(fitting, "COMMAND", (sys.executable, str(script)))
    return "odd"


@pytest.fixture
def children(monkeypatch):
    """The children that were started, to see that none is left."""
    started = []
    plain = fitting.subprocess.Popen

    def popen(*args, **more):
        started.append(plain(*args, **more))
        return started[-1]

    monkeypatch.setattr(fitting.subprocess, "Popen", popen)
    yield started
    assert all(child.poll() is not None for child in started)
    assert all(not Path(f"/proc/{child.pid}").exists() for child in started)


def load(name, word=0.0, *, hours=24 * 15, step_s=3600):
    y = 10 + 2 * np.sin(np.arange(hours * 3600 // step_s) * step_s / 86400 * 2 * np.pi)
    y[0] = word
    return Series(unique_id=name, start=T0, step_s=step_s, y=y)


def run(series, model, **more):
    settings = {"issued_at": series[0].end, "horizon": 6, "levels": LEVELS, **more}
    return engine.forecast(series, model=model, **settings)


def test_every_series_gets_its_forecast(odd, children):
    """One child serves all series of all models, and the champion's forecast is what comes back."""
    done = []
    series = [load(f"s{k}", word=5) for k in range(20)]
    results = run(series, odd, on_progress=done.append)
    assert {result.model for result in results.values()} == {"odd"}
    assert all(result.issued_at == series[0].end for result in results.values())
    assert all(not result.notes for result in results.values())
    assert done == list(range(1, 21))
    assert len(children) == 1


def test_the_seasonal_naive_needs_no_child(children):
    """The seasonal naive runs in this process."""
    result = run([load("web")], "seasonal_naive")["web"]
    assert result.model == "seasonal_naive"
    assert not children


def test_f81_what_raises_or_lies_degrades_only_itself(odd, children):
    """A fit that raises, dies or gives NaN costs its own series; the notes say why, in one line."""
    series = [load("a-dies", 2), load("b-raises", 3), load("c-nan", 4), load("d-fine"), load("e-fine")]
    results = run(series, odd)
    assert [results[name].model for name in ("d-fine", "e-fine")] == ["odd", "odd"]
    for name, word in (
        ("a-dies", "odd failed: the process ended with 139: segmentation violation"),
        ("b-raises", "odd failed: cannot fit this"),
        ("c-nan", "odd refused: 12 of 12 values are not finite"),
    ):
        assert results[name].model == "seasonal_naive"
        assert results[name].notes == (word,)
    assert len(children) == 2


@pytest.mark.slow
def test_f81_what_hangs_costs_its_own_time_and_no_other_series(odd, children):
    """The batch's time is the hanging series' own; the others are fitted in a fresh process."""
    series = [load("a-hangs", 1), load("b-fine"), load("c-fine"), load("d-fine")]
    results = run(series, odd, timeout_s=1.0)
    assert [results[name].model for name in ("b-fine", "c-fine", "d-fine")] == ["odd"] * 3
    assert results["a-hangs"].model == "seasonal_naive"
    assert "odd failed: no answer in 1 s" in results["a-hangs"].notes
    assert len(children) == 2


@pytest.mark.slow
def test_f81_time_is_bounded_and_what_is_done_is_kept(odd, children):
    """With more work than time, what was fitted stays and the rest falls back with a word."""
    series = [load(f"s{k}", word=6) for k in range(12)]
    results = run(series, odd, timeout_s=0.4)
    models = [results[f"s{k}"].model for k in range(12)]
    assert models.count("odd") >= 3
    assert models.count("seasonal_naive") >= 4
    for result in results.values():
        if result.model == "seasonal_naive":
            assert "odd failed: no" in result.notes[0]


@pytest.mark.slow
def test_many_deaths_are_given_up(odd, children, monkeypatch):
    """A model that kills every process does not cost an import for each of a hundred series."""
    monkeypatch.setattr(fitting, "LOSSES", 1)
    results = run([load(f"s{k}", word=2) for k in range(30)], odd)
    assert {result.model for result in results.values()} == {"seasonal_naive"}
    assert len(children) == 3


def test_a_child_that_does_not_start_is_a_note(monkeypatch, children):
    """Without the library everything falls back, and the note holds the child's last line."""
    monkeypatch.setattr(fitting, "COMMAND", (sys.executable, "-c", "raise ImportError('no statsforecast')"))
    result = run([load("web")], "mstl")["web"]
    assert result.model == "seasonal_naive"
    assert "ImportError: no statsforecast" in result.notes[0]
    assert "did not start" in result.notes[0]


def test_an_interrupt_leaves_no_child(odd, children, monkeypatch):
    """Ctrl-C while a fit hangs ends the child before it goes on upwards."""

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([load("a"), load("b", 1)], odd, on_progress=interrupt)
    assert len(children) == 1


def test_many_series_are_shared_between_children(odd, children, monkeypatch):
    """From a hundred series on two children work, where there are two cores; each series is told once."""
    monkeypatch.setattr(fitting, "cores", lambda: 8)
    done = []
    results = run([load(f"s{k}", word=5) for k in range(2 * fitting.EACH)], odd, on_progress=done.append)
    assert {result.model for result in results.values()} == {"odd"}
    assert done == list(range(1, 2 * fitting.EACH + 1))
    assert len(children) == 2


def test_an_interrupt_ends_every_child(odd, children, monkeypatch):
    """What fails in the telling of one child's work ends the others too, though they hang."""
    monkeypatch.setattr(fitting, "cores", lambda: 8)

    def interrupt(*_):
        raise KeyboardInterrupt

    series = [load(f"s{k:03}", word=5 if k % 2 else 1) for k in range(2 * fitting.EACH)]
    with pytest.raises(KeyboardInterrupt):
        run(series, odd, on_progress=interrupt, timeout_s=600)
    assert [child.returncode for child in children] == [-signal.SIGKILL] * 2


@pytest.mark.slow
def test_a_child_ends_by_itself_after_its_lifetime(odd, children):
    """A child whose parent is gone and whose fit hangs is ended by the kernel."""
    child = fitting.Child(0)
    child.load([odd])
    task = Task(key="a", model=odd, y=load("a", 1).y, horizon=1, levels=LEVELS, seasons=(24, 168))
    with pytest.raises(fitting.ChildLost, match="signal 14"):
        child.ask(task, 30)
    child.end()


@pytest.mark.slow
def test_a_large_history_goes_through_the_pipe(odd, children):
    """Frames larger than a pipe's buffer come through whole."""
    y = np.full(1_000_000, 1.0)
    y[0] = 0
    task = Task(key="a", model=odd, y=y, horizon=20_000, levels=LEVELS, seasons=(24, 168))
    answers = fit([task], timeout_s=30, on_done=lambda _: None)
    assert answers["a"].shape == (20_000, 2)


@pytest.mark.slow
def test_order_never_matters(odd, children):
    """Any order of the series gives each the same forecast."""
    series = [load("a", 3), load("b"), load("c", 4), load("d", 5)]
    one, other = run(series, odd), run(series[::-1], odd)
    assert set(one) == set(other)
    for name, result in one.items():
        assert np.array_equal(result.values, other[name].values)
        assert (result.model, result.notes) == (other[name].model, other[name].notes)


def test_each_series_has_its_own_model(odd, children):
    """A mapping names the champion of each series; who is not in it has the seasonal naive."""
    results = run([load("a"), load("b")], {"a": odd})
    assert (results["a"].model, results["b"].model) == ("odd", "seasonal_naive")


def test_each_series_has_its_own_moment_and_all_have_one_child(odd, children):
    """A mapping names when the forecast of each series begins; as many ends need no more processes."""
    series = [load(f"s{k}", hours=24 * 15 + k) for k in range(3)]
    results = run(series, odd, issued_at={one.unique_id: one.end for one in series})
    assert [results[one.unique_id].issued_at for one in series] == [one.end for one in series]
    assert {result.model for result in results.values()} == {"odd"}
    assert len(children) == 1


def test_unknown_models_and_double_series_are_refused_before_anything_runs(children):
    """A mistake of the caller is told at once, with the nearest name."""
    with pytest.raises(BadInput, match="did you mean mstl"):
        run([load("a")], "mtsl")
    with pytest.raises(BadInput, match="given twice"):
        run([load("a"), load("a")], "seasonal_naive")
    assert not children


def test_finer_series_are_taken_by_the_hour():
    """A five-minute series is forecast by the hour, from the end of its last whole hour."""
    series = load("web", 10, step_s=300)
    part = Series(unique_id="web", start=T0, step_s=300, y=series.y[:-7])
    result = run([part], "seasonal_naive", issued_at=part.end)["web"]
    assert result.step_s == 3600
    assert result.issued_at == series.end - timedelta(hours=1)
    assert result.issued_at <= part.end


def test_f13_a_series_that_ended_long_ago_gets_no_forecast():
    """Three days after its end a series has no forecast, an hour after it the forecast begins now."""
    series = load("web", 10)
    assert run([series], "seasonal_naive", issued_at=series.end + timedelta(days=3))["web"] is None
    late = run([series], "seasonal_naive", issued_at=series.end + timedelta(hours=2, minutes=10))["web"]
    assert late.issued_at == series.end + timedelta(hours=2)
    assert np.allclose(late.values[0], series.y[-7 * 24 + 2])


def test_f06_nothing_known_is_hold(children):
    """A series of absent values has no forecast, and starts no child."""
    series = Series(unique_id="web", start=T0, step_s=3600, y=np.full(500, np.nan))
    assert run([series], "mstl") == {"web": None}
    assert not children


def test_the_future_is_not_seen():
    """What comes after `issued_at` changes nothing."""
    series = load("web", 10)
    at = T0 + timedelta(days=10)
    whole = run([series], "seasonal_naive", issued_at=at)["web"]
    part = run([series.until(at)], "seasonal_naive", issued_at=at)["web"]
    assert np.array_equal(whole.values, part.values)
    assert whole.trained_through <= at


@pytest.mark.slow
def test_the_library_fits_in_its_child(children):
    """AutoETS, MSTL and Theta forecast a plain daily load within a few percent, in one child."""
    series = [load(name, 10) for name in ("ets", "mstl", "theta")]
    results = run(series, {name: name for name in ("ets", "mstl", "theta")}, horizon=24)
    for name, result in results.items():
        assert result.model == name
        assert np.allclose(result.values[:, 0], series[0].y[:24], rtol=0.05)
    assert len(children) == 1


def test_what_was_forecast_from_the_same_history_is_not_fitted_again(odd, children):
    """Within an hour a turn starts no child: only a history that is another one is fitted, and it alone."""
    memo = {}
    series = [load("a", word=5), load("b", word=5)]
    first = run(series, odd, memo=memo)
    assert run(series, odd, memo=memo) == first
    assert len(children) == 1
    done = []
    later = run([series[0], load("b", word=6)], odd, memo=memo, on_progress=done.append)
    assert (later["a"], len(children)) == (first["a"], 2)
    assert later["b"] is not first["b"]
    assert done == [1, 2]
    assert run(series, odd, memo=memo, horizon=7)["a"].values.shape == (7, 2)
    assert len(children) == 3


@pytest.mark.parametrize("changed", [{"horizon": 7}, {"levels": (0.5, 0.95)}, {"model": "theta"}])
def test_a_memo_answers_for_the_same_question_alone(children, changed):
    """Another model, horizon or set of levels is another forecast, whatever is remembered."""
    memo = {}
    settings = {"model": "ridge", "horizon": 6, "levels": LEVELS}
    series = [load("a", hours=24 * 21)]
    run(series, memo=memo, **settings)
    assert run(series, memo=memo, **settings | changed)["a"] != run(series, **settings)["a"]
    known = run(series, memo=memo, **settings | changed)["a"]
    fresh = run(series, **settings | changed)["a"]
    assert (known.model, known.levels) == (fresh.model, fresh.levels)
    assert np.array_equal(known.values, fresh.values)


def test_a_memo_holds_no_more_than_the_last_call(children):
    """A pool that is gone leaves nothing behind: memory does not grow over days."""
    memo = {}
    for number in range(3):
        run([load(f"s{number}"), load("always")], "seasonal_naive", memo=memo)
    assert len(memo) == 2


@pytest.mark.parametrize(("count", "budget_s"), [(1, 30.0), (100, 30.0), (101, 60.0), (1000, 300.0)])
def test_the_time_budget_grows_by_the_hundred(count, budget_s, monkeypatch):
    """A thousand pools are not pressed into the time of a hundred: none falls back for being many."""
    budgets = []
    monkeypatch.setattr(engine, "fit", lambda _tasks, **more: budgets.append(more["timeout_s"]) or {})
    run([load(f"s{k}", hours=72) for k in range(count)], "ridge", horizon=2)
    assert budgets == [budget_s]
