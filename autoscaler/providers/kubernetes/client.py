"""Calls to the API of a cluster: each with a deadline, JSON as it came, and errors as our own.

The package `kubernetes` gives the configuration, the credentials and the connections; it is imported when the
first client is made. Its models are not used: making them takes longer than the call.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from autoscaler.clock import SystemClock
from autoscaler.connections import KubernetesProvider
from autoscaler.errors import (
    Denied,
    Invalid,
    NotFound,
    Owned,
    ProviderError,
    Stale,
    Throttled,
    Unreachable,
)
from autoscaler.ports import Clock
from autoscaler.programs import CREDENTIALS_S
from autoscaler.providers.kubernetes import owners
from autoscaler.providers.kubernetes.credentials import LOADING_S, Connection, connected
from autoscaler.transport import refuse_late

CONNECT_S, READ_S = 3.0, 10.0  # of each call; the package has no deadline of its own
RETRY_S = 5.0  # after 429 without a word
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
UNAUTHORIZED, NOT_FOUND, GONE = 401, 404, 410
REST_S = 30.0  # after credentials that did not come in time
REFUSED_REST_S = 5.0  # after some that were none: the calls of one turn do not each run a plugin
NOTHING: Mapping[str, str] = {}
NOT_YET = Connection(api=None)  # before there were any credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said: its status, the JSON object, and the headers in small letters."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Conflicting(Owned):
    """An apply was refused because of the other `managers` of its fields."""

    def __init__(self, message: str, managers: tuple[str, ...]) -> None:
        """`managers` as the server names them."""
        super().__init__(message)
        self.managers = managers


class Expired(Unreachable):
    """The place in a list is too old; `token` is where to go on, "" for from the beginning."""

    def __init__(self, message: str, token: str) -> None:
        """`token` as the server gave it."""
        super().__init__(message)
        self.token = token


class Client:
    """The calls of one cluster; safe to use from several threads."""

    def __init__(
        self, settings: KubernetesProvider, clock: Clock | None = None, *, deadline_s: float = CREDENTIALS_S
    ) -> None:
        """Read the credentials, within `deadline_s`. Invalid where there are none, or the package is missing.

        A plugin of the kubeconfig that gives none, or hangs, hinders nobody from starting: it is run again at
        the first call, and told there. `clock` (else the machine's) says when credentials are to be renewed.
        """
        self._settings, self._deadline_s = settings, deadline_s
        self._clock = clock or SystemClock()
        self._turn = threading.Lock()
        self._resting: tuple[float, Denied | Unreachable] | None = (
            None  # until when nothing is tried, and why
        )
        self._connection = NOT_YET
        with suppress(Denied, Unreachable):  # the first call tells it
            self._renewed(NOT_YET, "connecting")

    def ask(
        self,
        method: str,
        path: str,
        right: str,
        *,
        query: Mapping[str, str] = NOTHING,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """One call; `right` is how RBAC names it, for the messages. Raises the ProviderError tree.

        Credentials that the server does not know (any more) are read anew, once: nothing was done yet.
        """
        used = self._present(right)
        answer = self._send(used.api, method, path, right, query=query, body=body, content_type=content_type)
        if answer.status == UNAUTHORIZED:
            api = self._renewed(used, right).api
            answer = self._send(api, method, path, right, query=query, body=body, content_type=content_type)
        if answer.status >= 300:
            raise refused(answer, right)
        return answer

    def _present(self, right: str) -> Connection:
        """The connection, with credentials that have not ended."""
        found = self._connection
        if found is not NOT_YET and (found.ends is None or self._clock.now() < found.ends):
            return found
        return self._renewed(found, right)

    def _renewed(self, used: Connection, right: str) -> Connection:
        """Another connection than the one that was `used`: read anew, once for all who ask at the same time.

        Where they did not come nobody tries again for a while: a listing would wait at each call.
        """
        if not self._turn.acquire(timeout=self._deadline_s + LOADING_S):
            raise Unreachable(f"{right}: the credentials of {self._settings.name} are still being renewed")
        try:
            if self._connection is not used:
                return self._connection
            if self._resting is not None and self._clock.monotonic() < self._resting[0]:
                why = self._resting[1]
                raise type(why)(f"{right}: {why}")
            now = self._clock.now()
            try:
                found = connected(self._settings, deadline_s=self._deadline_s, now=now)
            except (Denied, Unreachable) as error:
                rest_s = REST_S if isinstance(error, Unreachable) else REFUSED_REST_S
                self._resting = (self._clock.monotonic() + rest_s, error)
                raise type(error)(f"{right}: {error}") from error
            if found.ends is not None:  # some that end at once are shown until the server refuses them
                found = replace(found, ends=max(found.ends, now + timedelta(seconds=REFUSED_REST_S)))
            self._connection = found
            return found
        finally:
            self._turn.release()

    def _send(
        self,
        api: Any,
        method: str,
        path: str,
        right: str,
        *,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> Answer:
        import urllib3  # noqa: PLC0415 - comes with the package

        url = f"{api.configuration.host}{path}{'?' + urlencode(query) if query else ''}"
        headers = {"Accept": "application/json", "User-Agent": "loadline"}
        headers |= {"Content-Type": content_type} if body is not None else {}
        token = _token(api, right)
        if method == "PATCH":
            refuse_late(right)  # what the credentials took counts too
        try:
            response = api.rest_client.pool_manager.request(
                method,
                url,
                headers=headers | ({"Authorization": token} if token else {}),
                body=None if body is None else json.dumps(body).encode(),
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                retries=urllib3.Retry(
                    1, connect=1, read=0, redirect=0, status=0, other=0, respect_retry_after_header=False
                ),
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{right}: no answer from {api.configuration.host}: {error}") from error
        except OSError as error:
            raise Unreachable(f"{right}: {api.configuration.host}: {error}") from error
        return _answer(response, right)


def _token(api: Any, right: str) -> str:
    """The bearer token as it is now, "" for none; Denied where it cannot be renewed."""
    from kubernetes.config import ConfigException  # noqa: PLC0415 - as below

    try:
        return str(api.configuration.auth_settings().get("BearerToken", {}).get("value") or "")
    except (ConfigException, OSError) as error:
        raise Denied(f"{right}: the credentials cannot be renewed: {error}") from error


def _answer(response: Any, right: str) -> Answer:
    """The JSON of a response; Unreachable where it is none, such as a login page or a part of it."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = json.loads(response.data)
    except ValueError as error:
        if response.status >= 300:
            body = {"message": response.data[:200].decode(errors="replace")}
        else:
            raise Unreachable(f"{right}: the answer is no JSON ({error})") from error
    if not isinstance(body, dict):
        raise Unreachable(f"{right}: the answer is no object")
    return Answer(status=response.status, body=body, headers=headers)


def refused(answer: Answer, right: str) -> ProviderError:
    """The error of an answer that is none."""
    why = f"{right}: {answer.body.get('message') or answer.status}"
    if answer.status in _REFUSED:
        return _REFUSED[answer.status](answer, why, right)
    if answer.status >= 500:
        return Unreachable(why, retry_after=_seconds(answer, 30.0))
    return Invalid(why)


_REFUSED: Mapping[int, Callable[[Answer, str, str], ProviderError]] = {
    UNAUTHORIZED: lambda _answer, why, _right: Denied(
        f"{why}; the credentials are not (or no longer) known to the server: renew them"
    ),
    403: lambda _answer, why, right: Denied(f"{why} (the right to {right} is needed)"),
    NOT_FOUND: lambda _answer, why, _right: NotFound(why),
    409: lambda answer, why, _right: _conflict(answer, why),
    GONE: lambda answer, why, _right: Expired(
        why, str((answer.body.get("metadata") or {}).get("continue") or "")
    ),
    429: lambda answer, why, _right: Throttled(why, retry_after=_seconds(answer, RETRY_S)),
}


def _seconds(answer: Answer, default: float) -> float:
    text = answer.headers.get("retry-after")
    return float(text) if text and text.isdigit() else default


def _conflict(answer: Answer, why: str) -> ProviderError:
    """Owned where other managers hold the field, Stale where the object moved since it was read."""
    managers = owners.conflicting(answer.body)
    if not managers:
        return Stale(f"{why}; it is read again at the next turn")
    return Conflicting(f"{why}; {owners.named(managers)} sets it: {owners.mend(managers)}", managers)
