"""Text on a terminal: cells, colours, sparklines, and names that cannot do harm (values in, text out)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS = "▁▂▃▄▅▆▇█"
# Control, format (RTL overrides, zero-width, BOM), surrogate, private and unassigned, line separators.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Style(StrEnum):
    """What a piece of text is; the value is its ANSI SGR code."""

    PLAIN = ""
    STRONG = "1"
    QUIET = "2"
    GROW = "32"
    SHRINK = "31"
    CHANGE = "33"
    FORECAST = "36"


@dataclass(frozen=True, slots=True)
class Ink:
    """Paints text with ANSI colours, or leaves it alone."""

    color: bool

    def paint(self, text: str, style: Style) -> str:
        """The text in its style."""
        return f"\x1b[{style.value}m{text}\x1b[0m" if self.color and style and text else text


def inert(text: str, limit: int = 0) -> str:
    r"""The text with every character that could steer a terminal or reorder a line written out.

    An escape becomes `\x1b`, a right-to-left override `\u202e`; more than two stacked combining marks
    are dropped. `limit` > 0 cuts the result to so many characters with an ellipsis.
    """
    parts: list[str] = []
    stacked = 0
    # A cut far above the limit keeps a 10 MB name from being walked through for nothing.
    for char in unicodedata.normalize("NFC", text[: limit * 4] if limit else text):
        category = unicodedata.category(char)
        stacked = stacked + 1 if category in {"Mn", "Me"} else 0
        if category in _HARMFUL:
            parts.append(_written_out(char))
        elif stacked <= 2:
            parts.append(char)
    clean = "".join(parts)
    return clean if not limit or len(clean) <= limit else clean[: limit - 1] + "…"


def _written_out(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def fit(text: str, cells: int) -> str:
    """The text padded, or cut with an ellipsis, to exactly `cells` terminal cells."""
    size = cell_len(text)
    if size > cells:
        while size > cells - 1 and text:
            size -= cell_len(text[-1])
            text = text[:-1]
        text, size = text + "…", size + 1
    return text + " " * (cells - size)


def wrap(text: str, cells: int, indent: str = "") -> list[str]:
    """The text in lines of at most `cells` cells, each begun with `indent`; long words are broken."""
    room = cells - cell_len(indent)
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        rest = word
        if line and cell_len(line) + 1 + cell_len(rest) <= room:
            line = f"{line} {rest}"
            continue
        if line:
            lines.append(line)
        while cell_len(rest) > room:
            piece = _head(rest, room)
            lines.append(piece)
            rest = rest[len(piece) :]
        line = rest
    return [indent + entry for entry in [*lines, line] if entry]


def _head(text: str, cells: int) -> str:
    end = min(len(text), cells)
    while end > 1 and cell_len(text[:end]) > cells:
        end -= 1
    return text[:end]


def sparkline(values: NDArray[np.float64] | Sequence[float], width: int, *, top: float | None = None) -> str:
    """The values as `width` blocks from zero to `top` (default: the largest value).

    A cell shows the largest of the values in it, so that no peak is lost; NaN is a gap (a space).
    """
    array = np.asarray(values, dtype=np.float64)
    steps = len(array)
    if steps == 0 or width <= 0:
        return " " * max(0, width)
    high = top if top is not None else float(np.max(array, initial=0.0, where=np.isfinite(array)))
    cells = []
    for cell in range(width):
        first = cell * steps // width
        part = array[first : max(first + 1, -(-(cell + 1) * steps // width))]
        part = part[np.isfinite(part)]
        cells.append(_block(float(part.max()), high) if len(part) else " ")
    return "".join(cells)


def _block(value: float, high: float) -> str:
    if high <= 0 or value <= 0:
        return BLOCKS[0]
    return BLOCKS[min(len(BLOCKS) - 1, int(value / high * len(BLOCKS)))]
