"""Faults of a server of Prometheus' API, by number; a server on loopback makes them."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
import time
from datetime import timedelta

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from autoscaler.clock import SetClock, SystemClock
from autoscaler.errors import MetricsError
from autoscaler.metrics.prometheus_doctor import metric_names
from autoscaler.metrics.prometheus_http import LARGEST
from tests.prometheus_api import NOW, RealTime, Reply, grid_of, matrix, metrics, ones, serving

FIVE = timedelta(minutes=5)
LAST = int(NOW.replace(second=0).timestamp())


def asked(answer, queries=("web",), *, clock=None, **more):
    """What five minutes of a source give: samples or the error, the server, the clock."""
    clock = clock or SetClock(NOW)
    with serving(answer) as server:
        try:
            result = metrics(server.url, queries, clock=clock, **more).samples([], NOW - FIVE, None)
        except MetricsError as error:
            result = error
    return result, server, clock


def refused(answer, *words, **more):
    """The text of the MetricsError, which names address, query and the words, in one line."""
    error, server, clock = asked(answer, **more)
    assert isinstance(error, MetricsError)
    text = str(error)
    for word in (server.url, "query sum(web_total)", *words):
        assert word in text
    assert "\n" not in text
    return text, server, clock


def test_f01_an_empty_result_is_no_sample_and_never_zero():
    """No series, or a series without values: no samples and no error; others come."""
    for nothing in (matrix(), matrix(({}, []))):
        samples, _, _ = asked(
            lambda _, fields, __, nothing=nothing: nothing if "web" in fields["query"] else ones(fields),
            ("web", "api"),
        )
        assert set(samples.unique_id) == {"api"}
        assert samples.warnings == ()


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "Inf"])
def test_f03_f04_what_is_not_finite_is_absent(value):
    """NaN and infinities come as text; they are left out, and what is around them stays."""
    samples, _, _ = asked(
        lambda _, fields, __: matrix(({}, [(t, value if t == LAST else 7) for t in grid_of(fields)]))
    )
    assert samples.y.tolist() == [7.0] * 4
    assert samples.ds[-1] == np.datetime64("2026-03-02T11:59")
    samples, _, _ = asked(lambda _, fields, __: ones(fields, value))
    assert samples.y.size == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"warnings": ["No StoreAPIs matched for this query"]}, "No StoreAPIs matched"),
        ({"warnings": ["PromQL info: form", "remote_read: store 3 is down"]}, "store 3 is down"),
        ({"isPartial": True}, "isPartial"),
    ],
)
def test_f17_a_partial_answer_is_a_lower_bound(more, why):
    """Warnings of missing stores, VictoriaMetrics' isPartial: samples stay, as lower bounds of the series."""
    samples, _, _ = asked(
        lambda _, fields, __: ones(fields) | (more if "web" in fields["query"] else {"isPartial": False}),
        ("web", "api"),
    )
    assert list(samples.lower_bounds) == ["web"]
    assert why in samples.lower_bounds["web"]
    assert samples.y.size == 10
    assert [text for text in samples.warnings if "PromQL" not in text] == [
        f"web: {text}" for text in more.get("warnings", ()) if "PromQL" not in text
    ]


def test_f17_one_partial_piece_makes_the_whole_a_lower_bound():
    """Of a time asked for in pieces it is enough that one of them is partial."""
    with serving(lambda _, fields, count: ones(fields) | {"isPartial": count == 1}) as server:
        samples = metrics(server.url).samples([], None, None)
    assert "web" in samples.lower_bounds


