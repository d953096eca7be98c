"""Lines of cells as a rich table that fits the console."""

import io
import re
import sys
from collections.abc import Sequence
from typing import IO

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 100
BEST = "◄"


def default_console() -> Console:
    """Open standard output: as the terminal is, or 100 columns wide without colour if it is none."""
    return Console() if sys.stdout.isatty() else plain_console(sys.stdout, PIPED_WIDTH)


def plain_console(stream: IO[str] | None, width: int) -> Console:
    """Open a console without colour and of a fixed width."""
    return Console(file=stream, width=width, color_system=None, force_terminal=False)


def print_grid(headings: Sequence[str], lines: Sequence[Sequence[str]], console: Console) -> None:
    """Print lines of cells; what a narrow console has no room for is left out, and said to be.

    First the spreads (± …) go, then columns from the right; the first two always stay.
    """
    table, left_out = _build(headings, lines), ""
    if width(table) > console.width:
        lines, left_out = [[_without_spread(cell) for cell in line] for line in lines], "the spreads"
        table = _build(headings, lines)
    kept = len(headings)
    while width(table) > console.width and kept > 2:
        kept -= 1
        table = _build(headings[:kept], [line[:kept] for line in lines])
    console.print(table)
    dropped = [" ".join(heading.split()) for heading in headings[kept:]]
    if left_out:
        _say(console, f"No room here for {', '.join([left_out, *dropped])}: widen the terminal.")


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
        table.add_column(Text(heading), vertical="bottom")
    for line in lines:
        best = any(cell.endswith(BEST) for cell in line)
        table.add_row(*(Text(cell, style=_style(cell, best=best)) for cell in line))
    return table


def _style(cell: str, *, best: bool) -> str:
    if cell.startswith("−"):
        return "red"
    return "bold green" if best else ""


def _without_spread(cell: str) -> str:
    return re.sub(r" ± [0-9.e+−-]+", "", cell)


def _say(console: Console, line: str) -> None:
    console.print(Text(line, style="dim"))
