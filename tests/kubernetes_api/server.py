"""A faithful fake of the API server, over HTTP on loopback: what the adapter uses, and how it fails."""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import dataclass
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.kubernetes_api.store import KINDS, Rejected, Store

PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
REVIEWING = "create authorization.k8s.io/selfsubjectaccessreviews"
VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
HANG_S = 5.0


@dataclass(frozen=True)
class Call:
    """One request as it came; `right` is how RBAC names it."""

    right: str
    path: str
    query: dict
    body: dict | None


@dataclass
class Fault:
    """What goes wrong with calls of a right: a status, "hang", "lost" (done, no reply), "truncated", "page"
    (a login page with 200), "expired" (410 with a fresh token), "gone" (410 without one).
    """

    right: str
    what: int | str
    times: int = 1
    after: int = 0
    retry_after: int | None = None


class FakeApi:
    """A cluster's API at `url`, until `close`. `clock` gives its stamps and its Date.

    `denied` are rights that it refuses, `absent` groups that are not installed. `token` is asked for where
    it is not "". Everything that was asked is in `calls`.
    """

    def __init__(self, clock, *, token="", absent=()):
        self.clock, self.token, self.absent = clock, token, set(absent)
        self.store = Store(clock.now)
        self.denied = set()
        self.calls = []
        self.meanwhile = {}  # right to what somebody does just before a call of it, once
        self._faults = []
        self._freed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self):
        self._freed.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def kubeconfig(self, path, *, token=None):
        """Write a kubeconfig of this server; the path as text."""
        token = self.token if token is None else token
        named = {
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
        }
        text = {"apiVersion": "v1", "kind": "Config", "current-context": "fake", **named}
        path.write_text(json.dumps(text))
        return str(path)

    def fail(self, right, what, **how):
        """Let the next calls of a right go wrong; see `Fault`."""
        self._faults.append(Fault(right, what, **how))

    def heal(self):
        """No more faults."""
        self._faults.clear()

    def rights(self):
        """Every right that was made use of."""
        return {call.right for call in self.calls}

    def made(self, right):
        """The calls of one right."""
        return [call for call in self.calls if call.right == right]

    def fault(self, right):
        """The fault of this call, counted down."""
        with self.store.lock:
            for fault in self._faults:
                if fault.right != right or not fault.times:
                    continue
                if fault.after:
                    fault.after -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    def hang(self):
        self._freed.wait(HANG_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments):
        self._open = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self):
        for request in list(self._open):
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its client was faster

    def handle_error(self, request, client_address):
        """A client that went away is no error of the server."""


