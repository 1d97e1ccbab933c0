"""What every provider of pools must do, and the fake cloud against a model that fits on a page."""

from __future__ import annotations

import dataclasses
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from autoscaler import providers
from autoscaler.clock import SetClock
from autoscaler.config import FakeProvider
from autoscaler.errors import Invalid, NotFound, ProviderError, Stale, Unreachable
from autoscaler.ports import FREEZE, ORIGINAL_SIZE, Remembers
from autoscaler.providers.fake import FakeCloud
from policies.model import CapacityType, Demand, Offering, Pool, PoolKind

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def offering(zone):
    return Offering(
        instance_type="m5.large", zone=zone, capacity_type=CapacityType.ON_DEMAND, hourly_usd=0.096
    )


def pool(name="web", **changes):
    declared = Pool(
        id=name,
        provider="fake",
        kind=PoolKind.INSTANCE_GROUP,
        desired=4,
        ready={},
        minimum=2,
        maximum=10,
        demands=(Demand(series="requests", unit_capacity=20.0),),
        offerings=(offering("a"), offering("b")),
        lead_time_s=300,
        labels={"team": "shop"},
    )
    return dataclasses.replace(declared, **changes)


def fake_world(folder, clock):
    """The fake cloud with one pool of four units, bounds 2..10, that boot for 300 s."""
    cloud = providers.load("fake").connect(FakeProvider(path=str(folder / "cloud.db")), clock)
    cloud.create(pool())
    return cloud


WORLDS = {"fake": fake_world}


@pytest.mark.parametrize("name", providers.names())
def test_every_provider_is_held_to_the_laws_of_pools(name):
    """One that lives in a file is tried here, each other one in a module of its own against a server."""
    assert name in WORLDS or (Path(__file__).parent / f"test_pools_{name}.py").is_file()


@pytest.fixture(params=WORLDS)
def world(request, tmp_path):
    """Each provider with the same world behind it, and the clock it lives by."""
    clock = SetClock(START)
    return WORLDS[request.param](tmp_path, clock), clock


@pytest.mark.parametrize("name", providers.names())
def test_a_provider_says_what_it_can_and_needs(name):
    """Every provider module declares its capabilities and permissions, and has a manual page."""
    module = providers.load(name)
    assert "pools" in module.CAPABILITIES
    assert isinstance(module.PERMISSIONS, tuple)
    assert isinstance(module.ACTING, tuple)
    assert module.__doc__


def test_an_unknown_provider_lists_those_there_are():
    """A name that is no provider is answered with the ones that exist."""
    with pytest.raises(ValueError, match=r"there are [a-z, ]*fake"):
        providers.load("azur")


def test_a_pool_is_read_as_it_is_listed(world):
    """`read` and `list` tell the same of a pool; nothing is said to be missing."""
    cloud, _ = world
    pools, gaps = cloud.list()
    assert [found.id for found in pools] == ["web"]
    assert pools[0] == cloud.read("web")
    assert (pools[0].desired, pools[0].ready_units) == (4, 4)
    assert tuple(gaps) == ()


def test_new_units_serve_after_the_lead_time(world):
    """Units that are asked for serve once the lead time has passed, and not a second sooner."""
    cloud, clock = world
    after = cloud.resize("web", 9, version=cloud.read("web").version, key="k1")
    assert (after.desired, after.ready_units) == (9, 4)
    clock.advance(299)
    assert cloud.read("web").ready_units == 4
    clock.advance(1)
    assert dict(cloud.read("web").ready) == {"a": 5, "b": 4}


def test_a_shrink_is_immediate(world):
    """Removed units serve no more from the same moment on, and the zones stay balanced."""
    cloud, _ = world
    after = cloud.resize("web", 2, version=cloud.read("web").version, key="k1")
    assert (after.desired, dict(after.ready)) == (2, {"a": 1, "b": 1})
    assert after.last_scaled_at == START


def test_a_shrink_takes_booting_units_first(world):
    """Units that do not serve yet go before those that do."""
    cloud, _ = world
    cloud.resize("web", 9, version=cloud.read("web").version, key="k1")
    after = cloud.resize("web", 5, version=cloud.read("web").version, key="k2")
    assert (after.desired, after.ready_units) == (5, 4)


