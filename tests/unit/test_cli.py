"""The command line as a whole: help, unknown commands, completion, colour, pipes, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import click
import pytest

from autoscaler import cli, errors
from tests.worlds import small

SCRIPT = str(Path(sys.executable).with_name("loadline"))


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in an empty folder."""
    monkeypatch.delenv("LOADLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return small.Shell(tmp_path, capsys)


def commands():
    """Every command by its words: `config explain` is one."""
    found = {}
    for name in cli.COMMANDS:
        command = import_module(f"autoscaler.commands.{name}").command
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": each for sub, each in command.commands.items()}
    return found


@pytest.mark.parametrize("name", commands())
def test_the_help_of_every_command_names_its_flags(shell, name):
    """`--help` works everywhere, ends in 0, and mentions every flag with what it is for."""
    answer = shell(f"{name} --help")
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out.startswith(f"Usage: loadline {name}")
    for parameter in commands()[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert all(flag in answer.out for flag in parameter.opts), parameter.name
            assert parameter.help or parameter.name in {"output", "horizon_s"}, parameter.name
    assert shell(f"{name} -h").out == answer.out
    assert shell.files() == set()


def test_the_help_names_every_command_and_every_exit_code(shell):
    """`loadline --help` lists what there is, and what the exit codes mean."""
    answer = shell("--help")
    assert answer.code == 0
    for name, what in cli.COMMANDS.items():
        assert name in answer.out
        assert what.split()[0] in answer.out
    for code in (0, 1, 2, 3, 4, 5, 64, 77):
        assert f"{code} " in answer.out.split("Exit codes:")[1]


def test_the_modules_are_the_commands():
    """Every module of the folder that holds a command is one, and the other way round."""
    folder = Path(cli.__file__).parent / "commands"
    there = {path.stem for path in folder.glob("*.py") if "\ndef command(" in path.read_text()}
    assert there == set(cli.COMMANDS)


def test_without_a_command_the_help_is_shown(shell):
    """No command at all is wrong usage: the help on stderr, code 64."""
    answer = shell("")
    assert answer.code == 64
    assert answer.out == ""
    assert "Commands" in answer.err


@pytest.mark.parametrize(("wrong", "near"), [("pln", "plan"), ("replya", "replay"), ("forcast", "forecast")])
def test_the_nearest_command_is_named(shell, wrong, near):
    """A command that is not there ends in one line with the nearest one, code 64."""
    answer = shell(wrong)
    assert answer.code == 64
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert near in answer.err


def test_the_version_is_printed(shell):
    """`--version` names program and version."""
    answer = shell("--version")
    assert answer.code == 0
    assert answer.out.startswith("loadline, version ")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell, name):
    """The script names the program and the variable through which the shell asks."""
    answer = shell(f"completion {name}")
    assert answer.code == 0
    assert answer.err == ""
    assert "loadline" in answer.out
    assert "_LOADLINE_COMPLETE" in answer.out


def test_completion_of_another_shell_is_refused(shell):
    """A shell that is not served is told which are."""
    answer = shell("completion tcsh")
    assert answer.code == 64
    assert "bash" in answer.err


@pytest.mark.slow
def test_the_installed_program_completes(tmp_path):
    """What the completion script asks for is answered: the commands that begin so, and a command's flags."""
    asks = {"_LOADLINE_COMPLETE": "bash_complete", "COMP_CWORD": "1", "COMP_WORDS": "loadline re"}
    answer = small.installed(folder=tmp_path, **asks)
    assert "replay" in answer.out
    assert "plan" not in answer.out
    asks |= {"COMP_CWORD": "2", "COMP_WORDS": "loadline replay --unit"}
    assert "--unit-capacity" in small.installed(folder=tmp_path, **asks).out


def test_config_tells_of_itself(shell):
    """`config schema` is JSON, `config explain` a page, and an unknown key names the nearest."""
    small.write(shell.folder)
    assert shell("config schema").out.startswith("{")
    assert "seasonal_quantile" in shell("config explain pools.*.scaler").out
    wrong = shell("config explain pools.*.scalr")
    assert wrong.code == 64
    assert "scaler" in wrong.err
    sound = shell("config validate")
    assert sound.code == 0
    assert "2 pools" in sound.out


CODES = {
    errors.LoadlineError: 1,
    errors.ConfigError: 64,
    errors.UsageError: 64,
    errors.DataError: 5,
    errors.MetricsError: 5,
    errors.PlanRefused: 4,
    errors.Stale: 4,
    errors.Denied: 77,
    errors.StoreError: 1,
    errors.Unreachable: 1,
}


@pytest.mark.parametrize("kind", CODES)
def test_each_error_has_its_exit_code(shell, monkeypatch, kind):
    """Whatever a command raises of ours ends in its line and its code."""

    def command():
        raise kind("it is so")

    monkeypatch.setattr(cli.root, "get_command", lambda *_: click.Command("plan", callback=command))
    answer = shell("plan")
    assert answer.code == CODES[kind]
    assert (answer.out, answer.err) == ("", "loadline: it is so\n")


def test_an_interruption_ends_in_130(shell, monkeypatch):
    """Ctrl-C is one word and the code that shells expect."""

    def command():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.root, "get_command", lambda *_: click.Command("plan", callback=command))
    answer = shell("plan")
    assert answer.code == 130
    assert answer.out == ""
    assert answer.err.strip() == "loadline: interrupted"


