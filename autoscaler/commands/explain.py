"""`loadline explain`: the whole story of a plan, an action or a pool, from the store alone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from autoscaler.clock import SystemClock
from autoscaler.commands import flags, showing
from autoscaler.errors import StoreError, UsageError
from autoscaler.settings_targets import places
from policies.policy import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from autoscaler.config import Configuration
    from autoscaler.store.trail import SqlTrail
    from dashboards.story import Story
    from dashboards.wording import Steps
    from policies.deeds import Deed, Frozen, Proposal
    from policies.plan import Action, Held, Plan
    from policies.policy import Freeze


@click.command(short_help="The story of a plan, an action or a pool.")
@click.argument("what", metavar="PLAN|ACTION|POOL")
@flags.config
def command(*, what: str, config: str | None) -> None:
    """Tell what was planned, why, what the guards said, what was tried and what became of it.

    PLAN and ACTION are ids or the beginning of one; for a POOL, what the newest plan that names it said, and
    what its scaler has chosen from the pool's own past since.
    """
    from autoscaler.store.trail import SqlTrail  # noqa: PLC0415 - SQLModel behind it

    settings = showing.configuration(config)
    engine = showing.store_to_read(settings)
    trail = SqlTrail(engine, places(settings.pools.values(), settings.providers))
    pool = what in settings.pools
    plan = None if pool else trail.plan(what)
    if plan is not None:
        _tell_plan(trail, engine, plan, _left(trail, plan, settings, config or ""))
        return
    found = trail.proposals(pool=what) if pool else trail.proposals(action=what)
    if pool:
        _tell_pool(trail, engine, settings, what, found)
        return
    if not found:
        raise UsageError(f"no plan, action or pool {what} is in {settings.state}")
    told = {found[-1].plan_id, *(deed.plan_id for deed in trail.actions(what))}
    _tell_actions(trail, engine, settings, [one for one in found if one.plan_id in told])


def _tell_pool(
    trail: SqlTrail, engine: Engine, settings: Configuration, pool: str, found: Sequence[Proposal]
) -> None:
    """What the newest plan that names it said, and a choice that is newer."""
    from autoscaler.store.memories import Memories  # noqa: PLC0415 - SQLModel behind it
    from dashboards.tables import choice_text  # noqa: PLC0415

    if found:
        newest = found[-1].plan_id
        _tell_actions(trail, engine, settings, [one for one in found if one.plan_id == newest])
    else:
        click.echo(f"{pool}: no plan has wanted to change it so far")
    told = Memories(engine).told(pool)
    if told is not None and (not found or told[0] > found[-1].made_at):
        click.echo(choice_text(told[1], told[0], width=showing.width()), nl=False)


def _left(trail: SqlTrail, plan: Plan, settings: Configuration, config: str) -> Steps:
    """What can still be done with a plan: apply it while nobody has, undo what of it still stands."""
    from dashboards.wording import steps  # noqa: PLC0415 - numpy behind it

    deeds = trail.tried(plan.id)
    stands = any(
        not deed.elsewhere and _newest_change(trail, deed.action.target) == deed.key for deed in deeds
    )
    tried = any(deed.at >= plan.made_at for deed in deeds)
    possible = {"Apply": not tried and _now(settings, plan) < plan.expires_at, "Undo": stands}
    return tuple(
        (label, command.removesuffix(", once it is applied"))
        for label, command in steps(plan, config=config)
        if possible.get(label)
    )


def _newest_change(trail: SqlTrail, pool: str) -> str:
    return next((deed.key for deed in reversed(trail.pool(pool)) if deed.change is not None), "")


def _now(settings: Configuration, plan: Plan) -> datetime:
    """The configuration's moment; that of the plan for old traces, where no time goes by."""
    if settings.now == "clock":
        return SystemClock().now()
    return settings.now if isinstance(settings.now, datetime) else plan.made_at


