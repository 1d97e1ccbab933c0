"""History from a Parquet file with the columns unique_id, ds, y.

`ds` is a timestamp with a time zone (without one only where a zone is given), ISO 8601 text or epoch
seconds. A null `y` is an absent sample. What stands for
the line is the number of the row, from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoscaler.errors import DataError, MetricsError, UsageError
from autoscaler.metrics.stamps import parse, zone
from autoscaler.metrics.tables import MOST_REASONS, chosen, pick, readable, refuse_too_much
from autoscaler.ports import Samples
from forecasts.limits import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".parquet",)
BATCH = 65_536

Stamps = tuple["NDArray[np.int64]", dict[int, str]]


class ParquetMetrics:
    """The `Metrics` port over one file. Rows that cannot be read are left out and told in `rejected`."""

    def __init__(self, path: str | Path, *, timezone: str | None = None, kind: Kind = "gauge") -> None:
        """`timezone` "UTC" is that of stamps without one; None: they are refused."""
        self._path = Path(path)
        self._timezone = timezone
        self._kind = kind

    def samples(self, series: Sequence[str], since: datetime | None, until: datetime | None) -> Samples:
        """The points of the named series (all if none is named) with since <= ds < until."""
        try:
            whole = read(self._path, timezone=self._timezone, only=series)
        except (DataError, UsageError) as error:
            raise MetricsError(str(error)) from error
        return chosen(whole, series, since, until, kind=self._kind)


def read(path: Path, *, timezone: str | None = None, only: Sequence[str] = ()) -> Samples:
    """The samples of the named series (all if none is named), in the order of the file.

    Other series are passed over batch by batch, so that memory follows what is named. DataError where it is
    no such file, where no row can be read, or where more is asked for than is held at once.
    """
    zone(timezone)  # a wrong name is told before anything is read
    unique_id, ds, y, rows = _columns(path, only)
    if pa.types.is_nested(y.type) or not (pa.types.is_floating(y.type) or pa.types.is_integer(y.type)):
        raise DataError(f"{path}: the column y is {y.type}, not a number")
    stamps, bad = _stamps(ds, timezone, path)
    names = np.array(unique_id.cast(pa.string()).dictionary_encode().to_pylist(), dtype=object)
    keep = np.array(y.is_valid())
    for index in np.flatnonzero((names == None) | (names == "")):  # noqa: E711 - element by element
        bad[int(index)] = "unique_id is empty"
    reasons = [f"{path}:{rows[index]}: {bad[index]}" for index in sorted(bad)[:MOST_REASONS]]
    keep[list(bad)] = False
    if not keep.any() and not (only and not reasons):
        raise DataError(reasons[0] if reasons else f"{path}: there are no samples")
    return Samples(
        unique_id=names[keep],
        ds=stamps[keep].astype("datetime64[us]"),
        y=y.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)[keep],
        line=rows[keep],
        source=str(path),
        rejected=tuple(reasons),
    )


def _columns(path: Path, only: Sequence[str]) -> tuple[Any, Any, Any, NDArray[np.int64]]:
    """The three columns as arrays of one chunk each, of the named series, and the number of each row."""
    wanted = pa.array(list(only), pa.string()) if only else None
    try:
        with readable(path), path.open("rb") as file:
            source = pq.ParquetFile(file)
            found = source.schema_arrow.names
            names = [found[index] for index in pick(found, str(path))]
            batches, rows = _batches(path, source, names, wanted)
    except pa.ArrowException as error:
        raise DataError(f"{path}: is no Parquet file ({str(error).splitlines()[0][:120]})") from error
    schema = pa.schema([source.schema_arrow.field(name) for name in names])
    table = pa.Table.from_batches(batches, schema=None if batches else schema)
    unique_id, ds, y = (table.column(name).combine_chunks() for name in names)
    return unique_id, ds, y, rows


def _batches(
    path: Path, source: Any, names: Sequence[str], wanted: Any
) -> tuple[list[Any], NDArray[np.int64]]:
    """What is kept of each batch, and the number of each of its rows, from 1."""
    batches: list[Any] = []
    numbers = [np.zeros(0, dtype=np.int64)]
    seen: set[str] = set()
    first, kept = 1, 0
    for batch in source.iter_batches(batch_size=BATCH, columns=list(names)):
        ids = batch.column(names[0]).cast(pa.string())
        number = np.arange(first, first + len(ids))
        first += len(ids)
        if wanted is not None:
            mask = pc.is_in(ids, value_set=wanted)
            batch, number = batch.filter(mask), number[np.array(mask)]  # noqa: PLW2901 - what is left of it
        else:
            seen.update(ids.unique().to_pylist())
        kept += len(number)
        refuse_too_much(path, series=len(seen), samples=kept)
        batches.append(batch)
        numbers.append(number)
    return batches, np.concatenate(numbers)


def _stamps(ds: Any, timezone: str | None, path: Path) -> Stamps:
    """Microseconds since 1970 UTC [rows], and why some could not be read, by index."""
    if pa.types.is_dictionary(ds.type):
        ds = ds.dictionary_decode()
    if pa.types.is_date(ds.type):
        ds = ds.cast(pa.timestamp("s"))
    if not pa.types.is_timestamp(ds.type):
        texts = ["" if value is None else str(value) for value in ds.to_pylist()]
        return parse(texts, zone(timezone))
    if ds.type.tz is None:
        if timezone is None:
            raise DataError(
                f"{path}: the column ds has no time zone; write it in UTC, or give --timezone UTC"
            )
        ds = pc.assume_timezone(ds, "UTC")
    whole = ds.cast(pa.timestamp("us", ds.type.tz), safe=False).cast(pa.int64())
    absent = np.flatnonzero(~np.array(ds.is_valid()))
    stamps: NDArray[np.int64] = whole.fill_null(0).to_numpy(zero_copy_only=False)
    return stamps, {int(index): "ds is empty" for index in absent}
