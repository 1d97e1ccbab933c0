"""The ports of a source over a network, kept by Prometheus' API; a server on loopback answers."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.clock import SetClock
from autoscaler.errors import MetricsError
from autoscaler.metrics.prometheus import PERMISSIONS
from autoscaler.metrics.prometheus_range import MOST_POINTS, Grid, grid
from autoscaler.ports import Examines, Metrics, Remote
from tests.prometheus_api import NOW, Reply, grid_of, matrix, metrics, ones, serving

HOUR = timedelta(hours=1)


@given(
    since=st.integers(0, 2 * 10**9),
    span=st.integers(-1000, 10**7),
    step=st.sampled_from([1, 15, 60, 300, 3600, 7]),
)
def test_the_grid_is_aligned_and_its_pieces_make_it_up(since, span, step):
    """Points are the multiples of the step in [since, until); pieces hold at most 11,000, each point once."""
    start = NOW.fromtimestamp(since, NOW.tzinfo)
    whole = grid(start, start + timedelta(seconds=span), step)
    wanted = range(-(-since // step) * step, since + span, step)
    assert [whole.first, len(whole)] == [-(-since // step) * step, len(wanted)]
    pieces = list(whole.pieces())
    assert all(0 < len(piece) <= MOST_POINTS for piece in pieces)
    ends = [(piece.first, piece.last) for piece in pieces]
    assert sum(map(len, pieces)) == len(wanted)
    assert all(after[0] == before[1] + step for before, after in pairwise(ends))
    if pieces:
        assert (ends[0][0], ends[-1][1]) == (wanted[0], wanted[-1])


def test_a_grid_without_points_has_no_pieces():
    """Nothing is asked for where since is not before until."""
    assert list(Grid(first=60, last=0, step_s=60).pieces()) == []
    with serving(lambda _, fields, __: ones(fields)) as server:
        assert metrics(server.url).samples([], NOW, NOW).y.size == 0
        assert server.asked == []


def test_it_keeps_the_three_ports():
    """Metrics, Remote, Examines; it knows the series that it has queries for, and its step."""
    source = metrics("http://127.0.0.1:1", ("web", "api"), step_s=300)
    ports: Metrics = source
    assert isinstance(ports, Remote)
    assert isinstance(ports, Examines)
    assert source.known() == ("web", "api")
    assert source.step_s == 300


def test_samples_are_arrays_on_the_grid():
    """Every point of the grid in [since, until) comes, of the promised types, series by series."""
    with serving(lambda _, fields, __: ones(fields, len(fields["query"]))) as server:
        samples = metrics(server.url, ("web", "api2")).samples([], NOW - HOUR, NOW)
    assert samples.ds.dtype == np.dtype("datetime64[us]")
    assert samples.y.dtype == np.float64
    assert samples.unique_id.tolist() == ["web"] * 60 + ["api2"] * 60
    assert samples.y.tolist() == [14.0] * 60 + [15.0] * 60
    assert samples.ds[0] == np.datetime64("2026-03-02T11:01")
    assert samples.ds[59] == np.datetime64("2026-03-02T12:00")
    assert (samples.line == -1).all()
    assert samples.line.size == 120
    assert (samples.kind, samples.source, samples.warnings) == ("gauge", "prometheus main", ())


def test_until_is_left_out_and_the_future_is_not_asked_for():
    """Since belongs to it; a server tells old values for times to come, so none is asked after now."""
    with serving(lambda _, fields, __: ones(fields)) as server:
        source = metrics(server.url)
        edge = NOW.replace(second=0)
        assert source.samples([], edge - HOUR, edge).ds[-1] == np.datetime64("2026-03-02T11:59")
        assert source.samples([], NOW - HOUR, NOW + HOUR).ds[-1] == np.datetime64("2026-03-02T12:00")


def test_a_long_time_is_asked_in_pieces():
    """No query has more than 11,000 points, by POST, and together they are the whole time."""
    with serving(lambda _, fields, __: ones(fields)) as server:
        samples = metrics(server.url).samples([], None, None)
    assert samples.y.size == 14 * 1440
    assert (np.diff(samples.ds) == np.timedelta64(60, "s")).all()
    assert [len(grid_of(fields)) for _, _, fields, _ in server.asked] == [11_000, 14 * 1440 - 11_000]
    assert {(method, path) for method, path, _, _ in server.asked} == {("POST", "/api/v1/query_range")}
    assert {fields["timeout"] for _, _, fields, _ in server.asked} == {"30s"}


def test_a_tick_costs_one_call_a_series():
    """A hundred series, five minutes each: a hundred calls."""
    names = tuple(f"s{number}" for number in range(100))
    with serving(lambda _, fields, __: ones(fields)) as server:
        samples = metrics(server.url, names).samples([], NOW - timedelta(minutes=5), None)
    assert len(server.asked) == 100
    assert samples.y.size == 500


def test_only_what_is_named_is_asked_and_the_unknown_is_refused():
    """A series without a query is refused with the nearest name; nothing is asked for then."""
    with serving(lambda _, fields, __: ones(fields)) as server:
        source = metrics(server.url, ("web", "api"))
        assert set(source.samples(["api"], NOW - HOUR, None).unique_id) == {"api"}
        assert len(server.asked) == 1
        with pytest.raises(MetricsError, match="no query for the series wep; is web meant"):
            source.samples(["web", "wep"], NOW - HOUR, None)
        assert len(server.asked) == 1


def test_more_than_is_held_at_once_is_refused_before_anything_is_asked():
    """Memory is bounded by what is asked for."""
    names = tuple(f"s{number}" for number in range(3000))
    with pytest.raises(MetricsError, match="more than 25,000,000 samples at once; ask for fewer series"):
        metrics("http://127.0.0.1:1", names).samples([], None, None)


def test_several_series_for_one_id_are_refused_with_the_mend():
    """Two label sets are not silently the first; the others are served, and all of it is told."""

    def answer(_path, fields, _count):
        if "web" not in fields["query"]:
            return ones(fields)
        points = [(t, 1) for t in grid_of(fields)]
        return matrix(({"pod": "a"}, points), ({"pod": "b"}, points))

    with serving(answer) as server:
        samples = metrics(server.url, ("web", "api")).samples([], NOW - HOUR, None)
    assert set(samples.unique_id) == {"api"}
    (warning,) = samples.warnings
    assert warning.startswith("web: http://127.0.0.1")
    assert "query sum(web_total)" in warning
    assert '2 series answered, such as {pod="a"} and {pod="b"}; wrap the query in sum(...)' in warning


def test_a_series_that_changes_from_piece_to_piece_is_refused():
    """Label sets that follow one another are several series too."""
    with (
        serving(
            lambda _, fields, count: matrix(({"pod": str(count)}, [(int(fields["start"]), 1)]))
        ) as server,
        pytest.raises(MetricsError, match=r'change: \{pod="1"\} then \{pod="2"\}; wrap the query in sum'),
    ):
        metrics(server.url).samples([], None, None)


def test_hints_are_told_and_bind_nobody():
    """What the server says about a query's form makes no lower bound, in whichever list it stands."""
    hints = {"infos": ["PromQL info: metric might not be a counter"], "warnings": ["PromQL info: old form"]}
    with serving(lambda _, fields, __: ones(fields) | hints) as server:
        samples = metrics(server.url).samples([], NOW - HOUR, None)
    assert samples.lower_bounds == {}
    assert samples.warnings == (
        "web: PromQL info: old form",
        "web: PromQL info: metric might not be a counter",
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_answers_come_packed_and_in_chunks(packed, chunked):
    """Packing and chunked transfer make no difference."""

    def answer(_path, fields, _count):
        body = json.dumps(ones(fields)).encode()
        body = gzip.compress(body) if packed else body
        return Reply(body, headers={"Content-Encoding": "gzip"} if packed else {}, chunked=chunked)

    with serving(answer) as server:
        assert metrics(server.url).samples([], NOW - HOUR, None).y.tolist() == [1.0] * 60


def test_a_renewed_secret_counts_at_once(tmp_path):
    """Files are read when they are used; tenant and further headers are sent along."""
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    with serving(lambda _, fields, __: ones(fields)) as server:
        source = metrics(
            server.url, token_file=str(secret), tenant="team-a", headers={"X-Route": "eu"}, step_s=60
        )
        source.samples([], NOW - HOUR, None)
        secret.write_text("second")
        source.samples([], NOW - HOUR, None)
        basic = metrics(server.url, username="ann", password_file=str(secret))
        basic.samples([], NOW - HOUR, None)
        in_url = metrics(server.url.replace("//", "//bob:p%40ss@"))
        in_url.samples([], NOW - HOUR, None)
    sent = [headers for _, _, _, headers in server.asked]
    assert [one["Authorization"] for one in sent[:2]] == ["Bearer first", "Bearer second"]
    assert {one["X-Scope-OrgID"] for one in sent[:2]} == {"team-a"}
    assert {one["X-Route"] for one in sent[:2]} == {"eu"}
    assert base64.b64decode(sent[2]["Authorization"].removeprefix("Basic ")) == b"ann:second"
    assert base64.b64decode(sent[3]["Authorization"].removeprefix("Basic ")) == b"bob:p@ss"


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"token_file": "/nowhere/token"}, "token_file /nowhere/token: cannot be read"),
        ({"url": "https://127.0.0.1:1", "ca_file": "/nowhere/ca"}, "ca_file /nowhere/ca"),
        ({"url": "https://127.0.0.1:1", "cert_file": "/nowhere/cert"}, "cert_file /nowhere/cert"),
        ({"url": "prometheus:9090"}, "must begin with http"),
        ({"url": "http://prometheus?token=hunter22"}, "must end before"),
    ],
)
def test_settings_that_cannot_be_used_name_their_key(more, word):
    """A missing file or an address that is none is a MetricsError that names the source and the key."""
    url = more.pop("url", "http://127.0.0.1:1")
    with pytest.raises(MetricsError, match="prometheus main") as caught:
        metrics(url, **more).samples([], NOW - HOUR, None)
    assert word in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_an_empty_secret_is_refused(tmp_path):
    """A file that is mounted and empty is told, not sent."""
    (tmp_path / "token").write_text("\n")
    with pytest.raises(MetricsError, match="is not one line of text"):
        metrics("http://127.0.0.1:1", token_file=str(tmp_path / "token")).samples([], None, None)


