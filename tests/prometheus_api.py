"""A server on loopback that answers as Prometheus' API, or as badly as a test wants, and keeps requests."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from autoscaler.clock import SetClock
from autoscaler.connections import PrometheusSource
from autoscaler.metrics.prometheus import PrometheusMetrics

NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)


class Reply:
    """What is sent: a status, headers and a body, which may be cut, dripped or left out."""

    def __init__(self, body=b"", *, status=200, headers=(), cut=0, drip_s=0.0, silent=False, chunked=False):
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.headers = status, dict(headers)
        self.cut, self.drip_s, self.silent, self.chunked = cut, drip_s, silent, chunked


def matrix(*series, **more):
    """A sound answer: each series is (labels, [(stamp, value), ...])."""
    result = [{"metric": labels, "values": [[t, str(v)] for t, v in values]} for labels, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


def grid_of(fields):
    """The stamps that a range query asks for."""
    return range(int(fields["start"]), int(fields["end"]) + 1, int(fields["step"]))


def ones(fields, value=1):
    """One series without labels that has the value everywhere."""
    return matrix(({}, [(t, value) for t in grid_of(fields)]))


class Api(ThreadingHTTPServer):
    """`answer(path, fields, count)` gives a Reply or a JSON value; `count`: how often that was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.asked, self.turn = answer, [], threading.Lock()
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A client that hangs up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        self._reply(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(dict(parse_qsl(body.decode(), keep_blank_values=True)))

    def _reply(self, fields):
        path, server = urlsplit(self.path).path, self.server
        with server.turn:
            key = (path, fields.get("query"))
            count = sum((one[1], one[2].get("query")) == key for one in server.asked)
            server.asked.append((self.command, path, fields, dict(self.headers)))
        reply = server.answer(path, fields, count + 1)
        reply = reply if isinstance(reply, Reply) else Reply(reply)
        if reply.silent:
            server.over.wait(5)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        sent = reply.body[: len(reply.body) - reply.cut]
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            sent = b"%x\r\n%s\r\n" % (len(reply.body), reply.body) + b"0\r\n\r\n"
            sent = sent[: len(sent) - reply.cut]
        else:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.close_connection = bool(reply.cut)
        if not reply.drip_s:
            self.wfile.write(sent)
            return
        for one in sent:
            self.wfile.write(bytes([one]))
            if server.over.wait(reply.drip_s):
                return


@contextmanager
def serving(answer):
    """The server, up while the block runs."""
    server = Api(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def source(url, queries=("web",), **more):
    """Settings whose queries are their own names unless a mapping is given."""
    queries = queries if isinstance(queries, dict) else {name: f"sum({name}_total)" for name in queries}
    return PrometheusSource(name="main", url=url, queries=queries, **more)


def metrics(url, queries=("web",), *, clock=None, **more):
    """The source under test, by a clock that stands at NOW: rests take no time."""
    return PrometheusMetrics(source(url, queries, **more), clock or SetClock(NOW))


class RealTime(SetClock):
    """A clock that stands at NOW by the wall, while monotonic time goes by."""

    def monotonic(self):
        return time.perf_counter()
