"""Simulated time: one queue of events, and processes of which only one runs at a time.

A process is ordinary code in a thread of its own. It runs until it waits; then whatever comes next in the
queue goes on. Nothing depends on the machine's clock or on its scheduler, so a seed always tells one story.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Killed(BaseException):
    """The process was killed where it stood: like kill -9, nothing it does from now on has an effect."""


class Process:
    """A thread that runs only when it is its turn."""

    def __init__(self, name: str) -> None:
        """`turn` is held while another one runs."""
        self.name = name
        self.killed = False
        self.over = False
        self.turn = threading.Lock()
        self.turn.acquire()


class Clockwork:
    """The queue, and true time in seconds since START."""

    def __init__(self) -> None:
        """Time 0, nothing to do; whoever makes it is its first process."""
        self.now = 0.0
        self._queue: list[tuple[float, int, Process | Callable[[], None]]] = []
        self._number = 0
        self._main = Process("main")
        self._processes: list[Process] = []

    def moment(self) -> datetime:
        """True time, aware UTC."""
        return START + timedelta(seconds=self.now)

    def at(self, when: float, what: Process | Callable[[], None]) -> None:
        """Let something happen at a second; what is due at one second happens in the order it was asked."""
        self._number += 1
        heapq.heappush(self._queue, (max(when, self.now), self._number, what))

    def spawn(self, name: str, body: Callable[[Process], None]) -> Process:
        """A process that begins now; `body` may end by Killed, and must let nothing else out."""
        process = Process(name)

        def run() -> None:
            process.turn.acquire()
            try:
                if not process.killed:
                    body(process)
            except Killed:
                pass  # that is how processes end here
            finally:
                process.over = True
                self._hand_over(None)

        self._processes.append(process)
        threading.Thread(target=run, name=name, daemon=True).start()
        self.at(self.now, process)
        return process

    def wait(self, process: Process, seconds: float) -> None:
        """Let the world go on for so long. Killed if the process was killed in the meantime."""
        if process.killed:
            raise Killed
        self.at(self.now + seconds, process)
        self._hand_over(process)
        if process.killed:
            raise Killed

    def run(self, until: float) -> None:
        """Let the world go on up to a second."""
        self.at(until, self._main)
        self._hand_over(self._main)

    def close(self) -> None:
        """End every process."""
        for process in self._processes:
            process.killed = True
            if not process.over:
                self._queue = [(self.now, 0, self._main)]
                process.turn.release()
                self._main.turn.acquire()
        self._processes.clear()

    def _hand_over(self, me: Process | None) -> None:
        """Whatever is next, until it is my turn again; one that has ended (None) has no turn."""
        while True:
            when, _, what = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            if what is me:
                return
            if not isinstance(what, Process):
                what()
            elif not what.over:
                what.turn.release()
                if me is not None:
                    me.turn.acquire()
                return


class NodeClock:
    """The clock of one process: its wall clock may be wrong by `offset` seconds, its monotonic never is."""

    def __init__(self, clockwork: Clockwork, process: Process) -> None:
        """Right, at first."""
        self._clockwork = clockwork
        self._process = process
        self.offset = 0.0

    def now(self) -> datetime:
        """What the wall clock shows."""
        return START + timedelta(seconds=self._clockwork.now + self.offset)

    def monotonic(self) -> float:
        """True seconds."""
        return self._clockwork.now

    def sleep(self, seconds: float) -> None:
        """Let the world go on."""
        self._clockwork.wait(self._process, seconds)
