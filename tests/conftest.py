"""How hard the laws are tried: `core` by default, `full` in `make test`, `thorough` where somebody asks."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = {"core": 6, "full": 60, "thorough": 1000}

for name, examples in EXAMPLES.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile(os.environ.get("LOADLINE_LAWS", "core"))
