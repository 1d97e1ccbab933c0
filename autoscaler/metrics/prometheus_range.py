"""Range queries: the grid they are asked on, in pieces that a server answers, and their answers as arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscaler.metrics.prometheus_http import SHOWN, Conversation

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATH = "/api/v1/query_range"
MOST_POINTS = 11_000  # a server refuses to answer with more for one series
MOST_TOLD = 5  # so many warnings of one series are kept
_HINT = "PromQL info:"  # about the query's form, not about data that are missing
_ONE = "wrap the query in sum(...), max(...) or another aggregation that leaves one"
_SOURCE = "look at what stands between us and the server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Points from `first` to `last` (both are), every `step_s`: multiples of it, seconds since 1970 UTC.

    `last` is before `first` where there are none.
    """

    first: int
    last: int
    step_s: int

    def __len__(self) -> int:
        return max(0, (self.last - self.first) // self.step_s + 1)

    def pieces(self) -> Iterator[Grid]:
        """The grid in order, in pieces of at most MOST_POINTS, none of them twice."""
        reach = (MOST_POINTS - 1) * self.step_s
        for first in range(self.first, self.last + 1, reach + self.step_s):
            yield Grid(first=first, last=min(self.last, first + reach), step_s=self.step_s)


def grid(since: datetime, until: datetime, step_s: int) -> Grid:
    """The points with since <= point < until."""
    first = math.ceil(since.timestamp() / step_s) * step_s
    last = (math.ceil(until.timestamp() / step_s) - 1) * step_s
    return Grid(first=first, last=last, step_s=step_s)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Of one series: `stamps` int64 seconds since 1970 UTC in ascending order, `y` float64, all finite.

    `lower_bound` is why true values may be larger, "" where they are whole.
    """

    stamps: NDArray[np.int64]
    y: NDArray[np.float64]
    lower_bound: str = ""
    warnings: tuple[str, ...] = ()


class UnsoundError(ValueError):
    """An answer that cannot be used."""

    def __init__(self, why: str, mend: str) -> None:
        """Two halves of one line."""
        super().__init__(why)
        self.why, self.mend = why, mend


def points(talk: Conversation, query: str, asked: Grid) -> Points:
    """Every point of a query on the grid. Unanswered where a piece is not answered, or not by one series."""
    found, told, labels = [], [], set()
    for piece in asked.pieces():
        envelope = talk.post(PATH, query, start=piece.first, end=piece.last, step=piece.step_s)
        try:
            entry = _entry(envelope)
            labels |= set() if entry is None else {_labels(entry)}
            found.append(_arrays(entry, piece))
        except UnsoundError as error:
            raise talk.fault(query, error.why, error.mend) from error
        if len(labels) > 1:
            why = f"its label sets change: {' then '.join(sorted(labels))}"
            raise talk.fault(query, why[:SHOWN], _ONE)
        told.append(envelope)
    none = (np.empty(0, np.int64), np.empty(0, np.float64))
    stamps, values = zip(*(found or [none]), strict=True)
    said = tuple(dict.fromkeys(itertools.chain.from_iterable(_said(envelope) for envelope in told)))
    return Points(
        stamps=np.concatenate(stamps),
        y=np.concatenate(values),
        lower_bound=talk.hidden(next((why for envelope in told if (why := _partial(envelope))), "")),
        warnings=tuple(talk.hidden(text) for text in said[:MOST_TOLD]),
    )


def _entry(envelope: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one series of an answer, None where it has none."""
    data = envelope.get("data")
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("resultType") != "matrix" or not isinstance(result, list):
        raise UnsoundError("the answer is no matrix", "is `url` that of Prometheus' API?")
    if not all(isinstance(entry, dict) for entry in result):
        raise UnsoundError("the answer holds something else than series", "is `url` that of Prometheus' API?")
    if len(result) > 1:
        some = " and ".join(_labels(entry) for entry in result[:2])
        raise UnsoundError(f"{len(result)} series answered, such as {some}"[:SHOWN], _ONE)
    if result and "histograms" in result[0]:
        raise UnsoundError("a native histogram answered", "take histogram_count or histogram_quantile of it")
    return result[0] if result else None


def _labels(entry: Mapping[str, Any]) -> str:
    """The label set of a series as PromQL writes it."""
    labels = entry.get("metric")
    if not isinstance(labels, dict):
        raise UnsoundError("the answer has a series without labels", "is `url` that of Prometheus' API?")
    return "{" + ", ".join(f'{name}="{labels[name]}"' for name in sorted(labels)) + "}"


def _arrays(entry: Mapping[str, Any] | None, piece: Grid) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Stamps and values of a series that lie on the grid; what is not finite is absent."""
    values = [] if entry is None else entry.get("values", [])
    try:
        stamps = np.fromiter((stamp for stamp, _ in values), np.float64, len(values))
        y = np.fromiter((float(value) for _, value in values), np.float64, len(values))
    except (TypeError, ValueError) as error:
        raise UnsoundError(f"a point is not a stamp and a number ({error})"[:SHOWN], _SOURCE) from error
    whole = stamps.astype(np.int64) if np.isfinite(stamps).all() else np.full(stamps.size, -1)
    steps = (whole - piece.first) / piece.step_s
    if (whole != stamps).any() or (steps != np.floor(steps)).any() or (np.diff(whole) <= 0).any():
        raise UnsoundError("the stamps are not those that were asked for, in ascending order", _SOURCE)
    if stamps.size and (whole[0] < piece.first or whole[-1] > piece.last):
        raise UnsoundError("the stamps lie outside the time that was asked for", _SOURCE)
    finite = np.isfinite(y)
    return whole[finite], y[finite]


def _said(envelope: Mapping[str, Any]) -> Sequence[str]:
    """Warnings and hints, each in one line."""
    texts = [text for key in ("warnings", "infos") for text in envelope.get(key) or ()]
    return [str(text)[:SHOWN] for text in texts]


def _partial(envelope: Mapping[str, Any]) -> str:
    """Why the answer may lack something, "" where it is whole. A hint about the query's form is not that."""
    warnings = [str(text) for text in envelope.get("warnings") or ()]
    if grave := [text for text in warnings if not text.startswith(_HINT)]:
        return grave[0][:SHOWN]
    return (
        "the server says isPartial: some of its storage did not answer"
        if envelope.get("isPartial") is True
        else ""
    )
