"""`loadline config`: check, describe and explain the configuration."""

from __future__ import annotations

import json

import click

from autoscaler.commands import flags


@click.group(name="config", short_help="Check, describe and explain the configuration.")
def command() -> None:
    """Check, describe and explain the configuration."""


@command.command()
@flags.config
def validate(*, config: str | None) -> None:
    """Check the configuration; every problem is one line with its place and the nearest key."""
    from autoscaler import config as configuration  # noqa: PLC0415 - pydantic behind it

    path = configuration.find(config)
    loaded = configuration.load(path)
    click.echo(f"{path}: sound; {len(loaded.pools)} pools, {len(loaded.metrics)} sources of metrics")


@command.command()
def schema() -> None:
    """Print the JSON Schema, for editors that complete and check YAML."""
    from autoscaler import config as configuration  # noqa: PLC0415 - pydantic behind it

    click.echo(json.dumps(configuration.json_schema(), indent=2, ensure_ascii=False))


@command.command()
@click.argument("key", default="")
def explain(*, key: str) -> None:
    """Tell what a KEY is for, its default and what it takes: pools.*.scaler; without one, the top."""
    from autoscaler import config as configuration  # noqa: PLC0415 - pydantic behind it

    click.echo(configuration.explain(key).rstrip())
