"""The image: its build stage is run in an empty folder, its last stage is read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.worlds import small

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the Dockerfile: its name, where it begins from, and its instructions in order."""

    name: str
    image: str
    steps: tuple[tuple[str, str], ...]

    def of(self, instruction: str) -> list[str]:
        """What follows each such instruction."""
        return [rest for word, rest in self.steps if word == instruction]


def stages() -> list[Stage]:
    """The stages of the Dockerfile; continued lines joined, comments dropped."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    found: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found.append(Stage(name=name, image=image, steps=()))
        else:
            last = found.pop()
            found.append(Stage(name=last.name, image=last.image, steps=(*last.steps, (word, rest))))
    return found


def test_every_package_is_installed():
    """A folder with code that the installation leaves out works in a checkout and nowhere else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    tops = {name.split(".")[0] for name in listed}
    there = {
        ".".join(path.parent.relative_to(ROOT).parts) for top in tops for path in (ROOT / top).rglob("*.py")
    }
    assert listed == there


def test_the_last_stage_runs_as_nobody_in_particular():
    """The image that is shipped has a numeric user who is not root, an entry point, and builds nothing."""
    *_, last = stages()
    (user,) = last.of("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    (entry,) = last.of("ENTRYPOINT")
    assert json.loads(entry) == ["loadline"]
    assert not re.search(r"\b(apt-get|gcc|pip|build-essential|make)\b", " ".join(last.of("RUN")))
    assert all(copied.startswith("--from=build ") for copied in last.of("COPY"))
    names = [word for word, _ in last.steps]
    assert names.index("USER") > max(index for index, word in enumerate(names) if word in {"RUN", "COPY"})
    assert len({stage.image for stage in stages()}) == 1
    assert ":" in last.image
    assert not last.image.endswith(":latest")


def test_what_is_copied_is_let_through():
    """Everything that the build stage copies passes .dockerignore, and nothing else does."""
    build, *_ = stages()
    copied = {source for line in build.of("COPY") for source in line.split()[:-1]}
    ignore = (ROOT / ".dockerignore").read_text().split()
    assert ignore[0] == "*"
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def copy(build: Stage, folder: Path) -> None:
    """What COPY does, into an empty folder."""
    for line in build.of("COPY"):
        *sources, target = line.split()
        for source in sources:
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, folder / target, ignore=ignored)
            else:
                shutil.copy(ROOT / source, folder / target)


@pytest.mark.slow
def test_the_build_stage_runs_in_an_empty_folder(tmp_path):
    """The build stage installs from its own copies; what it made works from elsewhere, bytecode and all."""
    build, *_ = stages()
    source, elsewhere, prefix = tmp_path / "src", tmp_path / "elsewhere", tmp_path / "opt"
    source.mkdir()
    elsewhere.mkdir()
    copy(build, source)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_"))}
    bare["PREFIX"] = str(prefix)
    for step in build.of("RUN"):
        done = subprocess.run(
            ["sh", "-ec", step],
            cwd=source,
            env=bare,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    shutil.rmtree(source)  # nothing may depend on the folder that it was built in

    def loadline(*arguments: str) -> str:
        said = subprocess.run(
            [prefix / "bin" / "loadline", *arguments],
            cwd=elsewhere,
            env={**bare, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert said.stderr == ""
        return said.stdout

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] in loadline("--version")
    assert "replay" in loadline("--help")
    (elsewhere / "m.csv").write_text(small.history(days=4))
    scores = json.loads(loadline("replay", "--history", "m.csv", "--scaler", "static", "--output", "json"))
    assert [one["unique_id"] for one in scores["series"]] == ["api", "web"]
    small.write(elsewhere)
    assert json.loads(loadline("plan", "--output", "json"))["actions"]
    (packages,) = (prefix / "lib").glob("python3*/site-packages")
    for module in ("autoscaler/cli", "autoscaler/commands/replay", "policies/replay", "numpy/__init__"):
        folder, name = module.rsplit("/", 1)
        assert list((packages / folder / "__pycache__").glob(f"{name}.cpython-*.pyc")), module
    shipped = {path.name for path in (ROOT / "dashboards" / "templates").iterdir() if path.is_file()}
    assert {path.name for path in (packages / "dashboards" / "templates").iterdir()} >= shipped
    assert not (packages / "setuptools").exists()
