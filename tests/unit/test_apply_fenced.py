"""Applying with a lease, freezes, a second look, rehearsals and approvals: asked right before each call."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import apply as applying
from autoscaler.clock import SetClock
from autoscaler.errors import Denied, Fenced, StoreError, Unreachable
from autoscaler.ports import FREEZE
from policies.plan import Guard, Held, Status
from policies.policy import Freeze, Scope
from tests.unit.test_apply import NOW, Cloud, Trail, action, plan, pool

ALL = Freeze(scope=Scope.ALL, why="stop everything")


class Lease:
    """A lease that is held until it is `lost`, and may then be held anew by a larger generation."""

    def __init__(self, generation=7):
        self.generation, self.lost = generation, False

    def acquire(self):
        raise AssertionError("a plan never begins another holding")

    def keep(self):
        return not self.lost

    def check(self):
        if self.lost:
            raise Fenced("another one leads")
        return self.generation

    def release(self):
        self.lost = True


class Watched(Cloud):
    """A cloud that tells of each reading and each resize before it answers, and can rehearse or not."""

    def __init__(self, trail, *pools, reading=None, resizing=None, rehearses=True, **faults):
        super().__init__(trail, *pools, **faults)
        self._reading, self._resizing, self._rehearses = reading, resizing, rehearses
        self.rehearsed = []

    def read(self, pool_id):
        if self._reading is not None:
            self._reading(pool_id)
        return super().read(pool_id)

    def resize(self, pool_id, size, *, version, key):
        if self._resizing is not None:
            self._resizing(pool_id)
        return super().resize(pool_id, size, version=version, key=key)

    def rehearse(self, pool_id, size, *, version):
        self.rehearsed.append((pool_id, size, version))
        return self._rehearses


def run(cloud, trail, made, *, allowed=lambda _action: True, rehearsed=lambda _action: False, **more):
    """The outcome of each action by target, and the clock by which it was done."""
    clock = more.pop("clock", None) or SetClock(NOW)
    world = applying.World(
        owners=dict.fromkeys(cloud.pools, cloud),
        trail=trail,
        clock=clock,
        permit=more.pop("permit", lambda _action, _pool: ""),
        **more,
    )
    done = applying.apply(made, world, allowed=allowed, rehearsed=rehearsed)
    return {each.target: outcome for each, outcome in done}


def pools(names="abc", size=9):
    """Some pools of one size."""
    return [pool(name, size) for name in names]


def test_the_generation_of_the_leader_is_in_every_intent():
    """Each intent names the generation that it was done under, 0 where nobody leads."""
    trail = Trail()
    run(Cloud(trail, *pools("ab")), trail, plan(action("a", 9, 12), action("b", 9, 8)), lease=Lease(7))
    assert trail.generations == [7, 7]
    trail = Trail()
    run(Cloud(trail, *pools("a")), trail, plan(action("a", 9, 12)))
    assert trail.generations == [0]


def test_p5_without_the_lease_nothing_is_written_or_asked():
    """Who does not lead leaves no intent and calls nobody."""
    trail, lease = Trail(), Lease()
    lease.lost = True
    cloud = Cloud(trail, *pools("a"))
    done = run(cloud, trail, plan(action("a", 9, 12)), lease=lease)
    assert done["a"].status is Status.REFUSED
    assert done["a"].error.startswith(f"{Guard.LEASE}: another one leads")
    assert (trail.log, cloud.calls) == ([], [])


def test_f61_a_lease_lost_after_the_reading_stops_before_the_call():
    """The lease is asked between the reading and the call; what is left of the plan is not tried."""
    trail, lease = Trail(), Lease()

    def hang(pool_id):
        lease.lost = pool_id == "b"

    cloud = Watched(trail, *pools(), reading=hang)
    done = run(cloud, trail, plan(*(action(name, 9, 12) for name in "abc")), lease=lease)
    assert [done[name].status for name in "abc"] == [Status.APPLIED, Status.REFUSED, Status.REFUSED]
    assert all(Guard.LEASE in done[name].error for name in "bc")
    assert [call[0] for call in cloud.calls] == ["a"]
    assert trail.log[-1] == ("outcome", action("b", 9, 12).id, Status.REFUSED)


def test_f62_a_lease_held_anew_does_not_carry_an_old_plan_on():
    """After a partition healed, the queued calls of the older generation are refused."""
    trail, lease = Trail(), Lease(7)

    def partition(pool_id):
        if pool_id == "a":
            lease.generation = 9

    cloud = Watched(trail, *pools("ab"), resizing=partition)
    done = run(cloud, trail, plan(action("a", 9, 12), action("b", 9, 12)), lease=lease)
    assert [done[name].status for name in "ab"] == [Status.APPLIED, Status.REFUSED]
    assert "generation 7" in done["b"].error
    assert [call[0] for call in cloud.calls] == ["a"]


def test_f67_a_freeze_in_mid_plan_stops_before_the_next_call():
    """A freeze that begins during one call holds the next one, growth too; lifting it lets it go again."""
    trail, freezes = Trail(), []
    cloud = Watched(trail, *pools(), resizing=lambda pool_id: freezes.append(ALL) if pool_id == "a" else None)
    done = run(
        cloud, trail, plan(*(action(name, 9, 12) for name in "abc")), freezes=lambda _labels: tuple(freezes)
    )
    assert [done[name].status for name in "abc"] == [Status.APPLIED, Status.REFUSED, Status.REFUSED]
    assert done["b"].error == f"{Guard.FROZEN}: stop everything"
    assert [call[0] for call in cloud.calls] == ["a"]


def test_f67_a_freeze_within_the_reading_is_seen():
    """Freezes are asked after the reading: what begins while a slow provider is read counts."""
    trail, freezes = Trail(), []
    cloud = Watched(trail, *pools("a"), reading=lambda _pool_id: freezes.append(ALL))
    done = run(cloud, trail, plan(action("a", 9, 12)), freezes=lambda _labels: tuple(freezes))
    assert (done["a"].status, cloud.calls) == (Status.REFUSED, [])


def test_the_labels_just_read_are_looked_at_for_freezes():
    """Whoever tells what is frozen is given the labels of the object as they are at that moment."""
    trail, asked = Trail(), []
    cloud = Cloud(trail, pool("a", 9, labels={FREEZE: "migration"}))

    def freezes(labels):
        asked.append(labels)
        return tuple(Freeze(scope=Scope.POOL, name=name, why=its[FREEZE]) for name, its in labels.items())

    done = run(cloud, trail, plan(action("a", 9, 12)), freezes=freezes)
    assert (done["a"].status, done["a"].error) == (Status.REFUSED, f"{Guard.FROZEN}: migration")
    assert asked == [{"a": {FREEZE: "migration"}}]


def test_freezes_that_cannot_be_read_let_nothing_through():
    """Where the store does not tell what is frozen, no provider is asked."""
    trail = Trail()
    cloud = Cloud(trail, *pools("a"))

    def unreadable(_labels):
        raise StoreError("the disk is gone")

    with pytest.raises(StoreError):
        run(cloud, trail, plan(action("a", 9, 12)), freezes=unreadable)
    assert cloud.calls == []


def test_what_removes_waits_and_growth_does_not():
    """Growth is done at the plan's moment, a shrink only when the second look has confirmed it."""
    trail, clock = Trail(), SetClock(NOW)
    cloud = Cloud(trail, *pools("ab"))
    made = plan(action("a", 9, 8), action("b", 9, 12))
    done = run(cloud, trail, made, clock=clock, replan=lambda: made, revalidate_s=15)
    assert done["b"].at == NOW
    assert done["a"].at == NOW + timedelta(seconds=15)
    assert [outcome.status for outcome in done.values()] == [Status.APPLIED] * 2


