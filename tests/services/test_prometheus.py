"""The source against a real Prometheus (Debian package `prometheus`) with a few hours of samples."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from datetime import timedelta

import numpy as np
import pytest

from autoscaler.clock import SystemClock
from autoscaler.connections import PrometheusSource
from autoscaler.errors import MetricsError
from autoscaler.metrics.prometheus import PrometheusMetrics
from autoscaler.metrics.prometheus_catalogue import CATALOGUE, offered
from autoscaler.metrics.prometheus_http import Conversation
from autoscaler.metrics.prometheus_range import MOST_POINTS, PATH

pytestmark = pytest.mark.slow  # a server is begun, and blocks are written for it

# Requests a minute of each pod; the last one is of another workload.
PODS = {"web-7d4b9c6f58-x2x4z": 60, "web-7d4b9c6f58-b9c2d": 120, "web-api-7d4b9c6f58-zzzzz": 6000}
GAP = range(60, 80)  # minutes without a scrape


def history(first):
    """Three hours of minutes from `first` in OpenMetrics: counters of pods with a gap, and two queues."""
    lines = ["# TYPE http_requests counter"]
    for pod, pace in PODS.items():
        lines += [
            f'http_requests_total{{namespace="shop",pod="{pod}"}} {pace * minute} {first + 60 * minute}'
            for minute in range(180)
            if minute not in GAP
        ]
    lines.append("# TYPE celery_queue_length gauge")
    for queue, length in (("orders", 7), ("mail", 3)):
        lines += [
            f'celery_queue_length{{queue_name="{queue}"}} {length} {first + 60 * minute}'
            for minute in range(180)
        ]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A server with that history: its address, and the second of the first minute."""
    for program in ("prometheus", "promtool"):
        assert shutil.which(program), f"{program} is missing: apt-get install prometheus"
    folder = tmp_path_factory.mktemp("prometheus")
    first = int(SystemClock().now().timestamp()) // 60 * 60 - 180 * 60
    (folder / "history").write_text(history(first))
    write = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "history", "data"]
    subprocess.run(write, cwd=folder, check=True, capture_output=True, timeout=60)
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1m}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = [
        *("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"),
        "--log.level=error",
    ]
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(["prometheus", *arguments], cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(300):
            assert child.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://{address}", first
    finally:
        child.terminate()
        child.wait(20)


def metrics(prometheus, **queries):
    return PrometheusMetrics(PrometheusSource(name="main", url=prometheus[0], queries=queries))


def test_a_rate_comes_as_it_was_scraped_and_a_gap_stays_one(prometheus):
    """The catalogue sums a workload's own pods; minutes without scrapes are absent, never zero."""
    (http,) = (one for one in CATALOGUE if one.name == "http")
    source = metrics(prometheus, web=http.of_workload("shop", "web"))
    samples = source.samples([], SystemClock().now() - timedelta(hours=3), None)
    assert samples.warnings == ()
    assert samples.lower_bounds == {}
    minutes = (samples.ds.astype("datetime64[s]").astype(np.int64) - prometheus[1]) / 60
    assert (minutes == np.floor(minutes)).all()
    inside = (minutes > 5) & (minutes < 60)
    assert inside.sum() == 54
    np.testing.assert_allclose(samples.y[inside], 3.0, rtol=1e-6)
    assert not ((minutes > 65) & (minutes < 80)).any()
    assert (samples.y > 0).all()
    assert minutes.max() >= 179


def test_long_times_come_in_pieces_that_the_server_takes(prometheus):
    """Fourteen days at a minute come whole; the server refuses more than 11,000 points in one query."""
    samples = metrics(prometheus, one="vector(1)").samples([], None, None)
    assert samples.y.size == 14 * 1440
    assert (np.diff(samples.ds) == np.timedelta64(60, "s")).all()
    source = PrometheusSource(name="main", url=prometheus[0], queries={})
    with Conversation(source, SystemClock()) as talk:
        talk.post(PATH, "vector(1)", start=0, end=60 * (MOST_POINTS - 1), step=60)
        with pytest.raises(MetricsError, match=r"11,000 points"):
            talk.post(PATH, "vector(1)", start=0, end=60 * (MOST_POINTS + 1), step=60)


def test_what_is_not_finite_absent_wrong_or_several_is_told(prometheus):
    """NaN, infinity and nothing are no samples; a wrong query and several series are told by their series."""
    source = metrics(
        prometheus,
        nan="vector(0) / vector(0)",
        inf="vector(1) / vector(0)",
        none="no_such_metric",
        wrong="sum(",
        several="celery_queue_length",
        queue='celery_queue_length{queue_name="orders"}',
    )
    samples = source.samples([], SystemClock().now() - timedelta(hours=1), None)
    assert set(samples.unique_id) == {"queue"}
    assert set(samples.y) == {7.0}
    wrong, several = samples.warnings
    assert wrong.startswith("wrong: ")
    assert "parse error" in wrong
    assert several.startswith("several: ")
    assert "2 series answered" in several


def test_the_doctor_names_server_clock_and_the_nearest_metric(prometheus):
    """A real server tells its version and time; a renamed metric is named with what is there instead."""
    checks = metrics(prometheus, web="sum(http_request_total)", queue="sum(celery_queue_length)").examine()
    assert [one.ok for one in checks] == [True, True, False, True]
    assert re.fullmatch(r"Prometheus API \d+\.\d+\.\d+.*", checks[0].why)
    assert checks[2].mend == "is http_requests_total meant?"


def test_the_server_takes_every_query_of_the_catalogue(prometheus):
    """Each parses, each listing too; what is offered is what the server has; a listing gives a query."""
    source = metrics(prometheus)
    names = source.names()
    assert {"http_requests_total", "celery_queue_length"} <= set(names)
    assert [one.name for one in offered(names)] == ["http", "celery"]
    queries = [one.of_workload("shop", "web.v2") for one in CATALOGUE if not one.by]
    queries += [one.of_series({}) for one in CATALOGUE if one.by]
    queries += [one.listing() for one in CATALOGUE if one.by]
    with Conversation(PrometheusSource(name="main", url=prometheus[0], queries={}), SystemClock()) as talk:
        for query in queries:
            assert talk.post("/api/v1/query", query)["status"] == "success"
        celery = offered(names)[1]
        told = talk.post("/api/v1/query", celery.listing())["data"]["result"]
        labels = sorted((one["metric"] for one in told), key=json.dumps)
        assert labels == [{"queue_name": "mail"}, {"queue_name": "orders"}]
        (answer,) = talk.post("/api/v1/query", celery.of_series(labels[0]))["data"]["result"]
    assert answer["value"][1] == "3"
