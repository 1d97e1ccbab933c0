"""The configuration while the daemon runs: read again when it changes; a bad one changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from autoscaler import config
from autoscaler.config import Configuration
from autoscaler.errors import ConfigError, LoadlineError
from autoscaler.log import Log

if TYPE_CHECKING:
    from autoscaler.bootstrap import App

_SHOWN = 50  # lines of a difference that are told
DEADLINE_S = 20.0  # a stop is noticed before a supervisor kills
T = TypeVar("T")
_Signature = tuple[int, int, int]


class Running:
    """The application in use, and the next one once the file says something else that can be used.

    The file and what it names may lie on a disk or behind a network that does not answer: they are looked at
    and read in a thread. What is not there at the deadline is told once; it is taken up whenever it comes,
    and until then nothing else is begun.
    """

    def __init__(
        self,
        app: App,
        build: Callable[[Configuration, App], App],
        log: Log,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """`app` is in use from now on; `build` makes the one of a changed configuration that follows it."""
        self.app = app
        self._build, self._log, self._deadline_s = build, log, deadline_s
        self._seen = _signature(app.configuration.file)
        self._looking: Future[_Signature] | None = None
        self._reading: Future[_Read] | None = None

    def changed(self) -> bool:
        """Whether the file is another than the one that was last read, in use or refused."""
        if self._reading is not None:
            return self._reading.done()
        file = self.app.configuration.file
        begun, self._looking = self._looking is None, self._looking or _begun(lambda: _signature(file))
        if not self._there(self._looking, begun=begun):
            return False
        found, self._looking = self._looking.result(), None
        return found != self._seen

    def reload(self) -> bool:
        """Read, check, tell the differences, and swap; False, and the old one stays, if it cannot be used."""
        begun, self._reading = self._reading is None, self._reading or _begun(self._read)
        if not self._there(self._reading, begun=begun):
            return False
        read, self._reading = self._reading.result(), None
        self._seen = read.signature
        for line in read.refused:
            self._log.alert("configuration refused, the running one is kept", why=line)
        if read.app is None:
            if not read.refused:
                self._log.info("configuration unchanged", file=self.app.configuration.file)
            return False
        for line in read.changes[:_SHOWN]:
            self._log.info("configuration", change=line)
        if len(read.changes) > _SHOWN:
            self._log.info("configuration", change=f"and {len(read.changes) - _SHOWN} more")
        old, self.app = self.app, read.app
        old.close()
        return True

    def _there(self, work: Future[T], *, begun: bool) -> bool:
        """Whether it is done; just begun, it is waited for until the deadline, and told where it is late."""
        if wait([work], timeout=self._deadline_s if begun else 0.0).done:
            return True
        if begun:
            why = f"{self.app.configuration.file}, or what it names, did not answer in {self._deadline_s:g} s"
            self._log.alert("configuration not read, the running one is kept", why=why)
        return False

    def _read(self) -> _Read:
        """What the file says now, built where it can be; nothing is swapped here."""
        old = self.app
        signature = _signature(old.configuration.file)
        try:
            fresh = config.load(old.configuration.file)
            _refuse_moved(old.configuration, fresh)
            changes = tuple(differences(old.configuration, fresh))
            new = self._build(fresh, old) if changes else None
        except Exception as error:  # noqa: BLE001 - the edge of a reload: the running one goes on
            known = isinstance(error, LoadlineError)
            why = str(error) if known else f"{type(error).__name__}: {error}"
            return _Read(signature=signature, refused=tuple(why.splitlines()))
        return _Read(signature=signature, app=new, changes=changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file that was read: the application of it, None where it says the same, or why it is refused."""

    signature: _Signature
    app: App | None = None
    changes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def _begun(work: Callable[[], T]) -> Future[T]:
    """The work in a thread of its own, which keeps no process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="configuration", daemon=True).start()
    return future


def differences(old: object, new: object, path: str = "") -> Iterator[str]:
    """What two configurations have differently, one line a key: `pools.web.maximum: 60 -> 40`."""
    if old == new:
        return
    one, other = _parts(old), _parts(new)
    if one is None or other is None or type(old) is not type(new):
        yield f"{path}: {_shown(old)} -> {_shown(new)}"
        return
    for key in [*one, *(key for key in other if key not in one)]:
        place = f"{path}.{key}" if path else key
        if key not in other:
            yield f"{place}: taken out"
        elif key not in one:
            yield f"{place}: new, {_shown(other[key])}"
        else:
            yield from differences(one[key], other[key], place)


def _parts(value: object) -> dict[str, object] | None:
    """The named parts of a section, mapping or list; None of anything else."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, tuple):
        return {str(number): part for number, part in enumerate(value)}
    return None


def _shown(value: object) -> str:
    parts = _parts(value)
    return str(value) if not parts else f"{len(parts)} keys"


def _refuse_moved(old: Configuration, new: Configuration) -> None:
    """The state holds the trail and the lease: another one is another daemon's. So is an address."""
    if old.web != new.web:
        raise ConfigError("web cannot change while running; stop and start again", file=new.file)
    if old.state != new.state:
        raise ConfigError(
            f"state cannot change while running ({old.state} -> {new.state}); stop and start again",
            file=new.file,
        )


def _signature(path: str) -> _Signature:
    """Tells a file that was written or replaced; zeros for one that cannot be looked at."""
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
