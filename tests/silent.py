"""A server that takes every call and never answers: whoever has no deadline waits for it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

WAITS_S = 4.0  # then the server hangs up by itself, and the test fails without waiting for ever


class Silent:
    """At `url`. `ended`: for each call whether the caller gave it up by itself."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._take, daemon=True)]
        self.ended = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads[0].start()

    def _take(self):
        while not self._over.is_set():
            try:
                call, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._hold, args=(call,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _hold(self, call):
        call.settimeout(WAITS_S)
        with call:
            try:
                while call.recv(65536):
                    pass
                self.ended.append(True)
            except TimeoutError:
                self.ended.append(False)
            except OSError:
                self.ended.append(True)

    def close(self):
        self._over.set()
        for thread in self._threads:
            thread.join(WAITS_S + 1)
        self._listener.close()


@contextmanager
def silent():
    """The server, until the end of the block; then there was a call, and its caller gave each up."""
    server = Silent()
    yield server
    server.close()
    assert server.ended
    assert all(server.ended), f"a call waited longer than {WAITS_S} s: it has no deadline"
