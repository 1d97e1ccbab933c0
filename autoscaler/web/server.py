"""The server beside the loop: bound before the loop begins, run in a thread, ended with it."""

from __future__ import annotations

import logging
import socket
import threading
from importlib import metadata
from typing import TYPE_CHECKING, Any

from autoscaler.config import WebSettings
from autoscaler.errors import ConfigError
from autoscaler.log import Log

if TYPE_CHECKING:
    import uvicorn

    from autoscaler.web.board import Latest
    from autoscaler.web.site import Loop

BACKLOG = 128
CONNECTIONS = 512  # more at once are answered 503
SPEAKERS = ("uvicorn", "asyncio")  # the loggers of what it is made of
END_S = 2.0  # what is under way has so long to end


class Server:
    """Serves from a thread that keeps no process from ending. What goes wrong in it is logged."""

    def __init__(self, bound: socket.socket, server: uvicorn.Server, log: Log) -> None:
        """`bound` is taken over; it serves from now on."""
        self._bound, self._server, self._log = bound, server, log
        self._asked = threading.Event()
        self._lines = _Lines(log)
        for name in SPEAKERS:
            logging.getLogger(name).addHandler(self._lines)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that it listens on."""
        host, port = self._bound.getsockname()[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Take no more requests, and wait shortly for those under way."""
        self._asked.set()
        self._server.should_exit = True
        self._thread.join(END_S)
        for name in SPEAKERS:
            logging.getLogger(name).removeHandler(self._lines)
        self._bound.close()

    def _run(self) -> None:
        why = "it was not asked to"
        try:
            self._server.run(sockets=[self._bound])
        except Exception as error:  # noqa: BLE001 - the edge of the thread: the loop goes on without it
            why = f"{type(error).__name__}: {error}"
        finally:
            if not self._asked.is_set():
                self._log.alert("web server ended", why=f"{why}; restart to serve again")


class _Lines(logging.Handler):
    """What the server's library has to say, as lines of our log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        why = record.getMessage().strip()
        self._log.alert(
            "web", kind=type(error).__name__ if error else None, why=f"{why}: {error}" if error else why
        )


def begin(settings: WebSettings, latest: Latest, loop: Loop, *, file: str) -> Server:
    """A server that serves from now on. ConfigError where its address cannot be had, or a package is absent;
    `file` names the configuration in that error.
    """
    try:
        import uvicorn  # noqa: PLC0415 - an extra, and half a second

        from autoscaler.web.site import Site  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigError(
            f"web: needs the package {error.name}; run pip install 'loadline[web]', or take the section out",
            file=file,
        ) from None
    site = Site(latest, loop, version=metadata.version("loadline"))
    bound = _bound(settings, file)
    options: dict[str, Any] = {
        "http": "h11",
        "ws": "none",
        "loop": "asyncio",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": BACKLOG,
        "limit_concurrency": CONNECTIONS,
        "timeout_graceful_shutdown": 1,
    }
    return Server(bound, uvicorn.Server(uvicorn.Config(site.application(), **options)), latest.log)


def _bound(settings: WebSettings, file: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, or asyncio does not know it for TCP and each answer waits 40 ms for an acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((settings.host, settings.port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"web.listen: cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            "choose another port, or end what listens there",
            file=file,
        ) from None
    return bound
