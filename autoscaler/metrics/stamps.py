"""Stamps of files to microseconds since 1970 UTC: ISO 8601, or epoch seconds that name a plausible year."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

import numpy as np

from autoscaler.errors import UsageError
from forecasts.types import EARLIEST, LATEST, microseconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND_US = 1_000_000
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
LEAP = re.compile(r"(:\d\d):60(\.\d+)?")
# 2026-03-01T12:00:00Z, the commonest form, is read by numpy all at once.
PLAIN = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ")
FINER = (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))


def zone(name: str | None) -> tzinfo | None:
    """The zone of stamps that carry none: UTC, or None where they are to be refused.

    UsageError for any other name: a local zone has an hour twice a year, which nobody can tell apart.
    """
    if name is None:
        return None
    if name != "UTC":
        raise UsageError(f"the time zone {name!r} is refused: only UTC is unambiguous")
    return UTC


def parse(texts: Sequence[str], local: tzinfo | None) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Microseconds since 1970 UTC [texts], and why some could not be read, by index (their stamp is 0).

    A stamp without Z or offset is one of `local`; None: it is refused. A leap second is the second
    after it. Years are left to the gate.
    """
    if set(map(len, texts)) == {20} and all(text[19] == "Z" and text[10] == "T" for text in texts):
        try:
            wide = np.array(texts).astype("U19").astype("datetime64[us]").astype(np.int64)
        except ValueError:
            pass  # some stamp is odd (a leap second, the 30th of February): each is looked at below
        else:
            return wide, {}
    stamps = np.zeros(len(texts), dtype=np.int64)
    bad: dict[int, str] = {}
    for index, text in enumerate(texts):
        read = _read(text.strip(), local)
        if isinstance(read, str):
            bad[index] = read
        else:
            stamps[index] = read
    return stamps, bad


def _read(text: str, local: tzinfo | None) -> int | str:
    """One stamp, or why it cannot be read."""
    if NUMBER.fullmatch(text):
        return _epoch(float(text))
    plain = LEAP.sub(r"\1:59", text)
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        return f"{text[:40]!r} is no stamp; write ISO 8601 such as 2026-03-01T12:00:00Z"
    if moment.tzinfo is None:
        if local is None:
            return f"the stamp {text!r} has no time zone; write a Z or an offset, or give --timezone UTC"
        moment = moment.replace(tzinfo=local)
    return microseconds(moment) + (SECOND_US if plain != text else 0)


def _epoch(seconds: float) -> int | str:
    """Epoch seconds of a year that can be meant, or what else the number may be."""
    low, high = EARLIEST.timestamp(), LATEST.timestamp()
    if low <= seconds < high:
        return round(seconds * SECOND_US)
    for unit, per_second in FINER:
        if low <= seconds / per_second < high:
            return f"the stamp {seconds:.0f} is in {unit}, it seems; write seconds or ISO 8601"
    return f"the stamp {seconds:g} lies outside {EARLIEST.year}-{LATEST.year - 1}; write ISO 8601"
