"""The extreme of a trailing window at every step, in as many passes as the window has binary digits."""

from __future__ import annotations

from typing import Any, TypeVar

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