def test_without_a_shrink_nobody_waits():
    """A plan of growth alone is not planned again."""
    trail, clock = Trail(), SetClock(NOW)
    run(Cloud(trail, *pools("a")), trail, plan(action("a", 9, 12)), clock=clock, replan=pytest.fail)
    assert clock.now() == NOW


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (plan(), "removes nothing"),
        (plan(action("a", 9, 8)), "keeps 8 units, not 7"),
        (plan(action("a", 9, 12)), "removes nothing"),
        (
            replace(plan(), held=(Held(action=action("a", 9, 7), guard=Guard.UNREADY, why="half boots"),)),
            "UNREADY holds it: half boots",
        ),
    ],
)
def test_a_shrink_that_the_second_plan_does_not_want_stays_undone(second, why):
    """The second plan must remove at least as much, else the shrink is refused, and the trail says why."""
    trail = Trail()
    cloud = Cloud(trail, *pools("a"))
    done = run(cloud, trail, plan(action("a", 9, 7)), replan=lambda: second)
    assert done["a"].status is Status.REFUSED
    assert done["a"].error.startswith(f"{Guard.NOT_CONFIRMED}: ")
    assert why in done["a"].error
    assert cloud.calls == []
    assert trail.log[-1] == ("outcome", action("a", 9, 7).id, Status.REFUSED)


