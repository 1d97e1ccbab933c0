"""The plan in a terminal: golden text, and the laws of width, colour and harmless names."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import process_time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dashboards import wording
from dashboards.ink import BLOCKS, fit, inert, sparkline, wrap
from dashboards.terminal import plan_text
from policies.model import Gap
from policies.plan import Fact, Finding, Guard, Held, Plan, Reason, UsdRange

WORLDS = Path(__file__).parents[1] / "worlds"
W = SimpleNamespace(**runpy.run_path(str(WORLDS / "eight_pools.py")))
SGR = re.compile(r"\x1b\[\d+m")
HOSTILE = "\x1b[2J\x1b]0;owned\x07web\u202egpj.\u200bexe\r\nNext: rm -rf /"

texts = st.text(max_size=60) | st.sampled_from([HOSTILE, "名前" * 30, "x" * 10_000, "e\u0301" * 40, ""])


@st.composite
def plans(draw):
    def action():
        before, after = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
        usd = draw(st.none() | st.lists(st.floats(-1e5, 1e5), min_size=3, max_size=3))
        facts = [
            Fact(
                name=draw(texts),
                value=draw(st.floats() | texts | st.integers()),
                unit=draw(texts),
                window=draw(texts),
            )
            for _ in range(draw(st.integers(0, 2)))
        ]
        return W.change(
            draw(texts),
            (before, after),
            draw(st.sampled_from(Reason)),
            None if usd is None else tuple(sorted(usd)),
            draw(st.none() | st.floats(0, 1)),
            *facts,
            billable=draw(st.booleans()),
        )

    until = st.none() | st.just(W.NOW + timedelta(hours=2))
    held = [
        Held(action=action(), guard=draw(st.sampled_from(Guard)), until=draw(until), why=draw(texts))
        for _ in range(draw(st.integers(0, 2)))
    ]
    gaps = [
        Gap(source=draw(texts), code=draw(texts), why=draw(texts)) for _ in range(draw(st.integers(0, 2)))
    ]
    return replace(
        W.PLAN,
        actions=tuple(action() for _ in range(draw(st.integers(0, 3)))),
        held=tuple(held),
        gaps=tuple(gaps),
        complete=draw(st.booleans()),
    )


def empty(**changes) -> Plan:
    return replace(W.PLAN, actions=(), held=(), gaps=(), complete=True, **changes)


@pytest.mark.parametrize(("width", "file"), [(100, "eight_pools.txt"), (80, "eight_pools_80.txt")])
def test_the_plan_of_eight_pools_reads_as_it_is_written_in_the_world(width, file):
    """A plan of eight pools is, to the letter, the text that an operator was shown and agreed with."""
    text = plan_text(W.PLAN, pools=W.POOLS, outlooks=W.CHARTS, width=width, steps=wording.steps(W.PLAN))
    assert text.replace(W.PLAN.id, "0123456789abcdef") == (WORLDS / file).read_text(encoding="utf-8")


def test_an_empty_plan_says_so_in_one_friendly_line():
    """A plan without actions, held ones and gaps says that all is well, and asks for nothing."""
    text = plan_text(empty(), pools=W.POOLS, outlooks={})
    assert text == (
        f"Loadline plan {empty().id}" + " " * 48 + "made 2026-11-23 09:50Z\n"
        "snapshot 81c2d3e4f5a6b7c8\n"
        "\n"
        "Nothing to change: every pool is the size its demand and forecast ask for.\n"
        "\n"
        "Plan: 0 out, 0 in, 0 held\n"
        "  billable   98 -> 98 units  $0.00/h  $0.00/month\n"
        "  allocated  33 -> 33 units  $0.00/h  $0.00/month  not in the bill by itself\n"
        "  all billable pools: $295.51/h -> $295.51/h (+0.0 %), without dev\n"
        "\n"
        f"Plan {empty().id} expires 2026-11-23 10:50Z.\n"
    )


def test_a_plan_whose_wishes_are_all_held_says_that_nothing_is_to_apply():
    """Where every wish is held there is no `apply` to type, only a `why`."""
    plan = replace(W.PLAN, actions=())
    text = plan_text(plan, pools=W.POOLS, outlooks={}, steps=wording.steps(plan))
    assert "Nothing to apply: 3 wanted, all held." in text
    assert "loadline apply" not in text
    assert f"loadline explain {plan.id}" in text


def test_the_next_command_names_the_file_the_plan_was_saved_in():
    """A saved plan is applied by its quoted path, a stored one by its id, both with their `--config`."""
    saved = wording.steps(W.PLAN, saved_as="out/my plan.json", config="b c.yaml")
    text = plan_text(W.PLAN, pools=W.POOLS, outlooks={}, steps=saved)
    assert "loadline apply 'out/my plan.json' --config 'b c.yaml'\n" in text
    assert f"loadline explain {W.PLAN.id} --config 'b c.yaml'\n" in text
    stored = plan_text(W.PLAN, pools=W.POOLS, outlooks={}, steps=wording.steps(W.PLAN))
    assert f"loadline apply {W.PLAN.id}\n" in stored
    assert "loadline plan" not in stored
    assert "loadline" not in plan_text(W.PLAN, pools=W.POOLS, outlooks={})


def test_no_total_is_made_of_a_part():
    """Where not every pool is known there is no total of units and no bill; what the plan costs stays."""
    some = {name: pool for name, pool in W.POOLS.items() if name != "web"}
    for pools in ({}, some):
        text = plan_text(W.PLAN, pools=pools, outlooks={})
        assert re.search(r"\n  billable +\+\$6\.20/h +\+\$4,529/month\n", text)
        assert "all billable pools" not in text


def test_the_head_says_how_far_the_data_goes_and_whose_ended_earlier():
    """Samples held on to the plan's moment do not count; what is no longer live is named, up to three."""
    held = replace(W.CHARTS["web"], newest=W.NOW - timedelta(hours=7))
    assert wording.data_until({"web": held}) == "2026-11-23 02:50Z"
    assert wording.data_until({"web": held, "api": W.CHARTS["api"]}) == "2026-11-23 09:00Z, web 02:50Z"
    five = {f"p{number}": held for number in range(5)}
    words = wording.data_until({**five, "api": W.CHARTS["api"]})
    assert words == "2026-11-23 09:00Z, p0 02:50Z, p1 02:50Z, p2 02:50Z and 2 pools more"
    blind = replace(held, history=np.full(48, np.nan))
    assert blind.seen_until is None
    assert wording.data_until({"web": blind}) == ""


