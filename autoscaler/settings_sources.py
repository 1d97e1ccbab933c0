"""A series comes from one source: two that are asked for the same id would be taken for one series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from autoscaler.settings_kinds import shown
from autoscaler.yaml_lines import Place


def source_problems(sources: Sequence[Any]) -> Iterator[tuple[Place, str, Place]]:
    """Place, message and the other place, of each series or file that a source before has already.

    A file may hold the past of a series that is asked for elsewhere: what is in files is not known here.
    """
    first: dict[str, tuple[int, Place]] = {}
    files: dict[str, Place] = {}
    for number, source in enumerate(sources):
        if not isinstance(source, dict):
            continue
        queries = source.get("queries")
        for name in queries if isinstance(queries, dict) else ():
            place: Place = ("metrics", number, "queries", str(name))
            owner, other = first.setdefault(str(name), (number, place))
            if owner != number:
                yield place, _twice(str(name), sources[owner].get("kind")), other
        path = source.get("path")
        if isinstance(path, str):
            place = ("metrics", number, "path")
            earlier = files.setdefault(path, place)
            if earlier != place:
                yield place, f"{shown(path)} is the file of another source already; keep one", earlier


def _twice(name: str, kind: object) -> str:
    return (
        f"{shown(name)} is a series of another source ({kind}) already: their samples would become one "
        "series, of two at once the larger; give one an id of its own, or keep one (for a pair of servers: "
        "the address that answers for both)"
    )
