"""Clients of Google Cloud over HTTP, each call with a deadline, and its errors as ours.

The libraries are imported when the first client is made: those of Compute Engine cost 5 s of CPU.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from autoscaler.errors import (
    Denied,
    InsufficientCapacity,
    Invalid,
    NotFound,
    ProviderError,
    Stale,
    Temporary,
    Throttled,
    Unreachable,
)

CALL_S = 10.0
AGAIN_S = 1.0  # reads that failed on the way are tried again for so long; changes never are
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
CREDENTIALS_MEND = "name a credentials_file, or run `gcloud auth application-default login`"

_NAMED = re.compile(r"'([a-zA-Z]+(?:\.[a-zA-Z]+){2,})' permission")
_RATE = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
_QUOTA = frozenset({"quotaExceeded", "QUOTA_EXCEEDED"})
_NO_UNITS = re.compile(r"RESOURCE_POOL_EXHAUSTED|QUOTA_EXCEEDED|QUOTA_EXHAUSTED|STOCKOUT")


def client(kind: str, *, credentials_file: str = "", endpoint_url: str = "") -> Any:
    """A client of Compute Engine by its class, such as ZonesClient. Denied where there are no credentials.

    Another server (`endpoint_url`) is asked without credentials.
    """
    with told("credentials"):
        from google.api_core.client_options import ClientOptions  # noqa: PLC0415 - only where Google is asked
        from google.cloud import compute_v1  # noqa: PLC0415 - as above

        options = ClientOptions(api_endpoint=endpoint_url) if endpoint_url else None
        found = _anonymous() if endpoint_url else credentials(credentials_file, SCOPE)
        return getattr(compute_v1, kind)(credentials=found, client_options=options)


def _anonymous() -> Any:
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - as above

    return AnonymousCredentials()  # type: ignore[no-untyped-call, unused-ignore]


def credentials(file: str, scope: str) -> Any:
    """Those of a key file of a service account, "" for those of the surroundings; each call has a deadline.

    Denied where a file holds none; the library's own errors where there are none at all.
    """
    import google.auth  # noqa: PLC0415 - as above
    from google.auth.transport.requests import Request  # noqa: PLC0415 - as above
    from google.oauth2.service_account import Credentials  # noqa: PLC0415 - as above

    if file:
        try:
            return Credentials.from_service_account_file(file, scopes=[scope])  # type: ignore[no-untyped-call, unused-ignore]
        except (OSError, ValueError) as error:
            raise Denied(f"{file} holds no key of a service account: {error}") from error
    asking = partial(Request(), timeout=CALL_S)  # its own deadline is two minutes
    return _of_gcloud(scope, asking) or google.auth.default(scopes=[scope], request=asking)[0]  # type: ignore[arg-type]


def _of_gcloud(scope: str, asking: Any) -> Any:
    """What the file of gcloud holds, or a person's credentials in a file that is named; None for others.

    The library would run gcloud to learn a project that nobody asks for, and wait for it without an end.
    """
    import google.auth  # noqa: PLC0415 - as above
    from google.oauth2.credentials import Credentials  # noqa: PLC0415 - as above

    named, usual = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"), _gclouds_file()
    file = Path(named) if named else usual
    if file is None or not file.is_file():
        return None
    try:
        told = json.loads(file.read_text())
        if told.get("type") == "authorized_user":
            found = Credentials.from_authorized_user_info(told)  # type: ignore[no-untyped-call, unused-ignore]
            return found.with_quota_project_from_environment()  # type: ignore[no-untyped-call, unused-ignore]
    except (AttributeError, OSError, ValueError) as error:
        raise Denied(f"{file} holds no credentials: {error}; {CREDENTIALS_MEND}") from error
    if file != usual:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it means files of strangers
        return google.auth.load_credentials_from_dict(told, scopes=[scope], request=asking)[0]  # type: ignore[no-untyped-call, unused-ignore]


def _gclouds_file() -> Path | None:
    """Where gcloud keeps credentials; None where the home folder is not known, as in some containers."""
    folder = os.environ.get("CLOUDSDK_CONFIG")
    try:
        at = Path(folder) if folder else Path.home() / ".config" / "gcloud"
    except RuntimeError:
        return None
    return at / "application_default_credentials.json"


def trying() -> Any:
    """How reads are tried again: for a moment, and only where the way failed."""
    from google.api_core import exceptions, retry  # noqa: PLC0415 - as above

    lost = (exceptions.ServiceUnavailable, exceptions.BadGateway, exceptions.GatewayTimeout)
    return retry.Retry(
        predicate=retry.if_exception_type(*lost), initial=0.1, maximum=0.5, multiplier=2.0, timeout=AGAIN_S
    )


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the libraries raise into our own errors; `what` is the permission of the call, or a name."""
    try:
        from google.api_core import exceptions  # noqa: PLC0415 - as above
        from google.auth import exceptions as auth  # noqa: PLC0415 - as above
        from google.protobuf.json_format import ParseError  # noqa: PLC0415 - as above
        from requests import exceptions as http  # noqa: PLC0415 - as above; it carries the calls
    except ImportError as error:
        raise Invalid("Google Cloud needs its libraries: pip install 'loadline[google]'") from error
    try:
        yield
    except exceptions.RetryError as error:
        raise Unreachable(f"{what}: {error.cause or error}") from error
    except exceptions.GoogleAPICallError as error:
        raise refused(error, what) from error
    except (auth.RefreshError, auth.DefaultCredentialsError) as error:
        raise Denied(f"{what}: {error}; {CREDENTIALS_MEND}") from error
    except (auth.TransportError, http.RequestException) as error:
        raise Unreachable(f"{what}: {error}") from error
    except auth.GoogleAuthError as error:
        raise Denied(f"{what}: {error}; {CREDENTIALS_MEND}") from error
    except ParseError as error:
        raise Unreachable(f"{what}: the answer is not one of this API (a proxy's page?): {error}") from error