def test_several_problems_are_a_line_each(shell):
    """Each line of stderr says whose it is."""
    small.write(shell.folder, small.CONFIGURATION.replace("minimum", "minimun"))
    answer = shell("plan")
    assert answer.code == 64
    assert len(answer.err.splitlines()) > 1
    assert all(line.startswith("loadline: ") for line in answer.err.splitlines())


def test_help_is_quick_because_it_imports_nothing_heavy(tmp_path):
    """`loadline --help` imports neither numpy nor pandas nor what the commands need."""
    code = (
        "import sys; from autoscaler import cli; assert cli.run(['--help']) == 0; "
        "heavy = {'numpy', 'pandas', 'pydantic', 'sqlmodel', 'yaml', 'rich', 'jinja2', 'plotly', 'pyarrow'}; "
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", ["--help", pytest.param("config schema", marks=pytest.mark.slow)])
def test_a_broken_pipe_is_quiet(tmp_path, line):
    """Where the reader has gone, `loadline ... | true` says nothing and leaves no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    program = subprocess.Popen(
        [SCRIPT, *line.split()], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    _, said = program.communicate(timeout=60)
    assert said == ""
    assert program.returncode == 1


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_work_ends_in_130(tmp_path):
    """SIGINT as soon as it fits in its child ends the program and its child with 130, without a traceback."""
    (tmp_path / "m.csv").write_text(small.history())
    program = subprocess.Popen(
        [SCRIPT, "forecast", "--history", "m.csv", "--model", "mstl"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a script have SIGINT ignored, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    )
    for _ in range(3000):
        if program.poll() is not None or children_of(program.pid):
            break
        time.sleep(0.01)
    program.send_signal(signal.SIGINT)
    out, said = program.communicate(timeout=30)
    assert program.returncode == 130, said
    assert out == ""
    assert "Traceback" not in said


def children_of(pid):
    """Who was started by a process: the kernel's own list of them leaves some out while they come and go."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it is gone
            continue
        if int(fields[1]) == pid:
            found.append(stat.parent.name)
    return found


def terminal(arguments, folder, **environment):
    """What the program prints where stdout is a terminal."""
    master, slave = os.openpty()
    program = subprocess.Popen(
        [SCRIPT, *arguments], cwd=folder, stdout=slave, stderr=slave, env={**os.environ, **environment}
    )
    os.close(slave)
    said = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed: all was read
            break
        if not part:
            break
        said += part
    os.close(master)
    program.wait(timeout=60)
    return said.decode()


@pytest.mark.slow
def test_colour_only_where_a_person_looks_and_wants_it(tmp_path):
    """A terminal gets colour, one with NO_COLOR none, and a pipe none."""
    small.write(tmp_path)
    assert "\x1b[" in terminal(["plan"], tmp_path, TERM="xterm-256color", NO_COLOR="")
    plain = terminal(["plan", "--output", "text"], tmp_path, TERM="xterm-256color", NO_COLOR="1")
    assert "Loadline plan" in plain
    assert "\x1b[3" not in plain
    assert "\x1b" not in small.installed("plan", folder=tmp_path, TERM="xterm-256color").out


@pytest.mark.slow
def test_the_installed_program_keeps_stdout_for_the_answer(tmp_path):
    """JSON alone on stdout, warnings on stderr, and the codes of the shell."""
    small.write(tmp_path)
    (tmp_path / "m.csv").write_text(small.history() + "web,2026-03-02T07:59:00Z,-5\n")
    answer = small.installed("plan", "--output", "json", "--detailed-exitcode", folder=tmp_path)
    assert answer.code == 2
    assert answer.out.lstrip().startswith("{")
    assert answer.err.startswith("loadline: warning: ")
    assert small.installed("plan", "--config", "none.yaml", folder=tmp_path).code == 64
