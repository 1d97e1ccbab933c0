"""Calls to the API of a cluster: each with a deadline, JSON as it came, and errors as our own.

The package `kubernetes` gives the configuration, the credentials and the connections; it is imported when the
first client is made. Its models are not used: making them takes longer than the call.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

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
from autoscaler.providers.kubernetes import owners

CONNECT_S, READ_S = 3.0, 10.0  # of each call; the package has no deadline of its own
RETRY_S = 5.0  # after 429 without a word
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
UNAUTHORIZED, NOT_FOUND, GONE = 401, 404, 410
_UNREADABLE = (
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)  # a file that is no kubeconfig
NOTHING: Mapping[str, str] = {}


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

    def __init__(self, settings: KubernetesProvider) -> None:
        """Read the credentials. Invalid where there are none, or the package is missing."""
        self._settings = settings
        self._turn = threading.Lock()
        self._api = _connected(settings)

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
        answer = self._send(method, path, right, query=query, body=body, content_type=content_type)
        if answer.status == UNAUTHORIZED:
            with self._turn:
                self._api = _connected(self._settings)
            answer = self._send(method, path, right, query=query, body=body, content_type=content_type)
        if answer.status >= 300:
            raise refused(answer, right)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        right: str,
        *,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> Answer:
        import urllib3  # noqa: PLC0415 - comes with the package

        api = self._api
        url = f"{api.configuration.host}{path}{'?' + urlencode(query) if query else ''}"
        headers = {"Accept": "application/json", "User-Agent": "loadline"}
        headers |= {"Content-Type": content_type} if body is not None else {}
        token = _token(api, right)
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
    return Conflicting(f"{why}; {owners.mend(managers)}", managers)


def _connected(settings: KubernetesProvider) -> Any:
    """An ApiClient with the credentials as they are now; the file is never written."""
    try:
        from kubernetes import client, config  # noqa: PLC0415 - 1 s of CPU, only where a cluster is asked
    except ImportError as error:
        raise Invalid("Kubernetes needs its client: pip install 'loadline[kubernetes]'") from error
    found = client.Configuration()
    found.retries = False  # each call says how often itself
    file = settings.kubeconfig or None
    try:
        if file is None and not _has_file(config.KUBE_CONFIG_DEFAULT_LOCATION):
            config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                file, settings.context or None, found, persist_config=False
            )
    except (config.ConfigException, OSError, *_UNREADABLE) as error:
        told = isinstance(error, config.ConfigException | OSError)
        why = error if told else f"it is no kubeconfig ({type(error).__name__})"  # its text may hold secrets
        raise Invalid(
            f"no credentials for {settings.name}: {file or 'KUBECONFIG and the pod'}: {why}; "
            "name a kubeconfig, or run in a pod with a service account"
        ) from error
    return client.ApiClient(found)


def _has_file(paths: str) -> bool:
    return any(Path(path).expanduser().is_file() for path in paths.split(":") if path)
