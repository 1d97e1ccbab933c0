"""What the trail keeps: plans, intents, outcomes and changes, insert-only and found again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from autoscaler.errors import StoreError
from autoscaler.ports import Story, Trail
from autoscaler.store import chain
from autoscaler.store.database import connect, reading, writing
from autoscaler.store.trail import SqlTrail
from policies.model import Gap
from policies.plan import (
    Action,
    Change,
    Fact,
    Guard,
    Held,
    Outcome,
    Plan,
    Reason,
    Status,
    UsdRange,
    kind_of,
)

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def action(target="web", before=4, after=6):
    """A change of size with money, reason and evidence."""
    return Action(
        kind=kind_of(before, after),
        target=target,
        before=before,
        after=after,
        version="7",
        reason=Reason.FORECAST_PEAK,
        because=(Fact(name="quantile", value=97.5, unit="units"),),
        hourly_delta_usd=UsdRange(0.1, 0.2, 0.3),
        confidence=0.99,
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


def plan(*actions, at=NOW, held=()):
    """A plan of these actions."""
    return Plan(
        made_at=at,
        expires_at=at + timedelta(hours=1),
        snapshot_digest="s",
        policy_digest="p",
        forecasts_digest="f",
        actions=actions,
        held=held,
    )


def outcome(of, status=Status.APPLIED, *, at=NOW):
    """What became of an action."""
    return Outcome(action_id=of.id, status=status, at=at, observed_after=of.after)


def change(of, at=NOW):
    """The change that an action makes."""
    return Change(target=of.target, at=at, before=of.before, after=of.after)


@pytest.fixture
def engine(tmp_path):
    """A new store."""
    made = connect(str(tmp_path / "loadline.db"))
    yield made
    made.dispose()


@pytest.fixture
def trail(engine):
    """The trail of a new store, which serves both ports."""
    made = SqlTrail(engine)
    for port in (Trail, Story):
        assert all(hasattr(made, name) for name in vars(port) if not name.startswith("_"))
    return made


def test_a_plan_comes_back_as_it_was(trail):
    """A recorded plan is found by its id and by a prefix, equal to the last digit."""
    mine = plan(action(), held=(Held(action=action("api", 9, 3), guard=Guard.COOL_DOWN, why="just grew"),))
    assert trail.record_plan(mine) is True
    assert trail.plan(mine.id) == mine
    assert trail.plan(mine.id[:5]) == mine
    assert trail.plan("zz") is None
    assert trail.plan("") is None


def test_the_same_wish_is_only_counted(engine, trail):
    """The last plan again, to the letter, is a sighting; another plan in between makes it new."""
    first, other = plan(action()), plan(action("api"))
    assert trail.record_plan(first) is True
    assert trail.record_plan(first) is False
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM plan")).scalar_one() == 1
        assert connection.execute(text("SELECT count(*) FROM sighting")).scalar_one() == 1
    assert trail.record_plan(other) is True
    assert trail.record_plan(first) is True
    assert trail.sightings(first.id) == 1, "made once, recorded three times"


def undoing(target="web", guard=Guard.LIVE_DEMAND):
    """A plan that would take a shrink back, and is held."""
    return plan(held=(Held(action=action(target, 9, 7).inverse(), guard=guard, why="not now"),))


def later(of, minutes):
    """The same plan made so much later."""
    return replace(of, made_at=NOW + timedelta(minutes=minutes), expires_at=NOW + timedelta(minutes=99))


def test_a_revert_that_is_refused_every_turn_writes_one_plan_and_so_does_the_turn(engine, trail):
    """Of a turn's own plan and one that takes something back each is compared with the last of its kind."""
    own, back = plan(action("api")), undoing()
    news = [trail.record_plan(later(one, n)) for n in range(6) for one in (own, back)]
    assert news == [True, True] + [False] * 10
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM plan")).scalar_one() == 2
        assert connection.execute(text("SELECT count(*) FROM sighting")).scalar_one() == 10
        assert chain.verify(connection).fault == ""
    for one in (own, back):
        assert trail.sightings(one.id) == 6
        assert trail.plan(one.id).made_at == NOW + timedelta(minutes=5)
        assert trail.inputs(one.id)[0].id == one.id


