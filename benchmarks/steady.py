"""A tick of 1,000 pools that follow one-minute series over a network, once their 14 days are filled in.

The source answers from memory, the pools live in the fake cloud, mode observe. `first_s`: the tick that fits
every model; `steady_s`: the median of the next ones, a minute apart; `hour_s`: the first of the next hour.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from autoscaler import bootstrap, config, observing, tick
from autoscaler.clock import SetClock
from autoscaler.following import Following
from autoscaler.ports import Samples

TARGETS = {"steady_s": "<= 5", "megabytes": "<= 600"}
POOLS, DAYS, STEP_S = 1_000, 14, 60
NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


class Server:
    """A day's wave and a week's, with noise that depends on series and minute alone."""

    step_s = STEP_S
    delay_s = 0

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are the series that there are."""
        self._names = {name: number for number, name in enumerate(names)}
        self._first = int((NOW - timedelta(days=DAYS)).timestamp()) // STEP_S

    def known(self) -> Sequence[str]:
        """See the port."""
        return tuple(self._names)

    def samples(self, series: Sequence[str], since: datetime | None, until: datetime | None) -> Samples:
        """See the port; both ends are given."""
        assert since is not None and until is not None  # noqa: PT018 - one thought
        first = max(self._first, -(-int(since.timestamp()) // STEP_S))
        minutes = np.arange(first, int(until.timestamp()) // STEP_S)
        wave = 100 + 40 * np.sin(2 * np.pi * minutes / 1440) + 15 * np.sin(2 * np.pi * minutes / 10080)
        parts = []
        for name in series:
            noise = np.sin(minutes * (12.9898 + self._names[name])) * 43758.5453
            parts.append(wave * (0.9 + 0.2 * (noise - np.floor(noise))))
        return Samples(
            unique_id=np.repeat(np.array(series, dtype=object), minutes.size),
            ds=np.tile((minutes * STEP_S).astype("datetime64[s]").astype("datetime64[us]"), len(series)),
            y=np.concatenate(parts) if parts else np.empty(0),
            line=np.full(minutes.size * len(series), -1),
            source="memory",
        )


def built(folder: Path, clock: SetClock) -> bootstrap.App:
    """The program over 1,000 pools."""
    names = [f"pool{number}" for number in range(POOLS)]
    pools = "\n".join(
        f"  {name}: {{provider: fake, minimum: 2, maximum: 60, demands: [{{series: {name}, unit_capacity: 10}}]}}"  # noqa: E501
        for name in names
    )
    file = folder / "loadline.yaml"
    file.write_text(f"state: ./s.db\nproviders: {{fake: {{path: ./c.db}}}}\npools:\n{pools}\n")
    app = bootstrap.build(config.load(str(file)), clock)
    server = Server(names)
    return replace(app, metrics=(Following(server, server, app.history),))


def run() -> dict[str, float]:
    """Wall seconds of each kind of tick, and the memory of the process."""
    with tempfile.TemporaryDirectory() as folder:
        clock = SetClock(NOW)
        app = built(Path(folder), clock)
        began = time.perf_counter()
        gaps = observing.back_fill(app)
        assert not gaps, gaps
        filled = time.perf_counter() - began
        seconds = []
        for _ in range(12):
            began = time.perf_counter()
            plan = tick.tick(app, running_s=3600, whole=False).plan
            seconds.append(time.perf_counter() - began)
            assert len(plan.actions) + len(plan.held) > 0
            clock.advance(STEP_S)
        for _ in range(20):
            clock.advance(STEP_S)
        began = time.perf_counter()
        tick.tick(app, running_s=3600, whole=False)
        hour = time.perf_counter() - began
        app.close()
    return {
        "filled_in_s": filled,
        "first_s": seconds[0],
        "steady_s": float(np.median(seconds[1:])),
        "hour_s": hour,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(run())
