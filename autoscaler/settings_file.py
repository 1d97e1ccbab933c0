"""From the text of a configuration file and the environment to checked sections, or to every problem."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoscaler.errors import ConfigError
from autoscaler.settings import File
from autoscaler.settings_checks import Problem, cross_problems, field_problems, paths, resolved
from autoscaler.yaml_lines import LARGEST_BYTES, Document, Place, read

_OVERRIDE = "LOADLINE__"
_AFTER_THE_FILE = LARGEST_BYTES + 1  # problems of the environment come after those of every line


def parse(path: str, folder: Path, environment: Mapping[str, str]) -> tuple[File, dict[Place, str]]:
    """The checked sections, and every path in them made absolute, by its place.

    Raises ConfigError with every problem on a line of its own, in the order of the file's lines.
    """
    document = _document(path)
    overridden = _override(document, environment)
    problems = list(cross_problems(document.value, folder, environment))
    try:
        parsed = File.model_validate(document.value)
    except ValidationError as error:
        problems += field_problems(error)
        parsed = None
    said = _said(document, problems, overridden, path)
    if said or parsed is None:
        raise ConfigError("\n".join(said))
    filled = parsed.model_dump(include={"state", "freeze_file", "metrics", "providers"}, exclude_none=True)
    return parsed, {place: resolved(text, folder, environment) for place, text in paths(filled)}


def _said(
    document: Document, problems: list[Problem], overridden: Mapping[Place, str], path: str
) -> list[str]:
    lines = {(line, f"{path}:{line}: {message}") for line, message in document.problems}
    for problem in problems:
        text = f"{_dotted(problem.place)}: {problem.message}" if problem.place else problem.message
        if problem.beside:
            text += f" (line {document.line(problem.beside)})"
        variable = _variable_of(problem.place, overridden)
        if variable:
            lines.add((_AFTER_THE_FILE, f"environment {variable}: {text}"))
        else:
            line = document.line(problem.place)
            lines.add((line, f"{path}:{line}: {text}"))
    return [text for _, text in sorted(lines)]


def _document(path: str) -> Document:
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=path) from None
    if len(raw) > LARGEST_BYTES:
        raise ConfigError(f"is {len(raw):,} bytes long, over the limit of {LARGEST_BYTES:,}", file=path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError("is not UTF-8 text", file=path, line=line) from None
    document = read(text, path)
    if document.value is None:
        raise ConfigError("is empty; write at least `pools: {}`", file=path, line=1)
    if not isinstance(document.value, dict):
        raise ConfigError("must be a mapping of keys, such as `pools:`", file=path, line=1)
    return document


def _override(document: Document, environment: Mapping[str, str]) -> dict[Place, str]:
    """Put `LOADLINE__a__b=value` into the document; the places that came from variables, by place."""
    overridden: dict[Place, str] = {}
    for variable in sorted(name for name in environment if name.startswith(_OVERRIDE)):
        keys = variable.removeprefix(_OVERRIDE).split("__")
        target: Any = document.value
        place: list[str | int] = []
        for key in keys[:-1]:
            target, step = _descend(target, key, variable)
            place.append(step)
        value = read(environment[variable], f"environment {variable}")
        if value.problems:
            raise ConfigError(value.problems[0][1], file=f"environment {variable}")
        step = _put(target, keys[-1], value.value, variable)
        overridden[(*place, step)] = variable
    return overridden


def _descend(target: Any, key: str, variable: str) -> tuple[Any, str | int]:
    if isinstance(target, list) and key.isdigit() and int(key) < len(target):
        return target[int(key)], int(key)
    if isinstance(target, dict) and key:
        if target.get(key) is None:
            target[key] = {}
        return target[key], key
    raise ConfigError(f"there is nothing at {key!r} to set it in", file=f"environment {variable}")


def _put(target: Any, key: str, value: Any, variable: str) -> str | int:
    if isinstance(target, list) and key.isdigit() and int(key) < len(target):
        target[int(key)] = value
        return int(key)
    if isinstance(target, dict) and key:
        target[key] = value
        return key
    raise ConfigError(f"there is nothing at {key!r} to set", file=f"environment {variable}")


def _variable_of(place: Place, overridden: Mapping[Place, str]) -> str | None:
    for length in range(len(place), 0, -1):
        if place[:length] in overridden:
            return overridden[place[:length]]
    return None


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)
