"""Pools by the names of the configuration, over a provider that knows them by ids of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoscaler.errors import Stale
from autoscaler.ports import Pools, Remembers
from policies.model import Gap, Pool


class Called:
    """The `Pools` port with other names; a pool that has none keeps the provider's id.

    One whose id is the name of another pool is not shown: nobody may take it for that one. The version of a
    pool with a name tells its id too: a plan for what the name meant before is Stale.
    """

    def __init__(self, pools: Pools, names: Mapping[str, str]) -> None:
        """`names` are those of the configuration, by the provider's ids."""
        self._pools, self._names = pools, names
        self._ids = {name: target for target, name in names.items()}

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """See the port."""
        pools, gaps = self._pools.list()
        return self._shown(pools), gaps

    def read(self, pool_id: str) -> Pool:
        """See the port."""
        return self._renamed(self._pools.read(self._id(pool_id)))

    def resize(self, pool_id: str, size: int, *, version: str, key: str) -> Pool:
        """See the port."""
        given = self._own(pool_id, version)
        return self._renamed(self._pools.resize(self._id(pool_id), size, version=given, key=key))

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """See the port."""
        return self._pools.rehearse(self._id(pool_id), size, version=self._own(pool_id, version))

    def _shown(self, pools: Sequence[Pool]) -> tuple[Pool, ...]:
        return tuple(self._renamed(pool) for pool in pools if not self._is_taken(pool.id))

    def _is_taken(self, target: str) -> bool:
        return target in self._ids and target not in self._names

    def _id(self, name: str) -> str:
        return self._ids.get(name, name)

    def _own(self, name: str, version: str) -> str:
        """The provider's version of a pool; Stale where it is that of another one."""
        target = self._id(name)
        if target == name:
            return version
        if not version.startswith(f"{target}@"):
            raise Stale(f"{name} is {target} now; look at it again")
        return version.removeprefix(f"{target}@")

    def _renamed(self, pool: Pool) -> Pool:
        name = self._names.get(pool.id, pool.id)
        return pool if name == pool.id else replace(pool, id=name, version=f"{pool.id}@{pool.version}")


class CalledRemembering(Called):
    """The same over a provider that also remembers its keys."""

    def __init__(self, pools: Pools, memory: Remembers, names: Mapping[str, str]) -> None:
        """`memory` is the same provider by its other port."""
        super().__init__(pools, names)
        self._memory = memory

    def answer_to(self, key: str) -> Pool | None:
        """See the port."""
        answer = self._memory.answer_to(key)
        return None if answer is None else self._renamed(answer)


def called(pools: Pools, names: Mapping[str, str]) -> Pools:
    """The provider by the configuration's names; itself where they are the same."""
    if all(name == target for target, name in names.items()):
        return pools
    if isinstance(pools, Remembers):
        return CalledRemembering(pools, pools, names)
    return Called(pools, names)
