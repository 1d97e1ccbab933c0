"""`loadline demo` as somebody runs it who has just cloned the project."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from autoscaler import demo
from tests.worlds import small

pytestmark = pytest.mark.slow

POOLS = ("web", "api", "batch", "llm", "ci", "training", "dev", "search")
WORK_S = 150  # CPU seconds; the demo takes less than half of it


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the demo: its folder, what it said, the CPU seconds of it and its children."""

    folder: Path
    out: str
    err: str
    code: int
    work_s: float


def run(folder: Path, *arguments: str) -> Run:
    """Run the installed program in a folder, writing to `demo` in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [Path(sys.executable).with_name("loadline"), "demo", "--out", "demo", *arguments],
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("LOADLINE")},
            "COLUMNS": "120",
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(folder=folder / "demo", out=done.stdout, err=done.stderr, code=done.returncode, work_s=work_s)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The demo of the default seed."""
    return run(tmp_path_factory.mktemp("first"))


def plan_id(told: str) -> str:
    """The plan's id as the demo printed it."""
    return re.findall(r"Loadline plan ([0-9a-f]{16})", told)[0]


def test_it_shows_plan_outcomes_and_the_comparison(first):
    """It says that the world is generated, shows plan and outcomes, and the cost beside static and HPA."""
    assert first.code == 0, first.err
    assert "GENERATED" in first.out.splitlines()[0]
    assert f"Applying plan {plan_id(first.out)}" in first.out
    assert first.out.count("  applied   ") >= 5
    assert re.search(r"After the lead time (\d+) of \1 serve", first.out)
    for scaler in ("static", "hpa", demo.OURS):
        assert scaler in first.out
    for pool in POOLS:
        assert re.search(rf"\b{pool}\b", first.out), pool
    assert "\x1b" not in first.out
    assert "Traceback" not in first.err
    assert all(line.startswith("loadline: warning: ") for line in first.err.splitlines())


def test_the_replay_is_of_fourteen_whole_days(first):
    """A pool that needs one unit all the time is replayed for 336 unit-hours; ours reaches what was asked."""
    assert re.search(r"^dev +seasonal_quantile +336 ", first.out, re.MULTILINE)
    (ours,) = re.findall(rf"^all 7 pools +{demo.OURS} .* ([\d.]+) % +[\d.]+ %", first.out, re.MULTILINE)
    assert float(ours) < 1.0


def test_the_broken_pool_is_held_and_said(first):
    """The pool whose metrics broke keeps its size, and the plan says why."""
    assert not re.search(r"applied +search", first.out)
    assert "search_queries" in first.err + first.out
    assert "INSUFFICIENT_DATA" in first.out


def test_it_costs_little_work(first):
    """Forecasting, replays and report are done within a generous budget of CPU seconds."""
    assert first.work_s < WORK_S


class References(HTMLParser):
    """What a browser would fetch for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            loads = key in {"src", "srcset", "poster", "data", "action"} or (key == "href" and tag == "link")
            if loads and not str(value).startswith(("data:", "#")):
                self.fetched.append(f"{tag} {key}={value}")


def test_the_report_opens_without_a_network(first):
    """The report is one file with every pool in it, and no reference that a browser would fetch."""
    page = (first.folder / "report.html").read_text()
    assert str((first.folder / "report.html").resolve()) in first.out
    for pool in POOLS:
        assert pool in page
    assert plan_id(first.out) in page
    assert re.search("generated", page, re.IGNORECASE)
    found = References()
    found.feed(page)
    assert found.fetched == []
    styles = "".join(re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL))
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:|#)", styles)


def test_the_hints_at_the_end_work(first, monkeypatch, capsys):
    """What the demo says to go on with does: plan, explain and undo in its folder."""
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    monkeypatch.chdir(first.folder)
    shell = small.Shell(first.folder, capsys)
    hints = re.findall(r"^  \S*loadline (.*)$", first.out.split("Go on from here:")[1], re.MULTILINE)
    assert [hint.split()[0] for hint in hints] == ["plan", "explain", "undo"]
    story, undone = shell(hints[1]), shell(hints[2])
    assert story.code == 0
    assert "web" in story.out
    assert undone.code in {0, 3}, undone
    assert "takes an earlier change back" in undone.out or "UNDO" in undone.out or undone.code == 3
    assert json.loads((first.folder / "loadline.schema.json").read_text())["$defs"]


def test_the_same_seed_is_the_same_plan_and_the_same_figures(first, tmp_path):
    """A second run says what the first said, but for where; another folder's files are not touched."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.html").write_text("mine")
    second = run(tmp_path)
    assert second.code == 0

    def figures(told: Run) -> list[str]:
        return [line for line in told.out.splitlines() if "Report:" not in line]

    assert plan_id(second.out) == plan_id(first.out)
    assert figures(second) == figures(first)
    assert (tmp_path / "other" / "report.html").read_text() == "mine"
