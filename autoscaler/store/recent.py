"""Series that are read turn after turn, kept unpacked: only what is new in the store is unpacked.

What is handed out is a part of one growing array, so that two turns share their past. It never changes: steps
are added behind it, and where one that was handed out is revised, the array is copied first.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.store.chunks import Chunk, lay, overlay, window
from forecasts.types import DAY_S, EPOCH, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPARE_S = DAY_S  # an array has room for so much more, and up to twice that, before it is laid out anew
_Mark = tuple[int, int, int, str]


class Recent:
    """Arrays by series id. Whoever uses it holds its lock."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.lock = Lock()
        self._kept: dict[str, _Kept] = {}

    def look(self, unique_id: str, chunks: Sequence[Chunk], low: int | None, high: int | None) -> Look | None:
        """What is to be read for a window, given that there are these chunks; None where it has no steps."""
        found = window(chunks, low, high)
        if found is None:
            return None
        grid, start, steps = found
        there = [one for one in grid if one.end > start and one.start < start + steps * one.step_s]
        kept = self._kept.get(unique_id)
        new = None if kept is None else kept.new(there, start, steps)
        return Look(
            unique_id=unique_id,
            start=start,
            steps=steps,
            step_s=grid[0].step_s,
            there=there,
            lacking=there if new is None else new,
            kept=None if new is None else kept,
        )

    def series(self, look: Look, values: Mapping[int, bytes]) -> Series:
        """What `chunks.series_of` says, with the same errors; `values`: of what was lacking, by row."""
        chunks = [replace(one, values=values.get(one.row)) for one in look.lacking]
        kept = look.kept
        if kept is None:
            kept = _Kept.of(look.unique_id, chunks, look.start, look.steps, look.step_s)
            self._kept[look.unique_id] = kept
        else:
            kept.take(look.unique_id, chunks, look.there)
        return Series(
            unique_id=look.unique_id,
            start=EPOCH + timedelta(seconds=look.start),
            step_s=kept.step_s,
            y=kept.part(look.start, look.steps),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A window of a series, from `start` seconds on, and the chunks `there` in it (none in a hole).

    `lacking`: those whose values are to be read, all of them where no array can go on (`kept` is None).
    """

    unique_id: str
    start: int
    steps: int
    step_s: int
    there: Sequence[Chunk]
    lacking: Sequence[Chunk]
    kept: _Kept | None


@dataclass(slots=True)
class _Kept:
    """`y` float64 begins at `start` seconds; its first `shown` steps may have been handed out."""

    start: int
    step_s: int
    y: NDArray[np.float64]
    shown: int
    chunks: dict[_Mark, tuple[int, int]]  # what is in it: where each chunk begins and ends, seconds

    @classmethod
    def of(cls, unique_id: str, chunks: Sequence[Chunk], start: int, steps: int, step_s: int) -> _Kept:
        # By as much as its name says more: not all arrays are laid out anew in one turn.
        spare_s = SPARE_S + zlib.crc32(unique_id.encode()) % SPARE_S
        y = overlay(unique_id, chunks, start, steps + spare_s // step_s)
        return cls(start, step_s, y, 0, {_mark(chunk): (chunk.start, chunk.end) for chunk in chunks})

    def part(self, start: int, steps: int) -> NDArray[np.float64]:
        first = (start - self.start) // self.step_s
        self.shown = max(self.shown, first + steps)
        part = self.y[first : first + steps]
        part.flags.writeable = False
        return part

    def new(self, chunks: Sequence[Chunk], start: int, steps: int) -> Sequence[Chunk] | None:
        """Those of the window's chunks that are to be laid on top; None where the array cannot go on."""
        first = (start - self.start) // self.step_s
        if not chunks or not chunks[0].fits(self.start, self.step_s):
            return None
        if first < 0 or first + steps > len(self.y):
            return None
        known = [_mark(chunk) in self.chunks for chunk in chunks]
        fresh = known.index(False) if False in known else len(known)
        gone = [self.chunks[mark] for mark in self.chunks.keys() - {_mark(chunk) for chunk in chunks}]
        if any(known[fresh:]) or not _within([part for part in gone if part[1] > start], chunks[fresh:]):
            return None
        return chunks[fresh:]

    def take(self, unique_id: str, new: Sequence[Chunk], chunks: Sequence[Chunk]) -> None:
        """Lay what is new on top; `chunks` is all that there is now."""
        for chunk in new:
            self._lay(unique_id, chunk)
        self.chunks = {_mark(chunk): (chunk.start, chunk.end) for chunk in chunks}

    def _lay(self, unique_id: str, chunk: Chunk) -> None:
        """On top of what is there, which is copied first where something that was handed out would change."""
        first = max(0, (chunk.start - self.start) // self.step_s)
        shown = self.y[first : self.shown]
        over = overlay(unique_id, [chunk], self.start + first * self.step_s, len(shown))
        if (np.isfinite(over) & (over != shown)).any():
            self.y, self.shown = self.y.copy(), 0
        lay(unique_id, chunk, self.y, self.start)


def _mark(chunk: Chunk) -> _Mark:
    """What tells a chunk from another one; the number of its row alone would, none comes again."""
    return (chunk.row, chunk.start, chunk.steps, chunk.codec)


def _within(gone: Sequence[tuple[int, int]], chunks: Sequence[Chunk]) -> bool:
    """Whether what is gone is held by new chunks, that follow one another: then nothing was taken away."""
    reach: list[list[int]] = []
    for begin, end in sorted((chunk.start, chunk.end) for chunk in chunks):
        if reach and begin <= reach[-1][1]:
            reach[-1][1] = max(reach[-1][1], end)
        else:
            reach.append([begin, end])
    return all(any(low <= begin and end <= high for low, high in reach) for begin, end in gone)
