"""What was tried with which key: the same key again is answered as the first time."""

from __future__ import annotations

import threading
from collections import OrderedDict

from autoscaler.errors import Invalid
from policies.model import Pool

REMEMBERED = 1000  # keys that are kept, the newest


class Keys:
    """The keys of this process, with what they were for; for several threads."""

    def __init__(self) -> None:
        """None yet."""
        self._tried: OrderedDict[str, tuple[str, int, Pool | None]] = OrderedDict()
        self._turn = threading.Lock()

    def answer(self, pool_id: str, size: int, key: str) -> Pool | None:
        """What this key was answered with, None for nothing yet; Invalid without one, or for another's."""
        if not key:
            raise Invalid(f"{pool_id}: a resize needs an idempotency key")
        with self._turn:
            tried = self._tried.get(key)
        if tried is None:
            return None
        if tried[:2] != (pool_id, size):
            raise Invalid(
                f"the key {key} was used for {tried[1]} units of {tried[0]}, not {size} of {pool_id}"
            )
        return tried[2]

    def begun(self, key: str) -> bool:
        """Whether a call was begun with it, answered or not."""
        with self._turn:
            return key in self._tried

    def begin(self, pool_id: str, size: int, key: str, pool: Pool | None = None) -> None:
        """A call is about to be made with it; `pool` is its answer once there is one."""
        with self._turn:
            self._tried[key] = (pool_id, size, pool)
            while len(self._tried) > REMEMBERED:
                self._tried.popitem(last=False)

    def remember(self, key: str, size: int, pool: Pool) -> Pool:
        """Keep the answer, and give it."""
        self.begin(pool.id, size, key, pool)
        return pool
