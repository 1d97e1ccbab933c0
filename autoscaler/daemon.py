"""The plain loop: lead or stand by; settle, plan, apply, verify; and nothing that fails ends it.

Time is monotonic. A tick that overran, or a machine that slept, is followed by one tick and not by those
that were missed. A keeper extends the lease while a tick works, and gives it up when the tick does not end.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoscaler.errors import Fenced, LoadlineError
from autoscaler.lease import KEEP_S, Holding, keeper
from autoscaler.log import Log
from autoscaler.ports import Clock, Lease
from policies.plan import Status

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.reloading import Running
    from autoscaler.tick import Turn

SLICE_S = 0.5  # how soon a signal, a changed file or a freed lease is noticed
STAND_BY_S = 5.0  # how often one who does not lead looks at the lease
Tick = Callable[["App", Holding, float], "Turn"]


def phase(name: str, interval_s: float) -> float:
    """When in its interval a daemon ticks, in seconds: by its name, so that a fleet does not act at once."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
    return share * interval_s


def next_due(last: float, now: float, interval_s: float, offset: float) -> tuple[float, int]:
    """When the tick after the one due at `last` is due, on the grid, and how many are skipped for it.

    One that is already late is due now, once, however many were missed.
    """
    following = offset + (math.floor((last - offset) / interval_s + 1e-9) + 1) * interval_s
    if now < following:
        return following, 0
    return now, math.floor((now - following) / interval_s)


@dataclass(slots=True, kw_only=True)
class Progress:
    """Since when a tick works, on the monotonic clock; None between ticks. Shared by loop and keeper."""

    since: float | None = None
    told: bool = False
    holding: Holding | None = None


