"""Runs of steps of one series, packed: laid over one another, and what is new packed with them.

A chunk is float32 (relative error at most 2^-24), or float64 where float32 cannot hold a value that well,
compressed by zlib: a month of one-minute samples of a real pool takes 40 kB. Each series is packed by itself.
Chunks are never changed; a later one wins over earlier ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscaler.errors import StoreError
from forecasts.types import EPOCH, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FULL_STEPS = 4_096  # no chunk is longer
GROWTH = 8  # what is new is packed with the chunk before it where that is not full, nor so many times as long
_DTYPES = {"f4-zlib": "<f4", "f8-zlib": "<f8"}
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some steps of a grid, as they lie in the store: from `start`, seconds since 1970 UTC, on.

    `values` is None where they were not asked for.
    """

    row: int
    start: int
    step_s: int
    steps: int
    codec: str
    values: bytes | None = None

    @property
    def end(self) -> int:
        """Where its last step ends, seconds since 1970 UTC."""
        return self.start + self.steps * self.step_s

    def fits(self, start: int, step_s: int) -> bool:
        """Whether it is on the grid of a series that begins at `start`."""
        return self.step_s == step_s and (self.start - start) % step_s == 0


def series_of(unique_id: str, chunks: list[Chunk], low: int | None, high: int | None) -> Series | None:
    """The steps within [low, high), seconds since 1970 UTC, None for none; StoreError for bad bytes."""
    found = window(chunks, low, high)
    if found is None:
        return None
    grid, start, steps = found
    y = overlay(unique_id, grid, start, steps)
    y.flags.writeable = False
    return Series(unique_id=unique_id, start=EPOCH + timedelta(seconds=start), step_s=grid[0].step_s, y=y)


