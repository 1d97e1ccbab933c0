"""What every provider of pools must do, for each lever of a cluster: the fake one, and a real one too."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from autoscaler import ports
from autoscaler.errors import Denied, Invalid, NotFound, Owned, Stale, Throttled
from autoscaler.ports import FREEZE, ORIGINAL_SIZE
from autoscaler.providers import kubernetes
from autoscaler.providers.kubernetes.resources import WORKLOADS
from tests.kubernetes_api.worlds import LEVERS, SOCKETS, STARTER, WHERE, World, opened

pytestmark = list(SOCKETS)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One pool of four units (or a floor of four) at its provider; `kind` and `field`: where that is set."""

    world: World
    cloud: object
    id: str
    kind: str
    field: tuple

    def read(self):
        return self.cloud.read(self.id)

    def resize(self, size, key="k1", version=None):
        version = self.read().version if version is None else version
        return self.cloud.resize(self.id, size, version=version, key=key)

    @property
    def item(self):
        return self.world.hand.get(self.kind, "web")

    def set_by_hand(self, size, manager="kubectl"):
        """Another one sets the same field."""
        sub = "scale" if self.field[1] == "replicas" else ""
        self.world.hand.merge(self.kind, "web", {"spec": {self.field[1]: size}}, manager, sub)


@pytest.fixture(params=LEVERS)
def lever(request):
    """Each kind of thing that sets a size."""
    return request.param


@pytest.fixture(params=WHERE)
def case(request, lever, tmp_path):
    """The pool, whose size was set by one from whom it may be taken."""
    with opened(request.param, tmp_path) as world:
        name, kind, field = LEVERS[lever](world)
        adopting = world.with_(adopt=(STARTER,))
        cloud = kubernetes.connect(adopting.settings, world.clock)
        yield Case(world=adopting, cloud=cloud, id=name, kind=kind, field=field)


def test_it_says_what_it_can(case):
    """The module declares the ports that the provider has, and has a manual page."""
    assert set(kubernetes.CAPABILITIES) == {"pools", "examine", "release"}
    assert isinstance(case.cloud, ports.Examines)
    assert isinstance(case.cloud, ports.Releases)
    assert not isinstance(case.cloud, ports.Remembers)
    assert kubernetes.__doc__


def test_a_pool_is_read_as_it_is_listed(case):
    """`read` and `list` tell the same of a pool; nothing is said to be missing."""
    pools, gaps = case.cloud.list()
    assert [found.id for found in pools] == [case.id]
    assert pools[0] == case.read()
    assert (pools[0].desired, pools[0].provider, pools[0].billable) == (4, "k8s", False)
    assert tuple(gaps) == ()


def test_a_lever_says_what_it_is(case, lever):
    """A floor is named; the replicas of a workload are the size itself."""
    named = {
        "hpa": "minReplicas of HorizontalPodAutoscaler web",
        "scaledobject": "minReplicaCount of ScaledObject web",
    }
    assert case.read().lever == named.get(lever, "")
    assert (case.read().minimum, case.read().maximum) == {
        "hpa": (1, 10),
        "scaledobject": (0, 10),
    }.get(lever, (0, 100_000))


def test_a_resize_sets_the_lever(case):
    """What was asked for stands on the object, under our own name, and is answered and read."""
    after = case.resize(6)
    assert after.desired == case.read().desired == 6
    assert case.item["spec"][case.field[1]] == 6
    managers = {
        entry["manager"]
        for entry in case.item["metadata"]["managedFields"]
        if f"f:{case.field[1]}" in entry["fieldsV1"].get("f:spec", {})
    }
    assert managers == {"loadline"}


def test_f40_the_same_key_changes_once(case):
    """A call repeated after its reply was lost changes nothing and answers as the first time."""
    version = case.read().version
    first = case.resize(6)
    again = case.resize(6, version=version)
    assert (again.desired, again.version) == (first.desired, first.version)
    assert case.read().version == first.version


def test_a_key_belongs_to_one_wish(case):
    """The same key with another size is Invalid, and nothing changes; so is no key at all."""
    case.resize(6)
    before = case.read()
    for key in ("k1", ""):
        with pytest.raises(Invalid):
            case.resize(7, key)
    assert case.read().version == before.version


