"""What people say is kept, lifted, used once, and found again after a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from autoscaler.errors import Fenced, StoreError
from autoscaler.store.database import connect, writing
from autoscaler.store.people import SqlPeople
from autoscaler.store.trail import SqlTrail
from autoscaler.store.verdicts import SqlVerdicts
from policies.conditions import Approval
from policies.deeds import Verdict
from policies.plan import Action, Change, Fact, Guard, Held, Outcome, Plan, Reason, Status, kind_of
from policies.policy import Freeze, Scope

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def action(target="web", before=4, after=6):
    """A change of size."""
    return Action(
        kind=kind_of(before, after),
        target=target,
        before=before,
        after=after,
        reason=Reason.DEMAND_LOW,
        not_before=NOW,
        expires_at=NOW + HOUR,
    )


def word(of, *, granted=True, at=NOW, lasts=24 * HOUR, by="ann"):
    """A person's word on an action."""
    return Approval(action_id=of.id, granted=granted, by=by, why="looked", at=at, expires_at=at + lasts)


@pytest.fixture
def engine(tmp_path):
    """A new store."""
    made = connect(str(tmp_path / "loadline.db"))
    yield made
    made.dispose()


@pytest.fixture
def people(engine):
    """The people of a new store."""
    return SqlPeople(engine)


@pytest.fixture
def trail(engine):
    """The trail of the same store."""
    return SqlTrail(engine)


@pytest.fixture
def verdicts(engine):
    """The verdicts of the same store."""
    return SqlVerdicts(engine)


def done(trail, of, *, at=NOW, status=Status.APPLIED):
    """An action tried and concluded; its key."""
    key = trail.intend("p", of, at)
    change = Change(target=of.target, at=at, before=of.before, after=of.after)
    trail.conclude(key, Outcome(action_id=of.id, status=status, at=at), change)
    return key


def test_f67_a_freeze_holds_until_it_is_lifted_or_over_and_survives_a_restart(tmp_path, people):
    """In force from the moment it is said, for another process too; over at `until`, to the second."""
    forever = Freeze(scope=Scope.ALL, why="storm")
    short = Freeze(scope=Scope.POOL, name="web", why="hand work", until=NOW + HOUR)
    people.freeze(forever, "ann", NOW)
    people.freeze(short, "bob", NOW)
    again = SqlPeople(connect(str(tmp_path / "loadline.db")))
    assert again.freezes(NOW) == (forever, short)
    assert again.freezes(NOW + HOUR - timedelta(seconds=1)) == (forever, short)
    assert again.freezes(NOW + HOUR) == (forever,)
    assert again.freezes(NOW - HOUR) == (forever, short), "a clock that stepped back lifts nothing"


def test_lifting_is_of_exactly_what_was_frozen(people):
    """Everything's freeze is not a pool's: each is lifted by its own scope and name, all of one at once."""
    web, api = (Freeze(scope=Scope.POOL, name=name, why="x") for name in ("web", "api"))
    for freeze in (web, web, api, Freeze(scope=Scope.ALL)):
        people.freeze(freeze, "ann", NOW)
    assert people.lift(Scope.PROVIDER, "web", "bob", "done", NOW) == 0
    assert people.lift(Scope.POOL, "web", "bob", "done", NOW + HOUR) == 2
    assert people.lift(Scope.POOL, "web", "bob", "again", NOW + HOUR) == 0
    assert people.lift(Scope.ALL, "", "bob", "done", NOW) == 1
    assert people.freezes(NOW) == (api,)
    first = people.frozen()[0]
    assert (first.by, first.lifted_by, first.lifted_why, first.lifted_at) == (
        *("ann", "bob", "done"),
        NOW + HOUR,
    )
    assert first.held_at(NOW)
    assert not first.held_at(NOW + HOUR)


