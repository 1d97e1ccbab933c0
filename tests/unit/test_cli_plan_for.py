"""`loadline plan --for` and `--assume` on a small world: figures, codes, and that nothing is planned."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.worlds import small

pytestmark = pytest.mark.slow

# A sale of web, and a fair at which api is to be what it was three days ago.
EVENTS = """\
events:
  - {name: sale, pools: [web], start: 2026-03-04T00:00:00Z, end: 2026-03-05T00:00:00Z, multiplier: 2}
  - name: fair
    pools: [api]
    start: 2026-03-04T00:00:00Z
    end: 2026-03-05T00:00:00Z
    like: {start: 2026-02-27T00:00:00Z, end: 2026-02-28T00:00:00Z}
  - name: jubilee
    pools: [api]
    start: 2026-03-05T00:00:00Z
    end: 2026-03-06T00:00:00Z
    like: {start: 2016-03-05T00:00:00Z, end: 2016-03-06T00:00:00Z}
"""


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder with a world of two pools."""
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return small.Shell(small.write(tmp_path), capsys)


def configure(shell, text):
    """Change the configuration."""
    (shell.folder / "loadline.yaml").write_text(text)


def outlook(shell, *assumptions, span="4w"):
    """The outlook as JSON."""
    more = [part for text in assumptions for part in ("--assume", text)]
    answer = shell(f"plan --for {span} --output json", *more)
    assert answer.code == 0, answer
    return json.loads(answer.out)


def pool(found, name, case="base"):
    """One pool of an outlook."""
    return next(entry for entry in found["pools"] if entry["pool"] == name)[case]


def test_four_weeks_are_shown_and_nothing_is_planned(shell):
    """Capacity and money by week for every pool; no plan is in the trail, no action in the output."""
    answer = shell("plan --for 4w")
    assert (answer.code, answer.err) == (0, "")
    assert "An outlook, no plan: nothing of it can be applied." in answer.out
    assert answer.out.count("2026-03-23") == 2
    found = outlook(shell)
    assert (found["what_if"], found["hours"], found["gaps"]) == (False, 672, [])
    # Web wants about 10 units in the mean of a day, api half of them; both have headroom.
    assert 10 * 672 < pool(found, "web")["total"]["unit_hours"]["mid"] < 14 * 672
    assert 5 * 672 < pool(found, "api")["total"]["unit_hours"]["mid"] < 7 * 672
    with closing(sqlite3.connect(shell.folder / "loadline.db")) as state:
        assert state.execute("SELECT count(*) FROM plan").fetchone() == (0,)


def test_an_assumption_without_a_span_looks_four_weeks_ahead(shell):
    """--assume alone is --assume --for 4w."""
    answer = shell("plan --assume demand*1.2 --output json")
    assert json.loads(answer.out) == outlook(shell, "demand*1.2")


def test_assumptions_stand_beside_what_is(shell):
    """The base is the same with them; demand*1 changes nothing, price*2 doubles its pool's money."""
    base = outlook(shell)
    found = outlook(shell, "demand*1", "web:price*2")
    assert found["what_if"]
    assert found["assumptions"] == ["demand*1", "web:price*2"]
    assert found["base"] == base["base"]
    assert pool(found, "web") == pool(base, "web")
    assert pool(found, "api", "assumed") == pool(base, "api")
    for part in ("low", "mid", "high"):
        assert (
            pool(found, "web", "assumed")["total"]["usd"][part] == 2 * pool(base, "web")["total"]["usd"][part]
        )
    more = outlook(shell, "demand*3", "web:maximum=20")
    assert pool(more, "web", "assumed")["total"]["hours_short"]["mid"] > 0
    assert more["assumed"]["billable_usd"]["mid"] > base["base"]["billable_usd"]["mid"]


