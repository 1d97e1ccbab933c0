"""Whatever files a command was given, read and gated at once."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from autoscaler.errors import DataError
from autoscaler.ports import Samples
from forecasts.frame import gate
from forecasts.limits import BadFrame, Code, Gated, Limits, Notice

READERS = ("csv", "parquet")


class Reader(Protocol):
    """What a module that reads tables offers."""

    SUFFIXES: tuple[str, ...]

    @staticmethod
    def read(path: Path, *, timezone: str | None, only: Sequence[str]) -> Samples:
        """The samples of the named series of a file, all if none is named; DataError where it has none."""


def read_files(
    paths: Sequence[str | Path],
    *,
    timezone: str | None = None,
    strict: bool = True,
    limits: Limits,
    only: Sequence[str] = (),
) -> Gated:
    """The series of the files through the input gate, by unique_id in ascending order.

    `only` names those to read, all if it names none; one that no file has is left out.

    strict: the first bad sample or unreadable row is a DataError that names file and line. Otherwise it
    is dropped with a notice. A series may continue from one file to another; where it is in two files
    for the same time, that is a DataError either way, for nobody can say which one is meant. `limits.kind`
    is that of all of them.
    """
    if not paths:
        raise DataError("no history was given; name at least one file")
    parts = [_read(Path(path), timezone, only) for path in paths]
    notices = []
    for part in parts:
        if part.rejected:
            if strict:
                raise DataError(part.rejected[0])
            message = f"{part.rejected[0]} ({len(part.rejected)} rows dropped)"
            count = len(part.rejected)
            notices.append(
                Notice(code=Code.UNREADABLE, unique_id="", count=count, row=-1, first="", message=message)
            )
    if only and not any(len(part.y) for part in parts):
        return Gated(notices=tuple(notices))
    _refuse_overlap(parts)
    try:
        gated = gate(
            np.concatenate([part.unique_id for part in parts]),
            np.concatenate([part.ds for part in parts]),
            np.concatenate([part.y for part in parts]),
            limits,
            strict=strict,
        )
    except BadFrame as error:
        raise DataError(f"{_place(parts, error.row)}: {error}") from error
    return Gated(series=gated.series, notices=(*notices, *gated.notices), refused=gated.refused)


def _read(path: Path, timezone: str | None, only: Sequence[str]) -> Samples:
    for name in READERS:
        # Imported by name when a file needs it: pyarrow takes a third of a second.
        reader = cast("Reader", importlib.import_module(f"autoscaler.metrics.{name}"))
        if path.name.lower().endswith(reader.SUFFIXES):
            return reader.read(path, timezone=timezone, only=only)
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    raise DataError(f"{path}: is neither .csv, .csv.gz nor .parquet by its name")


def _place(parts: Sequence[Samples], row: int) -> str:
    """File and line of a row of all the parts together."""
    if row < 0:
        return ", ".join(part.source for part in parts)
    for part in parts:
        if row < len(part.line):
            return f"{part.source}:{part.line[row]}"
        row -= len(part.line)
    raise IndexError(row)


def _refuse_overlap(parts: Sequence[Samples]) -> None:
    """The same series in two files for the same time is a mistake of whoever named them."""
    seen: dict[str, list[tuple[np.datetime64, np.datetime64, str]]] = {}
    for part in parts if len(parts) > 1 else ():
        for name, first, last in _spans(part):
            for begin, end, other in seen.get(name, []):
                if first <= end and begin <= last:
                    raise DataError(f"{part.source}: {name} is in {other} too, for the same time; name one")
            seen.setdefault(name, []).append((first, last, part.source))


def _spans(part: Samples) -> list[tuple[str, np.datetime64, np.datetime64]]:
    """Name, first and last stamp of every series of a part."""
    names, index = np.unique(part.unique_id.astype(str), return_inverse=True)
    stamps = part.ds.astype(np.int64)
    first = np.full(names.size, np.iinfo(np.int64).max)
    last = np.full(names.size, np.iinfo(np.int64).min)
    np.minimum.at(first, index, stamps)
    np.maximum.at(last, index, stamps)
    return [
        (str(name), np.datetime64(int(a), "us"), np.datetime64(int(b), "us"))
        for name, a, b in zip(names, first, last, strict=True)
    ]