def test_f40_the_same_key_changes_once(world):
    """A call repeated after its reply was lost changes nothing and answers as the first time."""
    cloud, clock = world
    version = cloud.read("web").version
    first = cloud.resize("web", 6, version=version, key="k1")
    clock.advance(1000)
    cloud.resize("web", 7, version=cloud.read("web").version, key="k2")
    before = cloud.read("web")
    assert cloud.resize("web", 6, version=version, key="k1") == first
    assert cloud.read("web") == before


def test_a_key_belongs_to_one_wish(world):
    """The same key with another size is Invalid, and nothing changes; so is no key at all."""
    cloud, _ = world
    cloud.resize("web", 6, version=cloud.read("web").version, key="k1")
    before = cloud.read("web")
    for size, key in ((7, "k1"), (7, "")):
        with pytest.raises(Invalid):
            cloud.resize("web", size, version=before.version, key=key)
    assert cloud.read("web") == before


def test_a_version_that_moved_is_stale(world):
    """A wish made from an older picture of the pool is refused; each change moves the version."""
    cloud, _ = world
    old = cloud.read("web").version
    new = cloud.resize("web", 6, version=old, key="k1").version
    assert new != old
    for version in (old, ""):
        with pytest.raises(Stale):
            cloud.resize("web", 7, version=version, key="k2")
    assert cloud.read("web").desired == 6
    assert cloud.resize("web", 7, version=new, key="k2").desired == 7


@pytest.mark.parametrize("size", [1, 11, -1, 2.0, True])
def test_sizes_outside_the_bounds_are_invalid(world, size):
    """Sizes below the minimum, above the maximum or no whole number are refused, and the key stays free."""
    cloud, _ = world
    before = cloud.read("web")
    with pytest.raises(Invalid):
        cloud.resize("web", size, version=before.version, key="k1")
    assert cloud.read("web") == before
    assert cloud.resize("web", 5, version=before.version, key="k1").desired == 5


def test_the_present_size_is_no_change(world):
    """Asking for the size it has moves neither the version nor the time of the last change."""
    cloud, _ = world
    before = cloud.read("web")
    assert cloud.resize("web", 4, version=before.version, key="k1") == before


def test_a_pool_that_is_not_there_is_not_found(world):
    """Reading or resizing what is not there is NotFound."""
    cloud, _ = world
    with pytest.raises(NotFound):
        cloud.read("wbe")
    with pytest.raises(NotFound):
        cloud.resize("wbe", 4, version="1", key="k1")


@pytest.fixture
def cloud(tmp_path):
    """A fake cloud without pools."""
    return FakeCloud(str(tmp_path / "cloud.db"), SetClock(START))


def test_creating_twice_is_creating_once(cloud):
    """The same pool again changes nothing, whatever size it has by now."""
    cloud.create(pool())
    grown = cloud.resize("web", 6, version="1", key="k1")
    assert cloud.create(pool()) == grown
    assert cloud.read("web") == grown


def test_another_declaration_keeps_the_size(cloud):
    """New bounds are taken over, the size is not, even where it lies outside them now."""
    cloud.create(pool(desired=8))
    changed = cloud.create(pool(maximum=6, desired=3))
    assert (changed.desired, changed.maximum, changed.version) == (8, 6, "2")
    with pytest.raises(Invalid):
        cloud.resize("web", 7, version="2", key="k1")
    assert cloud.resize("web", 6, version="2", key="k1").desired == 6


def test_a_pool_is_not_created_outside_its_bounds(cloud):
    """A pool whose size is outside its own bounds is refused."""
    with pytest.raises(Invalid):
        cloud.create(pool(desired=11))
    assert cloud.list() == ((), ())


def test_everything_declared_is_kept(cloud):
    """What a pool was created with comes back, kind and labels and all."""
    wish = pool(kind=PoolKind.GPU_CLUSTER, maximum_step_in=2, drain_time_s=90, protected=True, offerings=())
    made = cloud.create(wish)
    assert made == dataclasses.replace(wish, version="1", ready={"local": 4})