@dataclass(slots=True, kw_only=True)
class Daemon:
    """The loop and what it works with. `stopping` ends it; `reload_asked` makes it read its configuration.

    `went_on_s` is when the loop last went on, on the monotonic clock: a tick that hangs stands still.
    """

    running: Running
    tick: Tick
    lease: Lease
    clock: Clock
    log: Log
    stopping: threading.Event = field(default_factory=threading.Event)
    reload_asked: bool = False
    progress: Progress = field(default_factory=Progress)
    leads: bool = False
    generation: int = 0
    failed: bool = False
    went_on_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Its loop counts as alive from now on."""
        self.went_on_s = self.clock.monotonic()

    @property
    def interval_s(self) -> float:
        """From one tick to the next, as it is configured now."""
        return self.running.app.configuration.run.interval_s

    @property
    def watchdog_s(self) -> float:
        """How long a tick may work and still act, as it is configured now."""
        return self.running.app.configuration.run.watchdog_s

    def run(self, *, ticks: int | None = None) -> None:
        """Tick until `stopping` is set (or `ticks` were due); the lease is released whatever happens."""
        started = self.clock.monotonic()
        due, done = started, 0
        try:
            while not self.stopping.is_set() and (ticks is None or done < ticks):
                self._wait(due)
                if self.stopping.is_set():
                    break
                self.one(running_s=self.clock.monotonic() - started)
                done += 1
                offset = started + phase(self.running.app.configuration.state, self.interval_s)
                due, skipped = next_due(due, self.clock.monotonic(), self.interval_s, offset)
                if skipped:
                    self.log.warning("ticks skipped", skipped=skipped, interval_s=self.interval_s)
                if not self.leads:
                    due = min(due, self.clock.monotonic() + STAND_BY_S)
        finally:
            self.log.info("stopping")
            self._release()

    def one(self, *, running_s: float) -> Turn | None:
        """One tick, if this process leads; what fails in it is logged. `running_s`: since the loop began."""
        self.went_on_s = self.clock.monotonic()
        self.progress = Progress(since=self.went_on_s)
        try:
            holding = self.progress.holding = self._lead()
            if holding is None:
                return None
            turn = self.tick(self.running.app, holding, running_s)
        except Fenced as error:
            self.failed = True
            self.log.warning("stopped acting", why=str(error))
        except LoadlineError as error:
            self.failed = True
            self.log.alert("tick failed", kind=type(error).__name__, why=str(error))
        except Exception as error:  # noqa: BLE001 - the edge of the tick: whatever it is, the loop goes on
            self.failed = True
            self.log.alert("tick failed", kind=type(error).__name__, why=str(error))
        else:
            self._tell(turn)
            return turn
        finally:
            self.progress = Progress()
        return None

    def stop(self) -> bool:
        """Begin no more; whether the tick may be broken off at once, since it only looks and plans."""
        self.stopping.set()
        holding = self.progress.holding
        return holding is not None and not holding.acting

    def ask_reload(self) -> None:
        """Read the configuration before the next tick; takes no lock, so a signal's handler may call it."""
        self.reload_asked = True

    def watch(self) -> bool:
        """Extend the lease for a tick that comes on; give it up, once, for one that is over the watchdog.

        False where it was given up: what that tick still wants to do is refused.
        """
        progress = self.progress
        if progress.since is not None and self.clock.monotonic() - progress.since >= self.watchdog_s:
            if not progress.told:
                progress.told = True
                self.log.alert("watchdog", why=f"a tick works for over {self.watchdog_s:g} s; it may not act")
                self._release()
            return False
        try:
            self.lease.keep()
        except LoadlineError as error:
            self.log.alert("lease not kept", why=str(error))
        return True

    def keeper(self) -> threading.Thread:
        """A thread that watches until the daemon stops; not begun yet."""
        return keeper(self.watch, self.stopping)

    def _wait(self, due: float) -> None:
        """Until `due`, by slices: a changed configuration is read between ticks, a stop is noticed."""
        kept = self.clock.monotonic()
        while not self.stopping.is_set():
            self._reload()
            now = self.went_on_s = self.clock.monotonic()
            if self.leads and now - kept >= KEEP_S:
                self.watch()
                kept = now
            left = due - now
            if left <= 0:
                return
            self.clock.sleep(min(SLICE_S, left))

    def _reload(self) -> None:
        if not self.reload_asked and not self.running.changed():
            return
        self.reload_asked = False
        if self.running.reload():
            self.log.info("configuration swapped", file=self.running.app.configuration.file)

    def _lead(self) -> Holding | None:
        had = self.leads
        self.leads = self.lease.acquire()
        if not self.leads:
            if had:
                self.log.warning("lost the lease", to="another process")
            return None
        generation = self.lease.check()
        if not had or generation != self.generation:
            self.log.info("leads", generation=generation)
        self.generation = generation
        return Holding(self.lease, generation, self.stopping)

    def _release(self) -> None:
        self.leads = False
        try:
            self.lease.release()
        except LoadlineError as error:
            self.log.alert("lease not released", why=str(error))

    def _tell(self, turn: Turn) -> None:
        plan = turn.plan
        for gap in plan.gaps:
            self.log.warning("gap", source=gap.source, code=gap.code, why=gap.why)
        for held in plan.held:
            self.log.info("held", pool=held.action.target, guard=held.guard, why=held.why)
        for action, permission in turn.waiting:
            self.log.info(
                "waiting",
                action=action.id,
                pool=action.target,
                before=action.before,
                after=action.after,
                why=permission.why,
            )
        for event in turn.events:
            tell = self.log.alert if event.kind in _GRAVE else self.log.info
            tell(event.kind, pool=event.pool, why=event.text)
        for deed, outcome in turn.settled:
            self.log.info(
                "settled",
                action=deed.action.id,
                pool=deed.action.target,
                status=outcome.status,
                why=outcome.error,
            )
        for action, outcome in turn.outcomes:
            tell = self.log.info if outcome.status in _WELL else self.log.warning
            tell(
                str(outcome.status),
                action=action.id,
                pool=action.target,
                before=action.before,
                after=outcome.observed_after if outcome.observed_after is not None else action.after,
                why=outcome.error,
            )
        self.log.info(
            "tick", plan=plan.id, actions=len(plan.actions), held=len(plan.held), gaps=len(plan.gaps)
        )


_GRAVE = {"frozen", "worse"}  # kinds of events that a person must see
_WELL = {Status.APPLIED, Status.REHEARSED}
