"""The keys that say how far the program may act, and what they become: interlocks, flap, money, windows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from autoscaler.settings_kinds import (
    WEEKDAYS,
    Duration,
    Limit,
    Section,
    Share,
    SomePools,
    SomeTime,
    SomeUnits,
    Units,
    UsdPerHour,
    Zone,
    enumerated,
    nearest,
    shown,
)
from policies import policy as wanted
from policies.policy import Scope, SignalKind

_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")


def _clock_time(value: object) -> int:
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    minute = 24 * 60 + 1 if found is None else 60 * int(found[1]) + int(found[2])
    if minute > 24 * 60:
        raise ValueError(f"{shown(value)} is no time of day; write 22:00, from 00:00 to 24:00")
    return minute


def _weekdays(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of weekdays, at least one; leave the key out for every day")
    short = tuple(day[:3] for day in WEEKDAYS)
    names = {name: number for known in (short, WEEKDAYS) for number, name in enumerate(known)}
    for entry in value:
        if not isinstance(entry, str) or entry not in names:
            raise ValueError(f"{shown(entry)} is no weekday; {nearest(entry, short)}")
    return tuple(sorted({names[entry] for entry in value}))


Weekdays = Annotated[
    tuple[int, ...],
    BeforeValidator(_weekdays),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"enum": [*(day[:3] for day in WEEKDAYS), *WEEKDAYS]},
            "minItems": 1,
            "examples": ["[fri, sat, sun]"],
        }
    ),
]
ClockTime = Annotated[
    int,
    BeforeValidator(_clock_time),
    WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK.pattern}$", "examples": ["22:00"]}),
]


class SignalSection(Section):
    """A series that forbids shrinking while it is above or below a limit, not known, or stale."""

    series: str = Field(min_length=1, description="The series id (unique_id) in the metrics.")
    kind: Annotated[SignalKind, *enumerated(SignalKind, "kind of signal")] = Field(
        description="What it says while it is bad; zone-impaired holds every pool of its pools' providers."
    )
    above: Limit | None = Field(default=None, description="Bad while it is above this.")
    below: Limit | None = Field(default=None, description="Instead: bad while it is below this.")
    pools: SomePools | None = Field(default=None, description="The pools it speaks of; left out: all.")
    stale: SomeTime = Field(default=900, description="A value older than this is not known.")


class InterlocksSection(Section):
    """When nothing may shrink. Growth is never held by these."""

    unready_share: Share = Field(
        default=0.45, description="No shrink while more than this share of the units is not ready."
    )
    unready_above: Units = Field(
        default=3, description="Pools of so many units and fewer are not judged by that share."
    )
    warm_up: Duration = Field(default=600, description="No shrink for this long after the daemon's start.")
    recent_growth: Duration = Field(
        default=600, description="No shrink of a pool for this long after it grew."
    )
    signals: list[SignalSection] = Field(
        default_factory=list, description="Series that forbid shrinking: service levels, incidents, deploys."
    )


class FlapSection(Section):
    """A pool that turns its direction too often shrinks no further."""

    reversals: SomeUnits = Field(default=3, description="So many turns within the window hold its shrinking.")
    window: SomeTime = Field(default=6 * 3600, description="Length of the window; it slides.")


def _flap(value: object) -> object:
    if value == "off":
        return None
    if not isinstance(value, dict | FlapSection):
        raise ValueError(f"{shown(value)} is no limit of turns; write off, or reversals and window")  # noqa: TRY004
    return value


def _or_off(schema: dict[str, Any]) -> None:
    """Editors are told `off` where None stands."""
    schema["anyOf"] = [{"const": "off"} if kind == {"type": "null"} else kind for kind in schema["anyOf"]]


Flap = Annotated[FlapSection | None, BeforeValidator(_flap), Field(json_schema_extra=_or_off)]


class MoneySection(Section):
    """By how much growth may raise what is spent an hour, within a window."""

    scope: Annotated[Scope, *enumerated(Scope, "scope")] = Field(description="What it counts.")
    name: str = Field(default="", description="The pool or the provider; left out for all.")
    usd_per_hour: UsdPerHour = Field(description="USD an hour that growth may add within the window.")
    window: SomeTime = Field(description="Length of the window; it slides.")
    hard: bool = Field(
        default=False, description="true: holds growth above it, what demand needs too; else it only warns."
    )


class FreezeWindowSection(Section):
    """A time of the week in which nothing of its scope shrinks."""

    scope: Annotated[Scope, *enumerated(Scope, "scope")] = Field(description="What it covers.")
    name: str = Field(default="", description="The pool or the provider; left out for all.")
    days: Weekdays | None = Field(default=None, description="Days on which it begins; left out: all.")
    start: ClockTime = Field(description="When it begins, by the clock of the zone.")
    end: ClockTime = Field(description="When it ends; on the next day if that is not after the start.")
    timezone: Zone = Field(default="UTC", description="The zone whose clock it is, such as Europe/Rome.")
    why: str = Field(default="", description="The reason, shown wherever a shrink is held by it.")


def interlocks(section: InterlocksSection) -> wanted.Interlocks:
    """The section as the policy holds it."""
    return wanted.Interlocks(
        unready_share=section.unready_share,
        unready_above=section.unready_above,
        warm_up_s=section.warm_up,
        recent_growth_s=section.recent_growth,
        signals=tuple(
            wanted.Signal(
                series=one.series,
                kind=one.kind,
                above=one.above,
                below=one.below,
                pools=one.pools,
                stale_s=one.stale,
            )
            for one in section.signals
        ),
    )


def flap(section: FlapSection | None) -> wanted.Flap | None:
    """The section as the policy holds it; None where it is off."""
    if section is None:
        return None
    return wanted.Flap(reversals=section.reversals, window_s=section.window)


def money(sections: Iterable[MoneySection]) -> tuple[wanted.MoneyBudget, ...]:
    """The sections as the policy holds them."""
    return tuple(
        wanted.MoneyBudget(
            scope=one.scope, name=one.name, usd=one.usd_per_hour, window_s=one.window, hard=one.hard
        )
        for one in sections
    )


def freeze_windows(sections: Iterable[FreezeWindowSection]) -> tuple[wanted.FreezeWindow, ...]:
    """The sections as the policy holds them."""
    return tuple(
        wanted.FreezeWindow(
            scope=one.scope,
            name=one.name,
            days=tuple(range(7)) if one.days is None else one.days,
            start_minute=one.start,
            end_minute=one.end,
            timezone=one.timezone,
            why=one.why,
        )
        for one in sections
    )
