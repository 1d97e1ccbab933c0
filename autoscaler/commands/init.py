"""`loadline init`: a first configuration from what is there; nothing is changed anywhere."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoscaler.commands import flags, showing
from autoscaler.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from autoscaler.connections import RealProvider, RemoteSource
    from policies.proposals import Findings

CLUSTER = "main"  # what the cluster is called in the file
PLACEHOLDER = {"prometheus": "up", "cloudwatch": {"expression": "1"}, "google-monitoring": {"filter": "-"}}
Sections = dict[str, dict[str, object]]


@click.command(cls=flags.Many, name="init", short_help="Write a first configuration from what is there.")
@click.option("--kubernetes", is_flag=True, help="Look at the workloads of a cluster.")
@click.option("--kubeconfig", metavar="FILE", help="Its credentials; else KUBECONFIG or ~/.kube/config.")
@click.option("--context", metavar="NAME", help="The context of that file; else its current one.")
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAME...",
    help="Only these namespaces; else all but the system's.",
)
@click.option(
    "--adopt",
    multiple=True,
    metavar="MANAGER...",
    help="Field managers from whom sizes may be taken later, such as argocd-controller: their workloads are "
    "proposed too.",
)
@click.option("--prometheus", metavar="URL", help="Metrics from the HTTP API of Prometheus.")
@click.option("--tenant", metavar="ID", help="Sent to it as X-Scope-OrgID.")
@click.option("--token-file", metavar="FILE", help="The file with a bearer token for it.")
@click.option("--ca-file", metavar="FILE", help="Certificates that vouch for it.")
@click.option("--aws", metavar="REGION", help="Look at the Auto Scaling groups of a region.")
@click.option("--role-arn", metavar="ARN", help="The role to assume there, for reading.")
@click.option(
    "--profile", metavar="NAME", help="The profile of the shared credentials; else the environment's."
)
@click.option(
    "--cloudwatch", is_flag=True, help="Metrics of that region from CloudWatch; each call costs money."
)
@click.option("--google", metavar="PROJECT", help="Look at the managed instance groups of a project.")
@click.option("--google-monitoring", is_flag=True, help="Metrics of that project from Cloud Monitoring.")
@click.option("--aws-endpoint", metavar="URL", hidden=True)
@click.option("--google-endpoint", metavar="URL", hidden=True)
@click.option("--google-monitoring-endpoint", metavar="HOST:PORT", hidden=True)
@click.option(
    "--out", default="loadline.yaml", show_default=True, metavar="FILE", help="Where it is written."
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(*, out: str, force: bool, output: str, **given: Any) -> int:
    """Look at what is there, and write a commented configuration that proposes pools in mode observe.

    It only reads: sizes and bounds from the cluster or cloud, metrics from their server. Each query that is
    proposed was run once and answered with one fresh series. What was seen and is not proposed stands at the
    end of the file, with the reason.
    """
    if Path(out).exists() and not force:
        raise UsageError(f"--out {out}: is there already; name another file, or add --force")
    showing.writable(out, "--out")
    providers, sources = _providers(given), _sources(given)
    findings = _look(given, providers, sources)
    written = bool(findings.proposals)
    if written:
        from dashboards.proposed import configuration  # noqa: PLC0415 - rich behind it

        _write(out, configuration(findings, providers, sources), force=force)
    _tell(findings, out if written else "", output)
    return showing.OK if written else showing.NO_DATA


def _providers(given: Mapping[str, Any]) -> Sections:
    """The sections of providers by KIND/NAME, with the keys that were given."""
    found: Sections = {}
    if given["kubernetes"]:
        file = given["kubeconfig"]
        found[f"kubernetes/{CLUSTER}"] = _some(
            kubeconfig=os.path.abspath(file) if file else None,  # noqa: PTH100 - links stay as they are named
            context=given["context"],
            namespaces=sorted(set(given["namespaces"])),
            adopt=sorted(set(given["adopt"])),
        )
    if given["aws"]:
        found[f"aws/{given['aws']}"] = _account(given)
    if given["google"]:
        found[f"google/{given['google']}"] = _some(
            project=given["google"], endpoint_url=given["google_endpoint"]
        )
    if not found:
        raise UsageError("where are the pools? give --kubernetes, --aws REGION or --google PROJECT")
    return found


def _sources(given: Mapping[str, Any]) -> Sections:
    """The sections of metrics by kind, without queries."""
    found: Sections = {}
    if given["prometheus"]:
        paths = {key: given[key] and os.path.abspath(given[key]) for key in ("token_file", "ca_file")}  # noqa: PTH100
        found["prometheus"] = _some(url=given["prometheus"], tenant=given["tenant"], **paths)
    if given["cloudwatch"]:
        if not given["aws"]:
            raise UsageError("--cloudwatch needs --aws REGION, whose metrics it has")
        found["cloudwatch"] = {**_account(given), "step": "5m"}  # by default instances report so often
    if given["google_monitoring"]:
        if not given["google"]:
            raise UsageError("--google-monitoring needs --google PROJECT, whose metrics it has")
        endpoint = given["google_monitoring_endpoint"]
        found["google-monitoring"] = {**_some(project=given["google"], endpoint=endpoint), "step": "5m"}
    if not found:
        raise UsageError("where are the metrics? give --prometheus URL, --cloudwatch or --google-monitoring")
    return found


def _account(given: Mapping[str, Any]) -> dict[str, object]:
    return _some(
        region=given["aws"],
        role_arn=given["role_arn"],
        profile=given["profile"],
        endpoint_url=given["aws_endpoint"],
    )


def _some(**values: object) -> dict[str, object]:
    """Those that were given."""
    return {key: value for key, value in values.items() if value}


def _look(given: Mapping[str, Any], providers: Sections, sources: Sections) -> Findings:
    from autoscaler.clock import SystemClock  # noqa: PLC0415 - numpy and more behind it
    from autoscaler.discovery import Asked, look  # noqa: PLC0415 - as above

    asked = Asked(
        providers={name: _provider(name, section) for name, section in providers.items()},
        sources=[_source(kind, section) for kind, section in sources.items()],
        chosen_namespaces=bool(given["namespaces"]),
    )
    with flags.bars() as show:
        return look(asked, SystemClock(), show)


def _provider(name: str, section: Mapping[str, object]) -> RealProvider:
    from autoscaler import settings_world as world  # noqa: PLC0415 - pydantic behind it

    kinds: dict[str, type[BaseModel]] = {
        "kubernetes": world.KubernetesSection,
        "aws": world.AwsSection,
        "google": world.GoogleSection,
    }
    files = {key: str(section[key]) for key in ("kubeconfig",) if key in section}
    checked: Any = _checked(kinds[name.partition("/")[0]], section)
    provider: RealProvider = checked.settled(name, files)
    return provider


def _source(kind: str, section: Mapping[str, object]) -> RemoteSource:
    from autoscaler import settings_world as world  # noqa: PLC0415 - as above

    kinds: dict[str, type[BaseModel]] = {
        "prometheus": world.PrometheusSection,
        "cloudwatch": world.CloudWatchSection,
        "google-monitoring": world.GoogleMonitoringSection,
    }
    files = {key: str(section[key]) for key in ("token_file", "ca_file") if key in section}
    some = {"kind": kind, "queries": {"-": PLACEHOLDER[kind]}, **section}
    checked: Any = _checked(kinds[kind], some)
    source: RemoteSource = checked.settled(f"metrics {kind}", files)
    return source


def _checked(section: type[BaseModel], values: Mapping[str, object]) -> BaseModel:
    """The flags as the configuration file checks them; UsageError names the key."""
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    from autoscaler.settings_checks import field_problems  # noqa: PLC0415 - as above

    try:
        return section.model_validate(values)
    except ValidationError as error:
        problem = next(iter(field_problems(error)))
        raise UsageError(f"{'.'.join(map(str, problem.place))}: {problem.message}") from None


def _write(path: str, text: str, *, force: bool) -> None:
    """Whole or not at all; UsageError where it is there by now, or cannot be written."""
    new = Path(f"{path}.new")
    try:
        new.write_text(text, encoding="utf-8")
        if force:
            new.replace(path)
        else:
            os.link(new, path)
            new.unlink()
    except FileExistsError:
        new.unlink()
        raise UsageError(f"--out {path}: is there already; name another file, or add --force") from None
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror}") from None


def _tell(findings: Findings, file: str, output: str) -> None:
    from dashboards.found import found_document, found_text  # noqa: PLC0415 - rich behind it

    steps = _steps(findings, file)
    if output == "json":
        click.echo(json.dumps(found_document(findings, file=file, steps=steps), indent=2))
    else:
        click.echo(found_text(findings, file=file, steps=steps, width=showing.width()), nl=False)


def _steps(findings: Findings, file: str) -> list[str]:
    """Three commands to go on with; none where nothing was written."""
    if not file:
        return []
    named = "" if os.path.normpath(file) == "loadline.yaml" else f" --config {shlex.quote(file)}"
    first = shlex.quote(findings.proposals[0].name)
    return [f"loadline plan{named}", f"loadline explain {first}{named}", f"loadline run{named}"]
