"""Plain-text columns: aligned, and without those that a narrow terminal has no room for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from dashboards.ink import fit, wrap

_NARROWEST_NAME = 6


def fitted(
    head: list[str], body: list[list[str]], width: int, *, dropped: Sequence[str], left: int = 2
) -> str:
    """`aligned` within `width` cells: columns of `dropped` go, in that order, while there is no room.

    A line below names them; then the names in the columns aligned left are cut. A column is known by its
    head, the lines of which are joined by spaces.
    """
    gone: list[str] = []
    for name in dropped:
        sizes = _sizes(head, body)
        if sum(sizes) + 2 * (len(sizes) - 1) <= width:
            break
        titles = [" ".join(title.split()) for title in head]
        if name in titles:
            at = titles.index(name)
            head, body = [*head[:at], *head[at + 1 :]], [[*row[:at], *row[at + 1 :]] for row in body]
            gone.append(name)
    sizes = _sizes(head, body)
    over = sum(sizes) + 2 * (len(sizes) - 1) - width
    for column in reversed(range(left)):  # the last name is shortened first
        cut = min(max(0, over), max(0, sizes[column] - _NARROWEST_NAME))
        sizes[column], over = sizes[column] - cut, over - cut
    table = aligned(head, body, left=left, sizes=sizes)
    if not gone:
        return table
    return table + "\n" + "\n".join(wrap(f"No room for {', '.join(gone)}.", width)) + "\n"


def _sizes(head: list[str], body: list[list[str]]) -> list[int]:
    """Cells of each column."""
    return [
        max(cell_len(row[column]) for row in [*_lines(head), *body] if len(row) > column)
        for column in range(len(head))
    ]


def _lines(head: list[str]) -> list[list[str]]:
    """A head whose titles may have several lines, as rows; the last line of each stands lowest."""
    titles = [title.split("\n") for title in head]
    rows = max(len(title) for title in titles)
    return [[("", *title)[max(0, len(title) - rows + row + 1)] for title in titles] for row in range(rows)]


def aligned(
    head: list[str], body: list[list[str]], *, left: int = 2, sizes: Sequence[int] | None = None
) -> str:
    """A table whose first `left` columns are aligned left (and cut to their `sizes`), the others right.

    Ends in a newline. An empty row is an empty line; a title may have several lines.
    """
    sizes = _sizes(head, body) if sizes is None else sizes
    lines = []
    for row in [*_lines(head), ["-" * size for size in sizes], *body]:
        cells = [
            fit(cell, size) if column < left else " " * (size - cell_len(cell)) + cell
            for column, (cell, size) in enumerate(zip(row, sizes, strict=False))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
