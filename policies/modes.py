"""Modes: whether a daemon may apply an action that the guards let pass. By hand, apply needs no mode."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from policies.conditions import Approval, Conditions
from policies.model import iso
from policies.plan import Action, ActionKind, Guard
from policies.policy import Mode, Policy
from policies.units import format_duration


class Permission(NamedTuple):
    """What may be done with an action. `guard`: what keeps it from being applied, None where nothing does."""

    what: Mode
    guard: Guard | None = None
    why: str = ""

    @property
    def acts(self) -> bool:
        """Whether it may be applied."""
        return self.guard is None


def permitted(action: Action, *, policy: Policy, conditions: Conditions, now: datetime) -> Permission:
    """The mode of the action's pool and direction; a new pool is only observed, whatever its mode.

    A pool is new until it was seen for `observe_first_s`, and where nobody knows when it was first seen.
    """
    rule = policy.of(action.target)
    mode = rule.mode_out if action.kind is ActionKind.SCALE_OUT else rule.mode_in
    if mode is Mode.OBSERVE:
        return Permission(Mode.OBSERVE, Guard.MODE, f"the mode of {action.target} is observe")
    seen = conditions.first_seen.get(action.target)
    if rule.observe_first_s and (seen is None or now < seen + timedelta(seconds=rule.observe_first_s)):
        since = "" if seen is None else f", first seen at {iso(seen)}"
        why = f"{action.target} is new{since}; it is observed for {format_duration(rule.observe_first_s)}"
        return Permission(Mode.OBSERVE, Guard.MODE, why)
    word = newest_word(action.id, conditions.approvals, now)
    if word is not None and not word.granted:  # a person's no holds in every mode
        return Permission(Mode.APPROVE, Guard.APPROVAL, f"refused by {word.by}: {word.why}")
    if mode is Mode.REHEARSE:
        return Permission(Mode.REHEARSE, Guard.MODE, f"the mode of {action.target} is rehearse")
    return Permission(Mode.AUTO) if mode is Mode.AUTO else _asked(word)


def _asked(word: Approval | None) -> Permission:
    if word is None:
        return Permission(Mode.APPROVE, Guard.APPROVAL, "nobody has approved it yet")
    return Permission(Mode.APPROVE, None, f"approved by {word.by}: {word.why}")


def newest_word(action_id: str, approvals: Sequence[Approval], now: datetime) -> Approval | None:
    """The newest approval or refusal of an action that has not expired; of two at once the refusal."""
    said = [one for one in approvals if one.action_id == action_id and now < one.expires_at]
    return max(said, key=lambda one: (one.at, not one.granted), default=None)


def granted(approvals: Sequence[Approval], now: datetime) -> frozenset[str]:
    """The ids of the actions whose newest word is an approval."""
    ids = {one.action_id for one in approvals if one.granted}
    words = (newest_word(one, approvals, now) for one in ids)
    return frozenset(word.action_id for word in words if word is not None and word.granted)
