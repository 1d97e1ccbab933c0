"""Replay portfolio: the cheapest scalers that would have met the violation target on a pool's own past.

Demand does not depend on our capacity (to first order), so every scaler can be replayed exactly on the pool's
own history. Each plan is an expert (a scaler) with one value of its knob. A ledger keeps what each plan cost
and how often it violated; every hour, at 16 levels of violation, the three cheapest plans that kept to the
level over the trailing window are averaged, and a stricter level never asks for less than a laxer one. A bank
of the violations that were asked for and not used steers between the levels.

The explanation comes free: the cheapest policy that would have met your target on your own last days, with
the runners-up. A pool without seasonality is not hurt: there the reactive experts win.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasts.features import Grid
from forecasts.lead_peak import LeadPeak
from forecasts.windows import trailing
from policies import scalers, windows
from policies.ledger import Ledger
from policies.priced import FORGET, Priced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

LEVELS = np.array([0, 0.03, 0.07, 0.1, 0.15, 0.25, 0.4, 0.6, 0.8, 1, 1.3, 1.7, 2.3, 3, 4.5, 7]) / 100
LOG_LEVELS = np.log(np.maximum(LEVELS, 1e-4))
AVERAGED = 3
HALF_A_VIOLATION = 0.5
BLOCK_HOURS = 3
RECENT_HOURS = 48
RECENT_SHARE = 0.5  # of the rank
BANK_DAYS = 30
STEER = (0.5, 2.0)
STRICT = 0.005  # below it a window of 14 days holds too few violations to count


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked of each series: `violation` float64 [series], fractions; `window_days` int64 [series] the
    past that is judged; `steered` bool [series] whether the bank moves the level. `recent` is the weight of
    the last two days' cost in the ranking.
    """

    violation: Floats
    window_days: Ints
    steered: Flags
    recent: float = RECENT_SHARE


