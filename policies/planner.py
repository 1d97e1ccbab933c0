"""Propose, merge, guard: a snapshot, the outlook of each pool and a policy become a Plan.

Pure arithmetic on values: the same inputs give the same plan whatever their order. Pools that are sized
alike are sized together, in one call of their scaler.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from policies import scalers
from policies.conditions import NO_CONDITIONS, Conditions
from policies.gate import guard
from policies.guards import Ledger, Wish, judge
from policies.model import SERVED, Gap, Pool, Snapshot, digest
from policies.money import unit_usd
from policies.outlook import Outlook, forecasts_digest, peaks_of, unseen, unsized
from policies.plan import Action, ActionKind, Change, Fact, Guard, Plan, Reason, UsdRange
from policies.policy import Policy, PoolPolicy
from policies.sizing import unspared, with_zone_spare, without_zone_spare


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """The size one proposer wants for a pool, what the newest demand needs, a unit's price, and why.

    `peaks` holds the largest of each level's quantiles over the horizon; empty without a forecast.
    """

    pool: Pool
    outlook: Outlook
    peaks: Sequence[float]
    price: UsdRange | None
    wanted: int
    need: int
    reason: Reason
    because: tuple[Fact, ...]


def plan(
    snapshot: Snapshot,
    outlooks: Mapping[str, Outlook],
    policy: Policy,
    *,
    changes: Sequence[Change] = (),
    only: ActionKind | None = None,
    conditions: Conditions = NO_CONDITIONS,
) -> Plan:
    """The plan for `snapshot.taken_at`. `changes` are those really made; `only` keeps one kind of action."""
    proposals = merge(propose(snapshot, outlooks, policy))
    actions, held = guard(proposals, policy, changes=changes, now=snapshot.taken_at, conditions=conditions)
    if only is not None:
        actions = [action for action in actions if action.kind is only]
        held = [entry for entry in held if entry.action.kind is only]
    gaps = snapshot.gaps + tuple(unsized(snapshot, outlooks))
    return Plan(
        made_at=snapshot.taken_at,
        expires_at=snapshot.taken_at + timedelta(seconds=policy.plan_ttl_s),
        snapshot_digest=snapshot.digest,
        policy_digest=digest(policy),
        forecasts_digest=forecasts_digest(outlooks),
        actions=tuple(actions),
        held=tuple(held),
        gaps=gaps,
        complete=not gaps,
    )


def propose(snapshot: Snapshot, outlooks: Mapping[str, Outlook], policy: Policy) -> list[Proposal]:
    """What each pool's scaler wants: never below what the newest demand needs.

    A pool without an outlook keeps its size, brought within its bounds.
    """
    groups: dict[Any, list[Pool]] = {}
    proposals = []
    for pool in snapshot.pools:
        known = outlooks[pool.id].standing if pool.id in outlooks else None
        if known is not None:
            size = _serving(pool, policy.of(pool.id)) if known.units is None else known.units
            proposals.append(_proposal(pool, size, outlooks[pool.id], policy))
        elif pool.id in outlooks:
            groups.setdefault(_likeness(pool, outlooks[pool.id], policy.of(pool.id)), []).append(pool)
        else:
            size = _serving(pool, policy.of(pool.id))
            proposals.append(_proposal(pool, size, unseen(pool.id, snapshot.taken_at), policy))
    for pools in groups.values():
        proposals += _propose_alike(pools, outlooks, policy, snapshot.taken_at)
    return proposals


def _likeness(pool: Pool, outlook: Outlook, rule: PoolPolicy) -> tuple[object, ...]:
    shape = None if outlook.ahead is None else outlook.ahead.shape
    settings = tuple(sorted(rule.settings.items()))
    size = (outlook.demand.step_s, len(outlook.demand.y), pool.lead_time_s)
    return (rule.scaler, settings, rule.violation, rule.survive_zone_loss, size, shape, outlook.levels)


def _propose_alike(
    pools: Sequence[Pool], outlooks: Mapping[str, Outlook], policy: Policy, now: datetime
) -> list[Proposal]:
    rule = policy.of(pools[0].id)
    scaler = scalers.load(rule.scaler)
    first = outlooks[pools[0].id]
    step = first.demand.step_s
    lookback = len(first.demand.y) if scaler.LOOKBACK_S is None else max(1, -(-scaler.LOOKBACK_S // step))
    demand = np.stack([outlooks[pool.id].learnt.y[-lookback:] for pool in pools])
    bounds = [outlooks[pool.id].censored for pool in pools]
    cut = [np.zeros(demand.shape[1], dtype=bool) if one is None else one[-lookback:] for one in bounds]
    settings = scalers.configure(
        scaler,
        scalers.PoolSettings(
            start=now - timedelta(seconds=step * demand.shape[1]),
            step_s=step,
            lead_steps=max(1, -(-pools[0].lead_time_s // step)),
            minimum=np.array([pool.minimum for pool in pools]),
            levels=first.levels,
            censored=np.stack(cut) if any(one is not None for one in bounds) else None,
        ),
        rule.settings,
        violation=rule.violation,
    )
    ahead = (
        None
        if first.ahead is None
        else np.stack([a for pool in pools if (a := outlooks[pool.id].ahead) is not None])
    )
    running = np.array([float(max(_serving(pool, rule), 1)) for pool in pools])
    wanted = scalers.decide(scaler, demand, ahead, settings, scaler.begin(running, settings)).tolist()
    peaks = peaks_of(ahead, len(pools))
    return [
        _proposal(pool, size, outlooks[pool.id], policy, peak)
        for pool, size, peak in zip(pools, wanted, peaks, strict=True)
    ]


def without_spare(pools: Iterable[Pool], policy: Policy) -> str:
    """The pools to which `survive_zone_loss` adds nothing, in one line for people; "" where there is none."""
    names = [p.id for p in pools if policy.of(p.id).survive_zone_loss and unspared(len(p.ready))]
    return f"survive_zone_loss {unspared(0)}: {', '.join(sorted(names))}" if names else ""


def _serving(pool: Pool, rule: PoolPolicy) -> int:
    """The pool's size without the spare for the loss of a zone: what its scaler compares with demand."""
    return without_zone_spare(pool.desired, len(pool.ready)) if rule.survive_zone_loss else pool.desired


