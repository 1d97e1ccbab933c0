"""What the readers of tables share: which columns, which rows, and what a file that fails is told."""

from __future__ import annotations

import difflib
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from autoscaler.errors import DataError
from autoscaler.ports import Samples
from forecasts.limits import Kind
from forecasts.types import microseconds

COLUMNS = ("unique_id", "ds", "y")
# So many reasons are kept; a file in the wrong form has one for every row.
MOST_REASONS = 1000
# So many series and samples are held at once; a file with more is read series by series.
MOST_SERIES = 10_000
MOST_SAMPLES = 50_000_000


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what opening and decompressing a file may raise into one line that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder; name the files in it") from error
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: is not gzip, though its name ends in .gz") from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: ends too early or is damaged ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (if compressed, let its name end in .gz)") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def pick(found: Sequence[str], place: str) -> tuple[int, int, int]:
    """The positions of unique_id, ds and y among the columns `found`; DataError names what is missing."""
    for name in COLUMNS:
        if list(found).count(name) > 1:
            raise DataError(f"{place}: the column {name!r} is there twice; keep one")
        if name not in found:
            near = difflib.get_close_matches(name.lower(), [column.lower() for column in found], n=1)
            actual = [column for column in found if near and column.lower() == near[0]]
            hint = f"rename {actual[0]!r}" if actual else "the header is unique_id,ds,y"
            if len(found) == 1:
                hint = "separate the columns by commas: unique_id,ds,y"
            shown = ", ".join(found)[:200]
            raise DataError(f"{place}: there is no column {name!r} among {shown}; {hint}")
    unique_id, ds, y = (list(found).index(name) for name in COLUMNS)
    return unique_id, ds, y


def refuse_too_much(path: Path, *, series: int, samples: int) -> None:
    """DataError, with the mend, where a file holds more than is held in memory at once."""
    if series > MOST_SERIES or samples > MOST_SAMPLES:
        what = f"{MOST_SERIES:,} series" if series > MOST_SERIES else f"{MOST_SAMPLES:,} samples"
        raise DataError(f"{path}: holds more than {what}; name those that are needed with --series")


def chosen(
    samples: Samples, series: Sequence[str], since: datetime | None, until: datetime | None, *, kind: Kind
) -> Samples:
    """The samples of the named series (all if none is named) with since <= ds < until, of that kind."""
    stamps = samples.ds.astype(np.int64)
    keep = np.ones(stamps.size, dtype=bool)
    if since is not None:
        keep &= stamps >= microseconds(since)
    if until is not None:
        keep &= stamps < microseconds(until)
    if series:
        wanted = set(series)
        keep &= np.fromiter((name in wanted for name in samples.unique_id), bool, stamps.size)
    if keep.all():
        return replace(samples, kind=kind)
    return replace(
        samples,
        unique_id=samples.unique_id[keep],
        ds=samples.ds[keep],
        y=samples.y[keep],
        line=samples.line[keep],
        kind=kind,
    )