def terms(violation: float | Floats, series: int) -> Terms:
    """14 days and the bank from half a percent on; below: 28 days and no bank.

    Half the rank is on the last two days: after a change of level what was cheap before no longer is.
    """
    asked = np.broadcast_to(np.asarray(violation, dtype=np.float64), (series,))
    strict = asked < STRICT
    return Terms(violation=asked, window_days=np.where(strict, 28, 14), steered=~strict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """A scaler with the values of its knob to try, its other settings, and whether it looks ahead: it then
    stands on a season or a model, and not on the newest demand alone.
    """

    name: str
    scaler: str
    knobs: tuple[float, ...]
    forecasts: bool = False
    chosen: Mapping[str, Any] = field(default_factory=dict)


def _spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(float(x) for x in np.geomspace(low, high, count))


SPREADS = (*(float(x) for x in np.linspace(-0.6, 3.0, 37)), *_spaced(3.3, 30.0, 12))
EXPERTS = (
    Expert(name="hpa", scaler="hpa", knobs=_spaced(0.08, 1.3, 36)),
    Expert(
        name="hpa without stabilization",
        scaler="hpa",
        knobs=_spaced(0.08, 1.3, 36),
        chosen={"stabilization_s": 0},
    ),
    Expert(name="maximum of 15 minutes", scaler="rolling_max", knobs=_spaced(0.7, 6.0, 30)),
    Expert(
        name="maximum of an hour",
        scaler="rolling_max",
        knobs=_spaced(0.5, 4.0, 30),
        chosen={"window_s": 3600},
    ),
    Expert(
        name="maximum of a day",
        scaler="rolling_max",
        knobs=_spaced(0.15, 2.0, 24),
        chosen={"window_s": 86400},
    ),
    Expert(
        name="maximum of a week",
        scaler="rolling_max",
        knobs=_spaced(0.15, 1.6, 24),
        chosen={"window_s": 604800},
    ),
    Expert(name="Holt-Winters", scaler="holt_winters", knobs=_spaced(0.5, 4.0, 30), forecasts=True),
    Expert(name="yesterday", scaler="seasonal_max", knobs=_spaced(0.5, 3.0, 24), forecasts=True),
    Expert(
        name="last week",
        scaler="seasonal_max",
        knobs=_spaced(0.5, 3.0, 24),
        forecasts=True,
        chosen={"season_s": 604800},
    ),
)
PEAKS = (("lead peak", True), ("lead peak, plain scale", False))  # they forecast, and so does the next
PRICED = "lead peak, priced"
PRICES = _spaced(0.3, 3000.0, 40)  # see policies/priced.py
FIRST = ("hpa", 0.7)  # what a pool of which nothing is known begins with: the nearest knob of that expert


def plan_names() -> list[tuple[str, float]]:
    """Expert and knob of every plan, in the order of the ledger's columns."""
    names = [(expert.name, knob) for expert in EXPERTS for knob in expert.knobs]
    names += [(name, spread) for name, _ in PEAKS for spread in SPREADS]
    return names + [(PRICED, price) for price in PRICES]


def plan_forecasts() -> NDArray[np.bool_]:
    """Which plans look ahead, bool [plans], in the order of `plan_names`."""
    told = {expert.name: expert.forecasts for expert in EXPERTS} | {name: True for name, _ in PEAKS}
    told[PRICED] = True
    return np.array([told[name] for name, _ in plan_names()])


def plan_experts() -> tuple[tuple[str, ...], Ints]:
    """The experts, and for each plan the number of its own, int64 [plans]."""
    experts = tuple(dict.fromkeys(name for name, _ in plan_names()))
    return experts, np.array([experts.index(name) for name, _ in plan_names()])


def fingerprint() -> str:
    """Names what a portfolio is made of: another one makes no use of what this one learnt."""
    made = (EXPERTS, PEAKS, SPREADS, PRICES, FORGET, LEVELS.tolist(), AVERAGED)
    return repr((made, BLOCK_HOURS, RECENT_HOURS, RECENT_SHARE, BANK_DAYS, STEER, STRICT, FIRST))


def keeps(rate: Floats, steps: Floats, level: float | Floats) -> NDArray[np.bool_]:
    """Which plans kept to a level (a number or [series]): `rate` [series, plans] over `steps` [series]."""
    kept: NDArray[np.bool_] = rate <= np.maximum(level, HALF_A_VIOLATION / steps)[:, None] + 1e-12
    return kept


def choose(ledger: Ledger, asked: Terms) -> Ints:
    """For each series and level the plans to average, int64 [series, levels, 3] (repeated if fewer).

    Where no plan kept to a level: the one that violated least, the cheapest of those. Before anything was
    seen: FIRST.
    """
    cost, bad, steps = ledger.totals()
    steps = np.maximum(steps, 1.0)
    newest = ledger.recent_cost(RECENT_HOURS // BLOCK_HOURS)
    rank = (1 - asked.recent) * _relative(cost) + asked.recent * _relative(newest)
    order = np.argsort(rank, axis=1, kind="stable")
    rate = np.take_along_axis((bad + HALF_A_VIOLATION) / steps[:, None], order, axis=1)
    least = np.lexsort((rank, bad), axis=1)[:, 0]
    rows = np.arange(len(cost))
    out = np.empty((len(cost), len(LEVELS), AVERAGED), dtype=np.int64)
    for number, level in enumerate(LEVELS):
        kept = keeps(rate, steps, level)
        found = np.cumsum(kept, axis=1)
        there = found[:, -1:]
        for place in range(AVERAGED):
            at = (found >= np.minimum(place + 1, np.maximum(there, 1))).argmax(axis=1)
            out[:, number, place] = np.where(there[:, 0] == 0, least, order[rows, at])
    out[ledger.unseen] = _first()
    return out


def _first() -> int:
    """The plan that a pool begins with."""
    expert, wanted = FIRST
    mine = [
        (abs(math.log(knob / wanted)), at) for at, (name, knob) in enumerate(plan_names()) if name == expert
    ]
    return min(mine)[1]


def _relative(cost: Floats) -> Floats:
    """Each row over its mean."""
    share: Floats = cost / np.maximum(cost.mean(axis=1, keepdims=True), 1e-12)
    return share


def by_level(plans: Ints, chosen: Ints) -> Floats:
    """Mean of the chosen plans at each level, never less than at a laxer one.

    Float64 [series, levels, steps]; `plans` int64 [series, plans, steps], `chosen` as from `choose`.
    """
    mean = plans[np.arange(len(plans))[:, None, None], chosen].mean(axis=2)
    envelope: Floats = np.maximum.accumulate(mean[:, ::-1], axis=1)[:, ::-1]
    return envelope


def between(envelope: Floats, level: Floats) -> Floats:
    """Capacity at a level [series] between its neighbours in log violation; envelope [series, levels]."""
    low, share = neighbours(level)
    rows = np.arange(len(envelope))
    below, above = envelope[rows, low], envelope[rows, low + 1]
    capacity: Floats = below + share * (above - below)
    return capacity


def neighbours(level: Floats) -> tuple[Ints, Floats]:
    """The number of the level at or below [series], and how far towards the next it lies, 0 to 1."""
    low = np.clip(np.searchsorted(LEVELS, level, side="right") - 1, 0, len(LEVELS) - 2)
    share = (np.log(np.maximum(level, 1e-4)) - LOG_LEVELS[low]) / (LOG_LEVELS[low + 1] - LOG_LEVELS[low])
    return low.astype(np.int64), np.clip(share, 0.0, 1.0)


class Bank:
    """The violations that were asked for and not used, and the level that follows from them."""

    def __init__(self, asked: Terms, step_s: int) -> None:
        """Nothing banked yet."""
        self._asked = asked
        self._steps = BANK_DAYS * 86400 / step_s
        self.balance = np.zeros(len(asked.violation))

    def level(self) -> Floats:
        """The violation to aim at now, float64 [series]."""
        asked = self._asked.violation
        steered: Floats = np.where(self._asked.steered, asked + self.balance / self._steps, asked)
        return steered

    def note(self, violated: Flags, seen: Flags) -> None:
        """One step: what was asked comes in, a violation goes out; a step not seen counts in neither.

        No more is kept than moves the level within STEER: a calm year buys no year of violations.
        """
        asked = self._asked.violation
        balance = self.balance + np.where(seen, asked - violated, 0.0)
        full = asked * self._steps
        self.balance = np.clip(balance, (STEER[0] - 1) * full, (STEER[1] - 1) * full)


def _sharing(scaler: scalers.Scaler, settings: Any, series: int, knobs: int) -> Any:
    """A first state that keeps one window of demand for all knobs of a series; None where it keeps none."""
    floor = np.broadcast_to(settings.floor, (series * knobs,))
    begun = scaler.begin(floor, settings)
    return begun.shared(knobs) if isinstance(begun, windows.Recent) else None


def _whole(units: Floats, low: Ints, high: Ints) -> Ints:
    """Units [series, plans, steps] rounded up, a hair below, within bounds [series, 1]."""
    return np.clip(np.ceil(units - 1e-9), low[:, None], high[:, None]).astype(np.int64)


class Portfolio:
    """All plans of many series on one grid, their ledger, the hourly choice, the bank; fed step by step."""

    def __init__(self, grid: Grid, asked: Terms, *, minimum: Ints, maximum: Ints | None = None) -> None:
        """Nothing seen yet. `minimum` and `maximum` int64 [series]."""
        series = len(asked.violation)
        self.grid, self.asked, self.minimum, self.maximum = grid, asked, minimum, maximum
        self.hour = max(1, 3600 // grid.step_s)
        self.ledger = Ledger(
            series,
            len(plan_names()),
            block_steps=BLOCK_HOURS * self.hour,
            blocks=asked.window_days * 24 // BLOCK_HOURS,
        )
        self.bank = Bank(asked, grid.step_s)
        self.chosen = np.zeros((series, len(LEVELS), AVERAGED), dtype=np.int64)
        self.steps = 0
        self.tally = np.zeros((series, len(plan_experts()[0])))  # hours that each expert was averaged
        self._peak = LeadPeak(grid, series)
        self._priced = Priced(series, np.array(SPREADS), grid.lead)
        self._states: list[Any] = [None] * len(EXPERTS)
        self._tail = np.zeros((series, len(plan_names()), 0), dtype=np.int64)  # the last targets of each plan
        self._own = np.zeros((series, 0), dtype=np.int64)  # the last targets that were asked for
        self._newest = np.zeros(series)  # demand that was seen last

    def advance(self, demand: Floats, censored: Flags | None = None) -> Ints:
        """Units at each of the next steps of demand float64 [series, steps], each before it is seen.

        `censored` bool [series, steps]: where demand is a lower bound. Such a step violates where even the
        bound is more than serves, else it is not known: the ledger counts it among no plan's steps, so that
        a plan's rate of violations is never told too low.
        """
        day, parts, first = self.grid.day, [], 0
        cut = np.zeros(demand.shape, dtype=bool) if censored is None else censored
        while first < demand.shape[1]:
            length = min(demand.shape[1] - first, day - self.steps % day)
            part = slice(first, first + length)
            parts.append(self._segment(demand[:, part], cut[:, part]))
            first += length
        return np.concatenate(parts, axis=1)

    def _plans(self, demand: Floats, censored: Flags) -> Ints:
        """Every plan's targets, int64 [series, plans, steps]."""
        series, steps = demand.shape
        parts = []
        for number, expert in enumerate(EXPERTS):
            scaler, count = scalers.load(expert.scaler), len(expert.knobs)
            settings = scaler.Settings(
                step_s=self.grid.step_s,
                lead_steps=self.grid.lead,
                minimum=np.repeat(self.minimum, count),
                maximum=None if self.maximum is None else np.repeat(self.maximum, count),
                **{scaler.KNOB: np.tile(np.array(expert.knobs), series)},  # type: ignore[arg-type]
                **expert.chosen,
            )
            rows = np.repeat(demand, count, axis=0)
            state = self._states[number] or _sharing(scaler, settings, series, count)
            targets, self._states[number] = scaler.targets(rows, None, settings, state)
            parts.append(targets.reshape(series, count, steps))
        issued = self._peak.advance(demand, censored)
        low = self.minimum[:, None]
        high = np.full_like(low, scalers.MOST_UNITS) if self.maximum is None else self.maximum[:, None]
        for _, tempered in PEAKS:
            peaks = [issued.quantile(np.array(spread), tempered=tempered) for spread in SPREADS]
            units = np.stack(peaks, axis=1)
            parts.append(_whole(units, low, high))
            if tempered:
                begins = self.steps % self.grid.day == 0
                priced = self._priced.advance(units, demand, censored, np.array(PRICES), new_day=begins)
        parts.append(_whole(priced, low, high))
        return np.concatenate(parts, axis=1)

    def _segment(self, demand: Floats, censored: Flags) -> Ints:
        """Steps within one day."""
        plans = self._plans(demand, censored)
        seen = np.isfinite(demand)
        known = seen & ~censored
        bad = (demand[:, None] > self._serving(plans)) & seen[:, None]
        out = np.empty(demand.shape, dtype=np.int64)
        first = 0
        while first < demand.shape[1]:
            into = self.steps % self.hour
            if into == 0:
                self.chosen = choose(self.ledger, self.asked)
                self._count()
            part = slice(first, min(first + self.hour - into, demand.shape[1]))
            envelope = by_level(plans[:, :, part], self.chosen)
            out[:, part] = self._asked_for(envelope, demand[:, part], known[:, part])
            length = out[:, part].shape[1]
            self.ledger.add(
                (plans[:, :, part] * seen[:, None, part]).sum(axis=2).astype(np.float64),
                bad[:, :, part].sum(axis=2).astype(np.float64),
                known[:, part].sum(axis=1).astype(np.float64),
                length=length,
            )
            self.steps += length
            first += length
        return out

    def averaged(self) -> Ints:
        """The plans averaged at the level that is nearest to the one aimed at, int64 [series, 3]."""
        low, share = neighbours(self.bank.level())
        return self.chosen[np.arange(len(low)), low + (share > 0.5)]

    def _count(self) -> None:
        """An hour more for the experts that are averaged now."""
        _, expert = plan_experts()
        rows = np.arange(len(self.tally))[:, None]
        np.add.at(self.tally, (rows, expert[self.averaged()]), 1 / AVERAGED)

    def _serving(self, plans: Ints) -> Ints:
        """What of each plan serves: the least of its targets over the lead time."""
        lead, new = self.grid.lead, plans.shape[2]
        joined = np.concatenate([self._tail, plans], axis=2)
        self._tail = joined[:, :, -lead:].copy()
        return trailing(joined, lead, np.minimum)[:, :, -new:]

    def _asked_for(self, envelope: Floats, demand: Floats, known: Flags) -> Ints:
        """Step by step at the bank's level, no less than the newest demand; the bank sees what came of it."""
        lead = self.grid.lead
        out = np.empty(demand.shape, dtype=np.int64)
        high = scalers.MOST_UNITS if self.maximum is None else self.maximum
        for step in range(demand.shape[1]):
            units = np.maximum(between(envelope[:, :, step], self.bank.level()), self._newest)
            out[:, step] = np.maximum(np.minimum(np.ceil(units - 1e-9), high), self.minimum)
            self._newest = np.where(np.isnan(demand[:, step]), self._newest, demand[:, step])
            self._own = np.concatenate([self._own[:, -lead:], out[:, step : step + 1]], axis=1)
            violated = demand[:, step] > self._own.min(axis=1)  # false where it is absent
            self.bank.note(violated, known[:, step] | violated)
        return out
