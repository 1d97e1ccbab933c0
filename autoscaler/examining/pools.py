"""The pools: whether their providers show them, who else holds them, and what their modes let us do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autoscaler.examining.report import Look, Matter
from autoscaler.ports import Check
from policies.model import Gap, Pool
from policies.plan import Guard
from policies.policy import Mode
from policies.units import format_duration

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from autoscaler.declared import DeclaredPool

SUBJECT = "pools"
HELD = frozenset({Guard.OWNED.value, Guard.SUSPENDED.value})  # by another one, until somebody mends it
_MENDS = {
    Guard.OWNED.value: "let go of it there, take it over (`adopt`), or leave the pool out",
    Guard.SUSPENDED.value: "resume it there, or keep the pool's mode at observe",
}
_TOKEN = re.compile(r"[^\s,;:()\"']+(?::[^\s,;:()\"']+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a provider listed, by its own ids, and what it could not."""

    pools: Mapping[str, Pool]
    gaps: Sequence[Gap] = ()


def shown(listed: tuple[Sequence[Pool], Sequence[Gap]]) -> Shown:
    """As `Pools.list` answered."""
    pools, gaps = listed
    return Shown(pools={pool.id: pool for pool in pools}, gaps=tuple(gaps))


def acting(configuration: Configuration, provider: str) -> frozenset[str]:
    """The provider's ids of the pools that have a mode in which a daemon would change them, or rehearse."""
    mine = (pool for pool in configuration.pools.values() if pool.provider == provider)
    return frozenset(pool.target or pool.id for pool in mine if _acts(configuration, pool.id))


def _acts(configuration: Configuration, name: str) -> bool:
    rule = configuration.policy.of(name)
    return {rule.mode_in, rule.mode_out} != {Mode.OBSERVE}


def looks(
    configuration: Configuration,
    answers: Mapping[str, Shown],
    first_seen: Mapping[str, datetime],
    now: datetime,
) -> Iterator[Look]:
    """A line for each pool that is as it should be, and one for each thing that is not."""
    if not configuration.pools:
        check = Check(what="no pool is configured", ok=None, mend="name one under `pools`")
        yield Look(subject=SUBJECT, check=check)
    for name, declared in configuration.pools.items():
        answer = answers.get(declared.provider)
        if answer is None:
            check = Check(what=name, ok=None, why=f"its provider {declared.provider} did not answer")
            yield Look(subject=SUBJECT, check=check)
            continue
        pool = answer.pools.get(declared.target or name)
        if pool is None:
            yield Look(subject=SUBJECT, check=_absent(name, declared, answer))
            continue
        mode = _mode(configuration, name, first_seen, now)
        yield Look(subject=SUBJECT, check=_there(name, pool, mode))
        for check in (
            *_bounds(name, declared, pool),
            *_obstacles(name, pool, held=_acts(configuration, name)),
        ):
            yield Look(subject=SUBJECT, check=check)


def _absent(name: str, declared: DeclaredPool, answer: Shown) -> Check:
    target = declared.target or name
    what = name if target == name else f"{name} ({target})"
    if answer.gaps:
        why = f"{declared.provider} did not list everything: {answer.gaps[0].why}"
        return Check(what=what, ok=None, why=why, mend="mend what is missing in its list first")
    near = difflib.get_close_matches(target, list(answer.pools), n=1)
    some = f"did you mean {near[0]}?" if near else _few(sorted(answer.pools))
    return Check(what=what, ok=False, why=f"{declared.provider} lists no such pool", mend=some)


def _few(ids: Sequence[str]) -> str:
    if not ids:
        return "it lists no pool at all: see its account, region or namespaces"
    return f"it lists {', '.join(ids[:5])}{' and more' if len(ids) > 5 else ''}; name one as `target`"


def _there(name: str, pool: Pool, mode: str) -> Check:
    units = f"{pool.desired} units, {pool.ready_units} serve"
    lever = f"; what is set is {pool.lever}" if pool.lever else ""
    if pool.lever:
        units = f"floor {pool.desired}, {pool.ready_units} units serve"
    return Check(what=name, ok=True, why=f"{units}, {pool.minimum} to {pool.maximum}{lever}; {mode}")