def test_a_second_plan_that_removes_more_confirms_what_the_first_removes():
    """Never more is removed than the first plan said."""
    trail = Trail()
    cloud = Cloud(trail, *pools("a"))
    done = run(cloud, trail, plan(action("a", 9, 7)), replan=lambda: plan(action("a", 9, 5)))
    assert (done["a"].status, cloud.pools["a"].desired) == (Status.APPLIED, 7)


def test_f05_a_second_look_that_fails_removes_nothing():
    """Where the world cannot be seen again, no shrink goes; growth went already."""
    trail = Trail()
    cloud = Cloud(trail, *pools("ab"))

    def blind():
        raise Unreachable("no metrics")

    done = run(cloud, trail, plan(action("a", 9, 7), action("b", 9, 12)), replan=blind)
    assert (done["a"].status, done["b"].status) == (Status.REFUSED, Status.APPLIED)
    assert "no metrics" in done["a"].error


@pytest.mark.parametrize("after_s", [1, 7, 15])
def test_f67_a_freeze_within_the_wait_is_noticed_within_a_second(after_s):
    """The wait ends at once, and nothing is planned again or removed."""
    trail, clock = Trail(), SetClock(NOW)
    cloud = Cloud(trail, *pools("a"))
    done = run(
        cloud,
        trail,
        plan(action("a", 9, 7)),
        clock=clock,
        replan=pytest.fail,
        freezes=lambda _labels: (ALL,) if clock.monotonic() >= after_s else (),
    )
    assert done["a"].error == f"{Guard.FROZEN}: stop everything"
    assert after_s <= clock.monotonic() <= after_s + 1
    assert cloud.calls == []


