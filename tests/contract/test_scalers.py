"""What every module of policies/scalers keeps, whatever it computes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecasts.lead_peak import LeadPeak
from policies import portfolio, scalers
from policies.portfolio import Portfolio
from policies.scalers import PoolSettings, configure, decide, knobs, load

NAMES = scalers.names()
LEVELS = (0.5, 0.9, 0.99)
STEPS_S = (15, 30, 60, 75, 300, 600, 3600)


def history(chance: np.random.Generator, series: int, steps: int):
    """Demand that jumps, rests, vanishes and breaks off; multiples of a quarter."""
    level = chance.choice([0, 1, 5, 40, 300], size=(series, 1))
    shape = np.repeat(chance.random((series, steps // 4 + 1)), 4, axis=1)[:, :steps]
    demand = np.round(4 * level * shape * chance.choice([0.9, 1.0, 1.1], size=(series, steps))) / 4
    demand[chance.random((series, steps)) < chance.choice([0, 0.05, 0.5])] = np.nan
    return demand


def forecasts(chance: np.random.Generator, demand, horizon=4):
    ahead = np.sort(chance.gamma(2.0, 10.0, (*demand.shape, horizon, len(LEVELS))), axis=3)
    ahead[chance.random(demand.shape) < 0.1] = np.nan
    return ahead


class Case:
    """One drawn history with settings for one scaler."""

    def __init__(self, name: str, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.scaler = load(name)
        series, steps = int(self.chance.integers(1, 5)), int(self.chance.integers(2, 60))
        self.demand = history(self.chance, series, steps)
        self.ahead = forecasts(self.chance, self.demand) if self.chance.random() < 0.8 else None
        self.minimum = self.chance.integers(0, 6, size=series)
        self.maximum = self.minimum + self.chance.integers(1, 60, size=series)
        self.pool = PoolSettings(
            step_s=int(self.chance.choice(STEPS_S)),
            lead_steps=int(self.chance.integers(1, 6)),
            warmup_steps=int(self.chance.integers(0, steps)),
            minimum=self.minimum,
            maximum=self.maximum,
            levels=LEVELS,
        )
        self.settings = configure(self.scaler, self.pool, {}, violation=0.01)

    def run(self, demand=None, ahead=None, settings=None, state=None):
        demand = self.demand if demand is None else demand
        ahead = self.ahead if ahead is None else ahead
        return self.scaler.targets(demand, ahead, settings or self.settings, state)


seeds = st.integers(0, 2**32)
HEAVY = {"crane", "holt_winters", "lead_peak", "portfolio", "predictive"}  # they fit: for make test
every_scaler = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in NAMES]
)


@every_scaler
@given(seeds, st.data())
def test_no_scaler_sees_the_future(name, seed, data):
    """Causality: targets up to t are the same whatever comes from t on, and if nothing comes."""
    case = Case(name, seed)
    whole, _ = case.run()
    t = data.draw(st.integers(1, case.demand.shape[1] - 1))
    demand, ahead = case.demand.copy(), case.ahead
    demand[:, t:] = case.chance.choice([np.nan, 0.0, 1e6])
    if ahead is not None:
        ahead = ahead.copy()
        ahead[:, t + 1 :] = case.chance.choice([np.nan, 0.0, 1e6])
    assert np.array_equal(case.run(demand, ahead)[0][:, : t + 1], whole[:, : t + 1])
    short = None if case.ahead is None else case.ahead[:, :t]
    assert np.array_equal(
        case.scaler.targets(case.demand[:, :t], short, case.settings, None)[0], whole[:, :t]
    )


@every_scaler
@given(seeds, st.data())
def test_two_halves_are_the_whole(name, seed, data):
    """State: what a call leaves behind lets the next go on as if there had been one call."""
    case = Case(name, seed)
    whole, _ = case.run()
    t = data.draw(st.integers(1, case.demand.shape[1] - 1))
    parts, state = [], None
    for part in (slice(0, t), slice(t, None)):
        ahead = None if case.ahead is None else case.ahead[:, part]
        got, state = case.scaler.targets(case.demand[:, part], ahead, case.settings, state)
        parts.append(got)
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


@every_scaler
@given(seeds)
def test_a_call_leaves_its_inputs_alone(name, seed):
    """Neither demand, nor forecasts, nor the state that was given are written to."""
    case = Case(name, seed)
    _, state = case.run()
    kept = case.demand.copy()
    once = case.run(state=state)[0]
    assert np.array_equal(case.run(state=state)[0], once)
    assert np.array_equal(case.demand, kept, equal_nan=True)


@every_scaler
@given(seeds)
def test_targets_are_whole_and_within_bounds_of_each_series(name, seed):
    """Targets are int64 [series, steps], within minimum and maximum, NaN or not."""
    case = Case(name, seed)
    got, _ = case.run()
    assert got.dtype == np.int64
    assert got.shape == case.demand.shape
    assert (got >= case.minimum[:, None]).all()
    assert (got <= case.maximum[:, None]).all()


@every_scaler
@given(seeds)
def test_bounds_may_be_numbers(name, seed):
    """One minimum and maximum for all, or none, is what the same bounds for each series are."""
    case = Case(name, seed)
    series = len(case.demand)
    for low, high in ((2, 9), (1, None)):
        one = configure(case.scaler, PoolSettings(minimum=low, maximum=high, levels=LEVELS), {})
        each = configure(
            case.scaler,
            PoolSettings(
                minimum=np.full(series, low),
                maximum=np.full(series, 2**40 if high is None else high),
                levels=LEVELS,
            ),
            {},
        )
        assert np.array_equal(case.run(settings=one)[0], case.run(settings=each)[0])


@every_scaler
@given(seeds)
def test_series_do_not_know_of_each_other(name, seed):
    """Rows in another order give targets in that order; one row alone gives its own targets."""
    case = Case(name, seed)
    whole, _ = case.run()
    order = case.chance.permutation(len(case.demand))
    for rows in (order, order[:1]):
        pool = PoolSettings(
            step_s=case.pool.step_s,
            lead_steps=case.pool.lead_steps,
            warmup_steps=case.pool.warmup_steps,
            minimum=case.minimum[rows],
            maximum=case.maximum[rows],
            levels=LEVELS,
        )
        settings = configure(case.scaler, pool, {}, violation=0.01)
        ahead = None if case.ahead is None else case.ahead[rows]
        assert np.array_equal(case.scaler.targets(case.demand[rows], ahead, settings, None)[0], whole[rows])


@every_scaler
@given(seeds, st.floats(0, 100))
@example(3541, 6.0)  # the newest step is the last of an hour: the portfolio chooses anew after it
def test_p10_more_demand_in_the_newest_step_asks_for_no_less(name, seed, more):
    """P10: with past, forecasts and choice fixed, a higher newest demand never lowers the next target."""
    case = Case(name, seed)
    higher = case.demand.copy()
    higher[:, -2] += more  # the newest that the last target may use
    moving = [(Portfolio, "_plans"), (portfolio, "choose")]
    if name == "lead_peak":
        moving = [(LeadPeak, "advance")]
    with pytest.MonkeyPatch.context() as patched:
        replays = [_recorded(patched, holder, what) for holder, what in moving]
        low = case.run()[0]
        for replay in replays:
            replay()
        assert (case.run(higher)[0][:, -1] >= low[:, -1]).all()


def _recorded(patched, holder, what):
    """Keeps what is foreseen or chosen from now on; what is returned has it come again, from the first."""
    plain, first = getattr(holder, what), []

    def record(*given, **more):
        first.append(plain(*given, **more))
        return first[-1]

    patched.setattr(holder, what, record)

    def replay():
        again = iter(first)
        patched.setattr(holder, what, lambda *_given, **_more: next(again))

    return replay


@every_scaler
@given(seeds)
def test_nothing_seen_asks_for_the_minimum(name, seed):
    """No demand and no forecast at all: the minimum that the scaler knows, and no surprise."""
    case = Case(name, seed)
    blind = np.full_like(case.demand, np.nan)
    got, _ = case.scaler.targets(blind, None, case.settings, None)
    assert (got == np.maximum(case.minimum, got[:, 0])[:, None]).all()
    assert (got <= np.maximum(case.minimum, 1)[:, None]).all()


@every_scaler
@given(seeds)
def test_the_knob_takes_one_value_for_each_series(name, seed):
    """Tuning: all knobs at once, a series each, give what each knob gives alone; a range worth trying."""
    case = Case(name, seed)
    values = case.chance.choice(case.scaler.KNOBS, size=3, replace=False)
    pool = PoolSettings(step_s=case.pool.step_s, levels=LEVELS, warmup_steps=5)
    row = case.demand[:1]
    ahead = None if case.ahead is None else np.repeat(case.ahead[:1], 3, axis=0)
    plain = configure(case.scaler, pool, {})
    at_once = type(plain)(
        **{f.name: getattr(plain, f.name) for f in fields(plain)} | {case.scaler.KNOB: values}
    )
    whole, _ = case.scaler.targets(np.repeat(row, 3, axis=0), ahead, at_once, None)
    for i, value in enumerate(values):
        alone = configure(case.scaler, pool, {case.scaler.KNOB: float(value)})
        one = None if ahead is None else ahead[:1]
        assert np.array_equal(case.scaler.targets(row, one, alone, None)[0][0], whole[i])


def _live(case, running):
    """The size that is decided now, with `running` units."""
    newest = None if case.ahead is None else case.ahead[:, -1]
    state = case.scaler.begin(running.astype(float), case.settings)
    return decide(case.scaler, case.demand, newest, case.settings, state)


@every_scaler
@given(seeds)
def test_what_was_decided_is_not_taken_back(name, seed):
    """Fixed point: with the decided size running, the same past asks for the same size again."""
    case = Case(name, seed)
    running = np.maximum(case.chance.integers(case.minimum, case.maximum + 1), 1)
    once = _live(case, running)
    again = _live(case, np.maximum(once, 1))
    settled = (once <= running) | (name != "hpa")  # growth that its own rate limits goes on
    assert np.array_equal(again[settled], np.maximum(once, 1)[settled] if name == "hpa" else once[settled])


@every_scaler
@given(seeds)
def test_observing_changes_nothing_that_was_given(name, seed):
    """Demand that is only observed leaves the size, and deciding leaves the state that it was given."""
    case = Case(name, seed)
    running = np.full(len(case.demand), 7.0)
    state = case.scaler.begin(running, case.settings)
    seen = case.scaler.observe(case.demand, case.settings, state)
    if hasattr(seen, "current"):
        assert np.array_equal(seen.current, running)
    assert np.array_equal(_live(case, running), _live(case, running))


@every_scaler
@given(seeds, st.integers(1, 20))
def test_a_live_decision_on_a_steady_load_is_what_the_replay_settles_at(name, seed, load):
    """Live and replayed code are one: where size and load are at rest both ask for the same."""
    case = Case(name, seed)
    demand = np.full((1, 200), float(load))
    ahead = None if case.ahead is None else np.full((1, 200, 4, len(LEVELS)), float(load))
    settings = configure(case.scaler, PoolSettings(step_s=60, levels=LEVELS), {})
    replayed = case.scaler.targets(demand, ahead, settings, None)[0][0, -1]
    state = case.scaler.begin(np.array([float(replayed)]), settings)
    live = decide(case.scaler, demand, None if ahead is None else ahead[:, -1], settings, state)
    assert live.tolist() == [replayed]


@every_scaler
def test_a_scaler_declares_what_it_needs(name):
    """Settings are frozen and told field by field; the knob is one of them; the docstring says the rule."""
    scaler = load(name)
    own = knobs(scaler)
    for setting in own:
        assert f"`{setting}`" in scaler.Settings.__doc__
    for entry in fields(PoolSettings):
        assert f"`{entry.name}`" in PoolSettings.__doc__
    assert scaler.KNOB in own
    assert len(scaler.KNOBS) >= 16
    assert list(scaler.KNOBS) == sorted(set(scaler.KNOBS))
    assert scaler.LOOKBACK_S is None or scaler.LOOKBACK_S >= 0
    assert set(scaler.steer(0.01)) <= set(own)
    assert len(scaler.__doc__.splitlines()) > 2
    settings = configure(scaler, PoolSettings(), {})
    with pytest.raises(AttributeError):
        settings.step_s = 1


@every_scaler
def test_a_setting_that_is_not_known_is_refused_with_those_that_are(name):
    """A misspelt setting, a word for a number, NaN or a negative number is one clear ValueError."""
    scaler = load(name)
    with pytest.raises(ValueError, match=f"no setting 'tarjet'; there are .*{scaler.KNOB}"):
        configure(scaler, PoolSettings(), {"tarjet": 1})
    with pytest.raises(ValueError, match="no setting 'step_s'"):
        configure(scaler, PoolSettings(), {"step_s": 1})
    for value in ("much", "nan", -1, None, float("inf")):
        with pytest.raises(ValueError, match=f"setting {scaler.KNOB} is "):
            configure(scaler, PoolSettings(), {scaler.KNOB: value})


@every_scaler
def test_each_setting_has_a_range_that_holds_its_default_and_its_knobs(name):
    """A value at an end of the range is taken, one just outside is refused with the range."""
    scaler = load(name)
    for entry in fields(scaler.Settings):
        if entry.name not in knobs(scaler):
            continue
        low, high = entry.metadata["low"], entry.metadata["high"]
        assert low <= entry.default <= high
        tried = scaler.KNOBS if entry.name == scaler.KNOB else (entry.default,)
        for value in (low, high, str(low), *tried):
            assert getattr(configure(scaler, PoolSettings(), {entry.name: value}), entry.name) == float(value)
        for value in (low - 0.001, high * 1.001 + 1, -1, 1e-300 if low else -1e-300, 10**400, True):
            with pytest.raises(ValueError, match=f"setting {entry.name} is .* from {low:g} to {high:g}"):
                configure(scaler, PoolSettings(), {entry.name: value})
    knob = next(entry.metadata for entry in fields(scaler.Settings) if entry.name == scaler.KNOB)
    said = f"setting {scaler.KNOB} is '0'; write a number from {knob['low']:g} to {knob['high']:g}"
    with pytest.raises(ValueError, match=said):
        configure(scaler, PoolSettings(), {scaler.KNOB: "0"})


@every_scaler
@pytest.mark.parametrize("load_units", [1e13, 1e30, float("inf")])
def test_no_demand_is_too_large_for_a_whole_number(name, load_units):
    """Without a maximum and at the lowest target a target is still a positive int64, never an overflow."""
    scaler = load(name)
    lowest = {"target": 0.01} if "target" in knobs(scaler) else {}
    settings = configure(scaler, PoolSettings(step_s=3600, levels=(0.99,)), lowest)
    demand = np.full((1, 60), load_units)
    got, _ = scaler.targets(demand, np.full((1, 60, 2, 1), load_units), settings, None)
    assert got.max() == scalers.MOST_UNITS
    assert got.min() >= 1


def test_the_level_that_a_scaler_needs_forecast():
    """1 - violation, or the level chosen; none for a rule without forecasts."""
    quantile = load("seasonal_quantile")
    assert scalers.level(quantile, {}, violation=0.07) == 0.93
    assert scalers.level(quantile, {"level": 0.7}, violation=0.07) == 0.7
    assert scalers.level(load("hpa"), {}, violation=0.07) is None


def test_a_setting_wins_over_the_violation_asked_for():
    """What was chosen by name counts more than what a violation implies; a whole number stays whole."""
    scaler = load("seasonal_quantile")
    assert configure(scaler, PoolSettings(), {}, violation=0.2).level == 0.8
    assert configure(scaler, PoolSettings(), {"level": "0.7"}, violation=0.2).level == 0.7
    hpa = load("hpa")
    assert configure(hpa, PoolSettings(), {"stabilization_s": "600"}).stabilization_s == 600
    with pytest.raises(ValueError, match=r"stabilization_s is '1\.5'; write a "):
        configure(hpa, PoolSettings(), {"stabilization_s": "1.5"})


def test_a_scaler_that_does_not_exist_names_those_that_do():
    """A wrong name lists the right ones."""
    with pytest.raises(ValueError, match=f"no scaler 'hpaa'; there are {', '.join(NAMES)}"):
        load("hpaa")
