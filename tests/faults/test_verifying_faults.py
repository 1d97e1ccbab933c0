"""What was done is looked at later: late growths, shrinks that hurt, reverts and their limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from autoscaler import verifying
from autoscaler.store.database import connect
from autoscaler.store.people import SqlPeople
from autoscaler.store.trail import SqlTrail
from autoscaler.store.verdicts import SqlVerdicts
from forecasts.types import Series
from policies.deeds import Verdict
from policies.guards import frozen
from policies.model import Pool, PoolKind, Snapshot
from policies.plan import Action, Change, Guard, Outcome, Reason, Status, kind_of
from policies.policy import Interlocks, Policy, Scope, Signal, SignalKind
from policies.wishes import Wish

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATENCY = Signal(series="latency", kind=SignalKind.SERVICE_LEVEL, above=250.0)
POOL = Pool(
    id="web",
    provider="cloud",
    kind=PoolKind.INSTANCE_GROUP,
    desired=9,
    ready={"a": 9},
    minimum=0,
    maximum=100,
    demands=(),
)


class Desk:
    """A store with what was done to one pool, its latency by the minute, and hands that take things back."""

    def __init__(self, folder):
        engine = connect(str(folder / "state.db"))
        self.app = SimpleNamespace(
            engine=engine,
            trail=SqlTrail(engine),
            people=SqlPeople(engine),
            verdicts=SqlVerdicts(engine),
            policy=Policy(interlocks=Interlocks(signals=(LATENCY,))),
        )
        self.pool, self.after, self.reverted = POOL, 100.0, []
        self.may, self.answers = True, Status.APPLIED

    def do(self, before, after, at=NOW, status=Status.APPLIED):
        """Something that was done to the pool."""
        action = Action(
            kind=kind_of(before, after),
            target="web",
            before=before,
            after=after,
            reason=Reason.LIVE_DEMAND,
            not_before=at,
            expires_at=at + HOUR,
        )
        key = self.app.trail.intend("plan", action, at)
        made = status is Status.APPLIED
        change = Change(target="web", at=at, before=before, after=after) if made else None
        self.app.trail.conclude(key, Outcome(action_id=action.id, status=status, at=at), change)
        self.pool = replace(self.pool, desired=after if made else before)
        return key

    def revert(self, action):
        self.reverted.append((action.before, action.after))
        if self.answers is None:
            return None
        if self.answers is Status.APPLIED:
            self.undo(action)
        told = action.before if self.answers is Status.APPLIED else None
        return Outcome(action_id=action.inverse().id, status=self.answers, at=NOW, observed_after=told)

    def undo(self, action):
        """The deed that takes another back, as the trail keeps it."""
        back = action.inverse()
        key = self.app.trail.intend("undo", back, NOW + HOUR / 4)
        change = Change(target="web", at=NOW + HOUR / 4, before=back.before, after=back.after)
        done = Outcome(action_id=back.id, status=Status.APPLIED, at=change.at)
        self.app.trail.conclude(key, done, change)
        self.pool = replace(self.pool, desired=back.after)

    def look(self, at):
        """Verify at a moment, with the latency of the hour before and the time after."""
        start = NOW - HOUR
        minutes = int((at - start).total_seconds() // 60)
        series = Series(unique_id="latency", start=start, step_s=60, y=self.of_latency(minutes))
        seen = SimpleNamespace(snapshot=Snapshot(taken_at=at, pools=(self.pool,)), series={"latency": series})
        hands = verifying.Hands(may=lambda _action: self.may, revert=self.revert)
        verifying.verify(self.app, seen, at, hands)

    def of_latency(self, minutes):
        """100 ms before, and `self.after` since."""
        y = np.random.default_rng(3).normal(100.0, 3.0, minutes)
        y[60:] += self.after - 100.0
        return y

    def verdict(self, key):
        """The newest verdict, None where nothing was said."""
        said = self.app.verdicts.judged([key])
        return said[-1].verdict if said else None

    def frozen(self, at):
        return [freeze.why for freeze in self.app.people.freezes(at) if freeze.scope is Scope.POOL]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def later(minutes):
    return NOW + timedelta(minutes=minutes)


def test_growth_that_serves_is_confirmed(desk):
    """Waiting until the units serve, confirmed then, and not looked at again."""
    key = desk.do(9, 12)
    desk.look(later(1))
    assert desk.verdict(key) is Verdict.WAITING
    desk.pool = replace(desk.pool, ready={"a": 12})
    desk.look(later(5))
    assert desk.verdict(key) is Verdict.CONFIRMED
    desk.pool = replace(desk.pool, ready={"a": 1})
    desk.look(later(60))
    assert len(desk.app.verdicts.judged([key])) == 2


def test_what_was_done_after_the_look_is_left_for_the_next_one(desk):
    """A snapshot of before a change tells nothing of it."""
    key = desk.do(9, 12, later(5))
    desk.look(later(5))
    assert desk.verdict(key) is None


def test_f44_f57_three_late_growths_in_a_row_freeze_the_pool(desk):
    """Units that never serve (a bad image, a node that does not join): the third time the pool is frozen."""
    for number in range(3):
        assert desk.frozen(later(60 * number)) == []
        key = desk.do(9 + number, 10 + number, later(60 * number))
        desk.look(later(60 * number + 11))
        assert desk.verdict(key) is Verdict.LATE
    (why,) = desk.frozen(later(140))
    assert "3 growths in a row" in why
    assert desk.frozen(later(140 + 24 * 60)) == [], "it ends by itself"
    assert [event.kind for event in desk.app.verdicts.events(pool="web")] == ["frozen"]


def test_growths_still_waited_for_do_not_hide_three_late_ones(desk):
    """The last three that have a final verdict count; one too young to tell is not among them."""
    desk.pool = replace(desk.pool, ready={"a": 5})
    for number in range(3):
        desk.do(9 + number, 10 + number, later(number))
    desk.do(12, 13, later(10))
    desk.look(later(13))
    assert len(desk.frozen(later(13))) == 1


def test_a_growth_that_arrived_between_begins_the_count_anew(desk):
    """Only late growths in a row freeze; what failed before it was begun is none of them (F37, F38)."""
    for number in range(5):
        desk.pool = replace(desk.pool, ready={"a": 99 if number == 2 else 1})
        desk.do(9 + number, 10 + number, later(60 * number))
        desk.do(10 + number, 30, later(60 * number + 1), status=Status.FAILED)
        desk.pool = replace(desk.pool, desired=10 + number)
        desk.look(later(60 * number + 11))
    assert desk.frozen(later(300)) == []


def test_a_shrink_without_harm_is_confirmed_at_the_end_of_its_window(desk):
    """Waiting for an hour, confirmed then; nothing is taken back."""
    key = desk.do(9, 7)
    for minutes in (10, 20, 40):
        desk.look(later(minutes))
        assert desk.verdict(key) is Verdict.WAITING
    desk.look(later(60))
    assert desk.verdict(key) is Verdict.CONFIRMED
    assert (desk.reverted, desk.frozen(later(60))) == ([], [])


def test_a_shrink_that_hurt_is_taken_back_once_and_its_pool_frozen(desk):
    """Worse at the first look: the units come back, the pool is frozen for a day, and nothing repeats."""
    key = desk.do(9, 7)
    desk.after = 180.0
    desk.look(later(14))
    assert desk.reverted == []
    desk.look(later(16))
    assert desk.reverted == [(9, 7)]
    assert desk.verdict(key) is Verdict.REVERTED
    assert "was taken back" in desk.frozen(later(17))[0]
    desk.look(later(40))
    assert len(desk.reverted) == 1


def test_a_revert_that_guards_or_the_provider_refuse_is_tried_again(desk):
    """Where nothing came of it the service is still worse: the next look tries again, and freezes nothing."""
    key = desk.do(9, 7)
    desk.after = 180.0
    for minutes, answer in ((16, None), (17, Status.REFUSED), (18, Status.FAILED)):
        desk.answers = answer
        desk.look(later(minutes))
        assert desk.frozen(later(minutes)) == []
    assert len(desk.reverted) == 3
    kinds = [event.kind for event in desk.app.verdicts.events(pool="web")]
    assert kinds == [verifying.REVERTING], "told once, however often it is tried"
    desk.answers = Status.APPLIED
    desk.look(later(19))
    assert desk.verdict(key) is Verdict.REVERTED


def test_f58_a_crash_after_the_revert_is_no_second_revert(desk):
    """Ended between taking back and saying so: the next look finds it taken back, and freezes the pool."""
    key = desk.do(9, 7)
    desk.after, whole = 180.0, desk.revert

    def killed(action):
        whole(action)
        raise KeyboardInterrupt

    desk.revert = killed
    with pytest.raises(KeyboardInterrupt):
        desk.look(later(16))
    desk.revert = whole
    desk.look(later(17))
    assert desk.verdict(key) is Verdict.REVERTED
    assert len(desk.reverted) == 1
    assert len(desk.frozen(later(17))) == 1


@pytest.mark.parametrize("size", [6, 8, 9, 12])
def test_growth_after_a_refused_revert_is_not_called_our_revert(desk, size):
    """Only a deed of ours that undoes the shrink is a revert; any other move is none, and freezes nothing."""
    key = desk.do(9, 7)
    desk.after, desk.answers = 180.0, None
    desk.look(later(16))
    desk.pool = replace(desk.pool, desired=size)
    desk.look(later(17))
    assert (desk.verdict(key), desk.frozen(later(17))) == (Verdict.WORSE, [])


def test_what_the_program_freezes_may_grow(desk):
    """An automatic freeze holds a shrink and lets growth pass; it comes back so from the store."""
    verifying.freeze_pool(desk.app, "web", "why", NOW)
    freezes = desk.app.people.freezes(NOW)
    assert frozen(Wish(pool=POOL, wanted=12), freezes, NOW).guard is None
    assert frozen(Wish(pool=POOL, wanted=7), freezes, NOW).guard is Guard.FROZEN


def test_after_three_reverts_in_a_day_the_pool_is_only_frozen(desk):
    """The fourth shrink that hurts is not taken back: people are told, and nothing more is done."""
    desk.after = 180.0
    for number in range(4):
        key = desk.do(9 - number, 8 - number)
        desk.look(later(16 + number))
    assert len(desk.reverted) == 3
    assert desk.verdict(key) is Verdict.WORSE
    assert any("after 3 reverts" in why for why in desk.frozen(later(30)))


def test_a_pool_whose_mode_does_not_act_is_only_told_of(desk):
    """A shrink by hand in a pool that is only observed is not taken back; it is told, and shrinks no more."""
    key = desk.do(9, 7)
    desk.after, desk.may = 180.0, False
    desk.look(later(16))
    assert (desk.verdict(key), desk.reverted) == (Verdict.WORSE, [])
    assert len(desk.frozen(later(16))) == 1
    assert [event.kind for event in desk.app.verdicts.events(pool="web")] == ["worse", "frozen"]


@pytest.mark.parametrize(
    "signals", [(), (replace(LATENCY, series="gone"),), (replace(LATENCY, pools=("api",)),)]
)
def test_without_a_service_level_it_is_unknown(desk, signals):
    """No signal of that pool, or one that cannot be read: nobody can tell, and nothing is taken back."""
    desk.app.policy = Policy(interlocks=Interlocks(signals=signals))
    key = desk.do(9, 7)
    desk.after = 180.0
    desk.look(later(61))
    assert (desk.verdict(key), desk.reverted) == (Verdict.UNKNOWN, [])


def test_a_pool_that_someone_moved_since_tells_nothing(desk):
    """After another change the service level is not that of the shrink alone; a late reading is no change."""
    key = desk.do(9, 7)
    desk.pool = replace(desk.pool, desired=9)
    desk.look(later(0.5))
    assert desk.verdict(key) is Verdict.WAITING
    desk.look(later(2))
    assert (desk.verdict(key), desk.reverted) == (Verdict.UNKNOWN, [])


def test_f45_two_controllers_make_ours_yield(desk):
    """Three moves by another hand within an hour: the pool is frozen for an hour, once, and it is told."""
    keys = [(desk.do(9, 12, later(10 * number)), number) for number in range(4)]
    assert len(keys) == 4
    (last,) = [deed for deed in desk.app.trail.pool("web") if deed.key == keys[-1][0]]
    for _ in range(2):
        verifying.watch_fights(desk.app, [(last.action, last.outcome)], later(31))
    (why,) = desk.frozen(later(31))
    assert why.startswith("two controllers: someone else moved it 3 times")
    assert desk.frozen(later(31 + 60)) == []
    assert len(desk.app.verdicts.events(pool="web")) == 1


def test_two_moves_by_another_hand_are_let_pass(desk):
    """People move pools too."""
    for number in range(3):
        desk.do(9, 12, later(10 * number))
    last = desk.app.trail.pool("web")[-1]
    verifying.watch_fights(desk.app, [(last.action, last.outcome)], later(21))
    assert desk.frozen(later(21)) == []
