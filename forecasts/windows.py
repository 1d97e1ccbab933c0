"""The extreme of a trailing window at every step, in as many passes as the window has binary digits."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = TypeVar("Array", bound=NDArray[Any])


def trailing(values: Array, steps: int, pick: np.ufunc) -> Array:
    """`pick` (np.minimum, np.maximum, np.fmax) over [t-steps, t] of the last axis, or what is there of it."""
    out = values.copy()
    reach = 1
    while reach <= steps:
        shift = min(reach, steps + 1 - reach)
        out[..., shift:] = pick(out[..., shift:], out[..., :-shift].copy())
        reach += shift
    return out


def newest(values: Array, steps: int, count: int, pick: np.ufunc) -> Array:
    """`trailing` at the last `count` steps alone: quick where a few follow a long past."""
    part = values[..., max(0, values.shape[-1] - count - steps) :]
    if not 0 < count <= steps or part.shape[-1] < count + steps:
        return cast("Array", trailing(part, steps, pick)[..., part.shape[-1] - count :])
    # Every window holds the steps from count - 1 to `steps`; what is before and after them runs.
    before = pick.accumulate(part[..., :count][..., ::-1], axis=-1)[..., ::-1]
    after = pick.accumulate(part[..., steps:], axis=-1)
    out: Array = pick(pick(before, after), pick.reduce(part[..., count - 1 : steps + 1], axis=-1)[..., None])
    return out
