"""Tables: ours beside the numbers of the paper, and the one at the end of a run."""

from uae_cli.tables.build import Block, Document, best, document, experiments, headline, lacking
from uae_cli.tables.command import print_run, table_command, tidy
from uae_cli.tables.contents import CONTENTS, TABLES, Entry, chosen, find_figure
from uae_cli.tables.format import NOTHING, gain, interval, shown_as
from uae_cli.tables.notes import command, heading, shortfalls, too_small
from uae_cli.tables.render import default_console, latex, print_folded, print_grid
from uae_cli.tables.reported import FULL_NAMES, reported, reported_pairs
from uae_cli.tables.spec import Figure, Run, Table

__all__ = [
    "CONTENTS",
    "FULL_NAMES",
    "NOTHING",
    "TABLES",
    "Block",
    "Document",
    "Entry",
    "Figure",
    "Run",
    "Table",
    "best",
    "chosen",
    "command",
    "default_console",
    "document",
    "experiments",
    "find_figure",
    "gain",
    "heading",
    "headline",
    "interval",
    "lacking",
    "latex",
    "print_folded",
    "print_grid",
    "print_run",
    "reported",
    "reported_pairs",
    "shortfalls",
    "shown_as",
    "table_command",
    "tidy",
    "too_small",
]
