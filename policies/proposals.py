"""What a first configuration proposes for the pools that were seen: the metric that sizes each, its bounds,
what can be learnt. Pools and what was seen of metrics in, proposals out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from policies.model import Pool, canonical, digest
from policies.plan import Guard

Query = str | Mapping[str, object]

FRESH_STEPS = 3  # as the input gate counts them
NO_BOUND = 1_000  # a group's own maximum from here on is no bound that anyone chose
FEWEST_SHARE, MOST_TIMES = 2, 3  # a pool without bounds of its own: from half to three times its size
SYSTEM = re.compile(
    r"kube-.*|gke-.*|gmp-.*|amazon-.*|calico-.*|tigera-.*|openshift-.*|istio-system|cert-manager"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,99}")
_ADOPT = re.compile(r"adopt: \[([^\]]+)\]")
_BY_HAND = ("kubectl", "helm", "terraform", "hashicorp", "pulumi")  # they write when a person runs them
_BY_ITSELF = ("helm-controller",)


class Load(StrEnum):
    """What a metric tells of demand, the best one first."""

    REQUESTS = "requests"
    QUEUE = "queue"
    GPU = "gpu"
    CPU = "cpu"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A query that may be proposed, as `source` (a key of the findings) takes it; `unit` is what it counts.

    `share`: of a sign of how full units are, its reading in full use.
    """

    source: str
    title: str
    unit: str
    query: Query
    load: Load = Load.CPU
    share: int = 1

    @property
    def key(self) -> str:
        """The same for the same query of the same source."""
        return f"{self.source} {canonical(self.query)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """The queries that could be a pool's, before one of them was tried."""

    demands: tuple[Candidate, ...] = ()
    ready: Candidate | None = None
    desired: Candidate | None = None
    utilization: Candidate | None = None

    @property
    def signs(self) -> tuple[Candidate, ...]:
        """Those from which a pool is learnt."""
        return tuple(one for one in (self.ready, self.desired, self.utilization) if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a query answered over the last hour. `age_steps`: of its newest point; `why` it cannot be used."""

    points: int = 0
    age_steps: float = 0.0
    largest: float = 0.0
    why: str = ""

    def wrong(self, *, positive: bool) -> str:
        """Why it cannot be relied on, "" where it can; `positive`: it must not have been zero throughout."""
        if self.why:
            return self.why
        if not self.points:
            return "no points in the last hour"
        if self.age_steps > FRESH_STEPS:
            return f"its newest point is {self.age_steps:.0f} steps old"
        return "zero throughout the last hour" if positive and self.largest <= 0 else ""


Sightings = Mapping[str, Sighting]  # by Candidate.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most units that were ready but for one hour in a hundred, of so many `days`."""

    units: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A pool as it is proposed. `units` fill the p99 of its history, and `measured` says from what."""

    name: str
    pool: Pool
    demand: Candidate
    units: int
    measured: str
    minimum: int
    maximum: int
    bounded: str
    ready: Candidate | None = None
    desired: Candidate | None = None
    utilization: Candidate | None = None
    notes: tuple[str, ...] = ()

    def series(self) -> Mapping[str, Candidate]:
        """Its queries by series id."""
        signs = {"ready": self.ready, "desired": self.desired, "utilization": self.utilization}
        return {
            self.series_id(self.demand.load.value): self.demand,
            **{self.series_id(role): one for role, one in signs.items() if one is not None},
        }

    def series_id(self, role: str) -> str:
        """Of its demand (a Load), or `ready`, `desired`, `utilization`."""
        return f"{self.name}:{role}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A pool that was seen and is not proposed."""

    target: str
    provider: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is proposed, by name; what is not, by provider and id; what was not seen; what may be meant."""

    proposals: tuple[Proposal, ...]
    passed_over: tuple[PassedOver, ...]
    gaps: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def address(pool: Pool) -> str:
    """A pool among all that were seen: provider and id there."""
    return f"{pool.provider} {pool.id}"


def next_to_try(chances: Iterable[Chances], seen: Sightings) -> list[Candidate]:
    """The queries to try next, each once: of each pool the best demand that was not tried while none will do.

    The signs to learn from are tried once a demand will do. Nothing is left where the list is empty.
    """
    found: dict[str, Candidate] = {}
    for one in chances:
        demand = _best(one, seen)
        if demand is None:
            untried = [entry for entry in one.demands if entry.key not in seen][:1]
        else:
            untried = [entry for entry in one.signs if entry.key not in seen]
        found |= {entry.key: entry for entry in untried}
    return [found[key] for key in sorted(found)]


def _best(chances: Chances, seen: Sightings) -> Candidate | None:
    """The best demand that answers soundly, as far as those before it were tried."""
    for one in chances.demands:
        if one.key not in seen:
            return None
        if not seen[one.key].wrong(positive=True):
            return one
    return None


def propose(
    pools: Sequence[Pool],
    chances: Mapping[str, Chances],
    seen: Sightings,
    *,
    peaks: Mapping[str, Peak] = MappingProxyType({}),
    chosen_namespaces: bool = False,
    gaps: tuple[str, ...] = (),
    hints: tuple[str, ...] = (),
) -> Findings:
    """A proposal for each pool that a metric sizes. `chances` are by address, `peaks` by the key of the query
    of ready units.

    `chosen_namespaces`: the operator named them, so that none counts as the system's.
    """
    called = names(pools)
    proposals, passed = [], []
    for pool in sorted(pools, key=address):
        mine = chances.get(address(pool), Chances())
        demand = _best(mine, seen)
        why = unfit(pool, chosen_namespaces=chosen_namespaces)
        if not why and demand is None:
            why = _no_metric(mine, seen)
        if why or demand is None:
            passed.append(PassedOver(target=pool.id, provider=pool.provider, why=why))
        else:
            signs = _signs(mine, seen)
            peak = None if signs.ready is None else peaks.get(signs.ready.key)
            proposals.append(_proposal(called[address(pool)], pool, demand, signs, peak=peak))
    return Findings(
        proposals=tuple(sorted(proposals, key=lambda one: one.name)),
        passed_over=tuple(passed),
        gaps=gaps,
        hints=hints,
    )


def unfit(pool: Pool, *, chosen_namespaces: bool) -> str:
    """Why a pool is not proposed whatever metrics there are, "" where it may be."""
    namespace = _namespace(pool)
    if namespace and not chosen_namespaces and SYSTEM.fullmatch(namespace):
        return f"{namespace} is a namespace of the system; name it with --namespace to have it proposed"
    if max(pool.desired, pool.ready_units) == 0:
        return "it has no units now, from which its size could be told"
    for obstacle in pool.obstacles:
        if obstacle.code == Guard.OWNED and not set_by_hand(obstacle.why):
            return f"owned: {obstacle.why}"
    return ""


def set_by_hand(why: str) -> tuple[str, ...]:
    """The managers that an obstacle names, where each of them writes only when a person runs it."""
    found = _ADOPT.search(why)
    managers = tuple(name.strip() for name in found[1].split(",")) if found else ()
    low = [name.lower() for name in managers]
    by_hand = all(name.startswith(_BY_HAND) and not name.startswith(_BY_ITSELF) for name in low)
    return managers if by_hand else ()


def _namespace(pool: Pool) -> str:
    kind, _, rest = pool.id.partition("/")
    return rest.partition("/")[0] if kind in {"deployment", "statefulset"} else ""


def _no_metric(chances: Chances, seen: Sightings) -> str:
    if not chances.demands:
        return "no metric found for it"
    tried = "; ".join(
        f"{one.title}: {seen[one.key].wrong(positive=True)}" for one in chances.demands if one.key in seen
    )
    return f"no metric found for it ({tried})" if tried else "no metric found for it"


def _signs(chances: Chances, seen: Sightings) -> Chances:
    """Those of the signs to learn from that answer soundly; none without the units that serve."""
    ready, desired, used = (
        one if one is not None and one.key in seen and not seen[one.key].wrong(positive=True) else None
        for one in (chances.ready, chances.desired, chances.utilization)
    )
    return Chances() if ready is None else Chances(ready=ready, desired=desired, utilization=used)


def _teaches(demand: Candidate) -> bool:
    """Whether how full units are tells what a unit serves of it: what waits in a queue fills none."""
    return demand.load is not Load.QUEUE


def _proposal(name: str, pool: Pool, demand: Candidate, signs: Chances, *, peak: Peak | None) -> Proposal:
    """`peak` is None where it is not known: then what there is now is taken."""
    units, measured = max(pool.desired, pool.ready_units), "so many there are now"
    if peak is not None and peak.units > 0:
        days = "day" if peak.days == 1 else f"{peak.days} days"
        units, measured = peak.units, f"so many were ready in the busiest hours of the last {days}"
    least, most, bounded = bounds(pool, busiest=units)
    return Proposal(
        name=name,
        pool=pool,
        demand=demand,
        units=units,
        measured=measured,
        minimum=least,
        maximum=most,
        bounded=bounded,
        ready=signs.ready,
        desired=signs.desired,
        utilization=signs.utilization if _teaches(demand) else None,
        notes=tuple(_notes(pool)),
    )


def bounds(pool: Pool, *, busiest: int) -> tuple[int, int, str]:
    """Minimum and maximum, and from what they were taken; `busiest` are the units of its busiest hours."""
    size = max(pool.desired, pool.ready_units)
    if pool.lever and pool.maximum < NO_BOUND:
        least = max(1, min(pool.desired, pool.maximum))
        return least, max(least, pool.maximum), f"today's own, by {pool.lever}"
    if pool.maximum < NO_BOUND:
        least = min(max(1, pool.minimum), max(1, pool.maximum))
        return least, max(least, pool.maximum), "those of the group itself"
    least = max(1, -(-size // FEWEST_SHARE))
    top = max(size, busiest)
    most = max(top + 2, top * MOST_TIMES)
    return (
        least,
        most,
        f"half of the {size} of now to {MOST_TIMES} times the {top} of busy hours; set your own",
    )


def _notes(pool: Pool) -> Iterator[str]:
    if pool.lever:
        yield f"what is planned is {pool.lever}, which goes on scaling above it"
    for obstacle in pool.obstacles:
        if obstacle.code == Guard.OWNED:
            who = ", ".join(set_by_hand(obstacle.why))
            fact = obstacle.why.partition(";")[0]
            mend = f"take it out of there, or put `adopt: [{who}]` into providers"
            yield f"{fact}: before Loadline may act, {mend}"
        elif obstacle.code == Guard.SUSPENDED:
            yield f"suspended now: {obstacle.why}"
    if pool.protected:
        yield "protected by its own marks: it never shrinks"


def names(pools: Sequence[Pool]) -> dict[str, str]:
    """A name of the configuration for each pool, by its address: the shortest that no other pool has."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for level in (_short, _id, _whole):
        left = [pool for pool in pools if address(pool) not in found]
        count = Counter(level(pool) for pool in left)
        for pool in left:
            name = level(pool)
            if count[name] == 1 and name not in taken and _NAME.fullmatch(name):
                found[address(pool)] = name
        taken |= set(found.values())
    for pool in pools:
        if address(pool) not in found:
            found[address(pool)] = _written(pool)
    return found


def _short(pool: Pool) -> str:
    return pool.id.partition("/")[2]


def _id(pool: Pool) -> str:
    return pool.id


def _whole(pool: Pool) -> str:
    return f"{pool.provider}/{pool.id}"


def _written(pool: Pool) -> str:
    """A name in plain letters for an id that is none: its beginning, and a digest of the whole."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", pool.id[:200]).strip("-._")[:60] or "pool"
    return f"{plain}-{digest({'provider': pool.provider, 'id': pool.id})[:8]}"