def test_explain_shows_every_fact_with_its_source_and_every_id():
    """With `explain` nothing an action was decided by is left out."""
    text = plan_text(W.PLAN, pools=W.POOLS, outlooks=W.CHARTS, explain=True)
    for action in W.PLAN.actions:
        assert action.id in text
        for fact in action.because:
            assert fact.source in text
    assert W.PLAN.policy_digest in text
    assert W.PLAN.forecasts_digest in text


def test_an_unknown_price_is_said_and_never_counted_as_nothing():
    """A pool without a price is named beside the totals that leave it out."""
    text = plan_text(W.PLAN, pools=W.POOLS, outlooks={})
    assert re.search(r"dev +12 ->  6 units +price unknown", text)
    assert "not in the money, price unknown: dev" in text
    assert "without dev" in text


def test_every_code_has_words():
    """Each reason and each guard of the closed lists can be said in words."""
    for reason in Reason:
        assert wording.reason(replace(W.WEB, reason=reason))
    for guard in Guard:
        held = Held(action=W.WEB, guard=guard)
        assert wording.guard(held)
        assert wording.until(held)


def test_a_finding_is_shown_with_money_evidence_and_certainty():
    """What was found carries its range of money and how sure it is."""
    finding = Finding(
        check="idle_volume",
        resource="vol-0a1b",
        evidence=(Fact(name="reads", value=0, unit="ops", window="last 14d"),),
        monthly_usd=UsdRange(30.0, 40.0, 50.0),
        confidence=0.9,
    )
    text = plan_text(replace(W.PLAN, findings=(finding,)), pools={}, outlooks={})
    assert "Found (1)\n  ~ vol-0a1b: idle_volume, $40/month ($30 to $50)\n" in text
    assert "why   reads 0 ops (last 14d)\n      sure  90 %\n" in text
    assert "Found" not in plan_text(W.PLAN, pools={}, outlooks={})


@given(plans(), st.integers(60, 140), st.booleans())
def test_no_line_is_wider_than_asked(plan, width, explain):
    """Whatever the names, figures and reasons, no line is wider than the terminal."""
    text = plan_text(plan, pools=W.POOLS, outlooks=W.CHARTS, width=width, explain=explain)
    assert max(cell_len(line) for line in text.splitlines()) <= width


