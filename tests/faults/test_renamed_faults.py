"""A deploy renames a series: with its former id declared the history goes on, without it it starts cold."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler import bootstrap, config, tick
from autoscaler.clock import SetClock
from tests.worlds import small

RENAMED = small.CONFIGURATION.replace("{series: web,", "{series: web_v2, formerly: [web],")


@pytest.fixture
def turn(tmp_path):
    """One turn of a world in which `web` became `web_v2` six hours ago."""

    def of(text):
        lines = small.history().splitlines()
        web = [line for line in lines if line.startswith("web,")]
        fresh = [line.replace("web,", "web_v2,") for line in web[-24:]]
        rest = [line for line in lines if line not in set(web[-24:])]
        (tmp_path / "m.csv").write_text("\n".join([*rest, *fresh, ""]))
        (tmp_path / "loadline.yaml").write_text(text)
        app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), SetClock(small.END))
        try:
            return tick.turn(app)
        finally:
            app.close()

    return of


@pytest.mark.slow
def test_f85_a_renamed_series_keeps_its_history(turn):
    """Declared as the former id, three weeks of the old name are the new one's: same demand, same plan."""
    done = turn(RENAMED)
    renamed = done.seen.series["web_v2"]
    assert np.isfinite(renamed.y).all()
    assert len(renamed.y) == small.DAYS * 96
    assert done.plan.complete
    assert {(a.target, a.before, a.after) for a in done.plan.actions} == {("web", 4, 8), ("api", 20, 19)}


@pytest.mark.slow
def test_f85_without_a_former_id_it_starts_cold(turn):
    """Nobody said that they are one: the new id has six hours, and no history is taken from another."""
    done = turn(small.CONFIGURATION.replace("{series: web,", "{series: web_v2,"))
    assert len(done.seen.series["web_v2"].y) == 24
