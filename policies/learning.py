"""Scalers that learn, taken on by the steps that are new: many pools in one call, in bounded memory.

From one history come the same numbers, whether it was learnt at once or in pieces (a law).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forecasts.types import DAY_S
from policies import choice, memory, portfolio, scalers
from policies.model import digest
from policies.portfolio import Portfolio
from policies.standing import Kept, Rule, Standing, Step, Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from policies.plan import Fact

FORMAT = 2  # of what is learnt: raised where the same state would mean something else
CELLS = 1_500_000  # steps of buffers and of plans that are worked on at once, over all pools
MOST_AT_ONCE = 256


def depends_on(
    rule: Rule,
    minimum: int,
    step_s: int,
    demands: Sequence[tuple[str, float]],
    set_aside: Sequence[tuple[datetime, datetime]] = (),
    *,
    bounds: Sequence[str] = (),
) -> str:
    """Names everything that what is learnt depends on but demand: another name, and it is learnt anew.

    `demands`: series and unit capacity of each metric; `set_aside`: windows nobody learns from, (begin, end);
    `bounds`: what tells where demand is a lower bound.
    """
    made = portfolio.fingerprint() if rule.scaler == "portfolio" else ""
    metrics = [[name, repr(capacity)] for name, capacity in demands]
    parts = {"format": FORMAT, "rule": rule, "minimum": minimum, "step_s": step_s, "metrics": metrics}
    return digest({**parts, "made": made, "set_aside": sorted(set_aside), "bounds": sorted(bounds)})


def at_once(tasks: Sequence[Task]) -> int:
    """How many tasks like these to work on at once, so that memory does not grow with their number."""
    step, plans = tasks[0].demand.step_s, len(portfolio.plan_names())
    day = DAY_S // step
    cells = 10 * day + plans * min(day, len(tasks[0].fresh) + len(tasks[0].unsettled) + 1)
    return max(1, min(MOST_AT_ONCE, CELLS // cells))


def go_on(tasks: Sequence[Task]) -> list[Step]:
    """Each task's new steps learnt and its size for the step under way; the tasks must be alike.

    BadInput where what was kept cannot be recalled; whatever a scaler raises goes on.
    """
    first = tasks[0]
    scaler = scalers.load(first.rule.scaler)
    settings = scalers.configure(
        scaler,
        scalers.PoolSettings(
            start=first.begin,
            step_s=first.demand.step_s,
            lead_steps=first.rule.lead_steps,
            minimum=np.array([task.minimum for task in tasks]),
        ),
        dict(first.rule.settings),
        violation=first.rule.violation,
    )
    known = [task.kept.memory for task in tasks if task.kept is not None]
    if known:
        state = memory.recall(memory.join(known))
    else:
        state = scaler.begin(np.array([float(max(task.minimum, 1)) for task in tasks]), settings)
    fresh = np.stack([task.fresh for task in tasks])
    memories: list[memory.Memory] = []
    if fresh.shape[1]:
        cut = np.stack([task.bounds[0] for task in tasks])
        state = scaler.observe(fresh, replace(settings, censored=cut), state)
        memories = memory.split(memory.remember(state), len(tasks))
    tail = np.stack([np.append(task.unsettled, np.nan) for task in tasks])
    cut = np.stack([np.append(task.bounds[1], False) for task in tasks])
    wanted, after = scaler.targets(tail, None, replace(settings, censored=cut), state)
    evidence = _evidence(after, len(tasks))
    return [
        Step(
            kept=_kept(task, memories[number]) if memories else None,
            standing=Standing(units=int(wanted[number, -1]), because=evidence[number]),
        )
        for number, task in enumerate(tasks)
    ]


def _kept(task: Task, learnt: memory.Memory) -> Kept:
    before = task.kept.steps if task.kept else 0
    return Kept(
        of=task.of,
        start=task.begin,
        step_s=task.demand.step_s,
        steps=before + len(task.fresh),
        memory=learnt,
    )


def _evidence(state: object, count: int) -> list[tuple[Fact, ...]]:
    """The choice of each pool where a portfolio made one."""
    chosen = getattr(state, "portfolio", None)
    if not isinstance(chosen, Portfolio):
        return [()] * count
    return [choice.facts(one) for one in choice.choices(chosen)]
