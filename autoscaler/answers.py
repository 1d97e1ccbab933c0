"""What providers and sources answer, if it is what their port promises."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from autoscaler.metrics.tables import chosen
from autoscaler.ports import Samples
from policies.model import Gap, Pool

if TYPE_CHECKING:
    from autoscaler.ports import Metrics, Pools


def listed(provider: Pools) -> tuple[Sequence[Pool], Sequence[Gap]]:
    """What a provider lists, if it is what the port promises: a wrong answer is that provider's alone."""
    pools, gaps = provider.list()
    if not all(isinstance(pool, Pool) for pool in pools) or not all(isinstance(gap, Gap) for gap in gaps):
        raise TypeError("the provider listed something that is no pool")
    return pools, gaps


def sampled(source: Metrics, wanted: Sequence[str], since: datetime, now: datetime) -> Samples:
    """What a source answers, if it is what the port promises; what nobody asked for is let go at once."""
    answer: object = source.samples(wanted, since, now)
    if not isinstance(answer, Samples) or not len(answer.unique_id) == len(answer.ds) == len(answer.y):
        raise TypeError("the source answered something that is no set of samples")
    return chosen(answer, wanted, None, None, kind=answer.kind)