def test_a_version_that_moved_is_stale(case):
    """A wish made from an older picture of the pool is refused; each change moves the version."""
    old = case.read().version
    new = case.resize(6).version
    assert new != old
    for version in (old, ""):
        with pytest.raises(Stale):
            case.resize(7, "k2", version)
    assert case.read().desired == 6
    assert case.resize(7, "k2", new).desired == 7


def test_f45_a_change_by_another_hand_moves_the_version(case):
    """What a person sets makes our picture stale: nothing of theirs is undone."""
    old = case.read().version
    case.set_by_hand(5)
    assert case.read().version != old
    with pytest.raises(Stale):
        case.resize(7, version=old)
    assert case.read().desired == 5


@pytest.mark.parametrize("size", [-1, 2.0, True, 100_001])
def test_sizes_outside_the_bounds_are_invalid(case, size):
    """Sizes outside the bounds or no whole number are refused, nothing is called, and the key stays free."""
    before = case.read()
    with pytest.raises(Invalid):
        case.resize(size, version=before.version)
    assert case.read() == before
    assert case.resize(5, version=before.version).desired == 5


def test_the_present_size_is_no_change(case):
    """Asking for the size it has changes nothing, marks included."""
    before = case.read()
    assert case.resize(4) == before
    assert ORIGINAL_SIZE not in case.read().labels


def test_a_pool_that_is_not_there_is_not_found(case):
    """Reading or resizing what is not there is NotFound."""
    for name in (f"{case.id}x", "web", "daemonset/shop/web", "deployment/shop", "deployment/a/b/c"):
        with pytest.raises(NotFound):
            case.cloud.read(name)
        with pytest.raises(NotFound):
            case.cloud.resize(name, 4, version="1", key="k1")


def test_a_rehearsal_changes_nothing(case):
    """The server tries it and stores nothing; what it would refuse is refused."""
    before = case.item
    version = case.read().version
    assert case.cloud.rehearse(case.id, 6, version=version)
    for size, error in ((-1, Invalid), (100_001, Invalid)):
        with pytest.raises(error):
            case.cloud.rehearse(case.id, size, version=version)
    with pytest.raises(Stale):
        case.cloud.rehearse(case.id, 6, version="old")
    assert case.item["spec"] == before["spec"]
    assert case.item["metadata"].get("annotations") == before["metadata"].get("annotations")


def test_the_original_size_is_written_once_and_given_back(case):
    """What it was before our first change is on the object; `release` puts it back and leaves no trace."""
    spec = case.item["spec"]
    for number, size in enumerate((6, 8, 5)):
        after = case.resize(size, f"k{number}")
        assert after.labels[ORIGINAL_SIZE] == "4"
    released = case.cloud.release(case.id, version=after.version, key="r1")
    assert (released.desired, released.labels) == (4, {"app": "web"})
    assert case.item["spec"] == spec
    text = str(case.item["metadata"].get("managedFields"))
    assert "loadline" not in text + str(case.item["metadata"].get("annotations"))


def test_release_needs_the_present_version_and_is_idempotent(case):
    """An old version is Stale; what we never changed, or gave back, is answered as it is."""
    before = case.read()
    assert case.cloud.release(case.id, version="old", key="r") == before
    after = case.resize(6)
    with pytest.raises(Stale):
        case.cloud.release(case.id, version=before.version, key="r")
    released = case.cloud.release(case.id, version=after.version, key="r")
    assert case.cloud.release(case.id, version=released.version, key="r") == released


def test_after_a_release_a_manifest_has_its_field_again(case):
    """Nobody holds the field afterwards: its owner applies it without a conflict."""
    after = case.resize(6)
    case.cloud.release(case.id, version=after.version, key="r")
    case.world.hand.apply(case.kind, "web", {"spec": {case.field[1]: 5}}, "argocd-controller")
    assert case.read().desired == 5


def test_a_size_that_another_one_took_back_stays(case):
    """`release` takes our marks off and leaves what somebody else has set since."""
    case.resize(6)
    case.set_by_hand(7)
    released = case.cloud.release(case.id, version=case.read().version, key="r")
    assert (released.desired, released.labels) == (7, {"app": "web"})


def test_a_size_held_by_another_one_is_owned(case):
    """A manager that is not to be adopted is named with the mend, on the pool and when it is tried."""
    cloud = kubernetes.connect(replace(case.world.settings, adopt=()), case.world.clock)
    pool = cloud.read(case.id)
    (obstacle,) = [one for one in pool.obstacles if one.code == "OWNED"]
    assert not obstacle.shrinks_only
    assert f"adopt: [{STARTER}]" in obstacle.why
    with pytest.raises(Owned, match=STARTER):
        cloud.rehearse(case.id, 6, version=pool.version)
    with pytest.raises(Owned, match=STARTER):
        cloud.resize(case.id, 6, version=pool.version, key="k")
    assert cloud.read(case.id) == pool


