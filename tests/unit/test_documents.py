"""The twins of a plan: each says the same, and none of them can be made to do something else."""

from __future__ import annotations

import csv
import io
import json
import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dashboards import wording
from dashboards.documents import COLUMNS, OUTPUTS, as_csv, as_json, as_markdown, as_yaml, render
from dashboards.story import Story, story_text
from dashboards.tables import replay_table
from dashboards.terminal import plan_text
from policies.deeds import Deed
from policies.model import SERVED, Gap, plain
from policies.plan import Change, Fact, Outcome, Status
from policies.plan_json import plan_from_json

WORLD = Path(__file__).parents[1] / "worlds" / "eight_pools.py"
W = SimpleNamespace(**runpy.run_path(str(WORLD)))
EVIL = ["=cmd()", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "<script>alert(1)</script>"]
names = st.text(max_size=40) | st.sampled_from(
    [*EVIL, "a|b`c", "@team #12", "[x](http://e.vil)", "\u202eabc"]
)


def named(target: str, why: str):
    action = replace(W.WEB, target=target)
    held = replace(W.PLAN.held[0], action=action, why=why)
    return replace(W.PLAN, actions=(action,), held=(held,), gaps=(Gap(source=target, code="X", why=why),))


@pytest.mark.parametrize("plan", [W.PLAN, replace(W.PLAN, actions=(), held=())], ids=["full", "empty"])
def test_json_reads_back_to_the_same_plan(plan):
    """The indented JSON is the plan: reading it gives an equal one with the same id."""
    again = plan_from_json(as_json(plan))
    assert again == plan
    assert again.id == plan.id


@given(names, names)
def test_f76_json_and_yaml_are_plain_ascii_whatever_the_names(target, why):
    """Hostile names come back equal from both twins, and stand in them escaped."""
    plan = named(target, why)
    for text in (as_json(plan), as_yaml(plan)):
        assert all(char == "\n" or " " <= char <= "~" for char in text)
    assert plan_from_json(as_json(plan)) == plan
    assert yaml.safe_load(as_yaml(plan)) == plain(plan) == json.loads(as_json(plan))


def test_csv_has_one_row_for_each_action_and_each_held():
    """A sheet has the columns it promises and one row a wish, in the plan's order."""
    head, *rows = csv.reader(io.StringIO(as_csv(W.PLAN)))
    assert tuple(head) == COLUMNS
    assert [row[1] for row in rows] == [a.target for a in W.PLAN.actions] + [
        h.action.target for h in W.PLAN.held
    ]
    assert all(len(row) == len(COLUMNS) for row in rows)
    batch = dict(zip(head, rows[2], strict=True))
    assert (batch["before"], batch["after"], batch["hourly_usd_mid"]) == ("40", "20", "-3.4")
    dev = dict(zip(head, rows[4], strict=True))
    assert dev["hourly_usd_mid"] == dev["confidence"] == ""


@given(names, names)
def test_f76_no_csv_cell_is_a_formula(target, why):
    """No cell that is not a number begins, after spaces, as a spreadsheet's formulas do."""
    for row in csv.reader(io.StringIO(as_csv(named(target, why)))):
        for cell in row:
            try:
                float(cell)
            except ValueError:
                assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


@given(names, names)
def test_f76_markdown_keeps_its_shape_whatever_the_names(target, why):
    """A hostile name adds no line, no cell, no tag, no link and no mention to the comment."""
    lines = as_markdown(named(target, why)).splitlines()
    calm = as_markdown(named("web", "because")).splitlines()
    assert len(lines) == len(calm)
    for line, model in zip(lines, calm, strict=True):
        assert line.replace("\\|", "").count("|") == model.count("|")
    outside = "\n".join(part for line in lines for part in line.split("`")[::2])
    assert "@team" not in outside
    for tag in ("<details>", "</details>", "<summary>", "</summary>", "<!-- -->"):
        outside = outside.replace(tag, "\0")
    assert "<" not in outside.replace("\\<", "")
    assert "](" not in outside.replace("\\]", "")
    assert "http:" not in outside