def _proposal(
    pool: Pool, sized: int, outlook: Outlook, policy: Policy, peaks: Sequence[float] = ()
) -> Proposal:
    """The larger of the scaler's size (with declared events) and the live need, with room for a lost zone."""
    rule = policy.of(pool.id)
    live = outlook.live
    floor = 0 if math.isnan(live) else math.ceil(live)
    wish = sized if outlook.multiplier == 1.0 else math.ceil(sized * outlook.multiplier - 1e-9)
    need = max(wish, floor, math.ceil(outlook.least - 1e-9))
    wanted = need
    if rule.survive_zone_loss:
        same = need == _serving(pool, rule)  # 16 units in 3 zones serve 10, as 15 do: then 16 stay
        wanted = pool.desired if same else with_zone_spare(need, len(pool.ready))
    least = "at least, the pool was full" if outlook.full else ""
    facts = [Fact(name="demand now", value=live, unit="units", window=least)] if not math.isnan(live) else []
    if peaks and not math.isnan(peaks[-1]):
        facts.append(
            Fact(
                name=f"{outlook.levels[-1]:.4g} quantile of demand over the lead time",
                value=peaks[-1],
                unit="units",
                source=outlook.model,
                window=f"{pool.lead_time_s} s",
            )
        )
    facts.append(Fact(name="scaler", value=rule.scaler))
    facts += [Fact(name="sets", value=pool.lever)] if pool.lever else ()
    facts += [Fact(name="set by", value=pool.labels[SERVED])] if SERVED in pool.labels else ()
    facts += [
        Fact(name=one.name, value=one.value, unit=one.unit, source=one.source, window=one.why)
        for one in pool.learnt
    ]
    facts += [Fact(name="event", value=event) for event in outlook.events]
    facts += outlook.standing.because if outlook.standing else ()
    facts += [Fact(name="forecast", value=note) for note in outlook.notes]
    if rule.survive_zone_loss and (why := unspared(len(pool.ready))):
        facts.append(Fact(name="survive_zone_loss", value=why))
    if wanted != need:
        facts.append(Fact(name="spare for the loss of a zone", value=wanted - need, unit="units"))
    return Proposal(
        pool=pool,
        outlook=outlook,
        peaks=peaks,
        price=unit_usd(pool),
        wanted=wanted,
        need=floor,
        reason=_reason(pool, outlook, wanted, floor),
        because=tuple(facts),
    )


def _reason(pool: Pool, outlook: Outlook, wanted: int, floor: int) -> Reason:
    if pool.desired < pool.minimum:
        return Reason.BELOW_MINIMUM
    if pool.desired > pool.maximum:
        return Reason.ABOVE_MAXIMUM
    if wanted < pool.desired:
        return Reason.DEMAND_LOW
    if floor >= wanted:
        return Reason.LIVE_DEMAND
    replayed = outlook.standing is not None and outlook.standing.because
    return Reason.OWN_PAST if replayed else Reason.FORECAST_PEAK


