"""All that a plan is decided from, as one value: to keep beside the plan, and to decide it anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from forecasts.types import Series
from policies import planner, scalers
from policies.conditions import NO_CONDITIONS, Conditions
from policies.model import Snapshot
from policies.outlook import Outlook
from policies.plan import Action, ActionKind, Change, Plan
from policies.policy import Policy
from policies.sizing import LATE_STEPS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """What `decide` needs. `only` keeps one kind of action; `undoing`: the actions to take back instead."""

    snapshot: Snapshot
    outlooks: Mapping[str, Outlook] = field(default_factory=lambda: MappingProxyType({}))
    policy: Policy
    changes: tuple[Change, ...] = ()
    conditions: Conditions = NO_CONDITIONS
    only: ActionKind | None = None
    undoing: tuple[Action, ...] | None = None


def decide(inputs: Inputs) -> Plan:
    """The plan: the same inputs give the same plan, to the letter."""
    if inputs.undoing is not None:
        return planner.undo(
            inputs.undoing,
            inputs.snapshot,
            inputs.outlooks,
            inputs.policy,
            changes=inputs.changes,
            conditions=inputs.conditions,
        )
    return planner.plan(
        inputs.snapshot,
        inputs.outlooks,
        inputs.policy,
        changes=inputs.changes,
        only=inputs.only,
        conditions=inputs.conditions,
    )


def trimmed(inputs: Inputs) -> Inputs:
    """The same inputs without the part of each pool's past that `decide` never looks at."""
    undoing = inputs.undoing is not None
    outlooks = {
        name: recent(outlook, inputs.policy, undoing=undoing) for name, outlook in inputs.outlooks.items()
    }
    return replace(inputs, outlooks=MappingProxyType(outlooks))


def recent(outlook: Outlook, policy: Policy, *, undoing: bool = False) -> Outlook:
    """The outlook without the part of its past that `decide` never looks at; arrays are copied, not kept."""
    steps = _looked_at(outlook, policy, undoing=undoing)
    if steps is None or steps >= len(outlook.demand.y):
        return outlook
    return replace(
        outlook,
        demand=_last(outlook.demand, steps),
        to_learn=None if outlook.to_learn is None else _last(outlook.to_learn, steps),
        censored=None if outlook.censored is None else outlook.censored[-steps:].copy(),
    )


def _looked_at(outlook: Outlook, policy: Policy, *, undoing: bool) -> int | None:
    """How many of the newest steps of a pool's demand are looked at; None: all."""
    if outlook.standing is not None or undoing:
        return LATE_STEPS
    lookback = scalers.load(policy.of(outlook.pool_id).scaler).LOOKBACK_S
    return None if lookback is None else max(LATE_STEPS, -(-lookback // outlook.demand.step_s))


def _last(series: Series, steps: int) -> Series:
    start = series.end - timedelta(seconds=steps * series.step_s)
    y = series.y[-steps:].copy()
    return Series(unique_id=series.unique_id, start=start, step_s=series.step_s, y=y)
