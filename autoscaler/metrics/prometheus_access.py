"""How a server of Prometheus' API is reached: its address without secrets, headers, TLS.

Files of secrets are read each time, so that a renewed one counts at once. MetricsError names the file.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from autoscaler.connections import PrometheusSource
from autoscaler.errors import MetricsError

LARGEST_SECRET = 65_536  # bytes of a file of a secret
SHORTEST_SECRET = 4  # a header's value as short as this one or shorter hides nothing
HIDDEN = "[hidden]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """`url` ends without a slash and holds no credentials. `secrets` may never be shown."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    tls: ssl.SSLContext | None

    def hidden(self, text: str) -> str:
        """The text in one line of printable characters, without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return "".join(letter if letter.isprintable() else " " for letter in text)


def access(source: PrometheusSource) -> Access:
    """Read what the source names; MetricsError with the mend where it cannot be used."""
    url, username, password = _address(source)
    headers = dict(source.headers)
    secrets = [value for value in headers.values() if len(value) > SHORTEST_SECRET]
    if source.tenant:
        headers["X-Scope-OrgID"] = source.tenant
    if source.password_file:
        password = _secret(source, "password_file", source.password_file)
    if source.username or username:
        basic = base64.b64encode(f"{source.username or username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {basic}"
        secrets += [basic, password, quote(password, safe="")]
    if source.token_file:
        token = _secret(source, "token_file", source.token_file)
        headers["Authorization"] = f"Bearer {token}"
        secrets.append(token)
    longest_first = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    tls = _tls(source) if url.startswith("https:") else None
    return Access(url=url, headers=headers, secrets=tuple(longest_first), tls=tls)


def _address(source: PrometheusSource) -> tuple[str, str, str]:
    """The address without credentials, and the user name and password that stood in it."""
    try:
        parts = urlsplit(source.url)
        port = "" if parts.port is None else f":{parts.port}"
        host = parts.hostname or ""
    except ValueError:  # what it says may show a piece of a password
        raise MetricsError(
            f"prometheus {source.name}: its url is none; write http://HOST:PORT, and a user in `username`"
        ) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise MetricsError(f"prometheus {source.name}: `url` must begin with http:// or https:// and a host")
    if parts.query or parts.fragment:
        raise MetricsError(
            f"prometheus {source.name}: `url` must end before ?; put what follows in `headers`"
        )
    host = f"[{host}]" if ":" in host else host
    clean = f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")
    return clean, unquote(parts.username or ""), unquote(parts.password or "")


def _secret(source: PrometheusSource, key: str, path: str) -> str:
    """What the file holds, without white space around it."""
    place = f"prometheus {source.name}: {key} {path}"
    try:
        with Path(path).open(encoding="utf-8") as file:
            secret = file.read(LARGEST_SECRET).strip()
    except OSError as error:
        raise MetricsError(f"{place}: cannot be read: {error.strerror}; mount it, or mend `{key}`") from error
    except UnicodeDecodeError:
        raise MetricsError(f"{place}: is not text; write the secret alone into it") from None
    if not secret or not secret.isprintable():
        raise MetricsError(f"{place}: is not one line of text; write the secret alone into it")
    return secret


def _tls(source: PrometheusSource) -> ssl.SSLContext:
    """Certificates of the system or of `ca_file`, and our own where it is named."""
    try:
        context = ssl.create_default_context(cafile=source.ca_file or None)
    except OSError as error:
        why = f"ca_file {source.ca_file}: holds no certificates: {error.strerror or error}"
        raise MetricsError(f"prometheus {source.name}: {why}; mend `ca_file`") from error
    if source.cert_file:
        try:
            # Without a password one would be asked for at the terminal.
            context.load_cert_chain(source.cert_file, source.key_file or None, password="")
        except OSError as error:
            why = f"cert_file {source.cert_file} with key_file {source.key_file}: {error.strerror or error}"
            raise MetricsError(
                f"prometheus {source.name}: {why}; give a PEM pair without pass phrase"
            ) from error
    return context
