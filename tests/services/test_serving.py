"""The server on loopback: what each path answers, fresh or late, leading or not, under many at once."""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import yaml

from autoscaler.config import WebSettings
from autoscaler.errors import ConfigError
from autoscaler.web import site
from autoscaler.web.server import begin
from policies.plan import Guard
from tests.worlds.served import NOW, TTL_S, Loop, Served, action, held, pool, turn

KEDA = Path(__file__).parents[2] / "examples" / "keda"
LEVER = "minReplicaCount of ScaledObject web"


@pytest.fixture
def served():
    """A server that is ended by the test."""
    one = Served()
    yield one
    one.close()


@pytest.fixture
def full(served):
    """One with pools of every standing: changed, kept, held, a floor in doubt, and one not seen."""
    served.post(
        turn(
            pool("web", 4, ready=3),
            pool("shop/api", 20),
            pool("floor", 2, ready=10, lever=LEVER),
            actions=[action("web", 4, 8)],
            holds=[held("shop/api", 20, 18)],
            unanswered={"lost": "timed out"},
            unknown=["floor"],
        ),
        ["web", "shop/api", "floor", "lost"],
    )
    return served


def test_a_recommendation_is_one_object(full):
    """Sizes, moments and what is held, under the keys that docs/serving.md names."""
    answer = full.get("/api/v1/pools/web/recommendation")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "pool": "web",
        "recommended": 8,
        "desired": 4,
        "ready": 3,
        "lever": "",
        "made_at": "2026-03-02T08:00:00Z",
        "expires_at": "2026-03-02T08:10:00Z",
        "held": [],
    }
    other = full.get("/api/v1/pools/shop/api/recommendation").json()
    assert other["recommended"] == 20
    assert other["held"] == [
        {"guard": "COOL_DOWN", "wanted": 18, "until": "2026-03-02T08:01:00Z", "why": "a reason"}
    ]
    assert full.get(f"/api/v1/pools/{quote('shop/api', safe='')}/recommendation").json() == other
    document = (KEDA.parents[1] / "docs" / "serving.md").read_text()
    assert all(f"`{key}`" in document for key in (*answer.json(), *other["held"][0]))


def test_a_pool_without_a_recommendation_is_unavailable_and_says_why(full):
    """One that was not seen, and one whose floor says nothing: 503, no number. One that is not known: 404."""
    lost, floor = (full.get(f"/api/v1/pools/{name}/recommendation") for name in ("lost", "floor"))
    assert (lost.status, floor.status) == (503, 503)
    assert "timed out" in lost.json()["error"]
    assert LEVER in floor.json()["error"]
    assert "recommended" not in lost.json() | floor.json()
    assert full.get("/api/v1/pools/other/recommendation").status == 404


def test_all_pools_in_one_answer(full):
    """Those seen with what is recommended, null for none, and those not seen with the reason."""
    answer = full.get("/api/v1/pools").json()
    assert {one["pool"]: one["recommended"] for one in answer["pools"]} == {
        "web": 8,
        "shop/api": 20,
        "floor": None,
    }
    assert answer["unseen"] == [{"pool": "lost", "why": "timed out"}]


def test_metrics_are_prometheus_text(full):
    """Each family that is promised, with its HELP and TYPE, and no series for what there is not."""
    full.clock.advance(30)
    answer = full.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = answer.samples()
    (build,) = [labels for name, labels in samples if name == "loadline_build_info"]
    assert [key for key, _ in build] == ["version"]
    assert {name: value for name, value in samples.items() if name[0] != "loadline_build_info"} == {
        ("loadline_recommended_replicas", (("pool", "web"),)): 8,
        ("loadline_recommended_replicas", (("pool", "shop/api"),)): 20,
        ("loadline_capacity", (("pool", "web"), ("kind", "actual"))): 3,
        ("loadline_capacity", (("pool", "web"), ("kind", "desired"))): 4,
        ("loadline_capacity", (("pool", "shop/api"), ("kind", "actual"))): 20,
        ("loadline_capacity", (("pool", "shop/api"), ("kind", "desired"))): 20,
        ("loadline_capacity", (("pool", "floor"), ("kind", "actual"))): 10,
        ("loadline_capacity", (("pool", "floor"), ("kind", "desired"))): 2,
        ("loadline_held", (("pool", "shop/api"), ("guard", "COOL_DOWN"))): 1,
        ("loadline_last_successful_decision_timestamp_seconds", ()): NOW.timestamp(),
        ("loadline_plan_age_seconds", ()): 30,
    }
    document = (KEDA.parents[1] / "docs" / "serving.md").read_text()
    assert all(f"`{name}" in document for name, _ in samples)


