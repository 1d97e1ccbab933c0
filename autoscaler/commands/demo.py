"""`loadline demo`: the main job on a generated world."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import click

from autoscaler.commands import flags, showing

ASSUMPTION = (
    "In the replay the HPA's target is tuned with hindsight, pool by pool, to the violation that ours "
    "reached; where no target reaches it, its cost is that of the static peak. Ours saw nothing of the "
    "scored days in advance."
)


@click.command(short_help="The main job on a generated world.")
@click.option(
    "--out",
    "folder",
    default="loadline-demo",
    show_default=True,
    metavar="FOLDER",
    help="Where the world, its state and the report are written.",
)
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Which world.")
def command(*, folder: str, seed: int) -> None:
    """Make a world of eight pools and 28 days, and do everything with it that is done with a real one.

    It ingests the metrics, forecasts, prints the plan, applies it to a fake cloud, replays the last 14 days
    beside a static peak and the Kubernetes HPA, and writes a report that opens without a network.
    """
    from autoscaler import config, demo, tick  # noqa: PLC0415 - pandas, SQLModel and more behind them
    from dashboards.ink import wrap  # noqa: PLC0415
    from dashboards.site import report  # noqa: PLC0415 - plotly behind it
    from dashboards.tables import replay_table  # noqa: PLC0415

    world = demo.make(Path(folder), seed=seed)
    about = f"A GENERATED world (seed {seed}): eight pools over 28 days, one sample a minute. No real data."
    click.echo(f"{about}\nIngesting {world.samples:,} samples and forecasting ...\n")
    with flags.progress(len(world.app.configuration.series()), "forecasting") as done:
        turn = tick.tick(world.app, on_progress=done)
    showing.warn_all(turn)
    click.echo(showing.text(turn))
    click.echo(f"Applying plan {turn.plan.id} to the fake cloud (mode: auto)")
    showing.tell_outcomes(turn.outcomes)
    there = demo.arrived(world, turn)
    late = [f"{pool} ({ready} of {wanted})" for pool, ready, wanted in there if ready < wanted]
    click.echo(
        f"After the lead time {len(there) - len(late)} of {len(there)} serve what was asked"
        f"{': not yet ' + ', '.join(late) if late else ''}.\n"
    )
    with flags.progress(len(turn.seen.snapshot.pools), "replaying") as done:
        rows, charts = demo.replays(turn, done)
    said = f"The last 14 days, replayed. {ASSUMPTION}"
    click.echo("\n".join(wrap(said, showing.width())) + "\n")
    click.echo(replay_table(rows, width=showing.table_width()))
    document = report(
        title="Loadline demo",
        plan=turn.plan,
        pools={pool.id: pool for pool in turn.seen.snapshot.pools},
        charts=showing.charts(turn),
        rows=rows,
        replays=charts,
        generated=about,
        ours=demo.OURS,
        violation_target=0.01,
        assumptions=[ASSUMPTION],
    )
    path = demo.save(world, document, json.dumps(config.json_schema(), indent=2))
    program = _program()
    click.echo(
        f"Report: {path.resolve()}\n\nGo on from here:\n  cd {shlex.quote(folder)}\n  {program} plan\n"
        f"  {program} explain web\n  {program} undo {turn.plan.id}"
    )


def _program() -> str:
    """What to type for this program: its name where the shell finds it, else the path that runs now."""
    if shutil.which("loadline") is not None:
        return "loadline"
    beside = Path(sys.executable).with_name("loadline")
    running = [str(beside)] if beside.exists() else [sys.executable, "-m", "autoscaler.cli"]
    return shlex.join(running)
