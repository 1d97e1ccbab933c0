"""What a forecast was made by and from, as a JSON value: enough to make it again.

A model is refitted, never stored: its record names its kind and parameters, the window and a hash of what
it was fitted to, and the versions of the program and of the libraries that moved numbers before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from forecasts.types import Series

LIBRARIES = ("numpy", "scipy", "pandas", "statsforecast")


def record(kind: str, history: Series, *, horizon: int, levels: Sequence[float]) -> dict[str, Any]:
    """The record of the model `kind` fitted to `history`."""
    return {
        "kind": kind,
        "parameters": {"step_s": history.step_s, "horizon": horizon, "levels": list(levels)},
        "training": {
            "start": f"{history.start:%FT%TZ}",
            "end": f"{history.end:%FT%TZ}",
            "points": int(np.isfinite(history.y).sum()),
        },
        "data_hash": data_hash(history),
        "code_version": metadata.version("loadline"),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }


def data_hash(history: Series) -> str:
    """SHA-256 over the start, the step and the values, absent ones alike; 16 hex digits."""
    values = np.where(np.isnan(history.y), np.nan, history.y).astype("<f8")
    head = f"{history.start:%FT%TZ} {history.step_s} ".encode()
    return hashlib.sha256(head + values.tobytes()).hexdigest()[:16]
