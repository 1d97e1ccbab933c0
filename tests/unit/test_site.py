"""The report as a document: whole, harmless, readable by everyone, and true to what it was given."""

from __future__ import annotations

import json
import re
import runpy
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import figures, wording
from dashboards.site import CONTENT_SECURITY_POLICY, report
from dashboards.views import Chart
from policies.model import Gap
from policies.plan import Fact

pytestmark = pytest.mark.slow  # each builds a world, a page or a file; make core has the laws

W = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "worlds" / "eight_pools.py")))
CSS = Path(figures.__file__).parent / "templates" / "report.css"
EVIL = "<script>alert(1)</script>\"' onload=x \u202e\x1b[31m <a href=javascript:x>{{ 7*7 }}</a>"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def whole(**changes) -> str:
    world = {
        "title": "Capacity plan",
        "plan": W.PLAN,
        "pools": W.POOLS,
        "charts": W.CHARTS,
        "rows": W.rows(),
        "replays": W.replays(),
        "generated": "A seeded world.",
        "violation_target": 0.01,
    }
    return report(**(world | changes))


@cache
def page() -> Page:
    return Page(whole())


def drawn(some: Page) -> dict:
    number = [attrs.get("id") for attrs in some.all("script")].index("figures")
    return json.loads(some.scripts[number])


@pytest.mark.slow
def test_the_report_is_one_file_that_refers_to_nothing_outside_itself():
    """No script, style, font, image or link of the report points outside it; plotly.js is in it once."""
    for _, attrs in page().tags:
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith(("#", "data:"))
    policies = [a["content"] for a in page().all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [CONTENT_SECURITY_POLICY]
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert sum("plotly.js v" in script[:400] for script in page().scripts) == 1
    assert "@import" not in CSS.read_text(encoding="utf-8")
    assert "url(" not in CSS.read_text(encoding="utf-8")


def test_the_verdict_stands_first_and_the_rest_in_the_order_of_reading():
    """Verdict, plan, held, cost, pools, what was not seen, how to read it: in this order."""
    text = page().text
    places = [
        text.index(words)
        for words in (
            "Generated data.",
            "Hourly bill",
            "The plan",
            "Held (3)",
            "Cost beside static and HPA",
            "Pools",
            "What could not be seen",
            "How to read this",
        )
    ]
    assert places == sorted(places)


def test_the_tiles_say_what_the_plan_and_the_replay_say():
    """The figures on top are those of the plan and of the replay below them."""
    text = page().text
    assert "Hourly bill $295.51 → $301.71 +2.1 %, all billable pools, without dev" in text
    assert "A month, if it stayed so +$4,529 730 hours" in text
    assert "Changes 2 out, 3 in 5 ready to apply" in text
    assert "Held 3 step, protected, insufficient data" in text
    assert "Violation in replay 0.98 % asked 1.0 %, HPA 1.3 %, static 0.0 %" in text
    assert "The dotted line is the violation that was asked for, 1.0 %." in text
    assert "Cost in replay 0.78 × HPA 0.46 × static, geometric mean of 2 pools" in text


def test_every_wish_is_told_with_its_reason_money_and_guard():
    """Each action, held one and gap of the plan can be read in the report."""
    text = page().text
    for action in W.PLAN.actions:
        assert f"{action.target} {action.before} → {action.after}" in text
    assert "allocated, not billed" in text
    assert "dev 12 → 6 unknown unknown" in text
    assert "gpu-training 8 → 4 PROTECTED until its protection is lifted the pool is protected" in text
    assert "metrics: queue_depth : no sample since 2026-11-23 07:15Z" in text
    assert "The plan is incomplete. What could not be seen is never shrunk." in text


def test_generated_data_is_said_only_where_it_is():
    """The banner stands over a made-up world and over no other."""
    assert "Generated data. A seeded world." in page().text
    assert "Generated data." not in Page(whole(generated="", rows=(), replays=())).text


def test_a_report_without_a_replay_or_a_pool_is_still_a_report():
    """Nothing to compare, nothing to draw and nothing to do are each said, and no figure is left empty."""
    plan = replace(W.PLAN, actions=(), held=(), gaps=(), complete=True)
    bare = Page(whole(plan=plan, pools={}, charts={}, rows=(), replays=(), generated=""))
    assert "Nothing to change: every pool is the size" in bare.text
    assert "Every source that was asked answered." in bare.text
    assert not [attrs for _, attrs in bare.tags if "data-figure" in attrs]
    assert drawn(bare) == {}


def test_a_pool_that_could_not_be_seen_has_no_figure_and_says_so():
    """A pool whose history is all absent gets words in place of a chart."""
    blind = replace(W.CHARTS["web"], history=np.full(48, np.nan))
    text = Page(whole(pools={"web": W.POOLS["web"]}, charts={"web": blind}, rows=(), replays=())).text
    assert "No metric of this pool could be read: there is nothing to draw." in text


def test_every_place_for_a_figure_has_its_figure_and_words_for_those_who_do_not_see_it():
    """Each place names a figure that is there, once, and carries a label that says what it shows."""
    places = [attrs for _, attrs in page().tags if "data-figure" in attrs]
    assert sorted(place["data-figure"] for place in places) == sorted(drawn(page()))
    assert len(places) == 1 + len(W.CHARTS) + 2
    for place in places:
        assert place["role"] == "img"
        assert len(place["aria-label"]) > 30


def test_the_document_can_be_walked_by_keyboard_and_screen_reader():
    """One h1, headings that do not skip a level, unique ids, a skip link, captions and scoped headers."""
    levels = [int(tag[1]) for tag, _ in page().tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page().tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [attrs["href"][1:] for attrs in page().all("a")]
    assert targets[0] == "main"
    assert set(targets) <= set(ids)
    assert {attrs["aria-labelledby"] for _, attrs in page().tags if "aria-labelledby" in attrs} <= set(ids)
    assert all("scope" in attrs for attrs in page().all("th"))
    assert len(page().all("caption")) == len(page().all("table")) == 3
    assert page().all("html")[0]["lang"] == "en"
    assert page().open == []


def test_f76_hostile_names_are_inert_in_the_report():
    """A name with tags, quotes, escapes, overrides or template marks adds no element and no attribute."""
    pools = {EVIL: replace(W.POOLS["web"], id=EVIL)}
    calm_pools = {"web": W.POOLS["web"]}

    def built(name, some):
        plan = replace(
            W.PLAN,
            actions=(replace(W.WEB, target=name),),
            held=(replace(W.PLAN.held[0], action=replace(W.WEB, target=name), why=name),),
            gaps=(Gap(source=name, code=name, why=name),),
        )
        rows = [replace(row, pool=name, scaler=name) for row in W.rows()[:1]]
        replays = [replace(W.replays()[0], pool=name, ready={name: np.ones(14 * 288)})]
        charts = {name: replace(W.CHARTS["web"], pool_id=name, model=name, notes=(name,), unit=name)}
        return Page(
            report(
                title=name,
                plan=plan,
                pools=some,
                charts=charts,
                rows=rows,
                replays=replays,
                generated=name,
                ours=name,
                assumptions=(name,),
            )
        )

    hostile, calm = built(EVIL, pools), built("web", calm_pools)
    assert [(tag, sorted(attrs)) for tag, attrs in hostile.tags] == [(t, sorted(a)) for t, a in calm.tags]
    assert not {"\u202e", "\x1b"} & set(hostile.text)
    assert "{{ 7*7 }}" in hostile.text
    texts = json.dumps(drawn(hostile))
    assert "<script" not in texts
    assert "<a " not in texts


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_lines_can_be_told_from_their_ground(theme):
    """Text has at least 4.5:1 (WCAG AA) and lines of figures at least 3:1, in light and in dark."""
    css = CSS.read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[theme]
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for ground in ("paper", "card"):
        for ink in ("ink", "quiet", "accent", "grow", "shrink", "hold"):
            assert _contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)
    assert _contrast(colors["ink"], colors["banner"]) >= 4.5
    for line in (figures.DEMAND, figures.FORECAST, *(color for color, _ in figures._LINES)):
        assert _contrast(line, colors["paper"]) >= 3.0, line


values = st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=400)


