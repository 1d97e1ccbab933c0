"""The long frame [unique_id, ds, y] and its input gate: raw samples in, series on a regular UTC grid out.

A sample that cannot be true (not finite, negative, out of range, in the future, a year nobody meant)
never reaches a series; a step without a sample is NaN. What was dropped or put right is told in a
`Notice`, and a series that is stale or full of holes is returned but named in `refused`: an unknown
may let capacity grow and never lets it shrink.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forecasts.freshness import stale
from forecasts.limits import BadFrame, Code, Gated, Limits, Notice, about
from forecasts.spikes import spikes
from forecasts.types import BadInput, Series, microseconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Stamps = NDArray[np.datetime64]

__all__ = ["BadFrame", "Code", "Gated", "Limits", "Notice", "gate", "iso"]

SECOND_US = 1_000_000
# A grid may be this many times longer than its samples, and as much again as two months of minutes:
# one stray stamp of 1990 among today's must not cost gigabytes.
SPARSEST = 20
SPARE_STEPS = 100_000


@dataclass(slots=True)
class _Rows:
    """The samples while they are gated: `code` indexes `names`, `us` is microseconds since 1970 UTC.

    `step_us`: the step of each name where it is known beforehand, else 0.
    """

    names: NDArray[np.object_]
    step_us: NDArray[np.int64]
    code: NDArray[np.int64]
    us: NDArray[np.int64]
    y: NDArray[np.float64]
    row: NDArray[np.int64]

    def only(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> _Rows:
        rest = (self.code[which], self.us[which], self.y[which], self.row[which])
        return _Rows(self.names, self.step_us, *rest)

    def first_of_each(self) -> NDArray[np.int64]:
        """Where each series begins, given that the rows are sorted by series."""
        return np.flatnonzero(np.diff(self.code, prepend=-1))


def gate(
    unique_id: NDArray[np.object_],
    ds: Stamps,
    y: NDArray[np.float64],
    limits: Limits,
    *,
    strict: bool,
    before: Mapping[str, Series] | None = None,
) -> Gated:
    """Samples of any number of series, in any order, to one regular series each.

    `unique_id` object, `ds` datetime64 UTC, `y` float64, all [rows]. The grid is the median step of the
    series from its first stamp; a sample off the grid goes to the step it lies in, and of two in one
    step the larger stays. A counter becomes its rate per second over the step, with resets repaired.

    strict: the first sample that is not sound raises BadFrame (of order, gaps and freshness it only
    tells). Otherwise it is dropped with a notice and the rest goes on. A spike is dropped either way: what
    decides live is what is replayed.

    `before`: what is known of a series already, up to its first sample, which goes on upon the same grid and
    is judged beside it; only what the samples say is returned. A series without one is returned as known.
    """
    before = before or {}
    if not len(unique_id) == len(ds) == len(y):
        raise BadInput(f"{len(unique_id)} ids, {len(ds)} stamps and {len(y)} values do not fit")
    notices: list[Notice] = []
    refused: dict[str, Notice] = {}
    series: list[Series] = []
    rows = _rows(unique_id, ds, y, before)
    if not len(rows.y) and not before:
        _tell(notices, about(Code.EMPTY, "", "there are no samples"), strict=strict)
        return Gated(notices=tuple(notices))
    rows = _settle(rows, _unsound(rows, limits), notices, strict=strict)
    rows = _sorted(rows, notices)
    rows = _settle(rows, _duplicates(rows, strict=strict), notices, strict=strict)
    steps = _steps(rows)
    if limits.kind == "counter":
        rows = _rates(rows.only(np.isfinite(rows.y)), steps, notices)
        rows = _settle(rows, _outside(rows, limits), notices, strict=strict)
    for at in np.split(np.arange(rows.code.size), rows.first_of_each()[1:]) if rows.code.size else ():
        own, step_us = rows.only(at), int(steps[rows.code[at[0]]])
        one = _regular(own, step_us, limits, notices, strict=strict, before=before.get(_name(own)))
        if isinstance(one, Notice):
            refused[one.unique_id] = one
            continue
        why = stale(one, limits, notices)
        if why is not None:
            refused[one.unique_id] = why
        series.append(one)
    seen = {str(rows.names[code]) for code in np.unique(rows.code)}
    series += [one for name, one in before.items() if name not in seen and name not in refused]
    seen |= before.keys()
    for name in sorted({str(name) for name in rows.names} - seen):
        refused[name] = about(Code.EMPTY, name, f"{name}: no sound sample is left")
    return Gated(
        series=tuple(sorted(series, key=lambda one: one.unique_id)),
        notices=tuple(sorted(notices, key=lambda notice: (notice.unique_id, notice.code))),
        refused=dict(sorted(refused.items())),
    )


def _tell(notices: list[Notice], notice: Notice, *, strict: bool) -> None:
    """Keep a notice, or raise it where the input is a file that is to be refused."""
    if strict:
        raise BadFrame(notice)
    notices.append(notice)


def _notice(rows: _Rows, at: NDArray[np.int64], code: Code, what: str) -> Notice:
    """One line about the rows `at` of one series; the first of them is named."""
    first = int(at[0])
    name, stamp = str(rows.names[rows.code[first]]), iso(int(rows.us[first]))
    return Notice(
        code=code,
        unique_id=name,
        count=at.size,
        row=int(rows.row[first]),
        first=stamp,
        message=f"{name} at {stamp}: {what}",
    )


def _by_series(rows: _Rows, which: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """The indices of the marked rows, series by series, in the order of the input."""
    at = np.flatnonzero(which)
    at = at[np.lexsort((rows.row[at], rows.code[at]))]
    begins = np.flatnonzero(np.diff(rows.code[at])) + 1
    return iter(np.split(at, begins) if at.size else ())


def iso(us: int) -> str:
    """Microseconds since 1970 as ISO 8601 with Z; an impossible stamp as a word."""
    if us == np.iinfo(np.int64).min:
        return "no stamp"
    text = str(np.datetime64(us, "us"))
    return text.removesuffix(".000000") + "Z"


def _name(rows: _Rows) -> str:
    """Of the series of the first row."""
    return str(rows.names[rows.code[0]])


def _rows(
    unique_id: NDArray[np.object_], ds: Stamps, y: NDArray[np.float64], before: Mapping[str, Series]
) -> _Rows:
    code, names = pd.factorize(np.asarray(unique_id, dtype=object))
    if (code < 0).any():
        raise BadInput(f"row {int(np.argmin(code))} has no unique_id")
    stamps = np.asarray(ds).astype("datetime64[us]").astype(np.int64)
    known = [before[name].step_s if name in before else 0 for name in names]
    return _Rows(
        np.asarray(names, dtype=object),
        np.array(known, dtype=np.int64) * SECOND_US,
        code.astype(np.int64),
        stamps,
        np.asarray(y, dtype=np.float64),
        np.arange(len(code), dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Fault:
    """The rows that cannot be true for one reason; where only the value is wrong, the stamp stays."""

    code: Code
    rows: NDArray[np.bool_]
    what: str
    value_only: bool = True


def _unsound(rows: _Rows, limits: Limits) -> Iterator[_Fault]:
    """Which rows cannot be true, with what to say of them."""
    years = f"{limits.earliest.year}-{limits.last_year_ends.year - 1}"
    bad_year = (rows.us < microseconds(limits.earliest)) | (rows.us >= microseconds(limits.last_year_ends))
    unit = f"the stamp lies outside {years} (seconds taken for milliseconds?)"
    yield _Fault(Code.BAD_YEAR, bad_year, unit, value_only=False)
    latest = limits.latest or limits.now
    if latest is not None:
        step = _steps(rows.only(~bad_year))[rows.code]
        future = ~bad_year & (rows.us > microseconds(latest) + limits.future_periods * step)
        what = f"the stamp lies in the future of {iso(microseconds(latest.replace(microsecond=0)))}"
        yield _Fault(Code.FUTURE, future, what, value_only=False)
    yield _Fault(Code.NOT_FINITE, ~np.isfinite(rows.y), "the value is not a finite number")
    if limits.kind == "counter":
        yield _Fault(Code.NEGATIVE, rows.y < 0, "the value of a counter is negative")
    else:
        yield from _outside(rows, limits)


def _outside(rows: _Rows, limits: Limits) -> Iterator[_Fault]:
    if limits.lower >= 0:
        yield _Fault(Code.NEGATIVE, rows.y < 0, "the value is negative")
    outside = (rows.y < limits.lower) | (rows.y > limits.upper)
    what = f"the value lies outside {limits.lower:g} to {limits.upper:g}"
    yield _Fault(Code.OUT_OF_RANGE, outside, what)


def _steps(rows: _Rows) -> NDArray[np.int64]:
    """The median distance of neighbouring stamps of each series, microseconds [names].

    The lower of the two middle ones, so that it is a distance that occurs; 0 for a single stamp. A step that
    is known beforehand holds.
    """
    order = np.lexsort((rows.us, rows.code))
    code, us = rows.code[order], rows.us[order]
    apart = np.diff(us)
    within = (code[1:] == code[:-1]) & (apart > 0)
    code, apart = code[1:][within], apart[within]
    order = np.lexsort((apart, code))
    apart = apart[order]
    count = np.bincount(code, minlength=len(rows.names))
    middle = np.cumsum(count) - count + (count - 1) // 2
    result = np.zeros(len(rows.names), dtype=np.int64)
    result[count > 0] = apart[middle[count > 0]]
    return np.where(rows.step_us > 0, rows.step_us, result)


def _settle(rows: _Rows, faults: Iterable[_Fault], notices: list[Notice], *, strict: bool) -> _Rows:
    """Take out what is not sound, each row for its first reason, with one notice a series and reason.

    A bad value becomes absent at its step; a row with a bad stamp goes. strict: raise for the row that
    comes first in the input.
    """
    taken = np.zeros(rows.code.size, dtype=bool)
    gone = np.zeros(rows.code.size, dtype=bool)
    fresh: list[Notice] = []
    for fault in faults:
        for at in _by_series(rows, fault.rows & ~taken):
            more = f"; {at.size} samples, all dropped" if not strict and at.size > 1 else ""
            fresh.append(_notice(rows, at, fault.code, f"{fault.what} (y = {rows.y[at[0]]:g}{more})"))
        taken |= fault.rows
        gone |= fault.rows & (not fault.value_only)
    if strict and fresh:
        raise BadFrame(min(fresh, key=lambda notice: notice.row))
    notices.extend(fresh)
    if not taken.any():
        return rows
    rows.y = np.where(taken, np.nan, rows.y)
    return rows.only(~gone)


def _sorted(rows: _Rows, notices: list[Notice]) -> _Rows:
    """By series, then stamp, then value; what came out of order is told, never refused."""
    grouped = rows.only(np.argsort(rows.code, kind="stable"))
    late = np.r_[False, (np.diff(grouped.us) < 0) & (grouped.code[1:] == grouped.code[:-1])]
    for at in _by_series(grouped, late):
        what = f"{at.size} samples came out of order and were sorted"
        notices.append(_notice(grouped, at, Code.OUT_OF_ORDER, what))
    order = np.lexsort((rows.us, rows.code))
    us, code = rows.us[order], rows.code[order]
    if ((us[1:] == us[:-1]) & (code[1:] == code[:-1])).any():
        least_first = np.where(np.isnan(rows.y), -np.inf, rows.y)
        order = np.lexsort((least_first, rows.us, rows.code))
    return rows.only(order)


def _duplicates(rows: _Rows, *, strict: bool) -> Iterator[_Fault]:
    """All but the largest of the samples with one stamp, given that the rows are sorted."""
    same = (rows.us[1:] == rows.us[:-1]) & (rows.code[1:] == rows.code[:-1])
    mend = "keep one of its rows" if strict else "the larger value stays"
    what = f"the stamp is there more than once; {mend}"
    yield _Fault(Code.DUPLICATE, np.r_[same, False], what, value_only=False)


def _rates(rows: _Rows, steps: NDArray[np.int64], notices: list[Notice]) -> _Rows:
    """Counter readings to rates per second, stamped where the interval begins.

    After a reset the counter began at zero again, so what it shows has been added since. An interval of
    more than one and a half steps is a gap, and its rate is not known step by step.
    """
    if rows.code.size < 2:
        return rows.only(np.zeros(rows.code.size, dtype=bool))
    within = rows.code[1:] == rows.code[:-1]
    before, after = rows.y[:-1], rows.y[1:]
    reset = within & (after < before)
    for at in _by_series(rows, np.r_[False, reset]):
        what = f"the counter was reset {at.size} times, and repaired"
        notices.append(_notice(rows, at, Code.COUNTER_RESET, what))
    apart = np.diff(rows.us)
    whole = within & (apart <= 1.5 * steps[rows.code[1:]])
    increase = np.where(reset, after, after - before)
    rate = np.divide(increase * SECOND_US, apart, out=np.zeros_like(increase), where=whole)
    begin = rows.only(np.r_[whole, False])
    begin.y = rate[whole]
    return begin


def _regular(
    rows: _Rows,
    step_us: int,
    limits: Limits,
    notices: list[Notice],
    *,
    strict: bool,
    before: Series | None,
) -> Series | Notice:
    """The samples of one series, sorted, on their grid; a notice where there is no grid to find."""
    name = _name(rows)
    if not step_us:
        lone = about(Code.TOO_SPARSE, name, f"{name}: a single sample has no step; give at least two")
        _tell(notices, lone, strict=strict)
        return lone
    step_s = max(1, round(step_us / SECOND_US))
    step = step_s * SECOND_US
    longest = SPARSEST * rows.us.size + SPARE_STEPS
    stray = np.flatnonzero(rows.us < rows.us[-1] - longest * step)
    if stray.size:
        what = f"{stray.size} samples lie more than {longest} steps of {step_s} s before the last"
        _tell(notices, _notice(rows, stray, Code.TOO_SPARSE, what), strict=strict)
        rows = rows.only(np.arange(stray.size, rows.us.size))
    first = int(rows.us[0]) if before is None else _on_grid(int(rows.us[0]), before)
    y = _placed(rows, first, step, notices)
    past = np.empty(0) if before is None else _up_to(before, first)
    at = np.flatnonzero(spikes(np.r_[past, y], limits.window_s // step_s)[past.size :])
    if at.size:
        count = f"{at.size} spikes, the first of" if at.size > 1 else "1 spike of"
        what = f"{count} {y[at[0]]:g}, {'kept' if limits.keep_spikes else 'dropped'}"
        spiky = np.searchsorted(rows.us, first + at * step)
        notices.append(_notice(rows, spiky, Code.SPIKE, what))
        if not limits.keep_spikes:
            y[at] = np.nan
    start = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=first)
    return Series(unique_id=name, start=start, step_s=step_s, y=y)


def _on_grid(us: int, before: Series) -> int:
    """The begin of the step of a known grid that `us` lies in, microseconds since 1970."""
    return us - (us - microseconds(before.start)) % (before.step_s * SECOND_US)


def _up_to(before: Series, us: int) -> NDArray[np.float64]:
    """What is known of the steps before `us`, a step's begin; NaN where nothing is."""
    steps = max(0, us - microseconds(before.start)) // (before.step_s * SECOND_US)
    past = np.full(steps, np.nan)
    past[: before.y.size] = before.y[:steps]
    return past


def _placed(rows: _Rows, first: int, step: int, notices: list[Notice]) -> NDArray[np.float64]:
    """Each sample in the step it lies in, of those from `first` on, the larger of two; else NaN."""
    at, beside = np.divmod(rows.us - first, step)
    y = np.full(int(at[-1]) + 1, np.nan)
    np.fmax.at(y, at, rows.y)
    off = np.flatnonzero(beside)
    if off.size:
        what = (
            f"{off.size} samples lie off the grid of {step // SECOND_US} s and count for the step they "
            f"lie in; {at.size - np.unique(at).size} shared a step, where the larger stays"
        )
        notices.append(_notice(rows, off, Code.OFF_GRID, what))
    return y
