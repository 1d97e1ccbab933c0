"""The team of a series: who wins by a margin comes in, who is worse than the naive for a week goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.champion import CLEARLY, MARGIN, follow, joined
from forecasts.types import BadInput

NAMES = ("a", "b", "c", "naive")
losses = st.fixed_dictionaries({name: st.floats(0.1, 10) for name in NAMES})


def run(folds, champion="a", recent=0):
    return follow(folds, champion=champion, naive="naive", recent=recent)


def test_a_challenger_must_win_by_the_margin():
    """Slightly better is not enough; better by the margin shares the forecast; two are never joined."""
    assert joined("a", {"a": 1.0, "b": MARGIN + 0.01}) == ("a",)
    assert joined("a", {"a": 1.0, "b": MARGIN - 0.01}) == ("b", "a")
    assert joined("a", {"a": 1.0, "b": 0.6, "c": 0.5}) == ("c", "a")


def test_one_fold_does_not_forget_the_others():
    """What counts is the mean over the folds."""
    good, bad = {"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 1.0}
    assert run([good, bad]).members == ("a",)
    assert run([good, bad, bad, bad]).members == ("b", "a")


def test_who_fails_in_a_fold_is_out():
    """A model without a forecast at some origin is no member; where all failed, the champion stays."""
    whole = {"a": 1.0, "b": 0.5, "c": 0.6}
    assert run([whole, {"a": 1.0, "c": 0.6}]).members == ("c", "a")
    assert run([whole, {"b": 0.5, "c": 0.6}]).members == ("b",)
    assert run([{"naive": 1.0}]).members == ("a",)
    assert run([]).members == ("a",)


def test_f83_a_champion_worse_than_the_naive_for_seven_days_is_demoted():
    """However good it was before, a week clearly behind the naive ends it; a week ahead brings it back."""
    before = [{"a": 1.0, "naive": 2.0}] * 20
    worse = [{"a": 3.0, "naive": 2.0}] * 3
    assert run(before, recent=3).members == ("a",)
    team = run(before + worse, recent=3)
    assert team.members == ("naive",)
    assert "lost to naive over the last 7 days" in team.why
    assert run(before + worse + before[:3], recent=3).members == ("a",)


def test_f83_one_good_day_or_a_narrow_loss_does_not_demote():
    """It takes every fold of the week, a clear margin, and a whole week that was seen."""
    lost, won = {"a": 3.0, "naive": 2.0}, {"a": 1.9, "naive": 2.0}
    close = {"a": 1.0, "naive": CLEARLY + 0.01}
    assert run([lost, won, lost], recent=3).members == ("a",)
    assert run([close] * 3, recent=3).members == ("a",)
    assert run([lost] * 2, recent=3).members == ("a",)
    assert run([lost, lost, {"a": 3.0}], recent=3).members == ("a",)


@given(st.lists(losses, max_size=6))
def test_the_team_is_sound_whatever_the_losses(folds):
    """At most two different members, none of them the naive unless it stands alone."""
    members = run(folds, recent=len(folds)).members
    assert 1 <= len(members) <= 2
    assert len(set(members)) == len(members)
    assert "naive" not in members or members == ("naive",)


@given(st.lists(losses, min_size=1, max_size=6))
def test_the_same_losses_give_the_same_team_in_any_unit(folds):
    """Losses of a load counted in 1024ths choose as those of the load itself."""
    scaled = [{name: 1024 * loss for name, loss in fold.items()} for fold in folds]
    assert run(folds, recent=3).members == run(scaled, recent=3).members


def test_the_naive_is_no_champion():
    """The yardstick cannot be its own champion."""
    with pytest.raises(BadInput, match="another model than naive"):
        run([], champion="naive")
