"""The calls to Compute Engine that are made, each by the permission it needs, each with a deadline."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from autoscaler.connections import NOTHING, GoogleProvider
from autoscaler.google_cloud import CALL_S, client, told, trying
from autoscaler.providers.google.places import Place
from autoscaler.transport import refuse_late

PAGE = 500  # the largest that the API gives
GROUPS = ("InstanceGroupManagersClient", "RegionInstanceGroupManagersClient")
AUTOSCALERS = ("AutoscalersClient", "RegionAutoscalersClient")
OPERATIONS = ("ZoneOperationsClient", "RegionOperationsClient")
# A zone that does not answer hides itself alone, not everything; the library's requests have no such field.
PARTLY: Mapping[str, str] = MappingProxyType({"returnPartialSuccess": "true"})


class Compute:
    """Compute Engine of one project. Answers are the library's own messages; errors are ours."""

    def __init__(self, settings: GoogleProvider) -> None:
        """Denied where there are no credentials; nothing is asked yet."""
        self._settings = settings
        self._clients: dict[str, tuple[tuple[int, int], Any]] = {}
        self._turn = threading.Lock()
        self._date = ""
        self._client(GROUPS[0])
        self._retry = trying()

    @property
    def date(self) -> str:
        """The header Date of the newest answer, "" before there is one."""
        return self._date

    def groups(self) -> Iterator[Any]:
        """Every page of the groups of all zones and regions."""
        return self._pages(GROUPS[0], "aggregated_list", "compute.instanceGroupManagers.list")

    def autoscalers(self) -> Iterator[Any]:
        """Every page of the autoscalers of all zones and regions."""
        return self._pages(AUTOSCALERS[0], "aggregated_list", "compute.autoscalers.list")

    def instances(self, which: str) -> Iterator[Any]:
        """Every page of the instances of all zones that the filter lets through."""
        return self._pages("InstancesClient", "aggregated_list", "compute.instances.list", {"filter": which})

    def zones(self) -> Iterator[Any]:
        """Every page of the zones."""
        return self._pages("ZonesClient", "list", "compute.zones.list")

    def group(self, place: Place) -> Any:
        """One group; NotFound."""
        return self._get(GROUPS, place, "compute.instanceGroupManagers.get", "instance_group_manager")

    def autoscaler(self, place: Place) -> Any:
        """One autoscaler; NotFound."""
        return self._get(AUTOSCALERS, place, "compute.autoscalers.get", "autoscaler")

    def operation(self, place: Place, name: str) -> Any:
        """One operation in the zone or region of that place; NotFound."""
        kind = "compute.regionOperations.get" if place.regional else "compute.zoneOperations.get"
        return self._get(OPERATIONS, Place(place.location, name), kind, "operation")

    def errors(self, place: Place) -> list[Any]:
        """What failed of late in a group, as many as one page holds."""
        with told("compute.instanceGroupManagers.get"):
            request = self._at(place) | {"instance_group_manager": place.name, "max_results": PAGE}
            found = self._of(GROUPS, place).list_errors(request, timeout=CALL_S, retry=self._retry)
            return list(next(iter(found.pages)).items)

    def resize(self, place: Place, size: int, request_id: str) -> Any:
        """Set a group's size, in time and once for each request id; the operation."""
        refuse_late("compute.instanceGroupManagers.update")
        with told("compute.instanceGroupManagers.update"):
            request = self._at(place) | {"instance_group_manager": place.name, "size": size}
            request["request_id"] = request_id
            return self._of(GROUPS, place).resize_unary(request, timeout=CALL_S, retry=None)

    def turn(self, place: Place, request_id: str, *, on: bool) -> Any:
        """Start or stop an instance, in time and once for each request id; the operation."""
        what = f"compute.instances.{'start' if on else 'stop'}"
        refuse_late(what)
        with told(what):
            request = self._at(place) | {"instance": place.name, "request_id": request_id}
            client = self._client("InstancesClient")
            call = client.start_unary if on else client.stop_unary
            return call(request, timeout=CALL_S, retry=None)

    def patch_autoscaler(self, place: Place, changes: dict[str, Any], request_id: str) -> Any:
        """Set those fields of an autoscaler alone, in time and once for each request id; the operation."""
        refuse_late("compute.autoscalers.update")
        with told("compute.autoscalers.update"):
            request = self._at(place) | {"autoscaler": place.name, "autoscaler_resource": changes}
            request["request_id"] = request_id
            return self._of(AUTOSCALERS, place).patch_unary(request, timeout=CALL_S, retry=None)

    def allowed(self, place: Place, permission: str) -> bool:
        """Whether a permission is held on an autoscaler."""
        with told("autoscalers.testIamPermissions"):
            request = self._at(place) | {"resource": place.name}
            request["test_permissions_request_resource"] = {"permissions": [permission]}
            asked = self._of(AUTOSCALERS, place).test_iam_permissions(
                request, timeout=CALL_S, retry=self._retry
            )
            return permission in asked.permissions

    def _get(self, kinds: tuple[str, str], place: Place, permission: str, noun: str) -> Any:
        with told(permission):
            request = self._at(place) | {noun: place.name}
            return self._of(kinds, place).get(request, timeout=CALL_S, retry=self._retry)

    def _pages(
        self, kind: str, method: str, permission: str, more: Mapping[str, str] = NOTHING
    ) -> Iterator[Any]:
        request = {"project": self._settings.project, "max_results": PAGE, **more}
        with told(permission):
            pages = iter(
                getattr(self._client(kind, PARTLY), method)(request, timeout=CALL_S, retry=self._retry).pages
            )
        while True:
            with told(permission):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _at(self, place: Place) -> dict[str, Any]:
        return {"project": self._settings.project, "region" if place.regional else "zone": place.location}

    def _of(self, kinds: tuple[str, str], place: Place) -> Any:
        return self._client(kinds[place.regional])

    def _client(self, kind: str, always: Mapping[str, str] = NOTHING) -> Any:
        """A client that sends those parameters with every call; another one once the credentials' file is."""
        file = self._settings.credentials_file
        with self._turn:
            name, stamp = f"{kind} {sorted(always)}", _stamp(file)
            if name not in self._clients or self._clients[name][0] != stamp:
                made = client(kind, credentials_file=file, endpoint_url=self._settings.endpoint_url)
                session = made.transport._session  # noqa: SLF001 - the only way to a header of the answers
                session.hooks["response"].append(self._heard)
                session.auth = _sending(always)
                self._clients[name] = stamp, made
            return self._clients[name][1]

    def _heard(self, response: Any, *_: Any, **__: Any) -> None:
        self._date = response.headers.get("Date", "")


def _sending(always: Mapping[str, str]) -> Any:
    """What puts parameters into each request, and sends none that changes something late.

    The library lets nothing else near a request after the credentials were renewed, perhaps slowly.
    """

    def put(request: Any) -> Any:
        if request.method != "GET":
            refuse_late(f"{request.method} {request.url.partition('?')[0]}")
        request.prepare_url(request.url, always)
        return request

    return put


def _stamp(file: str) -> tuple[int, int]:
    """When the file was written and how long it is; zeros where it is not there."""
    if not file or not os.path.exists(file):  # noqa: PTH110 - a file that is gone is told of by who reads it
        return 0, 0
    found = os.stat(file)  # noqa: PTH116 - as above
    return found.st_mtime_ns, found.st_size
