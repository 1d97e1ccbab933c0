"""Turns over a source that is followed: what its failures and its lateness do to a pool."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from autoscaler import bootstrap, config, observing, outlooks
from autoscaler.clock import SetClock
from autoscaler.errors import MetricsError
from autoscaler.following import Following
from autoscaler.ports import Samples

pytestmark = pytest.mark.slow  # each builds a store

NOW = datetime(2026, 3, 2, 8, 0, 40, tzinfo=UTC)
DAYS = 20
FILE = """
state: state.db
now: clock
providers: {fake: {path: cloud.db}}
metrics: [{kind: csv, path: none.csv}]
pools:
  web: {provider: fake, minimum: 1, maximum: 9, desired: 5, demands: [{series: rps, unit_capacity: 10}]}
"""


class Server:
    """A value a minute, of periods that were over `delay_s` before the clock; long times may be refused."""

    step_s = 60

    def __init__(self, clock, *, delay_s=0):
        self.clock, self.delay_s, self.refuses_s = clock, delay_s, float("inf")

    def known(self):
        return ("rps",)

    def samples(self, series, since, until):
        if (until - since).total_seconds() > self.refuses_s:
            raise MetricsError("too long")
        over = int((self.clock.now().timestamp() - self.delay_s) // 60)
        first = max(since, NOW - timedelta(days=DAYS)).timestamp()
        minutes = np.arange(-(-int(first) // 60), min(over, int(until.timestamp() // 60)))
        return Samples(
            unique_id=np.full(minutes.size, *series, dtype=object),
            ds=(minutes * 60).astype("datetime64[s]").astype("datetime64[us]"),
            y=20.0 + minutes % 7 + minutes % 1440 / 100,
            line=np.full(minutes.size, -1),
            source="server",
        )


@pytest.fixture
def following(tmp_path):
    """An app that follows a server which is so late, and that server."""
    (tmp_path / "loadline.yaml").write_text(FILE)
    (tmp_path / "none.csv").write_text("unique_id,ds,y\n")
    clock = SetClock(NOW)
    app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), clock)

    def made(delay_s=0):
        server = Server(clock, delay_s=delay_s)
        return replace(app, metrics=(Following(server, server, app.history),)), server

    return made


def test_history_that_failed_to_come_is_fetched_later_and_shrinks_nothing_before(following):
    """A first fetch that fails leaves nothing in the store, so that the next one fetches the whole."""
    app, server = following()
    server.refuses_s = 2 * 86400
    seen = observing.observe(app)
    assert "could not be fetched" in seen.refused["rps"]
    assert seen.series["rps"].y[-1] > 0
    assert app.history.ends(["rps"]) == {}
    server.refuses_s = float("inf")
    app.clock.advance(300.0)
    seen = observing.observe(app)
    assert seen.refused == {}
    assert len(seen.series["rps"].y) >= DAYS * 1440


@pytest.mark.parametrize("delay_s", [0, 120, 600])
def test_a_source_that_is_late_by_design_is_trusted_until_it_stops(following, delay_s):
    """Whatever its delay, a source that is well refuses no shrinking; one that stops is stale in minutes."""
    app, _server = following(delay_s)
    for minute in (0, 1, 2):
        app.clock.advance(60.0 * bool(minute))
        seen = observing.observe(app)
        assert seen.refused == {}
    assert np.isfinite(outlooks.live(app, seen)["web"].demand.y[-1])
    stopped = Server(SetClock(app.clock.now()), delay_s=delay_s)
    app = replace(app, metrics=(Following(stopped, stopped, app.history),))
    app.clock.advance(300.0)
    assert "old" in observing.observe(app).refused["rps"]
