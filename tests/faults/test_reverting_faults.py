"""Shrinks that follow one another, reverts in part or in doubt, and growth before a revert."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import event

from autoscaler import settling, verifying
from policies.deeds import Verdict
from policies.plan import Change, Outcome, Status
from tests.faults.test_verifying_faults import Desk, later


class Halting(Desk):
    """A desk whose reverts bring back `part` units only, or leave it in doubt whether they did."""

    part = 1

    def revert(self, action):
        """As the answers say; the pool moves so far."""
        self.reverted.append((action.before, action.after))
        if self.answers is None:
            return None
        back, at = action.inverse(), later(15) + timedelta(minutes=len(self.reverted))
        self.key = self.app.trail.intend("undo", back, at)
        if self.answers is Status.UNKNOWN:
            outcome = Outcome(action_id=back.id, status=Status.UNKNOWN, at=at)
            self.app.trail.conclude(self.key, outcome, None)
            return outcome
        size = back.after if self.answers is Status.APPLIED else back.before + self.part
        return self.told(back, size, at)

    def told(self, back, size, at):
        """The deed as the trail keeps it, of which the pool has that size."""
        status = Status.APPLIED if size == back.after else Status.PARTIAL
        outcome = Outcome(action_id=back.id, status=status, at=at, observed_after=size)
        change = Change(target="web", at=at, before=back.before, after=size)
        self.app.trail.conclude(self.key, outcome, change)
        self.pool = replace(self.pool, desired=size)
        return outcome

    def settle(self, size, at):
        """What became of the revert in doubt: the pool has that size."""
        (deed,) = self.app.trail.doubtful()
        if size == deed.action.before:
            self.app.trail.conclude(
                deed.key, Outcome(action_id=deed.action.id, status=Status.FAILED, at=at), None
            )
        else:
            self.told(deed.action, size, at)

    def kinds(self):
        """The kinds of all that happened to the pool."""
        return [one.kind for one in self.app.verdicts.events(pool="web")]


@pytest.fixture
def desk(tmp_path):
    return Halting(tmp_path)


def ramp(desk, *minutes):
    """A unit less at each of the minutes; the keys."""
    return [desk.do(9 - n, 8 - n, later(minute)) for n, minute in enumerate(minutes)]


def stepping(*levels):
    """The latency of the desk: the hour before, and each of the levels for an hour since."""

    def of(minutes):
        noise = np.random.default_rng(3).normal(0.0, 2.0, minutes)
        level = np.repeat([100.0, *levels], 60)
        return noise + level[:minutes]

    return of


def verdicts(desk, keys):
    """The newest verdict on each."""
    return [desk.verdict(key) for key in keys]


def test_each_shrink_of_a_ramp_down_that_does_no_harm_is_confirmed(desk):
    """The next shrink does not hide the one before: each is confirmed at the end of its own window."""
    keys = ramp(desk, 0, 10, 20)
    desk.look(later(61))
    assert verdicts(desk, keys) == [Verdict.CONFIRMED, Verdict.WAITING, Verdict.WAITING]
    desk.look(later(81))
    assert verdicts(desk, keys) == [Verdict.CONFIRMED] * 3
    assert desk.reverted == []


def test_a_ramp_down_that_hurt_is_taken_back_by_one_revert(desk):
    """All shrinks without a final verdict come back at once; it is one revert and one freeze."""
    keys = ramp(desk, 0, 5, 10)
    desk.after = 180.0
    desk.look(later(16))
    assert desk.reverted == [(9, 6)]
    assert verdicts(desk, keys) == [Verdict.REVERTED] * 3
    assert len(desk.frozen(later(17))) == 1
    assert desk.kinds() == [verifying.REVERTING, "frozen"]
    assert desk.app.verdicts.reverts("web", later(0)) == 1
    desk.look(later(30))
    assert len(desk.reverted) == 1


def test_a_level_that_sinks_little_by_little_is_seen(desk):
    """Each shrink moves it by less than 5 %, both by more: what was confirmed stays, the rest comes back."""
    desk.of_latency = stepping(103.5, 107.2)
    first, second = ramp(desk, 0, 60)
    desk.look(later(60.5))
    assert desk.verdict(first) is Verdict.CONFIRMED
    desk.look(later(91))
    assert desk.reverted == [(8, 7)]
    assert verdicts(desk, (first, second)) == [Verdict.CONFIRMED, Verdict.REVERTED]


def test_a_shrink_of_this_very_turn_is_taken_back_with_those_before(desk):
    """What the pool lost since it was seen is missing as well, and is not looked at again."""
    first = desk.do(9, 7)
    seen = desk.pool
    second = desk.do(7, 6, later(16))
    desk.pool, desk.after = seen, 180.0
    desk.look(later(16))
    assert desk.reverted == [(9, 6)]
    assert verdicts(desk, (first, second)) == [Verdict.REVERTED] * 2


@pytest.mark.parametrize("between", [6, 8])
def test_another_hand_within_a_chain_makes_what_was_before_it_unknown(desk, between):
    """Where the steps do not join, someone else took one; the shrinks since are told of by themselves."""
    first = desk.do(9, 7)
    second = desk.do(between, between - 1, later(60))
    desk.of_latency = stepping(100.0, 180.0)
    desk.look(later(76))
    assert desk.verdict(first) is Verdict.UNKNOWN
    assert desk.reverted == [(between, between - 1)]
    assert desk.verdict(second) is Verdict.REVERTED


def test_growth_of_ours_within_a_chain_makes_what_was_before_it_unknown(desk):
    """Nothing tells of the first shrink alone once the plan has grown the pool, if only between."""
    first, _, second = desk.do(9, 7), desk.do(7, 8, later(2)), desk.do(8, 7, later(4))
    desk.look(later(50))
    assert verdicts(desk, (first, second)) == [Verdict.UNKNOWN, Verdict.WAITING]


def test_f42_a_revert_in_part_is_tried_again_until_all_is_back(desk):
    """The pool is frozen at once, what is missing is tried at the next turns; only then it is reverted."""
    key = desk.do(9, 6)
    desk.after, desk.answers = 180.0, Status.PARTIAL
    desk.look(later(16))
    desk.look(later(18))
    assert desk.reverted == [(9, 6), (9, 7)]
    assert desk.verdict(key) is not Verdict.REVERTED
    assert "in part" in desk.frozen(later(18))[0]
    desk.answers = Status.APPLIED
    desk.look(later(20))
    assert desk.reverted[2:] == [(9, 8)]
    assert desk.verdict(key) is Verdict.REVERTED
    assert desk.kinds() == [verifying.REVERTING, "frozen", "frozen"], "told once, however often it is tried"
    assert desk.app.verdicts.reverts("web", later(0)) == 1


def test_a_revert_that_guards_let_pass_in_part_is_not_a_whole_one(desk):
    """Applied, but smaller than what was lost: the size decides, not the word."""
    key = desk.do(9, 6)
    desk.after = 180.0

    def clipped(action):
        return Halting.revert(desk, replace(action, before=min(action.before, action.after + 2)))

    desk.revert = clipped
    desk.look(later(16))
    assert desk.verdict(key) is not Verdict.REVERTED
    desk.look(later(18))
    assert desk.pool.desired == 9
    assert desk.verdict(key) is Verdict.REVERTED


@pytest.mark.parametrize(("size", "tries"), [(9, 1), (8, 2), (7, 2)])
def test_f40_a_revert_in_doubt_waits_until_it_is_settled(desk, size, tries):
    """Neither a second call nor a final verdict until it is known; then the size tells what is missing."""
    key = desk.do(9, 7)
    desk.after, desk.answers = 180.0, Status.UNKNOWN
    desk.look(later(16))
    desk.pool = replace(desk.pool, desired=size)
    desk.look(later(17))
    assert len(desk.reverted) == 1
    assert desk.verdict(key) in {None, Verdict.WAITING}
    desk.settle(size, later(18))
    desk.answers = Status.APPLIED
    desk.look(later(20))
    assert desk.verdict(key) is Verdict.REVERTED
    assert desk.reverted == [(9, 7), (9, size)][:tries]


def test_f40_a_revert_that_nobody_can_tell_of_is_given_up_after_a_day(desk):
    """At a size that we did not ask for it stays open while it is asked for, and is worse in the end."""
    key = desk.do(9, 7)
    desk.after, desk.answers = 180.0, Status.UNKNOWN
    desk.look(later(16))
    desk.pool = replace(desk.pool, desired=12)
    desk.look(later(60))
    assert desk.verdict(key) is Verdict.WAITING
    desk.look(later(18) + timedelta(seconds=settling.GIVEN_UP_S))
    assert desk.verdict(key) is Verdict.WORSE
    assert len(desk.reverted) == 1


def test_what_this_turn_has_grown_again_is_not_taken_back(desk):
    """The plan was quicker: nothing is missing, which is told; the pool is neither moved nor frozen."""
    key = desk.do(9, 7)
    seen = desk.pool
    desk.do(7, 9, later(16))
    desk.pool, desk.after = seen, 180.0
    desk.look(later(16))
    assert (desk.reverted, desk.frozen(later(16))) == ([], [])
    assert desk.verdict(key) is Verdict.REVERTED
    assert desk.kinds() == ["worse"]


def test_what_this_turn_has_grown_in_part_is_counted(desk):
    """Only what is still missing after the plan's own growth is taken back."""
    key = desk.do(9, 6)
    seen = desk.pool
    desk.do(6, 8, later(15.9))
    desk.pool, desk.after = seen, 180.0
    desk.look(later(15.9))
    assert desk.reverted == [(9, 8)]
    assert desk.verdict(key) is Verdict.REVERTED