def refused(error: Any, what: str) -> ProviderError:
    """Our error for an answer of the API that is one."""
    code = int(error.code or 500)
    reasons = {str(entry.get("reason", "")) for entry in error.errors if isinstance(entry, Mapping)}
    why = f"{what}: {error.message}"
    if code == 429 or reasons & _RATE:
        return Throttled(why, retry_after=_retry_after(error))
    if reasons & _QUOTA or _NO_UNITS.search(str(error.message)):
        return InsufficientCapacity(f"{why}; raise the quota, or take another zone", retry_after=900.0)
    if code == 400 and "resourceNotReady" in reasons:
        return Temporary(why)
    return _REFUSALS.get(code, _other(code))(why)


def _denied(why: str) -> ProviderError:
    if "has not been used in project" in why or "SERVICE_DISABLED" in why:
        return Denied(f"{why}; enable the API in that project")
    named = _NAMED.search(why)
    return Denied(f"{why} (the permission {named.group(1) if named else why.partition(':')[0]} is needed)")


_REFUSALS: Mapping[int, Callable[[str], ProviderError]] = {
    401: lambda why: Denied(f"{why}; {CREDENTIALS_MEND}"),
    403: _denied,
    404: NotFound,
    409: Stale,
    410: NotFound,
    412: Stale,
}


def _other(code: int) -> Callable[[str], ProviderError]:
    return Unreachable if code >= 500 else Invalid


def _retry_after(error: Any) -> float:
    """Seconds that the server asks to wait; 30 where it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    text = str(headers.get("Retry-After", ""))
    return float(text) if text.isdigit() else 30.0


def failure(code: str, message: str, what: str) -> ProviderError:
    """Our error for one of an operation that was accepted and failed, or of a group's list of errors."""
    why = f"{what}: {message or code} ({code})"
    if out_of_units(code):
        return InsufficientCapacity(f"{why}; raise the quota, or take another zone", retry_after=900.0)
    if "PERMISSION" in code:
        return _denied(why)
    if code == "CONDITION_NOT_MET":
        return Stale(why)
    return Invalid(why)


def out_of_units(code: str) -> bool:
    """Whether an error's code says that there are no such units, or no quota for them."""
    return _NO_UNITS.search(code) is not None
