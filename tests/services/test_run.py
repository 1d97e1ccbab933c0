"""`loadline run` as a real process: signals, a bad configuration, kill -9 in mid-work, two at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from autoscaler.clock import SystemClock
from tests.worlds import small

pytestmark = pytest.mark.slow  # each begins a process of its own

CONFIGURATION = small.CONFIGURATION.replace("now: last-sample", "now: clock").replace(
    "defaults: {", "defaults: {mode: auto, observe_first: 0s, cool_down_in: 0s, scaler: target_tracking, "
)
FAST = "run: {interval: 1s}\n"


class Process:
    """The daemon in a folder; its lines as they come."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "autoscaler.cli", "run", "--log", "json", *more],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, object]] = []

    def until(self, event: str) -> dict[str, object]:
        """Read on until a line of that event."""
        for text in self.child.stderr:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        raise AssertionError(f"it ended without {event}: {self.lines}")

    def end(self, number: int) -> int:
        self.child.send_signal(number)
        out, err = self.child.communicate(timeout=25)
        assert out == ""
        self.lines += [json.loads(text) for text in err.splitlines()]
        return self.child.returncode


@pytest.fixture
def folder(tmp_path):
    """The small world, its history moved to end now."""
    now = SystemClock().now().replace(second=0, microsecond=0)
    lines = ["unique_id,ds,y"]
    noise = np.random.default_rng(1).normal(1, 0.02, 1344)
    for name, level in (("web", 100.0), ("api", 50.0)):
        for number, factor in enumerate(noise.tolist()):
            lines.append(
                f"{name},{now - timedelta(minutes=15 * (1344 - number)):%FT%TZ},{level * factor:.6g}"
            )
    (tmp_path / "m.csv").write_text("\n".join([*lines, ""]))
    (tmp_path / "loadline.yaml").write_text(CONFIGURATION + FAST)
    return tmp_path


@pytest.fixture
def begin(folder):
    """Begins daemons, and ends those that are left."""
    begun = []

    def of(*more):
        begun.append(Process(folder, *more))
        return begun[-1]

    yield of
    for process in begun:
        process.child.kill()
        process.child.communicate()


def lease(folder):
    return json.loads((folder / "loadline.db.lease").read_text())


def test_f64_a_daemon_leads_acts_and_ends_at_sigterm(begin, folder):
    """It grows what must grow, writes nothing on stdout, ends within 25 s, and its lease is free."""
    daemon = begin()
    daemon.until("applied")
    assert lease(folder)["holder"]
    began = SystemClock().monotonic()
    assert daemon.end(signal.SIGTERM) == 0
    assert SystemClock().monotonic() - began < 25
    assert lease(folder)["holder"] == ""
    with closing(sqlite3.connect(folder / "loadline.db")) as store:
        intents = store.execute("SELECT count(*) FROM intent").fetchone()
        outcomes = store.execute("SELECT count(DISTINCT intent_row) FROM outcome").fetchone()
    assert intents == outcomes


def test_f69_a_hang_up_with_a_bad_file_keeps_the_old_configuration(begin, folder):
    """SIGHUP, and a changed file without one: the bad one is refused with its line; a good one is told."""
    daemon = begin()
    daemon.until("tick")
    (folder / "loadline.yaml").write_text(CONFIGURATION.replace("maximum: 60", "maximun: 60"))
    os.kill(daemon.child.pid, signal.SIGHUP)
    refused = daemon.until("configuration refused, the running one is kept")
    assert "loadline.yaml:" in refused["why"]
    assert "did you mean maximum" in refused["why"] or "maximum" in refused["why"]
    daemon.until("tick")
    (folder / "loadline.yaml").write_text(CONFIGURATION.replace("maximum: 60", "maximum: 40") + FAST)
    assert daemon.until("configuration")["change"] == "pools.web.maximum: 60 -> 40"
    daemon.until("tick")
    assert daemon.end(signal.SIGTERM) == 0


