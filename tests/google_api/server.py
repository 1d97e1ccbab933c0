"""A strict server of a part of Compute Engine: instance groups, autoscalers, instances, operations, zones.

It answers over HTTP on the loopback, keeps state, and refuses what the API would refuse: fields and
parameters that are not there, sizes out of bounds, a resize beside an autoscaler that is on, a reused request
id. `calls` are those that came, `used` the permissions that they needed.

    with serving() as api:
        api.group("us-central1-a", "web", 4)
        provider = google.connect(GoogleProvider(name="g", project=api.project, endpoint_url=api.url), clock)
"""

from __future__ import annotations

import copy
import json
import re
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.google_api.routes import MOST, REGIONS, ROOT, ROUTES, ZONES, RefusedError


@dataclass
class GoogleApi:
    """The server's state, in the shapes of the API."""

    url: str = ""
    project: str = "shop"
    page: int = 500  # the most entries of a page
    polls: int = 1  # so often an operation is asked for until it is done
    lag: int = 0  # so many reads of a group show it as it was before the newest change
    date: float | None = None  # of the header Date, seconds since 1970
    groups: dict = field(default_factory=dict)
    scalers: dict = field(default_factory=dict)
    instances: dict = field(default_factory=dict)
    operations: dict = field(default_factory=dict)
    requests: dict = field(default_factory=dict)
    failures: dict = field(default_factory=dict)  # errors of a group's units
    operation_errors: list = field(default_factory=list)  # the next operation ends with them, nothing is done
    down: set = field(default_factory=set)
    unreachable: set = field(default_factory=set)  # scopes, such as zones/us-central1-b
    denied: set = field(default_factory=set)
    faults: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    used: set = field(default_factory=set)
    strangers: list = field(default_factory=list)  # calls that this server does not know
    before: dict = field(default_factory=dict)

    def group(self, location, name, size, *, scaler=None, **fields):
        """Make a group whose units all serve; `scaler`: an autoscaler's (minimum, maximum), or its policy."""
        scope = "regions" if location in REGIONS else "zones"
        path = f"{self.url}{ROOT}/{scope}/{location}"
        made = {
            "name": name,
            "selfLink": f"{path}/instanceGroupManagers/{name}",
            "fingerprint": "f0",
            "targetSize": size,
            "instanceTemplate": f"{self.url}{ROOT}/global/instanceTemplates/{name}-1",
            "currentActions": {"none": size},
            "status": {"isStable": True, "versionTarget": {"isReached": True}},
            "updatePolicy": {"type": "OPPORTUNISTIC"},
            "distributionPolicy": {
                "zones": [
                    {"zone": f"{self.url}{ROOT}/zones/{zone}"} for zone in ZONES if zone.startswith(location)
                ]
            }
            if scope == "regions"
            else {},
        }
        if scaler is not None:
            policy = (
                scaler
                if isinstance(scaler, dict)
                else {"minNumReplicas": scaler[0], "maxNumReplicas": scaler[1]}
            )
            made["status"]["autoscaler"] = f"{path}/autoscalers/{name}-as"
            self.scalers[location, f"{name}-as"] = {
                "name": f"{name}-as",
                "selfLink": f"{path}/autoscalers/{name}-as",
                "target": made["selfLink"],
                "status": "ACTIVE",
                "autoscalingPolicy": {"mode": "ON"} | policy,
            }
        self.groups[location, name] = merged(made, fields)
        return self.groups[location, name]

    def instance(self, zone, name, *, pool="", status="RUNNING", group="", started=0, **labels):
        """Make an instance with the label of a pool; `group` made it, `started` is a minute of that day."""
        path = f"{self.url}{ROOT}/zones/{zone}"
        maker = f"projects/1/zones/{zone}/instanceGroupManagers/{group}"
        self.instances[zone, name] = {
            "id": str(1000 + len(self.instances)),
            "name": name,
            "zone": path,
            "selfLink": f"{path}/instances/{name}",
            "status": status,
            "labels": ({"loadline-pool": pool} if pool else {}) | labels,
            "lastStartTimestamp": f"2026-03-02T0{started // 60}:{started % 60:02}:00.000-08:00",
            "metadata": {"items": [{"key": "created-by", "value": maker}] if group else []},
        }
        return self.instances[zone, name]

    def settle_instances(self):
        """Let every instance that is on its way arrive."""
        ends = {"STAGING": "RUNNING", "STOPPING": "TERMINATED"}
        for one in self.instances.values():
            one["status"] = ends.get(one["status"], one["status"])

    def settle(self, location, name):
        """Let the group's units come and go as they were asked to."""
        found = self.groups[location, name]
        found["currentActions"] = {"none": found["targetSize"]}
        found["status"]["isStable"] = True

    def count(self, part):
        """How many calls came whose method and path hold that text."""
        return sum(part in call for call in self.calls)

    # What each route does.

    def list_groups(self, _at, query, _body):
        return self._aggregated(self.groups, "instanceGroupManagers", query)

    def list_scalers(self, _at, query, _body):
        return self._aggregated(self.scalers, "autoscalers", query)

    def list_instances(self, _at, query, _body):
        asked = re.fullmatch(r'labels\.([a-z-]+)(?::\*|="([a-z0-9_-]+)")', query.get("filter", ""))
        if asked is None:
            raise RefusedError(400, "invalid", f"Invalid value for field 'filter': '{query.get('filter')}'.")
        label, value = asked.groups()
        found = {
            key: row
            for key, row in self.instances.items()
            if label in row["labels"] and value in {None, row["labels"][label]}
        }
        return self._aggregated(found, "instances", query)

    def start(self, at, query, _body):
        return self._turned(at, query, "TERMINATED", "STAGING", "start")

    def stop(self, at, query, _body):
        return self._turned(at, query, "RUNNING", "STOPPING", "stop")

    def _turned(self, at, query, before, after, kind):
        at = {**at, "scope": "zones"}
        found = self._found(self.instances, at, "instances")

        def done():
            if found["status"] != before:
                raise RefusedError(400, "resourceNotReady", f"The instance is {found['status']}.")
            found["status"] = after

        return self._operation(at, query, kind, done)

    def list_zones(self, _at, query, _body):
        rows = [{"name": zone, "status": "DOWN" if zone in self.down else "UP"} for zone in ZONES]
        rows, token = self._cut(rows, query)
        return {"items": rows} | token

    def get_group(self, at, _query, _body):
        key = at["location"], at["name"]
        if self.lag and key in self.before:
            self.lag -= 1
            return self.before[key]
        return self._found(self.groups, at, "instanceGroupManagers")

    def get_scaler(self, at, _query, _body):
        return self._found(self.scalers, at, "autoscalers")

    def list_errors(self, at, query, _):
        self._found(self.groups, at, "instanceGroupManagers")
        rows, token = self._cut(self.failures.get((at["location"], at["name"]), []), query)
        return {"items": rows} | token

    def resize(self, at, query, _):
        if "size" not in query or not query["size"].isdigit() or int(query["size"]) > MOST[at["scope"]]:
            raise RefusedError(400, "invalid", f"Invalid value for field 'size': '{query.get('size')}'.")
        found, size = self._found(self.groups, at, "instanceGroupManagers"), int(query["size"])
        scaler = self._scaler_of(found)
        if scaler is not None and scaler["autoscalingPolicy"]["mode"] != "OFF":
            raise RefusedError(
                400, "invalid", "The group has an autoscaler that is on: resize is not allowed."
            )
        return self._operation(at, query, "resize", lambda: self._target(at, size))

    def patch(self, at, query, body):
        at = {**at, "name": query.get("autoscaler", "")}
        found = self._found(self.scalers, at, "autoscalers")
        known = {"description", "autoscalingPolicy"}
        policy = body.get("autoscalingPolicy", {})
        strange = (set(body) - known) | (set(policy) - {"minNumReplicas", "maxNumReplicas"})
        if strange:
            raise RefusedError(400, "invalid", f"Unknown or unexpected fields: {sorted(strange)}")
        bounds = found["autoscalingPolicy"] | policy
        if not 0 <= bounds["minNumReplicas"] <= bounds["maxNumReplicas"]:
            raise RefusedError(400, "invalid", "minNumReplicas must be between 0 and maxNumReplicas.")

        def done():
            found.update(merged(found, body))
            group = next(one for one in self.groups.values() if one["selfLink"] == found["target"])
            size = min(max(group["targetSize"], bounds["minNumReplicas"]), bounds["maxNumReplicas"])
            if size != group["targetSize"] and found["autoscalingPolicy"]["mode"] != "OFF":
                self._target({**at, "name": group["name"]}, size)

        return self._operation(at, {**query, "body": json.dumps(body, sort_keys=True)}, "patch", done)

    def rights(self, at, _query, body):
        self._found(self.scalers, at, "autoscalers")
        return {"permissions": [name for name in body["permissions"] if name not in self.denied]}

    def get_operation(self, at, _query, _body):
        found = self._found(self.operations, at, "operations")
        found["left"] -= 1
        return self._told(found)

    # What they share.

    def _aggregated(self, rows, noun, query):
        if self.unreachable and query.get("returnPartialSuccess") != "true":
            raise RefusedError(503, "backendError", "Some scopes are unreachable.")
        reached = [(key, row) for key, row in rows.items() if _scope(row) not in self.unreachable]
        entries, token = self._cut(reached, query)
        items = {f"zones/{zone}": {} for zone in ZONES} | {f"regions/{name}": {} for name in REGIONS}
        for _, row in entries:
            items[_scope(row)].setdefault(noun, []).append(row)
        for scope, part in items.items():
            if scope in self.unreachable:
                part["warning"] = {"code": "UNREACHABLE", "message": f"{scope} cannot be reached"}
            elif not part:
                part["warning"] = {"code": "NO_RESULTS_ON_PAGE", "message": f"no results in {scope}"}
        return {"items": items, "unreachables": sorted(self.unreachable)} | token

    def _cut(self, rows, query):
        most = int(query.get("maxResults", 500))
        if not 0 < most <= 500:
            raise RefusedError(400, "invalid", "Invalid value for field 'maxResults'.")
        begin, most = int(query.get("pageToken", 0)), min(most, self.page)
        ends = begin + most
        return rows[begin:ends], ({"nextPageToken": str(ends)} if ends < len(rows) else {})

    def _found(self, rows, at, noun):
        found = rows.get((at["location"], at["name"]))
        if found is None or at.get("scope") not in {None, _scope(found).partition("/")[0]}:
            path = f"projects/{self.project}/{noun}/{at['name']}"
            raise RefusedError(404, "notFound", f"The resource '{path}' was not found")
        return found

    def _scaler_of(self, group):
        link = group["status"].get("autoscaler", "")
        return next((one for one in self.scalers.values() if one["selfLink"] == link), None)

    def _target(self, at, size):
        key = at["location"], at["name"]
        found = self.groups[key]
        self.before[key] = copy.deepcopy(found)
        actions, change = found["currentActions"], size - found["targetSize"]
        if change > 0:
            actions["creating"] = actions.get("creating", 0) + change
        elif change < 0:
            actions["deleting"] = actions.get("deleting", 0) - change
            actions["none"] = max(0, actions["none"] + change)
        found["status"]["isStable"] = found["status"]["isStable"] and not change
        found["targetSize"] = size
        found["fingerprint"] = f"f{int(found['fingerprint'][1:]) + 1}"

    def _operation(self, at, query, kind, done):
        wish = (kind, at["location"], at["name"], tuple(sorted(query.items())))
        request = query.get("requestId", "")
        if request and uuid.UUID(request).int == 0:
            raise RefusedError(400, "invalid", "The zero UUID is no request id.")
        if request in self.requests:
            first, name = self.requests[request]
            if first != wish:
                raise RefusedError(400, "invalid", f"Request id {request} was used for another request.")
            return self._told(self.operations[at["location"], name])
        name = f"operation-{len(self.operations) + 1}"
        errors, self.operation_errors = self.operation_errors, []
        if not errors:
            done()
        found = {"name": name, "left": self.polls, "errors": errors}
        found["selfLink"] = f"{self.url}{ROOT}/{at['scope']}/{at['location']}/operations/{name}"
        self.operations[at["location"], name] = found
        self.requests[request] = wish, name
        return self._told(found)

    def _told(self, found):
        ended = found["left"] <= 0
        told = {
            "name": found["name"],
            "selfLink": found["selfLink"],
            "status": "DONE" if ended else "PENDING",
        }
        return told | ({"error": {"errors": found["errors"]}} if ended and found["errors"] else {})

    def answer(self, method, url, body):
        """The answer to a call: what is sent, or RefusedError; None: the connection ends without one."""
        split = urlsplit(url)
        query, path = dict(parse_qsl(split.query)), split.path.removeprefix(ROOT)
        self.calls.append(f"{method} {path}")
        fault = self._fault(f"{method} {path}")
        if fault is not None and fault.error is not None:
            raise fault.error
        if fault is not None and (fault.page or fault.lost == "before"):
            return fault.page or None
        told = self._route(method, path, query, body)
        return None if fault is not None else json.dumps(told)

    def _route(self, method, path, query, body):
        for verb, pattern, permission, name, parameters in ROUTES:
            found = re.fullmatch(pattern, path)
            if found is None or verb != method:
                continue
            if set(query) - parameters - {"$alt"}:
                raise RefusedError(400, "invalid", f"Unknown parameters {sorted(set(query) - parameters)}")
            self.used |= {permission} - {""}
            if permission in self.denied:
                why = f"Required '{permission}' permission for 'projects/{self.project}{path}'"
                raise RefusedError(403, "forbidden", why)
            return getattr(self, name)(found.groupdict(), query, body)
        self.strangers.append(f"{method} {path}")
        raise RefusedError(404, "notFound", f"{method} {path} is no call of this server")

    def _fault(self, call):
        for fault in self.faults:
            if fault.where in call and fault.times:
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None


def merged(old, patch):
    """JSON merge patch."""
    both = dict(old)
    for name, value in patch.items():
        both[name] = merged(old.get(name, {}), value) if isinstance(value, dict) else value
    return both


def _scope(row):
    return "/".join(row["selfLink"].split("/")[-4:-2])


@contextmanager
def serving():
    """A server on a free port of the loopback, ended afterwards."""
    api, turn = GoogleApi(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 30

        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, headers = 200, {}
            with turn:
                try:
                    text = api.answer(self.command, self.path, body)
                except RefusedError as error:
                    status, headers, text = error.status, error.headers, json.dumps(error.body)
            if text is None:
                self.close_connection = True
                return
            self.send_response_only(status)
            page = text.startswith("<")
            told = {
                "Content-Type": "text/html" if page else "application/json",
                "Date": formatdate(api.date, usegmt=True),
            }
            sent = text.encode()
            for name, value in {**told, "Content-Length": len(sent), **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            self.wfile.write(sent)

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - as the class asks for

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
