"""The team of a series: who wins by a margin comes in, who is worse than the naive for a week goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.champion import MARGIN, follow, promoted
from forecasts.types import BadInput

NAMES = ("a", "b", "c", "naive")
losses = st.fixed_dictionaries({name: st.floats(0.1, 10) for name in NAMES})


def run(folds, first=("a", "b"), recent=0):
    return follow(folds, first=first, naive="naive", recent=recent)


def test_a_challenger_must_win_by_the_margin():
    """Slightly better is not enough, better by the margin is."""
    assert promoted(("a", "b"), {"a": 1.0, "b": 2.0, "c": 2 * MARGIN + 0.01}) == ("a", "b")
    assert promoted(("a", "b"), {"a": 1.0, "b": 2.0, "c": 2 * MARGIN - 0.01}) == ("a", "c")
    assert promoted(("a",), {"a": 1.0, "b": 0.9}) == ("b",)


def test_one_fold_does_not_forget_the_others():
    """What counts is the mean over the folds so far."""
    good, bad = {"a": 1.0, "b": 1.0, "c": 3.0}, {"a": 2.0, "b": 2.0, "c": 1.0}
    assert run([good, bad]).members == ("a", "b")
    assert "c" in run([good, bad, bad, bad]).members


def test_who_fails_in_a_fold_is_out():
    """A model without a forecast at some origin is no member; where all failed, the first stay."""
    whole = {"a": 1.0, "b": 1.0, "c": 5.0}
    assert run([whole, {"a": 1.0, "c": 5.0}]).members == ("a", "c")
    assert run([{"naive": 1.0}]).members == ("a", "b")
    assert run([]).members == ("a", "b")


def test_f83_a_champion_worse_than_the_naive_for_seven_days_is_demoted():
    """However good it was before, a week behind the naive ends it; a week ahead brings it back."""
    before = [{"a": 1.0, "b": 1.0, "naive": 2.0}] * 20
    worse = [{"a": 3.0, "b": 3.0, "naive": 2.0}] * 3
    assert run(before, recent=3).members == ("a", "b")
    team = run(before + worse, recent=3)
    assert team.members == ("naive",)
    assert "lost to naive over the last 7 days" in team.why
    assert run(before + worse + before[:3], recent=3).members == ("a", "b")


@given(st.lists(losses, max_size=6))
def test_the_team_is_sound_whatever_the_losses(folds):
    """At most two different members, none of them the naive unless it stands alone."""
    members = run(folds, recent=len(folds)).members
    assert 1 <= len(members) <= 2
    assert len(set(members)) == len(members)
    assert "naive" not in members or members == ("naive",)


@given(st.lists(losses, min_size=1, max_size=6))
def test_the_same_losses_give_the_same_team_in_any_unit(folds):
    """Losses of a load counted in thousands choose as those of the load itself."""
    scaled = [{name: 1000 * loss for name, loss in fold.items()} for fold in folds]
    assert run(folds).members == run(scaled).members


def test_a_team_of_the_naive_alone_is_no_first_team():
    """The yardstick cannot be its own champion."""
    with pytest.raises(BadInput, match="models other than naive"):
        run([], first=("naive",))
