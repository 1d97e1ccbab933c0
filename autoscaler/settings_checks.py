"""What is wrong with a configuration, each problem with its place: fields one by one, and what they say of
each other. The latter is checked on the raw values, so that it is told beside every other problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler import settings_learnt, settings_sources, settings_targets
from autoscaler.config import FakeProvider, ForecastSettings
from autoscaler.settings_kinds import counted, instant, lasting, nearest, shown
from autoscaler.settings_tree import keys_at
from autoscaler.yaml_lines import Place
from forecasts.types import HOUR_S
from policies import scalers, units
from policies.policy import PoolPolicy

if TYPE_CHECKING:
    from pydantic import ValidationError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One line for the operator, the key or list entry that it is about, and another one's where it is
    about two.
    """

    place: Place
    message: str
    beside: Place = ()


_PLAINLY = {
    "missing": "is missing",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "list_type": "must be a list",
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false",
    "too_short": "must have at least one entry",
    "string_too_short": "must not be empty",
}


def field_problems(error: ValidationError) -> Iterator[Problem]:
    """What the sections refused, in words for people."""
    for entry in error.errors(include_url=False):
        place: Place = tuple(part for part in entry["loc"] if part != "[key]")
        if place[:1] == ("metrics",) and len(place) > 2:
            place = (*place[:2], *place[3:])  # the third names the kind, which is no key of the file
        kind = entry["type"]
        if kind == "extra_forbidden":
            yield Problem(place, f"unknown key; {nearest(place[-1], keys_at(place[:-1]))}")
        elif kind == "literal_error":
            allowed = tuple(re.findall(r"'([^']+)'", entry["ctx"]["expected"]))
            yield Problem(place, f"{shown(entry['input'])} is not known; {nearest(entry['input'], allowed)}")
        elif kind in {"union_tag_invalid", "union_tag_not_found"}:
            yield Problem(*_of_kind(entry, place))
        elif kind in _PLAINLY:
            got = "" if kind in {"missing", "too_short"} else f", not {shown(entry['input'])}"
            yield Problem(place, _PLAINLY[kind] + got)
        else:
            yield Problem(place, entry["msg"].removeprefix("Value error, "))


def _of_kind(entry: Any, place: Place) -> tuple[Place, str]:
    """A source whose `kind` is missing or not known."""
    kinds = ("csv", "parquet", "prometheus", "cloudwatch", "google-monitoring")
    given = entry["input"].get("kind") if isinstance(entry["input"], dict) else None
    if given is None:
        return place, f"kind is missing; there are {', '.join(kinds)}"
    return (*place, "kind"), f"{shown(given)} is not known; {nearest(given, kinds)}"


def cross_problems(raw: dict[str, Any], folder: Path, environment: Mapping[str, str]) -> Iterator[Problem]:
    """What one key says of another, on the raw values, so that it is told beside every other problem."""
    providers = tuple(_provider_names(raw))
    pools = _mapping(raw, "pools")
    for name, pool in pools.items():
        if isinstance(pool, dict):
            yield from _pool_checks(("pools", name), pool, providers)
            yield from _knob_checks(("pools", name), pool, _mapping(raw, "defaults"))
    yield from _knob_checks(("defaults",), _mapping(raw, "defaults"), {})
    yield from _horizon_checks(raw)
    yield from _former_checks(pools)
    yield from _backlog_checks(pools)
    same = settings_targets.target_problems(pools, _mapping(raw, "providers"))
    yield from (Problem(*found) for found in same)
    yield from (Problem(*found) for found in settings_sources.source_problems(_entries(raw, "metrics")))
    for place, text in paths(raw):
        try:
            resolved(text, folder, environment)
        except ValueError as error:
            yield Problem(place, str(error))
    if raw.get("budgets") == []:
        yield Problem(
            ("budgets",),
            "an empty list would lift every limit on shrinking; leave the key out for the defaults",
        )
    yield from _scope_checks(raw, tuple(pools), providers)
    yield from _signal_checks(raw, tuple(pools))
    yield from _event_checks(raw, tuple(pools))
    for index, mask in enumerate(_entries(raw, "mask")):
        yield from _window_checks(("mask", index), mask if isinstance(mask, dict) else {}, tuple(pools))


def _provider_names(raw: dict[str, Any]) -> Iterator[str]:
    """As pools name them: `fake`, and KIND/NAME of the others."""
    for kind, section in _mapping(raw, "providers").items():
        if kind == "fake" and section is not None:
            yield kind
        elif isinstance(section, dict):
            yield from (f"{kind}/{name}" for name in section)


def _mapping(raw: dict[str, Any], key: str) -> dict[str, Any]:
    found = raw.get(key)
    return found if isinstance(found, dict) else {}


def _entries(raw: dict[str, Any], key: str) -> list[Any]:
    found = raw.get(key)
    return found if isinstance(found, list) else []


