"""Requests to a server of Prometheus' API: one deadline, few retries, failures in one line with the mend."""

from __future__ import annotations

import json
import os
import threading
import zlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit

from urllib3 import PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from autoscaler.errors import MetricsError
from autoscaler.metrics.prometheus_access import access

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

    from autoscaler.connections import PrometheusSource
    from autoscaler.ports import Clock

CONNECT_S = 3.0
AT_ONCE = 8
ATTEMPTS = 3
REST_S = 0.5  # before the second attempt, twice that before the third, less up to a half at random
MOST_RETRIES = 32  # of all requests together: a server in need is not asked three times as often
LARGEST = 16 * 2**20  # bytes of an answer, unpacked
PIECE = 65_536
SHOWN = 300  # letters of a query, or of what a server said

_MENDS = {
    400: "mend the query",
    401: "give username and password_file, or token_file, that the server takes",
    403: "give the user or the tenant the right to query",
    404: "let `url` end where /api/v1 begins (such as /prometheus, /select/0/prometheus)",
    405: "let what stands before the server pass POST",
    413: "narrow the query, or wrap it in sum(...)",
    422: "mend the query, or make it cheaper with a recording rule",
    429: "raise the server's limits for us, or lengthen `step`",
}
_LATER = "narrow the query, record it with a rule, or raise `timeout`"
_FOR_ALL = frozenset({401, 403, 404, 405, 407, 511})  # every other request would be answered alike


class Unanswered(MetricsError):
    """A request that was not answered soundly. `mend` is also at the end of the message."""

    def __init__(self, place: str, why: str, mend: str) -> None:
        """`place` is address and query."""
        super().__init__(f"{place}: {why}; {mend}")
        self.why, self.mend = why, mend


class Unusable(Unanswered):
    """The server as a whole does not serve us: another query would fare no better."""


class _AgainError(Exception):
    """May be answered at another attempt, `after` so many seconds where the server said so."""

    def __init__(
        self, why: str, mend: str, *, after: float | None = None, kind: type[Unanswered] = Unanswered
    ) -> None:
        super().__init__(why)
        self.why, self.mend, self.after, self.kind = why, mend, after, kind


