"""Secrets out of texts: those that are known by their values, and what looks like one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from policies.model import iso

HIDDEN = "(hidden)"
SHORTEST = 5  # characters; a shorter value would hide half of every text
_LARGEST_FILE = 1 << 20

_SECRET_NAME = re.compile(
    r"(?i)token|secret|passw|private|credential|api_?key|access_?key|authorization|cookie|external_id"
)
_SECRET_KEYS = frozenset({"external_id", "tenant"})  # of the configuration, beside every header
_FILES = re.compile(r"(?i)(_file|kubeconfig)$")
_WHOLE_FILES = re.compile(r"(?i)(password|token)_file$")  # all of it is the secret
_ASSIGNED = re.compile(
    r"(?i)[\"']?[\w.-]*(?:token|passw(?:or)?d|secret|private[_-]key|key-data|access[_-]key)[\w.-]*[\"']?"
    r"\s*[:=]\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\"'\s,}]+))"
)
_USERINFO = re.compile(r"(://)[^/\s@\"']+@")
_LOOKS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w+/=.~-]{6,}"), r"\1 " + HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
    (
        re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
        HIDDEN,
    ),
    (re.compile(r"(?i)([?&][\w.-]*(?:token|key|secret|passw\w*|sig\w*|auth)=)[^&\s\"']+"), r"\1" + HIDDEN),
    (
        re.compile(
            r"(?i)\b((?:authorization|x-api-key|cookie|password|secret)[\"']?\s*[:=]\s*[\"']?)"
            r"(?!\(hidden\)|bearer|basic)[^\s\"',;]{4,}"
        ),
        r"\1" + HIDDEN,
    ),
)


class Secrets:
    """What must not be told: secrets by value, in every form in which a text may have them."""

    def __init__(self, values: Iterable[str]) -> None:
        """`values` are the secrets as they are; those shorter than SHORTEST are left out."""
        forms = {form for value in values for form in _forms(value) if len(form) >= SHORTEST}
        # The longest first: a secret within another one must not leave the rest of that one.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def hide(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
        for pattern, instead in _LOOKS:
            text = pattern.sub(instead, text)
        return text

    def hide_all(self, value: Any) -> Any:
        """A JSON value in which every string, keys too, is without secrets."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide(str(key)): self.hide_all(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_all(entry) for entry in value]
        return value


def secrets_of(configuration: Any, environment: Mapping[str, str]) -> Secrets:
    """Those of a configuration (any of our values, None for none), of its files, and of the environment."""
    return Secrets([*_of_settings(configuration), *_of_environment(environment)])


def described(value: Any, name: str = "") -> Any:
    """The JSON shape of a configuration; what is a secret by its name, and every header, is left out."""
    entries = _entries(value)
    if entries is not None:
        return {key: HIDDEN if name == "headers" else described(entry, key) for key, entry in entries}
    if isinstance(value, tuple | list | set | frozenset):
        return [described(entry, name) for entry in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, date):  # a datetime is one too
        return iso(value) if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, str) and value and name in _SECRET_KEYS:
        return HIDDEN
    return value if isinstance(value, str | int | float | None) else str(value)


def _entries(value: Any) -> list[tuple[str, Any]] | None:
    """What is within one of our values or a mapping, by name; None for anything else."""
    if is_dataclass(value) and not isinstance(value, type):
        return [(one.name, getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, Mapping):
        return sorted(((str(key), entry) for key, entry in value.items()), key=lambda entry: entry[0])
    return None


def _of_settings(value: Any, name: str = "") -> Iterator[str]:
    entries = _entries(value)
    if entries is None and isinstance(value, tuple | list):
        entries = [(name, entry) for entry in value]
    for key, entry in entries or ():
        if name == "headers":
            yield str(entry)
            yield str(entry).rpartition(" ")[2]  # what follows `Bearer`
        else:
            yield from _of_settings(entry, key)
    if isinstance(value, str) and value:
        yield from _of_text(value, name)


def _of_text(value: str, name: str) -> Iterator[str]:
    if _FILES.search(name):
        yield from _of_file(value, whole=bool(_WHOLE_FILES.search(name)))
    elif name in _SECRET_KEYS:
        yield value
    yield from _userinfo(value)


def _userinfo(text: str) -> Iterator[str]:
    for found in re.finditer(r"://([^\s@]+)@", text):
        yield found[1]
        yield found[1].partition(":")[2]


def _of_file(path: str, *, whole: bool) -> Iterator[str]:
    """All of a file, or what stands beside a name of secrets; nothing where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return
    if whole or text.startswith("-----BEGIN"):
        yield text.strip()
        yield from (line.strip() for line in text.splitlines() if not line.startswith("-----"))
    for found in _ASSIGNED.finditer(text):
        value = found["double"] or found["single"] or found["bare"] or ""
        yield value
        yield from (line for line in value.replace("\\n", "\n").splitlines() if not line.startswith("-----"))


def _of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if _SECRET_NAME.search(name):
            if name.endswith("_FILE") or value.startswith("/"):
                yield from _of_file(value, whole=True)
            else:
                yield value
                yield value.rpartition(" ")[2]
        yield from _userinfo(value)


def _forms(value: str) -> Iterator[str]:
    """The secret as it is, and as an address, a JSON text and a header for it would have it."""
    value = value.strip()
    if len(value) < SHORTEST:
        return
    yield value
    yield quote(value, safe="")
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    encoded = base64.b64encode(value.encode("utf-8", "replace")).decode()
    yield encoded.rstrip("=")
