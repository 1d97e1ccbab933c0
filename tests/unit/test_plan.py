"""The plan as a value: ids, inverses, money, and its JSON, by hand."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from policies.model import Gap, Pool, PoolKind, Snapshot, canonical, digest, iso, plain
from policies.plan import (
    Action,
    ActionKind,
    Fact,
    Finding,
    Guard,
    Held,
    Plan,
    PlanError,
    Reason,
    UndoClass,
    UsdRange,
    kind_of,
    total_usd,
)
from policies.plan_json import plan_from_json, plan_to_json

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def action(before=4, after=6, target="web", **other) -> Action:
    values = {
        "kind": kind_of(before, after),
        "reason": Reason.FORECAST_PEAK,
        "not_before": NOW,
        "expires_at": LATER,
        "version": "7",
        "because": (Fact(name="demand now", value=5.5, unit="units"), Fact(name="scaler", value="hpa")),
        "hourly_delta_usd": UsdRange(0.1, 0.2, 0.4),
        "confidence": 0.9,
    }
    return Action(before=before, after=after, target=target, **(values | other))


def a_plan(**other) -> Plan:
    finding = Finding(
        check="idle",
        resource="disk-1",
        evidence=(Fact(name="reads", value=0),),
        monthly_usd=UsdRange(1.0, 2.0, 3.0),
        confidence=0.5,
        remedy=action(1, 0, "disk-1"),
    )
    values = {
        "made_at": NOW,
        "expires_at": LATER,
        "snapshot_digest": "s",
        "policy_digest": "p",
        "forecasts_digest": "f",
        "actions": (action(), action(9, 3, "batch", hourly_delta_usd=None, confidence=None)),
        "held": (Held(action=action(6, 8), guard=Guard.STEP, why="too far"),),
        "findings": (finding,),
        "gaps": (Gap(source="ci", code="INSUFFICIENT_DATA", why="silent"),),
        "complete": False,
    }
    return Plan(**(values | other))


def test_ids_are_those_of_the_first_release():
    """Ids are stored, mailed and approved: they do not change with the program."""
    assert action().id == "1cb8982b3c14576b"
    assert a_plan().id == "7cb9d2dd11b2737f"


def test_an_empty_plan_has_an_id_of_its_own():
    """Nothing to do is a plan too, the same one every time."""
    nothing = a_plan(actions=(), held=())
    assert nothing.id == a_plan(actions=(), held=(), made_at=LATER).id != a_plan().id


def test_values_do_not_change():
    """An action and a plan are frozen."""
    with pytest.raises(FrozenInstanceError):
        action().after = 5
    with pytest.raises(FrozenInstanceError):
        a_plan().actions = ()


def test_the_inverse_brings_back_what_was():
    """Kind, sizes and money are turned round; the version is whatever the target then has."""
    back = action().inverse()
    assert (back.kind, back.before, back.after, back.target) == (ActionKind.SCALE_IN, 6, 4, "web")
    assert back.hourly_delta_usd == UsdRange(-0.4, -0.2, -0.1)
    assert (back.version, back.reason, back.confidence, back.disruption) == ("", Reason.UNDO, None, 2)
    assert back.because == (Fact(name="undoes", value=action().id),)
    assert back.inverse().id == action().id
    assert action(6, 4).inverse().disruption == 0
    assert action(hourly_delta_usd=None).inverse().hourly_delta_usd is None


def test_the_inverse_of_a_plan_is_last_first():
    """What was done last is taken back first, with times of its own; what was held is not."""
    back = a_plan().inverse(made_at=LATER, expires_at=LATER + timedelta(hours=1))
    assert [(a.target, a.before, a.after) for a in back.actions] == [("batch", 3, 9), ("web", 6, 4)]
    assert (back.held, back.findings, back.made_at) == ((), (), LATER)
    assert {a.not_before for a in back.actions} == {LATER}
    assert {a.expires_at for a in back.actions} == {LATER + timedelta(hours=1)}


def test_money_is_summed_apart_for_what_is_billed_and_what_is_allocated():
    """A deployment's replicas save nothing until a node goes; what has no price counts nowhere."""
    made = a_plan(
        actions=(
            action(),
            action(9, 3, "a", hourly_delta_usd=UsdRange(-3.0, -2.0, -1.0)),
            action(1, 2, "pods", billable=False, hourly_delta_usd=UsdRange(5.0, 5.0, 5.0)),
            action(1, 2, "unpriced", hourly_delta_usd=None),
        )
    )
    assert made.hourly_delta_usd() == pytest.approx((-2.9, -1.8, -0.6))
    assert made.hourly_delta_usd(billable=False) == UsdRange(5.0, 5.0, 5.0)
    assert total_usd([]) == total_usd([None]) == UsdRange(0, 0, 0)


def test_json_is_canonical_and_complete():
    """One text for one plan: sorted keys, no spaces, stamps with Z; and it reads back."""
    text = plan_to_json(a_plan())
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert '"made_at":"2026-03-02T09:00:00Z"' in text
    assert plan_from_json(text) == a_plan()
    assert plan_from_json(json.dumps(json.loads(text), indent=2)) == a_plan()


