"""Histories that a command was given as files: read strictly, chosen by id."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autoscaler.clock import SystemClock
from autoscaler.commands.flags import warn
from autoscaler.errors import DataError

if TYPE_CHECKING:
    from forecasts.limits import Kind
    from forecasts.types import Series


def read(
    files: Sequence[str], *, wanted: Sequence[str], timezone: str | None, kind: Kind, keep_spikes: bool
) -> tuple[Series, ...]:
    """The series of the files, in the order of their ids; a bad sample ends the command with DataError.

    Spikes are dropped as a tick drops them, unless `keep_spikes`, and told.
    """
    from autoscaler.metrics.files import read_files  # noqa: PLC0415 - pandas only where a history is read
    from forecasts.limits import Code, Limits  # noqa: PLC0415

    limits = Limits(latest=SystemClock().now(), kind=kind, keep_spikes=keep_spikes)
    gated = read_files(files, timezone=timezone, strict=True, limits=limits, only=wanted)
    known = {series.unique_id: series for series in gated.series}
    for name in wanted:
        if name not in known:
            there = read_files(files, timezone=timezone, strict=False, limits=limits).series
            names = [series.unique_id for series in there]
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:5])}"
            raise DataError(f"{', '.join(files)}: no series {name!r}; {hint}")
    for notice in (*gated.notices, *gated.refused.values()):
        dropped = notice.code is Code.SPIKE and not keep_spikes
        warn(f"{notice.message}, as in a plan (--keep-spikes keeps it)" if dropped else notice.message)
    return tuple(known[name] for name in wanted) if wanted else gated.series
