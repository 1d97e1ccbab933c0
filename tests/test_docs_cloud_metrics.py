"""The pages of CloudWatch and Google Cloud Monitoring: examples can be asked, rights and prices are true."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from autoscaler.connections import (
    AwsAccount,
    CloudWatchQuery,
    CloudWatchSource,
    GoogleMonitoringSource,
    GoogleQuery,
)
from autoscaler.metrics import cloudwatch, cloudwatch_queries, google_monitoring, google_queries

DOCS = Path(__file__).parents[1] / "docs"
CLOUDWATCH, GOOGLE = ((DOCS / name).read_text() for name in ("cloudwatch.md", "google-monitoring.md"))
MONTH_S = 730 * 3600


def blocks(text, kind):
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def cloudwatch_query(shown):
    inputs = {name: cloudwatch_query(one) for name, one in shown.pop("inputs", {}).items()}
    return CloudWatchQuery(**shown, inputs=inputs)


@pytest.mark.parametrize("block", blocks(CLOUDWATCH, "yaml"))
def test_the_examples_of_cloudwatch_can_be_asked(block):
    """Each example is made of fields that there are, and its queries can be asked."""
    shown = yaml.safe_load(block)
    queries = {name: cloudwatch_query(one) for name, one in shown.pop("queries").items()}
    account = AwsAccount(**shown.pop("account", {"region": "eu-central-1"}))
    source = CloudWatchSource(**({"name": "prod"} | shown), account=account, queries=queries)
    assert cloudwatch_queries.wrong(source) == ""


def test_the_examples_of_google_can_be_asked():
    """Each example is made of fields that there are, and its queries can be asked."""
    examples = [shown for block in blocks(GOOGLE, "yaml") if "queries" in (shown := yaml.safe_load(block))]
    assert len(examples) == 2
    for shown in examples:
        queries = {name: GoogleQuery(**one) for name, one in shown.pop("queries").items()}
        source = GoogleMonitoringSource(**({"name": "prod", "project": "p"} | shown), queries=queries)
        assert google_queries.wrong(source) == ""


def test_the_rights_are_those_that_are_used():
    """The policy and the custom role name exactly the permissions that the modules declare."""
    (policy,) = (json.loads(block) for block in blocks(CLOUDWATCH, "json"))
    assert policy["Statement"][0]["Action"] == list(cloudwatch.PERMISSIONS)
    (role,) = (one for block in blocks(GOOGLE, "yaml") if "stage" in (one := yaml.safe_load(block)))
    assert role["includedPermissions"] == list(google_monitoring.PERMISSIONS)


def test_the_defaults_and_the_prices_are_true():
    """Delays are those of the settings, and the tables of prices are what is computed."""
    for source, text in ((CloudWatchSource, CLOUDWATCH), (GoogleMonitoringSource, GOOGLE)):
        (delay,) = (field.default for field in fields(source) if field.name == "delay_s")
        assert f"delay_s: {delay} " in text
    rows = re.findall(r"\| ([\d,]+) \| (\d+) s \| (\d) \| ([\d.]+) \|", CLOUDWATCH)
    assert len(rows) == 3
    query = CloudWatchQuery(namespace="n", metric="m")
    for series, step_s, calls, usd in rows:
        count = int(series.replace(",", ""))
        names = [str(index) for index in range(count)]
        assert len(cloudwatch_queries.batches(names, dict.fromkeys(names, query), 5)) == int(calls)
        month = cloudwatch_queries.cost_usd(count * MONTH_S / int(step_s))
        assert month == pytest.approx(float(usd))
    assert google_queries.cost_usd(1_000 * MONTH_S / 60) == pytest.approx(21.90)
    assert "at most $21.90" in GOOGLE