def _pool_checks(place: Place, pool: dict[str, Any], providers: tuple[str, ...]) -> Iterator[Problem]:
    provider = pool.get("provider")
    if isinstance(provider, str) and provider not in providers:
        yield Problem(
            (*place, "provider"), f"{shown(provider)} is not under providers; {nearest(provider, providers)}"
        )
    yield from _order_checks(place, pool)
    for index, demand in enumerate(_entries(pool, "demands")):
        if isinstance(demand, dict):
            wrong = settings_learnt.capacity_problem(demand)
            if wrong:
                yield Problem((*place, "demands", index), wrong)
    yield from (Problem(*found) for found in settings_learnt.pool_problems(place, pool))


def _demands(pools: dict[str, Any]) -> list[tuple[Place, dict[str, Any]]]:
    """Every demand of every pool with its place."""
    return [
        (("pools", name, "demands", index), demand)
        for name, pool in pools.items()
        for index, demand in enumerate(_entries(pool, "demands") if isinstance(pool, dict) else ())
        if isinstance(demand, dict)
    ]


def _backlog_checks(pools: dict[str, Any]) -> Iterator[Problem]:
    """A series is a backlog for every pool that it sizes, drained within the same time, or for none."""
    first: dict[str, Any] = {}
    for place, demand in _demands(pools):
        series, backlog = str(demand.get("series")), demand.get("backlog")
        if first.setdefault(series, backlog) != backlog:
            why = f"{shown(series)} has another backlog in another pool; write the same in both"
            yield Problem((*place, "backlog") if backlog else place, why)


def _former_checks(pools: dict[str, Any]) -> Iterator[Problem]:
    """A former id is no series of today, and belongs to one series."""
    demands = _demands(pools)
    today = {str(demand.get("series")): place for place, demand in demands}
    owner: dict[str, str] = {}
    for place, demand in demands:
        series = str(demand.get("series"))
        for number, old in enumerate(_entries(demand, "formerly")):
            spot = (*place, "formerly", number)
            if old in today:
                yield Problem(spot, f"{shown(old)} is a series of today; a former id is one no more in use")
            elif owner.setdefault(str(old), series) != series:
                yield Problem(spot, f"{shown(old)} is a former id of {owner[str(old)]} already; keep one")


def _order_checks(place: Place, pool: dict[str, Any]) -> Iterator[Problem]:
    least, most, desired = (counted(pool.get(key)) for key in ("minimum", "maximum", "desired"))
    if least is not None and most is not None and least > most:
        yield Problem((*place, "minimum"), f"{least} is over the maximum of {most}")
        return
    if desired is None:
        return
    if (least is not None and desired < least) or (most is not None and desired > most):
        yield Problem((*place, "desired"), f"{desired} is outside {least}..{most}")


def _knob_checks(place: Place, section: dict[str, Any], defaults: dict[str, Any]) -> Iterator[Problem]:
    """The scaler's settings are keys of that scaler, of its types."""
    name = section.get("scaler") or defaults.get("scaler") or PoolPolicy().scaler
    given = _mapping(section, "settings")
    if not given or name not in scalers.names():
        return
    scaler = scalers.load(name)
    knobs = tuple(scalers.knobs(scaler))
    for key, value in given.items():
        spot = (*place, "settings", key)
        if key not in knobs:
            yield Problem(spot, f"unknown setting of {name}; {nearest(key, knobs)}")
            continue
        try:
            scalers.configure(scaler, scalers.PoolSettings(), {key: value})
        except ValueError as error:
            yield Problem(spot, str(error))