def test_an_approval_is_used_once(people):
    """What was used is gone, for the same action at another time too; a new word is needed."""
    mine = action()
    people.approve(word(mine))
    people.approve(word(mine))
    assert [a.granted for a in people.approvals(NOW)] == [True]
    assert people.use_approval(mine.id, "k1") is True
    assert people.approvals(NOW) == ()
    assert people.use_approval(mine.id, "k2") is False, "an older word does not come back"
    people.approve(word(mine, at=NOW + HOUR))
    assert len(people.approvals(NOW + HOUR)) == 1
    assert [said.used_by for said in people.said(mine.id)] == ["", "k1", ""]


def test_words_of_one_command_are_kept_all_or_none(people, engine):
    """Where the second cannot be written the first is not either."""
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER t BEFORE INSERT ON approval WHEN NEW.row = 2 BEGIN SELECT RAISE(ABORT, ''); END"
        )
    with pytest.raises(StoreError):
        people.approve(word(action()), word(action("api")))
    assert people.approvals(NOW) == ()


def test_the_newest_word_counts(people):
    """A rejection takes an approval back, and outlives it even after it expired."""
    mine, other = action(), action("api")
    people.approve(word(mine, lasts=72 * HOUR))
    people.approve(word(mine, granted=False, by="eve", lasts=HOUR))
    people.approve(word(other))
    assert [(a.action_id, a.granted) for a in people.approvals(NOW)] == [(mine.id, False), (other.id, True)]
    assert people.use_approval(mine.id, "k") is False
    assert [a.action_id for a in people.approvals(NOW + 2 * HOUR)] == [other.id]
    assert people.approvals(NOW + 24 * HOUR) == ()


def test_f71_a_word_is_bound_to_one_action(people):
    """An approval of another size of the same pool is no approval."""
    people.approve(word(action(after=6)))
    assert people.use_approval(action(after=7).id, "k") is False


def test_only_wishes_of_plans_that_have_not_expired_are_open(trail):
    """Actions and held ones of a plan are open until its last sighting expires, the newest plan first."""
    grow, shrink = action(), action("api", 9, 3)

    def plan(*actions, at, held=()):
        digests = {f"{name}_digest": "" for name in ("snapshot", "policy", "forecasts")}
        return Plan(made_at=at, expires_at=at + HOUR, actions=actions, held=held, **digests)

    trail.record_plan(plan(grow, at=NOW, held=(Held(action=shrink, guard=Guard.FLEET_SHARE),)))
    trail.record_plan(plan(grow, at=NOW + HOUR / 2))
    assert [w.action.id for w in trail.open_wishes(NOW)] == [grow.id, shrink.id]
    assert [w.action.id for w in trail.open_wishes(NOW + HOUR)] == [grow.id]
    trail.record_plan(plan(grow, at=NOW + HOUR))
    assert [w.action.id for w in trail.open_wishes(NOW + 1.6 * HOUR)] == [grow.id]
    assert trail.open_wishes(NOW + 2 * HOUR) == ()


def test_f62_an_older_generation_intends_nothing_more(trail):
    """Once a newer leader has acted, an intent of an older one is Fenced and not written."""
    first, second = trail.raise_generation(), trail.raise_generation()
    assert 0 < first < second == trail.generation()
    trail.intend("p", action(), NOW, generation=first)
    trail.intend("p", action(), NOW, generation=second)
    with pytest.raises(Fenced, match=f"generation {first} does not lead any more: generation {second}"):
        trail.intend("p", action(), NOW, generation=first)
    assert [deed.generation for deed in trail.pool("web")] == [first, second]
    trail.intend("p", action(), NOW, generation=second + 5)
    assert trail.raise_generation() == second + 6, "never one that has acted already"


def test_a_pool_is_first_seen_once(trail):
    """The first moment stays, whatever comes later; a new pool gets its own."""
    trail.see_pools(["web"], NOW)
    trail.see_pools(["web", "api"], NOW + HOUR)
    assert dict(trail.first_seen()) == {"web": NOW, "api": NOW + HOUR}


def test_a_part_that_was_done_counts_as_a_change(trail):
    """F42: a partial outcome's change is among the changes, and it is not in doubt."""
    done(trail, action(), status=Status.PARTIAL)
    assert len(trail.changes(NOW)) == 1
    assert trail.doubtful() == ()