def test_another_plan_of_its_kind_between_makes_one_news(trail):
    """Reverts that are held alternately are news each time, and so are a turn's own wishes."""
    web, api, own = undoing("web"), undoing("api"), plan(action())
    assert [trail.record_plan(one) for one in (web, own, api, own, web)] == [True, True, True, False, True]
    assert trail.record_plan(undoing("web", Guard.FROZEN)) is True, "held by another guard it is another wish"


def test_what_a_plan_tells_in_words_makes_it_no_revert(trail):
    """Only an action's reason says that it takes something back, not a text that looks like it."""
    own = replace(plan(action()), gaps=(Gap(source="x", code="y", why='"reason":"UNDO"'),))
    assert [trail.record_plan(one) for one in (own, undoing(), own)] == [True, True, False]


@pytest.mark.parametrize(
    "later",
    [
        plan(action(), at=NOW + timedelta(minutes=50)),
        plan(action(), at=NOW + timedelta(hours=2)),
        plan(replace(action(), version="8")),
    ],
    ids=["a later expiry", "after it expired", "another version"],
)
def test_the_same_wish_made_anew_is_no_news_and_is_kept(trail, later):
    """What is found by an id has the expiry and the versions that were shown last, in its actions too."""
    trail.record_plan(plan(action()))
    assert trail.record_plan(later) is False
    found = trail.plan(later.id)
    assert (found.id, found.made_at, found.expires_at) == (later.id, later.made_at, later.expires_at)
    assert [a.version for a in found.actions] == [a.version for a in later.actions]
    if later.made_at > NOW:
        assert {(a.not_before, a.expires_at) for a in found.actions} == {(later.made_at, later.expires_at)}
    assert trail.sightings(later.id) == len({NOW, later.made_at})
    assert len(trail.proposals(pool="web")) == 1


def test_an_older_writing_of_a_plan_never_hides_a_newer_one(trail):
    """A plan recorded after a newer one of the same id does not take its place."""
    older, newer = plan(action()), plan(action(), at=NOW + timedelta(minutes=50))
    trail.record_plan(newer)
    trail.record_plan(older)
    assert trail.plan(older.id) == newer


def test_an_ambiguous_prefix_names_the_candidates(trail):
    """A prefix of several ids is a StoreError with the ids; the full id still works."""
    plans = [plan(action(after=after)) for after in range(5, 60)]
    for mine in plans:
        trail.record_plan(mine)
    ids = sorted(mine.id for mine in plans)
    shared = next(a[0] for a, b in pairwise(ids) if a[0] == b[0])
    with pytest.raises(StoreError) as caught:
        trail.plan(shared)
    assert next(i for i in ids if i.startswith(shared)) in str(caught.value)
    assert all(trail.plan(mine.id) == mine for mine in plans)


def test_an_intent_is_in_doubt_until_it_is_concluded(trail):
    """An intent without an outcome, or with an unknown one, is in doubt; a final one settles it."""
    mine = action()
    key = trail.intend("p1", mine, NOW)
    (deed,) = trail.doubtful()
    assert (deed.key, deed.plan_id, deed.action, deed.at, deed.outcome) == (key, "p1", mine, NOW, None)
    trail.conclude(key, outcome(mine, Status.UNKNOWN), None)
    assert [d.outcome.status for d in trail.doubtful()] == [Status.UNKNOWN]
    trail.conclude(key, outcome(mine), change(mine))
    assert trail.doubtful() == ()
    assert trail.outcomes("p1") == ((mine, outcome(mine)),)


def test_an_outcome_is_final(trail):
    """What was concluded once is not concluded again, and nothing is concluded that was not intended."""
    mine = action()
    key = trail.intend("p1", mine, NOW)
    trail.conclude(key, outcome(mine), change(mine))
    with pytest.raises(StoreError, match="concluded as applied already"):
        trail.conclude(key, outcome(mine, Status.FAILED), None)
    for wrong in ("", "x", key.replace("-1-", "-2-"), "0" + key, key + "0"):
        with pytest.raises(StoreError, match="no intent with the key"):
            trail.conclude(wrong, outcome(mine), None)
    other = trail.intend("p1", mine, NOW)
    with pytest.raises(StoreError, match="is not that of the intent"):
        trail.conclude(other, outcome(action("api")), None)
    assert len(trail.changes(NOW)) == 1


