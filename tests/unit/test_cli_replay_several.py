"""`loadline replay` with several scalers: cost at equal violation, in a table, as JSON, and as targets."""

from __future__ import annotations

import csv
import json
import math

import pytest

from policies import scalers
from tests.worlds import small

QUICK = "replay --history m.csv --scaler"


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder with one history of two series."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "m.csv").write_text(small.history(days=4))
    return small.Shell(tmp_path, capsys)


def document(answer):
    """The JSON of an answer that went well."""
    assert answer.code == 0, answer
    return json.loads(answer.out)


def by_scaler(found):
    """The figures of each scaler's series, by its name."""
    return {one["scaler"]: one for one in found["scalers"]}


def test_several_scalers_are_one_document(shell):
    """Each scaler has the figures of a single one's replay, for the same series, and a standing."""
    found = document(shell(f"{QUICK} hpa,seasonal_quantile,rolling_max -o json"))
    assert list(found) == ["format_version", "lead_time_s", "violation", "scalers", "summary", "left_out"]
    assert (found["format_version"], found["lead_time_s"], found["violation"]) == (1, 300, 0.01)
    assert list(by_scaler(found)) == ["hpa", "seasonal_quantile", "rolling_max"]
    alone = document(shell(f"{QUICK} seasonal_quantile --violation 1% -o json"))
    assert by_scaler(found)["seasonal_quantile"]["series"] == alone["series"]
    assert by_scaler(found)["seasonal_quantile"]["tuned"] is None
    assert [one["scaler"] for one in found["summary"]["scalers"]] == list(by_scaler(found))
    assert found["left_out"] == []


def test_those_without_a_budget_are_tuned_to_what_the_leader_reached(shell):
    """The peer keeps, on each series, to the leader's violation, as tuning it alone to that would."""
    found = document(shell(f"{QUICK} rolling_max seasonal_quantile -o json"))
    ours = by_scaler(found)["seasonal_quantile"]["series"]
    peer = by_scaler(found)["rolling_max"]
    for mine, tuned, score in zip(ours, peer["tuned"], peer["series"], strict=True):
        assert tuned["violation"] == mine["violation"]
        assert tuned["unique_id"] == score["unique_id"] == mine["unique_id"]
        assert score["violation"] <= mine["violation"]
        line = f"{QUICK} rolling_max --tune hindsight -o json --series {mine['unique_id']}"
        alone = document(shell(line, "--violation", repr(max(mine["violation"], 1e-6))))
        assert alone["series"] == [score]
        assert alone["tuned"][0]["knob"] == tuned["knob"]


def test_without_a_budget_among_them_all_are_tuned_to_what_was_asked(shell):
    """Peers alone are tuned to --violation, and nobody leads."""
    found = document(shell(f"{QUICK} hpa,static --violation 2% -o json"))
    assert found["summary"]["leader"] is None
    for one in found["scalers"]:
        assert [tuned["violation"] for tuned in one["tuned"]] == [0.02, 0.02]
        assert all(score["violation"] <= 0.02 for score in one["series"])


def test_the_standing_is_what_the_figures_say(shell):
    """Geometric means, wins and the worst can be had again from the figures of each series."""
    found = document(shell(f"{QUICK} hpa,seasonal_quantile,rolling_max -o json"))
    costs = {name: [s["cost"] for s in one["series"]] for name, one in by_scaler(found).items()}
    least = [s["clairvoyant"] for s in by_scaler(found)["hpa"]["series"]]
    for standing in found["summary"]["scalers"]:
        mine = costs[standing["scaler"]]
        ratios = [a / b for a, b in zip(mine, costs["hpa"], strict=True)]
        assert standing["of_baseline"] == pytest.approx(math.sqrt(math.prod(ratios)))
        assert standing["worst"] == max(ratios)
        assert standing["wins"] == sum(ratio <= 1 for ratio in ratios)
        of_least = [a / b for a, b in zip(mine, least, strict=True)]
        assert standing["of_clairvoyant"] == pytest.approx(math.sqrt(math.prod(of_least)))
    leader = found["summary"]["leader"]
    cheapest = [min(pair) for pair in zip(costs["hpa"], costs["rolling_max"], strict=True)]
    ratios = [a / b for a, b in zip(costs["seasonal_quantile"], cheapest, strict=True)]
    assert leader["scaler"] == "seasonal_quantile"
    assert leader["of_cheapest"] == pytest.approx(math.sqrt(math.prod(ratios)))
    assert leader["worst"] == max(ratios)


