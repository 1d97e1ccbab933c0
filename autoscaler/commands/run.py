"""`loadline run`: the daemon, as a plain loop on one machine."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

    from autoscaler.bootstrap import App
    from autoscaler.daemon import Daemon
    from autoscaler.lease import Holding
    from autoscaler.log import Format
    from autoscaler.tick import Turn
    from autoscaler.web.server import Server


@click.command(short_help="Plan and apply, again and again.")
@flags.config
@click.option("--once", is_flag=True, help="One tick, then stop; exit 3 where another process leads.")
@click.option(
    "--log",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the lines on stderr are written.",
)
def command(*, config: str | None, once: bool, form: Format) -> int:
    """Observe, forecast, plan, and apply what each pool's mode allows, every `run.interval`.

    One process of a state file leads; others stand by. SIGTERM ends it after the call that is under way;
    SIGHUP, or a changed file, reads the configuration again and keeps the old one if the new one is bad.
    Where there is a section `web`, recommendations are served beside it (not with --once).
    """
    daemon = _daemon(config, form)
    app = daemon.running.app
    if not once and app.configuration.now != "clock":
        raise UsageError("run needs `now: clock`, which goes on by itself; for an old trace use --once")
    server = None if once else _server(daemon)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopper(daemon))
    signal.signal(signal.SIGHUP, lambda _number, _frame: daemon.ask_reload())
    if once:
        app.lease.take()
    daemon.keeper().start()
    with closing(server) if server is not None else nullcontext():
        daemon.run(ticks=1 if once else None)
    return showing.FAILED if once and daemon.failed else showing.OK


def _stopper(daemon: Daemon) -> Callable[[int, FrameType | None], None]:
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        # It runs between any two steps of the loop: whatever takes a lock here may wait for itself for ever.
        if asked:
            return
        asked.append(number)
        if daemon.stop():
            raise SystemExit(0)

    return stop


def _tick(app: App, holding: Holding, running_s: float) -> Turn:
    """A tick, with a bar while the past of series is fetched: at first, and of those that are new."""
    from autoscaler import tick  # noqa: PLC0415 - pandas and SQLModel behind it

    with flags.bars() as show:
        return tick.tick(
            app,
            holding=holding,
            running_s=running_s,
            on_fill=lambda done, total: show("fetching history", done, total),
            whole=False,
        )


def _server(daemon: Daemon) -> Server | None:
    """The server that the configuration asks for, begun; every turn from now on is posted to it."""
    configuration = daemon.running.app.configuration
    if configuration.web is None:
        return None
    from autoscaler.web.board import Latest  # noqa: PLC0415 - only where something is served
    from autoscaler.web.server import begin  # noqa: PLC0415 - as above

    latest, tick = Latest(daemon.clock, daemon.log), daemon.tick

    def posted(app: App, holding: Holding, running_s: float) -> Turn:
        done = tick(app, holding, running_s)
        latest.post(done, app.configuration.pools)
        return done

    daemon.tick = posted
    return begin(configuration.web, latest, daemon, file=configuration.file)


def _daemon(config: str | None, form: Format) -> Daemon:
    from autoscaler import bootstrap  # noqa: PLC0415 - pandas and SQLModel behind it
    from autoscaler.clock import SteppedClock, SystemClock  # noqa: PLC0415 - as above
    from autoscaler.daemon import Daemon  # noqa: PLC0415 - as above
    from autoscaler.log import Log  # noqa: PLC0415 - as above
    from autoscaler.reloading import Running  # noqa: PLC0415 - as above

    clock = SystemClock()
    log = Log(sys.stderr, clock, form=form)

    def stepped(seconds: float) -> None:
        log.warning("clock stepped", seconds=round(seconds, 3))

    configuration = showing.configuration(config)
    app = bootstrap.build(configuration, SteppedClock(stepped) if configuration.now == "clock" else None)
    return Daemon(
        running=Running(app, lambda fresh, old: bootstrap.build(fresh, app.clock, before=old), log),
        tick=_tick,
        lease=app.lease,
        clock=clock,
        log=log,
    )
