"""Recommendations of 1,000 pools served on loopback: milliseconds to answer, alone and to four clients.

Each client keeps its connection. /metrics is read beside the four as by a Prometheus, and the board is
replaced for each of these, so that its text is written anew. The last figure is what posting
a turn costs the loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection

import numpy as np

from autoscaler.turning import Turn
from tests.worlds.served import Served, action, held, pool, turn

POOLS, CLIENTS, REQUESTS, SCRAPES, LISTS = 1_000, 4, 2_000, 100, 100
TARGETS = {
    "recommendation_p99_ms": "<= 50",
    "metrics_p99_ms": "<= 50",
    "metrics_new_board_p99_ms": "<= 50",
    "recommendation_p99_ms_four_clients": "<= 50",
}
NAMES = [f"pool-{number:04}" for number in range(POOLS)]


def world() -> Turn:
    """A turn of 1,000 pools, a third of them changed, a third held."""
    return turn(
        *(pool(name, 20) for name in NAMES),
        actions=[action(name, 20, 24) for name in NAMES[::3]],
        holds=[held(name, 20, 18) for name in NAMES[1::3]],
    )


def timed(served: Served, paths: list[str], before: Callable[[], None] = lambda: None) -> list[float]:
    """Milliseconds of each request, one after the other on one connection."""
    connection = HTTPConnection(*served.server.address, timeout=30)
    took = []
    for path in paths:
        before()
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        took.append(1000 * (time.perf_counter() - began))
        assert answer.status == 200, path
    connection.close()
    return took


def asks(seed: int) -> list[str]:
    """Recommendations of pools drawn at random."""
    drawn = np.random.default_rng(seed).choice(POOLS, REQUESTS)
    return [f"/api/v1/pools/{NAMES[index]}/recommendation" for index in drawn]


def crowd(served: Served) -> list[float]:
    """What four clients at once wait, while a fifth reads the metrics of boards that are replaced."""
    took: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda seed=seed: took.append(timed(served, asks(seed))))
        for seed in range(CLIENTS)
    ]
    done, made = threading.Event(), world()

    def scrape() -> None:
        while not done.is_set():
            timed(served, ["/metrics"], lambda: served.post(made, NAMES))
            time.sleep(0.5)

    scraper = threading.Thread(target=scrape)
    for thread in [*threads, scraper]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    scraper.join()
    return [value for one in took for value in one]


def run() -> dict[str, float]:
    """Percentiles in milliseconds; and what one turn costs the loop."""
    served, made = Served(), world()
    try:
        began = time.perf_counter()
        served.post(made, NAMES)
        posted = 1000 * (time.perf_counter() - began)
        measured = {
            "recommendation": timed(served, asks(1)),
            "metrics": timed(served, ["/metrics"] * SCRAPES),
            "metrics_new_board": timed(served, ["/metrics"] * SCRAPES, lambda: served.post(made, NAMES)),
            "list": timed(served, ["/api/v1/pools"] * LISTS),
        }
        together = crowd(served)
    finally:
        served.close()
    figures = {
        f"{name}_p{percent}_ms": float(np.percentile(took, percent))
        for name, took in measured.items()
        for percent in (50, 99)
    }
    figures |= {
        f"recommendation_p{percent}_ms_four_clients": float(np.percentile(together, percent))
        for percent in (50, 99)
    }
    return figures | {"post_ms": posted}