def answering(path, fields, _count):
    """A server in order, whose only metric is web_total."""
    if path.endswith("buildinfo"):
        return {"status": "success", "data": {"version": "2.53.0", "application": "Grafana Mimir"}}
    if path.endswith("values"):
        return {"status": "success", "data": ["web_total", "up"]}
    if path.endswith("query"):
        at = NOW.timestamp()
        return {"status": "success", "data": {"resultType": "scalar", "result": [at, str(at)]}}
    return ones(fields) if "web_total" in fields["query"] else matrix()


def test_only_declared_calls_are_made():
    """Samples, names and the doctor together make exactly the calls of PERMISSIONS."""
    with serving(answering) as server:
        source = metrics(server.url, {"web": "sum(web_total)", "api": "sum(api_total)"})
        source.samples([], NOW - HOUR, None)
        assert source.names() == ("up", "web_total")
        source.examine()
    assert {f"{method} {path}" for method, path, _, _ in server.asked} == set(PERMISSIONS)


def test_the_doctor_finds_a_server_in_order():
    """Who answers, the clock, and each query with the age of its newest point."""
    with serving(answering) as server:
        checks = metrics(server.url).examine()
    assert [(one.what, one.ok) for one in checks] == [
        ("prometheus main answers", True),
        ("the server's clock and ours agree", True),
        ("the query of web answers", True),
    ]
    assert checks[0].why == "Grafana Mimir 2.53.0"
    assert checks[2].why == "its newest point is 60 s old"


