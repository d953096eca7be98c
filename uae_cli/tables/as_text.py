"""A table document for the terminal, and the same as plain text."""

import io

from rich.console import Console
from rich.text import Text

from uae_cli.tables.build import Block, Document
from uae_cli.tables.grid import PIPED_WIDTH, full_width, plain_console, print_grid

_IN_PARTS = (
    "Columns that this terminal has no room for stand below, beside the same first column; --out FILE or a "
    "wider terminal keeps them side by side, --format markdown or csv writes them for other programs."
)


def print_text(doc: Document, console: Console) -> None:
    """Print the table for people, in colour where the console has it."""
    _say(console, f"Table {doc.number}: {doc.title}", "bold")
    whole = [_print_block(block, console) for block in doc.blocks]
    console.print()
    for index, note in enumerate(doc.footnotes, 1):
        _say(console, f"[{index}] {note}", "yellow")
    for line in doc.legend:
        _say(console, line, "dim")
    if not all(whole):
        _say(console, _IN_PARTS, "dim")
    if doc.missing:
        console.print(Text(doc.missing), soft_wrap=True)


def plain_text(doc: Document) -> str:
    """Write the table for a file or a pipe: no colour, no cell ever cut or wrapped."""
    width = max([PIPED_WIDTH, *(full_width(block.headings, block.lines) for block in doc.blocks)])
    stream = io.StringIO()
    print_text(doc, plain_console(stream, width))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _print_block(block: Block, console: Console) -> bool:
    """Returns whether its columns stand side by side."""
    console.print()
    _say(console, block.title, "bold cyan")
    if block.shortfalls:
        _say(console, f"LESS THAN FULL: {'; '.join(block.shortfalls)}", "bold yellow")
    _say(console, " · ".join(block.facts), "dim")
    return print_grid(block.headings, block.lines, console)


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style))
