"""What we write on an autoscaler: lines of its description that begin with loadline.dev/.

Managed instance groups have no labels of their own; an autoscaler's description changes nothing that runs.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.ports import FREEZE, ORIGINAL_SIZE

PREFIX = "loadline.dev/"
ORIGINAL_MAXIMUM = f"{PREFIX}original-maximum"  # the autoscaler's maximum before we first raised it
OWNERS_MINIMUM = f"{PREFIX}owners-minimum"  # what the owner set by hand after our first change
LAST_KEY = f"{PREFIX}last-key"  # the id and the size of our last request
FREEZE_LABEL = "loadline-freeze"  # as a label, in which Google allows neither point nor slash


def marks(description: str) -> dict[str, str]:
    """The marks in a description, by their names."""
    lines = (line.strip().partition("=") for line in description.split("\n"))
    return {name.strip(): value.strip() for name, _, value in lines if name.strip().startswith(PREFIX)}


def marked(description: str, changes: Mapping[str, str | None]) -> str:
    """The description with marks set, or taken away (None); everything else in it stays as it is."""
    lines = description.split("\n") if description else []
    kept = [line for line in lines if line.strip().partition("=")[0].strip() not in changes]
    return "\n".join([*kept, *(f"{name}={value}" for name, value in changes.items() if value is not None)])


def labels_of(labels: Mapping[str, str], *descriptions: str) -> dict[str, str]:
    """All labels of a pool: those of its instances, and the marks in the descriptions."""
    found = dict(labels)
    if FREEZE_LABEL in found:
        found[FREEZE] = found[FREEZE_LABEL] or FREEZE_LABEL
    for description in descriptions:
        told = marks(description)
        if (
            FREEZE in told and found.get(FREEZE, told[FREEZE]) != told[FREEZE]
        ):  # nobody thaws what another one froze
            told[FREEZE] = f"{found[FREEZE]}; {told[FREEZE]}"
        found |= told
    found.pop(LAST_KEY, None)
    return found


def moved(description: str, now: int) -> bool:
    """Whether the owner set the minimum that is `now`: it is neither the original nor what we set last."""
    told = marks(description)
    original, last = told.get(ORIGINAL_SIZE, ""), told.get(LAST_KEY, "").rpartition(" ")[2]
    return original.isdigit() and str(now) not in {original, last}


def asked(description: str, now: int) -> int:
    """The minimum that the owner asks for since our first change, 0 where nothing was set by hand since."""
    if moved(description, now):
        return now
    text = marks(description).get(OWNERS_MINIMUM, "")
    return min(now, int(text)) if text.isdigit() else 0
