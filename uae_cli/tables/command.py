"""`uae table N`: the paper's table from all finished runs, ours beside the paper's."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console

from uae_cli.errors import ConfigError
from uae_cli.results.collect import Measured, collect, measured
from uae_cli.tables.as_csv import tidy
from uae_cli.tables.as_latex import latex
from uae_cli.tables.as_markdown import markdown
from uae_cli.tables.as_text import plain_text, print_text
from uae_cli.tables.build import document, experiments, missing_line
from uae_cli.tables.specs import SPECS, TableSpec

Format = Literal["text", "csv", "markdown", "latex"]


def table_command(number: str, outputs: Path, fmt: Format, out: Path | None) -> int:
    """Write table `number` from the finished runs below `outputs`, to the terminal or to the file `out`.

    Returns the exit status, 0. Beside CSV, which has no room for it, the line about experiments that are
    still missing goes to standard error.

    Raises:
        ConfigError: no such table or format, no finished run that belongs in it, or `out` can't be written.

    """
    spec = find_spec(number)
    if fmt not in get_args(Format):
        raise ConfigError(f"table format {fmt!r} is unknown; choose one of {', '.join(get_args(Format))}")
    rows = _rows(spec, outputs)
    if fmt == "text" and out is None and sys.stdout.isatty():
        print_text(document(spec, rows), Console())
        return 0
    _deliver(table_text(spec, rows, fmt), out)
    if fmt == "csv" and (missing := missing_line(spec, experiments(spec, rows))):
        print(missing, file=sys.stderr)
    return 0


def find_spec(number: str) -> TableSpec:
    """Find the description of a table.

    Raises:
        ConfigError: there is none of this number; the message lists those there are.

    """
    if number not in SPECS:
        raise ConfigError(
            f"table {number!r} is unknown; the tables known here are {', '.join(sorted(SPECS, key=_place))}"
        )
    return SPECS[number]


def _place(number: str) -> tuple[bool, float]:
    """The tables first, then the numbers of the supplement's sections."""
    return number.startswith("s"), float(number.lstrip("s"))


def table_text(spec: TableSpec, rows: Sequence[Measured], fmt: Format) -> str:
    """Write the table in one of the formats, as it goes to a file."""
    if fmt == "csv":
        return tidy(spec, rows)
    doc = document(spec, rows)
    return {"text": plain_text, "markdown": markdown, "latex": latex}[fmt](doc)


def _rows(spec: TableSpec, outputs: Path) -> list[Measured]:
    found = collect(outputs)
    command = f"start one with `{spec.command}`"
    if found.empty:
        raise ConfigError(f"no finished runs below {outputs}; {command}")
    rows = measured(found)
    if not spec.rows(rows):
        arms = ", ".join(dict.fromkeys(row.arm for row in spec.left_out(rows)))
        why = f" (it has no line for {arms}; results.csv of each run has them)" if arms else ""
        raise ConfigError(
            f"none of the finished runs below {outputs} belongs in table {spec.number}{why}; {command}"
        )
    return rows


def _deliver(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't write the table to {out}: {error.strerror}; choose another file") from error
