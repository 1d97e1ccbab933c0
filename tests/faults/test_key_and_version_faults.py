"""A key used for another wish, and a target that moved: refused, and nothing is changed."""

from __future__ import annotations

import pytest

from autoscaler.clock import SetClock
from autoscaler.errors import Invalid, Stale
from autoscaler.providers.fake import FakeCloud
from tests.contract.test_pools import START, pool


@pytest.fixture
def cloud(tmp_path):
    """A cloud with one pool of four units."""
    made = FakeCloud(str(tmp_path / "cloud.db"), SetClock(START))
    made.create(pool())
    return made


def test_f41_a_key_used_for_another_size_is_refused(cloud):
    """The same key with another size changes nothing, also where the version is the present one."""
    cloud.resize("web", 6, version=cloud.read("web").version, key="k1")
    before = cloud.read("web")
    with pytest.raises(Invalid, match="k1"):
        cloud.resize("web", 7, version=before.version, key="k1")
    assert cloud.read("web") == before


def test_f47_a_version_that_moved_is_a_conflict(cloud):
    """Of two who read the same version one changes the pool; the other is told to read again."""
    version = cloud.read("web").version
    cloud.resize("web", 6, version=version, key="k1")
    with pytest.raises(Stale, match="read it again"):
        cloud.resize("web", 5, version=version, key="k2")
    assert cloud.read("web").desired == 6
