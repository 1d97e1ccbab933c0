"""The bars of long steps: on stderr, and only where a person looks."""

from __future__ import annotations

import sys

from autoscaler.commands import flags
from autoscaler.commands import plan as plan_command
from tests.worlds.small import Shell, write


def test_nothing_is_drawn_where_nobody_looks(capsys):
    """Without a terminal a step that is told leaves nothing behind."""
    with flags.bars() as show:
        show("fetching history", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_each_step_has_a_bar_with_its_count(monkeypatch, capsys):
    """What is done of how much, on stderr; stdout stays for results. A step of nothing has none."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with flags.bars() as show:
        show("nothing", 0, 0)
        show("fetching history", 3, 7)
    said = capsys.readouterr()
    assert said.out == ""
    assert "fetching history" in said.err
    assert "3/7" in said.err
    assert "nothing" not in said.err


def test_a_plan_tells_the_forecast_and_its_history(tmp_path, monkeypatch, capsys):
    """`plan` passes both counts on: series whose past is fetched, and series that are forecast."""
    monkeypatch.chdir(write(tmp_path / "w"))
    from autoscaler import observing  # noqa: PLC0415 - beside its use

    told = []

    class Recorded:
        def __enter__(self):
            return lambda *words: told.append(words)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(plan_command.flags, "bars", Recorded)
    real = observing.back_fill

    def fill(app, on_progress=None, **_within):
        on_progress(1, 5)
        return real(app, on_progress)

    monkeypatch.setattr(observing, "back_fill", fill)
    assert Shell(tmp_path / "w", capsys)("plan").code == 0
    assert ("fetching history", 1, 5) in told
    assert ("forecasting", 2, 2) in told