def merge(proposals: Iterable[Proposal]) -> list[Proposal]:
    """One proposal a pool, the largest; in the order of pool ids."""
    best: dict[str, Proposal] = {}
    for proposal in proposals:
        other = best.get(proposal.pool.id)
        if other is None or proposal.wanted > other.wanted:
            best[proposal.pool.id] = proposal
    return [best[name] for name in sorted(best)]


def permits(
    action: Action,
    pool: Pool,
    outlook: Outlook | None,
    policy: Policy,
    *,
    ledger: Ledger,
    now: datetime,
    conditions: Conditions = NO_CONDITIONS,
) -> str:
    """Why a planned action may not be done now, "" where every guard still lets all of it pass.

    `pool` is as it was just read. What passes is spent in `ledger`. Taking something back waits for
    no cool-down, recent growth, flap, warm-up or units that are not ready.
    """
    if action.after > max(pool.maximum, pool.desired) or action.after < min(pool.minimum, pool.desired):
        return f"{Guard.MAXIMUM}: {action.after} units lie outside {pool.minimum} to {pool.maximum}"
    outlook = outlook or unseen(pool.id, now)
    if action.reason is Reason.UNDO:
        policy = _eager(policy)
    need = 0 if math.isnan(outlook.live) else math.ceil(outlook.live)
    wish = Wish(pool=pool, wanted=action.after, need=need, refusal=outlook.doubt)
    verdict = judge(wish, policy=policy, ledger=ledger, now=now, conditions=conditions)
    if verdict.guard is not None:
        return f"{verdict.guard}: {verdict.why}"
    ledger.spend(Change(target=pool.id, at=now, before=pool.desired, after=action.after))
    return ""


def undo(
    actions: Sequence[Action],
    snapshot: Snapshot,
    outlooks: Mapping[str, Outlook],
    policy: Policy,
    *,
    changes: Sequence[Change] = (),
    conditions: Conditions = NO_CONDITIONS,
) -> Plan:
    """The plan that takes `actions` back, last first, through the same guards.

    It waits for no cool-down, recent growth, flap, warm-up or units that are not ready.

    A target whose size is no longer what the action left is not touched, and named in a gap.
    """
    now = snapshot.taken_at
    pools = {pool.id: pool for pool in snapshot.pools}
    proposals: dict[str, Proposal] = {}
    gaps = list(snapshot.gaps)
    for action in reversed(actions):
        pool = pools.get(action.target)
        if pool is None or pool.desired != action.after or action.target in proposals:
            seen = "it is gone" if pool is None else f"it is at {pool.desired}, not {action.after}"
            gaps.append(Gap(source=action.target, code="MOVED", why=f"{action.id} is not undone: {seen}"))
            continue
        outlook = outlooks.get(pool.id) or unseen(pool.id, now)
        proposals[pool.id] = Proposal(
            pool=pool,
            outlook=outlook,
            peaks=peaks_of(None if outlook.ahead is None else outlook.ahead[None], 1)[0],
            price=unit_usd(pool),
            wanted=action.before,
            need=0 if math.isnan(outlook.live) else math.ceil(outlook.live),
            reason=Reason.UNDO,
            because=(Fact(name="undoes", value=action.id),),
        )
    acts, held = guard(
        list(proposals.values()), _eager(policy), changes=changes, now=now, conditions=conditions
    )
    return Plan(
        made_at=now,
        expires_at=now + timedelta(seconds=policy.plan_ttl_s),
        snapshot_digest=snapshot.digest,
        policy_digest=digest(policy),
        forecasts_digest=forecasts_digest(outlooks),
        actions=tuple(acts),
        held=tuple(held),
        gaps=tuple(gaps),
        complete=not gaps,
    )


def _eager(policy: Policy) -> Policy:
    """The policy under which something is taken back."""
    return replace(
        policy,
        default=_without_cool_down(policy.default),
        pools={pool_id: _without_cool_down(rule) for pool_id, rule in policy.pools.items()},
        flap=None,
        interlocks=replace(policy.interlocks, warm_up_s=0, recent_growth_s=0, unready_share=1.0),
    )


def _without_cool_down(rule: PoolPolicy) -> PoolPolicy:
    return replace(rule, cool_down_in_s=0, cool_down_out_s=0)
