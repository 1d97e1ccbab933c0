"""`loadline approve` and `reject`: a person's word on actions of plans that have not expired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from autoscaler.commands import people
from autoscaler.errors import PlanRefused, UsageError
from policies.conditions import Approval
from policies.model import iso

if TYPE_CHECKING:
    from policies.deeds import Proposal

LASTS_S = 86400
_NAMED = 5  # candidates that an ambiguous prefix lists


@click.command(short_help="Allow actions that wait for a person.")
@people.on_actions
def command(*, actions: tuple[str, ...], **word: Any) -> None:
    """Allow each ACTION (an id or the beginning of one) of a plan that has not expired.

    The word is bound to the action's id, that is its target and its sizes, and is used once. The action
    passes every guard again before it is done.
    """
    say(actions, granted=True, **word)


def say(
    actions: Sequence[str],
    *,
    granted: bool,
    why: str,
    by: str | None,
    span_s: int | None,
    config: str | None,
) -> None:
    """Keep the same word on each action, all or none; UsageError or PlanRefused for one that cannot be."""
    from dashboards.story import approval_line  # noqa: PLC0415 - rich behind it

    reason, who = people.reason_of(why), people.name_of(by)
    book = people.book(config)
    wishes = book.trail.open_wishes(book.now)
    wanted = {wish.action.id: wish for wish in (_found(book, wishes, prefix) for prefix in actions)}
    ends = book.now + timedelta(seconds=LASTS_S if span_s is None else span_s)
    words = [
        Approval(action_id=name, granted=granted, by=who, why=reason, at=book.now, expires_at=ends)
        for name in wanted
    ]
    book.people.approve(*words)
    for word, wish in zip(words, wanted.values(), strict=True):
        click.echo(approval_line(word, wish.action))


def _found(book: people.Book, wishes: Sequence[Proposal], prefix: str) -> Proposal:
    found = [wish for wish in wishes if prefix and wish.action.id.startswith(prefix)]
    exact = [wish for wish in found if wish.action.id == prefix]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if found:
        some = ", ".join(wish.action.id for wish in found[:_NAMED])
        raise UsageError(f"{len(found)} actions begin with {prefix}: {some}; write more of it")
    ended = _ended(book, prefix)
    if ended is not None:
        raise PlanRefused(f"the plan of action {prefix} expired at {iso(ended)}; make a new one")
    raise UsageError(f"no plan that has not expired has an action {prefix or '(empty)'}")


def _ended(book: people.Book, prefix: str) -> datetime | None:
    """When the newest plan with that action expired, None where no plan has it."""
    found = book.trail.proposals(action=prefix)
    plan = book.trail.plan(found[-1].plan_id) if found else None
    return None if plan is None else plan.expires_at