def window(chunks: Sequence[Chunk], low: int | None, high: int | None) -> tuple[list[Chunk], int, int] | None:
    """The chunks on the newest grid, and its first step (seconds) and number of steps within [low, high)."""
    if not chunks:
        return None
    newest = chunks[-1]
    grid = [chunk for chunk in chunks if chunk.fits(newest.start, newest.step_s)]
    step = newest.step_s
    start, end = min(chunk.start for chunk in grid), max(chunk.end for chunk in grid)
    if low is not None and low > start:
        start += -(-(low - start) // step) * step
    if high is not None and high < end:
        end = start - (start - high) // step * step
    return (grid, start, (end - start) // step) if end > start else None


def overlay(unique_id: str, chunks: Sequence[Chunk], start: int, steps: int) -> Floats:
    """The values from `start` on, float64 [steps]: chunks of one grid, the last laid on top."""
    y = np.full(steps, np.nan)
    for chunk in chunks:
        lay(unique_id, chunk, y, start)
    return y


def lay(unique_id: str, chunk: Chunk, y: Floats, start: int) -> None:
    """Put what a chunk knows into `y`, whose steps begin at `start` seconds."""
    offset = (chunk.start - start) // chunk.step_s
    first, last = max(0, offset), min(len(y), offset + chunk.steps)
    if first < last:
        values = _unpacked(unique_id, chunk)[first - offset : last - offset]
        known = np.isfinite(values)
        y[first:last][known] = values[known]


def packed(series: Series, chunks: Sequence[Chunk]) -> tuple[int, tuple[int, Floats] | None]:
    """How many samples are new or revised, and the values to keep with where they begin, None for nothing.

    They are laid over the chunks; what lies wholly within them is in them.
    """
    start = second(series)
    # What does not survive packing is compared as it will be read, or it would look revised for ever.
    y = _rounded(np.where(np.isfinite(series.y), series.y, np.nan))
    kept = overlay(series.unique_id, chunks, start, len(y))
    revised = np.isfinite(y) & (y != kept)
    merged = np.where(np.isfinite(y), y, kept)
    changed = revised | ~_covered(chunks, start, series.step_s, len(y))
    if not changed.any():
        return 0, None
    first, last = int(np.argmax(changed)), len(y) - int(np.argmax(changed[::-1]))
    fresh, fresh_start = merged[first:last], start + first * series.step_s
    fresh_end = fresh_start + len(fresh) * series.step_s
    whole_start, whole_end = _grown(chunks, fresh_start, fresh_end)
    if (whole_start, whole_end) != (fresh_start, fresh_end):
        whole = overlay(series.unique_id, chunks, whole_start, (whole_end - whole_start) // series.step_s)
        offset = (fresh_start - whole_start) // series.step_s
        whole[offset : offset + len(fresh)] = fresh
        fresh, fresh_start = whole, whole_start
    return int(revised.sum()), (fresh_start, fresh)


def _covered(chunks: Sequence[Chunk], start: int, step_s: int, steps: int) -> NDArray[np.bool_]:
    """Which steps some chunk reaches, be they present or known to be absent: bool [steps]."""
    covered = np.zeros(steps, dtype=bool)
    for chunk in chunks:
        offset = (chunk.start - start) // step_s
        covered[max(0, offset) : max(0, offset + chunk.steps)] = True
    return covered


def _grown(chunks: Sequence[Chunk], start: int, end: int) -> tuple[int, int]:
    """The seconds [start, end) that are packed together: what is new, with the newest chunks that it overlaps
    or follows at once, as far back as their values were read.

    As in a log-structured merge: chunks grow by a factor, so that a step is packed again a few times in all
    and a series has few chunks.
    """
    unread = [chunk for chunk in chunks if chunk.values is None]
    for chunk in reversed(chunks):
        small = chunk.steps < FULL_STEPS and chunk.steps * chunk.step_s <= GROWTH * (end - start)
        low, high = chunk.start, max(end, chunk.end)
        known = not any(one.start < high and low < one.end for one in unread)
        if not (known and small and chunk.start <= start <= chunk.end):
            break
        start, end = low, high
    return start, end


def rows(unique_id: str, start: int, step_s: int, y: Floats) -> Iterable[dict[str, Any]]:
    """The columns of the chunks that hold `y`, float64 [steps], from `start` seconds on."""
    for first in range(0, len(y), FULL_STEPS):
        part = y[first : first + FULL_STEPS]
        codec = "f4-zlib" if _fits_float32(part) else "f8-zlib"
        packed = zlib.compress(part.astype(_DTYPES[codec]).tobytes(), level=1)
        yield {
            "unique_id": unique_id,
            "start": start + first * step_s,
            "step_s": step_s,
            "steps": len(part),
            "codec": codec,
            "values": packed,
        }


def _unpacked(unique_id: str, chunk: Chunk) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.frombuffer(zlib.decompress(chunk.values or b""), dtype=_DTYPES[chunk.codec])
    except (zlib.error, KeyError, ValueError) as error:
        raise StoreError(f"chunk {chunk.row} of {unique_id} is corrupt; restore the store") from error
    if len(values) != chunk.steps:
        raise StoreError(f"chunk {chunk.row} of {unique_id} has {len(values)} steps, not {chunk.steps}")
    return values


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970 UTC of an aware moment."""
    return int((moment - EPOCH).total_seconds())


def second(series: Series) -> int:
    """Where a series begins, seconds since 1970 UTC; StoreError where that is within a second."""
    seconds = (series.start - EPOCH).total_seconds()
    if seconds != int(seconds):
        raise StoreError(f"{series.unique_id}: the grid begins at {series.start}, within a second")
    return int(seconds)


def _holds(y: Floats) -> NDArray[np.bool_]:
    """Where float32 has all of its 24 bits: zero, or neither overflowing nor subnormal."""
    size = np.abs(y)
    held: NDArray[np.bool_] = (y == 0) | ~np.isfinite(y) | ((size >= _SMALLEST) & (size <= _LARGEST))
    return held


def _fits_float32(y: Floats) -> bool:
    return bool(_holds(y).all())


def _rounded(y: Floats) -> Floats:
    with np.errstate(over="ignore", under="ignore"):
        return np.where(_holds(y), y.astype(np.float32).astype(np.float64), y)