def names(samples):
    """The names of the metrics that are there."""
    return {name for name, _ in samples}


AGE = {"loadline_last_successful_decision_timestamp_seconds", "loadline_plan_age_seconds"}
BUILD = {"loadline_build_info"}


def refusals(served):
    """What the paths that need a fresh plan say, all of them the same."""
    answers = [
        served.get("/api/v1/pools/web/recommendation"),
        served.get("/api/v1/pools"),
        served.get("/readyz"),
    ]
    assert {answer.status for answer in answers} == {503}
    (said,) = {answer.json()["error"] for answer in answers[:2]} | {answers[2].body.decode().strip()}
    return said


def test_f32_what_expired_is_absent_and_never_the_last_value(full):
    """At the end of its plan the series go, the API answers 503 with the moment; the age is told on."""
    full.clock.advance(TTL_S - 1)
    assert full.get("/api/v1/pools/web/recommendation").status == 200
    assert full.get("/readyz").status == 200
    full.clock.advance(1)
    assert "2026-03-02T08:10:00Z" in refusals(full)
    samples = full.get("/metrics").samples()
    assert names(samples) == AGE | BUILD
    assert samples["loadline_plan_age_seconds", ()] == TTL_S
    full.post(turn(pool("web", 8), made_at=full.clock.now()), ["web"])
    assert full.get("/api/v1/pools/web/recommendation").json()["recommended"] == 8


def test_nothing_is_recommended_before_the_first_plan(served):
    """No zero, no guess: 503, and metrics without pools or age."""
    assert refusals(served) == site.NO_PLAN
    assert names(served.get("/metrics").samples()) == BUILD


def test_f61_who_does_not_lead_any_more_recommends_nothing(full):
    """Its plan may be fresh by the clock; another process makes the plans by now."""
    full.loop.leads = False
    assert refusals(full) == site.STANDS_BY
    assert names(full.get("/metrics").samples()) == AGE | BUILD
    full.loop.leads = True
    assert full.get("/readyz").status == 200


def test_a_loop_that_stands_still_is_not_alive(served):
    """After 15 minutes without going on; a loop that goes on is alive though it only stands by."""
    served.loop.leads = False
    served.clock.advance(site.STUCK_S - 1)
    assert served.get("/livez").status == 200
    served.clock.advance(1)
    assert served.get("/livez").status == 503
    served.loop.went_on_s = served.clock.monotonic()
    assert served.get("/livez").status == 200


def test_only_reading_is_offered(full):
    """HEAD answers as GET without a body; any other method is 405 and names the two; no such path is 404."""
    for path in ("/metrics", "/api/v1/pools", "/api/v1/pools/web/recommendation", "/livez", "/readyz"):
        got, head = full.get(path), full.get(path, "HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-length"] == str(len(got.body))
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = full.get(path, method)
            assert refused.status == 405
            assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}
    for path in ("/", "/metrics/", "/api/v1/pools/", "/api/v1/pools/web", "/api", "/docs", "/../etc/passwd"):
        assert full.get(path).status == 404, path


