"""Applying a plan with providers that fail in every way they can: intent first, then act, then outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from autoscaler import apply as applying
from autoscaler.clock import SetClock
from autoscaler.errors import (
    Denied,
    InsufficientCapacity,
    Invalid,
    NotFound,
    Owned,
    PlanRefused,
    Stale,
    StoreError,
    Throttled,
    Unreachable,
)
from forecasts.types import Series
from policies.guards import Ledger
from policies.model import Pool, PoolKind
from policies.outlook import Outlook
from policies.plan import Action, Plan, Reason, Status, kind_of
from policies.planner import permits
from policies.policy import Freeze, Policy, PoolPolicy, Scope, Step

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
FREE = PoolPolicy(
    cool_down_in_s=0,
    cool_down_out_s=0,
    step_in=Step(units=999, share=1.0),
    step_out=Step(units=999, share=1.0),
)


def pool(name, size, **changes):
    """One pool of the provider."""
    made = Pool(
        id=name,
        provider="cloud",
        kind=PoolKind.INSTANCE_GROUP,
        desired=size,
        ready={"a": size},
        minimum=0,
        maximum=100,
        demands=(),
        version="1",
    )
    return replace(made, **changes)


class Trail:
    """Keeps what was written, in order; `broken` cannot write intents."""

    def __init__(self, *, broken=False):
        self.log = []
        self.generations = []
        self.changes_made = []
        self._broken = broken

    def record_plan(self, _plan):
        return True

    def intend(self, _plan_id, action, _at, *, generation=0):
        if self._broken:
            raise StoreError("the disk is full")
        self.generations.append(generation)
        self.log.append(("intent", action.target))
        return f"key-{len(self.log)}-{action.id}"

    def conclude(self, key, outcome, change):
        self.log.append(("outcome", key.split("-")[2], outcome.status))
        if change is not None:
            self.changes_made.append(change)

    def changes(self, _since):
        return tuple(self.changes_made)


class Cloud:
    """A provider of pools: `faults` says what a resize raises, `lost` where it was done nevertheless."""

    def __init__(self, trail, *pools, faults=None, lost=()):
        self.pools = {pool.id: pool for pool in pools}
        self.calls = []
        self._trail, self._faults, self._lost = trail, faults or {}, lost

    def list(self):
        return tuple(self.pools.values()), ()

    def read(self, pool_id):
        if pool_id not in self.pools:
            raise NotFound(f"there is no pool {pool_id}")
        return self.pools[pool_id]

    def resize(self, pool_id, size, *, version, key):
        assert self._trail.log[-1] == ("intent", pool_id), "nothing is asked for before it is written down"
        assert version == self.pools[pool_id].version
        self.calls.append((pool_id, size, key))
        if pool_id in self._lost or pool_id not in self._faults:
            self.pools[pool_id] = replace(self.pools[pool_id], desired=size, version="2")
        if pool_id in self._faults:
            raise self._faults[pool_id]
        return self.pools[pool_id]


def action(name, before, after, version="1"):
    """One change that may be applied for an hour."""
    return Action(
        kind=kind_of(before, after),
        target=name,
        before=before,
        after=after,
        version=version,
        reason=Reason.DEMAND_LOW if after < before else Reason.LIVE_DEMAND,
        not_before=NOW,
        expires_at=NOW + HOUR,
    )


def plan(*actions):
    """A plan of actions that may be applied for an hour."""
    return Plan(
        made_at=NOW,
        expires_at=NOW + HOUR,
        snapshot_digest="",
        policy_digest="",
        forecasts_digest="",
        actions=actions,
    )


def applied(cloud, trail, made, *, at=NOW, policy=None, allowed=lambda _action: True):
    """The outcome of each action, by target, with demand that needs nothing and was just seen."""
    policy = policy or Policy(default=FREE, budgets=())
    ledger = Ledger(tuple(cloud.pools.values()), (), at)

    def permit(wish, pool):
        quiet = Series(unique_id=pool.id, start=at - timedelta(minutes=1), step_s=60, y=np.zeros(1))
        seen = Outlook(pool_id=pool.id, demand=quiet)
        return permits(wish, pool, seen, policy, ledger=ledger, now=at)

    world = applying.World(
        owners=dict.fromkeys(cloud.pools, cloud), trail=trail, clock=SetClock(at), permit=permit
    )
    done = list(applying.apply(made, world, allowed=allowed))
    return {each.target: outcome for each, outcome in done}


def world(*pools, **faults):
    """A trail, and a cloud that looks into it."""
    trail = Trail()
    return trail, Cloud(trail, *pools, **faults)


def test_what_is_applied_is_written_before_and_after():
    """Each action leaves an intent, then the change, then its outcome and the change that was made."""
    trail, cloud = world(pool("a", 4), pool("b", 9))
    done = applied(cloud, trail, plan(action("a", 4, 6), action("b", 9, 8)))
    assert [outcome.status for outcome in done.values()] == [Status.APPLIED] * 2
    assert [outcome.observed_after for outcome in done.values()] == [6, 8]
    assert [entry[0] for entry in trail.log] == ["intent", "outcome"] * 2
    assert [(change.target, change.before, change.after) for change in trail.changes_made] == [
        ("a", 4, 6),
        ("b", 9, 8),
    ]
    assert len({key for _, _, key in cloud.calls}) == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Stale("moved"), Status.STALE),
        (NotFound("gone"), Status.STALE),
        (Invalid("no such size"), Status.REFUSED),
        (Denied("autoscaling:SetDesiredCapacity is missing"), Status.REFUSED),
        (Owned("argocd sets spec.replicas"), Status.REFUSED),
        (Unreachable("no answer"), Status.UNKNOWN),
        (Throttled("slow down"), Status.FAILED),
        (InsufficientCapacity("no such units"), Status.FAILED),
        (ValueError("a bug of the adapter"), Status.UNKNOWN),
    ],
)
def test_each_failure_has_its_outcome(error, status):
    """What a provider raises becomes a status with its words; nothing escapes or counts as changed."""
    trail, cloud = world(pool("a", 4), pool("b", 4), faults={"a": error})
    done = applied(cloud, trail, plan(action("a", 4, 6), action("b", 4, 5)))
    assert done["a"].status is status
    assert str(error) in done["a"].error
    assert done["b"].status is Status.APPLIED
    assert [change.target for change in trail.changes_made] == ["b"]


def test_f40_a_lost_reply_is_in_doubt_and_not_tried_again():
    """A provider that commits and then does not answer leaves `unknown`, neither done nor failed."""
    trail, cloud = world(pool("a", 4), faults={"a": Unreachable("the reply was lost")}, lost=("a",))
    made = plan(action("a", 4, 6))
    assert applied(cloud, trail, made)["a"].status is Status.UNKNOWN
    assert cloud.pools["a"].desired == 6
    assert len(cloud.calls) == 1
    assert trail.changes_made == []
    assert applied(cloud, trail, made)["a"].status is Status.STALE
    assert len(cloud.calls) == 1


@pytest.mark.parametrize(
    "error", [Throttled("slow down"), Unreachable("no answer"), ValueError("a bug of the adapter")]
)
def test_f42_the_first_failed_shrink_stops_the_other_shrinks(error):
    """After a shrink that failed or is in doubt no other pool shrinks; growth goes on."""
    pools = [pool(name, 9) for name in "abcde"]
    trail, cloud = world(*pools, faults={"b": error})
    made = plan(*(action(name, 9, size) for name, size in zip("abcde", (8, 8, 8, 10, 8), strict=True)))
    done = applied(cloud, trail, made)
    assert [done[name].status for name in "acde"] == [
        Status.APPLIED,
        Status.REFUSED,
        Status.APPLIED,
        Status.REFUSED,
    ]
    assert made.actions[1].id in done["c"].error
    assert [call[0] for call in cloud.calls] == ["d", "a", "b"], "growth goes first"


def test_a_refused_or_stale_shrink_stops_nobody():
    """A target that moved is no failure of the cloud: the other shrinks go on."""
    trail, cloud = world(pool("a", 9), pool("b", 9), pool("c", 9), faults={"a": Invalid("no")})
    cloud.pools["b"] = replace(cloud.pools["b"], desired=7, version="5")
    done = applied(cloud, trail, plan(*(action(name, 9, 8) for name in "abc")))
    assert [done[name].status for name in "abc"] == [Status.REFUSED, Status.STALE, Status.APPLIED]


def test_a_failed_growth_stops_nobody():
    """Only a failed shrink stops shrinks."""
    trail, cloud = world(pool("a", 4), pool("b", 9), faults={"a": Throttled("slow down")})
    done = applied(cloud, trail, plan(action("a", 4, 6), action("b", 9, 8)))
    assert done["b"].status is Status.APPLIED


@pytest.mark.parametrize("moved", [{"desired": 5}, {"version": "7"}])
def test_f45_f47_a_target_that_moved_is_left_alone(moved):
    """Another size or another version than planned for: stale, never resized, and both are told."""
    trail, cloud = world(pool("a", 4, **moved))
    done = applied(cloud, trail, plan(action("a", 4, 6)))
    assert done["a"].status is Status.STALE
    assert "moved" in done["a"].error
    assert cloud.calls == []


def test_an_action_without_a_version_needs_the_size_alone():
    """An undo does not know the version: the size decides."""
    trail, cloud = world(pool("a", 4, version="9"))
    assert applied(cloud, trail, plan(action("a", 4, 6, version="")))["a"].status is Status.APPLIED


def test_f70_a_target_of_nobody_is_stale():
    """A target that no provider of the configuration owns is never looked for elsewhere."""
    trail, cloud = world(pool("a", 4))
    setting = applying.World(owners={}, trail=trail, clock=SetClock(NOW), permit=lambda _action, _pool: "")
    ((_, outcome),) = applying.apply(plan(action("a", 4, 6)), setting, allowed=lambda _action: True)
    assert outcome.status is Status.STALE
    assert cloud.calls == []


@pytest.mark.parametrize("scope", list(Scope))
def test_what_is_frozen_now_is_refused(scope):
    """A freeze of all, of the provider or of the pool holds when applying, whatever was planned."""
    name = {Scope.ALL: "", Scope.PROVIDER: "cloud", Scope.POOL: "a"}[scope]
    trail, cloud = world(pool("a", 4))
    policy = Policy(freezes=(Freeze(scope=scope, name=name, why="month end"),))
    done = applied(cloud, trail, plan(action("a", 4, 6)), policy=policy)
    assert done["a"].status is Status.REFUSED
    assert "month end" in done["a"].error
    assert cloud.calls == []


def test_a_protected_pool_is_refused():
    """A pool that was protected since is not touched."""
    trail, cloud = world(pool("a", 4, protected=True))
    assert applied(cloud, trail, plan(action("a", 4, 3)))["a"].status is Status.REFUSED
    assert cloud.calls == []


@pytest.mark.parametrize("late", [HOUR, HOUR * 10])
def test_f73_an_expired_plan_is_refused_before_anything(late):
    """At its expiry a plan is refused whole: no intent, no call."""
    trail, cloud = world(pool("a", 4))
    with pytest.raises(PlanRefused, match="expired"):
        applied(cloud, trail, plan(action("a", 4, 6)), at=NOW + late)
    assert trail.log == []
    assert cloud.calls == []
    before = NOW + HOUR - timedelta(microseconds=1)
    assert applied(cloud, trail, plan(action("a", 4, 6)), at=before)["a"].status is Status.APPLIED


def test_f59_without_a_trail_nothing_is_done():
    """Where the intent cannot be written the provider is never asked."""
    trail = Trail(broken=True)
    cloud = Cloud(trail, pool("a", 4))
    with pytest.raises(StoreError, match="full"):
        applied(cloud, trail, plan(action("a", 4, 6)))
    assert cloud.calls == []


def test_what_is_not_allowed_leaves_no_trace():
    """A pool whose mode does not allow it is passed over: no intent, no outcome, no call."""
    trail, cloud = world(pool("a", 4), pool("b", 4))
    made = plan(action("a", 4, 6), action("b", 4, 6))
    done = applied(cloud, trail, made, allowed=lambda wish: wish.target == "b")
    assert list(done) == ["b"]
    assert [call[0] for call in cloud.calls] == ["b"]
    assert ("intent", "a") not in trail.log


def test_p4_applying_again_changes_nothing():
    """The same plan a second time finds every target moved."""
    trail, cloud = world(pool("a", 4), pool("b", 9))
    made = plan(action("a", 4, 6), action("b", 9, 8))
    applied(cloud, trail, made)
    sizes = {name: each.desired for name, each in cloud.pools.items()}
    again = applied(cloud, trail, made)
    assert {outcome.status for outcome in again.values()} == {Status.STALE}
    assert {name: each.desired for name, each in cloud.pools.items()} == sizes
    assert len(cloud.calls) == 2


def test_a_provider_that_did_not_answer_is_not_a_pool_that_is_gone():
    """Where the provider did not list its pools, an action fails in that provider's words."""
    trail, cloud = world(pool("a", 4))
    setting = applying.World(
        owners={},
        trail=trail,
        clock=SetClock(NOW),
        permit=lambda _action, _pool: "",
        unanswered={"a": "no answer within 20 s"},
    )
    ((_, outcome),) = applying.apply(plan(action("a", 4, 6)), setting, allowed=lambda _action: True)
    assert (outcome.status, "no answer" in outcome.error) == (Status.FAILED, True)
    assert cloud.calls == []


def test_the_guards_are_asked_again_when_applying():
    """Demand that came since, a budget that another plan spent, and a cool-down hold what was planned."""
    trail, cloud = world(pool("a", 40))
    refused = applying.World(
        owners={"a": cloud}, trail=trail, clock=SetClock(NOW), permit=lambda _action, _pool: "COOL_DOWN: soon"
    )
    ((_, outcome),) = applying.apply(plan(action("a", 40, 20)), refused, allowed=lambda _action: True)
    assert (outcome.status, outcome.error) == (Status.REFUSED, "COOL_DOWN: soon")
    assert cloud.calls == []


def test_f31_a_plan_of_the_future_is_refused():
    """A plan that a clock ahead of this one made is refused whole."""
    trail, cloud = world(pool("a", 4))
    with pytest.raises(PlanRefused, match="after now"):
        applied(cloud, trail, plan(action("a", 4, 6)), at=NOW - HOUR)
    assert cloud.calls == []
