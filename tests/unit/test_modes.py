"""Modes: what a daemon may do with an action, by pool and direction, and what a person's word changes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from policies.conditions import Approval, Conditions
from policies.model import iso
from policies.modes import granted, newest_word, permitted
from policies.plan import Action, Guard, Reason, kind_of
from policies.policy import Mode, Policy, PoolPolicy
from tests.laws import strategies as draw

NOW = draw.NOW
OLD = {"api": draw.ago(30 * 86400)}


def action(before=10, after=8):
    return Action(
        kind=kind_of(before, after),
        target="api",
        before=before,
        after=after,
        reason=Reason.DEMAND_LOW,
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


def word(one, *, granted=True, at_s=60.0, left_s=60.0):
    return Approval(
        action_id=one.id,
        granted=granted,
        by="ann",
        why="the sale is over",
        at=draw.ago(at_s),
        expires_at=draw.ago(-left_s),
    )


def asked(one, mode_out, mode_in, *, observe_first_s=0, **known):
    rule = PoolPolicy(mode_out=mode_out, mode_in=mode_in, observe_first_s=observe_first_s)
    return permitted(one, policy=Policy(pools={"api": rule}), conditions=Conditions(**known), now=NOW)


@pytest.mark.parametrize(
    ("mode", "guard", "acts"),
    [
        (Mode.OBSERVE, Guard.MODE, False),
        (Mode.REHEARSE, Guard.MODE, False),
        (Mode.APPROVE, Guard.APPROVAL, False),
        (Mode.AUTO, None, True),
    ],
)
def test_each_direction_has_a_mode_of_its_own(mode, guard, acts):
    """Only auto acts by itself; growing asks mode_out, shrinking mode_in."""
    for one, modes in ((action(10, 12), (mode, Mode.OBSERVE)), (action(10, 8), (Mode.OBSERVE, mode))):
        found = asked(one, *modes)
        assert (found.what, found.guard, found.acts) == (mode, guard, acts)
        modes_of = {Mode.APPROVE: "nobody has approved it yet", Mode.AUTO: ""}
        assert found.why == modes_of.get(mode, f"the mode of api is {mode}")


@pytest.mark.parametrize("mode", [Mode.REHEARSE, Mode.APPROVE, Mode.AUTO])
def test_a_persons_no_holds_in_every_mode(mode):
    """What was refused is neither applied nor rehearsed, until that word is over."""
    one = action()
    found = asked(one, mode, mode, approvals=(word(one, granted=False),))
    assert (found.what, found.guard, found.acts) == (Mode.APPROVE, Guard.APPROVAL, False)
    assert found.why == "refused by ann: the sale is over"
    over = asked(one, mode, mode, approvals=(word(one, granted=False, left_s=0.0),))
    assert over == asked(one, mode, mode)


def test_a_policy_observes_unless_told_otherwise():
    """Without a word of the operator nothing is applied."""
    found = permitted(action(), policy=Policy(), conditions=Conditions(first_seen=OLD), now=NOW)
    assert found == (Mode.OBSERVE, Guard.MODE, "the mode of api is observe")


@pytest.mark.parametrize("mode", [Mode.REHEARSE, Mode.APPROVE, Mode.AUTO])
@pytest.mark.parametrize(
    ("first_seen", "new"),
    [
        ({}, True),
        ({"batch": draw.ago(9999)}, True),
        ({"api": NOW}, True),
        ({"api": draw.ago(3599)}, True),
        ({"api": draw.ago(3600)}, False),
        ({"api": draw.ago(-60)}, True),
    ],
)
def test_a_new_pool_is_only_observed(mode, first_seen, new):
    """Until it was seen for as long as is set, to the second, and where nobody knows since when."""
    one = action()
    known = {"first_seen": first_seen, "approvals": (word(one),)}
    found = asked(one, mode, mode, observe_first_s=3600, **known)
    if new:
        assert (found.what, found.guard) == (Mode.OBSERVE, Guard.MODE)
        since = f", first seen at {iso(first_seen['api'])}" if "api" in first_seen else ""
        assert found.why == f"api is new{since}; it is observed for 1h"
    else:
        assert found.what is mode
        assert found.acts is (mode is not Mode.REHEARSE)
    assert asked(one, mode, mode, **known).what is mode  # 0: no pool is new


@pytest.mark.parametrize(
    ("words", "acts", "why"),
    [
        ((), False, "nobody has approved it yet"),
        ((word(action()),), True, "approved by ann: the sale is over"),
        ((word(action(10, 7)),), False, "nobody has approved it yet"),
        ((word(action(), left_s=0),), False, "nobody has approved it yet"),
        ((word(action(), granted=False),), False, "refused by ann: the sale is over"),
        ((word(action()), word(action(), granted=False, at_s=10)), False, "refused by ann: the sale is over"),
        ((word(action(), at_s=10), word(action(), granted=False)), True, "approved by ann: the sale is over"),
        ((word(action()), word(action(), granted=False)), False, "refused by ann: the sale is over"),
    ],
)
def test_what_waits_for_approval_goes_by_the_newest_word_on_its_very_id(words, acts, why):
    """A living approval of that action; a later refusal takes it back, of two at once the refusal counts."""
    for order in (words, words[::-1]):
        found = asked(action(), Mode.OBSERVE, Mode.APPROVE, approvals=order)
        assert (found.what, found.acts, found.why) == (Mode.APPROVE, acts, why)
        assert found.guard is (None if acts else Guard.APPROVAL)


def test_the_words_that_count_are_told_apart_by_action():
    """Of each action its own newest; what expired, was refused or was taken back is not granted."""
    one, other, third = action(10, 8), action(10, 7), action(10, 6)
    words = (
        word(one),
        word(other),
        word(other, granted=False, at_s=5),
        word(third, left_s=0),
    )
    assert granted(words, NOW) == {one.id}
    assert newest_word(other.id, words, NOW) is words[2]
    assert newest_word(third.id, words, NOW) is None
    assert granted((), NOW) == frozenset()
