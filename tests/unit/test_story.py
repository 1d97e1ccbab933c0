"""The trail in words: each kind of entry, freezes, and words of strangers that cannot do harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from autoscaler.store.tables import CHAINED
from dashboards.story import Story, approval_line, differences, entries_text, freeze_lines, story_text
from policies.conditions import Approval
from policies.deeds import Deed, Frozen, Judged, Said, Verdict
from policies.plan import Action, Fact, Outcome, Plan, Reason, Status, kind_of
from policies.policy import Freeze, Scope

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
AT = NOW.isoformat()
HARM = "\x1b[2J\u202eevil\n" + "x" * 10_000

ENTRIES = {
    "plan": (
        {"id": "p1", "made_at": AT, "expires_at": AT, "body": "{}"},
        "plan p1, good until 2026-03-02 08:00Z",
    ),
    "intent": (
        {"action_id": "a1", "target": "web", "plan_id": "p1", "at": AT, "generation": 3},
        "about to do a1 on web, of plan p1, generation 3",
    ),
    "outcome": ({"status": "failed", "intent_row": 1, "at": AT, "error": "no"}, "failed (intent 1), no"),
    "freeze": ({"scope": "all", "name": "", "why": "storm", "by": "ann", "at": AT}, "ann froze everything"),
    "lift": ({"freeze_row": 1, "why": "over", "by": "bob", "at": AT}, "bob lifted freeze 1: over"),
    "approval": (
        {"action_id": "a1", "granted": 0, "why": "no", "by": "eve", "at": AT},
        "eve rejected a1: no",
    ),
    "approval_use": ({"approval_row": 1, "key": "k"}, "approval 1 was used by k"),
    "verdict": ({"verdict": "worse", "intent_row": 1, "facts": "[]", "at": AT}, "worse (intent 1)"),
    "event": ({"kind": "REVERTED", "pool": "web", "text": "back", "at": AT}, "REVERTED web: back"),
    "generation": ({"number": 7}, "generation 7 leads"),
    "pool_seen": ({"pool": "web", "at": AT}, "web was first seen"),
}


def action():
    """A shrink that takes another action back."""
    return Action(
        kind=kind_of(6, 4),
        target="web",
        before=6,
        after=4,
        reason=Reason.UNDO,
        because=(Fact(name="undoes", value="a0"),),
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


def plan(*actions, **other):
    """A plan of these actions."""
    digests = {f"{name}_digest": "" for name in ("snapshot", "policy", "forecasts")}
    return Plan(
        **{"made_at": NOW, "expires_at": NOW + timedelta(hours=1), "actions": actions} | digests | other
    )


@pytest.mark.parametrize("table", ENTRIES)
def test_each_entry_is_one_sentence(table):
    """An entry tells its moment, its table, and what happened, without the names of columns."""
    values, said = ENTRIES[table]
    text = entries_text([(table, {"row": 1, **values})])
    assert table in CHAINED
    assert said in text
    assert "{" not in text


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("verdict", Verdict)
def test_every_status_and_verdict_has_words(status, verdict):
    """A story can be told of any outcome and any verdict, a partial one too."""
    mine = action()
    deed = Deed(
        key="k",
        plan_id="p",
        action=mine,
        at=NOW,
        outcome=Outcome(action_id=mine.id, status=status, at=NOW),
        generation=3,
    )
    judged = Judged(key="k", verdict=verdict, at=NOW)
    text = story_text(Story(plan=plan(mine), entry=mine, deeds=[deed], judged=[judged], undone=[deed]))
    assert "by the leader of generation 3, key k" in text
    assert f"verdict  2026-03-02 08:00Z  {verdict}: " in text
    assert f"undone   2026-03-02 08:00Z  by {mine.id} of plan p: " in text


def test_f76_words_of_strangers_are_inert_and_cut():
    """Escapes, reordering marks and 10 kB in a name or a reason neither steer a terminal nor fill it."""
    mine, freeze = action(), Freeze(scope=Scope.POOL, name=HARM, why=HARM)
    word = Approval(action_id=mine.id, granted=True, by=HARM, why=HARM, at=NOW, expires_at=NOW)
    frozen = Frozen(freeze=freeze, by=HARM, at=NOW, lifted_by=HARM, lifted_at=NOW, lifted_why=HARM)
    texts = [
        story_text(Story(plan=plan(mine), entry=mine, said=[Said(approval=word)], frozen=[frozen])),
        "\n".join(freeze_lines([(freeze, HARM)])),
        approval_line(word, mine),
        entries_text([("event", {"kind": HARM, "pool": HARM, "text": HARM, "at": AT})]),
    ]
    for text in texts:
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text) < 4_000


@pytest.mark.parametrize("only", [False, True])
def test_a_freeze_that_lets_grow_says_so_everywhere(only):
    """What holds shrinking alone is told as that in the story, in the trail and in the list."""
    freeze = Freeze(scope=Scope.POOL, name="web", why="worse", shrinks_only=only)
    mine = action()
    row = {"scope": "pool", "name": "web", "why": "worse", "by": "loadline", "at": AT}
    texts = [
        story_text(Story(plan=plan(mine), entry=mine, frozen=[Frozen(freeze=freeze, by="loadline", at=NOW)])),
        entries_text([("freeze", {**row, "shrinks_only": int(only)})]),
        *freeze_lines([(freeze, "loadline freeze")]),
    ]
    for text in texts:
        assert ("shrinking only" in text) is only
        assert "shrinks_only" not in text


def test_what_differs_between_two_plans_is_told():
    """Digests, ids and wishes that differ are named, and so is what differs beside them."""
    mine = plan(action())
    assert differences(mine, plan(action())) == []
    assert differences(mine, plan(action(), policy_digest="y")) == ["policy digest:  then, y now"]
    assert differences(mine, plan(action(), made_at=NOW + timedelta(1))) == [
        "money, evidence, gaps or times, though the wishes are the same"
    ]
    gone = differences(mine, plan())
    assert gone[0].startswith("id: ")
    assert gone[1] == f"then, not now: {action().id}  web  6 -> 4 units"