def test_two_openers_see_each_other(tmp_path):
    """The state lives in the file: what one opener does the other sees, and it survives reopening."""
    path = str(tmp_path / "cloud.db")
    one, two = FakeCloud(path, SetClock(START)), FakeCloud(path, SetClock(START))
    one.create(pool())
    after = two.resize("web", 7, version="1", key="k1")
    assert one.read("web") == after
    assert FakeCloud(path, SetClock(START)).read("web") == after
    with pytest.raises(Stale):
        one.resize("web", 8, version="1", key="k2")


def test_racing_resizes_win_once(cloud):
    """Of many wishes made from one picture exactly one is granted."""
    cloud.create(pool())

    def wish(number):
        try:
            return cloud.resize("web", 5 + number % 5, version="1", key=f"k{number}").version
        except Stale:
            return None

    with ThreadPoolExecutor(8) as threads:
        won = [version for version in threads.map(wish, range(16)) if version]
    assert won == ["2"]


def test_a_file_that_is_no_cloud_is_refused(tmp_path):
    """Another program's database, text, or a folder is named and left alone."""
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("hello " * 1000)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    for path, kind in (
        (text, Invalid),
        (other, Invalid),
        (tmp_path, Unreachable),
        (tmp_path / "x/y", Unreachable),
    ):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(kind, match=path.name):
            FakeCloud(str(path), SetClock(START))
        assert before is None or path.read_bytes() == before


class CloudMachine(RuleBasedStateMachine):
    """The fake cloud beside a model: a list of the moments at which each unit serves."""

    @initialize(
        least=st.integers(0, 3),
        room=st.integers(1, 12),
        lead=st.sampled_from([0, 60, 300]),
        zones=st.sampled_from(["", "a", "ab", "abc"]),
        data=st.data(),
    )
    def begin(self, least, room, lead, zones, data):
        self.folder = tempfile.TemporaryDirectory()
        self.clock = SetClock(START)
        self.cloud = FakeCloud(str(Path(self.folder.name) / "cloud.db"), self.clock)
        self.bounds = (least, least + room)
        self.lead = lead
        size = data.draw(st.integers(least, least + room))
        offerings = tuple(offering(zone) for zone in zones)
        self.pool = pool(
            minimum=least, maximum=least + room, desired=size, lead_time_s=lead, offerings=offerings
        )
        self.cloud.create(self.pool)
        self.units = [0.0] * size
        self.calls = []

    @rule(size=st.integers(-1, 16))
    def resize(self, size):
        before = self.cloud.read("web")
        key = f"k{len(self.calls)}"
        if not self.bounds[0] <= size <= self.bounds[1]:
            with pytest.raises(Invalid):
                self.cloud.resize("web", size, version=before.version, key=key)
            return
        after = self.cloud.resize("web", size, version=before.version, key=key)
        assert (after.version == before.version) == (size == before.desired)
        moment = self.clock.now().timestamp() + self.lead
        self.units = sorted([*self.units, *[moment] * (size - len(self.units))])[:size]
        self.calls.append((size, before.version, key, after))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def repeat(self, data):
        size, version, key, answer = data.draw(st.sampled_from(self.calls))
        before = self.cloud.read("web")
        assert self.cloud.resize("web", size, version=version, key=key) == answer
        with pytest.raises(ProviderError):
            self.cloud.resize("web", size + 1, version=before.version, key=key)
        assert self.cloud.read("web") == before

    @rule(seconds=st.integers(0, 400))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def reopen_and_declare_again(self):
        before = self.cloud.read("web")
        self.cloud = FakeCloud(str(Path(self.folder.name) / "cloud.db"), self.clock)
        assert self.cloud.create(self.pool) == before

    @invariant()
    def agrees_with_the_model(self):
        found = self.cloud.read("web")
        now = self.clock.now().timestamp()
        assert found.desired == len(self.units)
        assert found.ready_units == sum(moment <= now for moment in self.units)
        assert self.bounds[0] <= found.desired <= self.bounds[1]
        assert 0 <= found.ready_units <= found.desired

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()


CloudMachine.TestCase.settings = settings(stateful_step_count=25)
test_the_fake_cloud_agrees_with_its_model = CloudMachine.TestCase


