"""Fits in child processes: what hangs, raises or dies costs one series and leaves nothing behind."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from autoscaler.parallel import cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

# -P: modules come from where they are installed, never from the folder the command was given in.
COMMAND = (sys.executable, "-P", "-m", "autoscaler.fit_child")
# Importing statsforecast takes 2 to 7 s of CPU; this is for a machine that does much else.
IMPORT_S = 120.0
# A series alone gets at least so much, be there ever so many.
LEAST_SHARE_S = 1.0
# Children that work at a time, where there are cores: each holds its libraries, some hundreds of megabytes.
CHILDREN = 2
# A child of its own is worth its start from so many series on.
EACH = 50
# Children lost in the second round before the rest is given up: each costs an import.
LOSSES = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """One series to fit: `y` float64 [steps], NaN = absent; `seasons` in steps, ascending."""

    key: str
    model: str
    y: NDArray[np.float64]
    horizon: int
    levels: tuple[float, ...]
    seasons: tuple[int, ...]


class FitFailed(Exception):
    """The library raised; the child lives on."""


class ChildLost(Exception):
    """The child hung (`hung`: nothing came in time) or died, and was or is to be ended."""

    def __init__(self, message: str, *, hung: bool) -> None:
        """`message` says how, in one line."""
        super().__init__(message)
        self.hung = hung


def fit(
    tasks: Sequence[Task], *, timeout_s: float, on_done: Callable[[str], None]
) -> dict[str, NDArray[np.float64] | str]:
    """Quantiles float64 [horizon, level] by key, or in one line why there are none.

    Many series are shared between children that work at a time. Each model's series of a child together have
    `timeout_s` seconds, imports not counted. What is left then is fitted one by one within as much time
    again, each for its share of it, in a fresh process. `on_done` hears of each key as it is settled, one at
    a time; what it raises ends all.
    """
    parts = max(1, min(CHILDREN, cores(), len(tasks) // EACH))
    turns = Lock()

    def told(key: str) -> None:
        with turns:
            on_done(key)

    crews = [_Crew(tasks[first::parts], timeout_s, told) for first in range(parts)]
    with ThreadPoolExecutor(parts, thread_name_prefix="fitting") as pool:
        try:
            done, _ = wait([pool.submit(crew.work) for crew in crews], return_when=FIRST_EXCEPTION)
            for working in done:
                working.result()
        except BaseException:  # an interrupt too: the others are not waited for
            for crew in crews:
                crew.stop()
            raise
    return {key: answer for crew in crews for key, answer in crew.answers.items()}


class _Crew:
    """The tasks, their answers, and the one child that works on them."""

    def __init__(self, tasks: Sequence[Task], timeout_s: float, on_done: Callable[[str], None]) -> None:
        self.answers: dict[str, NDArray[np.float64] | str] = {}
        self._tasks = tasks
        self._models = sorted({task.model for task in tasks})
        self._timeout_s = timeout_s
        self._on_done = on_done
        self._child: Child | None = None
        self._stopped = False

    def work(self) -> None:
        """Settle every task."""
        try:
            for model in self._models:
                self._batch([task for task in self._tasks if task.model == model])
        finally:
            self._end()

    def stop(self) -> None:
        """Have `work` end soon, from another thread: what is not done is settled as lost."""
        self._stopped = True
        child = self._child
        if child is not None:
            child.kill()

    def _batch(self, tasks: list[Task]) -> None:
        """All series of one model: together first, then the rest one by one."""
        try:
            self._ready()
        except ChildLost as lost:
            self._settle(tasks, f"the fitting process did not start: {lost}")
            return
        rest = self._together(tasks)
        if rest:
            self._end()
            self._one_by_one(rest)

    def _together(self, tasks: list[Task]) -> list[Task]:
        """Until the time is up or the child is lost; what is left, for the second round."""
        ends = time.monotonic() + self._timeout_s
        fair = max(LEAST_SHARE_S, self._timeout_s / len(tasks))
        for index, task in enumerate(tasks):
            begun = time.monotonic()
            if begun >= ends:
                return tasks[index:]
            try:
                self._ask(task, ends - begun)
            except ChildLost as lost:
                rest = tasks[index + 1 :]
                # Whoever was only overtaken by the end of the round has another turn, as the last.
                if lost.hung and time.monotonic() - begun < fair:
                    return [*rest, task]
                self._settle([task], str(lost))
                return rest
        return []

    def _one_by_one(self, tasks: list[Task]) -> None:
        left, lost_before = self._timeout_s, 0
        for index, task in enumerate(tasks):
            if left <= 0 or lost_before > LOSSES:
                self._settle(tasks[index:], f"no time was left after {2 * self._timeout_s:g} s")
                return
            try:
                self._ready()
                begun = time.monotonic()
                self._ask(task, min(left, max(LEAST_SHARE_S, left / (len(tasks) - index))))
            except ChildLost as lost:
                self._settle([task], str(lost))
                lost_before += 1
            left -= time.monotonic() - begun

    def _ask(self, task: Task, seconds: float) -> None:
        child = self._ready()
        try:
            self._settle([task], child.ask(task, seconds))
        except FitFailed as failed:
            self._settle([task], str(failed))
        except ChildLost:
            self._end()
            raise

    def _settle(self, tasks: Sequence[Task], answer: NDArray[np.float64] | str) -> None:
        for task in tasks:
            self.answers[task.key] = answer
            if not self._stopped:
                self._on_done(task.key)

    def _ready(self) -> Child:
        """The child, with its imports done."""
        if self._stopped:
            raise ChildLost("it was stopped", hung=False)
        if self._child is None:
            lifetime_s = IMPORT_S + 2 * self._timeout_s * len(self._models) + 60
            self._child = Child(lifetime_s)
            try:
                if self._stopped:  # while it was started
                    self._child.kill()
                self._child.load(self._models)
            except ChildLost:
                self._end()
                raise
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class Child:
    """One process of `fit_child`, spoken to in frames."""

    def __init__(self, lifetime_s: float) -> None:
        """Start it; the kernel ends it after `lifetime_s` at the latest."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child, end() closes it
        self._process = subprocess.Popen(
            [*COMMAND, str(int(lifetime_s) + 1)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._in = cast("IO[bytes]", self._process.stdin)
        self._out = cast("IO[bytes]", self._process.stdout)
        self._buffer = bytearray()

    def load(self, models: Sequence[str]) -> None:
        """Have it import its models; ChildLost where it cannot."""
        self._send({"load": list(models)}, b"")
        self._receive(IMPORT_S)

    def ask(self, task: Task, seconds: float) -> NDArray[np.float64]:
        """One fit within `seconds`. FitFailed where the library raised, ChildLost where nothing came."""
        body = np.ascontiguousarray(task.y, dtype="<f8").tobytes()
        header = {
            "model": task.model,
            "levels": task.levels,
            "seasons": task.seasons,
            "horizon": task.horizon,
        }
        self._send(header, body)
        answer, values = self._receive(seconds)
        if "error" in answer:
            raise FitFailed(answer["error"])
        return np.frombuffer(values, dtype="<f8").astype(np.float64).reshape(answer["shape"])

    def kill(self) -> None:
        """Have it die at once; for any thread. Whoever waits for it finds it lost."""
        self._process.kill()

    def end(self) -> None:
        """Kill it if it still runs, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._out, self._errors, self._in):
            # What was not sent yet has nobody to read it.
            with suppress(BrokenPipeError):
                pipe.close()

    def _send(self, header: dict[str, Any], body: bytes) -> None:
        frame = json.dumps({**header, "bytes": len(body)}).encode() + b"\n" + body
        try:
            self._in.write(frame)
            self._in.flush()
        except BrokenPipeError as error:
            raise ChildLost(self._last_words(), hung=False) from error

    def _receive(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        """The next frame; ChildLost with `hung` where it did not come in time."""
        pipe = self._out.fileno()
        ends = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while (frame := self._frame()) is None:
                left = ends - time.monotonic()
                if left <= 0:
                    raise ChildLost(f"no answer in {seconds:.3g} s", hung=True)
                if not selector.select(left):
                    continue
                piece = os.read(pipe, 1 << 16)
                if not piece:
                    raise ChildLost(self._last_words(), hung=False)
                self._buffer += piece
        return frame

    def _frame(self) -> tuple[dict[str, Any], bytes] | None:
        """A whole frame off the buffer, or None."""
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        header: dict[str, Any] = json.loads(self._buffer[:end])
        size = end + 1 + header["bytes"]
        if len(self._buffer) < size:
            return None
        body = bytes(self._buffer[end + 1 : size])
        del self._buffer[:size]
        return header, body

    def _last_words(self) -> str:
        """How it ended, and the last line it wrote, cut short."""
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4096))
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        how = f"ended by signal {-code}" if code < 0 else f"ended with {code}"
        return f"the process {how}" + (f": {lines[-1].strip()[:200]}" if lines else "")
