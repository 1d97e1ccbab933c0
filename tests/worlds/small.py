"""A world of two pools in one folder: two histories of three weeks, a configuration, and ways to call it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from autoscaler import cli

END = datetime(2026, 3, 2, 8, tzinfo=UTC)
STEP = timedelta(minutes=15)
DAYS = 21

# web wants 12 units and has 4: it grows by a step. api wants 6 and has 20: it shrinks within its budget.
CONFIGURATION = """\
now: last-sample
metrics:
  - {kind: csv, path: m.csv}
providers:
  fake: {path: ./cloud.db, lead_time: 5m}
defaults: {model: seasonal_naive}
pools:
  web:
    provider: fake
    minimum: 2
    maximum: 60
    desired: 4
    demands: [{series: web, unit_capacity: 10}]
    offerings: [{instance_type: m5.large, zone: a, hourly_usd: 0.1}]
  api:
    provider: fake
    minimum: 1
    maximum: 50
    desired: 20
    demands: [{series: api, unit_capacity: 10}]
    offerings: [{instance_type: m5.large, zone: a, hourly_usd: 0.1}]
"""


def rows(name: str, scale: float, *, seed: int, days: float = DAYS) -> list[str]:
    """The lines of one series: a plain day with a little noise, every 15 minutes up to END."""
    steps = round(days * 96)
    noise = np.random.default_rng(seed).normal(1, 0.02, steps)
    begin = END - steps * STEP
    lines = []
    for step, factor in enumerate(noise.tolist()):
        moment = begin + step * STEP
        hour = moment.hour + moment.minute / 60
        value = scale * (1 + 0.5 * float(np.sin((hour - 8) / 24 * 2 * np.pi))) * factor
        lines.append(f"{name},{moment:%Y-%m-%dT%H:%M:%SZ},{value:.6g}")
    return lines


@cache
def history(days: float = DAYS) -> str:
    """The CSV of both series."""
    lines = rows("web", 100, seed=1, days=days) + rows("api", 50, seed=2, days=days)
    return "\n".join(["unique_id,ds,y", *lines, ""])


def write(folder: Path, text: str = CONFIGURATION) -> Path:
    """Put the configuration and the history into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "m.csv").write_text(history())
    (folder / "loadline.yaml").write_text(text)
    return folder


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


class Shell:
    """The command line, run in this process within a folder."""

    def __init__(self, folder: Path, capsys) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, line: str, *more: str) -> Answer:
        """Run a line, with more arguments after it; whatever was printed before is dropped."""
        self._capsys.readouterr()
        code = cli.run([*shlex.split(line), *more])
        said = self._capsys.readouterr()
        return Answer(code=code, out=said.out, err=said.err)

    def files(self) -> set[str]:
        """The names of the files in the folder."""
        return {path.name for path in self.folder.iterdir()}


def installed(*arguments: str, folder: Path, **environment: str) -> Answer:
    """Run the installed console script in a process of its own."""
    script = Path(sys.executable).with_name("loadline")
    done = subprocess.run(
        [str(script), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Answer(code=done.returncode, out=done.stdout, err=done.stderr)
