"""The matrix of faults: each fault of docs/faults.md with the tests that carry its number; `make faults`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "docs" / "faults.md"
ROW = re.compile(r"^\| F(\d\d) \| (.+?) \| (.+) \|$")
TEST = re.compile(r"^\s*def (test_((?:f\d\d_)+)\w+)", re.MULTILINE)
LINK = re.compile(r"\[(.+?)\]\(.+?\)")
OTHERS = "What others do"


class Fault(NamedTuple):
    """One row of the catalogue."""

    number: int
    section: str
    what: str
    done: str


def faults() -> list[Fault]:
    """The catalogue, in order."""
    found, section = [], ""
    for line in CATALOGUE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        row = ROW.match(line)
        if row and section != OTHERS:
            found.append(Fault(int(row[1]), section, row[2], row[3]))
    return found


def reported() -> dict[int, str]:
    """What others' threads say, by fault."""
    _, _, rest = CATALOGUE.read_text().partition(f"## {OTHERS}")
    return {int(row[1]): row[3] for line in rest.splitlines() if (row := ROW.match(line))}


def tests() -> Iterator[tuple[int, str, str]]:
    """Every test with a fault's number: number, file, name."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, numbers in TEST.findall(path.read_text()):
            for number in re.findall(r"f(\d\d)_", numbers):
                yield int(number), str(path.relative_to(ROOT)), name


def matrix() -> list[str]:
    """The lines that are printed."""
    covered: dict[int, list[str]] = {}
    for number, path, name in tests():
        covered.setdefault(number, []).append(f"{path}::{name}")
    lines, section, others = [], "", reported()
    for fault in faults():
        if fault.section != section:
            section = fault.section
            lines += ["", section]
        mine = covered.get(fault.number, [])
        mark = f"{len(mine):>3} test{'s' if len(mine) != 1 else ' '}" if mine else "    NO TEST"
        lines.append(f"  F{fault.number:02} {mark}  {fault.what}")
        lines += [f"                 {name}" for name in mine]
        if fault.number in others:
            lines.append(f"                 others: {LINK.sub(lambda link: link[1], others[fault.number])}")
    missing = [f"F{fault.number:02}" for fault in faults() if fault.number not in covered]
    total = len(faults())
    lines += [
        "",
        f"{total - len(missing)} of {total} faults have a test; none yet: {', '.join(missing) or '-'}",
    ]
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(matrix()).lstrip("\n") + "\n")