def test_f61_a_second_daemon_stands_by_and_a_plan_by_hand_is_refused(begin, folder):
    """One leads; the other ticks nothing until the first is gone; `apply` by hand says who leads, exit 3."""
    first = begin()
    first.until("leads")
    shutil.copy(folder / "loadline.yaml", folder / "second.yaml")
    by_hand = subprocess.run(
        [sys.executable, "-m", "autoscaler.cli", "run", "--once"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert by_hand.returncode == 3
    assert "another loadline leads" in by_hand.stderr
    second = begin("--config", "second.yaml")
    time.sleep(3)
    assert first.end(signal.SIGTERM) == 0
    assert second.until("leads")["generation"] == 2
    assert [line["event"] for line in second.lines] == ["leads"], "nothing was done before"


def test_f58_kill_nine_in_mid_work_loses_no_row_and_the_next_one_goes_on(begin, folder):
    """Killed at moments all over its ticks: the store is sound, and every change of the cloud is in it."""
    chance = np.random.default_rng(7)
    for _ in range(3):
        daemon = begin()
        daemon.until("leads")
        time.sleep(float(chance.uniform(0.0, 2.0)))
        daemon.child.kill()
        daemon.child.communicate()
        (folder / "loadline.db.lease").unlink()  # as if its time to live had gone by
    last = begin()
    last.until("tick")
    assert last.end(signal.SIGTERM) == 0
    with closing(sqlite3.connect(folder / "loadline.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        changes = store.execute(
            "SELECT changed_target, changed_before, changed_after FROM outcome "
            "WHERE changed_target IS NOT NULL ORDER BY row"
        ).fetchall()
        generations = [row[0] for row in store.execute("SELECT generation FROM intent ORDER BY row")]
    assert generations == sorted(generations)
    with closing(sqlite3.connect(folder / "cloud.db")) as cloud:
        sizes = dict(cloud.execute("SELECT id, desired FROM pool"))
        revisions = dict(cloud.execute("SELECT id, revision FROM pool"))
    for name, start in (("web", 4), ("api", 20)):
        mine = [(before, after) for target, before, after in changes if target == name]
        assert sizes[name] == (mine[-1][1] if mine else start)
        assert all(one[1] == other[0] for one, other in pairwise(mine))
    assert sum(revisions.values()) == len(changes) + 2, "nothing was done twice"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def asked(port, path):
    """Status and body of a page of the daemon's server."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_what_the_daemon_plans_is_served_in_mode_observe_too(begin, folder):
    """After its first tick the recommendation is that of the plan, and the pool itself is not touched."""
    port = free_port()
    text = CONFIGURATION.replace("mode: auto", "mode: observe")
    (folder / "loadline.yaml").write_text(text + FAST + f"web: {{listen: 127.0.0.1:{port}}}\n")
    daemon = begin()
    waits = daemon.until("waiting")
    daemon.until("tick")
    daemon.until("tick")  # the first one is posted by then
    status, body = asked(port, f"/api/v1/pools/{waits['pool']}/recommendation")
    assert status == 200
    assert json.loads(body)["recommended"] == waits["after"]
    assert json.loads(body)["desired"] == waits["before"]
    assert [asked(port, path)[0] for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]
    taken = begin()
    out, err = taken.child.communicate(timeout=60)
    assert (taken.child.returncode, out) == (64, "")
    assert f"port {port}" in err
    assert daemon.end(signal.SIGTERM) == 0
    with closing(sqlite3.connect(folder / "cloud.db")) as cloud:
        assert dict(cloud.execute("SELECT id, desired FROM pool")) == {"web": 4, "api": 20}


def test_an_old_trace_does_not_run_for_ever(tmp_path):
    """A clock that stands still needs --once: exit 64, with the way out."""
    small.write(tmp_path)
    said = small.installed("run", folder=tmp_path)
    assert said.code == 64
    assert "--once" in said.err
    once = small.installed("run", "--once", folder=tmp_path)
    assert once.code == 0
    assert once.out == ""
    assert " tick " in once.err