def test_growth_by_the_next_plan_ends_a_revert_that_was_refused(desk):
    """Begun, refused, and grown by the plan before it is tried again: told, and not called worse for good."""
    key = desk.do(9, 7)
    desk.after, desk.answers = 180.0, None
    desk.look(later(16))
    desk.do(7, 10, later(17))
    desk.look(later(18))
    assert len(desk.reverted) == 1
    assert (desk.verdict(key), desk.frozen(later(18))) == (Verdict.REVERTED, [])


@pytest.mark.parametrize(
    ("maximum", "tries", "verdict", "word"),
    [(7, 1, Verdict.REVERTED, "was taken back"), (6, 0, Verdict.WORSE, "its maximum of 6 units")],
)
def test_the_maximum_ends_a_revert(desk, maximum, tries, verdict, word):
    """A pool whose maximum is smaller now is taken back so far; with no room at all it is told and frozen."""
    key = desk.do(9, 6)
    desk.after, desk.answers = 180.0, Status.PARTIAL
    desk.pool = replace(desk.pool, maximum=maximum)
    desk.look(later(16))
    desk.look(later(18))
    assert (len(desk.reverted), desk.verdict(key)) == (tries, verdict)
    (why,) = desk.frozen(later(18))
    assert word in why


def test_f58_a_crash_in_the_middle_of_a_chain_is_no_second_revert(desk, monkeypatch):
    """Ended when one of three was said to be reverted: the next look says it of the others, no more."""
    keys = ramp(desk, 0, 5, 10)
    desk.after, whole = 180.0, desk.app.verdicts.judge

    def killed(key, verdict, facts, at):
        whole(key, verdict, facts, at)
        if verdict is Verdict.REVERTED:
            raise KeyboardInterrupt

    monkeypatch.setattr(desk.app.verdicts, "judge", killed)
    with pytest.raises(KeyboardInterrupt):
        desk.look(later(16))
    monkeypatch.setattr(desk.app.verdicts, "judge", whole)
    desk.look(later(18))
    assert verdicts(desk, keys) == [Verdict.REVERTED] * 3
    assert len(desk.reverted) == 1
    assert len(desk.frozen(later(18))) >= 1


def questions(folder, growths):
    """How many statements a look with one newly late growth makes, after so many that were late before."""
    folder.mkdir()
    desk = Desk(folder)
    for number in range(growths):
        key = desk.do(9 + number, 10 + number, later(number))
        desk.app.verdicts.judge(key, Verdict.LATE, (), later(number))
    desk.do(9 + growths, 10 + growths, later(growths))
    desk.pool = replace(desk.pool, ready={"a": 1})
    asked = []
    engine = desk.app.engine
    event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    desk.look(later(growths + 60))
    assert len(desk.frozen(later(growths + 60))) == 1
    return len(asked)


def test_three_late_growths_are_found_by_as_many_questions_however_many_there_were(tmp_path):
    """A look asks no more of the store after thirty late growths than after three."""
    assert questions(tmp_path / "few", 3) == questions(tmp_path / "many", 30)