def test_the_doctor_tells_a_clock_that_is_wrong():
    """An hour between the clocks is told with its direction."""
    with serving(answering) as server:
        checks = metrics(server.url, clock=SetClock(NOW + HOUR)).examine()
    assert checks[1].ok is False
    assert checks[1].why == "it is 3600.0 s behind ours"
    assert "NTP" in checks[1].mend


def test_the_doctor_tells_what_is_old_partial_or_refused():
    """Queries that answer badly are told one by one, each with its mend."""

    def answer(path, fields, count):
        query = fields.get("query", "")
        if "old" in query:
            return matrix(({}, [(int(fields["start"]), 1)]))
        if "part" in query:
            return ones(fields, 1) | {"isPartial": True}
        if "bad" in query:
            return Reply({"status": "error", "error": "parse error"}, status=400)
        return answering(path, fields, count)

    queries = {"old": "old_total", "part": "part_total", "bad": "bad_total(", "web": "web_total"}
    with serving(answer) as server:
        checks = {one.what.split()[-2]: one for one in metrics(server.url, queries).examine()[2:]}
    assert [checks[name].ok for name in queries] == [False, False, False, True]
    assert "newest point is 60 min old" in checks["old"].why
    assert "isPartial" in checks["part"].why
    assert "parse error" in checks["bad"].why
    assert checks["bad"].mend == "mend the query"


def test_the_doctor_stops_where_nobody_answers():
    """One check with the mend, not one for each query."""
    (check,) = metrics("http://127.0.0.1:1", ("web", "api")).examine()
    assert check.ok is False
    assert "no connection" in check.why
    assert check.mend
    settings = {"token_file": "/nowhere/token"}
    (check,) = metrics("http://127.0.0.1:1", **settings).examine()
    assert check.ok is False
    assert "token_file" in check.why
