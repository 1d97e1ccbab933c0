"""A cloud in memory: as strict as the fake one of a file, a hundred times faster, with a log of the truth.

It passes the same conformance tests. Reads may lag (`lag_s`), pages may be cut (`cut`), people may change
sizes behind our back. What really happened stands in `log`, which only the oracle reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from autoscaler.errors import Invalid, NotFound, Stale
from autoscaler.ports import FREEZE, ORIGINAL_SIZE
from policies.model import Gap, Pool

NO_ZONE = "local"
STRANGER = "a person"
KEPT = 40  # states of a pool that a lagging read may still show


@dataclass(frozen=True, slots=True)
class Truth:
    """A change of size that really was: at a true second, by the intent with that key ("" by a person)."""

    at: float
    pool: str
    before: int
    after: int
    key: str
    node: str


class _Batch:
    """Units of one zone that serve from one moment on (epoch seconds)."""

    __slots__ = ("serves_at", "units", "zone")

    def __init__(self, zone: str, units: int, serves_at: float) -> None:
        self.zone, self.units, self.serves_at = zone, units, serves_at


@dataclass(slots=True)
class _State:
    """A pool: as declared with its size and version, and where its units are."""

    pool: Pool
    revision: int
    batches: list[_Batch]
    past: list[tuple[float, Pool, tuple[tuple[str, int, float], ...]]]


class SimulatedCloud:
    """The `Pools` port in memory; `now` tells true time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Empty."""
        self._now = now
        self._pools: dict[str, _State] = {}
        self._answers: dict[str, tuple[str, int, Pool]] = {}
        self.log: list[Truth] = []
        self.lag_s = 0.0
        self.cut = False
        self.caller = ""

    def create(self, pool: Pool) -> Pool:
        """Make a pool whose units serve at once."""
        _refuse_size(pool, pool.desired)
        state = _State(replace(pool, ready={}, version="1"), 1, [], [])
        _boot(state, pool.desired, serves_at=0.0)
        self._pools[pool.id] = state
        self._remember(state, at=float("-inf"))
        return self.read(pool.id)

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """Every pool by id; with a cut page only the first half, and a gap that says so."""
        pools = tuple(self.read(name) for name in sorted(self._pools))
        if not self.cut:
            return pools, ()
        gap = Gap(source="simulated", code="PARTIAL", why="the second page did not come")
        return pools[: len(pools) // 2], (gap,)

    def read(self, pool_id: str) -> Pool:
        """The pool as reads show it now, which may be as it was `lag_s` ago."""
        now = self._now().timestamp()
        state = self._state(pool_id)
        if not self.lag_s:
            return _shown(state.pool, [(b.zone, b.units, b.serves_at) for b in state.batches], now)
        _, pool, batches = next(entry for entry in reversed(state.past) if entry[0] <= now - self.lag_s)
        return _shown(pool, batches, now)

    def answer_to(self, key: str) -> Pool | None:
        """What `resize` answered to that key, None if it was never called with it."""
        known = self._answers.get(key)
        return None if known is None else known[2]

    def true_size(self, pool_id: str) -> int:
        """The size that really is."""
        return self._state(pool_id).pool.desired

    def resize(self, pool_id: str, size: int, *, version: str, key: str, in_part: bool = False) -> Pool:
        """Ask for `size` units, once for each key; `in_part` half come. NotFound, Stale, Invalid."""
        if not key:
            raise Invalid(f"{pool_id}: a resize needs an idempotency key")
        if key in self._answers:
            return self._again(pool_id, size, key)
        state = self._state(pool_id)
        if version != str(state.revision):
            raise Stale(f"{pool_id} is at version {state.revision}, not {version or 'none'}: read it again")
        _refuse_size(state.pool, size)
        self._change(state, (size + state.pool.desired) // 2 if in_part else size, key)
        now = self._now().timestamp()
        after = _shown(state.pool, [(b.zone, b.units, b.serves_at) for b in state.batches], now)
        self._answers[key] = (pool_id, size, after)
        return after

    def rehearse(self, pool_id: str, size: int, *, version: str) -> bool:
        """Whether `resize` would be let; raises what it would raise."""
        state = self._state(pool_id)
        if version != str(state.revision):
            raise Stale(f"{pool_id} is at version {state.revision}, not {version or 'none'}: read it again")
        _refuse_size(state.pool, size)
        return True

    def meddle(self, pool_id: str, size: int) -> None:
        """A person, or another controller, sets a size."""
        state = self._state(pool_id)
        self._change(state, min(max(size, state.pool.minimum), state.pool.maximum), "")

    def mark(self, pool_id: str, why: str) -> None:
        """A person marks a pool as frozen, "" takes the mark away."""
        state = self._state(pool_id)
        kept = {name: text for name, text in state.pool.labels.items() if name != FREEZE}
        state.pool = replace(state.pool, labels={**kept, FREEZE: why} if why else kept)
        self._remember(state)

    def _again(self, pool_id: str, size: int, key: str) -> Pool:
        known, asked, answer = self._answers[key]
        if (known, asked) != (pool_id, size):
            raise Invalid(f"the key {key} was used for {asked} units of {known}, not {size} of {pool_id}")
        return answer

    def _state(self, pool_id: str) -> _State:
        if pool_id not in self._pools:
            raise NotFound(f"there is no pool {pool_id}")
        return self._pools[pool_id]

    def _change(self, state: _State, size: int, key: str) -> None:
        now, before = self._now(), state.pool.desired
        if size == before:
            return
        if size > before:
            _boot(state, size - before, serves_at=now.timestamp() + state.pool.lead_time_s)
        else:
            _remove(state, before - size, now=now.timestamp())
        state.revision += 1
        labels = {ORIGINAL_SIZE: str(before), **state.pool.labels} if key else state.pool.labels
        state.pool = replace(
            state.pool,
            desired=size,
            version=str(state.revision),
            last_scaled_at=now.astimezone(UTC),
            labels=labels,
        )
        self._remember(state)
        node = self.caller if key else STRANGER
        self.log.append(Truth(now.timestamp(), state.pool.id, before, size, key, node))

    def _remember(self, state: _State, at: float | None = None) -> None:
        batches = tuple((b.zone, b.units, b.serves_at) for b in state.batches)
        state.past.append((self._now().timestamp() if at is None else at, state.pool, batches))
        if len(state.past) > KEPT:
            del state.past[1]


def _shown(pool: Pool, batches: Sequence[tuple[str, int, float]], now: float) -> Pool:
    ready = dict.fromkeys(_zones(pool), 0)
    for zone, units, serves_at in batches:
        if serves_at <= now:
            ready[zone] = ready.get(zone, 0) + units
    return replace(pool, ready=ready)


def _zones(pool: Pool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(offering.zone for offering in pool.offerings)) or (NO_ZONE,)


def _refuse_size(pool: Pool, size: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int):
        raise Invalid(f"{pool.id}: {size!r} is no number of units")
    if not pool.minimum <= size <= pool.maximum:
        raise Invalid(f"{pool.id}: {size} is outside {pool.minimum}..{pool.maximum}")


def _held(state: _State) -> dict[str, int]:
    held = dict.fromkeys(_zones(state.pool), 0)
    for batch in state.batches:
        held[batch.zone] = held.get(batch.zone, 0) + batch.units
    return held


def _boot(state: _State, count: int, *, serves_at: float) -> None:
    """New units where the fewest are."""
    held, zones = _held(state), _zones(state.pool)
    added = dict.fromkeys(zones, 0)
    for _ in range(count):
        emptiest = min(zones, key=lambda zone: held[zone] + added[zone])
        added[emptiest] += 1
    state.batches += [_Batch(zone, units, serves_at) for zone, units in added.items() if units]


def _remove(state: _State, count: int, *, now: float) -> None:
    """Booting units first, the youngest of them first; then serving ones, each from the fullest zone."""
    held = _held(state)

    def turn(batch: _Batch) -> tuple[bool, float, int]:
        booting = batch.serves_at > now
        return (booting, batch.serves_at if booting else 0.0, held[batch.zone])

    for _ in range(count):
        batch = max((batch for batch in state.batches if batch.units), key=turn)
        batch.units -= 1
        held[batch.zone] -= 1
    state.batches = [batch for batch in state.batches if batch.units]
