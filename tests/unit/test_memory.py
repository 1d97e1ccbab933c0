"""What a scaler remembers: kept whole, joined and split without loss, and nothing but values is ever made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.features import Grid, Space
from forecasts.types import BadInput
from policies import memory
from policies.windows import Recent


def sample(seed, series):
    """A state of many kinds: objects, enumerations, sequences, nothing, and arrays by series."""
    chance = np.random.default_rng(seed)
    return {
        Space.ROOT: Recent(recent=chance.random((series, 3)), current=np.full(series, np.nan), alike=2),
        "grid": Grid(step_s=300, lead=1),
        "flags": (chance.random((series * 4, 2)) < 0.5, None, [1, 2.5, "three", True]),
        "none yet": np.empty((series, 0)),
        "small": chance.integers(0, 9, (series, 2)).astype(np.float16),
    }


def same(one, other):
    """Whether two memories hold the same bytes of the same shape."""
    return one.shape == other.shape and one.packed() == other.packed()


@given(st.integers(0, 2**32))
def test_what_is_packed_and_unpacked_is_the_same(seed):
    """A recalled state remembers what the first one did: kinds, fields, NaN and all."""
    first = memory.remember(sample(seed, 2))
    back = memory.unpacked(first.shape, first.packed())
    again = memory.recall(back)
    assert same(memory.remember(again), first)
    assert again[Space.ROOT].alike == 2
    assert next(key for key in again if isinstance(key, Space)) is Space.ROOT
    again["small"][:] = 7
    assert same(memory.remember(memory.recall(back)), first), "a recalled state shares nothing"


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_joined_memories_split_into_what_they_were(seed, count):
    """Join, then split: the same ones; split, then join: the same one."""
    parts = [memory.remember(sample(seed + number, 1)) for number in range(count)]
    whole = memory.join(parts)
    assert all(same(one, other) for one, other in zip(memory.split(whole, count), parts, strict=True))
    assert same(memory.join(memory.split(whole, count)), whole)


def test_memories_of_other_shapes_are_not_joined_nor_split_unevenly():
    """Two lengths have no joint memory, and three rows are not those of two series."""
    short, long = (memory.remember(np.zeros((1, steps))) for steps in (2, 3))
    with pytest.raises(BadInput, match="different shapes"):
        memory.join([short, long])
    with pytest.raises(BadInput, match="3 rows are not those of 2 series"):
        memory.split(memory.remember(np.zeros(3)), 2)


def test_an_array_may_have_its_series_along_another_axis():
    """Where a class says so, that axis is the one that is joined and split."""
    from policies.scalers.hpa import State  # noqa: PLC0415 - one that says so

    assert isinstance(State.SERIES_AXIS, dict)
    states = [
        State(current=np.ones(1), recent=np.full((4, 1), float(n)), at=0, seen=3, last=np.zeros(1))
        for n in (1, 2)
    ]
    whole = memory.recall(memory.join([memory.remember(state) for state in states]))
    assert whole.recent.tolist() == [[1.0, 2.0]] * 4
    assert memory.recall(memory.split(memory.remember(whole), 2)[1]).recent.tolist() == [[2.0]] * 4


@dataclass
class Foreign:
    """Not of the pure packages."""

    SERIES_AXIS: ClassVar[dict[str, int]] = {}


@pytest.mark.parametrize("value", [Foreign(), np.array(["text"]), {1, 2}, print])
def test_what_cannot_be_kept_is_told(value):
    """A foreign object, an array of text, a set and a function are refused by name."""
    with pytest.raises(TypeError, match="cannot be kept"):
        memory.remember({"inside": [value]})


@pytest.mark.parametrize(
    "shape",
    [
        '{"object":"os:system","fields":{}}',
        '{"object":"subprocess:Popen","fields":{}}',
        '{"object":"policies.memory:recall","fields":{}}',
        '{"object":"policies.nowhere:Thing","fields":{}}',
        '{"object":"policies.windows:Recent","fields":{}}',
        '{"member":"policies.windows:Recent","value":1}',
        '{"member":"forecasts.features:Space","value":"another"}',
        '{"kind":"f8","size":[2],"axis":0}',
        '{"sequence":"list"',
        "[]",
    ],
)
def test_f60_a_description_that_does_not_fit_makes_nothing(shape):
    """Another module, a function, unknown names and fields, arrays that are not there: BadInput, no call."""
    with pytest.raises(BadInput, match=r"recalled|no memory|other fields"):
        memory.recall(memory.Memory(shape=shape, arrays=()))


@pytest.mark.parametrize(
    ("shape", "packed"),
    [
        ('{"kind":"f8","size":[2],"axis":0}', b"1234"),
        ('{"kind":"f8","size":[1],"axis":0}', bytes(16)),
        ('{"kind":"O","size":[1],"axis":0}', bytes(8)),
        ('{"kind":"f8","axis":0}', bytes(8)),
        ("{", b""),
    ],
)
def test_f60_bytes_that_do_not_fit_are_refused(shape, packed):
    """Too few, too many, of objects, without a size: BadInput."""
    with pytest.raises(BadInput, match="memory"):
        memory.unpacked(shape, packed)
