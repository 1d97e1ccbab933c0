"""What docs/prometheus.md says is so: settings, rights, limits, the catalogue."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import yaml

from autoscaler.connections import PrometheusSource
from autoscaler.metrics.prometheus import MOST_SAMPLES, PERMISSIONS
from autoscaler.metrics.prometheus_catalogue import CATALOGUE
from autoscaler.metrics.prometheus_http import ATTEMPTS, LARGEST, MOST_RETRIES
from autoscaler.metrics.prometheus_range import MOST_POINTS

TEXT = (Path(__file__).parents[1] / "docs" / "prometheus.md").read_text()


def test_the_example_has_every_setting_and_no_other():
    """Its keys are the fields of the source, and durations are the defaults."""
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1])
    settings = PrometheusSource(**example)
    assert list(example) == [field.name for field in fields(PrometheusSource)]
    plain = PrometheusSource(name="", url="", queries={})
    assert [settings.step_s, settings.timeout_s, settings.deadline_s] == [
        *(plain.step_s, plain.timeout_s, plain.deadline_s)
    ]


def test_the_rights_are_those_of_the_module():
    """Each call of PERMISSIONS has its line, and no other has."""
    assert re.findall(r"^\| `((?:GET|POST) \S+)` \|", TEXT, re.MULTILINE) == list(PERMISSIONS)


def test_the_limits_are_those_of_the_code():
    """Points, sizes and retries stand there as they are."""
    assert f"at most {MOST_POINTS:,} points" in TEXT
    assert f"{LARGEST // 2**20} MiB" in TEXT
    assert f"{MOST_SAMPLES:,} samples" in TEXT
    assert f"{MOST_RETRIES} times at most" in TEXT
    assert ATTEMPTS == 3


def test_the_catalogue_is_listed():
    """Name and metric of each ready-made query, in order."""
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", TEXT, re.MULTILINE)
    assert listed == [(one.name, one.needs[0]) for one in CATALOGUE]
