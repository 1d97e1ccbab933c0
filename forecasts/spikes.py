"""Samples that no load can have made: a unit that changed for one scrape, a sensor that overflowed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Times the trailing maximum.
BEYOND = 1000.0
# Samples needed before anything is a spike.
LIFE = 24
# So many in a row are a new level, whatever it is: a load that stays is a load.
STAYS = 3


def spikes(y: NDArray[np.float64], window: int) -> NDArray[np.bool_]:
    """Mark what exceeds 1000 times the largest sound sample of the trailing `window` steps [steps].

    Causal: a mark depends on what came before it only. Nothing is marked in the first 24 samples, nor
    where all of the window is zero (a pool that wakes is no spike), and the third such sample in a row is
    taken as the new level: growth is then bounded by the pool's own limits, as it should be.
    """
    marked = np.zeros(y.size, dtype=bool)
    if y.size <= LIFE or not _suspect(y):
        return marked
    largest: deque[int] = deque()  # indices, their values falling: the front is the maximum of the window
    seen = in_a_row = 0
    values = y.tolist()  # Python floats: quicker one by one, and a product too large is inf, not a warning
    for t, value in enumerate(values):
        if value != value:  # noqa: PLR0124 - NaN, the quick way in a loop over every step
            continue
        while largest and largest[0] < t - window:
            largest.popleft()
        if seen >= LIFE and largest and value > BEYOND * values[largest[0]] > 0 and in_a_row < STAYS - 1:
            marked[t] = True
            in_a_row += 1
            continue
        in_a_row = 0
        seen += 1
        while largest and values[largest[-1]] <= value:
            largest.pop()
        largest.append(t)
    return marked


def _suspect(y: NDArray[np.float64]) -> bool:
    """Whether the slow rule can find anything: some value is beyond the smallest positive one before it."""
    positive = np.where(y > 0, y, np.inf)
    lowest = np.minimum.accumulate(positive)
    with np.errstate(over="ignore"):
        return bool(np.any(y[1:] > BEYOND * lowest[:-1]))