def test_a_lease_lost_within_the_wait_removes_nothing():
    """Who was overtaken while waiting removes nothing and writes nothing more."""
    trail, lease = Trail(), Lease()
    cloud = Cloud(trail, *pools("ab"))

    class Stopped(SetClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            lease.lost = True

    made = plan(action("a", 9, 7), action("b", 9, 12))
    done = run(cloud, trail, made, lease=lease, clock=Stopped(NOW), replan=pytest.fail)
    assert (done["a"].status, done["b"].status) == (Status.REFUSED, Status.APPLIED)
    assert Guard.LEASE in done["a"].error
    assert [entry[0] for entry in trail.log] == ["intent", "outcome"]


def test_a_rehearsal_asks_and_changes_nothing():
    """A pool in rehearsal is read, judged and rehearsed; no resize, no change, and the trail has it."""
    trail = Trail()
    cloud = Watched(trail, *pools("ab"))
    made = plan(action("a", 9, 12), action("b", 9, 7))
    done = run(cloud, trail, made, allowed=lambda _action: False, rehearsed=lambda _action: True)
    assert [outcome.status for outcome in done.values()] == [Status.REHEARSED] * 2
    assert (cloud.rehearsed, cloud.calls) == ([("a", 12, "1"), ("b", 7, "1")], [])
    assert trail.changes_made == []
    assert trail.log[-1] == ("outcome", made.actions[1].id, Status.REHEARSED)


def test_a_provider_that_cannot_rehearse_says_so():
    """Then only the guards were asked, and the outcome tells it."""
    trail = Trail()
    cloud = Watched(trail, *pools("a"), rehearses=False)
    done = run(cloud, trail, plan(action("a", 9, 12)), allowed=lambda _a: False, rehearsed=lambda _a: True)
    assert "cannot rehearse" in done["a"].error


def test_a_rehearsal_that_guards_refuse_is_refused():
    """What would not be let is not called rehearsed."""
    trail = Trail()
    cloud = Watched(trail, *pools("a"))
    done = run(
        cloud,
        trail,
        plan(action("a", 9, 12)),
        allowed=lambda _a: False,
        rehearsed=lambda _a: True,
        permit=lambda _action, _pool: "COOL_DOWN: soon",
    )
    assert (done["a"].status, cloud.rehearsed) == (Status.REFUSED, [])


def test_f42_a_part_is_told_as_a_part():
    """Where a part was done the outcome is partial, and the change is what was really made."""
    trail = Trail()
    cloud = Cloud(trail, *pools("ab"))
    whole = cloud.resize

    def partly(pool_id, size, *, version, key):
        return whole(pool_id, 12 if pool_id == "a" else size, version=version, key=key)

    cloud.resize = partly
    done = run(cloud, trail, plan(action("a", 9, 20), action("b", 9, 8)))
    assert (done["a"].status, done["a"].observed_after) == (Status.PARTIAL, 12)
    assert done["a"].error == "3 of 11 units"
    assert [(change.before, change.after) for change in trail.changes_made] == [(9, 12), (9, 8)]


@pytest.mark.parametrize("answered", [9, 30, 2])
def test_f43_an_answer_with_another_size_is_in_doubt(answered):
    """A provider that took the call and shows another size is asked later; no change is counted as made."""
    trail = Trail()
    cloud = Cloud(trail, *pools("a"))
    whole = cloud.resize

    def stale(pool_id, size, *, version, key):
        return replace(whole(pool_id, size, version=version, key=key), desired=answered)

    cloud.resize = stale
    done = run(cloud, trail, plan(action("a", 9, 12)))
    assert (done["a"].status, trail.changes_made) == (Status.UNKNOWN, [])


def test_a_reading_that_fails_is_no_doubt():
    """Where the pool could not even be read nothing can have been done: failed, not unknown."""
    trail = Trail()

    def unreachable(_pool_id):
        raise Unreachable("no answer")

    done = run(Watched(trail, *pools("a"), reading=unreachable), trail, plan(action("a", 9, 12)))
    assert done["a"].status is Status.FAILED


def test_f48_a_missing_right_in_mid_plan_stops_what_removes():
    """After Denied nothing more is removed, and the outcome names the right; growth is still tried."""
    trail = Trail()
    cloud = Cloud(trail, *pools(), faults={"a": Denied("autoscaling:SetDesiredCapacity is missing")})
    done = run(cloud, trail, plan(action("a", 9, 12), action("b", 9, 12), action("c", 9, 7)))
    assert [done[name].status for name in "abc"] == [Status.REFUSED, Status.APPLIED, Status.REFUSED]
    assert "autoscaling:SetDesiredCapacity" in done["a"].error
    assert [call[0] for call in cloud.calls] == ["a", "b"]


def test_f71_an_approval_is_taken_with_the_intent_and_once():
    """The approval is used by the key of the intent; where it is gone already, nothing is called."""
    trail, words = Trail(), []
    cloud = Cloud(trail, *pools("ab"))

    def approval(wish, key):
        words.append((wish.target, key))
        return wish.target == "a"

    done = run(cloud, trail, plan(action("a", 9, 12), action("b", 9, 12)), approval=approval)
    assert [done[name].status for name in "ab"] == [Status.APPLIED, Status.REFUSED]
    assert Guard.APPROVAL in done["b"].error
    assert words[0][1] == cloud.calls[0][2]
    assert [call[0] for call in cloud.calls] == ["a"]


def test_f64_an_end_in_mid_call_leaves_the_intent_in_doubt():
    """A process that is ended within a call has written the intent and nothing after it."""
    trail = Trail()

    def ended(_pool_id):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Watched(trail, *pools("a"), resizing=ended), trail, plan(action("a", 9, 12)))
    assert trail.log == [("intent", "a")]


def test_a_failed_rehearsal_stops_no_shrink():
    """What was only asked and refused says nothing against the others."""
    trail = Trail()
    cloud = Cloud(trail, *pools("ab"))

    def rehearse(pool_id, size, *, version):
        raise Denied(f"no right to ask for {size} of {pool_id} at {version}")

    cloud.rehearse = rehearse
    made = plan(*(action(name, 9, 8) for name in "ab"))
    done = run(cloud, trail, made, allowed=lambda a: a.target == "b", rehearsed=lambda a: a.target == "a")
    assert done["a"].status is Status.REFUSED
    assert done["a"].error.startswith("DENIED: no right")
    assert done["b"].status is Status.APPLIED


def test_an_approval_is_used_only_where_the_call_is_made():
    """What fails before the provider is asked to change anything leaves the approval as it was."""
    used, trail = [], Trail()
    cloud = Cloud(trail, *pools("a"))
    made = plan(action("a", 9, 10))

    def approval(one, _key):
        used.append(one.id)
        return True

    done = run(cloud, trail, made, approval=approval, permit=lambda _action, _pool: "STEP: no")
    assert (done["a"].status, used) == (Status.REFUSED, [])
    run(cloud, trail, made, approval=approval)
    assert used == [made.actions[0].id]