@pytest.mark.parametrize(
    "name",
    ["a b", 'a"b', "a%2Fb", "a/b", "é😀", "x/recommendation", "..", "a?b#c", "<script>", "a\\b", "a;b"],
)
def test_a_pool_of_any_name_is_found_by_it(served, name):
    """Percent-encoded in the path, as it is in the answer; its page is JSON and nothing else."""
    served.post(turn(pool(name, 5)), [name])
    answer = served.get(f"/api/v1/pools/{quote(name, safe='')}/recommendation")
    assert answer.status == 200
    assert (answer.json()["pool"], answer.json()["recommended"]) == (name, 5)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("loadline_recommended_replicas", (("pool", name),)) in served.get("/metrics").samples()


def test_text_that_is_no_unicode_breaks_no_answer(served):
    """A reason with a lone surrogate is answered as an escape."""
    odd = replace(held("web", 4, 3), why="bad\ud800")
    served.post(turn(pool("web", 4), holds=[odd]), [])
    answer = served.get("/api/v1/pools/web/recommendation")
    assert answer.json()["held"][0]["why"] == "bad\ud800"
    assert served.get("/metrics").status == 200


def test_an_answer_waits_for_no_acknowledgement(served):
    """Its head and its body go at once: the connections have no delay, which a client would feel as 40 ms."""
    with socket.create_connection(served.server.address, timeout=10) as line:
        line.sendall(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
        assert line.recv(100)
        (connection,) = served.server._server.server_state.connections
        peer = connection.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _of_metrics(body):
    return re.findall(r"loadline_(?:capacity|recommended_replicas)\{.*?\} (\d+)", body.decode())


def _of_pools(body):
    return [one[key] for one in json.loads(body)["pools"] for key in ("recommended", "desired", "ready")]


def _of_one(body):
    one = json.loads(body)
    return [one["recommended"], one["desired"], one["held"][0]["wanted"] - 1]


NUMBERS = {
    "/metrics": _of_metrics,
    "/api/v1/pools": _of_pools,
    "/api/v1/pools/p7/recommendation": _of_one,
}


def numbered(number):
    """A turn in which every figure is that number, or the next one."""
    pools = [pool(f"p{index}", number) for index in range(20)]
    return turn(*pools, holds=[held(one.id, number, number + 1, Guard.STEP) for one in pools])


def read_on(address, path, done, wrong, seen):
    """Ask again and again until `done`; keep the answers that are not of one board."""
    connection = HTTPConnection(*address, timeout=10)
    while not done.is_set():
        connection.request("GET", path)
        answer = connection.getresponse()
        found = NUMBERS[path](answer.read())
        if answer.status != 200 or len(set(found)) != 1:
            wrong.append((path, answer.status, found))
        seen.update(found[:1])
    connection.close()


def test_no_answer_is_of_two_boards(served):
    """Under readers of every path, boards are swapped all the time: every answer is one board's, whole."""
    served.post(numbered(1), [])
    done, wrong, seen = threading.Event(), [], set()
    readers = [
        threading.Thread(target=read_on, args=(served.server.address, path, done, wrong, seen))
        for path in [*NUMBERS] * 2
    ]
    for reader in readers:
        reader.start()
    for number in range(2, 300):
        served.post(numbered(number), [])
    done.set()
    for reader in readers:
        reader.join(20)
    assert wrong == []
    assert len(seen) > 2, "several boards were read"
    assert {path: set(map(int, read(served.get(path).body))) for path, read in NUMBERS.items()} == {
        path: {299} for path in NUMBERS
    }, "each path answers from the last board"


def test_a_page_that_fails_is_an_error_and_a_line_of_the_log(full, monkeypatch):
    """500 for that request, told once; the next one is answered."""

    def breaks(_board):
        raise RuntimeError("a bug")

    monkeypatch.setattr(site.exposition, "of_pools", breaks)
    assert full.get("/metrics").status == 500
    assert full.get("/livez").status == 200
    lines = [json.loads(line) for line in full.said.getvalue().splitlines()]
    assert [(line["level"], line["event"], line["kind"]) for line in lines] == [
        ("error", "web", "RuntimeError")
    ]


def test_garbage_on_the_line_ends_that_connection_only(full):
    """What is no HTTP, and a request without end, are refused; others are served."""
    for text in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(full.server.address, timeout=10) as line:
            line.sendall(text)
            assert line.recv(100).startswith(b"HTTP/1.1 400")
        assert full.get("/livez").status == 200


def test_a_server_that_ended_by_itself_is_told(full):
    """The loop is not ended by it; the log says so."""
    full.server._server.should_exit = True
    full.server._thread.join(10)
    assert '"web server ended"' in full.said.getvalue()


def test_an_address_that_is_taken_ends_the_command_with_the_mend(full):
    """The error names file, key, address and what to do."""
    host, port = full.server.address
    with pytest.raises(ConfigError, match=rf"loadline.yaml: web.listen: .*{host} port {port}.*another port"):
        begin(WebSettings(host=host, port=port), full.latest, Loop(), file="loadline.yaml")


def test_the_address_is_free_again_after_the_end():
    """A restart finds its port, at once."""
    first = Served()
    assert first.get("/livez").status == 200
    host, port = first.server.address
    first.close()
    second = begin(WebSettings(host=host, port=port), first.latest, Loop(), file="")
    second.close()


def documents(name):
    """The objects of an example."""
    return list(yaml.safe_load_all((KEDA / name).read_text()))


def test_there_are_examples_for_keda():
    """Each is looked at by a test below."""
    assert {path.name for path in KEDA.iterdir()} == {
        "scaledobject-metrics-api.yaml",
        "scaledobject-prometheus.yaml",
        "service.yaml",
    }


def test_the_url_of_the_example_answers_with_a_number(full):
    """Its URL leads to the Service of the example and to a path where its valueLocation is the replicas."""
    (scaled,) = documents("scaledobject-metrics-api.yaml")
    (trigger,) = scaled["spec"]["triggers"]
    asks = trigger["metadata"]
    url = urlsplit(asks["url"])
    service, _ = documents("service.yaml")
    assert url.hostname == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert url.port == service["spec"]["ports"][0]["port"]
    value = full.get(url.path).json()
    for step in asks["valueLocation"].split("."):
        value = value[step]
    assert value == 8
    assert (trigger["type"], trigger["metricType"], asks["targetValue"]) == (
        "metrics-api",
        "AverageValue",
        "1",
    )
    assert asks["format"] == "json"


def test_the_query_of_the_example_finds_the_metric(full):
    """Its PromQL is the largest of a series that /metrics has, and errs where that is absent."""
    (scaled,) = documents("scaledobject-prometheus.yaml")
    (trigger,) = scaled["spec"]["triggers"]
    asks = trigger["metadata"]
    name, label, wanted = re.fullmatch(r'max\(([a-z_]+)\{([a-z]+)="([^"]+)"\}\)', asks["query"]).groups()
    samples = full.get("/metrics").samples()
    assert max(value for key, value in samples.items() if key == (name, ((label, wanted),))) == 8
    assert asks["threshold"] == "1"
    assert asks["ignoreNullValues"] == "false"


@pytest.mark.parametrize("name", ["scaledobject-metrics-api.yaml", "scaledobject-prometheus.yaml"])
def test_without_a_recommendation_the_examples_shrink_nothing(name):
    """Their fallback keeps the size, or raises it to one within the bounds; it needs an average value."""
    spec = documents(name)[0]["spec"]
    fallback = spec["fallback"]
    assert fallback["behavior"] == "currentReplicasIfHigher"
    assert 0 < spec["minReplicaCount"] <= fallback["replicas"] <= spec["maxReplicaCount"]
    assert {trigger["metricType"] for trigger in spec["triggers"]} == {"AverageValue"}


def test_the_service_and_its_monitor_lead_to_the_metrics(full):
    """The monitor selects the Service by its labels, by a port it has, and a path that answers."""
    service, monitor = documents("service.yaml")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert full.get(endpoint["path"]).samples()
