"""A portfolio's choice explained: what is averaged now, what it costs beside the others, and why.

Every figure is of the plans' replay over the trailing window of the pool's own past. Costs are told as shares
of the cheapest reactive plan's that kept to the level: what one would have paid without any forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import DAY_S, HOUR_S
from policies.model import plain
from policies.plan import Fact
from policies.portfolio import (
    HALF_A_VIOLATION,
    LEVELS,
    Portfolio,
    keeps,
    neighbours,
    plan_experts,
    plan_forecasts,
    plan_names,
)
from policies.units import format_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

PAYS = 0.005  # a saving below half a percent is none
AVERAGED, RUNNER_UP = "averaged: ", "runner-up: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A plan: its expert and knob, whether it looks ahead, and its violation over the window, a fraction.

    `cost` is a share of the cheapest reactive plan's that kept to the level; None where none did.
    """

    expert: str
    knob: float
    forecasts: bool
    cost: float | None
    violation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a portfolio follows at one moment, and what it passed over.

    `asked` and `level` are fractions: the violation asked for and the one aimed at now; `bank` the violating
    steps in hand, negative where they are overdrawn. `filled_days` of `window_days` are known so far.
    `averaged` are the plans of the level nearest to the one aimed at; a laxer level that asks for more counts
    more. `runners_up`: of each other expert the cheapest plan that kept to the level, cheapest first.
    `forecast` and `reactive`: unit-hours over the window of the cheapest plan that looks ahead, and of the
    cheapest that does not, None where none of its kind kept to the level.
    """

    asked: float
    level: float
    bank: float
    window_days: int
    filled_days: float
    averaged: tuple[Candidate, ...]
    runners_up: tuple[Candidate, ...]
    forecast: float | None
    reactive: float | None

    @property
    def saving(self) -> float | None:
        """What looking ahead saves of the cost of the cheapest reactive plan; None where it is not known."""
        if self.forecast is None or not self.reactive:
            return None
        return 1 - self.forecast / self.reactive

    @property
    def learning(self) -> bool:
        """Whether the window is not full yet."""
        return self.filled_days < self.window_days

    @property
    def verdict(self) -> str:
        """Whether forecasts pay, in a few words."""
        if self.learning:
            return f"learning: day {int(self.filled_days) + 1} of {self.window_days}"
        reactive = "" if any(plan.forecasts for plan in self.averaged) else "reactive: "
        if self.forecast is None and self.reactive is None:
            return "nothing kept to the level"
        if self.saving is None:
            return (
                f"{reactive}no {'forecast' if self.forecast is None else 'reactive rule'} kept to the level"
            )
        if self.saving >= PAYS:
            return f"forecasts save {_percent(self.saving)} here"
        dearer = f" (+{_percent(-self.saving)})" if -self.saving >= PAYS else ""
        return f"{reactive}forecasts do not pay here{dearer}"


def choices(portfolio: Portfolio) -> list[Choice]:
    """The choice of each series at this moment, in order."""
    names, ahead = plan_names(), plan_forecasts()
    _, expert = plan_experts()
    cost, bad, seen = portfolio.ledger.totals()
    seen = np.maximum(seen, 1.0)
    level = portfolio.bank.level()
    low, share = neighbours(level)
    kept = keeps((bad + HALF_A_VIOLATION) / seen[:, None], seen, LEVELS[low + (share > 0.5)])
    averaged = portfolio.averaged()
    hours = portfolio.grid.step_s / HOUR_S
    out = []
    for row in range(len(cost)):
        least = _least(cost[row], kept[row] & ~ahead)
        best = _least(cost[row], kept[row] & ahead)

        def candidate(plan: int, row: int = row, least: float | None = least) -> Candidate:
            name, knob = names[plan]
            return Candidate(
                expert=name,
                knob=float(knob),
                forecasts=bool(ahead[plan]),
                cost=float(cost[row, plan]) / least if least else None,
                violation=float(bad[row, plan] / seen[row]),
            )

        chosen = list(dict.fromkeys(averaged[row].tolist()))
        out.append(
            Choice(
                asked=float(portfolio.asked.violation[row]),
                level=float(level[row]),
                bank=float(portfolio.bank.balance[row]),
                window_days=int(portfolio.asked.window_days[row]),
                filled_days=min(
                    float(portfolio.asked.window_days[row]), portfolio.steps * portfolio.grid.step_s / DAY_S
                ),
                averaged=tuple(candidate(plan) for plan in chosen),
                runners_up=tuple(
                    candidate(plan)
                    for plan in _runners_up(cost[row], kept[row], expert, set(expert[chosen].tolist()))
                ),
                forecast=None if best is None else best * hours,
                reactive=None if least is None else least * hours,
            )
        )
    return out


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _least(cost: NDArray[np.float64], among: NDArray[np.bool_]) -> float | None:
    return float(cost[among].min()) if among.any() else None


def _runners_up(
    cost: NDArray[np.float64], kept: NDArray[np.bool_], expert: NDArray[np.int64], taken: set[int]
) -> Sequence[int]:
    """The cheapest plan of each other expert that kept to the level, cheapest first."""
    found: dict[int, int] = {}
    for plan in np.argsort(cost, kind="stable").tolist():
        if kept[plan] and int(expert[plan]) not in taken:
            found.setdefault(int(expert[plan]), plan)
    return list(found.values())


def facts(choice: Choice) -> tuple[Fact, ...]:
    """The choice as the evidence of an action: the verdict first, then the level, the plans, the others."""
    days = f"{choice.window_days} d"
    bank = f"{abs(choice.bank):.0f} violating steps {'in hand' if choice.bank >= 0 else 'overdrawn'}"
    return (
        Fact(
            name="own past",
            value=choice.verdict,
            source="replay of every rule on it",
            window="" if choice.learning else days,  # the day of learning names the window itself
        ),
        Fact(name="follows", value=_followed([plan.expert for plan in choice.averaged])),
        Fact(
            name="violation aimed at",
            value=choice.level,
            unit="share",
            window=f"asked {format_share(choice.asked)}, {bank}",
        ),
        *(_fact(AVERAGED, plan, days) for plan in choice.averaged),
        *(_fact(RUNNER_UP, plan, days) for plan in choice.runners_up),
    )


def _followed(experts: Sequence[str]) -> str:
    first, *others = dict.fromkeys(experts)
    if not others:
        return first
    return f"{first} and {len(others)} {'others' if len(others) > 1 else 'other'}"


def _fact(word: str, plan: Candidate, days: str) -> Fact:
    violated = f"{format_share(plan.violation)} of steps violated in {days}"
    name = f"{word}{plan.expert} ({plan.knob:.3g})"
    if plan.cost is None:
        return Fact(name=name, value=violated)
    return Fact(name=f"{name} costs", value=plan.cost, unit="share", window=f"of reactive; {violated}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a portfolio followed over a stretch: the share of its hours by expert, largest first, and the
    choice at its end.
    """

    hours: tuple[tuple[str, float], ...]
    last: Choice

    def document(self) -> dict[str, object]:
        """In the shape of JSON."""
        hours = [{"expert": name, "share": share} for name, share in self.hours]
        last = self.last
        return {"hours": hours, "verdict": last.verdict, "saving": last.saving, **plain(last)}

    @property
    def line(self) -> str:
        """`mostly: lead peak 71 % of hours, hpa 20 %; forecasts save 12 %`."""
        named = [(name, share) for name, share in self.hours if share >= 0.095][:3] or self.hours[:1]
        parts = [f"{name} {_percent(share)}" for name, share in named]
        said = f"mostly: {', '.join([f'{parts[0]} of hours', *parts[1:]])}; " if parts else ""
        return f"{said}{self.last.verdict}"


def followed(portfolio: Portfolio, before: NDArray[np.float64]) -> list[Followed]:
    """For each series, since its tally was `before` float64 [series, experts]."""
    experts, _ = plan_experts()
    hours = portfolio.tally - before
    shares = hours / np.maximum(hours.sum(axis=1, keepdims=True), 1e-12)
    return [
        Followed(hours=tuple(_ranked(zip(experts, row.tolist(), strict=True))), last=last)
        for row, last in zip(shares, choices(portfolio), strict=True)
    ]


def _ranked(shares: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(
        ((name, share) for name, share in shares if share > 0), key=lambda pair: (-pair[1], pair[0])
    )
