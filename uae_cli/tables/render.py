"""A table document for the terminal, as plain text, as Markdown and as LaTeX; and lines of cells that fit."""

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
from rich.table import Table as RichTable
from rich.text import Text

from uae_cli.tables.build import Block, Document
from uae_cli.tables.notes import BEST

PIPED_WIDTH = 100
_NARROW_HEADING = 17  # columns, where there is little room
_IN_PARTS = (
    "Columns that this terminal has no room for stand below, beside the same first column; --out FILE or a "
    "wider terminal keeps them side by side, --format markdown or csv writes them for other programs."
)
_TEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "·": r"$\cdot$",
        "×": r"$\times$",
        "†": r"$^\dagger$",
        "*": "$^*$",
    },
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"δ": r"$\delta$", "ε": r"$\varepsilon$", "α": r"$\alpha$", "β": r"$\beta$", "<": "$<$", ">": "$>$"},
    **{"\n": " ", "[": "{[}", "]": "{]}"},  # a line break takes a bare [ or * for its own
}

Cells = Sequence[Sequence[str]]


def default_console() -> Console:
    """Open standard output: as the terminal is, or 100 columns wide without colour if it is none."""
    return Console() if sys.stdout.isatty() else plain_console(sys.stdout, PIPED_WIDTH)


def plain_console(stream: IO[str] | None, width: int) -> Console:
    """Open a console without colour and of a fixed width."""
    return Console(file=stream, width=width, color_system=None, force_terminal=False)


def print_document(doc: Document, console: Console) -> None:
    """Print the table for people, in colour where the console has it."""
    if doc.number:
        _say(console, f"Table {doc.number}: {doc.title}", "bold")
    whole = [_print_block(block, console) for block in doc.blocks]
    notes = [(f"[{index}] {note}", "yellow") for index, note in enumerate(doc.footnotes, 1)]
    notes += [(line, "dim") for line in doc.legend]
    if doc.number and not all(whole):
        notes.append((_IN_PARTS, "dim"))
    if notes or doc.missing:
        console.print()
    for line, style in notes:
        _say(console, line, style)
    if doc.missing:
        console.print(Text(doc.missing), soft_wrap=True)


def plain_text(doc: Document) -> str:
    """Write the table for a file or a pipe: no colour, no cell ever cut or wrapped."""
    width = max([PIPED_WIDTH, *(full_width(block.headings, block.lines) for block in doc.blocks)])
    stream = io.StringIO()
    print_document(doc, plain_console(stream, width))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def markdown(doc: Document) -> str:
    """GitHub Markdown: a section per experiment."""
    from tabulate import tabulate

    parts = [f"## Table {doc.number}: {doc.title}"]
    for block in doc.blocks:
        headings = [heading.replace("\n", " ") for heading in block.headings]
        cells = [[_escaped(cell) for cell in line] for line in block.lines]
        parts.append(f"### {_escaped(block.title)}")
        if block.shortfalls:
            parts.append(f"**Less than full: {'; '.join(block.shortfalls)}.**")
        parts.append(_escaped(" · ".join(block.facts)))
        parts.append(tabulate(cells, headings, tablefmt="github", disable_numparse=True))
    parts += [_escaped(line) for line in _below(doc)]
    return "\n\n".join([*parts, doc.missing] if doc.missing else parts) + "\n"