def test_f17_a_missing_piece_loses_the_series_not_a_part_of_it():
    """History is filled in once: a hole in it would stay, so what came is left for the next time."""

    def answer(_path, fields, count):
        return Reply(status=400) if "web" in fields["query"] and count > 1 else ones(fields)

    with serving(answer) as server:
        samples = metrics(server.url, ("web", "api")).samples([], None, None)
    assert set(samples.unique_id) == {"api"}
    assert "web: " in samples.warnings[0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_f19_it_is_tried_again_twice_with_growing_rests(status):
    """Three attempts in all; the third may succeed; rests differ from query to query."""
    samples, server, clock = asked(
        lambda _, fields, count: ones(fields) if count == 3 else Reply(status=status)
    )
    assert samples.y.size == 5
    assert len(server.asked) == 3
    assert 0.75 <= clock.monotonic() <= 1.5
    _, _, another = asked(
        lambda _, fields, count: ones(fields) if count == 3 else Reply(status=status), ("api",)
    )
    assert another.monotonic() != clock.monotonic()
    text, server, _ = refused(lambda *_: Reply(status=status), f"HTTP {status} (3 attempts)")
    assert len(server.asked) == 3
    assert "; " in text


def test_f19_retry_after_is_honoured_within_the_deadline():
    """Seconds or a date; one that is beyond the deadline is not waited for, and told."""

    def wanting(after):
        return lambda _, fields, count: (
            ones(fields) if count > 1 else Reply(status=429, headers={"Retry-After": after})
        )

    _, _, clock = asked(wanting("7"))
    assert 7 <= clock.monotonic() <= 7.5
    _, _, clock = asked(wanting("Mon, 02 Mar 2026 12:00:50 GMT"))
    assert 20 <= clock.monotonic() <= 20.5
    _, server, clock = refused(wanting("700"), "HTTP 429, and to ask again in 700 s")
    assert (len(server.asked), clock.monotonic()) == (1, 0.0)


def test_f19_a_time_out_is_tried_again_within_one_deadline():
    """A silent server costs the read time-out three times at most, and never more than the deadline."""
    began = time.perf_counter()
    _, server, _ = refused(
        lambda *_: Reply(silent=True),
        "no answer within 0.1 s (3 attempts)",
        clock=RealTime(NOW),
        timeout_s=0.1,
        deadline_s=20,
    )
    assert len(server.asked) == 3
    refused(
        lambda *_: Reply(silent=True), "no answer within", clock=RealTime(NOW), timeout_s=20, deadline_s=0.2
    )
    assert time.perf_counter() - began < 5


def test_f19_a_body_that_drips_ends_at_the_deadline():
    """Bytes that come one by one keep no call beyond the deadline for all, and no thread either."""
    with serving(lambda *_: Reply(b"x" * 1000, drip_s=0.02)) as server:
        with pytest.raises(MetricsError, match="for all queries of the source together"):
            metrics(server.url, clock=RealTime(NOW), deadline_s=0.2).samples([], NOW - FIVE, None)
        assert_ended()


def test_f19_one_bad_query_never_stops_the_others():
    """What fails is told by series; what is answered comes."""
    names = ("web", "api", "mail")
    samples, _, _ = asked(
        lambda _, fields, __: Reply(status=500) if "api" in fields["query"] else ones(fields), names
    )
    assert set(samples.unique_id) == {"web", "mail"}
    assert samples.warnings[0].startswith("api: ")


def test_f19_a_server_in_need_is_not_asked_three_times_as_often():
    """Retries of one call have a bound of their own, however many series there are."""
    names = tuple(f"s{number}" for number in range(100))
    error, server, _ = asked(lambda *_: Reply(status=503), names)
    assert "(and 99 more series)" in str(error)
    assert 100 < len(server.asked) <= 132


@pytest.mark.parametrize("status", [400, 422])
def test_what_is_wrong_with_a_query_is_said_and_not_asked_again(status):
    """A refusal of the query is final, and carries the server's words."""
    body = {"status": "error", "errorType": "bad_data", "error": "1:5: parse error:\nunexpected )"}
    _, server, _ = refused(
        lambda *_: Reply(body, status=status), "parse error: unexpected )", "mend the query"
    )
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (
            Reply(b"<!DOCTYPE html><html>log in</html>", headers={"Content-Type": "text/html"}),
            "a web page came",
        ),
        (Reply(json.dumps(matrix()).encode()[:-4]), "not a whole JSON object"),
        (Reply(b""), "not a whole JSON object"),
        (Reply(b"[" * 100_000), "not a whole JSON object"),
        (Reply(b'"success"'), "not a whole JSON object"),
        (Reply({"status": "error", "error": "no such tenant"}), "no such tenant"),
        (Reply({"status": "success"}), "is no matrix"),
        (Reply({"status": "success", "data": {"resultType": "vector", "result": []}}), "is no matrix"),
        (Reply({"status": "success", "data": {"resultType": "matrix", "result": [7]}}), "something else"),
        (Reply({"status": "success", "data": {"resultType": "matrix", "result": [{}]}}), "without labels"),
        (Reply(matrix(({}, [(LAST, "seven")]))), "not a stamp and a number"),
        (Reply(matrix(({}, [(LAST + 7, 1)]))), "not those that were asked for"),
        (Reply(matrix(({}, [(LAST, 1), (LAST - 60, 1)]))), "not those that were asked for"),
        (Reply(matrix(({}, [(LAST * 1000, 1)]))), "outside the time"),
        (Reply(matrix(({}, [(LAST - 600, 1)]))), "outside the time"),
        (Reply(matrix(({}, [(float("nan"), 1)]))), "not those that were asked for"),
    ],
)
def test_f20_what_is_no_answer_is_typed_and_told(reply, word):
    """Web pages, broken JSON, other shapes and stamps that nobody asked for: one line, no samples."""
    refused(lambda *_: reply, word)


