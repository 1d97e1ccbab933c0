"""What doctor found, as a person reads it: by subject, with the mend under what is not right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from dashboards.ink import Ink, Style, inert, wrap

_MARKS = {True: ("✓", Style.GROW), False: ("✗", Style.SHRINK), None: ("?", Style.CHANGE)}
_INDENT = "    "
_LONGEST = 1_500  # characters of one text; a server's page in an error would fill the screen


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

    What passes and has nothing to add is told in one line.
    """
    ink, width = Ink(color), max(60, width)
    lines: list[str] = []
    counts = {True: 0, None: 0, False: 0}
    for subject, checks in subjects:
        lines += [*([""] if lines else []), ink.paint(inert(subject, _LONGEST), Style.STRONG)]
        plain = [check for check in checks if check.ok is True and not check.why]
        for check in checks:
            counts[check.ok] += 1
            if check not in plain:
                lines += _told(check, width, ink)
        if plain:
            together = ", ".join(inert(check.what, _LONGEST) for check in plain)
            lines += _marked(True, together, width, ink)
    lines += ["", _sum(counts, ink)]
    return "\n".join(lines) + "\n"


def _told(check: Checked, width: int, ink: Ink) -> list[str]:
    why = f": {inert(check.why, _LONGEST)}" if check.why else ""
    lines = _marked(check.ok, f"{inert(check.what, _LONGEST)}{why}", width, ink)
    if check.ok is not True and check.mend and check.mend not in check.why:
        mend = wrap(inert(check.mend, _LONGEST), width, _INDENT + "  ")
        lines += [f"{_INDENT}→ {mend[0].lstrip()}", *mend[1:]] if mend else []
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