def _tell_plan(trail: SqlTrail, engine: Engine, plan: Plan, left: Steps) -> None:
    """The plan, how often it was made, and of each action that was tried its outcome and its verdicts."""
    from autoscaler.store.verdicts import SqlVerdicts  # noqa: PLC0415 - SQLModel behind it
    from dashboards.story import verdict_line  # noqa: PLC0415 - rich behind it
    from dashboards.terminal import plan_text  # noqa: PLC0415 - rich behind it

    text = plan_text(
        plan, pools={}, outlooks={}, width=showing.width(), color=flags.colored(), explain=True, steps=left
    )
    click.echo(text)
    times = trail.sightings(plan.id)
    click.echo(f"The plan was made {times} time{'s' if times > 1 else ''}.")
    deeds = trail.tried(plan.id)
    judged = SqlVerdicts(engine).judged([deed.key for deed in deeds])
    for deed in deeds:
        action, outcome = deed.action, deed.outcome
        if outcome is None:
            click.echo(f"  in doubt  {action.target}  {action.before} -> {action.after}")
        else:
            showing.tell_outcomes([(action, outcome)])
        for one in judged:
            if one.key == deed.key:
                click.echo(f"            {verdict_line(one)}")


def _tell_actions(
    trail: SqlTrail, engine: Engine, settings: Configuration, proposals: Sequence[Proposal]
) -> None:
    from dashboards.story import story_text  # noqa: PLC0415 - rich behind it

    for proposal in proposals:
        plan = trail.plan(proposal.plan_id)
        if plan is not None:
            story = _story(trail, engine, settings, plan, proposal)
            click.echo(story_text(story, width=showing.width()))


def _story(trail: SqlTrail, engine: Engine, settings: Configuration, plan: Plan, proposal: Proposal) -> Story:
    """All that the store has about an action of a plan."""
    from autoscaler.store.people import SqlPeople  # noqa: PLC0415 - SQLModel behind it
    from autoscaler.store.verdicts import SqlVerdicts  # noqa: PLC0415 - as above
    from dashboards.story import Story  # noqa: PLC0415 - rich behind it

    action, people = proposal.action, SqlPeople(engine)
    deeds = [deed for deed in trail.actions(action.id) if deed.plan_id == plan.id]
    said = people.frozen()
    of_pool = trail.pool(action.target)
    moments = [plan.made_at, *(deed.at for deed in deeds)]
    return Story(
        plan=plan,
        entry=_entry(plan, proposal),
        deeds=deeds,
        judged=SqlVerdicts(engine).judged([deed.key for deed in deeds]),
        said=people.said(action.id),
        frozen=[
            one
            for one in (*said, *_frozen_by_inputs(trail, plan, said))
            if _touches(one.freeze, action.target, settings) and any(map(one.held_at, moments))
        ],
        undone=[deed for deed in of_pool if _undoes(deed, action) and deed.at >= plan.made_at],
        changes=[deed.change for deed in of_pool if deed.change is not None],
    )


def _frozen_by_inputs(trail: SqlTrail, plan: Plan, known: Sequence[Frozen]) -> list[Frozen]:
    """The freezes that the plan was decided under and that the store has no other word of."""
    from policies.deeds import Frozen  # noqa: PLC0415 - only where there is a story

    try:
        kept = trail.inputs(plan.id)
    except StoreError as error:
        flags.warn(str(error))  # written by another version: all else can still be told
        return []
    inputs = None if kept is None else kept[1]
    if inputs is None:
        return []
    told = {one.freeze for one in known}
    found = dict.fromkeys((*inputs.policy.freezes, *inputs.conditions.freezes))
    return [Frozen(freeze=one) for one in found if one not in told]


def _touches(freeze: Freeze, target: str, settings: Configuration) -> bool:
    if freeze.scope is Scope.ALL:
        return True
    if freeze.scope is Scope.POOL:
        return freeze.name == target
    declared = settings.pools.get(target)
    return declared is not None and declared.provider == freeze.name


def _undoes(deed: Deed, action: Action) -> bool:
    return any(fact.name == "undoes" and fact.value == action.id for fact in deed.action.because)


def _entry(plan: Plan, proposal: Proposal) -> Action | Held:
    for held in plan.held:
        if held.action.id == proposal.action.id and held.guard == proposal.guard:
            return held
    return proposal.action