def damaged(path, value):
    raw = json.loads(plan_to_json(a_plan()))
    *way, last = path
    place = raw
    for key in way:
        place = place[key]
    place[last] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("format_version",), 2, "format_version is 2; this program reads 1"),
        (("id",), "0" * 16, "id does not fit"),
        (("made_at",), "2026-03-02T09:00:00", "has no time zone"),
        (("made_at",), "2026-03-02T10:00:00+01:00", "made_at does not fit"),
        (("made_at",), "soon", "soon"),
        (("complete",), 1, "complete is 1, neither true nor false"),
        (("surprise",), 1, "surprise does not fit"),
        (("actions", 0, "before"), 3, "actions does not fit"),
        (("actions", 0, "after"), True, "after is True, not a whole number"),
        (("actions", 0, "after"), 6.0, "after is 6.0, not a whole number"),
        (("actions", 0, "kind"), "delete", "delete"),
        (("actions", 0, "reason"), "WHIM", "WHIM"),
        (("actions", 0, "version"), 7, "version is 7, not a text"),
        (("actions", 0, "billable"), "yes", "billable is 'yes', neither"),
        (("actions", 0, "confidence"), "high", "confidence is 'high', not a finite number"),
        (("actions", 0, "confidence"), float("nan"), "NaN is no number"),
        (("actions", 0, "hourly_delta_usd"), [1, 2], "unpack"),
        (("actions", 0, "hourly_delta_usd"), [3, 2, 1], "not low, mid and high in order"),
        (("actions", 0, "because"), [{"name": "x"}], "the key 'unit' is missing"),
        (("actions",), {"0": 1}, "indices"),
        (("held", 0, "guard"), "MOOD", "MOOD"),
        (("held", 0, "guard"), "FROZEN", "id does not fit"),
        (("held", 0, "why"), None, "why is None, not a text"),
        (("findings", 0, "confidence"), None, "confidence is None, not a finite number"),
        (("gaps", 0, "why"), 5, "why is 5, not a text"),
        (("snapshot_digest",), None, "snapshot_digest is None, not a text"),
    ],
)
def test_a_text_that_is_no_plan_says_where(path, value, told):
    """Each wrong key is named in one line, with what it should be."""
    with pytest.raises(PlanError) as caught:
        plan_from_json(damaged(path, value))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ("<html>", "not JSON"),
        ("[]", "a plan is a JSON object"),
        ("null", "a plan is a JSON object"),
        ("{}", "format_version is None"),
        ('{"format_version": 1}', "the key 'made_at' is missing"),
        ("[" * 100_000, "not JSON"),
        ('{"format_version": ' + "9" * 5000 + "}", "not JSON"),
        ('{"format_version": Infinity}', "Infinity is no number"),
    ],
    ids=["empty", "html", "list", "null", "object", "bare", "deep", "long", "endless"],
)
def test_what_is_no_plan_at_all_is_refused(text, told):
    """Nothing, a web page, another JSON, absurd nesting or digits: one line, no traceback."""
    with pytest.raises(PlanError, match=told):
        plan_from_json(text)


def test_closed_lists():
    """What the program can do, why, and what can hold it: a change here is a change for everyone."""
    assert {kind.value for kind in ActionKind} == {"scale-out", "scale-in"}
    assert {guard.value for guard in Guard} == {
        "INSUFFICIENT_DATA", "MAXIMUM", "LIVE_DEMAND", "FROZEN", "PROTECTED", "COOL_DOWN", "STEP",
        "CHANGE_BUDGET", "SERVICE_LEVEL", "INCIDENT", "DEPLOYING", "ZONE_IMPAIRED", "UNREADY", "WARM_UP",
        "RECENT_GROWTH", "PENDING_WORK", "IN_FLIGHT", "FREEZE_WINDOW", "FLAPPING", "MONEY_BUDGET",
        "FLEET_SHARE", "MODE", "APPROVAL", "NOT_CONFIRMED", "LEASE", "OWNED", "SUSPENDED", "NODE_PRESSURE",
        "DISRUPTION_BUDGET",
    }  # fmt: skip
    assert {one.value for one in UndoClass} == {"reversible", "recoverable", "irreversible"}
    assert kind_of(1, 2) is ActionKind.SCALE_OUT
    assert kind_of(2, 1) is ActionKind.SCALE_IN


def test_stamps_are_written_in_utc():
    """Another zone is turned to UTC; a moment without a zone is refused."""
    assert iso(datetime(2026, 3, 2, 10, tzinfo=timezone(timedelta(hours=1)))) == "2026-03-02T09:00:00Z"
    assert iso(NOW + timedelta(microseconds=5)) == "2026-03-02T09:00:00.000005Z"
    with pytest.raises(ValueError, match="no time zone"):
        iso(NOW.replace(tzinfo=None))


def test_canonical_json_refuses_what_json_has_not():
    """NaN and strange types have no text; mappings do not depend on their order."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"x": float("nan")})
    with pytest.raises(TypeError, match="object has no JSON shape"):
        plain(object())
    assert (
        canonical({"b": 1, "a": (1, None)}) == canonical({"a": [1, None], "b": 1}) == '{"a":[1,null],"b":1}'
    )
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1}) != digest({"a": 2, "b": 2})


def test_a_snapshot_is_named_by_its_content():
    """The same world has the same digest, another size another one."""
    pool = Pool(
        id="web", provider="fake", kind=PoolKind.RUNNERS, desired=3, ready={"a": 2, "b": 1}, minimum=1,
        maximum=9, demands=(),
    )  # fmt: skip
    one, same = Snapshot(taken_at=NOW, pools=(pool,)), Snapshot(taken_at=NOW, pools=(replace(pool),))
    assert one.digest == same.digest != Snapshot(taken_at=NOW, pools=(replace(pool, desired=4),)).digest
    assert (pool.ready_units, pool.billable) == (3, True)
    assert not replace(pool, kind=PoolKind.DEPLOYMENT).billable
