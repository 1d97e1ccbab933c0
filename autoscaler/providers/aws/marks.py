"""What we write on an object as tags: what it was before us, and the last key we changed it with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from autoscaler.ports import ORIGINAL_SIZE
from policies.model import digest, iso

ORIGINAL_MINIMUM = "loadline.dev/original-minimum"  # the owner's, and those that may stand there by us
ORIGINAL_MAXIMUM = "loadline.dev/original-maximum"
LAST_KEY = "loadline.dev/last-key"
OURS = (ORIGINAL_SIZE, ORIGINAL_MINIMUM, ORIGINAL_MAXIMUM, LAST_KEY)

_WRITABLE = re.compile(r"[A-Za-z0-9_.:/=+@-]{1,180}")  # a tag's value has 256 characters, of few kinds
_MINIMUM = re.compile(r"(\d+)(?: set:((?: \d+)+))?(?: planned:((?: \d+)+))?")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """The owner's own minimum of a pool, and which other ones may stand there because of us.

    `put`: what our last change found and set, for it is marked before it is done. `planned`: floors that
    scheduled actions set. `moved`: the owner set another one than the marks say.
    """

    own: int
    put: tuple[int, ...] = ()
    planned: tuple[int, ...] = ()
    moved: bool = False

    def text(self) -> str:
        """As the tag's value: `2 set: 6 8 planned: 5 7`."""
        parts = [str(self.own)]
        parts += ["set:", *map(str, self.put)] if self.put else []
        parts += ["planned:", *map(str, self.planned)] if self.planned else []
        return " ".join(parts)

    def then(self, *put: int) -> Minimum:
        """The same after a change that finds and sets those."""
        return replace(self, put=tuple(dict.fromkeys(put)))

    def planning(self, floors: Iterable[int], *, now: int) -> Minimum:
        """The same with those floors planned; `now` stays ours where an earlier plan set it."""
        return replace(self, planned=tuple(sorted({*floors} | ({now} & {*self.planned}))))


def minimum_on(labels: Mapping[str, str], now: int) -> Minimum:
    """What the tags say of a minimum that is `now`. One that is not known to be ours is the owner's."""
    found = _MINIMUM.fullmatch(labels.get(ORIGINAL_MINIMUM, ""))
    if found is None:
        return Minimum(own=now)
    put, planned = (tuple(map(int, (part or "").split())) for part in found.groups()[1:])
    last = mark_on(labels)
    known = {int(found[1]), *put, *planned} | ({last.size} if last is not None and last.floor else set())
    if now not in known:
        return Minimum(own=now, planned=planned, moved=True)
    return Minimum(own=int(found[1]), put=put, planned=planned)


def shown(labels: Mapping[str, str], minimum: Minimum, *, floor: bool) -> Mapping[str, str]:
    """The labels of a pool: the original size of a floor is the owner's minimum, also one that moved."""
    if floor and minimum.moved and ORIGINAL_SIZE in labels:
        return {**labels, ORIGINAL_SIZE: str(minimum.own)}
    return labels


def first_of(
    labels: Mapping[str, str],
    marks: Mapping[str, str],
    minimum: Minimum | None = None,
    *,
    floor: bool = False,
) -> dict[str, str]:
    """The marks to write: what was there before us once, the last key and a minimum that moved each time."""
    anew = {LAST_KEY, ORIGINAL_MINIMUM}
    if minimum is not None and minimum.moved:
        marks = {ORIGINAL_MINIMUM: minimum.text(), **marks}
        anew |= {ORIGINAL_SIZE} if floor else set()
    return {name: value for name, value in marks.items() if name in anew or name not in labels}
