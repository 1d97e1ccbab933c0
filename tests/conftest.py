"""What many tests need: how hard laws are tried, and an account of AWS.

Laws are tried as the profile says: `core` by default, `full` in `make test`, `thorough` where somebody asks.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = {"core": 6, "full": 60, "thorough": 1000}

for name, examples in EXAMPLES.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile(os.environ.get("LOADLINE_LAWS", "core"))


@pytest.fixture(scope="module")
def aws_address():
    """Where a server of AWS's protocols listens on loopback."""
    from tests.worlds.aws import server  # noqa: PLC0415 - seconds to import, and most tests need none of it

    with server() as at:
        yield at


@pytest.fixture
def aws_account(aws_address, monkeypatch):
    """An account with nothing in it; nobody waits between tries."""
    from tests.worlds.aws import Aws  # noqa: PLC0415 - as above

    return Aws(aws_address, monkeypatch)
