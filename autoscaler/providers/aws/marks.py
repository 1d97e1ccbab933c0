"""What we write on an object as tags: what it was before us, and the last key we changed it with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from autoscaler.ports import ORIGINAL_SIZE
from policies.model import digest, iso

ORIGINAL_MINIMUM = "loadline.dev/original-minimum"  # the owner's, and those that may stand there by us
ORIGINAL_MAXIMUM = "loadline.dev/original-maximum"
LAST_KEY = "loadline.dev/last-key"
OURS = (ORIGINAL_SIZE, ORIGINAL_MINIMUM, ORIGINAL_MAXIMUM, LAST_KEY)

APART = timedelta(minutes=5)  # how far the clock of AWS may be ahead of ours: then its calls are refused
MOST_PUT = 3  # what our last change found and set, and a floor that came true since
_WRITABLE = re.compile(r"[A-Za-z0-9_.:/=+@-]{1,180}")  # a tag's value has 256 characters, of few kinds
_MINIMUM = re.compile(r"(\d+)(?: set:((?: \d+)+))?(?: planned:(?: (\S+Z))?((?: \d+)+))?")
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
    scheduled actions set, none before `since` (aware; None: it may have been any time). `moved`: the owner
    set another one than the marks say.
    """

    own: int
    put: tuple[int, ...] = ()
    planned: tuple[int, ...] = ()
    since: datetime | None = None
    moved: bool = False

    def text(self) -> str:
        """As the tag's value: `2 set: 6 8 planned: 2026-03-02T10:00Z 5 7`."""
        parts = [str(self.own)]
        parts += ["set:", *map(str, self.put)] if self.put else []
        begin = [] if self.since is None else [f"{self.since.astimezone(UTC):%Y-%m-%dT%H:%MZ}"]
        parts += ["planned:", *begin, *map(str, self.planned)] if self.planned else []
        return " ".join(parts)

    def then(self, *put: int) -> Minimum:
        """The same after a change that finds and sets those."""
        return replace(self, put=tuple(dict.fromkeys(put)))

    def planning(self, floors: Iterable[tuple[datetime, int]], *, now: int) -> Minimum:
        """The same with those floors planned, each with when it begins; `now` stays ours where it is."""
        begun = [now] if now != self.own else []
        steps = list(floors)
        return replace(
            self,
            put=tuple(dict.fromkeys((*self.put, *begun)))[-MOST_PUT:],
            planned=tuple(sorted({floor for _, floor in steps})),
            since=min((at for at, _ in steps), default=None),
        )


def minimum_on(labels: Mapping[str, str], now: int, at: datetime) -> Minimum:
    """What the tags say of a minimum that is `now`, at `at`; what is not known to be ours is the owner's."""
    found = _MINIMUM.fullmatch(labels.get(ORIGINAL_MINIMUM, ""))
    if found is None:
        return Minimum(own=now)
    put, planned = (tuple(map(int, (part or "").split())) for part in (found[2], found[4]))
    since = _moment(found[3])
    begun = planned if since is None or since - APART <= at else ()
    last = mark_on(labels)
    known = {int(found[1]), *put, *begun} | ({last.size} if last is not None and last.floor else set())
    if now not in known:
        return Minimum(own=now, planned=planned, since=since, moved=True)
    return Minimum(own=int(found[1]), put=put, planned=planned, since=since)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


def shown(labels: Mapping[str, str], minimum: Minimum, *, floor: bool, size: int) -> Mapping[str, str]:
    """The labels of a pool whose `size` (or floor) that is: what it was before us, wherever a mark stands.

    That of a floor is the owner's minimum. Where there are scheduled floors alone, no size was ever changed.
    """
    if floor and (ORIGINAL_SIZE in labels or ORIGINAL_MINIMUM in labels):
        return {**labels, ORIGINAL_SIZE: str(minimum.own)}
    if ORIGINAL_MINIMUM in labels and LAST_KEY not in labels:
        return {**labels, ORIGINAL_SIZE: str(size)}
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
    if LAST_KEY not in labels:  # then no size was changed yet, whatever is shown
        anew |= {ORIGINAL_SIZE}
    if minimum is not None and minimum.moved:
        marks = {ORIGINAL_MINIMUM: minimum.text(), **marks}
        anew |= {ORIGINAL_SIZE} if floor else set()
    return {name: value for name, value in marks.items() if name in anew or name not in labels}
