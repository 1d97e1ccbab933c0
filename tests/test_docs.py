"""What the documents say is so: commands, flags, links, keys, exit codes, examples."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest

from autoscaler import cli, config, demo_world, errors
from forecasts import models
from policies import scalers
from tests.worlds import small

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
)
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def name_of(path):
    """A path as a test's name."""
    return str(path.relative_to(ROOT))


def console():
    """Each line of the documents that runs the program, with its file."""
    return [
        (name_of(path), line.removeprefix("$ ").split("  #")[0].strip())
        for path in DOCUMENTS
        for block in re.findall(r"```console\n(.*?)```", path.read_text(), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ loadline")
    ]


def inline():
    """Each `loadline ...` in running text or in a comment of an example."""
    texts = [*DOCUMENTS, *EXAMPLES]
    found = {
        (name_of(path), " ".join(words.split()))
        for path in texts
        for words in re.findall(r"`(loadline [^`]+)`", path.read_text())
    }
    return sorted(found)


def parsed(line):
    """The command of a line and its flags; fails where either is not there."""
    words = shlex.split(line)[1:]
    assert words[0] in cli.COMMANDS, line
    command = import_module(f"autoscaler.commands.{words[0]}").command
    rest = words[1:]
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {flag for parameter in command.params for flag in parameter.opts} | {"--help", "-h"}
    flags = [word.split("=")[0] for word in rest if word.startswith("-")]
    assert set(flags) <= known, line
    return words


@pytest.mark.parametrize(("where", "line"), console() + inline())
def test_every_command_that_is_shown_exists(where, line):
    """Each command and each of its flags, in a block or in the text, is one that the program has."""
    if "," in line.split()[1]:
        words = line.removeprefix("loadline ").split(", ")
        assert set(words) <= set(cli.COMMANDS), where
    else:
        parsed(line)


def test_the_documents_show_enough():
    """The README shows the main commands as they are run."""
    shown = {shlex.split(line)[1] for where, line in console() if where == "README.md"}
    assert shown >= {"replay", "forecast", "plan", "apply", "explain", "undo", "config"}


@pytest.mark.slow
def test_the_commands_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """The console lines of the README, one after the other in one folder, end in 0 on generated files."""
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    text = small.CONFIGURATION.replace("seasonal_naive", "ets")
    shell = small.Shell(small.write(tmp_path, text), capsys)
    (tmp_path / "requests.csv").write_text(small.history())
    (tmp_path / "examples").mkdir()
    for path in EXAMPLES:
        (tmp_path / "examples" / path.name).write_text(path.read_text())
    plan = ""
    for where, line in console():
        if where != "README.md" or line.startswith(("loadline demo", "loadline run", "loadline init")):
            continue
        answer = shell(line.removeprefix("loadline ").replace("PLAN", plan))
        assert answer.code == 0, (line, answer)
        assert answer.out
        if "--out plan.json" in line:
            plan = json.loads((tmp_path / "plan.json").read_text())["id"]
    assert plan


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_to_a_file(path):
    """A link between the documents leads somewhere, and into the project."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            there = (path.parent / target).resolve()
            assert there.exists(), target
            assert ROOT in there.parents, target


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_make_target_that_is_named_exists(path):
    """`make NAME` in a document is a target of the Makefile, and so is what CI calls."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`make ([a-z]+)`|^\$ make ([a-z]+)", path.read_text(), re.MULTILINE)
    assert {one or other for one, other in named} <= targets
    assert set(re.findall(r"^make (\w+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)) <= targets


def test_the_targets_of_the_makefile_are_declared_and_told():
    """Each target is phony, and `make help` names it."""
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert set(phony.split()) == targets
    told = set(re.findall(r"make ([a-z]+) ", text))
    assert told >= targets - {"help", "clean"}


def test_the_replay_document_shows_the_keys_that_are_printed(tmp_path, monkeypatch, capsys):
    """The JSON and the targets file in docs/replay.md have the keys of the program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text(small.history(days=2))
    shell = small.Shell(tmp_path, capsys)
    line = "replay --history m.csv --scaler static --tune hindsight --output json --targets-out t.csv"
    printed = json.loads(shell(line).out)
    text = (ROOT / "docs" / "replay.md").read_text()
    shown, _several = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    document = json.loads(shown)
    assert list(document["series"][0]) == list(printed["series"][0])
    assert set(document) <= set(printed)
    assert all(f"`{key}`" in text for key in set(printed) - set(document))
    assert f"`{', '.join((tmp_path / 't.csv').read_text().splitlines()[0].split(','))}`" in text


def shape(value):
    """The keys of a JSON document, at every depth; of a list, those of its first entry."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_the_replay_document_shows_the_keys_of_several_scalers(tmp_path, monkeypatch, capsys):
    """The JSON of several scalers in docs/replay.md has the keys that are printed, at every depth."""
    monkeypatch.chdir(tmp_path)
    nought = "".join(f"nought,2026-03-01T{hour:02}:00:00Z,0\n" for hour in range(24))
    (tmp_path / "m.csv").write_text(small.history(days=2) + nought)
    line = "replay --history m.csv --scaler hpa,seasonal_quantile --output json"
    printed = json.loads(small.Shell(tmp_path, capsys)(line).out)
    _single, shown = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "replay.md").read_text(), re.DOTALL)
    document = json.loads(shown)
    del document["scalers"][0]["series"]
    for one in printed["scalers"]:
        del one["series"]
    assert shape(document) == shape(printed)


