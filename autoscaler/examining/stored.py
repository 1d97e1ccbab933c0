"""The state file: whether it can be used, who leads, what is frozen, and what is known of the pools."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from autoscaler.errors import StoreError
from autoscaler.examining.report import Look
from autoscaler.freezing import Labels, freeze_file, standing
from autoscaler.lease import TTL_S, Record, recorded
from autoscaler.ports import Check
from policies.units import format_duration

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from policies.deeds import Frozen

SUBJECT = "state"
LEAST_FREE = 100 << 20  # bytes: a day of a large fleet
LAST_PLANS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the store says; empty where there is none. `ends`: when each series' stored steps end.

    `plans` are the bodies of the last plans, newest first.
    """

    first_seen: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    ends: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    said: Sequence[Frozen] = ()
    plans: Sequence[str] = ()


def read(configuration: Configuration, now: datetime) -> Stored | None:
    """Read the store without a right to write; None where there is none yet. Raises StoreError.

    One of an older schema is not read: whoever plans next brings it up to date.
    """
    from autoscaler.store import entries  # noqa: PLC0415 - SQLModel costs a second of CPU
    from autoscaler.store.database import connect_to_read  # noqa: PLC0415 - as above
    from autoscaler.store.history import History  # noqa: PLC0415 - as above
    from autoscaler.store.people import SqlPeople  # noqa: PLC0415 - as above
    from autoscaler.store.trail import SqlTrail  # noqa: PLC0415 - as above

    if not Path(configuration.state).exists():
        return None
    if _schema(configuration.state) not in {None, _newest_schema()}:
        return Stored()
    engine = connect_to_read(configuration.state)
    try:
        return Stored(
            first_seen=SqlTrail(engine).first_seen(),
            ends=History(engine).ends([*configuration.series(), *configuration.signals()]),
            said=tuple(SqlPeople(engine).standing(now)),
            plans=entries.plans(engine, limit=LAST_PLANS),
        )
    finally:
        engine.dispose()


def _newest_schema() -> int:
    from autoscaler.store.tables import SCHEMA_VERSION  # noqa: PLC0415 - SQLModel behind it

    return SCHEMA_VERSION


def _schema(path: str) -> int | None:
    """The version of its schema, None where it cannot be told."""
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=5)) as database:
            found = database.execute("SELECT max(version) FROM schema_version").fetchone()
    except sqlite3.Error:
        return None
    return None if found is None or found[0] is None else int(found[0])


def looks(configuration: Configuration, answer: Any) -> Iterator[Look]:
    """The state file and its disk; `answer` is what `read` gave, or raised."""
    path = Path(configuration.state)
    for check in (_file(path, answer), _writable(path), _disk(path)):
        yield Look(subject=SUBJECT, check=check)


def _file(path: Path, answer: Any) -> Check:
    what = f"state file {path}"
    if isinstance(answer, Exception):
        mend = "see docs/run.md; nothing is applied without it"
        return Check(what=what, ok=False, why=str(answer), mend=mend)
    if answer is None:
        return Check(what=what, ok=True, why="not there yet; the first plan makes it")
    version = _schema(str(path))
    if version != _newest_schema():
        why = f"its schema is {version}; the next plan brings it up to date, and keeps a copy"
        return Check(what=what, ok=None, why=why)
    size = path.stat().st_size / (1 << 20)
    return Check(what=what, ok=True, why=f"{size:.1f} MiB, schema {version}")


def _writable(path: Path) -> Check:
    what = "it may be written"
    wanting = [str(one) for one in (path.parent, path) if one.exists() and not os.access(one, os.W_OK)]
    if not path.parent.is_dir():
        why = f"{path.parent} is no folder"
        return Check(what=what, ok=False, why=why, mend=f"make it, or set `state` to another: {path.parent}")
    if wanting:
        mend = "give this user the right to write there, or set `state` to another place"
        return Check(what=what, ok=False, why=f"{' and '.join(wanting)} may not be written", mend=mend)
    return Check(what=what, ok=True)


def _disk(path: Path) -> Check:
    what = "its disk has room"
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        return Check(what=what, ok=None, why=f"{path.parent}: {error.strerror}")
    why = f"{free / (1 << 30):,.1f} GiB are free"
    if free >= LEAST_FREE:
        return Check(what=what, ok=True, why=why)
    mend = f"make room: below {LEAST_FREE >> 20} MiB the trail may stop, and nothing is applied without it"
    return Check(what=what, ok=False, why=why, mend=mend)


def lease(configuration: Configuration, now: datetime) -> Look:
    """Who leads. `now` is the time of this machine, whatever the configuration's `now`."""
    path = Path(f"{configuration.state}.lease")
    what = "lease"
    try:
        found, kept = recorded(path), _kept(path)
    except (StoreError, OSError) as error:
        return Look(subject=SUBJECT, check=Check(what=what, ok=False, why=str(error), mend=f"see {path}"))
    return Look(subject=SUBJECT, check=_leads(found, None if kept is None else now - kept))


def _kept(path: Path) -> datetime | None:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None


def _leads(found: Record, age: timedelta | None) -> Check:
    if not found.holder or age is None:
        return Check(what="lease", ok=True, why="nobody leads")
    if age.total_seconds() <= TTL_S:
        return Check(what="lease", ok=True, why=f"{found.holder} leads, generation {found.generation}")
    why = (
        f"{found.holder} led (generation {found.generation}), and has not kept it for "
        f"{format_duration(int(age.total_seconds()))}"
    )
    return Check(what="lease", ok=None, why=why, mend="start `loadline run` again if it is meant to run")


def freezes(configuration: Configuration, stored: Stored, labels: Labels, now: datetime) -> Iterator[Look]:
    """Each freeze in force, and where it is lifted."""
    policy = configuration.policy
    found = standing(policy.freezes, stored.said, freeze_file(configuration), now, labels=labels)
    if not found:
        yield Look(subject="freezes", check=Check(what="nothing is frozen", ok=True))
    for one in found:
        freeze = one.freeze
        named = f"{freeze.scope.value} {freeze.name}".strip()
        until = "" if freeze.until is None else f", until {freeze.until:%Y-%m-%d %H:%MZ}"
        check = Check(
            what=f"frozen: {named}", ok=None, why=f"{freeze.why}{until}", mend=f"said in {one.where}"
        )
        yield Look(subject="freezes", check=check)
