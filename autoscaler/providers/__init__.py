"""Providers: one module each, found by its name.

A module has `connect(settings, clock) -> Pools`, `CAPABILITIES` (which ports it serves), and what the
credentials must allow in the provider's words: `PERMISSIONS` to read, `ACTING` to change. Its SDK is imported
by it alone, and only when it is connected.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Protocol, cast

from autoscaler.ports import Clock, Pools


class Provider(Protocol):
    """A module of this folder."""

    CAPABILITIES: tuple[str, ...]
    PERMISSIONS: tuple[str, ...]
    ACTING: tuple[str, ...]

    @staticmethod
    def connect(settings: Any, clock: Clock) -> Pools:
        """The provider, ready to be asked; raises the ProviderError tree."""


def names() -> tuple[str, ...]:
    """The providers there are, in alphabetical order; nothing is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Provider:
    """Import a provider by its name; ValueError lists those that exist."""
    if name not in names():
        raise ValueError(f"there is no provider {name!r}; there are {', '.join(names())}")
    return cast("Provider", importlib.import_module(f"{__name__}.{name}"))
