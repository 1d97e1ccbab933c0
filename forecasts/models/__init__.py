"""The forecasters: one module each, found by its name.

A module has `MINIMUM`, the finite points it needs, and
`fit_predict(arrays, horizon, levels, *, seasons) -> list`: for each array (float64 [steps], NaN =
absent, oldest first) the quantiles of the next `horizon` steps, float64 [horizon, level], finite,
not negative and ascending over the levels. `seasons` are season lengths in steps, ascending.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from forecasts.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Model(Protocol):
    """What a module in this folder offers; its docstring is its manual."""

    MINIMUM: int

    @staticmethod
    def fit_predict(
        arrays: Sequence[NDArray[np.float64]],
        horizon: int,
        levels: Sequence[float],
        *,
        seasons: Sequence[int],
    ) -> list[NDArray[np.float64]]:
        """Quantiles float64 [horizon, level] for each array."""


def names() -> tuple[str, ...]:
    """The models there are, in ascending order; nothing is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def check(name: str) -> None:
    """BadInput, with the nearest name, where there is no such model; nothing is imported."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
        raise BadInput(f"there is no forecast model {name!r}; {hint}")


def load(name: str) -> Model:
    """Import a model by its name; BadInput, with the nearest name, where there is none."""
    check(name)
    return cast("Model", importlib.import_module(f"{__name__}.{name}"))
