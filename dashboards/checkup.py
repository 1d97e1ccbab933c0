"""What doctor found, as a person reads it: by subject, with the mend under what is not right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from dashboards.ink import Ink, Style, inert, wrap

_MARKS = {True: ("✓", Style.GROW), False: ("✗", Style.SHRINK), None: ("?", Style.CHANGE)}
_INDENT = "    "
_LONGEST = 500  # characters of one text; a server's page in an error would fill the screen
_MENDS = 3  # of several checks with one reason so many mends are shown


class Checked(Protocol):
    """One thing that was looked at; `ok` None: it cannot be told, or nobody needs to act."""

    @property
    def what(self) -> str: ...
    @property
    def ok(self) -> bool | None: ...
    @property
    def why(self) -> str: ...
    @property
    def mend(self) -> str: ...


def checkup_text(
    subjects: Iterable[tuple[str, Sequence[Checked]]], *, width: int = 100, color: bool = False
) -> str:
    """Each subject with its checks, and how many there are; lines of at most `width` cells (60 at least).

    Checks of one subject with the same result and reason are told together.
    """
    ink, width = Ink(color), max(60, width)
    lines: list[str] = []
    counts = {True: 0, None: 0, False: 0}
    for subject, checks in subjects:
        lines += [*([""] if lines else []), ink.paint(inert(subject, _LONGEST), Style.STRONG)]
        alike: dict[tuple[bool | None, str], list[Checked]] = {}
        for check in checks:
            counts[check.ok] += 1
            alike.setdefault((check.ok, check.why), []).append(check)
        for same in alike.values():
            lines += _told(same, width, ink)
    lines += ["", _sum(counts, ink)]
    return "\n".join(lines) + "\n"


def _told(same: Sequence[Checked], width: int, ink: Ink) -> list[str]:
    """Checks of one result and reason, with what mends them."""
    first = same[0]
    why = f": {inert(first.why, _LONGEST)}" if first.why else ""
    together = ", ".join(inert(check.what, _LONGEST) for check in same)
    lines = _marked(first.ok, f"{together}{why}", width, ink)
    mends = list(dict.fromkeys(check.mend for check in same if check.mend and check.mend not in first.why))
    if first.ok is True:
        return lines
    shown = [inert(mend, _LONGEST) for mend in mends[:_MENDS]]
    if len(mends) > _MENDS:
        shown.append(f"and so on, {len(mends)} in all: `-o json` has them")
    for mend in shown:
        begin, *rest = wrap(mend, width, _INDENT + "  ")
        lines += [f"{_INDENT}→ {begin.lstrip()}", *rest]
    return lines


def _marked(ok: bool | None, text: str, width: int, ink: Ink) -> list[str]:  # noqa: FBT001 - a value, no flag
    mark, style = _MARKS[ok]
    first, *rest = wrap(text, width, _INDENT) or [_INDENT]
    return [f"  {ink.paint(mark, style)} {first[len(_INDENT) :]}", *rest]


def _sum(counts: dict[bool | None, int], ink: Ink) -> str:
    said = f"{counts[True]} right"
    if counts[None]:
        said += f", {counts[None]} to look at or not known"
    if not counts[False]:
        return ink.paint(f"Nothing fails: {said}.", Style.GROW)
    fail = "1 check fails" if counts[False] == 1 else f"{counts[False]} checks fail"
    return ink.paint(f"{fail}: mend what is under ✗; {said}.", Style.SHRINK)
