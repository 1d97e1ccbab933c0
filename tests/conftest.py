"""How hard the laws are tried: `core` on every run, `thorough` where LOADLINE_LAWS says so."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "core", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("core"), max_examples=1000)
settings.load_profile(os.environ.get("LOADLINE_LAWS", "core"))