def _mode(configuration: Configuration, name: str, first_seen: Mapping[str, datetime], now: datetime) -> str:
    rule = configuration.policy.of(name)
    seen = first_seen.get(name)
    since = "no daemon has seen it yet" if seen is None else f"seen since {seen:%Y-%m-%d %H:%MZ}"
    if rule.mode_in is rule.mode_out:
        mode = f"mode {rule.mode_out}"
    else:
        mode = f"mode {rule.mode_out} for growth, {rule.mode_in} for shrinking"
    if {rule.mode_in, rule.mode_out} == {Mode.OBSERVE} or not rule.observe_first_s:
        return f"{mode}, {since}"
    ends = None if seen is None else seen + timedelta(seconds=rule.observe_first_s)
    if ends is None:
        return f"{mode}, {since}: only observed for its first {format_duration(rule.observe_first_s)}"
    return f"{mode}, {since}" + (f": only observed until {ends:%Y-%m-%d %H:%MZ}" if now < ends else "")


def _bounds(name: str, declared: DeclaredPool, pool: Pool) -> Iterator[Check]:
    least, most = max(declared.minimum, pool.minimum), min(declared.maximum, pool.maximum)
    if least > most:
        why = (
            f"{declared.minimum} to {declared.maximum} here, {pool.minimum} to {pool.maximum} at its provider"
        )
        mend = "let the bounds meet: nothing is planned for it until then"
        yield Check(what=f"{name}: bounds", ok=False, why=why, mend=mend)


def _obstacles(name: str, pool: Pool, *, held: bool) -> Iterator[Check]:
    """What is against changing it; no failure where it is not to be changed (`held` is False)."""
    for one in pool.obstacles:
        what = "shrinking is held" if one.shrinks_only else "every change is held"
        ok = False if held and one.code in HELD else None
        mend = _MENDS.get(one.code, "")
        yield Check(what=f"{name}: {what}", ok=ok, why=f"{one.why} ({one.code})", mend=mend)


def judged(
    subject: str,
    checks: Sequence[Check],
    *,
    reading: Collection[str],
    acting: Collection[str],
    needed: bool,
) -> Iterator[Look]:
    """The checks of a provider or source, each with what it is about.

    `reading` and `acting` are its permissions in its own words. Where no pool is ever changed (`needed` is
    False) a right to change that lacks is no failure.
    """
    for check in checks:
        right = _named(check.what, (*reading, *acting))
        spared = check.ok is False and not needed and right in set(acting) - set(reading)
        matter = Matter.PERMISSION if right else Matter.OTHER
        yield Look(subject=subject, check=_spared(check) if spared else check, matter=matter)


def _spared(check: Check) -> Check:
    """A right that lacks where nothing is changed."""
    why = f"{check.why}; " if check.why else ""
    return replace(check, ok=None, why=f"{why}not needed while its pools are only observed", mend="")


def _named(what: str, rights: Collection[str]) -> str:
    """The right that is spoken of, "" where none is; the longest of several."""
    found = (right for right in rights if re.search(rf"(?<![\w:./]){re.escape(right)}(?![\w:./])", what))
    return max(found, key=len, default="")


def without_strangers(
    checks: Sequence[Check], pools: Collection[str], configured: Collection[str], acting: Collection[str]
) -> tuple[list[Check], int]:
    """Those that speak of no pool beside the configured ones, or pass; and how many others there are.

    `acting` are those that are to be changed: what is found on another one is told, and fails nothing.
    """
    strangers, ours = set(pools) - set(configured), set(configured)
    kept, left = [], 0
    for check in checks:
        words = set(_TOKEN.findall(f"{check.what} {check.why}"))
        if check.ok is not True and words & strangers and not words & ours:
            left += 1
        elif check.ok is False and words & ours and not words & set(acting):
            kept.append(replace(check, ok=None))
        else:
            kept.append(check)
    return kept, left