@given(plans(), st.booleans())
def test_color_adds_nothing_but_color(plan, explain):
    """Without its colour codes the coloured text is the plain text."""
    plain = plan_text(plan, pools=W.POOLS, outlooks=W.CHARTS, explain=explain)
    painted = plan_text(plan, pools=W.POOLS, outlooks=W.CHARTS, explain=explain, color=True)
    assert SGR.sub("", painted) == plain
    assert "\x1b" not in plain


@given(plans())
def test_f76_no_name_can_steer_the_terminal(plan):
    """Escapes, overrides and line breaks in any name or reason come out as visible text."""
    steps = wording.steps(plan, saved_as=HOSTILE, config=HOSTILE)
    text = plan_text(plan, pools=W.POOLS, outlooks={}, steps=steps)
    assert inert(text.replace("\n", "")) == text.replace("\n", "")


def test_f76_a_hostile_name_is_shown_for_what_it_is():
    """An override is written out, a ten-kilobyte name is cut, and the row stays one line."""
    assert inert("a\x1b[31mb\u202ec") == r"a\x1b[31mb\u202ec"
    plan = replace(
        W.PLAN, actions=(replace(W.WEB, target=HOSTILE), replace(W.WEB, target="y" * 2_000)), held=()
    )
    text = plan_text(plan, pools={}, outlooks={})
    assert "\nNext: rm" not in text
    assert "y" * 49 not in text
    assert r"\x1b[2J" in text


def test_stamps_in_words_are_written_as_moments():
    """A stamp within a reason is written like every other moment; what only looks like one stays."""
    assert wording.prose("ended at 2026-11-23T12:44:00+02:00, so") == "ended at 2026-11-23 10:44Z, so"
    assert wording.prose("2026-02-31T12:44:00Z") == "2026-02-31T12:44:00Z"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.004, "under 1 %"), (0.5, "50 %"), (0.97, "97 %"), (0.995, "99.5 %"), (0.9999, "over 99.9 %")],
)
def test_no_probability_is_rounded_to_certainty(value, words):
    """A forecast never says that something is certain or impossible."""
    assert wording.probability(value) == words


def test_a_size_below_every_forecast_level_is_said_with_the_quantile():
    """Confidence zero means that the lowest level is above the size: that is said, and never "impossible"."""
    below, pool = replace(W.WEB, confidence=0.0), W.POOLS["web"]
    chart = replace(W.CHARTS["web"], peaks=(16.2, 18.0, 20.0))
    assert wording.confidence(below, W.PLAN, pool, chart) == "demand is likely above 14 (p50 16.2)"
    assert wording.assurance(below, chart) == "under 50 %"
    high = replace(chart, levels=(0.9, 0.99), peaks=(18.0, 20.0))
    assert wording.confidence(below, W.PLAN, pool, high) == "demand may well be above 14 (p90 18)"
    for unknown in (None, replace(chart, peaks=()), replace(chart, peaks=(np.nan,) * 3)):
        assert wording.confidence(below, W.PLAN, pool, unknown) == "every level of the forecast is above 14"
        assert wording.assurance(below, unknown) == "below the forecast"
    words = wording.confidence(replace(W.WEB, confidence=None), W.PLAN, pool, chart)
    assert words == "no assurance: no forecast stands behind it"
    replayed = replace(W.WEB, confidence=None, because=(Fact(name="own past", value="forecasts save 9 %"),))
    assert wording.confidence(replayed, W.PLAN, pool, chart) == "by replay of its own past"


@pytest.mark.slow
def test_thousands_of_actions_are_printed_in_seconds():
    """Printing is linear in the plan: columns are measured once."""
    actions = tuple(replace(W.WEB, target=f"pool-{number:05d}") for number in range(2_000))
    begin = process_time()
    text = plan_text(replace(W.PLAN, actions=actions), pools={}, outlooks={})
    assert process_time() - begin < 5
    assert text.count("pool-") == 2_000


@given(st.text(), st.integers(2, 40))
def test_fit_fills_exactly_its_cells(text, cells):
    """A fitted text takes exactly the cells it was given, wide characters or not."""
    assert cell_len(fit(inert(text), cells)) == cells


@given(st.text(alphabet=st.sampled_from("ab 名é"), max_size=80), st.integers(8, 40))
def test_wrap_keeps_every_character(text, cells):
    """Wrapping loses nothing but spaces, and keeps each line within its cells."""
    lines = wrap(text, cells, "  ")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cell_len(line) <= cells for line in lines)