class Conversation:
    """Requests to one server that share connections and a deadline; for several threads."""

    def __init__(self, source: PrometheusSource, clock: Clock) -> None:
        """The deadline begins now. MetricsError where credentials cannot be read."""
        self._access = access(source)
        self._source, self._clock = source, clock
        self._ends = clock.monotonic() + source.deadline_s
        self._turn = threading.Lock()
        self._retries = MOST_RETRIES
        tls = {} if self._access.tls is None else {"ssl_context": self._access.tls}
        self._pool = PoolManager(maxsize=AT_ONCE, block=True, retries=False, **tls)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def post(self, path: str, query: str, **fields: int | str) -> dict[str, Any]:
        """The answer to a query, as its envelope; Unanswered, Unusable."""
        limit = f"{self._source.timeout_s}s"
        body = urlencode({"query": query, **fields, "timeout": limit})
        return self._asked("POST", path, body, query)

    def get(self, path: str, **fields: int | str) -> dict[str, Any]:
        """The answer of a path that takes no query; Unanswered, Unusable."""
        return self._asked("GET", f"{path}?{urlencode(fields)}" if fields else path, None, "")

    def fault(self, query: str, why: str, mend: str, kind: type[Unanswered] = Unanswered) -> Unanswered:
        """An error that names address and query and shows no secret."""
        shown = f"{query[:SHOWN]}..." if len(query) > SHOWN else query
        place = f"{self._access.url}: query {' '.join(shown.split())}" if query else self._access.url
        return kind(self._access.hidden(place), self._access.hidden(why), mend)

    def late(self, query: str) -> Unanswered:
        """The error of what the deadline cut off."""
        why = f"no answer within the {self._source.deadline_s} s for all queries of the source together"
        return self.fault(query, why, "narrow the queries, record them with rules, or lengthen `step`")

    def hidden(self, text: str) -> str:
        """The text in one line, without our secrets."""
        return self._access.hidden(text)

    def _asked(self, method: str, path: str, body: str | None, query: str) -> dict[str, Any]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(method, path, body, query)
            except _AgainError as error:
                rest = self._rest(error, attempt, query)
                if rest is None:
                    tried = f" ({attempt} attempts)" if attempt > 1 else ""
                    raise self.fault(query, f"{error.why}{tried}", error.mend, error.kind) from error
                self._clock.sleep(rest)
        raise AssertionError(attempt)

    def _rest(self, error: _AgainError, attempt: int, query: str) -> float | None:
        """Seconds until the next attempt, None where there is none."""
        # From who asks what: unlike for each process, and no generator that threads share.
        share = zlib.crc32(f"{os.getpid()} {query} {attempt}".encode()) / 2**32
        rest = REST_S * 2 ** (attempt - 1) * (1 - share / 2)
        rest = rest if error.after is None else error.after + rest * share
        if attempt == ATTEMPTS or self._left() <= rest:
            return None
        with self._turn:
            self._retries -= 1
            return rest if self._retries >= 0 else None

    def _left(self) -> float:
        return self._ends - self._clock.monotonic()

    def _once(self, method: str, path: str, body: str | None, query: str) -> dict[str, Any]:
        left = self._left()
        if left <= 0:
            raise self.late(query)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", **self._access.headers}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        limit = Timeout(connect=min(CONNECT_S, left), read=min(self._source.timeout_s, left))
        url = f"{self._access.url}{path}"
        try:
            response = self._pool.request(
                method, url, body=body, headers=headers, timeout=limit, redirect=False, preload_content=False
            )
            try:
                text = self._read(response, query)
            finally:
                response.release_conn()
        except HTTPError as error:
            raise self._troubled(error, query) from error
        return self._envelope(response, text, query)

    def _read(self, response: BaseHTTPResponse, query: str) -> bytes:
        """The body, as far as size and deadline go: one that drips is not waited for."""
        pieces, size = [], 0
        while piece := response.read1(PIECE, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            late = self._left() <= 0
            if late or size > LARGEST:
                response.close()
                raise self.late(query) if late else self.fault(query, _too_large(), _MENDS[413])
        return b"".join(pieces)

    def _troubled(self, error: HTTPError, query: str) -> Exception:
        """What became of a request that got no answer."""
        host = urlsplit(self._access.url).hostname
        if isinstance(error, SSLError):
            return self.fault(query, f"TLS failed: {_reason(error)}", _tls_mend(str(error)), Unusable)
        if isinstance(error, NameResolutionError):
            return _AgainError(f"the name {host} is not known", "mend `url` or the DNS", kind=Unusable)
        if isinstance(error, ConnectTimeoutError | NewConnectionError):
            mend = "is the server up, and let through?"
            return _AgainError(f"no connection: {_reason(error)}", mend, kind=Unusable)
        if isinstance(error, ReadTimeoutError):
            return _AgainError(f"no answer within {self._source.timeout_s} s", _LATER)
        return _AgainError(
            f"the answer broke off: {_reason(error)}", "look at what stands between us and the server"
        )

    def _envelope(self, response: BaseHTTPResponse, text: bytes, query: str) -> dict[str, Any]:
        """The answer's JSON object where the request succeeded."""
        status = response.status
        told = _parsed(text)
        if 200 <= status < 300 and told is not None and told.get("status") == "success":
            return told
        error = "" if told is None else str(told.get("error", ""))[:SHOWN]
        said = f": {error}" if error else ""
        if 300 <= status < 400:
            where = response.headers.get("Location", "").partition("?")[0].rpartition("@")[2][:SHOWN]
            why = f"HTTP {status}, which sends us to {where}"
            raise self.fault(query, why, "is it a log-in page? give credentials, or mend `url`", Unusable)
        if status in {408, 429} or status >= 500:
            after = self._after(response)
            wait = "" if after is None else f", and to ask again in {after:g} s"
            raise _AgainError(f"HTTP {status}{said}{wait}", _MENDS.get(status, _LATER), after=after)
        if status >= 400:
            kind = Unusable if status in _FOR_ALL else Unanswered
            raise self.fault(query, f"HTTP {status}{said}", _MENDS.get(status, _MENDS[400]), kind)
        if told is not None:
            raise self.fault(query, f"the server says {told.get('status')!r}{said}"[:SHOWN], _MENDS[400])
        if text.lstrip()[:1] == b"<":
            mend = "is it a log-in page? give credentials, or mend `url`"
            raise self.fault(query, "a web page came instead of JSON", mend, Unusable)
        why = f"what came is not a whole JSON object ({len(text):,} bytes)"
        raise self.fault(query, why, "look at what stands between us and the server, and at `url`")

    def _after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds that Retry-After asks for, None without it."""
        value = response.headers.get("Retry-After", "")
        if value.isdecimal():
            return float(value)
        try:
            return max(0.0, (parsedate_to_datetime(value) - self._clock.now()).total_seconds())
        except (TypeError, ValueError):  # neither seconds nor a date with its zone
            return None


def _too_large() -> str:
    return f"the answer is larger than {LARGEST // 2**20} MiB"


def _parsed(text: bytes) -> dict[str, Any] | None:
    """A JSON object, None where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _reason(error: HTTPError) -> str:
    """What the system said, without the objects that urllib3 shows."""
    return str(error).rpartition("): ")[2][:SHOWN]


def _tls_mend(text: str) -> str:
    if "expired" in text:
        return "renew the server's certificate (or ours, `cert_file`), or look at the clock"
    if "Hostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        return "name in `url` what the server's certificate names"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "name in `ca_file` who issued the server's certificate"
    return "does it speak TLS, and does it ask for `cert_file` and `key_file`?"
