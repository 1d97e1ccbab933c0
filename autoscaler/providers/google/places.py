"""Where a group is, and what it is called: mig/ZONE/NAME or mig/REGION/NAME; and what a request is called."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from autoscaler.errors import NotFound

_REGION = re.compile(r"[a-z]+(?:-[a-z]+)+\d+")  # us-central1; a zone goes on: us-central1-a
_NAMES = uuid.UUID("5c0c7d4e-6f0e-5c0f-9d5b-1f2d5f2a6a11")


@dataclass(frozen=True, slots=True)
class Place:
    """A group (or an autoscaler) by its zone or region and its name."""

    location: str
    name: str

    @property
    def regional(self) -> bool:
        """Whether the location is a region."""
        return _REGION.fullmatch(self.location) is not None

    @property
    def id(self) -> str:
        """The pool's id."""
        return f"mig/{self.location}/{self.name}"


def place_of(pool_id: str) -> Place:
    """The place of an id; NotFound where it is none of this provider."""
    kind, _, rest = pool_id.partition("/")
    location, _, name = rest.partition("/")
    if kind != "mig" or not location or not name or "/" in name:
        raise NotFound(f"{pool_id} is no managed instance group: say mig/ZONE/NAME or mig/REGION/NAME")
    return Place(location, name)


def tail(url: str) -> str:
    """The last part of a resource's URL: its name."""
    return url.rpartition("/")[2]


def place_in(url: str) -> Place:
    """The place that a resource's URL names."""
    parts = url.split("/")
    return Place(parts[-3], parts[-1]) if len(parts) > 3 else Place("", parts[-1])


def request_id(project: str, what: str, key: str) -> str:
    """The id of a request: the same for the same key, whatever the size, so that no key is done twice."""
    return str(uuid.uuid5(_NAMES, f"{project}/{what}/{key}"))
