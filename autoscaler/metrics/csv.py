"""History from a CSV file with the columns unique_id, ds, y; `.csv.gz` as well.

`ds` is ISO 8601 with Z or an offset (without either only where a time zone is given), or epoch seconds.
An empty `y` is an absent sample. Every row keeps its line, so that whoever refuses it can name it.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from autoscaler.errors import DataError, MetricsError, UsageError
from autoscaler.metrics.stamps import parse, zone
from autoscaler.metrics.tables import MOST_REASONS, chosen, pick, readable, refuse_too_much
from autoscaler.ports import Samples
from forecasts.limits import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".csv", ".csv.gz")
# Rows held as text at once: keeps the memory near that of the arrays.
CHUNK = 4_096

Piece = tuple["NDArray[np.object_]", "NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.int64]"]


class CsvMetrics:
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

    Rows of other series are passed over unread, so that memory follows what is named. DataError where it is
    no such file, where no row can be read, or where more is asked for than is held at once.
    """
    local = zone(timezone)
    rejected: list[str] = []
    pieces: list[Piece] = []
    rows = kept = 0
    with readable(path), _text(path) as file:
        for found, piece in _pieces(file, path, local, frozenset(only), rejected):
            pieces.append(piece)
            rows += found
            kept += len(piece[0])
            refuse_too_much(path, series=0, samples=kept)
    if not kept and not (only and rows and not rejected):
        raise DataError(rejected[0] if rejected else f"{path}: there are no samples below the header")
    names, stamps, y, lines = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    return Samples(
        unique_id=names,
        ds=stamps.astype("datetime64[us]"),
        y=y,
        line=lines,
        source=str(path),
        rejected=tuple(rejected),
    )


def _text(path: Path) -> TextIO:
    """The file as text; a byte order mark is skipped."""
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _pieces(
    file: TextIO, path: Path, local: tzinfo | None, only: frozenset[str], rejected: list[str]
) -> Iterator[tuple[int, Piece]]:
    """Chunk by chunk: how many rows it had; names, stamps, values and lines of those that can be read."""
    reader = csv.reader(file)
    try:
        header = next(reader, None)
        if header is None:
            raise DataError(f"{path}: is empty; the header is unique_id,ds,y")
        if header and header[0].lstrip().startswith("<"):
            raise DataError(f"{path}:1: is a web page, not a table (a login in between?)")
        at = pick([name.strip() for name in header], f"{path}:1")
        rows = _Rows(path, local, at, len(header), only, rejected)
        while numbered := [(reader.line_num, row) for row in islice(reader, CHUNK)]:
            yield len(numbered), rows.read(numbered)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Rows:
    """How the rows of one file are read: where its columns are, and what became of those that fail."""

    path: Path
    local: tzinfo | None
    at: tuple[int, int, int]
    width: int
    only: frozenset[str]
    rejected: list[str]
    interned: dict[str, str] = field(default_factory=dict)

    def read(self, numbered: list[tuple[int, list[str]]]) -> Piece:
        whole = []
        name_at, only = self.at[0], self.only
        for line, row in numbered:
            if len(row) == self.width:
                if not only or row[name_at] in only:
                    whole.append((line, row))
            elif row:  # a blank line is nothing
                self._reject(line, f"{len(row)} columns where the header has {self.width}")
        unique_id, ds, value = self.at
        lines = np.array([line for line, _ in whole], dtype=np.int64)
        # One object a name, however many rows: a million copies of a name are megabytes.
        known = self.interned
        names = np.array([known.setdefault(row[unique_id], row[unique_id]) for _, row in whole], dtype=object)
        refuse_too_much(self.path, series=len(known), samples=0)
        stamps, bad = parse([row[ds] for _, row in whole], self.local)
        y, wrong = _numbers([row[value] for _, row in whole])
        bad = {int(index): "unique_id is empty" for index in np.flatnonzero(names == "")} | wrong | bad
        keep = np.ones(len(whole), dtype=bool)
        for index in sorted(bad):
            keep[index] = False
            if bad[index]:
                self._reject(int(lines[index]), bad[index])
        return names[keep], stamps[keep], y[keep], lines[keep]

    def _reject(self, line: int, reason: str) -> None:
        if len(self.rejected) < MOST_REASONS:
            self.rejected.append(f"{self.path}:{line}: {reason}")


def _numbers(texts: Sequence[str]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Values [texts], and why some are none; an empty text is absent and has no reason."""
    try:
        if "_" not in "".join(texts):  # Python reads 1_000, a file of samples does not mean it
            return np.array(list(map(float, texts)), dtype=np.float64), {}
    except ValueError:
        pass  # some value is no number: each is looked at below
    y = np.full(len(texts), np.nan)
    bad: dict[int, str] = {}
    for index, text in enumerate(texts):
        try:
            y[index] = float(text.replace("_", "?"))
        except ValueError:
            bad[index] = f"y = {text[:40]!r} is no number" if text.strip() else ""
    return y, bad
