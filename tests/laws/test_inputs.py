"""Laws of what a plan is decided from: it is kept to the last bit, and decides the same plan again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.errors import StoreError
from autoscaler.store.inputs import packed, unpacked
from forecasts.types import Series
from policies.inputs import Inputs, decide, trimmed
from policies.plan import ActionKind, Fact
from policies.plan_json import plan_to_json
from policies.sizing import LATE_STEPS
from policies.standing import Standing
from tests.laws import strategies as draw


def inputs(world, **other):
    return Inputs(
        snapshot=world.snapshot,
        outlooks=world.outlooks,
        policy=world.policy,
        changes=world.changes,
        conditions=world.conditions,
        **other,
    )


@given(draw.worlds(), st.sampled_from([None, *ActionKind]))
def test_p8_what_was_packed_decides_the_same_plan_to_the_letter(world, only):
    """A plan is decided anew from its packed inputs with every id, digest, figure and time the same."""
    mine = inputs(world, only=only)
    again = unpacked(packed(mine))
    assert plan_to_json(decide(again)) == plan_to_json(decide(mine))
    assert (again.snapshot, again.policy) == (mine.snapshot, mine.policy)
    assert packed(again) == packed(mine)


@given(draw.worlds())
def test_p8_an_undo_is_decided_anew_from_what_was_packed(world):
    """A plan that takes actions back is the same again, too."""
    done = decide(inputs(world)).actions
    mine = inputs(world, undoing=tuple(replace(a.inverse(), after=a.after, before=a.before) for a in done))
    assert plan_to_json(decide(unpacked(packed(mine)))) == plan_to_json(decide(mine))


@given(draw.worlds(), st.integers(0, 400), st.booleans())
def test_what_no_scaler_looks_at_is_left_out_and_changes_nothing(world, more, spoken):
    """Older demand than a scaler looks back on, or any but the newest where it has spoken, is no input."""
    longer = {}
    for name, one in world.outlooks.items():
        old = Series(
            unique_id=name,
            start=one.demand.start - timedelta(seconds=more * one.demand.step_s),
            step_s=one.demand.step_s,
            y=np.concatenate([np.full(more, 7.0), one.demand.y]),
        )
        standing = Standing(units=3, because=(Fact(name="chosen", value=1),)) if spoken else None
        longer[name] = replace(one, demand=old, to_learn=None, censored=None, standing=standing)
    mine = replace(inputs(world), outlooks=longer)
    less = trimmed(mine)
    assert plan_to_json(decide(less)) == plan_to_json(decide(mine))
    if spoken:
        assert all(len(one.demand.y) <= LATE_STEPS for one in less.outlooks.values())


@pytest.mark.parametrize("harm", [b"", b"no zlib", b"x"], ids=["empty", "text", "cut"])
def test_f60_inputs_that_were_damaged_are_told(harm):
    """What cannot be read back is a StoreError, never another value."""
    with pytest.raises(StoreError, match="the inputs of a plan cannot be read"):
        unpacked(harm)
