"""A portfolio's choice in figures and words: against a plain loop, and at the edges of what is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboards import wording
from forecasts.features import Grid
from policies import choice, scalers
from policies.choice import Candidate, Choice
from policies.portfolio import EXPERTS, LEVELS, PEAKS, PRICED, Portfolio, plan_experts, plan_names, terms

# Of every scaler whether it looks ahead: who adds an expert says it here and with the expert.
AHEAD = {
    "hpa": False,
    "target_tracking": False,
    "rolling_max": False,
    "static": False,
    "autopilot": False,
    "seasonal_max": True,
    "seasonal_quantile": True,
    "predictive": True,
    "linear": True,
    "holt_winters": True,
    "crane": True,
    "lead_peak": True,
}


def told(**changed) -> Choice:
    """A choice that follows one plan that looks ahead."""
    plan = Candidate(expert="lead peak", knob=1.6, forecasts=True, cost=0.82, violation=0.0093)
    known = {
        "asked": 0.01,
        "level": 0.012,
        "bank": 31.4,
        "window_days": 14,
        "filled_days": 14.0,
        "averaged": (plan,),
        "runners_up": (replace(plan, expert="hpa", knob=0.8, forecasts=False, cost=1.0),),
        "forecast": 82.0,
        "reactive": 100.0,
    }
    return Choice(**(known | changed))


REACTIVE = (Candidate(expert="hpa", knob=0.8, forecasts=False, cost=1.0, violation=0.009),)


def learnt(days=3, step_s=3600, seed=1):
    """A portfolio of two pools after some days of hours."""
    chance = np.random.default_rng(seed)
    demand = np.maximum(20 + chance.normal(0, 5, (2, days * 86400 // step_s)), 0)
    portfolio = Portfolio(Grid(step_s=step_s, lead=1), terms(0.05, 2), minimum=np.ones(2, dtype=np.int64))
    portfolio.advance(demand)
    return portfolio


def test_every_expert_says_whether_it_looks_ahead():
    """What an expert declares is what its scaler does."""
    assert set(AHEAD) | {"portfolio"} == set(scalers.names())
    assert {expert.name: expert.forecasts for expert in EXPERTS} == {
        expert.name: AHEAD[expert.scaler] for expert in EXPERTS
    }
    assert plan_experts()[0] == (*(expert.name for expert in EXPERTS), *(name for name, _ in PEAKS), PRICED)


def test_the_choice_is_told_as_a_plain_loop_finds_it():
    """Averaged plans, runners-up and both costs, recomputed from the ledger plan by plan."""
    portfolio = learnt()
    cost, bad, seen = portfolio.ledger.totals()
    kinds = {expert.name: expert.forecasts for expert in EXPERTS} | {name: True for name, _ in PEAKS}
    kinds[PRICED] = True
    names = plan_names()
    for row, got in enumerate(choice.choices(portfolio)):
        near = min(LEVELS, key=lambda level: abs(np.log(max(level, 1e-4)) - np.log(got.level)))
        kept = [
            plan
            for plan in range(len(names))
            if (bad[row, plan] + 0.5) / seen[row] <= max(near, 0.5 / seen[row]) + 1e-12
        ]
        least = min(cost[row, plan] for plan in kept if not kinds[names[plan][0]])
        ahead = [cost[row, plan] for plan in kept if kinds[names[plan][0]]]
        assert got.reactive == pytest.approx(least)
        assert got.forecast == (pytest.approx(min(ahead)) if ahead else None)
        chosen = {(plan.expert, plan.knob) for plan in got.averaged}
        assert chosen == {names[plan] for plan in portfolio.averaged()[row].tolist()}
        others = {}
        for plan in sorted(kept, key=lambda plan: cost[row, plan]):
            if names[plan][0] not in {plan.expert for plan in got.averaged}:
                others.setdefault(names[plan][0], cost[row, plan] / least)
        assert {plan.expert: plan.cost for plan in got.runners_up} == pytest.approx(others)
        assert [plan.cost for plan in got.runners_up] == sorted(plan.cost for plan in got.runners_up)


def test_the_tally_counts_every_hour_once():
    """The hours of all experts together are the hours that were chosen for."""
    portfolio = learnt(days=2)
    assert portfolio.tally.sum(axis=1) == pytest.approx([48, 48])
    (first, _) = choice.followed(portfolio, np.zeros_like(portfolio.tally))
    assert sum(share for _, share in first.hours) == pytest.approx(1)
    shares = [share for _, share in first.hours]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "forecasts save 18 % here"),
        ({"forecast": 102.0, "averaged": REACTIVE}, "reactive: forecasts do not pay here (+2 %)"),
        ({"forecast": 99.9, "averaged": REACTIVE}, "reactive: forecasts do not pay here"),
        ({"forecast": 102.0}, "forecasts do not pay here (+2 %)"),
        ({"forecast": None, "averaged": REACTIVE}, "reactive: no forecast kept to the level"),
        ({"reactive": None}, "no reactive rule kept to the level"),
        ({"reactive": None, "forecast": None}, "nothing kept to the level"),
    ],
)
def test_whether_forecasts_pay_is_said(changed, words):
    """In a few words that fit a fact, and reactive only where no plan that looks ahead is followed."""
    assert told(**changed).verdict == words
    assert len(words) <= wording.NAME_LIMIT


@pytest.mark.parametrize(("filled", "day"), [(0.0, 1), (4.2, 5), (13.99, 14)])
def test_f80_before_the_window_is_full_it_is_learning(filled, day):
    """With less history than the window, the day is told and nothing of what pays."""
    assert told(filled_days=filled).verdict == f"learning: day {day} of 14"


def test_f80_a_young_portfolio_says_its_day():
    """After two days of hours it is the third day of fourteen; after fourteen it is learning no more."""
    assert choice.choices(learnt(days=2))[0].verdict == "learning: day 3 of 14"
    assert not choice.choices(learnt(days=14))[0].learning


def test_facts_are_words_for_people():
    """Verdict, level and bank, then each plan with its cost beside the cheapest reactive one."""
    lines = [wording.fact(fact) for fact in choice.facts(told())]
    assert lines == [
        "own past: forecasts save 18 % here (14 d)",
        "follows: lead peak",
        "violation aimed at 1.2 % (asked 1.0 %, 31 violating steps in hand)",
        "averaged: lead peak (1.6) costs 82.0 % (of reactive; 0.93 % of steps violated in 14 d)",
        "runner-up: hpa (0.8) costs 100.0 % (of reactive; 0.93 % of steps violated in 14 d)",
    ]
    assert wording.facts(choice.facts(told())) == " · ".join(lines[:3])
    overdrawn = choice.facts(told(bank=-12.0))[2]
    assert overdrawn.window == "asked 1.0 %, 12 violating steps overdrawn"


def test_what_was_followed_is_one_line():
    """The experts of most hours by share, then whether forecasts pay; small shares are left out."""
    hours = (("lead peak", 0.71), ("hpa", 0.2), ("yesterday", 0.09))
    assert choice.Followed(hours=hours, last=told()).line == (
        "mostly: lead peak 71 % of hours, hpa 20 %; forecasts save 18 % here"
    )
    assert choice.Followed(hours=(), last=told()).line == "forecasts save 18 % here"
