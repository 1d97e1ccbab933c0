"""Crane's DSP prediction: each stage by hand, and the whole against a slow second writing of its source."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import scalers
from policies.scalers import crane

pytestmark = pytest.mark.slow

NAN = math.nan
MIDNIGHT = datetime(2024, 3, 4, tzinfo=UTC)  # a Monday
HALF_HOUR = 1800
DAY, WEEK = 48, 336  # half hours


def settings(**chosen):
    return crane.Settings(**{"start": MIDNIGHT, "step_s": HALF_HOUR} | chosen)


def run(demand, **chosen):
    """Targets of one series that begins at midnight, in half hours."""
    return crane.targets(np.array([demand], dtype=float), None, settings(**chosen), None)[0][0]


def wave(steps, period, *, level=30.0, swing=20.0):
    return level + swing * np.sin(2 * np.pi * np.arange(steps) / period)


def noisy(demand, seed=1, sd=1.0):
    return np.maximum(0.0, demand + np.random.default_rng(seed).normal(0, sd, len(demand)))


OFFICE = np.tile([2.0] * 18 + [20.0] * 16 + [2.0] * 14, 5)  # 20 units from 09:00 to 17:00


def weekly(weeks):
    """Five days at 30 units and two at 5: the day has no shape."""
    return np.tile(np.repeat([30.0] * 5 + [5.0] * 2, DAY), weeks)


@pytest.mark.parametrize(
    ("demand", "period"),
    [
        (wave(3 * WEEK, DAY), DAY),
        (noisy(wave(3 * WEEK, DAY), sd=10), DAY),
        (wave(3 * DAY, DAY), DAY),
        (noisy(weekly(3)), WEEK),
        (np.tile(wave(DAY, DAY), 14) + weekly(2), WEEK),  # weeks repeat better than days do
        (wave(3 * WEEK, DAY // 2), DAY // 2),
        (noisy(wave(2 * WEEK, 2 * DAY)), None),  # neither a day nor a week repeats
        (noisy(np.full(3 * WEEK, 30.0)), None),
        (np.full(2 * WEEK, 0.1), None),
        (np.arange(2.0 * WEEK), None),
    ],
)
def test_the_period_is_what_stands_out_of_chance_and_repeats(demand, period):
    """Daily, weekly and half-daily waves are found; noise, a constant and a line have none."""
    assert crane._period(demand, HALF_HOUR) == period


@pytest.mark.parametrize("demand", [wave(3 * WEEK, DAY // 2), noisy(wave(3 * WEEK, 2 * DAY), sd=0.1)])
def test_only_a_day_or_a_week_is_used(demand):
    """Twelve hours and two days are periods, and no estimate is made of them: the newest demand decides."""
    assert np.array_equal(run(demand)[1:], np.ceil(demand[:-1]))


def test_noise_is_taken_for_a_period_about_once_in_a_hundred():
    """False alarms: of 60 series of noise at most two have any period that would be used."""
    found = [crane._period(noisy(np.full(2 * WEEK, 30.0), seed), HALF_HOUR) for seed in range(60)]
    assert sum(period in {DAY, WEEK} for period in found) <= 2


def test_units_are_there_one_lead_time_before_the_day_asks_for_them():
    """With a lead of 3 steps the last day rises 3 steps before 09:00, and stays until 17:00 has been seen."""
    day = run(OFFICE, lead_steps=3)[-DAY:]
    assert day[14] < 8
    assert (day[15:34] >= 18).all()
    assert day[34] == 20  # the newest demand still was 20
    assert day[40] < 8


def test_never_below_the_newest_demand():
    """A load that the pattern does not know of is served as it is seen; the target is a share of a unit."""
    demand = np.concatenate([OFFICE, np.full(DAY, 77.5)])
    assert run(demand)[-1] == 78
    assert run(demand, target=0.5)[-1] == 155
    assert (run(demand)[1:] >= demand[:-1]).all()


def test_absent_demand_leaves_the_newest_where_it_was():
    """Absent is not zero: while nothing is seen the last demand holds."""
    assert run([7.0, NAN, NAN, 3.0, 3.0]).tolist() == [1, 7, 7, 7, 3]


def test_an_estimate_is_made_once_a_day_and_counts_from_its_second_step():
    """Of a series that begins at 07:00 the first estimate is of the third midnight, with two whole days."""
    demand = wave(5 * DAY, DAY)
    start = MIDNIGHT + timedelta(hours=7)
    state, origins = None, {}
    for t, y in enumerate(demand):
        _, state = crane.targets(np.array([[y]]), None, settings(start=start), state)
        if state.estimates[0] is not None:
            origins.setdefault(state.estimates[0].origin, t)
    midnights = [34 + DAY * n for n in range(2, 5)]
    assert origins == {at: at + 1 for at in midnights}


@pytest.mark.parametrize(("demand", "period"), [(wave(6 * DAY, DAY), DAY), (noisy(weekly(3), sd=0.2), WEEK)])
def test_an_estimate_lasts_one_period(demand, period):
    """When demand falls silent a daily estimate goes on for a day and two steps, a weekly one for a week."""
    end, last = len(demand), math.ceil(demand[-1])
    got = run(np.concatenate([demand, np.full(4 * WEEK, NAN)]))
    assert got[end:].max() > last  # the pattern goes on
    assert (got[end + period + 2 :] == last).all()
    _, state = crane.targets(np.append(demand, [NAN, NAN])[None], None, settings(), None)
    estimate = state.estimates[0]
    assert (estimate.origin, estimate.until) == (end, end + 1 + period)
    assert np.isnan(estimate.between(estimate.until, estimate.until + 2)).tolist() == [False, True]


def test_weeks_are_looked_for_in_whole_weeks():
    """Of seventeen days the last two weeks are asked for their period; of thirteen, thirteen days."""
    demand = noisy(weekly(4))
    for days, period in ((17, WEEK), (13, None)):
        history = np.append(demand[: days * DAY], NAN)
        made = crane._estimate(history, 0, len(history), settings())
        assert (None if made is None else len(made.peak)) == period


@pytest.mark.parametrize(
    ("shape", "peak"),
    [([1, 2, 3, 2, 1], True), ([1, 2, 3, 4, 5], False), ([5, 4, 3, 4, 5], False), ([5, 4, 3, 2, 1], False)],
)
def test_a_peak_rises_and_falls_and_is_positive(shape, peak):
    """A slope, a trough and a peak below zero are no peaks of the autocorrelation."""
    around = np.array([0.0, 0.0, *shape, 0.0], dtype=float)
    assert crane._is_peak(around, 4, 2) is peak
    assert not crane._is_peak(around - 4, 4, 2)
    assert not crane._is_peak(around, len(around), 2)


def test_what_lies_before_a_long_gap_is_forgotten():
    """A hole of an hour is filled in a straight line; after a longer one all begins anew."""
    hole = np.array([4.0, 4.0, NAN, 4.8, 4.4, 4.4, NAN])
    signal, silent = crane._cleaned(hole, HALF_HOUR)
    assert signal.tolist() == [4.0, 4.0, 4.4, 4.4, 4.4, 4.4]  # and 4.8 is beyond the 99.9 percentile
    assert silent == 1
    signal, silent = crane._cleaned(np.array([9.0, 9.0, NAN, NAN, 4.0, 4.0]), HALF_HOUR)
    assert (signal.tolist(), silent) == ([4.0, 4.0], 0)
    assert crane._cleaned(np.full(3, NAN), HALF_HOUR)[0].tolist() == []


def test_a_single_spike_is_in_no_estimate():
    """One sample of 1e12 is served as it is seen and forgotten the step after."""
    demand = wave(7 * DAY, DAY)
    demand[5 * DAY + 7] = 1e12
    got = run(demand)
    assert got[5 * DAY + 8] == 10**12
    assert np.delete(got, 5 * DAY + 8).max() < 70


def test_the_low_pass_keeps_what_is_slow_or_strong():
    """Of waves of 6 h, of 20 min and, weakly, of 15 min only the last goes; with 50 items none does."""
    t = np.arange(3 * 288)
    slow, strong = 20 + 2 * np.sin(2 * np.pi * t / 72), 5 * np.sin(2 * np.pi * t / 4)
    weak = 0.5 * np.sin(2 * np.pi * t / 3)
    got = crane._low_pass(slow + strong + weak, 2, 1.0, 300)
    assert got == pytest.approx(slow + strong)
    assert crane._low_pass(slow + strong + weak, 50, 0.05, 300) == pytest.approx(slow + strong + weak)


@pytest.mark.parametrize(
    ("strengths", "kept"),
    [
        (np.linspace(1.2, 0.07, 70), [13, 70]),
        (np.linspace(1.2, 0.07, 130), [23, 100]),
        (np.linspace(0.5, 0.2, 10), [3, 10]),
    ],
)
def test_the_two_filters_keep_few_or_many_frequencies(strengths, kept):
    """Of fast waves one filter keeps those of a unit and at least three, the other up to a hundred."""
    t = np.arange(2 * 1440)
    frequencies = 200 + 5 * np.arange(len(strengths))  # a two-day wave of 48 has one hour
    waves = 2 * strengths[:, None] * np.cos(2 * np.pi * frequencies[:, None] * t / len(t))
    signal = 500 + waves.sum(axis=0)
    found = []
    for items, amplitude in crane.FILTERS:
        spectrum = np.abs(np.fft.rfft(crane._low_pass(signal, items, amplitude, 60))) / len(t)
        found.append(np.count_nonzero(spectrum[1:] > 0.01))
    assert found == kept


def test_a_prediction_is_never_negative():
    """Where the filter rings below zero the prediction is a hundredth of a unit, as in the source."""
    t = np.arange(2 * 288)
    got = crane._low_pass(10 * np.sin(2 * np.pi * t / 288) - 0.3, 3, 1.0, 300)
    assert got.min() == 0.01


@pytest.mark.parametrize(("missing", "error"), [(0.1, 0.47), (0.5, 3.1), (-0.1, 0.1), (-0.5, 0.5)])
def test_too_little_weighs_more_than_too_much(missing, error):
    """The figures of the source: a tenth too little is .47, one half 3.1; too much is what it is."""
    actual = np.full(4, 8.0)
    assert crane._error(actual, actual * (1 - missing)) == pytest.approx(error, abs=0.01)
    near_zero = np.array([0.0, 4.0])  # where shares mean nothing, the absolute error
    assert crane._error(near_zero, np.array([1.0, 2.0])) == 1.5


@pytest.mark.parametrize("growth", [1.0, 1.08, 1.14, 1.5])
def test_the_margin_follows_what_the_last_period_would_have_needed(growth):
    """A day larger than the one before by 0, 8, 14 and 50 % gets 1, 10, 15 and 20 % on top."""
    margin = {1.0: 1.01, 1.08: 1.1, 1.14: 1.15, 1.5: 1.2}[growth]
    days = np.concatenate([wave(288, 288), growth * wave(288, 288)])
    got = crane._best(days, 288, 300)
    filtered = [crane._low_pass(days, items, least, 300)[-288:] for items, least in crane.FILTERS]
    assert any(np.allclose(got, margin * one) for one in filtered)


def slow_period(x, step_s):
    """FindPeriod of signal.go with the whole spectrum, sums for the autocorrelation and fitted lines."""
    n = len(x)
    if len(set(x.tolist())) == 1:
        return None
    chance = np.random.default_rng((step_s, n))
    shuffled = [np.fft.fft(chance.permutation(x - x.mean())) for _ in range(100)]
    threshold = sorted(max(abs(one[k]) for k in range(1, n // 2)) for one in shuffled)[98]
    spectrum = np.fft.fft(x)
    strong = [k for k in range(2, n // 2) if abs(spectrum[k]) > threshold]
    hints = sorted({n // k for k in strong}, reverse=True)
    z = (x - x.mean()) / x.std()
    best, found = 0.0, None
    for hint in hints:
        at = np.arange(hint - min(14400 // step_s, hint // 2), hint + min(14400 // step_s, hint // 2) + 1)
        correlation = [float((z * np.roll(z, lag)).mean()) for lag in at.tolist()]
        middle = len(at) // 2
        up = np.polyfit(at[: middle + 1], correlation[: middle + 1], 1)[0]
        down = np.polyfit(at[middle:], correlation[middle:], 1)[0]
        if up > 0 > down and correlation[middle] > best:
            best, found = correlation[middle], hint
    return found


def slow_filter(x, items, amplitude, step_s):
    """GetEstimation of the fftEstimator, both halves of the spectrum alike."""
    n = len(x)
    spectrum = np.fft.fft(x)
    amplitudes = sorted((abs(spectrum[k]) / n for k in range(1, n // 2)), reverse=True)
    least = max(amplitudes[99] if len(amplitudes) >= 100 else amplitudes[-1], amplitude)
    if len(amplitudes) >= items and amplitudes[items - 1] < least:
        least = amplitudes[items - 1]
    for k in range(n):
        frequency = min(k, n - k) / (n * step_s)
        # A billionth, for 1/3600 has no exact float; and the strongest are kept whatever the rounding.
        if abs(spectrum[k]) / n < least * (1 - 1e-9) and frequency > (1 + 1e-9) / 3600:
            spectrum[k] = 0
    return [value if value > 0 else 0.01 for value in np.fft.ifft(spectrum).real.tolist()]


def slow_error(actual, predicted):
    pairs = list(zip(actual, predicted, strict=True))
    if min(actual) < 1e-3:
        return sum(abs(a - p) for a, p in pairs) / len(pairs)
    less = sum(-math.log(1 - (a - p) / a) / math.log(1.25) for a, p in pairs if p < a)
    return (less + sum((p - a) / a for a, p in pairs if p >= a)) / len(pairs)


def slow_estimate(past, step_s):
    """The next period of a history without holes and outliers, or None."""
    day, week = 86400 // step_s, 7 * 86400 // step_s
    x = np.array(past[-3 * week :])
    for unit in (week, day):
        if len(x) >= 2 * unit:
            period = slow_period(x[len(x) % unit :], step_s)
            break
    else:
        return None
    if period not in {day, week}:
        return None
    x = x[len(x) % period :]
    tried = []
    for items, least in ((3, 1.0), (50, 0.05)):
        smooth = slow_filter(x[:-period], items, least, step_s)[-period:]
        for margin in (1.01, 1.1, 1.15, 1.2):
            error = slow_error(x[-period:].tolist(), [margin * y for y in smooth])
            tried.append((error, items, least, margin))
    _, items, least, margin = min(tried, key=lambda one: one[0])
    return [margin * y for y in slow_filter(x, items, least, step_s)[-period:]]


def slow_targets(demand, step_s, lead):
    """Each midnight an estimate, which counts from the step after; otherwise the newest demand."""
    day = 86400 // step_s
    out, cycle, origin = [1], None, 0
    for t in range(1, len(demand)):
        if t % day == 1 and t > day:
            fresh = slow_estimate(slow_clean(demand[: t - 1]), step_s)
            if fresh is not None:
                cycle, origin = fresh, t - 1
        need = demand[t - 1]
        if cycle is not None and t <= origin + 1 + len(cycle):
            need = max(need, *(cycle[(t + ahead - origin) % len(cycle)] for ahead in range(lead + 1)))
        out.append(max(1, math.ceil(need)))
    return out


def slow_clean(past):
    out = list(past[-1008:])
    low, high = np.percentile(out, (0.1, 99.9))
    for i in range(1, len(out)):
        out[i] = out[i] if low <= out[i] <= high else out[i - 1]
    return out


@given(st.integers(0, 2**32))
def test_it_is_the_documented_prediction(seed):
    """On noisy patterns of a day, a week, half a day or none the targets are those of the slow writing."""
    chance = np.random.default_rng(seed)
    period = int(chance.choice([DAY, WEEK, DAY // 2, 61]))
    shape = 40 * np.repeat(chance.random(period // 6 + 1), 6)[:period]
    days = int(chance.integers(2, 26))
    demand = np.tile(shape, 1 + days * DAY // period)[: days * DAY + 20]
    demand = demand * chance.lognormal(0, chance.choice([0.02, 0.2]), len(demand)) + 1
    lead = int(chance.integers(1, 5))
    assert run(demand, lead_steps=lead).tolist() == slow_targets(demand.tolist(), HALF_HOUR, lead)


def broken(chance, days):
    """A daily load with noise, gaps and a hole."""
    demand = noisy(wave(days * DAY, DAY), int(chance.integers(1000)), sd=3)
    demand[chance.random(len(demand)) < chance.choice([0.0, 0.02])] = NAN
    if chance.random() < 0.5:
        hole = int(chance.integers(0, len(demand)))
        demand[hole : hole + int(chance.integers(1, 2 * DAY))] = NAN
    return demand


@given(st.integers(0, 2**32), st.data())
def test_state_and_causality_over_days(seed, data):
    """Over days with estimates, two calls equal one, and what comes later changes no target before."""
    chance = np.random.default_rng(seed)
    demand = broken(chance, int(chance.integers(3, 12)))[None]
    chosen = settings(start=MIDNIGHT + timedelta(minutes=77), lead_steps=int(chance.integers(1, 60)))
    whole, _ = crane.targets(demand, None, chosen, None)
    cut = data.draw(st.integers(1, demand.shape[1] - 1))
    before, state = crane.targets(demand[:, :cut], None, chosen, None)
    after, _ = crane.targets(demand[:, cut:], None, chosen, state)
    assert np.array_equal(np.concatenate([before, after], axis=1), whole)
    later = demand.copy()
    later[:, cut:] = chance.choice([NAN, 0.0, 1e9])
    assert np.array_equal(crane.targets(later, None, chosen, None)[0][:, : cut + 1], whole[:, : cut + 1])


@given(st.integers(0, 2**32))
def test_a_live_decision_is_what_the_replay_asks_for(seed):
    """From LOOKBACK_S of history alone a live call decides as the replay of all of it does."""
    chance = np.random.default_rng(seed)
    demand = broken(chance, 36)
    if chance.random() < 0.7:  # a weekly pattern that ends in a hole and noise: its estimate goes on for days
        demand = noisy(weekly(6), seed % 1000)
        demand[5 * WEEK : 5 * WEEK + 4] = NAN
        demand[5 * WEEK + 4 :] = 1.0 + chance.random(WEEK - 4)
    demand = demand[None, : -int(chance.integers(1, 7 * DAY))]
    chosen = settings(lead_steps=4)
    _, state = crane.targets(demand, None, chosen, None)
    replayed = crane.targets(np.full((1, 1), NAN), None, chosen, state)[0][:, 0]
    newest = demand[:, -crane.LOOKBACK_S // HALF_HOUR :]
    start = MIDNIGHT + timedelta(seconds=HALF_HOUR * (demand.shape[1] - newest.shape[1]))
    live = settings(lead_steps=4, start=start)
    assert scalers.decide(crane, newest, None, live, crane.begin(np.ones(1), live)) == replayed


def test_many_knobs_of_one_series_cost_one_estimate(monkeypatch):
    """Rows that repeat a demand share its estimates; rows that part later have their own from there on."""
    calls = []
    estimate = crane._estimate
    monkeypatch.setattr(crane, "_estimate", lambda *given_: calls.append(1) or estimate(*given_))
    chosen = settings(target=np.linspace(0.5, 1.5, 32))
    demand = noisy(wave(6 * DAY, DAY))
    got, state = crane.targets(np.tile(demand, (32, 1)), None, chosen, None)
    assert len(calls) == 5
    assert got[0].sum() > 2 * got[-1].sum()
    parted = np.tile(wave(2 * DAY, DAY), (32, 1))
    parted[16:] *= 2
    got, state = crane.targets(parted, None, chosen, state)
    assert len(calls) == 5 + 2 * 2
    apart = np.concatenate([demand, parted[16]])
    assert np.array_equal(got[16], run(apart, target=chosen.target[16])[6 * DAY :])


def test_samples_coarser_than_an_hour_are_not_estimated():
    """As in the source: with steps of two hours the newest demand decides alone."""
    demand = wave(20 * 12, 12)
    assert np.array_equal(run(demand, step_s=7200)[1:], np.ceil(demand[:-1]))
    assert not np.array_equal(run(wave(20 * 24, 24), step_s=3600)[1:], np.ceil(wave(20 * 24, 24)[:-1]))
