"""The keys of what is served over HTTP."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from autoscaler.settings_kinds import Section, shown

DEFAULT = "127.0.0.1:8080"
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+|localhost)):([0-9]{1,5})")


def address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; ValueError says what to write."""
    found = _LISTEN.fullmatch(listen)
    wrong = ValueError(
        f"{shown(listen)} is no address to listen on; write {DEFAULT}, or '[::1]:8080' in quotes"
    )
    if found is None or not 0 < int(found[3]) < 65536:
        raise wrong
    host = "127.0.0.1" if found[2] == "localhost" else found[1] or found[2]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise wrong from None
    if (ip.version == 6) is not bool(found[1]):
        raise wrong
    return host, int(found[3])


def _listen(value: object) -> str:
    text = value if isinstance(value, str) else ""
    address(text)
    return text


Listen = Annotated[
    str, BeforeValidator(_listen), WithJsonSchema({"type": "string", "examples": [DEFAULT, "0.0.0.0:8080"]})
]


class WebSection(Section):
    """Recommendations, metrics and health over HTTP, read-only; needs loadline[web]."""

    listen: Listen = Field(default=DEFAULT, description="The IP address and port to listen on.")
    public: bool = Field(
        default=False,
        description="true: listen may be an address that other machines reach. Nobody is asked who they are: "
        "these pages tell the names and sizes of pools to everyone who can reach them.",
    )

    @model_validator(mode="after")
    def _reached_on_purpose(self) -> WebSection:
        host, _ = address(self.listen)
        if not self.public and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(
                f"listen: {self.listen} can be reached from other machines, and asks nobody who they are; "
                "write public: true if that is meant, or listen on 127.0.0.1"
            )
        return self
