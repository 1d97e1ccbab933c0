"""Fourteen days of 1,000 series at a minute, by Prometheus' API on loopback, fifty series a call.

The server is a process of its own that answers from memory, so that the figures are the client's: asking,
unpacking, checking, arrays. A real one takes its own time beside that.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from autoscaler.clock import SetClock
from autoscaler.connections import PrometheusSource
from autoscaler.metrics.prometheus import PrometheusMetrics

SERIES, DAYS, BATCH, STEP_S = 1_000, 14, 50, 60
TICK_S = 5 * 60
NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
TARGETS = {"wall_s": "<= 60", "megabytes": "<= 600"}


@cache
def answer(start: int, end: int, step: int) -> bytes:
    """A matrix of one series with values of seventeen figures, as a rate has them."""
    values = [[stamp, str(100 + (stamp // step % 1440) / 7)] for stamp in range(start, end + 1, step)]
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
    return json.dumps({"status": "success", "data": data}, separators=(",", ":")).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers range queries, whatever is asked."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body together

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Send the matrix of that time."""
        fields = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        body = answer(int(fields["start"]), int(fields["end"]), int(fields["step"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    """Serve on a free port, which is printed, until standard input ends."""
    import threading  # noqa: PLC0415 - of the server alone

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def run() -> dict[str, float]:
    """Wall and CPU seconds of the client for all of it, points a second, the largest memory, and a tick."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.backfill", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    url = f"http://127.0.0.1:{child.stdout.readline().strip()}"
    names = [f"s{number:04}" for number in range(SERIES)]
    source = PrometheusSource(
        name="bench", url=url, queries={name: f"sum(rate({name}[5m]))" for name in names}
    )
    metrics = PrometheusMetrics(source, SetClock(NOW))
    began, used, points = time.perf_counter(), time.process_time(), 0
    for first in range(0, SERIES, BATCH):
        samples = metrics.samples(names[first : first + BATCH], NOW - timedelta(days=DAYS), NOW)
        assert not samples.warnings
        points += samples.y.size
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    before_tick = time.perf_counter()
    newest = metrics.samples([], NOW - timedelta(seconds=TICK_S), NOW)
    ticked = time.perf_counter() - before_tick
    child.stdin.close()
    child.wait(10)
    assert points == SERIES * DAYS * 1440
    assert newest.y.size == SERIES * TICK_S // STEP_S
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "points": points,
        "points_a_second": points / wall,
        "megabytes": memory,
        "tick_of_1000_series_s": ticked,
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        print(run())