def test_markdown_says_what_the_terminal_says():
    """Verdict, totals, held guards and the gaps stand in the comment as in the terminal."""
    text = as_markdown(W.PLAN, pools=W.POOLS, steps=wording.steps(W.PLAN, saved_as="plan.json"))
    assert text.startswith("### Loadline: 2 out, 3 in, 3 held\n")
    assert "| `+` | `web` | 10 → 14 | +\\$0.384/h | +\\$280/month |" in text
    assert "**Total, billable: +\\$6.20/h, +\\$4,529/month**, from \\$295.51/h to \\$301.71/h" in text
    assert "Not in the money, price unknown: `dev`" in text
    assert "| `gpu-training` | 8 → 4 | `PROTECTED` | until its protection is lifted |" in text
    assert "- `metrics: queue_depth`: no sample since" in text
    assert "`loadline apply plan.json`" in text
    assert "apply" not in as_markdown(W.PLAN, pools=W.POOLS)
    assert "over all billable pools" not in as_markdown(W.PLAN, pools={"web": W.POOLS["web"]})


def test_render_gives_each_output_by_its_name():
    """`render` is the one door to every output, and each ends in a newline."""
    for output in OUTPUTS:
        assert render(W.PLAN, output, pools=W.POOLS).endswith("\n")
    assert render(W.PLAN, "text", pools=W.POOLS, width=80) == plan_text(
        W.PLAN, pools=W.POOLS, outlooks={}, width=80
    )
    assert render(W.PLAN, "csv") == as_csv(W.PLAN)
    assert render(W.PLAN, "yaml") == as_yaml(W.PLAN)


def test_scalers_stand_side_by_side_with_their_geometric_means():
    """Costs are ratios to the clairvoyant's and to HPA's on the same pool, and means are geometric."""
    text = (WORLD.parent / "two_replays.txt").read_text(encoding="utf-8")
    assert replay_table(W.rows()) == text
    assert replay_table([]) == ""


def test_a_ratio_to_nothing_is_not_shown_as_a_number():
    """Where the clairvoyant needed nothing there is a dash, and where no HPA ran no column for it."""
    rows = [replace(row, clairvoyant_unit_hours=0.0) for row in W.rows() if row.scaler == "static"]
    lines = replay_table(rows).splitlines()
    assert lines[2].split()[4] == "-"
    assert "hpa" not in lines[0]
    assert lines[-1].split()[5:7] == ["-", "-"]


def test_hpa_alone_is_not_compared_with_itself():
    """A column of ones says nothing: the baseline's own is there only beside another scaler."""
    alone = replay_table([row for row in W.rows() if row.scaler == "hpa"])
    assert "x hpa" not in alone
    assert "x hpa" in replay_table(W.rows())