def test_a_longer_lead_time_is_replayed(shell):
    """What the scaler keeps under another lead time is asked of the scaler, on the pool's past."""
    found = outlook(shell, "lead-time=2h")
    assert pool(found, "web", "assumed")["lead_time_s"] == 7200
    assert (
        pool(found, "web", "assumed")["total"]["unit_hours"]["mid"]
        > pool(found, "web")["total"]["unit_hours"]["mid"]
    )


@pytest.mark.parametrize("output", ["yaml", "csv", "markdown"])
def test_every_output_is_there(shell, output):
    """Each format names both pools and what was assumed of them."""
    answer = shell(f"plan --for 3d --assume web:demand*2 --output {output}")
    assert answer.code == 0
    assert "web" in answer.out
    assert "api" in answer.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--for 3d --out plan.json", "--out goes with a plan"),
        ("--assume demand*2 --out plan.json", "--out goes with a plan"),
        ("--for 3d --explain", "--explain goes with a plan"),
        ("--for 3d --only scale-in", "--only goes with a plan"),
        ("--assume demand*2 --detailed-exitcode", "--detailed-exitcode goes with a plan"),
        ("--for 6w", "from 1h to 5w"),
        ("--for 90m", "whole hours"),
        ("--for soon", "no duration"),
        ("--assume demnd*2", "did you mean demand?"),
        ("--assume wbe:demand*2", "no pool 'wbe'; did you mean web?"),
        ("--assume minimum=55", "api: a minimum of 55 is assumed over a maximum of 50"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(shell, line, words):
    """Exit code 64, one line that says what would do, nothing on stdout and no plan on the disk."""
    answer = shell(f"plan {line}")
    assert (answer.code, answer.out) == (64, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1
    assert "plan.json" not in shell.files()


def test_an_outlook_cannot_be_applied(shell):
    """`apply` refuses the JSON of a what-if."""
    answer = shell("plan --for 3d --assume demand*2 --output json")
    (shell.folder / "what-if.json").write_text(answer.out)
    refused = shell("apply what-if.json")
    assert (refused.code, refused.out) == (5, "")
    assert "what-if.json: an outlook and no plan" in refused.err


def test_without_any_forecast_the_code_is_that_of_no_data(shell):
    """5, and the text says of each pool why; with one pool that has data it is 0 and the other is a gap."""
    configure(shell, small.CONFIGURATION.replace("series: web", "series: webb"))
    answer = shell("plan --for 3d")
    assert answer.code == 0
    assert "web: none of its metrics has a forecast (NO_FORECAST)" in answer.out
    assert "The totals leave them out." in answer.out
    configure(shell, small.CONFIGURATION.replace("series: ", "series: no_"))
    (shell.folder / "loadline.yaml").write_text(
        (shell.folder / "loadline.yaml").read_text().replace("last-sample", '"2026-03-02T08:00:00Z"')
    )
    assert shell("plan --for 3d").code == 5


def test_a_short_history_says_that_the_quantile_rule_stands_in(shell):
    """Three days are too few to replay a scaler on; the text says so."""
    (shell.folder / "m.csv").write_text(small.history(days=3))
    answer = shell("plan --for 3d")
    assert answer.code == 0
    words = " ".join(answer.out.split())
    assert "quantile rule at p99, since seasonal_quantile cannot be replayed: less than 4d" in words


def test_the_portfolio_is_replayed_too(shell):
    """A scaler whose live rule knows no forecast is shown by what it kept on the past."""
    configure(shell, small.CONFIGURATION.replace("{model:", "{scaler: portfolio, model:"))
    found = outlook(shell, span="1w")
    assert pool(found, "web")["rule"] == "portfolio as replayed on the last 1w"
    assert pool(found, "web")["total"]["unit_hours"]["mid"] > 9 * 168


def test_declared_events_are_in_the_weeks_to_come(shell):
    """A multiplier and a past event to imitate, each in its hours and nowhere else, and told."""
    quiet = outlook(shell, span="4d")
    configure(shell, small.CONFIGURATION + EVENTS)
    found = outlook(shell, span="4d")
    units, usual = pool(found, "web")["units"], pool(quiet, "web")["units"]
    sale = slice(40, 64)  # from 2026-03-02 08:00Z
    assert sum(units[sale]) == pytest.approx(2 * sum(usual[sale]), abs=24)
    assert (units[:40], units[64:]) == (usual[:40], usual[64:])
    fair, before = pool(found, "api")["units"], pool(quiet, "api")["units"]
    assert all(now >= then for now, then in zip(fair, before, strict=True))
    notes = {entry["pool"]: " ".join(entry["notes"]) for entry in found["pools"]}
    assert "event sale: x2 from 2026-03-04 00:00Z to 2026-03-05 00:00Z" in notes["web"]
    assert "event fair: at least " in notes["api"]
    assert "event jubilee: nobody knows the demand of the past event it is like" in notes["api"]
    flat = outlook(shell, "demand*0.01", span="4d")
    assert max(pool(flat, "api", "assumed")["units"]) == 1  # what is imitated is assumed less of, too


def test_holidays_and_masks_are_minded(shell):
    """A holiday is as its own kind of day, told as a note; a masked window teaches nothing."""
    configure(
        shell, small.CONFIGURATION + "calendar: {timezone: UTC, holidays: [2026-03-04], like: sunday}\n"
    )
    found = outlook(shell, span="4d")
    assert any("holiday 2026-03-04 as a Sunday" in note for note in found["pools"][0]["notes"])
    configure(shell, small.CONFIGURATION)
    plain = outlook(shell, span="3d")
    spiked = [
        line.replace(line.rsplit(",", 1)[1], "900") if line.startswith("web,2026-02-28T1") else line
        for line in small.history().splitlines()
    ]
    (shell.folder / "m.csv").write_text("\n".join([*spiked, ""]))
    mask = "mask: [{pools: [web], start: 2026-02-28T10:00:00Z, end: 2026-02-28T20:00:00Z}]\n"
    learnt = outlook(shell, span="3d")
    configure(shell, small.CONFIGURATION + mask)
    masked = outlook(shell, span="3d")
    assert (
        pool(learnt, "web")["total"]["unit_hours"]["mid"]
        > 1.1 * pool(plain, "web")["total"]["unit_hours"]["mid"]
    )
    assert pool(masked, "web")["total"]["unit_hours"]["mid"] == pytest.approx(
        pool(plain, "web")["total"]["unit_hours"]["mid"], rel=0.05
    )


def test_the_future_does_not_change_the_outlook(shell):
    """With a clock that stands in the past, samples after it are as if they were not there."""
    configure(shell, small.CONFIGURATION.replace("last-sample", '"2026-02-27T08:30:00Z"'))
    whole = outlook(shell, "demand*1.3", span="1w")
    (shell.folder / "loadline.db").unlink()
    lines = small.history().splitlines()
    until = [line for line in lines if line[0] not in "wa" or line.split(",")[1] < "2026-02-27T08:30:00Z"]
    assert len(until) < len(lines)
    (shell.folder / "m.csv").write_text("\n".join([*until, ""]))
    assert outlook(shell, "demand*1.3", span="1w") == whole


@pytest.mark.data
@pytest.mark.skipif("LOADLINE_DATA" not in os.environ, reason="LOADLINE_DATA names no folder")
def test_real_pools_have_an_outlook(shell):
    """Six production pools: four weeks, the band in order, money in line with what their last week kept."""
    example = Path(__file__).parents[2] / "examples" / "real-trace.yaml"
    configure(shell, example.read_text())
    found = outlook(shell, "demand*1.5")
    assert len(found["pools"]) == 6
    for entry in found["pools"]:
        base, more = entry["base"]["total"]["usd"], entry["assumed"]["total"]["usd"]
        assert 0 < base["low"] <= base["mid"] <= base["high"]
        assert more["mid"] > base["mid"]
