"""What several sources answered, through the input gate together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from autoscaler.ports import Samples
from forecasts.frame import gate
from forecasts.limits import Code, Gated, Kind, Limits, about


def gate_sources(parts: Sequence[Samples], limits: Limits) -> Gated:
    """The series of all parts by unique_id in ascending order, each gated as its source's kind.

    What is unsound is dropped and told. A series that one source holds as a gauge and another as a counter
    is refused: nobody can say which one is meant.
    """
    told = tuple(
        about(Code.UNREADABLE, "", f"{part.rejected[0]} ({len(part.rejected)} rows dropped)")
        for part in parts
        if part.rejected
    )
    kinds = [
        _gated([part for part in parts if part.kind == kind], replace(limits, kind=kind))
        for kind in get_args(Kind)
    ]
    gauges, counters = ({one.unique_id for one in gated.series} | set(gated.refused) for gated in kinds)
    both = {
        name: about(
            Code.AMBIGUOUS, name, f"{name} is a gauge in one source and a counter in another; name one"
        )
        for name in sorted(gauges & counters)
    }
    series = (one for gated in kinds for one in gated.series if one.unique_id not in both)
    refused = {name: notice for gated in kinds for name, notice in gated.refused.items()} | both
    return Gated(
        series=tuple(sorted(series, key=lambda one: one.unique_id)),
        notices=(*told, *(notice for gated in kinds for notice in gated.notices)),
        refused=dict(sorted(refused.items())),
    )


def _gated(parts: Sequence[Samples], limits: Limits) -> Gated:
    if not parts:
        return Gated()
    return gate(
        np.concatenate([part.unique_id for part in parts]),
        np.concatenate([part.ds for part in parts]),
        np.concatenate([part.y for part in parts]),
        limits,
        strict=False,
        before={name: one for part in parts for name, one in part.before.items()},
    )