@given(values, st.integers(10, 100))
def test_thinning_keeps_every_peak_and_every_trough_of_its_buckets(numbers, most):
    """A thinned line keeps order, the extremes, its gaps and its length limit; a short one is untouched."""
    y = np.array(numbers)
    stamps = np.datetime64("2026-11-23T00:00:00", "s") + np.arange(len(y)) * np.timedelta64(60, "s")
    line = figures.thin(stamps, y, most)
    assert np.all(np.diff(line.x) > 0)
    if len(y) <= most:
        assert np.array_equal(line.y, y, equal_nan=True)
        assert line.bucket_s == 0
        return
    size = round(line.bucket_s / 60)
    place = dict(zip(line.x, line.y, strict=True))
    ms = stamps.astype("datetime64[ms]").astype(float)
    for first in range(0, len(y), size):
        kept = [place[moment] for moment in ms[first : first + size] if moment in place]
        part = y[first : first + size]
        known = part[np.isfinite(part)]
        assert {min(known), max(known)} <= set(kept) if len(known) else np.isnan(kept).all()
        assert np.isnan(kept).any() == np.isnan(part).any()
    assert len(line.y) <= 1.5 * most + 3


def test_a_thinned_figure_says_so():
    """Where points were left out the words under the figure say which stand for them."""
    stamps = np.datetime64("2026-11-01", "s") + np.arange(40_000) * np.timedelta64(60, "s")
    assert figures.thinning(stamps, 40_000) == "Drawn: least and largest value of each 20m."
    assert figures.thinning(stamps[:100], 100) == ""