@pytest.mark.parametrize("chunked", [False, True])
def test_f20_an_answer_that_breaks_off_is_asked_again(chunked):
    """A connection that ends too early is never a short answer."""
    samples, server, _ = asked(
        lambda _, fields, count: Reply(ones(fields), cut=9 if count < 3 else 0, chunked=chunked)
    )
    assert samples.y.size == 5
    assert len(server.asked) == 3
    refused(lambda _, fields, __: Reply(ones(fields), cut=9, chunked=chunked), "the answer broke off")


def test_f20_a_redirect_to_a_login_page_is_not_followed():
    """Credentials go nowhere else; where it leads is told without what is secret in it."""
    there = {"Location": "https://ann:hunter22@sso.example/login?token=hunter22"}
    text, server, _ = refused(lambda *_: Reply(status=302, headers=there), "HTTP 302", "sso.example/login")
    assert "hunter22" not in text
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_server_that_refuses_us_is_asked_once_for_all(status):
    """No other query would fare better: they are not asked, and all is one error."""
    names = ("web", *(f"s{number}" for number in range(99)))
    error, server, _ = asked(lambda *_: Reply(status=status), names)
    assert f"HTTP {status}" in str(error)
    assert len(server.asked) <= 8


def test_f21_a_name_that_is_not_known_and_a_port_that_is_closed():
    """DNS and connections are told with host and mend."""
    with pytest.raises(
        MetricsError, match=r"the name loadline\.invalid is not known .* mend `url` or the DNS"
    ):
        metrics("http://loadline.invalid:9090").samples([], NOW - FIVE, None)
    with pytest.raises(MetricsError, match=r"no connection: .*refused"):
        metrics("http://127.0.0.1:1").samples([], NOW - FIVE, None)


