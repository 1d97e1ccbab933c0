"""Declared events: demand that the past does not foretell, told in advance by whoever knows.

An event is in force from one lead time before its start (by the steps of demand, so up to one earlier) until
its end, for what is asked for now serves only then. With a multiplier

- what learns (forecast models, scalers, portfolio) sees the usual demand in place of the event's own;
- what is forecast for the event's steps, or what a scaler without a forecast wishes, is multiplied;
- while the event runs the multiplier is the larger of the declared and of what demand really is to the usual
  (means of the last quarter of an hour): an event that outgrows its declaration keeps the scaler's headroom.

With a past event to imitate, that one's demand at the same offset is a floor: its peak over the lead time.
Several at once: the largest multiplier and the largest floor. A multiplier below 1 counts only where nothing
is unknown, and never before the start. What demand needs now is met in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from forecasts.set_aside import Window, within
from forecasts.types import Series
from policies.outlook import Outlook
from policies.policy import Event, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OBSERVED_S = 900
# What is seen counts up to so many times what was declared; beyond it what demand needs now decides.
MOST_SEEN = 2.0

_Entry = TypeVar("_Entry", Event, Mask)


def of_pool(entries: Iterable[_Entry], pool_id: str) -> tuple[_Entry, ...]:
    """The entries that speak of a pool."""
    return tuple(entry for entry in entries if entry.pools is None or pool_id in entry.pools)


def windows(entries: Iterable[Event | Mask]) -> tuple[Window, ...]:
    """When they are."""
    return tuple((entry.start, entry.end) for entry in entries)


def in_force(events: Iterable[Event], now: datetime, lead_s: float) -> tuple[Event, ...]:
    """Those that are not over at `now`, and begin less than `lead_s` seconds later."""
    lead = timedelta(seconds=lead_s)
    return tuple(event for event in events if event.start - lead < now < event.end)


def multipliers(
    events: Iterable[Event], begin: datetime, step_s: int, steps: int, *, seen: float = 0.0
) -> Floats:
    """What demand is to the usual at each step from `begin` on, float64 [steps]; 1 outside of every event.

    `seen` is what it is to the usual now, 0 where that is not known: it holds where an event goes on, up to
    twice what was declared.
    """
    out = np.full(steps, -np.inf)
    for event in events:
        touched = within(begin, step_s, steps, [(event.start, event.end)])
        ratio = 1.0 if event.multiplier is None else event.multiplier
        if event.start <= begin < event.end:
            ratio = max(ratio, min(seen, MOST_SEEN * max(ratio, 1.0)))
        out[touched] = np.maximum(out[touched], ratio)
    return np.where(np.isfinite(out), out, 1.0)


def seen_ratio(demand: Series, usual: Series) -> float:
    """Demand over the usual demand, means of the last quarter of an hour; 0 where either is not known."""
    steps = max(1, OBSERVED_S // demand.step_s)
    real, normal = demand.y[-steps:], usual.y[-steps:]
    known = np.isfinite(real) & np.isfinite(normal) if len(real) == len(normal) else np.zeros(0, dtype=bool)
    below = float(normal[known].sum()) if known.any() else 0.0
    return float(real[known].sum()) / below if below > 0 else 0.0


def imitated(event: Event, past: Series, begin: datetime, step_s: int, steps: int) -> Floats:
    """The demand of the past event at each step from `begin` on, float64 [steps], NaN where there is none.

    `past` is demand in units around `event.like`; a step takes the largest value that lies within it.
    """
    if event.like is None:
        return np.full(steps, np.nan)
    shift = event.start - event.like[0]
    touched = within(begin, step_s, steps, [(event.start, min(event.end, event.like[1] + shift))])
    at = np.floor(
        ((past.start + shift - begin).total_seconds() + past.step_s * np.arange(len(past.y))) / step_s
    ).astype(np.int64)
    held = max(1, past.step_s // step_s)
    out = np.full(steps, np.nan)
    for more in range(held):  # a coarser past is held within its step
        keep = (at + more >= 0) & (at + more < steps) & np.isfinite(past.y)
        np.fmax.at(out, at[keep] + more, past.y[keep])
    return np.where(touched, out, np.nan)


def applied(
    outlook: Outlook,
    events: Sequence[Event],
    past: Mapping[str, Series],
    *,
    now: datetime,
    lead_s: int,
) -> Outlook:
    """The outlook of a pool with the events in force; itself where there are none.

    `past` holds demand in units around the event that each one imitates, by its own name. Where that is
    not known, the pool may not shrink while the event is in force.
    """
    chosen = in_force(events, now, lead_s + outlook.demand.step_s)
    if not chosen:
        return outlook
    step = outlook.demand.step_s
    steps = max(1, -(-lead_s // step)) + 1 if outlook.ahead is None else len(outlook.ahead)
    ratio = multipliers(chosen, now, step, steps, seen=seen_ratio(outlook.demand, outlook.learnt))
    unknown = [event.name for event in chosen if event.like is not None and event.name not in past]
    refusals = [outlook.refusal] if outlook.refusal else []
    refusals += [f"event {name}: nobody knows the demand of the past event it is like" for name in unknown]
    if refusals or outlook.doubt:
        ratio = np.maximum(ratio, 1.0)
    floor = np.full(steps, np.nan)
    for event in chosen:
        if event.name in past:
            floor = np.fmax(floor, imitated(event, past[event.name], now, step, steps))
    least = float(np.nanmax(floor)) if np.isfinite(floor).any() else 0.0
    ahead = outlook.ahead
    if ahead is not None:
        ahead = np.fmax(ahead * ratio[:, None], floor[:, None])
    return replace(
        outlook,
        ahead=ahead,
        multiplier=1.0 if ahead is not None else float(ratio.max()),
        least=least,
        refusal="; ".join(refusals),
        events=tuple(told(event, ratio, least) for event in chosen),
    )


def told(event: Event, ratio: Floats, least: float) -> str:
    """`black-friday: x1.8`, `cyber-monday: at least 41.2 units, as at 2025-12-01T08:00Z`."""
    if event.like is not None:
        return f"{event.name}: at least {least:.4g} units, as at {event.like[0]:%FT%H:%M%z}"
    top = float(ratio.max())
    more = f", seen x{top:.3g}" if event.multiplier is not None and top > event.multiplier + 1e-9 else ""
    return f"{event.name}: x{event.multiplier:.4g}{more}"
