"""What doctor looks at: each permission, the clock, and who else sizes the groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any

from autoscaler.connections import GoogleProvider
from autoscaler.errors import Denied, NotFound, ProviderError
from autoscaler.ports import Check, Clock
from autoscaler.providers.google.api import Compute
from autoscaler.providers.google.instances import KIND, POOL
from autoscaler.providers.google.places import Place, place_in
from autoscaler.providers.google.reading import Group, scaler_place

SKEW_S = 60.0
NOBODY = "loadline-doctor"  # an operation of no name that exists


def examine(api: Compute, settings: GoogleProvider, clock: Clock) -> Sequence[Check]:
    """Credentials, each permission, clock skew and other controllers; changes nothing, raises nothing."""
    zones = _asked("compute.zones.list", lambda: list(api.zones()), settings)[1]
    groups = _groups(api, settings) if "mig" in settings.kinds else ([], [])
    instances = _instances(api, settings) if KIND in settings.kinds else []
    return [*groups[0], zones, *instances, _skew(api, clock), *groups[1]]


def _groups(api: Compute, settings: GoogleProvider) -> tuple[list[Check], list[Check]]:
    """What groups need, and who else sizes them."""
    managers, listed = _asked(
        "compute.instanceGroupManagers.list", lambda: _all(api.groups, "instance_group_managers"), settings
    )
    scalers, told = _asked("compute.autoscalers.list", lambda: _all(api.autoscalers, "autoscalers"), settings)
    checks = [listed, told, *_of_one(api, settings, managers or [], scalers or [])]
    return checks, [*_others(managers or [], scalers or [])]


def _instances(api: Compute, settings: GoogleProvider) -> list[Check]:
    """What instances that are started and stopped need."""
    listed = _asked("compute.instances.list", lambda: list(api.instances(f"labels.{POOL}:*")), settings)[1]
    return [listed, *(_later(f"compute.instances.{what}", "an instance") for what in ("start", "stop"))]


def _later(what: str, changed: str) -> Check:
    return Check(
        what=what,
        ok=None,
        why=f"it cannot be asked for without changing {changed}",
        mend="grant the role for acting in docs/google.md before a pool's mode is more than observe",
    )


def _of_one(
    api: Compute, settings: GoogleProvider, managers: Sequence[Any], scalers: Sequence[Any]
) -> Iterator[Check]:
    """The permissions that are asked of one group, one autoscaler, or an operation that is not there."""
    here = [place_in(found.self_link) for found in managers]
    theirs = [place_in(found.self_link) for found in scalers]
    yield _on_first("compute.instanceGroupManagers.get", here, api.group, settings)
    yield _on_first("compute.autoscalers.get", theirs, api.autoscaler, settings)
    for kind, regional in (("compute.zoneOperations.get", False), ("compute.regionOperations.get", True)):
        at = [place for place in here if place.regional is regional]
        yield _on_first(kind, at, lambda place: api.operation(place, NOBODY), settings)
    yield _may_act(api, settings, theirs)
    yield _later("compute.instanceGroupManagers.update", "a group")


def _on_first(
    what: str, places: Sequence[Place], call: Callable[[Place], Any], settings: GoogleProvider
) -> Check:
    if not places:
        return Check(what=what, ok=None, why="there is nothing to ask it of")

    def ask() -> Any:
        with suppress(NotFound):  # what is not there was at least allowed
            return call(places[0])

    return _asked(what, ask, settings)[1]


def _may_act(api: Compute, settings: GoogleProvider, places: Sequence[Place]) -> Check:
    what = "compute.autoscalers.update"
    if not places:
        return Check(what=what, ok=None, why="there is no autoscaler to ask it of")
    held, check = _asked(what, lambda: api.allowed(places[0], what), settings)
    if held is False:
        return Check(
            what=what, ok=False, why="it is not held; reading goes on without it", mend=_grant(what, settings)
        )
    return check


def _asked(what: str, call: Callable[[], Any], settings: GoogleProvider) -> tuple[Any, Check]:
    """The call's answer, and what it says of a permission."""
    try:
        return call(), Check(what=what, ok=True)
    except NotFound as error:
        mend = f"is there a project {settings.project}? correct `project`"
        return None, Check(what=what, ok=False, why=str(error), mend=mend)
    except Denied as error:
        return None, Check(what=what, ok=False, why=str(error), mend=_grant(what, settings))
    except ProviderError as error:
        return None, Check(what=what, ok=None, why=str(error), mend="ask again when the API answers")


def _grant(what: str, settings: GoogleProvider) -> str:
    return f"grant {what} in project {settings.project}: docs/google.md has the roles"


def _all(pages: Callable[[], Iterator[Any]], field: str) -> list[Any]:
    parts = chain.from_iterable(page.items.values() for page in pages())
    return [found for part in parts for found in getattr(part, field)]


def _skew(api: Compute, clock: Clock) -> Check:
    what = "clock"
    try:
        theirs = parsedate_to_datetime(api.date)
    except ValueError:
        return Check(what=what, ok=None, why="no answer told the time")
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    ahead = (clock.now() - theirs).total_seconds()
    if abs(ahead) <= SKEW_S:
        return Check(what=what, ok=True)
    why = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Google's"
    return Check(what=what, ok=False, why=why, mend="set the machine's clock by NTP")


def _others(managers: Sequence[Any], scalers: Sequence[Any]) -> Iterator[Check]:
    """Each group that someone else sizes, or whose floor may be moved by something else."""
    found = {place_in(scaler.self_link): scaler for scaler in scalers}
    for manager in managers:
        place, by = place_in(manager.self_link), scaler_place(manager)
        group = Group(place=place, manager=manager, autoscaler=found.get(by) if by else None)
        if group.cluster:
            why = "Kubernetes Engine sizes this group"
            yield Check(
                what=place.id, ok=False, why=why, mend="leave it out, and let its cluster size its node pool"
            )
        elif group.autoscaler is not None:
            yield _beside(place, group)


def _beside(place: Place, group: Group) -> Check:
    scaler: Any = group.autoscaler
    if group.mode == "ONLY_SCALE_OUT":
        why = f"autoscaler {scaler.name} only scales out: what it or we add is never removed"
        return Check(
            what=place.id, ok=False, why=why, mend="set its mode to ON, or to OFF to have the size set by us"
        )
    if scaler.autoscaling_policy.scaling_schedules and group.lever:
        why = f"autoscaler {scaler.name} has scaling schedules of its own, beside the floor that we set"
        return Check(what=place.id, ok=None, why=why, mend="declare their hours as events, or take them out")
    if group.lever:
        return Check(
            what=place.id, ok=True, why=f"autoscaler {scaler.name} sizes it: its floor is what is set"
        )
    return Check(what=place.id, ok=True, why=f"autoscaler {scaler.name} is off: the size itself is set")