def test_a_size_once_adopted_is_ours(case):
    """After the first change nobody else holds it, and no more force is needed."""
    case.resize(6)
    cloud = kubernetes.connect(replace(case.world.settings, adopt=()), case.world.clock)
    after = cloud.resize(case.id, 7, version=cloud.read(case.id).version, key="k2")
    assert (after.desired, [one for one in after.obstacles if one.code == "OWNED"]) == (7, [])


def test_a_freeze_is_shown(case):
    """The annotation that freezes a pool is among its labels, wherever it stands, and moves no version."""
    version = case.read().version
    case.world.hand.annotate(case.kind, "web", **{FREEZE: "migration"})
    assert (case.read().labels[FREEZE], case.read().version) == ("migration", version)


def test_our_last_change_is_known(case):
    """When the size was last set is told by the server's own record."""
    after = case.resize(6)
    assert abs(after.last_scaled_at - case.world.clock.now()).total_seconds() < 60


# From here on the fake alone: what a real cluster cannot be made to do.


@pytest.fixture
def fake(lever, tmp_path):
    """The same on the fake."""
    with opened("fake", tmp_path) as world:
        name, kind, field = LEVERS[lever](world)
        adopting = world.with_(adopt=(STARTER,))
        cloud = kubernetes.connect(adopting.settings, world.clock)
        world.api.calls.clear()
        yield Case(world=adopting, cloud=cloud, id=name, kind=kind, field=field)


def test_only_declared_rights_are_used(tmp_path):
    """Every call of every lever is declared, and every declared one is made."""
    used = set()
    for number, make in enumerate(LEVERS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with opened("fake", folder) as world:
            name, _, _ = make(world)
            cloud = kubernetes.connect(world.with_(adopt=(STARTER,)).settings, world.clock)
            world.api.calls.clear()
            (pool,), _ = cloud.list()
            cloud.examine()
            cloud.rehearse(name, 6, version=pool.version)
            assert world.api.rights() <= {*kubernetes.PERMISSIONS, *kubernetes.ACTING}
            after = cloud.resize(name, 6, version=pool.version, key="k")
            cloud.release(name, version=after.version, key="r")
            used |= world.api.rights()
    assert used == {*kubernetes.PERMISSIONS, *kubernetes.ACTING}


def test_reading_uses_no_right_to_change(fake):
    """Listing, reading and examining need what PERMISSIONS says and nothing of ACTING."""
    fake.cloud.list()
    fake.read()
    fake.cloud.examine()
    assert fake.world.api.rights() <= set(kubernetes.PERMISSIONS)


def test_f48_a_denied_call_names_its_right(fake):
    """Whatever right is missing, its error names it as RBAC writes it, and the size stays."""
    version = fake.read().version
    for right in kubernetes.ACTING:
        fake.world.api.denied = {right}
        fake.world.api.calls.clear()
        try:
            fake.cloud.rehearse(fake.id, 6, version=version)
        except Denied as error:
            assert right in str(error)  # noqa: PT017 - not each lever needs each right
            with pytest.raises(Denied, match=right):
                fake.resize(6)
            fake.world.api.denied = set()
            assert fake.read().desired == 4
        else:
            assert right not in fake.world.api.rights()


def test_f37_throttling_is_told_with_its_rest(fake):
    """429 is Throttled, with the seconds that the server asks for, on reads and on changes."""
    version = fake.read().version
    kinds = [resource.right("get") for resource in WORKLOADS.values()]
    right = next(one for one in kinds if one in fake.world.api.rights())
    fake.world.api.fail(right, 429, retry_after=17)
    with pytest.raises(Throttled) as told:
        fake.read()
    assert told.value.retry_after == 17
    changing = next(right for right in kubernetes.ACTING if right in _rights_to_change(fake))
    fake.world.api.fail(changing, 429, retry_after=3)
    with pytest.raises(Throttled) as told:
        fake.resize(6, version=version)
    assert told.value.retry_after == 3
    assert fake.read().desired == 4


def _rights_to_change(fake):
    fake.cloud.rehearse(fake.id, 6, version=fake.read().version)
    return fake.world.api.rights()
