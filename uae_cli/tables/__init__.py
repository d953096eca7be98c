"""Tables: ours beside the numbers of the paper, and the one at the end of a run."""

from uae_cli.tables.build import Document, document
from uae_cli.tables.command import print_run, table_command
from uae_cli.tables.contents import CONTENTS, TABLES, Entry, chosen, find_figure
from uae_cli.tables.render import default_console, print_folded
from uae_cli.tables.reported import FULL_NAMES
from uae_cli.tables.spec import Figure, Run, Table

__all__ = [
    "CONTENTS",
    "FULL_NAMES",
    "TABLES",
    "Document",
    "Entry",
    "Figure",
    "Run",
    "Table",
    "chosen",
    "default_console",
    "document",
    "find_figure",
    "print_folded",
    "print_run",
    "table_command",
]