def test_the_fan_draws_every_level_and_the_planned_capacity():
    """A fan has the history, one line a level in ascending order, and capacity as it is and as planned."""
    figure = figures.fan(W.CHARTS["web"], after=14, until=W.PLAN.expires_at)
    assert [trace.name for trace in figure.data] == ["demand", "p50", "p90", "p99", "capacity 10 → 14"]
    assert list(figure.data[-1].y) == [10, 14, 14]
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == [
        "demand",
        "capacity 10 → 14",
    ]
    assert [trace.fill for trace in figure.data[1:4]] == [None, "tonexty", "tonexty"]
    assert np.array_equal(figure.data[3].y[:-1], W.CHARTS["web"].values[:, 2])
    assert figure.layout.yaxis.title.text == "demand (units)"
    assert figure.layout.xaxis.title.text == "UTC"


def test_capacity_is_drawn_no_further_than_the_plan_goes():
    """The planned size ends where the plan expires, and the words under the figure say so."""
    figure = figures.fan(W.CHARTS["web"], after=14, until=W.PLAN.expires_at)
    assert figure.data[-1].x[-1] == W.PLAN.expires_at.timestamp() * 1000
    assert figure.data[-1].x[-1] < figure.layout.xaxis.range[1]
    assert "Capacity is that of this plan, drawn until it expires at 10:50Z" in page().text


def test_levels_that_end_close_together_share_a_label():
    """Labels at the end of the fan name every level between them, never overlap, and stand at their level."""

    def labels(*ends):
        chart = W.CHARTS["web"]
        values = chart.values.copy()
        values[-1] = ends
        return [(note.text, note.y) for note in figures.fan(replace(chart, values=values)).layout.annotations]

    assert labels(2.0, 6.0, 12.0) == [("p50", 2.0), ("p90", 6.0), ("p99", 12.0)]
    assert labels(2.0, 11.8, 12.0) == [("p50", 2.0), ("p90–p99", 11.9)]
    assert labels(1.0, 1.1, 1.2) == [("p50–p99", pytest.approx(1.1))]


@pytest.mark.slow
def test_a_size_below_the_forecast_says_so_in_the_table():
    """Where demand is forecast above the planned size, the confidence is a bound with its quantile."""
    plan = replace(W.PLAN, actions=(replace(W.WEB, confidence=0.0),))
    charts = {**W.CHARTS, "web": replace(W.CHARTS["web"], peaks=(16.2, 18.0, 20.0))}
    text = Page(whole(plan=plan, charts=charts)).text
    assert "under 50 % demand is likely above 14 (p50 16.2)" in text


def test_a_chart_without_a_forecast_draws_none():
    """Where there is no forecast no line pretends to be one."""
    chart: Chart = W.CHARTS["checkout-queue"]
    assert [trace.name for trace in figures.fan(chart).data] == ["demand", "capacity 9"]


def test_cost_and_violation_are_drawn_as_they_were_measured():
    """Bars carry each scaler's cost over the clairvoyant's and its violation in percent, pool by pool."""
    figure = figures.cost_bars(W.rows(), target=0.01)
    assert [trace.name for trace in figure.data] == ["seasonal_quantile"] * 2 + ["hpa"] * 2 + ["static"] * 2
    assert list(figure.data[0].x) == ["web", "llm-inference"]
    assert figure.data[2].y[0] == pytest.approx(3700 / 2100)
    assert figure.data[3].y[0] == pytest.approx(1.31)


def test_the_report_tells_a_floor_as_the_terminal_does():
    """Sizes are called floors in rows, sections and figures, with who sets what is above them."""
    lever = "minReplicas of HorizontalPodAutoscaler <web>"
    pools = {name: replace(pool, lever=lever) for name, pool in W.POOLS.items()}
    facts = (Fact(name="sets", value=lever),)
    actions = tuple(replace(action, because=(*facts, *action.because)) for action in W.PLAN.actions)
    page = report(title="t", plan=replace(W.PLAN, actions=actions), pools=pools, charts=W.CHARTS)
    wishes = len(actions) + len(W.PLAN.held)
    assert len(re.findall(r'data-label="Units">floor [\d,]+ → [\d,]+<', page)) == wishes
    told = "minReplicas of HorizontalPodAutoscaler &lt;web&gt;"
    assert page.count(f"{told}; above it that one sets the size by itself") == len(actions) + len(pools)
    assert page.count(told) == len(actions) + len(pools), "the evidence does not tell it once more"
    assert page.count(wording.AT_MOST) == len(actions)
    assert f"The size of {len(pools)} pools is their floor here." in page
    assert "Capacity is that of this plan" not in page
    plain = Page(report(title="t", plan=W.PLAN, pools=W.POOLS, charts=W.CHARTS))
    assert "floor" not in " ".join(plain.words)
