"""Crashes at every point of applying, and what settles them: the real store and the real fake cloud."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from autoscaler import apply as applying
from autoscaler import settling
from autoscaler.clock import SetClock
from autoscaler.errors import NotFound, Unreachable
from autoscaler.providers.fake import FakeCloud
from autoscaler.store.database import connect
from autoscaler.store.trail import SqlTrail
from policies.model import Pool, PoolKind
from policies.plan import Action, Plan, Reason, Status, kind_of

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """The process ended here."""


class Forgetful:
    """A provider that keeps no keys: only sizes and versions tell."""

    def __init__(self, cloud):
        self._cloud = cloud

    def list(self):
        return self._cloud.list()

    def read(self, pool_id):
        return self._cloud.read(pool_id)

    def resize(self, pool_id, size, *, version, key):
        return self._cloud.resize(pool_id, size, version=version, key=key)

    def rehearse(self, pool_id, size, *, version):
        return self._cloud.rehearse(pool_id, size, version=version)


class Desk:
    """A store and a fake cloud with one pool of nine units; a crash is a new trail over the same file."""

    def __init__(self, folder, *, forgets):
        self.clock, self.folder, self.hooks, self.forgets = SetClock(NOW), folder, {}, forgets
        self.grants = lambda _pool_id, _before, size: size
        self.open()
        self.cloud.create(
            Pool(
                id="web",
                provider="fake",
                kind=PoolKind.INSTANCE_GROUP,
                desired=9,
                ready={},
                minimum=0,
                maximum=100,
                demands=(),
            )
        )

    def open(self):
        """As a new process sees it."""
        self.trail = SqlTrail(connect(str(self.folder / "state.db")))
        self.cloud = FakeCloud(
            str(self.folder / "cloud.db"),
            self.clock,
            hooks=self.hooks,
            grants=lambda pool_id, before, size: self.grants(pool_id, before, size),  # noqa: PLW0108 - late
        )
        self.pools = Forgetful(self.cloud) if self.forgets else self.cloud

    def plan(self, after):
        """A plan of one action from what is there now."""
        pool, now = self.cloud.read("web"), self.clock.now()
        action = Action(
            kind=kind_of(pool.desired, after),
            target="web",
            before=pool.desired,
            after=after,
            version=pool.version,
            reason=Reason.LIVE_DEMAND,
            not_before=now,
            expires_at=now + HOUR,
        )
        return Plan(
            made_at=now,
            expires_at=now + HOUR,
            snapshot_digest="",
            policy_digest="",
            forecasts_digest="",
            actions=(action,),
        )

    def apply(self, made):
        world = applying.World(
            owners={"web": self.pools},
            trail=self.trail,
            clock=self.clock,
            permit=lambda _action, _pool: "",
        )
        return [outcome for _, outcome in applying.apply(made, world, allowed=lambda _action: True)]

    def settle(self):
        told = settling.settle(
            self.trail.doubtful(), owners={"web": self.pools}, trail=self.trail, clock=self.clock
        )
        return [outcome.status for _, outcome in told]

    def crash(self, after, at):
        """Apply a change and be killed at a point; then look from a new process."""

        def kill(*_):
            raise Killed

        made = self.plan(after)
        self.hooks[at] = kill
        if at == "conclude":
            self.hooks.clear()
            self.trail.conclude = kill
        with pytest.raises(Killed):
            self.apply(made)
        self.hooks.clear()
        self.open()
        return made


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def desk(request, tmp_path):
    """A provider that remembers its keys, and one that does not."""
    return Desk(tmp_path, forgets=request.param)


@pytest.mark.parametrize("after", [12, 7])
@pytest.mark.parametrize(
    ("at", "done"), [("read", False), ("before resize", False), ("after resize", True), ("conclude", True)]
)
def test_f58_a_crash_at_every_point_is_settled_from_the_cloud(desk, at, done, after):
    """Killed between intent, call and result: what was done is found done, what was not is not, once."""
    desk.crash(after, at)
    if not done:
        assert desk.settle() == [], "a call may still be on its way"
    desk.clock.advance(settling.UNDERWAY_S)
    before = desk.cloud.read("web")
    assert desk.settle() == [Status.APPLIED if done else Status.FAILED]
    assert desk.cloud.read("web") == before, "settling changes nothing"
    assert desk.trail.doubtful() == ()
    changes = [(change.before, change.after) for change in desk.trail.changes(NOW)]
    assert changes == ([(9, after)] if done else [])
    assert desk.settle() == []


def test_f40_a_reply_lost_after_success_is_found_done_and_not_done_again(desk):
    """The cloud commits and does not answer: unknown, then settled as applied; one change, one call."""

    def lost(_pool_id):
        raise Unreachable("the reply was lost")

    desk.hooks["after resize"] = lost
    assert [outcome.status for outcome in desk.apply(desk.plan(12))] == [Status.UNKNOWN]
    desk.hooks.clear()
    assert desk.settle() == [Status.APPLIED]
    assert (desk.cloud.read("web").desired, desk.cloud.read("web").version) == (12, "2")
    assert len(desk.trail.changes(NOW)) == 1


def test_f58_while_the_provider_is_silent_nothing_is_concluded(desk):
    """A provider that cannot be asked leaves the intent in doubt, whatever time goes by."""
    desk.crash(12, "after resize")

    def silent(_pool_id):
        raise Unreachable("no answer")

    desk.hooks["read"] = silent
    desk.clock.advance(3600)
    assert desk.settle() == []
    assert len(desk.trail.doubtful()) == 1


@pytest.mark.parametrize("at", ["before resize", "after resize"])
def test_f45_where_someone_else_moved_the_pool_nobody_guesses(desk, at):
    """Moved by another hand: settled by a memory of keys, else told as unknown once, and still counted."""
    desk.crash(7, at)
    pool = desk.cloud.read("web")
    desk.cloud.resize("web", 30, version=pool.version, key="a person")
    desk.clock.advance(settling.UNDERWAY_S)
    told = desk.settle()
    if desk.forgets:
        assert told == [Status.UNKNOWN]
        assert desk.settle() == [], "it is not told twice"
        (doubt,) = desk.trail.doubtful()
        assert "someone moved web to 30" in doubt.outcome.error
        assert [c.after for c in settling.perhaps(desk.trail.doubtful(), NOW, NOW)] == [7]
    else:
        assert told == [Status.APPLIED if at == "after resize" else Status.FAILED]


def test_f42_a_part_that_was_done_before_a_crash_is_found_as_a_part(desk):
    """Seven of twenty and no reply: a memory of keys tells the part; without it nobody guesses."""
    desk.grants = lambda _pool_id, before, size: before + 7 if size > before else size
    desk.crash(29, "after resize")
    desk.clock.advance(settling.UNDERWAY_S)
    assert desk.settle() == [Status.UNKNOWN if desk.forgets else Status.PARTIAL]


def test_f50_a_pool_that_is_gone_is_no_crash(desk):
    """An intent of a pool that nobody has any more stays unknown, and says so."""
    desk.crash(12, "before resize")

    class Gone(Forgetful):
        def read(self, pool_id):
            raise NotFound(f"there is no pool {pool_id}")

    desk.pools = Gone(desk.cloud)
    assert desk.settle() == []
    desk.clock.advance(settling.UNDERWAY_S)
    assert desk.settle() == [Status.UNKNOWN]
    assert desk.settle() == []


def test_a_provider_with_a_bug_settles_nothing(desk):
    """Whatever an adapter raises, the intent stays in doubt and nothing escapes."""
    desk.crash(12, "before resize")

    class Buggy(Forgetful):
        def read(self, pool_id):
            raise ZeroDivisionError(pool_id)

    desk.pools = Buggy(desk.cloud)
    desk.clock.advance(settling.UNDERWAY_S)
    assert desk.settle() == []


def test_f43_a_call_in_doubt_is_under_way_until_none_can_arrive(desk):
    """A pool is in flight while a call may still arrive, and no longer."""
    desk.crash(12, "before resize")
    deeds = desk.trail.doubtful()
    assert settling.underway(deeds, NOW) == {"web": NOW}
    assert settling.underway(deeds, NOW + timedelta(seconds=settling.UNDERWAY_S)) == {}


def test_after_a_day_nobody_asks_any_more(desk):
    """What could not be told for a day costs no further calls."""
    desk.crash(12, "before resize")
    desk.clock.advance(settling.GIVEN_UP_S)

    def asked(_pool_id):
        pytest.fail("asked again")

    desk.hooks["read"] = asked
    assert desk.settle() == []


def test_f73_a_plan_of_before_the_crash_is_stale_after_it(desk):
    """The same plan again after a crash that did it finds the pool moved: nothing is done twice."""
    made = desk.crash(12, "after resize")
    assert [outcome.status for outcome in desk.apply(made)] == [Status.STALE]
    assert desk.cloud.read("web").version == "2"