def test_a_series_that_cannot_be_replayed_is_left_out_and_told(shell):
    """One bad series costs itself alone: a warning, a line in the JSON, code 0; all bad is code 5."""
    lines = (shell.folder / "m.csv").read_text().splitlines()
    nought = [f"{one.rpartition(',')[0]},0" if one.startswith("api") else one for one in lines]
    (shell.folder / "m.csv").write_text("\n".join(nought) + "\n")
    answer = shell(f"{QUICK} hpa,seasonal_quantile -o json")
    found = document(answer)
    assert [one["unique_id"] for one in found["left_out"]] == ["api"]
    assert [score["unique_id"] for score in by_scaler(found)["hpa"]["series"]] == ["web"]
    assert answer.err.startswith("loadline: warning: left out: api")
    alone = shell(f"{QUICK} hpa,seasonal_quantile --series api")
    assert (alone.code, alone.out) == (5, "")
    assert "give the unit capacity itself" in alone.err


def test_the_targets_of_several_name_their_scaler(shell):
    """The file has a column more, and each scaler's rows are those of its own replay."""
    assert shell(f"{QUICK} seasonal_quantile,hpa --violation 1% --targets-out both.csv").code == 0
    assert shell(f"{QUICK} seasonal_quantile --violation 1% --targets-out one.csv").code == 0
    head, *rows = list(csv.reader((shell.folder / "both.csv").read_text().splitlines()))
    assert head == ["scaler", "unique_id", "ds", "target", "demand_units", "scored"]
    mine = [row[1:] for row in rows if row[0] == "seasonal_quantile"]
    assert mine == list(csv.reader((shell.folder / "one.csv").read_text().splitlines()))[1:]
    assert {row[0] for row in rows} == {"seasonal_quantile", "hpa"}


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_table_fits_and_says_how_it_came_about(shell, monkeypatch, width):
    """No line is wider than the terminal; the cheapest comes first; the tuning is said in words."""
    monkeypatch.setenv("COLUMNS", str(width))
    answer = shell(f"{QUICK} static,hpa,seasonal_quantile,rolling_max --series web api")
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= width
    words = " ".join(answer.out.split())
    assert "As asked, at a violation of 1.0 %: seasonal_quantile." in words
    assert "violates no more than seasonal_quantile did there" in words
    for block in answer.out.split("\n\n"):
        if block.startswith(("web", "api")):
            names = [line.split()[0] for line in block.splitlines()[4:]]
            assert sorted(names) == ["hpa", "rolling_max", "seasonal_quantile", "static"]
            assert names[-1] == "static"


def test_several_series_are_summed_up_unless_they_are_named(shell):
    """Without --series there is one table over all; with it a table for each comes first."""
    assert "web\n" not in shell(f"{QUICK} static,hpa").out
    named = shell(f"{QUICK} static,hpa --series web api").out
    assert named.index("web\n") < named.index("api\n") < named.index("all 2 series")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ("hpa,statc", "there are autopilot"),
        ("hpa,static --set target=0.5", "hpa, static"),
        ("hpa,static --set crane.target=0.5", "NAME.target=VALUE"),
        ("hpa,static --set hpa.target=0.5", "replay --scaler hpa alone"),
        ("hpa,static --set hpa.wings=2", "no setting 'wings'"),
        ("hpa --set static.target=1", "static is not replayed"),
        ("hpa,static --jobs -1", "--jobs"),
        ("hpa,", "no scaler ''"),
    ],
)
def test_a_bad_flag_of_several_is_one_line(shell, arguments, place):
    """What cannot be meant ends in one line that names the mend, code 64."""
    answer = shell(f"{QUICK} {arguments}")
    assert (answer.code, answer.out) == (64, "")
    assert answer.err.count("\n") == 1
    assert place in answer.err


def test_a_setting_goes_to_the_scaler_that_it_names(shell):
    """`--set NAME.KEY=VALUE` changes that scaler's figures and no other's."""
    plain = document(shell(f"{QUICK} hpa,seasonal_quantile --tune hindsight -o json"))
    line = f"{QUICK} hpa,seasonal_quantile --tune hindsight --set hpa.stabilization-s=3600 -o json"
    changed = document(shell(line))
    before, after = by_scaler(plain), by_scaler(changed)
    assert before["seasonal_quantile"] == after["seasonal_quantile"]
    assert before["hpa"]["series"] != after["hpa"]["series"]


@pytest.mark.slow
def test_all_is_every_scaler_and_the_portfolio_leads(shell):
    """`--scaler all` compares every module of the folder; processes change no figure."""
    found = document(shell(f"{QUICK} all --series web --jobs 1 -o json"))
    assert list(by_scaler(found)) == list(scalers.names())
    assert found["summary"]["leader"]["scaler"] == "portfolio"
    reached = by_scaler(found)["portfolio"]["series"][0]["violation"]
    assert by_scaler(found)["hpa"]["tuned"][0]["violation"] == reached
    assert document(shell(f"{QUICK} all --series web --jobs 2 -o json")) == found
