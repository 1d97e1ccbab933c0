"""The command `loadline`. Each command's module is imported when it is called, so that help is quick."""

from __future__ import annotations

import importlib
import os
import sys

import click

from autoscaler.errors import LoadlineError, UsageError

COMMANDS = {
    "init": "Look at a cluster or cloud, and write a first configuration. Changes nothing.",
    "demo": "The main job on a generated world: forecast, plan, apply, replay, report.",
    "doctor": "Look at rights, metrics, pools and the state; tell what to mend. Changes nothing.",
    "plan": "Show what should change, what it costs, why, and what is held. Changes nothing.",
    "apply": "Apply a plan: a file written by `plan --out`, or a stored plan's id.",
    "run": "Plan, and apply what the modes allow, again and again; stands by while another one leads.",
    "explain": "The whole story of a plan, an action or a pool.",
    "undo": "Take a plan or an action back, through the same guards.",
    "release": "Give pools back to their owners, as they were before.",
    "approve": "Allow actions that wait for a person.",
    "reject": "Forbid actions that wait for a person.",
    "freeze": "Stop every change: of everything, a provider or a pool.",
    "unfreeze": "Lift what `freeze` stopped.",
    "trail": "The newest entries of the trail; `trail verify` finds tampering.",
    "replay": "What a scaler would have cost on a history, and how often it would have violated.",
    "forecast": "Quantiles of every series of a history.",
    "backtest": "How good forecasts would have been on a history.",
    "config": "Check, describe and explain the configuration.",
    "completion": "The completion script of a shell.",
}


class Lazy(click.Group):
    """A group whose commands are the modules of autoscaler.commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"autoscaler.commands.{cmd_name}").command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command where there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib  # noqa: PLC0415 - only on this road

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done or nothing to do; 1 error; 2 changes (only with --detailed-exitcode); "
    "3 all actions held; 4 plan stale; 5 insufficient or bad data; 64 usage or configuration; 77 permission.",
)
@click.version_option(package_name="loadline", prog_name="loadline")
def root() -> None:
    """Loadline keeps every pool of compute at the load line: no emptier than it must be, no fuller than
    is safe.

    It forecasts demand, plans capacity, shows the plan with its cost and reasons, applies what its operator
    allows, and can take it back.
    """


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of a command line; what went wrong is one clear line on stderr, never a traceback."""
    try:
        result = root.main(args=arguments, prog_name="loadline", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.ClickException as error:
        usage = getattr(error, "ctx", None)
        hint = f" (see {usage.command_path} --help)" if usage is not None else ""
        _tell(error.format_message() + hint)
        return UsageError.exit_code
    except LoadlineError as error:
        _tell(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _tell("interrupted")
        return 130
    except BrokenPipeError:
        # Whoever reads us has gone: nothing more to say, and nothing to say it to at shutdown either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _tell(message: str) -> None:
    for line in message.splitlines():
        click.echo(f"loadline: {line}", err=True)


if __name__ == "__main__":
    main()
