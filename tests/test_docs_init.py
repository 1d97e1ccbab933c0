"""What README and docs/getting-started.md say of the first ten minutes is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from kubernetes import config as library

from autoscaler.commands import init
from tests.worlds import shop
from tests.worlds.small import Shell

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "getting-started.md").read_text()
README = (ROOT / "README.md").read_text()
SERVER = "http://localhost:9090"


def blocks(text, kind):
    """The command lines in the blocks of one kind, without their comments."""
    found = "\n".join(re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL))
    lines = [line.removeprefix("$ ").split("  #")[0].strip() for line in found.splitlines()]
    return [line for line in lines if line.startswith("loadline ")]


@pytest.mark.slow
def test_the_ten_minutes_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """The commands of the section, one after the other on a cluster, end in 0, and plan something."""
    section = README.split("## In ten minutes on your cluster")[1].split("\n## ")[0]
    lines = blocks(section, "console")
    assert [shlex.split(line)[1] for line in lines] == ["init", "config", "plan"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    for module in (library, library.kube_config):
        monkeypatch.setattr(module, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    shell = Shell(tmp_path, capsys)
    with shop.shop(tmp_path) as (_api, prometheus):
        for line in lines:
            said = shell(line.removeprefix("loadline ").replace(SERVER, prometheus.url))
            assert said.code == 0, (line, said)
            assert said.out


def test_every_flag_of_the_guide_exists():
    """Each flag of `loadline init` in the guide and the README is one of the command."""
    known = {flag for parameter in init.command.params for flag in parameter.opts} | {"--all-namespaces"}
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", GUIDE))
    assert told <= known
    for line in [*blocks(GUIDE, "sh"), *blocks(README, "console")]:
        words = shlex.split(line)
        if words[1] == "init":
            assert {word for word in words if word.startswith("-")} <= known


def test_the_guide_names_the_reasons_that_are_given():
    """The words of the table are those with which pools are not proposed."""
    code = (ROOT / "policies" / "proposals.py").read_text() + (
        ROOT / "autoscaler" / "discovery.py"
    ).read_text()
    for words in ("no metric found", "owned: ", "is a namespace of the system", "it has no units now"):
        assert words in GUIDE
        assert words in code