class _Handler(BaseHTTPRequestHandler):
    api: FakeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Tests have their own words."""

    def date_time_string(self, _timestamp=None):
        return format_datetime(self.api.clock.now(), usegmt=True)

    def do_GET(self):
        self._serve()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

    def _serve(self):
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        kind, right, where = self._right(parts.path)
        self.api.calls.append(Call(right, parts.path, query, body))
        self.api.meanwhile.pop(right, lambda: None)()
        fault = self.api.fault(right)
        if fault is not None and self._spoilt_before(fault, query):
            return
        try:
            self._known()
            code, answer = self._answer(kind, right, where, query=query, body=body)
        except Rejected as rejected:
            code, answer = rejected.code, _status(rejected)
        if fault is not None and fault.what == "lost":
            self.close_connection = True
            return
        text = json.dumps(answer).encode()
        self._send(code, text, cut=fault is not None and fault.what == "truncated")

    def _right(self, path):
        found = PATH.fullmatch(path)
        if path == REVIEW:
            return None, REVIEWING, {}
        if not found:
            return None, f"{self.command.lower()} {path}", {}
        where = {name: unquote(value or "") for name, value in found.groupdict().items()}
        if not where["plural"] or where["group"] in self.api.absent:
            return None, f"{self.command.lower()} {path}", where
        kinds = [one for one in KINDS if (one.group, one.version, one.plural) == _key(where)]
        verb = VERBS.get(self.command) or ("get" if where["name"] else "list")
        if not kinds:
            return None, f"{verb} {path}", where
        sub = f"/{where['sub']}" if where["sub"] else ""
        return kinds[0], f"{verb} {kinds[0].right}{sub}", where

    def _spoilt_before(self, fault, query):
        """Whether the fault alone is the answer."""
        if fault.what == "hang":
            self.api.hang()
            self.close_connection = True
        elif fault.what == "page":
            self._send(200, b"<html>please log in</html>", content_type="text/html")
        elif fault.what in {"expired", "gone"}:
            token = self.api.store.fresh_token(query["continue"]) if fault.what == "expired" else ""
            rejected = Rejected(410, "Expired", "The provided continue parameter is too old", token=token)
            self._send(410, json.dumps(_status(rejected)).encode())
        elif isinstance(fault.what, int):
            rejected = Rejected(fault.what, REASONS[fault.what], f"injected {REASONS[fault.what]}")
            self._send(fault.what, json.dumps(_status(rejected)).encode(), retry_after=fault.retry_after)
        else:
            return False
        return True

    def _known(self):
        if self.api.token and self.headers.get("Authorization") != f"Bearer {self.api.token}":
            raise Rejected(401, "Unauthorized", "Unauthorized")

    def _answer(self, kind, right, where, *, query, body):
        api = self.api
        if right == "get /version":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0-fake"}
        if right == REVIEWING:
            return 201, {**body, "status": self._review(body["spec"]["resourceAttributes"])}
        if kind is None:
            raise Rejected(404, "NotFound", "the server could not find the requested resource")
        if right in api.denied:
            verb = right.partition(" ")[0]
            resource = f"{kind.plural}{'/' + where['sub'] if where['sub'] else ''}"
            group = f'API group "{kind.group}"'
            why = f'{resource} is forbidden: User "me" cannot {verb} resource "{resource}" in {group}'
            raise Rejected(403, "Forbidden", why)
        namespace, name = where["namespace"], where["name"]
        if self.command == "GET":
            if not name:
                return 200, api.store.page(kind, namespace, query)
            return 200, _shown(kind, api.store.get(kind, namespace, name), where["sub"])
        return self._change(kind, where, query=query, body=body)

    def _change(self, kind, where, *, query, body):
        store, namespace, name, sub = self.api.store, where["namespace"], where["name"], where["sub"]
        manager, dry = query.get("fieldManager") or "unknown", query.get("dryRun") == "All"
        if self.command == "POST":
            return 201, store.create(kind, namespace, body, manager, dry=dry)
        if self.command == "DELETE":
            return 200, store.delete(kind, namespace, name)
        how = {"subresource": sub, "dry": dry}
        if self.headers["Content-Type"] == "application/apply-patch+yaml":
            force = query.get("force") == "true"
            item = store.apply(kind, namespace, name, body, manager, force=force, **how)
        elif self.headers["Content-Type"] == "application/merge-patch+json":
            item = store.merge(kind, namespace, name, body, manager, **how)
        else:
            raise Rejected(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        return 200, _shown(kind, item, sub)

    def _review(self, asked):
        group = f"{asked['group']}/" if asked.get("group") else ""
        sub = f"/{asked['subresource']}" if asked.get("subresource") else ""
        right = f"{asked['verb']} {group}{asked['resource']}{sub}"
        return {"allowed": right not in self.api.denied, "reason": "as the test has it"}

    def _send(self, code, text, *, content_type="application/json", retry_after=None, cut=False):
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self._headers_buffer.append(b"\r\n")
        head, self._headers_buffer = b"".join(self._headers_buffer), []
        self.wfile.write(head + (text[: len(text) // 2] if cut else text))
        if cut:
            self.close_connection = True


def _key(where):
    return where["group"], where["version"], where["plural"]


def _shown(kind, item, sub):
    if sub != "scale":
        return item
    metadata = {
        name: item["metadata"][name]
        for name in ("name", "namespace", "uid", "resourceVersion")
        if name in item["metadata"]
    }
    replicas = item["spec"]["replicas"]
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": item.get("status", {}).get("replicas", 0)},
    }


def _status(rejected):
    answer = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {"continue": rejected.token} if rejected.token else {},
        "status": "Failure",
        "message": rejected.message,
        "reason": rejected.reason,
        "code": rejected.code,
    }
    if rejected.causes:
        answer["details"] = {"causes": list(rejected.causes)}
    return answer
