"""Poisoned history: a load test, an incident, a sale: set aside it teaches nothing, and live need is met."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from autoscaler import bootstrap, config, observing, tick
from autoscaler.clock import SetClock
from forecasts.types import Series
from policies import scalers
from tests.worlds import small

pytestmark = pytest.mark.slow  # each builds a world

BEGIN, END = small.END - timedelta(days=7, hours=1), small.END - timedelta(days=7) + timedelta(hours=6)
MASK = f"mask:\n  - {{pools: [web], start: {BEGIN:%FT%TZ}, end: {END:%FT%TZ}, why: load test}}\n"


@pytest.fixture
def turn(tmp_path):
    """One turn of the small world whose `web` had ten times its load in [BEGIN, END), and lately."""

    def of(text, *, factor=10.0, lately=1.0, now=small.END):
        lines = []
        for line in small.history().splitlines():
            name, stamp, y = line.split(",")
            if name == "web" and f"{BEGIN:%FT%TZ}" <= stamp < f"{END:%FT%TZ}":
                y = f"{float(y) * factor:.6g}"
            if name == "web" and stamp >= f"{small.END - timedelta(minutes=45):%FT%TZ}":
                y = f"{float(y) * lately:.6g}"
            lines.append(f"{name},{stamp},{y}")
        (tmp_path / "m.csv").write_text("\n".join([*lines, ""]))
        (tmp_path / "loadline.yaml").write_text(text)
        app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), SetClock(now))
        try:
            return tick.turn(app)
        finally:
            app.close()

    return of


def wants(done, pool="web"):
    """What the pool is to have in the end: what is done and what is held."""
    deeds = [a for a in done.plan.actions if a.target == pool]
    held = [entry.action for entry in done.plan.held if entry.action.target == pool]
    return max([action.after for action in (*deeds, *held)])


def test_f84_a_masked_load_test_is_forecast_by_nobody(turn):
    """The seasonal naive would ask for ten times the load again; masked, it asks for the usual."""
    usual = wants(turn(small.CONFIGURATION, factor=1.0))
    poisoned = turn(small.CONFIGURATION)
    masked = turn(small.CONFIGURATION + MASK)
    assert wants(poisoned) > 4 * usual
    assert abs(wants(masked) - usual) <= 1
    assert masked.plan.complete
    sound, clean = (
        masked.forecasts["web"].values,
        turn(small.CONFIGURATION, factor=1.0).forecasts["web"].values,
    )
    assert np.nanmax(sound) < 1.2 * np.nanmax(clean)


def test_f84_live_need_is_met_within_a_mask(turn):
    """A mask that covers now hides nothing from the need: what is really there is served."""
    now = f"mask:\n  - {{start: {small.END - timedelta(hours=2):%FT%TZ}, end: {small.END:%FT%TZ}}}\n"
    done = turn(small.CONFIGURATION + now, factor=1.0, lately=4.0)
    assert wants(done) >= np.ceil(done.outlooks["web"].live)
    assert done.outlooks["web"].live > 35


def test_f84_scalers_and_p99_do_not_see_what_is_masked(turn):
    """What a scaler is shown, and the p99 that sets a unit capacity, know nothing of the window."""
    text = small.CONFIGURATION.replace("web, unit_capacity: 10", "web, units_at_p99: 15")
    done, clean = turn(text + MASK), turn(text, factor=1.0)
    shown = done.outlooks["web"].learnt
    assert np.isnan(shown.y).sum() == (END - BEGIN) / small.STEP
    capacity, plain = (
        next(pool for pool in one.seen.snapshot.pools if pool.id == "web").demands[0].unit_capacity
        for one in (done, clean)
    )
    assert capacity == pytest.approx(plain, rel=0.02)
    assert capacity < turn(text).seen.snapshot.pools[1].demands[0].unit_capacity / 3


def test_f84_the_portfolio_learns_nothing_of_a_masked_window():
    """Absent steps count in neither cost nor violation: its ledger is that of the steps that are left."""
    y = np.full(4 * 288, 10.0)
    y[600:640] = 1e5
    masked = np.where((np.arange(y.size) >= 600) & (np.arange(y.size) < 640), np.nan, y)
    scaler = scalers.load("portfolio")
    settings = scalers.configure(scaler, scalers.PoolSettings(step_s=300), {}, violation=0.01)
    last = {}
    for name, demand in (("masked", masked), ("clean", np.full_like(y, 10.0)), ("poisoned", y)):
        targets, state = scaler.targets(demand[None], None, settings, None)
        last[name] = int(targets[0, -1]), state.portfolio.ledger.totals()
    assert last["masked"][0] == last["clean"][0]
    assert last["masked"][1][2].tolist() == [4 * 288 - 40]
    assert last["masked"][1][1].max() <= last["clean"][1][1].max()
    assert last["poisoned"][1][0].max() > 40 * last["masked"][1][0].max()


def test_a_declared_holiday_is_forecast_as_a_sunday(tmp_path):
    """A Monday that is declared has half the load, as Sundays had, and the plan says why."""
    lines = []
    for line in small.history().splitlines()[1:]:
        name, stamp, y = line.split(",")
        sunday = datetime.fromisoformat(stamp).weekday() == 6
        lines.append(f"{name},{stamp},{float(y) * (0.5 if sunday else 1.0):.6g}")
    (tmp_path / "m.csv").write_text("\n".join(["unique_id,ds,y", *lines, ""]))
    values = {}
    for name, more in (("plain", ""), ("holiday", f"calendar: {{holidays: [{small.END:%F}]}}\n")):
        (tmp_path / "loadline.yaml").write_text(small.CONFIGURATION + more)
        app = bootstrap.build(config.load(str(tmp_path / "loadline.yaml")), SetClock(small.END))
        done = tick.turn(app)
        values[name] = done.forecasts["web"].values[:, 0]
        app.close()
    ratio = values["holiday"] / values["plain"]
    assert ratio[:16] == pytest.approx(np.full(16, 0.5), rel=0.1)
    assert ratio[16:] == pytest.approx(np.ones_like(ratio[16:]), rel=0.01)
    facts = [(fact.name, fact.value) for action in done.plan.actions for fact in action.because]
    assert ("forecast", f"holiday {small.END:%F} as a Sunday") in facts


def test_a_declared_event_is_in_the_plan_and_in_its_reasons(turn):
    """One lead time before a sale of twice the load the plan asks for twice, and says so."""
    start = small.END + timedelta(minutes=5)
    event = (
        f"events:\n  - {{name: sale, pools: [web], start: {start:%FT%TZ}, "
        f"end: {start + timedelta(hours=8):%FT%TZ}, multiplier: 2}}\n"
    )
    plain, sale = turn(small.CONFIGURATION, factor=1.0), turn(small.CONFIGURATION + event, factor=1.0)
    assert wants(sale) in range(2 * wants(plain) - 1, 2 * wants(plain) + 2)
    assert wants(sale, "api") == wants(plain, "api")
    (grown,) = (action for action in sale.plan.actions if action.target == "web")
    assert ("event", "sale: x2") in [(fact.name, fact.value) for fact in grown.because]
    ratio = sale.forecasts["web"].values / plain.forecasts["web"].values
    assert ratio[1:8].tolist() == pytest.approx(np.full((7, ratio.shape[1]), 2.0))
    assert ratio[12:].tolist() == pytest.approx(np.ones_like(ratio[12:]))
    assert sale.plan.policy_digest != plain.plan.policy_digest
    assert sale.plan.forecasts_digest != plain.plan.forecasts_digest


@pytest.mark.parametrize("days", [35, 6], ids=["of-the-store", "of-the-sources"])
def test_a_past_event_is_imitated_wherever_it_is_known(turn, monkeypatch, days):
    """The demand of the past event is the floor; one that nobody knows lets nothing shrink."""
    monkeypatch.setattr(observing, "HISTORY_S", days * 86400)
    event = (
        "events:\n  - {{name: again, pools: [web], start: {0:%FT%TZ}, end: {1:%FT%TZ}, "
        "like: {{start: {2:%FT%TZ}, end: {3:%FT%TZ}}}}}\n"
    )
    hours = timedelta(hours=5)
    known = event.format(
        small.END, small.END + hours, BEGIN + timedelta(hours=2), BEGIN + timedelta(hours=2) + hours
    )
    done = turn(small.CONFIGURATION + known)
    assert isinstance(done.seen.imitated["again"]["web"], Series)
    assert wants(done) >= 80
    (text,) = done.outlooks["web"].events
    assert text.startswith("again: at least ")
    unknown = event.format(
        small.END, small.END + hours, small.END - timedelta(days=365), small.END - timedelta(days=365) + hours
    )
    shrunk = unknown.replace("[web]", "[api]")
    done = turn(small.CONFIGURATION + shrunk, factor=1.0)
    assert not [action for action in done.plan.actions if action.target == "api"]
    assert "nobody knows the demand of the past event" in done.plan.held[-1].why
