"""Lines of cells as a rich table that fits the console."""

import io
import re
import sys
from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap
from typing import IO

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 100
BEST = "◄"
_NARROW_HEADING = 17  # columns, where there is little room


def default_console() -> Console:
    """Open standard output: as the terminal is, or 100 columns wide without colour if it is none."""
    return Console() if sys.stdout.isatty() else plain_console(sys.stdout, PIPED_WIDTH)


def plain_console(stream: IO[str] | None, width: int) -> Console:
    """Open a console without colour and of a fixed width."""
    return Console(file=stream, width=width, color_system=None, force_terminal=False)


def print_grid(headings: Sequence[str], lines: Sequence[Sequence[str]], console: Console) -> bool:
    """Print lines of cells; columns that a narrow console has no room for come below, beside the first again.

    Where one column alone is too wide, the spreads (± …) are left out, which is said. Columns under one
    heading (the first line of it) stay together if they can. Returns whether all stand side by side.
    """
    if full_width(headings, lines) > console.width:
        headings = [_wrapped(heading) for heading in headings]
    panels, without_spreads = _panels(headings, lines, console.width), False
    for number, columns in enumerate(panels):
        if number:
            console.print()
        table = _chosen(headings, lines, columns)
        if width(table) > console.width:
            bare = [[_without_spread(cell) for cell in line] for line in lines]
            table, without_spreads = _chosen(headings, bare, columns), without_spreads or bare != lines
        console.print(table)
    if without_spreads:
        console.print(Text("No room here for the spreads: widen the terminal.", style="dim"))
    return len(panels) == 1


def print_folded(headings: Sequence[str], lines: Sequence[Sequence[str]], console: Console) -> None:
    """Print lines of words, which are wrapped where the console is narrow."""
    table = _build(headings, lines)
    for column in table.columns:
        column.vertical, column.overflow = "top", "fold"
    console.print(table)


def _panels(headings: Sequence[str], lines: Sequence[Sequence[str]], room: int) -> list[list[int]]:
    """The columns of each part; the first one stands in all of them."""

    def fits(columns: Sequence[int]) -> bool:
        return width(_chosen(headings, lines, columns)) <= room

    panels: list[list[int]] = [[0]]
    for _, group in groupby(range(1, len(headings)), key=lambda column: headings[column].split("\n")[0]):
        together = list(group)
        for unit in [together] if fits([0, *together]) else [[column] for column in together]:
            if panels[-1] != [0] and not fits([*panels[-1], *unit]):
                panels.append([0])
            panels[-1] += unit
    return panels


def _chosen(headings: Sequence[str], lines: Sequence[Sequence[str]], columns: Sequence[int]) -> Table:
    return _build([headings[c] for c in columns], [[line[c] for c in columns] for line in lines])


def width(table: Table) -> int:
    """Columns a table takes when no cell is wrapped."""
    console = plain_console(io.StringIO(), 1000)
    return Measurement.get(console, console.options, table).maximum


def full_width(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> int:
    """Columns that all the lines take when nothing is left out."""
    return width(_build(headings, lines))


def _build(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in headings:
        table.add_column(Text(heading), vertical="bottom", overflow="fold")
    for line in lines:
        best = any(cell.endswith(BEST) for cell in line)
        table.add_row(*(Text(cell, style=_style(cell, best=best)) for cell in line))
    return table


def _style(cell: str, *, best: bool) -> str:
    if cell.startswith("−"):
        return "red"
    return "bold green" if best else ""


def _wrapped(heading: str) -> str:
    return "\n".join(part for line in heading.split("\n") for part in wrap(line, _NARROW_HEADING))


def _without_spread(cell: str) -> str:
    return re.sub(r" ± [0-9.e+−-]+", "", cell)
