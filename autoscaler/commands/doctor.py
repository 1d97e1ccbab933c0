"""`loadline doctor`: what is right, what is not, and how to mend it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from autoscaler.examining.report import Report


@click.command(short_help="Look at everything; tell what to mend.")
@flags.config
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The format.",
)
@click.option(
    "--bundle",
    metavar="FILE",
    help="Also write a .tar.gz for those who help: no secrets, no logs, no metrics.",
)
@click.option(
    "--rights",
    type=click.Choice(["aws", "google", "kubernetes"]),
    help="Only print the rights that reading needs there, ready to be applied.",
)
@click.option("--acting", is_flag=True, help="With --rights: those that changing sizes needs beyond.")
def command(*, config: str | None, output: str, bundle: str | None, rights: str | None, acting: bool) -> int:
    """Look at credentials and each right, metrics, pools, who else scales them, the state file and freezes.

    Nothing is changed, and no right to write is needed. It ends with 0 where nothing fails, 77 where a
    permission lacks, 5 where only data fails, 64 for a configuration that cannot be used, and else 1.
    """
    if rights or acting:
        return _rights(rights, acts=acting)
    if bundle:
        showing.writable(bundle, "--bundle")
    looked = _looked(config)
    document = looked.hidden()
    if bundle:
        _write(bundle, looked)
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(_text(document), nl=False)
        if bundle:
            click.echo(f"Written: {bundle}, for its owner alone; look into it before you send it.")
    return looked.report.exit_code


def _rights(kind: str | None, *, acts: bool) -> int:
    from autoscaler import rights  # noqa: PLC0415 - the modules of every provider

    if kind is None:
        raise UsageError("--acting is of --rights: say of which provider")
    click.echo(rights.text(kind, acts=acts), nl=False)
    return showing.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    report: Report
    configuration: Configuration | None
    plans: tuple[str, ...]

    def hidden(self) -> dict[str, Any]:
        """The report as JSON, without secrets."""
        from autoscaler.examining.hiding import secrets_of  # noqa: PLC0415 - only on this road

        hidden: dict[str, Any] = secrets_of(self.configuration, os.environ).hide_all(self.report.document())
        return hidden


def _looked(config: str | None) -> _Looked:
    from autoscaler.clock import SystemClock  # noqa: PLC0415 - as above
    from autoscaler.examining import whole  # noqa: PLC0415 - SQLModel and more behind it

    try:
        configuration = showing.configuration(config)
    except ConfigError as error:
        report = whole.unsound(error, SystemClock().now())
        return _Looked(report=report, configuration=None, plans=())
    found = whole.examine(configuration)
    return _Looked(
        report=found.report,
        configuration=configuration,
        plans=tuple(found.stored.plans),
    )


def _write(path: str, looked: _Looked) -> None:
    from autoscaler.examining import bundle  # noqa: PLC0415 - only on this road
    from autoscaler.examining.hiding import secrets_of  # noqa: PLC0415 - as above

    secrets = secrets_of(looked.configuration, os.environ)
    files = bundle.documents(looked.report, looked.configuration, looked.plans, secrets)
    bundle.write(path, files, at_s=int(looked.report.at.timestamp()))


def _text(document: dict[str, Any]) -> str:
    from autoscaler.ports import Check  # noqa: PLC0415 - beside its use
    from dashboards.checkup import checkup_text  # noqa: PLC0415 - rich behind it

    rows = [
        (
            one["subject"],
            [Check(what=c["what"], ok=c["ok"], why=c["why"], mend=c["mend"]) for c in one["checks"]],
        )
        for one in document["subjects"]
    ]
    return checkup_text(rows, width=showing.width(), color=flags.colored())
