"""What the commands share in which a person says something: who, why, when, and of what."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from autoscaler.clock import SystemClock
from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError
from policies.policy import Scope

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from autoscaler.config import Configuration
    from autoscaler.freezing import Standing
    from autoscaler.store.people import SqlPeople
    from autoscaler.store.trail import SqlTrail

why = click.option("--why", required=True, metavar="TEXT", help="The reason, for those who read it later.")
by = click.option("--by", metavar="NAME", help="Who says so.  [default: $USER]")
provider = click.option("--provider", metavar="NAME", help="Only this provider's pools.")
pool = click.option("--pool", metavar="NAME", help="Only this pool.")


def on_actions(command: Callable[..., None]) -> Callable[..., None]:
    """What a word on actions takes: the actions, why, by whom, for how long."""
    decorations = (
        click.argument("actions", metavar="ACTION...", nargs=-1, required=True),
        why,
        by,
        click.option(
            "--for", "span_s", type=flags.DURATION, help="For how long the word is good.  [default: 24h]"
        ),
        flags.config,
    )
    for decorate in reversed(decorations):
        command = decorate(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The store as these commands need it: no provider and no source of metrics is asked."""

    configuration: Configuration
    trail: SqlTrail
    people: SqlPeople
    now: datetime


def book(config: str | None) -> Book:
    """Open the store of the configuration; StoreError where it cannot be."""
    from autoscaler.store.database import connect  # noqa: PLC0415 - SQLModel behind it

    settings = showing.configuration(config)
    return book_of(settings, connect(settings.state))


def book_of(settings: Configuration, engine: Engine) -> Book:
    """What a store that is open says."""
    from autoscaler.store.people import SqlPeople  # noqa: PLC0415 - as above
    from autoscaler.store.trail import SqlTrail  # noqa: PLC0415 - as above

    trail = SqlTrail(engine)
    return Book(configuration=settings, trail=trail, people=SqlPeople(engine), now=_now(settings, trail))


def _now(settings: Configuration, trail: SqlTrail | None) -> datetime:
    """The configuration's moment. Of an old trace that of its last plan: no metric is read for a word."""
    if isinstance(settings.now, datetime):
        return settings.now
    made = trail.last_made() if trail is not None and settings.now == "last-sample" else None
    return SystemClock().now() if made is None else made


def standing(settings: Configuration, book: Book | None) -> list[Standing]:
    """Every freeze in force but those of labels, which a provider would have to tell; None: no store yet."""
    from autoscaler import freezing  # noqa: PLC0415 - only on this road

    now = _now(settings, None) if book is None else book.now
    said = () if book is None else book.people.standing(now)
    return freezing.standing(settings.policy.freezes, said, freezing.freeze_file(settings), now)


def name_of(given: str | None) -> str:
    """Who says so: the one named, else the user of the shell; UsageError where that is nobody."""
    named = (os.environ.get("USER", "") if given is None else given).strip()
    if not named:
        raise UsageError("nobody says so: name yourself with --by NAME")
    return named


def reason_of(given: str) -> str:
    """Why; UsageError where nothing is said."""
    if not given.strip():
        raise UsageError("--why is empty: say why, for those who read it later")
    return given.strip()


def scope_of(provider_name: str | None, pool_name: str | None) -> tuple[Scope, str]:
    """What is meant: everything, a provider or a pool; UsageError for both at once, or an empty name."""
    if provider_name is not None and pool_name is not None:
        raise UsageError("name a --provider or a --pool, not both")
    if "" in {provider_name, pool_name}:
        raise UsageError("the name of --provider or --pool is empty")
    if pool_name is not None:
        return Scope.POOL, pool_name
    return (Scope.ALL, "") if provider_name is None else (Scope.PROVIDER, provider_name)


def refuse_unknown(scope: Scope, name: str, settings: Configuration) -> None:
    """UsageError for a provider or a pool that the configuration does not have, with the nearest."""
    known: dict[Scope, Iterable[Any]] = {Scope.POOL: settings.pools, Scope.PROVIDER: settings.providers}
    if scope in known and name not in known[scope]:
        near = difflib.get_close_matches(name, list(known[scope]), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"there is no {scope.value} {name} in {settings.file}{hint}")
