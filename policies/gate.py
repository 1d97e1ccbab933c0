"""The gate of a plan: proposals through the guards, one after the other, growth first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies import money
from policies.conditions import NO_CONDITIONS, Conditions
from policies.guards import Ledger, Verdict, Wish, judge
from policies.model import Pool
from policies.modes import permitted
from policies.plan import Action, Change, Guard, Held, UsdRange, kind_of
from policies.policy import Mode, Policy
from policies.sizing import confidence

if TYPE_CHECKING:
    from policies.planner import Proposal


def guard(
    proposals: Sequence[Proposal],
    policy: Policy,
    *,
    changes: Sequence[Change],
    now: datetime,
    conditions: Conditions = NO_CONDITIONS,
) -> tuple[list[Action], list[Held]]:
    """Actions that pass, growth first, and what is held; shared budgets go to the largest saving first.

    Of growth, and of shrinks, what its mode lets act now goes before what is only looked at: a pool that
    observes takes nothing from one that acts.
    """
    ledger = Ledger([proposal.pool for proposal in proposals], changes, now)
    gate = _Gate(policy=policy, ledger=ledger, now=now, conditions=conditions)
    actions: list[Action] = []
    held: list[Held] = []
    acting = {one.pool.id for one in proposals if gate.acts(one)}
    for proposal in sorted(proposals, key=lambda one: _precedence(one, acting)):
        pool = proposal.pool
        goal = _goal(proposal)
        wanted = max(goal, proposal.wanted)
        size, rests = gate.let(proposal, goal)
        if size != pool.desired:
            actions.append(gate.action(proposal, pool.desired, size))
        gate.count(pool, size)
        held += rests
        if wanted > goal:
            rest = gate.action(proposal, goal, wanted)
            held.append(Held(action=rest, guard=Guard.MAXIMUM, why=f"the maximum is {pool.maximum}"))
    return actions, held


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """The guards of one plan, with what it has granted so far in `ledger`."""

    policy: Policy
    ledger: Ledger
    now: datetime
    conditions: Conditions

    def let(self, proposal: Proposal, goal: int) -> tuple[int, list[Held]]:
        """How far a pool may go towards its goal, and what is held of it, one after the other."""
        if goal == proposal.pool.desired:
            return goal, []
        wish = Wish(pool=proposal.pool, wanted=goal, need=proposal.need, refusal=proposal.outlook.doubt)
        verdict = self._judge(wish, self.policy)
        size, held = verdict.size, []
        if verdict.guard is Guard.FLEET_SHARE:  # what an approval would let pass is an action of its own
            beyond = self._judge(wish, replace(self.policy, fleet_share=1.0))
            rest = self.action(proposal, size, beyond.size)
            held.append(Held(action=rest, guard=verdict.guard, until=verdict.until, why=verdict.why))
            verdict = beyond
        if verdict.guard is not None:
            rest = self.action(proposal, verdict.size, goal)
            held.append(Held(action=rest, guard=verdict.guard, until=verdict.until, why=verdict.why))
        return size, held

    def acts(self, proposal: Proposal) -> bool:
        """Whether its mode lets a proposal act now, with the size that it has where no other goes before."""
        pool, size = proposal.pool, _goal(proposal)
        rule = self.policy.of(pool.id)
        if size != pool.desired and Mode.APPROVE in {rule.mode_in, rule.mode_out}:
            size, _ = self.let(proposal, size)  # an approval is of one size
        if size == pool.desired:
            return False
        action = _action(proposal, pool.desired, size, self.now, ttl_s=self.policy.plan_ttl_s)
        return permitted(action, policy=self.policy, conditions=self.conditions, now=self.now).acts

    def _judge(self, wish: Wish, policy: Policy) -> Verdict:
        return judge(wish, policy=policy, ledger=self.ledger, now=self.now, conditions=self.conditions)

    def action(self, proposal: Proposal, before: int, after: int) -> Action:
        """The change of a pool by so much, and what it does to the budgets of money."""
        made = _action(proposal, before, after, self.now, ttl_s=self.policy.plan_ttl_s)
        limits = self.policy.money if after > before else ()
        told = tuple(money.facts(proposal.pool, after - before, limits, self.ledger, self.now))
        return replace(made, because=made.because + told) if told else made

    def count(self, pool: Pool, size: int) -> None:
        """Count what was granted. Growth takes nothing from a budget of units, and gives nothing to it."""
        change = Change(target=pool.id, at=self.now, before=pool.desired, after=size)
        if size < pool.desired:
            self.ledger.spend(change)
        elif size > pool.desired and self.policy.money:
            self.ledger.pay(change, self.now)


def _goal(proposal: Proposal) -> int:
    """The wanted size within the pool's bounds."""
    return min(max(proposal.wanted, proposal.pool.minimum), proposal.pool.maximum)


def _precedence(proposal: Proposal, acting: Collection[str]) -> tuple[bool, bool, float, str]:
    pool = proposal.pool
    goal = _goal(proposal)
    shrinks = goal < pool.desired
    saving = (pool.desired - goal) * (proposal.price.mid if proposal.price else 0.0)
    return (shrinks, pool.id not in acting, -saving if shrinks else 0.0, pool.id)


def _action(proposal: Proposal, before: int, after: int, now: datetime, *, ttl_s: int) -> Action:
    pool, outlook, price = proposal.pool, proposal.outlook, proposal.price
    delta = after - before
    usd = None
    if price is not None:
        usd = UsdRange(delta * price.low, delta * price.mid, delta * price.high)
        usd = usd if delta > 0 else UsdRange(usd.high, usd.mid, usd.low)
    sure = confidence(after, proposal.peaks, outlook.levels) if proposal.peaks else None
    return Action(
        kind=kind_of(before, after),
        target=pool.id,
        before=before,
        after=after,
        version=pool.version,
        reason=proposal.reason,
        because=proposal.because,
        hourly_delta_usd=usd,
        billable=pool.billable,
        confidence=sure,
        disruption=max(0, -delta),
        not_before=now,
        expires_at=now + timedelta(seconds=ttl_s),
    )
