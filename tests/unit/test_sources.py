"""Several sources through the gate together: gauges as they are, counters as rates."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from autoscaler.metrics.sources import gate_sources
from autoscaler.ports import Samples
from forecasts.limits import Code, Limits

NOW = datetime(2026, 3, 1, 1, tzinfo=UTC)
LIMITS = Limits(now=NOW, window_s=3600)


def samples(name, y, *, kind="gauge", rejected=()):
    ds = np.datetime64("2026-03-01T00:00", "us") + np.arange(len(y)) * np.timedelta64(60, "s")
    return Samples(
        unique_id=np.full(len(y), name, dtype=object),
        ds=ds,
        y=np.asarray(y, dtype=float),
        line=np.full(len(y), -1),
        source=name,
        rejected=rejected,
        kind=kind,
    )


def test_f08_each_source_is_gated_as_its_kind():
    """A counter becomes its rate per second, with its resets repaired; a gauge beside it stays as it is."""
    counter = np.cumsum(np.full(60, 120.0))
    counter[30:] -= counter[29]
    gated = gate_sources([samples("requests", counter, kind="counter"), samples("cores", counter)], LIMITS)
    cores, requests = gated.series
    assert (cores.unique_id, requests.unique_id) == ("cores", "requests")
    assert cores.y.tolist() == counter.tolist()
    assert requests.y == pytest.approx(np.full(59, 2.0))
    assert [n.unique_id for n in gated.notices if n.code is Code.COUNTER_RESET] == ["requests"]


def test_a_series_of_two_kinds_is_refused():
    """The same name as a gauge and as a counter is nobody's: it is refused and told, the rest goes on."""
    gauge, other = samples("web", range(1, 61)), samples("api", range(1, 61))
    gated = gate_sources([gauge, other, samples("web", range(1, 61), kind="counter")], LIMITS)
    assert [one.unique_id for one in gated.series] == ["api"]
    assert gated.refused["web"].code is Code.AMBIGUOUS
    assert "name one" in gated.refused["web"].message


def test_rows_that_could_not_be_read_are_told_once_a_source():
    """Rejected rows are one notice each source, and no source at all is nothing."""
    gated = gate_sources([samples("web", range(1, 61), rejected=("a:3: no", "a:4: no"))], LIMITS)
    assert [n.message for n in gated.notices if n.code is Code.UNREADABLE] == ["a:3: no (2 rows dropped)"]
    assert gate_sources([], LIMITS).series == ()
