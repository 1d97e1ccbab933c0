"""Who leads, on one machine: a lease in a file, kept by heartbeats, fenced by a generation.

The file says who holds it, its generation and a beat that the holder counts up. Nobody compares wall clocks:
a challenger takes over once it has watched the same generation and beat for `ttl_s` of its own monotonic
time, by writing a larger generation; the holder stops trusting itself `margin_s` before that could happen.
The lock beside the file only keeps two writers apart: who is stopped within it stops everybody, and nobody
acts.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from autoscaler.errors import Fenced, LoadlineError, StoreError
from autoscaler.ports import Clock, Lease

TTL_S = 30.0
MARGIN_S = 5.0
KEEP_S = 5.0  # how often a keeper extends it
_TRIES, _BETWEEN_S = 10, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What stands in the file; `holder` is empty where nobody holds it. The generation never falls."""

    holder: str = ""
    generation: int = 0
    beat: int = 0


class FileLease:
    """The `Lease` port over a file; safe to call from several threads. Raises Fenced and StoreError only."""

    def __init__(
        self,
        path: str,
        clock: Clock,
        *,
        holder: str,
        raised: Callable[[int], int] = lambda above: above + 1,
        ttl_s: float = TTL_S,
        margin_s: float = MARGIN_S,
    ) -> None:
        """`holder` names this process; a holding is told from others by the name and the generation.

        `raised` gives, and keeps elsewhere, a generation that is larger than the one it is given and than any
        that it gave before: so no two holdings share one, also where the file was removed or put back.
        """
        self._path, self._clock, self._holder = Path(path), clock, holder
        self._raised = raised
        self._ttl_s, self._margin_s = ttl_s, margin_s
        self._mine: Record | None = None
        self._written: Record | None = None  # what we wrote last: while it stands, nobody followed us
        self._ends = 0.0  # on the monotonic clock
        self._watched = Record()
        self._since = 0.0
        self._turn = threading.RLock()

    def acquire(self) -> bool:
        """Keep the lease, or take it where it is free or has lapsed; whether it is held now."""
        with self._turn:
            if self.keep():
                return True
            begun = self._clock.monotonic()
            with self._locked() as locked:
                found = self._read()
                if not locked or not self._free(found, begun):
                    return False
                taken = Record(holder=self._holder, generation=self._raised(found.generation))
                self._write(taken)
            self._mine, self._ends = taken, begun + self._ttl_s
            return True

    def keep(self) -> bool:
        """Extend the present holding; False, and nothing written, where it has lapsed or was taken.

        A holding that lapsed is never taken up again, so that what was begun in it cannot go on.
        """
        with self._turn:
            begun = self._clock.monotonic()
            if self._mine is None or begun >= self._ends - self._margin_s:
                self._mine = None
                return False
            with self._locked() as locked:
                if not locked:
                    return True  # still held, until its own end
                if not _same(self._read(), self._mine):
                    self._mine = None
                    return False
                beaten = replace(self._mine, beat=self._mine.beat + 1)
                self._write(beaten)
            self._mine, self._ends = beaten, begun + self._ttl_s
            return True

    def check(self) -> int:
        """The generation of the present holding; Fenced if it ends within the margin, or is another's."""
        with self._turn:
            if self._mine is None:
                raise Fenced(f"this process does not hold the lease {self._path}")
            left = self._ends - self._clock.monotonic()
            if left <= self._margin_s:
                raise Fenced(
                    f"the lease {self._path} was not kept in time: {max(0.0, left):.0f} s of "
                    f"{self._ttl_s:.0f} s are left, {self._margin_s:.0f} s are kept in reserve"
                )
            found = self._read()
            if not _same(found, self._mine):
                raise Fenced(
                    f"{found.holder or 'another process'} took the lease {self._path} over: "
                    f"generation {found.generation} after {self._mine.generation}"
                )
            return self._mine.generation

    def release(self) -> None:
        """Let another one have it at once; nothing where it is not held. The generation stays."""
        with self._turn:
            mine, self._mine = self._mine, None
            if mine is None:
                return
            with self._locked() as locked:
                if locked and _same(self._read(), mine):
                    self._write(replace(mine, holder=""))

    def take(self) -> int:
        """Hold it for a command by hand and return the generation; Fenced where somebody leads who is alive.

        One that died is followed after its time to live; one that counts on is told at once.
        """
        first = self._read()
        while not self.acquire():
            found = self._read()
            if found.holder and found != first:
                raise Fenced(
                    f"another loadline leads ({found.holder}) and applies by itself; let it, with "
                    "`loadline approve ACTION`, or stop it first"
                )
            self._clock.sleep(1.0)
        return self.check()

    def _free(self, found: Record, now: float) -> bool:
        if not found.holder or found == self._written:
            return True
        if found != self._watched:
            self._watched, self._since = found, now
        return now - self._since >= self._ttl_s

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """The lock between writers; False where another one has it for longer than writing takes."""
        try:
            handle = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(_cannot(self._path, error)) from error
        try:
            yield self._try_lock(handle)
        finally:
            os.close(handle)

    def _try_lock(self, handle: int) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._clock.sleep(_BETWEEN_S)
            except OSError as error:
                raise StoreError(_cannot(self._path, error)) from error
            else:
                return True
        return False

    def _read(self) -> Record:
        return recorded(self._path)

    def _write(self, record: Record) -> None:
        """The whole file at once, on the disk when this returns."""
        text = {"holder": record.holder, "generation": record.generation, "beat": record.beat}
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(text, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            self._written = record
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError(_cannot(self._path, error)) from error


def keeper(keep: Callable[[], object], done: threading.Event) -> threading.Thread:
    """A thread, not begun yet, that extends a lease by `keep` every few seconds until `done`."""

    def work() -> None:
        while not done.wait(KEEP_S):
            keep()

    return threading.Thread(target=work, name="keeper", daemon=True)


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Within it the lease is extended, however long the work takes, and given back at the end."""
    done = threading.Event()

    def keep() -> None:
        with suppress(LoadlineError):  # the next check says so
            lease.keep()

    keeper(keep, done).start()
    try:
        yield
    finally:
        done.set()
        lease.release()


class Holding:
    """One holding of a lease: the generation that a turn began with, and no later one.

    What was planned in a holding is void once that one ended, also where this process leads again. Nothing
    more is begun once `stopping` is set.
    """

    def __init__(self, lease: Lease, generation: int, stopping: threading.Event) -> None:
        """`generation` is what `lease.check()` said when the turn began."""
        self._lease, self._generation, self._stopping = lease, generation, stopping
        self.acting = False  # whether the world may be about to change: then nothing is broken off

    def acquire(self) -> bool:
        """Extend it; never takes another one."""
        return self.keep()

    def keep(self) -> bool:
        """Extend it; False where it ended."""
        try:
            return self.check() == self._generation and self._lease.keep()
        except Fenced:
            return False

    def check(self) -> int:
        """The generation; Fenced where the holding ended, or the process is about to stop."""
        if self._stopping.is_set():
            raise Fenced("this process is stopping; what is left is planned anew by the next one")
        found = self._lease.check()
        if found != self._generation:
            raise Fenced(f"the holding of generation {self._generation} ended; now it is {found}")
        return found

    def release(self) -> None:
        """Let another one have it."""
        self._lease.release()


def recorded(path: Path) -> Record:
    """What stands in a lease's file; an empty record where there is none. StoreError where it is no lease."""
    try:
        found = json.loads(path.read_bytes())
        return Record(
            holder=str(found["holder"]), generation=int(found["generation"]), beat=int(found["beat"])
        )
    except FileNotFoundError:
        return Record()
    except OSError as error:
        raise StoreError(_cannot(path, error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is no lease; stop every loadline of this state, remove it and start again"
        ) from error


def _same(found: Record, mine: Record) -> bool:
    """Whether it is the same holding, whatever its beat."""
    return (found.holder, found.generation) == (mine.holder, mine.generation)


def _cannot(path: Path, error: OSError) -> str:
    return f"the lease {path} cannot be used: {error.strerror}; nothing is applied until it can"
