"""The daemon's log: one line an event, on a stream, as text or as JSON."""

from __future__ import annotations

import json
import threading
from typing import Literal, TextIO

from autoscaler.ports import Clock
from policies.model import iso

Format = Literal["text", "json"]
Level = Literal["info", "warning", "error"]
Value = str | int | float | None


class Log:
    """Lines of `at level event key=value ...`; a value's control characters never reach the terminal."""

    def __init__(self, stream: TextIO, clock: Clock, *, form: Format = "text") -> None:
        """`clock` stamps the lines."""
        self._stream, self._clock, self._form = stream, clock, form
        self._one = threading.Lock()

    def info(self, event: str, **values: Value) -> None:
        """What goes as it should."""
        self._line("info", event, values)

    def warning(self, event: str, **values: Value) -> None:
        """What a person may want to look at."""
        self._line("warning", event, values)

    def alert(self, event: str, **values: Value) -> None:
        """What keeps the daemon from its work."""
        self._line("error", event, values)

    def _line(self, level: Level, event: str, values: dict[str, Value]) -> None:
        at = iso(self._clock.now())
        known = {key: value for key, value in values.items() if value is not None and value != ""}
        if self._form == "json":
            line = json.dumps({"at": at, "level": level, "event": event, **known})
        else:
            line = " ".join([at, level, event, *(f"{key}={_plain(value)}" for key, value in known.items())])
        with self._one:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                return  # whoever read the log has gone; the work goes on


def _plain(value: Value) -> str:
    """A word as it is, anything else in quotes with its control characters escaped."""
    text = str(value)
    return text if text.isascii() and text.replace("-", "").replace("_", "").isalnum() else json.dumps(text)
