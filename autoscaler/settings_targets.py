"""Where pools really are: no two of a configuration are the same, for each would undo what the other did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from autoscaler.settings_kinds import shown
from autoscaler.yaml_lines import Place

if TYPE_CHECKING:
    from autoscaler.declared import DeclaredPool

# What says where a provider is; the other keys say how it is used.
_WHERE: Mapping[str, tuple[str, ...]] = {
    "kubernetes": ("kubeconfig", "context"),
    "aws": ("region", "role_arn", "profile", "endpoint_url"),
    "google": ("project",),
}


def target_problems(
    pools: Mapping[str, Any], providers: Mapping[str, Any]
) -> Iterator[tuple[Place, str, Place]]:
    """Place, message and the other place, of each pool whose target another one before it has.

    Two providers that are reached alike are one.
    """
    first: dict[tuple[str, str], str] = {}
    for name, pool in pools.items():
        provider = pool.get("provider") if isinstance(pool, dict) else None
        if not isinstance(provider, str):
            continue
        target = str(pool.get("target") or name)
        owner = first.setdefault((_place_of(provider, providers), target), str(name))
        if owner != str(name):
            why = (
                f"{shown(target)} is the target of the pool {owner} already: two pools of one target would "
                "undo each other's sizes; keep one, and give it both demands"
            )
            yield _spot(name, pool), why, _spot(owner, pools[owner])


def _spot(name: str, pool: Mapping[str, Any]) -> Place:
    return ("pools", name, "target") if pool.get("target") else ("pools", name)


def _place_of(provider: str, providers: Mapping[str, Any]) -> str:
    """What is the same for two providers of one and the same cluster, account or project."""
    kind, _, name = provider.partition("/")
    section = providers.get(kind)
    settings = section.get(name) if isinstance(section, dict) else None
    if kind not in _WHERE or not isinstance(settings, dict):
        return provider
    return repr((kind, [str(settings.get(key) or "") for key in _WHERE[kind]]))


def places(pools: Iterable[DeclaredPool], providers: Mapping[str, object]) -> dict[str, str]:
    """Where each pool is, by its name: what its provider reaches, and its id there; without secrets."""
    return {pool.id: _place(pool, providers.get(pool.provider)) for pool in pools}


def _place(pool: DeclaredPool, settings: object) -> str:
    kind = pool.provider.partition("/")[0]
    reached = getattr(settings, "account", settings)
    told = {key: str(getattr(reached, key, "") or "") for key in _WHERE.get(kind, ())}
    account = told.get("role_arn", "").split(":")[4:5]
    if account:  # which role of it is assumed does not matter, nor by whose profile
        told |= {"role_arn": "", "profile": "", "account": account[0]}
    if told.get("endpoint_url"):
        told["endpoint_url"] = urlsplit(told["endpoint_url"]).netloc.rpartition("@")[2]
    where = [f"{key}={value}" for key, value in told.items() if value]
    return " ".join([kind, *where, pool.target or pool.id])
