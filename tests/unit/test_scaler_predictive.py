"""Predictive scaling: the hourly floor by hand, and against a slow second writing of rule and forecaster."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import predictive, target_tracking

pytestmark = pytest.mark.slow

NAN = math.nan
MIDNIGHT = datetime(2024, 3, 4, tzinfo=UTC)  # a Monday
DAY = 24


def run(demand, **settings):
    """Targets of one series that begins at midnight."""
    settings = predictive.Settings(**{"start": MIDNIGHT} | settings)
    return predictive.targets(np.array([demand], dtype=float), None, settings, None)[0][0].tolist()


def tracked(demand, **settings):
    settings = target_tracking.Settings(**{"start": MIDNIGHT} | settings)
    return target_tracking.targets(np.array([demand], dtype=float), None, settings, None)[0][0].tolist()


def by_hour(loads, step_s):
    """Each hour's load held through its steps."""
    return np.repeat(np.array(loads, dtype=float), 3600 // step_s)


OFFICE = [2.0] * 9 + [20.0] * 8 + [2.0] * 7  # 20 units from 09:00 to 17:00


@pytest.mark.parametrize(("step_s", "minutes"), [(60, 5), (300, 5), (600, 10), (1800, 30)])
def test_the_floor_begins_five_minutes_before_the_hour(step_s, minutes):
    """After some equal days, the step that holds 08:55 is the first with the units of 09:00 to 10:00."""
    got = run(by_hour(OFFICE * 4, step_s), step_s=step_s)
    last_day = got[-(86400 // step_s) :]
    at = (9 * 60 - minutes) * 60 // step_s
    assert last_day[at - 1] < 20
    assert last_day[at] == 20


def test_the_buffer_may_be_longer_or_none():
    """Without a buffer the floor begins on the hour; with 20 min, 20 min before it."""
    for buffer_s, minute in ((0, 540), (1200, 520)):
        day = run(by_hour(OFFICE * 4, 60), step_s=60, buffer_s=buffer_s)[-1440:]
        assert (day[minute - 1] < 20, day[minute]) == (True, 20)


def test_the_floor_ends_with_its_hour():
    """At 17:00 the floor falls to that of the next hour; target tracking holds for its 15 points."""
    day = run(by_hour(OFFICE * 4, 60), step_s=60)[-1440:]
    assert day[17 * 60 - 1] == 20
    assert day[17 * 60 + 30] == 3  # what target tracking leaves: 2 units of 3, below the target


def test_the_load_of_an_hour_is_its_mean_over_the_target():
    """Half the steps at 10 and half at 20 are 15; at a target of one half the floor is 30."""
    minutes = np.tile([10.0] * 30 + [20.0] * 30, 24 * 4)
    _, state = predictive.targets(minutes[None], None, predictive.Settings(start=MIDNIGHT), None)
    assert state.forecast.tolist() == [[15.0] * 48]
    silent = np.full((1, 60), NAN)
    for target, floor in ((1.0, 15), (0.5, 30)):
        settings = predictive.Settings(start=MIDNIGHT, target=target)
        fresh = predictive.begin(np.array([1.0]), settings)
        state = replace(predictive.observe(minutes[None], settings, fresh), tracking=fresh.tracking)
        assert predictive.targets(silent, None, settings, state)[0].tolist() == [[floor] * 60]


def test_without_a_day_of_history_target_tracking_is_alone():
    """23 known hours forecast nothing, 24 do."""
    hours = [5.0] * 30
    settings = predictive.Settings(start=MIDNIGHT, step_s=3600)

    def forecast(demand):
        return predictive.targets(np.array([demand]), None, settings, None)[1].forecast[0]

    assert np.isnan(forecast([NAN, *hours[:24]])).all()
    assert (forecast(hours[:25]) == 5.0).all()
    demand = by_hour(OFFICE, 60)
    assert run(demand, step_s=60) == tracked(demand, step_s=60)


def test_it_is_forecast_anew_every_six_hours():
    """What happens after 06:00 is in no floor before 12:00, and then it is."""
    hours = [5.0] * (3 * DAY) + [5.0] * 6 + [50.0] * 12
    settings = predictive.Settings(start=MIDNIGHT, step_s=3600)
    issued = []
    state = None
    for hour in hours:
        _, state = predictive.targets(np.array([[hour]]), None, settings, state)
        issued.append((state.issued, state.forecast[0].max()))
    origin = int(MIDNIGHT.timestamp()) // 3600
    assert sorted({at - origin for at, _ in issued[-18:]}) == [72, 78, 84]
    level = {at - origin: peak for at, peak in issued}
    assert level[78] == 5.0
    all_days = (3 * 5.0 + 50.0) / 4
    assert level[84] == (all_days * 2.0 + 50.0) / 2  # the ratio stops at 2; the last same hours were 50


def test_the_forecaster_by_hand():
    """Half the same hour of two weeks ago, scaled by the last day, half the same hour of the last day."""
    first, second = np.arange(168.0) + 100, np.arange(168.0) + 200
    hours = np.concatenate([first, second])[None]
    got = predictive._forecast(hours)[0]
    expected_day = first[-24:]
    ratio = second[-24:].sum() / expected_day.sum()
    for ahead in (0, 5, 24, 47):
        weeks = (first[ahead] + second[ahead]) / 2
        assert got[ahead] == pytest.approx((weeks * ratio + second[144 + ahead % 24]) / 2)


@given(st.integers(0, 2**32))
def test_it_is_never_below_target_tracking_nor_below_the_floor(seed):
    """On any trace: the larger of target tracking and the hourly floor, each computed alone."""
    chance = np.random.default_rng(seed)
    step_s = int(chance.choice([60, 300, 600, 1200, 3600]))
    demand = trace(chance, step_s, days=int(chance.integers(2, 5)))
    target, buffer_s = float(chance.choice([0.5, 1.0])), int(chance.choice([0, 300, 900]))
    start = MIDNIGHT + timedelta(minutes=int(chance.integers(0, 2000)))
    given_ = {"step_s": step_s, "start": start, "target": target}
    got = run(demand, **given_, buffer_s=buffer_s)
    floor = slowly(demand.tolist(), start, step_s, target=target, buffer_s=buffer_s)
    reactive = tracked(demand, **given_)
    assert got == [max(pair) for pair in zip(floor, reactive, strict=True)]
    assert len(set(floor)) > 1 or np.isnan(demand).mean() > 0.2 or np.ptp(demand) < 5


def trace(chance, step_s, *, days):
    shape = np.repeat(chance.random(24), 3600 // step_s) * 40
    demand = np.tile(shape, days) * chance.choice([1.0, 1.25, 1.5], size=days * len(shape))
    demand[chance.random(len(demand)) < chance.choice([0.0, 0.05, 0.6])] = NAN
    if chance.random() < 0.5:
        hole = int(chance.integers(0, len(demand)))
        demand[hole : hole + len(shape)] = NAN
    return demand


def slowly(demand, start, step_s, *, target, buffer_s):
    """The floor again, hour by hour in dictionaries: 0 where there is none."""
    loads: dict[int, list[float]] = {}
    forecast: dict[int, float] = {}
    origin = int(start.timestamp())
    floors = []
    for t in range(len(demand)):
        begin = origin + t * step_s
        if t and begin // 21600 != (begin - step_s) // 21600:
            forecast = slow_forecast({h: sum(v) / len(v) for h, v in loads.items()}, begin // 3600)
        touched = range(begin // 3600, (begin + step_s - 1 + buffer_s) // 3600 + 1)
        ahead = [forecast[hour] for hour in touched if hour in forecast]
        floors.append(math.ceil(max(ahead) / target - 1e-9) if ahead else 0)
        if not math.isnan(demand[t]):
            loads.setdefault(begin // 3600, []).append(demand[t])
    return floors


def mean(values):
    return sum(values) / len(values)


def slow_forecast(loads, now):
    loads = {hour: load for hour, load in loads.items() if now - 336 <= hour < now}
    if len(loads) < 24:
        return {}
    pairs = []
    for hour in range(now - 24, now):
        before = [loads[h] for h in range(hour - 24, now - 337, -24) if h in loads]
        expected = loads.get(hour - 168, mean(before) if before else NAN)
        if hour in loads and not math.isnan(expected):
            pairs.append((loads[hour], expected))
    below = sum(expected for _, expected in pairs)
    ratio = min(2.0, max(0.5, sum(load for load, _ in pairs) / below)) if below > 0 else 1.0
    out = {}
    for hour in range(now, now + 48):
        weeks = [loads[h] for h in (hour - 168, hour - 336) if h in loads]
        days = [load for h, load in loads.items() if (hour - h) % 24 == 0]
        if not weeks and not days:
            continue
        scaled = ratio * mean(weeks or days)
        yesterday = now - 24 + (hour - now) % 24
        out[hour] = (scaled + loads.get(yesterday, scaled)) / 2
    return out


@given(st.integers(0, 2**32), st.data())
def test_state_and_causality_over_days(seed, data):
    """Over several days two calls equal one, and what comes later changes no target before."""
    chance = np.random.default_rng(seed)
    demand = trace(chance, 600, days=4)
    settings = predictive.Settings(start=MIDNIGHT + timedelta(minutes=7), step_s=600)
    whole, _ = predictive.targets(demand[None], None, settings, None)
    cut = data.draw(st.integers(1, len(demand) - 1))
    before, state = predictive.targets(demand[None, :cut], None, settings, None)
    after, _ = predictive.targets(demand[None, cut:], None, settings, state)
    assert np.array_equal(np.concatenate([before, after], axis=1), whole)
    later = demand.copy()
    later[cut:] = chance.choice([NAN, 0.0, 1e9])
    assert np.array_equal(
        predictive.targets(later[None], None, settings, None)[0][:, : cut + 1], whole[:, : cut + 1]
    )


@given(st.integers(0, 2**32))
def test_history_before_the_lookback_does_not_matter_live(seed):
    """A live decision from LOOKBACK_S alone has the floor that all of history gives."""
    chance = np.random.default_rng(seed)
    demand = trace(chance, 600, days=20)[None]
    demand = demand[:, : -int(chance.integers(1, 144))]
    kept = -(-predictive.LOOKBACK_S // 600)
    floors = []
    for past in (demand, demand[:, -kept:]):
        start = MIDNIGHT + timedelta(seconds=600 * (demand.shape[1] - past.shape[1]))
        settings = predictive.Settings(start=start, step_s=600)
        state = predictive.begin(np.array([1.0]), settings)
        floors.append(predictive.observe(past, settings, state).forecast)
        live = scalers.decide(predictive, past, None, settings, state)
        reactive = target_tracking.Settings(step_s=600)
        alone = scalers.decide(
            target_tracking, past, None, reactive, target_tracking.begin(np.array([1.0]), reactive)
        )
        assert live[0] >= alone[0]
    assert np.array_equal(floors[0], floors[1], equal_nan=True)


def test_a_forecast_of_more_than_the_maximum_is_the_maximum():
    """The floor honours the maximum of each series, and the minimum stays."""
    demand = np.tile(by_hour(OFFICE * 4, 600), (2, 1))
    settings = predictive.Settings(
        start=MIDNIGHT, step_s=600, minimum=np.array([1, 4]), maximum=np.array([9, 30])
    )
    got, _ = predictive.targets(demand, None, settings, None)
    assert got.max(axis=1).tolist() == [9, 20]
    assert got.min(axis=1).tolist() == [1, 4]
