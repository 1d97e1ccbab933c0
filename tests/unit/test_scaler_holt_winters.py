"""The Holt-Winters model of PHPA, by hand and against a slow second writing that fits anew at every step."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import holt_winters

NAN = math.nan
SEASON = 4  # steps; a forecast then needs 14


def run(demand, *, start=None, **settings):
    settings = holt_winters.Settings(
        **{"step_s": 60, "season_s": 60 * SEASON, "stabilization_s": 0} | settings
    )
    state = None if start is None else holt_winters.begin(np.array([float(start)]), settings)
    return holt_winters.targets(np.array([demand], dtype=float), None, settings, state)[0][0].tolist()


@pytest.mark.parametrize("multiplicative", [0, 1])
@pytest.mark.parametrize("lead", [1, 2, 3, 6])
def test_a_season_that_repeats_is_foreseen_once_there_is_enough_of_it(lead, multiplicative):
    """From 14 steps on, the larger of the newest value and the season's at t + lead; before, the newest."""
    demand = [10.0, 30.0, 20.0, 40.0] * 8
    got = run(demand, lead_steps=lead, multiplicative=multiplicative)
    assert got[:14] == [1, *map(int, demand[:13])]
    assert got[14:] == [int(max(demand[t - 1], demand[(t + lead) % 4])) for t in range(14, 32)]


def test_one_step_by_hand():
    """Level, trend and season after one surprise, and the forecast two steps later."""
    # Twelve steps of 10, 30, 20, 40 leave level 25, trend 0, season -15, 5, -5, 15. Step 12 brings 20, not
    # 10: error 10, level 30, trend 2.5, season of that step -12.5. Step 13 brings 37.5, as foretold.
    # Decided at 14 for step 15: level 32.5 + 2 x 2.5 + 15 = 52.5.
    demand = [*[10.0, 30.0, 20.0, 40.0] * 3, 20.0, 37.5, 0.0]
    assert run(demand, alpha=0.5, beta=0.5, gamma=0.25)[14] == 53
    assert run(demand, alpha=0.5, beta=0.5, gamma=0.25, margin=2.0)[14] == 105
    # For step 16, which had the surprise a season ago: 32.5 + 3 x 2.5 - 12.5 = 27.5, under the newest.
    assert run(demand, alpha=0.5, beta=0.5, gamma=0.25, lead_steps=2)[14] == 38


def test_a_factor_of_the_season_by_hand():
    """The multiplicative season after one surprise."""
    # Level 20, factors 1/2, 3/2. Step 12 brings 15 for 10: 15/.5 = 30, level 25, trend 2.5, factor
    # .25 x 15/20 + .75/2 = .5625. Step 13 brings 41.25 = (25 + 2.5) x 1.5 as foretold. Decided at 14 for step
    # 15: (27.5 + 2 x 2.5) x 1.5 = 48.75.
    demand = [*[10.0, 30.0] * 6, 15.0, 41.25, 0.0]
    factors = {"alpha": 0.5, "beta": 0.5, "gamma": 0.25, "multiplicative": 1}
    assert run(demand, **factors)[14] == 49
    # For step 16: (27.5 + 3 x 2.5) x .5625 = 19.6875, under the newest.
    assert run(demand, **factors, lead_steps=2)[14] == 42


def test_a_season_more_than_is_stored_drops_the_oldest():
    """A peak in the first season is forgotten when as many whole seasons as are stored follow it."""
    demand = [10.0, 10.0, 90.0, 10.0, *[10.0] * 26]
    frozen = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0}
    got = run(demand, **frozen, stored_seasons=4)
    assert [t for t, size in enumerate(got) if size == 90] == [3, 17]  # 14 + 1 = 15 is not the peak's phase
    assert set(got[20:]) == {10}
    more = run(demand, **frozen, stored_seasons=5)
    assert [t for t, size in enumerate(more) if size == 90] == [3, 17, 21]


def test_values_that_the_factor_cannot_be_fitted_to_give_no_forecast():
    """A zero in the stored history: the multiplicative model asks for the newest value alone."""
    demand = [*[10.0, 30.0, 20.0, 0.0] * 7]
    assert run(demand, multiplicative=1, minimum=0) == [0, *map(int, demand[:-1])]


def test_a_missing_metric_changes_nothing_and_keeps_its_place_in_the_season():
    """While it is missing the size stays; the season goes on in step, and the model as it was."""
    demand = [10.0, 30.0, 20.0, 40.0] * 6
    gone = demand.copy()
    gone[15:18] = [NAN] * 3
    whole, holed = run(demand), run(gone)
    assert holed[:16] == whole[:16]
    assert holed[16:19] == [whole[15]] * 3
    assert holed[19:] == whole[19:]