def test_what_was_made_is_unverified_until_a_final_verdict(trail, verdicts):
    """Waiting is no verdict; what failed or was refused has nothing to verify."""
    grow, old = done(trail, action()), done(trail, action(after=9), at=NOW - HOUR)
    failed = trail.intend("p", action(after=7), NOW)
    trail.conclude(failed, Outcome(action_id=action(after=7).id, status=Status.FAILED, at=NOW), None)
    assert [deed.key for deed in verdicts.unverified(NOW)] == [grow]
    assert [deed.key for deed in verdicts.unverified(NOW - HOUR)] == [grow, old]
    for _ in range(3):
        verdicts.judge(grow, Verdict.WAITING, (), NOW)
    assert len(verdicts.judged([grow])) == 1, "the same again is not kept"
    assert [deed.key for deed in verdicts.unverified(NOW)] == [grow]
    facts = (Fact(name="ready", value=6, unit="units"),)
    verdicts.judge(grow, Verdict.CONFIRMED, facts, NOW + HOUR)
    assert verdicts.unverified(NOW) == ()
    assert verdicts.judged([grow])[-1].facts == facts
    with pytest.raises(StoreError, match="no intent with the key"):
        verdicts.judge("nothing", Verdict.LATE, (), NOW)


def test_reverts_are_counted_by_pool_and_time(trail, verdicts):
    """Each reverted change counts once, for its pool, from `since` on."""
    for number in range(3):
        key = done(trail, replace(action(after=10 + number)))
        verdicts.judge(key, Verdict.WORSE, (), NOW + number * HOUR)
        verdicts.judge(key, Verdict.REVERTED, (), NOW + number * HOUR)
    assert [verdicts.reverts("web", NOW + n * HOUR) for n in range(4)] == [3, 2, 1, 0]
    assert verdicts.reverts("api", NOW) == 0


def test_what_was_reverted_at_one_moment_is_one_revert(trail, verdicts):
    """Shrinks that are taken back together count once among the reverts of a day."""
    keys = [done(trail, action(before=10 - n, after=9 - n)) for n in range(3)]
    for key in keys:
        verdicts.judge(key, Verdict.REVERTED, (), NOW + HOUR)
    assert verdicts.reverts("web", NOW) == 1


def test_arrivals_are_the_newest_final_verdicts_on_growths(trail, verdicts):
    """Oldest first, of that pool, intended since; neither what is waited for nor a shrink is among them."""
    said = (Verdict.CONFIRMED, Verdict.LATE, Verdict.WAITING, Verdict.UNKNOWN)
    for number, verdict in enumerate(said):
        key = done(trail, action(before=4 + number, after=5 + number), at=NOW + number * HOUR)
        verdicts.judge(key, Verdict.WAITING, (), NOW)
        verdicts.judge(key, verdict, (), NOW + 9 * HOUR)
    verdicts.judge(done(trail, action(before=9, after=8), at=NOW + 5 * HOUR), Verdict.REVERTED, (), NOW)
    verdicts.judge(done(trail, action("api"), at=NOW + 5 * HOUR), Verdict.LATE, (), NOW)
    done(trail, action(after=30), at=NOW + 6 * HOUR)
    final = (Verdict.CONFIRMED, Verdict.LATE, Verdict.UNKNOWN)
    assert verdicts.arrivals("web", NOW, last=9) == final
    assert verdicts.arrivals("web", NOW, last=2) == final[1:]
    assert verdicts.arrivals("web", NOW + 2 * HOUR, last=9) == final[2:]


def test_events_are_kept_by_pool(verdicts):
    """An event is found for its pool, one that is about none under no name."""
    verdicts.event("REVERTED", "web", "taken back", NOW)
    verdicts.event("RELOADED", "", "12 pools", NOW + HOUR)
    assert [e.kind for e in verdicts.events(pool="web")] == ["REVERTED"]
    assert [e.text for e in verdicts.events(pool="")] == ["12 pools"]
    assert [e.pool for e in verdicts.events()] == [e.pool for e in verdicts.events(since=NOW)] != []
    assert verdicts.events(pool="web", since=NOW + HOUR) == ()