def test_a_rehearsal_changes_nothing_and_raises_what_a_resize_would(world):
    """Whatever `resize` would refuse, `rehearse` refuses alike; what it lets, it does not do."""
    cloud, _ = world
    before = cloud.read("web")
    assert cloud.rehearse("web", 6, version=before.version) in {True, False}
    for name, size, version, error in (
        ("web", 11, before.version, Invalid),
        ("web", 6, "0", Stale),
        ("gone", 6, before.version, NotFound),
    ):
        with pytest.raises(error):
            cloud.rehearse(name, size, version=version)
    assert cloud.read("web") == before


def test_a_memory_of_keys_tells_what_was_answered(world):
    """A provider that remembers keys tells the answer of each, and None for one that never arrived."""
    cloud, _ = world
    if not isinstance(cloud, Remembers):
        pytest.skip("this provider keeps no keys")
    assert cloud.answer_to("k1") is None
    answer = cloud.resize("web", 6, version=cloud.read("web").version, key="k1")
    cloud.resize("web", 7, version=answer.version, key="k2")
    assert cloud.answer_to("k1") == answer


def test_the_first_size_stays_on_the_object(world):
    """What the size was before our first change is written on the pool, and no later change rewrites it."""
    cloud, _ = world
    assert ORIGINAL_SIZE not in cloud.read("web").labels
    for number, size in enumerate((6, 8, 5)):
        cloud.resize("web", size, version=cloud.read("web").version, key=f"k{number}")
    assert cloud.read("web").labels == {"team": "shop", ORIGINAL_SIZE: "4"}


def faulty(folder, clock=None, **faults):
    """The fake cloud with one pool of four units, and faults."""
    cloud = FakeCloud(str(folder / "cloud.db"), clock or SetClock(START), **faults)
    cloud.create(pool())
    return cloud


def test_f42_a_part_of_a_wish_is_answered_as_it_is(tmp_path):
    """Where only some units are there the answer shows how many, and the rest can be asked for."""
    cloud = faulty(tmp_path, grants=lambda _pool_id, before, size: min(size, before + 2))
    answer = cloud.resize("web", 9, version="1", key="k1")
    assert (answer.desired, answer.version) == (6, "2")
    assert cloud.resize("web", 9, version="1", key="k1") == answer
    assert cloud.resize("web", 9, version="2", key="k2").desired == 8


def test_f43_reads_lag_and_a_call_from_a_late_reading_is_stale(tmp_path):
    """Its own change is seen only after the lag; who acts on the late reading is refused."""
    clock = SetClock(START)
    cloud = faulty(tmp_path, clock, lag_s=60)
    assert cloud.resize("web", 6, version="1", key="k1").desired == 6
    clock.advance(59)
    late = cloud.read("web")
    assert (late.desired, late.version) == (4, "1")
    assert cloud.list()[0] == (late,)
    with pytest.raises(Stale):
        cloud.resize("web", 6, version=late.version, key="k2")
    clock.advance(1)
    assert cloud.read("web").desired == 6


@pytest.mark.parametrize(("point", "size"), [("before resize", 4), ("after resize", 6)])
def test_f40_a_hook_stands_before_and_after_what_is_done(tmp_path, point, size):
    """A fault before the call leaves nothing done; one after it leaves it done and the reply lost."""

    def lost(_pool_id):
        raise Unreachable("lost")

    hooks = {point: lost}
    cloud = faulty(tmp_path, hooks=hooks)
    with pytest.raises(Unreachable):
        cloud.resize("web", 6, version="1", key="k1")
    hooks.clear()
    assert cloud.read("web").desired == size
    assert (cloud.answer_to("k1") is None) == (size == 4)


def test_a_point_that_is_none_is_refused(tmp_path):
    """A hook that would never be called is a mistake in the test that sets it."""
    with pytest.raises(ValueError, match="there is no point resize; there are list"):
        faulty(tmp_path, hooks={"resize": print})


def test_labels_are_written_and_taken_away_as_by_a_person(tmp_path):
    """A label moves no version, so that a freeze does not make plans stale."""
    cloud = faulty(tmp_path)
    cloud.label("web", FREEZE, "migration")
    assert (cloud.read("web").labels[FREEZE], cloud.read("web").version) == ("migration", "1")
    cloud.label("web", FREEZE, None)
    assert FREEZE not in cloud.read("web").labels
