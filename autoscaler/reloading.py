"""The configuration while the daemon runs: read again when it changes; a bad one changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler import config
from autoscaler.config import Configuration
from autoscaler.errors import ConfigError, LoadlineError
from autoscaler.log import Log

if TYPE_CHECKING:
    from autoscaler.bootstrap import App

_SHOWN = 50  # lines of a difference that are told
_Signature = tuple[int, int, int]


class Running:
    """The application in use, and the next one once the file says something else that can be used."""

    def __init__(self, app: App, build: Callable[[Configuration], App], log: Log) -> None:
        """`app` is in use from now on; `build` makes the one of a changed configuration."""
        self.app = app
        self._build, self._log = build, log
        self._seen = _signature(app.configuration.file)

    def changed(self) -> bool:
        """Whether the file is another than the one that was last read, in use or refused."""
        return _signature(self.app.configuration.file) != self._seen

    def reload(self) -> bool:
        """Read, check, tell the differences, and swap; False, and the old one stays, if it cannot be used."""
        old = self.app
        self._seen = _signature(old.configuration.file)
        try:
            fresh = config.load(old.configuration.file)
            _refuse_moved(old.configuration, fresh)
            lines = list(differences(old.configuration, fresh))
            if not lines:
                self._log.info("configuration unchanged", file=fresh.file)
                return False
            new = self._build(fresh)
        except LoadlineError as error:
            for line in str(error).splitlines():
                self._log.alert("configuration refused, the running one is kept", why=line)
            return False
        for line in lines[:_SHOWN]:
            self._log.info("configuration", change=line)
        if len(lines) > _SHOWN:
            self._log.info("configuration", change=f"and {len(lines) - _SHOWN} more")
        self.app = new
        old.close()
        return True


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
    """The state holds the trail and the lease: another one is another daemon's."""
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
