"""Which freezes are in force: any one suffices, wherever it was said.

The configuration; the store (`loadline freeze`); the file `freeze_file`, beside the state by
default (`<state>.freeze`); the environment's
LOADLINE_FREEZE; a label or tag on the pool itself. What cannot be read freezes: nobody knows what it says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.ports import FREEZE
from policies.deeds import Frozen
from policies.policy import Freeze, Scope

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.config import Configuration
    from policies.model import Snapshot

ENVIRONMENT = "LOADLINE_FREEZE"
_NO = frozenset({"", "0", "false", "no", "off"})
_LONGEST = 400  # characters of a file or a label that are shown

Labels = Mapping[str, Mapping[str, str]]  # of each pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A freeze in force and where it was said, in words that tell where it can be lifted."""

    freeze: Freeze
    where: str


def in_force(app: App, now: datetime, labels: Labels | None = None) -> tuple[Freeze, ...]:
    """Every freeze in force at `now`; `labels` are those of each pool, by id (see `labels_of`).

    Asked before each call that changes something: a few rows, a file's presence and the environment are
    read, no more. Raises StoreError.
    """
    file = freeze_file(app.configuration)
    said = (Frozen(freeze=one) for one in app.people.freezes(now))
    found = standing(app.policy.freezes, said, file, now, labels=labels)
    return tuple(one.freeze for one in found)


def standing(
    configured: Iterable[Freeze],
    said: Iterable[Frozen],
    file: Path,
    now: datetime,
    *,
    labels: Labels | None = None,
) -> list[Standing]:
    """Every freeze in force at `now` with where it was said.

    `configured` are those of the configuration, `said` those of the store that are in force, `file` is the
    one whose presence freezes.
    """
    found = [
        Standing(freeze=one, where="the configuration (`freeze`)")
        for one in configured
        if one.until is None or now < one.until
    ]
    found += [
        Standing(freeze=one.freeze, where=f"loadline freeze, by {one.by}" if one.by else "loadline freeze")
        for one in said
    ]
    why = _text(file)
    if why is not None:
        found.append(_all(why, f"the file {file} (remove it)"))
    set_to = os.environ.get(ENVIRONMENT, "").strip()
    if set_to.lower() not in _NO:
        found.append(_all(set_to, f"the environment's {ENVIRONMENT} (unset it, and start again)"))
    for pool, its in (labels or {}).items():
        word = its.get(FREEZE, "").strip()
        if word.lower() not in _NO:
            freeze = Freeze(scope=Scope.POOL, name=pool, why=_cut(word))
            found.append(Standing(freeze=freeze, where=f"the label {FREEZE} of {pool} (remove it there)"))
    return found


def labels_of(snapshot: Snapshot) -> Labels:
    """The labels of each pool that was seen."""
    return {pool.id: pool.labels for pool in snapshot.pools}


def freeze_file(configuration: Configuration) -> Path:
    """The file whose presence freezes everything; its text is the why."""
    return Path(configuration.freeze_file or f"{configuration.state}.freeze")


def _text(path: Path) -> str | None:
    """What the file says, None where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _all(why: str, where: str) -> Standing:
    return Standing(freeze=Freeze(scope=Scope.ALL, why=_cut(why)), where=where)


def _cut(text: str) -> str:
    return text[:_LONGEST]
