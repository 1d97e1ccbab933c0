"""The ledger of a portfolio: what each plan cost and how often it violated over the trailing window.

Blocks of hours in 16-bit floats (cost, relative precision 0.05 %, each block of a series on a scale of its
own) and small integers (violating steps), so that a thousand pools of some hundred plans fit into hundreds
of megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

HALF_PLACES = 1024  # the dearest plan of a block is stored as so much, or twice it: far within 16-bit floats


class Ledger:
    """Cost and violations of every plan of every series over the trailing window, in blocks of hours."""

    SERIES_AXIS: ClassVar[dict[str, int]] = {"_costs": 1, "_bads": 1, "_counts": 1, "_scales": 1}

    def __init__(self, series: int, plans: int, *, block_steps: int, blocks: int | Ints) -> None:
        """Nothing seen yet; the window is `blocks` whole blocks (a number or [series]) and the open one."""
        self.cost = np.zeros((series, plans))  # over the window, whole blocks
        self.bad = np.zeros((series, plans))
        self.steps = np.zeros(series)
        self._block_steps = block_steps
        self._blocks = np.broadcast_to(np.asarray(blocks, dtype=np.int64), (series,)).copy()
        most = int(self._blocks.max(initial=1))
        self._costs = np.zeros((most, series, plans), dtype=np.float16)
        self._bads = np.zeros((most, series, plans), dtype=np.uint16 if block_steps > 255 else np.uint8)
        self._counts, self._scales = np.zeros((most, series)), np.ones((most, series))
        self._at = 0
        self._filled = 0
        self._open_cost, self._open_bad = np.zeros((series, plans)), np.zeros((series, plans))
        self._open_steps = np.zeros(series)

    def add(self, cost: Floats, bad: Floats, steps: Floats, *, length: int) -> None:
        """An hour's (or shorter) sums: cost and bad [series, plans], steps that were there [series]."""
        self._open_cost += cost
        self._open_bad += bad
        self._open_steps += steps
        self._filled += length
        if self._filled >= self._block_steps:
            self._close()

    def _close(self) -> None:
        """The open block takes the place of the oldest of its series."""
        dearest = np.maximum(self._open_cost.max(axis=1), 1.0)
        scale = np.exp2(np.floor(np.log2(dearest))) / HALF_PLACES  # a power of two: sums stay exact
        stored = (self._open_cost / scale[:, None]).astype(np.float16)
        old = (self._at % self._blocks, np.arange(len(scale)))
        self.cost += stored * scale[:, None] - self._costs[old] * self._scales[old][:, None]
        self.bad += self._open_bad - self._bads[old]
        self.steps += self._open_steps - self._counts[old]
        self._costs[old], self._scales[old] = stored, scale
        self._bads[old], self._counts[old] = self._open_bad, self._open_steps
        self._open_cost[:], self._open_bad[:], self._open_steps[:] = 0, 0, 0
        self._at += 1
        self._filled = 0

    def totals(self) -> tuple[Floats, Floats, Floats]:
        """Cost and violating steps [series, plans] and steps [series], the open block included."""
        return self.cost + self._open_cost, self.bad + self._open_bad, self.steps + self._open_steps

    def recent_cost(self, blocks: int) -> Floats:
        """Cost over the newest whole blocks and the open one, [series, plans]."""
        total, rows = self._open_cost.copy(), np.arange(len(self._blocks))
        for back in range(1, min(blocks, self._at) + 1):
            at = ((self._at - back) % self._blocks, rows)
            total += self._costs[at] * np.where(back <= self._blocks, self._scales[at], 0.0)[:, None]
        return total

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """Which series have had no step that was there, bool [series]."""
        none: NDArray[np.bool_] = self.steps + self._open_steps == 0
        return none

    @property
    def megabytes(self) -> float:
        """What the blocks take."""
        return (self._costs.nbytes + self._bads.nbytes + self._counts.nbytes) / 1e6