def test_the_replay_document_names_every_option_of_the_plant(capsys):
    """What `--plant` takes is in its help and in docs/replay.md, by the same names."""
    assert cli.run(["replay", "--help"]) == 0
    helped = capsys.readouterr().out.split("--plant KEY")[1].split("-o, --output")[0]
    helped = re.sub(r"-\s+", "-", helped)  # where the line broke at a hyphen
    text = (ROOT / "docs" / "replay.md").read_text()
    told = text.split("`--plant`")[1].split("\n\n")[0]
    for option in re.findall(r"`([a-z-]+)`", told):
        assert option in helped, option
    assert {"scale-in-delay", "billing-minimum", "lead-jitter"} <= set(re.findall(r"`([a-z-]+)`", told))


def test_the_exit_codes_of_the_readme_are_those_of_the_program(capsys):
    """README and `--help` tell the same codes, and every error of ours has one of them."""
    assert cli.run(["--help"]) == 0
    helped = capsys.readouterr().out.split("Exit codes:")[1]
    told = (ROOT / "README.md").read_text().split("Exit codes:")[1].split("\n\n")[0]
    codes = [set(re.findall(r"\b(\d+) ", text)) for text in (helped, told)]
    assert codes[0] == codes[1] == {"0", "1", "2", "3", "4", "5", "64", "77"}

    def kinds(kind):
        return {kind}.union(*(kinds(each) for each in kind.__subclasses__()))

    assert {str(kind.exit_code) for kind in kinds(errors.LoadlineError)} <= codes[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_every_example_validates(path, tmp_path, monkeypatch, capsys):
    """`config validate` finds each example sound; validating reads no trace and writes nothing."""
    monkeypatch.setenv("LOADLINE_DATA", str(tmp_path))
    shell = small.Shell(tmp_path, capsys)
    answer = shell(f"config validate --config {shlex.quote(str(path))}")
    assert answer.code == 0, answer
    assert answer.err == ""
    assert shell.files() == set()
    assert config.load(str(path)).pools


def test_the_changelog_names_what_there_is():
    """An operator finds every command, scaler and model in the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text()
    for name in (*cli.COMMANDS, *scalers.names(), *models.names()):
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("path", LOCKS, ids=name_of)
def test_the_locks_name_no_place(path):
    """A lock holds names, versions and hashes: no index, no host, no path."""
    text = path.read_text()
    assert not re.search(r"https?:|file:|find-links|index|@ |://|\(/", text)
    pins = re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)
    for line in text.splitlines():
        assert re.match(
            r"([A-Za-z0-9._-]+==\S+( ; .*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|    #.*)$", line
        ), line


def test_the_locks_hold_what_the_project_asks_for():
    """Each dependency and extra is in its lock, and those of the run time have one version in both."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def pins(name):
        found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
        return {package.lower(): version for package, version in found}

    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    asked = [re.split(r"[><=,]", entry)[0].lower() for entry in project["dependencies"]]
    assert set(asked) <= set(run)
    extras = [entry for group in project["optional-dependencies"].values() for entry in group]
    assert {re.split(r"[\[><=,]", entry)[0].lower() for entry in extras} <= set(dev)
    assert run.items() <= dev.items()
    build = pins("requirements-build.lock")
    assert build["setuptools"] == dev["setuptools"]


def tracked():
    """The project's own text files."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split() if listed.returncode == 0 else []
    return [ROOT / name for name in names if Path(name).suffix not in {".png", ".gz", ".parquet"}]


# Spelt in two parts, so that this file does not hold what it looks for.
QUIET = [
    *(
        re.compile(rf"(?<![\w.]){re.escape(start)}(?:/|\b)")
        for start in ("/wo" + "rk", "/ro" + "ot", "/ho" + "me/")
    ),
    re.compile(r"/t" + r"mp/\w"),
    re.compile(r"\b(issue|part|brief|helper|milestone)" + r" #?\d+\b", re.IGNORECASE),
    re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
    re.compile(
        r"\b(Clau" + r"de|Anth" + r"ropic|Chat" + r"GPT|LL" + r"M agent|co-" + r"authored)\b", re.IGNORECASE
    ),
    re.compile(r"\b(ROAD" + r"MAP|FAUL" + r"TS|ALGO" + r"RITHMS|OPERA" + r"TIONS|PE" + r"ERS)\.md\b"),
]


def test_the_project_speaks_of_itself_alone():
    """No file names a machine's folders, a ticket, or a document that is not in the project."""
    files = tracked()
    if not files:
        pytest.skip("not a checkout: there is no list of the project's files")
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:120]}"
        for path in files
        if path.exists()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        for pattern in QUIET
        if pattern.search(line)
    ]
    assert found == []


def test_what_the_demo_makes_is_ignored():
    """What the demo and the examples write is not taken for the project's own."""
    ignored = (ROOT / ".gitignore").read_text().split()
    assert any("loadline-demo" in line for line in ignored)
    assert ".venv" in {line.strip("/") for line in ignored}
    assert demo_world.CONFIGURATION.startswith("# yaml-language-server")
