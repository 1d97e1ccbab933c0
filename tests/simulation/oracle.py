"""Judges what really happened in the clouds, by the properties P1 to P10 alone: it imports no guard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from policies.model import Pool
from policies.policy import Budget, Policy, Scope
from tests.simulation.cloud import Truth


class Violation(NamedTuple):
    """A property that did not hold: when (true seconds), which, and what happened."""

    at: float
    law: str
    what: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.law} at {self.at:.0f} s: {self.what}"


@dataclass(slots=True)
class View:
    """What a node saw at a look, and the truth at that moment.

    `live` is the newest demand in units by pool, None where it was not known; `sizes` the true ones, after
    `known` changes of ours, or the larger ones that late readings showed: a share is of what is shown.
    """

    at: float
    known: int
    node: str
    live: Mapping[str, float | None]
    sizes: Mapping[str, int]


@dataclass(slots=True)
class Oracle:
    """Every change of ours as it happens, against every law about changes."""

    policy: Policy
    pools: Mapping[str, Pool]
    violations: list[Violation] = field(default_factory=list)
    ours: list[Truth] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    steps: list[tuple[float, float]] = field(default_factory=list)  # of the wall clock: when, and how far
    frozen: list[tuple[str, float, float]] = field(default_factory=list)  # pool ("": all), from, until
    marked: dict[str, float] = field(default_factory=dict)  # pools that say they are frozen, since when
    acted: dict[str, int] = field(default_factory=dict)  # by pool: the generation that changed it last

    def blame(self, at: float, law: str, what: str) -> None:
        """A law was broken."""
        self.violations.append(Violation(at, law, what))

    def asks(self, pool: str, node: str, at: float, *, marks: bool) -> None:
        """A node is about to call: nothing is done within a freeze that is a second old (F67)."""
        for name, since, until in self.frozen:
            if name in {"", pool} and since + 1 < at < until and not self._moved(since):
                self.blame(at, "F67", f"{node} calls for {pool}, frozen since {since:.0f} s")
        if marks and self.marked.get(pool, at) + 1 < at:
            self.blame(at, "F67", f"{node} calls for {pool}, which is marked as frozen")

    def saw(self, truth: Truth, view: View, intended: tuple[int, int] | None, *, generation: int = 0) -> None:
        """A change of ours: `intended` is the (before, after) of its intent, None where there is none."""
        told = f"{truth.node} took {truth.pool} from {truth.before} to {truth.after} ({truth.key})"
        pool = self.pools[truth.pool]
        if not pool.minimum <= truth.after <= pool.maximum:
            self.blame(truth.at, "P1", f"{told}, outside {pool.minimum} to {pool.maximum}")
        if truth.key in self.keys:
            self.blame(truth.at, "P5", f"{told}, and did so before")
        if intended is None:
            self.blame(truth.at, "P5", f"{told} without an intent")
        elif truth.before != intended[0] or not _between(truth.after, intended):
            self.blame(truth.at, "P5", f"{told}, but meant {intended[0]} to {intended[1]}")
        if generation < self.acted.get(truth.pool, 0):
            self.blame(truth.at, "P6", f"{told} by generation {generation}, after {self.acted[truth.pool]}")
        self.acted[truth.pool] = generation
        self.keys.add(truth.key)
        self.ours.append(truth)
        if truth.after < truth.before:
            self._shrunk(truth, view, told)

    def _shrunk(self, truth: Truth, view: View, told: str) -> None:
        live = view.live.get(truth.pool)
        if live is None:
            self.blame(truth.at, "P3", f"{told} while its demand was not known")
        elif truth.after < min(truth.before, math.ceil(live)):
            self.blame(truth.at, "P10", f"{told}, below the {live:.1f} units that demand needed")
        for budget in self.policy.budgets:
            self._within(budget, truth, view, told)

    def _within(self, budget: Budget, truth: Truth, view: View, told: str) -> None:
        """Every window of the budget that ends now, whatever change of ours it begins with."""
        members = self._members(budget.scope, truth.pool)
        since = self._net(members, view.known)
        size = sum(view.sizes[name] for name in members) + since
        gone = 0
        for change in reversed(self.ours):
            if change.at <= truth.at - budget.window_s + self._moved(truth.at - budget.window_s):
                break  # a window is as long as the wall clock says: by no more than it was moved
            if change.pool not in members:
                continue
            size -= change.after - change.before
            gone += max(0, change.before - change.after)
            limit = max(budget.step.units, int(budget.step.share * size + 1e-9))
            if gone > limit:
                window = f"{gone} units in {truth.at - change.at:.0f} s of {budget.window_s}"
                self.blame(truth.at, "P2", f"{told}: {window}, {limit} of {size} may go ({budget.scope})")
                return

    def _members(self, scope: Scope, name: str) -> frozenset[str]:
        if scope is Scope.POOL:
            return frozenset({name})
        provider = self.pools[name].provider
        everywhere = scope is Scope.ALL
        return frozenset(n for n, pool in self.pools.items() if everywhere or pool.provider == provider)

    def _moved(self, since: float) -> float:
        return sum(abs(seconds) for at, seconds in self.steps if at > since)

    def _net(self, members: frozenset[str], known: int) -> int:
        """What we changed after a look."""
        return sum(change.after - change.before for change in self.ours[known:] if change.pool in members)


def _between(size: int, ends: Sequence[int]) -> bool:
    return min(ends) <= size <= max(ends)