def latex(doc: Document) -> str:
    r"""One `table` environment in the style of booktabs (needs `\usepackage{booktabs}`)."""
    lines = [r"\begin{table}", r"  \centering", r"  \footnotesize"]
    lines.append(rf"  \caption{{Table {doc.number} of the paper: {_tex(doc.title)}.}}")
    width = max(len(block.headings) for block in doc.blocks)
    lines += [rf"  \begin{{tabular}}{{l{'r' * (width - 1)}}}", r"    \toprule"]
    for index, block in enumerate(doc.blocks):
        lines += [r"    \midrule"] if index else []
        lines += _latex_block(block, width)
    lines += [r"    \bottomrule", r"  \end{tabular}", r"", r"  \smallskip", r"  \raggedright"]
    lines += [rf"  {_tex(line)}\\" for line in _below(doc)]
    lines += [rf"  {_tex(doc.missing)}"] if doc.missing else []
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def print_grid(headings: Sequence[str], lines: Cells, console: Console) -> bool:
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
        if _width(table) > console.width:
            bare = [[_without_spread(cell) for cell in line] for line in lines]
            table, without_spreads = _chosen(headings, bare, columns), without_spreads or bare != lines
        console.print(table)
    if without_spreads:
        console.print(Text("No room here for the spreads: widen the terminal.", style="dim"))
    return len(panels) == 1


def print_folded(headings: Sequence[str], lines: Cells, console: Console) -> None:
    """Print lines of words, which are wrapped where the console is narrow."""
    table = _rich(headings, lines)
    for column in table.columns:
        column.vertical, column.overflow = "top", "fold"
    console.print(table)


def full_width(headings: Sequence[str], lines: Cells) -> int:
    """Columns that all the lines take when nothing is left out."""
    return _width(_rich(headings, lines))


def _print_block(block: Block, console: Console) -> bool:
    """Returns whether its columns stand side by side."""
    console.print()
    _say(console, block.title, "bold cyan")
    if block.shortfalls:
        _say(console, f"LESS THAN FULL: {'; '.join(block.shortfalls)}", "bold yellow")
    if block.facts:
        _say(console, " · ".join(block.facts), "dim")
    whole = print_grid(block.headings, block.lines, console)
    for line, style in block.below:
        _say(console, line, style)
    return whole


def _say(console: Console, line: str, style: str) -> None:
    console.print(Text(line, style=style))


def _below(doc: Document) -> list[str]:
    return [*(f"[{index}] {note}" for index, note in enumerate(doc.footnotes, 1)), *doc.legend]


def _panels(headings: Sequence[str], lines: Cells, room: int) -> list[list[int]]:
    """The columns of each part; the first one stands in all of them."""

    def fits(columns: Sequence[int]) -> bool:
        return _width(_chosen(headings, lines, columns)) <= room

    panels: list[list[int]] = [[0]]
    for _, group in groupby(range(1, len(headings)), key=lambda column: headings[column].split("\n")[0]):
        together = list(group)
        for unit in [together] if fits([0, *together]) else [[column] for column in together]:
            if panels[-1] != [0] and not fits([*panels[-1], *unit]):
                panels.append([0])
            panels[-1] += unit
    return panels


def _chosen(headings: Sequence[str], lines: Cells, columns: Sequence[int]) -> RichTable:
    return _rich([headings[c] for c in columns], [[line[c] for c in columns] for line in lines])


def _width(table: RichTable) -> int:
    """Columns a table takes when no cell is wrapped."""
    console = plain_console(io.StringIO(), 1000)
    return Measurement.get(console, console.options, table).maximum


def _rich(headings: Sequence[str], lines: Cells) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
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


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|\[\]<>])", r"\\\1", text).replace("_", r"\_")


def _latex_block(block: Block, width: int) -> list[str]:
    rows = [rf"\textbf{{{_tex(block.title)}}}"]
    if block.shortfalls:
        rows.append(rf"\textbf{{Less than full: {_tex('; '.join(block.shortfalls))}}}")
    rows.append(_tex(" · ".join(block.facts)))
    lines = [rf"    \multicolumn{{{width}}}{{l}}{{{row}}} \\" for row in rows]
    lines.append("    " + " & ".join(map(_tex, block.headings)) + r" \\")
    lines.append(r"    \midrule")
    return lines + ["    " + " & ".join(map(_tex, line)) + r" \\" for line in block.lines]


def _tex(text: str) -> str:
    plain = "".join(_TEX.get(character, character) for character in text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", plain)