def test_the_same_action_later_has_another_key(trail, tmp_path):
    """A key belongs to one intent: next week's, and that of another store, differ."""
    other = SqlTrail(connect(str(tmp_path / "other.db")))
    keys = [store.intend("p1", action(), NOW) for store in (trail, trail, other)]
    assert len(set(keys)) == 3
    assert all(len(key) <= 64 for key in keys), "EC2 takes at most 64 characters"


def test_changes_are_those_that_were_made(trail):
    """Only applied actions count, from `since` on, in the order of their time."""
    for minutes, status in (
        (30, Status.APPLIED),
        (10, Status.APPLIED),
        (20, Status.FAILED),
        (0, Status.APPLIED),
    ):
        mine, at = action(after=10 + minutes), NOW + timedelta(minutes=minutes)
        made = change(mine, at) if status is Status.APPLIED else None
        trail.conclude(trail.intend("p1", mine, at), outcome(mine, status, at=at), made)
    found = trail.changes(NOW + timedelta(minutes=10))
    assert [c.after for c in found] == [20, 40]
    assert found[0] == Change(target="web", at=NOW + timedelta(minutes=10), before=4, after=20)


def test_times_are_compared_as_times(trail):
    """A moment in another zone, or with a fraction of a second, is before or after as it really is."""
    mine = action()
    zone = datetime.fromisoformat("2026-03-02T09:00:00.5+01:00")
    trail.conclude(trail.intend("p1", mine, zone), outcome(mine, at=zone), change(mine, zone))
    assert len(trail.changes(NOW)) == 1
    assert trail.changes(NOW + timedelta(seconds=1)) == ()
    with pytest.raises(StoreError, match="no time zone"):
        trail.changes(NOW.replace(tzinfo=None))


def test_a_pools_story_is_found(trail):
    """What was intended for a pool, and where plans had it, held or not, can be told from the store alone."""
    grow, shrink = action(), action(before=9, after=3)
    mine = plan(grow, action("api"), held=(Held(action=shrink, guard=Guard.STEP),))
    trail.record_plan(mine)
    key = trail.intend(mine.id, grow, NOW)
    trail.intend(mine.id, action("api"), NOW)
    trail.conclude(key, outcome(grow), change(grow))
    (deed,) = trail.pool("web")
    assert (deed.action, deed.outcome, deed.change) == (grow, outcome(grow), change(grow))
    assert [(p.action, p.guard) for p in trail.proposals(pool="web")] == [(grow, None), (shrink, Guard.STEP)]
    assert [p.plan_id for p in trail.proposals(action=shrink.id[:6])] == [mine.id]
    assert [d.key for d in trail.actions(grow.id[:6])] == [key]
    assert (trail.actions("zz"), trail.pool("none"), trail.proposals(pool="none")) == ((), (), ())
    assert [a for a, _ in trail.outcomes(mine.id[:4])] == [grow, action("api")]


def test_f70_proposals_of_nothing_are_none(trail):
    """Asking for the proposals of no action and no pool names nothing, never everything."""
    trail.record_plan(plan(action()))
    assert trail.proposals() == ()


def test_a_changed_plan_is_not_read(tmp_path, trail, engine):
    """A plan whose text was changed behind the store's back is refused when it is read."""
    trail.record_plan(plan(action()))
    with writing(engine) as connection:
        connection.execute(text("DROP TRIGGER plan_no_update"))
        connection.exec_driver_sql("UPDATE plan SET body = replace(body, '\"after\":6', '\"after\":60')")
    with pytest.raises(StoreError, match="cannot be read"):
        trail.plan(plan(action()).id)


def test_rows_from_the_future_are_given_as_they_are(trail):
    """`changes` has no upper end: what to make of rows dated ahead of now is the caller's business (F66)."""
    mine, ahead = action(), NOW + timedelta(days=9)
    trail.conclude(trail.intend("p1", mine, ahead), outcome(mine, at=ahead), change(mine, ahead))
    assert [c.at for c in trail.changes(NOW)] == [ahead]
    assert replace(trail.changes(NOW)[0], at=NOW) == change(mine)
