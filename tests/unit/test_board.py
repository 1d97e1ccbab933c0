"""What of a turn is served, and for how long; and that its text reads back whatever a pool is called."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoscaler.clock import SetClock
from autoscaler.log import Log
from autoscaler.web import board as boards
from autoscaler.web import exposition
from autoscaler.web.board import Latest
from policies.plan import Guard
from tests.worlds.served import NOW, TTL_S, action, held, parsed, pool, turn

FLOOR = "minReplicas of HorizontalPodAutoscaler web"


def board(done, declared=(), *, now=NOW, elapsed_s=0.0):
    """The board of a turn, as posted at a moment."""
    return boards.of(done, declared, now=now, elapsed_s=elapsed_s)


def recommended(*pools, **more):
    """What a turn recommends for each pool."""
    done = board(turn(*pools, **more))
    return {name: one.recommended for name, one in done.standings.items()}


def test_an_action_is_recommended_and_else_the_size_is_kept():
    """What the plan would make of a pool; without an action what it is now, ready or not, held or not."""
    pools = pool("web", 4), pool("api", 20, ready=3), pool("db", 7)
    got = recommended(*pools, actions=[action("web", 4, 8)], holds=[held("db", 7, 5)], unknown=["api"])
    assert got == {"web": 8, "api": 20, "db": 7}


def test_a_pool_that_was_not_seen_has_none_and_the_reason_is_told():
    """What its provider said, else its gap; a pool that nobody shows is not a pool of zero units."""
    done = turn(
        pool("web"),
        unanswered={"api": "timed out"},
        gaps=[{"source": "db", "code": "NOT_FOUND", "why": "db is in no provider's list"}],
    )
    got = board(done, ["web", "api", "db", "old"])
    assert set(got.standings) == {"web"}
    assert dict(got.unseen) == {
        "api": "timed out",
        "db": "db is in no provider's list",
        "old": boards.NOT_LISTED,
    }


def test_a_floor_is_recommended_where_it_is_known_to_be_enough():
    """Of a pool whose floor is set the floor is served: with an action or a held shrink, or as it is."""
    pools = [pool(name, 2, ready=10, lever=FLOOR) for name in ("grows", "stays", "shrinks", "full")]
    got = recommended(
        *pools,
        actions=[action("grows", 2, 6), action("full", 2, 50)],
        holds=[held("shrinks", 2, 1), held("full", 50, 60, Guard.MAXIMUM)],
    )
    assert got == {"grows": 6, "stays": 2, "shrinks": 2, "full": 50}


@pytest.mark.parametrize("guard", [Guard.OWNED, Guard.FROZEN, Guard.MONEY_BUDGET])
def test_a_floor_whose_growth_is_held_is_no_recommendation(guard):
    """Ten units serve above a floor of two and ten are needed: whoever followed the floor would shrink it."""
    done = turn(pool("web", 2, ready=10, lever=FLOOR), holds=[held("web", 2, 10, guard)])
    one = board(done).standings["web"]
    assert one.recommended is None
    assert guard in one.why
    assert FLOOR in one.why


def test_a_floor_is_no_recommendation_where_demand_is_not_known():
    """Unknown demand keeps a size, and a floor is none; growth on what little is known changes nothing."""
    floor = pool("web", 2, ready=10, lever=FLOOR)
    assert recommended(floor, unknown=["web"]) == {"web": None}
    assert recommended(floor, unknown=["web"], actions=[action("web", 2, 4)]) == {"web": None}
    assert recommended(pool("web", 2, ready=10), unknown=["web"]) == {"web": 2}


@example(took=0, passed=10, step=TTL_S)
@example(took=0, passed=TTL_S, step=-3600)
@example(took=300, passed=300, step=-300)
@example(took=300, passed=299, step=0)
@given(took=st.integers(0, 2 * TTL_S), passed=st.integers(0, 2 * TTL_S), step=st.integers(-90_000, 90_000))
def test_f32_a_plan_is_served_no_longer_than_it_lives_whatever_the_clock_does(took, passed, step):
    """By the time that went by since it was made; a step of the wall may end it sooner, never later."""
    one = board(turn(pool("web")), now=NOW + timedelta(seconds=took), elapsed_s=50.0 + took)
    elapsed = 50.0 + took + passed
    late = one.late(NOW + timedelta(seconds=took + passed + step), elapsed)
    assert one.age_s(elapsed) == took + passed
    assert bool(late) == (took + passed >= TTL_S or took + passed + step >= TTL_S)


def test_a_board_that_cannot_be_made_leaves_the_old_one_and_is_told():
    """Posting never raises into the loop."""
    said = io.StringIO()
    clock = SetClock(NOW)
    latest = Latest(clock, Log(said, clock, form="json"))
    latest.post(turn(pool("web")), ["web"])
    before = latest.board
    latest.post(SimpleNamespace(), ["web"])
    assert latest.board is before
    (line,) = map(json.loads, said.getvalue().splitlines())
    assert (line["level"], line["event"]) == ("error", "recommendations not served")


# Without halves of surrogates: neither YAML nor UTF-8 has them.
HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ['a"} 1\n', "\\", '\\"', "a\nb", "\\n", "{}", "é😀", "\x00", "a,b=", "# TYPE x gauge", " "]
)


@given(names=st.sets(HOSTILE, max_size=8))
def test_whatever_a_pool_is_called_its_metrics_read_back(names):
    """Each pool has its own value under its own name, and no name makes a line or a label of its own."""
    pools = [pool(name, number, ready=0) for number, name in enumerate(sorted(names))]
    holds = [held(one.id, 9, 8, guard) for one in pools for guard in (Guard.STEP, Guard.STEP, Guard.OWNED)]
    got = parsed(exposition.of_pools(board(turn(*pools, holds=holds)))) if pools else {}
    expected = {}
    for one in pools:
        expected["loadline_recommended_replicas", (("pool", one.id),)] = one.desired
        expected["loadline_capacity", (("pool", one.id), ("kind", "actual"))] = 0
        expected["loadline_capacity", (("pool", one.id), ("kind", "desired"))] = one.desired
        for guard in ("STEP", "OWNED"):
            expected["loadline_held", (("pool", one.id), ("guard", guard))] = 1
    assert got == expected


def test_a_family_without_samples_is_absent():
    """A pool without a recommendation has no such series, and nothing held is no line at all."""
    text = exposition.of_pools(board(turn(pool("web", 2, lever=FLOOR), unknown=["web"])))
    assert "loadline_recommended_replicas" not in text
    assert "loadline_held" not in text
    assert 'loadline_capacity{pool="web",kind="desired"} 2' in text
