"""What we write on an object as tags: what it was before us, and the last key we changed it with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from autoscaler.ports import ORIGINAL_SIZE
from policies.model import digest, iso

ORIGINAL_MINIMUM = "loadline.dev/original-minimum"  # the owner's, before we raised it
ORIGINAL_MAXIMUM = "loadline.dev/original-maximum"
LAST_KEY = "loadline.dev/last-key"
OURS = (ORIGINAL_SIZE, ORIGINAL_MINIMUM, ORIGINAL_MAXIMUM, LAST_KEY)

_WRITABLE = re.compile(r"[A-Za-z0-9_.:/=+@-]{1,180}")  # a tag's value has 256 characters, of few kinds
_MARK = re.compile(r"(\S+) (\d+) (\S+) (size|floor)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Our last change: its key, the size asked for, when (aware UTC), and whether it was a floor's."""

    key: str
    size: int
    at: datetime
    floor: bool

    def text(self) -> str:
        """As the tag's value."""
        return f"{written(self.key)} {self.size} {iso(self.at)} {'floor' if self.floor else 'size'}"


def mark_on(labels: Mapping[str, str]) -> Mark | None:
    """The mark that stands among the tags, None where there is none that can be read."""
    found = _MARK.fullmatch(labels.get(LAST_KEY, ""))
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found[3])
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return Mark(key=found[1], size=int(found[2]), at=at, floor=found[4] == "floor")


def written(key: str) -> str:
    """A key as it stands in a tag: itself, or its digest where a tag cannot hold it."""
    return key if _WRITABLE.fullmatch(key) else digest(key)


def count_on(labels: Mapping[str, str], name: str) -> int | None:
    """The number in a tag, None where there is none or it is no number."""
    value = labels.get(name, "")
    return int(value) if value.isdecimal() else None


def first_of(labels: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, str]:
    """The marks to write: what was there before us is written once, the last key each time."""
    return {name: value for name, value in marks.items() if name == LAST_KEY or name not in labels}
