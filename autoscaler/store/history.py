"""Samples of the metrics, kept in compressed chunks.

A chunk is float32 (relative error at most 2^-24), or float64 where float32 cannot hold a value that well,
compressed by zlib: a month of one-minute samples of a real pool takes 40 kB. Each series is packed by itself.
Chunks are never changed; a later one wins over earlier ones, and replaces those that lie wholly within it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Engine, and_, case, delete, insert, select, true

from autoscaler.errors import StoreError
from autoscaler.store.database import reading, writing
from autoscaler.store.tables import ChunkRow
from forecasts.types import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FULL_STEPS = 4_096  # no chunk is longer
GROWTH = 8  # what is new is packed with the chunk before it where that is not full, nor so many times as long
AT_ONCE = 500  # ids in one query
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK = ChunkRow.__table__  # type: ignore[attr-defined]
_DTYPES = {"f4-zlib": "<f4", "f8-zlib": "<f8"}
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class _Chunk:
    row: int
    start: int
    step_s: int
    steps: int
    codec: str
    values: bytes | None

    @property
    def end(self) -> int:
        return self.start + self.steps * self.step_s

    def fits(self, start: int, step_s: int) -> bool:
        return self.step_s == step_s and (self.start - start) % step_s == 0


class History:
    """What was observed of each series. Raises StoreError and nothing else."""

    def __init__(self, engine: Engine) -> None:
        """`engine` is that of `autoscaler.store.database.connect`."""
        self._engine = engine

    def close(self) -> None:
        """Let go of the file, for the trail of the same engine too; the next use opens it again."""
        self._engine.dispose()

    def append(self, series: Series) -> int:
        """Keep one series; see `append_all`."""
        return self.append_all([series])

    def append_all(self, many: Iterable[Series]) -> int:
        """Keep what is new, in one transaction; returns the number of samples that were new or revised.

        A finite value wins over what was kept before; an absent one (NaN) never erases. The same again adds
        nothing. A series whose step or phase changed begins a new grid.
        """
        with writing(self._engine) as connection:
            return sum(_append(connection, batch) for batch in _batches(many))

    def ends(self, ids: Sequence[str]) -> dict[str, datetime]:
        """When the kept steps of each series end, on the grid kept last; ids never seen are left out."""
        found: dict[str, datetime] = {}
        with reading(self._engine) as connection:
            for first in range(0, len(ids), AT_ONCE):
                columns = (_CHUNK.c[name] for name in ("unique_id", "start", "step_s", "steps"))
                batch = list(ids[first : first + AT_ONCE])
                query = select(*columns).where(_CHUNK.c.unique_id.in_(batch)).order_by(_CHUNK.c.id)
                grids: dict[str, tuple[int, int]] = {}
                for unique_id, start, step_s, steps in connection.execute(query):
                    old_step, old_end = grids.get(unique_id, (step_s, 0))
                    end = start + steps * step_s
                    grids[unique_id] = (step_s, max(end, old_end) if old_step == step_s else end)
                found |= {name: _EPOCH + timedelta(seconds=end) for name, (_, end) in grids.items()}
        return found

    def read(
        self, ids: Sequence[str], since: datetime | None = None, until: datetime | None = None
    ) -> list[Series]:
        """The kept steps that begin in [since, until), in the order of `ids`; ids never seen are left out.

        Each series is on the grid that was kept last; samples on an older grid are not mixed in.
        """
        low = None if since is None else int((since - _EPOCH).total_seconds())
        high = None if until is None else int((until - _EPOCH).total_seconds())
        found: list[Series] = []
        wanted = list(dict.fromkeys(ids))
        with reading(self._engine) as connection:
            for first in range(0, len(wanted), AT_ONCE):
                batch = wanted[first : first + AT_ONCE]
                chunks = _chunks(connection, batch, low, high)
                found += [
                    s for uid in batch if (s := _series(uid, chunks.get(uid, []), low, high)) is not None
                ]
        return found


def _chunks(
    connection: Connection, ids: Sequence[str], low: int | None = None, high: int | None = None
) -> dict[str, list[_Chunk]]:
    """The chunks of each series, oldest first; outside [low, high), seconds since 1970, without values."""
    columns = (_CHUNK.c.unique_id, *(_CHUNK.c[name] for name in ("id", "start", "step_s", "steps", "codec")))
    within = and_(
        true() if low is None else _CHUNK.c.start + _CHUNK.c.steps * _CHUNK.c.step_s > low,
        true() if high is None else _CHUNK.c.start < high,
    )
    values = case((within, _CHUNK.c["values"]), else_=None)
    query = select(*columns, values).where(_CHUNK.c.unique_id.in_(ids)).order_by(_CHUNK.c.id)
    found: dict[str, list[_Chunk]] = {}
    for unique_id, *rest in connection.execute(query):
        found.setdefault(unique_id, []).append(_Chunk(*rest))
    return found


def _series(unique_id: str, chunks: list[_Chunk], low: int | None, high: int | None) -> Series | None:
    if not chunks:
        return None
    newest = chunks[-1]
    chunks = [chunk for chunk in chunks if chunk.fits(newest.start, newest.step_s)]
    step = newest.step_s
    start, end = min(chunk.start for chunk in chunks), max(chunk.end for chunk in chunks)
    if low is not None and low > start:
        start += -(-(low - start) // step) * step
    if high is not None and high < end:
        end = start - (start - high) // step * step
    if end <= start:
        return None
    y = _overlay(unique_id, chunks, start, (end - start) // step)
    return Series(unique_id=unique_id, start=_EPOCH + timedelta(seconds=start), step_s=step, y=y)


def _overlay(unique_id: str, chunks: Sequence[_Chunk], start: int, steps: int) -> Floats:
    """The values from `start` on, float64 [steps]: chunks of one grid, the last laid on top."""
    y = np.full(steps, np.nan)
    for chunk in chunks:
        offset = (chunk.start - start) // chunk.step_s
        first, last = max(0, offset), min(steps, offset + chunk.steps)
        if first < last:
            values = _unpacked(unique_id, chunk)[first - offset : last - offset]
            known = np.isfinite(values)
            y[first:last][known] = values[known]
    return y


def _batches(many: Iterable[Series]) -> Iterator[dict[str, Series]]:
    """What is kept together: each id once, what has no steps left out."""
    batch: dict[str, Series] = {}
    for series in many:
        if series.unique_id in batch or len(batch) == AT_ONCE:
            yield batch
            batch = {}
        if len(series.y):
            batch[series.unique_id] = series
    if batch:
        yield batch


def _append(connection: Connection, batch: Mapping[str, Series]) -> int:
    """Keep what is new of some series; how many samples were new or revised."""
    # A chunk that is packed again is at most as long as a full one: nothing older is read.
    reach = {name: FULL_STEPS * series.step_s for name, series in batch.items()}
    low = min(_second(series) - reach[name] for name, series in batch.items())
    high = max(
        _second(series) + len(series.y) * series.step_s + reach[name] for name, series in batch.items()
    )
    chunks = _chunks(connection, list(batch), low, high)
    within: list[int] = []
    rows: list[dict[str, Any]] = []
    revised = 0
    for name, series in batch.items():
        fitting = [one for one in chunks.get(name, []) if one.fits(_second(series), series.step_s)]
        new, packed = _packed(series, fitting)
        revised += new
        if packed is not None:
            start, y = packed
            end = start + len(y) * series.step_s
            within += [one.row for one in fitting if start <= one.start and one.end <= end]
            rows += _rows(name, start, series.step_s, y)
    for first in range(0, len(within), AT_ONCE):
        connection.execute(delete(_CHUNK).where(_CHUNK.c.id.in_(within[first : first + AT_ONCE])))
    if rows:
        connection.execute(insert(_CHUNK), rows)
    return revised


def _packed(series: Series, chunks: Sequence[_Chunk]) -> tuple[int, tuple[int, Floats] | None]:
    """How many samples are new or revised, and the values to keep with where they begin, None for nothing.

    They are laid over the chunks; what lies wholly within them is in them.
    """
    start = _second(series)
    # What does not survive packing is compared as it will be read, or it would look revised for ever.
    y = _rounded(np.where(np.isfinite(series.y), series.y, np.nan))
    kept = _overlay(series.unique_id, chunks, start, len(y))
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
        whole = _overlay(series.unique_id, chunks, whole_start, (whole_end - whole_start) // series.step_s)
        offset = (fresh_start - whole_start) // series.step_s
        whole[offset : offset + len(fresh)] = fresh
        fresh, fresh_start = whole, whole_start
    return int(revised.sum()), (fresh_start, fresh)


def _covered(chunks: Sequence[_Chunk], start: int, step_s: int, steps: int) -> NDArray[np.bool_]:
    """Which steps some chunk reaches, be they present or known to be absent: bool [steps]."""
    covered = np.zeros(steps, dtype=bool)
    for chunk in chunks:
        offset = (chunk.start - start) // step_s
        covered[max(0, offset) : max(0, offset + chunk.steps)] = True
    return covered


def _grown(chunks: Sequence[_Chunk], start: int, end: int) -> tuple[int, int]:
    """The seconds [start, end) that are packed together: what is new, with the newest chunks that it overlaps
    or follows at once.

    As in a log-structured merge: chunks grow by a factor, so that a step is packed again a few times in all
    and a series has few chunks.
    """
    for chunk in reversed(chunks):
        small = chunk.steps < FULL_STEPS and chunk.steps * chunk.step_s <= GROWTH * (end - start)
        if chunk.values is None or not small or not chunk.start <= start <= chunk.end:
            break
        start, end = chunk.start, max(end, chunk.end)
    return start, end


def _rows(unique_id: str, start: int, step_s: int, y: Floats) -> Iterable[dict[str, Any]]:
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


def _unpacked(unique_id: str, chunk: _Chunk) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.frombuffer(zlib.decompress(chunk.values or b""), dtype=_DTYPES[chunk.codec])
    except (zlib.error, KeyError, ValueError) as error:
        raise StoreError(f"chunk {chunk.row} of {unique_id} is corrupt; restore the store") from error
    if len(values) != chunk.steps:
        raise StoreError(f"chunk {chunk.row} of {unique_id} has {len(values)} steps, not {chunk.steps}")
    return values


def _second(series: Series) -> int:
    seconds = (series.start - _EPOCH).total_seconds()
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