def certificate(folder, name, *, begins, ends, names=("127.0.0.1",)):
    """A self-signed certificate and its key as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(one)) for one in names]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(cert_file), str(key_file)


TODAY = SystemClock().now()  # TLS judges by the machine's clock
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("valid", "names", "known", "words"),
    [
        ((-2 * DAY, DAY), ("127.0.0.1",), True, None),
        ((-2 * DAY, -DAY), ("127.0.0.1",), True, ("expired", "renew the server's certificate")),
        ((-2 * DAY, DAY), ("127.0.0.1",), False, ("TLS failed", "name in `ca_file` who issued")),
        ((-2 * DAY, DAY), ("10.1.1.1",), True, ("TLS failed", "what the server's certificate names")),
    ],
)
def test_f21_tls_that_fails_names_the_mend(tmp_path, valid, names, known, words):
    """Expired, unknown or another's certificate: no answer is taken, and the mend is told."""
    cert, key = certificate(tmp_path, "server", begins=TODAY + valid[0], ends=TODAY + valid[1], names=names)
    ours = certificate(tmp_path, "client", begins=TODAY - DAY, ends=TODAY + DAY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ours[0])
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(lambda _, fields, __: ones(fields)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        more = {"ca_file": cert} if known else {}
        source = metrics(server.url.replace("http:", "https:"), cert_file=ours[0], key_file=ours[1], **more)
        if words is None:
            assert source.samples([], NOW - FIVE, None).y.size == 5
            return
        with pytest.raises(MetricsError) as caught:
            source.samples([], NOW - FIVE, None)
    assert all(word in str(caught.value) for word in (server.url.replace("http:", "https:"), *words))


def test_f22_an_explosion_of_series_is_bounded_and_told():
    """A hundred thousand label sets are refused by size, and fewer by number; neither is held."""
    points = [(LAST, 1)]
    few = matrix(*(({"user": str(number)}, points) for number in range(1000)))
    refused(lambda *_: few, "1000 series answered", "wrap the query in sum(...)")
    refused(lambda *_: Reply(b" " * (LARGEST + 1)), "larger than 16 MiB", "wrap it in sum(...)")


def test_f23_a_renamed_metric_is_named_with_the_nearest():
    """Its series has no samples, and the doctor names the metric that the server has in its place."""

    def answer(path, fields, _count):
        if path.endswith("values"):
            return {"status": "success", "data": ["up", "http_server_requests_total", "node_load1"]}
        if path.endswith("query"):
            return {"status": "success", "data": {"resultType": "scalar", "result": [LAST, str(LAST)]}}
        return matrix()

    queries = {"web": 'sum(rate(http_server_request_total{job="web"}[5m]))', "load": "sum(node_load1{a='b'})"}
    with serving(answer) as server:
        checks = metrics(server.url, queries).examine()
    assert "the server has no metric http_server_request_total" in checks[2].why
    assert checks[2].mend == "is http_server_requests_total meant?"
    assert "though its metrics are there" in checks[3].why
    assert sum(path.endswith("values") for _, path, _, _ in server.asked) == 1


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", ("up",)),
        ('sum by (job) (rate(a_total{x="y{z}"}[5m])) / on (job) group_left (le) b:c', ("a_total", "b:c")),
        ('{__name__="a_total", x=~"b"} or vector(0)', ("a_total",)),
        ("a offset 5m > bool 1e5 and absent(b) # c\n unless d", ("a", "b", "d")),
        ("topk(3, a) by (x)", ("a",)),
        ('label_replace(a, "dst", "$1", "src", "(.*)")', ("a",)),
        ("1 + 0x1f - Inf", ()),
    ],
)
def test_f23_the_metrics_of_a_query_are_found(query, names):
    """Labels, functions, texts, durations, keywords and comments are no metrics."""
    assert metric_names(query) == names


def test_secrets_are_in_no_error(tmp_path):
    """Whatever a server sends back: password, token, header and what is made of them are hidden."""
    (tmp_path / "secret").write_text("hunter22/very+secret")
    seen = []

    def echo(*_):
        shown = [f"{name}: {value}" for name, value in seen.pop().items()]
        return Reply({"status": "error", "error": "; ".join(shown)}, status=400)

    for more in (
        {"token_file": str(tmp_path / "secret")},
        {"username": "ann", "password_file": str(tmp_path / "secret")},
        {"headers": {"X-Api-Key": "hunter22/very+secret"}},
    ):
        with serving(lambda *_: None) as server:
            handler = server.RequestHandlerClass
            original = handler._reply

            def spied(self, fields, original=original):
                seen.append(dict(self.headers))
                original(self, fields)

            server.RequestHandlerClass = type("Spied", (handler,), {"_reply": spied})
            server.answer = echo
            url = server.url.replace("//", "//bob:hunter22@")
            with pytest.raises(MetricsError) as caught:
                metrics(url, **more).samples([], NOW - FIVE, None)
        assert "Accept: application/json" in str(caught.value)
        assert "[hidden]" in str(caught.value)
        assert "hunter22" not in str(caught.value)
        assert "aHVudGVyMj" not in str(caught.value)
        assert caught.value.__cause__ is None or "hunter22" not in repr(caught.value.__cause__)


def assert_ended():
    """The threads of a call that has returned are at their end too."""
    for thread in threading.enumerate():
        if thread.name.startswith("prometheus"):
            thread.join(0.5)
            assert not thread.is_alive()


def test_no_thread_is_left_behind():
    """When a call has returned, its threads have ended."""
    before = threading.active_count()
    asked(lambda _, fields, __: ones(fields), tuple(f"s{number}" for number in range(30)))
    assert_ended()
    assert threading.active_count() <= before + 1
