"""The weeks to come as text, JSON, YAML, CSV and markdown: golden text, and the laws of width and colour."""

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
from rich.cells import cell_len

from dashboards.horizon import horizon_text
from dashboards.horizon_documents import COLUMNS, render

WORLDS = Path(__file__).parents[1] / "worlds"
W = SimpleNamespace(**runpy.run_path(str(WORLDS / "weeks_to_come.py")))
WHAT_IF = W.outlook()
PLAIN = W.outlook(hours=672, what_if=False)
HOSTILE = replace(WHAT_IF.pools[0], pool="a|b`c\x1b[31m<x>\n@all", notes=("= 1 \x1b]0;t\x07 [x](y)",))


@pytest.mark.parametrize(
    ("outlook", "width", "file"),
    [(WHAT_IF, 100, "what_if.txt"), (WHAT_IF, 80, "what_if_80.txt"), (PLAIN, 100, "weeks_to_come.txt")],
)
def test_the_outlook_reads_as_it_is_written_in_the_world(outlook, width, file):
    """Four pools are, to the letter, the text that an operator was shown."""
    assert horizon_text(outlook, width=width) == (WORLDS / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("outlook", [WHAT_IF, PLAIN, replace(WHAT_IF, pools=(HOSTILE,))])
@pytest.mark.parametrize("width", [60, 71, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal(outlook, width):
    """Whatever the width from sixty cells on, and whatever a pool is called."""
    for line in horizon_text(outlook, width=width).splitlines():
        assert cell_len(line) <= width, line
        assert line == line.rstrip()


def test_colour_only_adds_colour():
    """Without its escapes the coloured text is the plain one; the plain one has none."""
    colored = horizon_text(WHAT_IF, color=True)
    assert colored != horizon_text(WHAT_IF)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == horizon_text(WHAT_IF)


def test_names_and_notes_cannot_write_to_the_terminal_nor_to_a_review():
    """Escapes, line ends, code spans, table cells and mentions of a name are harmless."""
    outlook = replace(WHAT_IF, pools=(HOSTILE,))
    assert "\x1b" not in horizon_text(outlook)
    markdown = render(outlook, "markdown")
    rows = [line for line in markdown.splitlines() if line.startswith("| `")]
    assert len(rows) == 1
    assert "\x1b" not in markdown


def test_one_period_is_not_shown_twice():
    """An outlook of a day has one line, the whole; a single pool has no list of pools."""
    text = horizon_text(replace(W.outlook(hours=24), pools=W.outlook(hours=24).pools[:1]))
    assert "2026-11-23  " not in text.split("pods")[1]
    assert text.count("pods  ") == 1


def test_a_pool_that_the_assumptions_leave_is_shown_once():
    """Its columns are those of what is, with a note; it is still in the list of all pools."""
    left = replace(WHAT_IF.pools[0], assumed=WHAT_IF.pools[0].base)
    text = horizon_text(replace(WHAT_IF, pools=(left, *WHAT_IF.pools[1:])))
    first = text.split("\n\nllm")[0]
    assert "what if" not in first.split("\n\npods")[1]
    assert "the assumptions change nothing of it" in first
    assert re.search(r"pods .*\$149 +\$149 +\$125 +\$173 +\$0\n", text)


def test_an_outlook_of_nothing_says_so():
    """Without pools there is nothing to add up, and without gaps nothing that could not be seen."""
    text = horizon_text(replace(WHAT_IF, pools=(), gaps=()))
    assert "All pools, 1w3d\n  nothing to add up\n" in text
    assert "Could not be seen" not in text


@pytest.mark.parametrize("outlook", [WHAT_IF, PLAIN])
def test_json_and_yaml_hold_every_figure(outlook):
    """The same object in both; what is not known is null; a what-if is marked."""
    found = json.loads(render(outlook, "json"))
    assert yaml.safe_load(render(outlook, "yaml")) == found
    assert found["format_version"] == 1
    assert (found["what_if"], len(found["assumptions"])) == ((True, 4) if outlook.what_if else (False, 0))
    bare = found["pools"][2]
    assert (bare["base"]["total"]["usd"], bare["base"]["unit_usd"]) == (None, None)
    assert found["base"]["unpriced"] == ["rack-of-unknown-price"]
    assert len(bare["base"]["units"]) == outlook.hours
    assert (found["assumed"] is None) == (not outlook.what_if)


def test_csv_has_a_row_for_each_pool_case_and_period():
    """Empty where the price is not known; the numbers are those of the JSON."""
    rows = list(csv.DictReader(io.StringIO(render(WHAT_IF, "csv"))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 4 * 2 * (10 + 2 + 1)
    whole = {(row["pool"], row["case"]): row for row in rows if row["period"] == "all"}
    assert float(whole["web", "what-if"]["usd_mid"]) == WHAT_IF.pools[3].assumed.total.usd.mid
    assert whole["rack-of-unknown-price", "base"]["usd_mid"] == ""
    assert whole["pods", "base"]["billable"] == "no"
    assert all(row["case"] == "base" for row in csv.DictReader(io.StringIO(render(PLAIN, "csv"))))


def test_markdown_is_a_table_of_pools_and_says_how_each_was_sized():
    """One row a pool with base, what-if and change; the total is the billable; gaps and notes are told."""
    text = render(WHAT_IF, "markdown")
    assert r"| `web` | \$606 | \$891 | \$817 to \$938 | +\$285 |" in text
    assert r"**Total, billable: \$22,588, \$18,915 to \$26,967**, +\$2,785 on \$19,802" in text
    assert "unknown" in next(line for line in text.splitlines() if "rack-of" in line)
    assert "- `search`: none of its metrics has a forecast" in text
    assert "event black-friday: x1.8" in text
    assert "### Loadline: outlook, 4w from 2026-11-23" in render(PLAIN, "markdown")