@given(st.lists(st.floats(0, 1e9) | st.just(np.nan), max_size=200), st.integers(1, 60))
def test_a_sparkline_has_its_width_and_its_peak(values, width):
    """A sparkline has one block a cell; the peak is never lost; NaN is a gap and zero is not."""
    line = sparkline(values, width)
    assert len(line) == width
    known = [value for value in values if not np.isnan(value)]
    assert (line.strip() != "") == bool(known)
    if known and max(known) > 0:
        assert BLOCKS[-1] in line


def test_a_sparkline_shows_absence_as_a_gap():
    """Zero is the lowest block and NaN is a space: absent is never zero."""
    assert sparkline([0.0, np.nan, 8.0, 4.0], 4) == "▁ █▅"


def test_the_terminal_view_needs_no_plotting_and_no_frames():
    """Printing a plan imports neither plotly nor pandas nor jinja2."""
    heavy = "{'plotly', 'pandas', 'jinja2', 'yaml', 'statsforecast'}"
    code = f"import sys, dashboards.documents, dashboards.tables; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def _with_pools(**changes):
    """The pools of the plan's actions, all changed alike."""
    return {name: replace(pool, **changes) for name, pool in W.POOLS.items()}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_floor_is_called_one_with_who_sets_the_size_above_it(width):
    """Rows, legend, totals and money speak of a floor; no line is wider than the terminal."""
    pools = _with_pools(lever="minReplicas of HorizontalPodAutoscaler web")
    text = plan_text(W.PLAN, pools=pools, outlooks=W.CHARTS, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    words = " ".join(text.split())
    rows = len(re.findall(r"^  [+~!-] .* floor +[\d,]+ -> +[\d,]+ units", text, re.MULTILINE))
    assert rows == len(W.PLAN.actions) + len(W.PLAN.held)
    assert "minReplicas of HorizontalPodAutoscaler web; above it that one sets the size by itself" in words
    assert "at most: what runs above the floor anyway adds nothing" in words
    assert f"The size of {len(pools)} pools is their floor here." in words
    one = {**W.POOLS, "web": pools["web"]}
    assert "The size of 1 pool is its floor here." in plan_text(W.PLAN, pools=one, outlooks={}, width=width)
    assert "capacity" not in text
    assert "floor" not in plan_text(W.PLAN, pools=W.POOLS, outlooks=W.CHARTS, width=width)


def test_a_pool_that_reads_us_says_who_sets_it_and_that_nothing_is_to_be_applied():
    """The autoscaler is named once, made harmless; apply and undo are offered where they do something."""
    first, *_ = W.PLAN.actions
    action = replace(first, because=(Fact(name="set by", value="ScaledObject web"), *first.because))
    plan, steps = replace(W.PLAN, actions=(action,)), wording.steps(W.PLAN)
    read = _with_pools(labels={"loadline.dev/served": f"ScaledObject web{HOSTILE}"})
    text = plan_text(plan, pools=read, outlooks={}, steps=steps)
    assert "ScaledObject web" in text
    assert "sets it, from what is served; there is nothing to apply" in " ".join(text.split())
    assert text.count("ScaledObject web") == 1
    assert "\x1b" not in text
    assert "loadline apply" not in text
    assert "loadline explain" in text
    for pools in (W.POOLS, {}):
        assert "loadline apply" in plan_text(plan, pools=pools, outlooks={}, steps=steps)
        assert "set by: ScaledObject web" in plan_text(plan, pools=pools, outlooks={}, steps=steps)


def test_data_reach_no_further_than_the_plan():
    """The step that goes on while a plan is made is seen until that moment, not until its end."""
    chart = W.CHARTS["api"]
    assert chart.seen_until is not None
    before = chart.seen_until - timedelta(minutes=2)
    assert wording.data_until({"api": chart}, before) == wording.moment(before)
    assert wording.data_until({"api": chart}, chart.seen_until + timedelta(days=1)) == wording.moment(
        chart.seen_until
    )


def test_one_unit_is_no_units():
    """The reasons agree in number with the size."""
    first, *_ = W.PLAN.actions
    one = replace(first, before=1, after=1)
    for reason in Reason:
        assert "1 units" not in wording.reason(replace(one, reason=reason))
    assert wording.reason(replace(one, reason=Reason.FORECAST_PEAK)).endswith("what 1 unit serves")
    assert wording.reason(replace(one, before=2, reason=Reason.BELOW_MINIMUM)).startswith("2 units are")
