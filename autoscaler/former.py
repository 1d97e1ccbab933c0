"""Series that had another id before: both are asked for, and what is decided from has one history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from forecasts.limits import Gated
from forecasts.renamed import joined
from forecasts.types import BadInput, Series

if TYPE_CHECKING:
    from autoscaler.config import Configuration


def with_former_ids(configuration: Configuration) -> tuple[str, ...]:
    """Every id to ask for: those of today, then the former ones, each once."""
    former = (old for ids in configuration.formerly().values() for old in ids)
    return tuple(dict.fromkeys((*configuration.series(), *former)))


def refusals(gated: Gated, asked: Sequence[str]) -> dict[str, str]:
    """Why each series may not shrink its pool, in one line: what the gate said, or that nobody has it now."""
    refused = {name: notice.message for name, notice in gated.refused.items()}
    there = {series.unique_id: series for series in gated.series}
    for name, series in there.items():
        if np.isnan(
            series.y[-1]
        ):  # a sample that came but cannot be true is not the same as one that is late
            refused.setdefault(name, f"{name}: its newest sample is not sound")
    for name in asked:
        if name not in there:
            refused.setdefault(name, f"{name}: no source of metrics has it now")
    return refused


def one_history(
    formerly: Mapping[str, Sequence[str]],
    kept: Mapping[str, Series],
    refused: Mapping[str, str],
    wanted: Sequence[str],
) -> tuple[dict[str, Series], dict[str, str]]:
    """The history of each wanted id, its former ids before its first sample; and why some may not shrink.

    Before a new id has its first sample the newest former one that is there speaks for it, with what is to
    be said of that one. Histories that cannot be joined are told as a refusal, and the new id stands alone.
    """
    histories: dict[str, Series] = {}
    said: dict[str, str] = {}
    for name in wanted:
        ids = [one for one in (name, *formerly.get(name, ())) if one in kept]
        speaker = ids[0] if ids else name
        if speaker in refused:
            said[name] = refused[speaker]
        if not ids:
            continue
        first = kept[ids[0]]
        mine = Series(unique_id=name, start=first.start, step_s=first.step_s, y=first.y)
        try:
            histories[name] = joined(mine, [kept[one] for one in ids[1:]])
        except BadInput as error:
            histories[name] = mine
            said.setdefault(name, str(error))
    return histories, said