def _horizon_checks(raw: dict[str, Any]) -> Iterator[Problem]:
    """The forecast, which begins at a full hour, must reach to where what is asked for now serves."""
    horizon = lasting(_mapping(raw, "forecast").get("horizon", ForecastSettings().horizon_s))
    leads = list(_lead_times(raw))
    if horizon is None or not leads:
        return
    longest, place = max(leads, key=lambda lead: lead[0])
    needed = -(-(longest + HOUR_S) // HOUR_S) * HOUR_S
    if horizon >= needed:
        return
    set_ = "horizon" in _mapping(raw, "forecast")
    where = ".".join(str(part) for part in place)
    yield Problem(
        ("forecast", "horizon") if set_ else place,
        f"a forecast of {units.format_duration(horizon)} (forecast.horizon) ends before what is asked for "
        f"now serves ({where}: {units.format_duration(longest)}); write at least "
        f"{units.format_duration(needed)}, the lead time and an hour in whole hours",
        beside=place if set_ else (),
    )


def _lead_times(raw: dict[str, Any]) -> Iterator[tuple[int, Place]]:
    """The lead time of each pool, and the key that says so."""
    for name, pool in _mapping(raw, "pools").items():
        if not isinstance(pool, dict):
            continue
        kind, _, at = str(pool.get("provider")).partition("/")
        holder = _mapping(_mapping(raw, "providers"), kind)
        place: Place = ("pools", name, "lead_time")
        given = pool.get("lead_time")
        if given is None:
            place = ("providers", kind, *([at] if at else []), "lead_time")
            holder = _mapping(holder, at) if at else holder
            given = holder.get("lead_time", FakeProvider(path="").lead_time_s)
        seconds = lasting(given)
        if seconds is not None:
            yield seconds, place


def _freeze_checks(
    place: Place, freeze: Any, pools: tuple[str, ...], providers: tuple[str, ...]
) -> Iterator[Problem]:
    if not isinstance(freeze, dict):
        return
    scope, name = freeze.get("scope"), freeze.get("name") or ""
    if scope == "all" and name:
        yield Problem((*place, "name"), "scope all has no name; leave it out or say scope: pool")
    known = {"pool": pools, "provider": providers}.get(str(scope))
    if known is not None and name not in known:
        yield Problem((*place, "name"), f"{shown(name)} is no {scope} of this file; {nearest(name, known)}")


def _signal_checks(raw: dict[str, Any], pools: tuple[str, ...]) -> Iterator[Problem]:
    """A signal has one limit, and speaks of pools of this file."""
    for index, signal in enumerate(_entries(_mapping(raw, "interlocks"), "signals")):
        place: Place = ("interlocks", "signals", index)
        if not isinstance(signal, dict):
            continue
        yield from _window_checks(place, signal, pools)
        given = [key for key in ("above", "below") if signal.get(key) is not None]
        if len(given) != 1:
            word = "not both" if given else "one of them is needed"
            yield Problem(place, f"give either above or below, {word}")


def _scope_checks(
    raw: dict[str, Any], pools: tuple[str, ...], providers: tuple[str, ...]
) -> Iterator[Problem]:
    """Freezes, windows and budgets of money name what is in this file; a window has two ends."""
    for key in ("freeze", "freeze_windows", "money"):
        for index, entry in enumerate(_entries(raw, key)):
            yield from _freeze_checks((key, index), entry, pools, providers)
    for index, window in enumerate(_entries(raw, "freeze_windows")):
        start = window.get("start") if isinstance(window, dict) else None
        if start is not None and start == window.get("end"):
            whole = "write 00:00 to 24:00 for a whole day"
            yield Problem(("freeze_windows", index, "end"), f"is the start too; {whole}")


def _window_checks(place: Place, entry: dict[str, Any], pools: tuple[str, ...]) -> Iterator[Problem]:
    """A window begins before it ends, and speaks of pools of this file."""
    for number, name in enumerate(_entries(entry, "pools")):
        if isinstance(name, str) and name not in pools:
            yield Problem(
                (*place, "pools", number), f"{shown(name)} is no pool of this file; {nearest(name, pools)}"
            )
    begin, end = instant(entry.get("start")), instant(entry.get("end"))
    if begin is not None and end is not None and begin >= end:
        yield Problem((*place, "end"), "is not after start")


def _event_checks(raw: dict[str, Any], pools: tuple[str, ...]) -> Iterator[Problem]:
    """An event is told by a multiplier or by a past one, and by a name of its own."""
    names: list[object] = []
    for index, entry in enumerate(_entries(raw, "events")):
        place: Place = ("events", index)
        if not isinstance(entry, dict):
            continue
        yield from _window_checks(place, entry, pools)
        given = [key for key in ("multiplier", "like") if entry.get(key) is not None]
        if len(given) != 1:
            word = "not both" if given else "one of them is needed"
            yield Problem(place, f"give either multiplier or like, {word}")
        if entry.get("name") in names:
            yield Problem(
                (*place, "name"), f"{shown(entry['name'])} is the name of another event; names differ"
            )
        names.append(entry.get("name"))
        if isinstance(entry.get("like"), dict):
            yield from _like_checks((*place, "like"), entry["like"], instant(entry.get("start")))


def _like_checks(place: Place, like: dict[str, Any], start: datetime | None) -> Iterator[Problem]:
    yield from _window_checks(place, like, ())
    until = instant(like.get("end"))
    if until is not None and start is not None and until > start:
        yield Problem((*place, "end"), "a past event is over before this one starts")


def paths(raw: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
    """Every path of the file with its place; whatever stands there, as long as it is not checked."""
    yield ("state",), raw.get("state")
    yield ("freeze_file",), raw.get("freeze_file")
    for index, source in enumerate(_entries(raw, "metrics")):
        yield from _files(("metrics", index), source)
    for kind, section in _mapping(raw, "providers").items():
        yield from _files(("providers", kind), section)
        for name, entry in section.items() if kind != "fake" and isinstance(section, dict) else ():
            yield from _files(("providers", kind, name), entry)


def _files(place: Place, section: Any) -> Iterator[tuple[Place, Any]]:
    """The paths of one section; those that are left out are none."""
    for key, value in section.items() if isinstance(section, dict) else ():
        if value is not None and (key in {"path", "kubeconfig"} or str(key).endswith("_file")):
            yield (*place, key), value


def resolved(text: Any, folder: Path, environment: Mapping[str, str]) -> str:
    """`${NAME}` from the environment, then relative to the configuration's folder; ValueError if unset."""
    if not isinstance(text, str):
        return ""  # its type is the field's own problem

    def value(found: re.Match[str]) -> str:
        content = environment.get(found[1])
        if not content:
            raise ValueError(f"the environment variable {found[1]} is not set; export {found[1]}=...")
        return content

    return str(Path(normpath(folder / _VARIABLE.sub(value, text))))