def test_a_first_season_without_any_value_gives_no_forecast():
    """Nothing to begin with: the newest value decides."""
    demand = [NAN] * 4 + [10.0, 30.0, 20.0, 40.0] * 4
    assert run(demand, start=6) == [6] * 5 + [int(y) for y in demand[4:-1]]


def test_scale_in_takes_the_largest_of_the_last_300_s():
    """As the source's downscale stabilization: what was asked for exactly 300 s ago still holds, then not."""
    demand = [20.0, *[5.0] * 9]
    assert run(demand, stabilization_s=300) == [1, *[20] * 6, 5, 5, 5]


def fitted(history, model, ahead):
    """A forecast from one history, by the textbook's formulas; None where there is none."""
    if len(history) < 10 + 2 * (SEASON // 2):
        return None
    first = [y for y in history[:SEASON] if not math.isnan(y)]
    if not first or (model["multiplicative"] and min(y for y in history if not math.isnan(y)) <= 0):
        return None
    alpha, beta, gamma = model["alpha"], model["beta"], model["gamma"]
    level, trend = sum(first) / len(first), 0.0
    if model["multiplicative"]:
        season = [1.0 if math.isnan(y) else y / level for y in history[:SEASON]]
    else:
        season = [0.0 if math.isnan(y) else y - level for y in history[:SEASON]]
    for at, y in enumerate(history):
        at_season = at % SEASON
        if at < SEASON or math.isnan(y):
            continue
        old, s = level + trend, season[at_season]
        before = level
        level = alpha * (y / s if model["multiplicative"] else y - s) + (1 - alpha) * old
        trend = beta * (level - before) + (1 - beta) * trend
        season[at_season] = gamma * (y / old if model["multiplicative"] else y - old) + (1 - gamma) * s
    base = level + ahead * trend
    s = season[(len(history) - 1 + ahead) % SEASON]
    return base * s if model["multiplicative"] else base + s


def slowly(demand, model, *, lead, stored):
    """Fits anew at every step to the stored seasons and what there is of the next one."""
    size, out = 1, []
    for t in range(len(demand)):
        if t and not math.isnan(demand[t - 1]):
            history = demand[:t]
            while len(history) >= (stored + 1) * SEASON:
                history = history[SEASON:]
            forecast = fitted(history, model, lead + 1)
            size = max(1, math.ceil(max(demand[t - 1], -1 if forecast is None else forecast - 1e-9)))
        out.append(size)
    return out


@given(
    st.integers(0, 2**32),
    st.sampled_from([(0.3, 0.005, 0.3), (0.9, 0.9, 0.9), (0.5, 0.1, 0.0)]),
    st.integers(1, 6),
    st.integers(3, 6),
    st.integers(0, 1),
)
def test_it_is_the_documented_model(seed, smoothing, lead, stored, multiplicative):
    """On any demand, with gaps, the targets are those of the slow second writing."""
    chance = np.random.default_rng(seed)
    steps = int(chance.integers(1, 70))
    demand = (
        np.round(np.tile(chance.gamma(4, 5, SEASON), 20)[:steps] * chance.uniform(0.8, 1.2, steps), 3) + 1
    )
    demand[chance.random(steps) < chance.choice([0, 0.1, 0.5])] = NAN
    if chance.random() < 0.2:
        demand[chance.integers(steps)] = 0.0
    # Steep trends that turn the factor or the level negative are not the source's to fit either.
    if multiplicative:
        smoothing = (0.3, 0.005, 0.3)
    model = dict(zip(("alpha", "beta", "gamma"), smoothing, strict=True)) | {"multiplicative": multiplicative}
    expected = slowly(demand.tolist(), model, lead=lead, stored=stored)
    assert run(demand, **model, lead_steps=lead, stored_seasons=stored) == expected


def test_many_series_at_once_are_each_alone(monkeypatch):
    """Rows are fitted in groups that fit the memory: the groups do not show."""
    chance = np.random.default_rng(1)
    demand = chance.gamma(4, 5, (7, 50))
    demand[chance.random(demand.shape) < 0.1] = NAN
    settings = holt_winters.Settings(step_s=60, season_s=240)
    whole, _ = holt_winters.targets(demand, None, settings, None)
    monkeypatch.setattr(holt_winters, "AT_ONCE", 1)
    assert np.array_equal(holt_winters.targets(demand, None, settings, None)[0], whole)


def test_live_the_lookback_holds_the_stored_seasons():
    """What a live call is told is enough to be ready for tomorrow's peak."""
    day = np.full(288, 10.0)
    day[100] = 50.0
    demand = np.tile(day, 6)[: 288 * 5 + 99]
    settings = holt_winters.Settings(step_s=300)
    told = demand[None, -holt_winters.LOOKBACK_S // 300 :]
    state = holt_winters.begin(np.array([10.0]), settings)
    assert scalers.decide(holt_winters, told, None, settings, state)[0] > 45
    assert scalers.decide(holt_winters, told[:, :-5], None, settings, state)[0] < 20
