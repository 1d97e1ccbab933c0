"""`loadline plan`: what should change, what it costs, why, and what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoscaler.commands import ahead, flags, showing
from autoscaler.errors import DataError, UsageError
from policies.plan import ActionKind

if TYPE_CHECKING:
    from dashboards.documents import Output
    from policies.assumptions import Assumption

OUTPUTS = ("text", "json", "yaml", "markdown", "csv")


@click.command(short_help="Show what should change; changes nothing.")
@flags.config
@click.option(
    "--only", type=click.Choice([kind.value for kind in ActionKind]), help="Only this kind of action."
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="text", show_default=True)
@click.option("--out", metavar="FILE", help="Write the plan there as JSON, for `loadline apply FILE`.")
@click.option("--explain", is_flag=True, help="Every fact, with its source and window.")
@click.option("--detailed-exitcode", "detailed", is_flag=True, help="Exit with 2 where there are changes.")
@click.option(
    "--for",
    "span_s",
    type=ahead.SPAN,
    help="Instead of a plan: capacity and money over the weeks to come, 4w say.",
)
@click.option(
    "--assume",
    "assumptions",
    type=ahead.ASSUMPTION,
    multiple=True,
    help="What if, over --for [4w]: `demand*1.5`, `web:price=0.2`, `lead-time+3m`; also unit-capacity, "
    "minimum, maximum, violation. May be repeated.",
)
@click.option("--recompute", metavar="PLAN", help="Decide a stored plan anew from what was kept beside it.")
def command(
    *,
    config: str | None,
    only: str | None,
    output: Output,
    out: str | None,
    explain: bool,
    detailed: bool,
    span_s: int | None,
    assumptions: tuple[Assumption, ...],
    recompute: str | None,
) -> int:
    """Observe, forecast and plan. Pools are only read; the plan is kept in the state file.

    Samples that cannot be true are dropped with a warning, and what is sound goes on.

    With --recompute nothing is observed: the same inputs must give the same plan, or it exits with 1.

    With --for or --assume nothing is planned: it shows what the pools will need and cost, with a band.
    """
    if recompute is not None:
        return _recompute(recompute, config)
    if span_s is not None or assumptions:
        ahead.refuse({"--out": out, "--only": only, "--explain": explain, "--detailed-exitcode": detailed})
        return ahead.show(config, assumptions, span_s, output)
    from autoscaler import tick  # noqa: PLC0415 - pandas and SQLModel behind it
    from dashboards.documents import as_json, render  # noqa: PLC0415
    from dashboards.wording import steps  # noqa: PLC0415
    from policies.planner import without_spare  # noqa: PLC0415

    if out:
        showing.writable(out, "--out")
    app = showing.application(config)
    series = len(app.configuration.series())
    with flags.bars() as show:
        turn = tick.turn(
            app,
            only=ActionKind(only) if only else None,
            on_progress=lambda done: show("forecasting", done, series),
            on_fill=lambda done, total: show("fetching history", done, total),
        )
    showing.warn_all(turn)
    pools = {pool.id: pool for pool in turn.seen.snapshot.pools}
    if unspared := without_spare(pools.values(), app.policy):
        flags.warn(unspared)
    if out:
        showing.write(out, as_json(turn.plan), "--out")
    hints = steps(turn.plan, saved_as=out or "", config=config or "")
    if output == "text":
        click.echo(showing.text(turn, explain=explain, steps=hints), nl=False)
    else:
        document = render(turn.plan, output, pools=pools, outlooks=showing.charts(turn), steps=hints)
        click.echo(document, nl=False)
    sized = sum(1 for outlook in turn.outlooks.values() if not outlook.refusal)
    return showing.plan_code(turn.plan, sized=sized, detailed=detailed)


def _recompute(plan_id: str, config: str | None) -> int:
    """Decide a stored plan anew and tell what differs; FAILED where anything does."""
    from autoscaler.store.trail import SqlTrail  # noqa: PLC0415 - SQLModel behind it
    from dashboards.story import differences  # noqa: PLC0415 - rich behind it
    from policies.inputs import decide  # noqa: PLC0415 - scipy behind it

    kept = SqlTrail(showing.store_to_read(showing.configuration(config))).inputs(plan_id)
    if kept is None:
        raise UsageError(f"{plan_id or 'an empty id'} is no stored plan's")
    stored, inputs = kept
    if inputs is None:
        raise DataError(f"plan {stored.id} has no inputs beside it: it came from a file or an older program")
    different = differences(stored, decide(inputs))
    pools = len(inputs.snapshot.pools)
    if not different:
        click.echo(f"Plan {stored.id} decided anew from its {pools} pools: the same, to the letter.")
        return showing.OK
    click.echo(f"Plan {stored.id} decided anew from its {pools} pools is another one:")
    for line in different:
        click.echo(f"  {line}")
    return showing.FAILED
