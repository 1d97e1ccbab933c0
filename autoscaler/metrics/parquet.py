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
from autoscaler.metrics.tables import MOST_REASONS, chosen, pick, readable
from autoscaler.ports import Samples
from forecasts.limits import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".parquet",)

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
            whole = read(self._path, timezone=self._timezone)
        except (DataError, UsageError) as error:
            raise MetricsError(str(error)) from error
        return chosen(whole, series, since, until, kind=self._kind)


def read(path: Path, *, timezone: str | None = None) -> Samples:
    """All samples of a file, in its order. DataError where it is no such file or no row can be read."""
    zone(timezone)  # a wrong name is told before anything is read
    unique_id, ds, y = _columns(path)
    if pa.types.is_nested(y.type) or not (pa.types.is_floating(y.type) or pa.types.is_integer(y.type)):
        raise DataError(f"{path}: the column y is {y.type}, not a number")
    stamps, bad = _stamps(ds, timezone, path)
    names = np.array(unique_id.cast(pa.string()).dictionary_encode().to_pylist(), dtype=object)
    keep = np.array(y.is_valid())
    for index in np.flatnonzero((names == None) | (names == "")):  # noqa: E711 - element by element
        bad[int(index)] = "unique_id is empty"
    reasons = [f"{path}:{index + 1}: {bad[index]}" for index in sorted(bad)[:MOST_REASONS]]
    keep[list(bad)] = False
    if not keep.any():
        raise DataError(reasons[0] if reasons else f"{path}: there are no samples")
    return Samples(
        unique_id=names[keep],
        ds=stamps[keep].astype("datetime64[us]"),
        y=y.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)[keep],
        line=np.flatnonzero(keep) + 1,
        source=str(path),
        rejected=tuple(reasons),
    )


def _columns(path: Path) -> list[Any]:
    """The three columns as arrays of one chunk each."""
    try:
        with readable(path), path.open("rb") as file:
            source = pq.ParquetFile(file)
            found = source.schema_arrow.names
            at = pick(found, str(path))
            table = source.read(columns=[found[index] for index in at])
            return [table.column(found[index]).combine_chunks() for index in at]
    except pa.ArrowException as error:
        raise DataError(f"{path}: is no Parquet file ({str(error).splitlines()[0][:120]})") from error


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
