"""Pools by the configuration's names over a provider with ids of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler.called import called
from autoscaler.clock import SetClock
from autoscaler.errors import NotFound, Stale
from autoscaler.ports import Remembers
from autoscaler.providers.fake import FakeCloud
from tests.contract.test_pools import pool

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
TARGET = "deployment/shop/web"


@pytest.fixture
def cloud(tmp_path):
    made = FakeCloud(str(tmp_path / "cloud.db"), SetClock(NOW))
    made.create_all([pool(TARGET), pool("other")])
    return made


def test_every_answer_bears_the_configurations_name(cloud):
    """list, read, resize and the answer to a key tell of the same pool by the operator's name for it."""
    named = called(cloud, {TARGET: "web"})
    assert [one.id for one in named.list()[0]] == ["web", "other"]
    before = named.read("web")
    after = named.resize("web", 6, version=before.version, key="k")
    assert (after.id, after.desired, cloud.read(TARGET).desired) == ("web", 6, 6)
    assert isinstance(named, Remembers)
    assert named.answer_to("k") == after
    assert named.answer_to("never") is None
    assert named.rehearse("web", 5, version=after.version) is True
    with pytest.raises(Stale):
        named.rehearse("web", 5, version=before.version)


def test_a_pool_without_a_name_keeps_its_own(cloud):
    """What the configuration does not name is still listed, and no pool is taken for another."""
    named = called(cloud, {TARGET: "web"})
    assert named.read("other").id == "other"
    with pytest.raises(NotFound):
        named.read("absent")


def test_nothing_is_wrapped_where_the_names_are_the_same(cloud):
    """A provider that knows its pools by the configuration's names is used as it is."""
    assert called(cloud, {TARGET: TARGET}) is cloud
    assert called(cloud, {}) is cloud


def test_no_pool_is_taken_for_one_that_has_its_name(cloud):
    """An id that is another pool's name is not shown: that name means its own target."""
    named = called(cloud, {TARGET: "other"})
    assert [one.id for one in named.list()[0]] == ["other"]
    version = named.read("other").version
    named.resize("other", 6, version=version, key="k")
    assert (cloud.read(TARGET).desired, cloud.read("other").desired) == (6, 4)


def test_two_names_that_are_each_others_targets_stay_apart(cloud):
    """Names and ids may be crossed: each name shows and sizes its own target."""
    named = called(cloud, {TARGET: "other", "other": TARGET})
    assert sorted(one.id for one in named.list()[0]) == sorted(["other", TARGET])
    named.resize(TARGET, 7, version=named.read(TARGET).version, key="k")
    assert (cloud.read("other").desired, cloud.read(TARGET).desired) == (7, 4)


def test_a_plan_for_what_a_name_meant_before_is_stale(cloud):
    """The version that was read of one target changes nothing of another, nor of a pool of the plain name."""
    before = called(cloud, {TARGET: "web"}).read("web").version
    moved = called(cloud, {"other": "web"})
    with pytest.raises(Stale, match="web is other now"):
        moved.resize("web", 9, version=before, key="k")
    with pytest.raises(Stale):
        moved.rehearse("web", 9, version=before)
    with pytest.raises(Stale):
        cloud.resize("other", 9, version=before, key="k")
    assert (cloud.read(TARGET).desired, cloud.read("other").desired) == (4, 4)
