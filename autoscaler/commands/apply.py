"""`loadline apply`: a plan from a file or from the store."""

from __future__ import annotations

from pathlib import Path

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import DataError, UsageError
from policies.plan import Plan, PlanError
from policies.plan_json import plan_from_json


@click.command(short_help="Apply a plan: a file, or a stored plan's id.")
@click.argument("plan", metavar="PLAN")
@flags.config
def command(*, plan: str, config: str | None) -> int:
    """Apply PLAN, a file that `loadline plan --out` wrote or the id of a stored plan.

    Each target is read again first: one that moved since is left alone (stale, exit 4). An expired plan is
    refused whole. What removes waits for `revalidate` (15 s) and goes only if a second plan agrees. While a
    daemon leads, nothing is applied by hand (exit 3).
    """
    from autoscaler import plan_files, tick  # noqa: PLC0415 - pandas and SQLModel behind it

    path = Path(plan)
    if path.suffix == ".json" or path.exists():
        from_file = _from_file(path)
        app = showing.application(config)
        plan_files.refuse_edited(app, from_file)
        wanted: Plan | None = from_file
    else:
        app = showing.application(config)
        wanted = app.trail.plan(plan)
    if wanted is None:
        raise UsageError(f"{plan} is neither a file nor the id of a stored plan")
    showing.tell_wait(app, wanted)
    return showing.tell_applied(wanted, tick.apply(app, wanted))


def _from_file(path: Path) -> Plan:
    try:
        return plan_from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (PlanError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from None