@given(st.integers(40, 140), st.booleans(), names)
def test_a_replay_fits_its_terminal(width, priced, name):
    """No line is wider than the terminal, each line of the table has its figures, violation always stays."""
    rows = [replace(row, pool=name * 3, cost_usd=row.cost_usd if priced else None) for row in W.rows()]
    text = replay_table(rows, width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert text.splitlines()[0].split()[0] == "pool"
    assert "violation" in text.splitlines()[0]
    assert text.count("0.98 %") == 2


def test_columns_go_in_a_stated_order():
    """What has no room goes in the same order everywhere, and the table says what went."""
    rows = [replace(row, pool="checkout-queue") for row in W.rows()]
    wide, narrow = replay_table(rows), replay_table(rows, width=80)
    assert "No room" not in wide
    assert narrow.endswith("\n\nNo room for actions/day, unserved, unit-hours.\n")
    assert narrow.splitlines()[0].split("  ")[-2:] == ["x hpa", "violation"]
    least = replay_table(rows, width=40)
    assert least.splitlines()[0].split() == ["pool", "scaler", "x", "hpa", "violation"]
    assert "checkout-queue" in least, "the pool's name is the last to be cut"


def test_the_story_of_an_action_tells_facts_guards_outcome_and_changes():
    """An action is explained from its plan and its trail alone."""
    action = W.PLAN.actions[2]
    outcome = Outcome(action_id=action.id, status=Status.APPLIED, at=W.NOW, observed_after=21)
    change = Change(target="nightly-batch", at=W.NOW, before=40, after=20)
    deeds = [
        Deed(key=f"k-{n}", plan_id=W.PLAN.id, action=action, at=W.NOW, outcome=o)
        for n, o in enumerate([outcome, None], 1)
    ]
    story = Story(plan=W.PLAN, entry=action, deeds=deeds, changes=[change])
    text = story_text(story, pool=W.POOLS["nightly-batch"])
    assert text == (
        "action   - nightly-batch  40 -> 20 units  (scale-in)\n"
        f"         id {action.id}, in plan {W.PLAN.id}, made 2026-11-23 09:50Z\n"
        "why      demand and its forecast fit into 20 units (DEMAND_LOW)\n"
        "sure     over 99.9 % that demand stays within 20 until 09:55Z\n"
        "facts    0.99 quantile of demand over the lead time 11.8 units (5m), from mstl\n"
        "         demand now 3 units\n"
        "money    -$3.40/h, -$2,482/month\n"
        "undo     reversible; 20 units stop\n"
        "guards   STEP held the rest, 20 -> 12 units, until 2026-11-23 09:55Z: half of 40 units may go at\n"
        "         once; 8 more are asked for after the step\n"
        "tried    2026-11-23 09:50Z, key k-1\n"
        "outcome  2026-11-23 09:50Z  applied, 21 units were then seen (20 were asked for)\n"
        "tried    2026-11-23 09:50Z, key k-2\n"
        "outcome  in doubt: it was about to be tried, and no outcome was written\n"
        "changes  2026-11-23 09:50Z  40 -> 20 units\n"
    )


def test_a_held_action_tells_that_it_was_never_tried():
    """The story of a held action names its guard and that nothing was tried."""
    text = story_text(Story(plan=W.PLAN, entry=W.PLAN.held[2]))
    assert "guards   INSUFFICIENT_DATA held it, until its metrics are sound again" in text
    assert "outcome  it was never tried" in text


LEVER = "minReplicas of HorizontalPodAutoscaler web"


def of_floors(plan):
    """The plan as the planner makes it for pools whose floor is set: each action says what is set."""
    told = (Fact(name="sets", value=LEVER),)
    actions = tuple(replace(action, because=(*told, *action.because)) for action in plan.actions)
    return replace(plan, actions=actions), {n: replace(p, lever=LEVER) for n, p in W.POOLS.items()}


def test_markdown_tells_a_floor_as_the_terminal_does():
    """Sizes are called floors, with who sets what is above; money is at most; evidence tells it no more."""
    plan, pools = of_floors(W.PLAN)
    text = as_markdown(plan, pools=pools, outlooks=W.CHARTS)
    terminal = " ".join(plan_text(plan, pools=pools, outlooks=W.CHARTS).split())
    count = len(plan.actions)
    assert len(re.findall(r"\| floor [\d,]+ → [\d,]+ \|", text)) == count + len(plan.held)
    for words in (f"{LEVER}; above it that one sets the size by itself", wording.AT_MOST):
        assert words in text
        assert words in terminal
    assert text.count(LEVER) == count
    assert f"The size of {len(pools)} pools is their floor here." in text
    assert f"The size of {len(pools)} pools is their floor here." in terminal
    priced = [action for action in plan.actions if action.hourly_delta_usd is not None]
    assert text.count("at most)") == len(priced)
    assert "floor" not in as_markdown(W.PLAN, pools=W.POOLS, outlooks=W.CHARTS)


def test_markdown_offers_nothing_to_apply_where_an_autoscaler_reads_us():
    """Who sets the size is told beside the reason, and no command that does nothing."""
    first, *_ = W.PLAN.actions
    plan, steps = replace(W.PLAN, actions=(first,)), wording.steps(W.PLAN)
    pools = {first.target: replace(W.POOLS[first.target], labels={SERVED: "ScaledObject web"})}
    text = as_markdown(plan, pools=pools, steps=steps)
    assert "ScaledObject web sets it, from what is served; there is nothing to apply" in text
    assert "loadline apply" not in text
    assert "loadline apply" in as_markdown(plan, pools=W.POOLS, steps=steps)
