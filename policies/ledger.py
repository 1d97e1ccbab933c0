"""The ledger of a portfolio: what each plan cost and how often it violated over the trailing window.

Blocks of hours in 16-bit floats (cost, relative precision 0.05 %) and small integers (violating steps), so
that a thousand pools of some hundred plans fit into some hundred megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LARGEST = 65504  # of a 16-bit float


class Ledger:
    """Cost and violations of every plan of every series over the trailing window, in blocks of hours."""

    SERIES_AXIS: ClassVar[dict[str, int]] = {"_costs": 1, "_bads": 1, "_counts": 1}

    def __init__(self, series: int, plans: int, *, block_steps: int, blocks: int) -> None:
        """Nothing seen yet; the window is `blocks` whole blocks and the one that is under way."""
        self.cost = np.zeros((series, plans))  # over the window, whole blocks
        self.bad = np.zeros((series, plans))
        self.steps = np.zeros(series)
        self._block_steps, self._blocks = block_steps, blocks
        self._scale = np.zeros(series)
        self._costs = np.zeros((blocks, series, plans), dtype=np.float16)
        self._bads = np.zeros((blocks, series, plans), dtype=np.uint16 if block_steps > 255 else np.uint8)
        self._counts = np.zeros((blocks, series))
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
        unset = self._scale == 0
        self._scale[unset] = (
            np.exp2(np.ceil(np.log2(np.maximum(self._open_cost[unset].max(axis=1), 1e-9)))) / 1024
        )
        stored = np.minimum(self._open_cost / self._scale[:, None], LARGEST).astype(np.float16)
        old, scale = self._at % self._blocks, self._scale[:, None]
        self.cost += (stored.astype(np.float64) - self._costs[old]) * scale
        self.bad += self._open_bad - self._bads[old]
        self.steps += self._open_steps - self._counts[old]
        self._costs[old], self._bads[old], self._counts[old] = stored, self._open_bad, self._open_steps
        self._open_cost[:], self._open_bad[:], self._open_steps[:] = 0, 0, 0
        self._at += 1
        self._filled = 0

    def totals(self) -> tuple[Floats, Floats, Floats]:
        """Cost and violating steps [series, plans] and steps [series], the open block included."""
        return self.cost + self._open_cost, self.bad + self._open_bad, self.steps + self._open_steps

    def recent_cost(self, blocks: int) -> Floats:
        """Cost over the newest whole blocks and the open one, [series, plans]."""
        last = [(self._at - 1 - back) % self._blocks for back in range(min(blocks, self._at, self._blocks))]
        whole = self._costs[last].sum(axis=0, dtype=np.float64) * self._scale[:, None] if last else 0.0
        return whole + self._open_cost

    @property
    def megabytes(self) -> float:
        """What the blocks take."""
        return (self._costs.nbytes + self._bads.nbytes + self._counts.nbytes) / 1e6
