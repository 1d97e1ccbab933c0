"""What an examination says of each query of a source: how old its newest point is, or what may be meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np

from autoscaler.ports import Check, Samples
from policies.units import format_duration

STALE_STEPS = 3  # as the input gate counts them
MOST_LISTED = 10  # queries whose metric is looked for by name: that takes calls


def span_s(step_s: int) -> int:
    """How far back a point counts as a sign of life, in seconds."""
    return max(3 * 3600, 20 * step_s)


def checks_of(
    names: tuple[str, ...],
    samples: Samples,
    now: datetime,
    *,
    source: str,
    step_s: int,
    delay_s: int,
    meant: Callable[[str], str],
) -> Iterator[Check]:
    """A check for each named query, from the samples of the last `span_s`; `now` is aware UTC.

    `delay_s`: how long after its end a period comes from a source that is well. `meant` says, for a query
    without points, what may be meant instead, or nothing.
    """
    listed = 0
    for name in names:
        what = f"query {name} of {source}"
        said = "; ".join(text for text in samples.warnings if text.startswith(f"{name}: "))
        part = samples.lower_bounds.get(name, "")
        mine = samples.ds[samples.unique_id == name]
        if len(mine):
            newest = mine.max() + np.timedelta64(step_s, "s")
            age = now.timestamp() - newest.astype("datetime64[s]").astype(np.int64)
            why = f"its newest period ended {format_duration(max(0, age))} ago"
            late = age + step_s > STALE_STEPS * step_s + delay_s
            mend = "see why it stopped; meanwhile nothing is shrunk by it" if late else ""
            told = "; ".join(filter(None, [why, part, said]))
            yield Check(what=what, ok=not part and not late, why=told, mend=mend)
            continue
        listed += 1
        why = said or f"no point within {format_duration(span_s(step_s))}"
        mend = meant(name) if listed <= MOST_LISTED else ""
        yield Check(what=what, ok=False, why=why, mend=mend or "see that the metric is sent")
