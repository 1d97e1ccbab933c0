"""YAML with the line of every key, and without YAML's surprises.

Plain scalars are text unless they are plainly a number, `true`, `false` or `null`: `on`, `no`, `010`, `1:30`
and dates stay text, for whoever reads the key to judge. Anchors, aliases and tags are refused (a few hundred
bytes of them can expand to gigabytes), and so are duplicate keys, of which YAML silently keeps the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from autoscaler.errors import ConfigError

LARGEST_BYTES = 4 << 20  # 20,000 pools
MOST_EVENTS = 1_000_000  # keys, values, begins and ends; each costs about a kilobyte while a file is read
DEEPEST = 20

Place = tuple[str | int, ...]

_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_REAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_STANDARD = "tag:yaml.org,2002:"
_REFUSED = "refused"
_PLAIN_TAGS = frozenset({"str", "null", "bool", "int", "float", "timestamp", "merge", "value", "map", "seq"})


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a file, the line (from 1) of every key and list entry, and what is wrong by line."""

    value: Any
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of the place, or of the nearest thing around it that is there."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(text: str, file: str) -> Document:
    """Read one document. Raises ConfigError (file, line) where it is not sound YAML or is a bomb."""
    if len(text) > LARGEST_BYTES:
        raise ConfigError(
            f"is {len(text):,} bytes long, over the limit of {LARGEST_BYTES:,}; is it the right file?",
            file=file,
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_bombs(yaml.parse(text, Loader=loader), file)
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line if mark else None
        raise ConfigError(
            _said(error, text, line), file=file, line=None if line is None else line + 1
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())}", file=file) from None
    if root is None:
        return Document(None)
    document = Document(None, {(): root.start_mark.line + 1})
    value = _value(root, (), document)
    return Document(value, document.lines, document.problems)


def _said(error: yaml.MarkedYAMLError, text: str, line: int | None) -> str:
    said = f"is not YAML: {error.problem or 'it cannot be parsed'}"
    lines = text.splitlines()
    if line is not None and line < len(lines) and lines[line].lstrip(" ").startswith("\t"):
        return f"{said}; indent with spaces, not tabs"
    return said


def _refuse_bombs(events: Any, file: str) -> None:
    """Look at the events only, which cost no more than the text: nothing is expanded or nested yet."""
    depth = 0
    for count, event in enumerate(events):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError("anchors and aliases are refused; write the value out", file=file, line=line)
        if count > MOST_EVENTS:
            raise ConfigError(f"holds over {MOST_EVENTS:,} keys and values", file=file, line=line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ConfigError(f"is nested more than {DEEPEST} deep", file=file, line=line)


def _value(node: yaml.Node, place: Place, document: Document) -> Any:
    if node.tag.removeprefix(_STANDARD) not in _PLAIN_TAGS:
        document.problems.append(
            (node.start_mark.line + 1, f"the tag {node.tag} is refused; write plain values")
        )
        return _REFUSED
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, document)
    if isinstance(node, yaml.SequenceNode):
        entries = []
        for index, entry in enumerate(node.value):
            document.lines[(*place, index)] = entry.start_mark.line + 1
            entries.append(_value(entry, (*place, index), document))
        return entries
    return _scalar(node)


def _mapping(node: yaml.MappingNode, place: Place, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or not key or not key.isprintable():
            document.problems.append((line, "a key must be a word"))
            continue
        if key in found:
            first = document.lines[(*place, key)]
            name = ".".join(str(part) for part in (*place, key))
            document.problems.append((line, f"{name}: stands twice (first in line {first}); keep one"))
            continue
        document.lines[(*place, key)] = line
        found[key] = _value(value_node, (*place, key), document)
    return found


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    tag = node.tag.removeprefix(_STANDARD)
    if tag == "null":
        return None
    if tag == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if tag == "int" and _WHOLE.fullmatch(text):
        return int(text)
    if tag == "float":
        return _real(text)
    return text


def _real(text: str) -> float | str:
    if _REAL.fullmatch(text):
        return float(text)
    word = text.lower().lstrip("+-")
    if word in {".nan", ".inf"}:
        return float(text.lower().replace(".", ""))
    return text
