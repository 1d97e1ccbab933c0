"""docs/trail.md: it names every table of the trail, and its commands are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

from autoscaler.cli import COMMANDS
from autoscaler.freezing import ENVIRONMENT
from autoscaler.ports import FREEZE
from autoscaler.store.tables import CHAINED
from policies.deeds import Verdict

TEXT = (Path(__file__).parents[1] / "docs" / "trail.md").read_text()


def test_every_table_is_told_once():
    """The table of rows names each insert-only table, but for the schema's version."""
    (table,) = re.findall(r"\| Rows \|.*?\n\n", TEXT, re.DOTALL)
    assert sorted(re.findall(r"`([a-z_]+)`", table)) == sorted(set(CHAINED) - {"schema_version"})
    assert all(verdict.value in table for verdict in Verdict)


def test_its_commands_and_places_are_those_of_the_program():
    """Every command shown exists, and so do the names of the environment's and the label's freeze."""
    assert set(re.findall(r"loadline ([a-z]+)", TEXT)) - {"dev"} <= set(COMMANDS)
    assert f"`{ENVIRONMENT}`" in TEXT
    assert f"`{FREEZE}`" in TEXT
