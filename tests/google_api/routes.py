"""The calls that the server knows, the permission and the parameters of each, and how they may go wrong."""

from __future__ import annotations

from dataclasses import dataclass

ROOT = "/compute/v1/projects/shop"
ZONES = ("us-central1-a", "us-central1-b", "us-central1-c", "europe-west1-b")
REGIONS = ("us-central1", "europe-west1")
MOST = {"zones": 1000, "regions": 2000}
LISTING = frozenset({"maxResults", "pageToken", "returnPartialSuccess"})

GROUPS = r"/(?P<scope>zones|regions)/(?P<location>[^/]+)/instanceGroupManagers/(?P<name>[^/]+)"
SCALERS = r"/(?P<scope>zones|regions)/(?P<location>[^/]+)/autoscalers"
INSTANCE = r"/zones/(?P<location>[^/]+)/instances/(?P<name>[^/]+)"
MANAGERS = "compute.instanceGroupManagers"
ROUTES = (
    ("GET", "/aggregated/instanceGroupManagers", f"{MANAGERS}.list", "list_groups", LISTING),
    ("GET", "/aggregated/autoscalers", "compute.autoscalers.list", "list_scalers", LISTING),
    ("GET", "/aggregated/instances", "compute.instances.list", "list_instances", LISTING | {"filter"}),
    ("POST", f"{INSTANCE}/start", "compute.instances.start", "start", frozenset({"requestId"})),
    ("POST", f"{INSTANCE}/stop", "compute.instances.stop", "stop", frozenset({"requestId"})),
    ("GET", "/zones", "compute.zones.list", "list_zones", LISTING),
    ("GET", GROUPS, f"{MANAGERS}.get", "get_group", frozenset()),
    ("GET", f"{GROUPS}/listErrors", f"{MANAGERS}.get", "list_errors", LISTING),
    ("POST", f"{GROUPS}/resize", f"{MANAGERS}.update", "resize", frozenset({"size", "requestId"})),
    ("GET", f"{SCALERS}/(?P<name>[^/]+)", "compute.autoscalers.get", "get_scaler", frozenset()),
    ("PATCH", SCALERS, "compute.autoscalers.update", "patch", frozenset({"autoscaler", "requestId"})),
    ("POST", f"{SCALERS}/(?P<name>[^/]+)/testIamPermissions", "", "rights", frozenset()),
    (
        "GET",
        r"/zones/(?P<location>[^/]+)/operations/(?P<name>[^/]+)",
        "compute.zoneOperations.get",
        "get_operation",
        frozenset(),
    ),
    (
        "GET",
        r"/regions/(?P<location>[^/]+)/operations/(?P<name>[^/]+)",
        "compute.regionOperations.get",
        "get_operation",
        frozenset(),
    ),
)


class RefusedError(Exception):
    """An answer that is an error, as the API writes it."""

    def __init__(self, status, reason, message, **headers):
        super().__init__(message)
        self.status, self.headers = status, headers
        errors = [{"domain": "global", "reason": reason, "message": message}]
        self.body = {"error": {"code": status, "message": message, "errors": errors}}


@dataclass
class Fault:
    """What happens to the next `times` calls that `where` ("GET /zones") is found in, after `skip` of them.

    `error` is answered; `lost`: the connection ends, "before" or "after" the call is done; `page` is answered
    as HTML with 200.
    """

    where: str
    error: RefusedError | None = None
    lost: str = ""
    page: str = ""
    times: int = 1
    skip: int = 0
